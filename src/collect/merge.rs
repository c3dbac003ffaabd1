//! The old output: where each key's value stands in it, and the values themselves when they are asked
//! for.
//!
//! One pass before the first request checks the whole file and notes 28 bytes a key: a hash of 128
//! bits, keyed by chance for this run so that no key can be made to collide, and the place. The file
//! stays open: what is read at the end is what was checked, even if the name leads elsewhere by then.

use std::fs::File;
use std::hash::Hasher;
use std::io::{self, BufReader, Read};
use std::path::Path;

use siphasher::sip128::{Hasher128, SipHasher13};

use super::members::{Malformed, Text, compact_value, members};
use super::pages::Pages;
use super::{CollectError, Format, Shape};
use crate::json::escape_into;

/// Read at a time.
const BLOCK: usize = 256 * 1024;

/// A hash of a key, in pieces that pack.
pub(super) type KeyHash = [u32; 4];

/// Hashes keys for one run.
#[derive(Debug, Clone)]
pub(super) struct KeyHasher(SipHasher13);

impl KeyHasher {
    /// A hasher that no one outside this process can predict.
    pub(super) fn by_chance() -> Self {
        // The standard library's hasher is seeded by the system's random numbers.
        let seed = |salt: u64| std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), salt);
        Self(SipHasher13::new_with_keys(seed(0), seed(1)))
    }

    /// The hash of a key's text.
    pub(super) fn hash(&self, key: &str) -> KeyHash {
        let mut hasher = self.0;
        hasher.write(key.as_bytes());
        let hash = hasher.finish128();
        let half = |value: u64| [(value >> 32) as u32, (value & 0xffff_ffff) as u32];
        let ([a, b], [c, d]) = (half(hash.h1), half(hash.h2));
        [a, b, c, d]
    }
}

/// The size and checksum of an output, by which a state file knows the one it belongs to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Stamp {
    pub(super) bytes: u64,
    pub(super) crc: u32,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    hash: KeyHash,
    offset: [u32; 2],
    /// From the first byte of the key (or of the line's object) through the last of the value.
    length: u32,
}

impl Place {
    fn offset(&self) -> u64 {
        u64::from(self.offset[0]) << 32 | u64::from(self.offset[1])
    }
}

/// The values of an old output.
#[derive(Debug)]
pub(super) struct Old {
    pages: Pages,
    format: Format,
    /// Sorted by hash.
    places: Vec<Place>,
    used: Vec<u64>,
    pub(super) stamp: Stamp,
}

