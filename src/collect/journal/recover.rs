//! What an interrupted run left: one pass over the journal in bounded memory.
//!
//! A crash leaves records that were never synced in any state: cut, zeroed, or missing while later ones are there, since
//! pages reach the disk in any order. So the first bad line ends what is recovered,
//! whatever follows; unless a later marker proves that this place was already safe on disk. No crash explains such
//! damage, and it is reported instead.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::Path;

use crate::collect::error::{CollectError, FileOperation};
use crate::collect::files::checksum::{CRC_START, Checksum, PREFIX, named_checksum, parse_checked};
use crate::collect::files::salt::salt_from_hex;
use crate::collect::journal::decode::{fetched_start, synced_offset};
use crate::collect::journal::header::{JournalHeader, MAX_HEADER, VERSION, first_line};
use crate::collect::journal::publish_record::{PublishRecord, publishing_of};
use crate::collect::journal::recovered_answers::RecoveredAnswers;

/// The part of a line that is parsed: the whole of a marker, and the start of any other line.
const HEAD: usize = 256;

/// Read at a time.
const BLOCK: usize = 256 * 1024;
/// What a file in the journal's place is.
#[derive(Debug)]
pub(crate) enum Examined {
    /// A header that was never finished: no record can follow.
    Unfinished,
    /// Not for this run, with the reason: to be set aside.
    Foreign(String),
    /// A journal of this job.
    Ours {
        /// Its salt.
        salt: [u8; 16],
        /// What it holds.
        scan: JournalScan,
    },
}

/// Reads the file at `path`, where a run that began now would write `header` first.
pub(crate) fn examine(file: &File, path: &Path, header: &JournalHeader) -> Result<Examined, CollectError> {
    let failed = || CollectError::io(FileOperation::Read, path);
    let mut input = BufReader::with_capacity(BLOCK, file);
    let mut line = Vec::new();
    input.by_ref().take(MAX_HEADER).read_until(b'\n', &mut line).map_err(failed())?;
    let start = line.len() as u64;
    let ended = line.pop_if(|last| *last == b'\n').is_some();
    let Some(found) = ended.then(|| parse_checked::<serde_json::Value>(Checksum::HEADER, &line)).flatten()
    else {
        return without_header(&mut input, path, &line, ended);
    };
    let Ok(found) = serde_json::from_value::<JournalHeader>(found) else {
        return Ok(Examined::Foreign("it is not a journal of this program".into()));
    };
    let Some(salt) = salt_from_hex(&found.salt).filter(|_| found.version == VERSION) else {
        return Ok(Examined::Foreign(format!("it has format {}, not {VERSION}", found.version)));
    };
    if found.job != header.job {
        return Ok(Examined::Foreign(difference(&found.description, &header.description)));
    }
    let scan = scan(&mut input, start, Checksum::new(salt)).map_err(failed())?;
    match scan.damage {
        Some(why) => Err(CollectError::Damaged { path: path.into(), offset: scan.end, why: why.into() }),
        None => Ok(Examined::Ours { salt, scan }),
    }
}

/// Whether this is a journal of any job that holds no answer, so that nothing is lost with it. A line that is damaged
/// may have been one.
pub(crate) fn holds_no_answer(mut file: &File) -> bool {
    let mut look = || -> io::Result<bool> {
        file.rewind()?;
        let mut input = BufReader::with_capacity(BLOCK, file);
        let Some((header, start)) = first_line(&mut input)? else { return Ok(false) };
        let Some(salt) = salt_from_hex(&header.salt) else { return Ok(false) };
        let mut lines = CheckedLines {
            input: &mut input,
            checksum: Checksum::new(salt),
            head: Vec::with_capacity(HEAD),
            at: start,
        };
        loop {
            match lines.next()? {
                NextLine::End => return Ok(true),
                NextLine::Good if fetched_start(&lines.head).is_none() => {}
                NextLine::Good | NextLine::Bad(_) => return Ok(false),
            }
        }
    };
    look().unwrap_or(false)
}

