//! Texts of the help that belong to no option.

use std::fmt::Write as _;

use crate::config::options::{DEMO, HEADER, MAX_AGE, MERGE, MIN_SUCCESS, RATE, URL};
use crate::model::Exit;

/// The width of the help on a wide terminal, in columns.
pub(super) const WIDEST: usize = 100;

pub(super) const UNITS: &str = "Times: 250ms 30s 5m 12h. Sizes: 10MiB 500kB.";

pub(super) fn examples() -> String {
    format!(
        "\
Examples:
  Try it, without an API:
    skufetch products.csv -o out.json {DEMO}
  Ask an API for every SKU:
    skufetch products.csv -o out.json \\
      {URL} 'https://api.example.com/products/{{sku}}'
  With a token from the environment, at most 200 requests a second:
    skufetch products.csv -o out.json {RATE} 200/s \\
      {URL} 'https://api.example.com/products/{{sku}}' \\
      {HEADER} 'Authorization: Bearer ${{API_TOKEN}}'
  Ask again for just those that failed:
    skufetch out.failed.csv -o out.json {MERGE} {MIN_SUCCESS} 0 \\
      {URL} 'https://api.example.com/products/{{sku}}'"
    )
}

/// The end of `--help`.
pub(super) fn notes() -> String {
    let mut text = format!(
        "{UNITS}

Settings:
  An option beats the environment, which beats the config file. {MAX_AGE} is the
  variable {} and the key {} in table [{}]; the headings
  above are the file's tables. An empty variable is as if it were not set; on
  and off are true and false there; headers stand one a line.

Exit codes:
",
        MAX_AGE.variable(),
        MAX_AGE.name,
        MAX_AGE.table.name(),
    );
    for (exit, meaning) in EXITS {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {:>3}    {meaning}", exit.code());
    }
    let _ = write!(text, "  {}+n  stopped by signal n", Exit::Signal(0).code());
    text
}

/// What each exit code means, signals apart.
pub(super) const EXITS: [(Exit, &str); 12] = [
    (Exit::Complete, "every SKU was fetched"),
    (Exit::SomeFailed, "published, but some SKUs failed"),
    (Exit::Usage, "the command line or the environment is wrong"),
    (Exit::Data, "the CSV cannot be read, changed during the run, or has no data row"),
    (Exit::NoInput, "there is no such input"),
    (Exit::Unavailable, "API unreachable or failing, or too few SKUs fetched: not published"),
    (Exit::CannotCreate, "the output cannot be written there"),
    (Exit::Io, "disk error, unusable standard output, or a system limit"),
    (Exit::TryAgain, "locked, deferred or out of time: run it again later"),
    (Exit::HeldBack, "held back: much worse than the old output, which stays"),
    (Exit::NoPermission, "the API refuses the credentials"),
    (Exit::Config, "the config file is wrong"),
];
