//! Compressed outputs: every promise of an output holds for one whose name ends in `.gz` or `.zst`.

use std::io::Read;

use rustix::process::Signal;

use crate::output_kit::{counts, echoed, fetch_to, keys, messages, plain, skus};
use crate::support::reply::echo_body;
use crate::support::{Reply, Run, Script, ScriptedServer, Seen, WorkDir, encode};

const NAMES: [&str; 2] = ["out.json.gz", "out.json.zst"];

/// The text of a compressed file, read by the libraries themselves.
#[track_caller]
fn unpacked(dir: &WorkDir, name: &str) -> String {
    let bytes = dir.bytes(name);
    let mut text = String::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        assert_eq!(bytes[4..8], [0; 4], "there is no time in {name}");
        flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
    } else {
        zstd::stream::read::Decoder::new(&bytes[..]).unwrap().read_to_string(&mut text).unwrap();
    }
    text
}

#[test]
fn the_ending_compresses_and_the_text_is_that_of_an_output_without_it() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(["b", "a"]);
    let lines = format!(
        "{{\"key\":\"b\",\"body\":{}}}\n{{\"key\":\"a\",\"body\":{}}}\n",
        echo_body("b"),
        echo_body("a")
    );
    for (name, args, text) in [
        ("out.json.gz", &[][..], echoed(["b", "a"])),
        ("out.json.zst", &[], echoed(["b", "a"])),
        ("out.GZ", &[], echoed(["b", "a"])),
        ("out.jsonl.zst", &[], lines.clone()),
        ("out.jsonl.gz", &["--format", "json"], echoed(["b", "a"])),
        ("x.json.gz", &["--format", "jsonl"], lines.clone()),
    ] {
        let ended = plain(&dir, &server, name).args(args).finish().expect_code(0);
        assert_eq!(unpacked(&dir, name), text, "{name}");
        let size = format!("wrote {name} ({} bytes)", dir.bytes(name).len());
        assert!(ended.stderr.contains(&size), "{}", ended.stderr);
    }
}

#[test]
fn the_files_beside_it_have_the_stem_without_both_endings() {
    let dir = WorkDir::new();
    dir.write_skus(["a", "b"]);
    let server = ScriptedServer::script(Script::new().for_sku("a", [Reply::status(404)]));
    fetch_to(&dir, &server, "out.json.gz").finish().expect_code(1);
    assert_eq!(
        dir.names(),
        ["out.failed.csv", "out.json.gz", "out.json.gz.lock", "out.json.gz.state", "products.csv"]
    );
}

#[test]
fn the_same_answers_give_the_same_bytes_at_any_concurrency_and_after_a_kill() {
    let skus = skus(3000);
    // So large that much of it is written while answers still come.
    let server = ScriptedServer::start(|seen| {
        Reply::json(format!("\"{}{}\"", seen.sku, "x".repeat(2000))).wait(std::time::Duration::from_millis(1))
    });
    for name in NAMES {
        let mut all = Vec::new();
        for (concurrency, kill) in [("1", false), ("64", false), ("8", true)] {
            let dir = WorkDir::new();
            dir.write_skus(&skus);
            if kill {
                let before = server.count();
                let mut run = fetch_to(&dir, &server, name).args(["-c", concurrency]).spawn();
                run.wait_until(|| server.count() > before + 1500);
                run.kill();
                assert_eq!(run.wait().signal, Some(Signal::KILL.as_raw()));
                assert!(!dir.has(name));
            }
            fetch_to(&dir, &server, name).args(["-c", concurrency]).finish().expect_code(0);
            all.push(dir.bytes(name));
            assert!(!dir.names().iter().any(|name| name.contains(".tmp")), "{:?}", dir.names());
        }
        assert!(all[0] == all[1] && all[0] == all[2], "{name}");
    }
}

#[test]
fn the_old_output_is_merged_with_and_compared_whatever_it_is_compressed_by() {
    let old = "{\"z\":1.10,\"b\":\"old\",\"a\":2}";
    let server = ScriptedServer::script(Script::new().for_sku("a", [Reply::status(404)]));
    for name in NAMES {
        for bytes in [encode::gzip(old.as_bytes()), encode::zstd(old.as_bytes()), old.into()] {
            let dir = WorkDir::new();
            dir.write_skus(["c", "b", "a"]);
            dir.write(name, &bytes);
            let args = ["--merge", "--changes", "changes.jsonl.gz"];
            let ended = fetch_to(&dir, &server, name).args(args).finish().expect_code(1);
            assert_eq!(counts(&ended), [3, 2, 0, 1, 0, 0]);
            let text = unpacked(&dir, name);
            assert_eq!(keys(&text), ["c", "b", "a", "z"]);
            assert!(text.ends_with("\"a\":2,\n\"z\":1.10\n}\n"), "{text}");
            let changes = unpacked(&dir, "changes.jsonl.gz");
            let line = |key: &str, change: &str| format!("{{\"key\":\"{key}\",\"change\":\"{change}\"");
            for (found, expected) in
                changes.lines().zip([line("c", "added"), line("b", "changed"), line("a", "failed")])
            {
                assert!(found.starts_with(&expected), "{changes}");
            }
            assert_eq!(changes.lines().count(), 3);
        }
    }
}

