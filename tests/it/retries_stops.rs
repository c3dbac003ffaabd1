//! The run stops by itself where going on is senseless, and goes on where it is not.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use crate::requests::run_with_url;
use crate::support::raw::RawServer;
use crate::support::{FullListener, Reply, Run, ScriptedServer, WorkDir, closed_port};

fn skus(count: usize) -> WorkDir {
    let dir = WorkDir::new();
    dir.write_skus((0..count).map(|n| n.to_string()));
    dir.write("out.json", "the old one");
    dir
}

/// A port whose connections are counted, and reset before a byte is said.
fn counting_port() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (addr, count) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&count);
    // Ends with the test process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            counted.fetch_add(1, Ordering::SeqCst);
            drop(stream);
        }
    });
    (format!("https://{addr}/p/{{sku}}"), count)
}

#[test]
fn a_closed_port_ends_the_run_and_leaves_the_old_output() {
    for concurrency in ["1", "64", "300"] {
        let dir = skus(20_000);
        let url = format!("http://{}/p/{{sku}}", closed_port());
        let ended = run_with_url(&dir, &url, ["-c", concurrency]).finish().expect_code(69);
        assert!(ended.stderr.contains("unreachable"), "{}", ended.stderr);
        assert!(ended.stderr.contains("20,000 deferred"), "{}", ended.stderr);
        assert_eq!(dir.read("out.json"), "the old one");
        assert!(!dir.has("out.failed.csv"), "deferred is not failed");
    }
}

#[test]
fn at_most_15_connections_are_tried_where_none_can_be_opened() {
    let (url, tried) = counting_port();
    let dir = skus(2000);
    let ended = run_with_url(&dir, &url, ["-c", "64"]).finish().expect_code(69);
    assert!(ended.stderr.contains("unreachable"), "{}", ended.stderr);
    let tried = tried.load(Ordering::SeqCst);
    assert!((10..=15).contains(&tried), "{tried} connections");
}

#[test]
fn a_name_that_is_not_found_and_a_port_that_never_answers_are_without_a_connection() {
    let listener = FullListener::new();
    for url in
        ["http://no-such-host.invalid/p/{sku}".to_owned(), format!("http://{}/p/{{sku}}", listener.addr())]
    {
        let dir = skus(100);
        let args = ["-c", "16", "--connect-timeout", "100ms", "--retries", "20"];
        let ended = run_with_url(&dir, &url, args).finish().expect_code(69);
        assert!(ended.stderr.contains("unreachable"), "{}", ended.stderr);
        assert_eq!(dir.read("out.json"), "the old one");
    }
    let dir = skus(100);
    let url = format!("http://{}/p/{{sku}}", listener.addr());
    // The shorter time of the two ends the same attempt to connect.
    let ended = run_with_url(&dir, &url, ["-c", "16", "--timeout", "100ms"]).finish().expect_code(69);
    assert!(ended.stderr.contains("unreachable"), "{}", ended.stderr);
}

#[test]
fn credentials_that_are_refused_from_the_start_end_the_run_after_five_answers() {
    for status in [401, 403] {
        for concurrency in [1, 16] {
            let dir = skus(2000);
            let server = ScriptedServer::start(move |_| Reply::status(status));
            let args = ["-c", &concurrency.to_string()];
            let ended = run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(77);
            assert!(server.count() <= 5 + concurrency, "{} requests", server.count());
            assert!(ended.stderr.contains(&status.to_string()), "{}", ended.stderr);
            assert!(ended.stderr.contains("2,000 deferred"), "{}", ended.stderr);
            assert_eq!(dir.read("out.json"), "the old one");
            assert!(!dir.has("out.failed.csv"), "deferred is not failed");
        }
    }
}

#[test]
fn twenty_refusals_in_a_row_end_a_good_run_and_its_answers_stay_in_the_journal() {
    let dir = skus(500);
    let server = ScriptedServer::start(|seen| match seen.number {
        n if n < 100 => Reply::echo(seen),
        _ => Reply::status(401),
    });
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), ["-c", "4"]).finish().expect_code(77);
    assert!((120..=124).contains(&server.count()), "{} requests", server.count());
    assert!(
        ended.stderr.contains("100 fetched") && ended.stderr.contains("400 deferred"),
        "{}",
        ended.stderr
    );
    assert!(dir.has("out.json.journal"));
    let addr = server.addr();
    drop(server);
    let server = ScriptedServer::start_at(addr, Reply::echo);
    run_with_url(&dir, &server.url("/p/{sku}"), [""; 0]).finish().expect_code(0);
    assert_eq!(server.count(), 400, "what was refused is asked for again");
}

