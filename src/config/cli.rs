//! The command line, the only place that names clap. Its options are made from the table of settings
//! (a derive would say every name, table and default a second time), all as plain text: what a value
//! means is decided once, for all three places, when the layers are laid over each other.

mod completions;
mod man;
mod tune;
mod usage_error;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::config::error::ConfigError;
use crate::config::layers::{Layer, Origin, Word};
use crate::config::options::{self, Setting, Table, Takes};
use crate::model::Exit;

/// Wider lines are hard to read, however wide the terminal is.
const WIDEST: usize = 100;

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
    /// A climb.
    Tune(CommandLine),
    /// A text for standard output: the help, the version, completions, the manual page.
    Text(String),
}

/// Reads the arguments, of which the first is the program's name.
pub(super) fn parse(args: impl Iterator<Item = OsString>) -> Result<Asked, ConfigError> {
    let args: Vec<OsString> = args.collect();
    match command().try_get_matches_from(&args) {
        Ok(matches) => Ok(match matches.subcommand() {
            Some(("completions", asked)) => Asked::Text(
                asked.get_one("shell").map(|shell| completions::script(*shell)).unwrap_or_default(),
            ),
            Some(("man", _)) => Asked::Text(man::page()),
            Some((_, tune)) => Asked::Tune(read(tune)),
            None => Asked::Fetch(read(&matches)),
        }),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            Ok(Asked::Text(error.render().to_string()))
        }
        Err(error) if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let of_tune = args.get(1).is_some_and(|arg| arg == "tune");
            let help = if of_tune { tune::opening() } else { opening(&mut command(), EXAMPLES, "skufetch") };
            Err(ConfigError::NothingAsked { help })
        }
        Err(error) => {
            let (message, hint) = usage_error::explain(&error, &args);
            Err(ConfigError::CommandLine { message, hint })
        }
    }
}

/// The command that was probably meant by a word.
pub(super) fn nearest_command(word: &str) -> Option<String> {
    let command = command();
    let names = command.get_subcommands().map(Command::get_name).chain(["help"]);
    options::nearest(word, names).map(String::from)
}

/// What fits on the smallest screen: what it is, how it is called, and what to type first.
fn opening(command: &mut Command, examples: &str, name: &str) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let about = about.trim_end_matches('.');
    let usage = command.render_usage();
    format!(
        "{about}.\n\n{usage}\n\n{examples}\n\nThe options: {name} -h. All there is to know: {name} --help"
    )
}

/// The value of a long option in arguments that may be wrong elsewhere.
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
        input: matches.get_one::<OsString>("input").cloned().unwrap_or_default(),
        layer: options::all().filter_map(|(_, s)| Some((s.name, words(s)?))).collect(),
        config: matches.get_one::<OsString>("config").map(PathBuf::from),
        verbose: matches.get_count("verbose"),
        quiet: matches.get_flag("quiet"),
    }
}

