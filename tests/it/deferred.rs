//! Rows that a run did not reach: nothing is published, whatever the reason, and no end of it is 0.

use std::time::Duration;

use rustix::process::Signal;

use crate::support::run::Ongoing;
use crate::support::{Ended, Reply, Run, ScriptedServer, WorkDir, closed_port};

const OLD: &str = "{\n\"OLD\":1\n}\n";

/// A hundred rows, and an output from another day.
fn folder() -> WorkDir {
    let dir = WorkDir::new();
    dir.write_skus((0..100).map(|n| format!("S{n}")));
    dir.write("out.json", OLD);
    dir
}

fn start(dir: &WorkDir, input: &str, url: &str, args: &[&str]) -> Ongoing {
    Run::new(dir).args([input, "-o", "out.json", "-c", "2", "-u", url]).args(args).open_stdin().spawn()
}

/// Ended so, and all is there for the same command to go on.
#[track_caller]
fn left(dir: &WorkDir, ended: Ended, code: i32) -> String {
    let stderr = ended.expect_code(code).stderr;
    assert_eq!(dir.read("out.json"), OLD, "{stderr}");
    assert!(dir.has("out.json.journal") && !stderr.contains("wrote out.json "), "{stderr}");
    stderr
}

#[test]
fn a_pipe_that_is_still_open_when_the_time_is_over_is_no_whole_input() {
    for output in ["out.json", "-"] {
        let (server, dir) = (ScriptedServer::echo(), folder());
        let url = server.url("/{sku}");
        let mut run =
            Run::new(&dir).args(["-", "-o", output, "-u", &url, "--max-time", "500ms"]).open_stdin().spawn();
        run.feed("sku\nA\nB\n");
        run.wait_until(|| server.count() == 2);
        // Every request was answered, and the pipe stays open until the run has ended.
        run.wait_for_stderr("hint: ");
        let ended = run.wait();
        assert_eq!(ended.stdout(), "", "nothing is published to standard output either");
        if output == "-" {
            ended.expect_code(75);
        } else {
            let stderr = left(&dir, ended, 75);
            assert!(stderr.contains("--max-time was over before the input was"), "{stderr}");
        }
    }
}

#[test]
fn whatever_defers_rows_nothing_is_published() {
    let slowly = |seen: &crate::support::Seen| Reply::echo(seen).wait(Duration::from_millis(20));
    // Out of time.
    let (server, dir) = (ScriptedServer::start(slowly), folder());
    let run = start(&dir, "products.csv", &server.url("/{sku}"), &["--max-time", "300ms"]);
    assert!(left(&dir, run.wait(), 75).contains(" deferred"));
    // A wait that is longer than any that is allowed.
    let server = ScriptedServer::start(move |seen| match seen.number {
        20 => Reply::retry_after(429, "7200"),
        _ => slowly(seen),
    });
    let run = start(&dir, "products.csv", &server.url("/{sku}"), &["--fresh"]);
    assert!(left(&dir, run.wait(), 75).contains(" deferred"));
    // Credentials that are refused from some request on.
    let server = ScriptedServer::start(move |seen| match seen.number {
        0..20 => slowly(seen),
        _ => Reply::status(401),
    });
    let run = start(&dir, "products.csv", &server.url("/{sku}"), &["--fresh"]);
    assert!(left(&dir, run.wait(), 77).contains(" deferred"));
    // A signal.
    let server = ScriptedServer::start(slowly);
    let run = start(&dir, "products.csv", &server.url("/{sku}"), &["--fresh"]);
    server.wait_for(10);
    run.signal(Signal::TERM);
    assert!(left(&dir, run.wait(), 143).contains(" deferred"));
    // Nobody there.
    let url = format!("http://{}/{{sku}}", closed_port());
    let run = start(&dir, "products.csv", &url, &["--fresh", "--retries", "0"]);
    assert!(left(&dir, run.wait(), 69).contains(" deferred"));
}
