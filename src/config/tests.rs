//! The promises of the three places together.

use std::fs;
use std::io;

use tempfile::TempDir;

use super::*;
use crate::config::options::{Takes, all};
use crate::config::settings::{InputPath, ReportSettings, RequestSettings, Target};
use crate::limit::Concurrency;
use crate::model::Exit;
use crate::plan::TokenRequestTemplate;

/// A folder to start in, the variables, and the config file in that folder.
struct World {
    folder: TempDir,
    env: Vec<(String, String)>,
}

impl World {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), env: Vec::new() }
    }

    fn file(self, text: &str) -> Self {
        self.named("config.toml", text)
    }

    fn named(self, name: &str, text: &str) -> Self {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    fn run(&self, args: &[&str]) -> Result<Settings, ConfigError> {
        let args = ["skufetch"].iter().chain(args).map(OsString::from);
        let env: Environment = self.env.iter().cloned().collect();
        match load(args, &env, self.folder.path())? {
            Invocation::Fetch(settings) => Ok(*settings),
            Invocation::Tune(tune) => Ok(tune.settings),
            Invocation::Merge(_) => panic!("the parts of a sharded job"),
            Invocation::Text(text) => panic!("only a text: {text}"),
        }
    }

    /// With INPUT, `--url` and `-o` in place.
    fn settings(&self, args: &[&str]) -> Settings {
        match self.run(&[BASE, args].concat()) {
            Ok(settings) => settings,
            Err(error) => panic!("{error}"),
        }
    }

    fn error(&self, args: &[&str]) -> ConfigError {
        match self.run(args) {
            Ok(_) => panic!("{args:?} was taken"),
            Err(error) => error,
        }
    }
}

const BASE: &[&str] = &["in.csv", "--url", "http://a/{sku}", "-o", "out.json"];

/// What is sent to a token endpoint, as text.
fn shown_request(request: Option<&TokenRequestTemplate>) -> String {
    request.map_or_else(String::new, |request| {
        let TokenRequestTemplate { url, client_id, client_secret, scope, fields } = request;
        format!("{url} {client_id:?} {client_secret:?} {scope:?} {fields:?}")
    })
}

/// Everything but the origins, as text.
fn shown(settings: &Settings) -> String {
    let Settings { input_path, input, connection, pace, retry, response, output, .. } = settings;
    let Settings { run, messages, demo, warnings, .. } = settings;
    let RequestSettings {
        url,
        identity_url,
        method,
        headers,
        body,
        body_escape,
        proxy,
        rate_store,
        bulk,
        token,
    } = &settings.request;
    let token = (token.as_ref().map(|token| shown_request(token.request.as_ref())), &settings.token);
    let request = ((url, identity_url, method, headers), (body, body_escape, proxy, rate_store, bulk), token);
    let ReportSettings { progress, log_format, verbose, quiet, .. } = messages;
    let messages = (progress, log_format, verbose, quiet);
    format!(
        "{input_path:?} {input:?} {request:?} {connection:?} {pace:?} {retry:?} {response:?} {output:?} {run:?} \
         {messages:?} {demo:?} {warnings:?}"
    )
}

