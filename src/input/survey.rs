//! Reads a whole file before the first request, so that a broken export is found before anything is
//! requested, and the progress has its total. The rows of the run are then those of the survey, or the run
//! ends.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;

use crate::input::block_checksums::{BlockChecksums, ChecksummingReader, VerifyingReader};
use crate::input::error::{Changed, InputError};
use crate::input::location::InputLocation;
use crate::input::positioned_reader::{self, PositionedReader};
use crate::input::row_share::InputContent;
use crate::input::rows::Rows;
use crate::input::settings::{InputPath, InputSettings};
use crate::input::source::{self, InputSource};

/// What a file contains, of the rows that are returned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SurveyCounts {
    /// Data rows, damaged ones included; at most the limit.
    pub(crate) rows: u64,
    /// Lines without a character, up to the last of these rows or the end.
    pub(crate) blanks: u64,
    /// Rows with damage of their own.
    pub(crate) damaged: u64,
}

/// A file that was read once, and can be read again with the same content.
#[derive(Debug, Clone)]
pub(crate) struct SurveyedFile {
    /// What it contains.
    pub(crate) found: SurveyCounts,
    /// What all of its rows are, where only some are returned.
    pub(crate) content: Option<InputContent>,
    first: FirstReading,
    blocks: Arc<BlockChecksums>,
    /// The file ended in a row without a line end.
    open_row: bool,
    /// A line feed and a carriage return in its encoding.
    line_ends: [Vec<u8>; 2],
}

/// An open file, and the settings to read it with.
#[derive(Debug, Clone)]
struct FirstReading {
    path: InputPath,
    file: Arc<File>,
    settings: InputSettings,
    /// Taken before the first byte was read.
    stamp: FileVersion,
}

/// Distinguishes two states of a file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileVersion {
    place: (u64, u64),
    length: u64,
    written: (i64, i64),
}

/// What happened to a file after its survey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InputChange {
    /// Nothing.
    Unchanged,
    /// This many bytes were appended.
    Appended(u64),
    /// Its content was overwritten.
    Rewritten,
    /// Another file has its path.
    Replaced,
    /// No file has its path.
    Removed,
}

/// Reads all rows that a run would read. Only for a path that [can be read
/// twice](InputPath::can_be_read_twice): the rows of anything else would be lost.
///
/// # Errors
/// The same as [`Rows::open`] and [`Rows::next_row`].
pub(crate) fn survey(path: &InputPath, settings: &InputSettings) -> Result<SurveyedFile, InputError> {
    let first = FirstReading::open(path, settings)?;
    let (recorder, record) = ChecksummingReader::new(Arc::clone(&first.file));
    let mut rows = first.rows(Box::new(recorder), settings)?;
    let found = count(&mut rows)?;
    let (open_row, line_ends) = (rows.ended_in_a_row(), rows.columns().format.encoding.line_ends());
    let content = rows.content();
    Ok(SurveyedFile { found, content, first, blocks: Arc::new(record.blocks()), open_row, line_ends })
}

/// A file that is read once, and whose changes meanwhile can be detected.
#[derive(Debug)]
pub(crate) struct WatchedFile(FirstReading);

/// Opens an input that is read once; [`WatchedFile`] where it is a file.
///
/// # Errors
/// As [`Rows::open`].
pub(crate) fn open_watched(
    path: &InputPath,
    settings: &InputSettings,
) -> Result<(Rows, Option<WatchedFile>), InputError> {
    if !path.can_be_read_twice() {
        return Ok((Rows::open(path, settings)?, None));
    }
    let first = FirstReading::open(path, settings)?;
    let rows = first.rows(Box::new(PositionedReader::new(Arc::clone(&first.file))), settings)?;
    Ok((rows, Some(WatchedFile(first))))
}

impl WatchedFile {
    /// The name of the file in messages.
    #[must_use]
    pub(crate) fn name(&self) -> String {
        self.0.path.to_string()
    }

    /// Whether its size and modification time are the same as before the first byte was read.
    #[must_use]
    pub(crate) fn is_unchanged(&self) -> bool {
        self.0.file.metadata().is_ok_and(|now| FileVersion::of(&now) == self.0.stamp)
    }
}

