//! The failure file: the failed rows as they were in the input, with three columns for the reason. It can be an input
//! itself.
//!
//! A spreadsheet that opens it must not run a formula that a supplier wrote into a cell: a cell that
//! begins with `=`, `+`, `-` or `@` gets a leading `'`. One that already looks guarded gets one more,
//! so that removing one always restores the cell.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::collect::error::{CollectError, FileOperation};
use crate::collect::files::atomic::{Replacement, remove};
use crate::collect::files::cursor::NULL;
use crate::collect::files::paths::FileTarget;
use crate::collect::files::stage::ObjectStage;
use crate::collect::journal::decode::FailedRecord;
use crate::collect::publish::context::PublishContext;
use crate::input::{self, Columns, CsvFormat, FAILURE_COLUMNS, InputPath, Quoting, RowWriter, TextEncoding};
use crate::model::Key;

/// The failed rows of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failures {
    /// Failed and refused rows, repeats left out.
    pub rows: u64,
    /// Refused rows that were repeats of a key that another row got a job for.
    pub repeats: u64,
    /// The failure file, if one was written, as the user named it.
    pub path: Option<PathBuf>,
}

/// The failed rows of a pass.
pub(crate) struct FailedRows<'a> {
    pub(crate) file: FailureFile<'a>,
    failed: Option<&'a FileTarget>,
    /// The failure file is the input.
    is_input: bool,
    /// The failure file is the input, and not all of it is done: it stays.
    protected: bool,
    pub(crate) is_planned: &'a dyn Fn(&Key) -> bool,
    repeats: u64,
}

impl<'a> FailedRows<'a> {
    pub(crate) fn of(context: &PublishContext<'a>) -> Self {
        let failed = context.place.failed.as_ref();
        let is_input =
            failed.is_some_and(|failed| context.input.is_some_and(|input| same_file(&failed.real, input)));
        let replaceable = |path: &Path| context.input_done && is_failure_file(path);
        let protected = is_input && !failed.is_some_and(|failed| replaceable(&failed.real));
        let file = FailureFile::new(failed.filter(|_| !protected), context.columns);
        Self { file, failed, is_input, protected, is_planned: context.is_planned, repeats: 0 }
    }

    /// A failure file that is the input stays as it is: what was answered of it is not published.
    pub(crate) fn keep_input(&mut self) {
        if self.is_input {
            self.protected = true;
            self.file.forget();
        }
    }

    /// A refused row of a key that another row got a job for is one more repeat.
    pub(crate) fn is_repeat(&mut self, key: &str) -> bool {
        let repeat = Key::parse(key.as_bytes()).is_ok_and(|key| (self.is_planned)(&key));
        self.repeats += u64::from(repeat);
        repeat
    }

    /// Puts the failure file in place. When all was published and nothing failed, it is not there.
    pub(crate) fn put_in_place(self, published: bool) -> Result<(Failures, Vec<String>), CollectError> {
        let Self { file, failed, protected, repeats, .. } = self;
        let rows = file.rows;
        let mut warnings = Vec::new();
        let written = file.commit()?;
        if let Some(failed) = failed {
            if protected && rows > 0 {
                warnings.push(format!(
                    "{} is the input and holds rows that are not done, so it stays as it is",
                    failed.given.display()
                ));
            } else if published && rows == 0 && !protected {
                remove(&failed.real)?;
                ObjectStage::remove(failed.stage(), &failed.real)?;
            }
        }
        let path = failed.filter(|_| written).map(|failed| failed.given.clone());
        Ok((Failures { rows, repeats, path }, warnings))
    }
}

/// A failure file on its way. It is begun with the first failure.
pub(crate) struct FailureFile<'a> {
    target: Option<&'a FileTarget>,
    columns: &'a Columns,
    writer: Option<RowWriter<Replacement>>,
    /// Rows so far.
    rows: u64,
}

impl<'a> FailureFile<'a> {
    /// Without a target, rows are only counted.
    fn new(target: Option<&'a FileTarget>, columns: &'a Columns) -> Self {
        Self { target, columns, writer: None, rows: 0 }
    }

