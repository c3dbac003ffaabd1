//! The tests' own ground: each misbehaviour of the scripted server is what a plain client sees, and
//! each thing it counts is so. A test that uses it can then rely on it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use rustix::process::Signal;

use skufetch::testing::fetch::decode;
use skufetch::testing::model::Size;

use crate::support::reply::echo_body;
use crate::support::tls::{Authority, Identity, Protocol};
use crate::support::{
    Capacity, Ended, FullListener, Reply, Run, Script, ScriptedServer, WorkDir, closed_pipe, closed_port,
    encode,
};

/// Long enough to be seen, short enough to be waited for.
const MOMENT: Duration = Duration::from_millis(20);

/// Never over within a test.
const AGES: Duration = Duration::from_hours(1);

/// A client that writes and reads bytes, without HTTP.
struct Client(TcpStream);

impl Client {
    fn new(server: &ScriptedServer) -> Self {
        let stream = TcpStream::connect(server.addr()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self(stream)
    }

    fn send(&mut self, bytes: &str) -> &mut Self {
        self.0.write_all(bytes.as_bytes()).unwrap();
        self
    }

    fn get(&mut self, target: &str) -> &mut Self {
        self.send(&format!("GET {target} HTTP/1.1\r\nHost: shop\r\n\r\n"))
    }

    /// Reads until these bytes have arrived.
    fn until(&mut self, end: &str) -> String {
        let mut seen = Vec::new();
        while !seen.ends_with(end.as_bytes()) {
            let mut byte = [0];
            assert_eq!(self.0.read(&mut byte).unwrap(), 1, "ended after {}", String::from_utf8_lossy(&seen));
            seen.push(byte[0]);
        }
        String::from_utf8(seen).unwrap()
    }

    /// Reads to the end of the connection; an error there is given beside.
    fn rest(&mut self) -> (String, Option<ErrorKind>) {
        let mut seen = Vec::new();
        let error = self.0.read_to_end(&mut seen).err().map(|error| error.kind());
        (String::from_utf8(seen).unwrap(), error)
    }
}

/// What a client reads that sends one request and reads to the end of the connection.
fn see(reply: Reply) -> (String, Option<ErrorKind>) {
    let server = ScriptedServer::start(move |_| reply.clone());
    Client::new(&server).get("/p/1").rest()
}

#[test]
fn every_byte_of_a_request_is_remembered_in_order() {
    let server = ScriptedServer::echo();
    let sent = "POST /a%2Fb/%C3%A9%+?q=1%202&r HTTP/1.1\r\nhost: shop\r\nX-Odd:  two \r\nx-odd: 3\r\n\
                Content-Length: 4\r\n\r\nbody";
    let mut client = Client::new(&server);
    client.send(sent).until(&echo_body("é%+"));
    client.send("nonsense\r\n\r\n").rest();
    let requests = server.requests();
    let seen = &requests[0];
    assert_eq!([seen.head.as_slice(), &seen.body].concat(), sent.as_bytes());
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/a%2Fb/%C3%A9%+?q=1%202&r"));
    assert_eq!((seen.path(), seen.query()), ("/a%2Fb/%C3%A9%+", Some("q=1%202&r")));
    assert_eq!(seen.segments(), [b"a/b".as_slice(), "é%+".as_bytes()]);
    assert_eq!((seen.query_value("q").unwrap(), seen.query_value("x")), (b"1 2".to_vec(), None));
    assert_eq!((seen.header("HOST"), seen.header_values("x-odd")), (Some("shop"), vec!["two", "3"]));
    assert_eq!((seen.number, seen.connection, seen.attempt, seen.in_flight), (0, 0, 1, 1));
    assert!(seen.answered().unwrap() >= seen.at);
    assert_eq!((server.count(), server.stray()), (1, b"nonsense\r\n\r\n".to_vec()));
    assert_eq!(server.url("/x"), format!("http://{}/x", server.addr()));
}

#[test]
fn a_connection_is_kept_and_counted_once() {
    let server = ScriptedServer::echo();
    server.watch_connections();
    let mut client = Client::new(&server);
    client.get("/p/1").until(&echo_body("1"));
    client.get("http://shop/p/2?x=/y").until(&echo_body("2"));
    let requests = server.requests();
    assert_eq!((requests[1].connection, requests[1].on_connection), (0, 1));
    assert_eq!(requests[1].path(), "/p/2", "as a proxy is asked");
    drop(client);
    server.wait_until(|server| server.open_connections() == 0);
    assert_eq!((server.connections(), server.max_connections(), server.abandoned()), (1, 1, 0));
}

#[test]
fn a_body_can_be_cut_in_every_framing() {
    let body = "{\"a\":[1,2,3]}";
    let (length, _) = see(Reply::json(body).cut(5));
    assert!(length.contains("Content-Length: 13\r\n") && length.ends_with("\r\n\r\n{\"a\":"), "{length}");
    let (chunked, _) = see(Reply::json(body).chunked().cut(5));
    assert!(chunked.ends_with("Transfer-Encoding: chunked\r\n\r\nd\r\n{\"a\":"), "{chunked}");
    let (unended, _) = see(Reply::json(body).chunked().cut(13));
    assert!(unended.ends_with("d\r\n{\"a\":[1,2,3]}\r\n"), "{unended}");
    let (closed, _) = see(Reply::json(&body[..5]).until_close());
    assert!(!closed.contains("Content-Length") && closed.ends_with("\r\n\r\n{\"a\":"), "{closed}");
    let (longer, _) = see(Reply::json(body).said_length(99).close());
    assert!(longer.contains("Content-Length: 99\r\n") && longer.ends_with(body), "{longer}");
    let (headless, _) = see(Reply::json(body).cut(0));
    assert!(headless.ends_with("\r\n\r\n"), "{headless}");
    assert_eq!(see(Reply::raw("HTTP/1.1 20")), ("HTTP/1.1 20".into(), None));
}

#[test]
fn a_connection_can_end_without_an_answer() {
    assert_eq!(see(Reply::hang_up()), (String::new(), None));
    assert_eq!(see(Reply::reset()), (String::new(), Some(ErrorKind::ConnectionReset)));
    let (seen, error) = see(Reply::json("[1,2]").reset_after(2));
    assert_eq!(error, Some(ErrorKind::ConnectionReset), "{seen}");
}

#[test]
fn a_client_that_leaves_is_noticed_and_its_request_no_longer_in_flight() {
    for reply in [Reply::silence(), Reply::status(200).wait(AGES), Reply::bytes("x").endless()] {
        let server = ScriptedServer::start(move |_| reply.clone());
        let mut clients: Vec<_> = (0..3).map(|_| Client::new(&server)).collect();
        for client in &mut clients {
            client.get("/p/1");
        }
        server.wait_for(3);
        server.wait_until(|server| server.in_flight() == 3);
        assert_eq!(server.requests()[2].in_flight, 3);
        assert_eq!(server.requests()[2].attempt, 3);
        drop(clients);
        server.wait_until(|server| server.in_flight() == 0 && server.open_connections() == 0);
        assert_eq!((server.abandoned(), server.max_in_flight()), (3, 3));
    }
}

#[test]
fn an_idle_connection_is_closed_without_an_answer() {
    let server = ScriptedServer::script(Script::new().for_sku("1", [Reply::json("1").idle_close(MOMENT)]));
    let (seen, error) = Client::new(&server).get("/p/1").rest();
    assert!(seen.ends_with("\r\n\r\n1") && !seen.to_lowercase().contains("connection: close"), "{seen}");
    assert_eq!(error, None);
    assert!(server.requests()[0].answered().is_some());
}

#[test]
fn a_connection_can_be_closed_under_the_next_request() {
    let server = ScriptedServer::script(Script::new().for_sku("1", [Reply::json("1").close_on_next()]));
    let mut client = Client::new(&server);
    client.get("/p/1").until("\r\n\r\n1");
    assert_eq!(client.get("/p/2").rest().0, "");
    assert_eq!((server.count(), server.turned_away()), (1, 1));
    assert!(server.stray().starts_with(b"GET /p/2 "));
}

#[test]
fn an_answer_can_be_sent_in_pieces_with_pauses() {
    let (seen, _) =
        see(Reply::json("[1,2,3]").drip(2, Duration::from_millis(1)).pause(MOMENT).wait(MOMENT).close());
    assert!(seen.contains("Content-Length: 7\r\n") && seen.ends_with("\r\n\r\n[1,2,3]"), "{seen}");
    let (seen, _) = see(Reply::bytes("abc").chunked().drip(2, Duration::from_millis(1)).close());
    assert!(seen.ends_with("2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"), "{seen}");
    let (seen, _) = see(Reply::bytes("ab").repeated(3).close());
    assert!(seen.contains("Content-Length: 6\r\n") && seen.ends_with("ababab"), "{seen}");
    let (seen, _) = see(Reply::json("1").with_status(204).informational(103, 3).close());
    assert_eq!(seen.matches("HTTP/1.1 103").count(), 3, "{seen}");
    assert!(
        seen.contains("HTTP/1.1 204") && seen.ends_with("\r\n\r\n") && !seen.contains("Length"),
        "{seen}"
    );
}

#[test]
fn replies_follow_the_script_by_sku_and_by_number() {
    let script = Script::new()
        .first([Reply::retry_after(429, "2").header("Date", "x")])
        .for_sku("A 1", [Reply::status(503), Reply::json("\"well\"")])
        .otherwise(|seen| Reply::redirect(302, &format!("/moved{}", seen.target)));
    let server = ScriptedServer::script(script);
    let mut client = Client::new(&server);
    let limited = client.get("/p/B").until("{\"status\":429}");
    assert!(
        limited.starts_with("HTTP/1.1 429 Too Many Requests\r\n") && limited.contains("Retry-After: 2\r\n")
    );
    assert!(client.get("/p/A%201").until("{\"status\":503}").starts_with("HTTP/1.1 503"));
    client.get("/p/A%201").until("\"well\"");
    client.get("/p/A%201").until("\"well\"");
    assert!(client.get("/p/B").until("\r\n\r\n").contains("Location: /moved/p/B\r\n"));
    let attempts: Vec<_> = server.requests_for("A 1").iter().map(|seen| seen.attempt).collect();
    assert_eq!(attempts, [1, 2, 3]);
}

#[test]
fn a_capacity_makes_the_others_queue() {
    let capacity = Capacity::new(1);
    let server = ScriptedServer::start(move |seen| {
        let work = if seen.number == 0 { MOMENT } else { Duration::ZERO };
        Reply::echo(seen).wait(work).through(&capacity)
    });
    let mut clients: Vec<_> = (0..4).map(|_| Client::new(&server)).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.get("/p/1");
        server.wait_for(n + 1);
    }
    for client in &mut clients {
        client.until(&echo_body("1"));
    }
    server.wait_until(|server| server.in_flight() == 0);
    let requests = server.requests();
    let answered: Vec<_> = requests.iter().map(|seen| seen.answered().unwrap()).collect();
    assert!(answered.is_sorted(), "the first, which takes long, was not overtaken: {answered:?}");
}

