//! Option, environment, config file, default: which one counts, where the file is looked for, and what
//! is said of a name or a value that is wrong.

use std::fs;

use crate::support::{Ended, Reply, Run, ScriptedServer, WorkDir};

fn shop() -> WorkDir {
    let dir = WorkDir::new();
    dir.write("products.csv", "sku,region\nA,eu\n");
    dir
}

/// Runs with `-o out.json` and the rest.
#[track_caller]
fn fetch(dir: &WorkDir, args: &[&str], env: &[(&str, &str)]) -> Ended {
    let run = Run::new(dir).args(["products.csv", "-o", "out.json"]).args(args);
    env.iter().fold(run, |run, (name, value)| run.env(name, value)).finish()
}

/// The last request.
fn path(server: &ScriptedServer) -> String {
    server.requests().last().unwrap().path().to_owned()
}

#[test]
fn an_option_beats_the_environment_which_beats_the_file_which_beats_the_default() {
    let (server, dir) = (ScriptedServer::echo(), shop());
    let (option, variable, file) =
        (server.url("/option/{sku}"), server.url("/env/{sku}"), server.url("/file/{sku}"));
    dir.write("config.toml", format!("[request]\nurl = \"{file}\"\nmethod = \"PUT\"\n"));
    fetch(&dir, &[], &[]).expect_code(0);
    assert_eq!((path(&server), server.requests()[0].method.as_str()), ("/file/A".into(), "PUT"));
    fetch(&dir, &[], &[("SKUFETCH_URL", &variable)]).expect_code(0);
    assert_eq!(path(&server), "/env/A");
    fetch(&dir, &["--url", &option], &[("SKUFETCH_URL", &variable)]).expect_code(0);
    assert_eq!(path(&server), "/option/A");
    // Setting by setting: the method is still the file's.
    assert_eq!(server.requests()[2].method, "PUT");
}

#[test]
fn a_flag_can_be_taken_back_by_the_environment_and_an_empty_variable_is_not_set() {
    let (server, dir) = (ScriptedServer::echo(), shop());
    let url = server.url("/{1}");
    dir.write(
        "config.toml",
        format!("[input]\nkey = \"1\"\nno-headers = true\n[request]\nurl = \"{url}\"\n"),
    );
    fetch(&dir, &[], &[("SKUFETCH_NO_HEADERS", "")]).expect_code(0);
    assert_eq!(server.count(), 2, "the header is a row");
    let by_name = server.url("/{sku}");
    fetch(&dir, &["-u", &by_name, "-k", "sku"], &[("SKUFETCH_NO_HEADERS", "false")]).expect_code(0);
    assert_eq!(server.count(), 3);
}

#[test]
fn headers_are_taken_from_one_place_as_an_array_or_one_to_a_line() {
    let (server, dir) = (ScriptedServer::echo(), shop());
    let url = server.url("/{sku}");
    dir.write("config.toml", "[request]\nheader = ['X-A: file', 'X-B: {region}']\n");
    let lines = ("SKUFETCH_HEADER", "X-A: env\n\nX-C: ${TOKEN}\n");
    let seen = |args: &[&str], env: &[(&str, &str)]| {
        fetch(&dir, &[&["-u", &url], args].concat(), env).expect_code(0);
        let seen = server.requests().last().unwrap().clone();
        ["x-a", "x-b", "x-c"].map(|name| seen.header(name).unwrap_or("-").to_owned())
    };
    assert_eq!(seen(&[], &[]), ["file", "eu", "-"]);
    assert_eq!(seen(&[], &[lines, ("TOKEN", "t0p")]), ["env", "-", "t0p"]);
    assert_eq!(seen(&["-H", "X-A: option"], &[lines]), ["option", "-", "-"]);
}