    /// A row that is no wider than the header and whose key cell is empty: it hides no SKU.
    pub(crate) fn has_no_key(&self, row: &csv::ByteRecord) -> bool {
        row.len() <= self.columns.names.len() && row.get(self.columns.key).is_some_and(<[u8]>::is_empty)
    }

    /// The place of the cell that keys the output.
    pub(crate) fn key_column(&self) -> usize {
        self.columns.key
    }

    /// From here on, rows are only counted; what was written goes.
    fn forget(&mut self) {
        (self.target, self.writer) = (None, None);
    }

    /// Adds a failed row.
    pub(crate) fn add(
        &mut self,
        row: &csv::ByteRecord,
        failure: &FailedRecord<'_>,
    ) -> Result<(), CollectError> {
        self.rows += 1;
        let Some(target) = self.target else { return Ok(()) };
        let failed = || CollectError::io(FileOperation::Write, &target.given);
        let error: String = serde_json::from_slice(failure.error).unwrap_or_default();
        let error = guarded(error.as_bytes(), Quoting::DOUBLED);
        let status: &[u8] = if failure.status == NULL { b"" } else { failure.status };
        let quoting = self.columns.format.quoting;
        let cells = || row.iter().map(|cell| guarded(cell, quoting));
        let note = (&*String::from_utf8_lossy(&error), [status, failure.attempts]);
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.begin(target, self.columns.format)?,
        };
        if writer.write(cells(), note).map_err(failed())?.is_err() {
            writer = self.in_utf8(target, writer)?;
            let _ = writer.write(cells(), note).map_err(failed())?;
        }
        self.writer = Some(writer);
        Ok(())
    }

    /// Creates the file and writes its header, also for an input without one: the columns' numbers
    /// are then their names.
    fn begin(&self, target: &FileTarget, format: CsvFormat) -> Result<RowWriter<Replacement>, CollectError> {
        let failed = || CollectError::io(FileOperation::Write, &target.given);
        let file = Replacement::create(&target.real)?.in_stage(target.stage());
        let mut writer = RowWriter::new(file, format).map_err(failed())?;
        let names = || self.columns.names.iter().map(|name| guarded(name.as_bytes(), format.quoting));
        let [error, status, attempts] = FAILURE_COLUMNS;
        let last = input::last_name(attempts, format.quoting);
        if writer.write(names(), (error, [status.as_bytes(), &last])).map_err(failed())?.is_err() {
            return self.begin(target, in_utf8(format));
        }
        Ok(writer)
    }

    /// Goes on in UTF-8, with a mark that wins over every option: a cell has a character which is read in the encoding of
    /// the input and cannot be written in it.
    fn in_utf8(
        &self,
        target: &FileTarget,
        writer: RowWriter<Replacement>,
    ) -> Result<RowWriter<Replacement>, CollectError> {
        let failed = || CollectError::io(FileOperation::Write, &target.given);
        let format = self.columns.format;
        let mut old = writer.into_inner();
        old.flush().map_err(failed())?;
        let written = File::open(old.path()).map_err(failed())?;
        let new = Replacement::create(&target.real)?.in_stage(target.stage());
        let mut writer = RowWriter::new(new, in_utf8(format)).map_err(failed())?;
        writer.copy(written, format.encoding).map_err(failed())?;
        Ok(writer)
    }

    /// Puts the file in its place; true if there was a failure to write.
    fn commit(self) -> Result<bool, CollectError> {
        let Some(writer) = self.writer else { return Ok(false) };
        writer.into_inner().commit()?;
        Ok(true)
    }
}

fn in_utf8(format: CsvFormat) -> CsvFormat {
    CsvFormat { encoding: TextEncoding::UTF_8, has_mark: true, ..format }
}

/// Whether a file is a failure file, by the end of its header.
fn is_failure_file(path: &Path) -> bool {
    input::is_failure_file(&InputPath::File(path.into()))
}

/// Whether two paths are one file that is there.
fn same_file(a: &Path, b: &Path) -> bool {
    matches!((fs::canonicalize(a), fs::canonicalize(b)), (Ok(a), Ok(b)) if a == b)
}

