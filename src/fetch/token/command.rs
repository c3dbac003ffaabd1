//! A token from a command, which is the only other program that is started.

use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use super::reply::{self, IssuedToken};

/// How long the command may take.
const LONGEST_RUN: Duration = Duration::from_secs(30);
/// How long the rest of its output may take once sh has ended.
const REST: Duration = Duration::from_millis(250);
/// A command that prints more has printed no token.
const MOST_OUTPUT: u64 = 1 << 20;
/// Bytes of standard error that are kept.
const MOST_ERRORS: u64 = 64 << 10;
/// Lines of it that are shown.
const MOST_LINES: usize = 100;

/// Kills the command and what it started, where it is given up.
struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    /// It ended by itself: what it left running on purpose goes on.
    fn release(&mut self) {
        self.0 = None;
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // Without a process left in it there is no such group.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// What a command gave.
pub(super) struct CommandOutput {
    /// The token, or why there is none, for a message: nothing of what it printed to standard output.
    pub(super) issued: Result<IssuedToken, String>,
    /// What it printed to standard output, where that is no token.
    pub(super) printed: String,
    /// The first lines of its standard error.
    pub(super) lines: Vec<String>,
}

/// Runs the command and reads what it prints. It is over when sh has ended: a process that it left running keeps the pipes
/// open for as long as it likes.
///
/// It has a process group of its own: Ctrl-C in a terminal is for this program, which then ends the command. Standard
/// input is empty, as it may be the CSV here.
pub(super) async fn run(command: &SecretString) -> CommandOutput {
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let status = watch(command, (&mut output, &mut errors)).await;
    let lines = lines(&errors);
    let printed = String::from_utf8_lossy(&output).into_owned();
    let issued = status.and_then(|status| match status.success() {
        false => Err(format!(
            "it {}{}",
            ended(status),
            lines.last().map_or_else(String::new, |line| format!(": {line}"))
        )),
        true if output.len() as u64 > MOST_OUTPUT => Err("it printed more than a token".into()),
        true => {
            let text = std::str::from_utf8(&output).map_err(|_| "it printed what is not UTF-8")?;
            reply::read(text).map_err(|why| format!("it printed no token: {why}"))
        }
    });
    CommandOutput { issued, printed, lines }
}

/// # Errors
/// It cannot be started, or takes too long.
async fn watch(
    command: &SecretString,
    (output, errors): (&mut Vec<u8>, &mut Vec<u8>),
) -> Result<ExitStatus, String> {
    #[expect(clippy::disallowed_methods, reason = "the command that the user gave for this")]
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command.expose_secret()).process_group(0).kill_on_drop(true);
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = shell.spawn().map_err(|error| format!("sh cannot be started: {error}"))?;
    let mut group = ProcessGroup(child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)));
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let mut reading = pin!(async {
        tokio::join!(read(stdout, MOST_OUTPUT + 1, output), read(stderr, MOST_ERRORS, errors))
    });
    let mut is_read = false;
    let ends = async {
        loop {
            tokio::select! {
                biased;
                status = child.wait() => return status,
                _ = &mut reading, if !is_read => is_read = true,
            }
        }
    };
    let Ok(status) = tokio::time::timeout(LONGEST_RUN, ends).await else {
        return Err(format!("it did not end within {} s", LONGEST_RUN.as_secs()));
    };
    group.release();
    if !is_read {
        // What sh wrote is there by now.
        let _ = tokio::time::timeout(REST, &mut reading).await;
    }
    status.map_err(|error| format!("how it ended cannot be told: {error}"))
}

/// How it ended, as a part of a sentence.
fn ended(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(127), _) => "ended with exit code 127 (no such command)".into(),
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "did not succeed".into(),
    }
}

/// Reads to the end, and keeps so much.
async fn read(pipe: Option<impl AsyncRead + Unpin>, most: u64, kept: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    if (&mut pipe).take(most).read_to_end(kept).await.is_ok() {
        // The command is not to be held up, nor to fail for a closed pipe.
        let _ = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
    }
}

/// The first lines of standard error, without blank ones.
fn lines(errors: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(errors);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.take(MOST_LINES).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ran(command: &str) -> (Result<String, String>, Vec<String>) {
        let CommandOutput { issued, lines, .. } = run(&command.into()).await;
        (issued.map(|issued| issued.token.expose_secret().to_owned()), lines)
    }

    #[tokio::test]
    async fn what_it_prints_is_the_token_and_its_standard_error_is_passed_on() {
        let (token, lines) = ran("echo asking >&2; echo; echo ' abc '").await;
        assert_eq!((token, lines), (Ok("abc".into()), vec!["asking".into()]));
        assert_eq!(ran("cat; echo abc").await.0, Ok("abc".into()), "standard input is empty");
    }

    #[tokio::test]
    async fn why_there_is_no_token_is_said() {
        for (command, why) in [
            ("echo canary; echo gone wrong >&2; exit 3", "it ended with exit code 3: gone wrong"),
            ("no-such-command-of-this-test 2>/dev/null", "exit code 127 (no such command)"),
            ("kill -9 $$", "it was ended by signal 9"),
            ("true", "it printed no token: it is empty"),
            ("echo canary; echo canary", "it printed no token: it has 2 lines"),
            ("printf '\\377'", "not UTF-8"),
            ("yes canary | head -c 2000000", "it printed more than a token"),
        ] {
            let error = ran(command).await.0.unwrap_err();
            assert!(error.contains(why) && !error.contains("canary"), "{command}: {error}");
        }
    }

    #[tokio::test]
    async fn what_it_leaves_running_is_not_waited_for_and_goes_on() {
        for pipes in ["", ">/dev/null", ">/dev/null 2>&1"] {
            let start = tokio::time::Instant::now();
            let (token, _) = ran(&format!("sleep 20 {pipes} & echo $!")).await;
            let pid = token.unwrap();
            assert!(start.elapsed() < Duration::from_secs(15), "{pipes}");
            assert!(std::fs::exists(format!("/proc/{pid}")).unwrap(), "{pipes}");
            let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
            rustix::process::kill_process(pid, Signal::KILL).unwrap();
        }
    }

    #[tokio::test]
    async fn what_is_given_up_is_ended_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let command = format!("sleep 300 & echo $! > {}; wait", pid.display());
        let command = command.as_str().into();
        {
            let mut running = pin!(run(&command));
            while !std::fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n')) {
                let _ = tokio::time::timeout(Duration::from_millis(10), &mut running).await;
            }
        }
        let pid = std::fs::read_to_string(&pid).unwrap();
        for _ in 0..200 {
            let status = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
            if status.is_empty() || status.contains(") Z ") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{pid} still runs");
    }
}
