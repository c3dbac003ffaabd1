//! What the person sees at the end of a run.

use std::time::Duration;

use crate::output_kit::{counts, fetch, finished, plain, skus};
use crate::support::{Reply, Run, Script, ScriptedServer, WorkDir, closed_port, sealed_file};

fn mixed() -> (WorkDir, ScriptedServer) {
    let dir = WorkDir::new();
    let mut rows = skus(1200);
    rows.extend(["S0000".to_owned(), "S0001".to_owned(), "..".to_owned()]);
    dir.write_skus(&rows);
    let mut script = Script::new();
    for sku in ["S0003", "S0017", "S0020"] {
        script = script.for_sku(sku, [Reply::status(404)]);
    }
    (dir, ScriptedServer::script(script.for_sku("S0030", [Reply::json("{\"a\":")])))
}

#[test]
fn the_summary_has_the_promised_shape() {
    let (dir, server) = mixed();
    let ended = plain(&dir, &server, "out.json").args(["-c", "16", "--retries", "0"]).finish().expect_code(1);
    assert_eq!(ended.stdout(), "", "standard output carries data only");
    let lines: Vec<_> = ended.stderr_after_header().lines().collect();
    let head = lines[0];
    assert!(head.starts_with("1,200 SKUs (1,203 rows) in "), "{head}");
    for part in [": 1,196 fetched, 5 failed (3 not found, ", ", 2 repeats", "/s · p50 ", ", p95 "] {
        assert!(head.contains(part), "no `{part}` in {head}");
    }
    // Grouped, with a count and one example: the row, the SKU, why, and where from.
    let groups: Vec<_> = lines.iter().filter(|line| line.starts_with("  ")).collect();
    assert_eq!(groups.len(), 3, "{}", ended.stderr);
    assert!(groups[0].contains("3 not found: first at line 5, SKU S0003: "), "{}", groups[0]);
    assert!(groups[0].contains("404") && groups[0].contains("/p/S0003"), "{}", groups[0]);
    assert!(groups.iter().any(|line| line.contains("line 32, SKU S0030")), "{}", ended.stderr);
    assert!(groups.iter().any(|line| line.contains("line 1204, SKU ..")), "{}", ended.stderr);
    let limited = lines.iter().position(|line| line.starts_with("limited by: ")).unwrap();
    assert_eq!(limited, lines.len() - 2, "{}", ended.stderr);
    let wrote = lines.last().unwrap();
    assert!(
        wrote.starts_with("wrote out.json (") && wrote.ends_with(" and out.failed.csv (5 rows)"),
        "{wrote}"
    );
}

#[test]
fn a_plan_and_a_summary_count_the_same_skus_and_an_early_stop_counts_rows() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write("products.csv", "sku,n\nA,1\n,2\nB,3\nA,4\n..,5\nA B C,7,8\n\nC,8\n");
    let plan = plain(&dir, &server, "out.json").args(["--dry-run"]).finish().expect_code(1);
    assert!(
        plan.stdout().contains("\nrows      7: 3 SKUs, 1 repeat, 3 bad rows · 1 blank line\n"),
        "{}",
        plan.stdout()
    );
    let ended = plain(&dir, &server, "out.json").finish().expect_code(1);
    assert!(ended.stderr_after_header().starts_with("3 SKUs (7 rows) in "), "{}", ended.stderr);
    let words = ": 3 fetched, 3 failed (3 bad rows), 1 repeat ·";
    assert!(ended.stderr.contains(words) && ended.stderr.contains(" · 1 blank line\n"), "{}", ended.stderr);
    let ended = fetch(&dir, &server).finish().expect_code(1);
    let summary = crate::output_kit::finished(&ended);
    assert_eq!((&summary["skus"], &summary["bad_rows"], &summary["rows"]), (&3.into(), &3.into(), &7.into()));

    let refusing = ScriptedServer::start(|_| Reply::status(401));
    let many: Vec<_> = (0..60).map(|n| format!("Z{n},{n}")).collect();
    dir.write("products.csv", format!("sku,n\nA,1\nA,2\n..,3\n{}\n", many.join("\n")));
    let ended = plain(&dir, &refusing, "new.json").finish().expect_code(77);
    let counts = ended.stderr.lines().find(|line| line.contains("deferred")).unwrap();
    assert!(counts.starts_with("63 rows in "), "what was not looked at is no SKU yet: {}", ended.stderr);
}

