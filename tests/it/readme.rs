//! What README.md says is so: its examples run word for word, its tables agree with the program, and
//! every name in it exists. So do the files that CONTRIBUTING.md names.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::symlink;
use std::thread;

use skufetch::Exit;

use crate::support::page::{self, PageFolder};
use crate::support::{Run, WorkDir};

const README: &str = include_str!("../../README.md");
const CONFIG: &str = include_str!("../../config.toml");
const CONTRIBUTING: &str = include_str!("../../CONTRIBUTING.md");

/// The fenced blocks with exactly this tag.
fn blocks(tag: &str) -> Vec<&'static str> {
    page::blocks(README).into_iter().filter(|block| block.language == tag).map(|block| block.text).collect()
}

/// The help, and its options by heading.
fn help() -> (String, BTreeMap<String, BTreeSet<String>>) {
    let text = Run::new(&WorkDir::new()).args(["--help"]).finish().expect_code(0).stdout().to_owned();
    let mut options: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    let mut heading = String::new();
    for line in text.lines() {
        if let Some(name) = line.strip_suffix(':').filter(|name| !name.starts_with(' ')) {
            heading = name.to_lowercase();
        } else if line.starts_with("  -") || line.starts_with("      --") {
            let (_, name) = line.split_once("--").unwrap();
            let name = name.split([' ', '.']).next().unwrap().to_owned();
            options.entry(heading.clone()).or_default().insert(name);
        }
    }
    (text, options)
}

/// The words of a text that begin with this, each with what follows of letters, digits and these.
fn words<'a>(text: &'a str, prefix: &str, more: &str) -> BTreeSet<&'a str> {
    let part = |at: usize| {
        let rest = &text[at + prefix.len()..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !more.contains(c));
        &rest[..end.unwrap_or(rest.len())]
    };
    text.match_indices(prefix)
        .map(|(at, _)| part(at))
        .filter(|word| word.starts_with(char::is_alphanumeric))
        .collect()
}

