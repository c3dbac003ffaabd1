//! The CSV changes while it is read: what is fetched is what was surveyed, or nothing is published.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::input::keys;
use crate::support::{Ended, Reply, Run, ScriptedServer, WorkDir, encode};

/// More than is read ahead while the first requests are open.
const ROWS: usize = 3_000;

fn sku(n: usize) -> String {
    format!("S{n:05}")
}

/// Rows that can hardly be packed.
fn csv(skus: impl IntoIterator<Item = usize>) -> String {
    let row = |n: usize| {
        let word = |word: u32| format!("{:08x}", crc32fast::hash(format!("{n} {word}").as_bytes()));
        let note = (0..14).map(word).collect::<Vec<_>>().concat();
        format!("{},{note},plain\n", sku(n))
    };
    skus.into_iter().fold("sku,note,kind\n".to_owned(), |text, n| text + &row(n))
}

/// As many are requested at a time.
const CONCURRENCY: usize = 32;

/// A server that is slow until it is switched to fast. The first answer of each connection is slow in any case: a new
/// connection that is silent while others answer at once is taken for one that is not served, and its request is sent
/// again.
struct Slow {
    server: ScriptedServer,
    is_fast: Arc<AtomicBool>,
}

impl Slow {
    fn new() -> Self {
        let is_fast = Arc::new(AtomicBool::new(false));
        let fast = Arc::clone(&is_fast);
        let server = ScriptedServer::start(move |seen| {
            let is_fast = fast.load(Ordering::Relaxed) && seen.number >= CONCURRENCY;
            let wait = if is_fast { Duration::ZERO } else { Duration::from_millis(300) };
            Reply::echo(seen).wait(wait)
        });
        Self { server, is_fast }
    }

    fn run<'a>(&self, dir: &'a WorkDir, args: &[&str]) -> Run<'a> {
        let (url, concurrency) = (self.server.url("/{sku}"), CONCURRENCY.to_string());
        Run::new(dir).args(["products.csv", "-o", "out.json", "-c", &concurrency, "-u", &url]).args(args)
    }

    /// Fetches, and changes the file once the first request is there.
    #[track_caller]
    fn fetch(&self, dir: &WorkDir, args: &[&str], change: impl FnOnce()) -> Ended {
        let run = self.run(dir, args).spawn();
        self.server.wait_for(1);
        change();
        self.is_fast.store(true, Ordering::Relaxed);
        run.wait()
    }

    /// No other SKU than these was requested.
    #[track_caller]
    fn asked_for_none_but(&self, skus: impl IntoIterator<Item = usize>) {
        let known: HashSet<String> = skus.into_iter().map(sku).collect();
        let other = self.server.requests().into_iter().find(|seen| !known.contains(&seen.sku));
        assert!(other.is_none(), "{:?} was asked for", other.unwrap().sku);
    }
}

/// Writes from the start on, as an export job does that opens its file anew.
fn rewrite(dir: &WorkDir, bytes: impl AsRef<[u8]>) {
    fs::write(dir.path("products.csv"), bytes).unwrap();
}

fn append(dir: &WorkDir, name: &str, text: &str) {
    OpenOptions::new().append(true).open(dir.path(name)).unwrap().write_all(text.as_bytes()).unwrap();
}

#[test]
fn bytes_that_are_not_those_surveyed_end_the_run_with_65_and_nothing_is_published() {
    let whole = csv(0..ROWS);
    let torn = csv(0..2_500).len() + 4;
    let reversed = csv((0..2_000).chain((2_000..ROWS).rev()));
    assert_eq!(reversed.len(), whole.len());
    let cases: [(&str, Vec<u8>, &str); 5] = [
        ("truncated", csv(0..2_500).into(), "3,000 rows at first, 2,500 now"),
        ("torn in the middle", whole[..torn].into(), "3,000 rows at first, 2,501 now"),
        ("same size, another order", reversed.into(), "3,000 rows at first, as many now, with other content"),
        ("other SKUs", csv(90_000..94_000).into(), "3,000 rows at first, 4,000 now"),
        ("emptied", Vec::new(), "3,000 rows at first, none now"),
    ];
    std::thread::scope(|scope| {
        for (name, after, says) in &cases {
            let whole = &whole;
            scope.spawn(move || {
                let (slow, dir) = (Slow::new(), WorkDir::new());
                rewrite(&dir, whole);
                dir.write("out.json", "old");
                let ended = slow.fetch(&dir, &[], || rewrite(&dir, after)).expect_code(65);
                let message = format!("products.csv changed while it was read ({says})");
                assert!(ended.stderr.contains(&message), "{name}: {}", ended.stderr);
                assert!(
                    ended.stderr.contains("hint: ") && ended.stderr.contains("rename"),
                    "{}",
                    ended.stderr
                );
                assert!(ended.stderr.contains(" deferred"), "{name}: {}", ended.stderr);
                assert_eq!(dir.read("out.json"), "old", "{name}");
                assert!(dir.has("out.json.journal"), "{name}");
                slow.asked_for_none_but(0..ROWS);
                // Written anew, it resumes from the journal.
                rewrite(&dir, whole);
                let requested = slow.server.count();
                slow.run(&dir, &[]).finish().expect_code(0);
                assert_eq!(keys(&dir.read("out.json")), (0..ROWS).map(sku).collect::<Vec<_>>(), "{name}");
                assert!(
                    requested > 0 && slow.server.count() <= ROWS,
                    "{name}: no answer was asked for twice: {requested}, {}",
                    slow.server.count()
                );
            });
        }
    });
}