#[test]
fn ages_are_known_from_run_to_run() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(["a", "b"]);
    fetch_to(&dir, &server, "out.json.gz").finish().expect_code(0);
    let before = dir.bytes("out.json.gz");
    let args = ["--merge", "--max-age", "1h"];
    let ended = fetch_to(&dir, &server, "out.json.gz").args(args).finish().expect_code(0);
    assert_eq!(counts(&ended), [2, 0, 2, 0, 0, 0]);
    assert_eq!((server.count(), dir.bytes("out.json.gz")), (2, before));
}

#[test]
fn an_old_output_that_is_cut_short_ends_a_merge_before_the_first_request() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(["a"]);
    let whole = encode::gzip(format!("{{\"a\":\"{}\"}}", "x".repeat(5000)).as_bytes());
    dir.write("out.json.gz", &whole[..whole.len() - 9]);
    let ended = fetch_to(&dir, &server, "out.json.gz").args(["--merge"]).finish().expect_code(65);
    assert!(messages(&ended).contains("cannot read the old out.json.gz"), "{}", ended.stderr);
    assert_eq!((server.count(), dir.bytes("out.json.gz").len()), (0, whole.len() - 9));
    // Without --merge it is in nobody's way.
    fetch_to(&dir, &server, "out.json.gz").finish().expect_code(0);
    assert_eq!(unpacked(&dir, "out.json.gz"), echoed(["a"]));
}

#[test]
fn a_much_worse_output_is_held_back_beside_it_with_both_endings() {
    for (name, held) in [("out.json.gz", "out.held.json.gz"), ("out.jsonl.zst", "out.held.jsonl.zst")] {
        let dir = WorkDir::new();
        dir.write_skus(skus(40));
        let good = |seen: &Seen| {
            if seen.attempt == 1 { Reply::echo(seen) } else { Reply::json("{\"error\":\"no such plan\"}") }
        };
        let server = ScriptedServer::start(good);
        fetch_to(&dir, &server, name).finish().expect_code(0);
        let before = dir.bytes(name);
        // Once by the profile in the state file, and once by what is in the file.
        for _ in 0..2 {
            let ended = plain(&dir, &server, name).finish().expect_code(76);
            assert!(ended.stderr.contains(&format!("mv {held} {name}")), "{}", ended.stderr);
            assert!(ended.stderr.contains("no such plan"), "an example is shown: {}", ended.stderr);
            assert!(unpacked(&dir, held).contains("no such plan"));
            assert_eq!(dir.bytes(name), before);
            std::fs::remove_file(dir.path(&format!("{name}.state"))).ok();
        }
    }
}

#[test]
fn a_failure_file_asks_for_its_rows_again() {
    let dir = WorkDir::new();
    dir.write_skus(["a", "b"]);
    let server =
        ScriptedServer::script(Script::new().for_sku("a", [Reply::status(404), Reply::json("1.10")]));
    fetch_to(&dir, &server, "out.json.zst").finish().expect_code(1);
    let again = |args: &[&str]| {
        let url = server.url("/p/{sku}");
        let run = Run::new(&dir).args(["out.failed.csv", "-o", "out.json.zst", "--url", &url]);
        run.args(args).finish()
    };
    let refused = again(&[]).expect_code(2);
    assert!(refused.stderr.contains("they would replace the 1 SKU in out.json.zst"), "{}", refused.stderr);
    again(&["--merge"]).expect_code(0);
    assert_eq!(unpacked(&dir, "out.json.zst"), format!("{{\n\"a\":1.10,\n\"b\":{}\n}}\n", echo_body("b")));
}

#[test]
fn a_compressed_failure_file_is_refused_with_what_to_type() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(["a"]);
    let ended = plain(&dir, &server, "out.json").args(["--failed", "f.csv.gz"]).finish().expect_code(2);
    assert!(ended.stderr.contains("failed rows are not compressed: write f.csv"), "{}", ended.stderr);
}
