//! `out.failed.csv`: the failed rows as they were, which are themselves an input.

use std::time::Duration;

use crate::output_kit::{counts, echoed, fetch, finished, keys, skus};
use crate::support::{Reply, Run, Script, ScriptedServer, WorkDir};

/// Answers 404 for these.
fn without(skus: &[&str]) -> ScriptedServer {
    let mut script = Script::new();
    for sku in skus {
        script = script.for_sku(sku, [Reply::status(404)]);
    }
    ScriptedServer::script(script)
}

#[test]
fn failed_rows_are_written_as_they_were_with_the_reason_and_the_header() {
    let dir = WorkDir::new();
    dir.write(
        "products.csv",
        "name;sku;n\n\"a;\"\"b\"\"\";1;x\nplain;2;\"two\nlines\"\nkeyless;;\n;;\nlong;3\n é ;4; y \n"
            .as_bytes(),
    );
    let server = without(&["2", "4"]);
    let ended = fetch(&dir, &server).args(["--min-success", "0"]).finish().expect_code(1);
    assert_eq!(counts(&ended), [5, 1, 0, 4, 0, 0]);
    let text = dir.read("out.failed.csv");
    let mut reader = csv::ReaderBuilder::new().delimiter(b';').flexible(true).from_reader(text.as_bytes());
    assert_eq!(reader.headers().unwrap(), vec!["name", "sku", "n", "_error", "_status", "_attempts"]);
    let rows: Vec<Vec<String>> =
        reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
    let starts: Vec<_> = rows.iter().map(|row| row[..row.len() - 3].to_vec()).collect();
    assert_eq!(
        starts,
        [
            vec!["plain", "2", "two\nlines"],
            vec!["keyless", "", ""],
            vec!["long", "3"],
            vec![" é ", "4", " y "]
        ]
    );
    let last: Vec<_> = rows.iter().map(|row| row[row.len() - 2..].join("/")).collect();
    assert_eq!(last, ["404/1", "/0", "/0", "404/1"]);
    assert!(rows.iter().all(|row| !row[row.len() - 3].is_empty()), "{text}");
}

#[test]
fn the_failure_file_as_input_repairs_exactly_the_failed_skus() {
    let dir = WorkDir::new();
    let skus = skus(20);
    dir.write_skus(&skus);
    fetch(&dir, &without(&["S0003", "S0011"])).finish().expect_code(1);
    assert_eq!(
        dir.read("out.json"),
        echoed(skus.iter().filter(|sku| !["S0003", "S0011"].contains(&&***sku)))
    );
    let again = |server: &ScriptedServer| {
        Run::new(&dir)
            .args(["out.failed.csv", "-o", "out.json", "--merge", "--log-format", "json"])
            .args(["--url", &server.url("/p/{sku}")])
            .finish()
    };
    // Once more with half a success: what fails again stays in the file, its columns not doubled.
    let server = without(&["S0011"]);
    let ended = again(&server).expect_code(1);
    assert_eq!((counts(&ended), server.count()), ([2, 1, 0, 1, 0, 0], 2));
    let text = dir.read("out.failed.csv");
    assert!(text.starts_with("sku,_error,_status,_attempts\nS0011,") && text.lines().count() == 2, "{text}");
    let server = ScriptedServer::echo();
    let ended = again(&server).expect_code(0);
    assert_eq!((counts(&ended), server.count()), ([1, 1, 0, 0, 0, 0], 1));
    assert!(!dir.has("out.failed.csv"), "nothing failed: it is not there");
    let mut all = keys(&dir.read("out.json"));
    all.sort();
    assert_eq!(all, skus);
}

