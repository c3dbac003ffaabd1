//! The client for origins that have none of their own. It is reqwest, and keeps no connection.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use hyper::rt::Executor;
use hyper_util::rt::TokioExecutor;
use reqwest::Client;
use tower::util::MapResponseLayer;

use super::exchange::is_ended_by_close;
use super::headers::program_headers;
use super::http2::{STREAM_WINDOW, connection_window};
use super::open_connections::{ConnectionPlace, ConnectionPlaces, OpenConnections};
use super::proxy::{answer_text, own_answer};
use super::send_error::{SendStage, is_tls_end, reqwest_error, text, unusable};
use super::{HttpChoice, SendError, TransportError, TransportSettings, trust};
use crate::model::{Cause, Fault, Request};

/// Sends requests through reqwest, each over a connection of its own. The client is built when it is first needed.
pub(super) struct GeneralClient {
    settings: Arc<TransportSettings>,
    places: ConnectionPlaces,
    client: OnceLock<Client>,
    /// Connections that reqwest opened.
    opened: Arc<AtomicUsize>,
}

/// An answer whose body is being read.
pub(super) struct GeneralExchange {
    pub(super) response: reqwest::Response,
    /// Of its connection.
    place: Option<ConnectionPlace>,
}

/// reqwest closes a connection soon after its answer, and reports nothing of it: its place is given back so much later.
const CLOSING: Duration = Duration::from_millis(50);

impl Drop for GeneralExchange {
    fn drop(&mut self) {
        let place = self.place.take();
        TokioExecutor::new().execute(async move {
            tokio::time::sleep(CLOSING).await;
            drop(place);
        });
    }
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
    pub(super) fn new(settings: Arc<TransportSettings>, open: &Arc<OpenConnections>) -> Self {
        let (client, opened) = Default::default();
        Self { settings, places: open.of_origin(Vec::new()), client, opened }
    }

    /// Sends a request and waits for the head of its answer. Without `tls` no certificate is trusted.
    ///
    /// # Errors
    /// No connection, or one that failed before the head was complete.
    pub(super) async fn send(
        &self,
        request: &Request,
        tls: Option<Arc<rustls::ClientConfig>>,
    ) -> Result<GeneralExchange, SendError> {
        let client = match self.client.get() {
            Some(client) => client.clone(),
            None => {
                self.build(tls).map(|client| self.client.get_or_init(|| client).clone()).map_err(unusable)?
            }
        };
        let place = self.places.take().await;
        let response = self.execute(&client, request).await?;
        self.check_passed_on(&response)?;
        Ok(GeneralExchange { response, place: Some(place) })
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
        let (method, url) = (request.method.clone(), (*request.url).clone());
        // It makes a header of user-info in the address.
        let mut outgoing = client.request(method, url).build()?;
        outgoing.headers_mut().extend(request.headers.clone());
        if let Some(body) = &request.body {
            *outgoing.body_mut() = Some(body.clone().into());
        }
        Ok(outgoing)
    }

    /// A client that keeps no connection, and sends no header that the user gave.
    fn build(&self, tls: Option<Arc<rustls::ClientConfig>>) -> Result<Client, TransportError> {
        let tls = tls.map_or_else(trust::no_authority, |config| Ok(config.as_ref().clone()))?;
        let builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(self.settings.connection.connect_timeout)
            .tcp_nodelay(true)
            .no_proxy()
            .proxy(self.settings.proxies.for_reqwest())
            .pool_max_idle_per_host(0)
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(connection_window(1))
            .tls_backend_preconfigured(tls)
            .connector_layer(self.counter())
            .default_headers(program_headers());
        let builder =
            if self.settings.connection.http == HttpChoice::Http1 { builder.http1_only() } else { builder };
        builder.build().map_err(|error| TransportError::Tls(text(error)))
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
