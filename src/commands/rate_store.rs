//! `--rate-store`: the store that keeps the rate, from its address to the first answer.

use tokio::io::{AsyncRead, AsyncWrite};

use super::command_error::{self, CommandError};
use super::session::EventLoop;
use super::{ending, wiring};
use crate::config::Settings;
use crate::config::options::RATE_STORE;
use crate::engine::{NamedStore, RateKeeper, RatedRun};
use crate::fetch::ServiceConnector;
use crate::limit::{RateStore, StoreCall, StoreFault, StoreFaultKind};
use crate::model::{Exit, Mask, display_safe};
use crate::plan::{BoundTemplate, RequestTemplate};
use crate::rate_store::{OpenStream, RedisStore, StoreAddress, StoreClient};

/// Characters of a key that are shown.
const KEY_CHARS: usize = 80;

/// Opens connections with the trust of the run.
struct Opener(ServiceConnector);

impl OpenStream for Opener {
    type Stream = Box<dyn ByteStream>;

    async fn open(&self, host: &str, port: u16, tls: bool) -> Result<Self::Stream, String> {
        Ok(Box::new(self.0.connect((host, port), tls).await?))
    }
}

/// A connection, whatever it runs over.
trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> ByteStream for S {}

/// A store that has not been called yet.
pub(super) struct PreparedStore(NamedStore<RedisStore<Opener>>);

/// The address of the store, if one is given.
///
/// # Errors
/// It is none.
fn address(settings: &Settings, template: &RequestTemplate) -> Result<Option<StoreAddress>, CommandError> {
    let Some(address) = template.rate_store() else { return Ok(None) };
    StoreAddress::parse(address).map(Some).map_err(|fault| {
        CommandError::of_setting(settings, &RATE_STORE, &fault.to_string()).with_hint(fault.hint())
    })
}

/// The name that was given, or one of the API's own: `skufetch:https://api.example.com:443`. One that holds a secret is
/// told from others by its checksum.
fn key(address: &StoreAddress, origin: &str, mask: &Mask) -> String {
    if let Some(key) = address.key() {
        return key.to_owned();
    }
    let name = format!("{}:{}", env!("CARGO_PKG_NAME"), mask.apply(origin));
    if mask.apply(origin) == origin {
        return name;
    }
    format!("{name}:{:08x}", crc32fast::hash(origin.as_bytes()))
}

/// Sets up the store. No connection is made.
///
/// # Errors
/// An address that is none; certificates that cannot be used.
pub(super) fn prepare(
    settings: &Settings,
    request: &BoundTemplate,
) -> Result<Option<PreparedStore>, CommandError> {
    let template = request.template();
    let (Some(address), Some(rate)) = (address(settings, template)?, settings.pace.rate) else {
        return Ok(None);
    };
    let mask = request.mask();
    let key = key(&address, template.origin(), &mask);
    let name = mask.apply(&format!("{address}, key {}", display_safe(&key, KEY_CHARS))).into_owned();
    let client = StoreClient { key, rate, burst: settings.pace.burst.get(), mask };
    let ca_cert_pem = wiring::ca_cert_pem(settings)?;
    let connector = ServiceConnector::new(&settings.connection, ca_cert_pem.as_deref())
        .map_err(|error| command_error::of_transport(&error, settings))?;
    let store = RedisStore::new(Opener(connector), address, client);
    Ok(Some(PreparedStore(NamedStore { store, name })))
}

impl PreparedStore {
    /// As messages name it: without user and password, and with the name of the rate.
    pub(super) fn name(&self) -> &str {
        &self.0.name
    }

    fn connect(mut self, settings: &Settings, event_loop: &mut EventLoop) -> Result<Self, CommandError> {
        let (runtime, signals) = event_loop.parts();
        let answered = runtime.block_on(async {
            tokio::select! {
                biased;
                number = signals.next() => Err(ending::before_any_request(number)),
                answered = self.0.store.call(&StoreCall::READ) => {
                    answered.map_err(|fault| self.fault_at_start(&fault, settings))
                }
            }
        });
        answered.map(|_| self)
    }

    fn fault_at_start(&self, fault: &StoreFault, settings: &Settings) -> CommandError {
        let name = self.name();
        match fault.kind {
            StoreFaultKind::Closed | StoreFaultKind::Unavailable => {
                CommandError::new(Exit::Unavailable, format!("the rate store {name} does not answer: {fault}"))
                    .with_hint(format!(
                        "check scheme (rediss:// for TLS), host and port in {RATE_STORE}; nothing was requested"
                    ))
            }
            StoreFaultKind::Refused => {
                CommandError::new(Exit::NoPermission, format!("the rate store {name} cannot be used: {fault}")).with_hint(
                    format!(
                        "check user and password in {RATE_STORE}: redis://user:${{REDIS_PASSWORD}}@host; docs/scale.md has what \
                         the user has to be allowed"
                    ),
                )
            }
            StoreFaultKind::Unusable => {
                let message = format!("the rate store {name} cannot be used: {fault}");
                CommandError::of_setting(settings, &RATE_STORE, &message)
                    .with_hint("another database or key: redis://host:6379/0?key=NAME")
            }
        }
    }
}

/// Makes the first call, where there is a store.
///
/// # Errors
/// The store does not answer, or a signal comes before it does.
pub(super) fn connect(
    store: Option<PreparedStore>,
    settings: &Settings,
    event_loop: &mut EventLoop,
) -> Result<Option<PreparedStore>, CommandError> {
    store.map(|store| store.connect(settings, event_loop)).transpose()
}

/// Does the work, and keeps its rate meanwhile, where a store has it.
pub(super) async fn beside<T>(
    store: Option<PreparedStore>,
    run: RatedRun<'_>,
    work: impl Future<Output = T>,
) -> T {
    match store {
        Some(PreparedStore(store)) => RateKeeper::new(store, run).beside(work).await,
        None => work.await,
    }
}
