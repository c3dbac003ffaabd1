//! Events to people: progress while a run goes on, warnings as they come, and the summary at its end.
//!
//! A [`Report`] is called, synchronously, beside the work. The events that come with every SKU are only
//! counted ([`Tally`]); what is drawn is drawn when the engine ticks, from those counts, so its cost does not grow
//! with the speed of the run. Everything goes to one writer, standard error, and a failure to write there is
//! no failure of the run.
//!
//! Who sees what, and the schema of JSON lines:
#![doc = include_str!("../../docs/messages.md")]

mod bar;
mod chronicle;
mod complaint;
pub mod document;
pub mod dry_run;
mod ending;
pub mod format;
mod heading;
mod json_lines;
mod plain;
mod said;
mod screen;
mod settings;
mod sink;
mod standing;
mod summary;
mod tally;
pub mod tune;
mod verdict;

use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::model::{Event, Exit, Reporter};

pub use chronicle::{Chronicle, Pause, Slice, Slow};
pub use complaint::Complaint;
pub use document::{Kind, ReportFile, Setting, Subject};
pub use ending::{Amount, Changes, Counts, Ending, NotInInput, Wrote};
pub use heading::{Heading, bare as bare_heading};
pub use said::Level;
pub use settings::{LogFormat, Progress, ReportSettings, Terminal, WordError};
pub use standing::Live;
pub use tally::{CauseGroup, Example, Latency, Sums, Tally, TallySnapshot};
pub use verdict::{Concurrency, Facts, Limit, Tail, Verdict, Waits, verdict};

use said::Said;
use screen::Screen;
use sink::Sink;
use summary::Dress;

/// Tells people what happens. Counting and showing have a lock each: a slow terminal holds up no counter.
#[derive(Debug)]
pub struct Report {
    settings: ReportSettings,
    tally: Mutex<Tally>,
    screen: Mutex<Screen>,
}

impl Report {
    /// A report that writes to `out`: standard error, or memory in a test.
    #[must_use]
    pub fn new(settings: ReportSettings, out: Box<dyn Write + Send>) -> Self {
        Self {
            settings,
            tally: Mutex::new(Tally::default()),
            screen: Mutex::new(Screen::new(settings, Sink::new(out))),
        }
    }

    /// The same, keeping a chronicle for [`Report::document`].
    #[must_use]
    pub fn with_chronicle(self) -> Self {
        lock(&self.tally).keep_chronicle();
        self
    }

    /// The same, with a first line that says which run it is: in JSON lines always, in text where `is_log`, that is,
    /// where it is read later than it is written.
    #[must_use]
    pub fn with_heading(self, heading: Heading, is_log: bool) -> Self {
        if is_log || self.settings.log_format == LogFormat::Json {
            lock(&self.screen).begin_with(heading);
        }
        self
    }

    /// The work begins; `total` is the number of data rows, if it is known.
    pub fn started(&self, total: Option<u64>) {
        let mut screen = lock(&self.screen);
        screen.expect_rows(total);
        if !screen.tell_heading() && self.settings.detail() > 0 {
            screen.say(&heading::said(None, total));
        }
    }

    /// The number of data rows became known: the input's end was reached.
    pub fn total_known(&self, total: u64) {
        lock(&self.screen).expect_rows(Some(total));
    }

    /// Shows how the run stands: to be called every 100 ms or so.
    pub fn tick(&self, live: &Live<'_>) {
        let sums = {
            let mut tally = lock(&self.tally);
            tally.look(live);
            tally.sums().clone()
        };
        let mut screen = lock(&self.screen);
        screen.tick(live, &sums);
        if screen.groups_retries_now() {
            let retried = lock(&self.tally).retried().clone();
            screen.tell_retries(&retried);
        }
    }

    /// Prints one line that is no event, beside the bar. With `-q` only errors are printed.
    pub fn line(&self, level: Level, message: &str) {
        let event = match level {
            Level::Error => "failed",
            Level::Warning => "warned",
            Level::Info | Level::Debug => "noted",
        };
        lock(&self.screen).say(&Said::sentence(level, event, message));
    }

    /// Takes the bar away and prints the summary, and the error if the run ended with one.
    pub fn finish(&self, ending: &Ending) {
        let tally = self.tally();
        let mut screen = lock(&self.screen);
        screen.tell_retries(&tally.retried.iter().copied().collect());
        screen.close();
        match self.settings.log_format {
            LogFormat::Text => {
                let dress = Dress { quiet: self.settings.quiet, colour: self.settings.colour() };
                screen.write(&summary::text(ending, &tally, dress));
            }
            LogFormat::Json => {
                if !self.settings.quiet || ending.exit != Exit::Complete {
                    let said = ending::said(ending, &tally, summary::headline(ending, &tally));
                    screen.write(&json_lines::line(&said, SystemTime::now()));
                }
                if let Some(Complaint { message, hint }) = &ending.error {
                    screen.write(&error(message, hint.as_deref(), LogFormat::Json, false));
                }
            }
        }
    }

    /// Prints the error of a run that ended before there was anything to sum up.
    pub fn fail(&self, complaint: &Complaint) {
        let (format, colour) = (self.settings.log_format, self.settings.colour());
        let text = error(&complaint.message, complaint.hint.as_deref(), format, colour);
        lock(&self.screen).write(&text);
    }

    /// Takes the bar away without a summary, where a run is broken off; nothing is drawn after it.
    pub fn abandon(&self) {
        lock(&self.screen).close();
    }

    /// Rows that were told as failed turned out to be repeats: known only at the input's end.
    pub fn refused_were_repeats(&self, rows: u64) {
        lock(&self.tally).refused_were_repeats(rows);
    }

    /// The counts so far.
    #[must_use]
    pub fn tally(&self) -> TallySnapshot {
        lock(&self.tally).snapshot()
    }

    /// Whether an event may be worth a line; decided without a lock, since it is asked for every event.
    fn speaks_of(&self, event: &Event<'_>) -> bool {
        let from = match event {
            Event::Warned { .. } | Event::Stopping { .. } | Event::PoolPaused { .. } => 0,
            Event::JobFailed { .. } | Event::LimitChanged { .. } | Event::PoolResumed => 1,
            Event::AttemptRetried { .. } => 2,
            Event::AttemptAnswered { .. }
            | Event::JobFetched { .. }
            | Event::JobRecovered
            | Event::JobDeferred
            | Event::RowRepeated { .. } => return false,
        };
        !self.settings.quiet && self.settings.detail() >= from
    }
}

impl Reporter for Report {
    fn on(&self, event: &Event<'_>) {
        let speaks = self.speaks_of(event);
        let sums = {
            let mut tally = lock(&self.tally);
            tally.note(event);
            speaks.then(|| tally.sums().clone())
        };
        if let Some(sums) = sums {
            lock(&self.screen).tell(event, &sums);
        }
    }
}

/// `error: what … (where)` and, on a line of its own, `  hint: what to do`, with the line ends; or the same
/// as one JSON line. For `main`, where a run ends before there is a [`Report`].
#[must_use]
pub fn error(message: &str, hint: Option<&str>, format: LogFormat, colour: bool) -> String {
    match format {
        LogFormat::Text => complaint::complaint_text(message, hint, colour),
        LogFormat::Json => json_lines::line(&complaint::complaint_said(message, hint), SystemTime::now()),
    }
}

/// A panic elsewhere while a lock was held leaves counters that are still counters.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
