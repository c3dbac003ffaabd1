//! Whom TLS trusts: the system's authorities, those of `--ca-cert`, or no authority.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};
use rustls_platform_verifier::Verifier;

use super::TransportError;

/// The certificates of a PEM file, each of which can be an authority.
///
/// # Errors
/// One that cannot be read, or none at all.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TransportError> {
    let refused = |error: String| TransportError::CaCert(format!("a certificate cannot be read: {error}"));
    // The verifier checks them later, and then does not say which file they came from.
    let mut roots = rustls::RootCertStore::empty();
    let mut certificates = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| refused(error.to_string()))?;
        roots.add(certificate.clone()).map_err(|error| refused(error.to_string()))?;
        certificates.push(certificate);
    }
    if certificates.is_empty() {
        return Err(TransportError::CaCert("the file holds no PEM certificate".into()));
    }
    Ok(certificates)
}

/// Presents no client certificate, and notes whether a server asked for one.
#[derive(Debug, Default)]
pub(super) struct NoClientCertificate {
    was_asked: AtomicBool,
}

impl NoClientCertificate {
    pub(super) fn was_asked(&self) -> bool {
        self.was_asked.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for NoClientCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.was_asked.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// Trusts the system's authorities and these certificates; offers HTTP/2.
///
/// # Errors
/// There are no authorities on this machine.
pub(super) fn verified(
    certificates: Vec<CertificateDer<'static>>,
    client: Arc<NoClientCertificate>,
) -> Result<ClientConfig, TransportError> {
    let tls = |error: rustls::Error| TransportError::Tls(error.to_string());
    let verifier = if certificates.is_empty() {
        Verifier::new(provider())
    } else {
        Verifier::new_with_extra_roots(certificates, provider())
    };
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(tls)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier.map_err(tls)?))
        .with_client_cert_resolver(client);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Trusts no authority: every TLS handshake fails.
///
/// # Errors
/// The TLS library's own.
pub(super) fn no_authority() -> Result<ClientConfig, TransportError> {
    Ok(ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| TransportError::Tls(error.to_string()))?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
