//! What an interrupted run leaves to the next one: every answer, once, and nothing invented.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::output_kit::{counts, echoed, fetch, finished, keys, messages, plain, skus};
use crate::support::{Ended, Reply, Run, Script, ScriptedServer, WorkDir};

/// A folder with a journal of answers to the first ones of these, and the server that gave them. One SKU
/// could not be answered, so that the run fell short of `--min-success`.
fn interrupted(skus: &[String]) -> (WorkDir, ScriptedServer) {
    let dir = WorkDir::new();
    dir.write_skus(skus);
    let last = skus.last().unwrap().clone();
    let server = ScriptedServer::script(
        Script::new().for_sku(&last, [Reply::status(404), Reply::status(404), Reply::json("\"late\"")]),
    );
    fetch(&dir, &server).args(["--min-success", "100"]).finish().expect_code(69);
    assert!(dir.has("out.json.journal") && !dir.has("out.json"));
    (dir, server)
}

#[test]
fn after_a_kill_the_same_command_resumes_and_requests_nothing_twice() {
    let dir = WorkDir::new();
    let skus = skus(200);
    dir.write_skus(&skus);
    let server = ScriptedServer::start(|seen| Reply::echo(seen).wait(Duration::from_millis(20)));
    let mut run = fetch(&dir, &server).args(["-c", "4"]).spawn();
    server.wait_for(100);
    run.kill();
    assert_eq!(run.wait().signal, Some(9));
    server.wait_until(|server| server.in_flight() == 0);
    let before = server.count();
    assert!(!dir.has("out.json") && before < 200);
    let ended = fetch(&dir, &server).args(["-c", "4"]).finish().expect_code(0);
    assert_eq!(counts(&ended), [200, 200, 0, 0, 0, 0]);
    assert_eq!(dir.read("out.json"), echoed(&skus), "as undisturbed");
    // In flight when it was killed, or read in the very last moment.
    let twice = server.count() - 200;
    assert!(twice <= 12, "{twice} of {before} were asked for again");
    assert_eq!(finished(&ended)["recovered"], before - twice);
    assert!(!dir.has("out.json.journal"), "it is gone after a run that published");
}

#[test]
fn failed_skus_are_requested_again_and_answered_ones_are_not() {
    let skus = skus(10);
    let (dir, server) = interrupted(&skus);
    assert_eq!(server.count(), 10);
    let ended = fetch(&dir, &server).finish().expect_code(1);
    assert_eq!((counts(&ended), server.count()), ([10, 9, 0, 1, 0, 0], 11));
    assert_eq!(keys(&dir.read("out.json")), skus[..9]);
    let (dir, server) = interrupted(&skus);
    fetch(&dir, &server).args(["--min-success", "100"]).finish().expect_code(69);
    let ended = fetch(&dir, &server).args(["--min-success", "100"]).finish().expect_code(0);
    assert_eq!((counts(&ended), server.count()), ([10, 10, 0, 0, 0, 0], 12));
    assert!(!dir.has("out.failed.csv"));
}

#[test]
fn rows_may_be_added_removed_and_moved_between_the_runs() {
    let all = skus(12);
    let (dir, server) = interrupted(&all[..10]);
    let now: Vec<_> = all[2..12].iter().rev().filter(|sku| *sku != "S0005" && *sku != "S0009").collect();
    dir.write_skus(&now);
    let ended = fetch(&dir, &server).finish().expect_code(0);
    assert_eq!(counts(&ended)[..2], [8, 8]);
    assert_eq!(dir.read("out.json"), echoed(&now));
    let requested: Vec<_> = server.requests()[10..].iter().map(|seen| seen.sku.clone()).collect();
    assert_eq!(requested.len(), 2, "{requested:?}");
    assert!(requested.iter().all(|sku| ["S0010", "S0011"].contains(&&**sku)), "{requested:?}");
    assert!(ended.stderr.contains("had 3 answers that no row of this input needs"), "{}", ended.stderr);
}

