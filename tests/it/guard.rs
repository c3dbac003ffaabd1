//! The guard: an output that is much worse than the one that is there never replaces it, and every such run ends
//! with a code other than 0.

use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::output_kit::{echoed, events, fetch, finished, keys, messages, plain, skus};
use crate::support::{Ended, Reply, Run, ScriptedServer, Seen, WorkDir};

/// An API under one address, whose answers change from night to night.
struct Api {
    server: ScriptedServer,
    answer: Arc<Mutex<Answer>>,
}

type Answer = Box<dyn Fn(&Seen) -> Reply + Send>;

impl Api {
    /// No two answers are alike.
    fn good() -> Self {
        let answer: Arc<Mutex<Answer>> = Arc::new(Mutex::new(Box::new(Reply::echo)));
        let now = Arc::clone(&answer);
        Self { server: ScriptedServer::start(move |seen| now.lock().unwrap()(seen)), answer }
    }

    /// From now on it answers so.
    fn says(&self, answer: impl Fn(&Seen) -> Reply + Send + 'static) -> &ScriptedServer {
        *self.answer.lock().unwrap() = Box::new(answer);
        &self.server
    }

    /// From now on it answers every request with this body.
    fn says_only(&self, body: &str) -> &ScriptedServer {
        let body = body.to_owned();
        self.says(move |_| Reply::json(body.clone()))
    }

    /// From now on it answers well.
    fn mends(&self) -> &ScriptedServer {
        self.says(Reply::echo)
    }
}

/// A folder whose `out.json` was published by an earlier run over so many SKUs.
fn published(count: usize) -> (WorkDir, Api) {
    let (dir, api) = (WorkDir::new(), Api::good());
    dir.write_skus(skus(count));
    fetch(&dir, &api.server).finish().expect_code(0);
    (dir, api)
}

