//! Answers that mean harm or are broken: they fail their SKU alone, and what is kept parses.

use std::time::Duration;

use serde_json::Value;

use crate::requests::run_with_url;
use crate::support::{Reply, Script, ScriptedServer, Seen, WorkDir, encode};

const MIB: u64 = 1 << 20;

fn run_of(
    count: usize,
    handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    args: &[&str],
) -> (WorkDir, ScriptedServer, crate::support::Ended) {
    let dir = WorkDir::new();
    dir.write_skus((0..count).map(|n| n.to_string()));
    let server = ScriptedServer::start(handler);
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), args).args(["--min-success", "0"]).finish();
    (dir, server, ended)
}

#[test]
fn what_is_kept_parses_and_what_would_not_fails_its_sku_alone() {
    let deep = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n));
    let kept: Vec<Vec<u8>> = vec![
        b"1".to_vec(),
        b"-0.0e-5".to_vec(),
        b"1e400".to_vec(),
        b"9007199254740993".to_vec(),
        b"\"\"".to_vec(),
        b"null".to_vec(),
        b" { \"a\" :\t1 ,\r\n\"a\" : 2 } ".to_vec(),
        b"\xef\xbb\xbf[1]".to_vec(),
        "\"é\\ud83d\\ude00\\u0000\u{2028}\"".into(),
        deep(100).into(),
        b"[]".to_vec(),
        b"{\"\":{}}".to_vec(),
        b"\xff\xfe1\0".to_vec(),
    ];
    let refused: Vec<Vec<u8>> = vec![
        b"NaN".to_vec(),
        b"Infinity".to_vec(),
        b"01".to_vec(),
        b"+1".to_vec(),
        b".5".to_vec(),
        b"1 2".to_vec(),
        b"{\"a\":1}}".to_vec(),
        b"[1,]".to_vec(),
        b"{'a':1}".to_vec(),
        b"\"\\ud800\"".to_vec(),
        b"\"\xff\"".to_vec(),
        b"\"\xed\xa0\x80\"".to_vec(),
        b"\"a\nb\"".to_vec(),
        deep(101).into(),
        "[".repeat(100_000).into(),
        b"<html>".to_vec(),
        b"\xff\xfe1\0\0\0".to_vec(),
        b"//c\n1".to_vec(),
        b"\xef\xbb\xbf\xef\xbb\xbf1".to_vec(),
        b"{\"a\":1}\0".to_vec(),
    ];
    let (good, all) = (kept.len(), kept.len() + refused.len());
    let bodies: Vec<_> = kept.into_iter().chain(refused).collect();
    let answers = bodies.clone();
    let (dir, server, ended) = run_of(
        all,
        move |seen| Reply::bytes(answers[seen.sku.parse::<usize>().unwrap()].clone()),
        &["--retries", "0"],
    );
    let ended = ended.expect_code(1);
    let out = dir.read("out.json");
    let keys: Vec<&str> = out.lines().filter_map(|line| line.strip_prefix('"')?.split('"').next()).collect();
    assert_eq!(keys, (0..good).map(|n| n.to_string()).collect::<Vec<_>>(), "{}", ended.stderr);
    assert_eq!(server.count(), all);
    // serde_json refuses 1e400 in a tree, and the two names alike are no error.
    let merged = out.replace("1e400", "1e300");
    let value: Value = serde_json::from_str(&merged).unwrap();
    assert_eq!(value["0"], 1);
    for digits in
        ["\"1\":-0.0e-5", "\"2\":1e400", "\"3\":9007199254740993", "\"6\":{\"a\":1,\"a\":2}", "\"7\":[1]"]
    {
        assert!(out.contains(digits), "{digits}");
    }
}

#[test]
fn an_encoding_that_was_not_requested_or_does_not_decode_fails_its_sku_without_a_retry() {
    let text = "{\"a\":[1,2,3]}".to_owned();
    let half = |content: &[u8]| content[..content.len() - 5].to_vec();
    let script = Script::new()
        .for_sku("0", [Reply::json(&*text).header("Content-Encoding", "compress")])
        .for_sku("1", [Reply::json(&*text).header("Content-Encoding", "gzip")])
        .for_sku("2", [Reply::json(&*text).encoded("gzip", |it| half(&encode::gzip(it)))])
        .for_sku("3", [Reply::json(&*text).encoded("br", |it| half(&encode::brotli(it)))])
        .for_sku("4", [Reply::json(&*text).encoded("zstd", |it| half(&encode::zstd(it)))])
        .for_sku("5", [Reply::json(&*text).encoded("deflate", |it| half(&encode::deflate(it)))])
        .for_sku(
            "6",
            [Reply::json(&*text)
                .encoded("gzip", |it| [encode::gzip(it), half(&encode::gzip(b"  "))].concat())],
        )
        .for_sku(
            "7",
            [Reply::json(&*text).encoded("gzip", |it| [encode::gzip(it), b"junk".to_vec()].concat())],
        )
        .for_sku("8", [Reply::json(&*text).encoded("gzip, gzip, gzip, gzip", <[u8]>::to_vec)]);
    let (dir, server, ended) = run_of(10, move |seen| script.reply(seen), &[]);
    ended.expect_code(1);
    let out = dir.read("out.json");
    assert_eq!((out.lines().count(), server.count()), (3, 10), "{out}");
    assert!(out.contains("\"9\":"));
}

