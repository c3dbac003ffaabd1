//! Tokens that expire: fetched before the first request, renewed before they end and when they are refused, and shown
//! nowhere.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::requests::run_with_url;
use crate::support::log::percent_decode;
use crate::support::rate_law::one_of_several;
use crate::support::{Ended, Reply, Run, ScriptedServer, Seen, WorkDir, closed_port};

/// An API that wants a token, and the endpoint that gives tokens, on one server.
struct TokenApi {
    server: ScriptedServer,
    state: Arc<TokenState>,
}

struct TokenState {
    life: Duration,
    /// The status of an API request whose token is not good.
    refusal: u16,
    tokens: Mutex<HashMap<String, Instant>>,
    refused: AtomicUsize,
}

impl TokenState {
    /// A new token, as an endpoint says it.
    fn issue(&self) -> String {
        let mut tokens = self.tokens.lock().unwrap();
        let token = format!("tok.canary-{:04}", tokens.len());
        tokens.insert(token.clone(), Instant::now());
        token
    }

    fn api(&self, seen: &Seen, good: impl FnOnce(&Seen) -> Reply) -> Reply {
        let token = seen.header("authorization").unwrap_or_default().trim_start_matches("Bearer ").to_owned();
        let is_good =
            self.tokens.lock().unwrap().get(&token).is_some_and(|since| since.elapsed() < self.life);
        if is_good {
            return good(seen).wait(Duration::from_millis(5));
        }
        self.refused.fetch_add(1, Ordering::SeqCst);
        Reply::json(format!("{{\"error\":\"expired\",\"token\":\"{token}\"}}")).with_status(self.refusal)
    }
}

impl TokenApi {
    /// `endpoint` answers what is sent to `/token`.
    fn start(life: Duration, endpoint: impl Fn(&TokenState, &Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::refusing_with(401, life, endpoint)
    }

    fn refusing_with(
        refusal: u16,
        life: Duration,
        endpoint: impl Fn(&TokenState, &Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let state =
            Arc::new(TokenState { life, refusal, tokens: Mutex::default(), refused: AtomicUsize::new(0) });
        let shared = Arc::clone(&state);
        let server = ScriptedServer::start(move |seen| match seen.path() {
            "/token" => endpoint(&shared, seen),
            _ => shared.api(seen, Reply::echo),
        });
        Self { server, state }
    }

    /// As most endpoints answer.
    fn usual(life: Duration) -> Self {
        Self::start(life, move |state, _| usual_answer(state, life))
    }

    fn run<'a>(&self, dir: &'a WorkDir, args: &[&str]) -> Run<'a> {
        let url = self.server.url("/p/{sku}");
        run_with_url(dir, &url, ["-H", "Authorization: Bearer ${TOKEN}", "-c", "8"]).args(args)
    }

    fn with_endpoint<'a>(&self, dir: &'a WorkDir, args: &[&str]) -> Run<'a> {
        self.run(dir, &[&["--token-url", &self.server.url("/token")], args].concat())
    }

    fn asked_for_tokens(&self) -> Vec<Arc<Seen>> {
        self.server.requests().into_iter().filter(|seen| seen.path() == "/token").collect()
    }

    fn refused(&self) -> usize {
        self.state.refused.load(Ordering::SeqCst)
    }
}

fn usual_answer(state: &TokenState, life: Duration) -> Reply {
    let token = state.issue();
    let life = life.as_secs_f64();
    Reply::json(format!("{{\"access_token\":\"{token}\",\"token_type\":\"bearer\",\"expires_in\":{life}}}"))
}

fn skus(count: usize) -> WorkDir {
    let dir = WorkDir::new();
    dir.write_skus((0..count).map(|n| format!("A{n}")));
    dir
}

