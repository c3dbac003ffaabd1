//! What is tried again, how often, and what it costs.

use std::time::Duration;

use crate::requests::run_with_url;
use crate::support::reply::echo_body;
use crate::support::{FullListener, Reply, Script, ScriptedServer, WorkDir};

fn skus(count: usize) -> WorkDir {
    let dir = WorkDir::new();
    dir.write_skus((0..count).map(|n| n.to_string()));
    dir
}

/// Asks for one SKU, whose first attempt gets this reply, and gives the number of requests.
fn asked_after(first: Reply, args: &[&str]) -> usize {
    let dir = skus(1);
    let server = ScriptedServer::script(Script::new().first([first]));
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(0);
    assert_eq!(dir.read("out.json"), format!("{{\n\"0\":{}\n}}\n", echo_body("0")), "{}", ended.stderr);
    server.count()
}

#[test]
fn connection_faults_timeouts_and_cut_bodies_are_retried_whatever_retry_on_says() {
    let body = "{\"sku\":\"0\",\"n\":[1,2,3]}";
    let faults = [
        ("hung up", Reply::hang_up()),
        ("reset", Reply::reset()),
        ("no HTTP", Reply::raw("HTTP/1.1 20")),
        ("cut by length", Reply::json(body).cut(9)),
        ("cut chunks", Reply::json(body).chunked().cut(9)),
        ("chunks without an end", Reply::json(body).chunked().cut(body.len() as u64)),
        ("reset in the body", Reply::json(body).reset_after(9)),
        ("shorter than said", Reply::json(body).said_length(99).close()),
        ("cut, delimited by the end", Reply::json(&body[..9]).until_close()),
        ("no answer in time", Reply::silence()),
        ("no body in time", Reply::json(body).pause(Duration::from_mins(1))),
        ("a body that drips", Reply::json(body).drip(1, Duration::from_millis(200))),
    ];
    for (name, fault) in faults {
        assert_eq!(asked_after(fault, &["--timeout", "500ms", "--retry-on", "none"]), 2, "{name}");
    }
}

#[test]
fn statuses_are_retried_as_retry_on_says_with_ranges_and_no_others() {
    let table = [
        (
            "408,420,425,429,500,502-504,508,509,520-524,529",
            vec![408, 420, 425, 429, 500, 502, 503, 504, 508, 509, 520, 521, 522, 523, 524, 529],
            vec![400, 409, 501, 505, 599],
        ),
        ("418", vec![418], vec![500, 503]),
        ("500-599,404", vec![404, 500, 555, 599], vec![429, 499]),
        ("none", vec![], vec![500, 429, 529]),
    ];
    for (codes, retried, final_) in table {
        let all: Vec<u16> = retried.iter().chain(&final_).copied().collect();
        let dir = WorkDir::new();
        // Good ones after each: many failures in a row would be taken for an outage, whose probe may ask again for a SKU
        // that came, and many retries would spend their budget.
        let good = |status: &u16| (0..8).map(|n| format!("good-{status}-{n}")).collect::<Vec<_>>();
        dir.write_skus(all.iter().flat_map(|status| [vec![status.to_string()], good(status)].concat()));
        let server = ScriptedServer::start(|seen| match seen.sku.parse() {
            Ok(status) if seen.attempt == 1 => Reply::status(status),
            _ => Reply::echo(seen),
        });
        let args = ["--retry-on", codes, "--min-success", "0", "-c", "4"];
        let ended = run_with_url(&dir, &server.url("/p/{sku}"), args).finish();
        assert_eq!(ended.code, Some(i32::from(!final_.is_empty())), "{}", ended.stderr);
        for status in all {
            let requested = server.requests_for(&status.to_string()).len();
            assert_eq!(requested, 1 + usize::from(retried.contains(&status)), "{status} with {codes}");
        }
    }
    // Without the option the first list counts.
    assert_eq!(asked_after(Reply::status(524), &[]), 2);
}

