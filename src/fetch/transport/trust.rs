//! Whom TLS trusts: the system's authorities, those of `--ca-cert`, no authority, or anybody (`--insecure`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_platform_verifier::Verifier;

use super::{HttpChoice, TransportError};

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

/// Which certificates of servers are accepted.
#[derive(Debug, Clone)]
pub(super) enum Accepted {
    /// Those of the system's authorities and of these.
    Verified(Vec<CertificateDer<'static>>),
    /// All.
    Any,
}

/// A configuration that offers the versions of HTTP in `http`.
///
/// # Errors
/// There are no authorities on this machine.
pub(super) fn config(
    accepted: Accepted,
    http: HttpChoice,
    client: Arc<NoClientCertificate>,
) -> Result<ClientConfig, TransportError> {
    let tls = |error: rustls::Error| TransportError::Tls(error.to_string());
    let verifier: Arc<dyn ServerCertVerifier> = match accepted {
        Accepted::Any => Arc::new(AnyCertificate(provider())),
        Accepted::Verified(added) if added.is_empty() => Arc::new(Verifier::new(provider()).map_err(tls)?),
        Accepted::Verified(added) => {
            Arc::new(Verifier::new_with_extra_roots(added, provider()).map_err(tls)?)
        }
    };
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(tls)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(client);
    config.alpn_protocols = match http {
        HttpChoice::Auto => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        HttpChoice::Http1 => vec![b"http/1.1".to_vec()],
        HttpChoice::Http2 => vec![b"h2".to_vec()],
    };
    Ok(config)
}

/// Accepts every certificate; the server has to hold its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
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
    Arc::new(rustls::crypto::ring::default_provider())
}