/// The header is synced before the first record is written. So a bad header with records after it is
/// damage, one that breaks off was never finished, and anything else is not ours.
fn without_header(
    input: &mut impl BufRead,
    path: &Path,
    line: &[u8],
    ended: bool,
) -> Result<Examined, CollectError> {
    let begun = |line: &[u8]| line.iter().zip(CRC_START).all(|(found, wanted)| found == wanted);
    if !ended && (begun(line) || line.iter().all(|&byte| byte == 0)) {
        return Ok(Examined::Unfinished);
    }
    let mut ours = named_checksum(line).is_some();
    let mut lines = CheckedLines { input, checksum: Checksum::HEADER, head: Vec::new(), at: 0 };
    while !ours
        && !matches!(lines.next().map_err(CollectError::io(FileOperation::Read, path))?, NextLine::End)
    {
        ours = named_checksum(&lines.head).is_some();
    }
    if ours {
        let why = "its first line does not hold its checksum".into();
        return Err(CollectError::Damaged { path: path.into(), offset: 0, why });
    }
    Ok(Examined::Foreign("it is not a journal of this program".into()))
}

/// Which parts of two jobs differ, by name: values may be long.
fn difference(found: &serde_json::Value, wanted: &serde_json::Value) -> String {
    let (Some(found), Some(wanted)) = (found.as_object(), wanted.as_object()) else {
        return "it belongs to another job".into();
    };
    let mut names: Vec<&str> = found.keys().chain(wanted.keys()).map(String::as_str).collect();
    names.retain(|name| found.get(*name) != wanted.get(*name));
    names.sort_unstable();
    names.dedup();
    match names[..] {
        [] => "it belongs to another job".into(),
        _ => format!("it belongs to another job (other {})", names.join(", ")),
    }
}

/// What a pass over a journal found.
#[derive(Debug)]
pub(crate) struct JournalScan {
    /// The answers before `end`.
    pub(crate) answers: RecoveredAnswers,
    /// Where the good part ends, and the next record goes.
    pub(crate) end: u64,
    /// Bytes after `end`.
    pub(crate) torn: u64,
    /// What was about to be published last.
    pub(crate) publishing: Option<PublishRecord>,
    /// Why the line at `end` is bad, if a later marker proves that to be damage and no torn tail.
    pub(crate) damage: Option<&'static str>,
}

impl JournalScan {
    /// Of a journal that was just made, whose header ends at `end`.
    pub(crate) fn nothing(end: u64) -> Self {
        Self { answers: RecoveredAnswers::default(), end, torn: 0, publishing: None, damage: None }
    }
}

/// Reads the lines that follow the header, which ends at `start`.
pub(crate) fn scan(input: &mut impl BufRead, start: u64, checksum: Checksum) -> io::Result<JournalScan> {
    let mut lines = CheckedLines { input, checksum, head: Vec::with_capacity(HEAD), at: start };
    let mut scan = JournalScan::nothing(start);
    let mut bad: Option<&'static str> = None;
    loop {
        let began = lines.at;
        let state = match lines.next()? {
            NextLine::End => break,
            NextLine::Good => Ok(()),
            NextLine::Bad(why) => Err(why),
        };
        let synced = state.is_ok().then(|| synced_offset(&lines.head)).flatten();
        match (bad, state) {
            (None, Ok(())) if synced.is_none_or(|offset| offset <= began) => {
                if let Some((fingerprint, at, status)) = fetched_start(&lines.head) {
                    scan.answers.add(fingerprint, (at, status), began);
                } else if let Some(published) = publishing_of(&lines.head) {
                    scan.publishing = Some(published);
                }
                scan.end = lines.at;
            }
            (None, state) => bad = Some(state.err().unwrap_or("a marker points past itself")),
            (Some(why), Ok(())) if synced.is_some_and(|offset| offset > scan.end && offset <= began) => {
                scan.damage = Some(why);
            }
            (Some(_), _) => {}
        }
    }
    scan.torn = lines.at - scan.end;
    scan.answers.seal();
    Ok(scan)
}

