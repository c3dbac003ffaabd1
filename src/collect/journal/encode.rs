//! The lines of the journal, as they are written.
//!
//! A line is a JSON object, so that `grep` and `jq` read the journal. Its first member is a checksum
//! of fixed width over the rest of the line, its second has the kind of the line as its name:
//!
//! ```text
//! {"crc":"89abcdef","fetched":"FINGERPRINT","status":200,"at":"…Z","attempts":1,"etag":"…","raw":"…","answer":{"KEY":BODY}}
//! {"crc":"89abcdef","failed":"FINGERPRINT","status":404,"at":"…Z","attempts":1,"error":"…","line":7,"key":"KEY","row":["…"]}
//! {"crc":"89abcdef","kept":"FINGERPRINT","key":"KEY"}
//!
//! {"crc":"89abcdef","synced":OFFSET}
//! {"crc":"89abcdef","publishing":{"output":{"bytes":123,"crc":456},"changes":{…},"counts":{…}}}
//! ```
//!
//! `KEY` and `BODY` are adjacent as in the output, so publishing copies them in one piece. A row
//! that was refused has `null` for its fingerprint; a cell that is not UTF-8 is `{"hex":"…"}`; `raw` is the hash of
//! the body before `--select`.

use std::time::SystemTime;

use crate::collect::files::checksum::{Checksum, hex_digits};
use crate::collect::files::cursor::NULL;
use crate::collect::journal::timestamp::TimestampCache;
use crate::json::escape_into;
use crate::model::{Answer, BodyHash, Content, Entry, Fault, Fingerprint, Job, Key, Seq, Validators};

/// Longer validators are not kept; real ones have under a hundred bytes.
const MAX_VALIDATOR: usize = 1024;
/// Characters of an error that are kept: a sentence, whatever a server wrote into it.
const MAX_ERROR: usize = 500;

/// A row that must not be requested.
#[derive(Debug, Clone, Copy)]
pub struct RefusedRow<'a> {
    /// The row's place in the input.
    pub seq: Seq,
    /// The physical line where it begins.
    pub line: u64,
    /// Its key, if the cell could be one.
    pub key: Option<&'a Key>,
    /// Why it must not be requested.
    pub why: &'a str,
    /// The row as it stood in the input.
    pub record: &'a csv::ByteRecord,
}

/// Writes the lines of one journal.
pub(crate) struct RecordEncoder {
    pub(crate) checksum: Checksum,
    clock: TimestampCache,
}

impl RecordEncoder {
    pub(crate) fn new(salt: [u8; 16]) -> Self {
        Self { checksum: Checksum::new(salt), clock: TimestampCache::default() }
    }

    /// Appends the line of an answer whose body is `body`, checked and compact.
    pub(crate) fn fetched(&mut self, out: &mut Vec<u8>, entry: &Entry, answer: &AnswerRecord<'_>) {
        let clock = &mut self.clock;
        self.checksum.line(out, |out| {
            out.extend_from_slice(b"\"fetched\":");
            push_fingerprint(out, Some(entry.fingerprint));
            out.extend_from_slice(b",\"status\":");
            push_number(out, answer.status.into());
            out.extend_from_slice(b",\"at\":");
            clock.push(out, answer.at);
            push_attempts(out, entry.attempts);
            push_validator(out, b",\"etag\":", answer.validators.etag.as_deref());
            push_validator(out, b",\"modified\":", answer.validators.last_modified.as_deref());
            if let Some(BodyHash(raw)) = answer.raw {
                out.extend_from_slice(b",\"raw\":\"");
                push_hash(out, raw);
                out.push(b'"');
            }
            out.extend_from_slice(b",\"answer\":{");
            escape_into(entry.key.as_str(), out);
            out.push(b':');
            out.extend_from_slice(answer.body);
            out.extend_from_slice(b"}}");
        });
    }

