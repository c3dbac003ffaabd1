//! HTTP/1.1 connections over pipes in memory, stage by stage, with a peer that follows a script.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::super::Reuse;
use super::super::connect::HttpVersion;
use super::super::pipe::{Peer, PipeClient, Received, outcome, settle};
use super::MAX_IDLE;
use crate::model::Cause;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// What a peer does on its connection, in this order. After the last step it closes the connection.
#[derive(Clone, Copy)]
enum Step {
    /// Reads a request with its body.
    Request,
    /// Reads a request to the end of its head.
    Head,
    /// Reads the body of a large request.
    Rest,
    /// Sends this.
    Send(&'static str),
    /// Answers well.
    Answer,
    /// Lets the client read all that was sent.
    Settle,
    /// Ends the connection by a reset.
    Reset,
    /// Ends the connection as TLS without `close_notify` does.
    EndTls,
    /// Keeps the connection open until the client leaves.
    KeepOpen,
}

use Step::{Answer, EndTls, Head, KeepOpen, Request, Reset, Rest, Send, Settle};

async fn play(mut peer: Peer, script: &[Step]) -> Option<()> {
    for step in script {
        match step {
            Request => read_request(&mut peer).await?,
            Head => read_head(&mut peer).await.map(drop)?,
            Rest => peer.read(LARGE).await.map(drop)?,
            Send(text) => peer.write(text).await?,
            Answer => peer.write(OK).await?,
            Settle => settle().await,
            Reset => {
                peer.reset();
                return None;
            }
            EndTls => {
                peer.end_without_notice();
                return None;
            }
            KeepOpen => {
                peer.keep_open().await;
                return None;
            }
        }
    }
    Some(())
}

async fn read_head(peer: &mut Peer) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        head.push(char::from(peer.read(1).await?[0]));
    }
    Some(head.to_ascii_lowercase())
}

async fn read_request(peer: &mut Peer) -> Option<()> {
    let head = read_head(peer).await?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    peer.read(length.map_or(0, |length| length.parse().unwrap())).await.map(drop)
}

async fn answer_all(mut peer: Peer) -> Option<()> {
    loop {
        read_request(&mut peer).await?;
        peer.write(OK).await?;
    }
}

/// A client whose first connection follows the script; every later one answers all requests.
fn client(script: &'static [Step]) -> PipeClient {
    PipeClient::new(HttpVersion::Http1, move |number, peer| async move {
        match number {
            1 => play(peer, script).await,
            _ => answer_all(peer).await,
        }
    })
}

#[allow(clippy::unnecessary_wraps, reason = "it is compared with an outcome")]
fn received(status: u16, body: &str) -> Result<Received, (Cause, bool)> {
    Ok(Received { status, body: body.into() })
}

/// The body of an answer, or what a failed attempt is taken for: its cause, and whether it may be sent again for free.
type Outcome = Result<&'static str, (Cause, bool)>;

const CUT: Outcome = Err((Cause::Cut, false));
const LOST: Outcome = Err((Cause::Lost, false));
const UNREADABLE: Outcome = Err((Cause::Unreadable, false));
const FREE_RESEND: Outcome = Err((Cause::Lost, true));