/// Runs a block as a reader would in a clone, with this build in place of cargo's.
fn run(block: &str) {
    let folder = PageFolder::new(&[("cargo run --", "skufetch")]);
    let dir = &folder.dir;
    symlink(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures"), dir.path("fixtures")).unwrap();
    let ended = folder.run(block, &[("SKUFETCH_DEMO_LATENCY", "1ms")]);
    assert!(matches!(ended.code, Some(0 | 1)), "{block}\n{ended:?}");
    let words: Vec<&str> = block.split_whitespace().collect();
    let mut outputs =
        words.windows(2).filter(|pair| matches!(pair[0], "-o" | "--output")).map(|pair| pair[1]);
    if block.contains("--dry-run") {
        assert!(ended.stdout().starts_with("dry run: no request was sent"), "{block}\n{ended:?}");
        assert!(outputs.all(|output| !dir.has(output)), "{block}");
        return;
    }
    for output in outputs.by_ref().filter(|output| *output != "-") {
        page::expect_whole_output(dir, output);
        assert!(!dir.has(&format!("{output}.journal")), "{block}");
    }
    if block.contains("-o -") {
        assert!(ended.stdout().starts_with("{\"key\":"), "{block}\n{ended:?}");
    }
}

#[test]
fn every_example_that_can_be_run_here_runs_word_for_word_and_leaves_its_file() {
    let examples = blocks("sh");
    assert!(examples.len() >= 5, "{examples:?}");
    assert!(examples[0].starts_with("cargo run -- fixtures/products.csv -o out.json --demo"));
    // Two at a time, as each wants a processor.
    for pair in examples.chunks(2) {
        let running: Vec<_> = pair.iter().map(|&block| thread::spawn(move || run(block))).collect();
        for one in running {
            one.join().unwrap();
        }
    }
}

/// A line without its figures and their units, and without the reason of a verdict.
fn form(line: &str) -> String {
    let line = line.split_once("limited by: ").map_or(line, |_| "limited by: ");
    let word = |word: &str| match word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()) {
        number if number.starts_with(|c: char| c.is_ascii_digit()) => "#".to_owned(),
        "ms" | "s" | "µs" => String::new(),
        _ => word.to_owned(),
    };
    line.split(' ').map(word).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_terminal_that_is_shown_is_that_of_the_first_command() {
    let folder = PageFolder::new(&[("cargo run --", "skufetch")]);
    symlink(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures"), folder.dir.path("fixtures")).unwrap();
    let command = blocks("sh")[0];
    assert!(command.starts_with("cargo run -- "), "{command}");
    let ended = folder.run(command, &[("SKUFETCH_DEMO_LATENCY", "1ms")]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // Refusals come and go with the load of the machine, and so do lines about a run that takes long.
    let forms = |text: &str| -> Vec<_> {
        let lines = text.lines().filter(|line| !line.contains(" in flight · "));
        lines.map(|line| form(line).replace(" · # refused", "")).collect()
    };
    assert_eq!(forms(&ended.stderr), forms(blocks("text,terminal")[0]));
}

#[test]
fn the_command_for_the_tests_is_the_one_that_ci_runs() {
    assert_eq!(blocks("sh,tests"), ["cargo test"]);
    assert!(include_str!("../../.ci/run").lines().any(|line| line == "cargo test"));
}

/// All of them, each once: a new one does not compile until it is here.
fn exits() -> Vec<Exit> {
    let next = |exit: Exit| match exit {
        Exit::Complete => Some(Exit::SomeFailed),
        Exit::SomeFailed => Some(Exit::Usage),
        Exit::Usage => Some(Exit::Data),
        Exit::Data => Some(Exit::NoInput),
        Exit::NoInput => Some(Exit::Unavailable),
        Exit::Unavailable => Some(Exit::CannotCreate),
        Exit::CannotCreate => Some(Exit::Io),
        Exit::Io => Some(Exit::TryAgain),
        Exit::TryAgain => Some(Exit::HeldBack),
        Exit::HeldBack => Some(Exit::NoPermission),
        Exit::NoPermission => Some(Exit::Config),
        Exit::Config => Some(Exit::Signal(0)),
        Exit::Signal(_) => None,
    };
    std::iter::successors(Some(Exit::Complete), |exit| next(*exit)).collect()
}

#[test]
fn the_exit_codes_of_the_readme_and_of_the_help_are_those_of_the_program() {
    let shown = |exit: Exit| match exit {
        Exit::Signal(_) => format!("{}+n", exit.code()),
        _ => exit.code().to_string(),
    };
    let codes: Vec<String> = exits().into_iter().map(shown).collect();
    let (_, table) = README.split_once("| exit code | meaning |\n|---|---|\n").unwrap();
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    let in_readme: Vec<_> = rows.map(|row| row.split('|').nth(1).unwrap().trim()).collect();
    assert_eq!(in_readme, codes);
    let (help, _) = help();
    let (_, list) = help.split_once("Exit codes:\n").unwrap();
    let in_help: Vec<_> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(in_help, codes);
}

#[test]
fn every_option_of_the_help_is_in_config_toml_under_its_heading_and_no_other_key_is() {
    let (_, mut in_help) = help();
    in_help.remove("examples");
    for name in ["config", "verbose", "quiet", "help", "version"] {
        assert!(in_help.get_mut("run").unwrap().remove(name), "{name}");
    }
    let mut in_file: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut table = String::new();
    for line in CONFIG.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            name.clone_into(&mut table);
        } else if let Some((key, _)) = line.strip_prefix('#').and_then(|line| line.split_once(" = "))
            && key.starts_with(|c: char| c.is_ascii_lowercase())
        {
            assert!(in_file.entry(table.clone()).or_default().insert(key.to_owned()), "{key} twice");
        }
    }
    assert_eq!(in_file, in_help);
    let active = CONFIG.lines().filter(|line| !line.starts_with(['#', '[']) && !line.is_empty());
    assert_eq!(active.count(), 0, "as shipped it changes nothing");
}

#[test]
fn every_option_and_variable_that_the_readme_names_exists() {
    let (_, options) = help();
    let known: BTreeSet<&str> = options.values().flatten().map(String::as_str).collect();
    let of_cargo = BTreeSet::from(["release", "path", "locked"]);
    for name in words(README, "--", "-").difference(&of_cargo) {
        assert!(known.contains(name), "--{name} is in README.md and not in --help");
    }
    for variable in words(README, "SKUFETCH_", "_") {
        let name = variable.to_lowercase().replace('_', "-");
        assert!(known.contains(name.as_str()), "SKUFETCH_{variable}");
    }
}

/// The files that a page at the top of the repository links to.
fn linked(page: &'static str) -> impl Iterator<Item = &'static str> {
    let links = page.split("](").skip(1).map(|rest| rest.split([')', '#']).next().unwrap());
    links.filter(|link| !link.contains("://"))
}

#[track_caller]
fn all_are_there<'a>(names: impl Iterator<Item = &'a str>) {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in names {
        assert!(root.join(name).exists(), "{name}");
    }
}

#[test]
fn every_file_that_the_readme_links_to_or_fetches_from_is_there() {
    let fixtures = README.split_whitespace().filter(|word| word.starts_with("fixtures/"));
    all_are_there(linked(README).chain(fixtures));
}

#[test]
fn contributing_names_files_that_are_there_and_every_group_of_tests() {
    let quoted = CONTRIBUTING.split('`').filter(|text| text.contains('/') && !text.contains([' ', '\n']));
    let files: Vec<&str> = quoted.chain(linked(CONTRIBUTING)).collect();
    assert!(files.len() > 30, "{files:?}");
    all_are_there(files.into_iter());
    let groups =
        include_str!("main.rs").lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'));
    for group in groups {
        assert!(CONTRIBUTING.contains(&format!("`{group}`")), "{group} is not in the map of the tests");
    }
}
