//! Connections that end while an answer or a request is under way: what is whole counts, what was cut is requested
//! again, and which of both it is never depends on luck.

use crate::answers_malformed::both_ways;
use crate::requests::run_with_url;
use crate::support::raw::{RawServer, whole};
use crate::support::reply::echo_body;
use crate::support::tls::{Authority, Protocol};
use crate::support::{Reply, ScriptedServer, Seen, WorkDir, encode};

/// The SKUs that have their good answer after so many attempts.
fn answered(dir: &WorkDir, attempts: usize) -> Vec<String> {
    let out = dir.read("out.json");
    let skus = out.lines().filter_map(|line| Some((line, line.strip_prefix('"')?.split_once('"')?.0)));
    let good = |sku: &str| format!("\"attempts\":{attempts},\"body\":{}", echo_body(sku));
    skus.filter(|(line, sku)| line.contains(&good(sku))).map(|(_, sku)| sku.to_owned()).collect()
}

#[test]
fn a_body_that_a_half_close_cuts_short_is_requested_again_and_one_that_it_ends_is_not() {
    let cut = ["length", "chunk", "last-chunk", "json", "empty", "coded"];
    let server = RawServer::answering(move |socket, request| {
        let body = echo_body(&request.sku);
        let (size, part) = (body.len(), &body[..9]);
        let head = "HTTP/1.1 200 OK\r\n";
        if request.sku == "coded" && !request.attempt.is_multiple_of(2) {
            let coded = encode::gzip(body.as_bytes());
            socket.say(format!("{head}Content-Encoding: gzip\r\n\r\n"))?;
            socket.say(&coded[..coded.len() - 9])?;
        } else {
            socket.say(match request.sku.as_str() {
                _ if cut.contains(&request.sku.as_str()) && request.attempt.is_multiple_of(2) => {
                    whole(&request.sku)
                }
                "length" => format!("{head}Content-Length: {size}\r\n\r\n{part}"),
                "chunk" => format!("{head}Transfer-Encoding: chunked\r\n\r\n{size:x}\r\n{part}"),
                "last-chunk" => format!("{head}Transfer-Encoding: chunked\r\n\r\n{size:x}\r\n{body}\r\n"),
                "json" => format!("{head}\r\n{part}"),
                "empty" => format!("{head}\r\n"),
                "to-the-end" => format!("{head}\r\n{body}"),
                _ => whole(&request.sku),
            })?;
        }
        socket.half_close();
        socket.drain()
    });
    for url in both_ways(&server.url("/p/{sku}")) {
        let dir = WorkDir::new();
        dir.write_skus(cut.iter().copied().chain(["to-the-end", "A", "B", "C", "D"]));
        let args = ["-c", "2", "--retries", "1", "--shape", "record"];
        run_with_url(&dir, &url, args).finish().expect_code(0);
        assert_eq!((answered(&dir, 2), answered(&dir, 1).len()), (cut.map(String::from).to_vec(), 5));
    }
}

#[test]
fn a_reused_connection_that_ends_within_a_head_costs_an_attempt() {
    for begun in ["H", "HTTP/1.1 20", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 100 Continue\r\n\r\n"] {
        let dir = WorkDir::new();
        dir.write_skus(["A", "B", "C"]);
        let server = RawServer::answering(move |socket, request| match request.sku.as_str() {
            "B" => socket.say(begun).and(None),
            _ => socket.echo(request),
        });
        let args = ["-c", "1", "--retries", "0", "--min-success", "0", "--shape", "record"];
        run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(1);
        assert_eq!((server.count_for("B"), answered(&dir, 1)), (1, vec!["A".into(), "C".into()]), "{begun}");
    }
}

#[test]
fn a_body_under_tls_is_whole_if_its_length_says_so_or_if_it_ends_with_the_connection_and_is_json() {
    let cut = ["length-notified", "length-silent", "chunk-notified", "part-silent"];
    let handler = move |seen: &Seen| {
        let body = echo_body(&seen.sku);
        let is_silent = seen.sku.ends_with("silent");
        let reply = match seen.sku.split_once('-').map_or("", |(framing, _)| framing) {
            _ if cut.contains(&seen.sku.as_str()) && seen.attempt.is_multiple_of(2) => {
                return Reply::echo(seen);
            }
            "length" => format!("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{body}"),
            "chunk" => format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n63\r\n{body}"),
            "end" => format!("HTTP/1.1 200 OK\r\n\r\n{body}"),
            "part" => format!("HTTP/1.1 200 OK\r\n\r\n{}", &body[..9]),
            _ => whole(&seen.sku),
        };
        if is_silent { Reply::raw(reply).cut(u64::MAX) } else { Reply::raw(reply) }
    };
    let authority = Authority::new();
    let server = ScriptedServer::start_tls(&authority.good(), Protocol::Http1, handler);
    for url in both_ways(&server.url("/p/{sku}")) {
        let dir = WorkDir::new();
        dir.write("ca.pem", authority.pem());
        dir.write_skus(cut.iter().copied().chain([
            "end-notified",
            "end-silent",
            "whole-notified",
            "whole-silent",
            "A",
            "B",
        ]));
        let args = ["--ca-cert", "ca.pem", "-c", "2", "--retries", "1", "--shape", "record"];
        run_with_url(&dir, &url, args).finish().expect_code(0);
        assert_eq!((answered(&dir, 2), answered(&dir, 1).len()), (cut.map(String::from).to_vec(), 6));
    }
}

#[test]
fn of_a_server_that_closes_before_it_has_read_a_request_the_answer_counts_if_it_is_surely_whole() {
    let server = RawServer::start(|mut socket| {
        let request = socket.head()?;
        let status = match request.sku.as_str() {
            "A" | "B" => "413 Content Too Large",
            "C" => "400 Bad Request",
            _ => "200 OK",
        };
        match request.sku.as_str() {
            // It may have been `12345`.
            "G" => socket.say("HTTP/1.1 200 OK\r\n\r\n123")?,
            _ => socket.say(whole(&request.sku).replace("200 OK", status))?,
        }
        if request.sku == "B" || request.sku == "E" {
            socket.half_close();
            return socket.drain();
        }
        // What was not read makes a reset of the end.
        None
    });
    let dir = WorkDir::new();
    dir.write_skus(["A", "B", "C", "D", "E", "F", "G"]);
    dir.write("body.json", vec![b'1'; 3 << 20]);
    let args =
        ["-c", "2", "--retries", "0", "--min-success", "0", "--shape", "record", "--body", "@body.json"];
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(1);
    assert_eq!((server.count(), answered(&dir, 1)), (7, ["D", "E", "F"].map(String::from).to_vec()));
    for failed in ["2 HTTP 413", "1 HTTP 400", "1 body cut short: line 8, SKU G"] {
        assert!(ended.stderr.contains(failed), "{}", ended.stderr);
    }
}
