//! `skufetch completions` and `skufetch man`: what they print works in real shells, and reads without a
//! fault in real formatters. A shell or formatter that is not installed is left out, with a word on
//! standard error.

use std::path::Path;
use std::process::Command;

use crate::support::{Ended, Run, WorkDir, closed_pipe};

/// Whether there is such a program. Without it the test is skipped with a note, but fails in CI, where nobody reads
/// notes.
fn have(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if !there {
        let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
        assert!(!in_ci, "{program} is missing");
        println!("skipped: there is no {program} here");
    }
    there
}

/// A folder with `products.csv`, `other file.txt` and the script of this shell under this name.
fn with_script(shell: &str, name: &str) -> WorkDir {
    let dir = WorkDir::new();
    dir.write("products.csv", "sku\n1\n");
    dir.write("other file.txt", "");
    let ended = Run::new(&dir).args(["completions", shell]).finish().expect_code(0);
    assert_eq!(ended.stderr, "");
    dir.write(name, ended.stdout());
    dir
}

/// Runs the shell on a script of its own, with the line to complete as its argument.
#[track_caller]
fn complete(dir: &WorkDir, shell: &[&str], script: &str, arguments: &[&str]) -> Ended {
    // The program's own path is last, where no script reads it.
    let words = shell.iter().chain([&script]).chain(arguments);
    let ended = Run::new(dir).under(words).env("TERM", "xterm").finish();
    assert!(ended.code == Some(0), "{arguments:?}\n{ended:?}");
    ended
}

/// A line to complete; words among the candidates; words that are not.
const LINES: [(&str, &[&str], &[&str]); 11] = [
    ("skufetch --con", &["--concurrency", "--connect-timeout", "--config"], &["--rate", "products.csv"]),
    ("skufetch products.csv --max-", &["--max-time", "--max-age", "--max-body"], &["--merge"]),
    ("skufetch --follow ", &["none", "same-origin", "any"], &["products.csv"]),
    ("skufetch --demo --limit 5 --log-format ", &["text", "json"], &["products.csv"]),
    ("skufetch products.csv --follow ", &["none", "same-origin", "any"], &["products.csv"]),
    ("skufetch products.csv --log-format ", &["text", "json"], &["jsonl"]),
    ("skufetch products.csv --demo -o prod", &["products.csv"], &["other"]),
    ("skufetch tu", &["tune"], &["man"]),
    ("skufetch tune products.csv --repo", &["--report"], &["--retries"]),
    ("skufetch tune products.csv --format j", &["json", "jsonl"], &["text"]),
    ("skufetch completions ", &["bash", "elvish", "fish", "powershell", "zsh"], &["--rate"]),
];

#[track_caller]
fn holds(shell: &str, line: &str, candidates: &[&str]) {
    let (_, wanted, unwanted) = LINES.iter().find(|(known, ..)| *known == line).unwrap();
    for word in *wanted {
        assert!(candidates.contains(word), "{shell}: {line:?} lacks {word}: {candidates:?}");
    }
    for word in *unwanted {
        assert!(!candidates.contains(word), "{shell}: {line:?} has {word}");
    }
}

#[test]
fn bash_completes_options_values_files_and_commands() {
    if !have("bash") {
        return;
    }
    let dir = with_script("bash", "skufetch.bash");
    let script = r#"
        . ./skufetch.bash
        complete -p skufetch >&2
        read -ra COMP_WORDS <<<"$0"
        case $0 in *" ") COMP_WORDS+=("") ;; esac
        COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
        _skufetch skufetch "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}" 2>/dev/null
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    for (line, ..) in LINES {
        let ended = complete(&dir, &["bash", "--norc", "-c"], script, &[line]);
        assert!(ended.stderr.contains("-F _skufetch"), "{ended:?}");
        holds("bash", line, &ended.stdout().lines().collect::<Vec<_>>());
    }
    // No candidate: bash then offers files, as the script sets.
    for line in ["skufetch prod", "skufetch tune "] {
        let ended = complete(&dir, &["bash", "--norc", "-c"], script, &[line]);
        assert_eq!(ended.stdout().trim(), "", "{line}");
        assert!(ended.stderr.contains("-o default"), "{ended:?}");
    }
}

#[test]
fn fish_completes_options_values_files_and_commands() {
    if !have("fish") {
        return;
    }
    let dir = with_script("fish", "skufetch.fish");
    let script = "source skufetch.fish; complete -C $argv[1]";
    let shell = ["fish", "--no-config", "-c"];
    for (line, ..) in LINES {
        let ended = complete(&dir, &shell, script, &[line]);
        assert_eq!(ended.stderr, "", "{line}");
        let candidates: Vec<_> =
            ended.stdout().lines().map(|line| line.split('\t').next().unwrap()).collect();
        holds("fish", line, &candidates);
    }
    for line in ["skufetch prod", "skufetch --demo prod", "skufetch tune prod"] {
        let ended = complete(&dir, &shell, script, &[line]);
        assert_eq!(ended.stdout().trim(), "products.csv", "{line}");
    }
}