fn count(rows: &mut Rows) -> Result<SurveyCounts, InputError> {
    let mut found = SurveyCounts::default();
    while let Some(row) = rows.skip_row()? {
        found.rows += u64::from(row.is_own);
        found.damaged += u64::from(row.is_own && row.is_damaged);
    }
    found.blanks = rows.blanks();
    Ok(found)
}

impl SurveyedFile {
    /// Reads the surveyed rows again. `settings` may have a lower limit than the survey had. No row is
    /// returned whose bytes differ from those of the survey.
    ///
    /// # Errors
    /// As [`Rows::open`], and [`InputError::Changed`], which [`Rows::next_row`] gives too.
    pub(crate) fn rows(&self, settings: &InputSettings) -> Result<Rows, InputError> {
        let surveyed = self.clone();
        let changed = move || io::Error::other(surveyed.changed());
        let last_row = self.clone();
        let is_whole = move || last_row.last_row_is_whole();
        let file = Arc::clone(&self.first.file);
        let verifier = VerifyingReader::new(file, Arc::clone(&self.blocks), is_whole, changed);
        self.first.rows(Box::new(verifier), settings)
    }

    /// The name of the file in messages.
    #[must_use]
    pub(crate) fn name(&self) -> String {
        self.first.path.to_string()
    }

    /// What happened to the file since the survey. New content is left to the next run.
    ///
    /// # Errors
    /// [`InputError::Changed`] if the last surveyed row had no line end and was continued.
    pub(crate) fn changes_since_survey(&self) -> Result<InputChange, InputError> {
        let Ok(now) = self.first.file.metadata() else { return Ok(InputChange::Rewritten) };
        let (then, now) = (self.first.stamp, FileVersion::of(&now));
        let grew = self.blocks.complete
            && now.length > self.blocks.length
            && self.blocks.last_is_unchanged(&self.first.file);
        if grew && !self.last_row_is_whole() {
            let Changed { before, now } = self.changed();
            return Err(InputError::Changed { at: InputLocation::of(&self.first.path), before, now });
        }
        // Standard input has no name that another file could get, and the copy of an object has none.
        let named = match &self.first.path {
            InputPath::File(path) => Some(path.metadata()),
            InputPath::Stdin | InputPath::Object(_) => None,
        };
        Ok(match named {
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => InputChange::Removed,
            Some(Ok(named)) if FileVersion::of(&named).place != then.place => InputChange::Replaced,
            _ if grew => InputChange::Appended(now.length - self.blocks.length),
            _ if now == then => InputChange::Unchanged,
            _ => InputChange::Rewritten,
        })
    }

    /// False if the file ended in a row without a line end, and that row was continued since.
    fn last_row_is_whole(&self) -> bool {
        let [line_feed, carriage_return] = &self.line_ends;
        let mut next = vec![0; line_feed.len()];
        !self.open_row
            || !matches!(self.first.file.read_at(&mut next, self.blocks.length), Ok(1..))
            || next == *line_feed
            || next == *carriage_return
    }

    fn changed(&self) -> Changed {
        let FirstReading { file, settings, .. } = &self.first;
        let now = self.first.rows(Box::new(PositionedReader::new(Arc::clone(file))), settings);
        let now = match now.and_then(|mut rows| count(&mut rows)) {
            Ok(found) => Some(found.rows),
            Err(InputError::NoHeader { .. } | InputError::NoRow { .. }) => Some(0),
            Err(_) => None,
        };
        Changed { before: self.found.rows, now }
    }
}

impl FirstReading {
    fn open(path: &InputPath, settings: &InputSettings) -> Result<Self, InputError> {
        let file = match path {
            InputPath::File(path) => Arc::new(source::open_file(path)?),
            InputPath::Stdin => Arc::new(positioned_reader::unread_stdin().ok_or_else(|| not_a_file(path))?),
            InputPath::Object(object) => source::copy_of(object)?,
        };
        let stamp = FileVersion::of(&file.metadata().map_err(|source| unreadable(path, source))?);
        Ok(Self { path: path.clone(), file, settings: settings.clone(), stamp })
    }

    fn rows(&self, bytes: Box<dyn io::Read + Send>, settings: &InputSettings) -> Result<Rows, InputError> {
        Rows::new(InputSource::new(bytes, InputLocation::of(&self.path))?, settings)
    }
}