    /// Appends the line of a job that ended without an answer.
    pub(crate) fn failed(&mut self, out: &mut Vec<u8>, entry: &Entry, fault: &Fault) {
        let error = fault.to_string();
        let failure = FailureRecord {
            fingerprint: Some(entry.fingerprint),
            status: fault.status,
            attempts: entry.attempts,
            error: &error,
            line: entry.line,
            key: Some(&entry.key),
            row: &entry.record,
        };
        self.failure(out, &failure);
    }

    /// Appends the line of a job whose answer came in an earlier run, and of which no row of the table can be made.
    pub(crate) fn failed_again(&mut self, out: &mut Vec<u8>, job: &Job, fault: &Fault) {
        let error = fault.to_string();
        let failure = FailureRecord {
            fingerprint: Some(job.fingerprint),
            status: fault.status,
            attempts: 0,
            error: &error,
            line: job.line,
            key: Some(&job.key),
            row: &job.record,
        };
        self.failure(out, &failure);
    }

    /// Appends the line of a row that must not be requested.
    pub(crate) fn refused(&mut self, out: &mut Vec<u8>, refused: &RefusedRow<'_>) {
        let failure = FailureRecord {
            fingerprint: None,
            status: None,
            attempts: 0,
            error: refused.why,
            line: refused.line,
            key: refused.key,
            row: refused.record,
        };
        self.failure(out, &failure);
    }

    fn failure(&mut self, out: &mut Vec<u8>, failure: &FailureRecord<'_>) {
        let clock = &mut self.clock;
        self.checksum.line(out, |out| {
            out.extend_from_slice(b"\"failed\":");
            push_fingerprint(out, failure.fingerprint);
            out.extend_from_slice(b",\"status\":");
            match failure.status {
                Some(status) => push_number(out, status.into()),
                None => out.extend_from_slice(NULL),
            }
            out.extend_from_slice(b",\"at\":");
            clock.push(out, SystemTime::now());
            push_attempts(out, failure.attempts);
            out.extend_from_slice(b",\"error\":");
            escape_into(&one_line(failure.error), out);
            out.extend_from_slice(b",\"line\":");
            push_number(out, failure.line);
            out.extend_from_slice(b",\"key\":");
            match failure.key {
                Some(key) => escape_into(key.as_str(), out),
                None => out.extend_from_slice(NULL),
            }
            out.extend_from_slice(b",\"row\":");
            push_row(out, failure.row);
            out.push(b'}');
        });
    }

    /// Appends the line of a row whose old value was left alone.
    pub(crate) fn kept(&mut self, out: &mut Vec<u8>, fingerprint: Fingerprint, key: &Key) {
        self.checksum.line(out, |out| {
            out.extend_from_slice(b"\"kept\":");
            push_fingerprint(out, Some(fingerprint));
            out.extend_from_slice(b",\"key\":");
            escape_into(key.as_str(), out);
            out.push(b'}');
        });
    }

    /// Appends a marker: all before `offset` is safe on disk. An empty line goes before it, so that damage to the end of
    /// the preceding line cannot destroy the marker that proves it.
    pub(crate) fn synced(&mut self, out: &mut Vec<u8>, offset: u64) {
        out.push(b'\n');
        self.checksum.line(out, |out| {
            out.extend_from_slice(b"\"synced\":");
            push_number(out, offset);
            out.push(b'}');
        });
    }
}

/// What an answer's line holds beside the fields of the entry.
pub(crate) struct AnswerRecord<'a> {
    pub(crate) status: u16,
    pub(crate) at: SystemTime,
    pub(crate) validators: &'a Validators,
    pub(crate) body: &'a [u8],
    pub(crate) raw: Option<BodyHash>,
}

impl<'a> AnswerRecord<'a> {
    /// Of an answer that has a body of its own.
    pub(crate) fn of(answer: &'a Answer) -> Option<Self> {
        match &answer.content {
            Content::Json(body) => {
                let Answer { status, at, validators, raw, .. } = answer;
                Some(Self { status: *status, at: *at, validators, body, raw: *raw })
            }
            Content::Unchanged => None,
        }
    }
}

