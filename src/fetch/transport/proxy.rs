//! Which proxy a request goes through: that of `--proxy`, or that of the standard variables.
//!
//! The variables are read as hyper-util reads them, so that both clients choose alike: of two spellings the first one
//! that is set, even if it is empty; none in a CGI program, where `HTTP_PROXY` may be a request's header; a value that
//! cannot be read is ignored. `NO_PROXY` is read by [`NoProxy`].

mod no_proxy;
mod own_answer;

use std::fmt;
use std::sync::Arc;

use http::uri::{Authority, Scheme};
use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::TransportError;
use no_proxy::NoProxy;

pub(super) use own_answer::{answer_text, own_answer};

/// The schemes of a proxy's address.
pub(crate) const PROXY_SCHEMES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];

/// The port of a SOCKS proxy whose address names none, as in curl.
const SOCKS_PORT: u16 = 1080;

/// The standard variables; of each pair the first that is set counts.
const ALL: [&str; 2] = ["ALL_PROXY", "all_proxy"];
const HTTP: [&str; 2] = ["HTTP_PROXY", "http_proxy"];
const HTTPS: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
const NO: [&str; 2] = ["NO_PROXY", "no_proxy"];
/// Set in a CGI program.
const CGI: &str = "REQUEST_METHOD";

/// Whether a proxy's address has one of the [`PROXY_SCHEMES`], or none.
#[must_use]
pub(crate) fn is_proxy_scheme(address: &str) -> bool {
    address
        .split_once("://")
        .is_none_or(|(scheme, _)| PROXY_SCHEMES.iter().any(|known| known.eq_ignore_ascii_case(scheme)))
}

/// Whether this value of a standard variable names a proxy. Any other is ignored without an error.
#[must_use]
pub(crate) fn is_proxy_of_environment(value: &str) -> bool {
    intercept(value).is_some()
}

/// Who named a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProxySource {
    /// `--proxy`, wherever it is set.
    Setting,
    /// This standard variable.
    Variable(&'static str),
    /// The settings of the operating system.
    System,
}

/// What is spoken with a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProxyProtocol {
    /// HTTP: whole addresses, and tunnels by CONNECT.
    Http,
    /// The same over TLS.
    Https,
    /// SOCKS 4. The name is resolved here, or (4a) by the proxy.
    Socks4 { resolves: bool },
    /// SOCKS 5. The name is resolved here, or (5h) by the proxy.
    Socks5 { resolves: bool },
}

/// A proxy and its credentials. `Display` and `Debug` show scheme, host and port.
#[derive(Clone)]
pub(crate) struct Proxy {
    protocol: ProxyProtocol,
    intercept: Intercept,
    /// Scheme, host and port.
    uri: Uri,
    source: ProxySource,
    /// The whole address.
    address: SecretString,
}

impl Proxy {
    fn parse(address: &str, source: ProxySource) -> Option<Self> {
        let has_scheme = address.contains("://");
        let whole = if has_scheme { address.to_owned() } else { format!("http://{address}") };
        Self::new(intercept(address)?, SecretString::from(whole), source)
    }

    fn new(intercept: Intercept, address: SecretString, source: ProxySource) -> Option<Self> {
        let uri = intercept.uri();
        let protocol = match uri.scheme_str()? {
            "http" => ProxyProtocol::Http,
            "https" => ProxyProtocol::Https,
            "socks4" => ProxyProtocol::Socks4 { resolves: true },
            "socks4a" => ProxyProtocol::Socks4 { resolves: false },
            "socks5" => ProxyProtocol::Socks5 { resolves: true },
            "socks5h" => ProxyProtocol::Socks5 { resolves: false },
            _ => return None,
        };
        let is_socks = matches!(protocol, ProxyProtocol::Socks4 { .. } | ProxyProtocol::Socks5 { .. });
        let mut parts = uri.clone().into_parts();
        if is_socks && uri.port().is_none() {
            let authority = format!("{}:{SOCKS_PORT}", uri.host()?);
            parts.authority = Some(authority.parse::<Authority>().ok()?);
        }
        let uri = Uri::from_parts(parts).ok()?;
        Some(Self { protocol, intercept, uri, source, address })
    }

    /// Who named it.
    #[must_use]
    pub(crate) fn source(&self) -> ProxySource {
        self.source
    }

    pub(super) fn protocol(&self) -> ProxyProtocol {
        self.protocol
    }