impl FileVersion {
    fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            place: (metadata.dev(), metadata.ino()),
            length: metadata.len(),
            written: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

fn unreadable(path: &InputPath, source: io::Error) -> InputError {
    InputError::Unreadable { at: InputLocation::of(path), source }
}

/// The caller checks [`InputPath::can_be_read_twice`] first.
fn not_a_file(path: &InputPath) -> InputError {
    let source = io::Error::other("it cannot be read twice; this is a fault of the program");
    InputError::Unreadable { at: InputLocation::of(path), source }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::fs;
    use std::io::{Seek, SeekFrom, Write as _};
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::input::InputError;
    use crate::model::Exit;

    fn file(text: impl AsRef<[u8]>) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        file
    }

    fn surveyed(file: &tempfile::NamedTempFile, limit: Option<u64>) -> SurveyedFile {
        let settings = InputSettings { limit, ..InputSettings::default() };
        survey(&InputPath::File(file.path().into()), &settings).unwrap()
    }

    fn rows_of(surveyed: &SurveyedFile) -> Rows {
        surveyed.rows(&surveyed.first.settings.clone()).unwrap()
    }

    /// The keys up to the end or the error.
    fn keys(rows: &mut Rows) -> (Vec<String>, Option<InputError>) {
        let mut keys = Vec::new();
        loop {
            match rows.next_row() {
                Ok(Some(row)) => keys.push(String::from_utf8_lossy(&row.record[0]).into_owned()),
                Ok(None) => return (keys, None),
                Err(error) => return (keys, Some(error)),
            }
        }
    }

    /// Bytes of a row.
    const ROW: usize = 17;

    /// So many rows that can hardly be packed.
    fn text(rows: u32) -> String {
        let mut text = String::from("sku,name\n");
        (0..rows).for_each(|n| writeln!(text, "S{n:06},{:08x}", crc32fast::hash(&n.to_le_bytes())).unwrap());
        text
    }

    fn gzip(text: &str, members: usize) -> Vec<u8> {
        let mut packed = Vec::new();
        for part in text.as_bytes().chunks(text.len() / members + 1) {
            let mut member = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            member.write_all(part).unwrap();
            packed.extend(member.finish().unwrap());
        }
        packed
    }

    #[test]
    fn a_survey_counts_what_a_run_would_read() {
        let file = file("sku,name\nA,x\n\nB\nC,z\n\n");
        let all = surveyed(&file, None).found;
        assert_eq!(all, SurveyCounts { rows: 3, blanks: 2, damaged: 1 });
        let some = surveyed(&file, Some(1)).found;
        assert_eq!(some, SurveyCounts { rows: 1, blanks: 0, damaged: 0 });
    }

    #[test]
    fn a_survey_finds_what_would_end_a_run_half_way() {
        let file = file("sku,name\nA,x\nB,\"y\n");
        let error = survey(&InputPath::File(file.path().into()), &InputSettings::default()).unwrap_err();
        assert!(matches!(error, InputError::OpenQuote { .. }));
    }

    #[test]
    fn what_did_not_change_is_read_again_packed_or_not_and_up_to_a_limit() {
        let text = text(12_000);
        let zstd = zstd::encode_all(text.as_bytes(), 1).unwrap();
        for bytes in [text.clone().into_bytes(), gzip(&text, 1), gzip(&text, 3), zstd] {
            let file = file(bytes);
            for limit in [None, Some(1), Some(3_854), Some(3_855), Some(11_999), Some(12_000), Some(20_000)] {
                let surveyed = surveyed(&file, limit);
                let (found, end) = keys(&mut rows_of(&surveyed));
                assert!(end.is_none(), "{end:?}");
                assert_eq!(found.len() as u64, limit.unwrap_or(u64::MAX).min(12_000));
                assert_eq!(surveyed.changes_since_survey().unwrap(), InputChange::Unchanged);
            }
        }
    }