/// A zsh on a terminal of its own: the line is typed, then a tab; what is printed is read until it matches.
const ON_A_TERMINAL: &str = r#"
    zmodload zsh/zpty
    zpty -b inner zsh -f -i
    zpty -w inner 'fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D; PROMPT="%% "; LISTMAX=9999'
    zpty -w inner 'unsetopt menu_complete auto_menu; setopt no_beep auto_list no_list_ambiguous; print re""ady'
    zpty -r -m inner seen '*ready*'
    zpty -n -w inner "$1"$'\t'
    zpty -r -m inner seen "$2"
    zpty -d inner
    print -r -- "$seen"
"#;

#[test]
fn zsh_completes_options_values_files_and_commands() {
    if !have("zsh") {
        return;
    }
    let dir = with_script("zsh", "_skufetch");
    let loaded = "fpath=($PWD $fpath); autoload -Uz compinit && compinit -u -D && autoload +X _skufetch && \
                  print $_comps[skufetch]";
    let ended = complete(&dir, &["zsh", "-f", "-c"], loaded, &[]);
    assert_eq!((ended.stdout().trim(), ended.stderr.as_str()), ("_skufetch", ""));
    for (line, typed) in [
        ("skufetch --concu", "*--concurrency*"),
        ("skufetch products.csv --max-", "*--max-age*--max-body*--max-retry-after*--max-time*"),
        ("skufetch products.csv --follow ", "*any*none*same-origin*"),
        ("skufetch products.csv --log-format ", "*json*text*"),
        ("skufetch products.csv --demo -o prod", "*-o products.csv*"),
        ("skufetch prod", "*skufetch products.csv*"),
        ("skufetch tu", "*skufetch tu*ne*"),
        ("skufetch tune prod", "*tune products.csv*"),
        ("skufetch tune products.csv --repo", "*--report*"),
        ("skufetch completions ", "*bash*elvish*fish*powershell*zsh*"),
    ] {
        let ended = complete(&dir, &["zsh", "-f", "-c"], ON_A_TERMINAL, &["zsh", line, typed]);
        assert!(!ended.stdout().contains("not found"), "{line}\n{ended:?}");
    }
}

#[test]
fn an_unknown_or_missing_shell_is_a_usage_error_with_the_names() {
    let dir = WorkDir::new();
    for args in [&["completions"][..], &["completions", "bsh"]] {
        let ended = Run::new(&dir).args(args).finish().expect_code(2);
        assert_eq!(ended.stdout(), "");
        for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
            assert!(ended.stderr.contains(shell), "{ended:?}");
        }
    }
}

#[test]
fn a_closed_pipe_is_no_crash() {
    let dir = WorkDir::new();
    for args in [&["completions", "zsh"][..], &["man"]] {
        let ended = Run::new(&dir).args(args).stdout(closed_pipe()).finish().expect_code(0);
        assert_eq!(ended.stderr, "");
    }
}

#[test]
fn a_file_with_the_name_of_a_command_is_named_with_its_folder() {
    let dir = WorkDir::new();
    for name in ["man", "completions", "tune", "merge"] {
        dir.write(name, "sku\n0004711\n");
        let file = format!("./{name}");
        let ended = Run::new(&dir).args([&file, "-o", "-", "--demo", "--demo-failures", "0"]).finish();
        assert!(ended.expect_code(0).stdout().starts_with("{\n\"0004711\":"));
    }
}

fn man_page(dir: &WorkDir) -> std::path::PathBuf {
    let ended = Run::new(dir).args(["man"]).finish().expect_code(0);
    assert_eq!(ended.stderr, "");
    dir.write("skufetch.1", ended.stdout())
}

fn output_of(program: &str, args: &[&str], page: &Path) -> (String, String) {
    let output = Command::new(program)
        .args(args)
        .arg(page)
        .env("LC_ALL", "C.UTF-8")
        .env("MANWIDTH", "80")
        .env_remove("MAN_KEEP_FORMATTING")
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr))
}

#[test]
fn the_manual_page_is_without_a_fault_to_every_formatter() {
    let dir = WorkDir::new();
    let page = man_page(&dir);
    if have("mandoc") {
        assert_eq!(output_of("mandoc", &["-T", "lint"], &page), (String::new(), String::new()));
    }
    if have("groff") {
        assert_eq!(output_of("groff", &["-man", "-Tutf8", "-ww"], &page).1, "");
    }
    if have("man") {
        let (text, complaints) = output_of("man", &["--warnings", "-l"], &page);
        assert_eq!(complaints, "");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        for section in ["NAME", "SYNOPSIS", "OPTIONS", "TUNE", "EXIT STATUS", "EXAMPLES", "SEE ALSO"] {
            assert!(text.lines().any(|line| line == section), "{section}\n{text}");
        }
    }
}