#[test]
fn of_a_packed_input_the_packed_bytes_are_compared() {
    for encode in [encode::gzip, encode::zstd] {
        let (slow, dir) = (Slow::new(), WorkDir::new());
        rewrite(&dir, encode(csv(0..ROWS).as_bytes()));
        let other = encode(csv((0..ROWS).rev()).as_bytes());
        let ended = slow.fetch(&dir, &[], || rewrite(&dir, other)).expect_code(65);
        let message = "products.csv changed while it was read (3,000 rows at first, as many now";
        assert!(ended.stderr.contains(message), "{}", ended.stderr);
        assert!(!dir.has("out.json") && dir.has("out.json.journal"));
        slow.asked_for_none_but(0..ROWS);
    }
}

#[test]
fn what_is_appended_is_left_to_the_next_run_with_a_note() {
    let (slow, dir) = (Slow::new(), WorkDir::new());
    rewrite(&dir, csv(0..ROWS));
    let ended = slow.fetch(&dir, &[], || append(&dir, "products.csv", "LATE,x,y\n")).expect_code(0);
    assert!(
        ended.stderr.contains("warning: products.csv grew by 9 bytes during the run"),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("the next run will read the new rows"), "{}", ended.stderr);
    assert_eq!(keys(&dir.read("out.json")), (0..ROWS).map(sku).collect::<Vec<_>>());
    let ended = slow.run(&dir, &[]).finish().expect_code(0);
    assert!(!ended.stderr.contains("warning"), "{}", ended.stderr);
    assert_eq!(keys(&dir.read("out.json")).len(), ROWS + 1);
}

#[test]
fn a_file_that_is_replaced_by_a_rename_or_removed_is_read_on_as_it_was() {
    for removed in [false, true] {
        let (slow, dir) = (Slow::new(), WorkDir::new());
        rewrite(&dir, csv(0..ROWS));
        let change = || {
            if removed {
                fs::remove_file(dir.path("products.csv")).unwrap();
            } else {
                dir.write("new.csv", csv(7_000..7_003));
                fs::rename(dir.path("new.csv"), dir.path("products.csv")).unwrap();
            }
        };
        let ended = slow.fetch(&dir, &[], change).expect_code(0);
        let word = if removed { "products.csv was removed" } else { "products.csv was replaced" };
        assert!(ended.stderr.contains(word), "{}", ended.stderr);
        assert_eq!(keys(&dir.read("out.json")), (0..ROWS).map(sku).collect::<Vec<_>>());
    }
}

#[test]
fn a_last_row_that_was_cut_in_two_is_not_published() {
    let (slow, dir) = (Slow::new(), WorkDir::new());
    // All of it is read before the rest of the row is written.
    dir.write("products.csv", "sku\nA1\nA2\nA");
    dir.write("out.json", "old");
    let ended = slow.fetch(&dir, &[], || append(&dir, "products.csv", "3\nA4\n")).expect_code(65);
    let message = "products.csv changed while it was read (3 rows at first, 4 now)";
    assert!(ended.stderr.contains(message), "{}", ended.stderr);
    assert_eq!((dir.read("out.json").as_str(), dir.has("out.json.journal")), ("old", true));
    slow.run(&dir, &[]).finish().expect_code(0);
    assert_eq!(keys(&dir.read("out.json")), ["A1", "A2", "A3", "A4"]);
    // One that only gets its line end was whole.
    dir.write("products.csv", "sku\nA1\nA2\nA3");
    slow.is_fast.store(false, Ordering::Relaxed);
    let run = slow.run(&dir, &[]).spawn();
    let seen = slow.server.count();
    slow.server.wait_for(seen + 1);
    append(&dir, "products.csv", "\nA4\n");
    run.wait().expect_code(0);
    assert_eq!(keys(&dir.read("out.json")), ["A1", "A2", "A3"]);
}

