//! Messages for errors of the command line that clap finds: what is wrong and what to do, as in all other errors.
//!
//! A superfluous argument is not quoted: it is often the rest of an unquoted header, and may be a secret.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::{completions, merge, tune};
use crate::config::options::{self, HELP, NOT_SETTINGS, RUN_ID, Setting, Takes, URL};
use crate::config::{command_line, foreign_names};
use crate::model::shell_word;

/// The message, and what to do.
pub(super) fn explain(
    error: &clap::Error,
    args: &[OsString],
    commands: &[String],
) -> (String, Option<String>) {
    let named = |kind| match error.get(kind) {
        Some(ContextValue::String(word)) => Some(word.as_str()),
        _ => None,
    };
    // clap writes `--rate <N/s>` and `--verbose...`: only the option itself is named.
    let option = |kind| named(kind).map(|word| word.split([' ', '.', '=']).next().unwrap_or(word));
    let argument = option(ContextKind::InvalidArg);
    if named(ContextKind::InvalidSubcommand).is_some() {
        return too_many(args, commands);
    }
    match (error.kind(), argument) {
        (ErrorKind::MissingRequiredArgument, _)
            if args.get(1).is_some_and(|arg| arg == completions::NAME) =>
        {
            ("SHELL is missing".into(), Some("name bash, zsh, fish, elvish or powershell".into()))
        }
        (ErrorKind::MissingRequiredArgument, _) => {
            ("INPUT is missing".into(), Some("name a CSV file, or - for standard input".into()))
        }
        (ErrorKind::UnknownArgument, Some(unknown)) if unknown.starts_with('-') => {
            let meant = fields(unknown, args).or_else(|| meant(unknown));
            let hint = meant.map_or_else(|| the_options(args), |meant| format!("did you mean {meant}?"));
            (format!("there is no option {unknown}"), Some(hint))
        }
        (ErrorKind::UnknownArgument, _) => too_many(args, commands),
        (ErrorKind::InvalidValue, Some("<SHELL>")) => {
            ("this SHELL is not known".into(), Some("name bash, zsh, fish, elvish or powershell".into()))
        }
        (ErrorKind::InvalidValue, Some(option)) => (format!("{option} needs a value"), usage_of(option)),
        (ErrorKind::TooManyValues, Some(option)) => {
            (format!("{option} takes no value"), Some(format!("write {option} alone, or leave it out")))
        }
        (ErrorKind::ArgumentConflict, Some(first)) => match option(ContextKind::PriorArg) {
            Some(second) if second != first => {
                (format!("{first} and {second} do not go together"), Some("leave one of the two out".into()))
            }
            _ => (format!("{first} is given more than once"), Some("leave out all but one".into())),
        },
        _ => {
            let text = error.render().to_string();
            (text.strip_prefix("error: ").unwrap_or(&text).trim_end().to_owned(), None)
        }
    }
}

/// What was probably meant, with its dashes: what other programs call so, options that begin so, else the
/// nearest name.
fn meant(unknown: &str) -> Option<String> {
    /// More candidates than this are not listed.
    const MOST: usize = 4;
    // Their names in make and xargs.
    if matches!(unknown, "-j" | "-P") {
        return Some(options::CONCURRENCY.to_string());
    }
    let typed = unknown.strip_prefix("--").filter(|typed| typed.len() > 1)?;
    if let Some((setting, value)) = foreign_names::meant(typed) {
        return Some(format!("{setting} {value}").trim_end().to_owned());
    }
    let names = || options::all().map(|setting| setting.name).chain(NOT_SETTINGS.iter().copied());
    let begun: Vec<String> =
        names().filter(|name| name.starts_with(typed)).map(|name| format!("--{name}")).collect();
    match &begun[..] {
        [] => options::nearest(typed, names()).map(|name| format!("--{name}")),
        [only] => Some(only.clone()),
        [first @ .., last] if begun.len() <= MOST => Some(format!("{} or {last}", first.join(", "))),
        _ => None,
    }
}

fn the_options(args: &[OsString]) -> String {
    let command = match args.get(1).and_then(|arg| arg.to_str()) {
        Some(name @ (tune::NAME | merge::NAME)) => format!("{name} "),
        _ => String::new(),
    };
    format!("skufetch {command}-h lists the options")
}

