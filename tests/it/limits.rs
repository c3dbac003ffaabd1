//! Limits of the system and folders that are not there: each ends with what to raise or to name, and costs nothing
//! that was there before.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::faults::strace;
use crate::output_files::bound_by_permissions;
use crate::output_kit::{echoed, fetch, fetch_to, finished, messages, plain, skus};
use crate::support::{Ended, Reply, Run, ScriptedServer, WorkDir};

const OLD: &str = "{\n\"OLD\":1\n}\n";

fn shop(count: usize) -> (WorkDir, ScriptedServer) {
    let dir = WorkDir::new();
    dir.write_skus(skus(count));
    dir.write("out.json", OLD);
    (dir, ScriptedServer::start(|seen| Reply::json(format!("\"{}{}\"", seen.sku, "x".repeat(1000)))))
}

fn recovered(ended: &Ended) -> usize {
    usize::try_from(finished(ended)["recovered"].as_u64().unwrap()).unwrap()
}

#[test]
fn a_limit_on_file_sizes_is_an_error_with_the_old_output_and_the_journal_kept() {
    // In blocks of 512 bytes: none, those of the lock, and some of the journal's.
    for limit in [0, 1, 40] {
        let (dir, server) = shop(100);
        let run = fetch(&dir, &server).after_shell(&format!("ulimit -f {limit}"));
        let ended = run.finish().expect_code(74);
        let text = messages(&ended);
        assert!(text.contains("File too large") && text.contains("ulimit -f"), "{limit}: {text}");
        assert_eq!(dir.read("out.json"), OLD, "{limit}");
        assert_eq!(dir.has("out.json.journal"), limit > 0, "{:?}", dir.names());
        assert!(limit > 0 || server.count() == 0);
        let before = server.count();
        let ended = fetch(&dir, &server).finish().expect_code(0);
        assert_eq!(server.count() - before + recovered(&ended), 100);
        assert_eq!(recovered(&ended) > 0, limit == 40, "{}", ended.stderr);
    }
}

#[test]
fn a_limit_on_file_sizes_that_standard_output_meets_is_an_error_too() {
    let (dir, server) = shop(100);
    let run = plain(&dir, &server, "-").after_shell("ulimit -f 100; exec >out");
    let ended = run.finish().expect_code(74);
    assert!(ended.stderr.contains("File too large"), "{}", ended.stderr);
    assert!(ended.stderr.contains("TMPDIR") || ended.stderr.contains("ulimit -f"), "{}", ended.stderr);
    for args in [&["man"][..], &["completions", "bash"]] {
        let ended = Run::new(&dir).args(args).after_shell("ulimit -f 1; exec >out").finish().expect_code(74);
        assert!(ended.stderr.contains("File too large"), "{}", ended.stderr);
    }
}

#[test]
fn a_system_that_gives_no_thread_is_named_as_that() {
    if !strace::is_there() {
        return;
    }
    for from in 1..=3 {
        let (dir, server) = shop(3);
        // No certificate is needed, and reading them all is slow under strace.
        let run = fetch(&dir, &server).env("SSL_CERT_FILE", "/dev/null").env("SSL_CERT_DIR", "/dev/null");
        let run = run.under(strace::failing("?clone,?clone3", "EAGAIN", from));
        let ended = run.finish();
        if from > 1 && ended.code == Some(0) {
            continue;
        }
        let ended = ended.expect_code(74);
        let text = messages(&ended);
        assert!(text.contains("cannot start") && text.contains("ulimit -u"), "{from}: {text}");
        assert!(!text.contains("folder") && !ended.stderr.contains("internal error"), "{from}: {text}");
        assert_eq!((server.count(), dir.read("out.json").as_str()), (0, OLD));
    }
}

