//! Certificates: refused at once, with a hint; trusted where an option says so.

use crate::requests::run_with_url;
use crate::support::raw::RawServer;
use crate::support::tls::{Authority, Identity, Protocol};
use crate::support::{Ended, Reply, ScriptedServer, WorkDir};

fn skus() -> WorkDir {
    let dir = WorkDir::new();
    dir.write_skus((0..200).map(|n| n.to_string()));
    dir
}

/// Runs against this server, which is asked nothing: after so many handshakes at most.
#[track_caller]
fn refused(
    identity: &Identity,
    authority: Option<&Authority>,
    protocol: Protocol,
    handshakes: usize,
) -> Ended {
    let dir = skus();
    dir.write("out.json", "old");
    let server = ScriptedServer::start_tls(identity, protocol, Reply::echo);
    let mut run = run_with_url(&dir, &server.url("/p/{sku}"), ["-c", "32"]);
    if let Some(authority) = authority {
        dir.write("ca.pem", authority.pem());
        run = run.args(["--ca-cert", "ca.pem"]);
    }
    let ended = run.finish().expect_code(69);
    assert_eq!((server.count(), dir.read("out.json").as_str()), (0, "old"));
    assert!(server.failed_handshakes() <= handshakes, "{} handshakes", server.failed_handshakes());
    assert!(ended.stderr.contains("certificate"), "{}", ended.stderr);
    ended
}

#[test]
fn a_certificate_that_does_not_verify_ends_the_run_at_once_and_its_reason_is_named() {
    let authority = Authority::new();
    for protocol in [Protocol::Http1, Protocol::Either { streams: 100 }] {
        let cases = [
            (authority.expired(), Some(&authority), "expired", "check the clock"),
            (authority.wrong_host(), Some(&authority), "another host name", "check the host in --url"),
            (
                authority.authority_as_server(),
                Some(&authority),
                "that of a certificate authority",
                "CA:FALSE",
            ),
            (authority.good(), None, "not trusted", "--ca-cert"),
            (Identity::self_signed(), None, "not trusted", "--ca-cert"),
        ];
        for (identity, trusted, reason, hint) in cases {
            let ended = refused(&identity, trusted, protocol, 15);
            assert!(ended.stderr.contains(reason) && ended.stderr.contains(hint), "{}", ended.stderr);
            assert_eq!(ended.stderr.contains("--ca-cert"), hint == "--ca-cert", "{}", ended.stderr);
        }
    }
}

#[test]
fn a_server_that_requires_a_client_certificate_ends_the_run_at_once_in_words() {
    let authority = Authority::new();
    for protocol in [Protocol::Http1, Protocol::Http2 { streams: 100 }] {
        // With TLS 1.3 the handshake is done before the server refuses: all that may be in flight have begun.
        let ended = refused(&authority.good().requiring(&authority), Some(&authority), protocol, 32);
        assert!(ended.stderr.contains("requires a client certificate"), "{}", ended.stderr);
        assert!(!ended.stderr.contains("--ca-cert"), "{}", ended.stderr);
    }
}

#[test]
fn an_authority_of_ones_own_is_trusted_when_named_and_insecure_trusts_all() {
    let authority = Authority::new();
    let dir = skus();
    dir.write("ca.pem", format!("-- ours\n{}{}", Authority::new().pem(), authority.pem()));
    let server = ScriptedServer::start_tls(&authority.good(), Protocol::Http1, Reply::echo);
    run_with_url(&dir, &server.url("/p/{sku}"), ["--ca-cert", "ca.pem"]).finish().expect_code(0);
    assert_eq!(server.count(), 200);
    let server = ScriptedServer::start_tls(&Identity::self_signed(), Protocol::Http1, Reply::echo);
    run_with_url(&dir, &server.url("/p/{sku}"), ["--insecure", "--fresh"]).finish().expect_code(0);
    assert_eq!(server.count(), 200);
}