#[test]
fn the_verdict_is_always_there_and_names_what_limited_the_run() {
    let verdict = |ended: &crate::support::Ended| {
        let line = ended.stderr.lines().find(|line| line.starts_with("limited by: "));
        line.unwrap_or_else(|| panic!("no verdict: {}", ended.stderr)).to_owned()
    };
    let slow = |millis: u64| {
        ScriptedServer::start(move |seen| Reply::echo(seen).wait(Duration::from_millis(millis)))
    };
    let dir = WorkDir::new();
    dir.write_skus(skus(60));
    let server = slow(40);
    let ended = plain(&dir, &server, "out.json").args(["-c", "2"]).finish().expect_code(0);
    assert!(verdict(&ended).contains("--concurrency"), "{}", verdict(&ended));
    let ended = plain(&dir, &server, "out.json").args(["-r", "50/s"]).finish().expect_code(0);
    assert!(verdict(&ended).contains("--rate"), "{}", verdict(&ended));
    dir.write_skus(["1"]);
    let ended = plain(&dir, &server, "one.json").finish().expect_code(0);
    assert!(!verdict(&ended).is_empty());
    // Also where nothing was published, and where a run was stopped.
    let failing = ScriptedServer::start(|_| Reply::status(404));
    verdict(&plain(&dir, &failing, "one.json").finish().expect_code(69));
    dir.write_skus(skus(60));
    let ended =
        plain(&dir, &server, "out.json").args(["-c", "1", "--max-time", "200ms"]).finish().expect_code(75);
    verdict(&ended);
}

#[test]
fn from_cron_with_everything_well_which_run_it_is_and_the_summary_are_all_that_is_printed() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(skus(30));
    let ended = plain(&dir, &server, "out.json").finish().expect_code(0);
    let lines: Vec<_> = ended.stderr_after_header().lines().collect();
    assert_eq!(lines.len(), 3, "{}", ended.stderr);
    assert!(lines[0].starts_with("30 SKUs in ") && lines[1].starts_with("limited by: "));
    assert!(lines[2].starts_with("wrote out.json ("), "{}", lines[2]);
    assert!(!ended.stderr.contains(['\r', '\u{1b}']), "neither bar nor colour");
    // The second night has an old state beside it, and is as quiet.
    let ended = plain(&dir, &server, "out.json").finish().expect_code(0);
    assert_eq!(ended.stderr_after_header().lines().count(), 3, "{}", ended.stderr);
}

#[test]
fn quiet_prints_nothing_unless_it_fails() {
    let dir = WorkDir::new();
    dir.write_skus(skus(4).iter().chain([&"S0001".to_owned()]));
    let server = ScriptedServer::echo();
    let ended = plain(&dir, &server, "out.json").args(["-q"]).finish().expect_code(0);
    assert_eq!((ended.stderr.as_str(), ended.stdout()), ("", ""));
    let ended = fetch(&dir, &server).args(["-q"]).finish().expect_code(0);
    assert_eq!(ended.stderr, "");
    let some = ScriptedServer::script(Script::new().for_sku("S0002", [Reply::status(404)]));
    let ended = plain(&dir, &some, "out.json").args(["-q"]).finish().expect_code(1);
    assert!(ended.stderr.contains("SKU S0002") && ended.stderr.contains("1 failed"), "{}", ended.stderr);
    let none = ScriptedServer::start(|_| Reply::status(404));
    let ended = plain(&dir, &none, "out.json").args(["-q"]).finish().expect_code(69);
    assert!(ended.stderr.contains("error: ") && ended.stderr.contains("--min-success"), "{}", ended.stderr);
    let ended = Run::new(&dir).args(["-q", "none.csv", "-o", "x.json", "--url", "http://a/{sku}"]).finish();
    assert!(ended.code == Some(66) && ended.stderr.contains("none.csv"), "{}", ended.stderr);
}

#[test]
fn repeats_whose_request_would_have_differed_are_named_by_line() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write("products.csv", "sku,shop\n1,berlin\n2,bonn\n1,berlin\n1,ulm\n2,ulm\n");
    let ended = Run::new(&dir)
        .args(["products.csv", "-o", "out.json", "--url", &server.url("/{shop}/{sku}")])
        .finish()
        .expect_code(0);
    let warning = ended.stderr.lines().find(|line| line.starts_with("warning: ")).unwrap_or_default();
    assert!(warning.contains("2 repeats") && warning.contains("lines 5 and 6"), "{}", ended.stderr);
    assert!(ended.stderr.contains("2 SKUs (5 rows) in "), "{}", ended.stderr);
    assert_eq!(server.count(), 2);
}

