//! `skufetch tune`: the options of a fetch, so that `tune` can be put into the command that is to be
//! made faster. Those without a meaning here are taken all the same, and not shown.

use clap::{Arg, Command};

use super::{UNITS, WIDEST, input, of_the_command_line_alone, option, with_default};
use crate::config::options::{self, Setting, Table};

/// Settings that say nothing of a measurement, beside all of the table `output`.
const WITHOUT_MEANING: [&str; 5] = ["fresh", "max-age", "lock-wait", "retries", "dry-run"];

/// What is shown where `tune` stands alone.
pub(super) fn opening() -> String {
    super::opening(&mut command(), EXAMPLES, "skufetch tune")
}

/// The subcommand.
pub(super) fn command() -> Command {
    let [config, verbose, quiet, help, _] = of_the_command_line_alone();
    let quiet = quiet.help("Print the number of workers and nothing else");
    Command::new("tune")
        .about("Measure which concurrency pays, on a sample of INPUT")
        .long_about(ABOUT)
        .override_usage("skufetch tune [OPTIONS] <INPUT>")
        .after_help(format!("{EXAMPLES}\n\n{UNITS} More: skufetch tune --help"))
        .after_long_help(format!("{EXAMPLES}\n\n{NOTES}"))
        .max_term_width(WIDEST)
        .arg_required_else_help(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(input())
        .args(options::all().map(|(table, setting)| tuned(table, setting)))
        .args([config, verbose, quiet, help])
}

fn tuned(table: Table, setting: &'static Setting) -> Arg {
    let arg = option(table, setting);
    match setting.name {
        _ if table == Table::Output => arg.hide(true),
        name if WITHOUT_MEANING.contains(&name) => arg.hide(true),
        "report" => arg.help("Write the measurement: FILE.json or .html").long_help(
            "Write the measurement: FILE.json or .html\n\nBy the ending: one JSON object, or a page \
                 for a browser.",
        ),
        "limit" => arg.help("Take the first N rows as the sample [default: 2000]"),
        "concurrency" => arg
            .help("Climb to N or MAX workers at most [default: auto]")
            .long_help("Climb to N, auto (64) or auto:MAX workers at most [default: auto]"),
        "max-time" => arg.help("Stop within this time [default: 1m]").long_help(
            "Stop within this time [default: 1m]\n\nThe best of what was measured by then is named.",
        ),
        "retry-on" => {
            let help = with_default("Statuses that are errors", setting.default);
            arg.long_help(format!("{help}\n\nNothing is retried.")).help(help)
        }
        _ => arg,
    }
}

const ABOUT: &str = "\
Measure which concurrency pays, on a sample of INPUT.

Asks for fresh SKUs with 1, 2, 4, 8 ... workers, with at most 2,000 requests and a minute in all, and \
stops where throughput stops growing, where errors begin, or at the ceiling. A rate, pauses and quotas are \
obeyed as in a fetch. The answers are thrown away, and no output is written: put `tune` into the command \
that you want to make faster.";

pub(super) const EXAMPLES: &str = "\
Examples:
  Try it, without an API:
    skufetch tune products.csv --demo
  How many workers does an API bear?
    skufetch tune products.csv \\
      --url 'https://api.example.com/products/{sku}'
  Climb further, on a larger sample:
    skufetch tune products.csv --concurrency auto:512 --limit 10000 \\
      --url 'https://api.example.com/products/{sku}'
  In a script:
    N=$(skufetch tune -q products.csv --demo)";

const NOTES: &str = "\
Times: 250ms 30s 5m 12h. Sizes: 10MiB 500kB.

Every option of a fetch is accepted; those about retries and the output do
nothing here. The environment and the config file are read as in a fetch, but
for limit, max-time and report: there they are meant for the fetch.

Exit codes:
    0    a number was found
    2    the command line or the environment is wrong
   65    the CSV cannot be read, or has no SKU to ask for
   66    there is no such input
   69    the API is unreachable or failing
   73    the report cannot be written there
   74    standard output or the disk does not take what is written
   75    the API asks for a longer wait than --max-retry-after
   77    the API refuses the credentials
   78    the config file is wrong
  128+n  stopped by signal n";
