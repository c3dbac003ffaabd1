//! What one call of the program works with, from its settings to its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::command_error::{self, CommandError};
use super::objects::Objects;
use super::run_report_writer::RunReportWriter;
use crate::config::{Environment, Settings};
use crate::engine::signals::Signals;
use crate::engine::threads;
use crate::model::{Event, Exit, Reporter};
use crate::report::Report;

/// Shared by all parts of a run.
pub(super) struct Session {
    pub(super) settings: Arc<Settings>,
    pub(super) env: Arc<Environment>,
    pub(super) report: Arc<Report>,
    /// When the program was called.
    pub(super) started: Instant,
    /// What it uses of object stores.
    pub(super) objects: Option<Objects>,
}

impl Session {
    /// When `--max-time` is over.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.settings.run.max_time.and_then(|time| self.started.checked_add(time))
    }

    /// Prints the warnings of the settings, and these.
    pub(super) fn warn<'a>(&self, others: impl IntoIterator<Item = &'a String>) {
        let warn = |message: &String| self.report.on(&Event::Warned { message });
        self.settings.warnings.iter().for_each(warn);
        others.into_iter().for_each(warn);
    }
}

/// Runs a command with its report and its event loop.
///
/// # Errors
/// What ends it before its work begins; nothing has been printed about it.
pub(super) fn begin(
    session: &Session,
    run: impl FnOnce(Option<&RunReportWriter>, &mut EventLoop) -> Result<Exit, CommandError>,
) -> Result<Exit, CommandError> {
    let report_writer = RunReportWriter::open(&session.settings, session.started, &session.report)?;
    let mut event_loop = EventLoop::start()?;
    let exit = run(report_writer.as_ref(), &mut event_loop);
    if let (Err(failure), Some(report_writer)) = (&exit, &report_writer) {
        report_writer.close_early(failure, event_loop.parts());
    }
    // Tasks that still run must not delay the end.
    event_loop.runtime.shutdown_background();
    exit
}

/// The event loop of the requests, and the signals that arrive on it.
pub(super) struct EventLoop {
    pub(super) runtime: Runtime,
    pub(super) signals: Signals,
}

impl EventLoop {
    /// # Errors
    /// The system gives no threads or no descriptors for it.
    pub(super) fn start() -> Result<Self, CommandError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // A thread is kept once it was started: the system might not give another.
            .thread_keep_alive(Duration::from_hours(24 * 365))
            .build()
            .map_err(|error| command_error::of_start("the network loop", &error))?;
        threads::start(&runtime)
            .map_err(|error| command_error::of_start("the threads of the run", &error))?;
        let signals = {
            let _context = runtime.enter();
            Signals::listen().map_err(|error| command_error::of_start("the signal handlers", &error))?
        };
        Ok(Self { runtime, signals })
    }

    /// Both, for what waits for a signal beside its work.
    pub(super) fn parts(&mut self) -> (&Runtime, &mut Signals) {
        (&self.runtime, &mut self.signals)
    }
}