#[test]
fn an_answer_counts_only_for_the_same_request_of_the_same_sku() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write("products.csv", "sku,shop\n1,berlin\n2,bonn\n3,\n");
    let run = |code| {
        Run::new(&dir)
            .args(["products.csv", "-o", "out.json", "--log-format", "json", "--min-success", "90"])
            .args(["--url", &server.url("/{shop}/{sku}")])
            .finish()
            .expect_code(code)
    };
    run(69);
    dir.write("products.csv", "sku,shop\n1,berlin\n2,ulm\n3,ulm\n");
    let ended = run(0);
    assert_eq!(finished(&ended)["recovered"], 1);
    let mut requested: Vec<_> = server.requests()[2..].iter().map(|seen| seen.target.clone()).collect();
    requested.sort();
    assert_eq!(requested, ["/ulm/2", "/ulm/3"]);
}

#[test]
fn a_journal_of_a_different_job_is_set_aside_with_a_note_and_never_used_or_deleted() {
    let skus = skus(4);
    for other in [
        &["--select", ".sku"][..],
        &["--shape", "record"],
        &["--body-as", "text"],
        &["-X", "POST"],
        &["--body", "\"{sku}\""],
        &["-H", "X-Shop: {sku}"],
        &["-H", "Accept-Language: fr"],
        &["-H", "Accept: application/vnd.shop.v2+json"],
        &["-H", "Host: other.example.com"],
        &["-H", "X-Tenant: b"],
    ] {
        let (dir, server) = interrupted(&skus);
        let journal = dir.bytes("out.json.journal");
        let ended = fetch(&dir, &server).args(other).finish();
        assert_eq!(ended.code, Some(1), "{other:?}: {}", ended.stderr);
        assert_eq!(finished(&ended)["recovered"], 0, "{other:?}");
        assert_eq!(server.count(), 8, "{other:?}: all were asked for again");
        assert!(messages(&ended).contains("set aside as out.json.journal.1"), "{}", messages(&ended));
        assert_eq!(dir.bytes("out.json.journal.1"), journal);
    }
}

#[test]
fn a_new_credential_and_another_order_of_headers_go_on_with_the_journal() {
    let skus = skus(4);
    let (dir, server) = interrupted(&skus);
    let credentials = ["Authorization: Bearer new", "Cookie: id=2", "X-API-Key: new", "User-Agent: me"];
    let headers = credentials.iter().flat_map(|header| ["-H", header]);
    let ended = fetch(&dir, &server).args(["--min-success", "100"]).args(headers).finish();
    assert_eq!(finished(&ended)["recovered"], 3, "{}", ended.stderr);
    let (dir, server) = interrupted(&skus);
    let run = |headers: [&str; 2]| {
        let headers = headers.iter().flat_map(|header| ["-H", header]);
        fetch(&dir, &server).args(["--min-success", "100"]).args(headers).finish()
    };
    run(["Accept-Language: de", "X-Shop: {sku}"]).expect_code(69);
    let ended = run(["x-shop:{sku}", "accept-language: de"]);
    assert_eq!(finished(&ended)["recovered"], 3, "{}", ended.stderr);
}

#[test]
fn a_foreign_file_at_the_journals_name_is_set_aside() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(["1"]);
    dir.write("out.json.journal", "dear diary\n");
    dir.write("out.json.journal.1", "older\n");
    fetch(&dir, &server).finish().expect_code(0);
    assert_eq!(dir.read("out.json.journal.1"), "older\n");
    assert_eq!(dir.read("out.json.journal.2"), "dear diary\n");
}

#[test]
fn fresh_ignores_the_journal_and_sets_it_aside() {
    let skus = skus(6);
    let (dir, server) = interrupted(&skus);
    let ended = fetch(&dir, &server).args(["--fresh"]).finish().expect_code(1);
    assert_eq!((server.count(), &finished(&ended)["recovered"]), (12, &0.into()));
    assert!(dir.has("out.json.journal.1"));
}

