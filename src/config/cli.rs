//! The command line; only this module uses clap. Its options are generated from the list of settings: clap's derive
//! would repeat every name, table and default. Values stay text; they are parsed once the layers are merged.

mod args;
mod completions;
mod man;
mod merge;
mod texts;
mod tune;
mod usage_error;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{ArgMatches, Command};

use crate::config::error::ConfigError;
use crate::config::layers::Layer;
use crate::config::options::{self, HELP, RUN_ID, Setting, Takes};
use crate::config::origin::{Origin, Word};

use texts::{UNITS, WIDEST, examples};

/// What the command line says.
#[derive(Clone)]
pub(super) struct CommandLine {
    /// INPUT.
    pub input: OsString,
    /// The settings among the options.
    pub layer: Layer,
    /// `--config`.
    pub config: Option<PathBuf>,
    /// How often `-v` was given.
    pub verbose: u8,
    /// `-q`.
    pub quiet: bool,
}

/// What the command line asks for.
pub(super) enum Asked {
    /// A run.
    Fetch(CommandLine),
    /// A measurement.
    Tune(CommandLine),
    /// To put parts together.
    Merge(CommandLine),
    /// A text for standard output: the help, the version, completions, the manual page.
    Text(String),
}

/// Reads the arguments, of which the first is the program's name.
pub(super) fn parse(args: impl Iterator<Item = OsString>) -> Result<Asked, ConfigError> {
    let args = joined_negatives(args.collect());
    match command().try_get_matches_from(&args) {
        Ok(matches) => Ok(match matches.subcommand() {
            Some((completions::NAME, asked)) => Asked::Text(
                asked
                    .get_one(completions::SHELL)
                    .map(|shell| completions::script(*shell, command()))
                    .unwrap_or_default(),
            ),
            Some((man::NAME, _)) => Asked::Text(man::page(command())),
            Some((merge::NAME, merge)) => Asked::Merge(read(merge)),
            Some((_, tune)) => Asked::Tune(read(tune)),
            None => Asked::Fetch(read(&matches)),
        }),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            Ok(Asked::Text(error.render().to_string()))
        }
        Err(error) if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let help = match args.get(1).and_then(|arg| arg.to_str()) {
                Some(tune::NAME) => opening(&mut tune::command(), &tune::examples(), "skufetch tune"),
                Some(merge::NAME) => opening(&mut merge::command(), &merge::examples(), "skufetch merge"),
                _ => opening(&mut command(), &examples(), "skufetch"),
            };
            Err(ConfigError::NothingAsked { help })
        }
        Err(error) => {
            let (message, hint) = usage_error::explain(&error, &args, &names());
            Err(ConfigError::CommandLine { message, hint })
        }
    }
}

/// The arguments with `-r -5/s` as `--rate=-5/s`: a value that begins with a dash and a digit is a value, which is then
/// found to be wrong, and no option.
fn joined_negatives(args: Vec<OsString>) -> Vec<OsString> {
    let mut joined: Vec<OsString> = Vec::with_capacity(args.len());
    let mut are_options = true;
    for arg in args {
        let is_negative =
            arg.as_encoded_bytes().strip_prefix(b"-").and_then(<[u8]>::first).is_some_and(u8::is_ascii_digit);
        let taking = joined.last().and_then(|last| usage_error::takes_value(last.to_str()?));
        if let Some(setting) = taking.filter(|_| is_negative && are_options) {
            joined.pop();
            let mut whole = OsString::from(format!("{setting}="));
            whole.push(&arg);
            joined.push(whole);
        } else {
            are_options &= arg != "--";
            joined.push(arg);
        }
    }
    joined
}

/// The names of the commands.
fn names() -> Vec<String> {
    let command = command();
    command.get_subcommands().map(Command::get_name).chain([options::HELP]).map(String::from).collect()
}

/// The command that was probably meant by a word.
pub(super) fn nearest_command(word: &str) -> Option<String> {
    options::nearest(word, names().iter().map(String::as_str)).map(String::from)
}

/// The help for a call without arguments: purpose, usage and examples, at most 24 lines.
fn opening(command: &mut Command, examples: &str, name: &str) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let about = about.trim_end_matches('.');
    let usage = command.render_usage();
    format!(
        "{about}.\n\n{usage}\n\n{examples}\n\nThe options: {name} -h. All there is to know: {name} --{HELP}"
    )
}

