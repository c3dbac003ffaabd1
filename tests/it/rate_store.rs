//! One rate for many processes, over a real Redis (Debian's); skipped with a word where there is none.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::rate_law::{Slack, one_of_several_by_four_processes, overfull};
use crate::support::redis::RedisServer;
use crate::support::tls::Authority;
use crate::support::{Reply, Run, ScriptedServer, WorkDir, closed_port};

/// A folder with so many SKUs, each unlike those of another process.
fn skus(process: usize, count: usize) -> WorkDir {
    let dir = WorkDir::new();
    dir.write_skus((0..count).map(|n| format!("{process}-{n}")));
    dir
}

fn run<'a>(dir: &'a WorkDir, server: &ScriptedServer, store: &str, args: &[&str]) -> Run<'a> {
    let url = server.url("/p/{sku}");
    Run::new(dir)
        .args(["products.csv", "-o", "out.json", "--url", &url, "--rate-store", store])
        .args(args)
        .within(Duration::from_mins(3))
}

/// The instants of all requests, in order.
fn instants(server: &ScriptedServer) -> Vec<Instant> {
    let mut at: Vec<Instant> = server.requests().iter().map(|seen| seen.at).collect();
    at.sort_unstable();
    at
}

/// Four processes over one rate. `part`: of the rate that has to be reached at least.
fn four(
    redis: &RedisServer,
    (rate, per_second): (&str, f64),
    (each, part): (usize, f64),
    slack: &Slack,
) -> Option<String> {
    redis.ask("FLUSHALL");
    let server = ScriptedServer::echo();
    let dirs: Vec<WorkDir> = (0..4).map(|process| skus(process, each)).collect();
    let before = redis.calls();
    let runs: Vec<_> = dirs
        .iter()
        .map(|dir| run(dir, &server, &redis.url("/0?key=four"), &["--rate", rate, "-c", "64"]).spawn())
        .collect();
    let began = Instant::now();
    for run in runs {
        run.wait().expect_code(0);
    }
    let calls = (redis.calls() - before) as f64 / began.elapsed().as_secs_f64();
    assert!(calls < 500.0, "{calls} calls a second at {rate}");
    let at = instants(&server);
    assert_eq!(at.len(), 4 * each);
    // While all are at work: from the last start to the first end.
    let of = |process: usize| {
        let prefix = format!("{process}-");
        let mut seen = server.requests();
        seen.retain(|seen| seen.sku.starts_with(&prefix));
        seen.iter().map(|seen| seen.at).collect::<Vec<_>>()
    };
    let each: Vec<Vec<Instant>> = (0..4).map(of).collect();
    let from = each.iter().map(|at| at[0]).max().unwrap();
    let to = each.iter().map(|at| *at.last().unwrap()).min().unwrap();
    let shares: Vec<usize> =
        each.iter().map(|at| at.iter().filter(|at| (from..=to).contains(*at)).count()).collect();
    let all: usize = shares.iter().sum();
    let reached = all as f64 / (to - from).as_secs_f64() / per_second;
    // Where the rate is not reached, it is the processor that is shared.
    let is_judged = all >= 100 && reached >= 0.9;
    let is_even = |share: &usize| !is_judged || (0.9..=1.1).contains(&(*share as f64 * 4.0 / all as f64));
    overfull(&at, (per_second, 1), slack)
        .or_else(|| (reached < part).then(|| format!("{reached} of {rate}")))
        .or_else(|| (!shares.iter().all(is_even)).then(|| format!("shares at {rate}: {shares:?}")))
}

#[test]
fn four_processes_keep_one_rate_use_it_and_have_even_shares() {
    let Some(redis) = RedisServer::start() else { return };
    // A turn is over after 10 ms, and a busy machine misses some. In simulated time 99 % are reached.
    one_of_several_by_four_processes(|slack| four(&redis, ("10/s", 10.0), (8, 0.6), slack));
    one_of_several_by_four_processes(|slack| four(&redis, ("200/s", 200.0), (150, 0.6), slack));
    // This build, on a machine of two cores, may need all of them for less than that.
    one_of_several_by_four_processes(|slack| four(&redis, ("5000/s", 5_000.0), (4_000, 0.2), slack));
    // Nothing stays there for ever.
    let expires = redis.ask("PTTL four");
    let expires: i64 = expires.lines().next().unwrap().trim_start_matches(':').parse().unwrap();
    assert!((1..=120_000).contains(&expires), "{expires}");
}

