//! What the tests of `report` share: a report that writes to memory, and the events and the summary of an example run.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::model::{Cause, Event, Exit, Fault, Key, PauseReason, Reporter};
use crate::report::{
    Amount, ApiLimits, BlockedTime, ConcurrencyUsed, Counts, EngineStatus, Facts, LogFormat, ProgressMode,
    Report, ReportSettings, RunSummary, Tail, Terminal, WrittenFile, verdict,
};

pub(crate) const RETRY_AFTER: PauseReason = PauseReason::Refused { status: 429, has_retry_after: true };

#[derive(Clone, Default)]
pub(crate) struct Stderr(Arc<Mutex<Vec<u8>>>);

impl Stderr {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The text, which ends with a line end: a snapshot does not hold that.
    pub(crate) fn whole_lines(&self) -> String {
        let text = self.text();
        assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "{text:?}");
        text
    }

    /// The lines as JSON objects, and so a check that each of them is one.
    pub(crate) fn objects(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What a terminal of that width shows after all these bytes.
    pub(crate) fn terminal(&self, width: u16) -> String {
        let mut terminal = vt100::Parser::new(24, width, 0);
        // A terminal's line discipline turns a line end into a line end and a carriage return.
        terminal.process(self.text().replace('\n', "\r\n").as_bytes());
        terminal.screen().contents()
    }
}

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) fn from_cron() -> ReportSettings {
    ReportSettings {
        progress: ProgressMode::Auto,
        log_format: LogFormat::Text,
        verbose: 0,
        quiet: false,
        terminal: Terminal::absent(),
    }
}

pub(crate) fn on_terminal() -> ReportSettings {
    ReportSettings { terminal: Terminal { interactive: true, width: || 80, colour: false }, ..from_cron() }
}

pub(crate) fn json_lines() -> ReportSettings {
    ReportSettings { log_format: LogFormat::Json, ..from_cron() }
}

pub(crate) fn report_to_memory(settings: ReportSettings) -> (Report, Stderr) {
    let stderr = Stderr::default();
    (Report::new(settings, Box::new(stderr.clone())), stderr)
}

pub(crate) fn status_at(seconds: f64) -> EngineStatus {
    EngineStatus {
        elapsed: Duration::from_secs_f64(seconds),
        in_flight: 64,
        limit: 64,
        paused: None,
        learned: None,
    }
}

pub(crate) fn answered(status: u16, millis: u64) -> Event<'static> {
    static KEY: LazyLock<Key> = LazyLock::new(|| Key::parse(b"0042").unwrap());
    let latency = Duration::from_millis(millis);
    Event::AttemptAnswered { key: &KEY, line: 17, status, latency, bytes: 1_200 }
}

pub(crate) const FETCHED: Event<'static> = Event::JobFetched { attempts: 1, unchanged: false };

pub(crate) fn report_failure(report: &Report, line: u64, sku: &str, fault: &Fault) {
    let key = Key::parse(sku.as_bytes()).unwrap();
    let url = format!("http://api.example.com/products/{sku}");
    report.on(&Event::JobFailed {
        key: Some(&key),
        line,
        fault,
        attempts: 1,
        url: Some(&url),
        is_companion: false,
    });
}

fn not_found() -> Fault {
    Fault::of_status(404, "")
}

fn timed_out() -> Fault {
    Fault::new(Cause::Timeout, "no answer within 30 s")
}

/// The run of the contract: 6,000 SKUs, six of them failed, 41 retries.
pub(crate) fn report_example_run(report: &Report) {
    let key = Key::parse(b"9").unwrap();
    let busy = Fault::of_status(503, "");
    for number in 0..5_994u64 {
        report.on(&answered(200, if number % 10 == 0 { 131 } else { 98 }));
        report.on(&FETCHED);
    }
    for attempt in 0..41 {
        report.on(&answered(503, 1));
        let wait = Duration::from_millis(500);
        report.on(&Event::AttemptRetried {
            key: &key,
            line: 9,
            fault: &busy,
            attempt,
            wait,
            is_refusal: false,
        });
    }
    for (line, sku) in [(40, "0100"), (17, "0042"), (900, "0900"), (901, "0901")] {
        report.on(&answered(404, 98));
        report_failure(report, line, sku, &not_found());
    }
    report_failure(report, 55, "0055", &timed_out());
    report_failure(report, 56, "0056", &timed_out());
}

pub(crate) fn example_summary() -> RunSummary {
    let facts = Facts {
        elapsed: Duration::from_millis(6_300),
        concurrency: ConcurrencyUsed::Auto { max: 64, settled: 64 },
        busy: Duration::from_secs(390),
        waits: BlockedTime::default(),
        rate: None,
        is_rate_shared: false,
        processor: Duration::from_secs(1),
        attempts: 6_041,
        answered: 6_041,
        errors: 41,
        limits: ApiLimits::default(),
        cheap: 0,
        stepped_back: None,
        least: Duration::from_millis(60),
        p50: Duration::from_millis(98),
        p95: Duration::from_millis(131),
        tail: Tail::default(),
    };
    let written = |path: &str, amount| WrittenFile { path: path.into(), amount };
    let counts = Counts { rows: 6_000, fetched: 5_994, failed: 6, ..Counts::default() };
    RunSummary {
        written: vec![
            written("out.json", Amount::Bytes(7_300_000)),
            written("out.failed.csv", Amount::Rows(6)),
        ],
        verdict: verdict(&facts),
        exit: Exit::SomeFailed,
        ..RunSummary::without_requests(counts, facts.elapsed)
    }
}

/// The fields that `docs/messages.md` names for an event, those inside other fields apart.
pub(crate) fn documented(event: &str) -> BTreeSet<String> {
    let page = include_str!("../../docs/messages.md");
    let row = page.lines().find(|line| line.starts_with(&format!("| `{event}`")));
    let row = row.unwrap_or_else(|| panic!("{event} is not documented"));
    let (_, fields) = row[2..].split_once('|').unwrap();
    let mut depth = 0u32;
    let outer: String = fields
        .chars()
        .filter(|c| {
            depth += u32::from(matches!(c, '[' | '{'));
            let outside = depth == 0;
            depth -= u32::from(matches!(c, ']' | '}'));
            outside
        })
        .collect();
    outer.split('`').skip(1).step_by(2).map(String::from).collect()
}

pub(crate) fn fields_of(object: &Value) -> BTreeSet<String> {
    let everywhere = ["time", "level", "event", "message"];
    let names = object.as_object().unwrap().keys();
    names.filter(|name| !everywhere.contains(&name.as_str())).cloned().collect()
}
