//! The command line of `skufetch tune`. It accepts all options of a fetch, so that a user can insert `tune` into an
//! existing command. Options without a meaning here are accepted, ignored and hidden.

use clap::{Arg, Command};

use super::args::{input, of_the_command_line_alone, option};
use super::texts::{UNITS, WIDEST};
use crate::config::options::{
    self, CONCURRENCY, DEMO, HELP, LIMIT, MAX_RETRY_AFTER, MAX_TIME, REPORT, Setting, URL,
};
use crate::config::setting::InTune;

/// The name of the subcommand.
pub(super) const NAME: &str = "tune";

/// The subcommand.
pub(super) fn command() -> Command {
    let [config, verbose, quiet, help, _] = of_the_command_line_alone();
    let quiet = quiet.help("Print the number of workers and nothing else");
    Command::new(NAME)
        .about("Measure which concurrency pays, on a sample of INPUT")
        .long_about(ABOUT)
        .override_usage("skufetch tune [OPTIONS] <INPUT>")
        .after_help(format!("{}\n\n{UNITS} More: skufetch tune --{HELP}", examples()))
        .after_long_help(format!("{}\n\n{}", examples(), notes()))
        .max_term_width(WIDEST)
        .arg_required_else_help(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(input())
        .args(options::all().map(tuned))
        .args([config, verbose, quiet, help])
}

fn tuned(setting: &'static Setting) -> Arg {
    let arg = option(setting);
    match setting.in_tune {
        InTune::Same => arg,
        InTune::Ignored => arg.hide(true),
        InTune::Other { help, long: "", more: "" } => arg.help(help),
        InTune::Other { help, long, more: "" } => arg.help(help).long_help(long),
        InTune::Other { help, more, .. } => arg.help(help).long_help(format!("{help}\n\n{more}")),
    }
}

const ABOUT: &str = "\
Measure which concurrency pays, on a sample of INPUT.

Asks for fresh SKUs with 1, 2, 4, 8 ... workers, with at most 2,000 requests and a minute in all, and \
stops where throughput stops growing, where errors begin, or at the ceiling. A rate, pauses and quotas are \
obeyed as in a fetch. The answers are thrown away, and no output is written: put `tune` into the command \
that you want to make faster.";

pub(super) fn examples() -> String {
    format!(
        "\
Examples:
  Try it, without an API:
    skufetch tune products.csv {DEMO}
  How many workers does an API bear?
    skufetch tune products.csv \\
      {URL} 'https://api.example.com/products/{{sku}}'
  Climb further, on a larger sample:
    skufetch tune products.csv {CONCURRENCY} auto:512 {LIMIT} 10000 \\
      {URL} 'https://api.example.com/products/{{sku}}'
  In a script:
    N=$(skufetch tune -q products.csv {DEMO})"
    )
}

fn notes() -> String {
    format!(
        "\
Times: 250ms 30s 5m 12h. Sizes: 10MiB 500kB.

Every option of a fetch is accepted; those about retries and the output do
nothing here. The environment and the config file are read as in a fetch, but
for {limit}, {max_time} and {report}: there they are meant for the fetch.

Exit codes:
    0    a number was found
    2    the command line or the environment is wrong
   65    the CSV cannot be read, or has no SKU to ask for
   66    there is no such input
   69    the API is unreachable or failing
   73    the report cannot be written there
   74    standard output or the disk does not take what is written
   75    the API asks for a longer wait than {MAX_RETRY_AFTER}
   77    the API refuses the credentials
   78    the config file is wrong
  128+n  stopped by signal n",
        limit = LIMIT.name,
        max_time = MAX_TIME.name,
        report = REPORT.name,
    )
}