/// For each setting two values that it may have, neither of them its default.
fn examples(name: &str) -> [&'static str; 2] {
    match name {
        "key" => ["ean", "7"],
        "delimiter" => [";", "tab"],
        "empty-key" => ["skip", "skip"],
        "short-rows" => ["pad", "pad"],
        "quote" | "escape" => ["none", "'"],
        "encoding" => ["windows-1252", "utf-16le"],
        "skip-lines" => ["1", "2"],
        "limit" => ["10", "20"],
        "url" => ["http://b/{sku}", "http://c/{sku}"],
        "method" => ["PUT", "POST"],
        "header" => ["A: 1", "B: 2"],
        "body" => ["{\"a\":1}", "{\"a\":2}"],
        "timeout" | "connect-timeout" | "max-time" | "max-retry-after" | "wait-for-api" | "lock-wait"
        | "demo-latency" => ["7s", "8m"],
        "max-age" => ["12h", "13h"],
        "shard" => ["0/2", "1/2"],
        "run-id" => ["a", "b"],
        "journal-dir" => ["/a", "/b"],
        "follow" => ["none", "any"],
        "ca-cert" => ["ca.pem", "other.pem"],
        "proxy" => ["http://p:1", "http://p:2"],
        "rate-store" => ["redis://h:1", "rediss://h"],
        "http" => ["1.1", "2"],
        "concurrency" => ["16", "auto:256"],
        "rate" | "demo-rate" => ["5/s", "600/m"],
        "burst" | "pages" => ["5", "6"],
        "retries" => ["0", "9"],
        "retry-on" => ["none", "500"],
        "quota-fields" => ["off", "off"],
        "bulk" => ["1", "100"],
        "item" => ["id={sku}", "\"{sku}\""],
        "separator" => [";", " OR "],
        "token-command" => ["echo t", "cat t"],
        "token-url" => ["http://b/token", "http://c/token"],
        "token-grant" => ["password", "refresh_token"],
        "client-id" | "client-secret" | "scope" => ["one", "other"],
        "token-field" => ["a=1", "b=2"],
        "token-file" => ["one.txt", "other.txt"],
        "token-on" => ["403", "403,419"],
        "next" => ["link", ".next"],
        "select" | "join" | "bulk-items" | "bulk-key" | "refused-if" | "null-if" | "retry-if" | "fail-if" => {
            [".a", ".b"]
        }
        "body-as" => ["text", "text"],
        "body-escape" => ["form", "form"],
        "null-on" => ["404", "404,410"],
        "max-body" => ["1MiB", "500kB"],
        "output" => ["a.json", "b.json"],
        "format" => ["jsonl", "jsonl"],
        "columns" => ["a=.a", "b=.b, c=.c"],
        "shape" => ["record", "record"],
        "failed" => ["f.csv", "g.csv"],
        "min-success" | "demo-failures" | "demo-missing" => ["90", "99.5%"],
        "guard" => ["off", "20%"],
        "changes" => ["c.jsonl", "d.jsonl"],
        "progress" => ["bar", "none"],
        "report" => ["a.json", "b.prom"],
        "log-format" => ["json", "json"],
        _ => ["true", "true"],
    }
}

/// The settings that another needs so that they do not contradict, and those that suffice to run.
fn beside(name: &str) -> Vec<&'static str> {
    let mut args = vec!["in.csv"];
    match name {
        "demo" => {}
        name if name.starts_with("demo-") => args.push("--demo"),
        "url" => {}
        _ => args.extend(["--url", "http://a/{sku}"]),
    }
    if name == "prune" {
        args.push("--merge");
    }
    if matches!(name, "bulk" | "item" | "separator" | "bulk-items" | "bulk-key") {
        args.truncate(1);
        args.extend(["--url", "http://a/{items}"]);
    }
    if matches!(name, "item" | "separator" | "bulk-items" | "bulk-key") {
        args.push("--bulk=7");
    }
    if matches!(
        name,
        "token-on" | "token-grant" | "client-id" | "client-secret" | "scope" | "token-field" | "token-file"
    ) {
        args.push("--token-url=http://a/token");
    }
    if name == "token-grant" {
        args.extend([
            "--token-field=refresh_token=r",
            "--token-field=username=u",
            "--token-field=password=p",
        ]);
    }
    if name == "client-secret" {
        args.push("--client-id=a");
    }
    if name == "token-file" {
        args.push("--token-grant=refresh_token");
    }
    if matches!(name, "join" | "pages") {
        args.push("--next=link");
    }
    if name == "body-escape" {
        args.push("--body={sku}");
    }
    if name == "shard" {
        args.push("--run-id=r");
    }
    if name == "run-id" {
        args.push("--shard=0/3");
    }
    if matches!(name, "columns" | "csv-bom") {
        args.push("--format=csv");
    }
    if name == "rate-store" {
        args.push("--rate=5/s");
    }
    match name {
        "output" => {}
        "stream" => args.extend(["-o", "-", "--format=jsonl"]),
        _ => args.extend(["-o", "out.json"]),
    }
    args
}

