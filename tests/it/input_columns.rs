//! The key column and the columns of placeholders: by name, by number, and what is suggested where there is none. What
//! a hint prints is pasted into a shell here, as a person would.

use std::process::Command;
use std::thread;

use crate::input::keys;
use crate::support::{Ended, Run, ScriptedServer, WorkDir};

/// Runs over this file. `{path}` follows the address.
fn run(server: &ScriptedServer, dir: &WorkDir, path: &str, args: &[&str]) -> Ended {
    let url = server.url(path);
    Run::new(dir).args(["p.csv", "-o", "out.json", "-u", &url]).args(args).finish()
}

fn hint(ended: &Ended) -> &str {
    ended.stderr.split("hint: ").nth(1).unwrap_or_else(|| panic!("no hint: {}", ended.stderr)).trim_end()
}

/// The words that follow `--key` in a hint, as a POSIX shell takes them.
fn pasted(hint: &str, option: &str) -> Vec<String> {
    let (_, words) = hint.split_once(option).unwrap_or_else(|| panic!("no {option}: {hint}"));
    let words = words.split(" or --").next().unwrap().trim_end_matches('?');
    let script = format!("printf '%s\\n' {option}{words}");
    let out = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert!(out.status.success(), "{script}");
    String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn the_key_is_found_by_exact_name_then_without_case_and_spaces_or_by_number() {
    for (csv, args, expected) in [
        ("name, Sku \nx,A\n", &[][..], "A"),
        ("name,\u{a0}SKU\u{a0}\nx,A\n", &[], "A"),
        ("name,\u{feff}sku\nx,A\n", &[], "A"),
        ("SKU,sku\nA,B\n", &[], "B"),
        ("name,Artikel Nr\nx,A\n", &["-k", "ARTIKELNR"], "A"),
        ("Référence\u{a0}produit,b\nA,x\n", &["-k", "référence produit"], "A"),
        ("sku,name,sku\nA,x,B\n", &["-k", "#3"], "B"),
        ("#3,name,c\nA,x,B\n", &["-k", "#3"], "A"),
        ("#3,name,c\nA,x,B\n", &["-k", "#03"], "B"),
        ("x,A\ny,A\n", &["--no-headers", "-k", "#2"], "A"),
        ("article,\nA,\n", &[], "A"),
    ] {
        let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
        dir.write("p.csv", csv);
        run(&server, &dir, "/{sku}", args).expect_code(0);
        assert_eq!(keys(&dir.read("out.json")), [expected], "{csv:?} {args:?}");
    }
}

#[test]
fn what_the_hint_suggests_can_be_pasted_and_leads_to_the_right_column() {
    let cases = [
        ("Handle,Title,Variant SKU\nh,t,A\n", &[][..]),
        ("ID,Type,Parent SKU,Name,Artikel-Nr.\n1,x,,n,A\n", &["-k", "Sache"]),
        ("Marke;Bezeichnung;Bestellnummer;EAN\nM;B;A;4006381333931\n", &[]),
        ("Marca,Nombre,Código de artículo\nM,N,A\n", &["-k", "numero"]),
        ("Бренд,Артикул,Цена\nB,A,1\n", &[]),
        ("Marque,\tRéférence produit\nM,A\n", &[]),
        ("Marque,\tRéférence produit\nM,A\n", &["-k", "Réference-produits"]),
        ("brand,Item\u{a0}number\nM,A\n", &["-k", "part"]),
        ("brand,seller's SKU $HOME `x`\nM,A\n", &[]),
        ("brand,-sku-id\nM,A\n", &["-k", "id-of-sku"]),
        ("brand,\u{1b}gtin\nM,A\n", &["-k", "none"]),
        ("brand,\"SKU\nno\"\nM,A\n", &["-k", "none"]),
        ("title,asin1,mpn\nM,A,9\n", &["-k", "none"]),
    ];
    thread::scope(|scope| {
        for (csv, args) in cases {
            scope.spawn(move || {
                let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
                dir.write("p.csv", csv);
                let ended = run(&server, &dir, "/{sku}", args).expect_code(65);
                assert_eq!(server.connections(), 0, "{csv:?}");
                assert!(!ended.stderr.contains(['\u{1b}', '\t']), "{}", ended.stderr);
                let words = pasted(hint(&ended), "--key");
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let dry = run(&server, &dir, "/{sku}", &[&words[..], &["--dry-run"]].concat());
                dry.expect_code(0);
                run(&server, &dir, "/{sku}", &words).expect_code(0);
                assert_eq!(keys(&dir.read("out.json")), ["A"], "{csv:?} {words:?}");
            });
        }
    });
}

#[test]
fn where_no_column_is_likely_there_is_a_list_and_no_example() {
    let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
    dir.write("p.csv", "Handle,Title\nh,t\n");
    let ended = run(&server, &dir, "/{sku}", &[]).expect_code(65);
    assert!(ended.stderr.contains("there are: `Handle`, `Title`"), "{}", ended.stderr);
    assert!(!hint(&ended).contains("Handle") && hint(&ended).contains("--key"), "{}", ended.stderr);
    dir.write("p.csv", "A-001,Shirt,9.90\nA-002,Hat,5\n");
    let ended = run(&server, &dir, "/{sku}", &[]).expect_code(65);
    assert!(hint(&ended).starts_with("is line 1 a header?"), "{}", ended.stderr);
    assert!(hint(&ended).contains("--no-headers"), "{}", ended.stderr);
    dir.write("p.csv", "Stock,list\nof,today\n\nName, SKU\nx,A\n");
    let ended = run(&server, &dir, "/{sku}", &[]).expect_code(65);
    assert!(hint(&ended).contains("--skip-lines 3"), "{}", ended.stderr);
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_number_out_of_range_is_an_error_that_says_how_many_columns_there_are() {
    let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
    dir.write("p.csv", "sku,name,sku\nA,x,B\n");
    for (path, args) in [
        ("/{sku}", &["-k", "#4"][..]),
        ("/{sku}", &["-k", "#0"]),
        ("/{#4}", &["-k", "#3"]),
        ("/{sku}", &["-k", "#3", "-H", "X: {#7}"]),
        ("/{sku}", &["-k", "#3", "--body", "{\"a\":\"{#99}\"}"]),
    ] {
        let ended = run(&server, &dir, path, args).expect_code(65);
        assert!(ended.stderr.contains("3 columns"), "{}", ended.stderr);
    }
    let ended = run(&server, &dir, "/{sku}", &[]).expect_code(65);
    assert_eq!(hint(&ended), "say which: --key '#1' or --key '#3'");
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_column_is_named_by_number_in_address_headers_and_body() {
    let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
    dir.write("p.csv", "sku,name,sku,a}b\nA,x,B,brace\n");
    let args = ["-k", "#1", "-H", "X-Third: {#3}", "--body", "{\"n\":\"{#4}\",\"t\":\"{{#2}}\",\"o\":{}}"];
    run(&server, &dir, "/{#3}?key={sku}&n={#4}", &args).expect_code(0);
    let seen = &server.requests()[0];
    assert_eq!(seen.path(), "/B");
    assert_eq!(seen.query_value("key").unwrap(), b"A");
    assert_eq!(seen.query_value("n").unwrap(), b"brace");
    assert_eq!(seen.header("x-third"), Some("B"));
    assert_eq!(seen.body, b"{\"n\":\"brace\",\"t\":\"{#2}\",\"o\":{}}");
    assert_eq!(keys(&dir.read("out.json")), ["A"]);
}

#[test]
fn a_missing_placeholder_leads_to_one_that_can_be_pasted() {
    let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
    for (header, path, placeholder) in [
        ("sku,Region", "/{region}", "{Region}"),
        ("sku,Region\u{a0}", "/{region}", "{#2}"),
        ("sku,\tRégion", "/{région}", "{#2}"),
        ("sku,the region", "/{region}", "{the region}"),
        ("article,sku code", "/{SKU}", "{sku code}"),
    ] {
        dir.write("p.csv", format!("{header}\nA,B\n"));
        let key = ["-k", "#1"];
        let ended = run(&server, &dir, path, &key).expect_code(65);
        assert!(hint(&ended).starts_with(&format!("did you mean {placeholder}?")), "{}", ended.stderr);
        run(&server, &dir, &format!("/{placeholder}"), &key).expect_code(0);
        assert_eq!(server.requests().last().unwrap().path(), "/B", "{header:?}");
    }
}
