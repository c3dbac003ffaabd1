//! Servers that serve few connections at a time: the others wait without a sign, or are closed. No SKU pays for it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use crate::requests::run_with_url;
use crate::support::rate_law::one_of_several;
use crate::support::raw::{RawServer, whole};
use crate::support::{Reply, ScriptedServer, WorkDir};

/// Workers, each of which serves one connection to its end.
struct Workers {
    count: usize,
    /// Connections that came, that were begun, and that are being served.
    state: Mutex<(usize, usize, usize)>,
    changed: Condvar,
}

impl Workers {
    fn new(count: usize) -> Arc<Self> {
        Arc::new(Self { count, state: Mutex::default(), changed: Condvar::new() })
    }

    /// Waits in the order of arrival, as a listen backlog does.
    fn wait(&self) {
        let mut state = self.state.lock().unwrap();
        let number = state.0;
        state.0 += 1;
        let mut state = self.changed.wait_while(state, |s| s.1 != number || s.2 == self.count).unwrap();
        state.1 += 1;
        state.2 += 1;
        self.changed.notify_all();
    }

    /// Whether one is free, which then is not.
    fn try_take(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        let is_free = state.2 < self.count;
        state.2 += usize::from(is_free);
        is_free
    }

    fn leave(&self) {
        self.state.lock().unwrap().2 -= 1;
        self.changed.notify_all();
    }
}

fn few(workers: usize, refuses: bool) -> RawServer {
    let workers = Workers::new(workers);
    RawServer::start(move |mut socket| {
        if !refuses {
            workers.wait();
        } else if !workers.try_take() {
            return None;
        }
        while let Some(asked) = socket.request() {
            thread::sleep(Duration::from_millis(5));
            if socket.echo(&asked).is_none() {
                break;
            }
        }
        workers.leave();
        None
    })
}

const SKUS: usize = 600;

fn skus() -> WorkDir {
    let dir = WorkDir::new();
    dir.write_skus((0..SKUS).map(|n| n.to_string()));
    dir
}

#[track_caller]
fn expect_one_attempt_each(dir: &WorkDir) {
    let out = dir.read("out.json");
    assert_eq!(out.matches("\"attempts\":1,").count(), SKUS, "{out}");
}

#[test]
fn what_waits_on_a_silent_new_connection_moves_to_a_kept_one() {
    for concurrency in ["16", "64", "auto"] {
        for workers in [1, 4] {
            let (dir, server) = (skus(), few(workers, false));
            let args = ["-c", concurrency, "--retries", "0", "--timeout", "6s", "--shape", "record"];
            run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(0);
            expect_one_attempt_each(&dir);
        }
    }
}

#[test]
fn what_may_act_twice_is_sent_once_to_a_server_of_few_workers() {
    let (dir, server) = (skus(), few(4, false));
    let args = ["-X", "POST", "-c", "32", "--retries", "0", "--timeout", "6s", "--shape", "record"];
    run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(0);
    expect_one_attempt_each(&dir);
    assert_eq!(server.count(), SKUS);
}

#[test]
fn a_server_that_closes_the_connections_past_a_number_is_no_outage_and_costs_no_attempt() {
    for concurrency in ["16", "64", "auto"] {
        let (dir, server) = (skus(), few(5, true));
        let args = ["-c", concurrency, "--retries", "0", "--shape", "record"];
        run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(0);
        expect_one_attempt_each(&dir);
    }
}

#[test]
fn what_may_act_twice_is_not_charged_to_connections_that_are_closed_unread() {
    for concurrency in ["32", "auto"] {
        // A server on a busy machine may close a connection later than the program waits for that: the request is sent
        // then, and nobody can know that it was not read.
        one_of_several(|_| {
            let (dir, server) = (skus(), few(5, true));
            let args = ["-X", "POST", "-c", concurrency, "--retries", "0", "--shape", "record"];
            let ended = run_with_url(&dir, &server.url("/p/{sku}"), args).finish();
            assert!(server.count() <= SKUS, "{} requests, some were sent twice", server.count());
            if ended.code != Some(0) {
                return Some(ended.stderr);
            }
            expect_one_attempt_each(&dir);
            assert_eq!(server.count(), SKUS);
            assert!(ended.stderr.contains("the server serves 5 connections at a time"), "{}", ended.stderr);
            None
        });
    }
}

#[test]
fn a_proxy_that_answers_403_past_a_number_of_connections_is_one_of_few_connections() {
    for method in ["GET", "POST"] {
        let workers = Workers::new(5);
        let proxy = RawServer::start(move |mut socket| {
            if !workers.try_take() {
                socket.request()?;
                return socket.say(
                    "HTTP/1.1 403 Forbidden\r\nServer: squid/5.7\r\nX-Squid-Error: ERR_ACCESS_DENIED 0\r\n\
                     Content-Length: 0\r\n\r\n",
                );
            }
            while let Some(asked) = socket.request() {
                thread::sleep(Duration::from_millis(5));
                if socket.echo(&asked).is_none() {
                    break;
                }
            }
            workers.leave();
            None
        });
        let dir = skus();
        let args =
            ["-X", method, "-c", "32", "--retries", "0", "--shape", "record", "--proxy", &proxy.url("")];
        run_with_url(&dir, "http://shop.test/{sku}", args).finish().expect_code(0);
        expect_one_attempt_each(&dir);
    }
}

