//! Standard input: rows are requested as they arrive, and it is checked as it streams.

use std::fmt::Write;
use std::time::Duration;

use crate::input::{finished, fixture, keys, outcome_counts};
use crate::support::run::Ongoing;
use crate::support::{Reply, Run, ScriptedServer, WorkDir, encode};

fn start(dir: &WorkDir, server: &ScriptedServer, args: &[&str]) -> Ongoing {
    let url = server.url("/{sku}");
    Run::new(dir).args(["-", "-o", "out.json", "-u", &url]).args(args).open_stdin().spawn()
}

#[test]
fn rows_of_a_slow_pipe_are_requested_as_they_arrive() {
    let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
    let mut run = start(&dir, &server, &[]);
    run.feed("sku,name\nA,x\n");
    run.wait_until(|| server.count() == 1);
    run.feed("B,x\nC,x\nD,");
    run.wait_until(|| server.count() == 3);
    run.feed("\"two\nlines\"\n");
    run.wait_until(|| server.count() == 4);
    // Without a line end the last row is not over before the input is.
    run.feed("E,x");
    run.close_stdin();
    run.wait().expect_code(0);
    assert_eq!(keys(&dir.read("out.json")), ["A", "B", "C", "D", "E"]);
}

#[test]
fn the_first_row_is_requested_before_the_second_has_arrived_also_without_a_header() {
    let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
    let mut run = start(&dir, &server, &["--no-headers"]);
    run.feed("A\n");
    run.wait_until(|| server.count() == 1);
    run.wait().expect_code(0);
}

#[test]
fn input_that_arrives_byte_by_byte_is_the_same_input() {
    for name in ["crlf-bom.csv", "sep-line.csv", "mixed-line-ends.csv", "quoted.csv.gz", "quoted.csv.zst"] {
        let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
        let content = fixture(name);
        let mut run = start(&dir, &server, &[]);
        for (n, byte) in content.iter().enumerate() {
            run.feed([*byte]);
            // At the start, where marks and magic numbers are, every byte is a read of its own.
            if n < 8 {
                std::thread::sleep(Duration::from_millis(3));
            }
        }
        run.wait().expect_code(0);
        let slowly = dir.read("out.json");
        dir.write("in", content);
        let args = ["in", "-o", "out.json", "-u", &server.url("/{sku}")];
        Run::new(&dir).args(args).finish().expect_code(0);
        assert_eq!(slowly, dir.read("out.json"), "{name}");
    }
}

#[test]
fn a_stream_that_turns_out_damaged_ends_with_65_publishes_nothing_and_keeps_the_journal() {
    for (damage, what) in [
        ("C,\"open\nD,x\n", "standard input, line 4: the quote that opens a cell here never closes"),
        (
            "C,\"open\nD,\"x\"\nE,x\n",
            "standard input, line 4: the quote that opens a cell here runs on into line 5",
        ),
    ] {
        let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
        dir.write("out.json", "old");
        let mut run = start(&dir, &server, &[]);
        run.feed("sku,name\nA,x\nB,x\n");
        run.wait_until(|| server.count() == 2);
        run.feed(damage);
        let ended = run.wait().expect_code(65);
        assert!(ended.stderr.contains(what), "{}", ended.stderr);
        assert_eq!(dir.read("out.json"), "old");
        assert!(dir.has("out.json.journal"));
        // Mended, it goes on from there.
        let mut run = start(&dir, &server, &[]);
        run.feed("sku,name\nA,x\nB,x\nC,x\n");
        let ended = run.wait().expect_code(0);
        assert_eq!(server.count(), 3, "{}", ended.stderr);
        assert!(ended.stderr.contains("3 fetched (2 from the journal)"), "{}", ended.stderr);
        assert_eq!(keys(&dir.read("out.json")), ["A", "B", "C"]);
    }
}

#[test]
fn a_gzip_stream_that_is_cut_ends_with_65_publishes_nothing_and_keeps_the_journal() {
    let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
    let mut rows = String::from("sku\n");
    (0..20_000).for_each(|n| writeln!(rows, "{n}-{}", fastrand::u64(..)).unwrap());
    let whole = encode::gzip(rows.as_bytes());
    let mut run = start(&dir, &server, &["--limit", "30000"]);
    run.feed(&whole[..whole.len() / 2]);
    let ended = run.wait().expect_code(65);
    assert!(ended.stderr.contains("the gzip data is cut short"), "{}", ended.stderr);
    assert!(!dir.has("out.json") && dir.has("out.json.journal"));
}

#[test]
fn a_stream_without_a_row_is_an_error_before_any_request() {
    for (content, what) in [("", "there is no header"), ("sku,name\n\n", "there is no data row")] {
        let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
        let mut run = start(&dir, &server, &[]);
        run.feed(content);
        let ended = run.wait().expect_code(65);
        assert!(ended.stderr.contains(&format!("error: standard input: {what}")), "{}", ended.stderr);
        assert_eq!((server.connections(), dir.has("out.json")), (0, false));
    }
}

#[test]
fn utf_16_is_read_from_a_stream_as_it_arrives() {
    for name in ["utf16.csv", "utf16-no-mark.csv"] {
        let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
        let mut run = start(&dir, &server, &[]);
        run.feed(fixture(name));
        run.wait().expect_code(0);
        assert_eq!(keys(&dir.read("out.json")), ["U-1"], "{name}");
    }
}

#[test]
fn limit_ends_a_stream_that_goes_on() {
    let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
    let mut run = start(&dir, &server, &["--limit", "2"]);
    // The third row, with its open quote, is never looked at, and the pipe stays open.
    run.feed("sku,name\nA,x\nB,x\nC,\"open\n");
    run.wait_until(|| dir.has("out.json"));
    run.wait().expect_code(0);
    assert_eq!(keys(&dir.read("out.json")), ["A", "B"]);
}

#[test]
fn a_silent_pipe_is_abandoned_when_max_time_is_over() {
    let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
    for args in [&["-"][..], &["tune", "-"]] {
        let mut run = Run::new(&dir)
            .args(args)
            .args(["-o", "out.json", "-u", &server.url("/{sku}"), "--max-time", "300ms"])
            .open_stdin()
            .spawn();
        // The pipe stays open until the run has ended.
        run.wait_for_stderr("--max-time was over before the input began");
        run.wait().expect_code(75);
    }
    assert_eq!((server.count(), dir.names().len()), (0, 0));
}

#[test]
fn the_numbers_of_a_stream_add_up_to_its_rows() {
    let (server, dir) = (
        ScriptedServer::start(|seen| match seen.sku.as_str() {
            "GONE" => Reply::status(404),
            _ => Reply::echo(seen),
        }),
        WorkDir::new(),
    );
    let mut run = start(&dir, &server, &["--log-format", "json"]);
    run.feed("sku,name\nA,x\n\nA,y\nGONE,x\nR\nB,x\n..,x\nC,x\nD,x\n");
    let record = finished(&run.wait().expect_code(1).stderr);
    assert_eq!((outcome_counts(&record), &record["rows"]), ([4, 0, 3, 1, 0], &8.into()));
}
