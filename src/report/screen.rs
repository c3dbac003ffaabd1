//! What is on standard error now: lines, a bar that steps aside for them, and the rules of what is said again.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::model::{Cause, Event};
use crate::report::bar::Bar;
use crate::report::complaint::text_line;
use crate::report::format;
use crate::report::heading::{self, Heading};
use crate::report::json_lines;
use crate::report::plain::{self, Cadence};
use crate::report::said::{self, Level, Said};
use crate::report::settings::{LogFormat, Progress, ReportSettings};
use crate::report::sink::Sink;
use crate::report::standing::{Live, Pace, Standing};
use crate::report::tally::Sums;

/// A pause shorter than this is no more than a slow answer.
const LONG_PAUSE: Duration = Duration::from_millis(500);
/// An API that keeps asking for pauses fills no log: after the first one line a minute, with the number of
/// pauses so far; unless it asks for this much more than the last line said.
const PAUSE_LINES_APART: Duration = Duration::from_mins(1);
/// A moved end of a running pause is news only when it moved by this much.
const PAUSE_MOVED: Duration = Duration::from_secs(1);
/// Different warnings that are remembered, so as to print each once; more than this is a flood.
const WARNINGS_KEPT: usize = 100;

/// Standard error.
#[derive(Debug)]
pub(super) struct Screen {
    settings: ReportSettings,
    progress: Progress,
    sink: Arc<Sink>,
    /// What stands before anything else, until something else is said.
    heading: Option<Heading>,
    bar: Option<Bar>,
    plain: Cadence,
    grouping: Cadence,
    pace: Pace,
    total: Option<u64>,
    now: Duration,
    /// When a pause was told last, and until when it was to last.
    pause_told: Option<(Duration, Duration)>,
    pause_ends: Duration,
    warned: HashSet<Box<str>>,
    unshown_warnings: u64,
    retries_told: BTreeMap<Cause, u64>,
}

impl Screen {
    pub(super) fn new(settings: ReportSettings, sink: Sink) -> Self {
        Self {
            settings,
            progress: settings.shown_progress(),
            sink: Arc::new(sink),
            heading: None,
            bar: None,
            plain: Cadence::default(),
            grouping: Cadence::default(),
            pace: Pace::default(),
            total: None,
            now: Duration::ZERO,
            pause_told: None,
            pause_ends: Duration::ZERO,
            warned: HashSet::new(),
            unshown_warnings: 0,
            retries_told: BTreeMap::new(),
        }
    }

    pub(super) fn expect_rows(&mut self, total: Option<u64>) {
        self.total = total;
    }

    /// What to say before anything else.
    pub(super) fn begin_with(&mut self, heading: Heading) {
        self.heading = Some(heading);
    }

    /// Says it now, but for `-q`; false where there is nothing to say, or it was said.
    pub(super) fn tell_heading(&mut self) -> bool {
        let is_there = self.heading.is_some();
        if !self.settings.quiet {
            self.push_heading();
            self.sink.flush();
        }
        is_there
    }

    fn push_heading(&mut self) {
        if let Some(heading) = self.heading.take() {
            self.sink.push(&self.composed(&heading::said(Some(&heading), self.total)));
        }
    }

    /// Draws the bar, or prints the plain line that is due.
    pub(super) fn tick(&mut self, live: &Live<'_>, sums: &Sums) {
        self.now = live.elapsed;
        let rate = self.pace.sample(live.elapsed, sums.asked);
        match self.progress {
            Progress::Bar => {
                let standing = Standing::new(live, sums, self.total, rate);
                let bar =
                    self.bar.get_or_insert_with(|| Bar::new(Arc::clone(&self.sink), self.settings.terminal));
                bar.draw(&standing);
            }
            Progress::Plain if self.plain.strikes(live.elapsed) => {
                let standing = Standing::new(live, sums, self.total, rate);
                let text = plain::line(&standing);
                self.say(&said::progressed(&standing, text));
            }
            _ => {}
        }
    }

    /// True every ten seconds, where retries are told in groups.
    pub(super) fn groups_retries_now(&mut self) -> bool {
        self.settings.detail() == 1 && self.grouping.strikes(self.now)
    }

    /// Tells the retries that came since the last time.
    pub(super) fn tell_retries(&mut self, retried: &BTreeMap<Cause, u64>) {
        if self.settings.detail() != 1 {
            return;
        }
        let new: BTreeMap<Cause, u64> = retried
            .iter()
            .map(|(cause, count)| (*cause, count - self.retries_told.get(cause).copied().unwrap_or(0)))
            .filter(|(_, count)| *count > 0)
            .collect();
        if !new.is_empty() {
            self.say(&said::retries(&new));
            self.retries_told.clone_from(retried);
        }
    }

    /// Tells an event, if that is wanted now.
    pub(super) fn tell(&mut self, event: &Event<'_>, sums: &Sums) {
        let told_before = self.pause_told.is_some();
        let wanted = match *event {
            Event::PoolPaused { wait, .. } => self.pause_is_news(wait),
            Event::Warned { message } => self.warning_is_news(message),
            _ => true,
        };
        if matches!(event, Event::PoolResumed) {
            self.pause_ends = self.now;
        }
        if wanted && let Some(said) = said::of(event, sums, told_before) {
            self.say(&said);
        }
    }

    fn pause_is_news(&mut self, wait: Duration) -> bool {
        let end = self.now.saturating_add(wait);
        let fresh = self.now >= self.pause_ends;
        let moved = end.saturating_sub(self.pause_ends) >= PAUSE_MOVED;
        let news = if self.settings.detail() > 0 {
            fresh || moved
        } else {
            let much_more = |until| wait.min(end.saturating_sub(until)) >= PAUSE_LINES_APART;
            let apart = self.pause_told.is_none_or(|(told, until)| {
                self.now.saturating_sub(told) >= PAUSE_LINES_APART || much_more(until)
            });
            wait >= LONG_PAUSE && (fresh || moved) && apart
        };
        if news {
            self.pause_told = Some((self.now, end));
        }
        if news || fresh {
            self.pause_ends = end;
        }
        news
    }

    fn warning_is_news(&mut self, message: &str) -> bool {
        if self.warned.contains(message) {
            return false;
        }
        if self.warned.len() < WARNINGS_KEPT {
            self.warned.insert(message.into());
            return true;
        }
        self.unshown_warnings += 1;
        self.settings.detail() > 0
    }

    /// Takes the bar away and tells what was held back.
    pub(super) fn close(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.clear();
        }
        self.progress = Progress::None;
        if self.unshown_warnings > 0 && self.settings.detail() == 0 {
            let more = format!(
                "{} not shown; -v shows all",
                format::counted(self.unshown_warnings, "further warning was", "further warnings were")
            );
            self.say(&Said::sentence(Level::Warning, "warned", &more));
        }
    }

    /// Writes one line, as text or as JSON. With `-q` only errors are written.
    pub(super) fn say(&mut self, said: &Said) {
        if self.settings.quiet && said.level < Level::Error {
            return;
        }
        self.write(&self.composed(said));
    }

    fn composed(&self, said: &Said) -> String {
        match self.settings.log_format {
            LogFormat::Text => text_line(said, self.settings.colour()),
            LogFormat::Json => json_lines::line(said, SystemTime::now()),
        }
    }

    /// Writes text that is composed already, beside the bar if there is one.
    pub(super) fn write(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.push_heading();
        let sink = &self.sink;
        let write = || {
            sink.push(text);
            sink.flush();
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}
