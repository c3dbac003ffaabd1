//! A connection to the Redis that keeps the rate, and the script that is called over it.

use std::time::Duration;

use futures_util::future::BoxFuture;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, FromRedisValue, RedisConnectionInfo, RedisError, Script,
    ServerErrorKind,
};
use secrecy::ExposeSecret;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::address::StoreAddress;
use crate::limit::{RateStore, StoreAnswer, StoreCall, StoreFault, StoreFaultKind, kept_interval};
use crate::model::{Mask, Rate, display_safe};

/// The script, as Redis runs it.
const SCRIPT: &str = include_str!("rate.lua");
/// How long opening a connection may take, TLS and password included.
const OPEN_WITHIN: Duration = Duration::from_secs(5);
/// How long a call may take.
const CALL_WITHIN: Duration = Duration::from_secs(1);
/// A node of a cluster may name another one, so often in a row.
const MOVES: u32 = 3;
/// Characters that are shown of what the store says.
const SHOWN: usize = 200;

/// Opens the connections: the module that does is the caller's.
pub(crate) trait OpenStream {
    /// What they are.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Opens one, over TLS or not.
    ///
    /// # Errors
    /// Why there is none, in words that may be shown.
    fn open(
        &self,
        host: &str,
        port: u16,
        tls: bool,
    ) -> impl Future<Output = Result<Self::Stream, String>> + Send;
}

/// What this process says of itself, and what it hides.
#[derive(Debug, Clone)]
pub(crate) struct StoreClient {
    /// The name of the rate in the store.
    pub(crate) key: String,
    /// The rate that this process names.
    pub(crate) rate: Rate,
    /// How many may leave at once after a quiet time.
    pub(crate) burst: u32,
    /// Takes secrets out of what the store says.
    pub(crate) mask: Mask,
}

/// The rate in a Redis. It connects with the first call.
pub(crate) struct RedisStore<O> {
    opener: O,
    address: StoreAddress,
    client: StoreClient,
    script: Script,
    /// Unlike that of any other process.
    id: String,
    /// Which hash this process knows; empty: none.
    epoch: String,
    /// The node of a cluster that has the key, where it is not the one of the address.
    node: Option<(String, u16)>,
    connection: Option<OpenConnection>,
}

struct OpenConnection {
    handle: MultiplexedConnection,
    /// Reads and writes; it ends with the connection.
    driver: BoxFuture<'static, ()>,
}

impl OpenConnection {
    async fn run<T: FromRedisValue>(&mut self, command: Cmd) -> Result<T, RedisError> {
        tokio::select! {
            reply = command.query_async(&mut self.handle) => reply,
            () = &mut self.driver => Err(closed()),
        }
    }
}

fn closed() -> RedisError {
    RedisError::from(std::io::Error::other("the connection was closed"))
}

/// The reply of the script.
type Reply = (String, u32, u32, u8, u8, u64, u64, u64, u64, u64);

