//! Where redirects to other origins are sent: a direct client for each of the first origins, reqwest for further ones.
//!
//! A direct client keeps connections, and state for as long as the run takes. A redirect may lead to any number of
//! origins, so the general client, which keeps none, carries what goes past the first few.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use http::Uri;
use http::uri::InvalidUri;
use url::Url;

use super::connect::TcpConnector;
use super::direct::{DirectClient, DirectState, Route};
use super::general::{GeneralClient, GeneralExchange};
use super::headers::program_headers;
use super::open_connections::OpenConnections;
use super::send_error::unusable;
use super::trust::{self, Accepted};
use super::{HttpChoice, OnConnected, SendError, TransportError, TransportSettings};
use crate::model::Request;

/// Origins that get a client of their own.
const DIRECT_ORIGINS: usize = 8;

type OriginClient = Arc<DirectClient<TcpConnector>>;

/// The clients for other origins.
pub(super) struct OtherOrigins {
    settings: Arc<TransportSettings>,
    accepted: Accepted,
    open: Arc<OpenConnections>,
    clients: Mutex<Vec<(String, OriginClient)>>,
    tls: OnceLock<Arc<rustls::ClientConfig>>,
    general: GeneralClient,
}

impl OtherOrigins {
    /// No client is made before a redirect leads to its origin.
    pub(super) fn new(
        settings: &Arc<TransportSettings>,
        accepted: Accepted,
        open: &Arc<OpenConnections>,
    ) -> Self {
        Self {
            settings: Arc::clone(settings),
            accepted,
            open: Arc::clone(open),
            clients: Mutex::default(),
            tls: OnceLock::new(),
            general: GeneralClient::new(Arc::clone(settings), open),
        }
    }

    /// The client for the origin of this address; none where it is the general one.
    ///
    /// # Errors
    /// There are no certificate authorities on this machine.
    pub(super) fn client(&self, url: &Url) -> Result<Option<OriginClient>, SendError> {
        let origin = url.origin().ascii_serialization();
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = clients.iter().find(|(known, _)| *known == origin) {
            return Ok(Some(Arc::clone(client)));
        }
        if clients.len() == DIRECT_ORIGINS {
            return Ok(None);
        }
        let client = self.new_client(&origin).map_err(unusable)?;
        let client = Arc::new(client);
        clients.push((origin, Arc::clone(&client)));
        Ok(Some(client))
    }

    /// Sends through the general client.
    ///
    /// # Errors
    /// No connection, or one that failed before the head was complete.
    pub(super) async fn send_by_general(&self, request: &Request) -> Result<GeneralExchange, SendError> {
        let tls = self.tls();
        if request.url.scheme() == "https" {
            return self.general.send(request, Some(tls.map_err(unusable)?)).await;
        }
        // Plain HTTP needs no certificate authorities.
        self.general.send(request, tls.ok()).await
    }

    fn new_client(&self, origin: &str) -> Result<DirectClient<TcpConnector>, TransportError> {
        let origin: Uri =
            origin.parse().map_err(|error: InvalidUri| TransportError::Origin(error.to_string()))?;
        let tls = if origin.scheme_str() == Some("https") { Some(self.tls()?) } else { None };
        let proxy = self.settings.proxies.proxy_for(&origin).cloned();
        let proxy_tls = match &proxy {
            Some(proxy) if proxy.speaks_tls() => Some(self.new_tls(HttpChoice::Http1)?),
            _ => None,
        };
        let route = Route {
            origin,
            headers: program_headers(),
            http: self.http(),
            on_connected: OnConnected(Arc::new(|| {})),
            proxy,
            tls,
            proxy_tls,
        };
        DirectClient::for_origin(&self.settings.connection, route, DirectState::new(Arc::clone(&self.open)))
    }

    /// That the template's origin speaks HTTP/2 alone says nothing of others.
    fn http(&self) -> HttpChoice {
        match self.settings.connection.http {
            HttpChoice::Http1 => HttpChoice::Http1,
            HttpChoice::Auto | HttpChoice::Http2 => HttpChoice::Auto,
        }
    }

    fn tls(&self) -> Result<Arc<rustls::ClientConfig>, TransportError> {
        if let Some(config) = self.tls.get() {
            return Ok(Arc::clone(config));
        }
        let config = self.new_tls(self.http())?;
        Ok(Arc::clone(self.tls.get_or_init(|| config)))
    }

    fn new_tls(&self, http: HttpChoice) -> Result<Arc<rustls::ClientConfig>, TransportError> {
        trust::config(self.accepted.clone(), http, Arc::default()).map(Arc::new)
    }
}
