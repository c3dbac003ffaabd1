//! Connections that end, lie or change in the middle of a run: every SKU gets its own answer, and nothing is left
//! open.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::answers_malformed::both_ways;
use crate::faults::strace;
use crate::requests::run_with_url;
use crate::support::raw::{RawServer, whole};
use crate::support::reply::echo_body;
use crate::support::tls::{Authority, Protocol};
use crate::support::{FullListener, Reply, ScriptedServer, Seen, WorkDir};

fn skus(count: usize) -> WorkDir {
    let dir = WorkDir::new();
    dir.write_skus((0..count).map(|n| n.to_string()));
    dir
}

/// A complete answer of this version, followed by these bytes, which belong to no request.
fn followed_by(seen: &Seen, version: &str, after: &[u8]) -> Reply {
    let body = echo_body(&seen.sku);
    let head = format!("{version} 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    Reply::raw([head.as_bytes(), after].concat())
}

const STRANGE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"sku\":\"strange\"}";

/// One fault in three, by the SKU and its attempt, so that each run has the same ones.
fn faulty(seen: &Seen) -> Reply {
    let echo = Reply::echo(seen);
    let large = || Reply::status(500).repeated(40_000);
    let draw = crc32fast::hash(format!("{}/{}", seen.sku, seen.attempt).as_bytes());
    match draw % 60 {
        0 => echo.close(),
        1 => echo.idle_close(Duration::ZERO),
        2 => echo.idle_close(Duration::from_millis(1)),
        3 => echo.close_on_next(),
        4 => followed_by(seen, "HTTP/1.1", STRANGE),
        5 => followed_by(seen, "HTTP/1.1", b"\r\n"),
        6 => followed_by(seen, "HTTP/1.0", b""),
        7 => followed_by(seen, "HTTP/1.0", STRANGE),
        8 => echo.informational(103, 2),
        9 => echo.chunked(),
        10 => echo.until_close(),
        11 => echo.cut(5),
        12 => echo.reset_after(5),
        13 => Reply::hang_up(),
        14 => Reply::reset(),
        15 => Reply::raw("HTTP/1.1 20"),
        16 => large(),
        17 => large().chunked(),
        18 => large().cut(100_000),
        19 => echo.said_length(99).close(),
        _ => echo,
    }
}

#[test]
fn no_answer_is_taken_for_that_to_another_sku_whatever_connections_do() {
    for concurrency in ["1", "32"] {
        let (dir, server) = (skus(1000), ScriptedServer::start(faulty));
        // The large ones are not read to their end.
        let args = ["-c", concurrency, "--retries", "20", "--max-body", "64KiB"];
        // Of a thousand about 150 fail once; their back-off is what takes time, and one at a time takes longer.
        let args = args.into_iter().chain(["--limit", if concurrency == "1" { "60" } else { "1000" }]);
        let ended = run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(0);
        let wanted = if concurrency == "1" { 60 } else { 1000 };
        let out = dir.read("out.json");
        assert_eq!(out.lines().count(), wanted + 2, "{}", ended.stderr);
        for (n, line) in out.lines().skip(1).take(wanted).enumerate() {
            let line = line.strip_suffix(',').unwrap_or(line);
            assert_eq!(line, format!("\"{n}\":{}", echo_body(&n.to_string())));
        }
    }
}

/// A server under a good certificate, and a folder that trusts it.
fn setting(
    protocol: Protocol,
    count: usize,
    handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
) -> (WorkDir, ScriptedServer) {
    let (dir, authority) = (skus(count), Authority::new());
    dir.write("ca.pem", authority.pem());
    (dir, ScriptedServer::start_tls(&authority.good(), protocol, handler))
}

#[test]
fn no_stream_is_opened_over_what_the_server_allows() {
    for streams in [1, 2, 5] {
        let wait = Duration::from_millis(50);
        let (dir, server) =
            setting(Protocol::Http2 { streams }, 100, move |seen| Reply::echo(seen).wait(wait));
        let args = ["--ca-cert", "ca.pem", "-c", "20", "--retries", "0"];
        run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(0);
        // A refused one would be sent on a connection of its own.
        let connections = 20_usize.div_ceil(streams as usize) + 10;
        assert!(server.connections() <= connections, "{} for {streams}", server.connections());
        assert!(server.count() == 100 && server.max_in_flight() <= 20, "{streams} streams");
    }
}

#[test]
fn a_request_that_an_http2_server_promises_not_to_have_looked_at_costs_no_attempt() {
    let (dir, server) = setting(Protocol::Http2 { streams: 100 }, 60, |seen| match seen.attempt {
        1 if seen.number % 5 == 4 => Reply::refused(),
        _ => Reply::echo(seen),
    });
    let args = ["--ca-cert", "ca.pem", "-c", "8", "--retries", "0", "--shape", "record"];
    run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(0);
    assert!(server.count() > 60);
    assert_eq!(dir.read("out.json").matches("\"attempts\":1").count(), 60);
}

/// Listens, and hands each connection on to the address that is chosen by its number.
fn forward(choose: impl Fn(usize) -> SocketAddr + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    let pipe = |mut from: TcpStream, mut to: TcpStream| {
        thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(std::net::Shutdown::Write);
        });
    };
    thread::spawn(move || {
        for (n, near) in listener.incoming().enumerate() {
            let (near, far) = (near.unwrap(), TcpStream::connect(choose(n)).unwrap());
            pipe(near.try_clone().unwrap(), far.try_clone().unwrap());
            pipe(far, near);
        }
    });
    addr
}

