//! Shards: which rows a process has, what its part is, and that a part is made once.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::output_kit::{counts, events, fetch, messages, skus};
use crate::shards_merge::{merge, part, shard};
use crate::support::{Reply, Run, ScriptedServer, WorkDir};

/// The shard that Python's zlib names.
fn owner(key: &str, count: u32) -> u32 {
    crc32fast::hash(key.as_bytes()) % count
}

/// The SKUs that a server was asked for.
fn asked(server: &ScriptedServer) -> BTreeSet<String> {
    server.requests().iter().map(|seen| seen.sku.clone()).collect()
}

#[test]
fn a_shard_asks_for_its_own_keys_and_for_no_other() {
    let dir = WorkDir::new();
    let keys: Vec<String> = skus(300).into_iter().chain(["Gr\u{f6}\u{df}e".into(), " a b".into()]).collect();
    dir.write_skus(&keys);
    for index in 0..3 {
        let server = ScriptedServer::echo();
        let ended = shard(&dir, &server, (index, 3), "r").finish().expect_code(0);
        let own: BTreeSet<String> = keys.iter().filter(|key| owner(key, 3) == index).cloned().collect();
        assert_eq!(asked(&server), own);
        assert_eq!(counts(&ended)[0], own.len() as u64);
        assert!(dir.has(&part("r", index, 3)));
        assert!(!dir.has("out.json") && !dir.has("out.failed.csv"));
    }
}

#[test]
fn the_scheduler_tells_the_number_of_the_shard() {
    let dir = WorkDir::new();
    dir.write_skus(skus(40));
    let names = [
        "JOB_COMPLETION_INDEX",
        "AWS_BATCH_JOB_ARRAY_INDEX",
        "BATCH_TASK_INDEX",
        "CLOUD_RUN_TASK_INDEX",
        "SLURM_ARRAY_TASK_ID",
    ];
    let auto = |server: &ScriptedServer| fetch_auto(&dir, server);
    for (index, name) in (0..).zip(names) {
        let server = ScriptedServer::echo();
        auto(&server).env(name, index.to_string()).finish().expect_code(0);
        let own = skus(40).into_iter().filter(|key| owner(key, 16) == index).collect::<BTreeSet<_>>();
        assert_eq!(asked(&server), own, "{name}");
    }
    let server = ScriptedServer::echo();
    let none = messages(&auto(&server).finish().expect_code(2));
    assert!(names.iter().all(|name| none.contains(name)), "{none}");
    let two = auto(&server).env("SLURM_ARRAY_TASK_ID", "1").env("JOB_COMPLETION_INDEX", "1");
    let two = messages(&two.finish().expect_code(2));
    assert!(two.contains("JOB_COMPLETION_INDEX and SLURM_ARRAY_TASK_ID are both set"), "{two}");
    for (value, says) in [("16", "the last one is 15"), ("-1", "is no number"), ("x", "is no number")] {
        let wrong = auto(&server).env("SLURM_ARRAY_TASK_ID", value).finish().expect_code(2);
        assert!(messages(&wrong).contains(says), "{}", wrong.stderr);
    }
    assert_eq!(server.count(), 0);
}

fn fetch_auto<'a>(dir: &'a WorkDir, server: &ScriptedServer) -> Run<'a> {
    fetch(dir, server).args(["--shard", "auto/16", "--run-id", "r"])
}

#[test]
fn a_sparse_array_of_slurm_runs_its_own_shards() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(skus(64));
    // sbatch --array=3,7,12
    for index in ["3", "7", "12"] {
        fetch_auto(&dir, &server).env("SLURM_ARRAY_TASK_ID", index).finish().expect_code(0);
    }
    let own = skus(64).into_iter().filter(|key| [3, 7, 12].contains(&owner(key, 16)));
    assert_eq!(asked(&server), own.collect());
    let ended = merge(&dir, "r").finish().expect_code(65);
    assert!(messages(&ended).contains("13 are missing (0-2,4-6,8-11,13-15)"), "{}", ended.stderr);
}

#[test]
fn what_does_not_go_with_a_shard_is_refused_before_anything_else() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(skus(3));
    let table: [(&[&str], &str); 9] = [
        (&["--shard", "0/2"], "add --run-id NAME"),
        (&["--run-id", "r"], "there is no --shard"),
        (&["--shard", "2/2", "--run-id", "r"], "the last one is 1/2"),
        (&["--shard", "0/0", "--run-id", "r"], "is no shard"),
        (&["--shard", "0/2", "--run-id", "a/b"], "no name of a run"),
        (&["--shard", "0/2", "--run-id", ".."], "no name of a run"),
        (&["--shard", "0/2", "--run-id", "r", "--merge"], "not with --merge"),
        (&["--shard", "0/2", "--run-id", "r", "--merge", "--prune"], "not with --merge"),
        (&["--shard", "0/2", "--run-id", "r", "--prune"], "without --merge"),
    ];
    for (args, says) in table {
        let ended = fetch(&dir, &server).args(args).finish().expect_code(2);
        assert!(messages(&ended).contains(says), "{args:?}: {}", ended.stderr);
    }
    let url = server.url("/p/{sku}");
    let to_stdout = ["products.csv", "-o", "-", "--url", &url, "--shard", "0/2", "--run-id", "r"];
    assert!(Run::new(&dir).args(to_stdout).finish().expect_code(2).stderr.contains("standard output"));
    // From the config file, `merge` is as wrong.
    dir.write("config.toml", "[output]\nmerge = true\n");
    shard(&dir, &server, (0, 2), "r").finish().expect_code(2);
    assert_eq!((server.count(), dir.has("out.json.parts")), (0, false));
}

