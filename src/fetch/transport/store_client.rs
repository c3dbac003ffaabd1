//! The HTTP client for object stores: with the trust of the run, and the proxies of the environment.

use std::sync::Arc;
use std::time::Duration;

use super::send_error::text;
use super::trust::{self, Accepted, NoClientCertificate};
use super::{ConnectionSettings, HttpChoice, TransportError};

/// The longest time of one request, with its body: a part of 8 MiB at 100 KB/s.
const TIMEOUT: Duration = Duration::from_secs(90);

/// Makes a client that sends what is no request to the API. It passes no gate: a store has limits of its own, and whoever
/// sends repeats what it refuses. TLS trusts what it trusts for the API, `--ca-cert` too; `--insecure` is for the API alone,
/// since here it would show credentials to anybody.
///
/// # Errors
/// Certificates that cannot be used.
pub(crate) fn store_client(
    settings: &ConnectionSettings,
    ca_cert_pem: Option<&[u8]>,
) -> Result<reqwest::Client, TransportError> {
    let certificates = ca_cert_pem.map(trust::certificates).transpose()?.unwrap_or_default();
    let accepted = Accepted::Verified(certificates);
    let tls = trust::config(accepted, HttpChoice::Http1, Arc::new(NoClientCertificate::default()))?;
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .http1_only()
        .connect_timeout(settings.connect_timeout)
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| TransportError::Tls(text(error)))
}
