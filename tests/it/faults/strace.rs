//! Faults put into a real run by strace, and what its log says of them.
//!
//! strace counts calls thread by thread, so an injection "at the third write" strikes the first thread
//! that is at its third. A signal is sent before the call is done, an error is returned in its place. (With
//! `--seccomp-bpf` a signal would be lost: there is no stop at the entry to deliver it at.)

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};

/// Calls that change something on disk or give a file to change. `?`: not every machine has each.
pub const CALLS: &str = "?write,?pwrite64,?writev,?pwritev,?copy_file_range,?sendfile,?fsync,?fdatasync,\
    ?rename,?renameat,?renameat2,?unlink,?unlinkat,?open,?openat,?creat,?ftruncate,?fallocate,?fchmod,\
    ?fchmodat,?chmod,?fchown,?fchownat,?chown,?link,?linkat,?symlink,?symlinkat,?mkdir,?mkdirat,?flock";

/// Whether there is a strace. Without one the test is skipped with a note, but fails in CI, where nobody reads notes.
pub fn is_there() -> bool {
    let quiet = |command: &mut Command| command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    let there = quiet(Command::new("strace").arg("-V")).is_ok_and(|status| status.success());
    if !there {
        let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
        assert!(!in_ci, "strace is missing: no fault can be injected");
        println!("skipped: there is no strace to inject faults with");
    }
    there
}