/// The store is silent for 2 s, by SIGSTOP or by `kill -9` with another one in its place.
fn interrupted(redis: &mut RedisServer, is_killed: bool, slack: &Slack) -> Option<String> {
    let server = ScriptedServer::echo();
    let dirs: Vec<WorkDir> = (0..4).map(|process| skus(process, 200)).collect();
    let store = redis.url("?key=gone");
    let begin = |dir| run(dir, &server, &store, &["--rate", "200/s", "-c", "32"]).spawn();
    let mut runs: Vec<_> = dirs.iter().map(begin).collect();
    // A process that starts without the store ends at once.
    let has_begun = |process: usize| {
        let prefix = format!("{process}-");
        server.requests().iter().any(|seen| seen.sku.starts_with(&prefix))
    };
    runs[0].wait_until(|| server.count() > 100 && (0..4).all(has_begun));
    let gone = Instant::now();
    if is_killed {
        redis.kill();
    } else {
        redis.signal(Signal::STOP);
    }
    std::thread::sleep(Duration::from_secs(2));
    let back = Instant::now();
    if is_killed {
        redis.replace();
    } else {
        redis.signal(Signal::CONT);
    }
    for run in runs {
        let ended = run.wait().expect_code(0);
        let said = |text: &str| ended.stderr.matches(text).count();
        let (gone, back) = (said("is gone"), said("answers again"));
        assert!(gone >= 1 && gone == back, "once each, and again where it was busy: {}", ended.stderr);
    }
    let at = instants(&server);
    assert_eq!(at.len(), 800);
    let meanwhile = at.iter().filter(|at| (gone + Duration::from_millis(300)..back).contains(*at)).count();
    let passed = (meanwhile > 0).then(|| format!("{meanwhile} requests while the store was gone"));
    passed.or_else(|| overfull(&at, (200.0, 1), slack))
}

#[test]
fn a_store_that_is_stopped_or_killed_and_replaced_lets_nothing_through_meanwhile_and_no_burst_after() {
    let Some(redis) = RedisServer::start() else { return };
    let redis = RefCell::new(redis);
    for is_killed in [false, true] {
        one_of_several_by_four_processes(|slack| interrupted(&mut redis.borrow_mut(), is_killed, slack));
    }
}

#[test]
fn a_store_that_is_gone_for_good_ends_the_run_which_the_same_command_resumes() {
    let Some(mut redis) = RedisServer::start() else { return };
    let (dir, server) = (skus(0, 300), ScriptedServer::echo());
    let args = ["--rate", "200/s", "--max-retry-after", "1s"];
    let mut ongoing = run(&dir, &server, &redis.url("/0"), &args).spawn();
    ongoing.wait_until(|| server.count() > 50);
    redis.kill();
    let ended = ongoing.wait().expect_code(75);
    assert!(ended.stderr.contains("the rate store did not answer for"), "{}", ended.stderr);
    assert!(dir.has("out.json.journal") && !dir.has("out.json"));
    let before = server.count();
    redis.replace();
    run(&dir, &server, &redis.url("/0"), &args).finish().expect_code(0);
    assert!(server.count() <= 300 + 64 && server.count() > before, "{before}, then {}", server.count());
}

#[test]
fn a_wait_that_one_process_is_asked_for_holds_for_all() {
    let Some(redis) = RedisServer::start() else { return };
    one_of_several_by_four_processes(|slack| {
        redis.ask("FLUSHALL");
        let server = ScriptedServer::start(|seen| match seen.number {
            200 => Reply::status(429).header("Retry-After", "2"),
            _ => Reply::echo(seen),
        });
        let dirs: Vec<WorkDir> = (0..4).map(|process| skus(process, 150)).collect();
        let store = redis.url("/3");
        let begin = |dir| run(dir, &server, &store, &["--rate", "200/s", "-c", "16"]).spawn();
        let runs: Vec<_> = dirs.iter().map(begin).collect();
        for run in runs {
            run.wait().expect_code(0);
        }
        let at = instants(&server);
        assert_eq!(at.len(), 601);
        let asked = server.requests()[200].at;
        let (soon, over) = (asked + Duration::from_millis(300), asked + Duration::from_secs(2));
        let hasty = server.requests_between(soon, over).len();
        let hasty = (hasty > 0).then(|| format!("{hasty} requests in the 2 s"));
        // One probe of each process, at its turn.
        hasty.or_else(|| overfull(&at, (200.0, 1), slack))
    });
}