#[test]
fn another_csv_delimiter_or_concurrency_is_the_same_job() {
    let skus = skus(6);
    let (dir, server) = interrupted(&skus);
    dir.write(
        "products.csv",
        format!("name;sku\n{}", skus.iter().map(|sku| format!("x;{sku}")).collect::<Vec<_>>().join("\n")),
    );
    let ended =
        fetch(&dir, &server).args(["-c", "2", "--retries", "1", "--timeout", "5s"]).finish().expect_code(1);
    assert_eq!((server.count(), &finished(&ended)["recovered"]), (7, &5.into()));
}

#[test]
fn a_new_token_is_the_same_job_and_is_in_no_file() {
    let (dir, server) = (
        WorkDir::new(),
        ScriptedServer::start(|seen| match seen.attempt {
            1 if seen.sku == "2" => Reply::status(404),
            _ => Reply::echo(seen),
        }),
    );
    dir.write_skus(["1", "2"]);
    let run = |token: &str| {
        fetch(&dir, &server)
            .args(["-H", "Authorization: Bearer ${TOKEN}", "--min-success", "90"])
            .env("TOKEN", token)
            .finish()
    };
    run("first-secret").expect_code(69);
    assert_eq!(dir.holding("first-secret"), Vec::<String>::new());
    let ended = run("second-secret").expect_code(0);
    assert_eq!(finished(&ended)["recovered"], 1);
    assert_eq!(dir.holding("second-secret"), Vec::<String>::new());
}

/// The journal cut at this byte, and the next run.
fn resumed_after(change: impl FnOnce(&mut Vec<u8>)) -> (WorkDir, ScriptedServer, Ended) {
    let skus = skus(8);
    let (dir, server) = interrupted(&skus);
    let mut journal = dir.bytes("out.json.journal");
    change(&mut journal);
    dir.write("out.json.journal", &journal);
    let ended = fetch(&dir, &server).finish();
    (dir, server, ended)
}

fn lines(journal: &[u8]) -> Vec<(usize, usize)> {
    let mut at = 0;
    let lines = journal.split_inclusive(|&byte| byte == b'\n');
    lines
        .map(|line| {
            at += line.len();
            (at - line.len(), at)
        })
        .collect()
}

#[test]
fn a_torn_tail_is_dropped_with_a_note_and_what_precedes_it_counts() {
    // In the middle of the second, the fifth and the last answer, and just before a line end.
    for (line, back) in [(2, 10), (5, 25), (7, 3), (4, 1)] {
        let mut whole = 0;
        let (dir, server, ended) = resumed_after(|journal| {
            let answers: Vec<_> = lines(journal)
                .into_iter()
                .filter(|&(from, to)| memchr::memmem::find(&journal[from..to], b"\"fetched\"").is_some())
                .collect();
            assert_eq!(answers.len(), 7);
            journal.truncate(answers[line - 1].1 - back);
            whole = line - 1;
        });
        let ended = ended.expect_code(1);
        assert_eq!(finished(&ended)["recovered"], whole);
        assert_eq!(server.count(), 8 + 8 - whole);
        assert!(messages(&ended).contains("they are dropped"), "{}", messages(&ended));
        assert_eq!(dir.read("out.json"), echoed(skus(7)));
    }
}

#[test]
fn a_tail_of_zeroes_as_a_power_cut_leaves_it_is_a_torn_tail() {
    let (dir, server, ended) = resumed_after(|journal| {
        let (from, _) = lines(journal)[4];
        journal[from..].fill(0);
        journal.extend([0; 5000]);
    });
    let ended = ended.expect_code(1);
    let recovered = finished(&ended)["recovered"].as_u64().unwrap();
    assert!(recovered > 0 && recovered < 7, "{recovered}");
    assert_eq!(server.count() as u64, 8 + 8 - recovered);
    assert_eq!(dir.read("out.json"), echoed(skus(7)));
}

