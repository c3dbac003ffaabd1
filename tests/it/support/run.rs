//! One run of the program: its arguments, its environment, its end.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::process::{Pid, Signal, kill_process};

use super::WorkDir;

/// A run that takes longer hangs: it is killed and the test fails.
const LIMIT: Duration = Duration::from_mins(1);

/// How often a waiting test polls.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// A run to be started in a [`WorkDir`], with an empty environment but for `PATH` and `HOME` (which
/// is the folder).
pub struct Run<'a> {
    dir: &'a WorkDir,
    wrapper: Vec<OsString>,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    stdin: Option<Vec<u8>>,
    keeps_stdin: bool,
    stdout: Option<Stdio>,
    stderr: Option<Stdio>,
    limit: Duration,
}

impl<'a> Run<'a> {
    /// The program, without arguments.
    pub fn new(dir: &'a WorkDir) -> Self {
        Self {
            dir,
            wrapper: Vec::new(),
            args: Vec::new(),
            env: Vec::new(),
            stdin: None,
            keeps_stdin: false,
            stdout: None,
            stderr: None,
            limit: LIMIT,
        }
    }

    /// Adds arguments.
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// What is written to standard input (nothing by default).
    pub fn stdin(mut self, content: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(content.into());
        self
    }

    /// Standard input stays open, for [`Ongoing::feed`].
    pub fn open_stdin(mut self) -> Self {
        self.keeps_stdin = true;
        self
    }

    /// Where standard output goes, in place of [`Ended::stdout`].
    pub fn stdout(mut self, to: impl Into<Stdio>) -> Self {
        self.stdout = Some(to.into());
        self
    }

    /// Where standard error goes, in place of [`Ended::stderr`].
    pub fn stderr(mut self, to: impl Into<Stdio>) -> Self {
        self.stderr = Some(to.into());
        self
    }

    /// Runs the program under another, which gets it with its arguments as its last arguments.
    pub fn under<S: AsRef<OsStr>>(mut self, wrapper: impl IntoIterator<Item = S>) -> Self {
        self.wrapper.extend(wrapper.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    /// Runs the program from a shell which first does this, such as `ulimit -n 64` or
    /// `trap '' HUP`. The process id is the program's own.
    pub fn after_shell(self, first: &str) -> Self {
        self.under(["sh", "-c", &format!("{first}\nexec \"$0\" \"$@\"")])
    }

    /// The time after which the run is killed and the test fails.
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs to the end.
    #[track_caller]
    pub fn finish(self) -> Ended {
        self.spawn().wait()
    }

    /// Starts it, for tests that do something to it meanwhile.
    #[track_caller]
    pub fn spawn(self) -> Ongoing {
        let mut words = default_signals();
        words.extend(self.wrapper);
        words.push(env!("CARGO_BIN_EXE_skufetch").into());
        words.extend(self.args);
        let feeds = self.keeps_stdin || self.stdin.is_some();
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .current_dir(self.dir.root())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir.root())
            .envs(self.env)
            .stdin(if feeds { Stdio::piped() } else { Stdio::null() })
            .stdout(self.stdout.unwrap_or_else(Stdio::piped))
            .stderr(self.stderr.unwrap_or_else(Stdio::piped));
        let started = Instant::now();
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{words:?}: {error}"));
        let mut stdin = child.stdin.take();
        if let Some(content) = self.stdin {
            let mut pipe = stdin.take().expect("piped above");
            // A program that does not read to the end is a case, not an error.
            thread::spawn(move || drop(pipe.write_all(&content)));
        }
        let stdout = Capture::of(child.stdout.take());
        let stderr = Capture::of(child.stderr.take());
        Ongoing { child, stdin, stdout, stderr, words, started, limit: self.limit, peak_memory: 0 }
    }
}

/// What gives a program the default actions of the signals that stop it, where the tests themselves were
/// started with one of them ignored (`nohup cargo test`, a background job of a plain shell): that is
/// inherited, and the program keeps to it. Elsewhere the program is started directly.
fn default_signals() -> Vec<OsString> {
    // SIGHUP, SIGINT and SIGTERM: bit n - 1 is signal n.
    const STOPPING: u64 = 1 | 1 << 1 | 1 << 14;
    static IGNORED: LazyLock<bool> = LazyLock::new(|| {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).unwrap() & STOPPING != 0)
    });
    if *IGNORED { ["env", "--default-signal=HUP,INT,TERM"].map(OsString::from).into() } else { Vec::new() }
}

