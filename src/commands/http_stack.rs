//! The HTTP stack, from the transport up to the fetcher. It is built once a run, before anything is created or
//! locked: what is wrong with certificates or the proxy is found then, and TLS is loaded then.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tokio::sync::Semaphore;

use super::command_error::{self, CommandError};
use super::wiring;
use crate::config::Settings;
use crate::fetch::{Companions, Fetcher, Http, Select, Shutdown};
use crate::limit::Gate;
use crate::model::{Mask, Reporter};
use crate::plan::RequestTemplate;

/// Attempts that may look for the first connection at once. Ten prove an API unreachable, so hardly
/// more than these ever connect to a dead port.
const INITIAL_CONNECTS: usize = 10;

/// All of it that needs neither a journal nor a reporter.
pub(super) struct HttpStack {
    transport: Http,
    initial_connects: Arc<Semaphore>,
    select: Select,
    mask: Mask,
}

impl HttpStack {
    /// Loads TLS. No connection is made.
    ///
    /// # Errors
    /// Certificates or a proxy that cannot be used.
    pub(super) fn new(
        settings: &Settings,
        template: &RequestTemplate,
        select: Select,
    ) -> Result<Self, CommandError> {
        let initial_connects = Arc::new(Semaphore::new(INITIAL_CONNECTS));
        let found = Arc::clone(&initial_connects);
        let transport = wiring::transport(settings, template, Arc::new(move || found.close()))?;
        let transport =
            Http::new(transport).map_err(|error| command_error::of_transport(&error, settings))?;
        Ok(Self { transport, initial_connects, select, mask: template.mask() })
    }

    /// Puts the gate and the fetcher on top. `pending_bytes` counts what waits for the disk.
    pub(super) fn fetch_path(
        self,
        settings: &Settings,
        reporter: Arc<dyn Reporter>,
        pending_bytes: Arc<AtomicUsize>,
    ) -> FetchPath {
        let shutdown = Arc::new(Shutdown::default());
        let gate = Arc::new(Gate::new(&settings.pace));
        let companions = Companions {
            gate: Arc::clone(&gate),
            reporter,
            shutdown: Arc::clone(&shutdown),
            initial_connects: self.initial_connects,
        };
        let response = wiring::response(settings, self.select, self.mask);
        let transport = self.transport.with_pending_bytes(pending_bytes);
        let fetcher = Fetcher::new(transport, settings.retry.clone(), response, companions);
        FetchPath { gate, shutdown, fetcher }
    }
}

/// What every request passes: the gate and the fetcher; and the switch that ends the run.
pub(super) struct FetchPath {
    pub(super) gate: Arc<Gate>,
    pub(super) shutdown: Arc<Shutdown>,
    pub(super) fetcher: Fetcher<Http>,
}
