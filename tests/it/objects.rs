//! `s3://`, `gs://` and `az://` in the places of files: refused by a program without object stores, used by one with.

use crate::support::{Run, WorkDir};

/// The places of files, each with an address.
fn places(address: &str) -> [Vec<String>; 5] {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let report = address.replace(".csv", ".json");
    [
        words(&[address, "-o", "out.json"]),
        words(&["products.csv", "-o", &report]),
        words(&["products.csv", "-o", "out.json", "--failed", address]),
        words(&["products.csv", "-o", "out.json", "--changes", address]),
        words(&["products.csv", "-o", "out.json", "--report", &report]),
    ]
}

#[test]
fn an_address_that_is_none_is_refused_and_never_taken_for_a_file() {
    let dir = WorkDir::new();
    dir.write_skus(["A"]);
    for address in ["s3://shop/x.csv", "gs://shop/x.csv", "az://shop/x.csv", "S3://shop/x.csv", "s3:///x.csv"]
    {
        for args in places(address) {
            let is_usable = cfg!(feature = "cloud") && !address.contains(":///");
            if is_usable {
                continue;
            }
            let ended = Run::new(&dir).args(args).args(["--demo"]).finish().expect_code(2);
            let says = if cfg!(feature = "cloud") { "no bucket is named" } else { "--features cloud" };
            assert!(ended.stderr.contains(says), "{}", ended.stderr);
            assert_eq!(dir.names(), ["products.csv"]);
        }
    }
    // A file of such a name is named by a path.
    std::fs::create_dir_all(dir.path("s3:/shop")).unwrap();
    dir.write("s3:/shop/x.csv", "sku\nA\n");
    Run::new(&dir).args(["./s3://shop/x.csv", "-o", "out.json", "--demo"]).finish().expect_code(0);
}

#[cfg(feature = "cloud")]
mod cloud {
    use std::time::{Duration, Instant};

    use rustix::process::Signal;

    use crate::support::s3::{S3Server, SOON};
    use crate::support::{Ended, Reply, Run, ScriptedServer, WorkDir, closed_port};

    const OLD: &str = "{\n\"OLD\":1\n}\n";

    fn input(keys: std::ops::Range<usize>) -> String {
        let keys: Vec<String> = keys.map(|n| format!("K{n:04}\n")).collect();
        "sku\n".to_owned() + &keys.concat()
    }