/// The fields of a form.
fn form(seen: &Seen) -> Vec<(String, String)> {
    let decoded = |text: &str| String::from_utf8(percent_decode(text)).unwrap();
    let body = String::from_utf8(seen.body.clone()).unwrap();
    body.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

fn fields<'a>(fields: &[(&'a str, &'a str)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

const LONG: Duration = Duration::from_mins(15);

#[track_caller]
fn shows_no_token(dir: &WorkDir, ended: &Ended) {
    assert!(!ended.stderr.contains("canary"), "{}", ended.stderr);
    assert_eq!(dir.holding("canary"), Vec::<String>::new());
}

#[test]
fn no_sku_is_requested_twice_over_tokens_that_live_shorter_than_the_run() {
    // On a busy machine a request may arrive after the end of the token that it left with.
    one_of_several(|_| {
        let api = TokenApi::usual(Duration::from_secs(1));
        let dir = skus(6000);
        let ended = api.with_endpoint(&dir, &["--report", "r.json", "-v", "-v"]).finish().expect_code(0);
        let asked = api.asked_for_tokens().len();
        assert!(asked >= 3, "{asked} tokens\n{}", ended.stderr);
        assert_eq!(dir.read("out.json").lines().count(), 6002);
        assert!(ended.stderr.contains("token received, good for 1 s"), "{}", ended.stderr);
        shows_no_token(&dir, &ended);
        let (requests, refused) = (api.server.count() - asked, api.refused());
        ((requests, refused) != (6000, 0)).then(|| format!("{requests} requests, {refused} refused"))
    });
}

#[test]
fn a_command_prints_a_token_or_json_and_runs_again_when_it_is_refused() {
    let life = Duration::from_millis(700);
    for json in [false, true] {
        let api = TokenApi::start(life, |state, _| {
            Reply::bytes(state.issue()).header("Content-Type", "text/plain")
        });
        let url = api.server.url("/token");
        let get = format!("curl -sS -X POST {url}");
        // A life that is told wrongly is found out.
        let as_json = format!("echo \"{{\\\"access_token\\\":\\\"$({get})\\\",\\\"expires_in\\\":3600}}\"");
        let dir = skus(1500);
        let ended = api
            .run(&dir, &["--token-command", if json { &as_json } else { &get }, "-v", "-v"])
            .finish()
            .expect_code(0);
        assert!(api.refused() > 0 && api.asked_for_tokens().len() >= 2, "{}", ended.stderr);
        assert!(ended.stderr.contains("1,500 fetched"), "{}", ended.stderr);
        assert!(!dir.has("out.failed.csv"));
        shows_no_token(&dir, &ended);
    }
}

#[test]
fn a_token_may_stand_in_the_address_and_in_the_body_and_is_encoded_there() {
    let server = ScriptedServer::echo();
    let dir = skus(3);
    let url = server.url("/t/${TOKEN}/{sku}?access_token=${TOKEN}");
    run_with_url(&dir, &url, ["--token-command", "echo 'a/b&\"c'"])
        .args(["--body", "{\"t\":\"${TOKEN}\",\"sku\":\"{sku}\"}", "-X", "POST"])
        .finish()
        .expect_code(0);
    for seen in server.requests() {
        assert_eq!(seen.segments()[1], b"a/b&\"c");
        assert_eq!(seen.query_value("access_token").unwrap(), b"a/b&\"c");
        let body: serde_json::Value = serde_json::from_slice(&seen.body).unwrap();
        assert_eq!(body["t"], "a/b&\"c");
    }
}

#[test]
fn an_endpoint_gets_the_client_the_grant_and_the_fields() {
    let api = TokenApi::usual(LONG);
    let dir = skus(2);
    let secret = "canary secret+";
    let args = ["--client-id", "my-shop", "--client-secret", "${SECRET}", "--scope", "read write"];
    let ended = api
        .with_endpoint(&dir, &args)
        .args([
            "--token-field",
            "audience=https://api.example.com/?a=b",
            "--token-grant",
            "client_credentials",
        ])
        .env("SECRET", secret)
        .finish()
        .expect_code(0);
    let [seen] = api.asked_for_tokens().try_into().unwrap();
    assert_eq!(seen.header("authorization"), Some("Basic bXktc2hvcDpjYW5hcnklMjBzZWNyZXQlMkI="));
    assert_eq!(
        form(&seen),
        fields(&[
            ("grant_type", "client_credentials"),
            ("audience", "https://api.example.com/?a=b"),
            ("scope", "read write")
        ])
    );
    shows_no_token(&dir, &ended);
}

#[test]
fn where_basic_authentication_is_refused_the_client_goes_in_the_body_from_then_on() {
    for refusal in [Reply::status(401), Reply::json("{\"error\":\"invalid_client\"}").with_status(400)] {
        let refusal = Mutex::new(refusal);
        let api = TokenApi::start(Duration::from_millis(500), move |state, seen| {
            match seen.header("authorization") {
                Some(_) => refusal.lock().unwrap().clone(),
                None => usual_answer(state, Duration::from_millis(500)),
            }
        });
        let dir = skus(600);
        api.with_endpoint(&dir, &["--client-id", "id", "--client-secret", "secret-1"])
            .finish()
            .expect_code(0);
        let asked = api.asked_for_tokens();
        assert_eq!(asked.iter().filter(|seen| seen.header("authorization").is_some()).count(), 1);
        assert!(asked.len() >= 3, "{} tokens", asked.len());
        assert!(form(&asked[1]).contains(&("client_secret".into(), "secret-1".into())));
    }
}

#[test]
fn a_user_and_a_password_are_fields_of_the_password_grant() {
    let api = TokenApi::usual(LONG);
    let dir = skus(2);
    let args =
        ["--token-grant", "password", "--token-field", "username=anna", "--token-field", "password=${PW}"];
    let ended = api.with_endpoint(&dir, &args).env("PW", "canary-pw").finish().expect_code(0);
    let expected = fields(&[("grant_type", "password"), ("username", "anna"), ("password", "canary-pw")]);
    assert_eq!(form(&api.asked_for_tokens()[0]), expected);
    shows_no_token(&dir, &ended);
}

/// An endpoint whose refresh tokens are good once.
fn rotating(life: Duration) -> TokenApi {
    let newest = Mutex::new("refresh-canary-0".to_owned());
    TokenApi::start(life, move |state, seen| {
        let mut newest = newest.lock().unwrap();
        let given = form(seen).into_iter().find(|(name, _)| name == "refresh_token").map(|(_, value)| value);
        if given.as_ref() != Some(&*newest) {
            let said = format!(
                "{{\"error\":\"invalid_grant\",\"error_description\":\"{} was used\"}}",
                given.unwrap()
            );
            return Reply::json(said).with_status(400);
        }
        let (token, life) = (state.issue(), life.as_secs_f64());
        *newest = format!("refresh-{token}");
        Reply::json(format!(
            "{{\"access_token\":\"{token}\",\"expires_in\":{life},\"refresh_token\":\"{}\"}}",
            *newest
        ))
    })
}

#[test]
fn a_refresh_token_that_changes_is_kept_for_the_next_run_readable_by_its_owner_alone() {
    let api = rotating(Duration::from_millis(600));
    let dir = skus(1000);
    let args = [
        "--token-grant",
        "refresh_token",
        "--token-field",
        "refresh_token=${REFRESH}",
        "--token-file",
        "refresh.txt",
    ];
    for _ in 0..2 {
        let ended = api.with_endpoint(&dir, &args).env("REFRESH", "refresh-canary-0").finish().expect_code(0);
        assert!(!ended.stderr.contains("canary"), "{}", ended.stderr);
        let mode = std::fs::metadata(dir.path("refresh.txt")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(dir.holding("canary"), ["refresh.txt"]);
    }
    let newest = dir.read("refresh.txt");
    assert_eq!(newest, format!("refresh-tok.canary-{:04}\n", api.state.tokens.lock().unwrap().len() - 1));
}

#[test]
fn a_refresh_token_that_the_user_renewed_is_used_where_the_kept_one_is_refused() {
    let api = rotating(LONG);
    let dir = skus(2);
    dir.write("refresh.txt", "an-old-one\n");
    let args = ["--token-grant", "refresh_token", "--token-field", "refresh_token=refresh-canary-0"];
    api.with_endpoint(&dir, &args).args(["--token-file", "refresh.txt"]).finish().expect_code(0);
    assert_eq!(dir.read("refresh.txt"), "refresh-tok.canary-0000\n");
}

#[test]
fn without_a_file_a_refresh_token_that_changes_is_warned_of() {
    let api = rotating(LONG);
    let dir = skus(2);
    let args = ["--token-grant", "refresh_token", "--token-field", "refresh_token=refresh-canary-0"];
    let ended = api.with_endpoint(&dir, &args).finish().expect_code(0);
    assert!(ended.stderr.contains("--token-file names a file for it"), "{}", ended.stderr);
    let ended = api.with_endpoint(&dir, &args).args(["--fresh"]).finish().expect_code(77);
    assert!(ended.stderr.contains("invalid_grant: (redacted) was used"), "{}", ended.stderr);
}

#[test]
fn an_endpoint_that_is_down_is_waited_for_as_the_api_is() {
    let began = Instant::now();
    let api = TokenApi::start(LONG, move |state, _| {
        if began.elapsed() < Duration::from_secs(2) { Reply::status(503) } else { usual_answer(state, LONG) }
    });
    let dir = skus(20);
    let ended = api.with_endpoint(&dir, &["--wait-for-api", "1m"]).finish().expect_code(0);
    assert!(ended.stderr.contains("no token yet"), "{}", ended.stderr);
    // Where nobody waits.
    let dead = format!("http://{}/token", closed_port());
    let ended = api.run(&dir, &["--token-url", &dead, "--retries", "1", "--fresh"]).finish().expect_code(69);
    assert!(ended.stderr.contains("--token-url is not reached"), "{}", ended.stderr);
}

#[test]
fn without_a_token_no_request_is_sent_and_the_message_says_why() {
    for (args, code, said) in [
        (
            ["--token-command", "echo no >&2; exit 3"],
            77,
            "--token-command gives no token: it ended with exit code 3: no",
        ),
        (["--token-command", "true"], 77, "it printed no token: it is empty"),
        (["--token-command", "nothing-of-this-name"], 77, "exit code 127 (no such command)"),
        (["--token-command", "printf '{\"token\":1}'"], 77, "it has no access_token: it has token"),
    ] {
        let server = ScriptedServer::echo();
        let dir = skus(9);
        dir.write("out.json", "the old one");
        let url = server.url("/p/{sku}?t=${TOKEN}");
        let ended = run_with_url(&dir, &url, args).finish().expect_code(code);
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
        assert_eq!(server.count(), 0);
        assert_eq!(dir.read("out.json"), "the old one");
        assert!(ended.stderr.contains("9 deferred"), "{}", ended.stderr);
    }
    for (reply, code, said) in [
        (
            Reply::json("{\"error\":\"invalid_client\",\"error_description\":\"who?\"}").with_status(401),
            77,
            "invalid_client: who?",
        ),
        (Reply::bytes("<html>sign in</html>"), 77, "it is not JSON"),
        (Reply::redirect(302, "/login"), 77, "not followed"),
        (Reply::status(500), 69, "it answers 500"),
        (Reply::hang_up(), 69, "--token-url is not reached"),
    ] {
        let reply = Mutex::new(reply);
        let api = TokenApi::start(LONG, move |_, _| reply.lock().unwrap().clone());
        let dir = skus(9);
        let args = ["--client-id", "a", "--client-secret", "b1234567", "--retries", "1"];
        let ended = api.with_endpoint(&dir, &args).finish().expect_code(code);
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
        assert_eq!(api.server.count(), api.asked_for_tokens().len());
    }
}

#[test]
fn a_token_that_the_api_never_accepts_ends_the_run_as_wrong_credentials_do() {
    let api = TokenApi::start(Duration::ZERO, |state, _| usual_answer(state, LONG));
    let dir = skus(2000);
    let ended = api.with_endpoint(&dir, &[]).finish().expect_code(77);
    assert!(
        ended.stderr.contains("refuses the credentials: 5 answers in a row were 401"),
        "{}",
        ended.stderr
    );
    assert!(api.refused() < 30, "{}", api.refused());
    assert!(api.asked_for_tokens().len() <= 2);
    shows_no_token(&dir, &ended);
}

#[test]
fn a_sku_that_is_refused_whatever_the_token_fails_alone() {
    let state = Arc::new(AtomicUsize::new(0));
    let tokens = Arc::clone(&state);
    let server = ScriptedServer::start(move |seen| match (seen.path(), seen.sku.as_str()) {
        ("/token", _) => {
            let number = tokens.fetch_add(1, Ordering::SeqCst);
            Reply::json(format!("{{\"access_token\":\"t{number}\",\"expires_in\":900}}"))
        }
        (_, "A7" | "A300") => Reply::status(401),
        _ => Reply::echo(seen).wait(Duration::from_millis(2)),
    });
    let dir = skus(500);
    let args = ["-H", "Authorization: Bearer ${TOKEN}", "-c", "8", "--token-url", &server.url("/token")];
    let ended = run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(1);
    assert!(ended.stderr.contains("498 fetched"), "{}", ended.stderr);
    assert_eq!(dir.read("out.failed.csv").lines().count(), 3);
    assert!(state.load(Ordering::SeqCst) <= 3);
}

#[test]
fn another_status_refuses_a_token_where_it_is_named() {
    let life = Duration::from_millis(600);
    let api = TokenApi::refusing_with(403, life, |state, _| Reply::json(format!("\"{}\"", state.issue())));
    let dir = skus(1000);
    let ended = api.with_endpoint(&dir, &["--token-on", "403"]).finish().expect_code(0);
    assert!(api.refused() > 0 && api.asked_for_tokens().len() >= 2, "{}", ended.stderr);
}

#[test]
fn a_body_that_says_that_the_token_ended_renews_it() {
    let life = Duration::from_millis(600);
    let api = TokenApi::refusing_with(200, life, |state, _| Reply::json(format!("\"{}\"", state.issue())));
    let dir = skus(1000);
    let args = ["--refused-if", ".error == \"expired\""];
    let ended = api.with_endpoint(&dir, &args).finish().expect_code(0);
    assert!(api.refused() > 0 && api.asked_for_tokens().len() >= 2, "{}", ended.stderr);
    assert!(!dir.read("out.json").contains("expired"));
}

#[test]
fn a_pack_is_sent_again_with_the_new_token() {
    let life = Duration::from_millis(400);
    let state =
        Arc::new(TokenState { life, refusal: 401, tokens: Mutex::default(), refused: AtomicUsize::new(0) });
    let shared = Arc::clone(&state);
    let server = ScriptedServer::start(move |seen| {
        if seen.path() == "/token" {
            return Reply::json(format!("\"{}\"", shared.issue()));
        }
        shared.api(seen, |seen| {
            let ids = String::from_utf8(seen.query_value("ids").unwrap()).unwrap();
            let items: Vec<String> = ids.split(',').map(|id| format!("{{\"id\":\"{id}\"}}")).collect();
            Reply::json(format!("[{}]", items.join(",")))
        })
    });
    // Little more than one token serves: each further token is waited for, which takes 10 s.
    let dir = skus(900);
    let args = ["-H", "Authorization: Bearer ${TOKEN}", "-c", "1", "--bulk", "10", "--bulk-key", ".id"];
    let ended = run_with_url(&dir, &server.url("/p?ids={items}"), args)
        .args(["--token-url", &server.url("/token")])
        .finish()
        .expect_code(0);
    assert!(state.refused.load(Ordering::SeqCst) > 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("900 fetched"), "{}", ended.stderr);
}

#[test]
fn the_rate_and_the_number_in_flight_hold_while_tokens_are_renewed() {
    let api = TokenApi::usual(Duration::from_millis(500));
    let dir = skus(400);
    api.with_endpoint(&dir, &["--rate", "200/s"]).finish().expect_code(0);
    assert!(api.server.max_in_flight() <= 8, "{}", api.server.max_in_flight());
    let api_requests: Vec<Instant> =
        api.server.requests().iter().filter(|seen| seen.path() != "/token").map(|seen| seen.at).collect();
    for (at, first) in api_requests.iter().enumerate() {
        let window =
            api_requests[at..].iter().take_while(|came| **came - *first < Duration::from_secs(1)).count();
        // 200 × (1 s + 10 ms) + 1, and as much again as the machine delays.
        assert!(window <= 230, "{window} in a second");
    }
}

#[test]
fn a_dry_run_and_a_run_that_sends_nothing_fetch_no_token() {
    let server = ScriptedServer::echo();
    let dir = skus(3);
    let url = server.url("/p/{sku}");
    let args = ["-H", "Authorization: Bearer ${TOKEN}", "--token-command", "echo x >> ran; echo canary-t"];
    let ended = run_with_url(&dir, &url, args).args(["--dry-run"]).finish().expect_code(0);
    assert!(ended.stdout().contains("from --token-command; none was fetched"), "{}", ended.stdout());
    assert!(!dir.has("ran"));
    run_with_url(&dir, &url, args).finish().expect_code(0);
    assert_eq!(dir.read("ran"), "x\n");
    // Nothing is old enough to be requested again.
    run_with_url(&dir, &url, args).args(["--merge", "--max-age", "1h"]).finish().expect_code(0);
    assert_eq!((dir.read("ran").as_str(), server.count()), ("x\n", 3));
    let endpoint =
        ["-H", "Authorization: Bearer ${TOKEN}", "--token-url", "http://127.0.0.1:1/t?key=canary-key"];
    let ended = run_with_url(&dir, &url, endpoint).args(["--dry-run"]).finish().expect_code(0);
    assert!(ended.stdout().contains("from http://127.0.0.1:1/t; none was fetched"), "{}", ended.stdout());
}

#[test]
fn a_new_token_is_no_new_job() {
    let api = TokenApi::usual(LONG);
    let dir = skus(400);
    let mut run = api.with_endpoint(&dir, &["--rate", "100/s"]).spawn();
    run.wait_until(|| api.server.count() > 100);
    run.kill();
    drop(run);
    let before = api.server.count();
    // Another endpoint, another command: what is asked for is the same.
    let ended =
        api.run(&dir, &["--token-command", &format!("echo {}", api.state.issue())]).finish().expect_code(0);
    let after = api.server.count() - before;
    assert!(after < 320, "{after} asked again\n{}", ended.stderr);
}

#[test]
fn a_signal_while_a_token_is_fetched_ends_the_run_and_the_command() {
    let server = ScriptedServer::echo();
    let dir = skus(3);
    let url = server.url("/p/{sku}?t=${TOKEN}");
    let mut run = run_with_url(&dir, &url, ["--token-command", "echo $$ > pid; exec sleep 300"]).spawn();
    run.wait_until(|| dir.has("pid") && dir.read("pid").ends_with('\n'));
    let pid = dir.read("pid");
    run.signal(rustix::process::Signal::INT);
    run.wait().expect_code(130);
    let ends = || !std::path::Path::new(&format!("/proc/{}", pid.trim())).exists();
    for _ in 0..200 {
        if ends() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("{pid} still runs");
}

#[test]
fn what_the_command_writes_to_standard_error_is_passed_on_without_secrets() {
    let server = ScriptedServer::echo();
    let dir = skus(2);
    let url = server.url("/p/{sku}?t=${TOKEN}&k=${KEY}");
    let ended = run_with_url(&dir, &url, ["--token-command", "echo \"asking with $KEY\" >&2; echo t"])
        .env("KEY", "canary-key")
        .finish()
        .expect_code(0);
    assert!(ended.stderr.contains("--token-command: asking with (redacted)"), "{}", ended.stderr);
    shows_no_token(&dir, &ended);
}

#[test]
fn tune_measures_with_a_token() {
    let api = TokenApi::usual(Duration::from_secs(1));
    let dir = skus(300);
    let url = api.server.url("/p/{sku}");
    let ended = Run::new(&dir)
        .args(["tune", "products.csv", "--url", &url, "-H", "Authorization: Bearer ${TOKEN}"])
        .args(["--token-url", &api.server.url("/token"), "--client-id", "a", "--client-secret", "canary-s"])
        .finish()
        .expect_code(0);
    assert_eq!(api.refused(), 0, "{}", ended.stderr);
    assert!(!ended.stdout().contains("canary"), "{}", ended.stdout());
}

#[test]
fn settings_of_a_token_that_contradict_each_other_are_refused() {
    let (dir, url) = (skus(1), "http://127.0.0.1:1/{sku}?t=${TOKEN}");
    let endpoint = ["--token-url", "http://127.0.0.1:1/token"];
    for (args, said) in [
        (&["--token-command", "echo t", "--token-url", "http://a/t"][..], "a token has one source"),
        (&["--client-id", "a"], "--client-id: it means nothing without --token-url"),
        (&["--token-on", "403"], "there is none to renew"),
        (&[endpoint[0], endpoint[1], "--client-secret", "abcdefgh"], "without the id of its client"),
        (&[endpoint[0], endpoint[1], "--token-grant", "refresh_token"], "needs the field refresh_token"),
        (&[endpoint[0], endpoint[1], "--token-grant", "password"], "needs the field username"),
        (&[endpoint[0], endpoint[1], "--token-file", "t"], "it keeps refresh tokens"),
        (&[endpoint[0], endpoint[1], "--token-file", "out.json"], "--token-file"),
        (&[endpoint[0], endpoint[1], "--null-on", "401"], "cannot be stored as null"),
        (&[endpoint[0], endpoint[1], "--retry-on", "+401"], "cannot be retried as well"),
        (&[endpoint[0], endpoint[1], "--token-on", "503"], "--token-on: status 503 refuses the token"),
        (&[endpoint[0], endpoint[1], "--token-on", "200"], "200 is a good answer, and refuses no token"),
        (&["--token-url", "http://a/t", "--client-id", "${NONE}"], "export NONE="),
        (&["--token-url", "ftp://a/t"], "is not an http:// or https:// address"),
        (&["--token-url", "http://u:p@a/t"], "without user-info"),
        (&["--token-url", "http://a/t?k=${NONE}"], "uses the environment variable NONE"),
        (&[], "have a token fetched, with --token-command or --token-url"),
    ] {
        let ended = run_with_url(&dir, url, args).finish().expect_code(2);
        assert!(ended.stderr.contains(said), "{args:?}: {}", ended.stderr);
    }
    let ended = run_with_url(&dir, "http://127.0.0.1:1/{sku}", endpoint).finish().expect_code(2);
    assert!(ended.stderr.contains("the request does not use ${TOKEN}"), "{}", ended.stderr);
}

#[test]
fn a_variable_of_the_same_name_is_overruled_with_a_word() {
    let server = ScriptedServer::echo();
    let dir = skus(1);
    let url = server.url("/p/{sku}?t=${TOKEN}");
    let ended =
        run_with_url(&dir, &url, ["--token-command", "echo fetched"]).env("TOKEN", "of-the-environment");
    let ended = ended.finish().expect_code(0);
    assert_eq!(server.requests()[0].query_value("t").unwrap(), b"fetched");
    assert!(ended.stderr.contains("the environment variable TOKEN is not used"), "{}", ended.stderr);
}

#[test]
fn no_token_reaches_another_origin() {
    let other = ScriptedServer::echo();
    let to = other.url("/q/");
    let server = ScriptedServer::start(move |seen| Reply::redirect(302, &format!("{to}{}", seen.sku)));
    let dir = skus(3);
    let args =
        ["-H", "Authorization: Bearer ${TOKEN}", "--token-command", "echo canary-t", "--follow", "any"];
    run_with_url(&dir, &server.url("/p/{sku}"), args).finish().expect_code(0);
    for seen in other.requests() {
        assert!(!String::from_utf8_lossy(&seen.head).contains("canary"));
    }
    assert!(server.requests().iter().all(|seen| seen.header("authorization") == Some("Bearer canary-t")));
}

#[test]
fn a_stop_while_a_refresh_token_is_exchanged_keeps_the_new_one() {
    let newest = Mutex::new("first".to_owned());
    let api = TokenApi::start(LONG, move |state, seen| {
        let mut newest = newest.lock().unwrap();
        let given = form(seen).into_iter().find(|(name, _)| name == "refresh_token").unwrap().1;
        if given != *newest {
            return Reply::json("{\"error\":\"invalid_grant\"}").with_status(400);
        }
        let token = state.issue();
        *newest = format!("next-{token}");
        let body =
            format!("{{\"access_token\":\"{token}\",\"expires_in\":900,\"refresh_token\":\"{}\"}}", *newest);
        Reply::json(body).wait(Duration::from_millis(1500))
    });
    let dir = skus(20);
    dir.write("refresh.txt", "first\n");
    let args = ["--token-grant", "refresh_token", "--token-file", "refresh.txt"];
    let mut run = api.with_endpoint(&dir, &args).spawn();
    run.wait_until(|| api.server.count() == 1);
    run.signal(rustix::process::Signal::TERM);
    run.wait().expect_code(143);
    assert_eq!(dir.read("refresh.txt"), "next-tok.canary-0000\n");
    api.with_endpoint(&dir, &args).finish().expect_code(0);
}

#[test]
fn two_runs_with_one_refresh_token_at_the_same_moment_both_end_well() {
    let newest = Mutex::new("first".to_owned());
    let api = TokenApi::start(LONG, move |state, seen| {
        let mut newest = newest.lock().unwrap();
        let given = form(seen).into_iter().find(|(name, _)| name == "refresh_token").unwrap().1;
        if given != *newest {
            return Reply::json("{\"error\":\"invalid_grant\"}")
                .with_status(400)
                .wait(Duration::from_millis(20));
        }
        let token = state.issue();
        *newest = format!("next-{token}");
        let body =
            format!("{{\"access_token\":\"{token}\",\"expires_in\":900,\"refresh_token\":\"{}\"}}", *newest);
        Reply::json(body).wait(Duration::from_millis(300))
    });
    let dir = skus(20);
    dir.write("refresh.txt", "first\n");
    let args = ["--token-grant", "refresh_token", "--token-file", "refresh.txt"];
    let one = api.with_endpoint(&dir, &args).spawn();
    let url = api.server.url("/p/{sku}");
    let header = ["-H", "Authorization: Bearer ${TOKEN}", "--token-url"];
    let other = Run::new(&dir)
        .args(["products.csv", "-o", "other.json", "--url", &url])
        .args(header)
        .args([api.server.url("/token")])
        .args(args)
        .spawn();
    one.wait().expect_code(0);
    other.wait().expect_code(0);
}

#[test]
fn a_token_file_that_has_something_else_is_left_as_it_is() {
    let api = rotating(LONG);
    let dir = skus(3);
    let args =
        ["--token-grant", "refresh_token", "--token-field", "refresh_token=refresh-canary-0", "--token-file"];
    dir.write("notes.txt", "remember the milk\nand the bread\n");
    std::os::unix::fs::symlink(dir.path("products.csv"), dir.path("link")).unwrap();
    for (file, said) in [
        ("products.csv", "this is INPUT"),
        ("link", "this is INPUT"),
        ("out.json", "this is the output"),
        ("out.failed.csv", "this is the file of failed rows"),
        ("out.json.journal", "a file of the run's own"),
        ("notes.txt", "something else than a refresh token"),
    ] {
        let before = std::fs::read(dir.path(file)).ok();
        let ended = api.with_endpoint(&dir, &args).args([file]).finish().expect_code(2);
        assert!(ended.stderr.contains(said), "{file}: {}", ended.stderr);
        assert_eq!(std::fs::read(dir.path(file)).ok(), before, "{file}");
    }
    let without = ["--token-grant", "refresh_token", "--token-file", "none.txt"];
    let ended = api.with_endpoint(&dir, &without).finish().expect_code(2);
    assert!(ended.stderr.contains("the file has no refresh token yet"), "{}", ended.stderr);
    assert_eq!(api.server.count(), 0);
    // As an editor of Windows writes it.
    dir.write("refresh.txt", "\u{feff}refresh-canary-0\r\n");
    let ok = ["--token-grant", "refresh_token", "--token-file", "refresh.txt"];
    api.with_endpoint(&dir, &ok).finish().expect_code(0);
}

#[test]
fn a_command_that_leaves_a_process_running_delays_nothing_and_shows_no_token() {
    let api =
        TokenApi::start(LONG, |state, _| Reply::bytes(state.issue()).header("Content-Type", "text/plain"));
    let dir = skus(5);
    let get = format!("curl -sS -X POST {} | tee /dev/stderr; sleep 25 &", api.server.url("/token"));
    let began = Instant::now();
    let ended = api.run(&dir, &["--token-command", &get, "-v", "-v"]).finish().expect_code(0);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(ended.stderr.contains("--token-command: (redacted)"), "{}", ended.stderr);
    shows_no_token(&dir, &ended);
    let failing =
        ["--token-command", "echo canary-token-of-this-test; set -x; : $SECRET_OF_IT; exit 3", "--fresh"];
    let ended = api.run(&dir, &failing).env("SECRET_OF_IT", "canary-secret").finish().expect_code(77);
    shows_no_token(&dir, &ended);
}

#[test]
fn a_row_of_403_is_for_the_token_where_one_is_fetched() {
    let api = TokenApi::refusing_with(403, Duration::from_millis(400), |state, _| usual_answer(state, LONG));
    let dir = skus(3000);
    let ended = api.with_endpoint(&dir, &[]).finish().expect_code(77);
    assert!(ended.stderr.contains("20 answers in a row were 403"), "{}", ended.stderr);
    assert!(ended.stderr.contains("--token-on"), "{}", ended.stderr);
}
