//! The files of a run: what they may be read by, where they may lie, and what is found out beforehand.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::output_kit::{echoed, fetch, fetch_to, messages, mode, skus};
use crate::support::{Reply, Run, Script, ScriptedServer, WorkDir};

/// As root, permissions bind a program only without its privileges.
pub fn bound_by_permissions(run: Run<'_>) -> Run<'_> {
    if rustix::process::getuid().is_root() {
        run.under(["setpriv", "--bounding-set=-all", "--inh-caps=-all"])
    } else {
        run
    }
}

#[test]
fn a_new_output_obeys_the_umask_and_an_old_one_keeps_its_mode() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(["1"]);
    for (umask, expected) in [("022", 0o644), ("077", 0o600), ("002", 0o664)] {
        let name = format!("new{umask}.json");
        fetch_to(&dir, &server, &name).after_shell(&format!("umask {umask}")).finish().expect_code(0);
        assert_eq!(mode(&dir, &name), expected, "umask {umask}");
    }
    for kept in [0o640, 0o600, 0o664, 0o444] {
        fs::set_permissions(dir.path("new022.json"), Permissions::from_mode(kept)).unwrap();
        fetch_to(&dir, &server, "new022.json").after_shell("umask 022").finish().expect_code(0);
        assert_eq!(mode(&dir, "new022.json"), kept);
    }
}

#[test]
fn journal_state_and_lock_are_their_owners_alone() {
    let dir = WorkDir::new();
    dir.write_skus(["1", "2"]);
    let server = ScriptedServer::script(Script::new().for_sku("2", [Reply::status(404)]));
    fetch(&dir, &server).args(["--min-success", "60"]).after_shell("umask 000").finish().expect_code(69);
    assert_eq!(mode(&dir, "out.json.journal"), 0o600);
    assert_eq!(mode(&dir, "out.failed.csv"), 0o666, "what the umask leaves");
    fetch(&dir, &server).after_shell("umask 000").finish().expect_code(1);
    for name in ["out.json.state", "out.json.lock"] {
        assert_eq!(mode(&dir, name), 0o600, "{name}");
    }
}

#[test]
fn a_symbolic_link_in_the_outputs_place_stays_and_what_it_leads_to_is_replaced() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(["1"]);
    fs::create_dir(dir.path("deep")).unwrap();
    dir.write("deep/real.json", "old");
    fs::set_permissions(dir.path("deep/real.json"), Permissions::from_mode(0o640)).unwrap();
    symlink("deep/real.json", dir.path("out.json")).unwrap();
    symlink("deep/new.json", dir.path("dangling.json")).unwrap();
    for (name, real) in [("out.json", "deep/real.json"), ("dangling.json", "deep/new.json")] {
        fetch_to(&dir, &server, name).finish().expect_code(0);
        assert_eq!(fs::read_link(dir.path(name)).unwrap().to_str(), Some(real));
        assert_eq!(dir.read(real), echoed(["1"]));
    }
    assert_eq!(mode(&dir, "deep/real.json"), 0o640);
    let mut beside: Vec<_> =
        fs::read_dir(dir.path("deep")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    beside.sort();
    assert_eq!(
        beside,
        ["new.json", "new.json.lock", "real.json", "real.json.lock"],
        "no temporary file stays"
    );
}

#[test]
fn a_place_that_cannot_hold_the_output_is_73_before_any_request() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(["1"]);
    fs::create_dir(dir.path("folder")).unwrap();
    dir.write("file", "");
    symlink("circle", dir.path("circle")).unwrap();
    for name in ["folder", "absent/out.json", "file/out.json", "circle", "/proc/out.json", "/dev/null"] {
        let ended = fetch_to(&dir, &server, name).finish().expect_code(73);
        assert!(ended.stderr.contains(name), "{}", ended.stderr);
    }
    let ended = fetch(&dir, &server).args(["--failed", "absent/f.csv"]).finish().expect_code(73);
    assert!(ended.stderr.contains("absent"), "{}", ended.stderr);
    fs::create_dir(dir.path("out.json.journal")).unwrap();
    fetch(&dir, &server).finish().expect_code(73);
    // What cannot be a file's name at all is a wrong value.
    fetch_to(&dir, &server, "folder/").finish().expect_code(2);
    assert_eq!(server.count(), 0);
    assert_eq!(dir.names(), ["circle", "file", "folder", "out.json.journal", "products.csv"]);
}

#[test]
fn a_pipe_a_device_and_standard_output_by_its_path_are_73_with_a_hint() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(["1"]);
    let made = std::process::Command::new("mkfifo").arg(dir.path("pipe")).status().unwrap();
    assert!(made.success());
    for name in ["pipe", "/dev/full", "/dev/stdout", "/proc/self/fd/1"] {
        let ended = fetch_to(&dir, &server, name).args(["--failed", "f.csv"]).finish().expect_code(73);
        assert!(ended.stderr.contains("for standard output write -"), "{name}: {}", ended.stderr);
    }
    assert_eq!((server.count(), dir.names()), (0, vec!["pipe".to_owned(), "products.csv".to_owned()]));
}

#[test]
fn a_folder_that_may_not_be_written_to_is_73_before_any_request() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(["1"]);
    fs::create_dir(dir.path("shut")).unwrap();
    dir.write("shut/out.json", "old");
    fs::set_permissions(dir.path("shut"), Permissions::from_mode(0o555)).unwrap();
    let ended = bound_by_permissions(fetch_to(&dir, &server, "shut/out.json")).finish().expect_code(73);
    assert!(messages(&ended).contains("shut/out.json"), "{}", ended.stderr);
    assert_eq!((server.count(), dir.read("shut/out.json").as_str()), (0, "old"));
    fs::set_permissions(dir.path("shut"), Permissions::from_mode(0o755)).unwrap();
    bound_by_permissions(fetch_to(&dir, &server, "shut/out.json")).finish().expect_code(0);
}

#[test]
fn a_failure_file_may_not_be_another_file_of_the_run() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(["1"]);
    for name in ["out.json", "./out.json"] {
        fetch(&dir, &server).args(["--failed", name]).finish().expect_code(2);
    }
    for name in ["out.json.journal", "out.json.lock", "out.json.state"] {
        fetch(&dir, &server).args(["--failed", name]).finish().expect_code(73);
    }
    assert_eq!(server.count(), 0);
}

#[test]
fn a_failure_file_may_not_replace_the_plain_input() {
    let dir = WorkDir::new();
    let input = dir.write_skus(skus(4));
    let before = fs::read(&input).unwrap();
    let server = ScriptedServer::script(Script::new().for_sku("S0001", [Reply::status(404)]));
    let ended = fetch(&dir, &server).args(["--failed", "products.csv"]).finish();
    assert_eq!(dir.bytes("products.csv"), before, "the input is not lost: {}", ended.stderr);
}

#[test]
fn what_a_killed_run_left_of_a_temporary_file_is_cleared_by_the_next() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(["1"]);
    dir.write(".out.json.abcDEF123456.tmp", "half");
    dir.write(".out.json.state.abcDEF123456.tmp", "half");
    dir.write(".other.json.abcDEF123456.tmp", "not ours");
    fetch(&dir, &server).finish().expect_code(0);
    let names = dir.names();
    assert_eq!(
        names,
        [".other.json.abcDEF123456.tmp", "out.json", "out.json.lock", "out.json.state", "products.csv"]
    );
}