impl<O: OpenStream> RedisStore<O> {
    /// Not connected yet.
    pub(crate) fn new(opener: O, address: StoreAddress, client: StoreClient) -> Self {
        Self {
            opener,
            address,
            client,
            script: Script::new(SCRIPT),
            id: format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..)),
            epoch: String::new(),
            node: None,
            connection: None,
        }
    }

    async fn connection(&mut self) -> Result<OpenConnection, StoreFault> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        let (host, port) = self.node.take().unwrap_or((self.address.host.clone(), self.address.port));
        let open = async {
            let opened = self.opener.open(&host, port, self.address.tls).await;
            let stream = opened.map_err(|text| StoreFault { kind: StoreFaultKind::Unavailable, text })?;
            let config = AsyncConnectionConfig::new().set_response_timeout(None);
            let login = self.login();
            let connecting = MultiplexedConnection::new_with_config(&login, stream, config);
            let (handle, driver) = connecting.await.map_err(|error| self.fault(&error))?;
            let mut connection = OpenConnection { handle, driver: Box::pin(driver) };
            // A server that asks for a password says so, while it would close the connection on a call as long as that
            // of the script.
            let time: Result<redis::Value, _> = connection.run(redis::cmd("TIME")).await;
            time.map_err(|error| self.fault(&error))?;
            Ok(connection)
        };
        timeout(OPEN_WITHIN, open).await.unwrap_or_else(|_| Err(silent(OPEN_WITHIN)))
    }

    fn login(&self) -> RedisConnectionInfo {
        let login = RedisConnectionInfo::default()
            .set_db(self.address.database.into())
            .set_lib_name(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        let login = match &self.address.user {
            Some(user) => login.set_username(user),
            None => login,
        };
        match &self.address.password {
            Some(password) => login.set_password(password.expose_secret()),
            None => login,
        }
    }

    async fn run(&self, call: &StoreCall, connection: &mut OpenConnection) -> Result<Reply, RedisError> {
        let StoreClient { key, rate, burst, .. } = &self.client;
        let micros = |pause: Duration| u64::try_from(pause.as_micros()).unwrap_or(u64::MAX).saturating_add(1);
        let mut script = self.script.prepare_invoke();
        script
            .key(key)
            .arg(&self.id)
            .arg(&self.epoch)
            .arg(call.want)
            .arg(call.cost.get())
            .arg(u64::try_from(kept_interval(*rate).as_nanos()).unwrap_or(u64::MAX))
            .arg(burst)
            .arg(if rate.counts_keys() { "keys" } else { "attempts" })
            .arg(call.pause.map_or(0, micros));
        tokio::select! {
            reply = script.invoke_async(&mut connection.handle) => reply,
            () = &mut connection.driver => Err(closed()),
        }
    }

    /// An error of the client as a fault; only what the server itself says is quoted.
    fn fault(&self, error: &RedisError) -> StoreFault {
        let said = || {
            let code = error.code().unwrap_or_default();
            let text = format!("{code} {}", error.detail().unwrap_or_default());
            display_safe(&self.client.mask.apply(text.trim()), SHOWN)
        };
        let (kind, text) = match (error.kind(), error.code()) {
            (ErrorKind::AuthenticationFailed, _) | (_, Some("WRONGPASS")) => {
                (StoreFaultKind::Refused, "it refuses the password".to_owned())
            }
            (_, Some("NOAUTH")) => (StoreFaultKind::Refused, "it asks for a password".to_owned()),
            (ErrorKind::Server(ServerErrorKind::NoPerm), _) => (StoreFaultKind::Refused, said()),
            (_, Some("WRONGTYPE")) => {
                let key = display_safe(&self.client.mask.apply(&self.client.key), SHOWN);
                (StoreFaultKind::Unusable, format!("its key `{key}` holds something else than a rate"))
            }
            (ErrorKind::Server(ServerErrorKind::ResponseError), _) => {
                (kind_of_response(error.detail().unwrap_or_default()), said())
            }
            (ErrorKind::Io, _) => (StoreFaultKind::Closed, "the connection was closed".to_owned()),
            (ErrorKind::Parse | ErrorKind::UnexpectedReturnType, _) => {
                (StoreFaultKind::Unavailable, "what answers there is no Redis".to_owned())
            }
            _ if error.code().is_some() => (StoreFaultKind::Unavailable, said()),
            _ => (StoreFaultKind::Unavailable, error.category().to_owned()),
        };
        StoreFault { kind, text }
    }
}

/// What an error without a code of its own means: Redis tells these apart by their text alone.
fn kind_of_response(said: &str) -> StoreFaultKind {
    let is_any = |texts: &[&str]| texts.iter().any(|text| said.contains(text));
    if is_any(&["no permissions", "can't run this command"]) {
        StoreFaultKind::Refused
    } else if is_any(&["DB index", "invalid DB", "SELECT is not allowed", "unknown command"]) {
        StoreFaultKind::Unusable
    } else {
        StoreFaultKind::Unavailable
    }
}

fn silent(limit: Duration) -> StoreFault {
    let text = format!("no answer within {}", humantime::format_duration(limit));
    StoreFault { kind: StoreFaultKind::Unavailable, text }
}

impl<O: OpenStream> RateStore for RedisStore<O> {
    async fn call(&mut self, call: &StoreCall) -> Result<StoreAnswer, StoreFault> {
        for _ in 0..=MOVES {
            let mut connection = self.connection().await?;
            let reply = timeout(CALL_WITHIN, self.run(call, &mut connection)).await;
            let reply = reply.map_err(|_| silent(CALL_WITHIN))?;
            match reply {
                Ok((epoch, granted, active, differs, forgot, at, wait, interval, slack, pause)) => {
                    self.connection = Some(connection);
                    self.epoch = epoch;
                    let [at, wait, interval, slack, pause] =
                        [at, wait, interval, slack, pause].map(Duration::from_nanos);
                    let (differs, forgot) = (differs > 0, forgot > 0);
                    return Ok(StoreAnswer {
                        at,
                        granted,
                        wait,
                        interval,
                        slack,
                        pause,
                        active,
                        differs,
                        forgot,
                    });
                }
                // A cluster says which of its nodes has the key.
                Err(error) => match error.redirect_node().and_then(|(node, _)| node.rsplit_once(':')) {
                    Some((host, port)) => {
                        let host = if host.is_empty() { &self.address.host } else { host };
                        self.node = Some((host.to_owned(), port.parse().unwrap_or(self.address.port)));
                    }
                    None => return Err(self.fault(&error)),
                },
            }
        }
        let text = "its nodes name each other in a circle".to_owned();
        Err(StoreFault { kind: StoreFaultKind::Unavailable, text })
    }
}