#[test]
fn a_journal_cut_in_its_header_or_to_nothing_is_begun_anew() {
    for keep in [0, 1, 40] {
        let (dir, _, ended) = resumed_after(|journal| journal.truncate(keep));
        let ended = ended.expect_code(1);
        assert_eq!(finished(&ended)["recovered"], 0);
        assert_eq!(dir.read("out.json"), echoed(skus(7)));
    }
}

#[test]
fn damage_in_the_middle_is_74_names_fresh_and_sends_no_request() {
    let (dir, server, ended) = resumed_after(|journal| {
        let at = memchr::memmem::find(journal, b"\"n\":").unwrap() + 4;
        journal[at] = if journal[at] == b'1' { b'2' } else { b'1' };
    });
    let ended = ended.expect_code(74);
    assert_eq!(server.count(), 8, "none but those of the first run");
    let text = messages(&ended);
    assert!(text.contains("--fresh") && text.contains("out.json.journal") && text.contains("byte"), "{text}");
    let journal = dir.bytes("out.json.journal");
    assert!(!dir.has("out.json"));
    let ended = fetch(&dir, &server).args(["--fresh"]).finish().expect_code(1);
    assert_eq!(counts(&ended), [8, 7, 0, 1, 0, 0]);
    assert_eq!(dir.bytes("out.json.journal.1"), journal, "set aside, not deleted");
}

#[test]
fn a_journal_can_be_read_with_ordinary_tools() {
    let skus = skus(5);
    let (dir, server) = interrupted(&skus);
    let text = dir.read("out.json.journal");
    let lines: Vec<serde_json::Value> = text
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(lines[0].to_string().contains("/p/{sku}"), "the first line says which job: {}", lines[0]);
    assert_eq!(lines.iter().filter(|line| line.get("fetched").is_some()).count(), 4);
    assert_eq!(lines.iter().filter(|line| line.get("failed").is_some()).count(), 1);
    assert_eq!(server.count(), 5);
}

#[test]
fn a_journal_that_is_a_symbolic_link_is_not_followed() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(["1"]);
    dir.write("precious", "keep me");
    std::os::unix::fs::symlink(dir.path("precious"), dir.path("out.json.journal")).unwrap();
    fetch(&dir, &server).finish().expect_code(73);
    assert_eq!((server.count(), dir.read("precious").as_str()), (0, "keep me"));
    let target: PathBuf = fs::read_link(dir.path("out.json.journal")).unwrap();
    assert_eq!(target, dir.path("precious"));
}

#[test]
fn when_the_time_is_over_the_run_ends_with_75_and_the_next_resumes() {
    let dir = WorkDir::new();
    let skus = skus(60);
    dir.write_skus(&skus);
    let server = ScriptedServer::start(|seen| Reply::echo(seen).wait(Duration::from_millis(50)));
    let run = || fetch(&dir, &server).args(["-c", "4", "--max-time", "400ms"]).finish();
    let mut runs = 0;
    let last = loop {
        let ended = run();
        runs += 1;
        let [rows, fetched, _, _, _, deferred] = counts(&ended);
        assert_eq!((rows, fetched + deferred), (60, 60));
        if ended.code == Some(0) {
            break ended;
        }
        let ended = ended.expect_code(75);
        assert!(messages(&ended).contains("--max-time"), "{}", ended.stderr);
        assert!(!dir.has("out.json") && runs < 30);
    };
    assert!(runs > 1 && counts(&last)[1] == 60);
    assert_eq!(server.count(), 60, "none was asked for twice, none was cut off");
    assert_eq!(server.abandoned(), 0);
    assert_eq!(dir.read("out.json"), echoed(&skus));
}

