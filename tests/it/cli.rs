//! The first minute: what a new user sees, or one who mistypes something. Every
//! message says what, where and why, and what to type.

use crate::support::{Ended, Run, ScriptedServer, WorkDir, closed_port};

/// A folder with an input of two columns, of which none is called `sku` by chance.
fn shop() -> WorkDir {
    let dir = WorkDir::new();
    dir.write("products.csv", "sku,region\nA-1,eu\nB-2,us\n");
    dir
}

#[track_caller]
fn refused(dir: &WorkDir, args: &[&str], code: i32) -> String {
    let ended = Run::new(dir).args(args).finish().expect_code(code);
    assert_eq!(ended.stdout(), "", "standard output carries data only");
    ended.stderr
}

/// One message, whose first line says what and where, and then what to do.
#[track_caller]
fn says(stderr: &str, what: &str, to_do: &str) {
    // The header is printed before the error.
    assert!(format!("\n{stderr}").contains(&format!("\nerror: {what}")), "{stderr}");
    assert!(stderr.contains(to_do), "{stderr}");
    assert_eq!(stderr.matches("error:").count(), 1, "{stderr}");
}

#[test]
fn without_an_argument_the_short_help_is_shown_on_standard_error_and_is_no_error_text() {
    let stderr = refused(&WorkDir::new(), &[], 2);
    assert!(stderr.starts_with("Ask an HTTP API once for every SKU in a CSV"), "{stderr}");
    assert!(stderr.contains("\nUsage: skufetch [OPTIONS] <INPUT>\n") && stderr.contains("Examples:"));
    assert!(stderr.trim_end().ends_with("skufetch --help"), "{stderr}");
}

#[test]
fn help_is_grouped_by_the_tables_of_the_config_file_and_has_examples() {
    let dir = WorkDir::new();
    let [short, long] = ["-h", "--help"].map(|option| {
        let ended = Run::new(&dir).args([option]).finish().expect_code(0);
        assert_eq!(ended.stderr, "");
        ended.stdout().to_owned()
    });
    let headings = |text: &str| -> Vec<String> {
        let is = |line: &&str| line.ends_with(':') && line.starts_with(|c: char| c.is_ascii_uppercase());
        text.lines().filter(is).map(|line| line.trim_end_matches(':').to_owned()).collect()
    };
    let tables = [
        "Commands",
        "Arguments",
        "Input",
        "Request",
        "Pace",
        "Retry",
        "Response",
        "Output",
        "Run",
        "Examples",
    ];
    assert_eq!(headings(&short), tables);
    assert_eq!(headings(&long)[..tables.len()], tables);
    assert!(long.len() * 2 > 3 * short.len() && long.contains("Exit codes:"));
    let widest = |text: &str| text.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(widest(&short) <= 100 && widest(&long) <= 100, "wide lines are hard to read");
}