#[test]
fn a_failure_file_over_an_output_with_skus_needs_merge_and_no_request_leaves() {
    let dir = WorkDir::new();
    dir.write_skus(skus(2_000));
    fetch(&dir, &without(&["S0003", "S0011"])).finish().expect_code(1);
    let (output, failed) = (dir.read("out.json"), dir.read("out.failed.csv"));
    let server = ScriptedServer::echo();
    let run = |input: &str, args: &[&str]| {
        let url = server.url("/p/{sku}");
        Run::new(&dir).args([input, "--url", &url]).args(args).stdin(failed.clone())
    };
    for args in [&["-o", "out.json"][..], &["-o", "out.json", "--dry-run"], &["-o", "./out.json", "--fresh"]]
    {
        for input in ["out.failed.csv", "-"] {
            let ended = run(input, args).finish().expect_code(2);
            let (name, rows) = if input == "-" { ("standard input", "") } else { (input, " (2 rows)") };
            let output = args[1];
            let message = format!(
                "{name} has only rows that failed{rows}; without --merge they would replace the 1,998 SKUs in {output}\n"
            );
            assert!(ended.stderr.contains(&message), "{}", ended.stderr);
            assert!(ended.stderr.contains("hint: add --merge"), "{}", ended.stderr);
            assert_eq!(ended.stdout(), "");
        }
    }
    assert_eq!(
        (server.count(), dir.read("out.json"), dir.read("out.failed.csv")),
        (0, output, failed.clone())
    );
    // A spreadsheet added a comma to each line, or a person a column.
    let edited = failed.replace('\n', ",\n");
    dir.write("edited.csv", edited);
    let ended = run("edited.csv", &["-o", "out.json"]).finish().expect_code(2);
    assert!(ended.stderr.contains("--merge"), "{}", ended.stderr);
    // Nothing is lost: another output, standard output, one without a SKU.
    run("out.failed.csv", &["-o", "two.json"]).finish().expect_code(0);
    assert_eq!(keys(&dir.read("two.json")), ["S0003", "S0011"]);
    for empty in ["", "{\n}\n"] {
        dir.write("three.json", empty);
        run("out.failed.csv", &["-o", "three.json"]).finish().expect_code(0);
        assert_eq!(keys(&dir.read("three.json")), ["S0003", "S0011"]);
    }
    let ended = run("out.failed.csv", &["-o", "-"]).finish().expect_code(0);
    assert_eq!(keys(ended.stdout()), ["S0003", "S0011"]);
    // One that is laid out in another way is counted as well; of what is no output at all the size is named.
    let spread = "{\n  \"A\": 1\n}\n";
    dir.write("spread.json", spread);
    let ended = run("out.failed.csv", &["-o", "spread.json"]).finish().expect_code(2);
    assert!(ended.stderr.contains("would replace the 1 SKU in spread.json"), "{}", ended.stderr);
    assert_eq!(dir.read("spread.json"), spread);
    dir.write("notes.txt", "not JSON");
    let ended = run("out.failed.csv", &["-o", "notes.txt"]).finish().expect_code(2);
    assert!(ended.stderr.contains("would replace notes.txt (8 bytes)"), "{}", ended.stderr);
}

#[test]
fn a_failure_file_waits_for_a_run_and_is_then_refused_over_what_that_one_left() {
    let dir = WorkDir::new();
    dir.write_skus(skus(3));
    dir.write("some.csv", "sku,_error,_status,_attempts\nS0001,late,,5\n");
    let server = ScriptedServer::start(|seen| Reply::echo(seen).wait(Duration::from_millis(500)));
    let first = fetch(&dir, &server).spawn();
    server.wait_for(1);
    let url = server.url("/p/{sku}");
    let args = ["some.csv", "-o", "out.json", "--lock-wait", "30s", "--url", &url];
    let ended = Run::new(&dir).args(args).finish().expect_code(2);
    assert!(ended.stderr.contains("would replace the 3 SKUs in out.json"), "{}", ended.stderr);
    first.wait().expect_code(0);
    assert_eq!((server.count(), keys(&dir.read("out.json"))), (3, skus(3)));
}

