//! A Redis of the test's own: Debian's `redis-server`, on a port of its own, ended when dropped.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::WorkDir;

/// The log, in its folder.
const LOG: &str = "redis.log";

/// A running one.
pub struct RedisServer {
    child: Child,
    folder: WorkDir,
    port: u16,
    args: Vec<String>,
}

impl RedisServer {
    /// Starts one. None, with a word: it is not installed.
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// The same with more arguments, such as `--requirepass`; `{port}` in them is its port.
    pub fn start_with(args: &[&str]) -> Option<Self> {
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        // Somebody else may take the port before it does.
        for _ in 0..20 {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
            let folder = WorkDir::new();
            let Some(mut child) = spawn(folder.root(), port, &args) else {
                eprintln!("no redis-server: this test is skipped (apt-get install redis-server)");
                return None;
            };
            if is_ready(&folder, &mut child) {
                return Some(Self { child, folder, port, args });
            }
        }
        panic!("redis-server gets no port");
    }

    /// `redis://127.0.0.1:PORT` with this after it, such as `/0?key=a`.
    pub fn url(&self, rest: &str) -> String {
        format!("redis://127.0.0.1:{}{rest}", self.port)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sends a signal: SIGSTOP makes it silent.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Puts another one in its place, which is empty.
    pub fn replace(&mut self) {
        for _ in 0..20 {
            self.child = spawn(self.folder.root(), self.port, &self.args).expect("it was there before");
            if is_ready(&self.folder, &mut self.child) {
                return;
            }
        }
        panic!("redis-server does not get its port back");
    }

    /// What it answers to a command, as its bytes are.
    pub fn ask(&self, command: &str) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// How often its scripts were called.
    pub fn calls(&self) -> u64 {
        let stats = self.ask("INFO commandstats");
        let of = |line: &str| line.split_once("calls=")?.1.split(',').next()?.parse().ok();
        stats.lines().find_map(|line| of(line.strip_prefix("cmdstat_evalsha:")?)).unwrap_or(0)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // Both fail only where the process is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether it listens; it has ended where somebody else has the port.
fn is_ready(folder: &WorkDir, child: &mut Child) -> bool {
    for _ in 0..2_000 {
        let log = std::fs::read_to_string(folder.path(LOG)).unwrap_or_default();
        if log.contains("Ready to accept connections") {
            return true;
        }
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("redis-server is not ready");
}

fn spawn(folder: &Path, port: u16, args: &[String]) -> Option<Child> {
    let _ = std::fs::remove_file(folder.join(LOG));
    Command::new("redis-server")
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--logfile",
            LOG,
        ])
        .args(args.iter().map(|arg| arg.replace("{port}", &port.to_string())))
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()
}
