//! One disturbed run: under strace from its start, or from the moment when all that is left to do is to
//! publish.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::stage::{RECORDS, Stage, rows};
use super::strace::{self, Injection, Log};
use crate::support::{Run, WorkDir};

/// The shell that starts the program becomes the strace of it once it may. As its parent it may trace it
/// also where only that is allowed (Yama).
const ATTACH: &str = r#"
exec 3<&0
"$0" "$@" <&3 3<&- &
echo $! >"$CONTROL/pid.new" && mv "$CONTROL/pid.new" "$CONTROL/pid"
while [ ! -e "$CONTROL/go" ]; do sleep 0.01; done
exec strace $STRACE -p $! <&- 3<&-
"#;

/// From here on a journal's thread that could not be watched is taken to have synced.
const SYNCED: Duration = Duration::from_millis(1200);

/// How a disturbed run went.
pub struct InjectedRun {
    pub dir: WorkDir,
    pub log: Log,
    pub text: String,
    pub stderr: String,
}

/// Runs `products.csv` with the injection, or only counts its calls.
pub fn whole(stage: &Stage, case: &str, injection: Option<&Injection>) -> InjectedRun {
    let (dir, control) = (stage.folder(), WorkDir::new());
    let log = control.path("log");
    let words = strace::arguments(injection, &log, &dir.root().canonicalize().unwrap());
    let run = stage.run(&dir, "products.csv", case);
    let ended = run.under(std::iter::once("strace".to_owned()).chain(words)).finish();
    InjectedRun::of(dir, &log, ended.stderr)
}

/// Runs `products.csv` with calls that take their time, and sends SIGTERM once something holds.
pub fn terminated(
    stage: &Stage,
    case: &str,
    slow: &Injection,
    when: impl Fn(&WorkDir) -> bool,
) -> InjectedRun {
    let (dir, control) = (stage.folder(), WorkDir::new());
    let log = control.path("log");
    let words = strace::arguments(Some(slow), &log, &dir.root().canonicalize().unwrap());
    let run = stage.run(&dir, "products.csv", case);
    let mut run = run.under(std::iter::once("strace".to_owned()).chain(words)).spawn();
    run.wait_until(|| when(&dir));
    // strace's one child.
    let children = format!("/proc/{0}/task/{0}/children", run.id());
    let id = fs::read_to_string(children).unwrap().trim().parse().unwrap();
    kill_process(Pid::from_raw(id).unwrap(), Signal::TERM).unwrap();
    let ended = run.wait();
    InjectedRun::of(dir, &log, ended.stderr)
}

/// Runs with standard input as the input, open until every answer is safe in the journal. Only then
/// strace is attached, and the input ends: what it traces and fails is the publishing sequence.
pub fn at_publish(stage: &Stage, case: &str, injection: Option<&Injection>) -> InjectedRun {
    let (dir, control) = (stage.folder(), WorkDir::new());
    let log = control.path("log");
    let words = strace::arguments(injection, &log, &dir.root().canonicalize().unwrap());
    let run: Run = stage.run(&dir, "-", case).env("CONTROL", control.root()).env("STRACE", words.join(" "));
    let mut run = run.under(["sh", "-c", ATTACH]).open_stdin().spawn();
    run.feed(rows());
    run.wait_until(|| control.has("pid"));
    let id = control.read("pid").trim().to_owned();
    run.wait_until(|| {
        assert!(Path::new("/proc").join(&id).exists(), "ended before it was to publish");
        records(&dir) == RECORDS && is_idle(&id)
    });
    control.write("go", "");
    // The fault can strike while the threads are attached one after the other: a call on an eventfd.
    run.wait_until_or_end(|| is_traced(&id));
    run.close_stdin();
    let ended = run.wait();
    InjectedRun::of(dir, &log, ended.stderr)
}

impl InjectedRun {
    fn of(dir: WorkDir, log: &Path, stderr: String) -> Self {
        let text = fs::read_to_string(log).unwrap_or_else(|error| panic!("no log: {error}; {stderr}"));
        let log = Log::read(&text, &dir.root().canonicalize().unwrap());
        Self { dir, log, text, stderr }
    }
}

/// Whether every thread is traced, or was: a fault may have ended the program by now.
fn is_traced(id: &str) -> bool {
    let mut tasks = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    tasks.all(|task| {
        let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
        !status.lines().any(|line| line.strip_prefix("TracerPid:").is_some_and(|id| id.trim() == "0"))
    })
}

/// How many rows have their record in the journal.
fn records(dir: &WorkDir) -> usize {
    let text = fs::read(dir.path("out.json.journal")).unwrap_or_default();
    let kinds: [&[u8]; 3] = [b"\"fetched\":", b"\"failed\":", b"\"kept\":"];
    let is_record =
        |line: &&[u8]| kinds.iter().any(|kind| line.get(18..).is_some_and(|rest| rest.starts_with(kind)));
    text.split(|&byte| byte == b'\n').filter(is_record).count()
}

/// Whether the journal's thread waits for work without a limit: so it has nothing left to sync.
fn is_idle(id: &str) -> bool {
    let tasks = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    let named =
        |path: &Path| fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "journal");
    let Some(task) = tasks.map(|task| task.path()).find(|path| named(path)) else { return false };
    let Ok(call) = fs::read_to_string(task.join("syscall")) else {
        thread::sleep(SYNCED);
        return true;
    };
    // The fourth argument of futex is its time limit; its number is 202, or 98 on 64-bit Arm.
    let words: Vec<_> = call.split(' ').collect();
    matches!(words[..], ["202" | "98", _, _, _, "0x0", ..])
}
