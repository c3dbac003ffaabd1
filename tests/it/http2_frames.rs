//! HTTP/2 servers that break off, fall silent, change their minds or mean ill: no wrong value, no hang, and no
//! attempt counted for what the server never looked at.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::requests::run_with_url;
use crate::support::WorkDir;
use crate::support::frames::{
    BODY, CONTINUATION, DATA, END_HEADERS, END_STREAM, FrameServer, Frames, HEADERS, INITIAL_WINDOW_SIZE,
    MAX_CONCURRENT_STREAMS,
};
use crate::support::run::Ended;
use crate::support::tls::Authority;

/// Reasons (RFC 9113, 7).
const NO_ERROR: u32 = 0;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

fn setting<F: Future<Output = Option<()>> + 'static>(
    skus: usize,
    talk: impl Fn(usize, Frames) -> F + Clone + Send + 'static,
) -> (WorkDir, FrameServer) {
    let (dir, authority) = (WorkDir::new(), Authority::new());
    dir.write("ca.pem", authority.pem());
    dir.write_skus((0..skus).map(|n| n.to_string()));
    (dir, FrameServer::start(&authority.good(), talk))
}

fn run(dir: &WorkDir, server: &FrameServer, args: &str) -> Ended {
    let args = ["--ca-cert", "ca.pem", "--shape", "record"].into_iter().chain(args.split_whitespace());
    run_with_url(dir, &server.url("/p/{sku}"), args).finish()
}

/// So many good answers, each after so many attempts.
#[track_caller]
fn expect(dir: &WorkDir, skus: usize, attempts: usize) {
    let out = dir.read("out.json");
    let good = format!("\"attempts\":{attempts},\"body\":{BODY}");
    assert_eq!(out.matches(&good).count(), skus, "{out}");
}

#[test]
fn a_server_that_never_sends_its_settings_gets_requests_nevertheless() {
    let (dir, server) = setting(20, |_, mut frames| async move { frames.answer_all().await });
    run(&dir, &server, "-c 1 --retries 0 --timeout 10s").expect_code(0);
    expect(&dir, 20, 1);
    assert_eq!(server.connections(), 1);
}

#[test]
fn requests_wait_for_settings_that_arrive_late() {
    let (dir, server) = setting(4, |_, mut frames| async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let streams = [(MAX_CONCURRENT_STREAMS, 1)];
        frames.settings(&streams).await?;
        frames.answer_all().await
    });
    run(&dir, &server, "-c 1 --retries 0").expect_code(0);
    expect(&dir, 4, 1);
}

#[test]
fn a_server_that_allows_no_stream_is_one_without_a_connection() {
    let (dir, server) = setting(20, |_, mut frames| async move {
        frames.settings(&[(MAX_CONCURRENT_STREAMS, 0)]).await?;
        frames.be_silent().await
    });
    let ended = run(&dir, &server, "-c 4 --connect-timeout 200ms").expect_code(69);
    assert!(
        ended.stderr.contains("allowed no HTTP/2 stream within --connect-timeout 200ms"),
        "{}",
        ended.stderr
    );
    assert_eq!(server.requests(), 0);
}

#[test]
fn a_server_that_allows_streams_after_a_while_is_waited_for() {
    let (dir, server) = setting(5, |_, mut frames| async move {
        frames.settings(&[(MAX_CONCURRENT_STREAMS, 0)]).await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        frames.settings(&[(MAX_CONCURRENT_STREAMS, 10)]).await?;
        frames.answer_all().await
    });
    run(&dir, &server, "-c 1 --retries 0").expect_code(0);
    expect(&dir, 5, 1);
}

#[test]
fn what_finds_no_stream_any_more_leaves_on_another_connection_and_costs_no_attempt() {
    for ending in [0, 1, 2] {
        let (dir, server) = setting(40, move |n, mut frames| async move {
            frames.settings(&[(MAX_CONCURRENT_STREAMS, 8)]).await?;
            if n > 2 {
                return frames.answer_all().await;
            }
            let first = frames.request().await?;
            if ending == 0 {
                frames.settings(&[(MAX_CONCURRENT_STREAMS, 0)]).await?;
            }
            frames.answer(first).await?;
            if ending == 1 {
                frames.settings(&[(MAX_CONCURRENT_STREAMS, 0)]).await?;
            }
            if ending == 2 {
                tokio::time::sleep(Duration::from_millis(20)).await;
                frames.settings(&[(MAX_CONCURRENT_STREAMS, 0)]).await?;
            }
            frames.answer_all().await
        });
        run(&dir, &server, "-c 4 --retries 0 --timeout 5s").expect_code(0);
        expect(&dir, 40, 1);
    }
}

