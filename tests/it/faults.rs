//! Faults at every call that touches a file: whatever a kill, a full disk or a broken one strikes, the
//! old output or the new one is complete, and the same command continues from there.
//!
//! The ordinary suite kills one kind of run at every call of its publishing sequence, and samples the
//! rest. All of it, in a few minutes: `cargo test --test it faults -- --ignored --nocapture`.

mod drive;
pub mod full_disk;
mod stage;
pub mod strace;
mod sweep;

use std::fs;

use crate::support::WorkDir;
use drive::{at_publish, terminated};
use stage::{End, Kind, Stage};
use strace::Injection;
use sweep::{Part, keeps_data, sweep_all, without_fault};

const KILL: &str = "signal=KILL";
const EIO: &str = "error=EIO";
const ENOSPC: &str = "error=ENOSPC";

#[test]
fn a_kill_at_any_call_of_publishing_leaves_the_old_output_or_the_new_and_a_rerun_completes() {
    if strace::is_there() {
        sweep_all(&Stage::new(Kind::Merge), Part::Publishing, KILL, |_| true);
    }
}

#[test]
fn a_kill_at_any_call_of_publishing_loses_no_change_and_no_output_that_is_held_back() {
    if strace::is_there() {
        for kind in [Kind::Changes, Kind::Held] {
            sweep_all(&Stage::new(kind), Part::Publishing, KILL, |call| call != "write");
        }
    }
}

#[test]
fn a_disk_that_fails_at_any_call_of_publishing_leaves_the_old_output_or_the_new_and_a_rerun_completes() {
    if strace::is_there() {
        sweep_all(&Stage::new(Kind::Record), Part::Publishing, EIO, |call| call != "write");
    }
}

#[test]
fn a_disk_that_fails_at_any_sync_or_removal_of_a_run_that_is_held_back_lets_it_say_what_is_left() {
    if strace::is_there() {
        let is_tried = |call: &str| call.contains("sync") || call.contains("unlink");
        sweep_all(&Stage::new(Kind::Held), Part::Publishing, EIO, is_tried);
    }
}

#[test]
fn a_kill_at_any_write_or_sync_of_the_journal_costs_no_answer_that_was_in_it() {
    if strace::is_there() {
        sweep_all(&Stage::new(Kind::Slow), Part::Whole, KILL, |_| false);
    }
}

#[test]
fn every_file_is_synced_before_its_rename_and_every_folder_before_the_journal_is_removed() {
    if !strace::is_there() {
        return;
    }
    let log = without_fault(&Stage::new(Kind::Merge), Part::Publishing);
    let calls: Vec<String> = log.calls.iter().map(strace::Call::what).collect();
    let place = |what: &str| {
        calls.iter().position(|call| call == what).unwrap_or_else(|| panic!("no {what} in {calls:#?}"))
    };
    let gone = place("unlink out.json.journal");
    for name in ["out.json", "out.json.state", "out.failed.csv"] {
        let renamed = place(&format!("renameat {name}.tmp {name}"));
        let is_last = |call: &String| *call != format!("write {name}.tmp");
        assert!(calls[place(&format!("fsync {name}.tmp"))..].iter().all(is_last), "{name}: {calls:#?}");
        assert!(place(&format!("fsync {name}.tmp")) < renamed, "{name}: {calls:#?}");
        assert!(calls[renamed..gone].contains(&"fsync .".to_owned()), "{name}: {calls:#?}");
    }
    assert!(place("fdatasync out.json.journal") < place("renameat out.json.tmp out.json"), "{calls:#?}");
    assert!(calls[gone..].contains(&"fsync .".to_owned()), "{calls:#?}");
}

