//! The reading of a CSV by evidence: what separates its cells and how they are quoted, from the first rows. Bytes in,
//! one reading out, or the doubt about it.
//!
//! A reading counts where the first record has as many cells as nearly all others. One whose header has every column
//! that is asked for beats one whose header has not. A first record of one cell is one column. Nothing is guessed: of
//! two readings that count none is taken, and no line is skipped.

mod asked;
mod doubt;
mod drawn;
mod heading;
mod quoting;
mod sample;
#[cfg(test)]
mod tests;

use crate::input::csv_format::Quoting;

pub(super) use asked::AskedColumns;
pub(super) use doubt::Doubt;
pub(super) use doubt::ReadingChoice;
pub(super) use quoting::GivenQuoting;
pub(super) use sample::{ROWS, Sample, SampleRecord, line_length};

use quoting::{fits, quotings};

/// The delimiters that are tried. An earlier one is preferred where the rows do not decide.
pub(super) const DELIMITERS: [u8; 7] = [b',', b';', b'\t', b'|', b'^', b'~', b':'];

/// Those of [`DELIMITERS`] that hardly occur in a header unless they separate its cells.
const USUAL: usize = 4;

/// What is to be found out, and what is given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) delimiter: Option<u8>,
    pub(super) quoting: GivenQuoting,
    pub(super) asked: AskedColumns<'a>,
}

/// What separates cells, and how they are quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) delimiter: u8,
    pub(super) quoting: Quoting,
}

/// A delimiter with what the sample says about it.
#[derive(Debug, Clone)]
struct Candidate {
    delimiter: u8,
    /// Several where the rows leave a doubt.
    quotings: Vec<Quoting>,
    /// The cells of the first record.
    first: Vec<Vec<u8>>,
    fits: bool,
    has_asked: bool,
    rows: Vec<SampleRecord>,
}

impl Candidate {
    fn of(sample: Sample<'_>, delimiter: u8, question: &Question<'_>) -> Option<Self> {
        let quotings = quotings(sample, delimiter, question.quoting);
        let records = sample.split(delimiter, quotings[0]);
        let fits = fits(&records.records);
        let mut records = records.records.into_iter().chain(records.open);
        let first = records.next()?.cells;
        let has_asked = question.asked.are_in(&first);
        Some(Self { delimiter, quotings, first, fits, has_asked, rows: records.collect() })
    }

    /// Those that split the first record.
    fn all(sample: Sample<'_>, question: &Question<'_>) -> Vec<Self> {
        let occurs = |delimiter: &&u8| memchr::memchr(**delimiter, sample.bytes).is_some();
        let splits = |candidate: &Self| candidate.first.len() > 1;
        DELIMITERS
            .iter()
            .filter(occurs)
            .filter_map(|&delimiter| Self::of(sample, delimiter, question))
            .filter(splits)
            .collect()
    }

    /// Whether each row has a cell more than the header, as R writes the names of rows.
    fn has_row_names(&self) -> bool {
        let has_one_more = |row: &SampleRecord| {
            row.cells.len() == self.first.len() + 1 && row.cells.iter().all(|cell| !cell.is_empty())
        };
        self.first.len() > 1 && !self.rows.is_empty() && self.rows.iter().all(has_one_more)
    }

    /// The reading, where its quoting is clear and the header has a name for each cell.
    fn reading(&self, question: &Question<'_>) -> Result<Reading, Doubt> {
        match self.quotings[..] {
            [_] if question.asked.headers && self.rows.len() > 1 && self.has_row_names() => {
                let key = self.first.iter().position(|cell| question.asked.is_key(cell));
                Err(Doubt::row_names(self.rows[0].line, key, &self.rows[0].cells))
            }
            [quoting] => Ok(Reading { delimiter: self.delimiter, quoting }),
            ref several => Err(Doubt::quotings(self.delimiter, several)),
        }
    }
}

/// The reading of a sample.
///
/// # Errors
/// The sample has several readings, or one that would skip lines.
pub(super) fn sniff(sample: Sample<'_>, question: &Question<'_>) -> Result<Reading, Doubt> {
    if drawn::has_rules(sample) {
        return Err(Doubt::Drawn);
    }
    // Rows of empty cells alone are none, above the header too.
    let above = sample.lines().take_while(|line| is_blank_in_any(line, question.delimiter)).count();
    let rest = sample.after_lines(above).unwrap_or(sample);
    sniff_header(rest, question).map_err(|doubt| doubt.below(above))
}