#[test]
fn a_connection_on_which_a_request_waits_in_vain_is_left() {
    let (dir, server) = setting(12, |n, mut frames| async move {
        frames.settings(&[]).await?;
        if n > 1 {
            return frames.answer_all().await;
        }
        for _ in 0..2 {
            let id = frames.request().await?;
            frames.answer(id).await?;
        }
        frames.be_silent().await
    });
    run(&dir, &server, "-c 1 --retries 1 --timeout 1s").expect_code(0);
    // Only one SKU had to wait.
    expect(&dir, 11, 1);
    expect(&dir, 1, 2);
    assert_eq!(server.connections(), 2);
}

#[test]
fn a_connection_that_is_silent_in_the_middle_of_a_body_is_abandoned() {
    let (dir, server) = setting(6, |n, mut frames| async move {
        frames.settings(&[]).await?;
        if n > 1 {
            return frames.answer_all().await;
        }
        let id = frames.request().await?;
        frames.answer(id).await?;
        let id = frames.request().await?;
        frames.send(HEADERS, END_HEADERS, id, &[0x88]).await?;
        frames.send(DATA, 0, id, b"{\"ok\"").await?;
        frames.be_silent().await
    });
    run(&dir, &server, "-c 1 --retries 1 --timeout 1s").expect_code(0);
    expect(&dir, 5, 1);
    expect(&dir, 1, 2);
}

#[test]
fn a_slow_stream_does_not_end_a_connection_on_which_others_are_answered() {
    let most = Arc::new(AtomicUsize::new(0));
    let of_one = Arc::clone(&most);
    let (dir, server) = setting(40, move |_, mut frames| {
        let of_one = Arc::clone(&of_one);
        async move {
            frames.settings(&[]).await?;
            for n in 1.. {
                let id = frames.request().await?;
                of_one.fetch_max(n, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(80)).await;
                if n != 4 {
                    frames.answer(id).await?;
                }
            }
            None
        }
    });
    run(&dir, &server, "-c 2 --retries 0 --timeout 1s --min-success 0").expect_code(1);
    // Each worker may begin with a connection of its own; then the first serves both.
    assert!(most.load(Ordering::Relaxed) >= 35, "{}", most.load(Ordering::Relaxed));
}

#[test]
fn what_a_closing_server_did_not_process_costs_no_attempt() {
    // Before any request; with a request that it did not process; with one that it still answers.
    for phase in [0, 1, 2] {
        let (dir, server) = setting(30, move |n, mut frames| async move {
            frames.settings(&[]).await?;
            if n % 2 == 0 {
                return frames.answer_all().await;
            }
            let id = match phase {
                0 => 0,
                _ => frames.request().await?,
            };
            if phase == 0 && n > 1 {
                return frames.answer_all().await;
            }
            frames.go_away(if phase == 2 { id } else { 0 }, NO_ERROR).await?;
            if phase == 2 {
                frames.answer(id).await?;
            }
            frames.be_silent().await
        });
        // Without a request so far, the next one may find that the connection is closed.
        let retries = if phase == 0 { "1" } else { "0" };
        run(&dir, &server, &format!("-c 1 --timeout 5s --retries {retries}")).expect_code(0);
        if phase > 0 {
            expect(&dir, 30, 1);
        }
    }
}

#[test]
fn a_server_that_goes_away_after_every_few_requests_is_asked_on_and_no_attempt_is_counted() {
    // It goes away as soon as it has read the fifth, or after it has answered that.
    for is_late in [false, true] {
        let (dir, server) = setting(300, move |_, mut frames| async move {
            frames.settings(&[]).await?;
            let mut asked = Vec::new();
            for n in 1..=5 {
                asked.push(frames.request().await?);
                if n == 5 && !is_late {
                    frames.go_away(asked[4], NO_ERROR).await?;
                }
            }
            for id in &asked {
                frames.answer(*id).await?;
            }
            if is_late {
                frames.go_away(asked[4], NO_ERROR).await?;
            }
            frames.be_silent().await
        });
        run(&dir, &server, "-c 40 --retries 0 --timeout 20s").expect_code(0);
        expect(&dir, 300, 1);
    }
}

#[test]
fn what_goaway_says_was_not_processed_is_free_however_often() {
    // The answers come at once, or only after several connections were closed so: it is not known before that the
    // server answers at all.
    for late in [0, 200] {
        let (dir, server) = setting(80, move |_, mut frames| async move {
            frames.settings(&[]).await?;
            let first = frames.request().await?;
            for _ in 1..10 {
                // They have arrived, and are not processed.
                if tokio::time::timeout(Duration::from_millis(5), frames.request()).await.is_err() {
                    break;
                }
            }
            frames.go_away(first, NO_ERROR).await?;
            tokio::time::sleep(Duration::from_millis(late)).await;
            frames.answer(first).await?;
            frames.be_silent().await
        });
        run(&dir, &server, "-c 80 --retries 0 --timeout 30s").expect_code(0);
        expect(&dir, 80, 1);
    }
}