enum NextLine {
    Good,
    Bad(&'static str),
    End,
}

/// Lines of any length, checked as they pass; only the start of each is kept.
struct CheckedLines<'a, R> {
    input: &'a mut R,
    checksum: Checksum,
    head: Vec<u8>,
    /// Where the next line begins.
    at: u64,
}

impl<R: BufRead> CheckedLines<'_, R> {
    fn next(&mut self) -> io::Result<NextLine> {
        self.head.clear();
        let mut hasher = self.checksum.hasher();
        let mut length = 0;
        let complete = loop {
            let buffer = match self.input.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if buffer.is_empty() {
                break false;
            }
            let newline = memchr::memchr(b'\n', buffer);
            let part = &buffer[..newline.unwrap_or(buffer.len())];
            self.head.extend_from_slice(&part[..part.len().min(HEAD - self.head.len())]);
            hasher.update(&part[PREFIX.saturating_sub(length).min(part.len())..]);
            length += part.len();
            let used = part.len() + usize::from(newline.is_some());
            self.input.consume(used);
            self.at += used as u64;
            if newline.is_some() {
                break true;
            }
        };
        Ok(match named_checksum(&self.head) {
            _ if length == 0 => {
                if complete {
                    NextLine::Good
                } else {
                    NextLine::End
                }
            }
            _ if !complete => NextLine::Bad("the last record is cut short"),
            None => NextLine::Bad("a line is not a record"),
            Some(named) if length > PREFIX && named == hasher.finalize() => NextLine::Good,
            Some(_) => NextLine::Bad("a record does not hold its checksum"),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;
    use crate::collect::files::checksum::push_checked;
    use crate::collect::files::salt::salt_to_hex;
    use crate::collect::journal::decode::JournalRecord;
    use crate::collect::journal::encode::RecordEncoder;
    use crate::collect::test_run::{TestRun, fetched, fingerprint};

    const KEYS: [&str; 6] = ["A1", "A2", "A3", "B4", "B5", "B6"];

    /// A journal with three answers, a marker, three more answers, and its parts.
    struct Sample {
        bytes: Vec<u8>,
        header: JournalHeader,
        /// Where the lines of the answers begin and end.
        answers: Vec<(usize, usize)>,
        /// All before this is known to be synced, once the marker's line has ended there.
        synced: usize,
        marker_end: usize,
    }

    fn sample() -> Sample {
        let run = TestRun::new();
        for half in [0, 3] {
            let (mut journal, _) = run.open();
            for seq in half..half + 3 {
                let entry = fetched(seq, KEYS[seq as usize], &format!("{{\"n\":{seq}}}"));
                journal.append(&entry).unwrap();
            }
            if half == 0 {
                journal.close().unwrap();
            }
        }
        let bytes = fs::read(run.path("out.json.journal")).unwrap();
        let (mut answers, mut at, mut marker, mut header) = (Vec::new(), 0, None, None);
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            let body = &line[..line.len() - 1];
            if at == 0 {
                header = serde_json::from_slice(body).ok();
            } else if let Some(JournalRecord::Synced(offset)) = JournalRecord::parse(body) {
                marker = Some((usize::try_from(offset).unwrap(), at + line.len()));
            } else if !body.is_empty() {
                answers.push((at, at + line.len()));
            }
            at += line.len();
        }
        let (synced, marker_end) = marker.unwrap();
        assert_eq!((answers.len(), answers[2].1), (6, synced));
        Sample { bytes, header: header.unwrap(), answers, synced, marker_end }
    }

    /// One for all cases of a property: making it syncs files.
    fn shared() -> &'static Sample {
        static SAMPLE: LazyLock<Sample> = LazyLock::new(sample);
        &SAMPLE
    }

    impl Sample {
        /// How many answers are recovered; each must be one that was written, in its place, and the
        /// ones before it must be there too.
        fn recovered(&self, bytes: &[u8]) -> Result<usize, CollectError> {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            std::io::Seek::rewind(&mut file).unwrap();
            let mut scan = match examine(&file, Path::new("j"), &self.header)? {
                Examined::Ours { scan, salt } => {
                    assert_eq!(salt_to_hex(salt), self.header.salt);
                    scan
                }
                Examined::Unfinished | Examined::Foreign(_) => return Ok(0),
            };
            let count = scan.answers.len();
            for (key, &(start, end)) in KEYS.iter().zip(&self.answers).take(count) {
                let found = usize::try_from(scan.answers.take(fingerprint(key)).unwrap().0).unwrap();
                assert_eq!(bytes[found..][..end - start], self.bytes[start..end]);
            }
            assert!(scan.end + scan.torn == bytes.len() as u64);
            Ok(count)
        }

        /// Answers that stand wholly before this place.
        fn before(&self, at: usize) -> usize {
            self.answers.iter().filter(|&&(_, end)| end <= at).count()
        }
    }

    #[test]
    fn a_journal_cut_at_any_byte_gives_the_answers_before_the_cut() {
        let sample = sample();
        for cut in 0..=sample.bytes.len() {
            assert_eq!(sample.recovered(&sample.bytes[..cut]).unwrap(), sample.before(cut), "cut at {cut}");
        }
    }

    #[test]
    fn a_journal_with_a_zeroed_tail_gives_the_answers_before_it() {
        let sample = sample();
        let header_end = sample.answers[0].0;
        for from in 0..sample.bytes.len() {
            let mut bytes = sample.bytes.clone();
            bytes[from..].fill(0);
            let found = sample.recovered(&bytes).unwrap_or(0);
            assert_eq!(found, sample.before(from), "zeroed from {from}");
            if from >= header_end {
                assert!(sample.recovered(&bytes).is_ok());
            }
        }
    }

    #[test]
    fn any_flipped_bit_gives_a_prefix_or_is_refused_and_never_passes_where_it_was_synced() {
        let sample = sample();
        let header_end = sample.answers[0].0;
        for at in 0..sample.bytes.len() {
            for bit in 0..8 {
                let mut bytes = sample.bytes.clone();
                bytes[at] ^= 1 << bit;
                match sample.recovered(&bytes) {
                    Err(error) => {
                        assert!(at < sample.synced, "{at}: {error}");
                        assert_eq!(error.exit().code(), 74);
                    }
                    Ok(count) => {
                        assert!(at < header_end && count == 0 || at >= sample.synced, "{at} {bit} {count}");
                        assert!(at < header_end || count == sample.before(at), "{at} {bit} {count}");
                    }
                }
            }
        }
    }

    #[test]
    fn any_byte_left_out_or_put_in_gives_a_prefix_or_is_refused() {
        let sample = sample();
        for at in 0..sample.bytes.len() {
            for put in [None, Some(0), Some(b'\n'), Some(b'0')] {
                let mut bytes = sample.bytes.clone();
                match put {
                    Some(byte) => bytes.insert(at, byte),
                    None => drop(bytes.remove(at)),
                }
                if let Ok(count) = sample.recovered(&bytes) {
                    // A line end more or less between records harms none of them.
                    assert!(
                        put == Some(b'\n')
                            || put.is_none() && sample.bytes[at] == b'\n'
                            || count <= sample.before(at),
                        "{at} {put:?} {count}"
                    );
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

        #[test]
        fn damage_in_several_places_and_a_cut_leave_the_answers_before_them_or_are_refused(
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 1_usize..40), 0..4),
            cut in any::<prop::sample::Index>(), cuts: bool,
        ) {
            let sample = shared();
            let mut bytes = sample.bytes.clone();
            for (at, byte, length) in damage {
                let at = at.index(bytes.len());
                let end = bytes.len().min(at + length);
                bytes[at..end].fill(byte);
            }
            if cuts {
                bytes.truncate(cut.index(bytes.len()));
            }
            let same = bytes.iter().zip(&sample.bytes).take_while(|(new, old)| new == old).count();
            match sample.recovered(&bytes) {
                Ok(count) => prop_assert_eq!(count, sample.before(same)),
                Err(error) => {
                    prop_assert!(same < sample.synced, "{}", error);
                    prop_assert_eq!(error.exit().code(), 74);
                }
            }
        }

        #[test]
        fn a_journal_with_an_answer_or_with_damage_never_passes_for_an_empty_one(
            at in any::<prop::sample::Index>(), byte: u8, cut in any::<prop::sample::Index>(),
        ) {
            let sample = shared();
            let mut bytes = sample.bytes[..cut.index(sample.bytes.len() + 1)].to_vec();
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let header_end = sample.answers[0].0;
            let is_header = bytes.get(..header_end) == Some(&sample.bytes[..header_end]);
            let is_empty = is_header && bytes.len() == header_end;
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&bytes).unwrap();
            prop_assert_eq!(holds_no_answer(&file), is_empty);
        }

        #[test]
        fn any_bytes_are_no_answer(
            bytes in "((\\{\"crc\":\"[0-9a-f]{8}\",\"(fetched\":\"[0-9a-f]{32}|synced\":[0-9]{1,4}))?.{0,9}\n?){0,4}",
            after_header: bool,
        ) {
            let sample = shared();
            let header = if after_header { &sample.bytes[..sample.answers[0].0] } else { &[] };
            if let Ok(count) = sample.recovered(&[header, bytes.as_bytes()].concat()) {
                prop_assert_eq!(count, 0);
            }
        }
    }

    #[test]
    fn pages_that_reached_the_disk_out_of_order_are_a_torn_tail() {
        let sample = sample();
        let (start, end) = sample.answers[3];
        let mut bytes = sample.bytes.clone();
        bytes[start + 20..end - 5].fill(0);
        assert_eq!(sample.recovered(&bytes).unwrap(), 3, "answers after the hole do not count");
        assert!(start >= sample.marker_end);
    }

    #[test]
    fn a_marker_that_cannot_be_true_ends_what_is_recovered() {
        let sample = sample();
        let mut bytes = sample.bytes.clone();
        let salt = salt_from_hex(&sample.header.salt).unwrap();
        let mut recorder = RecordEncoder::new(salt);
        let at = bytes.len() as u64;
        recorder.synced(&mut bytes, at + 1);
        assert_eq!(sample.recovered(&bytes).unwrap(), 6);
    }

    #[test]
    fn a_file_that_is_no_journal_is_foreign_with_a_reason() {
        let sample = sample();
        let foreign = |bytes: &[u8]| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            std::io::Seek::rewind(&mut file).unwrap();
            match examine(&file, Path::new("j"), &sample.header) {
                Ok(Examined::Foreign(why)) => why,
                other => panic!("{other:?}"),
            }
        };
        assert!(foreign(b"shopping list\nmilk\n").contains("not a journal"));
        assert!(foreign(b"{\"a\":1}\n{\"b\":2}\n").contains("not a journal"));
        let with = |change: &dyn Fn(&mut JournalHeader)| {
            let mut header: JournalHeader =
                serde_json::from_value(serde_json::to_value(&sample.header).unwrap()).unwrap();
            change(&mut header);
            let mut bytes = Vec::new();
            push_checked(&mut bytes, Checksum::HEADER, &header).unwrap();
            foreign(&bytes)
        };
        assert!(with(&|header| header.version = 2).contains("format 2"));
        let other = with(&|header| {
            header.job = "x".into();
            header.description = serde_json::json!({"url": "other", "method": "GET", "select": ".a"});
        });
        assert_eq!(other, "it belongs to another job (other select, url)");
    }

    #[test]
    fn records_of_any_size_pass_in_blocks() {
        let run = TestRun::new();
        let (mut journal, _) = run.open();
        let long = format!("\"{}\"", "x".repeat(3 << 20));
        journal.append(&fetched(0, "A1", &long)).unwrap();
        journal.append(&fetched(1, "A2", "1")).unwrap();
        drop(journal);
        let (mut journal, recovered) = run.open();
        assert_eq!((recovered.answers, recovered.notes.len()), (2, 0));
        assert!(journal.adopt(crate::model::Seq(0), fingerprint("A2")));
        assert!(journal.adopt(crate::model::Seq(1), fingerprint("A1")));
        run.publish(journal.close().unwrap());
        assert_eq!(run.text("out.json"), format!("{{\n\"A2\":1,\n\"A1\":{long}\n}}\n"));
    }
}