/// The old file is unchanged, the new one beside it; nothing else is left to resume.
#[track_caller]
fn expect_held(dir: &WorkDir, before: &str, ended: Ended, says: &[&str]) -> Ended {
    let ended = ended.expect_code(76);
    assert_eq!(dir.read("out.json"), before);
    assert!(dir.has("out.held.json"), "{:?}", dir.names());
    assert!(!dir.has("out.json.journal"), "the next run asks anew");
    let text = messages(&ended);
    for word in says.iter().chain(&["held back", "mv out.held.json out.json", "--guard off"]) {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert_eq!(finished(&ended)["published"], json!(false));
    ended
}

#[test]
fn an_api_with_one_wrong_answer_for_all_replaces_nothing() {
    let lies: &[(&str, &[&str])] = &[
        ("{}", &["the same value for 20 of 20 SKUs, previously for 1 of 20", "SKU S0000: {}"]),
        ("{\"error\":\"down for maintenance\"}", &["previously for 1 of 20", "down for maintenance"]),
        ("\"\"", &["the same value"]),
        ("[]", &["the same value"]),
    ];
    for (body, says) in lies {
        let (dir, api) = published(20);
        let before = dir.read("out.json");
        let ended = fetch(&dir, api.says_only(body)).finish();
        expect_held(&dir, &before, ended, says);
        assert_eq!(keys(&dir.read("out.held.json")), skus(20));
    }
}

#[test]
fn a_share_of_nulls_that_jumps_is_held_back() {
    let (dir, api) = published(20);
    let before = dir.read("out.json");
    let server = api.says(|seen| match seen.sku.as_str() {
        "S0003" | "S0009" => Reply::echo(seen),
        _ => Reply::json("null"),
    });
    let ended = fetch(&dir, server).finish();
    expect_held(&dir, &before, ended, &["null for 18 of 20 SKUs, previously for 0 of 20", "SKU S0000"]);
}

#[test]
fn an_answer_that_is_the_same_for_all_is_seen_through_a_selection_that_hides_it() {
    let (dir, api) = (WorkDir::new(), Api::good());
    dir.write_skus(skus(20));
    let select = ["--select", "if .sku then \"ok\" else \"ok\" end"];
    fetch(&dir, &api.server).args(select).finish().expect_code(0);
    let before = dir.read("out.json");
    fetch(&dir, &api.server).args(select).finish().expect_code(0);
    let ended = fetch(&dir, api.says_only("{\"error\":\"x\"}")).args(select).finish();
    expect_held(
        &dir,
        &before,
        ended,
        &["the same answer before --select for 20 of 20 SKUs, previously for 1 of 20"],
    );
}

#[test]
fn too_few_rows_end_the_run_before_its_first_request() {
    let (dir, _) = published(40);
    let before = dir.read("out.json");
    let server = ScriptedServer::echo();
    let ended = fetch(&dir, &server).args(["--limit", "3"]).finish().expect_code(76);
    assert!(
        messages(&ended).contains("out.json has 40 SKUs, but --limit allows only 3 rows"),
        "{}",
        messages(&ended)
    );
    let plan = fetch(&dir, &server).args(["--limit", "3", "--dry-run"]).finish().expect_code(76);
    assert!(plan.stderr.contains("held back") && plan.stdout().contains("S0002"), "{}", plan.stdout());
    dir.write_skus(skus(19));
    let ended = plain(&dir, &server, "out.json").finish().expect_code(76);
    assert!(ended.stderr.contains("out.json has 40 SKUs, but products.csv has 19 rows"), "{}", ended.stderr);
    assert!(ended.stderr.contains("--merge keeps the other SKUs"), "{}", ended.stderr);
    assert_eq!((server.count(), dir.read("out.json")), (0, before));
    assert!(!dir.has("out.held.json") && !dir.has("out.json.journal"), "{:?}", dir.names());
    // Half is not more than half, and the other SKUs may also be kept.
    fetch(&dir, &server).args(["--merge"]).finish().expect_code(0);
    assert_eq!(keys(&dir.read("out.json")).len(), 40);
    dir.write_skus(skus(20));
    fetch(&dir, &server).finish().expect_code(0);
    assert_eq!(dir.read("out.json"), echoed(skus(20)));
    dir.write_skus(skus(2));
    fetch(&dir, &server).args(["--guard", "off"]).finish().expect_code(0);
    assert_eq!(dir.read("out.json"), echoed(skus(2)));
}

#[test]
fn too_few_skus_are_found_at_the_end_where_they_could_not_be_counted_before() {
    let (dir, api) = published(40);
    let before = dir.read("out.json");
    // Through a pipe; and with rows enough, most of which repeat each other.
    let input = format!("sku\n{}\n", skus(5).join("\n"));
    let url = api.server.url("/p/{sku}");
    let args = ["-", "-o", "out.json", "--log-format", "json", "--url", &url];
    let ended = Run::new(&dir).args(args).stdin(input).finish();
    expect_held(&dir, &before, ended, &["5 SKUs in place of 40", "SKU S0005 is gone"]);
    dir.write_skus(skus(5).iter().cycle().take(50));
    let ended = fetch(&dir, &api.server).finish();
    expect_held(&dir, &before, ended, &["5 SKUs in place of 40"]);
    assert_eq!(dir.read("out.held.json"), echoed(skus(5)));
}

#[test]
fn nothing_but_nulls_is_never_published_and_leaves_no_journal() {
    for old in [true, false] {
        let dir = if old { published(12).0 } else { WorkDir::new() };
        dir.write_skus(skus(12));
        let before = dir.names();
        let lost = ScriptedServer::start(|_| Reply::status(404));
        let ended = fetch(&dir, &lost).args(["--null-on", "404"]).finish().expect_code(69);
        assert!(
            messages(&ended).contains("the API knows none of them: all 12 SKUs are null"),
            "{}",
            messages(&ended)
        );
        assert!(messages(&ended).contains("is the path in --url right?"), "{}", messages(&ended));
        let ended =
            fetch(&dir, &ScriptedServer::echo()).args(["--select", ".prise"]).finish().expect_code(69);
        assert!(messages(&ended).contains("does --select name a field"), "{}", messages(&ended));
        let ended = fetch(&dir, &lost).args(["--null-on", "404", "--guard", "off"]).finish().expect_code(69);
        assert_eq!(finished(&ended)["journal_kept"], json!(false));
        let mut after = dir.names();
        after.retain(|name| name != "out.json.lock");
        assert!(after.iter().all(|name| before.contains(name)), "{after:?}");
        let nulls = ["--null-on", "404", "--min-success", "0", "--guard", "off"];
        fetch(&dir, &lost).args(nulls).finish().expect_code(0);
        assert!(dir.read("out.json").contains("\"S0011\":null"));
    }
    // Standard output has no old file, and gets nothing either.
    let dir = WorkDir::new();
    dir.write_skus(skus(12));
    let lost = ScriptedServer::start(|_| Reply::status(404));
    let ended = plain(&dir, &lost, "-").args(["--null-on", "404"]).finish().expect_code(69);
    assert_eq!(ended.stdout(), "");
    dir.write_skus(skus(9));
    plain(&dir, &lost, "-").args(["--null-on", "404"]).finish().expect_code(0);
}

#[test]
fn an_empty_object_replaces_no_sku_whatever_the_options() {
    for count in [1, 30] {
        let (dir, _) = published(count);
        let before = dir.read("out.json");
        let failing = ScriptedServer::start(|_| Reply::status(404));
        for shape in ["body", "record"] {
            let args = ["--min-success", "0", "--guard", "off", "--shape", shape];
            let ended = fetch(&dir, &failing).args(args).finish().expect_code(76);
            assert_eq!(dir.read("out.json"), before);
            assert!(messages(&ended).contains("rm out.json"), "{}", messages(&ended));
        }
        std::fs::remove_file(dir.path("out.json")).unwrap();
        let args = ["--min-success", "0", "--guard", "off"];
        fetch(&dir, &failing).args(args).finish().expect_code(1);
        assert_eq!(dir.read("out.json"), "{\n}\n");
    }
}

#[test]
fn a_suspicious_first_output_is_published_with_a_warning() {
    let dir = WorkDir::new();
    dir.write_skus(skus(12));
    let server = ScriptedServer::start(|_| Reply::json("{\"error\":\"x\"}"));
    let ended = fetch(&dir, &server).finish().expect_code(0);
    assert!(messages(&ended).contains("the same value for 12 of 12 SKUs"), "{}", messages(&ended));
    let ended = fetch(&dir, &server).finish().expect_code(0);
    assert!(!messages(&ended).contains("the same value"), "it was so before: {}", messages(&ended));
    let dir = WorkDir::new();
    dir.write_skus(skus(12));
    let ended = fetch(&dir, &ScriptedServer::echo()).finish().expect_code(0);
    assert_eq!(events(&ended).len(), 2, "{}", ended.stderr);
}

#[test]
fn a_foreign_file_is_measured() {
    let each = |line: &dyn Fn(&str) -> String| skus(20).iter().map(|sku| line(sku)).collect::<Vec<_>>();
    let old = each(&|sku| format!("  \"{sku}\" : {{ \"n\" : \"{sku}\" }}")).join(",\n");
    let lines = each(&|sku| format!("{{\"key\":\"{sku}\",\"body\":\"{sku}\"}}\n")).concat();
    let old = format!("{{\n{old}\n}}");
    for text in [old, lines] {
        let dir = WorkDir::new();
        dir.write_skus(skus(20));
        dir.write("out.json", &text);
        let server = ScriptedServer::start(|_| Reply::json("{}"));
        let ended = fetch(&dir, &server).finish();
        expect_held(&dir, &text, ended, &["previously for 1 of 20"]);
        dir.write_skus(skus(4));
        fetch(&dir, &server).finish().expect_code(76);
    }
    let dir = WorkDir::new();
    dir.write_skus(skus(12));
    dir.write("out.json", "not JSON at all");
    let ended = fetch(&dir, &ScriptedServer::echo()).finish().expect_code(0);
    assert!(messages(&ended).contains("cannot be compared with out.json"), "{}", messages(&ended));
}

#[test]
fn what_was_accepted_by_hand_is_what_the_next_run_is_compared_with() {
    let (dir, api) = published(20);
    let before = dir.read("out.json");
    let ended = fetch(&dir, api.says_only("{}")).finish();
    expect_held(&dir, &before, ended, &[]);
    std::fs::rename(dir.path("out.held.json"), dir.path("out.json")).unwrap();
    fetch(&dir, &api.server).finish().expect_code(0);
    let ended = fetch(&dir, api.mends()).finish().expect_code(0);
    assert!(!messages(&ended).contains("held"), "better is no reason: {}", messages(&ended));
}

#[test]
fn a_held_output_is_replaced_by_the_next_and_removed_after_a_good_run() {
    let (dir, api) = published(20);
    for body in ["{}", "[]"] {
        fetch(&dir, api.says_only(body)).finish().expect_code(76);
        assert!(dir.read("out.held.json").contains(&format!("\"S0000\":{body}")));
    }
    fetch(&dir, api.mends()).finish().expect_code(0);
    assert!(!dir.has("out.held.json"));
}

#[test]
fn another_request_or_selection_is_compared_by_the_number_of_skus_alone() {
    let (dir, api) = published(20);
    let ended = fetch(&dir, &api.server).args(["--select", ".n > 0"]).finish().expect_code(0);
    assert!(messages(&ended).contains("only its number of SKUs was compared"), "{}", messages(&ended));
    let other = ScriptedServer::start(|_| Reply::json("{}"));
    let ended = fetch(&dir, &other).finish().expect_code(0);
    assert!(messages(&ended).contains("only its number of SKUs was compared"), "{}", messages(&ended));
    dir.write_skus(skus(5));
    fetch(&dir, &api.server).finish().expect_code(76);
}

#[test]
fn values_kept_by_a_merge_count_in_the_shares() {
    let (dir, api) = published(40);
    let server = api.says_only("{}");
    dir.write_skus(skus(15));
    fetch(&dir, server).args(["--merge"]).finish().expect_code(0);
    let before = dir.read("out.json");
    dir.write_skus(skus(38));
    let ended = fetch(&dir, server).args(["--merge"]).finish();
    expect_held(&dir, &before, ended, &["for 38 of 40 SKUs, previously for 15 of 40"]);
    assert_eq!(keys(&dir.read("out.held.json")).len(), 40);
}

#[test]
fn a_failure_file_that_was_the_input_stays_when_its_answers_are_held_back() {
    let (dir, api) = (WorkDir::new(), Api::good());
    dir.write_skus(skus(24));
    let half =
        api.says(|seen| if seen.sku.as_str() < "S0012" { Reply::echo(seen) } else { Reply::status(404) });
    fetch(&dir, half).finish().expect_code(1);
    let (before, failed) = (dir.read("out.json"), dir.read("out.failed.csv"));
    let url = api.says_only("{}").url("/p/{sku}");
    let args = ["out.failed.csv", "-o", "out.json", "--merge", "--guard", "30%", "--log-format", "json"];
    let ended = Run::new(&dir).args(args).args(["--url", &url]).finish();
    expect_held(&dir, &before, ended, &["for 12 of 24 SKUs"]);
    assert_eq!(dir.read("out.failed.csv"), failed, "its rows are still to be asked for");
}

#[test]
fn a_link_in_the_outputs_place_has_its_held_output_beside_the_file_it_leads_to() {
    let dir = WorkDir::new();
    std::fs::create_dir(dir.path("deep")).unwrap();
    std::os::unix::fs::symlink("deep/real.json", dir.path("out.json")).unwrap();
    dir.write_skus(skus(12));
    let api = Api::good();
    fetch(&dir, &api.server).finish().expect_code(0);
    let before = dir.read("deep/real.json");
    fetch(&dir, api.says_only("{}")).finish().expect_code(76);
    assert_eq!((dir.read("deep/real.json"), dir.has("deep/real.held.json")), (before, true));
}

#[test]
fn a_file_of_another_purpose_is_never_taken_for_an_output_that_was_held_back() {
    let (dir, api) = published(12);
    let url = api.server.url("/p/{sku}");
    let run = |args: &[&str]| Run::new(&dir).args(args).args(["--url", &url]).finish();
    dir.write("out.held.json", "sku\nA\n");
    run(&["out.held.json", "-o", "out.json", "--guard", "off"]).expect_code(2);
    for name in ["--report", "--changes", "--failed"] {
        run(&["products.csv", "-o", "out.json", name, "out.held.json"]).expect_code(2);
    }
    run(&["products.csv", "-o", "out.json", "--body", "@out.held.json"]).expect_code(2);
    assert_eq!(dir.read("out.held.json"), "sku\nA\n");
    // The output of a job of its own.
    run(&["products.csv", "-o", "two.held.json"]).expect_code(0);
    let ended = run(&["products.csv", "-o", "two.json"]).expect_code(73);
    assert!(ended.stderr.contains("it is the output of another job"), "{}", ended.stderr);
    assert_eq!(keys(&dir.read("two.held.json")), skus(12));
}

#[test]
fn an_example_of_what_the_api_says_shows_no_secret() {
    let (dir, api) = (WorkDir::new(), Api::good());
    dir.write_skus(skus(12));
    let run = |server: &ScriptedServer, json: bool| {
        let format: &[&str] = if json { &["--log-format", "json"] } else { &[] };
        let args = ["-H", "Authorization: Bearer ${TOKEN}", "--report", "report.json"];
        plain(&dir, server, "out.json").args(args).args(format).env("TOKEN", "s3cretT0ken").finish()
    };
    run(&api.server, false).expect_code(0);
    for json in [false, true] {
        let ended = run(api.says_only("{\"error\":\"bad token s3cretT0ken\"}"), json).expect_code(76);
        assert!(ended.stderr.contains("bad token (redacted)"), "{}", ended.stderr);
        assert!(!ended.stderr.contains("s3cretT0ken") && !dir.read("report.json").contains("s3cretT0ken"));
    }
    std::fs::remove_file(dir.path("out.json")).unwrap();
    let ended = run(&api.server, false).expect_code(0);
    assert!(ended.stderr.contains("the same value for 12 of 12 SKUs"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("s3cretT0ken"), "{}", ended.stderr);
}

#[test]
fn the_profile_before_the_selection_is_compared_only_where_it_is_stored() {
    let (dir, api) = (WorkDir::new(), Api::good());
    dir.write_skus(skus(12));
    let select = ["--select", "{sku, error}"];
    fetch(&dir, &api.server).args(select).finish().expect_code(0);
    fetch(&dir, api.says_only("{\"error\":\"x\"}")).args(select).finish().expect_code(76);
    std::fs::rename(dir.path("out.held.json"), dir.path("out.json")).unwrap();
    fetch(&dir, &api.server).args(select).finish().expect_code(0);
    fetch(&dir, &api.server).args(select).finish().expect_code(0);
}

#[test]
fn a_small_suspicious_part_is_merged_with_a_warning() {
    let (dir, api) = published(100);
    dir.write_skus(skus(20));
    let ended = fetch(&dir, api.says_only("{}")).args(["--merge"]).finish().expect_code(0);
    let says = "of what this run fetched, the same value for 20 of 20 SKUs";
    assert!(messages(&ended).contains(says), "{}", messages(&ended));
    let ended = fetch(&dir, api.mends()).args(["--merge"]).finish().expect_code(0);
    assert!(!messages(&ended).contains("of what this run fetched"), "{}", messages(&ended));
}

#[test]
fn an_old_output_that_is_changed_during_the_run_is_not_overwritten() {
    for args in [&["--merge"][..], &["--changes", "changes.jsonl"]] {
        let (dir, _) = published(12);
        let path = dir.path("out.json");
        let changed = std::sync::Once::new();
        let server = ScriptedServer::start(move |seen| {
            changed.call_once(|| std::fs::write(&path, "{\"S0000\":\"theirs\"}").unwrap());
            Reply::echo(seen)
        });
        let ended = fetch(&dir, &server).args(args).finish().expect_code(75);
        assert!(
            messages(&ended).contains("out.json was changed while the run went on"),
            "{}",
            messages(&ended)
        );
        assert_eq!(dir.read("out.json"), "{\"S0000\":\"theirs\"}");
        assert!(dir.has("out.json.journal"));
        fetch(&dir, &server).args(args).finish().expect_code(0);
        assert_eq!(server.count(), 12, "nothing is asked for twice");
    }
}
