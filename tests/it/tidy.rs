//! The house rules that the compiler does not know: imports go downward only, siblings never name each
//! other, and each outside power has one room.

use std::fs;
use std::path::{Path, PathBuf};

/// Rooms by floor, from the ground up; `demo` stands apart and names the words only.
const FLOORS: &[&[&str]] = &[
    &["model"],
    &["input", "json", "limit"],
    &["plan", "fetch", "collect", "report"],
    &["engine"],
    &["config"],
    &["commands"],
];

/// A name and the only places that may use it.
const DOORS: &[(&str, &[&str])] = &[
    ("reqwest::", &["fetch/transport.rs", "fetch/transport/"]),
    ("governor::", &["limit/"]),
    ("clap::", &["config/cli.rs", "config/cli/"]),
    ("clap_complete::", &["config/cli/"]),
    ("clap_mangen::", &["config/cli/"]),
    ("std::env::", &["config/", "main.rs"]),
    ("fs::rename", &["collect/"]),
    ("eprintln!", &[]),
    ("println!", &[]),
    ("tokio::spawn", &["demo/"]),
    ("spawn_blocking", &["engine/", "fetch/classify/offload.rs"]),
    ("thread::spawn", &[]),
    ("thread::Builder", &["engine/", "collect/", "demo/"]),
    ("process::exit", &["main.rs"]),
];

fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut open = vec![root.clone()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(found.len() > 40, "the walk found {} files only", found.len());
    let tests = test_files(&found);
    found.retain(|(name, _)| !tests.contains(name));
    found
}

/// Files that hold tests alone: what they do binds no room.
fn test_files(all: &[(String, String)]) -> Vec<String> {
    let mut tests = Vec::new();
    for (file, text) in all {
        let folder = match file.rsplit_once('/') {
            Some((folder, "mod.rs")) => folder,
            _ => file.trim_end_matches(".rs"),
        };
        let declared = text.match_indices("#[cfg(test)]\nmod ").filter_map(|(at, m)| {
            let (name, _) = text[at + m.len()..].split_once(';')?;
            name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_').then_some(name)
        });
        tests.extend(declared.map(|name| format!("{folder}/{name}.rs")));
    }
    tests
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&room))
}

/// The code without its tests and without comments.
fn code(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests").unwrap_or(text.len());
    text[..end].lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn rooms_named(code: &str) -> Vec<String> {
    let name = |rest: &str| -> String {
        rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
    };
    let mut rooms: Vec<String> =
        code.match_indices("crate::").map(|(at, m)| name(&code[at + m.len()..])).collect();
    for (at, m) in code.match_indices("use crate::{") {
        let list = &code[at + m.len()..];
        let list = &list[..list.find("};").unwrap_or(0)];
        rooms.extend(list.split(',').map(|part| name(part.trim())));
    }
    rooms
}

#[test]
fn imports_go_downward_only_and_siblings_never_name_each_other() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let room = file.split('/').next().unwrap();
        if file == "lib.rs" || file == "main.rs" {
            continue;
        }
        for named in rooms_named(&code(&text)) {
            let allowed = match (room, floor(room), floor(&named)) {
                _ if named == room => true,
                ("demo", _, Some(below)) => below == 0,
                ("commands", _, _) if named == "demo" => true,
                (_, Some(here), Some(below)) => below < here,
                _ => false,
            };
            if !allowed {
                wrong.push(format!("{file} names crate::{named}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_outside_power_has_one_room() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let code = code(&text);
        for (power, places) in DOORS {
            let used = code.match_indices(power).any(|(at, _)| {
                // `eprintln!` holds `println!`, and `std::env::` may follow a path of another crate.
                !code[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            });
            if used && !places.iter().any(|place| file.starts_with(place)) {
                wrong.push(format!("{file} uses {power}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<String> =
        sources().into_iter().filter(|(_, text)| !text.starts_with("//!")).map(|(file, _)| file).collect();
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}