#[test]
fn one_file_is_read_the_named_one_else_that_of_the_folder_else_that_of_the_person() {
    let (server, dir) = (ScriptedServer::echo(), shop());
    let config = |name: &str, value: &str| {
        dir.write(name, format!("[request]\nurl = \"{}\"\n", server.url(&format!("/{value}/{{sku}}"))));
    };
    for folder in ["xdg/skufetch", ".config/skufetch"] {
        fs::create_dir_all(dir.path(folder)).unwrap();
    }
    let xdg = dir.path("xdg").to_str().unwrap().to_owned();
    config(".config/skufetch/config.toml", "home");
    fetch(&dir, &[], &[]).expect_code(0);
    assert_eq!(path(&server), "/home/A");
    config("xdg/skufetch/config.toml", "xdg");
    fetch(&dir, &[], &[("XDG_CONFIG_HOME", &xdg)]).expect_code(0);
    assert_eq!(path(&server), "/xdg/A");
    config("config.toml", "folder");
    fetch(&dir, &[], &[("XDG_CONFIG_HOME", &xdg)]).expect_code(0);
    assert_eq!(path(&server), "/folder/A");
    config("other.toml", "named");
    fetch(&dir, &["--config", "other.toml"], &[("XDG_CONFIG_HOME", &xdg)]).expect_code(0);
    assert_eq!(path(&server), "/named/A");
    // Never several: what the named one leaves out is not looked for elsewhere.
    let ended = fetch(&dir, &["--config", "/dev/null"], &[("XDG_CONFIG_HOME", &xdg)]).expect_code(2);
    assert!(ended.stderr.contains("--url is missing"), "{}", ended.stderr);
}

#[test]
fn a_named_file_must_be_there_and_be_readable() {
    let dir = shop();
    for (name, why) in [("none.toml", "No such file"), (".", "Is a directory")] {
        let ended = fetch(&dir, &["--demo", "--config", name], &[]).expect_code(78);
        assert!(
            ended.stderr_after_header().starts_with(&format!("error: the config file {name} cannot be read")),
            "{}",
            ended.stderr
        );
        assert!(ended.stderr.contains(why), "{}", ended.stderr);
    }
    dir.write("latin1.toml", b"[request]\n# caf\xe9\n");
    let ended = fetch(&dir, &["--demo", "--config", "latin1.toml"], &[]).expect_code(78);
    assert!(ended.stderr.contains("line 2 is not valid UTF-8"), "{}", ended.stderr);
}

#[test]
fn a_wrong_name_in_the_file_is_an_error_with_its_place_and_the_nearest_name() {
    let dir = shop();
    for (text, what, to_do) in [
        ("[pace]\nraet = 5\n", "config.toml:2:1: there is no key `raet` in [pace]", "did you mean `rate`?"),
        ("\n[pcae]\nrate = 5\n", "config.toml:2:2: there is no table `pcae`", "did you mean [pace]?"),
        (
            "[run]\nrate = '5/s'\n",
            "config.toml:2:1: there is no key `rate` in [run]",
            "`rate` belongs in [pace]",
        ),
        ("rate = '5/s'\n", "config.toml:1:1: `rate` is outside its table", "move it below [pace]"),
        ("[input]\nno_headers = true\n", "config.toml:2:1: there is no key `no_headers`", "`no-headers`"),
        (
            "[run]\nverbose = true\n",
            "config.toml:2:1: there is no key `verbose`",
            "option of the command line only",
        ),
        ("[pace]\nrate = \n", "config.toml:2:8: ", ""),
    ] {
        dir.write("config.toml", text);
        let ended = fetch(&dir, &["--demo"], &[]).expect_code(78);
        assert!(ended.stderr_after_header().starts_with(&format!("error: {what}")), "{}", ended.stderr);
        assert!(ended.stderr.contains(to_do), "{}", ended.stderr);
    }
    assert!(!dir.has("out.json"));
}

