//! [`Report`]: takes events and ticks, counts them, and prints what is worth a line.

use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::model::{Event, Exit, Reporter, RowCounts};
use crate::report::console::error_text::error;
use crate::report::console::json_lines;
use crate::report::console::log_header::{self, LogHeader};
use crate::report::console::log_record::{Level, LogRecord, RecordKind};
use crate::report::console::screen::Screen;
use crate::report::console::sink::Sink;
use crate::report::engine_status::EngineStatus;
use crate::report::error_message::ErrorMessage;
use crate::report::run_report::history::RunHistory;
use crate::report::run_stats::{RunCounters, RunStats, StatsSnapshot};
use crate::report::settings::{LogFormat, ReportSettings};
use crate::report::summary::fields::fields;
use crate::report::summary::run_summary::RunSummary;
use crate::report::summary::text::{TextStyle, headline, text};

/// Reports what happens. Counting and printing have a lock each: a slow terminal holds up no counter.
#[derive(Debug)]
pub(crate) struct Report {
    settings: ReportSettings,
    counted: Mutex<Counted>,
    screen: Mutex<Screen>,
}

/// What events are counted in.
#[derive(Debug, Default)]
struct Counted {
    stats: RunStats,
    /// Kept only where `--report` asks for a document.
    history: Option<Box<RunHistory>>,
}

/// How the attempts of the whole run ended so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct AcceptedAndRefused {
    /// Answered, and not refused.
    pub(crate) accepted: u64,
    /// Refused.
    pub(crate) refused: u64,
}

impl Counted {
    fn count(&mut self, event: &Event<'_>) {
        if let Some(history) = &mut self.history {
            history.count(event);
        }
        self.stats.count(event);
    }

    fn sample(&mut self, engine: &EngineStatus) {
        self.stats.at(engine.elapsed);
        if let Some(history) = &mut self.history {
            history.sample(engine);
        }
    }
}

impl Report {
    /// A report that writes to `out`: standard error, or memory in a test.
    #[must_use]
    pub(crate) fn new(settings: ReportSettings, out: Box<dyn Write + Send>) -> Self {
        Self {
            settings,
            counted: Mutex::default(),
            screen: Mutex::new(Screen::new(settings, Sink::new(out))),
        }
    }

    /// The same, keeping a history for [`Report::document`].
    #[must_use]
    pub(crate) fn with_history(self) -> Self {
        lock(&self.counted).history = Some(Box::default());
        self
    }

    /// The same, with a first line that names the run: in JSON lines always, in text where `is_log`, that is,
    /// where it is read later than it is written.
    #[must_use]
    pub(crate) fn with_log_header(self, log_header: LogHeader, is_log: bool) -> Self {
        if is_log || self.settings.log_format == LogFormat::Json {
            lock(&self.screen).begin_with(log_header);
        }
        self
    }

    /// The work begins; `total` is the number of data rows, if it is known.
    pub(crate) fn started(&self, total: Option<u64>) {
        let mut screen = lock(&self.screen);
        screen.expect_rows(total);
        if !screen.print_header() && self.settings.detail() > 0 {
            screen.log(&log_header::record(None, total));
        }
    }

    /// Shows the progress: to be called every 100 ms or so.
    pub(crate) fn tick(&self, engine: &EngineStatus) {
        let counters = {
            let mut counted = lock(&self.counted);
            counted.sample(engine);
            counted.stats.counters().clone()
        };
        let mut screen = lock(&self.screen);
        screen.tick(engine, &counters);
        if screen.groups_retries_now() {
            let retried = lock(&self.counted).stats.retried().clone();
            screen.log_retries(&retried);
        }
    }

    /// Prints one line that is no event, beside the bar. With `-q` only errors are printed.
    pub(crate) fn line(&self, level: Level, message: &str) {
        let kind = match level {
            Level::Error => RecordKind::Failed,
            Level::Warning => RecordKind::Warned,
            Level::Info | Level::Debug => RecordKind::Noted,
        };
        lock(&self.screen).log(&LogRecord::sentence(level, kind, message));
    }