#[test]
fn what_is_recovered_from_a_journal_is_counted_as_fetched_and_apart() {
    let dir = WorkDir::new();
    dir.write_skus(skus(10));
    let server = ScriptedServer::start(|seen| match (seen.sku.as_str(), seen.attempt) {
        ("S0000", 1) => Reply::status(404),
        _ => Reply::echo(seen),
    });
    let ended = plain(&dir, &server, "out.json").args(["--min-success", "95"]).finish().expect_code(69);
    assert!(ended.stderr.contains("9 of 10"), "{}", ended.stderr);
    let ended = plain(&dir, &server, "out.json").args(["--min-success", "95"]).finish().expect_code(0);
    assert!(ended.stderr.contains("10 fetched (9 from the journal)"), "{}", ended.stderr);
}

#[test]
fn the_summary_agrees_with_the_servers_own_count() {
    let dir = WorkDir::new();
    let skus = skus(300);
    dir.write_skus(&skus);
    let kind = |sku: &str| crc32fast::hash(sku.as_bytes()) % 20;
    let server = ScriptedServer::start(move |seen| match (kind(&seen.sku), seen.attempt) {
        (0, 1) => Reply::status(503),
        (1, 1) => Reply::echo(seen).cut(5),
        (2, _) => Reply::status(404),
        (3, _) if seen.path().starts_with("/p/") => Reply::redirect(302, &format!("/q/{}", seen.sku)),
        (5, _) => Reply::redirect(302, "http://127.0.0.2/elsewhere"),
        (6, 1) => Reply::echo(seen).chunked().cut(3),
        (7, _) => Reply::redirect(307, seen.path()),
        _ => Reply::echo(seen),
    });
    let ended = fetch(&dir, &server).finish().expect_code(1);
    let summary = finished(&ended);
    let of = |kinds: &[u32]| skus.iter().filter(|sku| kinds.contains(&kind(sku))).count();
    assert_eq!(summary["failed"], of(&[2, 5, 7]), "{summary}");
    // Several SKUs at a time that get a 503 are taken for refused.
    let again = summary["retries"].as_u64().unwrap() + summary["refused"].as_u64().unwrap();
    assert_eq!(again, of(&[0, 1, 6]) as u64, "{summary}");
    assert_eq!(summary["attempts"], server.count(), "{summary}");
    assert_eq!(summary["statuses"]["404"], of(&[2]));
    // A loop is left after five redirects, which were answered as well as the sixth.
    assert_eq!(summary["statuses"]["307"], 6 * of(&[7]));
}

#[test]
fn every_row_is_in_exactly_one_number_at_every_end() {
    let dir = WorkDir::new();
    let rows: Vec<_> = skus(400).into_iter().chain(["S0001".into(), "..".into(), "S0399".into()]).collect();
    dir.write_skus(&rows);
    let at_end = |server: &ScriptedServer, code: i32| {
        let ended = fetch(&dir, server).args(["--fresh", "-c", "4"]).finish().expect_code(code);
        let counts = counts(&ended);
        assert_eq!(counts[0], 403, "{}", ended.stderr);
        counts
    };
    let refusing = ScriptedServer::start(|_| Reply::status(401));
    assert_eq!(at_end(&refusing, 77)[1..4], [0, 0, 0], "deferred, not failed");
    let certain = ScriptedServer::start(|seen| match seen.sku.as_str() {
        "S0100" => Reply::retry_after(503, "86400"),
        _ => Reply::echo(seen),
    });
    let [_, fetched, _, failed, _, deferred] = at_end(&certain, 75);
    assert!(fetched >= 90 && failed == 0 && deferred >= 290);
    assert_eq!(at_end(&ScriptedServer::start(|_| Reply::status(410)), 69)[3..], [401, 2, 0]);
    assert_eq!(at_end(&ScriptedServer::echo(), 1), [403, 400, 0, 1, 2, 0]);
    // No server; and no reader of the result.
    let nobody = format!("http://{}/{{sku}}", closed_port());
    let to =
        |output: &str| Run::new(&dir).args(["products.csv", "-o", output, "--log-format", "json", "--fresh"]);
    let ended = to("x.json").args(["--url", &nobody]).finish().expect_code(69);
    assert_eq!(counts(&ended), [403, 0, 0, 0, 0, 403]);
    let server = ScriptedServer::echo();
    let run = to("-").args(["--url", &server.url("/{sku}")]).stdout(sealed_file());
    assert_eq!(counts(&run.finish().expect_code(74)), [403, 400, 0, 1, 2, 0]);
    // A stream that turns out to be damaged.
    let mut stream = String::from("sku\n");
    stream.extend((0..50).map(|n| format!("{n}\n")));
    stream.push_str("\"never closed\n1\n");
    let ended = Run::new(&dir)
        .args(["-", "-o", "y.json", "--log-format", "json", "--url", &server.url("/{sku}")])
        .stdin(stream)
        .finish()
        .expect_code(65);
    assert_eq!(counts(&ended)[..2], [50, 50]);
    assert!(dir.has("y.json.journal") && !dir.has("y.json"));
}

