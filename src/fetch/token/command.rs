//! A token from a command, which is the only other program that is started.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::Command;

use super::reply::{self, IssuedToken};

/// How long the command may take.
const LONGEST_RUN: Duration = Duration::from_secs(30);
/// A command that prints more has printed no token.
const MOST_OUTPUT: u64 = 1 << 20;
/// Lines of standard error that are passed on.
const MOST_LINES: usize = 100;
/// Bytes of each of them.
const LONGEST_LINE: u64 = 4 << 10;

/// Kills what the command started and left behind, when it is over or given up.
struct ProcessGroup(Option<Pid>);

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // Without a process left in it there is no such group.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// Runs the command and reads what it prints. Each line of its standard error is passed to `on_line`.
///
/// It has a process group of its own: Ctrl-C in a terminal is for this program, which then ends the command. Standard
/// input is empty, as it may be the CSV here.
///
/// # Errors
/// Why there is no token, for a message; nothing of what it printed to standard output.
pub(super) async fn run(
    command: &SecretString,
    mut on_line: impl FnMut(&str),
) -> Result<IssuedToken, String> {
    #[expect(clippy::disallowed_methods, reason = "the command that the user gave for this")]
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command.expose_secret()).process_group(0).kill_on_drop(true);
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = shell.spawn().map_err(|error| format!("sh cannot be started: {error}"))?;
    let _group = ProcessGroup(child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)));
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let mut last_line = String::new();
    let printed = tokio::time::timeout(LONGEST_RUN, async {
        tokio::join!(
            output(stdout),
            lines(stderr, |line| {
                on_line(line);
                line.clone_into(&mut last_line);
            }),
            child.wait()
        )
    });
    let Ok((output, (), status)) = printed.await else {
        return Err(format!("it did not end within {} s", LONGEST_RUN.as_secs()));
    };
    let status = status.map_err(|error| format!("how it ended cannot be told: {error}"))?;
    if !status.success() {
        let said = if last_line.is_empty() { String::new() } else { format!(": {last_line}") };
        return Err(format!("it {}{said}", ended(status)));
    }
    let output = output.map_err(|error| format!("what it printed cannot be read: {error}"))?;
    if output.len() as u64 > MOST_OUTPUT {
        return Err("it printed more than a token".into());
    }
    let text = String::from_utf8(output).map_err(|_| "it printed what is not UTF-8")?;
    reply::read(&text).map_err(|why| format!("it printed no token: {why}"))
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

async fn output(stdout: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut output = Vec::new();
    let Some(mut stdout) = stdout else { return Ok(output) };
    (&mut stdout).take(MOST_OUTPUT + 1).read_to_end(&mut output).await?;
    // The command is not to be held up, nor to fail for a closed pipe.
    tokio::io::copy(&mut stdout, &mut tokio::io::sink()).await?;
    Ok(output)
}

/// Passes lines on, and reads to the end.
async fn lines(stderr: Option<impl AsyncRead + Unpin>, mut on_line: impl FnMut(&str)) {
    let Some(stderr) = stderr else { return };
    let mut stderr = BufReader::new(stderr);
    let (mut line, mut passed) = (Vec::new(), 0);
    loop {
        line.clear();
        match (&mut stderr).take(LONGEST_LINE).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim();
        if !text.is_empty() && passed < MOST_LINES {
            passed += 1;
            on_line(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ran(command: &str) -> (Result<String, String>, Vec<String>) {
        let mut lines = Vec::new();
        let issued = run(&command.into(), |line| lines.push(line.to_owned())).await;
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
    async fn what_it_leaves_running_is_ended_with_it() {
        // Whoever holds the pipe has to end before its end is read.
        let (token, _) = ran("sleep 300 >/dev/null 2>&1 & echo $!").await;
        let pid = token.unwrap();
        for _ in 0..100 {
            let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if status.is_empty() || status.contains(") Z ") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{pid} still runs");
    }
}
