//! The address of a rate store, `redis://user:password@host:port/db?key=NAME`.

use std::fmt;

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::model::display_safe;

const PLAIN: &str = "redis";
const OVER_TLS: &str = "rediss";
const PORT: u16 = 6379;
/// The longest name of a key: it stands in messages.
const LONGEST_KEY: usize = 200;
/// Characters that are shown of what is wrong.
const SHOWN: usize = 40;

/// Where the store is, and what the rate is called there. `Display` and `Debug` show no user and no password.
#[derive(Clone)]
pub(crate) struct StoreAddress {
    pub(super) tls: bool,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) database: u32,
    pub(super) user: Option<String>,
    pub(super) password: Option<SecretString>,
    /// None: none was given.
    pub(super) key: Option<String>,
}

/// Why a text is no address of a rate store. Shows no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AddressFault {
    /// Another scheme, or none.
    #[error("the rate store has to be a Redis: its address begins with redis://, or rediss:// for TLS")]
    Scheme,
    /// It cannot be read at all.
    #[error("the address of the rate store cannot be read: {0}")]
    Syntax(String),
    /// There is no host.
    #[error("the address of the rate store names no host")]
    NoHost,
    /// A port that nobody listens on.
    #[error("the address of the rate store has port 0")]
    NoPort,
    /// What stands for the database is no number.
    #[error("the rate store's database is `{0}`, and has to be a number such as 0")]
    Database(String),
    /// A user without a password.
    #[error("the address of the rate store names a user without a password")]
    NoPassword,
    /// A parameter that has no meaning.
    #[error("the address of the rate store has the parameter `{0}`: there is only key")]
    Parameter(String),
    /// A name that cannot be used.
    #[error("the key of the rate store is empty, longer than {LONGEST_KEY} bytes or has a control character")]
    Key,
}

impl AddressFault {
    /// What to type.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::NoPassword => {
                "write redis://:${REDIS_PASSWORD}@host:6379/0, or redis://user:${REDIS_PASSWORD}@host:6379/0"
            }
            Self::Parameter(_) | Self::Key => "write redis://host:6379/0?key=NAME",
            _ => "write redis://host:6379/0",
        }
    }
}

impl StoreAddress {
    /// Reads an address whose variables are expanded.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn parse(address: &SecretString) -> Result<Self, AddressFault> {
        let address = address.expose_secret();
        let scheme = address.split_once("://").map_or("", |(scheme, _)| scheme).to_ascii_lowercase();
        if scheme != PLAIN && scheme != OVER_TLS {
            return Err(AddressFault::Scheme);
        }
        let url = Url::parse(address).map_err(|error| match error {
            url::ParseError::EmptyHost => AddressFault::NoHost,
            error => AddressFault::Syntax(error.to_string()),
        })?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(AddressFault::NoHost)?;
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let user = Some(decoded(url.username())).filter(|user| !user.is_empty());
        let password = url.password().map(decoded).filter(|password| !password.is_empty());
        if user.is_some() && password.is_none() {
            return Err(AddressFault::NoPassword);
        }
        let port = url.port().unwrap_or(PORT);
        if port == 0 {
            return Err(AddressFault::NoPort);
        }
        Ok(Self {
            tls: scheme == OVER_TLS,
            host: decoded(host),
            port,
            database: database(&url)?,
            user,
            password: password.map(SecretString::from),
            key: key(&url)?,
        })
    }

    /// The name of the rate that was given, if one was.
    pub(crate) fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }
}

fn database(url: &Url) -> Result<u32, AddressFault> {
    match url.path().strip_prefix('/').unwrap_or("") {
        "" => Ok(0),
        digits if digits.len() <= 9 && digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().map_err(|_| AddressFault::Database(digits.to_owned()))
        }
        other => Err(AddressFault::Database(display_safe(other, SHOWN))),
    }
}

fn key(url: &Url) -> Result<Option<String>, AddressFault> {
    if url.fragment().is_some() {
        return Err(AddressFault::Parameter("#".into()));
    }
    let mut key = None;
    for (name, value) in url.query_pairs() {
        if name != "key" || key.is_some() {
            return Err(AddressFault::Parameter(display_safe(&name, SHOWN)));
        }
        if value.is_empty() || value.len() > LONGEST_KEY || value.chars().any(char::is_control) {
            return Err(AddressFault::Key);
        }
        key = Some(value.into_owned());
    }
    Ok(key)
}

impl fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { OVER_TLS } else { PLAIN };
        let Self { host, port, database, .. } = self;
        write!(f, "{scheme}://{host}:{port}/{database}")
    }
}

impl fmt::Debug for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreAddress({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<StoreAddress, AddressFault> {
        StoreAddress::parse(&text.into())
    }

    #[test]
    fn an_address_has_a_host_and_what_is_left_out_is_usual() {
        for (text, shown, user, password, key) in [
            ("redis://h", "redis://h:6379/0", None, None, None),
            ("REDIS://h:1/", "redis://h:1/0", None, None, None),
            ("rediss://h/7?key=a%20b", "rediss://h:6379/7", None, None, Some("a b")),
            ("redis://:p%40s%2Fs@h:80/1", "redis://h:80/1", None, Some("p@s/s"), None),
            ("redis://me:pw@[::1]:9", "redis://[::1]:9/0", Some("me"), Some("pw"), None),
            ("redis://:p@ss@h", "redis://h:6379/0", None, Some("p@ss"), None),
            ("redis://:@h", "redis://h:6379/0", None, None, None),
        ] {
            let address = parse(text).unwrap();
            assert_eq!(address.to_string(), shown, "{text}");
            assert_eq!(address.user.as_deref(), user, "{text}");
            assert_eq!(address.password.as_ref().map(ExposeSecret::expose_secret), password, "{text}");
            assert_eq!(address.key(), key, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_without_a_secret_and_with_what_to_type() {
        for (text, what) in [
            ("http://canary@h", "redis://"),
            ("h:6379", "redis://"),
            ("", "redis://"),
            ("redis:h", "redis://"),
            ("redis://", "no host"),
            ("redis:///0", "no host"),
            ("redis://:canary@", "cannot be read|no host"),
            ("redis://h:x", "cannot be read"),
            ("redis://h:99999", "cannot be read"),
            ("redis://h:0", "port 0"),
            ("redis://h/x", "`x`"),
            ("redis://h/-1", "`-1`"),
            ("redis://h/0/1", "`0/1`"),
            ("redis://h/99999999999", "`99999999999`"),
            ("redis://canary@h", "without a password"),
            ("redis://h?kay=x", "`kay`"),
            ("redis://h?key=", "empty"),
            ("redis://h?key=a&key=b", "`key`"),
            ("redis://h?key=a%0Ab", "control"),
            ("redis://h#x", "`#`"),
        ] {
            let fault = parse(text).unwrap_err();
            let said = fault.to_string();
            assert!(what.split('|').any(|part| said.contains(part)), "{text}: {said}");
            assert!(!said.contains("canary") && fault.hint().contains("redis://"), "{text}: {said}");
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let address = parse("redis://canary:canary@h?key=k").unwrap();
        assert!(!format!("{address} {address:?}").contains("canary"));
    }
}