#[test]
fn codes_that_are_no_statuses_are_refused_before_any_request() {
    let (dir, server) = (skus(1), ScriptedServer::echo());
    for codes in ["5xx", "99", "600", "504-502", "500,", "500-", "-500", "abc"] {
        for option in ["--retry-on", "--null-on"] {
            let ended = run_with_url(&dir, &server.url("/p/{sku}"), [format!("{option}={codes}")]).finish();
            assert!(ended.expect_code(2).stderr.contains(option), "{codes}");
        }
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_status_below_400_that_retry_on_names_is_retried_and_fails_its_sku_when_the_retries_are_spent() {
    for status in [200, 202, 204, 301, 302, 304, 308] {
        let unready = Reply::redirect(status, "/elsewhere");
        let (dir, server) = (
            skus(3),
            ScriptedServer::script(
                Script::new()
                    .for_sku("1", [unready.clone(), Reply::json("1")])
                    .for_sku("2", [unready.clone()])
                    .otherwise(|_| Reply::json("0").with_status(203)),
            ),
        );
        let codes = format!("+{status}");
        // Of 200, SKU 1 is requested until its retries are spent, too.
        let args = ["--retry-on", &codes, "--retries", "1", "--min-success", "0"];
        let ended = run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(1);
        let kept = if status == 200 { "{\n\"0\":0\n}\n" } else { "{\n\"0\":0,\n\"1\":1\n}\n" };
        assert_eq!((dir.read("out.json").as_str(), server.count()), (kept, 5), "{status}: {}", ended.stderr);
        let failed = dir.read("out.failed.csv");
        let row = failed.lines().last().unwrap();
        assert!(
            row.starts_with(&format!("2,HTTP {status}")) && row.ends_with(&format!(",{status},2")),
            "{row}"
        );
    }
}

#[test]
fn an_api_whose_every_answer_is_not_ready_at_first_is_neither_out_nor_over_budget() {
    let dir = skus(300);
    let server = ScriptedServer::start(|seen| match seen.attempt {
        1 => Reply::retry_after(202, "0.05"),
        _ => Reply::echo(seen),
    });
    let args = ["--retry-on", "+202", "-c", "32"];
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(0);
    assert!(
        ended.stderr.contains("300 fetched") && !ended.stderr.contains("keeps failing"),
        "{}",
        ended.stderr
    );
    assert_eq!(server.count(), 600);
}

#[test]
fn a_not_ready_answer_waits_for_its_retry_after_and_a_longer_one_defers_the_run() {
    let (dir, server) = (
        skus(1),
        ScriptedServer::start(|seen| match seen.attempt {
            1 => Reply::retry_after(202, "0.4"),
            _ => Reply::echo(seen),
        }),
    );
    run_with_url(&dir, &server.url("/p/{sku}"), ["--retry-on", "202"]).finish().expect_code(0);
    let requests = server.requests();
    assert!(requests[1].at - requests[0].at >= Duration::from_millis(390), "{requests:?}");
    let (dir, server) = (skus(1), ScriptedServer::start(|_| Reply::retry_after(202, "3600")));
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), ["--retry-on", "202"]).finish().expect_code(75);
    assert!(ended.stderr.contains("--max-retry-after is 5m"), "{}", ended.stderr);
    assert!(!dir.has("out.json"));
}

#[test]
fn a_plus_adds_to_the_default_in_all_three_places() {
    let requested = |env: &[(&str, &str)], config: &str, args: &[&str]| {
        let dir = skus(2);
        dir.write("config.toml", config);
        let server = ScriptedServer::start(|seen| match (seen.attempt, seen.sku.as_str()) {
            (1, "0") => Reply::status(202),
            (1, _) => Reply::status(429),
            _ => Reply::echo(seen),
        });
        let mut run = run_with_url(&dir, &server.url("/p/{sku}"), args.iter().copied());
        for (name, value) in env {
            run = run.env(name, value);
        }
        run.finish().expect_code(0);
        server.count()
    };
    assert_eq!(requested(&[], "", &[]), 3);
    assert_eq!(requested(&[], "", &["--retry-on", "+202"]), 4);
    assert_eq!(requested(&[], "", &["--retry-on=+423, 202-203", "--null-on", "404"]), 4);
    assert_eq!(requested(&[("SKUFETCH_RETRY_ON", "+202")], "", &[]), 4);
    assert_eq!(requested(&[], "[retry]\nretry-on = \"+202\"", &[]), 4);
    assert_eq!(requested(&[], "[retry]\nretry-on = +202", &[]), 4);
}

#[test]
fn statuses_that_would_be_ignored_are_refused_before_any_request() {
    let (dir, server) = (skus(1), ScriptedServer::echo());
    let said = |args: &[&str], code: i32| {
        run_with_url(&dir, &server.url("/p/{sku}"), args.iter().copied()).finish().expect_code(code).stderr
    };
    for option in ["--retry-on", "--null-on"] {
        assert!(said(&[option, "102"], 2).contains(" is not a final status"));
        assert!(said(&[option, "404,100-199"], 2).contains(" is not a final status"));
    }
    for (retry, null) in [("+404", "404,410"), ("500-599", "503"), ("404", "400-499")] {
        let stderr = said(&["--retry-on", retry, "--null-on", null], 2);
        assert!(stderr.contains("is also in --null-on: it cannot be both retried"), "{stderr}");
    }
    assert_eq!(server.connections(), 0);
    // Nobody named 503 in the default.
    said(&["--null-on", "503"], 0);
    said(&["--null-on", "503", "--retry-on", "+404", "--fresh"], 0);
}