#[test]
fn what_is_wrong_at_the_start_is_said_before_the_first_request() {
    let (dir, server) = (skus(0, 2), ScriptedServer::echo());
    let gone = format!("redis://{}", closed_port());
    let ended = run(&dir, &server, &gone, &["--rate", "9/s"]).finish().expect_code(69);
    assert!(ended.stderr.contains(&format!("the rate store {gone}/0")), "{}", ended.stderr);
    for (store, args, word) in [
        ("redis://127.0.0.1", &[][..], "--rate 200/s"),
        ("http://127.0.0.1:1", &["-r", "9/s"][..], "redis://host:6379/0"),
        ("redis://", &["-r", "9/s"], "names no host"),
        ("redis://h/seven", &["-r", "9/s"], "`seven`"),
        ("redis://h?name=x", &["-r", "9/s"], "`name`"),
        ("redis://:${NO_SUCH}@h", &["-r", "9/s"], "NO_SUCH"),
        ("redis://:a/b@h", &["-r", "9/s"], "${REDIS_PASSWORD}"),
    ] {
        let ended = run(&dir, &server, store, args).finish().expect_code(2);
        assert!(ended.stderr.contains(word), "{store}: {}", ended.stderr);
    }
    // What speaks no Redis.
    let other = ScriptedServer::echo();
    let store = format!("redis://{}", other.addr());
    let ended = run(&dir, &server, &store, &["-r", "9/s"]).finish().expect_code(69);
    assert!(ended.stderr.contains("the rate store"), "{}", ended.stderr);
    assert_eq!(server.count(), 0);
}

#[test]
fn a_password_is_sent_never_shown_and_a_wrong_one_ends_the_run() {
    let Some(redis) = RedisServer::start_with(&["--requirepass", "can/ary@%pw"]) else { return };
    let (dir, server) = (skus(0, 3), ScriptedServer::echo());
    let store = format!("redis://default:${{PW}}@127.0.0.1:{}/0", redis.port());
    let with = |password: &str| {
        run(&dir, &server, &store, &["-r", "90/s", "-v", "--fresh", "--report", "report.json"])
            .env("PW", password)
            .finish()
    };
    let ended = with("wrong-canary").expect_code(77);
    assert!(
        ended.stderr.contains("refuses the password") && !ended.stderr.contains("canary"),
        "{}",
        ended.stderr
    );
    let bare = redis.url("/0");
    let ended = run(&dir, &server, &bare, &["-r", "90/s"]).finish().expect_code(77);
    assert!(ended.stderr.contains("password"), "{}", ended.stderr);
    assert_eq!(server.count(), 0);
    let ended = with("can/ary@%pw").expect_code(0);
    assert!(!ended.stderr.contains("ary"), "{}", ended.stderr);
    assert_eq!(dir.holding("ary"), Vec::<String>::new());
    assert_eq!(dir.holding("can%2Fary"), Vec::<String>::new());
}

#[test]
fn over_tls_the_authority_of_the_run_is_trusted_and_no_other() {
    let authority = Authority::new();
    let files = WorkDir::new();
    let [certificate, key] = authority.good().pem();
    files.write("ca.pem", authority.pem());
    let certificate = files.write("certificate.pem", certificate).display().to_string();
    let key = files.write("key.pem", key).display().to_string();
    let args = ["--port", "0", "--tls-port", "{port}", "--tls-auth-clients", "no"];
    let args = [&args[..], &["--tls-cert-file", &certificate, "--tls-key-file", &key]].concat();
    let args = [&args[..], &["--tls-ca-cert-file", &certificate]].concat();
    let Some(redis) = RedisServer::start_with(&args) else { return };
    let (dir, server) = (skus(0, 3), ScriptedServer::echo());
    let store = format!("rediss://localhost:{}/0", redis.port());
    let ca = files.path("ca.pem").display().to_string();
    let trusted = ["-r", "90/s", "--fresh", "--ca-cert", &ca];
    run(&dir, &server, &store, &trusted).finish().expect_code(0);
    assert_eq!(server.count(), 3);
    for (store, args, word) in [
        (store.as_str(), &["-r", "90/s"][..], "certificate"),
        (&store.replace("rediss", "redis"), &trusted, "does not answer"),
    ] {
        let ended = run(&dir, &server, store, args).finish().expect_code(69);
        assert!(ended.stderr.contains(word), "{}", ended.stderr);
    }
    assert_eq!(server.count(), 3);
}

#[test]
fn a_user_that_may_not_run_scripts_is_told_so() {
    let Some(redis) = RedisServer::start() else { return };
    redis.ask("ACL SETUSER me on >secret ~skufetch:* +@hash +time +pexpire +evalsha +script|load");
    let (dir, server) = (skus(0, 3), ScriptedServer::echo());
    let store = format!("redis://me:secret@127.0.0.1:{}/0", redis.port());
    run(&dir, &server, &store, &["-r", "90/s"]).finish().expect_code(0);
    for (right, store) in
        [("-pexpire", store.clone()), ("-time", store.clone()), ("+@all", format!("{store}?key=x"))]
    {
        redis.ask(&format!("ACL SETUSER me {right}"));
        let ended = run(&dir, &server, &store, &["-r", "90/s", "--fresh"]).finish().expect_code(77);
        assert!(
            ended.stderr.contains("permission") || ended.stderr.contains("can't run"),
            "{}",
            ended.stderr
        );
    }
    assert_eq!(server.count(), 3);
}

