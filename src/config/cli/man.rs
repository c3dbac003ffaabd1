//! `skufetch man`: the manual page, generated from the definition of the command line, so that it lists every option.
//!
//! There is one page for all commands. `tune` accepts the options of a fetch; its section lists only those whose
//! meaning differs.

use clap::builder::Resettable;
use clap::{Arg, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use super::args::help;
use super::texts::{self, EXITS};
use super::{merge, tune};
use crate::config::options::{
    self, BODY, CONCURRENCY, CONFIG, HEADER, LIMIT, MAX_AGE, MAX_TIME, OUTPUT, PROXY, RETRIES, RUN_ID, SHARD,
    URL,
};
use crate::model::Exit;

/// The date in the page: when the texts of this file last changed.
const DATE: &str = "2026-11-25";

/// The name of the subcommand.
pub(super) const NAME: &str = "man";

/// The subcommand.
pub(super) fn command() -> Command {
    Command::new(NAME)
        .about("Print the manual page")
        .disable_help_flag(true)
        .override_usage("skufetch man")
        .after_help(PLACES)
        .arg(help())
}

/// The manual page of this command.
pub(super) fn page(command: Command) -> String {
    let fetch = command.mut_args(flowing);
    let preamble = Roff::new().render();
    let parts = [
        title(&fetch),
        opening(),
        options_of(&fetch),
        of_tune(&fetch),
        of_merge(),
        exits(),
        surroundings(),
        examples(),
        closing(),
    ];
    // Each part begins with the same preamble, which is kept once.
    let text: String = parts.iter().map(|part| part.strip_prefix(&preamble).unwrap_or(part)).collect();
    preamble + &folded(&text)
}

/// Breaks long lines at spaces, since `mandoc -T lint` warns of lines over 80 bytes. Unformatted text (`.nf`) and roff
/// requests stay unchanged.
fn folded(text: &str) -> String {
    const WIDEST: usize = 80;
    let mut page = String::with_capacity(text.len() + text.len() / 40);
    let mut as_it_is = false;
    for line in text.lines() {
        as_it_is = line == ".nf" || (as_it_is && line != ".fi");
        let mut rest = line;
        while rest.len() > WIDEST && !as_it_is && !line.starts_with('.') {
            let at = rest[..WIDEST].rfind(' ').or_else(|| rest.find(' '));
            // A line that begins with `.` or `'` is a roff request.
            let Some(at) = at.filter(|at| !rest[at + 1..].starts_with(['.', '\''])) else { break };
            page.push_str(&rest[..at]);
            page.push('\n');
            rest = &rest[at + 1..];
        }
        page.push_str(rest);
        page.push('\n');
    }
    page
}

/// Joins the summary and the details of an option, two paragraphs in `--help`, to one paragraph.
fn flowing(arg: Arg) -> Arg {
    let Some(long) = arg.get_long_help().map(ToString::to_string) else { return arg };
    arg.long_help(long.replace("\n\n", ". "))
}

fn title(command: &Command) -> String {
    let man = Man::new(command.clone()).title("SKUFETCH").date(DATE).manual("User Commands");
    written(|to| man.render_title(to))
}

fn opening() -> String {
    let mut roff = Roff::new();
    roff.control("SH", ["NAME"]);
    roff.text([roman(
        "skufetch - ask an HTTP API once for every SKU in a CSV and leave one keyed JSON file",
    )]);
    roff.control("SH", ["SYNOPSIS"]);
    let of_merge = format!("[OPTIONS] -o FILE {RUN_ID} NAME");
    for (at, (words, arguments)) in [
        ("skufetch", "[OPTIONS] INPUT"),
        ("skufetch tune", "[OPTIONS] INPUT"),
        ("skufetch merge", &*of_merge),
        ("skufetch completions", "SHELL"),
        ("skufetch man", ""),
    ]
    .into_iter()
    .enumerate()
    {
        if at > 0 {
            roff.control("br", []);
        }
        roff.text([bold(words), roman(" "), italic(arguments)]);
    }
    roff.control("SH", ["DESCRIPTION"]);
    paragraphs(&mut roff, DESCRIPTION);
    roff.render()
}

fn options_of(command: &Command) -> String {
    let man = Man::new(command.clone());
    let mut text = written(|to| man.render_options_section(to));
    for (table, _) in options::SETTINGS {
        // The generator makes each heading a section (`.SH`); here they are subsections of OPTIONS.
        let heading = table.heading();
        let section = format!(".SH {}\n", heading.to_uppercase());
        text = text.replace(&section, &format!(".SS {heading}\n"));
    }
    text
}

fn of_tune(fetch: &Command) -> String {
    let tune = tune::command().mut_args(flowing);
    let about = tune.get_long_about().map(ToString::to_string).unwrap_or_default();
    let said = |arg: &Arg| arg.get_long_help().or(arg.get_help()).map(ToString::to_string);
    let same = |arg: &Arg| {
        fetch.get_arguments().any(|other| other.get_id() == arg.get_id() && said(other) == said(arg))
    };
    let changed: Vec<Arg> = tune
        .get_arguments()
        .filter(|arg| !arg.is_hide_set() && !arg.is_positional() && !same(arg))
        // clap panics if an argument conflicts with one that the command does not have.
        .map(|arg| arg.clone().help_heading(None::<&str>).conflicts_with(Resettable::Reset))
        .collect();
    let man = Man::new(Command::new(tune::NAME).args(changed).disable_help_flag(true));
    let options = written(|to| man.render_options_section(to));
    let mut roff = Roff::new();
    roff.control("SH", ["TUNE"]);
    paragraphs(&mut roff, &format!("{about}\n\n{}", about_tune()));
    let (_, options) = options.split_once(".SH OPTIONS\n").unwrap_or_default();
    roff.render() + options
}

fn of_merge() -> String {
    let mut roff = Roff::new();
    roff.control("SH", ["MERGE"]);
    let about = merge::command().get_long_about().map(ToString::to_string).unwrap_or_default();
    paragraphs(&mut roff, &format!("{about}\n\n{}", merge::about()));
    roff.render()
}

fn exits() -> String {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for (exit, meaning) in EXITS {
        item(&mut roff, &exit.code().to_string(), meaning);
    }
    item(&mut roff, &format!("{}+n", Exit::Signal(0).code()), "stopped by signal n; the journal is kept");
    roff.render()
}

fn surroundings() -> String {
    let mut roff = Roff::new();
    roff.control("SH", ["FILES"]);
    for (name, what) in files() {
        item(&mut roff, name, &what);
    }
    roff.control("SH", ["ENVIRONMENT"]);
    for (name, what) in environment() {
        item(&mut roff, name, &what);
    }
    roff.render()
}

/// The examples of `--help` and `tune --help`. In them, lines indented by four spaces or more are commands; the others
/// are descriptions.
fn examples() -> String {
    let mut roff = Roff::new();
    roff.control("SH", ["EXAMPLES"]);
    for (heading, text) in
        [("A fetch", texts::examples()), ("tune", tune::examples()), ("merge", merge::examples())]
    {
        roff.control("SS", [heading]);
        let mut lines = text.lines().skip(1).peekable();
        let mut first = true;
        while let Some(purpose) = lines.next() {
            if !first {
                roff.control("PP", []);
            }
            first = false;
            roff.text([roman(purpose.trim())]);
            roff.control("PP", []).control("RS", ["4"]).control("nf", []);
            while let Some(command) = lines.next_if(|line| line.starts_with("    ")) {
                roff.text([roman(&command[4..])]);
            }
            roff.control("fi", []).control("RE", []);
        }
    }
    roff.render()
}

fn closing() -> String {
    let mut roff = Roff::new();
    roff.control("SH", ["BUGS"]);
    paragraphs(&mut roff, &bugs());
    roff.control("SH", ["SEE ALSO"]);
    let pages = [("curl", "1"), ("jq", "1"), ("crontab", "5"), ("systemd.timer", "5")];
    let mut line: Vec<Inline> = Vec::new();
    for (at, (name, section)) in pages.into_iter().enumerate() {
        let end = if at + 1 < pages.len() { ", " } else { "" };
        line.extend([bold(name), roman(format!("({section}){end}"))]);
    }
    roff.text(line);
    roff.render()
}

fn item(roff: &mut Roff, name: &str, what: &str) {
    roff.control("TP", []).text([bold(name)]).text([roman(what)]);
}

fn paragraphs(roff: &mut Roff, text: &str) {
    for (at, paragraph) in text.split("\n\n").enumerate() {
        if at > 0 {
            roff.control("PP", []);
        }
        roff.text([roman(paragraph)]);
    }
}

fn written(render: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>) -> String {
    let mut bytes = Vec::new();
    render(&mut bytes).expect("a Vec takes all");
    String::from_utf8(bytes).expect("it is made of texts")
}

const PLACES: &str = "\
To read it at once (man-db):
  skufetch man | man -l -

To install it:
  skufetch man > ~/.local/share/man/man1/skufetch.1";

const DESCRIPTION: &str = "\
skufetch reads a CSV, asks an HTTP API for the SKU of every row, and leaves one JSON object with a line for \
each SKU, in the order of the CSV. It keeps as many requests in flight as pay or are allowed, obeys a rate and \
what the server asks for, retries what a retry can mend, and stops by itself where going on is senseless.

INPUT is a CSV file, or - for standard input; it may be gzip or zstd. A file that has the name of a command \
(tune, merge, completions, man, help) is named with its folder: ./man.

Every answer is written to a journal as it comes. After any stop (a crash, a kill, a power cut) the same \
command goes on from there. The old output is untouched until the new one is complete.

Times are written 250ms, 30s, 5m or 12h; sizes 10MiB or 500kB.";

/// The end of the description of `tune`; its beginning is that of `tune --help`.
fn about_tune() -> String {
    format!(
        "The other options are those of a fetch; those about retries and the output do nothing here. Of the \
         environment and the config file, {} and {} are not read: there they are meant for the fetch.",
        LIMIT.name, MAX_TIME.name
    )
}

/// The files of a run, as in the README.
fn files() -> [(&'static str, String); 8] {
    [
        (
            "out.json",
            format!("The output, under the name that {OUTPUT} gives it. It is replaced only when complete."),
        ),
        (
            "out.failed.csv",
            "The rows that failed, with _error, _status and _attempts. It is itself a valid INPUT, and is not \
             there when nothing failed."
                .into(),
        ),
        ("out.json.journal", "While a run is unfinished: the answers so far.".into()),
        ("out.json.lock", "Held while a run works. It may stay behind.".into()),
        (
            "out.json.state",
            format!(
                "What the next run can ask \"has it changed?\" with, and what {MAX_AGE} goes by. It may be \
                 deleted."
            ),
        ),
        (
            "out.json.parts/RUN/00003-of-00016.jsonl",
            format!("What the shard {SHARD} 3/16 of a run left, for skufetch merge. It may be removed once all are merged."),
        ),
        ("./config.toml", format!("The settings, if --{CONFIG} names no other file.")),
        ("$XDG_CONFIG_HOME/skufetch/config.toml", "The settings, if neither is there.".into()),
    ]
}

fn environment() -> [(&'static str, String); 7] {
    [
        (
            "SKUFETCH_OPTION",
            format!(
                "Every option but --{CONFIG}, -v and -q: {MAX_AGE} is {}. An option beats the environment, which \
                 beats the config file. Options without a value are true or false; headers stand one a line; an \
                 empty variable is as if it were not set.",
                MAX_AGE.variable()
            ),
        ),
        (
            "any other",
            format!(
                "A name in ${{}} in {URL}, {HEADER}, {BODY} or {PROXY} is replaced by the variable's value, which \
                 is treated as a secret. A variable that is not set or empty is an error."
            ),
        ),
        ("HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY", format!("Proxies, if {PROXY} names none.")),
        ("SSL_CERT_FILE, SSL_CERT_DIR", "Certificates to trust in place of the system's.".into()),
        ("XDG_CONFIG_HOME", "The folder of the config files; ~/.config if it is not set.".into()),
        ("NO_COLOR, CLICOLOR_FORCE", "No colours; colours where standard error is no terminal.".into()),
        ("TERM", "With dumb there is no bar.".into()),
    ]
}

fn bugs() -> String {
    format!(
        "\
A retried POST may act twice: an answer that is lost on its way back is requested again. {RETRIES} 0 turns \
retries off.

A {CONCURRENCY} that the API does not bear is not found out before the API says so, in answers of 429 or 503 or \
in their delay."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_section_and_every_option_under_its_table() {
        let page = page(super::super::command());
        let sections: Vec<_> = page.lines().filter_map(|line| line.strip_prefix(".SH ")).collect();
        assert_eq!(
            sections,
            [
                "NAME",
                "SYNOPSIS",
                "DESCRIPTION",
                "OPTIONS",
                "TUNE",
                "MERGE",
                "\"EXIT STATUS\"",
                "FILES",
                "ENVIRONMENT",
                "EXAMPLES",
                "BUGS",
                "\"SEE ALSO\""
            ]
        );
        let (_, all) = page.split_once(".SH OPTIONS\n").unwrap();
        let (all, tune) = all.split_once(".SH TUNE\n").unwrap();
        let parts: Vec<_> = all.split(".SS ").skip(1).collect();
        for setting in options::all() {
            let part = parts.iter().find(|part| part.starts_with(setting.table.heading())).unwrap();
            assert!(part.contains(&option_in_roff(setting.name)), "{}", setting.name);
        }
        assert!(tune.contains(&option_in_roff("limit")) && !tune.contains(&option_in_roff("burst")));
        assert!(!tune.contains(&option_in_roff("output")));
    }

    fn option_in_roff(name: &str) -> String {
        format!("\\fB\\-\\-{}\\fR", name.replace('-', "\\-"))
    }

    #[test]
    fn every_command_is_distinguished_from_a_file() {
        for command in super::super::command().get_subcommands() {
            assert!(DESCRIPTION.contains(command.get_name()), "{}", command.get_name());
        }
        assert!(DESCRIPTION.contains("./man"));
    }

    #[test]
    fn no_line_is_blank_and_the_preamble_occurs_once() {
        let page = page(super::super::command());
        assert_eq!(page.matches(".el .ds Aq '").count(), 1);
        assert!(!page.contains("\n\n"), "{page}");
    }

    #[test]
    fn folding_breaks_lines_at_spaces_and_changes_nothing_else() {
        let long =
            ".SH x\n".to_owned() + &"word and ".repeat(30) + "end\n.nf\n" + &"as is ".repeat(30) + "\n.fi\n";
        let folded = folded(&long);
        assert_eq!(folded.replace('\n', " "), long.replace('\n', " "));
        assert_eq!(folded.lines().filter(|line| line.len() > 80).count(), 1, "{folded}");
        assert_eq!(super::folded(&format!("{} .x\n", "w".repeat(90))).lines().count(), 1);
    }
}
