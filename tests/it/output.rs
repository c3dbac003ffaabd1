//! The output: its bytes follow from the input and the answers, and from nothing else.

use std::time::Duration;

use crate::output_kit::{counts, echoed, fetch, fetch_to, keys, members, messages, skus};
use crate::support::reply::echo_body;
use crate::support::{Reply, Run, Script, ScriptedServer, WorkDir, closed_pipe};

/// Spreads numbers over a range as chance would, the same for the same seed.
fn dice(seed: u64, text: &str, sides: u64) -> u64 {
    u64::from(crc32fast::hash(format!("{seed}/{text}").as_bytes())) % sides
}

#[test]
fn the_output_is_one_object_with_a_line_a_sku_in_the_inputs_order() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(["b", "a", "ü\"q", "0042"]);
    let ended = fetch(&dir, &server).finish().expect_code(0);
    let text = [("b", "b"), ("a", "a"), ("ü\\\"q", "ü\"q"), ("0042", "0042")]
        .map(|(key, sku)| format!("\"{key}\":{}", echo_body(sku)))
        .join(",\n");
    assert_eq!(dir.read("out.json"), format!("{{\n{text}\n}}\n"));
    assert_eq!(counts(&ended), [4, 4, 0, 0, 0, 0]);
    assert_eq!(dir.names(), ["out.json", "out.json.lock", "out.json.state", "products.csv"]);
}

#[test]
fn the_same_answers_give_the_same_bytes_at_any_concurrency_and_in_any_order() {
    let skus = skus(150);
    let expected = echoed(skus.iter().filter(|sku| !sku.ends_with('7')));
    for (seed, concurrency) in [(1, "1"), (2, "3"), (3, "16"), (4, "64"), (5, "150"), (6, "auto")] {
        let server = ScriptedServer::start(move |seen| {
            let reply = if seen.sku.ends_with('7') { Reply::status(404) } else { Reply::echo(seen) };
            let most = if concurrency == "1" { 2 } else { 25 };
            reply.wait(Duration::from_millis(dice(seed, &seen.sku, most)))
        });
        let dir = WorkDir::new();
        dir.write_skus(&skus);
        let ended = fetch(&dir, &server).args(["-c", concurrency]).finish().expect_code(1);
        assert_eq!(dir.read("out.json"), expected, "concurrency {concurrency}");
        assert_eq!(counts(&ended), [150, 135, 0, 15, 0, 0]);
    }
}

#[test]
fn no_sku_ever_holds_the_body_of_another_among_503s_cuts_and_resets() {
    let skus = skus(5000);
    let server = ScriptedServer::start(|seen| {
        let echo = Reply::echo(seen);
        if seen.attempt > 1 {
            return echo;
        }
        match dice(7, &seen.sku, 120) {
            0 => Reply::status(503),
            1 => echo.cut(9),
            2 => echo.chunked().cut(12),
            3 => echo.reset_after(5),
            4 => Reply::hang_up(),
            5 => echo.close_on_next(),
            6 => echo.idle_close(Duration::from_millis(1)),
            _ => echo,
        }
    });
    let dir = WorkDir::new();
    dir.write_skus(&skus);
    let ended = fetch(&dir, &server).args(["-c", "64"]).finish().expect_code(0);
    assert!(server.count() > 5100, "the faults were met");
    assert_eq!(counts(&ended), [5000, 5000, 0, 0, 0, 0]);
    for (sku, (key, body)) in skus.iter().zip(members(&dir.read("out.json"))) {
        assert_eq!((sku, &body), (&key, &echo_body(sku)));
    }
}

#[test]
fn a_body_is_stored_digit_for_digit_less_the_white_space_between_tokens() {
    let dir = WorkDir::new();
    dir.write_skus(["1"]);
    let body =
        "\u{feff}{ \"z\" : 9007199254740993,\r\n\t\"a\":[1.10, 1e400 , -0.0],\"z\":\"a  \\u00e9 ü\" } \n";
    let server = ScriptedServer::start(move |_| Reply::json(body));
    fetch(&dir, &server).finish().expect_code(0);
    let kept = "{\"z\":9007199254740993,\"a\":[1.10,1e400,-0.0],\"z\":\"a  \\u00e9 ü\"}";
    assert_eq!(dir.read("out.json"), format!("{{\n\"1\":{kept}\n}}\n"));
}

#[test]
fn a_body_that_would_spoil_the_file_fails_its_sku_alone() {
    let dir = WorkDir::new();
    let deep = format!("{}{}", "[".repeat(101), "]".repeat(101));
    let fits = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let bad: [&[u8]; 7] =
        [deep.as_bytes(), b"\"\\ud800\"", b"\"\xff\"", b"NaN", b"{} {}", b"not json", b"<p>"];
    let mut script = Script::new().for_sku("fits", [Reply::json(fits.clone())]);
    let names: Vec<String> = (0..bad.len()).map(|n| format!("bad{n}")).collect();
    for (name, body) in names.iter().zip(bad) {
        script = script.for_sku(name, [Reply::bytes(body)]);
    }
    let server = ScriptedServer::script(script);
    let good = skus(8);
    dir.write_skus(names.iter().chain(&good).map(String::as_str).chain(["fits"]));
    let ended = fetch(&dir, &server).args(["--retries", "0"]).finish().expect_code(1);
    assert_eq!(counts(&ended), [16, 9, 0, 7, 0, 0]);
    let text = dir.read("out.json");
    assert_eq!(keys(&text), [good, vec!["fits".to_owned()]].concat());
    assert_eq!(members(&text).last().unwrap().1, fits);
}

