//! A page of documentation whose commands are run: its blocks, and a folder in which a reader would type
//! them. Word for word, except addresses that no test may connect to.

use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use super::{Ended, Run, WorkDir};

/// A fenced block.
#[derive(Debug, Clone)]
pub struct Block {
    /// The heading above it.
    pub section: &'static str,
    /// The first word after the fence: its language.
    pub language: &'static str,
    /// The other words there, which no reader sees.
    pub words: Vec<&'static str>,
    /// What is between the fences.
    pub text: &'static str,
}

impl Block {
    /// What follows `name=` among the words.
    pub fn value(&self, name: &str) -> Option<&'static str> {
        self.words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }

    /// Whether this is among the words.
    pub fn has(&self, word: &str) -> bool {
        self.words.contains(&word)
    }
}

/// All fenced blocks, in order.
pub fn blocks(page: &'static str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut section = "";
    let mut rest = page;
    while let Some((before, after)) = rest.split_once("\n```") {
        section = before.lines().rev().find_map(|line| line.strip_prefix("## ")).unwrap_or(section);
        let (info, after) = after.split_once('\n').unwrap();
        let (text, after) = after.split_once("\n```").expect("a fence closes");
        let mut words = info.split(' ');
        let language = words.next().unwrap();
        blocks.push(Block { section, language, words: words.collect(), text });
        rest = after;
    }
    blocks
}

/// A folder with this build in its path, in which scripts are run, with words of the page replaced.
pub struct PageFolder {
    /// The folder.
    pub dir: WorkDir,
    replaced: Vec<(String, String)>,
}

impl PageFolder {
    /// A folder with nothing but the program.
    pub fn new(replaced: &[(&str, &str)]) -> Self {
        let dir = WorkDir::new();
        std::fs::create_dir(dir.path("bin")).unwrap();
        symlink(env!("CARGO_BIN_EXE_skufetch"), dir.path("bin/skufetch")).unwrap();
        let replaced = replaced.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
        Self { dir, replaced }
    }

    /// The text as it is run.
    pub fn read(&self, text: &str) -> String {
        self.replaced.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }

    /// Writes a block as a file, which may be run.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.dir.write(name, self.read(text) + "\n");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs a script, which ends at the first command that fails.
    pub fn run(&self, script: &str, environment: &[(&str, &str)]) -> Ended {
        // The program that `Run` would run is not: the script names it itself.
        let run = Run::new(&self.dir)
            .under(["sh", "-c", "PATH=\"$PWD/bin:$PATH\"; export PATH; exec sh -e -c \"$SCRIPT\""])
            .env("SCRIPT", self.read(script))
            .within(Duration::from_mins(2));
        environment.iter().fold(run, |run, (name, value)| run.env(name, value)).finish()
    }
}

/// An output of a page's command is whole: one JSON object, or a table whose rows are as wide as its header; packed or not.
#[track_caller]
pub fn expect_whole_output(dir: &WorkDir, name: &str) {
    let bytes = dir.bytes(name);
    let mut text = String::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
    } else {
        text = String::from_utf8(bytes).unwrap();
    }
    if name.contains(".csv") {
        let mut table = csv::Reader::from_reader(text.as_bytes());
        assert_eq!(table.headers().unwrap().get(0), Some("sku"), "{name}");
        assert!(table.records().map(Result::unwrap).count() > 0, "{name}");
        return;
    }
    serde_json::from_str::<serde_json::Value>(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(text.starts_with("{\n\"") && text.ends_with("\n}\n"), "{name}: {text}");
}
