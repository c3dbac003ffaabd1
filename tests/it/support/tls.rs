//! Certificates, good and bad, and what is spoken under them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::error::Error;
use std::io;
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;

use super::log::{Log, Parts, Seen};
use super::reply::Kind;
use super::{Reply, http1_bytes};

/// The names that a good certificate has: those of [`ScriptedServer::url`](super::ScriptedServer::url)
/// and its relatives.
const NAMES: [&str; 2] = ["127.0.0.1", "localhost"];

/// Who signs certificates.
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
    /// Who has to have signed the certificate of a client.
    clients: Option<CertificateDer<'static>>,
}

/// What is agreed on under TLS.
#[derive(Clone, Copy, Debug)]
pub enum Protocol {
    /// HTTP/1.1, with all that a [`Reply`] can do.
    Http1,
    /// HTTP/2 and nothing else, with so many streams a connection. Of a [`Reply`] it supports status,
    /// headers, body, `wait` and `through`, silence, and hanging up (a stream reset).
    Http2 { streams: u32 },
    /// HTTP/2 preferred, HTTP/1.1 if the client offers that alone.
    Either { streams: u32 },
}

impl Authority {
    /// A new one, which no client trusts by default.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.distinguished_name.push(DnType::CommonName, "Test authority");
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// Its own certificate, for `--ca-cert`.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for this machine.
    pub fn good(&self) -> Identity {
        self.sign(&leaf(&NAMES))
    }

    /// One that ended in 2020.
    pub fn expired(&self) -> Identity {
        let mut params = leaf(&NAMES);
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
        self.sign(&params)
    }

    /// One that is a certificate authority's own.
    pub fn authority_as_server(&self) -> Identity {
        let mut params = leaf(&NAMES);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        self.sign(&params)
    }

    /// One for another host.
    pub fn wrong_host(&self) -> Identity {
        self.sign(&leaf(&["other.example"]))
    }

    fn sign(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        Identity { chain: vec![leaf.der().clone()], key: key.serialize_der(), clients: None }
    }
}

impl Identity {
    /// A certificate that vouches for itself.
    pub fn self_signed() -> Self {
        let key = KeyPair::generate().unwrap();
        let leaf = leaf(&NAMES).self_signed(&key).unwrap();
        Self { chain: vec![leaf.der().clone()], key: key.serialize_der(), clients: None }
    }

    /// Of a server that requires a client certificate of this authority.
    pub fn requiring(self, authority: &Authority) -> Self {
        Self { clients: Some(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()), ..self }
    }

    /// The certificate and its key, for a server that reads them from files.
    pub fn pem(&self) -> [String; 2] {
        let text = |kind: &str, der: &[u8]| {
            let text = STANDARD.encode(der);
            let lines: Vec<&str> =
                (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
            format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
        };
        [text("CERTIFICATE", &self.chain[0]), text("PRIVATE KEY", &self.key)]
    }

    pub(super) fn acceptor(&self, protocol: Protocol) -> TlsAcceptor {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()));
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match &self.clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let mut config = builder.with_single_cert(self.chain.clone(), key).unwrap();
        config.alpn_protocols = match protocol {
            Protocol::Http1 => vec![b"http/1.1".to_vec()],
            Protocol::Http2 { .. } => vec![b"h2".to_vec()],
            Protocol::Either { .. } => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        };
        TlsAcceptor::from(Arc::new(config))
    }
}

fn leaf(names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, "Test server");
    params
}

/// Serves one connection to its end.
pub(super) async fn converse(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    log: Arc<Log>,
    protocol: Protocol,
    handler: impl Fn(&Seen) -> Reply + 'static,
) {
    let Ok(stream) = acceptor.accept(stream).await else {
        log.book().failed_handshakes += 1;
        return;
    };
    match protocol {
        Protocol::Http2 { streams } | Protocol::Either { streams }
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") =>
        {
            converse_http2(stream, log, streams, handler).await;
        }
        _ => http1_bytes::converse(stream, log, handler).await,
    }
}

async fn converse_http2(
    stream: TlsStream<TcpStream>,
    log: Arc<Log>,
    streams: u32,
    handler: impl Fn(&Seen) -> Reply + 'static,
) {
    let connection = log.connect(stream.get_ref().0);
    let (number, handler) = (connection.number, Arc::new(handler));
    let nth = std::cell::Cell::new(0);
    let service = service_fn(|request| {
        let at = (number, nth.replace(nth.get() + 1));
        answer(request, Arc::clone(&log), at, Arc::clone(&handler))
    });
    let mut server = hyper::server::conn::http2::Builder::new(OnThisThread);
    // A client that leaves is no error of the server's.
    let _ = server.max_concurrent_streams(streams).serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: http::Request<Incoming>,
    log: Arc<Log>,
    at: (usize, usize),
    handler: Arc<impl Fn(&Seen) -> Reply>,
) -> Result<http::Response<Full<Bytes>>, Box<dyn Error + Send + Sync>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes().to_vec();
    let fields = head.headers.iter();
    let authority = head.uri.authority().map_or_else(Vec::new, |authority| authority.as_str().into());
    let parts = Parts {
        method: head.method.to_string(),
        target: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        headers: fields
            .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
            .chain([(":authority".to_owned(), authority)])
            .collect(),
        head: Vec::new(),
        body,
    };
    let (seen, in_flight) = log.arrive(parts, at);
    let reply = handler(&seen);
    http1_bytes::work(&reply).await;
    match reply.kind {
        Kind::Silence => std::future::pending().await,
        Kind::Refused => return Err(h2::Error::from(h2::Reason::REFUSED_STREAM).into()),
        Kind::Raw | Kind::Tunnel(_) => return Err(io::Error::from(io::ErrorKind::ConnectionAborted).into()),
        Kind::Answer => {}
    }
    let mut response = http::Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        response = response.header(name, value.as_slice());
    }
    in_flight.answered();
    Ok(response.body(Full::from(reply.body)).unwrap())
}

/// Starts hyper's tasks where the server's others are.
#[derive(Clone, Copy)]
struct OnThisThread;

impl<F: Future + 'static> hyper::rt::Executor<F> for OnThisThread {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}
