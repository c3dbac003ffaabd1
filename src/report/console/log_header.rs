//! The first line of a run that is read later, in a log or a mail: when it was, what it read and what it writes.
//!
//! It is printed before anything else, also where that is an error before the first request, and not at all
//! where a run prints nothing else.

use std::time::SystemTime;

use serde_json::json;

use crate::model::{counted, display_safe};
use crate::report::console::log_record::{Level, LogRecord, RecordKind};
use crate::report::machine_format::{moment, second};

/// Name and version of this program.
const PROGRAM: &str = concat!("skufetch ", env!("CARGO_PKG_VERSION"));
/// Characters of a path.
const PATH_CHARS: usize = 300;

/// Which run it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogHeader {
    /// When it began.
    pub(crate) began: SystemTime,
    /// The input as the user named it.
    pub(crate) input: String,
    /// The output as the user named it.
    pub(crate) output: String,
}

/// `2026-11-28T02:00:01Z skufetch 0.1.0: products.csv (6,000 rows) to out.json`; without what is not known.
pub(crate) fn record(log_header: Option<&LogHeader>, rows: Option<u64>) -> LogRecord {
    let shown = rows.map_or_else(String::new, |rows| format!(" ({})", counted(rows, "row", "rows")));
    let message = match log_header {
        Some(LogHeader { began, input, output }) => format!(
            "{} {PROGRAM}: {}{shown} to {}",
            second(*began),
            display_safe(input, PATH_CHARS),
            display_safe(output, PATH_CHARS)
        ),
        None => {
            format!("started: {}", rows.map_or("rows as they come".into(), |n| counted(n, "row", "rows")))
        }
    };
    let fields = json!({
        "began": log_header.map(|log_header| moment(log_header.began)),
        "version": env!("CARGO_PKG_VERSION"),
        "input": log_header.map(|log_header| &log_header.input),
        "output": log_header.map(|log_header| &log_header.output),
        "total": rows,
    });
    LogRecord::new(Level::Info, RecordKind::Started, message, fields)
}

/// The same where the settings could not be read: when it was, and the program.
#[must_use]
pub(crate) fn bare(began: SystemTime) -> String {
    format!("{} {PROGRAM}\n", second(began))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{Event, Exit, Reporter};
    use crate::report::test_report::{
        documented, example_summary, fields_of, from_cron, json_lines, on_terminal, report_example_run,
        report_to_memory,
    };
    use crate::report::{ErrorMessage, ReportSettings, RunSummary};

    const HEADER_LINE: &str = concat!(
        "2026-09-21T14:13:20Z skufetch ",
        env!("CARGO_PKG_VERSION"),
        ": products.csv (6,000 rows) to out.json\n"
    );

    fn log_header() -> LogHeader {
        let began = SystemTime::UNIX_EPOCH + Duration::from_millis(1_790_000_000_999);
        LogHeader { began, input: "products.csv".into(), output: "out.json".into() }
    }

    #[test]
    fn a_log_begins_with_one_header() {
        let (log, stderr) = report_to_memory(ReportSettings { verbose: 2, ..from_cron() });
        let log = log.with_log_header(log_header(), true);
        log.started(Some(6_000));
        assert_eq!(stderr.text(), HEADER_LINE, "before there is anything else");
        log.on(&Event::Warned { message: "odd" });
        log.finish(&RunSummary { exit: Exit::Complete, ..example_summary() });
        assert!(stderr.text().starts_with(&format!("{HEADER_LINE}warning: odd\n")), "{}", stderr.text());
        assert_eq!(stderr.text().matches("skufetch").count(), 1);

        let (log, stderr) = report_to_memory(from_cron());
        log.with_log_header(log_header(), true)
            .fail(&ErrorMessage { message: "no".into(), hint: Some("try".into()) });
        let first = HEADER_LINE.replace(" (6,000 rows)", "");
        assert_eq!(stderr.text(), format!("{first}error: no\n  hint: try\n"));
    }

    #[test]
    fn with_quiet_the_header_is_printed_only_before_other_lines() {
        let quiet = ReportSettings { quiet: true, ..from_cron() };
        for exit in [Exit::Complete, Exit::SomeFailed] {
            let (log, stderr) = report_to_memory(quiet);
            let log = log.with_log_header(log_header(), true);
            log.started(Some(6_000));
            log.on(&Event::Warned { message: "odd" });
            assert_eq!(stderr.text(), "");
            report_example_run(&log);
            log.finish(&RunSummary { exit, ..example_summary() });
            if exit == Exit::Complete {
                assert_eq!(stderr.text(), "");
            } else {
                let (without_header, expected) = report_to_memory(quiet);
                report_example_run(&without_header);
                without_header.finish(&RunSummary { exit, ..example_summary() });
                assert_eq!(stderr.text(), format!("{HEADER_LINE}{}", expected.text()));
            }
        }
    }

    #[test]
    fn a_terminal_gets_no_header_and_json_lines_always_one() {
        let (report, stderr) = report_to_memory(on_terminal());
        let report = report.with_log_header(log_header(), false);
        report.started(Some(6_000));
        report.fail(&ErrorMessage { message: "no".into(), hint: None });
        assert_eq!(stderr.text(), "error: no\n");

        let (log, stderr) = report_to_memory(json_lines());
        let named = LogHeader { input: "a\n\u{202e}b.csv".into(), ..log_header() };
        log.with_log_header(named, false).started(Some(6_000));
        let [first] = &stderr.objects()[..] else { panic!("{}", stderr.text()) };
        assert_eq!(fields_of(first), documented("started"));
        assert_eq!((&first["began"], &first["total"]), (&"2026-09-21T14:13:20.999Z".into(), &6_000.into()));
        assert_eq!((&first["input"], &first["output"]), (&"a\n\u{202e}b.csv".into(), &"out.json".into()));
    }
}