#[test]
fn no_sku_left_to_publish_is_an_empty_object() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::start(|_| Reply::status(404)));
    dir.write_skus(["1", "2"]);
    let ended = fetch(&dir, &server).args(["--min-success", "0"]).finish().expect_code(1);
    assert_eq!(dir.read("out.json"), "{\n}\n");
    assert_eq!(counts(&ended), [2, 0, 0, 2, 0, 0]);
    let ended = fetch_to(&dir, &server, "out.jsonl")
        .args(["--min-success", "0", "--format", "jsonl"])
        .finish()
        .expect_code(1);
    assert_eq!(dir.read("out.jsonl"), "");
    assert_eq!(counts(&ended)[3], 2);
}

#[test]
fn standard_output_carries_the_complete_output_and_nothing_else() {
    let dir = WorkDir::new();
    let skus = skus(40);
    dir.write_skus(&skus);
    let server = ScriptedServer::script(Script::new().for_sku("S0003", [Reply::status(404)]));
    let expected = echoed(skus.iter().filter(|sku| *sku != "S0003"));
    let ended = fetch_to(&dir, &server, "-").finish().expect_code(1);
    assert_eq!(ended.stdout(), expected);
    assert_eq!(counts(&ended), [40, 39, 0, 1, 0, 0]);
    assert_eq!(dir.names(), ["products.csv"], "failed rows go only where --failed says");
    let ended = fetch_to(&dir, &server, "-").args(["--failed", "f.csv"]).finish().expect_code(1);
    assert_eq!(ended.stdout(), expected);
    assert_eq!(dir.names(), ["f.csv", "products.csv"]);
}

#[test]
fn nothing_of_an_incomplete_run_reaches_standard_output_and_no_journal_is_spoken_of() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::start(|_| Reply::status(404)));
    dir.write_skus(skus(4));
    let ended = fetch_to(&dir, &server, "-").finish().expect_code(69);
    assert_eq!(ended.stdout(), "");
    assert_eq!(counts(&ended), [4, 0, 0, 4, 0, 0]);
    let slow = ScriptedServer::start(|seen| Reply::echo(seen).wait(Duration::from_millis(40)));
    dir.write_skus(skus(400));
    let ended = fetch_to(&dir, &slow, "-").args(["-c", "2", "--max-time", "300ms"]).finish().expect_code(75);
    assert_eq!(ended.stdout(), "");
    let summary = crate::output_kit::finished(&ended);
    assert_eq!(summary["journal_kept"], false);
    assert!(!messages(&ended).contains("journal"), "there is none: {}", messages(&ended));
}

#[test]
fn a_closed_standard_output_exits_74_and_is_no_crash() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(skus(300));
    let ended = fetch_to(&dir, &server, "-").stdout(closed_pipe()).finish().expect_code(74);
    assert!(messages(&ended).contains("standard output"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("panicked"));
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let ended = fetch_to(&dir, &server, "-").stdout(full).finish().expect_code(74);
    assert!(messages(&ended).contains("standard output"), "{}", ended.stderr);
}

#[test]
fn a_closed_standard_error_is_no_crash() {
    let (dir, server) =
        (WorkDir::new(), ScriptedServer::script(Script::new().for_sku("S0001", [Reply::status(404)])));
    dir.write_skus(skus(3));
    fetch(&dir, &server).args(["-v"]).stderr(closed_pipe()).finish().expect_code(1);
    assert_eq!(keys(&dir.read("out.json")), ["S0000", "S0002"]);
    Run::new(&dir)
        .args(["absent.csv", "-o", "x.json", "--url", "http://a/{sku}"])
        .stderr(closed_pipe())
        .finish()
        .expect_code(66);
}

#[test]
fn below_min_success_nothing_is_published_and_the_old_output_is_unchanged() {
    let dir = WorkDir::new();
    let skus = skus(10);
    dir.write_skus(&skus);
    dir.write("out.json", "the old one, whatever it is");
    let server = ScriptedServer::start(|seen| match (&*seen.sku, seen.attempt) {
        ("S0000" | "S0001" | "S0002" | "S0003" | "S0004", _) | ("S0005", 1) => Reply::status(404),
        _ => Reply::echo(seen),
    });
    let ended = fetch(&dir, &server).finish().expect_code(69);
    assert_eq!(counts(&ended), [10, 4, 0, 6, 0, 0]);
    assert_eq!(dir.read("out.json"), "the old one, whatever it is");
    assert!(dir.has("out.json.journal") && dir.has("out.failed.csv"));
    assert!(messages(&ended).contains("--min-success 50"), "{}", ended.stderr);
    // Exactly half is enough; and what was answered is not requested again.
    let ended = fetch(&dir, &server).finish().expect_code(1);
    assert_eq!((counts(&ended), server.count()), ([10, 5, 0, 5, 0, 0], 16));
    assert_eq!(keys(&dir.read("out.json")), skus[5..]);
    assert!(!dir.has("out.json.journal"));
    let published = dir.read("out.json");
    fetch(&dir, &server).args(["--min-success", "51"]).finish().expect_code(69);
    assert_eq!(dir.read("out.json"), published);
    // 0 turns it off.
    dir.write_skus(&skus[..5]);
    std::fs::remove_file(dir.path("out.json")).unwrap();
    let ended = fetch(&dir, &server).args(["--min-success", "0"]).finish().expect_code(1);
    assert_eq!(counts(&ended), [5, 0, 0, 5, 0, 0]);
    assert_eq!(dir.read("out.json"), "{\n}\n");
}
