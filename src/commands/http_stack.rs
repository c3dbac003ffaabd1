//! The HTTP stack, from the transport up to the fetcher. It is built once a run, before anything is created or
//! locked: what is wrong with certificates or the proxy is found then, and TLS is loaded then.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use http::HeaderMap;
use tokio::sync::Semaphore;

use super::command_error::{self, CommandError};
use super::{token, wiring};
use crate::config::{Environment, Settings};
use crate::fetch::{Classifier, Companions, Fetcher, Filters, Http, ServedConnections, Shutdown};
use crate::limit::Gate;
use crate::model::{Event, Reporter};
use crate::plan::{BoundTemplate, RequestTemplate};
use crate::report::Report;

/// Attempts that may look for the first connection at once. Ten prove an API unreachable, so hardly
/// more than these ever connect to a dead port.
const INITIAL_CONNECTS: usize = 10;

/// All of it that needs neither a journal nor a reporter.
pub(super) struct HttpStack {
    transport: Http,
    initial_connects: Arc<Semaphore>,
    filters: Filters,
    /// Bytes of answers that wait for the disk.
    pending_bytes: Arc<AtomicUsize>,
    /// The headers of every request, those of the program apart.
    constant_headers: HeaderMap,
}

impl HttpStack {
    /// Loads TLS. No connection is made.
    ///
    /// # Errors
    /// Certificates or a proxy that cannot be used.
    pub(super) fn new(
        settings: &Settings,
        template: &RequestTemplate,
        (env, filters): (&Environment, Filters),
    ) -> Result<Self, CommandError> {
        let initial_connects = Arc::new(Semaphore::new(INITIAL_CONNECTS));
        let found = Arc::clone(&initial_connects);
        let transport = wiring::transport(settings, template, (env, Arc::new(move || found.close())))?;
        let transport =
            Http::new(transport).map_err(|error| command_error::of_transport(&error, settings))?;
        let (pending_bytes, constant_headers) = (Arc::default(), template.constant_headers().clone());
        Ok(Self { transport, initial_connects, filters, pending_bytes, constant_headers })
    }

    /// The proxy in use, and what named it, if there is one.
    pub(super) fn shown_proxy(&self, settings: &Settings, request: &BoundTemplate) -> Option<String> {
        Some(wiring::shown_proxy(self.transport.proxy()?, settings, &request.mask()))
    }

    /// With a counter of the bytes of answers that wait for the disk.
    pub(super) fn with_pending_bytes(self, pending_bytes: Arc<AtomicUsize>) -> Self {
        let transport = self.transport.with_pending_bytes(Arc::clone(&pending_bytes));
        Self { transport, pending_bytes, ..self }
    }

    /// Puts the gate and the fetcher on top. `request` gives the mask for what messages quote of an answer.
    ///
    /// # Errors
    /// The file of refresh tokens cannot be written.
    pub(super) fn fetch_path(
        self,
        settings: &Settings,
        request: &BoundTemplate,
        reporter: Arc<dyn Reporter>,
    ) -> Result<FetchPath, CommandError> {
        let shutdown = Arc::new(Shutdown::default());
        let gate = Arc::new(Gate::exact(&settings.pace));
        let companions = Companions {
            gate: Arc::clone(&gate),
            reporter,
            shutdown: Arc::clone(&shutdown),
            initial_connects: self.initial_connects,
        };
        let served = self.transport.served_connections();
        let filters = self.filters.with_columns(request.names());
        let classifier = Classifier { settings: settings.response.clone(), filters, mask: request.mask() };
        let fetcher = Fetcher::new(self.transport, settings.retry.clone(), classifier, companions)
            .with_pending_bytes(self.pending_bytes)
            .with_users_cookies(&self.constant_headers);
        let fetcher = if request.bulk().is_some() { fetcher.for_packs() } else { fetcher };
        let fetcher = match token::settings(settings, request)? {
            Some(token) => fetcher.with_tokens(token),
            None => fetcher,
        };
        Ok(FetchPath { gate, shutdown, served, fetcher })
    }
}

/// Reports the proxy in use, if there is one.
pub(super) fn name_proxy(report: &Report, proxy: Option<&str>) {
    if let Some(proxy) = proxy {
        report.on(&Event::ProxyChosen { proxy });
    }
}

/// What every request passes: the gate and the fetcher; and the switch that ends the run.
pub(super) struct FetchPath {
    pub(super) gate: Arc<Gate>,
    pub(super) shutdown: Arc<Shutdown>,
    /// How many connections the server serves at a time, where that was learnt.
    pub(super) served: ServedConnections,
    pub(super) fetcher: Fetcher<Http>,
}