#[test]
fn a_failure_file_that_is_only_half_done_stays_as_it_is() {
    let dir = WorkDir::new();
    dir.write_skus(skus(4));
    fetch(&dir, &without(&["S0001", "S0002"])).finish().expect_code(1);
    let before = dir.read("out.failed.csv");
    let server = ScriptedServer::echo();
    Run::new(&dir)
        .args([
            "out.failed.csv",
            "-o",
            "out.json",
            "--merge",
            "--limit",
            "1",
            "--url",
            &server.url("/p/{sku}"),
        ])
        .finish()
        .expect_code(0);
    assert_eq!(dir.read("out.failed.csv"), before, "S0002 is still to be asked for");
    assert_eq!(server.count(), 1);
}

#[test]
fn an_old_failure_file_is_removed_when_nothing_failed() {
    let dir = WorkDir::new();
    dir.write_skus(skus(3));
    fetch(&dir, &without(&["S0001"])).finish().expect_code(1);
    assert!(dir.has("out.failed.csv"));
    fetch(&dir, &ScriptedServer::echo()).finish().expect_code(0);
    assert!(!dir.has("out.failed.csv"));
}

#[test]
fn a_cell_that_a_spreadsheet_would_run_is_guarded_and_is_read_again_unchanged() {
    let dir = WorkDir::new();
    let cells = ["=1+1", "+49", "-5", "@SUM(A1)", "'=2", "''-3", "'plain", "plain"];
    let rows: Vec<_> = cells.iter().map(|cell| format!("{cell},{cell}\n")).collect();
    dir.write("products.csv", format!("sku,=name\n{}", rows.concat()));
    let all_fail = ScriptedServer::start(|_| Reply::status(404));
    fetch(&dir, &all_fail).args(["--min-success", "0"]).finish().expect_code(1);
    let text = dir.read("out.failed.csv");
    assert!(text.starts_with("sku,'=name,_error"), "{text}");
    for line in text.lines().skip(1) {
        for cell in line.split(',').take(2) {
            assert!(!cell.starts_with(['=', '+', '-', '@']), "{line}");
        }
    }
    // Failed a second time, it is the same file; then each is requested by its own name.
    let again = |server: &ScriptedServer| {
        let url = server.url("/{=name}/{sku}");
        Run::new(&dir)
            .args(["out.failed.csv", "-o", "two.json", "--failed", "out.failed.csv"])
            .args(["--min-success", "0", "--log-format", "json", "--url", &url])
            .finish()
    };
    again(&all_fail).expect_code(1);
    assert_eq!(dir.read("out.failed.csv"), text);
    let server = ScriptedServer::echo();
    let ended = again(&server).expect_code(0);
    assert_eq!(counts(&ended)[1], 8);
    let mut requested: Vec<_> = server.requests().iter().map(|seen| seen.segments()).collect();
    requested.sort();
    let mut wanted = cells.map(|cell| vec![cell.as_bytes().to_vec(); 2]).to_vec();
    wanted.sort();
    assert_eq!(requested, wanted);
    assert_eq!(keys(&dir.read("two.json")), cells);
}

#[test]
fn a_damaged_row_keeps_its_bytes_and_fails_again() {
    let dir = WorkDir::new();
    dir.write("products.csv", b"sku,name\n1,a\nbad\xff,b\n2\n3,c,d,e\n4,x\n".as_slice());
    let ended = fetch(&dir, &ScriptedServer::echo()).args(["--min-success", "0"]).finish().expect_code(1);
    assert_eq!(counts(&ended), [5, 2, 0, 3, 0, 0]);
    let text = dir.bytes("out.failed.csv");
    assert!(memchr::memmem::find(&text, b"bad\xff,b,").is_some());
    let server = ScriptedServer::echo();
    let ended = Run::new(&dir)
        .args(["out.failed.csv", "-o", "out.json", "--merge", "--min-success", "0", "--log-format", "json"])
        .args(["--url", &server.url("/p/{sku}")])
        .finish()
        .expect_code(1);
    assert_eq!((counts(&ended), server.count()), ([3, 0, 0, 3, 0, 0], 0));
    assert_eq!(dir.bytes("out.failed.csv"), text, "as it was");
    assert_eq!(keys(&dir.read("out.json")), ["1", "4"]);
}