/// The value of a long option in arguments that may be wrong in other places.
pub(super) fn typed(args: &[OsString], name: &str) -> Option<OsString> {
    let option = format!("--{name}");
    let mut args = args.iter().skip(1).take_while(|arg| *arg != "--");
    while let Some(arg) = args.next() {
        if *arg == *option {
            return args.next().cloned();
        }
        if let Some(value) = arg.to_str().and_then(|arg| arg.strip_prefix(&option)?.strip_prefix('=')) {
            return Some(value.into());
        }
    }
    None
}

fn read(matches: &ArgMatches) -> CommandLine {
    let words = |setting: &'static Setting| {
        let word = |text: OsString| Word { text, origin: Origin::Option(setting.name) };
        if setting.takes == Takes::Flag {
            return matches.get_flag(setting.name).then(|| vec![word("true".into())]);
        }
        let given = matches.get_many::<OsString>(setting.name)?;
        Some(given.cloned().map(word).collect())
    };
    CommandLine {
        // One command has none.
        input: matches.try_get_one::<OsString>(args::INPUT).ok().flatten().cloned().unwrap_or_default(),
        layer: options::all().filter_map(|s| Some((s.name, words(s)?))).collect(),
        config: matches.get_one::<OsString>(options::CONFIG).map(PathBuf::from),
        verbose: matches.get_count(options::VERBOSE),
        quiet: matches.get_flag(options::QUIET),
    }
}