/// A standard output or standard error whose reader is gone, like that of `| head -0`.
pub fn closed_pipe() -> Stdio {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// A standard output that is a regular file and refuses every write.
pub fn sealed_file() -> Stdio {
    let file = memfd_create("sealed", MemfdFlags::ALLOW_SEALING).unwrap();
    fcntl_add_seals(&file, SealFlags::WRITE).unwrap();
    file.into()
}

/// A run under way. Dropped, it is killed: this process, and no other.
pub struct Ongoing {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Capture,
    stderr: Capture,
    words: Vec<OsString>,
    started: Instant,
    limit: Duration,
    peak_memory: u64,
}

impl Ongoing {
    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until a signal would not simply end the program.
    pub fn wait_until_it_hears(&mut self, signal: Signal) {
        let status = format!("/proc/{}/status", self.id());
        self.wait_until(|| {
            let status = std::fs::read_to_string(&status).unwrap_or_default();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0");
            u64::from_str_radix(caught.trim(), 16).is_ok_and(|mask| mask & (1 << (signal.as_raw() - 1)) != 0)
        });
        // The handler is there an instant before what it wakes.
        thread::sleep(Duration::from_millis(50));
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// Writes to standard input, which was left open.
    pub fn feed(&mut self, content: impl AsRef<[u8]>) {
        self.stdin.as_mut().expect("open_stdin").write_all(content.as_ref()).unwrap();
    }

    /// Ends standard input.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Waits until this is on standard error. Panics if the run ends or its limit passes first.
    #[track_caller]
    pub fn wait_for_stderr(&mut self, text: &str) {
        loop {
            let over = self.poll();
            if over {
                self.stderr.read_to_the_end();
            }
            if self.stderr.so_far().contains(text) {
                return;
            }
            assert!(!over, "ended without {text:?}: {}", self.state());
        }
    }

    /// Waits until something holds, such as "the server has seen 20 requests". Panics if the run
    /// ends or its limit passes first.
    #[track_caller]
    pub fn wait_until(&mut self, mut holds: impl FnMut() -> bool) {
        while !holds() {
            let over = self.poll();
            assert!(!over, "ended too early: {}", self.state());
        }
    }

    /// Waits until something holds or the run ends. Panics if the limit passes first.
    #[track_caller]
    pub fn wait_until_or_end(&mut self, mut holds: impl FnMut() -> bool) {
        while !holds() && !self.poll() {}
    }

    /// Waits for the end. Panics if the limit passes first.
    #[track_caller]
    pub fn wait(mut self) -> Ended {
        self.close_stdin();
        while !self.poll() {}
        let status = self.child.wait().unwrap();
        Ended {
            code: status.code(),
            signal: status.signal(),
            took: self.started.elapsed(),
            peak_memory: self.peak_memory,
            stdout_bytes: self.stdout.finish(),
            stderr: String::from_utf8_lossy(&self.stderr.finish()).into_owned(),
        }
    }

    /// Looks whether it has ended; if not, takes note of its memory and sleeps a little.
    #[track_caller]
    fn poll(&mut self) -> bool {
        self.peak_memory = self.peak_memory.max(peak_memory(self.child.id()).unwrap_or(0));
        if self.child.try_wait().unwrap().is_some() {
            return true;
        }
        if self.started.elapsed() > self.limit {
            self.child.kill().unwrap();
            panic!("killed after {:?}: {}", self.limit, self.state());
        }
        thread::sleep(POLL_INTERVAL);
        false
    }

    fn state(&self) -> String {
        format!("{:?}\nstdout:\n{}\nstderr:\n{}", self.words, self.stdout.so_far(), self.stderr.so_far())
    }
}

impl Drop for Ongoing {
    fn drop(&mut self) {
        // Both fail only where the process is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// From start to end, to a few milliseconds.
    pub took: Duration,
    /// The most resident memory it had, in bytes, up to a few milliseconds before its end. 0 where
    /// the system does not say (only Linux does), or where it ended at once.
    pub peak_memory: u64,
    /// Standard output.
    pub stdout_bytes: Vec<u8>,
    /// Standard error, as text.
    pub stderr: String,
}

impl Ended {
    /// Standard output as text.
    #[track_caller]
    pub fn stdout(&self) -> &str {
        str::from_utf8(&self.stdout_bytes).expect("UTF-8 on standard output")
    }

    /// Standard error behind its first line, which says when the run was, what it read and what it wrote.
    #[track_caller]
    pub fn stderr_after_header(&self) -> &str {
        let (first, rest) = self.stderr.split_once('\n').unwrap_or((&self.stderr, ""));
        let program = concat!("skufetch ", env!("CARGO_PKG_VERSION"));
        let date = first.split_once(' ').filter(|(_, rest)| rest.starts_with(program)).map(|(date, _)| date);
        let date = date.unwrap_or_else(|| panic!("no date at the start of: {}", self.stderr));
        humantime::parse_rfc3339(date).unwrap_or_else(|error| panic!("{error}: {date}"));
        rest
    }

    /// Panics, showing what was said, unless this was the exit code.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(
            (self.code, self.signal),
            (Some(code), None),
            "stdout:\n{}\nstderr:\n{}",
            String::from_utf8_lossy(&self.stdout_bytes),
            self.stderr
        );
        self
    }
}

/// `VmHWM` of Linux's `/proc/PID/status`: the high-water mark of resident memory.
fn peak_memory(id: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(1024 * line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?)
}

/// The output of a pipe, read by a thread so that the writer never waits.
#[derive(Default)]
struct Capture {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Capture {
    fn of(pipe: Option<impl Read + Send + 'static>) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&bytes);
        let reader = pipe.map(|mut pipe| {
            thread::spawn(move || {
                let mut part = [0; 8192];
                while let Ok(n @ 1..) = pipe.read(&mut part) {
                    into.lock().unwrap().extend_from_slice(&part[..n]);
                }
            })
        });
        Self { bytes, reader }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    /// The last bytes may still be in the pipe of a program that has ended.
    fn read_to_the_end(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }

    fn finish(&mut self) -> Vec<u8> {
        self.read_to_the_end();
        std::mem::take(&mut *self.bytes.lock().unwrap())
    }
}