    fn with<'a>(dir: &'a WorkDir, store: &S3Server) -> Run<'a> {
        Run::new(dir)
            .env("AWS_ENDPOINT_URL", store.url())
            .env("AWS_ACCESS_KEY_ID", "KEYID")
            .env("AWS_SECRET_ACCESS_KEY", "VERYSECRETKEY")
            .within(Duration::from_mins(3))
    }

    /// A run on a machine of its own: its journals lie in this folder.
    fn run<'a>(dir: &'a WorkDir, store: &S3Server, api: &ScriptedServer) -> Run<'a> {
        let url = api.url("/p/{sku}");
        with(dir, store).args(["s3://shop/in/p.csv", "-o", "s3://shop/out/out.json", "-u", &url, "-c", "4"])
    }

    fn shown_nowhere(ended: &Ended) {
        assert!(
            !ended.stderr.contains("VERYSECRETKEY") && !ended.stderr.contains("Signature"),
            "{}",
            ended.stderr
        );
    }

    #[test]
    fn an_output_is_an_object_with_the_bytes_that_a_file_has() {
        let (dir, store, api) = (WorkDir::new(), S3Server::start(), ScriptedServer::echo());
        store.put("in/p.csv", input(0..300));
        let changes = ["--changes", "s3://shop/out/changes.jsonl", "--report", "s3://shop/out/report.json"];
        let ended = run(&dir, &store, &api).args(changes).finish().expect_code(0);
        assert!(ended.stderr.contains("wrote s3://shop/out/out.json"), "{}", ended.stderr);
        dir.write("p.csv", input(0..300));
        let url = api.url("/p/{sku}");
        Run::new(&dir).args(["p.csv", "-o", "local.json", "-u", &url]).finish().expect_code(0);
        assert_eq!(store.get("out/out.json").unwrap(), dir.read("local.json"));
        assert_eq!(store.get("out/changes.jsonl").unwrap().lines().count(), 300);
        assert!(store.get("out/report.json").unwrap().contains("s3://shop/out/out.json"));
        // Another machine has neither journal nor copy, and finds ages and values in the store.
        let (other, count) = (WorkDir::new(), api.count());
        store.put("in/p.csv", input(0..310));
        run(&other, &store, &api).args(["--merge", "--max-age", "1h"]).finish().expect_code(0);
        assert_eq!(api.count(), count + 10);
        assert_eq!(store.get("out/out.json").unwrap().lines().count(), 312);
        let names =
            ["in/p.csv", "out/changes.jsonl", "out/out.json", "out/out.json.lock", "out/out.json.state"];
        assert_eq!(store.keys(), [&names[..], &["out/report.json"]].concat());
        // And a guard that compares with the object.
        store.put("in/p.csv", input(0..20));
        run(&other, &store, &api).finish().expect_code(76);
        assert_eq!(store.get("out/out.json").unwrap().lines().count(), 312);
        shown_nowhere(&ended);
    }

    #[test]
    fn failed_rows_are_an_object_that_can_be_the_input_and_goes_when_nothing_fails() {
        let (dir, store) = (WorkDir::new(), S3Server::start());
        store.put("in/p.csv", input(0..50));
        let broken =
            ScriptedServer::start(
                |seen| {
                    if seen.sku == "K0007" { Reply::status(404) } else { Reply::echo(seen) }
                },
            );
        run(&dir, &store, &broken).finish().expect_code(1);
        assert!(store.get("out/out.failed.csv").unwrap().contains("K0007"));
        let (other, api) = (WorkDir::new(), ScriptedServer::echo());
        let url = api.url("/p/{sku}");
        let again = ["s3://shop/out/out.failed.csv", "-o", "s3://shop/out/out.json", "--merge", "-u", &url];
        with(&other, &store).args(again).finish().expect_code(0);
        assert_eq!((api.count(), store.get("out/out.failed.csv")), (1, None));
        assert_eq!(store.get("out/out.json").unwrap().lines().count(), 52);
    }

    #[test]
    fn what_does_not_publish_leaves_the_old_object() {
        let (dir, store, api) = (WorkDir::new(), S3Server::start(), ScriptedServer::echo());
        store.put("in/p.csv", input(0..20));
        store.put("out/out.json", OLD);
        let url = format!("http://{}/{{sku}}", closed_port());
        with(&dir, &store)
            .args(["s3://shop/in/p.csv", "-o", "s3://shop/out/out.json", "-u", &url])
            .finish()
            .expect_code(69);
        for (more, code) in [(["-o", "s3://nobody/out.json"], 73), (["-o", "s3://shop/out/out.json"], 77)] {
            if code == 77 {
                store.refuse();
                std::fs::write(dir.path("p.csv"), "sku\nA\n").unwrap();
            }
            let url = api.url("/p/{sku}");
            let input = if code == 77 { "p.csv" } else { "s3://shop/in/p.csv" };
            let ended = with(&dir, &store).args([input, "-u", &url]).args(more).finish().expect_code(code);
            shown_nowhere(&ended);
        }
        assert_eq!((store.get("out/out.json").unwrap(), api.count()), (OLD.to_owned(), 0));
    }

    #[test]
    fn an_endpoint_that_is_no_address_is_named() {
        let (dir, store, api) = (WorkDir::new(), S3Server::start(), ScriptedServer::echo());
        std::fs::write(dir.path("p.csv"), "sku\nA\n").unwrap();
        for endpoint in ["127.0.0.1:9000", "localhost:9000", "http://", "ftp://localhost"] {
            let url = api.url("/p/{sku}");
            let run = |input: &str, output: &str| {
                with(&dir, &store)
                    .env("AWS_ENDPOINT_URL", endpoint)
                    .args([input, "-o", output, "-u", &url])
                    .finish()
            };
            for ended in [
                run("p.csv", "s3://shop/out.json").expect_code(73),
                run("s3://shop/p.csv", "out.json").expect_code(69),
            ] {
                assert!(
                    ended.stderr.contains("endpoint that is set for it is no address"),
                    "{}",
                    ended.stderr
                );
                assert!(ended.stderr.contains("AWS_ENDPOINT_URL"), "{}", ended.stderr);
            }
        }
        assert_eq!(api.count(), 0);
    }

    #[test]
    fn an_input_that_is_not_there_is_66_and_one_that_is_replaced_meanwhile_65() {
        let (dir, store) = (WorkDir::new(), S3Server::start());
        let slow = ScriptedServer::start(|seen| Reply::echo(seen).wait(Duration::from_millis(30)));
        let ended = run(&dir, &store, &slow).finish().expect_code(66);
        assert!(ended.stderr.contains("s3://shop/in/p.csv: there is no such file"), "{}", ended.stderr);
        store.put("in/p.csv", input(0..100));
        store.put("out/out.json", OLD);
        let mut first = run(&dir, &store, &slow).args(["--guard", "off"]).spawn();
        first.wait_until(|| slow.count() > 20);
        store.put("in/p.csv", input(10..110));
        let ended = first.wait().expect_code(65);
        assert!(ended.stderr.contains("s3://shop/in/p.csv was replaced"), "{}", ended.stderr);
        assert_eq!(store.get("out/out.json").unwrap(), OLD);
        run(&dir, &store, &slow).args(["--guard", "off"]).finish().expect_code(0);
        assert_eq!((slow.count(), store.get("out/out.json").unwrap().lines().count()), (110, 102));
    }

    #[test]
    fn a_second_run_ends_at_once_and_a_run_that_lost_its_lock_publishes_nothing() {
        let (dir, store) = (WorkDir::new(), S3Server::start());
        let slow = ScriptedServer::start(|seen| Reply::echo(seen).wait(Duration::from_millis(30)));
        store.put("in/p.csv", input(0..100));
        store.put("out/out.json", OLD);
        let mut first = run(&dir, &store, &slow).args(["--guard", "off"]).spawn();
        first.wait_until(|| slow.count() > 20);
        for other in [&dir, &WorkDir::new()] {
            let began = Instant::now();
            let ended = run(other, &store, &slow).finish().expect_code(75);
            assert!(ended.stderr.contains("another run is writing this output"), "{}", ended.stderr);
            assert!(began.elapsed() < Duration::from_secs(20));
        }
        let lock = store.get("out/out.json.lock").unwrap();
        store.put(
            "out/out.json.lock",
            lock.replace("\"run\":\"", "\"run\":\"x").replace("\"folder\":\"", "\"folder\":\"x"),
        );
        let ended = first.wait().expect_code(75);
        assert!(ended.stderr.contains("lost its lock"), "{}", ended.stderr);
        assert_eq!(store.get("out/out.json").unwrap(), OLD);
        // Nothing is asked again once the other has ended.
        store.put("out/out.json.lock", lock.replace("\"free\":false", "\"free\":true"));
        run(&dir, &store, &slow).args(["--guard", "off"]).finish().expect_code(0);
        assert_eq!((slow.count(), store.get("out/out.json").unwrap().lines().count()), (100, 102));
    }

    #[test]
    fn lock_wait_waits_for_the_run_that_holds_the_lock() {
        let (dir, store) = (WorkDir::new(), S3Server::start());
        let slow = ScriptedServer::start(|seen| Reply::echo(seen).wait(Duration::from_millis(30)));
        store.put("in/p.csv", input(0..100));
        let mut first = run(&dir, &store, &slow).spawn();
        first.wait_until(|| slow.count() > 20);
        let other = WorkDir::new();
        run(&other, &store, &slow).args(["--lock-wait", "1m"]).finish().expect_code(0);
        first.wait().expect_code(0);
        assert_eq!(slow.count(), 200);
        // A run that is waiting ends with a signal, and leaves the lock to its holder.
        let mut first = run(&dir, &store, &slow).spawn();
        first.wait_until(|| slow.count() > 220);
        let mut second = run(&other, &store, &slow).args(["--lock-wait", "1m"]).spawn();
        second.wait_until_it_hears(Signal::TERM);
        second.signal(Signal::TERM);
        second.wait().expect_code(143);
        first.wait().expect_code(0);
    }

    #[test]
    fn tune_takes_its_sample_from_an_object_and_leaves_its_report_as_one() {
        let (dir, store, api) = (WorkDir::new(), S3Server::start(), ScriptedServer::echo());
        store.put("in/p.csv", input(0..200));
        let url = api.url("/p/{sku}");
        let args =
            ["tune", "s3://shop/in/p.csv", "-u", &url, "--report", "s3://shop/tune.json", "--max-time", "5s"];
        with(&dir, &store).args(args).finish().expect_code(0);
        assert_eq!(store.keys(), ["in/p.csv", "tune.json"]);
        assert!(store.get("tune.json").unwrap().contains("s3://shop/in/p.csv"));
    }

    #[test]
    fn an_upload_that_is_killed_or_stopped_leaves_the_old_object_and_is_resumed_without_a_request() {
        let store = S3Server::start();
        // Two parts of an upload.
        let large = ScriptedServer::start(|seen| {
            Reply::json(format!("{{\"sku\":\"{}\",\"x\":\"{}\"}}", seen.sku, "x".repeat(30_000)))
        });
        store.put("in/p.csv", input(0..400));
        store.put("out/out.json", OLD);
        for signal in [Signal::KILL, Signal::TERM] {
            let (dir, before) = (WorkDir::new(), large.count());
            store.hold("partNumber=2");
            let mut first = run(&dir, &store, &large).args(["--guard", "off"]).spawn();
            let began = Instant::now();
            first.wait_until(|| store.is_holding() || began.elapsed() > SOON);
            first.signal(signal);
            if signal == Signal::TERM {
                std::thread::sleep(Duration::from_millis(300));
                store.release();
                first.wait().expect_code(143);
                assert_eq!(store.open_uploads(), 0);
            } else {
                first.wait();
                store.release();
                assert_eq!(store.open_uploads(), 1);
            }
            assert_eq!(store.get("out/out.json").unwrap(), OLD);
            run(&dir, &store, &large).args(["--guard", "off"]).finish().expect_code(0);
            assert_eq!((large.count() - before, store.open_uploads()), (400, 0));
            assert_eq!(store.get("out/out.json").unwrap().lines().count(), 402);
            store.put("out/out.json", OLD);
        }
    }

    #[test]
    fn a_store_that_keeps_no_conditions_is_refused_before_any_request() {
        let (dir, store, api) = (WorkDir::new(), S3Server::start(), ScriptedServer::echo());
        store.put("in/p.csv", input(0..5));
        store.ignore_conditions();
        let ended = run(&dir, &store, &api).finish().expect_code(73);
        assert!(ended.stderr.contains("ignores conditions"), "{}", ended.stderr);
        assert_eq!((api.count(), store.keys()), (0, vec!["in/p.csv".to_owned()]));
    }

    #[test]
    fn parts_of_shards_are_merged_from_the_store_as_from_a_disk() {
        let (store, api) = (S3Server::start(), ScriptedServer::echo());
        store.put("in/p.csv", input(0..200));
        let shard = |dir: &WorkDir, n: usize, code| {
            let shard = format!("{n}/3");
            run(dir, &store, &api).args(["--shard", &shard, "--run-id", "r"]).finish().expect_code(code);
        };
        let merge = |dir: &WorkDir| {
            with(dir, &store).args(["merge", "-o", "s3://shop/out/out.json", "--run-id", "r"]).finish()
        };
        let (one, two, merging) = (WorkDir::new(), WorkDir::new(), WorkDir::new());
        let ended = merge(&merging).expect_code(65);
        assert!(
            ended.stderr.contains("there is no part in s3://shop/out/out.json.parts/r"),
            "{}",
            ended.stderr
        );
        shard(&one, 0, 0);
        shard(&two, 2, 0);
        let ended = merge(&merging).expect_code(65);
        assert!(ended.stderr.contains("of 3 shards 1 is missing"), "{}", ended.stderr);
        shard(&two, 1, 0);
        let count = api.count();
        // A part that another machine made is complete here, too.
        shard(&one, 2, 0);
        assert_eq!((count, api.count()), (200, 200));
        merge(&merging).expect_code(0);
        assert_eq!(store.get("out/out.json").unwrap().lines().count(), 202);
        assert!(store.keys().contains(&"out/out.json.parts/r/00002-of-00003.jsonl".to_owned()));
    }

    #[test]
    fn an_input_is_never_overwritten_but_by_the_rows_that_failed() {
        let (dir, store) = (WorkDir::new(), S3Server::start());
        for more in
            [["-o", "s3://shop/p.json"], ["--changes", "s3://shop/p.json"], ["--report", "s3://shop/p.json"]]
        {
            let output = if more[0] == "-o" { vec![] } else { vec!["-o", "out.json"] };
            let ended = with(&dir, &store)
                .args(["s3://shop/p.json", "--demo"])
                .args(output)
                .args(more)
                .finish()
                .expect_code(2);
            assert!(ended.stderr.contains("this is INPUT itself"), "{}", ended.stderr);
        }
    }

    #[test]
    fn journal_dir_has_the_journal_and_the_copy_of_the_output() {
        let (dir, store, api) = (WorkDir::new(), S3Server::start(), ScriptedServer::echo());
        store.put("in/p.csv", input(0..5));
        run(&dir, &store, &api).args(["--journal-dir", "journals"]).finish().expect_code(0);
        let folder = std::fs::read_dir(dir.path("journals")).unwrap().next().unwrap().unwrap();
        assert!(folder.file_name().to_str().unwrap().starts_with("s3-shop-"));
        assert!(folder.path().join("out.json").exists() && !dir.has(".local"));
    }

    #[test]
    fn a_dry_run_reads_the_store_and_writes_nothing_there() {
        let (dir, store, api) = (WorkDir::new(), S3Server::start(), ScriptedServer::echo());
        store.put("in/p.csv", input(0..5));
        store.put("out/out.json", OLD);
        let ended = run(&dir, &store, &api).args(["--dry-run"]).finish().expect_code(0);
        assert!(ended.stdout().contains("s3://shop/out/out.json"), "{}", ended.stdout());
        assert_eq!((api.count(), store.keys().len()), (0, 2));
    }
}