#[test]
fn a_failure_file_that_grew_while_it_was_the_input_stays_with_what_was_appended() {
    let (slow, dir) = (Slow::new(), WorkDir::new());
    dir.write("out.json", "{\n\"KEPT\":1\n}\n");
    dir.write("out.failed.csv", "sku,_error,_status,_attempts\nA,timed out,,5\n");
    let url = slow.server.url("/{sku}");
    let run = Run::new(&dir).args(["out.failed.csv", "-o", "out.json", "--merge", "-u", &url]).spawn();
    slow.server.wait_for(1);
    append(&dir, "out.failed.csv", "B,timed out,,5\n");
    run.wait().expect_code(0);
    assert_eq!(keys(&dir.read("out.json")), ["A", "KEPT"]);
    assert!(dir.read("out.failed.csv").contains("\nB,"), "it was never asked for");
}

#[test]
fn tune_measures_no_row_that_was_not_surveyed() {
    // Of rows as long as these only a few are read ahead.
    let long = |skus: std::ops::Range<usize>| {
        let note = "x".repeat(70_000);
        skus.fold("sku,note\n".to_owned(), |text, n| format!("{text}{},{note}\n", sku(n)))
    };
    let (slow, dir) = (Slow::new(), WorkDir::new());
    rewrite(&dir, long(0..60));
    let url = slow.server.url("/{sku}");
    let run = Run::new(&dir).args(["tune", "products.csv", "-u", &url, "--max-time", "20s"]).spawn();
    slow.server.wait_for(1);
    rewrite(&dir, long(90_000..90_060));
    slow.is_fast.store(true, Ordering::Relaxed);
    let ended = run.wait().expect_code(65);
    let message = "products.csv changed while it was read (60 rows at first, as many now";
    assert!(ended.stderr.contains(message), "{}", ended.stderr);
    slow.asked_for_none_but(0..60);
}

#[test]
fn a_file_on_standard_input_is_held_to_its_survey_as_well() {
    for (after, says) in [
        (csv(0..2_500), "3,000 rows at first, 2,500 now"),
        (csv((0..ROWS).rev()), "3,000 rows at first, as many now, with other content"),
    ] {
        let (slow, dir) = (Slow::new(), WorkDir::new());
        rewrite(&dir, csv(0..ROWS));
        dir.write("out.json", "old");
        let url = slow.server.url("/{sku}");
        let from_stdin = |dir| {
            let run = Run::new(dir).args(["-", "-o", "out.json", "-c", "32", "-u", &url]);
            run.after_shell("exec <products.csv")
        };
        let run = from_stdin(&dir).spawn();
        slow.server.wait_for(1);
        rewrite(&dir, &after);
        slow.is_fast.store(true, Ordering::Relaxed);
        let ended = run.wait().expect_code(65);
        let message = format!("standard input changed while it was read ({says})");
        assert!(ended.stderr.contains(&message), "{}", ended.stderr);
        assert_eq!(dir.read("out.json"), "old");
        slow.asked_for_none_but(0..ROWS);
        rewrite(&dir, csv(0..ROWS));
        from_stdin(&dir).finish().expect_code(0);
        assert_eq!(keys(&dir.read("out.json")), (0..ROWS).map(sku).collect::<Vec<_>>());
    }
}

#[test]
fn of_a_file_on_standard_input_that_was_read_in_part_the_rest_is_the_input() {
    let (slow, dir) = (Slow::new(), WorkDir::new());
    slow.is_fast.store(true, Ordering::Relaxed);
    dir.write("products.csv", "a line above the header\nsku\nA\nB\n");
    let url = slow.server.url("/{sku}");
    let run = Run::new(&dir).args(["-", "-o", "out.json", "-u", &url]);
    run.after_shell("exec <products.csv; read -r line").finish().expect_code(0);
    assert_eq!(keys(&dir.read("out.json")), ["A", "B"]);
}