    /// Scheme, host and port.
    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The value of `Proxy-Authorization`.
    pub(super) fn basic_auth(&self) -> Option<&HeaderValue> {
        self.intercept.basic_auth()
    }

    /// User and password for a SOCKS proxy.
    pub(super) fn user_and_password(&self) -> Option<(&str, &str)> {
        self.intercept.raw_auth()
    }

    /// Whether TLS is spoken with it.
    pub(super) fn speaks_tls(&self) -> bool {
        self.protocol == ProxyProtocol::Https
    }

    /// Whether plain HTTP goes to it with whole addresses; else everything goes through tunnels.
    pub(super) fn takes_whole_addresses(&self) -> bool {
        matches!(self.protocol, ProxyProtocol::Http | ProxyProtocol::Https)
    }

    /// The address with the user-info, for reqwest.
    fn whole_address(&self) -> Option<Url> {
        Url::parse(self.address.expose_secret()).ok()
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.uri.scheme().map_or("http", Scheme::as_str);
        write!(f, "{scheme}://{}", self.uri.authority().map_or("", Authority::as_str))
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The proxies of a run, by the scheme of the address that is asked for. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProxyRules {
    http: Option<Arc<Proxy>>,
    https: Option<Arc<Proxy>>,
    without: NoProxy,
}

impl ProxyRules {
    /// One proxy for everything.
    ///
    /// # Errors
    /// It is no address of a proxy.
    pub(crate) fn of_setting(address: &SecretString) -> Result<Self, TransportError> {
        let address = address.expose_secret();
        if !is_proxy_scheme(address) {
            let schemes = PROXY_SCHEMES.join(", ");
            return Err(TransportError::Proxy(format!("its scheme is none of {schemes}")));
        }
        let whole = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
        // Scheme in lower case, and the user-info percent-encoded.
        let url = Url::parse(&whole).map_err(|error| TransportError::Proxy(error.to_string()))?;
        let proxy = Proxy::parse(url.as_str(), ProxySource::Setting)
            .ok_or_else(|| TransportError::Proxy("it names no host".into()))?;
        let proxy = Some(Arc::new(proxy));
        Ok(Self { http: proxy.clone(), https: proxy, without: NoProxy::default() })
    }

    /// Those of the standard variables; without any, those of the operating system, if it has such settings.
    pub(crate) fn of_variables(value: impl Fn(&str) -> Option<String>) -> Self {
        if value(CGI).is_some() {
            return Self::default();
        }
        let first = |names: [&'static str; 2]| names.into_iter().find_map(|name| Some((name, value(name)?)));
        let proxy = |names| {
            let (name, value) = first(names)?;
            Proxy::parse(&value, ProxySource::Variable(name)).map(Arc::new)
        };
        let all = proxy(ALL);
        let without = first(NO).map_or_else(NoProxy::default, |(_, value)| NoProxy::parse(&value));
        let mut rules =
            Self { http: proxy(HTTP).or_else(|| all.clone()), https: proxy(HTTPS).or(all), without };
        if cfg!(any(target_os = "macos", windows)) && rules.http.is_none() && rules.https.is_none() {
            rules.use_system();
        }
        rules
    }

    fn use_system(&mut self) {
        let matcher = Matcher::from_system();
        let of = |url: &'static str| {
            let found = matcher.intercept(&Uri::from_static(url))?;
            Proxy::new(found.clone(), SecretString::from(found.uri().to_string()), ProxySource::System)
        };
        self.http = of("http://api.example.com").map(Arc::new);
        self.https = of("https://api.example.com").map(Arc::new);
    }

    /// The proxy for this address, if there is one.
    #[must_use]
    pub(crate) fn proxy_for(&self, url: &Uri) -> Option<&Arc<Proxy>> {
        let is_tls = url.scheme() == Some(&Scheme::HTTPS);
        let proxy = if is_tls { &self.https } else { &self.http };
        let port = url.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        proxy.as_ref().filter(|_| !url.host().is_some_and(|host| self.without.matches(host, port)))
    }

    /// The same rules for reqwest.
    pub(super) fn for_reqwest(&self) -> reqwest::Proxy {
        let rules = self.clone();
        reqwest::Proxy::custom(move |url: &Url| rules.proxy_for(&url.as_str().parse().ok()?)?.whole_address())
    }
}

/// What hyper-util makes of a proxy's address.
fn intercept(address: &str) -> Option<Intercept> {
    let any_url = Uri::from_static("http://api.example.com");
    Matcher::builder().http(address).build().intercept(&any_url)
}

#[cfg(test)]
mod tests;
