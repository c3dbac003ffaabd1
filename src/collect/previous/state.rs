//! The state file: how old each value of the output is, and the validators for a conditional request.
//!
//! It belongs to one output, byte for byte (its last line has size and checksum), and to one job: after another program
//! wrote the output, no age and no validator in it can be trusted. It only saves requests, so that whatever is wrong
//! with it is a note and never an error.
//!
//! ```text
//! {"crc":"89abcdef","skufetch-state":1,"salt":"…","job":"…","format":"json","shape":"body","provenance":{…}}
//! {"crc":"89abcdef","id":"FINGERPRINT","at":"…Z","etag":"…","modified":"…","key":"KEY"}
//! {"crc":"89abcdef","output":{"bytes":123,"crc":456},"validators":true,"profile":{…}}
//! ```
//!
//! The last line has the profile of the output, by which the guard judges the next one.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::collect::files::checksum::{Checksum, PREFIX, parse_checked};
use crate::collect::files::cursor::Cursor;
use crate::collect::files::packed_offset::PackedOffset;
use crate::collect::files::pages::Pages;
use crate::collect::files::salt::salt_from_hex;
use crate::collect::files::stamp::Stamp;
use crate::collect::identity::{Provenance, RecordedJob};
use crate::collect::previous::key_hash::{KeyHash, KeyHasher};
use crate::collect::previous::profile::Profile;
use crate::collect::previous::value::PreviousValue;
use crate::collect::settings::OutputSettings;
use crate::model::{Fingerprint, Validators};

pub(crate) const STATE_VERSION: u32 = 1;
const BLOCK: usize = 256 * 1024;
/// No line of a state file, a key and two validators, is longer.
const MAX_LINE: u64 = 1 << 20;

#[derive(Serialize, Deserialize)]
pub(crate) struct StateHeader {
    #[serde(rename = "skufetch-state")]
    pub(crate) version: u32,
    pub(crate) salt: String,
    pub(crate) job: String,
    #[serde(flatten)]
    pub(crate) layout: Option<OutputKind>,
}

/// How an output was made. A state file of an early version lacks it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OutputKind {
    /// `--format`.
    pub(crate) format: String,
    /// `--shape`.
    pub(crate) shape: String,
    /// The request and what was kept of its answers.
    pub(crate) provenance: Provenance,
}