#[test]
fn a_ca_file_that_is_missing_or_holds_no_certificate_is_an_error_before_any_request() {
    let (authority, dir) = (Authority::new(), skus());
    let server = ScriptedServer::start_tls(&authority.good(), Protocol::Http1, Reply::echo);
    dir.write("empty.pem", "nothing here\n");
    dir.write("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    for file in ["missing.pem", "empty.pem", "broken.pem"] {
        let ended = run_with_url(&dir, &server.url("/p/{sku}"), ["--ca-cert", file]).finish().expect_code(2);
        assert!(ended.stderr.contains("--ca-cert"), "{file}: {}", ended.stderr);
    }
    assert_eq!((server.count(), server.failed_handshakes()), (0, 0));
}

#[test]
fn a_server_without_tls_is_without_a_connection() {
    // It waits for the end of a request that TLS never sends.
    let (dir, server) = (skus(), ScriptedServer::echo());
    let url = server.url("/p/{sku}").replace("http://", "https://");
    let ended = run_with_url(&dir, &url, ["-c", "32", "--connect-timeout", "100ms"]).finish().expect_code(69);
    assert!(ended.stderr.contains("unreachable"), "{}", ended.stderr);
    assert!(server.connections() <= 15, "{} connections", server.connections());
}

#[test]
fn a_machine_without_authorities_can_use_plain_http_and_gets_a_clear_error_for_https() {
    let there = ScriptedServer::echo();
    let to = there.url("/A");
    let plain = ScriptedServer::start(move |seen| match seen.number {
        0 => Reply::redirect(302, &to),
        _ => Reply::echo(seen).close_on_next(),
    });
    let without = |dir: &WorkDir, url: &str, args: &[&str]| {
        let run = run_with_url(dir, url, args).args(["-c", "2", "--follow", "any", "--limit", "20"]);
        run.env("SSL_CERT_FILE", "/nonexistent").env("SSL_CERT_DIR", "/nonexistent").finish()
    };
    without(&skus(), &plain.url("/p/{sku}"), &[]).expect_code(0);
    assert!(there.count() == 1 && plain.turned_away() > 0);

    let (authority, dir) = (Authority::new(), skus());
    dir.write("ca.pem", authority.pem());
    let server = ScriptedServer::start_tls(&authority.good(), Protocol::Http1, Reply::echo);
    let ended = without(&dir, &server.url("/p/{sku}"), &[]).expect_code(69);
    assert!(
        ended.stderr.contains("ca-certificates") && ended.stderr.contains("--ca-cert"),
        "{}",
        ended.stderr
    );
    without(&dir, &server.url("/p/{sku}"), &["--ca-cert", "ca.pem"]).expect_code(0);
}

#[test]
fn a_body_that_ends_without_close_notify_is_judged_by_its_json_as_over_plain_http() {
    let authority = Authority::new();
    // Closed after so many bytes, without a word of TLS or of HTTP.
    let ending = |seen: &crate::support::Seen| match (seen.sku.as_str(), seen.attempt) {
        ("1", 1) => Reply::echo(seen).until_close().cut(7),
        _ => Reply::echo(seen).until_close().cut(u64::MAX),
    };
    let tls = ScriptedServer::start_tls(&authority.good(), Protocol::Http1, ending);
    let plain = ScriptedServer::start(ending);
    for server in [&tls, &plain] {
        let dir = WorkDir::new();
        dir.write_skus((0..20).map(|n| n.to_string()));
        dir.write("ca.pem", authority.pem());
        let args = ["-c", "4", "--ca-cert", "ca.pem", "--shape", "record"];
        run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(0);
        let out = dir.read("out.json");
        assert_eq!((out.matches("\"attempts\":1,").count(), out.matches("\"attempts\":2,").count()), (19, 1));
        assert_eq!(server.count(), 21);
    }
}

#[test]
fn a_server_without_a_version_cipher_or_key_that_is_supported_is_told_apart() {
    // Alerts of TLS 1.2: handshake_failure, protocol_version, insufficient_security.
    for alert in [40, 70, 71] {
        let dir = skus();
        let server = RawServer::start(move |mut socket| socket.say([21, 3, 3, 0, 2, 2, alert]));
        let url = server.url("/p/{sku}").replace("http:", "https:");
        let ended = run_with_url(&dir, &url, ["-c", "8"]).finish().expect_code(69);
        assert!(ended.stderr.contains("TLS 1.2 or 1.3"), "{}", ended.stderr);
        assert!(ended.stderr.contains("P-384"), "{}", ended.stderr);
    }
}