fn on_the_line(name: &str, takes: Takes, value: &str) -> Vec<String> {
    if takes == Takes::Flag { vec![format!("--{name}")] } else { vec![format!("--{name}={value}")] }
}

fn in_a_file(table: options::Table, name: &str, takes: Takes, value: &str) -> String {
    let value = match takes {
        Takes::Flag => value.to_owned(),
        Takes::List(_) => format!("['{value}']"),
        Takes::Word(_) | Takes::Text(_) => format!("'{value}'"),
    };
    format!("[{}]\n{name} = {value}\n", table.name())
}

#[test]
fn every_setting_has_the_same_meaning_in_all_three_places_and_names_its_origin() {
    for setting in all() {
        let (table, name, takes) = (setting.table, setting.name, setting.takes);
        let [value, _] = examples(name);
        let args = beside(name);
        let option = on_the_line(name, takes, value);
        let option: Vec<_> = args.iter().copied().chain(option.iter().map(String::as_str)).collect();

        let by_option = World::new().run(&option).unwrap();
        let by_env = World::new().env(&setting.variable(), value).run(&args).unwrap();
        let by_file = World::new().file(&in_a_file(table, name, takes, value)).run(&args).unwrap();
        assert_eq!(shown(&by_option), shown(&by_env), "{name}");
        assert_eq!(shown(&by_option), shown(&by_file), "{name}");
        if let Ok(without) = World::new().run(&args) {
            assert_ne!(shown(&by_option), shown(&without), "{name} changes nothing");
            assert_eq!(*without.origin(setting), Origin::Default);
        }

        assert_eq!(by_option.origin(setting).to_string(), format!("--{name}"));
        assert_eq!(by_env.origin(setting).to_string(), setting.variable());
        let column = if let Takes::List(_) = takes { name.len() + 5 } else { name.len() + 4 };
        assert_eq!(by_file.origin(setting).to_string(), format!("config.toml:2:{column}: {name}"));
        assert_eq!(by_option.origin(setting).exit(), Exit::Usage);
        assert_eq!(by_env.origin(setting).exit(), Exit::Usage);
        assert_eq!(by_file.origin(setting).exit(), Exit::Config);
    }
}

#[test]
fn an_option_beats_the_environment_which_beats_the_file_for_every_setting() {
    for setting in all().filter(|setting| setting.takes != Takes::Flag) {
        let (table, name, takes) = (setting.table, setting.name, setting.takes);
        let [weak, strong] = examples(name);
        let args = beside(name);
        let option = |value| -> Vec<String> {
            args.iter().map(ToString::to_string).chain(on_the_line(name, takes, value)).collect()
        };
        let run = |world: &World, args: &[String]| {
            world.run(&args.iter().map(String::as_str).collect::<Vec<_>>()).unwrap()
        };
        let expected = shown(&run(&World::new(), &option(strong)));
        let plain: Vec<String> = args.iter().map(ToString::to_string).collect();

        let file = in_a_file(table, name, takes, weak);
        let over_file = World::new().file(&file).env(&setting.variable(), strong);
        assert_eq!(shown(&run(&over_file, &plain)), expected, "{name}: environment over file");
        let over_both = World::new().file(&file).env(&setting.variable(), weak);
        assert_eq!(shown(&run(&over_both, &option(strong))), expected, "{name}: option over both");
        let empty = World::new().file(&file).env(&setting.variable(), "");
        assert_eq!(
            shown(&run(&empty, &plain)),
            shown(&run(&World::new(), &option(weak))),
            "{name}: an empty variable is as if it were not set"
        );
    }
}