/// Whether all cells of a line are empty, whichever of the usual characters separates them.
fn is_blank_in_any(line: &[u8], delimiter: Option<u8>) -> bool {
    line.iter().all(|byte| *byte == b'"' || DELIMITERS.contains(byte) || delimiter == Some(*byte))
}

fn sniff_header(sample: Sample<'_>, question: &Question<'_>) -> Result<Reading, Doubt> {
    let one_column =
        || Reading { delimiter: question.delimiter.unwrap_or(b','), quoting: question.quoting.usual() };
    if let Some(delimiter) = question.delimiter {
        let given = Candidate::of(sample, delimiter, question);
        return given.map_or_else(|| Ok(one_column()), |candidate| candidate.reading(question));
    }
    let all = Candidate::all(sample, question);
    let asked: Vec<&Candidate> = all.iter().filter(|candidate| candidate.has_asked).collect();
    if let Some(chosen) = only_or_fitting(&asked)? {
        return chosen.reading(question);
    }
    let unused = delimiter_in_none(&all);
    let unsplit = Candidate::of(sample, unused, question);
    if question.asked.is_unnamed()
        && let Some(line) = &unsplit
    {
        unnamed(&all, unused, line)?;
    }
    if let Some(column) = unsplit.as_ref().filter(|column| column.has_asked && column.first.len() == 1) {
        if question.asked.by_place() {
            heading::unusual_delimiter(sample, question, &column.first[0])?;
        }
        return column.reading(question);
    }
    if question.asked.headers {
        heading::doubt(sample, question, &all)?;
    }
    let fitting: Vec<&Candidate> = all.iter().filter(|candidate| candidate.fits).collect();
    if let Some(chosen) = only_or_fitting(&fitting)? {
        heading::name_or_value(chosen, question)?;
        return chosen.reading(question);
    }
    // No reading counts: the delimiter that the header has most often, unless it is one that a text may have.
    let usual = |candidate: &&Candidate| DELIMITERS[..USUAL].contains(&candidate.delimiter);
    match (all.iter().rev().filter(usual).max_by_key(|candidate| candidate.first.len()), unsplit) {
        (Some(most), _) => most.reading(question),
        (None, Some(column)) => {
            heading::name_or_value(&column, question)?;
            column.reading(question)
        }
        (None, None) => Ok(one_column()),
    }
}

/// Without a header and without a key, a line that can be split is no single cell by itself.
fn unnamed(all: &[Candidate], unused: u8, line: &Candidate) -> Result<(), Doubt> {
    let fitting: Vec<&Candidate> = all.iter().filter(|candidate| candidate.fits).collect();
    match (&fitting[..], &line.first[..]) {
        ([only], [cell]) => Err(Doubt::columns(only, unused, cell)),
        ([_, _, ..], _) => Err(Doubt::delimiters(&fitting.iter().collect::<Vec<_>>())),
        _ => Ok(()),
    }
}

/// The only one, or of several the only one that counts. None: there is none.
fn only_or_fitting<'c>(candidates: &[&'c Candidate]) -> Result<Option<&'c Candidate>, Doubt> {
    let fitting: Vec<&&Candidate> = candidates.iter().filter(|candidate| candidate.fits).collect();
    match (candidates, &fitting[..]) {
        ([only], _) => Ok(Some(only)),
        (_, [only]) => Ok(Some(**only)),
        ([], _) => Ok(None),
        // A header alone decides nothing, and is an error for its own reason.
        (_, _) if candidates.iter().all(|candidate| candidate.rows.is_empty()) => {
            Ok(candidates.first().copied())
        }
        (_, []) => Ok(candidates.iter().rev().max_by_key(|candidate| candidate.first.len()).copied()),
        (_, several) => Err(Doubt::delimiters(several)),
    }
}

/// A delimiter that does not split the first record: the comma, unless it does.
fn delimiter_in_none(all: &[Candidate]) -> u8 {
    let splits = |delimiter: &u8| all.iter().any(|candidate| candidate.delimiter == *delimiter);
    DELIMITERS.into_iter().find(|delimiter| !splits(delimiter)).unwrap_or(b',')
}