impl OutputKind {
    pub(crate) fn of(settings: &OutputSettings, job: &RecordedJob) -> Self {
        Self {
            format: settings.format.to_string(),
            shape: settings.shape.to_string(),
            provenance: job.provenance.clone(),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct StateTrailer {
    pub(crate) output: Stamp,
    pub(crate) validators: bool,
    #[serde(default)]
    pub(crate) profile: Option<Profile>,
}

/// A state file that was read.
#[derive(Debug)]
pub(crate) struct StateFile {
    /// The output that it belongs to.
    pub(crate) output: Stamp,
    /// What that output holds.
    pub(crate) profile: Option<Profile>,
    /// How it was made.
    pub(crate) layout: Option<OutputKind>,
    /// What is known of each value; none where another job made them.
    pub(crate) state: Option<StateIndex>,
}

/// The state that an earlier run left: 24 bytes a SKU, the rest stays on disk.
#[derive(Debug)]
pub(crate) struct StateIndex {
    pages: Pages,
    checksum: Checksum,
    /// Sorted by the key's hash.
    places: Vec<(KeyHash, PackedOffset)>,
    /// The key of the fingerprints in it.
    pub(crate) salt: [u8; 16],
    /// Whether any entry has a validator.
    pub(crate) validators: bool,
}

impl StateIndex {
    /// Reads a state file. `Ok(None)` if there is none.
    ///
    /// # Errors
    /// Why it is of no use, as the end of a sentence.
    pub(crate) fn load(path: &Path, job: &str, hasher: &KeyHasher) -> Result<Option<StateFile>, String> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let mut input = BufReader::with_capacity(BLOCK, &file);
        let damaged = || "it is damaged".to_owned();
        let mut line = Vec::new();
        let mut at = next_line(&mut input, &mut line)?.ok_or_else(damaged)?;
        let header: StateHeader = parse_checked(Checksum::HEADER, &line).ok_or_else(damaged)?;
        let salt = salt_from_hex(&header.salt).filter(|_| header.version == STATE_VERSION);
        let salt = salt.ok_or_else(|| format!("it has format {}, not {STATE_VERSION}", header.version))?;
        let is_ours = header.job == job;
        let checksum = Checksum::new(salt);
        let (mut places, mut trailer) = (Vec::new(), None);
        while let Some(length) = next_line(&mut input, &mut line)? {
            if trailer.is_some() || !checksum.holds(&line) {
                return Err(damaged());
            }
            if line[PREFIX..].starts_with(b"\"id\":") {
                if !is_ours {
                    at += length;
                    continue;
                }
                let entry = StateEntry::parse(&line).ok_or_else(damaged)?;
                let key: String = serde_json::from_slice(entry.key).map_err(|_| damaged())?;
                places.push((hasher.hash(&key), PackedOffset::new(at)));
            } else {
                trailer = Some(parse_checked::<StateTrailer>(checksum, &line).ok_or_else(damaged)?);
            }
            at += length;
        }
        let StateTrailer { output, validators, profile } = trailer.ok_or_else(damaged)?;
        places.sort_unstable();
        places.shrink_to_fit();
        drop(input);
        let state = is_ours.then(|| Self { pages: Pages::new(file), checksum, places, salt, validators });
        Ok(Some(StateFile { output, profile, layout: header.layout, state }))
    }

    pub(crate) fn line(&mut self, hash: &KeyHash) -> Option<&[u8]> {
        let index = self.places.binary_search_by(|(found, _)| found.cmp(hash)).ok()?;
        let line = self.pages.line(self.places[index].1.get()).ok()??;
        self.checksum.holds(line).then_some(line)
    }

    /// What is known of this key, if its value is the answer to this request.
    pub(crate) fn previous_value(
        &mut self,
        hash: &KeyHash,
        fingerprint: Fingerprint,
    ) -> Option<PreviousValue> {
        let entry = StateEntry::parse(self.line(hash)?)?;
        if entry.id != fingerprint.to_string().as_bytes() {
            return None;
        }
        let text = |raw: &[u8]| serde_json::from_slice::<String>(raw).ok();
        let validator = |raw: &[u8]| text(raw).map(Into::into);
        Some(PreviousValue {
            at: humantime::parse_rfc3339(&text(entry.at)?).ok()?,
            validators: Validators { etag: validator(entry.etag), last_modified: validator(entry.modified) },
        })
    }
}

/// Reads one line without its line end; returns its length with it. `None` at the end of the file.
fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> Result<Option<u64>, String> {
    line.clear();
    let length = input.by_ref().take(MAX_LINE).read_until(b'\n', line).map_err(|error| error.to_string())?;
    match line.pop_if(|last| *last == b'\n') {
        Some(_) => Ok(Some(length as u64)),
        None if length == 0 => Ok(None),
        None => Err("it is damaged".into()),
    }
}

/// A line of a state file, taken apart.
pub(crate) struct StateEntry<'a> {
    pub(crate) id: &'a [u8],
    pub(crate) at: &'a [u8],
    /// Empty if there is none.
    pub(crate) etag: &'a [u8],
    /// Empty if there is none.
    pub(crate) modified: &'a [u8],
    pub(crate) key: &'a [u8],
}

impl<'a> StateEntry<'a> {
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        let mut text = Cursor(line.get(PREFIX..)?);
        text.expect(b"\"id\":")?;
        let id = text.string()?;
        text.expect(b",\"at\":")?;
        let at = text.string()?;
        let etag = text.validator(b",\"etag\":")?;
        let modified = text.validator(b",\"modified\":")?;
        text.expect(b",\"key\":")?;
        let key = text.string()?;
        text.expect(b"}")?;
        Some(Self { id: id.get(1..id.len() - 1)?, at, etag, modified, key })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::time::Duration;

    use super::*;
    use crate::collect::collector::Collector;
    use crate::collect::settings::Shape;
    use crate::collect::test_run::{TestRun, answer, entry, failed, fetched, fingerprint, key};
    use crate::model::{Answer, Content, Entry, Outcome, Seq};

    fn tagged(seq: u32, name: &str, body: &str) -> Entry {
        let validators = Validators { etag: Some(format!("\"{name}\"").into()), last_modified: None };
        let answer = Answer { validators, ..answer(Content::Json(body.to_owned().into())) };
        entry(seq, name, Outcome::Fetched(answer))
    }

    fn unchanged(seq: u32, name: &str) -> Entry {
        let mut answer = Answer { status: 304, ..answer(Content::Unchanged) };
        answer.at += Duration::from_hours(24);
        entry(seq, name, Outcome::Fetched(answer))
    }

    fn etag(journal: &mut Collector, name: &str) -> Option<String> {
        let known = journal.previous_value(&key(name), fingerprint(name))?;
        known.validators.etag.map(String::from)
    }

