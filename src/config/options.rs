//! The table of settings: the one place that says which there are, in which table of the config file
//! each stands, what it takes, its default and its help. The command line, the environment and the
//! config file are all driven from it, so that none of the three can know a setting the others do not.

/// A table of the config file, and a heading of `--help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// What is read.
    Input,
    /// What leaves for the API.
    Request,
    /// How fast.
    Pace,
    /// What is tried again.
    Retry,
    /// What is kept of an answer.
    Response,
    /// What is left behind.
    Output,
    /// This run.
    Run,
}

impl Table {
    /// The name in the config file, without brackets.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Request => "request",
            Self::Pace => "pace",
            Self::Retry => "retry",
            Self::Response => "response",
            Self::Output => "output",
            Self::Run => "run",
        }
    }

    /// The heading in `--help`.
    #[must_use]
    pub fn heading(self) -> &'static str {
        match self {
            Self::Input => "Input",
            Self::Request => "Request",
            Self::Pace => "Pace",
            Self::Retry => "Retry",
            Self::Response => "Response",
            Self::Output => "Output",
            Self::Run => "Run",
        }
    }

    /// The table with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        SETTINGS.iter().map(|(table, _)| *table).find(|table| table.name() == name)
    }
}

/// What a setting takes. The text is the value's name in `--help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Nothing: it is on or off.
    Flag,
    /// One word; the config file may also write it as a number.
    Word(&'static str),
    /// One text: in the config file always a string.
    Text(&'static str),
    /// Any number of texts: in the config file an array of strings.
    List(&'static str),
}

/// One setting, under the same name on the command line, in the environment and in the config file.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The long option, without its dashes, and the key in the config file.
    pub name: &'static str,
    /// The short option.
    pub short: Option<char>,
    /// What it takes.
    pub takes: Takes,
    /// The default as a person would write it. Empty: there is no word for it, and an empty string in
    /// the config file is the same as leaving the key out.
    pub default: &'static str,
    /// One line for `-h`.
    pub help: &'static str,
    /// What `--help` says after that line.
    pub more: &'static str,
}

impl Setting {
    const fn new(name: &'static str, takes: Takes, help: &'static str) -> Self {
        Self { name, short: None, takes, default: "", help, more: "" }
    }

    const fn flag(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Takes::Flag, help).default("false")
    }

    const fn short(mut self, short: char) -> Self {
        self.short = Some(short);
        self
    }

    const fn default(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }

    const fn more(mut self, more: &'static str) -> Self {
        self.more = more;
        self
    }

    /// The environment variable: `max-age` is `SKUFETCH_MAX_AGE`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.name.replace('-', "_").to_ascii_uppercase())
    }
}

/// What the name of every variable begins with.
pub(super) const VARIABLE_PREFIX: &str = "SKUFETCH_";

/// Options of the command line that are no settings: neither the config file nor the environment has them.
pub(super) const NOT_SETTINGS: &[&str] = &["config", "verbose", "quiet", "help", "version"];

use Takes::{List, Text, Word};

/// Every setting, by table, in the order of `--help`.
pub static SETTINGS: &[(Table, &[Setting])] = &[
    (Table::Input, INPUT),
    (Table::Request, REQUEST),
    (Table::Pace, PACE),
    (Table::Retry, RETRY),
    (Table::Response, RESPONSE),
    (Table::Output, OUTPUT),
    (Table::Run, RUN),
];

const INPUT: &[Setting] = &[
    Setting::new("key", Word("COLUMN"), "The column whose value keys the output")
        .short('k')
        .more("Default: the column called sku, in upper or lower case, else the only column."),
    Setting::new("delimiter", Word("CHAR"), "Between cells: a character or tab")
        .short('d')
        .default("auto")
        .more("auto chooses by the header line: one of , ; tab |"),
    Setting::flag("no-headers", "The first line is data; columns are named 1, 2, 3 ..."),
    Setting::new("limit", Word("N"), "Stop after N data rows").default("all"),
];