impl Old {
    /// Indexes and checks an old output.
    pub(super) fn read(
        path: &Path,
        format: Format,
        hasher: &KeyHasher,
    ) -> Result<Option<Self>, CollectError> {
        let refused = |offset, why: String| CollectError::OldOutput { path: path.into(), offset, why };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(refused(0, error.to_string())),
        };
        let digest = Digest { file: &file, hasher: crc32fast::Hasher::new(), bytes: 0 };
        let mut input = BufReader::with_capacity(BLOCK, digest);
        let mut walk = Walk {
            text: Text::new(&mut input),
            hasher,
            places: Vec::new(),
            value: Vec::new(),
            compacted: Vec::new(),
        };
        let result = match format {
            Format::Json => walk.object(),
            Format::Jsonl => walk.lines(),
        };
        let (at, places) = (walk.text.at, walk.places);
        result.map_err(|error| refused(at, error.to_string()))?;
        let digest = input.into_inner();
        let stamp = Stamp { bytes: digest.bytes, crc: digest.hasher.finalize() };
        let places = sorted(places);
        let used = vec![0; places.len().div_ceil(64)];
        Ok(Some(Self { pages: Pages::new(file), format, places, used, stamp }))
    }

    /// Whether the old output has a value for this key.
    pub(super) fn holds(&self, hash: &KeyHash) -> bool {
        self.find(hash).is_some()
    }

    fn find(&self, hash: &KeyHash) -> Option<usize> {
        self.places.binary_search_by(|place| place.hash.cmp(hash)).ok()
    }

    fn raw(&mut self, index: usize) -> io::Result<&[u8]> {
        let place = self.places[index];
        let raw = self.pages.slice(place.offset(), place.length as usize)?;
        raw.ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "the file was cut while in use"))
    }

    /// Appends the key's line as the output has it, without its line end: `"KEY":VALUE`, or the object
    /// of a line. False if there is none, or it was asked for before.
    pub(super) fn take(&mut self, hash: &KeyHash, out: &mut Vec<u8>) -> io::Result<bool> {
        match self.find(hash) {
            Some(index) if self.mark(index) => self.line(index, out).map(|()| true),
            _ => Ok(false),
        }
    }

    /// The key's value is not wanted: a new one stands in its place.
    pub(super) fn supersede(&mut self, hash: &KeyHash) {
        if let Some(index) = self.find(hash) {
            self.mark(index);
        }
    }

    /// True the first time.
    fn mark(&mut self, index: usize) -> bool {
        let (word, bit) = (index / 64, 1 << (index % 64));
        let first = self.used[word] & bit == 0;
        self.used[word] |= bit;
        first
    }

    fn line(&mut self, index: usize, out: &mut Vec<u8>) -> io::Result<()> {
        let format = self.format;
        let raw = self.raw(index)?;
        let changed = |_| io::Error::new(io::ErrorKind::InvalidData, "the file was changed while in use");
        if format == Format::Jsonl {
            return compact_value(raw, out).map_err(changed);
        }
        let (key, value) = member(raw).map_err(changed)?;
        escape_into(&key, out);
        out.push(b':');
        compact_value(&value, out).map_err(changed)
    }

    /// What nobody asked for, in the old output's order.
    pub(super) fn leftovers(&self) -> Vec<usize> {
        let unused = |index: &usize| self.used[index / 64] & (1 << (index % 64)) == 0;
        let mut left: Vec<usize> = (0..self.places.len()).filter(unused).collect();
        left.sort_unstable_by_key(|&index| self.places[index].offset());
        left
    }

    /// Appends the line of one of the leftovers; gives the hash of its key.
    pub(super) fn leftover(&mut self, index: usize, out: &mut Vec<u8>) -> io::Result<KeyHash> {
        self.line(index, out)?;
        Ok(self.places[index].hash)
    }

    /// The body that stands for this key, and the status of the record that it stands in. `None` where
    /// there is no body: no such key, or the record of a failure.
    pub(super) fn body(
        &mut self,
        hash: &KeyHash,
        shape: Shape,
    ) -> io::Result<Option<(Option<u16>, Vec<u8>)>> {
        let Some(index) = self.find(hash) else { return Ok(None) };
        let format = self.format;
        let raw = self.raw(index)?;
        let changed = |_| io::Error::new(io::ErrorKind::InvalidData, "the file was changed while in use");
        let object = match format {
            Format::Jsonl => raw.to_vec(),
            Format::Json => member(raw).map_err(changed)?.1,
        };
        let mut out = Vec::new();
        if (format, shape) == (Format::Json, Shape::Body) {
            compact_value(&object, &mut out).map_err(changed)?;
            return Ok(Some((None, out)));
        }
        let (mut status, mut body) = (None, None);
        let walked = members(&object, |key, value| match key {
            b"\"status\"" => status = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()),
            b"\"body\"" => body = Some(value.to_vec()),
            _ => {}
        });
        let (Ok(()), Some(body)) = (walked, body) else { return Ok(None) };
        compact_value(&body, &mut out).map_err(changed)?;
        Ok(Some((status, out)))
    }
}

/// Key and raw value of `"KEY" : VALUE`.
fn member(raw: &[u8]) -> Result<(String, Vec<u8>), Malformed> {
    let mut text = Text::new(raw);
    let (mut key, mut value) = (Vec::new(), Vec::new());
    text.key(&mut key)?;
    text.value(&mut value)?;
    Ok((unquoted(&key)?, value))
}

fn unquoted(key: &[u8]) -> Result<String, Malformed> {
    serde_json::from_slice(key).map_err(|_| Malformed::Syntax("a key is not a JSON string"))
}

