//! The quota that a server announces is kept to before it has to answer 429.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::support::{Reply, Run, ScriptedServer, WorkDir};

fn fetch<'a>(dir: &'a WorkDir, server: &ScriptedServer) -> Run<'a> {
    let url = server.url("/products/{sku}");
    Run::new(dir).args(["products.csv", "-o", "out.json", "-c", "4", "--url", &url])
}

fn skus(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("S{n:04}")).collect()
}

#[test]
fn a_quota_that_is_used_up_pauses_the_pool_until_its_reset_without_a_429() {
    for field in [("RateLimit", "\"default\";r=0;t=1"), ("X-RateLimit-Remaining", "0")] {
        let dir = WorkDir::new();
        dir.write_skus(skus(24));
        let server = ScriptedServer::start(move |seen| {
            let reply = Reply::echo(seen);
            if seen.number == 8 {
                reply.header(field.0, field.1).header("X-RateLimit-Reset", "1")
            } else {
                reply
            }
        });
        fetch(&dir, &server).finish().expect_code(0);
        let times: Vec<_> = server.requests().iter().map(|seen| seen.at).collect();
        assert_eq!(times.len(), 24, "nothing was asked for twice");
        let quiet = times.windows(2).map(|pair| pair[1].duration_since(pair[0])).max().unwrap();
        assert!(quiet >= Duration::from_millis(900), "{field:?}: the longest quiet was {quiet:?}");
    }
}

#[test]
fn a_quota_that_pauses_the_pool_is_named_as_what_limited_the_run() {
    let dir = WorkDir::new();
    dir.write_skus(skus(60));
    // Windows of a second, the first from the first request on.
    let window = Mutex::new((Instant::now(), 0));
    let server = ScriptedServer::start(move |seen| {
        let mut window = window.lock().unwrap();
        if window.1 == 0 || window.0.elapsed() >= Duration::from_secs(1) {
            *window = (Instant::now(), 0);
        }
        window.1 += 1;
        let reply = if window.1 <= 20 { Reply::echo(seen) } else { Reply::status(429) };
        let left = 20_u32.saturating_sub(window.1);
        let reply = reply.header("RateLimit-Policy", "\"default\";q=20;w=1");
        reply.header("RateLimit", format!("\"default\";r={left};t=1"))
    });
    // One at a time: where answers overtake each other one more may be sent, and is refused.
    let url = server.url("/products/{sku}");
    let args = ["products.csv", "-o", "out.json", "-c", "1", "--url", &url];
    let ended = Run::new(&dir).args(args).finish().expect_code(0);
    let line = |start: &str| ended.stderr.lines().find(|line| line.starts_with(start)).unwrap().to_owned();
    let verdict = line("limited by");
    assert!(verdict.starts_with("limited by: the quota that the API announces"), "{verdict}");
    assert!(verdict.ends_with("--rate 20/s spreads it evenly"), "{verdict}");
    assert_eq!(line("the API's limit"), "the API's limit: the quota fields say 20 in 1 s");
}

#[test]
fn redirects_beyond_a_quota_wait_for_its_reset_and_not_for_one_another() {
    let dir = WorkDir::new();
    dir.write_skus(skus(40));
    let server = ScriptedServer::start(|seen| {
        let reply = match seen.target.strip_prefix("/products/") {
            Some(sku) => Reply::redirect(307, &format!("/q/{sku}")),
            None => Reply::echo(seen),
        };
        let remaining = (9 - seen.number % 10).to_string();
        reply.header("X-RateLimit-Remaining", remaining).header("X-RateLimit-Reset", "0.2")
    });
    fetch(&dir, &server).args(["--max-time", "50s"]).finish().expect_code(0);
    assert_eq!(server.count(), 80);
}

#[test]
fn a_reset_that_is_too_far_away_defers_the_run_only_together_with_a_refusal() {
    for status in [200, 403, 429] {
        let dir = WorkDir::new();
        dir.write_skus(skus(40));
        let server = ScriptedServer::start(move |seen| {
            let reply =
                if seen.number == 5 { Reply::echo(seen).with_status(status) } else { Reply::echo(seen) };
            if seen.number == 5 {
                reply.header("X-RateLimit-Remaining", "0").header("X-RateLimit-Reset", "7200")
            } else {
                reply
            }
        });
        if status == 200 {
            fetch(&dir, &server).finish().expect_code(0);
            continue;
        }
        let ended = fetch(&dir, &server).finish().expect_code(75);
        assert!(
            ended.stderr.contains("2 h") && ended.stderr.contains("--max-retry-after"),
            "{}",
            ended.stderr
        );
        assert!(server.count() < 15, "{} requests", server.count());
        assert!(!dir.has("out.json") && dir.has("out.json.journal"));
        fetch(&dir, &server).finish().expect_code(0);
        assert_eq!(server.count(), 41, "what was answered is not asked for again");
    }
}
