//! What makes the first record doubtful as a header: lines above the real one, a file that was quoted twice, or a
//! delimiter that is not tried.

use crate::input::csv_format::{GivenChar, Quoting};
use crate::input::likely_key::may_be_a_key;
use crate::input::sniff::doubt::Doubt;
use crate::input::sniff::sample::{ROWS, Sample, SampleRecord};
use crate::input::sniff::{Candidate, DELIMITERS, Question, asked, drawn, quoting};
use crate::input::value_shape::is_one_of;

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
        if !all.iter().any(|candidate| candidate.fits) && drawn::is_fixed_width(sample) {
            return Err(Doubt::fixed_width(&first.cells[0]));
        }
        unusual_delimiter(sample, question, &first.cells[0])?;
    }
    let header = all.iter().find(|candidate| candidate.fits).or(all.first());
    let first_cells = header.map_or(&first.cells, |candidate| &candidate.first);
    // A title in a table: most of its cells are empty.
    let is_title = first_cells.iter().filter(|cell| cell.is_empty()).count() * 2 >= first_cells.len();
    // What only seems to be the key column below may be a cell of a row.
    let is_sku = |name: &Vec<u8>| asked::plain_contains(name, "sku");
    if question.asked.key.is_none()
        && all.iter().any(|candidate| candidate.fits && candidate.first.iter().any(is_sku))
    {
        return Ok(());
    }
    let may_be_title = is_title || !all.iter().any(|candidate| candidate.fits);
    for lines in 1..=LINES_ABOVE {
        let Some(rest) = sample.after_lines(lines) else { break };
        if let Some(header) = header_below(rest, question, may_be_title) {
            return Err(Doubt::lines_above(lines, &header, first_cells));
        }
    }
    Ok(())
}

/// Whether the name of the only column may be a value like those below.
///
/// # Errors
/// It may be, and nobody says which column is the key.
pub(super) fn name_or_value(candidate: &Candidate, question: &Question<'_>) -> Result<(), Doubt> {
    let Some((first, others)) = candidate.first.split_first() else { return Ok(()) };
    if question.asked.key.is_some() || !question.asked.headers || !others.iter().all(Vec::is_empty) {
        return Ok(());
    }
    let cells: Vec<_> = std::iter::once(&candidate.first)
        .chain(candidate.rows.iter().map(|row| &row.cells))
        .filter_map(|cells| cells.first().map(|cell| String::from_utf8_lossy(cell)))
        .collect();
    if is_one_of(&cells[0], cells[1..].iter().map(AsRef::as_ref)) {
        return Err(Doubt::name_or_value(first));
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
    all.retain(|candidate| !candidate.rows.is_empty());
    // A header is one whatever its rows are like.
    let fitting = all.iter().position(|candidate| candidate.fits && candidate.has_asked);
    if let Some(place) = fitting.or_else(|| all.iter().position(|candidate| candidate.has_asked)) {
        return Some(all.swap_remove(place));
    }
    all.retain(|candidate| candidate.fits);
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

/// Whether this stands in each line as often as in the first, and one of the names that it separates is one of a key.
fn may_hold_keys(sample: Sample<'_>, separator: char, names: &[Vec<u8>]) -> bool {
    let count = |line: &[u8]| String::from_utf8_lossy(line).matches(separator).count() + 1;
    let lines: Vec<&[u8]> = sample.lines().filter(|line| !line.is_empty()).take(ROWS).collect();
    let is_key = |name: &Vec<u8>| may_be_a_key(&String::from_utf8_lossy(name));
    lines.len() > 2
        && lines.iter().all(|line| count(line) == names.len())
        && (separator.is_control() || names.iter().any(is_key))
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
    // A name of several lines was quoted.
    if line.contains(['\r', '\n']) {
        return Ok(());
    }
    let wanted = question.asked.key.filter(|key| asked::place(key).is_none()).unwrap_or("sku");
    let may_separate =
        |c: &char| !c.is_alphanumeric() && !DELIMITERS.iter().any(|&delimiter| char::from(delimiter) == *c);
    for c in line.chars().filter(may_separate) {
        let names: Vec<Vec<u8>> = line.split(c).map(|name| name.as_bytes().to_vec()).collect();
        let is_named = names.iter().any(|name| name.len() < line.len() && asked::is_called(name, wanted));
        // No name has a control character.
        let is_asked_for = (is_named || c.is_control()) && question.asked.are_in(&names);
        let is_likely = || question.asked.key.is_none() && may_hold_keys(sample, c, &names);
        if !(is_asked_for || is_likely()) {
            continue;
        }
        match u8::try_from(c) {
            Ok(byte) if byte.is_ascii() && byte != b'"' => {
                let separates = |found: &Candidate| {
                    found.fits
                        || found.has_row_names()
                        || quoting::fits(&sample.split(byte, Quoting::NONE).records)
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