#[test]
fn a_variable_can_turn_off_what_the_file_turns_on() {
    let world = World::new().file("[output]\nmerge = true");
    assert!(world.settings(&[]).output.merge);
    for off in ["false", "0", "no", "FALSE", "off"] {
        assert!(
            !World::new()
                .file("[output]\nmerge = true")
                .env("SKUFETCH_MERGE", off)
                .settings(&[])
                .output
                .merge
        );
    }
    for on in ["true", "1", "yes", "On"] {
        assert!(World::new().env("SKUFETCH_MERGE", on).settings(&[]).output.merge);
    }
}

#[test]
fn a_value_can_unset_what_a_weaker_place_set() {
    let world = World::new().file(
        "[pace]\nrate = '5/s'\nmax-time = '1h'\n[input]\nlimit = 4\n[response]\nnull-on = 404\n\
         [run]\nmax-age = '1h'",
    );
    let args = ["--rate=none", "--max-time=none", "--limit=all", "--null-on=none", "--max-age=none"];
    assert_eq!(shown(&world.settings(&args)), shown(&World::new().settings(&[])));
}

#[test]
fn headers_of_a_stronger_place_replace_those_of_a_weaker_one() {
    let world = World::new().file("[request]\nheader = ['A: 1', 'B: 2']");
    let names = |settings: &Settings| {
        settings.request.headers.iter().map(|line| line[..1].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&world.settings(&[])), ["a", "b"]);
    let settings = world.settings(&["-H", "C: 3", "-H", "C: 4"]);
    assert_eq!(names(&settings), ["c", "c"]);
    assert_eq!(settings.header_origin(2), Some(&Origin::Option("header")));
}

#[test]
fn the_config_file_is_the_named_one_else_the_folders_else_the_persons_own() {
    let rate = |settings: Settings| settings.pace.rate.map(|rate| rate.to_string());
    let world = World::new()
        .named("named.toml", "[pace]\nrate = '1/s'")
        .named("home/.config/skufetch/config.toml", "[pace]\nrate = '3/s'")
        .named("xdg/skufetch/config.toml", "[pace]\nrate = '4/s'");
    let home = world.folder.path().join("home").display().to_string();
    let xdg = world.folder.path().join("xdg").display().to_string();
    assert_eq!(rate(world.settings(&[])), None);
    let world = world.env("HOME", &home);
    assert_eq!(rate(world.settings(&[])).as_deref(), Some("3/s"));
    let world = world.env("XDG_CONFIG_HOME", &xdg);
    assert_eq!(rate(world.settings(&[])).as_deref(), Some("4/s"));
    let world = world.file("[pace]\nrate = '2/s'");
    assert_eq!(rate(world.settings(&[])).as_deref(), Some("2/s"));
    assert_eq!(rate(world.settings(&["--config", "named.toml"])).as_deref(), Some("1/s"));
    assert_eq!(rate(world.settings(&["--config", "/dev/null"])), None);
}

#[test]
fn a_named_config_file_must_be_there_and_be_readable() {
    let args = |name| [BASE, &["--config", name]].concat();
    for name in ["missing.toml", ".", "latin.toml"] {
        let world = World::new();
        fs::write(world.folder.path().join("latin.toml"), b"# a\n# caf\xe9\n").unwrap();
        let error = world.error(&args(name));
        assert_eq!(error.exit(), Exit::Config);
        assert!(error.to_string().contains(name), "{error}");
    }
    let world = World::new();
    fs::write(world.folder.path().join("config.toml"), b"# a\n# caf\xe9\n").unwrap();
    assert!(world.error(BASE).to_string().contains("line 2 is not valid UTF-8"));
}