/// The whole command line, as clap knows it.
pub(super) fn command() -> Command {
    Command::new("skufetch")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Ask an HTTP API once for every SKU in a CSV and leave one keyed JSON file.")
        .override_usage("skufetch [OPTIONS] <INPUT>\n       skufetch tune [OPTIONS] <INPUT>")
        .after_help(format!("{EXAMPLES}\n\n{UNITS} More: skufetch --help"))
        .after_long_help(format!("{EXAMPLES}\n\n{}", notes()))
        .max_term_width(WIDEST)
        .arg_required_else_help(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .subcommand_negates_reqs(true)
        .args_conflicts_with_subcommands(true)
        .arg(input())
        .args(options::all().map(|(table, setting)| option(table, setting)))
        .args(of_the_command_line_alone())
        .subcommands([tune::command(), completions::command(), man::command()])
}

fn input() -> Arg {
    Arg::new("input")
        .value_name("INPUT")
        .help("A CSV file, or - for standard input; may be gzip or zstd")
        .value_parser(ValueParser::os_string())
        .required(true)
}

fn option(table: Table, setting: &'static Setting) -> Arg {
    let help = match (setting.takes, setting.default) {
        (Takes::Flag, _) | (_, "") => setting.help.to_owned(),
        (_, default) => with_default(setting.help, default),
    };
    let arg = Arg::new(setting.name).long(setting.name).help_heading(table.heading());
    let arg = if setting.more.is_empty() {
        arg.help(help)
    } else {
        arg.long_help(format!("{help}\n\n{}", setting.more)).help(help)
    };
    let arg = match setting.short {
        Some(short) => arg.short(short),
        None => arg,
    };
    match setting.takes {
        Takes::Flag => arg.action(ArgAction::SetTrue),
        Takes::Word(name) | Takes::Text(name) => {
            arg.value_name(name).value_parser(ValueParser::os_string()).action(ArgAction::Set)
        }
        Takes::List(name) => {
            arg.value_name(name).value_parser(ValueParser::os_string()).action(ArgAction::Append)
        }
    }
}

/// The help and the default, on a line of its own where both do not stand beside the option at 80 columns.
fn with_default(help: &str, default: &str) -> String {
    const BESIDE: usize = 48;
    let default = format!("[default: {default}]");
    let between = if help.len() + 1 + default.len() > BESIDE + 6 { '\n' } else { ' ' };
    format!("{help}{between}{default}")
}

/// The options that are no settings; see [`options::NOT_SETTINGS`].
fn of_the_command_line_alone() -> [Arg; 5] {
    let arg = |name: &'static str| Arg::new(name).long(name).help_heading(Table::Run.heading());
    [
        arg("config")
            .value_name("FILE")
            .value_parser(ValueParser::os_string())
            .help("Read settings from FILE [default: ./config.toml]")
            .long_help(
                "Read settings from FILE [default: ./config.toml]\n\nElse \
                 $XDG_CONFIG_HOME/skufetch/config.toml. One file is read, never several.",
            ),
        arg("verbose").short('v').action(ArgAction::Count).help("Say more; -vv says still more"),
        arg("quiet")
            .short('q')
            .action(ArgAction::SetTrue)
            .conflicts_with("verbose")
            .help("Say nothing unless something fails"),
        help().help_heading(Table::Run.heading()).help("Print a summary (-h) or everything (--help)"),
        arg("version").short('V').action(ArgAction::Version).help("Print the version"),
    ]
}

/// Under no heading, as commands without settings have none.
fn help() -> Arg {
    Arg::new("help").short('h').long("help").action(ArgAction::Help).help("Print this help")
}

const UNITS: &str = "Times: 250ms 30s 5m 12h. Sizes: 10MiB 500kB.";

const EXAMPLES: &str = "\
Examples:
  Try it, without an API:
    skufetch products.csv -o out.json --demo
  Ask an API for every SKU:
    skufetch products.csv -o out.json \\
      --url 'https://api.example.com/products/{sku}'
  With a token from the environment, at most 200 requests a second:
    skufetch products.csv -o out.json --rate 200/s \\
      --url 'https://api.example.com/products/{sku}' \\
      --header 'Authorization: Bearer ${API_TOKEN}'
  Ask again for just those that failed:
    skufetch out.failed.csv -o out.json --merge --min-success 0 \\
      --url 'https://api.example.com/products/{sku}'";

/// What stands at the end of `--help`.
fn notes() -> String {
    let mut text = format!(
        "{UNITS}

Settings:
  An option beats the environment, which beats the config file. --max-age is the
  variable SKUFETCH_MAX_AGE and the key max-age in table [run]; the headings
  above are the file's tables. An empty variable is as if it were not set; on
  and off are true and false there; headers stand one a line.

Exit codes:
",
    );
    for (exit, meaning) in EXITS {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {:>3}    {meaning}", exit.code());
    }
    let _ = write!(text, "  {}+n  stopped by signal n", Exit::Signal(0).code());
    text
}

/// What each exit code means, signals apart.
const EXITS: [(Exit, &str); 12] = [
    (Exit::Complete, "every SKU was fetched"),
    (Exit::SomeFailed, "published, but some SKUs failed"),
    (Exit::Usage, "the command line or the environment is wrong"),
    (Exit::Data, "the CSV cannot be read, changed during the run, or has no data row"),
    (Exit::NoInput, "there is no such input"),
    (Exit::Unavailable, "the API is unreachable or failing, or too few SKUs came: not published"),
    (Exit::CannotCreate, "the output cannot be written there"),
    (Exit::Io, "disk error, unusable standard output, or a system limit"),
    (Exit::TryAgain, "locked, deferred or out of time: run it again later"),
    (Exit::HeldBack, "held back: much worse than the old output, which stays"),
    (Exit::NoPermission, "the API refuses the credentials"),
    (Exit::Config, "the config file is wrong"),
];

#[cfg(test)]
mod tests {
    use super::*;

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
            options::all().map(|(_, s)| s.name).chain(options::NOT_SETTINGS.iter().copied()).collect();
        assert_eq!(named, expected);
        for (table, setting) in options::all() {
            let arg = command.get_arguments().find(|arg| arg.get_long() == Some(setting.name)).unwrap();
            assert_eq!(arg.get_help_heading(), Some(table.heading()), "{}", setting.name);
            assert_eq!(arg.get_short(), setting.short, "{}", setting.name);
        }
    }

    #[test]
    fn no_input_is_a_usage_error_and_nothing_at_all_shows_what_to_type() {
        assert!(refused(&["-o", "out.json"]).starts_with("INPUT is missing"));
        for args in [&[][..], &["tune"]] {
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
        for (_, setting) in options::all() {
            assert!(
                command.get_arguments().any(|arg| arg.get_long() == Some(setting.name)),
                "{}",
                setting.name
            );
        }
        let line = tuned(&["in.csv", "-o", "out.json", "--merge", "-c", "auto:9", "--report", "t.json"]);
        assert_eq!(line.layer.len(), 4);
        assert!(refused(&["-c", "9", "tune", "in.csv"]).starts_with("tune stands behind an option"));
        assert!(refused(&["tune", "a.csv", "b.csv"]).contains("more than one INPUT"));
        assert!(refused(&["tune", "-c", "9"]).contains("INPUT"));
        assert!(refused(&["tune"]).contains("skufetch tune [OPTIONS] <INPUT>"));
        assert!(shown(&["help", "tune"]).contains("fresh SKUs"));
        assert_eq!(shown(&["tune", "--help"]), shown(&["help", "tune"]));
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
        assert!(short == include_str!("help/short.txt"), "{short}");
        assert!(long == include_str!("help/long.txt"), "{long}");
        assert!(tune_short == include_str!("help/tune-short.txt"), "{tune_short}");
        assert!(tune_long == include_str!("help/tune-long.txt"), "{tune_long}");
        for line in short.lines().chain(tune_short.lines()) {
            let begun = line.trim_start();
            assert!(!begun.ends_with("[default:") && begun != "auto]", "badly broken: {line}");
        }
        for line in [&short, &long, &tune_short, &tune_long].into_iter().flat_map(|text| text.lines()) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
