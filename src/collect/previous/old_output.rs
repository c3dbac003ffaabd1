//! An index of the old output's values, which are read from the file when they are needed.
//!
//! One pass before the first request checks the whole file and keeps 24 bytes a key: a hash of 96 bits, keyed at random
//! for this run so that no key can be made to collide, and the place. The file stays open: what is read at the end is
//! what was checked, even if another file has its name by then.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use csv::ByteRecord;

use crate::collect::error::CollectError;
use crate::collect::files::packed_offset::PackedOffset;
use crate::collect::files::pages::Pages;
use crate::collect::files::stamp::Stamp;
use crate::collect::previous::key_hash::{KeyHash, KeyHasher};
use crate::collect::previous::members::{JsonText, Malformed, compact_value, members};
use crate::collect::previous::own_line::own_line;
use crate::collect::previous::plain_text::plain_text;
use crate::collect::previous::profile::{Profile, Profiler};
use crate::collect::previous::stored::{take_apart, unquoted, visit_skus};
use crate::collect::previous::stored_sku::Stored;
use crate::collect::previous::stored_table::{OldTable, old_table, shown};
use crate::collect::settings::{Format, Shape, StoredForm};
use crate::collect::table::layout::TableLayout;
use crate::input::{LineEnd, record_in};
use crate::json::escape_into;

/// The place of a key's value, in 24 bytes.
#[derive(Debug, Clone, Copy)]
struct ValuePlace {
    hash: KeyHash,
    offset: PackedOffset,
    /// From the first byte of the key (or of the line's object) through the last of the value, and [`ValuePlace::USED`].
    length: u32,
}

impl ValuePlace {
    /// Set in `length` once the value was taken, or another takes its place.
    const USED: u32 = 1 << 31;

    fn length(&self) -> usize {
        (self.length & !Self::USED) as usize
    }

    fn is_used(&self) -> bool {
        self.length & Self::USED != 0
    }
}

/// The values of an old output.
#[derive(Debug)]
pub(crate) struct OldOutput {
    pages: Pages,
    hasher: KeyHasher,
    /// How it is laid out.
    pub(crate) format: Format,
    /// What its values hold.
    pub(crate) shape: Shape,
    /// A key whose value has the other shape, if there is one.
    pub(crate) misfit: Option<String>,
    /// How its rows are read, if it is a table.
    table: Option<OldTable>,
    /// Sorted by hash, and where several rows of a table have one key, by place.
    places: Vec<ValuePlace>,
    pub(crate) stamp: Stamp,
    /// What it holds.
    pub(crate) profile: Profile,
}

