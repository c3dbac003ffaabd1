//! The arguments of clap, generated from the settings.

use clap::builder::ValueParser;
use clap::{Arg, ArgAction};

use crate::config::options::{self, Setting, Table, Takes};

/// The identifier of INPUT.
pub(super) const INPUT: &str = "input";

pub(super) fn input() -> Arg {
    Arg::new(INPUT)
        .value_name("INPUT")
        .help("A CSV file, or - for standard input; may be gzip or zstd")
        .value_parser(ValueParser::os_string())
        .required(true)
}

pub(super) fn option(setting: &'static Setting) -> Arg {
    let help = match (setting.takes, setting.default) {
        (Takes::Flag, _) | (_, "") => setting.help.to_owned(),
        (_, default) => with_default(setting.help, default),
    };
    let arg = Arg::new(setting.name).long(setting.name).help_heading(setting.table.heading());
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

/// The help with the default appended; on a line of its own if both do not fit beside the option at 80 columns.
fn with_default(help: &str, default: &str) -> String {
    const BESIDE: usize = 48;
    let default = format!("[default: {default}]");
    let between = if help.len() + 1 + default.len() > BESIDE + 6 { '\n' } else { ' ' };
    // A list that is longer than a line goes on in the next one.
    let default = match default.get(..BESIDE).and_then(|line| line.rfind(',')) {
        Some(comma) if default.len() > BESIDE + 6 => {
            format!("{}\n{}", &default[..=comma], &default[comma + 1..])
        }
        _ => default,
    };
    format!("{help}{between}{default}")
}

/// The options that are no settings; see [`options::NOT_SETTINGS`].
pub(super) fn of_the_command_line_alone() -> [Arg; 5] {
    let arg = |name: &'static str| Arg::new(name).long(name).help_heading(Table::Run.heading());
    [
        arg(options::CONFIG)
            .value_name("FILE")
            .value_parser(ValueParser::os_string())
            .help("Read settings from FILE [default: ./config.toml]")
            .long_help(
                "Read settings from FILE [default: ./config.toml]\n\nElse \
                 $XDG_CONFIG_HOME/skufetch/config.toml. One file is read, never several.",
            ),
        arg(options::VERBOSE).short('v').action(ArgAction::Count).help("Say more; -vv says still more"),
        arg(options::QUIET)
            .short('q')
            .action(ArgAction::SetTrue)
            .conflicts_with(options::VERBOSE)
            .help("Say nothing unless something fails"),
        help()
            .help_heading(Table::Run.heading())
            .help(format!("Print a summary (-h) or everything (--{})", options::HELP)),
        arg(options::VERSION).short('V').action(ArgAction::Version).help("Print the version"),
    ]
}

/// `--help`, under no heading: the commands without settings have none.
pub(super) fn help() -> Arg {
    Arg::new(options::HELP).short('h').long(options::HELP).action(ArgAction::Help).help("Print this help")
}