#[test]
fn where_only_some_servers_of_a_name_support_http2_the_connections_to_the_others_are_reused_too() {
    let (dir, authority) = (skus(200), Authority::new());
    dir.write("ca.pem", authority.pem());
    let start = |protocol| ScriptedServer::start_tls(&authority.good(), protocol, Reply::echo);
    let (new, old) = (start(Protocol::Http2 { streams: 1 }), start(Protocol::Http1));
    let (to_new, to_old) = (new.addr(), old.addr());
    let addr = forward(move |n| if n == 0 { to_new } else { to_old });
    let url = format!("https://{addr}/p/{{sku}}");
    run_with_url(&dir, &url, ["--ca-cert", "ca.pem", "-c", "4"]).finish().expect_code(0);
    assert_eq!(new.count() + old.count(), 200);
    assert!(old.connections() <= 8, "{} connections", old.connections());
}

#[test]
fn an_address_with_user_info_has_all_of_the_concurrency() {
    let wait = Duration::from_millis(100);
    let (dir, server) = (skus(120), ScriptedServer::start(move |seen| Reply::echo(seen).wait(wait)));
    let url = server.url("/p/{sku}").replace("http://", "http://me:pw@");
    run_with_url(&dir, &url, ["-c", "40"]).finish().expect_code(0);
    // Ten wait for the first connection.
    assert!((11..=40).contains(&server.max_in_flight()), "{}", server.max_in_flight());
    assert_eq!(server.requests()[0].header("authorization"), Some("Basic bWU6cHc="));
}

#[test]
fn tls_that_ends_without_close_notify_on_a_reused_connection_costs_no_attempt() {
    let (dir, server) = setting(Protocol::Http1, 60, |seen| Reply::echo(seen).close_on_next());
    let args = ["--ca-cert", "ca.pem", "-c", "4", "--retries", "0"];
    run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(0);
    assert_eq!(server.count(), 60);
}

#[test]
fn what_waits_to_be_sent_again_is_not_sent_once_the_run_stops() {
    static CLOSED: AtomicUsize = AtomicUsize::new(0);
    let dir = skus(5);
    let server = ScriptedServer::start(|seen| {
        if seen.sku == "0" {
            return Reply::echo(seen);
        }
        CLOSED.fetch_add(1, Ordering::Relaxed);
        Reply::hang_up()
    });
    // The next token is due in 6 s: within the time that is given to those in flight.
    let mut run =
        run_with_url(&dir, &server.url("/p/{sku}"), ["-c", "1", "-r", "10/m", "--burst", "2"]).spawn();
    run.wait_until(|| CLOSED.load(Ordering::Relaxed) == 1);
    thread::sleep(Duration::from_millis(100));
    run.signal(Signal::INT);
    run.wait().expect_code(130);
    assert_eq!(server.count(), 2);
}

#[test]
fn a_new_connection_that_hangs_up_without_an_answer_costs_an_attempt() {
    for reset in [false, true] {
        let hang_up = move |_: &Seen| if reset { Reply::reset() } else { Reply::hang_up() };
        let (tls_dir, tls) = setting(Protocol::Http1, 3, hang_up);
        for (dir, server) in [(skus(3), ScriptedServer::start(hang_up)), (tls_dir, tls)] {
            let args = ["-c", "3", "--retries", "1", "--min-success", "0", "--fresh"];
            let trusted = if dir.has("ca.pem") { &["--ca-cert", "ca.pem"][..] } else { &[] };
            for url in both_ways(&server.url("/p/{sku}")) {
                let before = server.count();
                run_with_url(&dir, &url, args.iter().chain(trusted)).finish().expect_code(1);
                assert_eq!(server.count() - before, 6, "{url}");
            }
        }
    }
}