#[test]
fn a_variable_that_is_nearly_a_setting_is_warned_about() {
    let (server, dir) = (ScriptedServer::echo(), shop());
    let url = server.url("/{sku}");
    let ended =
        fetch(&dir, &["-u", &url], &[("SKUFETCH_RAET", "5/s"), ("SKUFETCH_CONFIG", "x.toml")]).expect_code(0);
    assert!(
        ended
            .stderr
            .contains("warning: SKUFETCH_RAET is not read: no setting has this name; SKUFETCH_RATE has")
    );
    assert!(
        ended.stderr.contains("SKUFETCH_CONFIG is not read: --config is an option only"),
        "{}",
        ended.stderr
    );
}

/// A setting, a value that it cannot have, and its table.
const WRONG: &[(&str, &str, &str)] = &[
    ("delimiter", ";;", "input"),
    ("quote", "ab", "input"),
    ("escape", "ab", "input"),
    ("encoding", "cp850", "input"),
    ("skip-lines", "x", "input"),
    ("no-headers", "perhaps", "input"),
    ("empty-key", "pad", "input"),
    ("short-rows", "skip", "input"),
    ("limit", "few", "input"),
    ("url", "ftp://localhost/{sku}", "request"),
    ("method", "GE T", "request"),
    ("body", "@none.json", "request"),
    ("body-escape", "html", "request"),
    ("timeout", "5", "request"),
    ("connect-timeout", "0s", "request"),
    ("follow", "everywhere", "request"),
    ("ca-cert", "none.pem", "request"),
    ("proxy", "${NOT_SET}", "request"),
    ("insecure", "2", "request"),
    ("http", "3", "request"),
    ("concurrency", "0", "pace"),
    ("rate", "5", "pace"),
    ("burst", "0", "pace"),
    ("max-time", "soon", "pace"),
    ("retries", "-1", "retry"),
    ("retry-on", "4o4", "retry"),
    ("max-retry-after", "x", "retry"),
    ("quota-fields", "on", "retry"),
    ("select", ".[", "response"),
    ("body-as", "xml", "response"),
    ("null-on", "", "response"),
    ("max-body", "0", "response"),
    ("format", "tsv", "output"),
    ("shape", "round", "output"),
    ("merge", "maybe", "output"),
    ("min-success", "101%", "output"),
    ("max-age", "old", "run"),
    ("wait-for-api", "1", "run"),
    ("shard", "3", "run"),
    ("run-id", "a/b", "run"),
    ("lock-wait", "1", "run"),
    ("progress", "br", "run"),
    ("log-format", "xml", "run"),
];

#[test]
fn a_wrong_value_ends_with_2_from_an_option_or_the_environment_and_with_78_from_the_file() {
    let (server, dir) = (ScriptedServer::echo(), shop());
    let url = server.url("/{sku}");
    for &(name, value, table) in WRONG {
        let has_url = name == "url";
        let run = |args: &[&str], env: &[(&str, &str)]| {
            let url: &[&str] = if has_url { &[] } else { &["-u", &url] };
            fetch(&dir, &[url, args].concat(), env)
        };
        let is_flag = ["no-headers", "insecure", "merge"].contains(&name);
        // -X names the method; the plan's words for a template name no option.
        let named = |stderr: &str, place: &str| {
            let message = if has_url { "the URL template" } else { place };
            assert!(stderr.contains("error: ") && stderr.contains(message), "{name}: {stderr}");
        };
        if !is_flag {
            let option = format!("--{name}={value}");
            named(&run(&[&option], &[]).expect_code(2).stderr, &format!("--{name}: "));
        }
        let variable = format!("SKUFETCH_{}", name.replace('-', "_").to_uppercase());
        if !value.is_empty() {
            named(&run(&[], &[(&variable, value)]).expect_code(2).stderr, &format!("{variable}: "));
        }
        dir.write("config.toml", format!("[{table}]\n{name} = '{value}'\n"));
        named(&run(&[], &[]).expect_code(78).stderr, &format!("config.toml:2:{}: {name}: ", name.len() + 4));
        fs::remove_file(dir.path("config.toml")).unwrap();
    }
    assert_eq!((server.count(), dir.has("out.json")), (0, false));
}