impl OldOutput {
    /// Indexes and checks an old output. `None` if there is none.
    ///
    /// # Errors
    /// It cannot be read, or is no output of this format.
    pub(crate) fn read(
        path: &Path,
        form: StoredForm<'_>,
        hasher: &KeyHasher,
    ) -> Result<Option<Self>, CollectError> {
        let refused = |offset, why: String| CollectError::OldOutput { path: path.into(), offset, why };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(refused(0, error.to_string())),
        };
        let (file, stamp) = plain_text(file, path)?;
        let (mut places, mut profiler) = (Vec::new(), Profiler::default());
        let mut examples: [Option<String>; 2] = [None, None];
        let mut too_long = None;
        let mut seen = HashSet::new();
        let visited = visit_skus(&file, form, |sku| {
            let Some(length) = u32::try_from(sku.end - sku.start).ok().filter(|l| l & ValuePlace::USED == 0)
            else {
                too_long = Some(sku.start);
                return ControlFlow::Break(());
            };
            let offset = PackedOffset::new(sku.start);
            let hash = hasher.hash(sku.key);
            places.push(ValuePlace { hash, offset, length });
            let is_new = form.format() != Format::Csv || seen.insert(hash);
            if let Some(body) = sku.stored.body.as_ref().filter(|_| is_new) {
                profiler.body(body);
            }
            examples[usize::from(sku.stored.shape == Shape::Record)]
                .get_or_insert_with(|| sku.key.to_owned());
            ControlFlow::Continue(())
        });
        let read = visited.map_err(|error| refused(error.offset, error.why.to_string()))?;
        let stamp = stamp.unwrap_or(read);
        if let Some(at) = too_long {
            return Err(refused(at, "a value is larger than 2 GiB".into()));
        }
        let [body, record] = examples;
        let (shape, misfit) =
            if body.is_none() && record.is_some() { (Shape::Record, None) } else { (Shape::Body, record) };
        let profile = profiler.finish().profile;
        let table = match form {
            StoredForm::Csv(layout) => {
                Some(old_table(&file, layout).map_err(|why| refused(0, why.to_string()))?)
            }
            StoredForm::Json | StoredForm::Jsonl => None,
        };
        Ok(Some(Self {
            pages: Pages::new(file),
            hasher: hasher.clone(),
            format: form.format(),
            shape,
            misfit,
            places: sorted(places, table.is_some()),
            table,
            stamp,
            profile,
        }))
    }

    /// What ends the lines of a table.
    pub(crate) fn line_end(&self) -> Option<LineEnd> {
        self.table.as_ref().map(|table| table.layout.line_end)
    }

    /// Why the rows of a table are not those of this layout, if they are not.
    pub(crate) fn other_columns(&self, layout: &TableLayout) -> Option<String> {
        let own = &self.table.as_ref()?.layout;
        let is_other = !own.header().eq(layout.header());
        is_other.then(|| {
            format!("its columns are {}, and this run writes {}", shown(own.header()), shown(layout.header()))
        })
    }

    /// Whether it has no SKU at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Whether the old output has a value for this key.
    pub(crate) fn holds(&self, hash: &KeyHash) -> bool {
        self.find(hash).is_some()
    }

    fn find(&self, hash: &KeyHash) -> Option<usize> {
        let first = self.places.partition_point(|place| place.hash < *hash);
        self.places.get(first).filter(|place| place.hash == *hash).map(|_| first)
    }

    /// The places of all rows that have this key.
    fn all(&self, hash: &KeyHash) -> std::ops::Range<usize> {
        let first = self.places.partition_point(|place| place.hash < *hash);
        let count = self.places[first..].iter().take_while(|place| place.hash == *hash).count();
        first..first + count
    }

    /// Whether several rows of a table have this key.
    pub(crate) fn repeats(&self, hash: &KeyHash) -> bool {
        self.table.is_some() && self.all(hash).len() > 1
    }

    /// Appends the key's line as the output has it, without its line end: `"KEY":VALUE`, or the object
    /// of a line. False if there is none, or it was taken before.
    pub(crate) fn take(&mut self, hash: &KeyHash, out: &mut Vec<u8>) -> io::Result<bool> {
        match self.find(hash) {
            Some(index) if self.mark(index) => self.line(index, out).map(|()| true),
            _ => Ok(false),
        }
    }

    /// The key's value is not kept: a new one takes its place, or none. A row of an input that has only some rows of a
    /// larger table takes the place of one old row.
    pub(crate) fn supersede(&mut self, hash: &KeyHash) {
        let is_partial = self.table.as_ref().is_some_and(|table| table.layout.is_partial);
        for index in self.all(hash) {
            if self.mark(index) && is_partial {
                return;
            }
        }
    }

    /// The cells of the first row of a table that has this key. It stays there: several rows of the input may need it.
    pub(crate) fn row(&mut self, hash: &KeyHash) -> io::Result<Option<ByteRecord>> {
        self.find(hash).map(|index| self.row_at(index)).transpose()
    }

    /// The key's hash, and the cells, of one of the leftovers of a table.
    pub(crate) fn leftover_row(&mut self, index: u32) -> io::Result<(KeyHash, ByteRecord)> {
        let row = self.row_at(index as usize)?;
        Ok((self.places[index as usize].hash, row))
    }

    /// The body of a row of a table; none where it is that of a failure.
    pub(crate) fn body_in(&self, row: &ByteRecord) -> Option<Vec<u8>> {
        self.table.as_ref()?.layout.body_in(row)
    }

    fn row_at(&mut self, index: usize) -> io::Result<ByteRecord> {
        let missing = || changed(Malformed::Syntax("no row"));
        let (delimiter, key) =
            self.table.as_ref().map(|table| (table.delimiter, table.layout.key)).ok_or_else(missing)?;
        let row = record_in(raw(&mut self.pages, self.places[index])?, delimiter).ok_or_else(missing)?;
        let key = row.get(key).map(String::from_utf8_lossy).unwrap_or_default();
        check_key(&self.hasher, self.places[index], &key)?;
        Ok(row)
    }

    /// True the first time.
    fn mark(&mut self, index: usize) -> bool {
        let place = &mut self.places[index];
        let first = !place.is_used();
        place.length |= ValuePlace::USED;
        first
    }

    fn line(&mut self, index: usize, out: &mut Vec<u8>) -> io::Result<()> {
        let format = self.format;
        let start = out.len();
        let raw = raw(&mut self.pages, self.places[index])?;
        let key = if let Some((key, _)) = own_line(raw, format) {
            out.extend_from_slice(raw);
            Cow::Borrowed(key)
        } else if format == Format::Jsonl {
            compact_value(raw, out).and_then(|()| key_of_line(&out[start..])).map_err(changed)?.into()
        } else {
            let (key, value) = member(raw).map_err(changed)?;
            escape_into(&key, out);
            out.push(b':');
            compact_value(&value, out).map_err(changed)?;
            key.into()
        };
        check_key(&self.hasher, self.places[index], &key)
    }

    /// The values that were neither taken nor superseded, in the old output's order.
    pub(crate) fn leftovers(&self) -> Vec<u32> {
        let numbered = self.places.iter().zip(0u32..);
        let mut left: Vec<u32> =
            numbered.filter(|(place, _)| !place.is_used()).map(|(_, index)| index).collect();
        left.sort_unstable_by_key(|&index| self.places[index as usize].offset);
        left
    }

    /// Appends the line of one of the leftovers; returns the hash of its key.
    pub(crate) fn leftover(&mut self, index: u32, out: &mut Vec<u8>) -> io::Result<KeyHash> {
        self.line(index as usize, out)?;
        Ok(self.places[index as usize].hash)
    }

    /// The key of one of the leftovers, and its value.
    pub(crate) fn leftover_parts(&mut self, index: u32) -> io::Result<(Cow<'_, str>, Stored<'_>)> {
        self.parts(index as usize)
    }

    /// The value of this key, if there is one.
    pub(crate) fn stored(&mut self, hash: &KeyHash) -> io::Result<Option<Stored<'_>>> {
        let Some(index) = self.find(hash) else { return Ok(None) };
        self.parts(index).map(|(_, stored)| Some(stored))
    }

    fn parts(&mut self, index: usize) -> io::Result<(Cow<'_, str>, Stored<'_>)> {
        let (format, place) = (self.format, self.places[index]);
        if let Some(OldTable { layout, .. }) = &self.table {
            let layout = Arc::clone(layout);
            let row = self.row_at(index)?;
            let key = row.get(layout.key).map(String::from_utf8_lossy).unwrap_or_default().into_owned();
            let body = layout.body_in(&row).map(Cow::Owned);
            return Ok((key.into(), Stored { shape: self.shape, status: None, body }));
        }
        let raw = raw(&mut self.pages, place)?;
        if let Some((key, stored)) = own_line(raw, format) {
            check_key(&self.hasher, place, key)?;
            return Ok((key.into(), stored));
        }
        let (key, value) = if format == Format::Json {
            let (key, value) = member(raw).map_err(changed)?;
            (Some(key), value)
        } else {
            (None, raw.to_vec())
        };
        let mut compact = Vec::new();
        compact_value(&value, &mut compact).map_err(changed)?;
        let Stored { shape, status, body } = take_apart(&compact, format).map_err(changed)?;
        let body = body.map(|body| Cow::Owned(body.into_owned()));
        let key = key.map_or_else(|| key_of_line(&compact), Ok).map_err(changed)?;
        check_key(&self.hasher, place, &key)?;
        Ok((key.into(), Stored { shape, status, body }))
    }
}

