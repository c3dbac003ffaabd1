//! What makes the first record doubtful as a header: lines above the real one, a file that was quoted twice, or a
//! delimiter that is not tried.

use crate::input::csv_format::{GivenChar, Quoting};
use crate::input::sniff::doubt::Doubt;
use crate::input::sniff::sample::{Sample, SampleRecord};
use crate::input::sniff::{Candidate, DELIMITERS, Question, asked, quoting};

/// Lines that may stand above a header.
const LINES_ABOVE: usize = 20;

/// Checks a first record that has not all columns that are asked for. `all` are the readings that split it.
///
/// # Errors
/// Another reading is as likely.
pub(super) fn doubt(sample: Sample<'_>, question: &Question<'_>, all: &[Candidate]) -> Result<(), Doubt> {
    let whole_line = sample.split(b'\0', question.quoting.usual()).records;
    let Some(first) = whole_line.first() else { return Ok(()) };
    if first.cells.len() == 1 {
        if all.is_empty() {
            quoted_twice(&whole_line, question)?;
        }
        unusual_delimiter(sample, question, &first.cells[0])?;
    }
    let header = all.iter().find(|candidate| candidate.fits).or(all.first());
    let first_cells = header.map_or(&first.cells, |candidate| &candidate.first);
    // A title in a table: most of its cells are empty.
    let is_title = first_cells.iter().filter(|cell| cell.is_empty()).count() * 2 >= first_cells.len();
    let may_be_title = is_title || !all.iter().any(|candidate| candidate.fits);
    for lines in 1..=LINES_ABOVE {
        let Some(rest) = sample.after_lines(lines) else { break };
        if let Some(header) = header_below(rest, question, may_be_title) {
            return Err(Doubt::lines_above(lines, &header, first_cells));
        }
    }
    Ok(())
}

/// The reading whose header is the first line of `rest`, if that is plain.
fn header_below(rest: Sample<'_>, question: &Question<'_>, may_be_title: bool) -> Option<Candidate> {
    // A blank line is above the header of the next one.
    if matches!(rest.bytes.first(), Some(b'\r' | b'\n')) {
        return None;
    }
    let mut all = Candidate::all(rest, question);
    all.retain(|candidate| candidate.fits && !candidate.rows.is_empty());
    if let Some(place) = all.iter().position(|candidate| candidate.has_asked) {
        return Some(all.swap_remove(place));
    }
    let column = Candidate::of(rest, b'\0', question)
        .filter(|column| column.has_asked && column.first.len() == 1 && !column.rows.is_empty());
    if column.is_some() || !may_be_title {
        return column;
    }
    all.retain(|candidate| is_header_of(candidate) && !is_prose(rest, candidate.delimiter));
    all.into_iter().max_by_key(|candidate| candidate.first.len())
}

/// Whether the first record differs from the rows as a header does: its cells are different words, and where a column
/// has a digit in every row its cell has none.
fn is_header_of(candidate: &Candidate) -> bool {
    let has_digit = |cell: &[u8]| cell.iter().any(u8::is_ascii_digit);
    let names = &candidate.first;
    let distinct =
        names.iter().enumerate().all(|(place, name)| !name.is_empty() && !names[..place].contains(name));
    let is_numbered = |column: usize| {
        candidate.rows.iter().all(|row| row.cells.get(column).is_some_and(|cell| has_digit(cell)))
    };
    distinct
        && candidate.rows.len() >= 2
        && names.iter().enumerate().any(|(column, name)| !has_digit(name) && is_numbered(column))
}

/// Whether every delimiter of the first line has a space behind it, as in a sentence.
fn is_prose(rest: Sample<'_>, delimiter: u8) -> bool {
    let line = rest.lines().next().unwrap_or_default();
    memchr::memchr_iter(delimiter, line).all(|at| line.get(at + 1) == Some(&b' '))
}

/// A file whose lines were each quoted as a whole: `"sku;name"`.
fn quoted_twice(records: &[SampleRecord], question: &Question<'_>) -> Result<(), Doubt> {
    if question.quoting.quote != GivenChar::ByRows
        || !records.iter().all(|record| record.is_quoted && record.cells.len() == 1)
    {
        return Ok(());
    }
    let parts = |record: &SampleRecord, delimiter: u8| -> Vec<Vec<u8>> {
        record.cells[0].split(|&byte| byte == delimiter).map(<[u8]>::to_vec).collect()
    };
    for delimiter in DELIMITERS {
        let names = parts(&records[0], delimiter);
        let same = || records.iter().all(|record| parts(record, delimiter).len() == names.len());
        let is_strong = matches!(delimiter, b';' | b'\t' | b'|');
        if names.len() > 1 && (question.asked.are_in(&names) || (is_strong && records.len() > 1 && same())) {
            return Err(Doubt::QuotedTwice { delimiter });
        }
    }
    Ok(())
}

/// A character that is not tried by itself, and that separates the columns that are asked for. `first` is the first
/// record, as one cell.
///
/// # Errors
/// There is such a character.
pub(super) fn unusual_delimiter(
    sample: Sample<'_>,
    question: &Question<'_>,
    first: &[u8],
) -> Result<(), Doubt> {
    let line = String::from_utf8_lossy(first).into_owned();
    let wanted = question.asked.key.filter(|key| asked::place(key).is_none()).unwrap_or("sku");
    for c in line.chars().filter(|c| !c.is_alphanumeric() && !DELIMITERS.iter().any(|&d| char::from(d) == *c))
    {
        let names: Vec<Vec<u8>> = line.split(c).map(|name| name.as_bytes().to_vec()).collect();
        let is_named = names.iter().any(|name| name.len() < line.len() && asked::is_called(name, wanted));
        // No name has a control character.
        if !(is_named || c.is_control()) || !question.asked.are_in(&names) {
            continue;
        }
        match u8::try_from(c) {
            Ok(byte) if byte.is_ascii() && byte != b'"' => {
                let separates = |found: &Candidate| {
                    found.fits || quoting::fits(&sample.split(byte, Quoting::NONE).records)
                };
                if let Some(found) = Candidate::of(sample, byte, question).filter(separates) {
                    return Err(Doubt::unusual_delimiter(&found, first));
                }
            }
            _ if c != '"' && c != '\u{fffd}' => return Err(Doubt::WideDelimiter { delimiter: c }),
            _ => {}
        }
    }
    Ok(())
}