    #[test]
    fn a_change_ends_the_second_reading_with_the_rows_of_both() {
        let before = text(9_000);
        let mut swapped: Vec<&str> = before.lines().collect();
        swapped.swap(8_000, 8_001);
        let swapped = swapped.join("\n") + "\n";
        for (after, says) in [
            (text(5_000), "9,000 rows at first, 5,000 now"),
            (
                text(9_000).replace("S008999", "S008998"),
                "9,000 rows at first, as many now, with other content",
            ),
            (swapped, "9,000 rows at first, as many now, with other content"),
            (text(0), "9,000 rows at first, none now"),
            (String::new(), "9,000 rows at first, none now"),
            (text(8_000) + "\"open", "9,000 rows at first; it cannot be read now"),
        ] {
            let file = file(&before);
            let mut rows = rows_of(&surveyed(&file, None));
            fs::write(file.path(), &after).unwrap();
            let (found, end) = keys(&mut rows);
            let end = end.expect("it changed");
            assert!(found.len() < 9_000);
            assert_eq!(end.exit(), Exit::Data);
            let name = file.path().display();
            assert_eq!(end.to_string(), format!("{name} changed while it was read ({says})"));
            assert!(end.hint().unwrap().contains("rename"), "{end:?}");
            assert!(matches!(rows.next_row(), Ok(None)));
        }
    }

    #[test]
    fn a_packed_file_that_changed_is_no_damaged_one() {
        let file = file(gzip(&text(12_000), 1));
        let mut rows = rows_of(&surveyed(&file, None));
        fs::write(file.path(), gzip(&text(11_000), 1)).unwrap();
        let end = keys(&mut rows).1.unwrap();
        assert!(matches!(end, InputError::Changed { before: 12_000, now: Some(11_000), .. }), "{end:?}");
    }

    #[test]
    fn the_second_reading_ends_where_the_first_did_and_reports_what_was_appended() {
        let file = file(text(10_000));
        let surveyed = surveyed(&file, None);
        let mut rows = rows_of(&surveyed);
        let mut again = fs::OpenOptions::new().append(true).open(file.path()).unwrap();
        again.write_all(b"LATE,x\n").unwrap();
        let (found, end) = keys(&mut rows);
        assert!(end.is_none(), "{end:?}");
        assert_eq!((found.len(), found.contains(&"LATE".to_owned())), (10_000, false));
        assert_eq!(surveyed.changes_since_survey().unwrap(), InputChange::Appended(7));
    }

    #[test]
    fn a_last_row_that_is_written_on_is_not_handed_out_and_one_that_gets_its_line_end_is() {
        for (more, is_whole) in [("34,x\n", false), ("\nLATE,x\n", true), ("\r\nLATE,x", true)] {
            let file = file(text(10) + "S0000");
            let surveyed = surveyed(&file, None);
            let mut again = fs::OpenOptions::new().append(true).open(file.path()).unwrap();
            again.write_all(more.as_bytes()).unwrap();
            assert_eq!(surveyed.changes_since_survey().is_ok(), is_whole, "{more:?}");
            let rows = surveyed.rows(&InputSettings::default()).map(|mut rows| keys(&mut rows));
            match rows {
                Ok((found, end)) => {
                    assert!(is_whole && found.len() == 11 && end.is_none(), "{more:?} {end:?}");
                }
                Err(error) => assert!(!is_whole && matches!(error, InputError::Changed { .. }), "{error}"),
            }
        }
    }