/// How an option is written that stands without its value.
fn usage_of(option: &str) -> Option<String> {
    let name = option.strip_prefix("--")?;
    let value = match options::find(name) {
        Some(setting) => match setting.takes {
            Takes::Word(value) | Takes::Text(value) | Takes::List(value) => value,
            Takes::Flag => return None,
        },
        None => "FILE",
    };
    Some(format!("write {option} <{value}>"))
}

/// The error for more than one INPUT.
fn too_many(args: &[OsString], commands: &[String]) -> (String, Option<String>) {
    if let Some(address) = loose_address(args) {
        let hint = match command_line::address(address) {
            shown if shown.contains(command_line::HIDDEN) => format!("write {URL} before it"),
            shown => format!("write {URL} before it: {URL} {}", shell_word(&shown)),
        };
        return ("an address is given where a file is expected".into(), Some(hint));
    }
    let first = args.get(1).and_then(|arg| arg.to_str()).unwrap_or_default();
    if first == merge::NAME {
        return (
            "merge takes no INPUT".into(),
            Some(format!("the parts have all that it needs: skufetch merge -o out.json {RUN_ID} NAME")),
        );
    }
    if first == options::HELP {
        return (
            "help is not there for this word".into(),
            Some(format!("skufetch --{HELP} names the commands")),
        );
    }
    let meant = options::nearest(first, commands.iter().map(String::as_str)).filter(|meant| *meant != first);
    for (name, usage) in [(tune::NAME, "tune [OPTIONS] <INPUT>"), (merge::NAME, "merge [OPTIONS] -o <FILE>")]
    {
        if meant.is_none() && args.iter().skip(2).any(|arg| arg == name) {
            return (
                format!("{name} comes after an option or INPUT"),
                Some(format!("it comes first: skufetch {usage}")),
            );
        }
    }
    let hint = match meant {
        Some(meant) => format!("did you mean skufetch {meant}?"),
        None => "a value with a space in it needs quotes, such as -H 'Name: value'".into(),
    };
    ("there is more than one INPUT".into(), Some(hint))
}

/// An address that is no option's value.
fn loose_address(args: &[OsString]) -> Option<&str> {
    let args: Vec<&str> = args.iter().map(|arg| arg.to_str().unwrap_or_default()).collect();
    let is_loose = |pair: &&[&str]| takes_value(pair[0]).is_none() && options::is_address(pair[1]);
    args.windows(2).find(is_loose).map(|pair| pair[1])
}

/// The setting whose value follows this argument.
pub(super) fn takes_value(arg: &str) -> Option<&'static Setting> {
    let mut letters = arg.strip_prefix('-')?.chars();
    let setting = match (arg.strip_prefix("--"), letters.next(), letters.next()) {
        (Some(name), ..) => options::find(name),
        (None, Some(letter), None) => options::all().find(|setting| setting.short == Some(letter)),
        _ => None,
    };
    setting.filter(|setting| setting.takes != Takes::Flag)
}