/// What the file has at a place.
fn raw(pages: &mut Pages, place: ValuePlace) -> io::Result<&[u8]> {
    let raw = pages.slice(place.offset.get(), place.length())?;
    raw.ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "the file was cut while in use"))
}

/// What was read at the place of a value has the key that was there when the file was indexed.
fn check_key(hasher: &KeyHasher, place: ValuePlace, key: &str) -> io::Result<()> {
    if hasher.hash(key) == place.hash {
        return Ok(());
    }
    Err(changed(Malformed::Syntax("another key")))
}

fn changed(_: Malformed) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the file was changed while in use")
}

/// Key and raw value of `"KEY" : VALUE`.
pub(super) fn member(raw: &[u8]) -> Result<(String, Vec<u8>), Malformed> {
    let mut text = JsonText::new(raw);
    let (mut key, mut value) = (Vec::new(), Vec::new());
    text.key(&mut key)?;
    text.value(&mut value)?;
    Ok((unquoted(&key)?, value))
}

/// The key in the object of a line.
pub(super) fn key_of_line(object: &[u8]) -> Result<String, Malformed> {
    let mut found = Err(Malformed::Syntax("a line has no \"key\""));
    members(object, |name, value| {
        if name == b"\"key\"" {
            found = unquoted(value);
        }
    })?;
    found
}

