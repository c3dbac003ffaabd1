//! No config file, environment or command line panics, and a secret in an address, a header's value, a body or a proxy
//! is in no error, hint, warning or debug text.
#![no_main]

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use skufetch::testing::config::{Environment, Invocation, load, options};
use tempfile::TempDir;

const CANARY: &str = "cAnAry";

#[derive(Debug, Arbitrary)]
struct Case<'a> {
    arguments: Vec<Word<'a>>,
    variables: Vec<Word<'a>>,
    file: Option<File<'a>>,
}

#[derive(Debug, Arbitrary)]
struct Word<'a> {
    /// Which setting.
    setting: u8,
    /// Its name has a slip.
    slip: Option<(u8, char)>,
    /// How it is joined to its value.
    joined: u8,
    /// It holds a secret, where the setting may hold one.
    secret: bool,
    before: &'a [u8],
    after: &'a [u8],
}

#[derive(Debug, Arbitrary)]
struct File<'a> {
    /// Cannot open a string that would take in what follows.
    before: &'a str,
    entries: Vec<(u8, u8, u8, &'a str)>,
    after: &'a [u8],
}

thread_local! {
    static FOLDER: TempDir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
}

const SECRETS: [&str; 4] = ["url", "header", "body", "proxy"];

fuzz_target!(|case: Case<'_>| {
    FOLDER.with(|folder| {
        let file = folder.path().join("config.toml");
        match &case.file {
            Some(text) => fs::write(&file, text.toml()).unwrap(),
            None => drop(fs::remove_file(&file)),
        }
        let mut arguments: Vec<OsString> = vec!["skufetch".into()];
        case.arguments.iter().for_each(|word| word.argument(&mut arguments));
        let variables: Environment = case.variables.iter().filter_map(Word::variable).collect();
        let said = match load(arguments.into_iter(), &variables, folder.path()) {
            Ok(Invocation::Fetch(settings)) => format!("{settings:?} {:?}", settings.warnings),
            Ok(other) => format!("{other:?}"),
            Err(error) => {
                assert!(matches!(error.exit().code(), 2 | 78));
                format!("{error} {error:?} {:?}", error.hint())
            }
        };
        assert!(!said.contains(CANARY), "{said}");
    });
});

/// The fuzzer finds the canary too; where it wrote it itself, it may be anywhere.
fn holds_canary(bytes: &[u8]) -> bool {
    bytes.windows(CANARY.len()).any(|part| part == CANARY.as_bytes())
}

fn names() -> Vec<&'static str> {
    let settings = options::all().map(|setting| setting.name);
    SECRETS.into_iter().chain(settings).chain(["config", "verbose", "quiet", "help", "version"]).collect()
}

fn name(number: u8) -> &'static str {
    let names = names();
    names[usize::from(number) % names.len()]
}

impl Word<'_> {
    /// The name as it is typed, and whether the value holds a secret.
    fn name(&self) -> (String, bool) {
        let name = name(self.setting);
        let mut typed: Vec<char> = name.chars().collect();
        if let Some((at, letter)) = self.slip
            && letter.is_ascii_alphanumeric()
        {
            let at = usize::from(at) % typed.len();
            typed[at] = letter;
        }
        (typed.into_iter().collect(), self.secret && SECRETS.contains(&name))
    }

    fn value(&self, secret: bool) -> OsString {
        let mut bytes = Vec::new();
        let text = |bytes: &[u8]| bytes.iter().copied().filter(|&byte| byte != 0).collect::<Vec<_>>();
        match (secret, name(self.setting)) {
            // Lines part headers in the environment, and only what follows a name and a colon is a value.
            (true, "header") => {
                bytes.extend_from_slice(b"X-Key: ");
                bytes.extend(text(self.before).into_iter().filter(|byte| !matches!(byte, b'\n' | b'\r')));
            }
            // A file's name is no secret.
            (true, "body") => {
                bytes.push(b' ');
                bytes.extend(text(self.before));
            }
            _ => bytes.extend(text(self.before)),
        }
        if secret {
            bytes.extend_from_slice(CANARY.as_bytes());
        }
        bytes.extend(text(self.after));
        if !secret && holds_canary(&bytes) {
            bytes.clear();
        }
        OsStr::from_bytes(&bytes).to_owned()
    }

    fn argument(&self, arguments: &mut Vec<OsString>) {
        let (name, secret) = self.name();
        let value = self.value(secret);
        // Out of reach: files beyond the folder, which may be endless, or a terminal.
        if value.as_bytes().contains(&b'/') && !secret {
            return;
        }
        let short = options::find(&name).and_then(|setting| setting.short);
        match (self.joined % 5, short) {
            (0, _) => {
                let mut argument = OsString::from(format!("--{name}="));
                argument.push(value);
                arguments.push(argument);
            }
            (1, Some(short)) => {
                let mut argument = OsString::from(format!("-{short}"));
                argument.push(value);
                arguments.push(argument);
            }
            // What begins with a dash is an option to the parser, not a value.
            (1 | 2 | 4, _) if value.as_bytes().starts_with(b"-") => {}
            (2, Some(short)) => arguments.extend([format!("-{short}").into(), value]),
            // INPUT, or one too many: never a secret on purpose.
            (3, _) if !secret => arguments.push(value),
            (3, _) => {}
            _ => arguments.extend([format!("--{name}").into(), value]),
        }
    }

    fn variable(&self) -> Option<(String, OsString)> {
        let (name, secret) = self.name();
        let value = self.value(secret);
        let far = value.as_bytes().contains(&b'/') && !secret;
        (!far).then(|| (format!("SKUFETCH_{}", name.replace('-', "_").to_ascii_uppercase()), value))
    }
}

impl File<'_> {
    fn toml(&self) -> Vec<u8> {
        let mut text: String = self.before.chars().filter(|c| !matches!(c, '"' | '\'' | '/')).collect();
        text = text.replace(CANARY, "");
        for (table, setting, kind, value) in &self.entries {
            let tables = ["input", "request", "pace", "retry", "response", "output", "run", "reqest"];
            let home = options::find(name(*setting)).map(|setting| setting.table.name());
            let table = home.filter(|_| *table >= 8).unwrap_or(tables[usize::from(*table % 8)]);
            let setting = name(*setting);
            let secret = SECRETS.contains(&setting);
            let value = value.replace('/', "").replace(CANARY, "");
            let value = if secret { format!(" X-Key: {value}{CANARY}") } else { value };
            let string = serde_json::to_string(&value).unwrap().replace('\u{7f}', "\\u007f");
            let value = match kind % 6 {
                0 | 1 => string,
                2 => format!("[{string}, {string}]"),
                3 => "true".into(),
                4 => format!("{{ a = {string} }}"),
                _ => format!("{kind}"),
            };
            text.push_str(&format!("\n[{table}]\n{setting} = {value}\n"));
        }
        let mut bytes = text.into_bytes();
        let after: Vec<u8> = self.after.iter().copied().filter(|&byte| byte != b'/').collect();
        if !holds_canary(&after) {
            bytes.extend(after);
        }
        bytes
    }
}