#[test]
fn a_wrong_value_ends_with_2_from_an_option_or_variable_and_78_from_the_file() {
    let error = World::new().error(&[BASE, &["--rate", "5"]].concat());
    assert_eq!(error.to_string(), "--rate: `5` is not a rate: write 200/s, 600/m or 5000/h");
    assert_eq!(error.exit(), Exit::Usage);
    let error = World::new().env("SKUFETCH_RATE", "5").error(BASE);
    assert_eq!(error.to_string(), "SKUFETCH_RATE: `5` is not a rate: write 200/s, 600/m or 5000/h");
    assert_eq!(error.exit(), Exit::Usage);
    let error = World::new().file("\n[pace]\nrate = 5").error(BASE);
    assert_eq!(error.to_string(), "config.toml:3:8: rate: `5` is not a rate: write 200/s, 600/m or 5000/h");
    assert_eq!(error.exit(), Exit::Config);
}

#[test]
fn every_setting_but_free_text_refuses_what_it_cannot_have() {
    let wrong = |name: &str| match name {
        "key" | "url" | "body" | "ca-cert" | "proxy" | "rate-store" | "output" | "select" | "refused-if"
        | "null-if" | "retry-if" | "fail-if" | "bulk-items" | "bulk-key" | "item" | "separator" | "next"
        | "join" | "token-command" | "token-url" | "client-id" | "client-secret" | "scope" | "token-file"
        | "journal-dir" => "",
        "token-field" => "no sign",
        "failed" | "changes" => "-",
        "header" => "no colon",
        "method" => "G E T",
        _ => "???",
    };
    for setting in all() {
        let (table, name, takes) = (setting.table, setting.name, setting.takes);
        let args = beside(name);
        if takes != Takes::Flag {
            let option = on_the_line(name, takes, wrong(name));
            let option: Vec<_> = args.iter().copied().chain(option.iter().map(String::as_str)).collect();
            let error = World::new().error(&option);
            assert!(error.to_string().starts_with(&format!("--{name}: ")), "{error}");
            assert_eq!(error.exit(), Exit::Usage, "{name}");
        }
        if wrong(name).is_empty() {
            continue;
        }
        let error = World::new().env(&setting.variable(), wrong(name)).error(&args);
        assert!(error.to_string().starts_with(&format!("{}: ", setting.variable())), "{error}");
        assert_eq!(error.exit(), Exit::Usage, "{name}");
        let text = in_a_file(table, name, takes, wrong(name)).replace("= ???", "= '???'");
        let error = World::new().file(&text).error(&args);
        assert!(error.to_string().starts_with("config.toml:2:"), "{error}");
        assert_eq!(error.exit(), Exit::Config, "{name}");
    }
}

#[test]
fn an_address_and_an_output_are_required() {
    let error = World::new().error(&["in.csv"]);
    assert_eq!(error.exit(), Exit::Usage);
    assert!(
        matches!(&error, ConfigError::MissingUrl { input: InputPath::File(path), output_missing: true, bare: true, .. }
            if path.to_str() == Some("in.csv")),
        "{error:?}"
    );
    let error = World::new().error(&["-", "-o", "-"]);
    assert!(matches!(
        error,
        ConfigError::MissingUrl { input: InputPath::Stdin, output_missing: false, bare: false, .. }
    ));
    let error = World::new().error(&["in.csv", "--url", "http://a"]);
    assert!(matches!(error, ConfigError::MissingOutput { has_query: false }) && error.exit() == Exit::Usage);
    let file = "[request]\nurl = 'http://a/{sku}'\n[output]\noutput = '-'";
    assert_eq!(World::new().file(file).run(&["in.csv"]).unwrap().output.target, Target::Stdout);
    assert_eq!(World::new().error(&["", "-o", "-"]).exit(), Exit::Usage);
}