#[test]
fn a_folder_for_temporary_files_that_cannot_be_used_is_named_with_its_variable() {
    let (dir, server) = shop(3);
    let shut = dir.path("shut");
    fs::create_dir(&shut).unwrap();
    fs::set_permissions(&shut, Permissions::from_mode(0o555)).unwrap();
    let file = dir.path("products.csv");
    for folder in [dir.path("absent"), shut, file, "/proc".into()] {
        let run = bound_by_permissions(fetch_to(&dir, &server, "-").env("TMPDIR", &folder));
        let text = messages(&run.finish().expect_code(73));
        let named = format!("cannot create a temporary file in {}", folder.display());
        assert!(text.contains(&named) && text.contains("set TMPDIR to a writable folder"), "{text}");
    }
    assert_eq!(server.count(), 0);
    // With an output file there is none to create there.
    fetch(&dir, &server).env("TMPDIR", dir.path("absent")).finish().expect_code(0);
}

#[test]
fn a_home_folder_without_permission_has_no_config_file() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(skus(3));
    fs::create_dir_all(dir.path("home/.config/skufetch")).unwrap();
    dir.write("home/.config/skufetch/config.toml", "[output]\nformat = \"jsonl\"\n");
    let home = dir.path("home");
    for name in ["HOME", "XDG_CONFIG_HOME"] {
        for (folder, mode) in
            [("home", 0o000), ("home", 0o600), ("home/.config", 0o000), ("home/.config/skufetch", 0o000)]
        {
            fs::set_permissions(dir.path(folder), Permissions::from_mode(mode)).unwrap();
            let value = if name == "HOME" { home.clone() } else { home.join(".config") };
            let run = bound_by_permissions(fetch(&dir, &server).env(name, &value));
            run.finish().expect_code(0);
            assert_eq!(dir.read("out.json"), echoed(skus(3)), "{name}, {folder} {mode:o}");
            fs::set_permissions(dir.path(folder), Permissions::from_mode(0o755)).unwrap();
        }
    }
    for home in ["/dev/null", "/nonexistent", "relative"] {
        fetch(&dir, &server).env("HOME", home).finish().expect_code(0);
    }
}

#[test]
fn a_config_file_that_exists_and_cannot_be_read_is_an_error_at_any_place() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(skus(3));
    fs::create_dir_all(dir.path("home/.config/skufetch")).unwrap();
    for name in ["config.toml", "home/.config/skufetch/config.toml"] {
        let path = dir.write(name, "");
        fs::set_permissions(&path, Permissions::from_mode(0o000)).unwrap();
        let run = bound_by_permissions(fetch(&dir, &server).env("HOME", dir.path("home")));
        let ended = run.finish().expect_code(78);
        assert!(messages(&ended).contains(name), "{}", ended.stderr);
        fs::remove_file(path).unwrap();
    }
    fs::create_dir(dir.path("shut")).unwrap();
    fs::set_permissions(dir.path("shut"), Permissions::from_mode(0o000)).unwrap();
    let named = fetch(&dir, &server).args(["--config", "shut/config.toml"]);
    bound_by_permissions(named).finish().expect_code(78);
    assert_eq!(server.count(), 0);
}

#[test]
fn a_run_from_a_folder_that_may_not_be_searched_has_no_config_file_there() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(skus(3));
    fs::create_dir(dir.path("shut")).unwrap();
    let (input, output) = (dir.path("products.csv"), dir.path("out.json"));
    let args = [input.as_os_str(), "-o".as_ref(), output.as_os_str(), "-u".as_ref()];
    let run = Run::new(&dir).args(args).args([server.url("/p/{sku}")]);
    let run = bound_by_permissions(run).after_shell_in_a_shut_folder();
    run.finish().expect_code(0);
    fs::set_permissions(dir.path("shut"), Permissions::from_mode(0o755)).unwrap();
    assert_eq!(dir.read("out.json"), echoed(skus(3)));
}

trait InAShutFolder {
    fn after_shell_in_a_shut_folder(self) -> Self;
}

impl InAShutFolder for Run<'_> {
    /// The program is started in `shut`, which then may not be searched.
    fn after_shell_in_a_shut_folder(self) -> Self {
        self.after_shell("cd shut; chmod 000 .")
    }
}