#[test]
fn a_connection_that_is_closed_while_it_rests_costs_no_attempt_and_a_new_one_that_hangs_up_does() {
    let (dir, server) = setting(9, |_, mut frames| async move {
        frames.settings(&[]).await?;
        let id = frames.request().await?;
        frames.answer(id).await?;
        // The end is known to the client only after it has sent another request.
        frames.request().await.map(drop)
    });
    run(&dir, &server, "-c 1 --retries 0").expect_code(0);
    expect(&dir, 9, 1);
    let (dir, server) = setting(3, |_, mut frames| async move {
        frames.settings(&[]).await?;
        frames.request().await.map(drop)
    });
    run(&dir, &server, "-c 1 --retries 1 --min-success 0").expect_code(1);
    assert_eq!(server.requests(), 6);
}

#[test]
fn a_server_that_refuses_every_stream_gets_no_more_requests_than_the_retries_allow() {
    for reason in [REFUSED_STREAM, ENHANCE_YOUR_CALM] {
        let (dir, server) = setting(3, move |_, mut frames| async move {
            frames.settings(&[]).await?;
            loop {
                let id = frames.request().await?;
                frames.reset(id, reason).await?;
            }
        });
        run(&dir, &server, "-c 1 --retries 1 --min-success 0").expect_code(1);
        // One is free for a SKU that the server promised not to have looked at.
        assert_eq!(server.requests(), if reason == REFUSED_STREAM { 9 } else { 6 });
    }
}

#[test]
fn heads_without_end_or_measure_fail_their_sku_and_no_other() {
    // Header blocks that never end; one that is far too large; and far too many interim ones, before an end.
    for kind in [0, 1, 2] {
        let (dir, server) = setting(4, move |n, mut frames| async move {
            frames.settings(&[]).await?;
            if n > 1 {
                return frames.answer_all().await;
            }
            let id = frames.request().await?;
            // Literal fields without a name in the table: `a: bbb…`.
            let mut field = vec![0, 1, b'a', 0x7f, 0x81, 0x3e];
            field.extend([b'b'; 8064]);
            match kind {
                0 => {
                    frames.send(HEADERS, 0, id, &[0x88]).await?;
                    loop {
                        frames.send(CONTINUATION, 0, id, &field).await?;
                    }
                }
                1 => {
                    frames.send(HEADERS, 0, id, &[0x88]).await?;
                    for _ in 0..20 {
                        frames.send(CONTINUATION, 0, id, &field).await?;
                    }
                    frames.send(CONTINUATION, END_HEADERS, id, &field).await?;
                    frames.be_silent().await
                }
                _ => {
                    for _ in 0..20_000 {
                        // `:status: 103`
                        let interim = [0x08, 3, b'1', b'0', b'3'];
                        frames.send(HEADERS, END_HEADERS, id, &interim).await?;
                    }
                    None
                }
            }
        });
        run(&dir, &server, "-c 1 --retries 1 --timeout 2s").expect_code(0);
        expect(&dir, 3, 1);
        expect(&dir, 1, 2);
    }
}

#[test]
fn a_head_may_be_as_large_as_over_http1() {
    let (dir, server) = setting(1, |_, mut frames| async move {
        frames.settings(&[]).await?;
        let id = frames.request().await?;
        let mut field = vec![0, 1, b'a', 0x7f, 0x81, 0x3e];
        field.extend([b'b'; 8064]);
        frames.send(HEADERS, 0, id, &[0x88]).await?;
        for _ in 0..5 {
            frames.send(CONTINUATION, 0, id, &field).await?;
        }
        frames.send(CONTINUATION, END_HEADERS, id, &field).await?;
        frames.send(DATA, END_STREAM, id, BODY.as_bytes()).await?;
        frames.be_silent().await
    });
    run(&dir, &server, "-c 1 --retries 0").expect_code(0);
    expect(&dir, 1, 1);
}

#[test]
fn a_body_for_which_the_server_opens_no_window_times_out_and_an_early_answer_counts() {
    for answers in [true, false] {
        let (dir, server) = setting(2, move |_, mut frames| async move {
            frames.settings(&[(INITIAL_WINDOW_SIZE, 0)]).await?;
            loop {
                let id = frames.request().await?;
                if answers {
                    frames.answer(id).await?;
                    frames.reset(id, NO_ERROR).await?;
                }
            }
        });
        dir.write("body.json", vec![b'1'; 200_000]);
        let ended = run(&dir, &server, "-c 1 --retries 0 --timeout 1s --min-success 0 --body @body.json");
        let ended = ended.expect_code(i32::from(!answers));
        assert_eq!(ended.stderr.contains("timed out"), !answers, "{}", ended.stderr);
        if answers {
            expect(&dir, 2, 1);
        }
    }
}
