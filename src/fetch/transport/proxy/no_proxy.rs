//! The list of `NO_PROXY`: hosts that are reached without a proxy.
//!
//! It is read as curl reads it: entries are separated by commas or white space; a name stands for itself and its
//! subdomains, with a leading dot or without; an address may have a length (`10.0.0.0/8`); `*` stands for every host. As
//! in Go and Python a port may follow, and then only that port is meant; `*.example.com` is `example.com`, and `*` may
//! stand beside others.

use std::net::IpAddr;

/// Hosts that are reached without a proxy.
#[derive(Debug, Clone, Default)]
pub(super) struct NoProxy {
    is_every_host: bool,
    entries: Vec<NoProxyEntry>,
}

#[derive(Debug, Clone)]
struct NoProxyEntry {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Debug, Clone)]
enum Hosts {
    /// A name and its subdomains; in lower case, without dots at its ends.
    Name(String),
    /// The addresses that have the same first bits.
    Network(IpAddr, u32),
}

impl NoProxy {
    pub(super) fn parse(list: &str) -> Self {
        let mut all = Self::default();
        for word in list.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty()) {
            if word == "*" {
                all.is_every_host = true;
            }
            all.entries.extend(NoProxyEntry::parse(word));
        }
        all
    }

    /// Whether a host, as it stands in an address, is one of them.
    pub(super) fn matches(&self, host: &str, port: u16) -> bool {
        if self.is_every_host {
            return true;
        }
        let name = host.trim_end_matches('.').to_ascii_lowercase();
        let address = bare(host).parse::<IpAddr>().ok().map(|address| address.to_canonical());
        self.entries.iter().any(|entry| {
            entry.port.is_none_or(|only| only == port)
                && match (&entry.hosts, address) {
                    (Hosts::Network(network, length), Some(address)) => is_within(address, *network, *length),
                    (Hosts::Name(suffix), None) => name
                        .strip_suffix(suffix.as_str())
                        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
                    _ => false,
                }
        })
    }
}

impl NoProxyEntry {
    fn parse(word: &str) -> Option<Self> {
        if let Some(hosts) = network(word) {
            return Some(Self { hosts, port: None });
        }
        let (host, port) = match word.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (word, None),
        };
        let hosts = network(host).or_else(|| {
            let name = host.strip_prefix('*').unwrap_or(host).trim_matches('.').to_ascii_lowercase();
            (!name.is_empty()).then_some(Hosts::Name(name))
        })?;
        Some(Self { hosts, port })
    }
}

/// An address, with the length of a network or without.
fn network(word: &str) -> Option<Hosts> {
    let (address, length) = match word.split_once('/') {
        Some((address, length)) => (address, Some(length.parse().ok()?)),
        None => (word, None),
    };
    let address = bare(address).parse::<IpAddr>().ok()?.to_canonical();
    let whole = if address.is_ipv4() { 32 } else { 128 };
    let length = length.unwrap_or(whole);
    (length <= whole).then_some(Hosts::Network(address, length))
}

/// An IPv6 address without its brackets.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn is_within(address: IpAddr, network: IpAddr, length: u32) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            (address.to_bits() ^ network.to_bits()).checked_shr(32 - length).unwrap_or(0) == 0
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            (address.to_bits() ^ network.to_bits()).checked_shr(128 - length).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_matched_as_curl_matches_them() {
        let table: &[(&str, &[&str], &[&str])] = &[
            ("", &[], &["a.test:80", "127.0.0.1:80", "[::1]:80"]),
            ("*", &["a.test:80", "127.0.0.1:80", "[::1]:80"], &[]),
            ("a.test, *", &["b.test:80", "10.1.2.3:80"], &[]),
            (
                "a.test",
                &["a.test:80", "A.TEST:443", "x.a.test:80", "a.test.:80"],
                &["ba.test:80", "a.test.b:80"],
            ),
            (".a.test", &["a.test:80", "x.a.test:80"], &["ba.test:80"]),
            ("*.a.test", &["x.a.test:80"], &["ba.test:80"]),
            ("A.Test.", &["a.test:80"], &[]),
            ("b.test a.test", &["a.test:80", "b.test:80"], &["c.test:80"]),
            ("b.test,,\ta.test ,", &["a.test:80", "b.test:80"], &["c.test:80"]),
            ("a.test:8080", &["a.test:8080", "x.a.test:8080"], &["a.test:80"]),
            ("a.test:x", &[], &["a.test:80"]),
            ("127.0.0.1", &["127.0.0.1:80", "127.0.0.1:443"], &["127.0.0.2:80", "x.127.0.0.1.test:80"]),
            ("127.0.0.1:81", &["127.0.0.1:81"], &["127.0.0.1:80"]),
            ("10.0.0.0/8", &["10.0.0.1:80", "10.255.255.255:80"], &["11.0.0.0:80", "[::1]:80"]),
            ("10.1.2.3/32,0.0.0.0/33", &["10.1.2.3:80"], &["10.1.2.2:80"]),
            ("0.0.0.0/0", &["1.2.3.4:80"], &["a.test:80", "[::1]:80"]),
            ("::1", &["[::1]:80"], &["[::2]:80", "127.0.0.1:80"]),
            ("[::1]", &["[::1]:80"], &["[::2]:80"]),
            ("[::1]:81", &["[::1]:81"], &["[::1]:80"]),
            ("fd00::/8", &["[fd12::1]:80"], &["[fe80::1]:80"]),
            ("::/0", &["[fe80::1]:80"], &["1.2.3.4:80"]),
            ("0.0.1", &[], &["127.0.0.1:80"]),
        ];
        for (list, inside, outside) in table {
            let list = NoProxy::parse(list);
            let matches = |host: &&str| {
                let (host, port) = host.rsplit_once(':').unwrap();
                list.matches(host, port.parse().unwrap())
            };
            for host in *inside {
                assert!(matches(host), "{list:?} {host}");
            }
            for host in *outside {
                assert!(!matches(host), "{list:?} {host}");
            }
        }
    }
}
