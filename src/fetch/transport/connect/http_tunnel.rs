//! A tunnel through an HTTP proxy: CONNECT (RFC 9110, section 9.3.6).

use http::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::super::proxy::{Proxy, answer_text};
use super::proxy_error::ProxyError;
use crate::model::fault::ProxyProblem;

/// Most bytes of the head of an answer.
const MAX_HEAD: usize = 16 << 10;

/// Asks the proxy for a tunnel to a host and port. What follows the head of its answer is left unread.
///
/// # Errors
/// The proxy refused, or its answer was none.
pub(super) async fn open(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    proxy: &Proxy,
    (host, port): (&str, u16),
) -> Result<(), ProxyError> {
    let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n").into_bytes();
    if let Some(credentials) = proxy.basic_auth() {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(credentials.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    let lost = |error| ProxyError::lost(proxy, error);
    stream.write_all(&request).await.map_err(lost)?;
    stream.flush().await.map_err(lost)?;

    let (status, headers) = loop {
        let answer = read_head(stream, proxy).await?;
        // An interim answer.
        if answer.0 >= 200 {
            break answer;
        }
    };
    let asked = format!("CONNECT {host}:{port}");
    match status {
        200..300 => Ok(()),
        407 => Err(ProxyError::new(ProxyProblem::Credentials, answer_text(proxy, &asked, (407, &headers)))),
        _ => {
            let text = answer_text(proxy, &asked, (status, &headers));
            Err(ProxyError::new(ProxyProblem::Answered(status), text))
        }
    }
}

/// The head of the next answer: status and fields.
async fn read_head(
    stream: &mut (impl AsyncRead + Unpin),
    proxy: &Proxy,
) -> Result<(u16, HeaderMap), ProxyError> {
    let mut head = Vec::new();
    // By single bytes: what follows belongs to the tunnel.
    while !head.ends_with(b"\r\n\r\n") && !head.ends_with(b"\n\n") {
        if head.len() == MAX_HEAD {
            return Err(unreadable(proxy));
        }
        head.push(stream.read_u8().await.map_err(|error| ProxyError::lost(proxy, error))?);
    }
    parse(&head).ok_or_else(|| unreadable(proxy))
}

fn unreadable(proxy: &Proxy) -> ProxyError {
    let text = format!("the proxy {proxy} does not speak HTTP: its answer to CONNECT cannot be read");
    ProxyError::new(ProxyProblem::NoConnection, text)
}

/// The status and the fields that can be read.
fn parse(head: &[u8]) -> Option<(u16, HeaderMap)> {
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    let status = lines.next()?.strip_prefix(b"HTTP/1.")?.get(2..5)?;
    let status = str::from_utf8(status).ok()?.parse().ok().filter(|status| (100..1000).contains(status))?;
    let mut headers = HeaderMap::new();
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    Some((status, headers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_an_answer_is_read_or_refused() {
        let table: &[(&str, Option<(u16, usize)>)] = &[
            ("HTTP/1.1 200 Connection established\r\n\r\n", Some((200, 0))),
            ("HTTP/1.0 200\r\n\r\n", Some((200, 0))),
            ("HTTP/1.1 403 Forbidden\nX-Squid-Error: ERR_ACCESS_DENIED 0\nbad line\n\n", Some((403, 1))),
            ("HTTP/1.1 100 Continue\r\n\r\n", Some((100, 0))),
            ("HTTP/2 200\r\n\r\n", None),
            ("HTTP/1.1 +20 OK\r\n\r\n", None),
            ("HTTP/1.1 2\r\n\r\n", None),
            ("SSH-2.0-OpenSSH\r\n\r\n", None),
            ("\r\n\r\n", None),
        ];
        for (head, expected) in table {
            let parsed = parse(head.as_bytes()).map(|(status, headers)| (status, headers.len()));
            assert_eq!(parsed, *expected, "{head:?}");
        }
    }
}