    #[test]
    fn the_next_run_reads_ages_and_validators() {
        for merge in [false, true] {
            let run = TestRun::with(|settings| settings.merge = merge);
            run.publish_entries(&[tagged(0, "A", "1"), fetched(1, "B", "2"), failed(2, "C", 500)]);
            assert_eq!(fs::metadata(run.path("out.json.state")).unwrap().mode() & 0o777, 0o600);
            let (mut journal, recovered) = run.open();
            assert_eq!(recovered.notes, [""; 0]);
            assert_eq!(etag(&mut journal, "A"), Some("\"A\"".into()));
            let known = journal.previous_value(&key("B"), fingerprint("B")).unwrap();
            assert_eq!((known.at, known.validators), (answer(Content::Unchanged).at, Validators::default()));
            assert_eq!(journal.previous_value(&key("C"), fingerprint("C")), None);
            assert_eq!(journal.previous_value(&key("A"), fingerprint("another request")), None);
        }
    }

    #[test]
    fn an_unchanged_value_stays_in_both_shapes_with_its_status_and_the_new_time() {
        for (shape, merge) in [(Shape::Body, false), (Shape::Body, true), (Shape::Record, false)] {
            let run = TestRun::with(|settings| (settings.shape, settings.merge) = (shape, merge));
            run.publish_entries(&[tagged(0, "A", "{\"n\":1.10}")]);
            let before = run.text("out.json");
            let (mut journal, _) = run.open();
            journal.append(&unchanged(0, "A")).unwrap();
            drop(journal);
            let (mut journal, _) = run.open();
            assert!(journal.adopt(Seq(0), fingerprint("A")), "it is a whole answer in the journal");
            run.publish(journal.close().unwrap());
            assert_eq!(run.text("out.json"), before.replace("2023-11-14", "2023-11-15"));
            let (mut journal, _) = run.open();
            assert_eq!(etag(&mut journal, "A"), Some("\"A\"".into()), "a 304 need not repeat it");
        }
    }

    #[test]
    fn what_a_run_did_not_fetch_keeps_its_state() {
        let mut run = TestRun::with(|settings| settings.merge = true);
        run.publish_entries(&[
            tagged(0, "A", "1"),
            tagged(1, "B", "1"),
            tagged(2, "C", "1"),
            tagged(3, "D", "1"),
        ]);
        let (mut journal, _) = run.open();
        assert!(journal.keep(Seq(0), fingerprint("A"), &key("A")).unwrap());
        journal.append(&failed(1, "B", 500)).unwrap();
        journal.append(&fetched(2, "C", "2")).unwrap();
        run.publish(journal.close().unwrap());
        let (mut journal, _) = run.open();
        let found = ["A", "B", "C", "D"].map(|name| etag(&mut journal, name).is_some());
        assert_eq!(found, [true, true, false, true]);
        drop(journal);
        run.settings.merge = false;
        run.settings.fresh = true;
        run.publish_entries(&[fetched(0, "A", "1")]);
        let (mut journal, _) = run.open();
        assert_eq!(etag(&mut journal, "B"), None);
    }

    #[test]
    fn a_state_of_another_output_or_job_or_with_damage_loses_only_the_saving() {
        let spoil: [&dyn Fn(&mut TestRun); 6] = [
            &|run| fs::write(run.path("out.json"), "{\n\"A\":9\n}\n").unwrap(),
            &|run| fs::remove_file(run.path("out.json")).unwrap(),
            &|run| run.job = "other",
            &|run| {
                let text = run.text("out.json.state").replace("2023", "2099");
                fs::write(run.path("out.json.state"), text).unwrap();
            },
            &|run| fs::write(run.path("out.json.state"), &run.text("out.json.state")[..200]).unwrap(),
            &|run| fs::write(run.path("out.json.state"), "").unwrap(),
        ];
        for (index, spoil) in spoil.iter().enumerate() {
            let mut run = TestRun::with(|settings| settings.merge = true);
            run.publish_entries(&[tagged(0, "A", "1")]);
            spoil(&mut run);
            let (mut journal, recovered) = run.open();
            assert_eq!(etag(&mut journal, "A"), None, "{index}");
            assert!(recovered.notes[0].contains("cannot be used"), "{index}: {:?}", recovered.notes);
            journal.append(&fetched(0, "A", "2")).unwrap();
            run.publish(journal.close().unwrap());
            assert_eq!(run.text("out.json"), "{\n\"A\":2\n}\n");
        }
        let run = TestRun::new();
        run.publish_entries(&[tagged(0, "A", "1")]);
        fs::remove_file(run.path("out.json.state")).unwrap();
        assert_eq!(run.open().1.notes, [""; 0]);
    }

    #[test]
    fn fingerprints_match_from_run_to_run() {
        let run = TestRun::with(|settings| settings.merge = true);
        let (journal, _) = run.open();
        let salt = journal.salt();
        run.publish(journal.close().unwrap());
        assert_eq!(run.open().0.salt(), salt);
        assert_ne!(TestRun::new().open().0.salt(), salt);
    }
}