#[test]
fn the_last_sync_of_the_journal_that_fails_ends_the_run_with_nothing_published() {
    if !strace::is_there() {
        return;
    }
    let stage = Stage::new(Kind::Over);
    // All answers were synced before by the journal's own thread: this sync is that of its last line.
    let (call, on) = ("fdatasync".into(), Some("out.json.journal"));
    let run = at_publish(&stage, "last sync", Some(&Injection { call, nth: 1, what: EIO, on }));
    assert_eq!(run.log.code, Some(74), "{}", run.stderr);
    assert!(run.stderr.contains("cannot sync out.json.journal"), "{}", run.stderr);
    let syncs = run.log.calls.iter().filter(|call| call.name.ends_with("sync")).count();
    assert_eq!(syncs, 1, "never again on that descriptor:\n{}", run.text);
    stage.check_left(&run.dir, End::Failed, &run.stderr).unwrap();
    assert_eq!(run.dir.bytes("out.json"), stage.folder().bytes("out.json"));
    stage.check_again(&run.dir, "-", "last sync").unwrap();
    assert_eq!(stage.requested("last sync again"), ["K"], "all but the failed one were in the journal");
}

#[test]
fn a_signal_before_the_rename_leaves_the_old_output_and_the_journal() {
    if !strace::is_there() {
        return;
    }
    let stage = Stage::new(Kind::Over);
    // The new output gets the old one's mode when it is written, before its sync. (So does the trial before the
    // first request, whose file holds one byte.)
    let slow = Injection { call: "fchmod".into(), nth: 0, what: "delay_enter=1500000", on: None };
    let written = |dir: &WorkDir| {
        let is_output = |name: &String| {
            name.starts_with(".out.json.")
                && !name.starts_with(".out.json.state")
                && fs::metadata(dir.path(name)).is_ok_and(|found| found.len() > 1)
        };
        dir.names().iter().any(is_output)
    };
    let run = terminated(&stage, "early", &slow, written);
    assert_eq!(run.log.code, Some(128 + 15), "{}", run.stderr);
    assert!(run.stderr.contains("nothing published; journal kept"), "{}", run.stderr);
    stage.check_left(&run.dir, End::Killed, &run.stderr).unwrap();
    assert_eq!(run.dir.bytes("out.json"), stage.folder().bytes("out.json"));
    stage.check_again(&run.dir, "products.csv", "early").unwrap();
}

#[test]
fn a_signal_after_the_rename_lets_the_run_end_as_published() {
    if !strace::is_there() {
        return;
    }
    let stage = Stage::new(Kind::Over);
    let slow = Injection { call: "renameat".into(), nth: 0, what: "delay_exit=1000000", on: None };
    let old = stage.folder().bytes("out.json");
    let run = terminated(&stage, "late", &slow, |dir| dir.bytes("out.json") != old);
    assert_eq!(run.log.code, Some(stage.code), "{}", run.stderr);
    assert!(run.stderr.contains("wrote out.json"), "{}", run.stderr);
    stage.check_left(&run.dir, End::Published, &run.stderr).unwrap();
    assert!(!run.dir.has("out.json.journal"));
}

#[test]
#[ignore = "takes minutes: cargo test --test it faults -- --ignored --nocapture"]
fn every_fault_at_every_call_of_publishing_any_kind_of_run() {
    if !strace::is_there() {
        return;
    }
    for kind in [Kind::New, Kind::Over, Kind::Merge, Kind::Record, Kind::Large, Kind::Changes, Kind::Held] {
        let stage = Stage::new(kind);
        for what in [KILL, EIO, ENOSPC] {
            sweep_all(&stage, Part::Publishing, what, |_| true);
        }
    }
}

#[test]
#[ignore = "takes minutes: cargo test --test it faults -- --ignored --nocapture"]
fn every_fault_at_every_write_sync_and_rename_of_a_whole_run() {
    if !strace::is_there() {
        return;
    }
    for kind in [Kind::New, Kind::Slow, Kind::Merge, Kind::Record, Kind::Aside, Kind::Drafted] {
        let stage = Stage::new(kind);
        for what in [KILL, EIO, ENOSPC] {
            sweep_all(&stage, Part::Whole, what, keeps_data);
        }
    }
}