const REQUEST: &[Setting] = &[
    Setting::new("url", Text("TEMPLATE"), "The address; any column may stand in {}").short('u').more(
        "For example https://api.example.com/products/{sku}. {sku} is the key column where no column is \
         called so. A value is percent-encoded; it can change neither the host nor the number of path \
         segments. ${ENV_VAR} is replaced by that environment variable and treated as a secret. Required, \
         unless --demo is given.",
    ),
    Setting::new("method", Text("METHOD"), "The method [default: GET; POST with --body]").short('X').more(
        "A retried POST may act twice: an answer that is lost on its way back is asked for again. \
         --retries 0 turns retries off.",
    ),
    Setting::new("header", List("NAME: VALUE"), "A header of each request; repeatable").short('H').more(
        "The value may hold {column} and ${ENV_VAR}; write secrets as ${ENV_VAR}, so that they stand in no \
         process list. It replaces the program's own header of that name. Headers given here replace \
         those of the environment, which replace those of the config file.",
    ),
    Setting::new("body", Text("TEXT|@FILE"), "A body for each request, or @FILE that holds it").more(
        "{column} and ${ENV_VAR} are inserted as the Content-Type needs it. {{column}} stands for the text \
         {column}; all other braces are sent unchanged. FILE is relative to the current folder. Content-Type is \
         application/json unless --header says otherwise. A retried POST may act twice.",
    ),
    Setting::new("body-escape", Word("KIND"), "json, form, xml or none [default: by Content-Type]").more(
        "How values are inserted: json escapes them for the inside of a string, form percent-encodes, xml uses \
         entity and character references, none inserts them unchanged. Default: json without a Content-Type and \
         for application/json and +json, form for application/x-www-form-urlencoded, xml for application/xml, \
         text/xml and +xml, none for text/plain. Other types need this option if the body has a placeholder. \
         The Content-Type is not changed.",
    ),
    Setting::new("timeout", Word("TIME"), "For one attempt, body included")
        .default("30s")
        .more("From sending to the last byte of the body; waiting for its turn does not count."),
    Setting::new("connect-timeout", Word("TIME"), "For connecting, TLS included").default("10s"),
    Setting::new("follow", Word("REDIRECTS"), "none, same-origin or any").default("same-origin").more(
        "At most 5, and never from https to http. With any, no header, body or user-info that you gave \
             reaches another origin. Where a redirect would lose the body of a request, the SKU fails, and the \
             message names the address to use as --url.",
    ),
    Setting::new("ca-cert", Text("FILE"), "Trust the certificates in this PEM file, too"),
    Setting::new("proxy", Text("URL"), "Send everything through this proxy")
        .more(
            "Default: the standard variables, such as HTTPS_PROXY and NO_PROXY. May hold ${ENV_VAR}: before \
             the @ it is percent-encoded, elsewhere inserted as it is.",
        ),
    Setting::flag("insecure", "Do not verify the server's certificate"),
];

const PACE: &[Setting] = &[
    Setting::new("concurrency", Word("N|auto:MAX"), "Requests in flight at most")
        .short('c')
        .default("auto")
        .more("auto finds the number that pays, up to MAX (auto alone: 64)."),
    Setting::new("rate", Word("N/s"), "At most N/s, N/m or N/h")
        .short('r')
        .default("none")
        .more("Requests a second, a minute or an hour. Every attempt counts, retries and redirects too."),
    Setting::new("burst", Word("N"), "At once after a quiet time").default("1"),
    Setting::new("max-time", Word("TIME"), "Stop within this time").default("none").more(
        "Counts from the start. No work is started that would end later, what is in flight is \
         drained, and the journal is kept: the same command goes on from there.",
    ),
];

const RETRY: &[Setting] = &[
    Setting::new("retries", Word("N"), "Retries after the first attempt").default("4"),
    Setting::new("retry-on", Word("CODES"), "Statuses to retry")
        .default("408,425,429,500,502-504,522,524")
        .more(
            "Ranges are allowed; none means no status. A leading + adds to the default: +202. This also works in \
             the environment and the config file. 2xx and 3xx may be named, for example 202 for an answer that is \
             not ready. Connection faults, timeouts and cut bodies are always retried.",
        ),
    Setting::new("max-retry-after", Word("TIME"), "Longest wait a server may ask for").default("5m").more(
        "A server that asks for longer in Retry-After defers the run: what is \
             left is fetched by the next one.",
    ),
];

const RESPONSE: &[Setting] = &[
    Setting::new("select", Text("JQ"), "A jq filter on each body").default("."),
    Setting::new("body-as", Word("KIND"), "json or text").default("json").more(
        "With text the body becomes a JSON string. A charset that Content-Type declares is decoded; a \
             byte-order mark wins over it.",
    ),
    Setting::new("null-on", Word("CODES"), "Statuses that store null").default("none").more(
        "They count as fetched. For example 404,410. A status that is also in the default of --retry-on is then \
             stored, not retried.",
    ),
    Setting::new("max-body", Word("SIZE"), "The largest body to keep, decoded").default("10MiB"),
];