    #[test]
    fn a_file_that_is_replaced_or_removed_is_read_on_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("products.csv");
        for removed in [false, true] {
            fs::write(&path, text(9_000)).unwrap();
            let surveyed = survey(&InputPath::File(path.clone()), &InputSettings::default()).unwrap();
            if removed {
                fs::remove_file(&path).unwrap();
            } else {
                fs::write(dir.path().join("new"), text(3)).unwrap();
                fs::rename(dir.path().join("new"), &path).unwrap();
            }
            let (found, end) = keys(&mut rows_of(&surveyed));
            assert!(end.is_none() && found.len() == 9_000);
            let since = if removed { InputChange::Removed } else { InputChange::Replaced };
            assert_eq!(surveyed.changes_since_survey().unwrap(), since);
        }
    }

    #[test]
    fn what_is_written_after_the_second_reading_is_reported_and_changes_nothing() {
        let file = file(text(10));
        let surveyed = surveyed(&file, None);
        assert_eq!(keys(&mut rows_of(&surveyed)).0.len(), 10);
        fs::write(file.path(), text(3)).unwrap();
        assert_eq!(surveyed.changes_since_survey().unwrap(), InputChange::Rewritten);

        let file = self::file(text(10).trim_end());
        let surveyed = self::surveyed(&file, None);
        assert_eq!(keys(&mut rows_of(&surveyed)).0.len(), 10);
        fs::write(file.path(), "sku,name\n".to_owned() + &"OTHER,x\n".repeat(40)).unwrap();
        assert_eq!(
            surveyed.changes_since_survey().unwrap(),
            InputChange::Rewritten,
            "not a row that was written on"
        );
    }

    #[test]
    fn a_file_that_is_read_once_reports_whether_it_was_written_to_meanwhile() {
        let file = file(text(5_000));
        let path = InputPath::File(file.path().into());
        for (after, is_unchanged) in [(None, true), (Some(text(4_000)), false)] {
            let (mut rows, watched) = open_watched(&path, &InputSettings::default()).unwrap();
            rows.next_row().unwrap();
            if let Some(after) = after {
                fs::write(file.path(), after).unwrap();
            }
            keys(&mut rows);
            assert_eq!(watched.unwrap().is_unchanged(), is_unchanged);
        }
    }

    /// One change to a file, in place.
    #[derive(Debug, Clone)]
    enum Change {
        Truncate(prop::sample::Index),
        Append(Vec<u8>),
        Overwrite(prop::sample::Index, Vec<u8>),
        Swap(prop::sample::Index, prop::sample::Index),
        Rewrite(u32),
    }

    fn change() -> impl Strategy<Value = Change> {
        let at = any::<prop::sample::Index>;
        let bytes = || prop::collection::vec(prop::sample::select(b"S0123456789,x\n\r\"".to_vec()), 1..20);
        prop_oneof![
            at().prop_map(Change::Truncate),
            bytes().prop_map(Change::Append),
            (at(), bytes()).prop_map(|(at, bytes)| Change::Overwrite(at, bytes)),
            (at(), at()).prop_map(|(a, b)| Change::Swap(a, b)),
            (0u32..12_000).prop_map(Change::Rewrite),
        ]
    }

    fn make(change: &Change, path: &Path) {
        let mut file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
        let bytes = fs::read(path).unwrap();
        let mut write = |at: usize, bytes: &[u8]| {
            file.seek(SeekFrom::Start(at as u64)).unwrap();
            file.write_all(bytes).unwrap();
        };
        match change {
            Change::Truncate(at) => file.set_len(at.index(bytes.len() + 1) as u64).unwrap(),
            Change::Append(more) => write(bytes.len(), more),
            Change::Overwrite(at, new) => write(at.index(bytes.len() + 1), new),
            Change::Swap(a, b) if bytes.len() >= ROW => {
                let [a, b] = [a, b].map(|at| at.index(bytes.len() / ROW) * ROW);
                write(a, &bytes[b..b + ROW]);
                write(b, &bytes[a..a + ROW]);
            }
            Change::Swap(..) => {}
            Change::Rewrite(rows) => fs::write(path, text(*rows)).unwrap(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn no_row_but_a_surveyed_one_is_ever_handed_out_whatever_happens_to_the_file(
            rows in 1u32..12_000,
            line_end in any::<bool>(),
            first in 0usize..12_000,
            changes in prop::collection::vec(change(), 1..4),
        ) {
            let mut content = text(rows);
            if !line_end {
                content.pop();
            }
            let file = file(&content);
            let surveyed = surveyed(&file, None);
            let wanted: Vec<String> = content.lines().skip(1).map(|line| line[..7].to_owned()).collect();
            let mut reading = rows_of(&surveyed);
            let mut found = Vec::new();
            while found.len() < first.min(wanted.len()) {
                found.push(String::from_utf8(reading.next_row().unwrap().unwrap().record[0].to_vec()).unwrap());
            }
            for change in &changes {
                make(change, file.path());
            }
            let (rest, end) = keys(&mut reading);
            found.extend(rest);
            prop_assert_eq!(&found[..], &wanted[..found.len()]);
            match end {
                None => prop_assert_eq!(found.len(), wanted.len()),
                Some(error) => {
                    prop_assert!(matches!(error, InputError::Changed { .. }), "{}", error);
                    prop_assert_eq!(error.exit(), Exit::Data);
                }
            }
        }
    }
}