    /// Takes the bar away and prints the summary, and the error if the run ended with one.
    pub(crate) fn finish(&self, summary: &RunSummary) {
        let stats = self.stats();
        let mut screen = lock(&self.screen);
        screen.log_retries(&stats.retried.iter().copied().collect());
        screen.close();
        match self.settings.log_format {
            LogFormat::Text => {
                let terminal = self.settings.terminal;
                let style = TextStyle {
                    quiet: self.settings.quiet,
                    colour: self.settings.colour(),
                    width: if terminal.interactive { (terminal.width)().into() } else { 0 },
                };
                screen.write(&text(summary, &stats, style));
            }
            LogFormat::Json => {
                if !self.settings.quiet || summary.exit != Exit::Complete {
                    let level = match summary.exit {
                        Exit::Complete => Level::Info,
                        Exit::SomeFailed => Level::Warning,
                        _ => Level::Error,
                    };
                    let message = headline(summary, &stats);
                    let record =
                        LogRecord::new(level, RecordKind::Finished, message, fields(summary, &stats));
                    screen.write(&json_lines::line(&record, SystemTime::now()));
                }
                if let Some(ErrorMessage { message, hint }) = &summary.error {
                    screen.write(&error(message, hint.as_deref(), LogFormat::Json, false));
                }
            }
        }
    }

    /// Prints the error of a run that ended before there was anything to sum up.
    pub(crate) fn fail(&self, error_message: &ErrorMessage) {
        let (format, colour) = (self.settings.log_format, self.settings.colour());
        let text = error(&error_message.message, error_message.hint.as_deref(), format, colour);
        lock(&self.screen).write(&text);
    }

    /// Takes the bar away without a summary, where a run is broken off; nothing is drawn after it.
    pub(crate) fn abandon(&self) {
        lock(&self.screen).close();
    }

    /// Rows that were reported as failed turned out to be repeats, which is known only at the input's end.
    pub(crate) fn refused_were_repeats(&self, rows: u64) {
        lock(&self.counted).stats.refused_were_repeats(rows);
    }

    /// What became of the rows is told by the parts of a sharded job, and not by events.
    pub(crate) fn add_parts(&self, rows: &RowCounts) {
        lock(&self.counted).stats.add_parts(rows);
    }

    /// Rows were not read, or their jobs did not end: the next run goes on with them.
    pub(crate) fn rows_left(&self, rows: u64) {
        lock(&self.counted).stats.rows_left(rows);
    }

    /// The counts so far.
    #[must_use]
    pub(crate) fn stats(&self) -> StatsSnapshot {
        lock(&self.counted).stats.snapshot()
    }

    /// How the attempts ended that were answered, so far.
    #[must_use]
    pub(crate) fn accepted_and_refused(&self) -> AcceptedAndRefused {
        let counted = lock(&self.counted);
        let RunCounters { answered, refused, .. } = *counted.stats.counters();
        AcceptedAndRefused { accepted: answered.saturating_sub(refused), refused }
    }

    /// What happened when; empty unless it was kept.
    pub(crate) fn history(&self) -> RunHistory {
        lock(&self.counted).history.as_deref().cloned().unwrap_or_default()
    }

    /// Logs a record for programs. As text, the same goes to standard output.
    pub(crate) fn log_if_json(&self, record: impl FnOnce() -> LogRecord) {
        if self.settings.log_format == LogFormat::Json {
            lock(&self.screen).log(&record());
        }
    }

    /// Whether an event may be worth a line; decided without a lock, since it is called for every event.
    fn is_logged(&self, event: &Event<'_>) -> bool {
        let from = match event {
            Event::Warned { .. }
            | Event::Noted { .. }
            | Event::Stopping { .. }
            | Event::PoolPaused { .. } => 0,
            Event::JobFailed { .. }
            | Event::LimitChanged { .. }
            | Event::PoolResumed
            | Event::TokenReceived { .. }
            | Event::ProxyChosen { .. } => 1,
            Event::AttemptRetried { .. } => 2,
            Event::AttemptAnswered { .. }
            | Event::JobFetched { .. }
            | Event::JobRecovered
            | Event::JobDeferred
            | Event::RowRepeated { .. }
            | Event::RowSkipped => return false,
        };
        !self.settings.quiet && self.settings.detail() >= from
    }
}

impl Reporter for Report {
    fn on(&self, event: &Event<'_>) {
        let is_logged = self.is_logged(event);
        let counters = {
            let mut counted = lock(&self.counted);
            counted.count(event);
            is_logged.then(|| counted.stats.counters().clone())
        };
        if let Some(counters) = counters {
            lock(&self.screen).report_event(event, &counters);
        }
    }
}

/// A panic elsewhere while a lock was held leaves counters that are still counters.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::test_report::{FETCHED, on_terminal, report_to_memory, status_at};

    #[test]
    fn a_report_takes_events_from_several_threads() {
        let (report, _) = report_to_memory(on_terminal());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for tenth in 0..250 {
                        report.on(&FETCHED);
                        report.on(&Event::Warned { message: "again" });
                        report.tick(&status_at(f64::from(tenth) / 10.0));
                    }
                });
            }
        });
        assert_eq!(report.stats().counters.fetched, 1_000);
    }
}
