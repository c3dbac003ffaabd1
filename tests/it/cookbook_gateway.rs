//! The gateway of docs/cookbook.md: Debian's nginx, as it is written there, before a server of the test. Skipped with a
//! word where there is no nginx.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::rate_law::one_of_several;
use crate::support::{Run, ScriptedServer, WorkDir, page};

const COOKBOOK: &str = include_str!("../../docs/cookbook.md");

/// A running nginx, ended when dropped.
struct Gateway {
    child: Child,
    port: u16,
    _folder: WorkDir,
}

impl Gateway {
    /// With the configuration of the page, before this server. None: nginx is not installed.
    fn start(server: &ScriptedServer) -> Option<Self> {
        let block = page::blocks(COOKBOOK).into_iter().find(|block| block.language == "nginx").unwrap();
        for _ in 0..20 {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
            let replaced = [
                ("api.example.com:443", server.addr().to_string()),
                ("listen 8080", format!("listen 127.0.0.1:{port}")),
                ("https://api", "http://api".to_owned()),
                ("/etc/ssl/certs/ca-certificates.crt", "unused".to_owned()),
            ];
            let config = replaced.iter().fold(block.text.to_owned(), |text, (from, to)| {
                assert!(text.contains(from), "{from}");
                text.replace(from, to)
            });
            // The server of the test speaks no TLS.
            let is_tls = |line: &&str| line.trim_start().starts_with("proxy_ssl");
            let config: Vec<&str> = config.lines().filter(|line| !is_tls(line)).collect();
            let folder = WorkDir::new();
            let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .map(|name| format!("{name}_temp_path {name};\n"))
                .concat();
            folder.write(
                "nginx.conf",
                format!(
                    "daemon off; pid nginx.pid; error_log error.log;\nevents {{ worker_connections 1024; }}\n\
                     http {{ access_log off;\n{temp}{}\n}}\n",
                    config.join("\n")
                ),
            );
            let nginx = Command::new("nginx")
                .arg("-p")
                .arg(folder.root())
                .args(["-c", "nginx.conf", "-e", "error.log"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()))
                .spawn();
            let Ok(mut child) = nginx else {
                eprintln!("no nginx: the gateway of the cookbook is not tried (apt-get install nginx-light)");
                return None;
            };
            for _ in 0..1_000 {
                if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() && folder.has("nginx.pid") {
                    return Some(Self { child, port, _folder: folder });
                }
                // Somebody else has the port.
                if child.try_wait().unwrap().is_some() {
                    break;
                }
                thread::sleep(Duration::from_millis(5));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!("nginx does not start");
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // SIGTERM: the master ends its workers.
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

#[test]
fn the_gateway_of_the_cookbook_keeps_one_rate_for_many_processes() {
    let server = ScriptedServer::echo();
    let Some(gateway) = Gateway::start(&server) else { return };
    one_of_several(|slack| {
        let dirs: Vec<WorkDir> = (0..4)
            .map(|process| {
                let dir = WorkDir::new();
                dir.write_skus((0..300).map(|n| format!("{process}-{n}")));
                dir
            })
            .collect();
        let url = format!("http://127.0.0.1:{}/products/{{sku}}", gateway.port);
        let args = ["products.csv", "-o", "out.json", "-u", &url, "-c", "64"];
        let before = server.count();
        let runs: Vec<_> = dirs.iter().map(|dir| Run::new(dir).args(args).spawn()).collect();
        for run in runs {
            let ended = run.wait().expect_code(0);
            assert!(!ended.stderr.contains("refused"), "{}", ended.stderr);
        }
        let mut at: Vec<Instant> = server.requests()[before..].iter().map(|seen| seen.at).collect();
        at.sort_unstable();
        assert!(at.len() >= 1_200, "{} requests", at.len());
        let took = (at[at.len() - 1] - at[0]).as_secs_f64();
        let least = (at.len() - 1) as f64 / 500.0 - slack.seconds();
        (took < least).then(|| format!("{} requests in {took} s, at least {least}", at.len()))
    });
}