#[test]
fn a_complete_part_is_made_once_and_fresh_makes_it_again() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(skus(50));
    for _ in 0..2 {
        for index in 0..2 {
            let ended = shard(&dir, &server, (index, 2), "r").finish().expect_code(0);
            assert!(counts(&ended)[1] > 0, "{}", ended.stderr);
        }
        assert_eq!(server.count(), 50);
    }
    shard(&dir, &server, (0, 2), "r").args(["--fresh"]).finish().expect_code(0);
    assert!(server.count() > 60);
    // Another run has parts of its own.
    let before = server.count();
    shard(&dir, &server, (0, 2), "r2").finish().expect_code(0);
    assert!(server.count() > before && dir.has(&part("r2", 0, 2)));
}

#[test]
fn a_part_of_another_input_or_job_or_one_that_is_damaged_is_replaced_with_a_word() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(skus(20));
    let made = || shard(&dir, &server, (1, 2), "r");
    made().finish().expect_code(0);
    let says = |ended: &crate::support::Ended, text: &str| {
        assert!(messages(ended).contains(text), "{text}: {}", ended.stderr);
    };
    dir.write_skus(skus(21));
    says(&made().finish().expect_code(0), "will be replaced: it is of another input");
    says(
        &made().args(["--select", ".sku"]).finish().expect_code(0),
        "will be replaced: it is of another job",
    );
    let path = part("r", 1, 2);
    let mut bytes = dir.bytes(&path);
    bytes[40] ^= 1;
    dir.write(&path, bytes);
    let ended = made().args(["--select", ".sku"]).finish().expect_code(0);
    says(&ended, "will be replaced: it is damaged");
    let asked = server.count();
    made().args(["--select", ".sku"]).finish().expect_code(0);
    assert_eq!(server.count(), asked, "now it is whole");
}

#[test]
fn two_attempts_of_one_shard_ask_once() {
    for wait in [&[][..], &["--lock-wait", "1m"]] {
        let dir = WorkDir::new();
        let server = ScriptedServer::start(|seen| Reply::echo(seen).wait(Duration::from_millis(20)));
        dir.write_skus(skus(60));
        let attempt = || shard(&dir, &server, (0, 1), "r").args(["-c", "4"]).args(wait);
        let mut first = attempt().spawn();
        first.wait_until(|| server.count() > 3);
        let second = attempt().spawn().wait();
        let first = first.wait().expect_code(0);
        assert_eq!(counts(&first)[1], 60);
        let second = second.expect_code(if wait.is_empty() { 75 } else { 0 });
        assert_eq!(server.count(), 60, "{}", second.stderr);
    }
}

#[test]
fn a_shard_that_is_killed_at_half_goes_on_from_its_journal() {
    let dir = WorkDir::new();
    dir.write_skus(skus(400));
    let own = skus(400).into_iter().filter(|key| owner(key, 2) == 1).count();
    let (half, concurrency) = (own / 2, 5);
    let server = ScriptedServer::start(move |seen| match seen.number {
        number if (half..half + concurrency).contains(&number) => Reply::silence(),
        _ => Reply::echo(seen).wait(Duration::from_millis(5)),
    });
    let attempt = || shard(&dir, &server, (1, 2), "r").args(["-c", &concurrency.to_string()]);
    let mut killed = attempt().spawn();
    // All workers wait for an answer, and what was answered before is in the journal, within a few milliseconds.
    killed.wait_until(|| server.count() == half + concurrency);
    std::thread::sleep(Duration::from_millis(300));
    killed.kill();
    killed.wait();
    assert!(!dir.has(&part("r", 1, 2)));
    let ended = attempt().finish().expect_code(0);
    assert_eq!(counts(&ended)[..2], [own as u64, own as u64]);
    assert_eq!(server.count(), own + concurrency, "those in flight alone are asked for again");
    assert!(!dir.has(&format!("{}.journal", part("r", 1, 2))));
}