struct FailureRecord<'a> {
    fingerprint: Option<Fingerprint>,
    status: Option<u16>,
    attempts: u32,
    error: &'a str,
    line: u64,
    key: Option<&'a Key>,
    row: &'a csv::ByteRecord,
}

fn push_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut left = number;
    loop {
        at -= 1;
        digits[at] = b"0123456789"[(left % 10) as usize];
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// The hex digits of a fingerprint, as it is displayed.
pub(crate) fn fingerprint_digits(Fingerprint(value): Fingerprint) -> [u8; 32] {
    let mut digits = [0; 32];
    let bytes = value.to_be_bytes();
    let (words, _) = bytes.as_chunks();
    for (place, word) in digits.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&hex_digits(u32::from_be_bytes(*word)));
    }
    digits
}

fn push_fingerprint(out: &mut Vec<u8>, fingerprint: Option<Fingerprint>) {
    let Some(fingerprint) = fingerprint else {
        out.extend_from_slice(NULL);
        return;
    };
    out.push(b'"');
    out.extend_from_slice(&fingerprint_digits(fingerprint));
    out.push(b'"');
}

/// Eight hex digits.
fn push_hash(out: &mut Vec<u8>, hash: u32) {
    out.extend_from_slice(&hex_digits(hash));
}

fn push_attempts(out: &mut Vec<u8>, attempts: u32) {
    out.extend_from_slice(b",\"attempts\":");
    push_number(out, attempts.into());
}

fn push_validator(out: &mut Vec<u8>, name: &[u8], value: Option<&str>) {
    if let Some(value) = value.filter(|value| !value.is_empty() && value.len() <= MAX_VALIDATOR) {
        out.extend_from_slice(name);
        escape_into(value, out);
    }
}

/// Appends the cells of a row as a JSON array.
pub(crate) fn push_row(out: &mut Vec<u8>, row: &csv::ByteRecord) {
    out.push(b'[');
    for (index, cell) in row.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        if let Ok(text) = std::str::from_utf8(cell) {
            escape_into(text, out);
        } else {
            out.extend_from_slice(b"{\"hex\":\"");
            for byte in cell {
                out.extend_from_slice(&hex_digits(u32::from(*byte))[6..]);
            }
            out.extend_from_slice(b"\"}");
        }
    }
    out.push(b']');
}