/// A cell that no spreadsheet takes for a formula. In a file without quoting, one that begins with a quote has an
/// apostrophe too: such a file is then the same with quoting and without.
fn guarded(cell: &[u8], quoting: Quoting) -> Cow<'_, [u8]> {
    let first = cell.iter().find(|&&byte| byte != b'\'');
    let is_formula = matches!(first, Some(b'=' | b'+' | b'-' | b'@'));
    if is_formula || (quoting.quote.is_none() && first == Some(&b'"')) {
        Cow::Owned([b"'", cell].concat())
    } else {
        Cow::Borrowed(cell)
    }
}

#[cfg(test)]
mod tests {
    use csv::ByteRecord;
    use proptest::prelude::*;

    use super::*;
    use crate::collect::test_run::{TestContext, TestRun, failed, fetched, key, refused};

    /// What the reader does with a cell of such a file.
    fn unguarded(cell: &[u8]) -> &[u8] {
        match guarded(cell, Quoting::DOUBLED) {
            Cow::Owned(_) if cell.first() == Some(&b'\'') => &cell[1..],
            _ => cell,
        }
    }

    fn read_back(path: PathBuf, delimiter: u8) -> Vec<ByteRecord> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .from_path(path)
            .unwrap();
        reader.byte_records().map(Result::unwrap).collect()
    }

    #[test]
    fn the_failure_file_holds_the_failed_rows_as_they_stood_in_the_order_of_the_input() {
        let run = TestRun::new();
        let damaged = ByteRecord::from(vec![&b"B\xff"[..], b"x", b"=too many"]);
        let (mut journal, _) = run.open();
        journal.append_refused(&refused(7, None, &damaged)).unwrap();
        journal.append(&fetched(1, "F", "1")).unwrap();
        journal.append(&failed(3, "A", 404)).unwrap();
        let published = run.publish(journal.close().unwrap());
        assert_eq!((published.lines, published.failures.rows), (1, 2));
        assert_eq!(published.failures.path, Some(run.path("out.failed.csv")));
        let text = fs::read(run.path("out.failed.csv")).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&text),
            "sku,name,_error,_status,_attempts\nA,a name,HTTP 404 Not Found,404,1\n\
             B\u{fffd},x,'=too many,a control character,,0\n"
        );
        assert!(is_failure_file(&run.path("out.failed.csv")));
    }

    #[test]
    fn where_nothing_failed_the_failure_file_of_an_earlier_run_is_removed() {
        let run = TestRun::new();
        run.publish_entries(&[failed(0, "A", 404)]);
        assert!(run.path("out.failed.csv").exists());
        assert_eq!(
            run.publish_entries(&[fetched(0, "A", "1")]).failures,
            crate::collect::Failures::default()
        );
        assert!(!run.path("out.failed.csv").exists());
    }

    #[test]
    fn a_run_that_publishes_nothing_still_names_its_failures_and_keeps_the_rest() {
        let run = TestRun::new();
        run.publish_entries(&[failed(0, "A", 404), fetched(1, "B", "1")]);
        let (journal, _) = run.open();
        assert_eq!(run.leave(journal.close().unwrap()).failures.path, None);
        assert!(run.text("out.failed.csv").contains("404"), "the old one is not this run's to remove");
        let (mut journal, _) = run.open();
        journal.append(&failed(0, "A", 500)).unwrap();
        journal.append(&fetched(1, "B", "2")).unwrap();
        assert_eq!(run.leave(journal.close().unwrap()).failures.rows, 1);
        assert!(run.text("out.failed.csv").contains("500"));
        assert_eq!(run.text("out.json"), "{\n\"B\":1\n}\n");
        assert_eq!(run.open().1.answers, 1);
    }

    #[test]
    fn an_input_that_is_not_done_is_never_replaced_by_its_own_failures() {
        let run = TestRun::new();
        run.publish_entries(&[failed(0, "A", 404), failed(1, "B", 404)]);
        let path = run.path("out.failed.csv");
        let before = run.text("out.failed.csv");
        for done in [false, true] {
            let (mut journal, _) = run.open();
            journal.append(&failed(0, "A", 500)).unwrap();
            let how = TestContext { input: Some(&path), done, ..TestContext::default() };
            let published = run.try_publish(journal.close().unwrap(), &how).unwrap();
            assert_eq!(published.warnings.len(), usize::from(!done), "{:?}", published.warnings);
            assert_eq!(run.text("out.failed.csv") == before, !done);
        }
        fs::write(&path, "sku,name\nA,x\nB,y\n").unwrap();
        let (mut journal, _) = run.open();
        journal.append(&fetched(0, "A", "1")).unwrap();
        let how = TestContext { input: Some(&path), ..TestContext::default() };
        run.try_publish(journal.close().unwrap(), &how).unwrap();
        assert!(path.exists(), "a catalogue is no failure file, whatever name it was given");
    }

    #[test]
    fn a_refused_row_of_a_planned_key_is_a_repeat() {
        let run = TestRun::new();
        let row = ByteRecord::from(vec!["A", "x"]);
        let (mut journal, _) = run.open();
        let (a, b) = (key("A"), key("B"));
        journal.append_refused(&refused(0, Some(&a), &row)).unwrap();
        journal.append(&fetched(1, "A", "1")).unwrap();
        journal.append_refused(&refused(2, Some(&b), &row)).unwrap();
        let how = TestContext { planned: "A", ..TestContext::default() };
        let failures = run.try_publish(journal.close().unwrap(), &how).unwrap().failures;
        assert_eq!((failures.rows, failures.repeats), (1, 1));
    }

    #[test]
    fn an_input_without_a_header_gets_its_columns_numbers() {
        let mut run = TestRun::new();
        run.columns.names = vec!["1".into(), "2".into()];
        run.columns.headers = false;
        run.columns.format.delimiter = b';';
        run.publish_entries(&[failed(0, "A;B", 404)]);
        let text = run.text("out.failed.csv");
        assert_eq!(text, "1;2;_error;_status;_attempts\n\"A;B\";a name;HTTP 404 Not Found;404;1\n");
    }

    #[test]
    fn only_a_failure_file_is_taken_for_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.csv");
        let is = |text: &str| {
            fs::write(&path, text).unwrap();
            is_failure_file(&path)
        };
        assert!(is("sku,_error,_status,_attempts\n") && is("sku|_error|_status|_attempts\r\n1|2|3|4"));
        assert!(!is("") && !is("sku,name\n") && !is("sku,_status,_error,_attempts\n"));
        assert!(!is("sku,_error,_status,_attempts,more\n") && !is_failure_file(dir.path()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn rows_are_read_from_the_failure_file_as_they_were(
            rows in proptest::collection::vec(proptest::collection::vec(
                prop_oneof!["'{0,3}[=+@-]?[a-z,;\"\n\r ]{0,5}", "\\PC{0,5}"], 1..4), 1..6),
            delimiter in prop_oneof![Just(b','), Just(b';'), Just(b'\t'), Just(b'|')],
        ) {
            let mut run = TestRun::new();
            run.columns.format.delimiter = delimiter;
            run.columns.names = vec!["=sku".into(), "'+x".into()];
            let (mut journal, _) = run.open();
            for (seq, row) in (0..).zip(&rows) {
                journal.append_refused(&refused(seq, None, &ByteRecord::from(row.clone()))).unwrap();
            }
            run.publish(journal.close().unwrap());
            let mut found = read_back(run.path("out.failed.csv"), delimiter).into_iter();
            let header: Vec<_> = found.next().unwrap().iter().map(|cell| unguarded(cell).to_vec()).collect();
            prop_assert_eq!(&header[..2], &[b"=sku".to_vec(), b"'+x".to_vec()]);
            for (row, found) in rows.iter().zip(found) {
                prop_assert!(found.iter().all(|cell| !matches!(cell.first(), Some(b'=' | b'+' | b'-' | b'@'))));
                let cells: Vec<&[u8]> = found.iter().map(unguarded).collect();
                let (cells, added) = cells.split_at(cells.len() - 3);
                prop_assert_eq!(cells, row.iter().map(String::as_bytes).collect::<Vec<_>>());
                prop_assert_eq!(added, [&b"a control character"[..], b"", b"0"]);
            }
        }
    }
}