/// By hash; of several with one key the last counts, as in most parsers.
fn sorted(mut places: Vec<Place>) -> Vec<Place> {
    places.sort_unstable_by_key(|place| (place.hash, place.offset));
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

struct Walk<'a, R> {
    text: Text<R>,
    hasher: &'a KeyHasher,
    places: Vec<Place>,
    value: Vec<u8>,
    compacted: Vec<u8>,
}

impl<R: io::BufRead> Walk<'_, R> {
    /// One object, a member a key.
    fn object(&mut self) -> Result<(), Malformed> {
        let mut raw_key = Vec::new();
        self.text.byte_order_mark()?;
        self.text.gap()?;
        self.text.expect(b'{', "it is not one JSON object")?;
        let mut first = true;
        while self.text.more(first)? {
            first = false;
            let start = self.text.at;
            raw_key.clear();
            self.value.clear();
            self.text.key(&mut raw_key)?;
            self.text.value(&mut self.value)?;
            self.note(&unquoted(&raw_key)?, start)?;
        }
        match self.text.gap()? {
            None => Ok(()),
            Some(_) => Err(Malformed::Syntax("something follows the object")),
        }
    }

    /// Objects one after the other, each with its key.
    fn lines(&mut self) -> Result<(), Malformed> {
        self.text.byte_order_mark()?;
        while self.text.gap()?.is_some() {
            let start = self.text.at;
            self.value.clear();
            self.text.value(&mut self.value)?;
            let mut found = None;
            members(&self.value, |key, value| {
                if key == b"\"key\"" {
                    found = Some(unquoted(value));
                }
            })?;
            let key = found.ok_or(Malformed::Syntax("a line has no \"key\""))??;
            self.note(&key, start)?;
        }
        Ok(())
    }

    /// The value was read, which began (with its key) at `start` and ends here.
    fn note(&mut self, key: &str, start: u64) -> Result<(), Malformed> {
        self.compacted.clear();
        compact_value(&self.value, &mut self.compacted)?;
        let length = u32::try_from(self.text.at - start);
        let length = length.map_err(|_| Malformed::Syntax("a value is larger than 4 GiB"))?;
        let offset = [(start >> 32) as u32, (start & 0xffff_ffff) as u32];
        self.places.push(Place { hash: self.hasher.hash(key), offset, length });
        Ok(())
    }
}

/// Passes a file through and takes its stamp.
struct Digest<'a> {
    file: &'a File,
    hasher: crc32fast::Hasher,
    bytes: u64,
}