#[test]
fn the_version_is_one_line_on_standard_output() {
    let dir = WorkDir::new();
    for option in ["-V", "--version"] {
        let ended = Run::new(&dir).args([option]).finish().expect_code(0);
        assert_eq!(ended.stdout(), format!("skufetch {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn without_a_url_it_says_exactly_what_to_type_with_a_column_that_is_there() {
    let dir = shop();
    dir.write("my list.csv", "article no\n4711\n");
    dir.write("two.csv", "name;item no\nBolt;4711\n");
    let typed = |args: &[&str]| refused(&dir, args, 2);
    let missing = "no address: --url is missing\n";
    says(
        &typed(&["products.csv"]),
        missing,
        "type: skufetch products.csv --url 'https://api.example.com/products/{sku}' -o out.json\n",
    );
    says(
        &typed(&["my list.csv"]),
        missing,
        "type: skufetch 'my list.csv' --url 'https://api.example.com/products/{article no}' -o out.json\n",
    );
    says(
        &typed(&["two.csv"]),
        missing,
        "type: skufetch two.csv --key 'item no' --url 'https://api.example.com/products/{sku}' -o out.json\n",
    );
    dir.write("out.failed.csv", "ean,name,_error,_status,_attempts\nA,B,late,,5\n");
    says(
        &typed(&["out.failed.csv"]),
        missing,
        "type: skufetch out.failed.csv --key ean --url 'https://api.example.com/products/{sku}' -o out.json --merge\n",
    );
    // Options may hold secrets, so they are not repeated; and what was typed need not be typed again.
    let kept = typed(&["products.csv", "-k", "region", "-o", "a.json", "-H", "X-Key: canary"]);
    says(&kept, missing, "add: --url 'https://api.example.com/products/{region}'\n");
    assert!(!kept.contains("canary") && !kept.contains("out.json"), "{kept}");
}

#[test]
fn the_command_that_is_proposed_in_place_of_a_missing_url_works() {
    let dir = shop();
    dir.write("my list.csv", "article no,name\n4711,Bolt\n");
    for input in ["products.csv", "my list.csv"] {
        let stderr = refused(&dir, &[input], 2);
        let (_, line) = stderr.split_once("or try the built-in API: skufetch ").expect(&stderr);
        let script = format!("exec \"$0\" {} --demo-latency 1ms --demo-failures 0", line.trim_end());
        Run::new(&dir).under(["sh", "-c", &script]).finish().expect_code(0);
        assert!(dir.has("out.json"));
    }
}

#[test]
fn an_input_that_cannot_be_read_is_reported_before_a_missing_url() {
    let dir = shop();
    let stderr = refused(&dir, &["porducts.csv"], 66);
    says(&stderr, "porducts.csv: there is no such file\n", "did you mean products.csv?\n");
    assert!(stderr.contains("then give the address, such as --url"), "{stderr}");
    let stderr = refused(&dir, &["tuen"], 66);
    says(&stderr, "tuen: there is no such file\n", "did you mean the command skufetch tune?\n");
    assert!(!stderr.contains("--url"), "{stderr}");
    // What runs leave is no list of SKUs to begin with, whatever it is called.
    dir.write("out.failed.csv", "sku,_error,_status,_attempts\nA,late,,5\n");
    dir.write("again.csv", "sku,_error,_status,_attempts\nA,late,,5\n");
    for name in ["out.json.journal", "out.json.lock", "out.json.state", "out.held.json"] {
        dir.write(name, "");
    }
    for typed in
        ["out.faild.csv", "agian.csv", "out.json.jornal", "out.json.lok", "out.json.stat", "out.heldd.json"]
    {
        let stderr = refused(&dir, &[typed, "--demo", "-o", "out.json"], 66);
        says(&stderr, &format!("{typed}: there is no such file\n"), "check the path");
    }
    dir.write("out.failed2.csv", "sku\nA\n");
    let stderr = refused(&dir, &["out.faild.csv", "--demo", "-o", "out.json"], 66);
    says(&stderr, "out.faild.csv: there is no such file\n", "did you mean out.failed2.csv?\n");
    let stderr = refused(&dir, &["nothing-like-it", "--demo", "-o", "out.json"], 66);
    says(&stderr, "nothing-like-it: there is no such file\n", "check the path; `-` reads standard input\n");
    let stderr = refused(&dir, &["-"], 2);
    says(
        &stderr,
        "no address: --url is missing",
        "give the address, such as --url 'https://api.example.com/products/{sku}'",
    );
}

#[test]
fn without_an_output_or_an_input_it_says_what_is_missing() {
    let dir = shop();
    let stderr = refused(&dir, &["products.csv", "-u", "http://localhost/{sku}"], 2);
    says(&stderr, "no place for the answers: --output is missing", "-o out.json");
    says(
        &refused(&dir, &["-o", "out.json"], 2),
        "INPUT is missing",
        "name a CSV file, or - for standard input",
    );
}

#[test]
fn a_mistyped_option_is_named_with_the_nearest_one() {
    let dir = shop();
    for (typed, meant) in [
        ("--raet", "--rate"),
        ("--concurency", "--concurrency"),
        ("--max_age", "--max-age"),
        ("--no-header", "--no-headers"),
        ("--retires", "--retries"),
        ("--worker", "--concurrency"),
        ("--workers", "--concurrency"),
        ("--threads", "--concurrency"),
        ("--jobs", "--concurrency"),
        ("--parallel", "--concurrency"),
        ("--rps", "--rate"),
        ("--user-agent", "--header 'User-Agent: NAME'"),
    ] {
        let stderr = refused(&dir, &["products.csv", typed, "5"], 2);
        let all = format!("error: there is no option {typed}\n  hint: did you mean {meant}?\n");
        assert_eq!(stderr, all);
    }
}

#[test]
fn a_column_that_is_not_there_is_named_with_the_nearest_one() {
    let dir = shop();
    let server = ScriptedServer::echo();
    let url = server.url("/{sku}?in={regoin}");
    let stderr = refused(&dir, &["products.csv", "-o", "o.json", "-u", &url], 65);
    says(&stderr, "the URL template uses the column `regoin`", "did you mean {region}?");
    assert!(stderr.contains("it has `sku`, `region`"), "{stderr}");
    let url = server.url("/{sku}");
    let stderr = refused(&dir, &["products.csv", "-o", "o.json", "-u", &url, "-k", "rgion"], 65);
    says(&stderr, "products.csv, line 1: no column is called `rgion`", "did you mean --key region?");
    assert!(stderr.contains("there are: `sku`, `region`"), "{stderr}");
    let stderr = refused(&dir, &["products.csv", "-o", "o.json", "-u", &url, "-H", "X-In: {Region}"], 65);
    says(&stderr, "the header x-in uses the column `Region`", "did you mean {region}?");
    assert_eq!(server.count(), 0);
    assert!(!dir.has("o.json"));
}

#[test]
fn a_file_without_a_column_called_sku_needs_the_option_key() {
    let dir = WorkDir::new();
    dir.write("products.csv", "id,ean\n1,x\n");
    let url = ScriptedServer::echo().url("/{sku}");
    let stderr = refused(&dir, &["products.csv", "-o", "o.json", "-u", &url], 65);
    says(&stderr, "products.csv, line 1: no column is called `sku`", "for example --key ean");
}

#[test]
fn a_template_that_makes_no_addresses_says_how_one_is_written() {
    let dir = shop();
    for (url, what, to_do) in [
        ("api.example.com/{sku}", "it does not begin with http:// or https://", "write the whole address"),
        ("http://localhost/products", "the request uses no column of the CSV", "put {sku} where"),
        (
            "http://{region}.example.com/{sku}",
            "a column may be used in the path",
            "end the host with a slash",
        ),
        ("http://localhost/{sku", "a `{` is never closed", "literal braces are written {{ and }}"),
        (
            "http://localhost/{sku}?k=${NOT_SET}",
            "the environment variable NOT_SET, which is not set",
            "set NOT_SET",
        ),
    ] {
        let stderr = refused(&dir, &["products.csv", "-o", "o.json", "-u", url], 2);
        says(&stderr, "", to_do);
        assert!(stderr.contains(what), "{stderr}");
    }
}

#[test]
fn an_unreachable_api_is_named_with_its_address_and_its_fault() {
    let dir = WorkDir::new();
    dir.write_skus((0..40).map(|n| format!("A-{n}")));
    dir.write("out.json", "old");
    let origin = format!("http://{}", closed_port());
    let stderr = refused(&dir, &["products.csv", "-o", "out.json", "-u", &format!("{origin}/{{sku}}")], 69);
    let line = format!("error: the API is unreachable at {origin}: Connection refused (os error 111)\n");
    assert!(stderr.contains(&line), "{stderr}");
    assert!(stderr.contains("check the host and port in --url"), "{stderr}");
    assert!(stderr.contains("nothing published; journal kept"), "{stderr}");
    assert_eq!(dir.read("out.json"), "old");
}

#[test]
fn a_wrong_place_for_input_or_output_is_reported_before_the_first_request() {
    let dir = shop();
    let server = ScriptedServer::echo();
    std::fs::create_dir(dir.path("folder")).unwrap();
    let url = server.url("/{sku}");
    for (input, output, code, what) in [
        ("nothing.csv", "o.json", 66, "nothing.csv: there is no such file"),
        ("products.csv/x", "o.json", 66, "products.csv/x: there is no such file"),
        ("folder", "o.json", 65, "folder: this is a folder, not a CSV file"),
        ("products.csv", "folder", 73, "cannot write folder: a folder has that name"),
        ("products.csv", "none/o.json", 73, "cannot write none/o.json: there is no folder none"),
        ("products.csv", "products.csv/o.json", 73, "cannot create products.csv/o.json"),
        ("products.csv", "products.csv", 2, "--output: this is INPUT itself"),
        ("products.csv", "folder/", 2, "--output: this is a folder"),
    ] {
        let stderr = refused(&dir, &[input, "-o", output, "-u", &url], code);
        says(&stderr, what, "");
    }
    assert_eq!(server.count(), 0);
    assert_eq!(dir.names(), ["folder", "products.csv"], "nothing is left behind");
}

#[test]
fn nothing_in_a_file_or_an_argument_reaches_the_terminal_unescaped() {
    let dir = WorkDir::new();
    dir.write("evil.csv", "a\u{1b}[31m,b\u{9b}2J\nx,y\n");
    let url = ScriptedServer::echo().url("/{sku}");
    let runs: [&[&str]; 4] = [
        &["evil.csv", "-o", "o.json", "-u", &url],
        &["evil.csv"],
        &["a\u{1b}[2J.csv", "-o", "o.json", "-u", &url],
        &["evil.csv", "--ra\u{1b}[31mte", "5"],
    ];
    for args in runs {
        let Ended { stderr, .. } = Run::new(&dir).args(args).finish();
        says(&stderr, "", "");
        assert!(!stderr.chars().any(|c| c.is_control() && c != '\n'), "{stderr:?}");
    }
}
