//! Places that take a new file and yet cannot hold the output: found before the first request, with what to do.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::faults::strace;
use crate::output_kit::{echoed, fetch, fetch_to, messages, mode, skus};
use crate::support::{Reply, Run, ScriptedServer, WorkDir};

/// A shop whose output is there already, with this mode.
fn shop(mode: u32) -> (WorkDir, ScriptedServer) {
    let dir = WorkDir::new();
    dir.write_skus(skus(3));
    dir.write("out.json", "{\n\"OLD\":1\n}\n");
    fs::set_permissions(dir.path("out.json"), Permissions::from_mode(mode)).unwrap();
    (dir, ScriptedServer::echo())
}

/// Nothing was requested, and only the lock is left.
#[track_caller]
fn untouched(dir: &WorkDir, server: &ScriptedServer) {
    assert_eq!((server.count(), dir.read("out.json").as_str()), (0, "{\n\"OLD\":1\n}\n"));
    let mut names = dir.names();
    names.retain(|name| name != "out.json.lock");
    assert_eq!(names, ["out.json", "products.csv"]);
}

/// The run where this file is a mount point: `docker run -v ./out.json:/app/out.json`. `None`, with a word, where
/// nothing may be mounted.
fn with_mounted<'a>(run: Run<'a>, file: &str) -> Option<Run<'a>> {
    let may = Command::new("unshare").args(["--mount", "true"]).stderr(Stdio::null()).status();
    if !may.is_ok_and(|status| status.success()) {
        println!("skipped: nothing may be mounted here");
        return None;
    }
    let mount = format!("mount --bind mounted {file} && exec \"$0\" \"$@\"");
    Some(run.under(["unshare", "--mount", "sh", "-c", &mount]))
}

#[test]
fn a_file_that_is_a_mount_point_is_73_before_any_request_and_says_what_to_mount() {
    for (name, args) in [
        ("out.json", &[][..]),
        ("out.failed.csv", &[]),
        ("out.json.journal", &[]),
        ("out.json.state", &[]),
        ("report.html", &["--report", "report.html"]),
        ("f.csv", &["--failed", "f.csv"]),
        ("out.json", &["--dry-run"]),
    ] {
        let (dir, server) = shop(0o644);
        dir.write("mounted", "{\n\"OLD\":1\n}\n");
        if name != "out.json" {
            dir.write(name, "");
        }
        let Some(run) = with_mounted(fetch(&dir, &server).args(args), name) else { return };
        let ended = run.finish().expect_code(73);
        let text = messages(&ended);
        assert!(text.contains(&format!("{name}: it is a mount point of its own")), "{text}");
        assert!(
            text.contains(&format!("mount the folder that contains {name} instead of the file itself")),
            "{text}"
        );
        assert_eq!((server.count(), dir.read("out.json").as_str()), (0, "{\n\"OLD\":1\n}\n"));
    }
}

#[test]
fn a_symbolic_link_to_a_mount_point_is_found_too_and_an_input_may_be_one() {
    let (dir, server) = shop(0o644);
    dir.write("mounted", "");
    dir.write("real.json", "");
    std::os::unix::fs::symlink("real.json", dir.path("link.json")).unwrap();
    let Some(run) = with_mounted(fetch_to(&dir, &server, "link.json"), "real.json") else { return };
    assert!(messages(&run.finish().expect_code(73)).contains("link.json: it is a mount point"));
    fs::copy(dir.path("products.csv"), dir.path("mounted")).unwrap();
    let run = with_mounted(fetch(&dir, &server), "products.csv").unwrap();
    run.finish().expect_code(0);
    assert_eq!(dir.read("out.json"), echoed(skus(3)));
}

#[test]
fn what_the_file_system_refuses_of_publishing_is_found_by_a_trial() {
    if !strace::is_there() {
        return;
    }
    for (calls, error, words) in [
        ("fchmod", "EPERM", ["cannot set the mode of", "does not allow mode changes"]),
        ("fchmod", "EOPNOTSUPP", ["cannot set the mode of", "does not allow mode changes"]),
        ("fsync", "EINVAL", ["cannot sync", "does not support fsync"]),
        ("?rename,?renameat,?renameat2", "ENOSYS", ["cannot replace", "renamed over another"]),
        ("flock", "ENOLCK", ["does not support locks", "local disk"]),
        ("flock", "ENOSYS", ["does not support locks", "local disk"]),
        ("flock", "EOPNOTSUPP", ["does not support locks", "local disk"]),
    ] {
        // What the umask takes from a new file has to be given to it.
        let (dir, server) = shop(0o666);
        let run = fetch(&dir, &server).after_shell("umask 022").under(strace::failing(calls, error, 1));
        let ended = run.finish().expect_code(73);
        let text = messages(&ended);
        assert!(words.iter().all(|word| text.contains(word)), "{calls} {error}: {text}");
        untouched(&dir, &server);
    }
}