#[test]
fn the_failure_file_is_beside_the_output_unless_named() {
    let failed = |args: &[&str]| {
        let args = [&["in.csv", "-u", "http://a"], args].concat();
        World::new().run(&args).unwrap().output.failed.map(|path| path.display().to_string())
    };
    assert_eq!(failed(&["-o", "out.json"]).as_deref(), Some("out.failed.csv"));
    assert_eq!(failed(&["-o", "a/b.c.json"]).as_deref(), Some("a/b.c.failed.csv"));
    assert_eq!(failed(&["-o", "out"]).as_deref(), Some("out.failed.csv"));
    assert_eq!(failed(&["-o", "-"]), None);
    assert_eq!(failed(&["-o", "-", "--failed", "f.csv"]).as_deref(), Some("f.csv"));
}

#[cfg(feature = "demo")]
#[test]
fn a_demo_needs_no_address_and_takes_none() {
    let settings = World::new().run(&["in.csv", "-o", "out.json", "--demo"]).unwrap();
    assert!(settings.request.url.contains("demo") && settings.demo.is_some());
    let error = World::new().error(&[BASE, &["--demo"]].concat());
    assert_eq!(error.exit(), Exit::Usage);
    let world = World::new().file("[request]\nurl = 'http://canary'");
    let error = world.error(&["in.csv", "-o", "out.json", "--demo"]);
    assert!(error.to_string().contains("config.toml:2:7: url") && !error.to_string().contains("canary"));
    let idle = World::new().error(&[BASE, &["--demo-rate", "5/s"]].concat());
    assert!(idle.to_string().starts_with("--demo-rate: "), "{idle}");
    assert!(World::new().file("[run]\ndemo-rate = '5/s'").settings(&[]).demo.is_none());
}

#[test]
fn settings_that_do_not_go_together_are_refused_with_what_to_do() {
    let cases: &[&[&str]] = &[
        &["--prune"],
        &["--merge", "--prune", "--limit", "3"],
        &["--select", ".a", "--body-as", "text"],
        &["--failed", "out.json"],
        &["--failed", "./out.json"],
    ];
    for extra in cases {
        let error = World::new().error(&[BASE, extra].concat());
        assert_eq!(error.exit(), Exit::Usage, "{extra:?}");
        assert!(error.hint().is_some_and(|hint| !hint.is_empty()), "{extra:?}");
    }
    let url = ["-u", "http://a/{sku}"];
    let whole: &[&[&str]] = &[
        &["in.csv", "-o", "-", "--merge"],
        &["in.csv", "-o", "-", "--changes", "c.jsonl"],
        &["in.csv", "-o", "-", "--stream"],
        &["in.csv", "-o", "out.jsonl", "--stream"],
        &["in.csv", "-o", "out.json", "--changes", "in.csv"],
        &["out.json", "-o", "out.json"],
        &["in.csv", "-o", "x/../"],
    ];
    for args in whole {
        assert_eq!(World::new().error(&[args, &url[..]].concat()).exit(), Exit::Usage, "{args:?}");
    }
    assert_eq!(World::new().file("[output]\nprune = true").error(BASE).exit(), Exit::Config);
    let both = World::new().file("[output]\nprune = true").env("SKUFETCH_MERGE", "no").error(BASE);
    assert_eq!(both.exit(), Exit::Usage);
}

#[test]
fn the_failure_file_may_be_the_input_and_harmless_company_is_taken() {
    let args = ["out.failed.csv", "-u", "http://a/{sku}", "-o", "out.json", "--merge"];
    assert!(World::new().run(&args).is_ok());
    World::new().settings(&["--burst", "5"]);
    World::new().settings(&["--body-as", "text", "--select", "."]);
    assert!(World::new().run(&["in.csv", "-u", "http://a", "-o", "-", "--fresh"]).is_ok());
}

#[cfg(unix)]
#[test]
fn two_names_of_one_file_are_seen_through() {
    let world = World::new().named("real.csv", "sku\n1\n");
    std::os::unix::fs::symlink("real.csv", world.folder.path().join("link.csv")).unwrap();
    let error = world.error(&["real.csv", "-u", "http://a", "-o", "link.csv"]);
    assert!(error.to_string().starts_with("--output: this is INPUT itself"), "{error}");
    let error =
        world.named("config.toml", "[output]\noutput = 'link.csv'").error(&["real.csv", "-u", "http://a"]);
    assert_eq!(error.exit(), Exit::Usage);
}

