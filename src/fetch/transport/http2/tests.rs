//! HTTP/2 connections over pipes in memory, stage by stage, with a peer that writes frame by frame.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{join, join_all};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::Reuse;
use super::super::connect::HttpVersion;
use super::super::pipe::{CONNECT_TIMEOUT, Peer, PipeClient, Received, outcome, settle};
use super::{MAX_STREAMS, SETTINGS_WAIT};
use crate::model::Cause;

/// Types of frames (RFC 9113, section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

/// Flags of frames.
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Identifiers of settings.
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;

/// Error codes (RFC 9113, section 7).
const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;

/// A peer that has read the client's preface. Its methods give nothing where the client has left.
struct Frames(Peer);

impl Frames {
    async fn accept(mut peer: Peer) -> Option<Self> {
        let preface = peer.read(24).await?;
        assert_eq!(preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        Some(Self(peer))
    }

    /// The stream of the next request.
    async fn request(&mut self) -> Option<u32> {
        loop {
            let head = self.0.read(9).await?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            self.0.read(length as usize).await?;
            if head[3] == HEADERS {
                return Some(u32::from_be_bytes(head[5..9].try_into().unwrap()));
            }
        }
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Option<()> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let frame = [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat();
        self.0.write(frame).await
    }

    async fn settings(&mut self, all: &[(u16, u32)]) -> Option<()> {
        let payload: Vec<u8> = all
            .iter()
            .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        self.send(SETTINGS, 0, 0, &payload).await
    }

    /// The head of an answer with status 200, which is entry 8 in HPACK's static table.
    async fn head(&mut self, stream: u32) -> Option<()> {
        self.send(HEADERS, END_HEADERS, stream, &[0x88]).await
    }

    async fn answer(&mut self, stream: u32) -> Option<()> {
        self.head(stream).await?;
        self.send(DATA, END_STREAM, stream, b"ok").await
    }

    async fn reset_stream(&mut self, stream: u32, code: u32) -> Option<()> {
        self.send(RST_STREAM, 0, stream, &code.to_be_bytes()).await
    }

    async fn go_away(&mut self, last_stream: u32, code: u32) -> Option<()> {
        self.send(GOAWAY, 0, 0, &[last_stream.to_be_bytes(), code.to_be_bytes()].concat()).await
    }

    /// Answers all requests until the client leaves.
    async fn answer_all(&mut self) -> Option<()> {
        loop {
            let stream = self.request().await?;
            self.answer(stream).await?;
        }
    }

    /// Reads all requests until the client leaves, and answers none.
    async fn keep_open(&mut self) -> Option<()> {
        loop {
            self.request().await?;
        }
    }
}

/// A client whose connections, numbered from 1, end at peers that follow this.
fn client<F: Future<Output = Option<()>> + Send + 'static>(
    script: impl Fn(usize, Frames) -> F + Clone + Send + Sync + 'static,
) -> PipeClient {
    PipeClient::new(HttpVersion::Http2, move |number, peer| {
        let script = script.clone();
        async move { script(number, Frames::accept(peer).await?).await }
    })
}

#[allow(clippy::unnecessary_wraps, reason = "it is compared with an outcome")]
fn ok() -> Result<Received, (Cause, bool)> {
    Ok(Received { status: 200, body: "ok".into() })
}

const CUT: Result<Received, (Cause, bool)> = Err((Cause::Cut, false));
const LOST: Result<Received, (Cause, bool)> = Err((Cause::Lost, false));
const FREE_RESEND: Result<Received, (Cause, bool)> = Err((Cause::Lost, true));

/// How a peer ends a request that it has read.
#[derive(Debug, Clone, Copy)]
enum End {
    Close,
    Reset,
    ResetStream(u32),
    /// GOAWAY with the last stream that it will answer, as a difference from the request's, and this code; then it
    /// closes the connection.
    GoAway(i64, u32),
    /// The head of an answer and a part of its body, and then this.
    InBody(&'static End),
}

use End::{Close, GoAway, InBody, ResetStream};

async fn end(mut frames: Frames, stream: u32, how: End) -> Option<()> {
    let how = match how {
        InBody(how) => {
            frames.head(stream).await?;
            frames.send(DATA, 0, stream, b"o").await?;
            settle().await;
            *how
        }
        other => other,
    };
    match how {
        Close | InBody(_) => return Some(()),
        End::Reset => {
            frames.0.reset();
            return Some(());
        }
        ResetStream(code) => frames.reset_stream(stream, code).await?,
        GoAway(last, code) => {
            let last = u32::try_from(i64::from(stream) + last).unwrap();
            frames.go_away(last, code).await?;
            return Some(());
        }
    }
    frames.keep_open().await
}

#[tokio::test(start_paused = true)]
async fn a_request_is_free_to_send_again_only_where_the_server_cannot_have_processed_it() {
    // On a new connection, and on one that answered before.
    let table = [
        (Close, LOST, FREE_RESEND),
        (End::Reset, LOST, FREE_RESEND),
        (ResetStream(REFUSED_STREAM), FREE_RESEND, FREE_RESEND),
        (ResetStream(CANCEL), LOST, LOST),
        (ResetStream(INTERNAL_ERROR), LOST, LOST),
        (ResetStream(ENHANCE_YOUR_CALM), LOST, LOST),
        (GoAway(-1, NO_ERROR), FREE_RESEND, FREE_RESEND),
        (GoAway(-1, ENHANCE_YOUR_CALM), LOST, LOST),
        (GoAway(0, NO_ERROR), LOST, LOST),
        (InBody(&Close), CUT, CUT),
        (InBody(&End::Reset), CUT, CUT),
        (InBody(&ResetStream(CANCEL)), CUT, CUT),
        (InBody(&ResetStream(REFUSED_STREAM)), CUT, CUT),
        (InBody(&GoAway(0, NO_ERROR)), CUT, CUT),
    ];
    for (how, on_new, on_kept) in table {
        for (answers, expected) in [(0, on_new), (1, on_kept)] {
            let client = client(move |number, mut frames| async move {
                frames.settings(&[]).await?;
                if number > 1 {
                    return frames.answer_all().await;
                }
                for _ in 0..answers {
                    let stream = frames.request().await?;
                    frames.answer(stream).await?;
                }
                let stream = frames.request().await?;
                end(frames, stream, how).await
            });
            for _ in 0..answers {
                assert_eq!(outcome(client.get(Reuse::Allowed).await), ok());
            }
            assert_eq!(outcome(client.get(Reuse::Allowed).await), expected, "{how:?} after {answers}");
            assert_eq!(client.opened(), 1, "{how:?} after {answers}");
            assert_eq!(outcome(client.get(Reuse::Never).await), ok(), "{how:?} after {answers}");
            assert_eq!((client.opened(), client.connected()), (2, 2), "{how:?} after {answers}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_goaway_covers_is_answered_and_the_next_one_opens_a_connection() {
    let client = client(|number, mut frames| async move {
        frames.settings(&[]).await?;
        if number > 1 {
            return frames.answer_all().await;
        }
        let stream = frames.request().await?;
        frames.go_away(stream, NO_ERROR).await?;
        settle().await;
        frames.answer(stream).await?;
        frames.keep_open().await
    });
    assert_eq!(outcome(client.get(Reuse::Allowed).await), ok());
    settle().await;
    assert_eq!(outcome(client.get(Reuse::Allowed).await), ok());
    assert_eq!(client.opened(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_closed_while_idle_is_not_used() {
    for goes_away in [false, true] {
        let client = client(move |number, mut frames| async move {
            frames.settings(&[]).await?;
            if number > 1 {
                return frames.answer_all().await;
            }
            let stream = frames.request().await?;
            frames.answer(stream).await?;
            if goes_away {
                frames.go_away(stream, NO_ERROR).await?;
            }
            Some(())
        });
        assert_eq!(outcome(client.get(Reuse::Allowed).await), ok());
        settle().await;
        assert_eq!(outcome(client.get(Reuse::Allowed).await), ok());
        assert_eq!(client.opened(), 2, "GOAWAY first: {goes_away}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_request_is_sent_before_the_servers_settings_or_their_time_is_over() {
    /// Seconds to wait, and the number of streams that is then allowed.
    type Settings = (u64, Option<u32>);
    // What the server sends, and the second at which the first request arrives.
    let table: &[(&str, &[Settings], u64)] = &[
        ("at once", &[(0, Some(1))], 0),
        ("late", &[(1, Some(1))], 1),
        ("late, without a number", &[(1, None)], 1),
        ("never", &[], SETTINGS_WAIT.as_secs()),
        ("none at first", &[(0, Some(0)), (5, Some(1))], 5),
        ("late and none at first", &[(1, Some(0)), (4, Some(1))], 5),
    ];
    for &(name, settings, asked_after) in table {
        let client = client(move |_, mut frames| async move {
            let began = Instant::now();
            for (wait, streams) in settings {
                tokio::time::sleep(Duration::from_secs(*wait)).await;
                let streams = streams.map(|streams| (MAX_CONCURRENT_STREAMS, streams));
                frames.settings(streams.as_slice()).await?;
            }
            let stream = frames.request().await?;
            assert_eq!(began.elapsed().as_secs(), asked_after, "{name}");
            frames.answer(stream).await?;
            frames.answer_all().await
        });
        assert_eq!(outcome(client.get(Reuse::Allowed).await), ok(), "{name}");
        assert_eq!(outcome(client.get(Reuse::Allowed).await), ok(), "{name}");
        assert_eq!((client.opened(), client.connected()), (1, 1), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_allows_no_stream_counts_as_unreachable_when_the_time_to_connect_is_over() {
    let client = client(|_, mut frames| async move {
        frames.settings(&[(MAX_CONCURRENT_STREAMS, 0)]).await?;
        assert_eq!(frames.request().await, None, "no request is sent");
        Some(())
    });
    let began = Instant::now();
    let unreachable: Result<Received, _> = Err((Cause::Connect, false));
    assert_eq!(outcome(client.get(Reuse::Allowed).await), unreachable);
    assert_eq!(began.elapsed().as_secs(), CONNECT_TIMEOUT.as_secs());
    assert_eq!((client.opened(), client.connected()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_before_its_settings_fails_the_attempt() {
    for goes_away in [false, true] {
        let client = client(move |_, mut frames| async move {
            if goes_away {
                frames.go_away(0, ENHANCE_YOUR_CALM).await?;
            }
            Some(())
        });
        assert_eq!(outcome(client.get(Reuse::Allowed).await), LOST, "GOAWAY: {goes_away}");
    }
}

/// A peer that allows so many streams, asserts that no more are open, and answers each after 10 ms.
async fn bounded(mut frames: Frames, allowed: usize) -> Option<()> {
    frames.settings(&[(MAX_CONCURRENT_STREAMS, u32::try_from(allowed).unwrap())]).await?;
    let mut open = Vec::new();
    loop {
        let wait = match open.first() {
            Some((_, since)) => Duration::from_millis(10).saturating_sub(Instant::elapsed(since)),
            None => Duration::MAX,
        };
        match tokio::time::timeout(wait, frames.request()).await {
            Ok(stream) => {
                open.push((stream?, Instant::now()));
                assert!(open.len() <= allowed.min(MAX_STREAMS), "{} of {allowed}", open.len());
            }
            Err(_) => frames.answer(open.remove(0).0).await?,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_connections_are_opened_than_requests_are_in_flight() {
    for (allowed, requests) in [(100, 25), (10, 25), (1, 4), (1000, MAX_STREAMS + 1)] {
        let client = client(move |_, frames| bounded(frames, allowed));
        for _ in 0..4 {
            let all = join_all((0..requests).map(|_| client.get(Reuse::Allowed))).await;
            assert!(all.iter().all(Result::is_ok), "{allowed}, {requests}");
            assert!(client.opened() <= requests, "{allowed}, {requests}: {}", client.opened());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn once_the_server_speaks_http2_one_request_at_a_time_opens_a_connection() {
    for (allowed, requests, connections) in [(100, 25, 1), (10, 25, 3), (1, 4, 4), (1000, MAX_STREAMS + 1, 2)]
    {
        let client = client(move |_, frames| bounded(frames, allowed));
        assert_eq!(outcome(client.get(Reuse::Allowed).await), ok());
        let all = join_all((0..requests).map(|_| client.get(Reuse::Allowed))).await;
        assert!(all.iter().all(Result::is_ok), "{allowed}, {requests}");
        assert_eq!(client.opened(), connections, "{allowed}, {requests}");
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_one_connection_lost_are_sent_again_on_one_new_connection() {
    let client = client(|number, mut frames| async move {
        // The paused clock has to move on: a connection is newer than a request that was sent before it was opened.
        tokio::time::sleep(Duration::from_millis(1)).await;
        frames.settings(&[]).await?;
        if number > 1 {
            return frames.answer_all().await;
        }
        let first = frames.request().await?;
        frames.answer(first).await?;
        for _ in 0..5 {
            frames.request().await?;
        }
        frames.go_away(first, NO_ERROR).await
    });
    assert_eq!(outcome(client.get(Reuse::Allowed).await), ok());
    let all = join_all((0..5).map(|_| async {
        assert_eq!(outcome(client.get(Reuse::Allowed).await), FREE_RESEND);
        outcome(client.get(Reuse::Never).await)
    }));
    assert!(all.await.into_iter().all(|result| result == ok()));
    assert_eq!(client.opened(), 2);
}

#[tokio::test(start_paused = true)]
async fn where_the_server_lowers_the_number_of_streams_the_next_request_opens_a_connection() {
    for lowered in [0, 1] {
        let client = client(move |number, mut frames| async move {
            frames.settings(&[(MAX_CONCURRENT_STREAMS, 8)]).await?;
            if number > 1 {
                return frames.answer_all().await;
            }
            let stream = frames.request().await?;
            frames.settings(&[(MAX_CONCURRENT_STREAMS, lowered)]).await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
            frames.answer(stream).await?;
            frames.keep_open().await
        });
        let next = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            outcome(client.get(Reuse::Allowed).await)
        };
        let (first, next) = join(client.get(Reuse::Allowed), next).await;
        assert_eq!((outcome(first), next), (ok(), ok()), "{lowered}");
        assert_eq!(client.opened(), 2, "{lowered}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_finds_no_stream_any_more_is_recalled_and_free_to_send_again() {
    let go = Arc::new(Notify::new());
    let signal = Arc::clone(&go);
    let client = client(move |number, mut frames| {
        let signal = Arc::clone(&signal);
        async move {
            frames.settings(&[(MAX_CONCURRENT_STREAMS, 8)]).await?;
            if number > 1 {
                return frames.answer_all().await;
            }
            let stream = frames.request().await?;
            frames.answer(stream).await?;
            settle().await;
            // The sender's task runs before the connection's: the request has its permit by the old number, and its
            // stream would be opened after the new one was read.
            signal.notify_one();
            frames.settings(&[(MAX_CONCURRENT_STREAMS, 0)]).await?;
            frames.keep_open().await
        }
    });
    assert_eq!(outcome(client.get(Reuse::Allowed).await), ok());
    let client = Arc::new(client);
    let sender = Arc::clone(&client);
    let sent = tokio::spawn(async move {
        go.notified().await;
        outcome(sender.get(Reuse::Allowed).await)
    });
    assert_eq!(sent.await.unwrap(), FREE_RESEND);
    assert_eq!(client.opened(), 1);
    assert_eq!(outcome(client.get(Reuse::Never).await), ok());
    assert_eq!(client.opened(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_on_which_a_request_waited_its_whole_time_in_silence_gets_no_more() {
    for in_body in [false, true] {
        let client = client(move |number, mut frames| async move {
            frames.settings(&[]).await?;
            if number > 1 {
                return frames.answer_all().await;
            }
            let stream = frames.request().await?;
            if in_body {
                frames.head(stream).await?;
            }
            frames.keep_open().await
        });
        let limited = tokio::time::timeout(Duration::from_secs(30), client.get(Reuse::Allowed)).await;
        assert!(limited.is_err());
        assert_eq!(outcome(client.get(Reuse::Allowed).await), ok(), "{in_body}");
        assert_eq!(client.opened(), 2, "{in_body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_stream_does_not_end_a_connection_on_which_others_are_answered() {
    let client = client(|_, mut frames| async move {
        frames.settings(&[]).await?;
        frames.request().await?;
        frames.answer_all().await
    });
    let slow = tokio::time::timeout(Duration::from_secs(30), client.get(Reuse::Allowed));
    let others = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        outcome(client.get(Reuse::Allowed).await)
    };
    let (slow, other) = join(slow, others).await;
    assert!(slow.is_err());
    assert_eq!(other, ok());
    assert_eq!(outcome(client.get(Reuse::Allowed).await), ok());
    assert_eq!(client.opened(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_before_the_whole_request_was_sent_counts_and_the_connection_stays() {
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    let client = client(move |_, mut frames| {
        let count = Arc::clone(&count);
        async move {
            frames.settings(&[(INITIAL_WINDOW_SIZE, 1000)]).await?;
            loop {
                let stream = frames.request().await?;
                count.fetch_add(1, Ordering::Relaxed);
                frames.answer(stream).await?;
                frames.reset_stream(stream, NO_ERROR).await?;
            }
        }
    });
    for _ in 0..3 {
        assert_eq!(outcome(client.post(100 << 10).await), ok());
    }
    assert_eq!((client.opened(), requests.load(Ordering::Relaxed)), (1, 3));
}