/// An error made fit for a file of lines: bounded, without control characters and line ends.
pub(crate) fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c })
        .take(MAX_ERROR)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;

    use super::*;
    use crate::collect::files::checksum::PREFIX;
    use crate::collect::journal::decode::{JournalRecord, fetched_start, read_row, synced_offset};

    use crate::model::{Cause, Outcome, Seq};

    fn entry(key: &str, record: csv::ByteRecord) -> Entry {
        Entry {
            seq: Seq(1),
            line: 7,
            key: Key::parse(key.as_bytes()).unwrap(),
            fingerprint: Fingerprint(0xabc),
            attempts: 3,
            sent: None,
            outcome: Outcome::Failed(Fault::new(Cause::Timeout, "x")),
            record,
            address: None,
            request: None,
            is_companion: false,
        }
    }

    fn checked(recorder: &RecordEncoder, line: &[u8]) -> Vec<u8> {
        let line = line.strip_suffix(b"\n").unwrap();
        assert!(recorder.checksum.holds(line) && !line.contains(&b'\n'));
        serde_json::from_slice::<serde_json::Value>(line).unwrap();
        line.to_vec()
    }

    #[test]
    fn an_answer_line_reads_as_documented() {
        let mut recorder = RecordEncoder::new([7; 16]);
        let mut out = Vec::new();
        let validators = Validators { etag: Some("\"v1\"".into()), last_modified: None };
        let at = UNIX_EPOCH + Duration::from_millis(1_700_000_000_042);
        let answer =
            AnswerRecord { status: 200, at, validators: &validators, body: b"[1.10,\"}}\"]", raw: None };
        recorder.fetched(&mut out, &entry("a\"b", csv::ByteRecord::new()), &answer);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            &text[PREFIX..],
            "\"fetched\":\"00000000000000000000000000000abc\",\"status\":200,\"at\":\"2023-11-14T22:13:20.042Z\",\
             \"attempts\":3,\"etag\":\"\\\"v1\\\"\",\"answer\":{\"a\\\"b\":[1.10,\"}}\"]}}\n"
        );
    }

    #[test]
    fn an_absurd_validator_is_not_kept_and_an_error_is_one_line() {
        let mut out = Vec::new();
        push_validator(&mut out, b",\"etag\":", Some(&"x".repeat(MAX_VALIDATOR + 1)));
        push_validator(&mut out, b",\"etag\":", Some(""));
        assert!(out.is_empty());
        assert_eq!(one_line("a\r\nb\u{1b}\u{85}c\u{2028}"), "a  b  c ");
        assert_eq!(one_line(&"é".repeat(9999)).chars().count(), MAX_ERROR);
    }

    #[test]
    fn a_marker_reads_back_and_an_empty_line_goes_before_it() {
        let mut recorder = RecordEncoder::new([1; 16]);
        let mut out = Vec::new();
        recorder.synced(&mut out, 99);
        let line = checked(&recorder, out.strip_prefix(b"\n").unwrap());
        assert_eq!(synced_offset(&line), Some(99));
    }

    proptest! {
        #[test]
        fn digits_of_a_fingerprint_are_those_that_it_is_displayed_with(value: u128) {
            let fingerprint = Fingerprint(value);
            prop_assert_eq!(fingerprint_digits(fingerprint).to_vec(), fingerprint.to_string().into_bytes());
        }

        #[test]
        fn an_answer_reads_back_as_it_was_written(
            key in "\\PC{1,20}|[\"\\\\{}:,\u{0}-\u{1f}]{1,9}",
            body in "\\PC{0,60}", etag in proptest::option::of("[!-~]{1,9}"), raw: Option<u32>,
        ) {
            let mut recorder = RecordEncoder::new([7; 16]);
            let mut out = Vec::new();
            let body = serde_json::to_vec(&body).unwrap();
            let validators = Validators { etag: etag.map(Into::into), last_modified: Some("x".into()) };
            let raw = raw.map(BodyHash);
            let answer = AnswerRecord { status: 204, at: UNIX_EPOCH, validators: &validators, body: &body, raw };
            let entry = entry(&key, csv::ByteRecord::new());
            recorder.fetched(&mut out, &entry, &answer);
            let line = checked(&recorder, &out);
            let Some(JournalRecord::Fetched(parts)) = JournalRecord::parse(&line) else { panic!("not an answer") };
            prop_assert_eq!(serde_json::from_slice::<String>(parts.key).unwrap(), key);
            prop_assert_eq!((parts.body, parts.raw), (&body[..], raw));
            prop_assert_eq!(fetched_start(&line), Some((entry.fingerprint, UNIX_EPOCH, 204)));
            prop_assert_eq!((parts.status, parts.attempts), (&b"204"[..], &b"3"[..]));
        }

        #[test]
        fn a_failed_row_reads_back_byte_for_byte(
            cells in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 0..6),
            error in "\\PC{0,40}", with_key: bool,
        ) {
            let mut recorder = RecordEncoder::new([7; 16]);
            let record = csv::ByteRecord::from(cells);
            let key = Key::parse(b"k").unwrap();
            let refused = RefusedRow {
                seq: Seq(0), line: 3, key: with_key.then_some(&key), why: &error, record: &record,
            };
            let mut out = Vec::new();
            recorder.refused(&mut out, &refused);
            let line = checked(&recorder, &out);
            prop_assert_eq!(fetched_start(&line), None);
            let Some(JournalRecord::Failed(parts)) = JournalRecord::parse(&line) else { panic!("not a failure") };
            prop_assert!(parts.refused && parts.key.is_some() == with_key);
            prop_assert_eq!(serde_json::from_slice::<String>(parts.error).unwrap(), one_line(&error));
            let mut row = csv::ByteRecord::new();
            prop_assert!(read_row(parts.row, &mut row));
            prop_assert_eq!(row, record);
        }
    }
}
