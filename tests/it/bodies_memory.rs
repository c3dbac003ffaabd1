//! Memory stays under 100 MiB with 64 requests in flight, whatever the answers hold. The bound is for
//! any build: it does not depend on the machine's pace.

use std::fmt::Write as _;
use std::time::Duration;

use crate::requests::run_with_url;
use crate::support::tls::{Authority, Protocol};
use crate::support::{Ended, Reply, Run, ScriptedServer, Seen, WorkDir, encode};

const MIB: u64 = 1 << 20;

/// Most bytes that a run may ever have resident.
const BOUND: u64 = 100 * MIB;

fn measured(what: &str, run: Run<'_>, code: i32) -> Ended {
    let ended = run.within(Duration::from_mins(5)).finish().expect_code(code);
    println!("{what}: {} MiB at the peak", ended.peak_memory / MIB);
    assert!(ended.peak_memory < BOUND, "{what}: {} MiB at the peak", ended.peak_memory / MIB);
    ended
}

/// A string of 10 MiB that hardly compresses, as one JSON text.
fn noise() -> String {
    let mut chance = fastrand::Rng::with_seed(7);
    let mut text = String::from("\"");
    while text.len() < (10 << 20) - 20 {
        write!(text, "{:016x}", chance.u64(..)).unwrap();
    }
    text + "\""
}

/// Asks for 64 SKUs at once; every fourth body is whole, the others turn out to be no JSON at their end.
fn sixty_four(what: &str, whole: Reply, broken: Reply) {
    let dir = WorkDir::new();
    dir.write_skus((0..64).map(|n| n.to_string()));
    let (whole, broken) = (std::sync::Arc::new(whole), std::sync::Arc::new(broken));
    let server = ScriptedServer::start(move |seen| {
        let is_whole = seen.sku.parse::<usize>().unwrap() % 4 == 0;
        Reply::clone(if is_whole { &whole } else { &broken })
    });
    let args = ["-c", "64", "--min-success", "0", "--timeout", "6s", "--retries", "0"];
    let ended = measured(what, run_with_url(&dir, &server.url("/p/{sku}"), args), 1);
    assert!(ended.stderr.contains(": 16 fetched, 48 failed"), "{}", ended.stderr);
    assert!(dir.bytes("out.json").len() > 16 * (10 << 20) - 1000);
}

#[test]
fn sixty_four_answers_of_10_mib_at_once_need_less_than_100_mib_and_the_wait_for_the_budget_is_no_timeout() {
    let whole = noise();
    let broken = format!("{}x", &whole[..whole.len() - 1]) + "\"}";
    sixty_four("10 MiB", Reply::json(whole.clone()), Reply::json(broken.clone()));
    let chunked = |body: &str| Reply::json(body).chunked();
    sixty_four("10 MiB in chunks", chunked(&whole), chunked(&broken));
}

#[test]
#[ignore = "takes a minute: cargo test --test it bodies_memory -- --ignored --nocapture"]
fn sixty_four_compressed_answers_of_10_mib_at_once_stay_under_100_mib() {
    let whole = noise();
    let broken = format!("{}x", &whole[..whole.len() - 1]) + "\"}";
    for (name, encode) in [
        ("zstd", encode::zstd as fn(&[u8]) -> Vec<u8>),
        ("gzip", encode::gzip),
        ("br", encode::brotli),
        ("deflate", encode::deflate),
    ] {
        let reply = |body: &str| Reply::json(body).encoded(name, encode).chunked();
        sixty_four(name, reply(&whole), reply(&broken));
    }
}

#[test]
fn sixty_four_answers_of_10_mib_over_http2_stay_under_100_mib() {
    let (dir, authority) = (WorkDir::new(), Authority::new());
    dir.write("ca.pem", authority.pem());
    dir.write_skus((0..64).map(|n| n.to_string()));
    let body = noise() + "}";
    let handler = move |_: &Seen| Reply::json(body.clone());
    let server = ScriptedServer::start_tls(&authority.good(), Protocol::Http2 { streams: 100 }, handler);
    let args = ["--ca-cert", "ca.pem", "-c", "64", "--min-success", "0"];
    let ended = measured("10 MiB, HTTP/2", run_with_url(&dir, &server.url("/p/{sku}"), args), 1);
    assert!(ended.stderr.contains("0 fetched, 64 failed"), "{}", ended.stderr);
    assert_eq!(server.count(), 64, "what waits for room does not stop the others: {}", ended.stderr);
}

#[test]
fn sixty_four_bombs_and_endless_answers_at_once_stay_under_100_mib() {
    let spaces = vec![b' '; 100 << 20];
    let bombs = [
        ("gzip", encode::gzip_bomb(100)),
        ("br", encode::brotli(&spaces)),
        ("zstd", encode::zstd(&spaces)),
        ("deflate", encode::deflate(&spaces)),
    ];
    for kind in 0..6 {
        let dir = WorkDir::new();
        dir.write_skus((0..64).map(|n| n.to_string()));
        let bomb = bombs.get(kind).cloned();
        let name = bomb.as_ref().map_or("endless", |(name, _)| *name);
        let server = ScriptedServer::start(move |_| match &bomb {
            Some((coding, body)) => Reply::bytes(body.clone()).header("Content-Encoding", *coding),
            None if kind == 4 => Reply::bytes(vec![b'['; 1 << 16]).endless(),
            None => Reply::bytes(vec![b'['; 1 << 16]).chunked().repeated(u64::MAX).with_status(404),
        });
        let args = ["-c", "64", "--min-success", "0"];
        measured(name, run_with_url(&dir, &server.url("/p/{sku}"), args), 1);
        assert_eq!(server.count(), 64, "none is asked for again");
    }
}