#[test]
fn failed_rows_without_a_file_are_reported_to_be_in_none() {
    let dir = WorkDir::new();
    dir.write_skus(["A", "B", "C"]);
    let server = ScriptedServer::script(Script::new().for_sku("B", [Reply::status(404)]));
    let words = "the failed rows are in no file; --failed FILE keeps them";
    let ended = plain(&dir, &server, "-").finish().expect_code(1);
    assert!(ended.stderr.trim_end().ends_with(words), "{}", ended.stderr);
    let ended = plain(&dir, &server, "-").args(["--failed", "f.csv"]).finish().expect_code(1);
    assert!(!ended.stderr.contains(words) && ended.stderr.contains("f.csv (1 row)"), "{}", ended.stderr);
}

#[test]
fn a_page_in_place_of_json_is_recognised_by_its_beginning() {
    let dir = WorkDir::new();
    dir.write_skus(["A", "B", "C"]);
    let page = || Reply::bytes("<!doctype html>\n<title>Log in</title>");
    let server = ScriptedServer::script(Script::new().for_sku("B", [page()]));
    let ended = plain(&dir, &server, "out.json").finish().expect_code(1);
    assert!(ended.stderr.contains("line 3, SKU B: not JSON: "), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("not JSON: expected a value at byte 0, an HTML page: Log in"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_list_without_a_header_is_doubted_or_warns_that_its_first_sku_was_taken_for_one() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write("products.csv", "4006381333931\n4006381333948\n");
    let refused = plain(&dir, &server, "out.json").finish().expect_code(65);
    assert!(refused.stderr.contains("the first line is a row like the others"), "{}", refused.stderr);
    assert_eq!(server.requests().len(), 0);
    dir.write("products.csv", "4006381333931\nAB-1\n");
    let words = "the first line, `4006381333931`, was read as the header and is not requested";
    let planned = plain(&dir, &server, "out.json").args(["--dry-run"]).finish().expect_code(0);
    let fetched = plain(&dir, &server, "out.json").finish().expect_code(0);
    for ended in [planned, fetched] {
        assert!(
            ended.stderr.contains(words) && ended.stderr.contains("add --no-headers"),
            "{}",
            ended.stderr
        );
    }
    for option in [&["--no-headers"][..], &["--key", "4006381333931"]] {
        let ended = plain(&dir, &server, "out.json").args(option).args(["--fresh"]).finish().expect_code(0);
        assert!(!ended.stderr.contains("taken for the header"), "{}", ended.stderr);
    }
    dir.write("products.csv", "ean13\n4006381333948\n");
    let ended = plain(&dir, &server, "out.json").finish().expect_code(0);
    assert!(!ended.stderr.contains("taken for the header"), "{}", ended.stderr);
}

#[test]
fn an_api_that_finds_no_sku_suggests_a_wrong_path() {
    let dir = WorkDir::new();
    dir.write_skus(["A", "B", "C"]);
    let lost = ScriptedServer::start(|_| Reply::status(404));
    let ended = plain(&dir, &lost, "out.json").finish().expect_code(69);
    assert!(
        ended.stderr.contains("most were answered with 404: is the path in --url right?"),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("--null-on 404"), "{}", ended.stderr);
    let broken = ScriptedServer::start(|_| Reply::status(400));
    let ended = plain(&dir, &broken, "out.json").finish().expect_code(69);
    assert!(!ended.stderr.contains("the path in --url"), "{}", ended.stderr);
}