/// Dates the answers in a journal back by so much, and makes its checksums valid again.
fn age(dir: &WorkDir, name: &str, by: Duration) {
    let text = dir.read(name);
    let mut aged = String::new();
    let mut seed = 0;
    for line in text.lines() {
        let Some(rest) = line.get(18..).filter(|_| line.starts_with("{\"crc\":")) else {
            aged.push('\n');
            continue;
        };
        let rest = match rest.split_once("\"at\":\"") {
            Some((before, after)) => {
                let (at, after) = after.split_once('"').unwrap();
                let at = humantime::parse_rfc3339(at).unwrap() - by;
                format!("{before}\"at\":\"{}\"{after}", humantime::format_rfc3339_millis(at))
            }
            None => rest.to_owned(),
        };
        let mut hasher = crc32fast::Hasher::new_with_initial(seed);
        hasher.update(rest.as_bytes());
        writeln!(aged, "{{\"crc\":\"{:08x}\",{rest}", hasher.finalize()).unwrap();
        if seed == 0 {
            let header: Value = serde_json::from_str(line).unwrap();
            let salt = u128::from_str_radix(header["salt"].as_str().unwrap(), 16).unwrap();
            seed = crc32fast::hash(&salt.to_be_bytes());
        }
    }
    dir.write(name, aged);
}

#[test]
fn old_answers_of_a_journal_are_named_warned_of_and_bounded_by_max_age() {
    const DAY: Duration = Duration::from_hours(24);
    let interrupted = || {
        let dir = WorkDir::new();
        dir.write_skus(["a", "b", "c"]);
        let c = [Reply::status(404), Reply::json("3")];
        let server = ScriptedServer::script(Script::new().for_sku("c", c));
        fetch(&dir, &server).args(["--min-success", "100"]).finish().expect_code(69);
        (dir, server)
    };
    let (dir, server) = interrupted();
    age(&dir, "out.json.journal", 18 * DAY);
    let plan =
        plain(&dir, &server, "out.json").args(["--max-age", "20h", "--dry-run"]).finish().expect_code(0);
    let words: Vec<&str> = plan.stdout().split_whitespace().collect();
    assert!(words.join(" ").contains("2 answers older than --max-age 20h"), "{}", plan.stdout());
    let ended = plain(&dir, &server, "out.json").finish().expect_code(0);
    assert_eq!(server.count(), 3 + 1);
    for says in ["2 from the journal, the oldest 18 days old", "is 18 days old; --max-age"] {
        assert!(ended.stderr.contains(says), "{says}: {}", ended.stderr);
    }
    // Bounded, with --merge and without it: what is too old is requested again.
    for extra in [&["--max-age", "20h"][..], &["--max-age", "20h", "--merge"]] {
        let (dir, server) = interrupted();
        age(&dir, "out.json.journal", 21 * DAY / 24);
        let ended = fetch(&dir, &server).args(extra).finish().expect_code(0);
        assert_eq!((server.count(), counts(&ended)), (3 + 3, [3, 3, 0, 0, 0, 0]), "{extra:?}");
        assert!(messages(&ended).contains("2 answers older than --max-age 20h"), "{}", messages(&ended));
        let (dir, server) = interrupted();
        age(&dir, "out.json.journal", 19 * DAY / 24);
        let ended = fetch(&dir, &server).args(extra).finish().expect_code(0);
        assert_eq!(server.count(), 3 + 1);
        let oldest = finished(&ended)["oldest_answer_s"].as_f64().unwrap();
        assert!(
            oldest >= 19.0 * 3600.0 && !messages(&ended).contains("the oldest answer taken"),
            "{}",
            messages(&ended)
        );
    }
}