#[test]
fn bombs_and_endless_answers_fail_their_sku_alone_and_memory_stays_flat() {
    let spaces = vec![b' '; 12 << 20];
    let (gzip, brotli, zstd, deflate) = (
        encode::gzip_bomb(100),
        encode::brotli(&spaces),
        encode::zstd(&vec![b' '; 100 << 20]),
        encode::deflate(&spaces),
    );
    let handler = move |seen: &Seen| match seen.sku.parse::<usize>().unwrap() {
        n if n % 8 == 0 => Reply::bytes(gzip.clone()).header("Content-Encoding", "gzip"),
        1 | 2 => Reply::bytes(brotli.clone()).header("Content-Encoding", "br"),
        3 | 4 => Reply::bytes(deflate.clone()).header("Content-Encoding", "deflate"),
        5 => Reply::json(format!("\"{}\"", "x".repeat((10 << 20) - 2))),
        n if n % 8 == 1 => Reply::bytes(zstd.clone()).header("Content-Encoding", "zstd"),
        n if n % 8 == 2 => Reply::bytes(vec![b'['; 1 << 16]).endless().with_status(404),
        n if n % 8 == 3 => Reply::bytes(vec![b' '; 1 << 16]).repeated(160).with_status(400),
        _ => Reply::bytes(vec![b'['; 1 << 16]).endless(),
    };
    let (dir, server, ended) = run_of(72, handler, &["-c", "64"]);
    let ended = ended.expect_code(1);
    let peak = ended.peak_memory / MIB;
    // 64 bodies at their cap would be 640 MiB.
    assert!(peak < 100, "{peak} MiB at the peak");
    assert_eq!(server.count(), 72, "none is asked for again: {}", ended.stderr);
    assert_eq!(dir.read("out.json").lines().count(), 3, "one is kept");
    assert!(ended.stderr.contains("too large"), "{}", ended.stderr);
}

#[test]
fn large_good_bodies_are_all_fetched_in_bounded_memory() {
    let body = format!("\"{}\"", "x".repeat(2 << 20));
    let expected = body.len();
    let handler = move |_: &Seen| Reply::json(body.clone()).drip(1 << 19, Duration::from_millis(2));
    let (dir, _, ended) = run_of(40, handler, &["-c", "40"]);
    let ended = ended.expect_code(0);
    assert!(dir.bytes("out.json").len() > 40 * expected);
    let peak = ended.peak_memory / MIB;
    assert!(peak < 100, "{peak} MiB at the peak");
}

#[test]
fn slow_and_talkative_servers_are_cut_off_by_the_timeout() {
    let (dir, server, ended) = run_of(
        6,
        |seen| match seen.sku.as_str() {
            "0" => Reply::echo(seen).drip(1, Duration::from_millis(100)),
            "1" => Reply::echo(seen).pause(Duration::from_mins(1)),
            "2" => Reply::echo(seen).informational(103, 10_000),
            "3" => Reply::echo(seen).informational(100, 10_000),
            "4" => Reply::bytes(" ").chunked().repeated(u64::MAX).drip(1, Duration::from_millis(10)),
            _ => Reply::echo(seen),
        },
        &["--timeout", "700ms", "--retries", "1"],
    );
    let ended = ended.expect_code(1);
    let out = dir.read("out.json");
    for sku in ["0", "1", "4"] {
        assert!(!out.contains(&format!("\"{sku}\":")), "{out}");
        assert_eq!(server.requests_for(sku).len(), 2, "{}", ended.stderr);
    }
    assert!(out.contains("\"5\":"), "{out}");
    assert!(ended.peak_memory < 60 * MIB, "{}", ended.peak_memory);
}

#[test]
fn huge_or_broken_heads_fail_their_sku_alone() {
    let (dir, server, ended) = run_of(
        32,
        |seen| match seen.sku.as_str() {
            "0" => Reply::echo(seen).header("X-Big", vec![b'x'; 2 << 20]),
            "4" => (0..10_000).fold(Reply::echo(seen), |reply, n| reply.header(&format!("X-{n}"), "1")),
            "8" => Reply::raw(format!("HTTP/1.1 200 OK\r\n{}", "X: 1\r\n".repeat(400_000))),
            "12" => Reply::raw("HTTP/1.1 200 OK\r\nbad header\r\n\r\n"),
            "16" => Reply::raw("HTTP/9.9 200 OK\r\n\r\n"),
            "20" => Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12"),
            "24" => {
                Reply::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n1")
            }
            "28" => Reply::raw("HTTP/1.1 99999 OK\r\n\r\n"),
            _ => Reply::echo(seen).wait(Duration::from_millis(5)),
        },
        &["--retries", "1", "-c", "1"],
    );
    let ended = ended.expect_code(1);
    let out = dir.read("out.json");
    assert_eq!(out.lines().count(), 24 + 2, "{out} {}", ended.stderr);
    for sku in ["0", "4", "8"] {
        assert_eq!(server.requests_for(sku).len(), 1, "too large is final: {}", ended.stderr);
    }
    assert!(server.count() <= 24 + 3 + 5 * 3, "no storm: {} requests", server.count());
    assert!(ended.peak_memory < 60 * MIB, "{}", ended.peak_memory);
}

#[test]
fn unrequested_bytes_never_become_another_skus_value() {
    let (dir, _, ended) = run_of(
        40,
        |seen| match seen.number % 4 {
            0 => Reply::bytes(format!(
                "{}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n\"evil\"",
                crate::support::reply::echo_body(&seen.sku)
            ))
            .said_length(crate::support::reply::echo_body(&seen.sku).len() as u64),
            _ => Reply::echo(seen),
        },
        &["-c", "2"],
    );
    ended.expect_code(0);
    let out = dir.read("out.json");
    assert!(!out.contains("evil"), "{out}");
    for n in 0..40 {
        assert!(out.contains(&format!("\"{n}\":{}", crate::support::reply::echo_body(&n.to_string()))));
    }
}