/// What a list of fields is as a filter, for options such as `--fields a,b`: its value follows the name.
fn fields(unknown: &str, args: &[OsString]) -> Option<String> {
    const NAMES: [&str; 7] =
        ["--fields", "--field-list", "--pick", "--extract", "--properties", "--props", "--attributes"];
    if !NAMES.contains(&unknown) {
        return None;
    }
    let mut args = args.iter().map(|arg| arg.to_str().unwrap_or_default());
    let value = args.find_map(|arg| arg.strip_prefix(unknown)).map(|rest| rest.strip_prefix('='));
    let names: Vec<&str> = value.flatten().or_else(|| args.next())?.split(',').map(str::trim).collect();
    let is_name = |name: &&str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let filter = match &names[..] {
        [only] if is_name(only) => format!(".{only}"),
        names if names.iter().all(is_name) => format!("'{{{}}}'", names.join(", ")),
        _ => "'{name, price}'".into(),
    };
    Some(format!("{} {filter}", options::SELECT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigError;
    use crate::config::cli::parse;

    fn message_and_hint(line: &str) -> (String, String) {
        let args = ["skufetch"].into_iter().chain(line.split_whitespace()).map(OsString::from);
        match parse(args) {
            Err(ConfigError::CommandLine { message, hint }) => (message, hint.unwrap_or_default()),
            _ => panic!("{line} was taken"),
        }
    }

    #[test]
    fn each_mistake_is_reported_in_one_line_with_a_hint() {
        for (line, message, hint) in [
            ("in.csv --raet 5/s", "there is no option --raet", "did you mean --rate?"),
            ("in.csv --max_age=1h", "there is no option --max_age", "did you mean --max-age?"),
            ("in.csv --out o.json", "there is no option --out", "did you mean --output?"),
            (
                "in.csv --max 3",
                "there is no option --max",
                "did you mean --max-time, --max-retry-after, --max-body or --max-age?",
            ),
            ("in.csv --workers 8", "there is no option --workers", "did you mean --concurrency?"),
            ("in.csv -j 8", "there is no option -j", "did you mean --concurrency?"),
            ("in.csv --max_workers=8", "there is no option --max_workers", "did you mean --concurrency?"),
            ("in.csv --qps 8", "there is no option --qps", "did you mean --rate?"),
            ("in.csv --retry 8", "there is no option --retry", "did you mean --retries?"),
            ("in.csv --headers a:b", "there is no option --headers", "did you mean --header?"),
            (
                "in.csv --user-agent me",
                "there is no option --user-agent",
                "did you mean --header 'User-Agent: NAME'?",
            ),
            (
                "in.csv --token canary",
                "there is no option --token",
                "did you mean --header 'Authorization: Bearer ${API_TOKEN}'?",
            ),
            ("in.csv --versoin", "there is no option --versoin", "did you mean --version?"),
            ("in.csv --elephant", "there is no option --elephant", "skufetch -h lists the options"),
            ("tune in.csv -x", "there is no option -x", "skufetch tune -h lists the options"),
            ("in.csv --rate", "--rate needs a value", "write --rate <N/s>"),
            ("in.csv --fields a,b", "there is no option --fields", "did you mean --select '{a, b}'?"),
            ("in.csv --pick=a", "there is no option --pick", "did you mean --select .a?"),
            ("in.csv --fields a.b", "there is no option --fields", "did you mean --select '{name, price}'?"),
            (
                "in.csv http://h/{sku} -o o.json",
                "an address is given where a file is expected",
                "write --url before it: --url 'http://h/{sku}'",
            ),
            (
                "-o o.json https://h/?id={sku}&q={lang} in.csv",
                "an address is given where a file is expected",
                "write --url before it: --url 'https://h/?id={sku}&q={lang}'",
            ),
            (
                "in.csv http://h/{sku}?key=canary",
                "an address is given where a file is expected",
                "write --url before it",
            ),
            (
                "in.csv b.csv -u http://h",
                "there is more than one INPUT",
                "a value with a space in it needs quotes, such as -H 'Name: value'",
            ),
            ("in.csv -o", "--output needs a value", "write --output <FILE>"),
            ("in.csv --config", "--config needs a value", "write --config <FILE>"),
            ("in.csv --merge=yes", "--merge takes no value", "write --merge alone, or leave it out"),
            ("in.csv -o a -o b", "--output is given more than once", "leave out all but one"),
            ("in.csv -q -v", "--quiet and --verbose do not go together", "leave one of the two out"),
            ("-o out.json", "INPUT is missing", "name a CSV file, or - for standard input"),
            (
                "a.csv b.csv",
                "there is more than one INPUT",
                "a value with a space in it needs quotes, such as -H 'Name: value'",
            ),
            ("tuen a.csv", "there is more than one INPUT", "did you mean skufetch tune?"),
            ("hepl tune", "there is more than one INPUT", "did you mean skufetch help?"),
            (
                "-c 9 tune in.csv",
                "tune comes after an option or INPUT",
                "it comes first: skufetch tune [OPTIONS] <INPUT>",
            ),
            ("completions", "SHELL is missing", "name bash, zsh, fish, elvish or powershell"),
            ("completions bsh", "this SHELL is not known", "name bash, zsh, fish, elvish or powershell"),
            ("help nosuch", "help is not there for this word", "skufetch --help names the commands"),
        ] {
            assert_eq!(message_and_hint(line), (message.into(), hint.into()), "{line}");
        }
    }

    #[test]
    fn no_message_repeats_what_may_be_a_secret() {
        for line in ["in.csv -H Authorization: Bearer canary", "in.csv --header=canary --merge=x canary"] {
            let (message, hint) = message_and_hint(line);
            assert!(!message.contains("canary") && !hint.contains("canary"), "{message} {hint}");
        }
    }
}
