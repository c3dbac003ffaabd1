//! A connection through a SOCKS proxy: version 5 (RFC 1928, RFC 1929), 4 and 4a.
//!
//! hyper-util has the same; its errors do not show whether the proxy refused the credentials.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::super::proxy::{Proxy, ProxyProtocol};
use super::ConnectError;
use super::proxy_error::ProxyError;
use crate::model::fault::ProxyProblem;

/// The address that is asked for.
enum SocksTarget<'a> {
    Address(SocketAddr),
    Name(&'a str, u16),
}

impl<'a> SocksTarget<'a> {
    /// # Errors
    /// The name cannot be resolved here.
    async fn new((host, port): (&'a str, u16), protocol: ProxyProtocol) -> io::Result<Self> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(Self::Address(SocketAddr::new(address, port)));
        }
        let (resolves, needs_ipv4) = match protocol {
            ProxyProtocol::Socks4 { resolves } => (resolves, true),
            ProxyProtocol::Socks5 { resolves } => (resolves, false),
            ProxyProtocol::Http | ProxyProtocol::Https => (false, false),
        };
        if !resolves {
            return Ok(Self::Name(host, port));
        }
        let mut found = tokio::net::lookup_host((host, port)).await?;
        let address = found.find(|address| address.is_ipv4() || !needs_ipv4);
        address.map(Self::Address).ok_or_else(|| io::Error::other(format!("{host} has no IPv4 address")))
    }
}

/// Asks the proxy for a connection to a host and port.
///
/// # Errors
/// The proxy refused, or its answer was none; or the name cannot be resolved here.
pub(super) async fn connect(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    proxy: &Proxy,
    target: (&str, u16),
) -> Result<(), ConnectError> {
    let resolved = SocksTarget::new(target, proxy.protocol()).await?;
    let ended = match proxy.protocol() {
        ProxyProtocol::Socks4 { .. } => connect_by_4(stream, proxy, &resolved).await,
        _ => connect_by_5(stream, proxy, &resolved).await,
    };
    let (problem, why) = match ended {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(refusal)) => refusal,
        Err(error) => return Err(ProxyError::lost(proxy, error).into()),
    };
    let text = match problem {
        ProxyProblem::Credentials => format!("the proxy {proxy} refuses the credentials: {why}"),
        _ => format!("the proxy {proxy} does not connect to {}:{}: {why}", target.0, target.1),
    };
    Err(ProxyError::new(problem, text).into())
}

