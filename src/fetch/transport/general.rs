//! The client for what the direct one does not carry: other origins. It is reqwest.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use reqwest::{Certificate, Client, ClientBuilder};
use tower::util::MapResponseLayer;

use super::exchange::is_ended_by_close;
use super::headers::program_headers;
use super::http2::{STREAM_WINDOW, connection_window};
use super::proxy::{answer_text, own_answer};
use super::send_error::{SendStage, is_tls_end, reqwest_error, text};
use super::{HttpChoice, Reuse, SendError, TransportError, TransportSettings, trust};
use crate::model::{Cause, Fault, Request};

/// Sends requests through reqwest. Clients are built when they are first needed.
pub(super) struct GeneralClient {
    settings: Arc<TransportSettings>,
    trust: Option<Arc<rustls::ClientConfig>>,
    client: OnceLock<Client>,
    /// Keeps no connection.
    unpooled: OnceLock<Client>,
    /// Connections that reqwest opened.
    opened: Arc<AtomicUsize>,
}

/// An answer whose body is being read.
pub(super) struct GeneralExchange {
    pub(super) response: reqwest::Response,
}

impl GeneralExchange {
    /// The next piece of the body, or none at its end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, SendError> {
        match self.response.chunk().await {
            // As over plain HTTP: the body shows whether it is whole.
            Err(error) if is_tls_end(&error) && self.is_ended_by_close() => Ok(None),
            next => next.map_err(|error| reqwest_error(error, SendStage::Body, None)),
        }
    }

    /// Whether only the end of the connection shows where the body ends.
    pub(super) fn is_ended_by_close(&self) -> bool {
        is_ended_by_close(self.response.version(), self.response.status(), self.response.headers())
    }
}

impl GeneralClient {
    pub(super) fn new(settings: Arc<TransportSettings>, trust: Option<Arc<rustls::ClientConfig>>) -> Self {
        let (client, unpooled) = Default::default();
        Self { settings, trust, client, unpooled, opened: Arc::default() }
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    /// No connection, or one that failed before the head was complete.
    pub(super) async fn send(&self, request: &Request, reuse: Reuse) -> Result<GeneralExchange, SendError> {
        let client = match reuse {
            Reuse::Never => get_or_build(&self.unpooled, || self.build(0)),
            Reuse::Allowed | Reuse::AllowedPatiently | Reuse::On(_) => {
                get_or_build(&self.client, || self.build(self.settings.concurrency))
            }
        };
        // No certificate authorities, or the system has run out of something.
        let client =
            client.map_err(|error| SendError::counted(Fault::new(Cause::Connect, error.to_string())))?;
        let response = self.execute(&client, request).await?;
        self.check_passed_on(&response)?;
        Ok(GeneralExchange { response })
    }

    /// As the direct client does.
    ///
    /// # Errors
    /// A proxy gave the answer itself.
    fn check_passed_on(&self, response: &reqwest::Response) -> Result<(), SendError> {
        let url = response.url();
        let uri = (url.scheme() == "http").then(|| url.as_str().parse().ok()).flatten();
        let proxy = uri.as_ref().and_then(|uri| self.settings.proxies.proxy_for(uri));
        let Some(proxy) = proxy.filter(|proxy| proxy.takes_whole_addresses()) else { return Ok(()) };
        let (status, headers) = (response.status(), response.headers());
        let Some(problem) = own_answer(status, headers) else { return Ok(()) };
        let detail = answer_text(proxy, "the request", (status.as_u16(), headers));
        Err(SendError::counted(Fault::new(Cause::Proxy(problem), detail)))
    }

    /// Executes, and observes whether that opens the connection: the poll during which the count of opened
    /// connections rises belongs to the request that gets the connection, or to one of several over HTTP/2.
    async fn execute(&self, client: &Client, request: &Request) -> Result<reqwest::Response, SendError> {
        let mut stage = SendStage::IdleHead;
        let mut execution = pin!(async { client.execute(Self::outgoing(client, request)?).await });
        let response = poll_fn(|cx| {
            let before = self.opened.load(Ordering::Relaxed);
            let polled = execution.as_mut().poll(cx);
            if self.opened.load(Ordering::Relaxed) != before {
                stage = SendStage::FirstHead;
            }
            polled
        })
        .await;
        response.map_err(|error| reqwest_error(error, stage, Some(self.settings.connection.connect_timeout)))
    }

    /// The request with the headers of its row.
    fn outgoing(client: &Client, request: &Request) -> reqwest::Result<reqwest::Request> {
        let (method, url) = (request.method.clone(), request.url.clone());
        // It makes a header of user-info in the address.
        let mut outgoing = client.request(method, url).build()?;
        outgoing.headers_mut().extend(request.headers.clone());
        if let Some(body) = &request.body {
            *outgoing.body_mut() = Some(body.clone().into());
        }
        Ok(outgoing)
    }

    /// A client that keeps so many idle connections, and sends no header that the user gave.
    fn build(&self, idle: usize) -> Result<Client, TransportError> {
        let builder = || {
            let builder = builder(&self.settings)?.connector_layer(self.counter());
            Ok::<_, TransportError>(builder.pool_max_idle_per_host(idle).default_headers(program_headers()))
        };
        let tls = |error| TransportError::Tls(text(error));
        if let Some(trust) = &self.trust {
            return builder()?.tls_backend_preconfigured(trust.as_ref().clone()).build().map_err(tls);
        }
        match builder()?.build() {
            Ok(client) => Ok(client),
            Err(error) if self.settings.tls => Err(tls(error)),
            // No certificate authorities on this machine: plain HTTP needs none.
            Err(_) => builder()?.tls_backend_preconfigured(trust::no_authority()?).build().map_err(tls),
        }
    }

    /// Counts a client's new connections.
    fn counter<C>(&self) -> MapResponseLayer<impl Fn(C) -> C + Clone + Send + Sync + 'static> {
        let opened = Arc::clone(&self.opened);
        MapResponseLayer::new(move |connection| {
            opened.fetch_add(1, Ordering::Relaxed);
            connection
        })
    }
}

fn builder(settings: &TransportSettings) -> Result<ClientBuilder, TransportError> {
    let mut builder = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(settings.connection.connect_timeout)
        .tcp_nodelay(true)
        .no_proxy()
        .proxy(settings.proxies.for_reqwest())
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(connection_window(settings.concurrency))
        .tls_danger_accept_invalid_certs(settings.connection.insecure);
    if let Some(pem) = &settings.ca_cert_pem {
        let certificates = Certificate::from_pem_bundle(pem).map_err(|e| TransportError::CaCert(text(e)))?;
        builder = builder.tls_certs_merge(certificates);
    }
    if settings.connection.http == HttpChoice::Http1 {
        builder = builder.http1_only();
    }
    Ok(builder)
}

/// The client in this cell, built where there is none yet.
fn get_or_build(
    cell: &OnceLock<Client>,
    build: impl FnOnce() -> Result<Client, TransportError>,
) -> Result<Client, TransportError> {
    match cell.get() {
        Some(client) => Ok(client.clone()),
        None => build().map(|client| cell.get_or_init(|| client).clone()),
    }
}