#[test]
fn of_two_rates_the_lower_holds_with_a_warning() {
    let Some(redis) = RedisServer::start() else { return };
    let server = ScriptedServer::echo();
    let (one, other) = (skus(0, 40), skus(1, 40));
    let store = redis.url("/0?key=two");
    let mut slow = run(&one, &server, &store, &["--rate", "20/s"]).spawn();
    slow.wait_until(|| server.count() > 0);
    let fast = run(&other, &server, &store, &["--rate", "4000/s"]).spawn();
    for run in [slow, fast] {
        let ended = run.wait().expect_code(0);
        assert_eq!(ended.stderr.matches("the lower holds").count(), 1, "{}", ended.stderr);
    }
}

#[test]
fn a_key_that_holds_something_else_and_a_database_that_is_not_there_are_named() {
    let Some(redis) = RedisServer::start() else { return };
    redis.ask("SET taken 1");
    redis.ask("HSET hash a b");
    let (dir, server) = (skus(0, 2), ScriptedServer::echo());
    for (rest, word) in
        [("/0?key=taken", "something else"), ("/0?key=hash", "something else"), ("/999", "DB index")]
    {
        let ended = run(&dir, &server, &redis.url(rest), &["-r", "9/s"]).finish().expect_code(2);
        assert!(ended.stderr.contains(word), "{}", ended.stderr);
    }
    assert_eq!(server.count(), 0);
    let left = [redis.ask("HLEN hash"), redis.ask("PTTL hash")]
        .map(|answer| answer.lines().next().unwrap_or_default().to_owned());
    assert_eq!(left, [":1", ":-1"], "a hash of somebody else is left alone");
}

#[test]
fn packs_take_as_many_tokens_as_they_have_keys() {
    let Some(redis) = RedisServer::start() else { return };
    let server = ScriptedServer::start(|seen| {
        let ids = String::from_utf8(seen.query_value("ids").unwrap()).unwrap();
        let items: Vec<String> = ids.split(',').map(|id| format!("\"{id}\":1")).collect();
        Reply::json(format!("{{{}}}", items.join(",")))
    });
    let slack = Slack::watch();
    let dirs: Vec<WorkDir> = (0..2).map(|process| skus(process, 100)).collect();
    let url = server.url("/p?ids={items}");
    let store = redis.url("/0");
    let args = ["products.csv", "-o", "out.json", "--url", &url, "--bulk", "10", "--rate", "100 keys/s"];
    let begin = |dir| Run::new(dir).args(args).args(["--rate-store", &store]).spawn();
    let runs: Vec<_> = dirs.iter().map(begin).collect();
    for run in runs {
        run.wait().expect_code(0);
    }
    let at = instants(&server);
    assert_eq!(at.len(), 20);
    // The bucket holds one pack.
    let took = (at[19] - at[0]).as_secs_f64();
    assert!(took >= 1.9 - slack.seconds(), "{took}");
}

#[test]
fn a_dry_run_names_the_store_and_asks_it_nothing() {
    let (dir, server) = (skus(0, 2), ScriptedServer::echo());
    let gone = format!("redis://me:secret-canary@{}/2", closed_port());
    let ended = run(&dir, &server, &gone, &["--rate", "9/s", "--dry-run"]).finish().expect_code(0);
    let words: Vec<&str> = ended.stdout().split_whitespace().collect();
    let (words, key) = (words.join(" "), format!("key skufetch:http://{}", server.addr()));
    assert!(words.contains("of all processes at redis://127.0.0.1:") && words.contains(&key), "{words}");
    assert!(!words.contains("canary"), "{words}");
}

#[test]
fn tune_keeps_the_rate_of_the_store_too() {
    let Some(redis) = RedisServer::start() else { return };
    let (dir, server) = (skus(0, 60), ScriptedServer::echo());
    let url = server.url("/p/{sku}");
    let args = ["tune", "products.csv", "--url", &url, "--rate", "100/s", "-c", "4"];
    Run::new(&dir).args(args).args(["--rate-store", &redis.url("/0")]).finish();
    assert!(redis.calls() > 5 && server.count() > 0, "{} calls", redis.calls());
}
