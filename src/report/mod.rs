//! Events to people: progress while a run goes on, warnings as they come, and the summary at its end.
//!
//! A [`Report`] is called, synchronously, beside the work. The events that come with every SKU are only
//! counted ([`RunStats`]); what is drawn is drawn when the engine ticks, from those counts, so its cost does not grow
//! with the speed of the run. Everything goes to one writer, standard error, and a failure to write there is
//! no failure of the run.
//!
//! Who sees what, and the schema of JSON lines:
#![doc = include_str!("../../docs/messages.md")]

mod bar;
pub mod document;
pub mod dry_run;
mod error_message;
pub mod format;
mod json_lines;
mod log_header;
mod log_record;
mod plain;
mod progress_snapshot;
mod run_history;
mod run_stats;
mod screen;
mod settings;
mod sink;
mod summary;
mod summary_text;
pub mod tune;
mod verdict;

use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::model::{Event, Exit, Reporter};

pub use document::{ReportFile, ReportFormat, RunDescription, ShownSetting};
pub use error_message::ErrorMessage;
pub use log_header::{LogHeader, bare as bare_log_header};
pub use log_record::Level;
pub use progress_snapshot::EngineStatus;
pub use run_history::{PauseSpan, RunHistory, SlowAnswer, TimeSlice};
pub use run_stats::{CauseGroup, FailureExample, LatencySummary, RunCounters, RunStats, StatsSnapshot};
pub use settings::{LogFormat, ProgressMode, ReportSettings, Terminal, WordError};
pub use summary::{Amount, Changes, Counts, NotInInput, RunSummary, WrittenFile};
pub use verdict::{BlockedTime, ConcurrencyUsed, Facts, LimitedBy, RunVerdict, Tail, verdict};

use log_record::LogRecord;
use screen::Screen;
use sink::Sink;
use summary_text::TextStyle;

/// Tells people what happens. Counting and showing have a lock each: a slow terminal holds up no counter.
#[derive(Debug)]
pub struct Report {
    settings: ReportSettings,
    stats: Mutex<RunStats>,
    screen: Mutex<Screen>,
}

impl Report {
    /// A report that writes to `out`: standard error, or memory in a test.
    #[must_use]
    pub fn new(settings: ReportSettings, out: Box<dyn Write + Send>) -> Self {
        Self {
            settings,
            stats: Mutex::new(RunStats::default()),
            screen: Mutex::new(Screen::new(settings, Sink::new(out))),
        }
    }

    /// The same, keeping a history for [`Report::document`].
    #[must_use]
    pub fn with_history(self) -> Self {
        lock(&self.stats).keep_history();
        self
    }

    /// The same, with a first line that says which run it is: in JSON lines always, in text where `is_log`, that is,
    /// where it is read later than it is written.
    #[must_use]
    pub fn with_log_header(self, log_header: LogHeader, is_log: bool) -> Self {
        if is_log || self.settings.log_format == LogFormat::Json {
            lock(&self.screen).begin_with(log_header);
        }
        self
    }

    /// The work begins; `total` is the number of data rows, if it is known.
    pub fn started(&self, total: Option<u64>) {
        let mut screen = lock(&self.screen);
        screen.expect_rows(total);
        if !screen.print_header() && self.settings.detail() > 0 {
            screen.log(&log_header::record(None, total));
        }
    }

    /// The number of data rows became known: the input's end was reached.
    pub fn total_known(&self, total: u64) {
        lock(&self.screen).expect_rows(Some(total));
    }

    /// Shows how the run stands: to be called every 100 ms or so.
    pub fn tick(&self, engine: &EngineStatus<'_>) {
        let counters = {
            let mut stats = lock(&self.stats);
            stats.sample(engine);
            stats.counters().clone()
        };
        let mut screen = lock(&self.screen);
        screen.tick(engine, &counters);
        if screen.groups_retries_now() {
            let retried = lock(&self.stats).retried().clone();
            screen.log_retries(&retried);
        }
    }

    /// Prints one line that is no event, beside the bar. With `-q` only errors are printed.
    pub fn line(&self, level: Level, message: &str) {
        let event = match level {
            Level::Error => "failed",
            Level::Warning => "warned",
            Level::Info | Level::Debug => "noted",
        };
        lock(&self.screen).log(&LogRecord::sentence(level, event, message));
    }

    /// Takes the bar away and prints the summary, and the error if the run ended with one.
    pub fn finish(&self, summary: &RunSummary) {
        let stats = self.stats();
        let mut screen = lock(&self.screen);
        screen.log_retries(&stats.retried.iter().copied().collect());
        screen.close();
        match self.settings.log_format {
            LogFormat::Text => {
                let dress = TextStyle { quiet: self.settings.quiet, colour: self.settings.colour() };
                screen.write(&summary_text::text(summary, &stats, dress));
            }
            LogFormat::Json => {
                if !self.settings.quiet || summary.exit != Exit::Complete {
                    let record = summary::record(summary, &stats, summary_text::headline(summary, &stats));
                    screen.write(&json_lines::line(&record, SystemTime::now()));
                }
                if let Some(ErrorMessage { message, hint }) = &summary.error {
                    screen.write(&error(message, hint.as_deref(), LogFormat::Json, false));
                }
            }
        }
    }

    /// Prints the error of a run that ended before there was anything to sum up.
    pub fn fail(&self, error_message: &ErrorMessage) {
        let (format, colour) = (self.settings.log_format, self.settings.colour());
        let text = error(&error_message.message, error_message.hint.as_deref(), format, colour);
        lock(&self.screen).write(&text);
    }

    /// Takes the bar away without a summary, where a run is broken off; nothing is drawn after it.
    pub fn abandon(&self) {
        lock(&self.screen).close();
    }

    /// Rows that were told as failed turned out to be repeats: known only at the input's end.
    pub fn refused_were_repeats(&self, rows: u64) {
        lock(&self.stats).refused_were_repeats(rows);
    }

    /// The counts so far.
    #[must_use]
    pub fn stats(&self) -> StatsSnapshot {
        lock(&self.stats).snapshot()
    }

    /// Whether an event may be worth a line; decided without a lock, since it is asked for every event.
    fn is_logged(&self, event: &Event<'_>) -> bool {
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
        let is_logged = self.is_logged(event);
        let counters = {
            let mut stats = lock(&self.stats);
            stats.note(event);
            is_logged.then(|| stats.counters().clone())
        };
        if let Some(counters) = counters {
            lock(&self.screen).report_event(event, &counters);
        }
    }
}

/// `error: what … (where)` and, on a line of its own, `  hint: what to do`, with the line ends; or the same
/// as one JSON line. For `main`, where a run ends before there is a [`Report`].
#[must_use]
pub fn error(message: &str, hint: Option<&str>, format: LogFormat, colour: bool) -> String {
    match format {
        LogFormat::Text => error_message::error_text(message, hint, colour),
        LogFormat::Json => json_lines::line(&error_message::error_record(message, hint), SystemTime::now()),
    }
}

/// A panic elsewhere while a lock was held leaves counters that are still counters.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