#[test]
fn a_shard_without_a_row_of_its_own_is_complete_and_an_input_without_a_row_is_65() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(["a", "b"]);
    for index in 0..9 {
        shard(&dir, &server, (index, 9), "r").finish().expect_code(0);
    }
    assert_eq!(server.count(), 2);
    merge(&dir, "r").finish().expect_code(0);
    dir.write("products.csv", "sku\n");
    shard(&dir, &server, (0, 9), "r").finish().expect_code(65);
}

#[test]
fn a_pipe_is_read_whole_where_a_part_is_there_and_a_limit_is_one_of_the_whole_input() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    let text = |count| format!("sku\n{}\n", skus(count).join("\n"));
    let url = server.url("/p/{sku}");
    let piped = |index: u32, count| {
        let args = ["-", "-o", "out.json", "--url", &url, "--log-format", "json", "--run-id", "r"];
        let run = Run::new(&dir).args(args).args(["--shard", &format!("{index}/2")]);
        run.args(["--limit", "30"]).stdin(text(count)).finish().expect_code(0)
    };
    for _ in 0..2 {
        piped(0, 40);
        piped(1, 40);
        assert_eq!(server.count(), 30);
    }
    merge(&dir, "r").finish().expect_code(0);
    assert_eq!(dir.read("out.json"), crate::output_kit::echoed(skus(30)));
    // What is beyond the limit is no part of the input.
    piped(1, 50);
    assert_eq!(server.count(), 30);
    dir.write("other.csv", text(29));
    let other = piped(1, 29);
    assert!(messages(&other).contains("another input"), "{}", other.stderr);
    assert!(server.count() > 40);
}

#[test]
fn failed_skus_make_no_failed_shard_and_nothing_of_it_is_said_to_be_lost() {
    let dir = WorkDir::new();
    let server = ScriptedServer::start(|_| Reply::status(404));
    dir.write_skus(skus(8));
    let ended = shard(&dir, &server, (0, 1), "r").finish().expect_code(0);
    assert_eq!(counts(&ended), [8, 0, 0, 8, 0, 0]);
    assert!(!ended.stderr.contains("in no file"), "{}", ended.stderr);
    let path = dir.path("out.json.parts/r");
    let names: BTreeSet<_> = std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["00000-of-00001.jsonl", "00000-of-00001.jsonl.lock"]);
    // Refused credentials still end it: nothing is a part of that.
    let closed = ScriptedServer::start(|_| Reply::status(401));
    shard(&dir, &closed, (0, 1), "r2").finish().expect_code(77);
    assert!(!dir.has(&part("r2", 0, 1)));
}

#[test]
fn a_dry_run_of_a_shard_plans_its_own_rows_and_leaves_no_trace() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(skus(30));
    let own = skus(30).into_iter().filter(|key| owner(key, 4) == 2).count();
    let dry = || shard(&dir, &server, (2, 4), "r").args(["--dry-run"]).finish().expect_code(0);
    let planned = |ended: &crate::support::Ended| {
        let of_plan = |event: &serde_json::Value| event.get("skus").and_then(serde_json::Value::as_u64);
        events(ended).iter().find_map(of_plan).unwrap()
    };
    let ended = dry();
    assert_eq!(planned(&ended), own as u64, "{}", ended.stderr);
    assert_eq!(dir.names(), ["products.csv"]);
    shard(&dir, &server, (2, 4), "r").finish().expect_code(0);
    let again = dry();
    assert_eq!(planned(&again), own as u64);
    assert!(again.stdout().contains("is there: if it is complete"), "{}", again.stdout());
    // A shard that has no row of its own has nothing wrong with it.
    shard(&dir, &server, (1, 500), "r").args(["--dry-run"]).finish().expect_code(0);
}

#[test]
fn no_secret_stands_in_a_part_and_only_its_owner_may_read_it() {
    let dir = WorkDir::new();
    let server = ScriptedServer::start(|seen| {
        let key = seen.header("X-Api-Key").unwrap_or_default().to_owned();
        Reply::json(format!("\"who is {key}?\"")).with_status(404)
    });
    dir.write_skus(skus(6));
    let url = server.url("/p/{sku}?token=${KEY}");
    let run = Run::new(&dir).args(["products.csv", "-o", "out.json", "--url", &url, "--min-success", "0"]);
    let run = run.args(["-H", "X-Api-Key: ${KEY}", "--shard", "0/1", "--run-id", "r"]);
    let ended = run.env("KEY", "canary-4711").finish().expect_code(0);
    let text = dir.read(&part("r", 0, 1));
    assert!(text.contains("who is (redacted)?") && !text.contains("canary"), "{text}");
    assert_eq!(crate::output_kit::mode(&dir, &part("r", 0, 1)), 0o600);
    let merged = merge(&dir, "r").args(["--min-success", "0"]).finish().expect_code(1);
    assert!(!ended.stderr.contains("canary") && !merged.stderr.contains("canary"));
    assert!(dir.holding("canary").is_empty());
}
