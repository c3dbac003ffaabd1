//! The rate as a law of windows, measured in the server's log from the first request on.

use std::time::{Duration, Instant};

use crate::requests::run_with_url;
use crate::support::rate_law::{one_of_several, overfull};
use crate::support::{Reply, ScriptedServer, WorkDir};

/// The instants of the requests, in order.
fn instants(server: &ScriptedServer) -> Vec<Instant> {
    server.requests().iter().map(|seen| seen.at).collect()
}

fn skus(count: usize) -> WorkDir {
    let dir = WorkDir::new();
    dir.write_skus((0..count).map(|n| n.to_string()));
    dir
}

#[test]
fn no_window_holds_more_than_the_rate_and_the_burst_from_the_first_second_on() {
    for (rate, per_second, count) in [("50/s", 50.0, 30), ("600/m", 10.0, 8), ("1000/s", 1000.0, 600)] {
        for burst in [1, 5] {
            one_of_several(|slack| {
                let (dir, server) = (skus(count), ScriptedServer::echo());
                let args = ["-c", "50", "--rate", rate, "--burst", &burst.to_string()];
                run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(0);
                assert_eq!(server.count(), count);
                let (first, last) = (server.requests()[0].at, server.requests()[count - 1].at);
                let shortest = (count - burst) as f64 / per_second - slack.seconds();
                let hasty = (last - first).as_secs_f64() < shortest;
                hasty
                    .then(|| format!("{rate}, burst {burst}: all in {:?}", last - first))
                    .or_else(|| overfull(&instants(&server), (per_second, burst), slack))
            });
        }
    }
}

#[test]
fn retries_and_redirects_and_lost_connections_count_for_the_rate() {
    one_of_several(|slack| {
        let server = ScriptedServer::start(|seen| match (seen.attempt, seen.number % 5, seen.path()) {
            (1, 0, _) => Reply::status(500),
            (1, 1, _) => Reply::hang_up(),
            (1, 2, path) => Reply::redirect(302, &path.replace("/p/", "/q/")),
            (1, 3, _) => Reply::json("[1").until_close(),
            _ => Reply::echo(seen).close(),
        });
        run_with_url(&skus(30), &server.url("/p/{sku}"), ["-c", "30", "--rate", "50/s"])
            .finish()
            .expect_code(0);
        assert!(server.count() >= 45, "{}", server.count());
        overfull(&instants(&server), (50.0, 1), slack)
    });
}

#[test]
fn what_was_not_used_in_an_idle_time_is_not_made_up_for() {
    one_of_several(|slack| {
        let (dir, server) = (skus(1), ScriptedServer::echo());
        let mut run = crate::support::Run::new(&dir)
            .args([
                "-",
                "-o",
                "out.json",
                "--url",
                &server.url("/p/{sku}"),
                "--rate",
                "100/s",
                "--burst",
                "3",
            ])
            .open_stdin()
            .spawn();
        run.feed("sku\n1\n");
        run.wait_until(|| server.count() == 1);
        std::thread::sleep(Duration::from_millis(300));
        run.feed((2..30).map(|n| n.to_string()).collect::<Vec<_>>().join("\n"));
        run.wait().expect_code(0);
        assert_eq!(server.count(), 29);
        overfull(&instants(&server), (100.0, 3), slack)
    });
}

#[test]
fn the_free_resend_after_an_idle_close_takes_a_rate_token() {
    one_of_several(|slack| {
        let (dir, server) = (skus(20), ScriptedServer::start(|seen| Reply::echo(seen).close_on_next()));
        let args = ["-c", "1", "--retries", "0", "--rate", "50/s"];
        run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(0);
        let (seen, resent) = (server.requests(), server.turned_away());
        assert!(seen.len() == 20 && resent >= 9, "{} and {resent}", seen.len());
        let took = (seen[19].at - seen[0].at).as_secs_f64();
        let hasty = took < (19 + resent) as f64 / 50.0 - slack.seconds();
        hasty.then(|| format!("{resent} sent again, all in {took} s"))
    });
}