const OUTPUT: &[Setting] = &[
    Setting::new("output", Text("FILE"), "Where the answers go, or - for standard output")
        .short('o')
        .more("Required. The old file is untouched until the new one is complete."),
    Setting::new("format", Word("FORMAT"), "json or jsonl").default("json").more(
        "json is one object with a line for each SKU; jsonl has one {\"key\":...,\"body\":...} a line.",
    ),
    Setting::new("shape", Word("SHAPE"), "body or record").default("body").more(
        "record is {\"status\":...,\"fetched_at\":...,\"attempts\":...,\"body\":...}; a failed SKU has \
         \"error\" in place of \"body\".",
    ),
    Setting::flag("merge", "Start from the existing output")
        .more("SKUs that are not fetched by this run keep their value."),
    Setting::flag("prune", "With --merge: drop SKUs no longer in INPUT").more(
        "Without it, --merge keeps them and the summary counts them. Not with --limit or with a failure file as \
         INPUT.",
    ),
    Setting::new("changes", Text("FILE"), "Write what changed, a JSON line a SKU").more(
        "One line for each SKU that differs from the replaced file: \
         {\"key\":...,\"change\":\"changed\",\"old\":...,\"new\":...}. change is added (no old), removed (no new), \
         changed or failed (no new). Needs an output file.",
    ),
    Setting::new("guard", Word("N%|off"), "Hold back a much worse output").default("50%").more(
        "An output is held back if it has over N percent fewer SKUs than the old one, or if the share of null or \
         of the most common value is over N percentage points higher, and at least 10 SKUs are affected. The old \
         file stays, the new one is written beside it as out.held.json, and the exit code is 76. An output \
         without SKUs never replaces one that has some, even with off.",
    ),
    Setting::new("failed", Text("FILE"), "Where failed rows go [default: out.failed.csv]")
        .more(
            "Default: beside the output, under its name; with -o - nowhere. It can be used as INPUT; if the output \
             has SKUs, this needs --merge.",
        ),
    Setting::new("min-success", Word("N%"), "With fewer fetched, publish nothing")
        .default("50%")
        .more("Of the SKUs asked for and the bad rows. 0 turns it off, and also publishes an output of only null."),
];

const RUN: &[Setting] = &[
    Setting::flag("fresh", "Ignore the journal of an interrupted run"),
    Setting::new("max-age", Word("TIME"), "Ask again for what is older").default("none").more(
        "Values younger than this are kept (with --merge); older answers in the journal of an interrupted run are \
         requested again (with or without --merge). For a daily run use 20h: at 24h, values stored a few minutes \
         into yesterday's run are still too young, so they are refreshed only every second night.",
    ),
    Setting::new("lock-wait", Word("TIME"), "Wait for another run on this output")
        .default("0s")
        .more("Two runs never work on one output; the second ends at once, or after this time."),
    Setting::flag("dry-run", "Print the plan: no request, no file written").more(
        "To standard output: rows, repeats, rejected rows with their lines, the first addresses, the pace and \
         the time it takes, what is already there. Exit 1 where rows would be rejected, 76 where the output \
         would be held back.",
    ),
    Setting::new("progress", Word("MODE"), "auto, bar, plain or none")
        .default("auto")
        .more("auto is a bar on a terminal, else one plain line every 10 s."),
    Setting::new("report", Text("FILE"), "Write a report: FILE.json, .html or .prom").more(
        "By the ending: one JSON object, a page for a browser, or text for Prometheus' node_exporter. Written \
         at every end, published or not.",
    ),
    Setting::new("log-format", Word("FORMAT"), "Standard error: text or json").default("text"),
    #[cfg(feature = "demo")]
    Setting::flag("demo", "Fetch from the built-in catalogue API, not --url"),
    #[cfg(feature = "demo")]
    Setting::new("demo-latency", Word("TIME"), "Demo: the time an answer takes").default("50ms"),
    #[cfg(feature = "demo")]
    Setting::new("demo-failures", Word("N%"), "Demo: the share of requests that fail").default("1%"),
    #[cfg(feature = "demo")]
    Setting::new("demo-rate", Word("N/s"), "Demo: over this rate, 429").default("none"),
];

/// Every setting, with its table.
pub fn all() -> impl Iterator<Item = (Table, &'static Setting)> {
    SETTINGS.iter().flat_map(|(table, settings)| settings.iter().map(|setting| (*table, setting)))
}

/// The setting with this name, and its table.
#[must_use]
pub fn find(name: &str) -> Option<(Table, &'static Setting)> {
    all().find(|(_, setting)| setting.name == name)
}

/// The candidate that was probably meant: at most a third of its letters differ, as in cargo's
/// suggestions; `_` counts as `-`.
#[must_use]
pub fn nearest<'a>(typed: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.replace('_', "-").to_lowercase();
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(&typed, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(3) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_settings_share_a_name_or_a_letter() {
        let mut names: Vec<_> = all().map(|(_, s)| s.name).collect();
        let mut letters: Vec<_> = all().filter_map(|(_, s)| s.short).chain(['h', 'V', 'v', 'q']).collect();
        let before = (names.len(), letters.len());
        names.sort_unstable();
        names.dedup();
        letters.sort_unstable();
        letters.dedup();
        assert_eq!((names.len(), letters.len()), before);
        assert!(names.iter().all(|name| !NOT_SETTINGS.contains(name)));
    }

    #[test]
    fn the_nearest_name_forgives_a_slip_and_an_underscore_but_does_not_guess() {
        let names = || all().map(|(_, s)| s.name);
        assert_eq!(nearest("raet", names()), Some("rate"));
        assert_eq!(nearest("max_retry_after", names()), Some("max-retry-after"));
        assert_eq!(nearest("Concurency", names()), Some("concurrency"));
        assert_eq!(nearest("elephant", names()), None);
    }
}