#[test]
fn arrivals_are_counted_by_window() {
    let server = ScriptedServer::echo();
    let mut client = Client::new(&server);
    for _ in 0..6 {
        client.get("/p/1").until(&echo_body("1"));
    }
    let requests = server.requests();
    assert_eq!((server.busiest(AGES), server.busiest(Duration::ZERO)), (6, 1));
    assert_eq!(server.busiest(requests[5].at - requests[0].at), 6);
    assert_eq!(server.requests_between(requests[0].at, requests[5].at).len(), 4);
}

#[test]
fn a_server_can_stop_and_listen_again_at_its_address() {
    let server = ScriptedServer::echo();
    let addr = server.addr();
    let mut client = Client::new(&server);
    client.get("/p/1").until(&echo_body("1"));
    drop(server);
    assert_eq!(client.0.read(&mut [0]).unwrap_or(0), 0);
    // A process that another test is starting has the listener, too, until it runs its program.
    let until = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(addr).is_ok() && Instant::now() < until {
        thread::sleep(MOMENT);
    }
    assert_eq!(TcpStream::connect(addr).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    let server = ScriptedServer::start_at(addr, |_| Reply::json("2"));
    Client::new(&server).get("/p/1").until("\r\n\r\n2");
    assert_eq!(TcpStream::connect(closed_port()).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_full_listener_neither_accepts_nor_refuses_a_connection() {
    let port = FullListener::new();
    let error = TcpStream::connect_timeout(&port.addr(), MOMENT).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

#[test]
fn a_proxy_can_be_played() {
    let behind = ScriptedServer::echo();
    let to = behind.addr();
    let proxy = ScriptedServer::start(move |seen| match seen.method.as_str() {
        "CONNECT" => Reply::tunnel(to),
        _ => Reply::echo(seen),
    });
    let mut client = Client::new(&proxy);
    client.send(&format!("CONNECT {to} HTTP/1.1\r\n\r\n")).until("\r\n\r\n");
    client.get("/p/1").until(&echo_body("1"));
    client.0.shutdown(Shutdown::Both).unwrap();
    assert_eq!((proxy.requests()[0].target.clone(), behind.count()), (to.to_string(), 1));
}

fn client() -> reqwest::ClientBuilder {
    // Another test of this process may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().retry(reqwest::retry::never())
}

#[tokio::test]
async fn never_more_are_in_flight_than_the_client_holds() {
    let server = ScriptedServer::start(|seen| match seen.number % 7 {
        0 => Reply::hang_up(),
        1 => Reply::json("[1,2,3]").cut(3),
        2 => Reply::echo(seen).chunked().drip(4, Duration::from_millis(1)),
        3 => Reply::status(503).close(),
        _ => Reply::echo(seen).wait(Duration::from_millis(1)),
    });
    let client = client().build().unwrap();
    let requested = futures_util::stream::iter(0..500).map(|n| {
        let requested = client.get(server.url(&format!("/p/{n}"))).send();
        async move {
            if let Ok(response) = requested.await {
                // That some are cut is the point.
                let _ = response.bytes().await;
            }
        }
    });
    requested.buffer_unordered(8).collect::<()>().await;
    server.wait_until(|server| server.in_flight() == 0);
    assert_eq!(server.count(), 500);
    assert!((2..=8).contains(&server.max_in_flight()), "{}", server.max_in_flight());
}

#[tokio::test]
async fn encoded_bodies_are_what_they_say() {
    let text = "{\"a\":\"ééé\"}".repeat(50);
    let plain = Reply::json(text.clone());
    let replies = Script::new()
        .for_sku("gzip", [plain.clone().gzip()])
        .for_sku("deflate", [plain.clone().deflate()])
        .for_sku("br", [plain.clone().brotli()])
        .for_sku("zstd", [plain.clone().zstd().chunked()]);
    let server = ScriptedServer::script(replies);
    let client = client().build().unwrap();
    for name in ["gzip", "deflate", "br", "zstd"] {
        let response = client.get(server.url(&format!("/p/{name}"))).send().await.unwrap();
        let headers = response.headers().clone();
        let body = response.bytes().await.unwrap();
        assert_ne!(body, text, "{name}");
        assert_eq!(decode(&headers, body, Size(1 << 20)).unwrap(), text, "{name}");
    }
    let mut whole = String::new();
    let members = encode::gzip_members(text.as_bytes(), 3);
    flate2::read::MultiGzDecoder::new(members.as_slice()).read_to_string(&mut whole).unwrap();
    assert_eq!(whole, text);
    let mut first = String::new();
    flate2::read::GzDecoder::new(members.as_slice()).read_to_string(&mut first).unwrap();
    assert_eq!(first, text[..first.len()]);
    assert!(first.len() < text.len());
    let mut raw = String::new();
    let packed = encode::raw_deflate(text.as_bytes());
    flate2::read::DeflateDecoder::new(packed.as_slice()).read_to_string(&mut raw).unwrap();
    assert_eq!(raw, text);
}

#[test]
fn a_bomb_is_small_and_holds_a_great_json_string() {
    let bomb = encode::gzip_bomb(3);
    assert!(bomb.len() < 20_000, "{}", bomb.len());
    let mut text = String::new();
    flate2::read::GzDecoder::new(bomb.as_slice()).read_to_string(&mut text).unwrap();
    assert_eq!(text.len(), (3 << 20) + 2);
    assert_eq!(text.trim_matches('"').trim_matches('a'), "");
}

#[tokio::test]
async fn a_good_certificate_is_accepted_only_by_a_client_that_trusts_its_authority() {
    let authority = Authority::new();
    let root = reqwest::Certificate::from_pem(authority.pem().as_bytes()).unwrap();
    let trusting = client().tls_certs_only([root]).build().unwrap();
    let server = ScriptedServer::start_tls(&authority.good(), Protocol::Http1, Reply::echo);
    let response = trusting.get(server.url("/p/1")).send().await.unwrap();
    assert_eq!(response.version(), http::Version::HTTP_11);
    assert_eq!(response.text().await.unwrap(), echo_body("1"));
    assert!(server.url("").starts_with("https://") && server.connections() == 1);
    let bad = [authority.expired(), authority.wrong_host(), Identity::self_signed(), Authority::new().good()];
    for identity in bad {
        let server = ScriptedServer::start_tls(&identity, Protocol::Http1, Reply::echo);
        assert!(trusting.get(server.url("/p/1")).send().await.unwrap_err().is_connect());
        server.wait_until(|server| server.failed_handshakes() == 1);
        assert_eq!((server.connections(), server.count()), (0, 0));
    }
}

#[tokio::test]
async fn http2_is_negotiated_with_the_configured_number_of_streams() {
    let authority = Authority::new();
    let root = reqwest::Certificate::from_pem(authority.pem().as_bytes()).unwrap();
    let trusting = client().tls_certs_only([root]).build().unwrap();
    let identity = authority.good();
    let server =
        ScriptedServer::start_tls(&identity, Protocol::Either { streams: 2 }, |seen| match &*seen.sku {
            "gone" => Reply::hang_up(),
            _ => Reply::echo(seen).header("X-Odd", "1").wait(MOMENT),
        });
    let warm = trusting.get(server.url("/p/0?q=1")).send().await.unwrap();
    assert_eq!(
        (warm.version(), warm.headers()["x-odd"].as_bytes()),
        (http::Version::HTTP_2, b"1".as_slice())
    );
    let requested = (1..7).map(|n| trusting.get(server.url(&format!("/p/{n}"))).send());
    for answer in futures_util::future::join_all(requested).await {
        answer.unwrap().text().await.unwrap();
    }
    assert_eq!((server.connections(), server.max_in_flight(), server.count()), (1, 2, 7));
    assert_eq!((server.requests()[0].target.as_str(), server.requests()[0].sku.as_str()), ("/p/0?q=1", "0"));
    assert!(trusting.get(server.url("/p/gone")).send().await.is_err());
    assert_eq!(server.abandoned(), 1);
    let old = client().http1_only().tls_danger_accept_invalid_certs(true).build().unwrap();
    assert_eq!(old.get(server.url("/p/1")).send().await.unwrap().version(), http::Version::HTTP_11);
    let only = ScriptedServer::start_tls(&identity, Protocol::Http2 { streams: 9 }, Reply::echo);
    assert_eq!(trusting.get(only.url("/p/1")).send().await.unwrap().version(), http::Version::HTTP_2);
}

#[test]
fn a_run_has_a_folder_an_environment_and_an_end_of_its_own() {
    let dir = WorkDir::new();
    Run::new(&dir).args(["--version"]).finish().expect_code(0);
    let script = "cat; pwd; env | sort; echo said >&2; exit 3";
    let ended =
        Run::new(&dir).under(["sh", "-c", script]).env("X_Y", "1").stdin("fed\n").finish().expect_code(3);
    let root = dir.root().to_str().unwrap();
    assert!(ended.stdout().starts_with(&format!("fed\n{root}\nHOME={root}\n")), "{}", ended.stdout());
    assert!(ended.stdout().contains("X_Y=1\n") && !ended.stdout().to_lowercase().contains("proxy"));
    assert_eq!(ended.stderr, "said\n");
    let unfed = Run::new(&dir).under(["sh", "-c", "cat; exit 0"]).finish();
    assert_eq!((unfed.code, unfed.stdout()), (Some(0), ""));
    Run::new(&dir).args(["--version"]).after_shell("ulimit -n 64; trap '' HUP").finish().expect_code(0);
    let broken =
        Run::new(&dir).under(["sh", "-c", "trap '' PIPE; echo x; exit $?"]).stdout(closed_pipe()).finish();
    assert_ne!(broken.code, Some(0), "the write fails");
    let file = std::fs::File::create(dir.path("said")).unwrap();
    let to_file: Ended = Run::new(&dir).under(["sh", "-c", "echo said >&2"]).stderr(file).finish();
    assert_eq!((to_file.stderr.as_str(), dir.read("said").as_str()), ("", "said\n"));
}

#[test]
fn a_run_under_way_can_be_fed_watched_signalled_and_killed() {
    let dir = WorkDir::new();
    let mut run =
        Run::new(&dir).under(["sh", "-c", "read line; echo $line >&2; exec sleep 60"]).open_stdin().spawn();
    run.feed("one\n");
    run.wait_for_stderr("one");
    // One sample of its memory before it ends.
    let mut looked = false;
    run.wait_until(|| std::mem::replace(&mut looked, true));
    run.signal(Signal::TERM);
    let ended = run.wait();
    assert_eq!((ended.code, ended.signal), (None, Some(15)));
    assert!(ended.peak_memory > 100 << 10 && ended.took > Duration::ZERO);
    let mut run = Run::new(&dir).under(["sh", "-c", "touch begun; exec sleep 60"]).spawn();
    run.wait_until(|| dir.has("begun"));
    let id = run.id();
    run.kill();
    assert_eq!(run.wait().signal, Some(9));
    assert!(!std::path::Path::new(&format!("/proc/{id}")).exists());
}

#[test]
fn a_run_that_hangs_is_killed_and_fails_its_test() {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let dir = WorkDir::new();
        let run = Run::new(&dir).under(["sh", "-c", "echo here; exec sleep 60"]).within(MOMENT * 10).spawn();
        let id = run.id();
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.wait())).unwrap_err();
        sender.send((id, panic.downcast_ref::<String>().unwrap().clone())).unwrap();
    });
    let (id, message) = receiver.recv().unwrap();
    assert!(message.contains("killed after") && message.contains("here"), "{message}");
    assert!(!std::path::Path::new(&format!("/proc/{id}")).exists());
}