#[test]
fn alternating_refusals_and_answers_go_on_to_the_end() {
    let dir = skus(200);
    let server = ScriptedServer::start(|seen| match seen.sku.parse::<usize>().unwrap() % 2 {
        0 => Reply::status(403),
        _ => Reply::echo(seen),
    });
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), ["-c", "1"]).finish().expect_code(1);
    assert!(ended.stderr.contains("100 fetched, 100 failed"), "{}", ended.stderr);
    assert_eq!(server.count(), 200);
}

#[test]
fn refusals_that_are_stored_as_null_and_not_founds_never_end_a_run() {
    let dir = skus(100);
    let server = ScriptedServer::start(|_| Reply::status(401));
    run_with_url(&dir, &server.url("/p/{sku}"), ["--null-on", "401", "--min-success", "0"])
        .finish()
        .expect_code(0);
    std::fs::remove_file(dir.path("out.json")).unwrap();
    let server = ScriptedServer::start(|_| Reply::status(404));
    let args = ["--min-success", "0", "--fresh"];
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(1);
    assert_eq!(server.count(), 100, "{}", ended.stderr);
}

#[test]
fn a_few_skus_that_always_fail_are_no_outage_though_their_retries_are_the_last_requests() {
    let dir = skus(64);
    let server = ScriptedServer::start(|seen| match seen.sku.parse::<usize>().unwrap() % 8 {
        0 => Reply::status(500),
        _ => Reply::echo(seen).wait(Duration::from_millis(20)),
    });
    let args = ["-c", "16", "--retries", "3"];
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(1);
    assert!(ended.stderr.contains("56 fetched, 8 failed"), "{}", ended.stderr);
    assert_eq!(server.count(), 56 + 8 * 4);
}

#[test]
fn an_outage_in_the_middle_is_survived_and_costs_few_requests() {
    let dir = skus(400);
    let up = Instant::now();
    let server = ScriptedServer::start(move |seen| {
        let out = (300..2500).contains(&up.elapsed().as_millis());
        if out && seen.number > 20 {
            Reply::status(503)
        } else {
            Reply::echo(seen).wait(Duration::from_millis(20))
        }
    });
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), ["-c", "8"]).finish().expect_code(0);
    assert!(ended.stderr.contains("400 fetched"), "{}", ended.stderr);
    assert!(server.count() <= 520, "{} requests", server.count());
}

#[test]
fn an_outage_of_20_seconds_costs_no_sku_and_at_most_three_tenths_more_requests() {
    let dir = skus(400);
    // It begins with the hundredth request, whenever that arrives.
    let began = OnceLock::new();
    let server = ScriptedServer::start(move |seen| {
        let is_out = seen.number >= 100 && began.get_or_init(Instant::now).elapsed().as_secs() < 20;
        if is_out { Reply::status(500) } else { Reply::echo(seen).wait(Duration::from_millis(20)) }
    });
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), ["-c", "8"]).finish().expect_code(0);
    assert!(ended.stderr.contains("400 fetched"), "{}", ended.stderr);
    assert!(ended.stderr.contains("limited by: the server: it kept failing"), "{}", ended.stderr);
    assert!(server.count() <= 520, "{} requests", server.count());
}

#[test]
fn a_few_bad_skus_at_the_end_are_no_outage() {
    for (often, code) in [(3, 0), (usize::MAX, 1)] {
        let dir = skus(156);
        std::fs::remove_file(dir.path("out.json")).unwrap();
        let server = ScriptedServer::start(move |seen| match seen.sku.parse::<usize>().unwrap() {
            150.. if seen.attempt <= often => Reply::status(500),
            _ => Reply::echo(seen),
        });
        let ended = run_with_url(&dir, &server.url("/p/{sku}"), [""; 0]).finish().expect_code(code);
        let fetched = if code == 0 { 156 } else { 150 };
        assert_eq!(dir.read("out.json").lines().count(), fetched + 2, "{}", ended.stderr);
        assert!(server.count() <= 150 + 6 * 6 + 3, "{} requests", server.count());
    }
}