#[test]
fn an_answer_that_this_run_would_not_accept_is_requested_again() {
    let interrupted = |before: &[&str], first: fn() -> Reply| {
        let dir = WorkDir::new();
        dir.write_skus(["a", "b", "c"]);
        let server = ScriptedServer::script(
            Script::new()
                .for_sku("a", [first(), Reply::json("1")])
                .for_sku("c", [Reply::status(410), Reply::json("3")]),
        );
        fetch(&dir, &server).args(before).args(["--min-success", "100"]).finish().expect_code(69);
        (dir, server)
    };
    let pending = || Reply::json("\"pending\"").with_status(202);
    for (before, now, first) in [
        (&[][..], &["--retry-on", "+202"][..], pending as fn() -> Reply),
        (&["--null-on", "404"], &[], || Reply::status(404)),
    ] {
        let (dir, server) = interrupted(before, first);
        let plan = plain(&dir, &server, "out.json").args(now).args(["--dry-run"]).finish().expect_code(0);
        assert!(plan.stdout().contains("requests  2 with GET"), "{}", plan.stdout());
        let ended = fetch(&dir, &server).args(now).finish().expect_code(0);
        assert!(
            messages(&ended).contains("1 answer with a status that this run does not keep"),
            "{}",
            messages(&ended)
        );
        assert!(dir.read("out.json").contains("\"a\":1"), "{}", dir.read("out.json"));
    }
}

#[test]
fn a_part_of_the_input_does_not_throw_away_what_an_interrupted_run_has() {
    let skus = skus(10);
    let part = |dir: &WorkDir, input: &str| {
        let text = skus[8..].iter().fold("sku,_error,_status,_attempts\n".to_owned(), |text, sku| {
            text + sku + ",\"HTTP 500\",500,1\n"
        });
        dir.write(input, &text);
    };
    // Fewer rows than answers in the journal: found before the first request.
    let (dir, server) = interrupted(&skus);
    part(&dir, "out.failed.csv");
    let requested = server.count();
    let again = || {
        let run = Run::new(&dir).args(["out.failed.csv", "-o", "out.json", "--url", &server.url("/p/{sku}")]);
        run.finish().expect_code(75)
    };
    let ended = again();
    let says = "the journal of an interrupted run has ";
    assert!(
        ended.stderr.contains(says) && ended.stderr.contains("out.failed.csv, a failure file"),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("--fresh"), "{}", ended.stderr);
    assert_eq!(server.count(), requested);
    assert!(dir.has("out.json.journal") && !dir.has("out.json"));
    let plan = Run::new(&dir).args(["out.failed.csv", "-o", "out.json", "--dry-run"]);
    let plan = plan.args(["--url", &server.url("/p/{sku}")]).finish().expect_code(75);
    assert!(plan.stderr.contains(says), "{}", plan.stderr);
    let ended = fetch(&dir, &server).args(["--limit", "2"]).finish().expect_code(75);
    assert!(ended.stderr.contains("the first 2 rows of products.csv"), "{}", ended.stderr);
    // The whole input takes up every answer.
    let ended = fetch(&dir, &server).args(["--min-success", "90"]).finish().expect_code(1);
    assert!(ended.stderr.contains("1 failed"), "{}", ended.stderr);
    assert_eq!(keys(&dir.read("out.json")), skus[..9]);
}

#[test]
fn answers_to_a_part_of_the_input_stay_beside_those_of_the_interrupted_run() {
    let skus = skus(10);
    let (dir, server) = interrupted(&skus);
    let answered = server.count();
    // As many rows as answers, so that only the end shows that some answers are for other rows.
    let rows = skus[5..].iter().cloned().chain((0..20).map(|n| format!("T{n}")));
    let text = rows.fold("sku,_error,_status,_attempts\n".to_owned(), |text, sku| text + &sku + ",x,500,1\n");
    dir.write("out.failed.csv", &text);
    let run = Run::new(&dir).args([
        "out.failed.csv",
        "-o",
        "out.json",
        "--merge",
        "--url",
        &server.url("/p/{sku}"),
    ]);
    let ended = run.finish().expect_code(75);
    assert!(ended.stderr.contains("has 5 answers for rows that out.failed.csv"), "{}", ended.stderr);
    assert!(dir.has("out.json.journal") && !dir.has("out.json"), "{answered}");
    fetch(&dir, &server).finish();
    assert_eq!(keys(&dir.read("out.json")).len(), 10);
}