impl Read for Digest<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::collect::trial::{How, Trial, failed, fetched, fingerprint, key, refused};
    use crate::model::Seq;

    fn merging(old: &str) -> Trial {
        let trial = Trial::with(|settings| settings.merge = true);
        fs::write(trial.path("out.json"), old).unwrap();
        trial
    }

    #[test]
    fn the_rows_come_first_and_then_what_only_the_old_output_has() {
        let trial = merging("{\n\"Z\":0,\n\"B\":0,\n\"Y\":0,\n\"A\":0\n}\n");
        let published = trial.run(&[fetched(0, "A", "1"), fetched(1, "N", "1"), fetched(2, "B", "1")]);
        assert_eq!(trial.text("out.json"), "{\n\"A\":1,\n\"N\":1,\n\"B\":1,\n\"Z\":0,\n\"Y\":0\n}\n");
        assert_eq!(published.lines, 5);
    }

    #[test]
    fn an_old_output_that_another_tool_laid_out_is_compacted_again() {
        let trial =
            merging("\u{feff} {\n  \"\\u0041\" : { \"x\" : [ 1.10 , 2 ] } ,\r\n  \"B\": \"a \\\" b\"\n} ");
        trial.run(&[]);
        assert_eq!(trial.text("out.json"), "{\n\"A\":{\"x\":[1.10,2]},\n\"B\":\"a \\\" b\"\n}\n");
    }

    #[test]
    fn lines_may_be_spread_and_have_their_key_anywhere() {
        let trial =
            merging("{\"key\":\"A\",\"body\":1}\n{ \"body\" :\n [2], \"key\" : \"B\" }{\"key\":\"C\"}");
        let mut trial = trial;
        trial.settings.format = Format::Jsonl;
        trial.run(&[fetched(0, "C", "3"), failed(1, "B", 500)]);
        let lines = "{\"key\":\"C\",\"body\":3}\n{\"body\":[2],\"key\":\"B\"}\n{\"key\":\"A\",\"body\":1}\n";
        assert_eq!(trial.text("out.json"), lines);
    }

    #[test]
    fn a_failed_sku_keeps_its_old_line_in_either_shape() {
        for shape in [Shape::Body, Shape::Record] {
            let mut trial = merging("{\"X\":1,\"A\":2,\"R\":3}");
            trial.settings.shape = shape;
            let (mut journal, _) = trial.open();
            let row = csv::ByteRecord::from(vec!["R", "x"]);
            let r = key("R");
            journal.append_refused(&refused(0, Some(&r), &row)).unwrap();
            journal.append_refused(&refused(1, Some(&r), &row)).unwrap();
            journal.append(&failed(2, "A", 500)).unwrap();
            let published = trial.try_publish(journal.close().unwrap(), &How::default()).unwrap();
            assert_eq!(published.failures.rows, 3);
            assert_eq!(trial.text("out.json"), "{\n\"R\":3,\n\"A\":2,\n\"X\":1\n}\n");
        }
    }

    #[test]
    fn without_merge_the_old_output_is_replaced() {
        let mut trial = merging("{\"X\":1,\"A\":2}");
        trial.settings.merge = false;
        trial.run(&[failed(0, "A", 500)]);
        assert_eq!(trial.text("out.json"), "{\n}\n");
    }

    #[test]
    fn a_missing_old_output_is_an_empty_one() {
        let trial = Trial::with(|settings| settings.merge = true);
        trial.run(&[fetched(0, "A", "1")]);
        assert_eq!(trial.text("out.json"), "{\n\"A\":1\n}\n");
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
                let mut trial = merging(text);
                trial.settings.format = format;
                let error = trial.try_open().err().unwrap_or_else(|| panic!("taken: {text}"));
                assert_eq!(error.exit().code(), 65, "{error}");
                assert_eq!(trial.names(), ["out.json"], "nothing was begun");
            }
        }
    }

    #[test]
    fn of_a_key_that_stands_twice_the_last_value_counts() {
        let trial = merging("{\"A\":1,\"B\":2,\"A\":3}");
        trial.run(&[]);
        assert_eq!(trial.text("out.json"), "{\n\"B\":2,\n\"A\":3\n}\n");
    }

    #[test]
    fn a_value_left_alone_keeps_its_place_among_the_rows() {
        let trial = merging("{\"Z\":0,\"B\":1}");
        let (mut journal, _) = trial.open();
        assert!(journal.keep(Seq(1), fingerprint("B"), &key("B")).unwrap());
        assert!(!journal.keep(Seq(2), fingerprint("C"), &key("C")).unwrap());
        journal.append(&fetched(0, "A", "1")).unwrap();
        journal.append(&fetched(2, "C", "1")).unwrap();
        trial.publish(journal.close().unwrap());
        assert_eq!(trial.text("out.json"), "{\n\"A\":1,\n\"B\":1,\n\"C\":1,\n\"Z\":0\n}\n");
    }

    #[test]
    fn repairing_the_failed_rows_gives_the_whole_output() {
        let trial = Trial::with(|settings| settings.merge = true);
        trial.run(&[fetched(0, "A", "1"), failed(1, "B", 500), fetched(2, "C", "1")]);
        let path = trial.path("out.failed.csv");
        let (mut journal, _) = trial.open();
        journal.append(&fetched(0, "B", "2")).unwrap();
        let how = How { input: Some(&path), ..How::default() };
        trial.try_publish(journal.close().unwrap(), &how).unwrap();
        assert_eq!(trial.text("out.json"), "{\n\"B\":2,\n\"A\":1,\n\"C\":1\n}\n");
        assert!(!path.exists());
    }

    #[test]
    fn the_index_of_an_old_output_costs_under_64_bytes_a_sku() {
        assert!(size_of::<Place>() + 1 + size_of::<(KeyHash, [u32; 2])>() <= 64);
    }
}