#[test]
fn a_share_that_changes_neither_mode_nor_owner_is_written_to_where_none_need_change() {
    if !strace::is_there() {
        return;
    }
    for kept in [0o644, 0o600, 0o444] {
        let (dir, server) = shop(kept);
        let run = fetch(&dir, &server).after_shell("umask 022");
        run.under(strace::failing("?fchmod,?chmod,?fchmodat,?fchown", "EPERM", 1)).finish().expect_code(0);
        assert_eq!((dir.read("out.json"), mode(&dir, "out.json")), (echoed(skus(3)), kept));
    }
}

#[test]
fn the_place_of_a_report_is_tried_as_well() {
    if !strace::is_there() {
        return;
    }
    let (dir, server) = shop(0o640);
    let run = fetch(&dir, &server).args(["--report", "r.json"]).under(strace::failing("fsync", "EIO", 1));
    assert!(messages(&run.finish().expect_code(73)).contains("cannot sync r.json"));
    untouched(&dir, &server);
}

#[test]
fn a_file_of_another_user_in_a_folder_like_tmp_is_73_before_any_request() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can make files of others");
        return;
    }
    let (dir, server) = shop(0o666);
    fs::set_permissions(dir.root(), Permissions::from_mode(0o1777)).unwrap();
    chown(dir.root(), Some(4001), Some(4001)).unwrap();
    chown(dir.path("out.json"), Some(4001), Some(4001)).unwrap();
    let as_another = ["setpriv", "--reuid=4002", "--regid=4002", "--clear-groups"];
    let ended = fetch(&dir, &server).under(as_another).finish();
    if ended.code == Some(126) || ended.code == Some(127) {
        println!("skipped: the program lies in a folder that others may not enter");
        return;
    }
    let ended = ended.expect_code(73);
    assert!(messages(&ended).contains("belongs to another user"), "{}", ended.stderr);
    untouched(&dir, &server);
}

/// What becomes of the links while a run goes on; the function changes one.
type LinkChange = fn(&WorkDir, &dyn Fn(&WorkDir, &str, &str));

#[test]
fn a_link_that_leads_elsewhere_at_the_end_publishes_nothing() {
    let relink = |dir: &WorkDir, name: &str, to: &str| {
        std::fs::remove_file(dir.path(name)).unwrap();
        std::os::unix::fs::symlink(to, dir.path(name)).unwrap();
    };
    let cases: [(&str, LinkChange); 3] = [
        ("link.json", |dir, relink| relink(dir, "link.json", "r2/out.json")),
        ("cur/out.json", |dir, relink| relink(dir, "cur", "r2")),
        ("r1/out.json", |dir, _| {
            std::fs::rename(dir.path("r1/out.json"), dir.path("r1/v1.json")).unwrap();
            std::os::unix::fs::symlink("v1.json", dir.path("r1/out.json")).unwrap();
        }),
    ];
    for (output, change) in cases {
        let dir = WorkDir::new();
        dir.write_skus((0..20).map(|n| n.to_string()));
        for folder in ["r1", "r2"] {
            std::fs::create_dir(dir.path(folder)).unwrap();
            dir.write(&format!("{folder}/out.json"), folder);
        }
        std::os::unix::fs::symlink("r1/out.json", dir.path("link.json")).unwrap();
        std::os::unix::fs::symlink("r1", dir.path("cur")).unwrap();
        let server = ScriptedServer::start(|seen| Reply::echo(seen).wait(Duration::from_millis(200)));
        let url = server.url("/{sku}");
        let run = Run::new(&dir).args(["products.csv", "-o", output, "-c", "10", "-u", &url]).spawn();
        server.wait_for(1);
        change(&dir, &relink);
        let ended = run.wait().expect_code(75);
        let says = format!("{output} leads to another file or folder than when the run began");
        assert!(ended.stderr.contains(&says), "{}", ended.stderr);
        let left = if output == "r1/out.json" { "r1/v1.json" } else { "r1/out.json" };
        assert_eq!((dir.read(left).as_str(), dir.read("r2/out.json").as_str()), ("r1", "r2"), "{output}");
        let journal = if output == "link.json" { "link.json.journal" } else { "r1/out.json.journal" };
        assert!(dir.has(journal), "{output}: {:?}", dir.names());
    }
}

#[test]
fn no_file_may_have_the_name_of_a_journal_that_was_set_aside() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(["1"]);
    for option in ["--changes", "--failed"] {
        let run = fetch(&dir, &server).args([option, "out.json.journal.1"]);
        let ended = run.finish().expect_code(73);
        assert!(ended.stderr.contains("the run writes another file under that name"), "{}", ended.stderr);
    }
    assert_eq!(server.count(), 0);
}