/// The words that run a program under strace so that each of these calls fails, from the n-th of a thread on.
pub fn failing(calls: &str, error: &str, from: usize) -> Vec<String> {
    let inject = format!("inject={calls}:error={error}:when={from}+");
    let words = ["strace", "-f", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e", &inject];
    words.map(String::from).into()
}

/// What is done to one call.
#[derive(Clone, Debug)]
pub struct Injection {
    /// The call's name.
    pub call: String,
    /// Which of a thread's calls, from 1; 0 for each of them.
    pub nth: usize,
    /// As strace has it: `signal=KILL`, `error=EIO`.
    pub what: &'static str,
    /// Only calls on this file (a name in the work folder) count and are struck.
    pub on: Option<&'static str>,
}

impl Injection {
    /// A `kill -9` at the call.
    pub fn kills(&self) -> bool {
        self.what == "signal=KILL"
    }

    /// For people.
    pub fn name(&self) -> String {
        let on = self.on.map(|on| format!(" on {on}")).unwrap_or_default();
        format!("{} at {} {}{on}", self.what, self.call, self.nth)
    }
}

/// strace's arguments; `log` and `root` hold no spaces.
pub fn arguments(injection: Option<&Injection>, log: &Path, root: &Path) -> Vec<String> {
    let mut words: Vec<String> = ["-f", "-y", "-o"].map(String::from).into();
    words.push(log.to_str().unwrap().into());
    words.extend(["-e".into(), format!("trace={CALLS}")]);
    if let Some(Injection { call, nth, what, on }) = injection {
        let when = if *nth == 0 { "1+".into() } else { nth.to_string() };
        words.extend(["-e".into(), format!("inject={call}:{what}:when={when}")]);
        if let Some(on) = on {
            words.extend(["-P".into(), root.join(on).to_str().unwrap().into()]);
        }
    }
    words
}

/// A call of the log.
#[derive(Clone, Debug)]
pub struct Call {
    thread: String,
    /// Its name.
    pub name: String,
    /// The files in the work folder that it is about; `None` for one about anything else.
    pub about: Option<String>,
    /// Which call of this name about this it is, from 1.
    nth: usize,
    /// It was given this error in place of being done.
    pub failed: bool,
    /// The process was killed before it was done.
    cut: bool,
}

impl Call {
    /// Its name and what it is about.
    pub fn what(&self) -> String {
        format!("{} {}", self.name, self.about.as_deref().unwrap_or("elsewhere"))
    }

    /// It was to remove a temporary file, and failed.
    pub fn left_a_temporary_file(&self) -> bool {
        let ending = self.about.as_deref().and_then(|name| Path::new(name).extension());
        let is_temporary = ending.is_some_and(|ending| ending == "tmp");
        self.failed && self.name.starts_with("unlink") && is_temporary
    }

    /// The same in every run.
    pub fn id(&self) -> String {
        format!("{} {}", self.what(), self.nth)
    }
}

/// What a log says.
#[derive(Clone, Debug)]
pub struct Log {
    /// The calls in order.
    pub calls: Vec<Call>,
    /// How the program ended: its exit code, or `None` if it was killed.
    pub code: Option<i32>,
}

impl Log {
    /// Reads a log of a run in the folder `root`.
    pub fn read(text: &str, root: &Path) -> Self {
        let (mut calls, mut code) = (Vec::<Call>::new(), None);
        let mut times = HashMap::new();
        for line in text.lines() {
            let Some((thread, rest)) = line.split_once(' ') else { continue };
            let rest = rest.trim_start();
            if let Some(end) = rest.strip_prefix("+++ ") {
                // The first thread is the last to end.
                code = end.strip_prefix("exited with ").and_then(|end| end.split(' ').next()?.parse().ok());
            } else if rest.starts_with("<... ") {
                if let Some(call) = calls.iter_mut().rev().find(|call| call.thread == thread) {
                    call.failed = rest.contains("(INJECTED)");
                    call.cut = rest.ends_with("= ?");
                }
            } else if let Some((name, arguments)) = rest.split_once('(') {
                let about = about(name, arguments, root);
                let nth = times.entry((name.to_owned(), about.clone())).or_insert(0);
                *nth += 1;
                calls.push(Call {
                    thread: thread.into(),
                    name: name.into(),
                    about,
                    nth: *nth,
                    failed: rest.contains("(INJECTED)"),
                    cut: rest.ends_with("= ?") || rest.ends_with("<unfinished ...>"),
                });
            }
        }
        Self { calls, code }
    }

    /// The call that was struck.
    pub fn injected(&self, injection: &Injection) -> Option<&Call> {
        let injected = |call: &&Call| if injection.kills() { call.cut } else { call.failed };
        self.calls.iter().rev().filter(|call| call.name == injection.call).find(injected)
    }

    /// How often the busiest thread made each call.
    pub fn most(&self) -> Vec<(String, usize)> {
        let mut counts = HashMap::new();
        for call in &self.calls {
            *counts.entry((&call.name, &call.thread)).or_insert(0) += 1;
        }
        let mut most = HashMap::new();
        for ((name, _), count) in counts {
            let entry = most.entry(name.clone()).or_insert(0);
            *entry = count.max(*entry);
        }
        let mut most: Vec<_> = most.into_iter().collect();
        most.sort();
        most
    }

    /// Files that were synced again after a sync of theirs had failed. A folder is opened anew for
    /// each sync, so it does not count.
    pub fn synced_again(&self) -> Vec<String> {
        let syncs = || self.calls.iter().enumerate().filter(|(_, call)| call.name.ends_with("sync"));
        let again = |(at, failed): &(usize, &Call)| {
            failed.failed
                && failed.about.as_ref().is_some_and(|about| about != ".")
                && syncs().any(|(later, call)| later > *at && call.about == failed.about)
        };
        syncs().filter(again).map(|(_, call)| call.id()).collect()
    }
}

/// The names of files in the work folder that are in the arguments; temporary names lose their
/// random part.
fn about(name: &str, arguments: &str, root: &Path) -> Option<String> {
    let by_path = ["open", "rename", "unlink", "link", "chmod", "chown", "creat", "mkdir"];
    let mut names = Vec::new();
    if by_path.iter().any(|start| name.starts_with(start)) || name.starts_with("symlink") {
        names.extend(arguments.split('"').skip(1).step_by(2));
    } else {
        names.extend(
            arguments.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(name, _)| name),
        );
    }
    let inside = |name: &str| {
        // A descriptor that is no file has a name such as `pipe:[123]`.
        let path = Path::new(name);
        let relative = if path.is_absolute() { path.strip_prefix(root).ok()? } else { path };
        if name.ends_with(']') {
            return None;
        }
        let last = relative.file_name().map_or(".", |last| last.to_str().unwrap_or("."));
        let kept = last.strip_suffix(".tmp").and_then(|rest| rest.rsplit_once('.'));
        Some(kept.map_or(last.to_owned(), |(target, _)| format!("{}.tmp", target.trim_start_matches('.'))))
    };
    let names: Option<Vec<_>> = names.into_iter().map(inside).collect();
    names.filter(|names| !names.is_empty()).map(|names| names.join(" "))
}
