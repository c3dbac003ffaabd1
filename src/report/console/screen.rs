//! What is on standard error now: lines, a bar that is taken away while they are written, and the rules for
//! what is printed again.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::model::{Cause, Event};
use crate::report::console::bar::Bar;
use crate::report::console::error_text::text_line;
use crate::report::console::json_lines;
use crate::report::console::log_header::{self, LogHeader};
use crate::report::console::log_record::{self, Level, LogRecord, RecordKind};
use crate::report::console::plain::{self, PlainInterval};
use crate::report::console::progress_snapshot::{ProgressSnapshot, RecentRate};
use crate::report::console::sink::Sink;
use crate::report::engine_status::EngineStatus;
use crate::report::format;
use crate::report::run_stats::RunCounters;
use crate::report::settings::{LogFormat, ProgressMode, ReportSettings};

/// A pause shorter than this is no more than a slow answer.
const LONG_PAUSE: Duration = Duration::from_millis(500);
/// An API that keeps demanding pauses fills no log: after the first one line a minute, with the number of
/// pauses so far; unless it demands this much more than the last line stated.
const PAUSE_LINES_APART: Duration = Duration::from_mins(1);
/// A moved end of a running pause is printed only when it moved by this much.
const PAUSE_MOVED: Duration = Duration::from_secs(1);
/// Different warnings that are remembered, so as to print each once; more than this is a flood.
const WARNINGS_KEPT: usize = 100;

/// Standard error.
#[derive(Debug)]
pub(crate) struct Screen {
    settings: ReportSettings,
    progress: ProgressMode,
    sink: Arc<Sink>,
    /// The header, until it is printed, before anything else.
    log_header: Option<LogHeader>,
    bar: Option<Bar>,
    plain: PlainInterval,
    grouping: PlainInterval,
    pace: RecentRate,
    total: Option<u64>,
    now: Duration,
    /// When a pause was printed last, and its end as printed.
    pause_reported: Option<(Duration, Duration)>,
    pause_ends: Duration,
    warned: HashSet<Box<str>>,
    unshown_warnings: u64,
    retries_reported: BTreeMap<Cause, u64>,
}

impl Screen {
    pub(crate) fn new(settings: ReportSettings, sink: Sink) -> Self {
        Self {
            settings,
            progress: settings.shown_progress(),
            sink: Arc::new(sink),
            log_header: None,
            bar: None,
            plain: PlainInterval::default(),
            grouping: PlainInterval::default(),
            pace: RecentRate::default(),
            total: None,
            now: Duration::ZERO,
            pause_reported: None,
            pause_ends: Duration::ZERO,
            warned: HashSet::new(),
            unshown_warnings: 0,
            retries_reported: BTreeMap::new(),
        }
    }

    pub(crate) fn expect_rows(&mut self, total: Option<u64>) {
        self.total = total;
    }

    /// The header is printed before anything else.
    pub(crate) fn begin_with(&mut self, log_header: LogHeader) {
        self.log_header = Some(log_header);
    }

    /// Prints the header now, but for `-q`; false where there is none, or it was printed.
    pub(crate) fn print_header(&mut self) -> bool {
        let is_there = self.log_header.is_some();
        if !self.settings.quiet {
            self.push_header();
            self.sink.flush();
        }
        is_there
    }

    fn push_header(&mut self) {
        if let Some(log_header) = self.log_header.take() {
            self.sink.push(&self.composed(&log_header::record(Some(&log_header), self.total)));
        }
    }

    /// Draws the bar, or prints the plain line that is due.
    pub(crate) fn tick(&mut self, status: &EngineStatus, counters: &RunCounters) {
        self.now = status.elapsed;
        let rate = self.pace.sample(status.elapsed, counters.requested);
        match self.progress {
            ProgressMode::Bar => {
                let snapshot = ProgressSnapshot::new(status, counters, self.total, rate);
                let bar =
                    self.bar.get_or_insert_with(|| Bar::new(Arc::clone(&self.sink), self.settings.terminal));
                bar.draw(&snapshot);
            }
            ProgressMode::Plain if self.plain.is_due(status.elapsed) => {
                let snapshot = ProgressSnapshot::new(status, counters, self.total, rate);
                let text = plain::line(&snapshot);
                self.log(&log_record::progressed(&snapshot, text));
            }
            _ => {}
        }
    }

    /// True every ten seconds, where retries are printed in groups.
    pub(crate) fn groups_retries_now(&mut self) -> bool {
        self.settings.detail() == 1 && self.grouping.is_due(self.now)
    }

    /// Prints the retries since the last time.
    pub(crate) fn log_retries(&mut self, retried: &BTreeMap<Cause, u64>) {
        if self.settings.detail() != 1 {
            return;
        }
        let new: BTreeMap<Cause, u64> = retried
            .iter()
            .map(|(cause, count)| (*cause, count - self.retries_reported.get(cause).copied().unwrap_or(0)))
            .filter(|(_, count)| *count > 0)
            .collect();
        if !new.is_empty() {
            self.log(&log_record::retries(&new));
            self.retries_reported.clone_from(retried);
        }
    }

    /// Tells an event, if that is wanted now.
    pub(crate) fn report_event(&mut self, event: &Event<'_>, counters: &RunCounters) {
        let reported_before = self.pause_reported.is_some();
        let wanted = match *event {
            Event::PoolPaused { wait, .. } => self.pause_is_news(wait),
            Event::Warned { message } => self.warning_is_news(message),
            _ => true,
        };
        if matches!(event, Event::PoolResumed) {
            self.pause_ends = self.now;
        }
        if wanted && let Some(record) = log_record::of(event, counters, reported_before) {
            self.log(&record);
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
            let apart = self.pause_reported.is_none_or(|(text, until)| {
                self.now.saturating_sub(text) >= PAUSE_LINES_APART || much_more(until)
            });
            wait >= LONG_PAUSE && (fresh || moved) && apart
        };
        if news {
            self.pause_reported = Some((self.now, end));
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

    /// Takes the bar away and prints the number of warnings that were not shown.
    pub(crate) fn close(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.clear();
        }
        self.progress = ProgressMode::None;
        if self.unshown_warnings > 0 && self.settings.detail() == 0 {
            let more = format!(
                "{} not shown; -v shows all",
                format::counted(self.unshown_warnings, "further warning was", "further warnings were")
            );
            self.log(&LogRecord::sentence(Level::Warning, RecordKind::Warned, &more));
        }
    }

    /// Writes one line, as text or as JSON. With `-q` only errors are written.
    pub(crate) fn log(&mut self, record: &LogRecord) {
        if self.settings.quiet && record.level < Level::Error {
            return;
        }
        self.write(&self.composed(record));
    }

    fn composed(&self, record: &LogRecord) -> String {
        match self.settings.log_format {
            LogFormat::Text => text_line(record, self.settings.colour()),
            LogFormat::Json => json_lines::line(record, SystemTime::now()),
        }
    }

    /// Writes text that is composed already, beside the bar if there is one.
    pub(crate) fn write(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.push_header();
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

#[cfg(test)]
mod tests;
