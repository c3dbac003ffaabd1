//! The last line of a part: what it is a part of, and what it holds.

use serde::{Deserialize, Serialize};

use crate::collect::files::checksum::{Checksum, parse_checked, push_checked};
use crate::collect::files::stamp::Stamp;
use crate::collect::identity::RecordedJob;
use crate::collect::settings::{Format, OutputSettings, Shape};
use crate::input::{Columns, CsvFormat, InputContent, LineEnd, Quoting, TextEncoding};
use crate::model::{RowCounts, RunId, Shard};

/// A part with any other version is not read.
const VERSION: u32 = 1;

/// The last line of a part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PartTrailer {
    #[serde(rename = "skufetch-part")]
    version: u32,
    pub(crate) run: RunId,
    pub(crate) shard: Shard,
    pub(crate) job: RecordedJob,
    pub(crate) input: InputForm,
    pub(crate) kind: PartKind,
    /// The columns that the request uses.
    pub(crate) used: Vec<usize>,
    pub(crate) counts: RowCounts,
    /// What looked odd in the rows, as the caller counts it.
    pub(crate) warnings: serde_json::Value,
    /// All lines before this one.
    pub(crate) records: Stamp,
}

/// What the output is to be that a part is made for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartKind {
    /// `--format`.
    pub(crate) format: String,
    /// `--shape`.
    pub(crate) shape: String,
    /// Of a table, `--columns`.
    pub(crate) columns: Option<String>,
    /// Of a table, `--csv-bom`.
    pub(crate) mark: bool,
}

/// The input that a part has some rows of: its header, its dialect and its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "each is a property of its own")]
pub(crate) struct InputForm {
    columns: Vec<String>,
    key: usize,
    headers: bool,
    delimiter: char,
    quote: Option<char>,
    escape: Option<char>,
    encoding: String,
    mark: bool,
    crlf: bool,
    /// It is a failure file, or was made from one.
    pub(crate) is_failure_file: bool,
    /// It is cut by a limit.
    pub(crate) is_limited: bool,
    pub(crate) content: InputContent,
}

/// What only the end of a shard knows, for the last line of its part.
#[derive(Debug)]
pub(crate) struct PartFacts {
    pub(crate) input: InputForm,
    pub(crate) counts: RowCounts,
    pub(crate) warnings: serde_json::Value,
}

impl PartKind {
    pub(crate) fn of(settings: &OutputSettings, job: &RecordedJob) -> Self {
        let columns = settings.columns_as_written().map(|_| job.provenance.columns.clone());
        Self {
            format: settings.format.to_string(),
            shape: settings.shape.to_string(),
            mark: columns.is_some() && settings.table.mark,
            columns,
        }
    }

    /// What parts of one output have in common: those of JSON and JSON lines hold the same.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        (&self.shape, &self.columns) == (&other.shape, &other.columns)
    }

    /// The format; none of a part that another version of the program wrote.
    pub(crate) fn format(&self) -> Option<Format> {
        self.format.parse().ok()
    }

    /// The shape.
    pub(crate) fn shape(&self) -> Option<Shape> {
        self.shape.parse().ok()
    }
}

impl InputForm {
    pub(crate) fn of(columns: &Columns, content: InputContent) -> Self {
        let format = columns.format;
        Self {
            columns: columns.names.clone(),
            key: columns.key,
            headers: columns.headers,
            delimiter: format.delimiter.into(),
            quote: format.quoting.quote.map(char::from),
            escape: format.quoting.escape.map(char::from),
            encoding: format.encoding.name().into(),
            mark: format.has_mark,
            crlf: format.line_end == LineEnd::CrLf,
            is_failure_file: false,
            is_limited: false,
            content,
        }
    }

    /// The columns; none where the line is not what this program wrote.
    pub(crate) fn to_columns(&self) -> Option<Columns> {
        let byte = |c: Option<char>| c.map(u8::try_from).transpose().ok();
        let encoding = TextEncoding::named(&self.encoding)?;
        let format = CsvFormat {
            delimiter: u8::try_from(self.delimiter).ok()?,
            quoting: Quoting { quote: byte(self.quote)?, escape: byte(self.escape)? },
            encoding,
            has_mark: self.mark,
            line_end: if self.crlf { LineEnd::CrLf } else { LineEnd::Lf },
        };
        let is_there = self.key < self.columns.len();
        is_there.then(|| Columns {
            names: self.columns.clone(),
            key: self.key,
            format,
            headers: self.headers,
        })
    }

    /// The place of the column that keys the output.
    pub(crate) fn key(&self) -> usize {
        self.key
    }

    /// The input has only some rows of a larger one.
    pub(crate) fn is_partial(&self) -> bool {
        self.is_failure_file || self.is_limited
    }
}

impl PartTrailer {
    pub(crate) fn new(
        settings: &OutputSettings,
        job: RecordedJob,
        facts: PartFacts,
        records: Stamp,
    ) -> Option<Self> {
        let part = settings.part.as_ref()?;
        let PartFacts { input, counts, warnings } = facts;
        Some(Self {
            version: VERSION,
            run: part.run.clone(),
            shard: part.shard,
            kind: PartKind::of(settings, &job),
            job,
            input,
            used: part.used.clone(),
            counts,
            warnings,
            records,
        })
    }

    /// Appends the line.
    pub(crate) fn push(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        push_checked(out, Checksum::HEADER, self)
    }

    /// Reads the line back, without its line end.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        parse_checked::<Self>(Checksum::HEADER, line).filter(|trailer| {
            let columns = trailer.input.to_columns();
            let has = |columns: Columns| trailer.used.iter().all(|&used| used < columns.names.len());
            trailer.version == VERSION && columns.is_some_and(has)
        })
    }
}