type Refusal = (ProxyProblem, &'static str);

async fn connect_by_5(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    proxy: &Proxy,
    target: &SocksTarget<'_>,
) -> io::Result<Result<(), Refusal>> {
    const NO_LOGIN: u8 = 0;
    const PASSWORD: u8 = 2;
    let login = proxy.user_and_password();
    let ways: &[u8] = if login.is_some() { &[5, 2, NO_LOGIN, PASSWORD] } else { &[5, 1, NO_LOGIN] };
    stream.write_all(ways).await?;
    let mut chosen = [0; 2];
    stream.read_exact(&mut chosen).await?;
    match (chosen, login) {
        ([5, NO_LOGIN], _) => {}
        ([5, PASSWORD], Some((user, password))) => {
            let mut message = vec![1];
            for text in [user, password] {
                let Ok(length) = u8::try_from(text.len()) else {
                    return Ok(Err((ProxyProblem::Credentials, "they are longer than 255 bytes")));
                };
                message.push(length);
                message.extend_from_slice(text.as_bytes());
            }
            stream.write_all(&message).await?;
            let mut accepted = [0; 2];
            stream.read_exact(&mut accepted).await?;
            if accepted[1] != 0 {
                return Ok(Err((ProxyProblem::Credentials, "wrong user or password")));
            }
        }
        ([5, _], None) => {
            return Ok(Err((ProxyProblem::Credentials, "it requires some, and none are given")));
        }
        ([5, _], Some(_)) => return Ok(Err((ProxyProblem::Credentials, "it takes no user and password"))),
        _ => return Ok(Err((ProxyProblem::NoConnection, "it does not speak SOCKS 5"))),
    }
    stream.write_all(&request_by_5(target)).await?;
    let mut reply = [0; 4];
    stream.read_exact(&mut reply).await?;
    let [version, code, _, kind] = reply;
    if version != 5 {
        return Ok(Err((ProxyProblem::NoConnection, "it does not speak SOCKS 5")));
    }
    if code != 0 {
        return Ok(Err((ProxyProblem::NoConnection, reply_text(code))));
    }
    // The address and port that it uses.
    let address = match kind {
        1 => 4,
        4 => 16,
        _ => usize::from(stream.read_u8().await?),
    };
    let mut rest = [0; 257];
    stream.read_exact(&mut rest[..address + 2]).await?;
    Ok(Ok(()))
}

fn request_by_5(target: &SocksTarget<'_>) -> Vec<u8> {
    let mut request = vec![5, 1, 0];
    let port = match target {
        SocksTarget::Address(address) => {
            match address.ip() {
                IpAddr::V4(ip) => {
                    request.push(1);
                    request.extend_from_slice(&ip.octets());
                }
                IpAddr::V6(ip) => {
                    request.push(4);
                    request.extend_from_slice(&ip.octets());
                }
            }
            address.port()
        }
        SocksTarget::Name(name, port) => {
            // A name in DNS has at most 255 bytes.
            let name = &name.as_bytes()[..name.len().min(255)];
            request.extend_from_slice(&[3, u8::try_from(name.len()).unwrap_or(u8::MAX)]);
            request.extend_from_slice(name);
            *port
        }
    };
    request.extend_from_slice(&port.to_be_bytes());
    request
}

/// RFC 1928, section 6.
fn reply_text(code: u8) -> &'static str {
    match code {
        1 => "general failure (1)",
        2 => "its rules do not allow it (2)",
        3 => "the network is unreachable (3)",
        4 => "the host is unreachable (4)",
        5 => "the connection was refused (5)",
        6 => "the connection timed out (6)",
        7 => "it does not support the command CONNECT (7)",
        8 => "it does not support the type of the address (8)",
        _ => "for an unknown reason",
    }
}

async fn connect_by_4(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    proxy: &Proxy,
    target: &SocksTarget<'_>,
) -> io::Result<Result<(), Refusal>> {
    let (ip, port, name) = match target {
        SocksTarget::Address(SocketAddr::V4(address)) => (*address.ip(), address.port(), None),
        SocksTarget::Address(SocketAddr::V6(_)) => {
            return Ok(Err((ProxyProblem::NoConnection, "SOCKS 4 has no IPv6 addresses")));
        }
        // 4a: an address that is none stands for a name that follows.
        SocksTarget::Name(name, port) => (Ipv4Addr::new(0, 0, 0, 1), *port, Some(name)),
    };
    let mut request = vec![4, 1];
    request.extend_from_slice(&port.to_be_bytes());
    request.extend_from_slice(&ip.octets());
    request.extend_from_slice(proxy.user_and_password().map_or("", |(user, _)| user).as_bytes());
    request.push(0);
    if let Some(name) = name {
        request.extend_from_slice(name.as_bytes());
        request.push(0);
    }
    stream.write_all(&request).await?;
    let mut reply = [0; 8];
    stream.read_exact(&mut reply).await?;
    Ok(match reply[..2] {
        [0, 90] => Ok(()),
        [0, 91] => Err((ProxyProblem::NoConnection, "rejected or failed (91)")),
        [0, 92] => Err((ProxyProblem::Credentials, "it cannot check the user (92)")),
        [0, 93] => Err((ProxyProblem::Credentials, "it knows the user by another name (93)")),
        _ => Err((ProxyProblem::NoConnection, "it does not speak SOCKS 4")),
    })
}