#[test]
fn what_is_told_to_be_a_limit_costs_no_retry_and_counts_in_no_attempts() {
    let page = "<html>Developer Over Qps</html>";
    let refusals = [
        ("429", Reply::status(429)),
        ("420", Reply::status(420)),
        ("508", Reply::status(508)),
        ("509", Reply::status(509)),
        ("529", Reply::status(529)),
        ("403 with a wait", Reply::retry_after(403, "0.2")),
        ("503 with a wait", Reply::retry_after(503, "0.2")),
        ("403 of Mashery", Reply::status(403).header("X-Mashery-Error-Code", "ERR_403_DEVELOPER_OVER_QPS")),
        ("403 of Mashery, in the body", Reply::json(page).with_status(403)),
        (
            "403 of Google",
            Reply::json(r#"{"error":{"errors":[{"reason":"rateLimitExceeded"}]}}"#).with_status(403),
        ),
        (
            "403 of GitHub",
            Reply::json(r#"{"message":"You have exceeded a secondary rate limit."}"#).with_status(403),
        ),
        ("403 of AWS", Reply::json(r#"{"__type":"ThrottlingException"}"#).with_status(403)),
    ];
    for (name, refusal) in refusals {
        let dir = skus(3);
        let server =
            ScriptedServer::script(Script::new().for_sku("1", [refusal.clone(), refusal, Reply::json("1")]));
        let args = ["--retries", "0", "--shape", "record", "-c", "1"];
        let ended = run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(0);
        assert_eq!(server.count(), 5, "{name}: {}", ended.stderr);
        assert_eq!(dir.read("out.json").matches("\"attempts\":1,").count(), 3, "{name}");
    }
}

#[test]
fn an_ordinary_403_fails_its_sku_whatever_its_product_is_called() {
    let dir = skus(6);
    let body =
        r#"{"error":"not yours","name":"Throttling","description":"API rate limit exceeded, a novel"}"#;
    let server = ScriptedServer::script(Script::new().for_sku("3", [Reply::json(body).with_status(403)]));
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), ["-c", "1"]).finish().expect_code(1);
    assert!(ended.stderr.contains("5 fetched, 1 failed (1 forbidden)"), "{}", ended.stderr);
}

#[test]
fn after_the_last_retry_the_sku_fails_with_its_attempts_counted() {
    for retries in [0, 2] {
        let (dir, server) =
            (skus(30), ScriptedServer::script(Script::new().for_sku("7", [Reply::status(500)])));
        let args = ["--retries", &retries.to_string()];
        run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(1);
        assert_eq!(server.requests_for("7").len(), retries + 1);
        let failed = dir.read("out.failed.csv");
        let row = failed.lines().nth(1).unwrap();
        assert!(row.starts_with("7,") && row.ends_with(&format!(",500,{}", retries + 1)), "{failed}");
    }
}

#[test]
fn a_connection_that_was_closed_while_idle_costs_no_attempt() {
    for (name, after) in [("on the next request", None), ("after a moment", Some(Duration::from_millis(3)))] {
        for concurrency in [1, 8] {
            let (dir, server) = (
                skus(120),
                ScriptedServer::start(move |seen| {
                    let reply = Reply::echo(seen).wait(Duration::from_millis(2));
                    after.map_or_else(
                        || reply.clone().close_on_next(),
                        |after| reply.clone().idle_close(after),
                    )
                }),
            );
            let args = ["--retries", "0", "--shape", "record", "-c", &concurrency.to_string()];
            let ended = run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(0);
            assert_eq!(server.count(), 120, "{name}, {concurrency} in flight: {}", ended.stderr);
            assert_eq!(dir.read("out.json").matches("\"attempts\":1,").count(), 120);
        }
    }
}

#[test]
fn after_a_pause_in_which_all_connections_were_closed_no_sku_pays_for_it() {
    let (dir, server) = (
        skus(60),
        ScriptedServer::start(|seen| match seen.number {
            20 => Reply::retry_after(429, "0.4"),
            _ => Reply::echo(seen).idle_close(Duration::from_millis(100)),
        }),
    );
    run_with_url(&dir, &server.url("/p/{sku}"), ["--retries", "1", "-c", "8"]).finish().expect_code(0);
    assert_eq!(server.count(), 61);
}

#[test]
fn a_connection_that_cannot_be_made_in_time_is_retried_and_named() {
    let (dir, listener) = (skus(1), FullListener::new());
    let url = format!("http://{}/p/{{sku}}", listener.addr());
    let args = ["--connect-timeout", "50ms", "--retries", "1", "--min-success", "0"];
    let ended = run_with_url(&dir, &url, args).finish();
    assert!(ended.stderr.contains("--connect-timeout"), "{}", ended.stderr);
    assert!(dir.read("out.failed.csv").contains(",2\n"), "{}", dir.read("out.failed.csv"));
}

#[test]
fn a_timeout_is_of_one_attempt_to_the_last_byte_of_its_body() {
    let (dir, server) = (
        skus(3),
        ScriptedServer::start(|seen| match (seen.sku.as_str(), seen.attempt) {
            ("1", 1 | 2) => Reply::echo(seen).wait(Duration::from_mins(1)),
            ("2", 1) => Reply::echo(seen).cut(5).drip(1, Duration::from_millis(100)),
            _ => Reply::echo(seen),
        }),
    );
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), ["--timeout", "250ms"]).finish().expect_code(0);
    assert_eq!(server.requests_for("1").len(), 3, "{}", ended.stderr);
    let attempts = server.requests_for("1");
    for pair in attempts.windows(2) {
        assert!(pair[1].at - pair[0].at >= Duration::from_millis(240));
    }
}