#[test]
fn a_new_connection_to_another_origin_that_hangs_up_costs_an_attempt() {
    let there = ScriptedServer::start(|_| Reply::hang_up());
    let to = there.url("/x");
    let origin = ScriptedServer::start(move |_| Reply::redirect(307, &to));
    let args = ["-c", "3", "--retries", "1", "--min-success", "0", "--follow", "any"];
    run_with_url(&skus(3), &origin.url("/p/{sku}"), args).finish().expect_code(1);
    assert_eq!((origin.count(), there.count()), (6, 6));
}

#[test]
fn a_reused_connection_that_closes_costs_no_attempt_of_a_post_either() {
    let (dir, server) = (skus(10), ScriptedServer::start(|seen| Reply::echo(seen).close_on_next()));
    let args = ["-c", "1", "--retries", "0", "--body", "{}", "--fresh"];
    for url in both_ways(&server.url("/p/{sku}")) {
        let before = server.count();
        run_with_url(&dir, &url, args).finish().expect_code(0);
        assert_eq!(server.count() - before, 10, "{url}");
    }
}

#[test]
fn an_answer_to_head_has_no_body_whatever_its_content_length() {
    let (dir, server) = (
        skus(3),
        ScriptedServer::start(|_| {
            Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\nContent-Encoding: gzip\r\n\r\n")
        }),
    );
    let args = ["-X", "HEAD", "--body-as", "text", "--max-body", "1KiB", "-c", "1"];
    run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(0);
    assert_eq!(dir.read("out.json"), "{\n\"0\":\"\",\n\"1\":\"\",\n\"2\":\"\"\n}\n");
    std::fs::remove_file(dir.path("out.json")).unwrap();
    let args = ["-X", "HEAD", "--max-body", "1KiB", "-c", "1", "--fresh", "--min-success", "0"];
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(1);
    assert!(ended.stderr.contains("the answer has no body"), "{}", ended.stderr);
}

#[test]
fn a_server_whose_system_holds_the_body_back_until_the_head_is_acknowledged_has_that_at_once() {
    if !strace::is_there() {
        return;
    }
    // Two writes without TCP_NODELAY. The client's system acknowledges the first few segments at once by itself.
    let server = RawServer::answering(|socket, asked| {
        let answer = whole(&asked.sku);
        let (head, body) = answer.split_at(answer.len() - echo_body(&asked.sku).len());
        socket.say(head)?;
        socket.say(body)
    });
    let (count, url) = (60, server.url("/p/{sku}"));
    let dir = skus(count);
    let options = |calls: &str| calls.matches("TCP_QUICKACK, [1]").count();
    let traced = ["strace", "-f", "-qq", "-e", "trace=setsockopt", "-o", "calls"];
    run_with_url(&dir, &url, ["-c", "1"]).under(traced).finish().expect_code(0);
    let once_each = options(&dir.read("calls"));
    assert!((count / 4..=count).contains(&once_each), "{once_each} for {count} answers");
}

#[test]
fn of_two_addresses_the_first_of_which_hangs_the_other_is_remembered() {
    let hangs = FullListener::new();
    let works = SocketAddr::new([127, 0, 0, 2].into(), hangs.addr().port());
    let server = ScriptedServer::start_at(works, |seen| Reply::echo(seen).close());
    let dir = skus(200);
    dir.write("hosts", "127.0.0.1 shop.test\n127.0.0.2 shop.test\n");
    let hosts = "mount --bind hosts /etc/hosts && exec \"$0\" \"$@\"";
    let namespace = ["unshare", "--map-root-user", "--mount", "sh", "-c"];
    let may = Command::new(namespace[0])
        .args(&namespace[1..])
        .args([hosts, "true"])
        .current_dir(dir.root())
        .status();
    if !may.is_ok_and(|status| status.success()) {
        eprintln!("no mount namespace: a host name with two addresses is not tried");
        return;
    }
    let url = format!("http://shop.test:{}/p/{{sku}}", works.port());
    // Each connection that began with the first address would take seconds.
    run_with_url(&dir, &url, ["-c", "4", "--retries", "0"])
        .under(namespace.into_iter().chain([hosts]))
        .within(Duration::from_mins(1))
        .finish()
        .expect_code(0);
    assert_eq!((server.count(), server.connections()), (200, 200));
}
