//! Every kind of CSV has a small file in `fixtures/csv`, and one table says what is to be made of each:
//! `fixtures/csv/table.toml`. The plan of a dry run and the run itself must both be as the table has it.

use std::collections::BTreeSet;
use std::thread;

use serde::Deserialize;

use crate::input::{fixture, keys};
use crate::support::{Ended, Run, ScriptedServer, WorkDir};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    file: Vec<Entry>,
}

/// What the table says about a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Entry {
    name: String,
    about: String,
    #[serde(default)]
    options: Vec<String>,
    #[serde(default = "usual_path")]
    path: String,
    #[serde(default = "comma")]
    separated_by: String,
    #[serde(default = "doubled")]
    quoting: String,
    #[serde(default = "utf8")]
    encoding: String,
    #[serde(default = "yes")]
    header: bool,
    key: Option<String>,
    rows: Option<usize>,
    #[serde(default)]
    keys: Vec<String>,
    #[serde(default)]
    exit: i32,
    #[serde(default)]
    says: Vec<String>,
}

fn usual_path() -> String {
    "/{sku}".into()
}

fn comma() -> String {
    ",".into()
}

fn doubled() -> String {
    "doubled".into()
}

fn utf8() -> String {
    "UTF-8".into()
}

fn yes() -> bool {
    true
}

fn table() -> Vec<Entry> {
    let text = String::from_utf8(fixture("table.toml")).unwrap();
    toml::from_str::<Table>(&text).unwrap_or_else(|error| panic!("table.toml: {error}")).file
}

impl Entry {
    /// The first line of the plan.
    fn reading(&self) -> String {
        let quoting = match self.quoting.as_str() {
            "doubled" => "",
            "none" => " and not quoted",
            "single" => " and quoted by '",
            "backslash" => " and a quote in a cell is written \\\"",
            other => panic!("{}: quoting = {other:?}", self.name),
        };
        let encoding = if self.encoding == "UTF-8" { String::new() } else { format!(" ({})", self.encoding) };
        let (key, between) = (self.key.as_deref().expect("key"), &self.separated_by);
        format!(
            "{}, SKUs in column `{key}`; cells are separated by {between}{quoting}{encoding} rows ",
            self.name
        )
    }

    fn check(&self) {
        let (server, dir) = (ScriptedServer::echo(), WorkDir::new());
        dir.write(&self.name, fixture(&self.name));
        let url = server.url(&self.path);
        let base = [&*self.name, "-o", "out.json", "--min-success", "0", "-u", &url];
        let run = || Run::new(&dir).args(base).args(&self.options);
        let plan = run().args(["--dry-run"]).finish();
        assert_eq!(server.connections(), 0, "{}: a dry run sent a request", self.name);
        let ended = run().args(["-v"]).finish();
        let told = |ended: &Ended, what: &str| {
            let text = format!("{} {}", ended.stdout(), ended.stderr);
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(text.contains(what), "{} ({}): no {what:?} in:\n{text}", self.name, self.about);
        };
        let exit = if self.rows.is_none() { 65 } else { self.exit };
        for ended in [&plan, &ended] {
            assert_eq!(ended.code, Some(exit), "{} ({}): {}", self.name, self.about, ended.stderr);
            self.says.iter().for_each(|what| told(ended, what));
        }
        let Some(rows) = self.rows else {
            assert_eq!(server.connections(), 0, "{}: a request was sent", self.name);
            return;
        };
        assert_eq!(self.header, !self.options.iter().any(|option| option == "--no-headers"), "{}", self.name);
        told(&plan, &self.reading());
        let form = self.reading();
        let (_, form) = form.split_once("`; ").unwrap();
        told(&ended, form.trim_end_matches(" rows "));
        told(&plan, &format!(" rows {rows}: {} SKU", self.keys.len()));
        assert_eq!(keys(&dir.read("out.json")), self.keys, "{} ({})", self.name, self.about);
        let requested: BTreeSet<String> = server.requests().iter().map(|seen| seen.sku.clone()).collect();
        assert_eq!(requested, self.keys.iter().cloned().collect(), "{} ({})", self.name, self.about);
    }
}

#[test]
fn every_file_of_the_table_is_read_as_the_table_has_it() {
    let entries = table();
    let names: BTreeSet<_> = entries.iter().map(|entry| &entry.name).collect();
    assert!(names.len() >= 12, "{names:?}");
    // Some at a time: each runs the program twice.
    for some in entries.chunks(8) {
        thread::scope(|scope| {
            let running: Vec<_> = some.iter().map(|entry| scope.spawn(|| entry.check())).collect();
            let ended: Vec<_> = running.into_iter().map(thread::ScopedJoinHandle::join).collect();
            assert!(ended.iter().all(Result::is_ok), "see above");
        });
    }
}
