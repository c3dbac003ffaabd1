//! Standard output and standard error that are closed, full, read-only or left by their reader: answers that would be
//! lost are not requested, and no message is written anywhere else.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::output_kit::{echoed, plain, skus};
use crate::support::{Reply, Run, ScriptedServer, WorkDir, closed_pipe};

/// Standard outputs that take nothing, as a shell gives them, and what is said of each.
const DEAD: [(&str, &str); 5] = [
    ("exec >&-", "standard output is closed"),
    ("exec 1</dev/null", "not open for writing"),
    ("exec 1<products.csv", "not open for writing"),
    ("exec >/dev/full", "No space left on device"),
    ("exec >&- 2>/dev/null", ""),
];

#[test]
fn nothing_is_requested_where_standard_output_accepts_nothing() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(skus(3));
    for (first, said) in DEAD {
        let ended = plain(&dir, &server, "-").after_shell(first).finish().expect_code(74);
        assert!(ended.stderr.contains(said), "{first}: {}", ended.stderr);
        assert!(said.is_empty() || ended.stderr.contains("--output"), "{first}: {}", ended.stderr);
    }
    let (reader, socket) = UnixStream::pair().unwrap();
    drop(reader);
    for gone in [closed_pipe(), OwnedFd::from(socket).into()] {
        plain(&dir, &server, "-").stdout(gone).finish().expect_code(74);
    }
    assert_eq!((server.count(), dir.names()), (0, vec!["products.csv".to_owned()]));
}

#[test]
fn the_null_device_and_a_file_are_standard_outputs_like_any_other() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(skus(3));
    for first in ["exec >/dev/null", "exec >>/dev/null"] {
        plain(&dir, &server, "-").after_shell(first).finish().expect_code(0);
    }
    for first in ["exec >out", "exec 1<>out", "exec >out 2>&-", "exec >out <&-", "exec >out 2>&- <&-"] {
        dir.write("out", "");
        plain(&dir, &server, "-").after_shell(first).finish().expect_code(0);
        assert_eq!(dir.read("out"), echoed(skus(3)), "{first}");
    }
}

#[test]
fn a_text_that_cannot_be_written_is_a_disk_error_and_an_unread_one_is_none() {
    let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
    dir.write_skus(skus(3));
    let url = server.url("/{sku}");
    let plan = ["products.csv", "-u", &url, "-o", "x.json", "--dry-run"];
    let tune = ["tune", "products.csv", "-u", &url];
    for args in [&["--help"][..], &["--version"], &["man"], &["completions", "bash"], &plan, &tune] {
        for (first, said) in &DEAD[1..4] {
            let ended = Run::new(&dir).args(args).after_shell(first).finish().expect_code(74);
            assert!(ended.stderr.contains(said), "{args:?}, {first}: {}", ended.stderr);
        }
    }
    assert_eq!(server.count(), 0, "nothing is measured either");
    for args in [&["--help"][..], &["--version"], &["man"], &["completions", "bash"], &plan] {
        for first in ["exec >&-", "exec >&- 2>&-", "exec >&- 2>&- <&-"] {
            Run::new(&dir).args(args).after_shell(first).finish().expect_code(0);
        }
    }
    assert_eq!(dir.names(), ["products.csv"]);
}

#[test]
fn messages_to_a_closed_descriptor_are_written_to_no_file() {
    for first in ["exec 2>&-", "exec >&-", "exec >&- 2>&-", "exec <&- >&- 2>&-", "exec 2</dev/null"] {
        let (dir, server) = (WorkDir::new(), ScriptedServer::echo());
        dir.write_skus(skus(3));
        let run = plain(&dir, &server, "out.json").args(["-vv", "--report", "r.json"]);
        run.after_shell(first).finish().expect_code(0);
        assert_eq!(dir.read("out.json"), echoed(skus(3)), "{first}");
        assert!(dir.read("r.json").starts_with('{'), "{first}");
        assert_eq!(dir.read("products.csv").lines().count(), 4, "{first}");
    }
}

#[test]
fn a_reader_that_leaves_ends_the_run() {
    let (dir, skus) = (WorkDir::new(), skus(400));
    dir.write_skus(&skus);
    let server = ScriptedServer::start(|seen| Reply::echo(seen).wait(Duration::from_millis(20)));
    let (pipe, into_pipe) = io::pipe().unwrap();
    let (socket, into_socket) = UnixStream::pair().unwrap();
    let ends: [(OwnedFd, OwnedFd); 2] =
        [(pipe.into(), into_pipe.into()), (socket.into(), into_socket.into())];
    for (reader, writer) in ends {
        let before = server.count();
        let run = plain(&dir, &server, "-").args(["-c", "2"]).stdout(writer).spawn();
        server.wait_for(before + 10);
        drop(reader);
        let ended = run.wait().expect_code(74);
        assert!(ended.stderr.contains("no program reads standard output any more"), "{}", ended.stderr);
        assert!(server.count() - before < 400, "{} requests", server.count() - before);
        assert_eq!(server.abandoned(), 0, "those in flight were waited for");
    }
    assert_eq!(dir.names(), ["products.csv"]);
}