#[tokio::test(start_paused = true)]
async fn an_attempt_on_a_new_connection_that_ends_early_is_never_free() {
    let table: &[(&str, &[Step], Outcome)] = &[
        ("closes before the request", &[], LOST),
        ("closes after the request", &[Request], LOST),
        ("resets after the request", &[Request, Reset], LOST),
        ("closes in the head", &[Request, Send("HTTP/1.1 200 OK\r\nConte")], LOST),
        ("resets in the head", &[Request, Send("HTTP/1.1 200 OK\r\nConte"), Settle, Reset], LOST),
        ("closes in the body", &[Request, Send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n12")], CUT),
        (
            "resets in the body",
            &[Request, Send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n12"), Settle, Reset],
            CUT,
        ),
        (
            "closes before the last chunk",
            &[Request, Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n12\r\n")],
            CUT,
        ),
        (
            "closes at the end of a body without a length",
            &[Request, Send("HTTP/1.1 200 OK\r\n\r\n12")],
            Ok("12"),
        ),
        (
            "resets in a body without a length",
            &[Request, Send("HTTP/1.1 200 OK\r\n\r\n12"), Settle, Reset],
            CUT,
        ),
        (
            "ends TLS without notice in a body without a length",
            &[Request, Send("HTTP/1.1 200 OK\r\n\r\n12"), Settle, EndTls],
            Ok("12"),
        ),
        (
            "ends TLS without notice in a body with a length",
            &[Request, Send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n12"), Settle, EndTls],
            CUT,
        ),
        ("sends no HTTP", &[Request, Send("220 smtp.test ESMTP\r\n\r\n")], UNREADABLE),
    ];
    for (name, script, expected) in table {
        let client = client(script);
        let expected = expected.and_then(|body| received(200, body));
        assert_eq!(outcome(client.get(Reuse::Allowed).await), expected, "{name}");
        assert_eq!((client.opened(), client.connected()), (1, 1), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reused_connection_that_ends_without_any_byte_of_an_answer_gives_a_free_resend() {
    let table: &[(&str, &[Step], Outcome)] = &[
        ("closes after the request", &[Request, Answer, Request], FREE_RESEND),
        ("resets after the request", &[Request, Answer, Request, Reset], FREE_RESEND),
        ("closes in the head", &[Request, Answer, Request, Send("HTTP/1.1 2"), Settle], LOST),
        ("resets in the head", &[Request, Answer, Request, Send("HTTP/1.1 2"), Settle, Reset], LOST),
        (
            "closes in the body",
            &[Request, Answer, Request, Send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n12")],
            CUT,
        ),
    ];
    for (name, script, expected) in table {
        let client = client(script);
        assert_eq!(outcome(client.get(Reuse::Allowed).await), received(200, "ok"), "{name}");
        let expected = expected.and_then(|body| received(200, body));
        assert_eq!(outcome(client.get(Reuse::Allowed).await), expected, "{name}");
        assert_eq!(client.opened(), 1, "{name}: the second request was sent on the first connection");
        assert_eq!(outcome(client.get(Reuse::Never).await), received(200, "ok"), "{name}");
        assert_eq!(client.opened(), 2, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_closed_while_idle_is_not_used() {
    for script in [&[Request, Answer][..], &[Request, Answer, Settle, Reset]] {
        let client = client(script);
        assert_eq!(outcome(client.get(Reuse::Allowed).await), received(200, "ok"));
        settle().await;
        assert_eq!(outcome(client.get(Reuse::Allowed).await), received(200, "ok"));
        assert_eq!(client.opened(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_looked_at_again_in_the_next_turn() {
    let client = client(&[Request, Answer, Request, Answer, Settle]);
    client.begin_turn();
    assert_eq!(outcome(client.get(Reuse::Allowed).await), received(200, "ok"));
    assert_eq!(outcome(client.get(Reuse::Allowed).await), received(200, "ok"));
    assert_eq!(client.opened(), 1);
    // The peer has closed it.
    settle().await;
    client.begin_turn();
    assert_eq!(outcome(client.get(Reuse::Allowed).await), received(200, "ok"));
    assert_eq!(client.opened(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_closed_in_the_turn_in_which_it_was_used_gives_a_free_resend() {
    let client = client(&[Request, Answer, Settle]);
    client.begin_turn();
    assert_eq!(outcome(client.get(Reuse::Allowed).await), received(200, "ok"));
    settle().await;
    assert_eq!(outcome(client.get(Reuse::Allowed).await), Err((Cause::Lost, true)));
    assert_eq!(outcome(client.get(Reuse::Never).await), received(200, "ok"));
}

#[tokio::test(start_paused = true)]
async fn a_resend_that_may_not_reuse_opens_a_connection_though_others_are_idle() {
    let client = client(&[Request, Answer, Request, Answer, KeepOpen]);
    assert!(client.get(Reuse::Allowed).await.is_ok());
    assert!(client.get(Reuse::Never).await.is_ok());
    assert_eq!(client.opened(), 2);
    assert!(client.get(Reuse::Allowed).await.is_ok());
    assert_eq!(client.opened(), 2, "both are kept, and either can be used");
}

#[tokio::test(start_paused = true)]
async fn the_next_request_reuses_the_connection_only_where_the_end_of_the_answer_is_certain() {
    let table: &[(&str, &str, &str, bool)] = &[
        ("a length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok", true),
        ("chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "ok", true),
        (
            "chunks and trailers",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n",
            "ok",
            true,
        ),
        (
            "an interim answer",
            "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "ok",
            true,
        ),
        ("204", "HTTP/1.1 204 No Content\r\n\r\n", "", true),
        ("204 with length 0", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "", true),
        ("204 with a length", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", "", false),
        ("204 with chunks", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", "", false),
        (
            "two ends",
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            "ok",
            false,
        ),
        (
            "Connection: close",
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
            "ok",
            false,
        ),
        ("HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok", false),
        (
            "HTTP/1.0 keep-alive",
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
            "ok",
            true,
        ),
        (
            "bytes after its end",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n",
            "ok",
            false,
        ),
    ];
    for (name, answer, body, is_reused) in table {
        let client = PipeClient::new(HttpVersion::Http1, move |number, mut peer| async move {
            if number == 1 {
                read_request(&mut peer).await?;
                peer.write(answer).await?;
            }
            answer_all(peer).await
        });
        let status = if answer.contains(" 204 ") { 204 } else { 200 };
        assert_eq!(outcome(client.get(Reuse::Allowed).await), received(status, body), "{name}");
        assert_eq!(outcome(client.get(Reuse::Allowed).await), received(200, "ok"), "{name}");
        assert_eq!(client.opened(), if *is_reused { 1 } else { 2 }, "{name}");
    }
}

/// Longer than a pipe holds: the peer that does not read stops the client in the middle of its body.
const LARGE: usize = 100 << 10;

#[tokio::test(start_paused = true)]
async fn an_answer_before_the_whole_request_was_sent_counts() {
    let ok = Ok("ok");
    // The outcome of the request, that of the next one, and the connections that were opened for both.
    let table: &[(&str, &[Step], [Outcome; 2], usize)] = &[
        ("answers and closes", &[Head, Answer], [ok, ok], 2),
        ("answers and resets", &[Head, Answer, Settle, Reset], [ok, FREE_RESEND], 1),
        ("answers and reads on", &[Head, Answer, Rest, Request, Answer, KeepOpen], [ok, ok], 1),
        ("ends the body by the close", &[Head, Send("HTTP/1.1 413 No\r\n\r\nok")], [CUT, ok], 2),
        ("closes without an answer", &[Head], [LOST, ok], 2),
    ];
    for (name, script, expected, opened) in table {
        let client = client(script);
        let [first, next] = expected.map(|outcome| outcome.and_then(|body| received(200, body)));
        assert_eq!(outcome(client.post(LARGE).await), first, "{name}");
        assert_eq!(outcome(client.get(Reuse::Allowed).await), next, "{name}");
        assert_eq!(client.opened(), *opened, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_dropped_before_the_end_of_its_answer_closes_its_connection() {
    let client = client(&[Request, Send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n12"), KeepOpen]);
    let limited = tokio::time::timeout(Duration::from_secs(1), client.get(Reuse::Allowed)).await;
    assert!(limited.is_err());
    assert_eq!(outcome(client.get(Reuse::Allowed).await), received(200, "ok"));
    assert_eq!(client.opened(), 2);
}

#[tokio::test(start_paused = true)]
async fn no_more_connections_are_opened_than_requests_are_in_flight() {
    let (open, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (count, peak) = (Arc::clone(&open), Arc::clone(&most));
    let client = PipeClient::new(HttpVersion::Http1, move |_, mut peer| {
        let (count, peak) = (Arc::clone(&count), Arc::clone(&peak));
        async move {
            loop {
                read_request(&mut peer).await?;
                peak.fetch_max(count.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(10)).await;
                count.fetch_sub(1, Ordering::Relaxed);
                peer.write(OK).await?;
            }
        }
    });
    for _ in 0..5 {
        let all = join_all((0..7).map(|_| client.get(Reuse::Allowed))).await;
        assert!(all.iter().all(Result::is_ok));
    }
    assert_eq!((client.opened(), client.connected(), most.load(Ordering::Relaxed)), (7, 7, 7));
    for _ in 0..50 {
        assert!(client.get(Reuse::Allowed).await.is_ok());
    }
    assert_eq!(client.opened(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_idle_for_too_long_is_closed_with_those_that_were_idle_for_longer() {
    let left = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&left);
    let client = PipeClient::new(HttpVersion::Http1, move |_, peer| {
        let count = Arc::clone(&count);
        async move {
            answer_all(peer).await;
            count.fetch_add(1, Ordering::Relaxed);
            None
        }
    });
    let all = join_all((0..3).map(|_| client.get(Reuse::Allowed))).await;
    assert!(all.iter().all(Result::is_ok));
    tokio::time::advance(MAX_IDLE).await;
    assert!(client.get(Reuse::Allowed).await.is_ok());
    assert_eq!(client.opened(), 3, "at the limit it is still used, and its time begins anew");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(client.get(Reuse::Allowed).await.is_ok());
    assert_eq!(client.opened(), 3);
    tokio::time::advance(MAX_IDLE + Duration::from_secs(1)).await;
    assert!(client.get(Reuse::Allowed).await.is_ok());
    settle().await;
    assert_eq!((client.opened(), left.load(Ordering::Relaxed)), (4, 3));
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_closed_once_the_server_refuses_a_request_and_closes() {
    for (refusal, is_closed) in [
        ("HTTP/1.1 503 Full\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.1 503 Full\r\nContent-Length: 0\r\n\r\n", false),
        ("HTTP/1.1 500 Bug\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", false),
    ] {
        let left = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&left);
        let client = PipeClient::new(HttpVersion::Http1, move |number, mut peer| {
            let count = Arc::clone(&count);
            async move {
                if number > 3 {
                    read_request(&mut peer).await?;
                    peer.write(refusal).await?;
                    peer.keep_open().await;
                    return None;
                }
                answer_all(peer).await;
                count.fetch_add(1, Ordering::Relaxed);
                None
            }
        });
        let all = join_all((0..3).map(|_| client.get(Reuse::Allowed))).await;
        assert!(all.iter().all(Result::is_ok));
        assert!(client.get(Reuse::Never).await.is_ok());
        settle().await;
        assert_eq!(left.load(Ordering::Relaxed), if is_closed { 3 } else { 0 }, "{refusal}");
    }
}

/// What an answer takes.
const WORK: Duration = Duration::from_millis(10);

/// What a server with few workers saw.
#[derive(Default)]
struct Workers {
    requests: AtomicUsize,
    /// Connections that were closed at once.
    refused: AtomicUsize,
}

/// A server of so many workers, each of which serves one connection to its end. The other connections wait in the
/// order of arrival, or are closed at once.
fn few_workers(workers: usize, refuses: bool) -> (PipeClient, Arc<Workers>) {
    let (free, seen) = (Arc::new(Semaphore::new(workers)), Arc::new(Workers::default()));
    let count = Arc::clone(&seen);
    let client = PipeClient::new(HttpVersion::Http1, move |_, mut peer| {
        let (free, seen) = (Arc::clone(&free), Arc::clone(&count));
        async move {
            let _worker = match free.try_acquire() {
                Ok(worker) => worker,
                Err(_) if refuses => {
                    seen.refused.fetch_add(1, Ordering::Relaxed);
                    return None;
                }
                Err(_) => free.acquire().await.ok()?,
            };
            loop {
                read_request(&mut peer).await?;
                seen.requests.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(WORK).await;
                peer.write(OK).await?;
            }
        }
    });
    (client, seen)
}

#[tokio::test(start_paused = true)]
async fn what_waits_on_a_silent_new_connection_moves_to_a_kept_one_and_no_more_are_opened() {
    for workers in [1, 4] {
        let (client, seen) = few_workers(workers, false);
        let began = Instant::now();
        let all = join_all((0..32).map(|_| async {
            for _ in 0..50 {
                assert_eq!(outcome(client.get_resending().await), received(200, "ok"));
            }
        }));
        all.await;
        let best = WORK * 32 * 50 / u32::try_from(workers).unwrap();
        assert!(began.elapsed() < best + Duration::from_secs(1), "{:?} of {best:?}", began.elapsed());
        assert_eq!(client.served(), Some(workers));
        assert!(client.opened() < 32 + 10, "{}", client.opened());
        assert!(seen.requests.load(Ordering::Relaxed) >= 32 * 50);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_answered_beside_silent_connections_is_closed_at_once_where_no_other_request_needs_it() {
    for workers in [1, 4] {
        let (client, seen) = few_workers(workers, false);
        let began = Instant::now();
        let all = join_all((0..100).map(|n| {
            let client = &client;
            async move {
                let sent =
                    if n % 2 == 0 { client.get_resending().await } else { client.post_resending().await };
                assert_eq!(outcome(sent), received(200, "ok"));
            }
        }));
        all.await;
        let best = WORK * 100 / u32::try_from(workers).unwrap();
        assert!(began.elapsed() < best + Duration::from_millis(1500), "{:?} of {best:?}", began.elapsed());
        assert!(seen.requests.load(Ordering::Relaxed) >= 100);
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_act_twice_is_sent_once_and_an_idle_connection_is_closed_for_it() {
    let (client, seen) = few_workers(4, false);
    let began = Instant::now();
    let all = join_all((0..32).map(|_| async {
        for _ in 0..50 {
            assert_eq!(outcome(client.post_resending().await), received(200, "ok"));
        }
    }));
    all.await;
    assert_eq!(seen.requests.load(Ordering::Relaxed), 32 * 50);
    let best = WORK * 32 * 50 / 4;
    assert!(began.elapsed() < best * 3 / 2, "{:?} of {best:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn every_connection_that_nobody_needs_is_closed_for_what_may_act_twice_and_is_silent() {
    let closed = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&closed);
    let client = PipeClient::new(HttpVersion::Http1, move |number, mut peer| {
        let closed = Arc::clone(&seen);
        async move {
            if number <= 4 {
                while read_request(&mut peer).await.is_some() {
                    tokio::time::sleep(WORK).await;
                    peer.write(OK).await?;
                }
                closed.fetch_add(1, Ordering::Relaxed);
                return None;
            }
            read_request(&mut peer).await?;
            // Two of its workers go to other clients.
            while closed.load(Ordering::Relaxed) < 3 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            peer.write(OK).await
        }
    });
    let began = Instant::now();
    let gets = join_all((0..4).map(|_| client.get_resending()));
    let post = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        client.post_resending().await
    };
    let (kept, sent) = tokio::join!(gets, post);
    assert!(kept.into_iter().all(|got| outcome(got) == received(200, "ok")));
    assert_eq!(outcome(sent), received(200, "ok"));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!((client.opened(), closed.load(Ordering::Relaxed)), (5, 3));
}

#[tokio::test(start_paused = true)]
async fn where_new_connections_are_closed_beside_others_a_request_waits_for_one_of_those() {
    let (client, seen) = few_workers(5, true);
    let began = Instant::now();
    let all = join_all((0..32).map(|_| async {
        for _ in 0..50 {
            assert_eq!(outcome(client.get_resending().await), received(200, "ok"));
        }
    }));
    all.await;
    let best = WORK * 32 * 50 / 5;
    assert!(began.elapsed() < best + Duration::from_secs(1), "{:?} of {best:?}", began.elapsed());
    assert_eq!(client.served(), Some(5));
    assert!(seen.refused.load(Ordering::Relaxed) < 27 + 5, "{}", seen.refused.load(Ordering::Relaxed));
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_on_a_new_connection_is_not_taken_for_silence_once_a_later_one_is_answered() {
    let client = PipeClient::new(HttpVersion::Http1, move |number, mut peer| async move {
        loop {
            read_request(&mut peer).await?;
            tokio::time::sleep(if number == 2 { Duration::from_secs(2) } else { WORK }).await;
            peer.write(OK).await?;
        }
    });
    let began = Instant::now();
    let all = join_all((0..8).map(|_| async {
        while began.elapsed() < Duration::from_secs(3) {
            assert_eq!(outcome(client.get_resending().await), received(200, "ok"));
        }
    }));
    all.await;
    assert_eq!((client.opened(), client.served()), (8, None));
}

/// The latencies of a healthy server: 20 ms for half of its answers, over 400 ms for a tenth, 2 s for one in a hundred.
fn heavy_tail(random: &mut fastrand::Rng) -> Duration {
    Duration::from_secs_f64(0.02 * (2.34 * normal(random)).exp())
        .clamp(Duration::from_millis(1), Duration::from_secs(2))
}

/// A sum of twelve uniform values, less their mean.
fn normal(random: &mut fastrand::Rng) -> f64 {
    (0..12).map(|_| random.f64()).sum::<f64>() - 6.0
}

/// A healthy server whose answers take as long as is drawn; `first` more for the first one of a connection. Where it
/// keeps no connection, it closes each after its answer.
fn slow_at_times(seed: u64, first: Duration, is_kept: bool) -> (PipeClient, Arc<AtomicUsize>) {
    let total = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&total);
    let client = PipeClient::new(HttpVersion::Http1, move |number, mut peer| {
        let requests = Arc::clone(&count);
        let mut random = fastrand::Rng::with_seed(seed * 100_000 + u64::try_from(number).unwrap());
        async move {
            let mut more = first;
            loop {
                read_request(&mut peer).await?;
                requests.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(heavy_tail(&mut random) + std::mem::take(&mut more)).await;
                if !is_kept {
                    return peer
                        .write(&OK.replace("Content-Length", "Connection: close\r\nContent-Length"))
                        .await;
                }
                peer.write(OK).await?;
            }
        }
    });
    (client, total)
}

#[tokio::test(start_paused = true)]
async fn a_healthy_server_whose_answers_are_slow_at_times_is_never_taken_for_one_of_few_connections() {
    for seed in [0, 1, 6, 7] {
        for (first, is_kept) in [(0, true), (2000, true), (0, false)] {
            let (client, requests) = slow_at_times(seed, Duration::from_millis(first), is_kept);
            // As `auto` adds workers, and as a fixed number begins.
            let step = if seed % 2 == 0 { Duration::from_millis(50) } else { Duration::ZERO };
            let all = join_all((0..64).map(|worker| {
                let client = &client;
                async move {
                    tokio::time::sleep(step * worker).await;
                    for _ in 0..30 {
                        assert_eq!(outcome(client.get_resending().await), received(200, "ok"));
                    }
                }
            }));
            all.await;
            let name = format!("seed {seed}, {first} ms, kept: {is_kept}");
            assert_eq!((requests.load(Ordering::Relaxed), client.served()), (64 * 30, None), "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_number_that_grows_is_found() {
    let (most, open) = (Arc::new(AtomicUsize::new(2)), Arc::new(AtomicUsize::new(0)));
    let (allowed, count) = (Arc::clone(&most), Arc::clone(&open));
    let client = PipeClient::new(HttpVersion::Http1, move |_, mut peer| {
        let (allowed, open) = (Arc::clone(&allowed), Arc::clone(&count));
        async move {
            if open.load(Ordering::Relaxed) == allowed.load(Ordering::Relaxed) {
                return None;
            }
            open.fetch_add(1, Ordering::Relaxed);
            loop {
                read_request(&mut peer).await?;
                tokio::time::sleep(WORK).await;
                peer.write(OK).await?;
            }
        }
    });
    let run = async |length: u64| {
        let began = Instant::now();
        let all = join_all((0..16).map(|_| async {
            while began.elapsed() < Duration::from_secs(length) {
                assert_eq!(outcome(client.get_resending().await), received(200, "ok"));
            }
        }));
        all.await;
    };
    run(5).await;
    assert_eq!((client.served(), open.load(Ordering::Relaxed)), (Some(2), 2));
    most.store(100, Ordering::Relaxed);
    run(10).await;
    assert_eq!((client.served(), open.load(Ordering::Relaxed)), (None, 16));
}

#[tokio::test(start_paused = true)]
async fn a_part_of_an_answer_is_acknowledged_at_once_and_a_whole_answer_is_not() {
    let counts = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&counts);
    let client = PipeClient::new(HttpVersion::Http1, move |_, mut peer| {
        let seen = Arc::clone(&seen);
        async move {
            for parts in [
                &["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"][..],
                &["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "ok"],
                &["HTTP/1.1 200 OK\r\n", "Content-Length: 2\r\n\r\nok"],
                &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "2\r\nok\r\n", "0\r\n\r\n"],
                &["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"],
            ] {
                read_request(&mut peer).await?;
                let before = peer.acknowledged();
                for part in parts {
                    peer.write(part).await?;
                    settle().await;
                }
                seen.lock().unwrap().push(peer.acknowledged() - before);
            }
            Some(())
        }
    });
    for _ in 0..5 {
        assert_eq!(outcome(client.get(Reuse::Allowed).await), received(200, "ok"));
        settle().await;
    }
    assert_eq!(client.opened(), 1);
    assert_eq!(*counts.lock().unwrap(), [0, 1, 1, 2, 0]);
}