#[test]
fn a_connection_that_later_ones_passed_is_given_up_where_the_server_keeps_none() {
    // As a full listen backlog drops packets: the connections past the eighth that are open are never answered.
    let workers = Workers::new(8);
    let server = RawServer::start(move |mut socket| {
        if !workers.try_take() {
            return socket.drain();
        }
        if let Some(asked) = socket.request() {
            thread::sleep(Duration::from_millis(5));
            let answer = whole(&asked.sku).replacen("HTTP/1.1", "HTTP/1.0", 1);
            socket.say(answer);
        }
        workers.leave();
        None
    });
    let dir = skus();
    let args = ["-c", "32", "--retries", "0", "--timeout", "20s", "--shape", "record"];
    run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(0);
    expect_one_attempt_each(&dir);
}

#[test]
fn what_a_full_backlog_dropped_moves_to_a_kept_connection_when_no_other_request_is_left() {
    let number = AtomicUsize::new(0);
    // Later ones are answered, and all other SKUs with them before anyone has waited too long for these.
    let server = RawServer::start(move |mut socket| {
        if (8..28).contains(&number.fetch_add(1, Ordering::SeqCst)) {
            return socket.drain();
        }
        while let Some(asked) = socket.request() {
            thread::sleep(Duration::from_millis(1));
            if socket.echo(&asked).is_none() {
                break;
            }
        }
        None
    });
    let dir = skus();
    let args = ["-c", "40", "--retries", "0", "--timeout", "5m", "--shape", "record", "--max-time", "60s"];
    run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(0);
    expect_one_attempt_each(&dir);
}

#[test]
fn a_server_that_refuses_every_request_while_too_many_connections_are_open_is_refused_by_few() {
    thread::scope(|scope| {
        for concurrency in ["64", "300", "auto"] {
            scope.spawn(move || refused_by_few(concurrency));
        }
    });
}

fn refused_by_few(concurrency: &str) {
    let (open, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&refused);
    // As uvicorn's --limit-concurrency counts.
    let server = RawServer::start(move |mut socket| {
        open.fetch_add(1, Ordering::SeqCst);
        while let Some(asked) = socket.request() {
            if open.load(Ordering::SeqCst) >= 10 {
                count.fetch_add(1, Ordering::SeqCst);
                socket.say(
                    "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                );
                break;
            }
            thread::sleep(Duration::from_millis(5));
            if socket.echo(&asked).is_none() {
                break;
            }
        }
        open.fetch_sub(1, Ordering::SeqCst);
        None
    });
    let dir = skus();
    let args = ["-c", concurrency, "--shape", "record", "--max-time", "60s"];
    run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(0);
    let refused = refused.load(Ordering::SeqCst);
    assert!(refused < SKUS * 2 / 3, "{refused} at {concurrency}");
}

#[test]
fn a_cap_on_what_is_in_flight_that_is_told_with_503_is_kept_and_loses_no_sku() {
    for concurrency in ["64", "300", "auto"] {
        let refused = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&refused);
        // As nginx's limit_conn does.
        let server = ScriptedServer::start(move |seen| {
            if seen.in_flight > 20 {
                count.fetch_add(1, Ordering::SeqCst);
                return Reply::status(503);
            }
            Reply::echo(seen).wait(Duration::from_millis(5))
        });
        let dir = skus();
        let args = ["-c", concurrency, "--shape", "record", "--max-time", "60s"];
        run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(0);
        // Nearly all of them: what the first refusals mean is known a moment later, on a busy machine a longer one.
        let out = dir.read("out.json");
        assert!(out.matches("\"attempts\":1,").count() >= SKUS * 5 / 6, "{out}");
        let refused = refused.load(Ordering::SeqCst);
        // Those in flight at the start are refused at once, before any answer.
        assert!(refused < 300 + SKUS / 2, "{refused} at {concurrency}");
    }
}

#[test]
fn while_the_pool_pauses_no_request_keeps_a_connection_that_the_probe_needs() {
    let workers = Workers::new(3);
    let server = RawServer::start(move |mut socket| {
        if !workers.try_take() {
            socket.request()?;
            return socket.say(
                "HTTP/1.1 503 Full\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            );
        }
        while let Some(asked) = socket.request() {
            thread::sleep(Duration::from_millis(2));
            if socket.echo(&asked).is_none() {
                break;
            }
        }
        workers.leave();
        None
    });
    let dir = skus();
    let args = ["-c", "32", "--retries", "0", "--shape", "record", "--max-time", "60s"];
    run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(0);
    expect_one_attempt_each(&dir);
}