#[test]
fn a_template_in_the_file_that_is_badly_written_ends_with_78_and_a_column_that_lacks_with_65() {
    let (server, dir) = (ScriptedServer::echo(), shop());
    let url = server.url("/{sku}");
    for (text, code) in [
        ("header = ['X-A: {sku']", 78),
        ("header = ['X-A: ${NOT_SET}']", 78),
        ("header = ['Host: {sku}']", 78),
        ("header = ['X-A: {colour}']", 65),
        ("body = '${NOT_SET}'", 78),
    ] {
        dir.write("config.toml", format!("[request]\n{text}\n"));
        let ended = fetch(&dir, &["-u", &url], &[]);
        assert_eq!(ended.code, Some(code), "{text}: {}", ended.stderr);
        assert!(
            ended.stderr_after_header().starts_with("error: config.toml:2:"),
            "its place: {}",
            ended.stderr
        );
    }
    dir.write("config.toml", format!("[request]\nurl = '{url}'\n"));
    fetch(&dir, &["-H", "X-A: {sku"], &[]).expect_code(2);
    dir.write("config.toml", format!("[input]\nkey = 'colour'\n[request]\nurl = '{url}'\n"));
    fetch(&dir, &[], &[]).expect_code(65);
    assert_eq!(server.count(), 0);
}

#[test]
fn settings_that_contradict_each_other_are_refused_by_name() {
    let dir = shop();
    for (args, what) in [
        (&["--demo", "-u", "http://localhost/{sku}"][..], "--demo: the built-in API has its own address"),
        (&["--demo", "--prune"], "--prune: without --merge"),
        (&["--demo", "--merge", "--prune", "--limit", "3"], "--prune: every SKU beyond the limit"),
        (&["--demo", "--body-as", "text", "--select", ".a"], "--select: a jq filter selects from JSON"),
        (&["--demo", "--failed", "./out.json"], "--failed: the answers and the failed rows"),
        (
            &["-u", "http://localhost/{sku}", "--demo-rate", "5/s"],
            "--demo-rate: it does nothing without --demo",
        ),
        (&["--demo", "-q", "-v"], "--quiet and --verbose do not go together"),
        (&["--demo", "-c", "5", "-c", "6"], "--concurrency is given more than once"),
    ] {
        let ended = fetch(&dir, args, &[]).expect_code(2);
        assert!(ended.stderr.contains(what), "{}", ended.stderr);
    }
    let ended = Run::new(&dir).args(["products.csv", "-o", "-", "--merge", "--demo"]).finish().expect_code(2);
    assert!(
        ended.stderr.starts_with("error: --merge: standard output has no earlier answers"),
        "{}",
        ended.stderr
    );
}

#[test]
fn config_toml_as_it_is_shipped_changes_nothing() {
    let server = ScriptedServer::start(|seen| match seen.sku.as_str() {
        "GONE" => Reply::status(404),
        _ => Reply::echo(seen),
    });
    let run = |config: Option<&str>| {
        let dir = WorkDir::new();
        dir.write("products.csv", "sku;name\nA;x\nGONE;y\nB\nA;z\nC;v\nD;w\n");
        if let Some(text) = config {
            dir.write("config.toml", text);
        }
        fetch(&dir, &["-u", &server.url("/{sku}")], &[]).expect_code(1);
        (dir.read("out.json"), dir.read("out.failed.csv"))
    };
    let shipped = include_str!("../../config.toml");
    let without = run(None);
    assert_eq!(run(Some(shipped)), without);
    // And every default that it names is the default.
    let named: String = shipped
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if !key.starts_with(' ') && key.contains(" = ") => format!("{key}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    assert_ne!(named, shipped);
    assert_eq!(run(Some(&named)), without);
    // The same requests left each time, but for the order of those in flight together.
    let heads = |from: usize| {
        let mut heads: Vec<_> =
            server.requests()[from..from + 4].iter().map(|seen| seen.head.clone()).collect();
        heads.sort();
        heads
    };
    assert_eq!((server.count(), heads(0)), (12, heads(8)));
}
