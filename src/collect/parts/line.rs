//! The lines of a part before the last one, in the order of the rows.
//!
//! ```text
//! {"seq":12,"fetched":"FINGERPRINT","status":200,"at":"…Z","attempts":1,"answer":{"KEY":BODY}}
//! {"seq":13,"cells":["KEY","eu"],"fetched":"FINGERPRINT",…}
//! {"seq":14,"failed":"FINGERPRINT","status":404,"at":"…Z","attempts":1,"error":"…","line":7,"key":"KEY","row":["…"]}
//! {"seq":15,"again":true,"failed":null,…}
//! {"seq":16,"cells":["KEY","eu"],"repeats":345}
//! ```
//!
//! What follows the first members is a line of the journal without its checksum, so that bodies are copied. The
//! fingerprint is one under the shard's own salt: whoever merges parts makes another from the key and the `cells`, which
//! are those that the request uses, or, of a table, the whole row. `again` marks a refused row whose key an earlier row
//! has. `repeats` is where in the part the line of the first row with the key begins; only a table has such lines.

use csv::ByteRecord;

use crate::collect::files::cursor::Cursor;
use crate::collect::journal::decode::{FailedRecord, FetchedRecord, JournalRecord, read_row};
use crate::collect::journal::encode::push_row;
use crate::model::Seq;

/// A line, taken apart.
#[derive(Debug, PartialEq)]
pub(crate) enum PartLine<'a> {
    /// An answer, and the cells that are kept beside it, a JSON array.
    Answer(Option<&'a [u8]>, FetchedRecord<'a>),
    /// A failure. True: an earlier refused row has its key.
    Failure(bool, FailedRecord<'a>),
    /// A row of a table that repeats a key: its cells, and where the first row's line begins.
    Repeat(&'a [u8], u64),
}

/// Begins a line.
pub(crate) fn push_seq(out: &mut Vec<u8>, Seq(seq): Seq) {
    out.extend_from_slice(b"{\"seq\":");
    out.extend_from_slice(seq.to_string().as_bytes());
    out.push(b',');
}

/// Appends the cells that are kept beside an answer.
pub(crate) fn push_cells(out: &mut Vec<u8>, cells: &ByteRecord) {
    out.extend_from_slice(b"\"cells\":");
    push_row(out, cells);
    out.push(b',');
}

/// Marks a refused row whose key an earlier one has.
pub(crate) fn push_again(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"again\":true,");
}

/// Ends the line of a row that repeats the key of the line at `place`.
pub(crate) fn push_repeats(out: &mut Vec<u8>, place: u64) {
    out.extend_from_slice(b"\"repeats\":");
    out.extend_from_slice(place.to_string().as_bytes());
    out.extend_from_slice(b"}\n");
}

/// The place of a line's row in the input.
pub(crate) fn seq_of(line: &[u8]) -> Option<Seq> {
    let mut text = Cursor(line);
    text.expect(b"{\"seq\":")?;
    std::str::from_utf8(text.word()?).ok()?.parse().ok().map(Seq)
}

impl<'a> PartLine<'a> {
    /// Takes a line apart, without its line end.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        let mut text = Cursor(line);
        text.expect(b"{\"seq\":")?;
        text.word()?;
        text.expect(b",")?;
        let cells = if text.take(b"\"cells\":") {
            let cells = array(&mut text)?;
            text.expect(b",")?;
            Some(cells)
        } else {
            None
        };
        if text.take(b"\"repeats\":") {
            let place = std::str::from_utf8(text.0.strip_suffix(b"}")?).ok()?.parse().ok()?;
            return cells.map(|cells| Self::Repeat(cells, place));
        }
        let is_again = text.take(b"\"again\":true,");
        match JournalRecord::parse_members(text.0)? {
            JournalRecord::Fetched(record) => Some(Self::Answer(cells, record)),
            JournalRecord::Failed(record) => Some(Self::Failure(is_again, record)),
            JournalRecord::Kept(_) | JournalRecord::Synced(_) => None,
        }
    }
}

/// The cells of a JSON array.
pub(crate) fn cells_of(json: &[u8]) -> Option<ByteRecord> {
    let mut cells = ByteRecord::new();
    read_row(json, &mut cells).then_some(cells)
}

/// A JSON array of cells: texts, and objects of one text.
fn array<'a>(text: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let whole = text.0;
    text.expect(b"[")?;
    while !text.take(b"]") {
        if text.take(b"{\"hex\":") {
            text.string()?;
            text.expect(b"}")?;
        } else {
            text.string()?;
        }
        text.take(b",");
    }
    whole.get(..whole.len() - text.0.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::collect::files::checksum::PREFIX;
    use crate::collect::journal::encode::RecordEncoder;
    use crate::collect::test_run::{failed, fetched};
    use crate::model::Outcome;

    /// The members of a line of the journal.
    fn journalled(seq: u32) -> Vec<u8> {
        let mut line = Vec::new();
        let entry = failed(seq, "K", 404);
        let Outcome::Failed(fault) = &entry.outcome else { panic!("it failed") };
        RecordEncoder::new([0; 16]).failed(&mut line, &entry, fault);
        line.split_off(PREFIX)
    }

    #[test]
    fn an_answer_keeps_its_cells_and_its_body() {
        let entry = fetched(7, "K", "[1,{\"a\":2}]");
        let Outcome::Fetched(answer) = &entry.outcome else { panic!("it was fetched") };
        let answer = crate::collect::journal::encode::AnswerRecord::of(answer).unwrap();
        let mut journal = Vec::new();
        RecordEncoder::new([0; 16]).fetched(&mut journal, &entry, &answer);
        for cells in [None, Some(ByteRecord::from(vec![&b"K"[..], b"a,]\"}", b"\xff"]))] {
            let mut line = Vec::new();
            push_seq(&mut line, Seq(7));
            if let Some(cells) = &cells {
                push_cells(&mut line, cells);
            }
            line.extend_from_slice(&journal[PREFIX..journal.len() - 1]);
            assert_eq!(seq_of(&line), Some(Seq(7)));
            let Some(PartLine::Answer(found, record)) = PartLine::parse(&line) else { panic!("an answer") };
            assert_eq!((record.key, record.body), (&b"\"K\""[..], &b"[1,{\"a\":2}]"[..]));
            assert_eq!(found.map(|json| cells_of(json).unwrap()), cells);
        }
    }

    #[test]
    fn a_failure_may_be_one_once_more_and_a_repeat_names_its_first() {
        let mut line = Vec::new();
        push_seq(&mut line, Seq(9));
        push_again(&mut line);
        line.extend_from_slice(journalled(9).strip_suffix(b"\n").unwrap());
        assert!(matches!(PartLine::parse(&line), Some(PartLine::Failure(true, _))));
        line.clear();
        push_seq(&mut line, Seq(10));
        push_cells(&mut line, &ByteRecord::from(vec!["K"]));
        push_repeats(&mut line, 345);
        assert_eq!(line.pop(), Some(b'\n'));
        assert_eq!(PartLine::parse(&line), Some(PartLine::Repeat(b"[\"K\"]", 345)));
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in proptest::collection::vec(any::<u8>(), 0..80), cut in 0usize..300) {
            let _ = (seq_of(&line), PartLine::parse(&line));
            let mut framed = b"{\"seq\":1,\"cells\":[".to_vec();
            framed.extend(&line);
            let _ = PartLine::parse(&framed);
            let mut whole = b"{\"seq\":1,".to_vec();
            whole.extend(journalled(1));
            whole.truncate(cut.min(whole.len()));
            let _ = PartLine::parse(&whole);
        }
    }
}