/// The command line as clap takes it.
fn command() -> Command {
    Command::new("skufetch")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Ask an HTTP API once for every SKU in a CSV and leave one keyed JSON file.")
        .override_usage(format!(
            "skufetch [OPTIONS] <INPUT>\n       skufetch tune [OPTIONS] <INPUT>\n       skufetch merge [OPTIONS] -o \
             <FILE> {RUN_ID} <NAME>"
        ))
        .after_help(format!("{}\n\n{UNITS} More: skufetch --{HELP}", examples()))
        .after_long_help(format!("{}\n\n{}", examples(), texts::notes()))
        .max_term_width(WIDEST)
        .arg_required_else_help(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .subcommand_negates_reqs(true)
        .args_conflicts_with_subcommands(true)
        .arg(args::input())
        .args(options::all().map(args::option))
        .args(args::of_the_command_line_alone())
        .subcommands([tune::command(), merge::command(), completions::command(), man::command()])
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;
    use crate::model::Exit;

    fn refused(args: &[&str]) -> String {
        match parse(["skufetch"].iter().chain(args).map(OsString::from)) {
            Err(error) => {
                assert_eq!(error.exit(), Exit::Usage);
                error.hint().map_or(error.to_string(), |hint| format!("{error} | {hint}"))
            }
            Ok(_) => panic!("{args:?} was taken"),
        }
    }

    fn shown(args: &[&str]) -> String {
        match parse(["skufetch"].iter().chain(args).map(OsString::from)) {
            Ok(Asked::Text(text)) => text,
            _ => panic!("{args:?} showed nothing"),
        }
    }

    #[test]
    fn clap_finds_no_fault_in_the_command() {
        command().debug_assert();
    }

    #[test]
    fn the_command_line_has_every_setting_and_nothing_else_but_five_options() {
        let command = command();
        let named: Vec<_> = command.get_arguments().filter_map(Arg::get_long).collect();
        let expected: Vec<_> =
            options::all().map(|s| s.name).chain(options::NOT_SETTINGS.iter().copied()).collect();
        assert_eq!(named, expected);
        for setting in options::all() {
            let arg = command.get_arguments().find(|arg| arg.get_long() == Some(setting.name)).unwrap();
            assert_eq!(arg.get_help_heading(), Some(setting.table.heading()), "{}", setting.name);
            assert_eq!(arg.get_short(), setting.short, "{}", setting.name);
        }
    }

    #[test]
    fn no_input_is_a_usage_error_and_nothing_at_all_shows_what_to_type() {
        assert!(refused(&["-o", "out.json"]).starts_with("INPUT is missing"));
        for args in [&[][..], &["tune"], &["merge"]] {
            let opening = refused(args);
            assert!(opening.contains("Examples:") && !opening.starts_with("error"), "{opening}");
            assert!(opening.lines().count() < 24, "it fits on the smallest screen: {opening}");
            assert!(opening.lines().all(|line| line.len() <= 80), "{opening}");
        }
    }

    #[test]
    fn tune_takes_every_setting() {
        let tuned = |args: &[&str]| match parse(["skufetch", "tune"].iter().chain(args).map(OsString::from)) {
            Ok(Asked::Tune(line)) => line,
            _ => panic!("{args:?}"),
        };
        let command = tune::command();
        for setting in options::all() {
            assert!(
                command.get_arguments().any(|arg| arg.get_long() == Some(setting.name)),
                "{}",
                setting.name
            );
        }
        let line = tuned(&["in.csv", "-o", "out.json", "--merge", "-c", "auto:9", "--report", "t.json"]);
        assert_eq!(line.layer.len(), 4);
        assert!(refused(&["-c", "9", "tune", "in.csv"]).starts_with("tune comes after an option"));
        assert!(refused(&["tune", "a.csv", "b.csv"]).contains("more than one INPUT"));
        assert!(refused(&["tune", "-c", "9"]).contains("INPUT"));
        assert!(refused(&["tune"]).contains("skufetch tune [OPTIONS] <INPUT>"));
        assert!(shown(&["help", "tune"]).contains("fresh SKUs"));
        assert_eq!(shown(&["tune", "--help"]), shown(&["help", "tune"]));
    }

    #[test]
    fn a_value_that_begins_with_a_dash_and_a_digit_is_a_value() {
        for (args, option, value) in [
            (["-r", "-5/s"], "rate", "-5/s"),
            (["--timeout", "-1s"], "timeout", "-1s"),
            (["-c", "-4"], "concurrency", "-4"),
        ] {
            let Ok(Asked::Fetch(line)) =
                parse(["skufetch", "in.csv"].iter().chain(&args).map(OsString::from))
            else {
                panic!("{args:?}")
            };
            assert_eq!(line.layer[option][0].text, value);
        }
        assert!(refused(&["in.csv", "-q", "-5"]).contains("there is no option -5"));
        assert!(refused(&["in.csv", "-r", "-x"]).contains("there is no option -x"));
    }

    #[test]
    fn the_version_is_the_packages() {
        let expected = format!("skufetch {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(shown(&["-V"]), expected);
        assert_eq!(shown(&["--version"]), expected);
    }

    #[test]
    fn help_says_what_a_retried_post_may_do() {
        let help = shown(&["--help"]).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(help.matches("A retried POST may act twice").count() == 2);
    }

    /// What is printed here when it fails goes into the golden files, once it has been read.
    #[cfg(feature = "demo")]
    #[test]
    fn help_reads_as_it_was_agreed_at_80_columns() {
        let short = command().term_width(80).render_help().to_string();
        let long = command().term_width(80).render_long_help().to_string();
        let tune = || tune::command().term_width(80);
        let (tune_short, tune_long) =
            (tune().render_help().to_string(), tune().render_long_help().to_string());
        let merge = || merge::command().term_width(80);
        let (merge_short, merge_long) =
            (merge().render_help().to_string(), merge().render_long_help().to_string());
        assert!(short == include_str!("help/short.txt"), "{short}");
        assert!(long == include_str!("help/long.txt"), "{long}");
        assert!(tune_short == include_str!("help/tune-short.txt"), "{tune_short}");
        assert!(tune_long == include_str!("help/tune-long.txt"), "{tune_long}");
        assert!(merge_short == include_str!("help/merge-short.txt"), "{merge_short}");
        assert!(merge_long == include_str!("help/merge-long.txt"), "{merge_long}");
        for line in short.lines().chain(tune_short.lines()).chain(merge_short.lines()) {
            let begun = line.trim_start();
            assert!(!begun.ends_with("[default:") && begun != "auto]", "badly broken: {line}");
        }
        let all = [&short, &long, &tune_short, &tune_long, &merge_short, &merge_long];
        for line in all.into_iter().flat_map(|text| text.lines()) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
