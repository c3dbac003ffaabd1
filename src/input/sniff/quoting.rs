//! How cells are quoted, by the first records.

use crate::input::csv_format::{GivenChar, Quoting};
use crate::input::sniff::sample::{Sample, SampleRecord, SampleRecords, lines};

/// Lines of an open quoted cell that are no accident when each has as many cells as the header.
const OPEN_LINES: usize = 20;

/// What a program puts around cells in place of quotes, if its user says so.
const OTHER_QUOTES: [u8; 4] = [b'\'', b'`', b'$', b'%'];

/// What the user says about quotes.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::input) struct GivenQuoting {
    pub(in crate::input) quote: GivenChar,
    pub(in crate::input) escape: GivenChar,
}

impl GivenQuoting {
    /// The quoting where no record shows another.
    pub(in crate::input) fn usual(self) -> Quoting {
        let quote = match self.quote {
            GivenChar::Absent => return Quoting::NONE,
            GivenChar::ByRows => b'"',
            GivenChar::Char(quote) => quote,
        };
        let escape = if let GivenChar::Char(escape) = self.escape { Some(escape) } else { None };
        Quoting { quote: Some(quote), escape }
    }
}

/// The quotings that the records allow for, the likeliest first: several where they leave a doubt.
pub(super) fn quotings(sample: Sample<'_>, delimiter: u8, given: GivenQuoting) -> Vec<Quoting> {
    let usual = given.usual();
    if given.quote == GivenChar::ByRows && given.escape == GivenChar::ByRows {
        let other = OTHER_QUOTES.iter().map(|&quote| Quoting { quote: Some(quote), escape: None });
        if let Some(other) = other.into_iter().find(|&quoting| is_quoted_so(sample, delimiter, quoting)) {
            return vec![other, usual];
        }
    }
    if given.escape != GivenChar::ByRows || usual.quote.is_none() {
        return vec![usual];
    }
    let doubled = sample.split(delimiter, usual);
    if !doubled.records.iter().any(|record| record.is_quoted) && doubled.open.is_none() {
        return vec![usual];
    }
    let backslash = Quoting { escape: Quoting::BACKSLASH.escape, ..usual };
    let escaped = sample.split(delimiter, backslash);
    if doubled.records != escaped.records || doubled.open != escaped.open {
        match (is_clean(&doubled), is_clean(&escaped)) {
            (false, true) => return vec![backslash],
            (true, true) if is_written_with_escapes(&escaped) => return vec![usual, backslash],
            _ => {}
        }
    }
    if given.quote == GivenChar::ByRows && may_be_unquoted(sample, delimiter, &doubled) {
        return vec![usual, Quoting::NONE];
    }
    vec![usual]
}

/// Whether quotes of this kind stand around cells of every row, and nowhere else.
fn is_quoted_so(sample: Sample<'_>, delimiter: u8, quoting: Quoting) -> bool {
    if quoting.quote.is_none_or(|quote| quote == delimiter || !sample.bytes.contains(&quote)) {
        return false;
    }
    let found = sample.split(delimiter, quoting);
    let is_other = |record: &SampleRecord| record.has_bare_quote || record.spans_lines;
    let has_quotes = |record: &SampleRecord| record.is_quoted || record.is_blank();
    let of_rows = if found.records.len() > 1 { &found.records[1..] } else { &found.records[..] };
    !of_rows.is_empty()
        && of_rows.iter().all(has_quotes)
        && is_clean(&found)
        && !found.records.iter().any(is_other)
}

/// Whether every quote opens or closes a cell, and nearly all rows are as wide as the header.
fn is_clean(found: &SampleRecords) -> bool {
    found.open.is_none() && !found.records.iter().any(|record| record.is_stray) && fits(&found.records)
}

/// Whether a program that escapes quotes may have written this: it escapes nothing but quotes and escapes, doubles no
/// quote, and leaves none in a cell that it did not quote.
fn is_written_with_escapes(found: &SampleRecords) -> bool {
    let is_foreign =
        |record: &SampleRecord| record.has_lone_escape || record.has_doubled_quote || record.has_bare_quote;
    !found.records.iter().any(is_foreign)
}

/// Whether nearly all rows are as wide as the header.
pub(super) fn fits(records: &[SampleRecord]) -> bool {
    let Some((header, rows)) = records.split_first() else { return false };
    let width = header.cells.len();
    let rows: Vec<_> = rows.iter().filter(|row| !row.is_blank()).collect();
    let misfits = rows.iter().filter(|row| !row.is_as_wide_as(width)).count();
    misfits * 10 <= rows.len()
}

/// Whether a reading without quotes is as likely. Commas and semicolons come with quotes (RFC 4180); a table with
/// tabs (IANA text/tab-separated-values) or other delimiters often has none.
fn may_be_unquoted(sample: Sample<'_>, delimiter: u8, doubled: &SampleRecords) -> bool {
    let unquoted = sample.split(delimiter, Quoting::NONE).records;
    if !fits(&unquoted) {
        return false;
    }
    let width = unquoted.first().map_or(0, |header| header.cells.len());
    let usually_quoted = matches!(delimiter, b',' | b';');
    let cells = |line: &[u8]| 1 + memchr::memchr_iter(delimiter, line).count();
    // The last line of an open record may be cut.
    let whole_lines = |record: &SampleRecord, cut: usize| {
        let all: Vec<&[u8]> = lines(&sample.bytes[record.place.clone()]).collect();
        let kept = all.len().saturating_sub(cut);
        (kept, width > 1 && all[..kept].iter().all(|line| cells(line) == width))
    };
    let swallows = || doubled.records.iter().any(|record| record.spans_lines && whole_lines(record, 0).1);
    let stays_open = !sample.is_whole
        && doubled.open.as_ref().is_some_and(|open| matches!(whole_lines(open, 1), (OPEN_LINES.., true)));
    // Where the text follows on a later line, the quote was left open: that is an error with its line.
    let stray = doubled.records.iter().filter(|record| record.is_stray && !record.spans_lines).count();
    let too_many = if usually_quoted { stray * 10 > doubled.records.len() } else { stray > 0 };
    too_many || stays_open || (!usually_quoted && swallows())
}