#[test]
fn an_api_that_is_not_there_yet_or_restarts_is_waited_for() {
    let (dir, addr) = (skus(60), closed_port());
    let url = format!("http://{addr}/p/{{sku}}");
    let run = run_with_url(&dir, &url, ["--wait-for-api", "30s"]).spawn();
    std::thread::sleep(Duration::from_millis(1500));
    let server = ScriptedServer::start_at(addr, |seen| Reply::echo(seen).wait(Duration::from_millis(100)));
    server.wait_for(20);
    drop(server);
    std::thread::sleep(Duration::from_millis(1500));
    let server = ScriptedServer::start_at(addr, Reply::echo);
    let ended = run.wait().expect_code(0);
    assert!(ended.stderr.contains("60 fetched"), "{}", ended.stderr);
    drop(server);

    let (dir, url) = (skus(3), format!("http://{}/p/{{sku}}", closed_port()));
    let began = Instant::now();
    let ended = run_with_url(&dir, &url, ["--wait-for-api", "3s"]).finish().expect_code(69);
    assert!((2..6).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    assert!(ended.stderr.contains("unreachable") && ended.stderr.contains("3 deferred"), "{}", ended.stderr);
}

#[test]
fn a_header_that_cannot_be_read_ends_the_run_where_all_have_it_and_fails_its_sku_where_one_has() {
    let began = Instant::now();
    for wrong in ["X-Folded: a\r\n b\r\n", "X Space: a\r\n"] {
        let answer = move |asked: &crate::support::raw::RawRequest, wrong: &str| {
            let body = crate::support::reply::echo_body(&asked.sku);
            format!("HTTP/1.1 200 OK\r\n{wrong}Content-Length: {}\r\n\r\n{body}", body.len())
        };
        let server = RawServer::answering(move |socket, asked| socket.say(answer(asked, wrong)));
        let dir = skus(500);
        let ended = run_with_url(&dir, &server.url("/p/{sku}"), [""; 0]).finish().expect_code(69);
        assert!(ended.stderr.contains("error: the server's header cannot be read: "), "{}", ended.stderr);
        assert!(ended.stderr.contains("500 deferred"), "{}", ended.stderr);

        let server = RawServer::answering(move |socket, asked| {
            socket.say(answer(asked, if asked.sku == "7" { wrong } else { "" }))
        });
        let dir = skus(60);
        let ended = run_with_url(&dir, &server.url("/p/{sku}"), ["--retries", "1"]).finish().expect_code(1);
        assert!(ended.stderr.contains("59 fetched, 1 failed (1 header unreadable)"), "{}", ended.stderr);
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn a_proxy_that_refuses_the_credentials_ends_the_run_after_five_answers() {
    let (dir, proxy) = (skus(2000), ScriptedServer::start(|_| Reply::status(407)));
    let args = ["--proxy", &format!("http://us:pass@{}", proxy.addr()), "-c", "4"];
    let ended = run_with_url(&dir, "http://api.test/p/{sku}", args).finish().expect_code(77);
    assert!(ended.stderr.contains("error: the proxy refuses the credentials: 5 answers in a row were 407"));
    assert!(ended.stderr.contains("hint: check --proxy"), "{}", ended.stderr);
    assert!(proxy.count() <= 9, "{} requests", proxy.count());
}

/// Requests that a limiter accepts: `most` in each period, which begins with the first request after the one before.
struct Window {
    most: usize,
    period: Duration,
    now: Mutex<Option<(Instant, usize)>>,
}

impl Window {
    fn new(most: usize, period: Duration) -> Self {
        Self { most, period, now: Mutex::default() }
    }

    fn accepts(&self) -> bool {
        let mut now = self.now.lock().unwrap();
        let (began, count) = now.get_or_insert_with(|| (Instant::now(), 0));
        if began.elapsed() >= self.period {
            (*began, *count) = (Instant::now(), 0);
        }
        *count += 1;
        *count <= self.most
    }
}

#[test]
fn a_limit_that_is_told_by_a_bare_403_goes_away_by_waiting() {
    // Over it, a 403 that says nothing.
    let dir = skus(150);
    let window = Window::new(60, Duration::from_secs(5));
    let server = ScriptedServer::start(
        move |seen| {
            if window.accepts() { Reply::echo(seen) } else { Reply::status(403) }
        },
    );
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), ["-c", "4"]).finish().expect_code(0);
    assert!(ended.stderr.contains("150 fetched"), "{}", ended.stderr);
}

/// Requests that a limiter accepts: `burst` at once, and so many a second beside them.
struct Bucket {
    per_second: f64,
    burst: f64,
    level: f64,
    at: Instant,
}

impl Bucket {
    fn accepts(&mut self) -> bool {
        let now = Instant::now();
        self.level = (self.level - (now - self.at).as_secs_f64() * self.per_second).max(0.0);
        self.at = now;
        let has_room = self.level + 1.0 <= self.burst;
        self.level += f64::from(u8::from(has_room));
        has_room
    }
}

#[test]
fn a_bare_403_that_comes_before_the_first_answer_could_is_not_taken_for_the_credentials() {
    // As nginx does with `limit_req_status 403`: refused at once, answered after 30 ms.
    let dir = skus(60);
    let bucket = Mutex::new(Bucket { per_second: 20.0, burst: 4.0, level: 0.0, at: Instant::now() });
    let server = ScriptedServer::start(move |seen| {
        if bucket.lock().unwrap().accepts() {
            Reply::echo(seen).wait(Duration::from_millis(30))
        } else {
            Reply::status(403)
        }
    });
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), [""; 0]).finish().expect_code(0);
    assert!(ended.stderr.contains("60 fetched"), "{}", ended.stderr);
    let refusing = ScriptedServer::start(|_| Reply::status(403).wait(Duration::from_millis(30)));
    let ended = run_with_url(&dir, &refusing.url("/p/{sku}"), [""; 0]).finish().expect_code(77);
    assert!(ended.stderr.contains("answers in a row were 403"), "{}", ended.stderr);
    assert!(refusing.count() <= 16, "{} requests", refusing.count());
}