#[cfg(unix)]
#[test]
fn paths_need_not_be_text_and_text_must_be() {
    use std::os::unix::ffi::OsStringExt as _;
    let odd = OsString::from_vec(b"\xff.json".to_vec());
    let args = |option: &str| -> Vec<OsString> {
        let base = ["skufetch", "in.csv", "--url", "http://a", option].map(OsString::from);
        base.into_iter().chain([odd.clone()]).collect()
    };
    let cwd = TempDir::new().unwrap();
    let load = |args: Vec<OsString>| load(args.into_iter(), &Environment::default(), cwd.path());
    let Ok(Invocation::Fetch(settings)) = load(args("-o")) else { panic!("the path was refused") };
    assert_eq!(settings.output.target, Target::File(odd.clone().into()));
    let error = load(args("--key")).unwrap_err();
    assert_eq!(error.to_string(), "--key: the value is not valid UTF-8");
    let env: Environment = [(OsString::from("SKUFETCH_HEADER"), odd.clone())].into_iter().collect();
    assert!(super::load(args("-o").into_iter(), &env, cwd.path()).is_err());
}

#[test]
fn what_to_do_about_a_config_file_depends_on_why_it_cannot_be_read() {
    let hint = |kind: io::ErrorKind| {
        ConfigError::Unreadable { path: "/etc/skufetch/prices.toml".into(), why: kind.into() }.hint().unwrap()
    };
    assert_eq!(hint(io::ErrorKind::PermissionDenied), "give the user that this runs as the right to read it");
    assert_eq!(hint(io::ErrorKind::NotFound), "--config FILE names another one");
}

#[test]
fn a_body_is_read_from_its_file_and_the_error_names_the_file() {
    let world = World::new().named("body.json", "{\"sku\":\"{sku}\"}\n");
    let settings = world.settings(&["--body", "@body.json"]);
    assert_eq!(settings.request.body.clone().unwrap(), "{\"sku\":\"{sku}\"}\n");
    assert_eq!(settings.request.method(), http::Method::POST);
    assert_eq!(world.settings(&["--body", "@body.json", "-X", "put"]).request.method(), http::Method::PUT);
    let error = world.error(&[BASE, &["--body", "@none.json"]].concat());
    assert!(error.to_string().starts_with("--body: the file none.json cannot be read"), "{error}");
    let error = World::new().file("[request]\nbody = '@none.json'").error(BASE);
    assert_eq!(error.exit(), Exit::Config);
    for wrong in ["@", "@-"] {
        assert_eq!(world.error(&[BASE, &["--body", wrong]].concat()).exit(), Exit::Usage);
    }
}

#[test]
fn no_secret_is_shown_by_settings_or_by_any_error() {
    let args = [
        "in.csv",
        "-o",
        "out.json",
        "--url",
        "http://canary@a/{sku}?token=canary",
        "-H",
        "X-Key: canary",
        "--body",
        "canary",
        "--proxy",
        "http://canary:canary@p",
    ];
    let settings = World::new().run(&args).unwrap();
    assert!(!format!("{settings:?} {settings:#?}").contains("canary"));
    assert!(!format!("{:?}", Invocation::Fetch(Box::new(settings))).contains("canary"));
    let wrong: &[&[&str]] = &[
        &["--header", "Authorization:", "canary"],
        &["--header", "Authorization:", "Bearer", "canary"],
        &["--demo"],
        &["--prune"],
        &["-H", "canary"],
        &["-H", "canary canary: x"],
        &["-H", "X-Key: canary\u{1}"],
        &["--rate", "5"],
    ];
    for extra in wrong {
        let error = World::new().error(&[&args, *extra].concat());
        let hint = error.hint().unwrap_or_default();
        assert!(!format!("{error} {error:?} {error:#?} {hint}").contains("canary"), "{error:?}");
    }
    let world = World::new().env("SKUFETCH_HEADER", "canary").env("API_TOKEN", "canary");
    assert!(!format!("{:?}", world.error(BASE)).contains("canary"));
}

