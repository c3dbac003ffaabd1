//! What the tests of `collect` share: a folder, entries, and runs over them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use crate::collect::collector::Collector;
use crate::collect::error::CollectError;
use crate::collect::files::preflight::{Preflight, preflight};
use crate::collect::identity::{JobIdentity, Provenance};
use crate::collect::inspect::Recovered;
use crate::collect::journal::encode::RefusedRow;
use crate::collect::publish::closed_run::ClosedRun;
use crate::collect::publish::context::PublishContext;
use crate::collect::publish::outcome::{PublishOutcome, UnpublishedOutcome};
use crate::collect::settings::{OutputSettings, Target};
use crate::input::Columns;
use crate::model::{Answer, Content, Entry, Fault, Fingerprint, Key, Outcome, Seq, Validators};

/// A folder with an output in it.
pub(crate) struct TestRun {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) settings: OutputSettings,
    pub(crate) job: &'static str,
    pub(crate) columns: Columns,
}

impl TestRun {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let target = Target::File(dir.path().join("out.json"));
        let names = vec!["sku".into(), "name".into()];
        Self {
            dir,
            settings: OutputSettings { target, ..OutputSettings::default() },
            job: "job",
            columns: Columns { names, key: 0, format: crate::input::CsvFormat::default(), headers: true },
        }
    }

    pub(crate) fn with(change: impl FnOnce(&mut OutputSettings)) -> Self {
        let mut run = Self::new();
        change(&mut run.settings);
        run
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub(crate) fn place(&self) -> Preflight {
        preflight(&self.settings).unwrap()
    }

    pub(crate) fn identity(&self) -> JobIdentity {
        JobIdentity {
            digest_input: self.job.into(),
            description: serde_json::json!({ "url": self.job, "method": "GET" }),
            provenance: Provenance { request: self.job.into(), ..Provenance::default() },
        }
    }

    pub(crate) fn try_open(&self) -> Result<(Collector, Recovered), CollectError> {
        Collector::open(&self.settings, &self.place(), &self.identity(), None)
    }

    pub(crate) fn open(&self) -> (Collector, Recovered) {
        self.try_open().unwrap()
    }

    /// A run that resumes no journal: these entries, published.
    pub(crate) fn publish_entries(&self, entries: &[Entry]) -> PublishOutcome {
        let (mut journal, _) = self.open();
        for entry in entries {
            journal.append(entry).unwrap();
        }
        self.publish(journal.close().unwrap())
    }

    pub(crate) fn publish(&self, finished: ClosedRun) -> PublishOutcome {
        self.try_publish(finished, &TestContext::default()).unwrap()
    }

    pub(crate) fn try_publish(
        &self,
        finished: ClosedRun,
        how: &TestContext<'_>,
    ) -> Result<PublishOutcome, CollectError> {
        let mut stdout = Vec::new();
        let result = self.publish_into(finished, how, &mut stdout);
        assert!(stdout.is_empty());
        result
    }

    pub(crate) fn publish_into(
        &self,
        finished: ClosedRun,
        how: &TestContext<'_>,
        stdout: &mut dyn Write,
    ) -> Result<PublishOutcome, CollectError> {
        let place = self.place();
        let mut context = PublishContext {
            place: &place,
            columns: &self.columns,
            is_planned: &|key| key.as_str() == how.planned,
            is_stopped: &|| false,
            may_replace: &|| true,
            input: how.input,
            input_done: how.done,
            stdout,
        };
        finished.publish(&self.settings, &mut context)
    }

    pub(crate) fn leave(&self, finished: ClosedRun) -> UnpublishedOutcome {
        let place = self.place();
        let context = PublishContext {
            place: &place,
            columns: &self.columns,
            is_planned: &|_| false,
            is_stopped: &|| false,
            may_replace: &|| true,
            input: None,
            input_done: false,
            stdout: &mut Vec::new(),
        };
        finished.leave(&context).unwrap()
    }
}

/// The context that a test publishes in.
pub(crate) struct TestContext<'a> {
    pub(crate) input: Option<&'a Path>,
    pub(crate) done: bool,
    /// The one key that another row got a job for.
    pub(crate) planned: &'a str,
}

impl Default for TestContext<'_> {
    fn default() -> Self {
        Self { input: None, done: true, planned: "" }
    }
}

pub(crate) fn key(text: &str) -> Key {
    Key::parse(text.as_bytes()).unwrap()
}

/// Differs for different keys, as far as tests have them.
pub(crate) fn fingerprint(text: &str) -> Fingerprint {
    Fingerprint(u128::from(crc32fast::hash(text.as_bytes())) << 64 | 7)
}

pub(crate) fn entry(seq: u32, text: &str, outcome: Outcome) -> Entry {
    Entry {
        seq: Seq(seq),
        line: u64::from(seq) + 2,
        key: key(text),
        fingerprint: fingerprint(text),
        attempts: 1,
        sent: None,
        outcome,
        record: csv::ByteRecord::from(vec![text.as_bytes(), b"a name"]),
        address: None,
        request: None,
        is_companion: false,
    }
}

pub(crate) fn answer(content: Content) -> Answer {
    let at = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    Answer { status: 200, at, content, validators: Validators::default(), raw: None, error: None }
}

pub(crate) fn fetched(seq: u32, text: &str, body: &str) -> Entry {
    entry(seq, text, Outcome::Fetched(answer(Content::Json(body.to_owned().into()))))
}

pub(crate) fn failed(seq: u32, text: &str, status: u16) -> Entry {
    entry(seq, text, Outcome::Failed(Fault::of_status(status, "")))
}

pub(crate) fn refused<'a>(seq: u32, key: Option<&'a Key>, record: &'a csv::ByteRecord) -> RefusedRow<'a> {
    RefusedRow { seq: Seq(seq), line: u64::from(seq) + 2, key, why: "a control character", record }
}
