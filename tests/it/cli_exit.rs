//! The exit codes as a shell sees them, and what each means: published or not, requested or not.

use crate::support::{Reply, Run, Script, ScriptedServer, WorkDir};

/// A shop that lacks one of three products.
fn shop() -> (ScriptedServer, WorkDir) {
    let dir = WorkDir::new();
    dir.write("all.csv", "sku\nA\nB\n");
    dir.write("some.csv", "sku\nA\nB\nGONE\n");
    dir.write("none.csv", "sku\n");
    dir.write("out.json", "old");
    (ScriptedServer::script(Script::new().for_sku("GONE", [Reply::status(404)])), dir)
}

#[test]
fn a_shell_script_can_distinguish_the_exit_codes() {
    let (server, dir) = shop();
    dir.write("bad.toml", "[pace]\nrate = 'fast'\n");
    let script = format!(
        "fetch() {{ \"$SKUFETCH_BINARY\" -q -u '{}' \"$@\" 2>>said; printf '%s ' $?; }}\n\
         fetch all.csv -o out.json; fetch some.csv -o out.json; fetch all.csv -o out.json --rate fast\n\
         fetch none.csv -o out.json; fetch missing.csv -o out.json; fetch all.csv -o missing/out.json\n\
         fetch all.csv -o out.json --config bad.toml",
        server.url("/{sku}")
    );
    let ended = Run::new(&dir)
        .under(["sh", "-c", "SKUFETCH_BINARY=$0; export SKUFETCH_BINARY; eval \"$SCRIPT\""])
        .env("SCRIPT", script)
        .finish()
        .expect_code(0);
    assert_eq!(ended.stdout(), "0 1 2 65 66 73 78 ", "{}", dir.read("said"));
}

#[test]
fn with_0_all_is_published_and_no_failure_file_is_left_from_before() {
    let (server, dir) = shop();
    let run = |input: &str, code: i32| {
        let args = [input, "-o", "out.json", "-u", &server.url("/{sku}")];
        Run::new(&dir).args(args).finish().expect_code(code);
    };
    run("some.csv", 1);
    assert!(dir.has("out.failed.csv"));
    run("all.csv", 0);
    assert!(!dir.has("out.failed.csv") && !dir.has("out.json.journal"));
}

#[test]
fn with_1_what_came_is_published_and_the_rest_is_in_the_failure_file() {
    let (server, dir) = shop();
    let args = ["some.csv", "-o", "out.json", "-u", &server.url("/{sku}")];
    Run::new(&dir).args(args).finish().expect_code(1);
    assert_eq!(crate::input::keys(&dir.read("out.json")), ["A", "B"]);
    assert!(dir.read("out.failed.csv").starts_with("sku,_error,_status,_attempts\nGONE,"));
}

#[test]
fn with_1_also_where_only_a_bad_row_failed() {
    let (server, dir) = shop();
    dir.write("bad.csv", "sku,name\nA,x\nB\n");
    let args = ["bad.csv", "-o", "out.json", "-u", &server.url("/{sku}")];
    Run::new(&dir).args(args).finish().expect_code(1);
}

#[test]
fn a_row_that_another_row_makes_good_has_not_failed() {
    let (server, dir) = shop();
    dir.write("twice.csv", b"sku,name\nA,caf\xe9\nA,x\nA,x\n");
    let args = ["twice.csv", "-o", "out.json", "-u", &server.url("/{sku}")];
    let ended = Run::new(&dir).args(args).finish().expect_code(0);
    assert!(ended.stderr.contains(": 1 fetched, 2 repeats"), "{}", ended.stderr);
    assert!(!dir.has("out.failed.csv"), "{}", dir.read("out.failed.csv"));
}

#[test]
fn with_73_nothing_was_requested() {
    let (server, dir) = shop();
    let url = server.url("/{sku}");
    for (args, what) in [
        (["-o", "missing/out.json", "--failed", "f.csv"], "missing/out.json"),
        (["-o", "out.json", "--failed", "missing/f.csv"], "missing/f.csv"),
        (["-o", "/proc/out.json", "--failed", "f.csv"], "/proc/out.json"),
        (["-o", "all.csv/out.json", "--failed", "f.csv"], "all.csv/out.json"),
    ] {
        let ended = Run::new(&dir).args(["all.csv", "-u", &url]).args(args).finish().expect_code(73);
        assert!(
            ended.stderr_after_header().starts_with("error: cannot ") && ended.stderr.contains(what),
            "{}",
            ended.stderr
        );
        assert!(ended.stderr.contains("  hint: "), "{}", ended.stderr);
    }
    assert_eq!((server.connections(), dir.read("out.json").as_str()), (0, "old"));
}

#[test]
fn with_65_an_old_output_that_cannot_be_merged_is_left_as_it_was() {
    let (server, dir) = shop();
    let args = ["all.csv", "-o", "out.json", "--merge", "-u", &server.url("/{sku}")];
    let ended = Run::new(&dir).args(args).finish().expect_code(65);
    assert!(ended.stderr.contains("out.json"), "{}", ended.stderr);
    assert_eq!((server.connections(), dir.read("out.json").as_str()), (0, "old"));
}

#[test]
fn with_78_a_config_file_at_its_default_place_counts_as_well() {
    let (server, dir) = shop();
    dir.write("config.toml", "[request]\ntimeuot = '5s'\n");
    let args = ["all.csv", "-o", "out.json", "-u", &server.url("/{sku}")];
    let ended = Run::new(&dir).args(args).finish().expect_code(78);
    assert!(
        ended.stderr.contains("config.toml:2:1: ") && ended.stderr.contains("`timeout`"),
        "{}",
        ended.stderr
    );
    assert_eq!((server.connections(), dir.read("out.json").as_str()), (0, "old"));
}