#[test]
fn a_limit_that_is_told_by_503_is_no_outage_as_long_as_skus_come() {
    let fault = || {
        let dir = skus(100);
        let window = Window::new(30, Duration::from_secs(2));
        let server = ScriptedServer::start(move |seen| {
            if window.accepts() {
                Reply::echo(seen).wait(Duration::from_millis(20))
            } else {
                Reply::status(503)
            }
        });
        let ended = run_with_url(&dir, &server.url("/p/{sku}"), [""; 0]).finish().expect_code(0);
        assert!(ended.stderr.contains("100 fetched"), "{}", ended.stderr);
        ended.stderr.contains("kept failing").then_some(ended.stderr)
    };
    // Where the machine is busy the SKUs may come too late to show that it is none: one of three runs is enough.
    let faults: Vec<String> = (0..3).map_while(|_| fault()).collect();
    assert!(faults.len() < 3, "{faults:?}");
}

#[test]
fn a_dozen_skus_that_always_fail_with_503_fail_alone_at_the_beginning_and_at_the_end() {
    for bad in [0..12_u32, 88..100] {
        let dir = skus(100);
        let is_bad = move |sku: &str| sku.parse().is_ok_and(|number: u32| bad.contains(&number));
        let server = ScriptedServer::start(move |seen| {
            if is_bad(&seen.sku) {
                Reply::status(503)
            } else {
                Reply::echo(seen).wait(Duration::from_millis(10))
            }
        });
        let ended =
            run_with_url(&dir, &server.url("/p/{sku}"), ["--max-time", "60s"]).finish().expect_code(1);
        assert!(ended.stderr.contains("88 fetched, 12 failed (12 HTTP 503)"), "{}", ended.stderr);
    }
}

#[test]
fn an_early_stop_says_why_once_and_last_with_what_to_type_next() {
    let refusing = ScriptedServer::start(|_| Reply::status(401));
    let stop = |url: String, code: i32| {
        let dir = skus(60);
        let run = Run::new(&dir).args(["products.csv", "-o", "out.json", "-u", &url]);
        run.finish().expect_code(code).stderr_after_header().to_owned()
    };
    let closed = format!("http://{}/{{sku}}", closed_port());
    for (url, code, error) in [
        (refusing.url("/{sku}"), 77, "the API refuses the credentials: 5 answers in a row were 401"),
        (closed, 69, "the API is unreachable at "),
    ] {
        let stderr = stop(url, code);
        let lines: Vec<_> = stderr.lines().collect();
        assert!(lines[0].starts_with("60 rows in ") && lines[0].contains("60 deferred"), "{stderr}");
        assert_eq!(lines[1], "nothing published; journal kept", "{stderr}");
        assert!(lines[2].starts_with(&format!("error: {error}")), "{stderr}");
        assert!(lines[3].starts_with("  hint: check "), "{stderr}");
        assert!(lines[3].ends_with("; then the same command resumes from the journal"), "{stderr}");
        assert_eq!(lines.len(), 4, "{stderr}");
        // Neither how fast it failed nor what limited that is of any use.
        assert!(!stderr.contains("p50") && !stderr.contains("limited by"), "{stderr}");
    }
}