#[test]
fn a_refused_row_whose_key_another_row_got_a_job_for_counts_as_a_repeat() {
    let dir = WorkDir::new();
    dir.write("products.csv", "sku,shop\n7,\n7,\n7,berlin\n7,\n8,\n8,\n9,bonn\n");
    let server = ScriptedServer::echo();
    let ended = Run::new(&dir)
        .args([
            "products.csv",
            "-o",
            "out.json",
            "--log-format",
            "json",
            "--url",
            &server.url("/{shop}/{sku}"),
        ])
        .finish()
        .expect_code(1);
    assert_eq!(counts(&ended), [7, 2, 0, 2, 3, 0]);
    let causes: u64 = finished(&ended)["causes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["count"].as_u64().unwrap())
        .sum();
    assert_eq!(causes, 2, "the causes are those of the failed rows: {}", ended.stderr);
    assert_eq!(keys(&dir.read("out.json")), ["7", "9"]);
    let failed = dir.read("out.failed.csv");
    assert_eq!(failed.lines().skip(1).map(|line| &line[..1]).collect::<String>(), "88", "{failed}");
}

#[test]
fn refused_rows_that_are_repeats_do_not_weigh_on_min_success() {
    let dir = WorkDir::new();
    dir.write("products.csv", "sku,shop\n7,\n7,\n7,\n7,\n7,berlin\n");
    let server = ScriptedServer::echo();
    let ended = Run::new(&dir)
        .args([
            "products.csv",
            "-o",
            "out.json",
            "--log-format",
            "json",
            "--url",
            &server.url("/{shop}/{sku}"),
        ])
        .finish()
        .expect_code(0);
    assert_eq!(counts(&ended), [5, 1, 0, 0, 4, 0]);
    assert!(!dir.has("out.failed.csv"));
}

#[test]
fn the_failure_file_is_written_at_every_end_that_had_failures() {
    let dir = WorkDir::new();
    dir.write_skus(skus(40));
    let server = ScriptedServer::start(|seen| match seen.sku.as_str() {
        "S0001" => Reply::status(404),
        "S0030" => Reply::retry_after(429, "3600"),
        _ => Reply::echo(seen).wait(Duration::from_millis(40)),
    });
    // A server that demands a longer wait than is allowed, a signal, the end of the time.
    let ended = fetch(&dir, &server).args(["-c", "1"]).finish().expect_code(75);
    assert_eq!(counts(&ended)[3], 1);
    let run = |more: &[&str]| {
        std::fs::remove_file(dir.path("out.failed.csv")).unwrap();
        fetch(&dir, &server).args(["-c", "1", "--fresh"]).args(more).spawn()
    };
    let ended = run(&["--max-time", "900ms"]).wait().expect_code(75);
    assert_eq!(counts(&ended)[3], 1);
    let seen = server.count();
    let stopped = run(&[]);
    server.wait_for(seen + 5);
    stopped.signal(rustix::process::Signal::TERM);
    let ended = stopped.wait().expect_code(143);
    assert_eq!(counts(&ended)[3], 1);
    assert!(dir.read("out.failed.csv").contains("\nS0001,"));
}

#[test]
fn rows_without_a_key_do_not_count_for_min_success() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    let keyless = "x,\n".repeat(20);
    dir.write("products.csv", format!("name,sku\n{keyless}a,A\nb,B\n"));
    let run = |code| {
        let url = server.url("/{sku}");
        Run::new(&dir).args(["products.csv", "-o", "out.json", "-u", &url]).finish().expect_code(code)
    };
    let ended = run(1);
    assert!(ended.stderr.contains("2 fetched, 20 failed"), "{}", ended.stderr);
    assert_eq!(dir.read("out.json").lines().count(), 4);
    // Other rows that may not be requested do.
    dir.write("products.csv", format!("name,sku\n{}a,A\nb,B\n", "x,..\n".repeat(20)));
    assert!(run(69).stderr.contains("min-success"));
}