#[test]
fn a_folder_is_written_read_and_searched() {
    let dir = WorkDir::new();
    dir.write_skus(["007", "a \"b\"", "c,d"]);
    assert_eq!(dir.read("products.csv"), "sku\n\"007\"\n\"a \"\"b\"\"\"\n\"c,d\"\n");
    dir.write("out.json", b"\xff canary");
    assert_eq!(
        (dir.names(), dir.holding("canary")),
        (vec!["out.json".into(), "products.csv".into()], vec!["out.json".to_owned()])
    );
    assert_eq!(dir.bytes("out.json")[0], 0xff);
    assert!(dir.has("out.json") && !dir.has("other"));
    let root = dir.root().to_owned();
    drop(dir);
    assert!(!root.exists());
}

#[test]
fn the_compressed_fixtures_hold_the_plain_one() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/csv");
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let plain = read("quoted.csv");
    for name in ["quoted.csv.gz", "quoted-two-members.csv.gz"] {
        let mut whole = Vec::new();
        flate2::read::MultiGzDecoder::new(read(name).as_slice()).read_to_end(&mut whole).unwrap();
        assert_eq!(whole, plain, "{name}");
    }
    assert_eq!(zstd::decode_all(read("quoted.csv.zst").as_slice()).unwrap(), plain);
    assert!(str::from_utf8(&read("latin1.csv")).is_err());
    assert_eq!(read("utf16.csv")[..2], [0xff, 0xfe]);
    assert!(read("crlf-bom.csv").starts_with(b"\xef\xbb\xbfSKU,name\r\n"));
}