#[test]
fn a_misspelt_variable_is_a_warning() {
    let settings = World::new().env("SKUFETCH_RAET", "5/s").settings(&[]);
    assert!(settings.warnings[0].contains("SKUFETCH_RATE has"), "{:?}", settings.warnings);
}

#[test]
fn defaults_are_those_of_the_contract() {
    let settings = World::new().settings(&[]);
    assert_eq!(settings.pace.concurrency, Concurrency::default());
    assert_eq!((settings.pace.rate, settings.pace.burst.get(), settings.run.max_time), (None, 1, None));
    assert_eq!(
        (settings.connection.timeout.as_secs(), settings.connection.connect_timeout.as_secs()),
        (30, 10)
    );
    assert_eq!((settings.retry.retries, settings.pace.max_retry_after.as_secs()), (4, 300));
    for status in [408, 425, 429, 500, 502, 503, 504, 522, 524] {
        assert!(settings.output.retry_on.contains(status));
    }
    assert!(!settings.output.retry_on.contains(501) && settings.output.null_on.is_empty());
    assert_eq!((settings.response.max_body.0, settings.response.select.as_str()), (10 << 20, "."));
    assert_eq!((settings.run.min_success.to_string().as_str(), settings.output.merge), ("50%", false));
    assert_eq!(settings.retry.follow.to_string(), "same-origin");
    assert_eq!((settings.output.lock_wait.as_secs(), settings.output.max_age), (0, None));
}

/// The `config.toml` at the top of the repository.
#[cfg(feature = "demo")]
const CONFIG_TOML: &str = include_str!("../../config.toml");

/// It without the comment marks before keys.
#[cfg(feature = "demo")]
fn uncommented() -> String {
    let lines = CONFIG_TOML.lines().map(|line| match line.strip_prefix('#') {
        Some(key) if key.starts_with(|c: char| c.is_ascii_lowercase()) => key,
        _ => line,
    });
    lines.fold(String::new(), |text, line| text + line + "\n")
}

#[cfg(feature = "demo")]
#[test]
fn config_toml_holds_every_key_in_its_table_and_order_and_sets_none() {
    let expected: Vec<String> = options::SETTINGS
        .iter()
        .flat_map(|(table, keys)| {
            [format!("[{}]", table.name())].into_iter().chain(keys.iter().map(|key| key.name.to_owned()))
        })
        .collect();
    let found: Vec<String> = uncommented()
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split(" = ").next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(found, expected);
    assert_eq!(shown(&World::new().file(CONFIG_TOML).settings(&[])), shown(&World::new().settings(&[])));
    assert!(World::new().file(CONFIG_TOML).settings(&[]).origins.values().all(|o| o.exit() == Exit::Usage));
}

#[cfg(feature = "demo")]
#[test]
fn config_toml_uncommented_is_exactly_the_defaults() {
    let world = World::new().file(&uncommented());
    assert_eq!(shown(&world.settings(&[])), shown(&World::new().settings(&[])));
    let demo: &[&str] = &["in.csv", "-o", "out.json", "--demo"];
    assert_eq!(shown(&world.run(demo).unwrap()), shown(&World::new().run(demo).unwrap()));
    assert!(matches!(world.error(&["in.csv"]), ConfigError::MissingUrl { .. }));
}

#[cfg(feature = "demo")]
#[test]
fn config_toml_writes_each_default_as_the_help_does() {
    for setting in all() {
        let prefix = format!("#{} = ", setting.name);
        let line = CONFIG_TOML.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap();
        let value = line.trim_matches('"').replace("[]", "");
        assert_eq!(value, setting.default, "{}", setting.name);
    }
}
