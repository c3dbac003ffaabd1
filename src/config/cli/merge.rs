//! The command line of `skufetch merge`. It accepts all options of a fetch, so that shards and their merge can be given the
//! same ones. Those without a meaning here are accepted, ignored and hidden.

use clap::{Arg, Command};

use super::args::{of_the_command_line_alone, option};
use super::texts::{UNITS, WIDEST};
use crate::config::options::{
    self, CHANGES, COLUMNS, CSV_BOM, FAILED, FORMAT, GUARD, HELP, LOCK_WAIT, LOG_FORMAT, MIN_SUCCESS, OUTPUT,
    REPORT, RUN_ID, SHAPE, SHARD, Setting, URL,
};

/// The name of the subcommand.
pub(super) const NAME: &str = "merge";

/// The options that mean something here.
static OWN: [&Setting; 13] = [
    &OUTPUT.setting,
    &FORMAT.setting,
    &COLUMNS.setting,
    &CSV_BOM.setting,
    &SHAPE.setting,
    &CHANGES.setting,
    &GUARD.setting,
    &FAILED.setting,
    &MIN_SUCCESS.setting,
    &RUN_ID.setting,
    &LOCK_WAIT.setting,
    &REPORT.setting,
    &LOG_FORMAT.setting,
];

/// The subcommand.
pub(super) fn command() -> Command {
    let [config, verbose, quiet, help, _] = of_the_command_line_alone();
    Command::new(NAME)
        .about("Put the parts of a sharded job together")
        .long_about(ABOUT)
        .override_usage(format!("skufetch merge [OPTIONS] -o <FILE> {RUN_ID} <NAME>"))
        .after_help(format!("{}\n\n{UNITS} More: skufetch merge --{HELP}", examples()))
        .after_long_help(format!("{}\n\n{}", examples(), notes()))
        .max_term_width(WIDEST)
        .arg_required_else_help(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args(options::all().map(merged))
        .args([config, verbose, quiet, help])
}

fn merged(setting: &'static Setting) -> Arg {
    let arg = option(setting);
    let of_the_shards = |about: &str| format!("{about} [default: as the shards]");
    let (help, more) = match setting {
        _ if !OWN.contains(&setting) => return arg.hide(true),
        own if *own == *OUTPUT => ("The file that the shards were given".to_owned(), "Required."),
        own if *own == *FORMAT => (
            of_the_shards("json, jsonl or csv"),
            "Parts for json can become jsonl, and the other way round; those for a csv have the rows of INPUT.",
        ),
        own if *own == *COLUMNS => {
            (of_the_shards("Of a csv: name=JQ, ..."), "Others than those of the shards are an error.")
        }
        own if *own == *SHAPE => {
            (of_the_shards("body or record"), "Another than that of the shards is an error.")
        }
        _ => return arg,
    };
    arg.long_help(format!("{help}\n\n{more}")).help(help)
}

const ABOUT: &str = "\
Put the parts of a sharded job together.

Reads the parts that the shards of a run left in out.json.parts/RUN, and writes the output, the failed rows and the \
changes as one process would have written them, byte for byte. The guard and the least share of SKUs are judged \
here. Needs no CSV and sends no request. Where a part is missing, damaged, or of another job, input or run, nothing is \
written, and the message lists the shards to run again.";

pub(super) fn examples() -> String {
    format!(
        "\
Examples:
  Four processes, then their merge:
    for i in 0 1 2 3; do
      skufetch products.csv -o out.json {SHARD} $i/4 {RUN_ID} monday \\
        {URL} 'https://api.example.com/products/{{sku}}' &
    done; wait
    skufetch merge -o out.json {RUN_ID} monday
  Remove the parts once they are merged:
    skufetch merge -o out.json {RUN_ID} monday &&
      rm -r out.json.parts/monday"
    )
}

/// Which options mean something, for the manual page.
pub(super) fn about() -> String {
    let names: Vec<String> = OWN.iter().map(ToString::to_string).collect();
    format!(
        "Every option of a fetch is accepted. Those that mean something are {}. Format, shape and columns are those of \
         the shards, and need not be given. The parts stay, so that a merge can be made again.",
        names.join(", ")
    )
}

fn notes() -> String {
    format!(
        "\
Every option of a fetch is accepted; those about requests and rows do nothing
here. Format, shape and columns are those of the shards, and need not be given.
The parts stay, so that a merge can be made again.

Exit codes:
    0    every SKU was fetched
    1    published, but some SKUs failed
    2    the command line or the environment is wrong
   65    parts are missing, damaged, or of another job, input or run
   69    fewer SKUs came than {MIN_SUCCESS} demands: not published
   73    the output cannot be written there
   74    disk error
   75    another run is writing this output
   76    held back: much worse than the old output, which stays
   78    the config file is wrong
  128+n  stopped by signal n"
    )
}