/// By hash; of several with one key the last counts, as in most parsers. The rows of a table all count.
fn sorted(mut places: Vec<ValuePlace>, is_table: bool) -> Vec<ValuePlace> {
    places.sort_unstable_by_key(|place| (place.hash, place.offset));
    if is_table {
        return places;
    }
    places.dedup_by(|later, kept| {
        let same = later.hash == kept.hash;
        if same {
            *kept = *later;
        }
        same
    });
    places.shrink_to_fit();
    places
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::collect::test_run::{TestContext, TestRun, failed, fetched, fingerprint, key, refused};
    use crate::model::Seq;

    fn merging(old: &str) -> TestRun {
        let run = TestRun::with(|settings| settings.merge = true);
        fs::write(run.path("out.json"), old).unwrap();
        run
    }

    #[test]
    fn the_rows_are_first_and_then_what_only_the_old_output_has() {
        let run = merging("{\n\"Z\":0,\n\"B\":0,\n\"Y\":0,\n\"A\":0\n}\n");
        let published =
            run.publish_entries(&[fetched(0, "A", "1"), fetched(1, "N", "1"), fetched(2, "B", "1")]);
        assert_eq!(run.text("out.json"), "{\n\"A\":1,\n\"N\":1,\n\"B\":1,\n\"Z\":0,\n\"Y\":0\n}\n");
        assert_eq!(published.lines, 5);
    }

    #[test]
    fn an_old_output_that_another_tool_laid_out_is_compacted_again() {
        let run =
            merging("\u{feff} {\n  \"\\u0041\" : { \"x\" : [ 1.10 , 2 ] } ,\r\n  \"B\": \"a \\\" b\"\n} ");
        run.publish_entries(&[]);
        assert_eq!(run.text("out.json"), "{\n\"A\":{\"x\":[1.10,2]},\n\"B\":\"a \\\" b\"\n}\n");
    }

    #[test]
    fn lines_may_be_spread_and_have_their_key_anywhere() {
        let run = merging("{\"key\":\"A\",\"body\":1}\n{ \"body\" :\n [2], \"key\" : \"B\" }{\"key\":\"C\"}");
        let mut run = run;
        run.settings.format = Format::Jsonl;
        run.publish_entries(&[fetched(0, "C", "3"), failed(1, "B", 500)]);
        let lines = "{\"key\":\"C\",\"body\":3}\n{\"body\":[2],\"key\":\"B\"}\n{\"key\":\"A\",\"body\":1}\n";
        assert_eq!(run.text("out.json"), lines);
    }

    #[test]
    fn a_failed_sku_keeps_its_old_line_in_either_shape() {
        let record =
            |body: &str| format!("{{\"status\":200,\"fetched_at\":\"\",\"attempts\":1,\"body\":{body}}}");
        let plain = str::to_owned;
        for (shape, value) in [(Shape::Body, &plain as &dyn Fn(&str) -> String), (Shape::Record, &record)] {
            let [one, two, three] = ["1", "2", "3"].map(value);
            let mut run = merging(&format!("{{\"X\":{one},\"A\":{two},\"R\":{three}}}"));
            run.settings.shape = shape;
            let (mut journal, _) = run.open();
            let row = csv::ByteRecord::from(vec!["R", "x"]);
            let r = key("R");
            journal.append_refused(&refused(0, Some(&r), &row)).unwrap();
            journal.append_refused(&refused(1, Some(&r), &row)).unwrap();
            journal.append(&failed(2, "A", 500)).unwrap();
            let published = run.try_publish(journal.close().unwrap(), &TestContext::default()).unwrap();
            assert_eq!(published.failures.rows, 3);
            let expected = format!("{{\n\"R\":{three},\n\"A\":{two},\n\"X\":{one}\n}}\n");
            assert_eq!(run.text("out.json"), expected);
        }
    }

    #[test]
    fn without_merge_the_old_output_is_replaced() {
        let mut run = merging("{\"X\":1,\"A\":2}");
        run.settings.merge = false;
        run.publish_entries(&[failed(0, "A", 500), fetched(1, "B", "1")]);
        assert_eq!(run.text("out.json"), "{\n\"B\":1\n}\n");
    }

    #[test]
    fn a_missing_old_output_is_an_empty_one() {
        let run = TestRun::with(|settings| settings.merge = true);
        run.publish_entries(&[fetched(0, "A", "1")]);
        assert_eq!(run.text("out.json"), "{\n\"A\":1\n}\n");
    }

    #[test]
    fn an_old_output_that_cannot_be_read_ends_the_run_before_it_begins() {
        let json = [
            "",
            "[]",
            "{",
            "{\"A\":1",
            "{\"A\":1}}",
            "{\"A\":1}\n{\"B\":2}",
            "{\"A\":01}",
            "{\"A\":1,}",
            "null",
            "{\"A\":\"\\ud800\"}",
            "{\"\\ud800\":1}",
            "{A:1}",
            "\u{0}",
            "{\"A\":[1}",
            "{\"A\":nan}",
        ];
        let jsonl =
            ["{\"A\":1}", "1\n", "{\"key\":1}", "{\"key\":\"A\"}x", "{\"key\":\"A\",\"body\":}", "{\"key\""];
        for (format, texts) in [(Format::Json, &json[..]), (Format::Jsonl, &jsonl[..])] {
            for text in texts {
                let mut run = merging(text);
                run.settings.format = format;
                let error = run.try_open().err().unwrap_or_else(|| panic!("taken: {text}"));
                assert_eq!(error.exit().code(), 65, "{error}");
                assert_eq!(run.names(), ["out.json"], "nothing was begun");
            }
        }
    }

    #[test]
    fn of_a_key_that_occurs_twice_the_last_value_counts() {
        let run = merging("{\"A\":1,\"B\":2,\"A\":3}");
        run.publish_entries(&[]);
        assert_eq!(run.text("out.json"), "{\n\"B\":2,\n\"A\":3\n}\n");
    }

    #[test]
    fn a_value_left_alone_keeps_its_place_among_the_rows() {
        let run = merging("{\"Z\":0,\"B\":1}");
        let (mut journal, _) = run.open();
        assert!(journal.keep(Seq(1), fingerprint("B"), &key("B")).unwrap());
        assert!(!journal.keep(Seq(2), fingerprint("C"), &key("C")).unwrap());
        journal.append(&fetched(0, "A", "1")).unwrap();
        journal.append(&fetched(2, "C", "1")).unwrap();
        run.publish(journal.close().unwrap());
        assert_eq!(run.text("out.json"), "{\n\"A\":1,\n\"B\":1,\n\"C\":1,\n\"Z\":0\n}\n");
    }

    #[test]
    fn repairing_the_failed_rows_gives_the_whole_output() {
        let run = TestRun::with(|settings| settings.merge = true);
        run.publish_entries(&[fetched(0, "A", "1"), failed(1, "B", 500), fetched(2, "C", "1")]);
        let path = run.path("out.failed.csv");
        let (mut journal, _) = run.open();
        journal.append(&fetched(0, "B", "2")).unwrap();
        let how = TestContext { input: Some(&path), ..TestContext::default() };
        run.try_publish(journal.close().unwrap(), &how).unwrap();
        assert_eq!(run.text("out.json"), "{\n\"B\":2,\n\"A\":1,\n\"C\":1\n}\n");
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_is_changed_while_in_use_gives_no_value_of_another_key() {
        let own = ("{\n\"A\":1,\n\"B\":2\n}\n", "{\n\"B\":1,\n\"A\":2\n}\n");
        let spaced = ("{\"A\" : 1, \"B\": 2}", "{\"B\" : 1, \"A\": 2}");
        for (before, after) in [own, spaced] {
            let path = tempfile::NamedTempFile::new().unwrap();
            fs::write(path.path(), before).unwrap();
            let hasher = KeyHasher::random();
            let mut old = OldOutput::read(path.path(), StoredForm::Json, &hasher).unwrap().unwrap();
            fs::write(path.path(), after).unwrap();
            let error = old.stored(&hasher.hash("A")).unwrap_err();
            assert_eq!(error.to_string(), "the file was changed while in use");
            assert!(old.take(&hasher.hash("B"), &mut Vec::new()).is_err());
        }
    }

    #[test]
    fn the_index_of_an_old_output_costs_24_bytes_a_sku() {
        assert!(size_of::<ValuePlace>() <= 24 && size_of::<(KeyHash, PackedOffset)>() <= 24);
    }
}
