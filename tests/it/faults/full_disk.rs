//! A disk that is full for real: a small file system in memory, where the system lets us mount one.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::stage::{End, Kind, Stage};
use crate::support::WorkDir;

/// A mounted file system of so many KiB, with its mount point; both are gone when dropped.
pub struct SmallDisk {
    pub at: PathBuf,
    _point: tempfile::TempDir,
}

impl SmallDisk {
    /// `None`, with a word, where mounting is not allowed.
    pub fn mount(kib: u64) -> Option<Self> {
        let point = tempfile::TempDir::with_prefix("skufetch-disk-").unwrap();
        let at = point.path().to_owned();
        let options = format!("size={kib}k,mode=0700");
        let mounted = run("mount", &["-t", "tmpfs", "-o", &options, "tmpfs"], &at);
        if !mounted {
            println!("skipped: a file system may not be mounted here, so there is no disk to fill");
        }
        mounted.then_some(Self { at, _point: point })
    }

    /// Takes all but so many KiB.
    pub fn fill(&self, leave_kib: usize) {
        let mut ballast = File::create(self.ballast()).unwrap();
        while ballast.write_all(&[0; 4096]).is_ok() {}
        let length = ballast.metadata().unwrap().len();
        ballast.set_len(length - 1024 * leave_kib as u64).unwrap();
    }

    pub fn free(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.at.join("ballast")
    }

    /// A work folder whose files lie on this disk.
    fn folder(&self, stage: &Stage) -> WorkDir {
        stage.folder_in(&self.at)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run("umount", &["-l"], &self.at);
    }
}

fn run(program: &str, args: &[&str], at: &Path) -> bool {
    let mut command = Command::new(program);
    command.args(args).arg(at).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Runs with so many KiB left, expects the exit code, frees space, and expects the end of a run that was
/// never disturbed. Returns standard error and the number of requests.
fn run_with_free(kib: usize, code: i32, end: End) -> Option<(String, usize)> {
    let stage = Stage::new(Kind::Large);
    let disk = SmallDisk::mount(16 << 10)?;
    let dir = disk.folder(&stage);
    let before = dir.bytes("out.json");
    disk.fill(kib);
    let ended = stage.run(&dir, "products.csv", "full").finish().expect_code(code);
    stage.check_left(&dir, end, &ended.stderr).unwrap();
    assert_eq!(dir.bytes("out.json"), before);
    assert!(ended.stderr.contains("the disk is full: make room"), "{}", ended.stderr);
    let requested = stage.requested("full").len();
    disk.free();
    stage.check_again(&dir, "products.csv", "full").unwrap();
    Some((ended.stderr, requested))
}

#[test]
fn a_disk_that_is_full_at_the_start_is_found_before_the_first_request() {
    if let Some((stderr, requested)) = run_with_free(0, 73, End::Refused) {
        assert!(stderr.contains("cannot create out.json"), "{stderr}");
        assert_eq!(requested, 0);
    }
}

#[test]
fn a_disk_that_fills_up_during_the_run_keeps_the_journal_and_the_run_resumes_when_there_is_space() {
    // Twelve bodies of 100 kB do not fit.
    if let Some((stderr, requested)) = run_with_free(500, 74, End::Failed) {
        assert!(stderr.contains("cannot write out.json.journal"), "{stderr}");
        assert!(requested > 0);
    }
}

#[test]
fn a_disk_with_space_for_the_journal_only_keeps_it_and_the_old_output() {
    // The bodies fit once, and not twice.
    if let Some((stderr, requested)) = run_with_free(1700, 74, End::Failed) {
        assert!(stderr.contains("cannot write out.json:"), "{stderr}");
        assert_eq!(requested, 12);
    }
}
