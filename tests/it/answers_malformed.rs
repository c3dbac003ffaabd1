//! Answers that break the rules of HTTP/1.1: each has one outcome, and none becomes the value of another SKU.

use std::thread::sleep;
use std::time::Duration;

use crate::requests::run_with_url;
use crate::support::WorkDir;
use crate::support::raw::RawServer;
use crate::support::reply::echo_body;

/// An unrequested answer.
const STRANGE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"sku\":\"strange\"}";

/// What becomes of the SKU.
enum Outcome {
    Kept,
    Fails(&'static str),
}
use Outcome::{Fails, Kept};

/// Answers by SKU, which names what is wrong. `#` is replaced by the good body's length and `@` by the body; an answer
/// that ends with `$` ends with the connection.
const ANSWERS: &[(&str, &str, Outcome)] = &[
    ("reasonless", "HTTP/1.1 200\r\nContent-Length: #\r\n\r\n@", Kept),
    ("line-feeds", "HTTP/1.1 200 OK\nContent-Length: #\n\n@", Kept),
    ("kept-1.0", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: #\r\n\r\n@", Kept),
    ("same-length-twice", "HTTP/1.1 200 OK\r\nContent-Length: #\r\nContent-Length: #\r\n\r\n@", Kept),
    ("same-length-listed", "HTTP/1.1 200 OK\r\nContent-Length: #, #\r\n\r\n@", Kept),
    ("last", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: #\r\n\r\n@STRANGE", Kept),
    ("followed", "HTTP/1.1 200 OK\r\nContent-Length: #\r\n\r\n@STRANGE", Kept),
    (
        "length-and-chunks",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nCHUNK",
        Kept,
    ),
    ("no-length", "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n@", Fails("invalid content-length")),
    ("minus", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n@", Fails("invalid content-length")),
    ("plus", "HTTP/1.1 200 OK\r\nContent-Length: +#\r\n\r\n@", Fails("invalid content-length")),
    (
        "two-lengths",
        "HTTP/1.1 200 OK\r\nContent-Length: #\r\nContent-Length: 3\r\n\r\n@",
        Fails("content-length"),
    ),
    (
        "over-64-bits",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n@",
        Fails("content-length"),
    ),
    ("longest", "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n@", Fails("too large")),
    (
        "long-chunk",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n@",
        Fails("chunk size"),
    ),
    ("minus-chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n@", Fails("chunk size")),
    (
        "chunk-to-the-end",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFF0\r\n@$",
        Fails("end of file"),
    ),
    (
        "extended",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;A100000",
        Fails("chunk extensions over limit"),
    ),
    (
        "trailers",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nFIELD100000",
        Fails("chunk trailers"),
    ),
    (
        "trailer",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: A100000",
        Fails("chunk trailers"),
    ),
    ("not-chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\nCHUNK$", Fails("not JSON")),
    ("chunked-1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nCHUNK", Fails("transfer-encoding")),
    ("folded", "HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\nContent-Length: #\r\n\r\n@", Fails("invalid HTTP header")),
    (
        "nul-in-a-name",
        "HTTP/1.1 200 OK\r\nX\0: 1\r\nContent-Length: #\r\n\r\n@",
        Fails("invalid HTTP header"),
    ),
    (
        "nul-in-a-value",
        "HTTP/1.1 200 OK\r\nX: \0\r\nContent-Length: #\r\n\r\n@",
        Fails("invalid HTTP header"),
    ),
    ("space", "HTTP/1.1 200 OK\r\nContent-Length : #\r\n\r\n@", Fails("invalid HTTP header")),
    (
        "many-fields",
        "HTTP/1.1 200 OK\r\nFIELD1000Content-Length: #\r\n\r\n@",
        Fails("header fields are too large"),
    ),
    ("0.9", "@$", Fails("malformed answer: invalid HTTP version")),
    ("1.2", "HTTP/1.2 200 OK\r\nContent-Length: #\r\n\r\n@", Fails("invalid HTTP version")),
    ("999", "HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\n{}", Fails("HTTP 999")),
    ("000", "HTTP/1.1 000 Odd\r\nContent-Length: 2\r\n\r\n{}", Fails("invalid HTTP status-code")),
    ("1000", "HTTP/1.1 1000 Odd\r\nContent-Length: 2\r\n\r\n{}", Fails("invalid HTTP status-code")),
    ("101", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nSTRANGE", Fails("HTTP 101")),
    ("204", "HTTP/1.1 204 No Content\r\n\r\nSTRANGE", Fails("no body")),
    ("204-and-length", "HTTP/1.1 204 No Content\r\nContent-Length: 54\r\n\r\nSTRANGE", Fails("no body")),
    (
        "204-and-chunks",
        "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\nCHUNK",
        Fails("no body"),
    ),
    ("304", "HTTP/1.1 304 Not Modified\r\n\r\nSTRANGE", Fails("HTTP 304")),
];

fn answer(sku: &str, pattern: &str) -> String {
    let body = echo_body(sku);
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let long = [("FIELD1000", "A: b\r\n", 1000), ("FIELD", "A: b\r\n", 1), ("A100000", "a", 100_000)];
    let pattern = pattern.trim_end_matches('$').replace("STRANGE", STRANGE).replace("CHUNK", &chunks);
    let pattern = pattern.replace('#', &body.len().to_string()).replace('@', &body);
    long.iter().fold(pattern, |pattern, (name, piece, times)| pattern.replace(name, &piece.repeat(*times)))
}

/// By the straight way, and by reqwest's, which is the one for addresses with user-info.
pub fn both_ways(url: &str) -> [String; 2] {
    [url.to_owned(), url.replace("://", "://u:p@")]
}

#[test]
fn each_malformed_answer_has_one_outcome_and_the_next_sku_its_own_answer() {
    let server = RawServer::answering(|socket, request| {
        let Some((sku, pattern, _)) = ANSWERS.iter().find(|(sku, ..)| *sku == request.sku) else {
            return socket.echo(request);
        };
        socket.say(answer(sku, pattern))?;
        (!pattern.ends_with('$')).then_some(())
    });
    for url in both_ways(&server.url("/p/{sku}")) {
        let dir = WorkDir::new();
        dir.write_skus(ANSWERS.iter().flat_map(|(sku, ..)| [(*sku).to_owned(), format!("after-{sku}")]));
        let args = ["-c", "1", "--retries", "0", "--min-success", "0", "--shape", "record"];
        let before = server.count();
        run_with_url(&dir, &url, args).finish().expect_code(1);
        assert_eq!(server.count() - before, 2 * ANSWERS.len(), "{url}");
        let out = dir.read("out.json");
        let line = |sku: &str| out.lines().find(|line| line.starts_with(&format!("\"{sku}\":"))).unwrap();
        for (sku, _, outcome) in ANSWERS {
            let wanted = match outcome {
                Kept => format!("\"body\":{}", echo_body(sku)),
                Fails(why) => (*why).to_owned(),
            };
            assert!(line(sku).contains(&wanted), "{}", line(sku));
            let after = format!("after-{sku}");
            assert!(line(&after).contains(&echo_body(&after)), "{}", line(&after));
        }
    }
}

#[test]
fn an_answer_with_an_unclear_end_is_the_last_on_its_connection() {
    for head in [
        "HTTP/1.1 204 No Content\r\nContent-Length: 54\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 66\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nnull\r\n0\r\n\r\n",
    ] {
        let dir = WorkDir::new();
        dir.write_skus(["A", "B", "C"]);
        let server = RawServer::answering(move |socket, request| {
            if request.sku != "A" {
                return socket.echo(request);
            }
            socket.say(head)?;
            // By then the next request is there.
            sleep(Duration::from_millis(50));
            socket.say(STRANGE)
        });
        let args = ["-c", "1", "--retries", "0", "--null-on", "204"];
        run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(0);
        let wanted = format!("{{\n\"A\":null,\n\"B\":{},\n\"C\":{}\n}}\n", echo_body("B"), echo_body("C"));
        assert_eq!(dir.read("out.json"), wanted);
    }
}

#[test]
fn interim_answers_without_end_end_with_the_timeout_and_fill_no_memory() {
    let server = RawServer::answering(|socket, request| {
        if request.sku != "flood" {
            return socket.echo(request);
        }
        let link = "a".repeat(200);
        let flood = format!("HTTP/1.1 103 Early Hints\r\nLink: </{link}>\r\n\r\n").repeat(1000);
        loop {
            socket.say(&flood)?;
        }
    });
    let dir = WorkDir::new();
    dir.write_skus(["flood", "good"]);
    let args = ["-c", "1", "--retries", "0", "--timeout", "300ms", "--min-success", "0"];
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(1);
    assert!(ended.stderr.contains("1 timed out"), "{}", ended.stderr);
    assert!(dir.read("out.json").contains(&echo_body("good")));
    assert!(ended.peak_memory < 60 << 20, "{} MiB", ended.peak_memory >> 20);
}
