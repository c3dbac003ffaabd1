//! What the user chose for the output, already validated.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::collect::files::compression::Compression;
use crate::collect::files::stage::ObjectStage;
use crate::collect::table::column_list::TableColumn;
use crate::collect::table::layout::{TableLayout, TableSettings};
use crate::model::{RunId, Shard, StatusSet};

/// Where the output goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A file, replaced as a whole.
    File(PathBuf),
    /// Standard output, written when it is complete.
    Stdout,
}

impl FromStr for Target {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(if text == "-" { Self::Stdout } else { Self::File(text.into()) })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Stdout => f.write_str("-"),
        }
    }
}

/// How the output is laid out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// One object, a line a SKU.
    #[default]
    Json,
    /// One object a line.
    Jsonl,
    /// A table: the input's rows with a cell for each column that was asked for.
    Csv,
}

/// What is stored for one SKU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Shape {
    /// Its body alone.
    #[default]
    Body,
    /// Its status, time and attempts too.
    Record,
}

/// A word that is not one of those an option takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not known: write {known}")]
pub struct UnknownWord {
    found: String,
    known: &'static str,
}

impl FromStr for Format {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "json" => Ok(Self::Json),
            "jsonl" => Ok(Self::Jsonl),
            "csv" => Ok(Self::Csv),
            _ => Err(UnknownWord { found: text.into(), known: "json, jsonl or csv" }),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "json",
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
        })
    }
}

impl FromStr for Shape {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "body" => Ok(Self::Body),
            "record" => Ok(Self::Record),
            _ => Err(UnknownWord { found: text.into(), known: "body or record" }),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Body => "body",
            Self::Record => "record",
        })
    }
}

/// How an output reads.
#[derive(Debug, Clone, Copy)]
pub(crate) enum StoredForm<'a> {
    /// One object.
    Json,
    /// An object a line.
    Jsonl,
    /// A table of this layout.
    Csv(&'a Arc<TableLayout>),
}

impl StoredForm<'_> {
    /// Its format.
    pub(crate) fn format(self) -> Format {
        match self {
            Self::Json => Format::Json,
            Self::Jsonl => Format::Jsonl,
            Self::Csv(_) => Format::Csv,
        }
    }
}

/// The part of a sharded job, which a process writes in place of the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartSettings {
    /// The share of the rows.
    pub shard: Shard,
    /// The run that the part belongs to.
    pub run: RunId,
    /// The columns that the request uses, in the order in which they go into a fingerprint. Known once the input's header
    /// is read, and so is the next.
    pub used: Vec<usize>,
    /// The column of the key.
    pub key: usize,
}

/// What the user chose for the output.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub struct OutputSettings {
    /// Where the output goes.
    pub target: Target,
    /// What connects files of this machine to the objects that they stand for.
    pub stage: Option<ObjectStage>,
    /// What is written is a part of it: then the target is the part's own file, and what concerns the whole output is
    /// left to the merge.
    pub part: Option<PartSettings>,
    /// How it is laid out.
    pub format: Format,
    /// How it is compressed.
    pub compression: Compression,
    /// Of a table, what the user chose.
    pub table: TableSettings,
    /// Of a table, what its rows are made of. Known once the input's header is read: nothing of a table is read or
    /// written before.
    pub layout: Option<Arc<TableLayout>>,
    /// What is stored for one SKU.
    pub shape: Shape,
    /// Start from the existing output.
    pub merge: bool,
    /// With `merge`: values of SKUs that the input no longer has are taken out.
    pub prune: bool,
    /// Where the differences from the old output go.
    pub changes: Option<PathBuf>,
    /// Hold back an output that is worse than the old one by more than so many percent; `None`: never.
    pub guard: Option<f64>,
    /// Each row has its line on standard output as soon as it is decided.
    pub stream: bool,
    /// The failure file; without it, beside the output file, or nowhere for standard output.
    pub failed: Option<PathBuf>,
    /// Whether an output of nothing but nulls is published.
    pub accepts_nulls: bool,
    /// With `merge`: leave alone what is younger. The caller decides by it. Answers of a journal that are older are
    /// not taken up.
    pub max_age: Option<Duration>,
    /// Statuses that this run stores as `null`: an answer of a journal with another one that is no success is not
    /// taken up.
    pub null_on: StatusSet,
    /// Statuses that this run tries again: an answer of a journal with one of them is not taken up.
    pub retry_on: StatusSet,
    /// Ignore a journal left by an interrupted run.
    pub fresh: bool,
    /// Requests are sent: they may ask whether an old value still holds, which then has to be at hand.
    pub sends_requests: bool,
    /// How long to wait for another run on the same output.
    pub lock_wait: Duration,
    /// The output is drafted in steps of so many bytes of the journal: a shorter run ends before it would pay.
    pub draft_step: u64,
}

/// The command line's defaults, to standard output.
impl Default for OutputSettings {
    fn default() -> Self {
        Self {
            target: Target::Stdout,
            stage: None,
            part: None,
            format: Format::Json,
            compression: Compression::Plain,
            table: TableSettings::default(),
            layout: None,
            shape: Shape::Body,
            merge: false,
            prune: false,
            changes: None,
            guard: Some(50.0),
            stream: false,
            failed: None,
            accepts_nulls: false,
            max_age: None,
            null_on: StatusSet::default(),
            retry_on: StatusSet::default(),
            fresh: false,
            sends_requests: true,
            lock_wait: Duration::ZERO,
            draft_step: 1 << 20,
        }
    }
}

impl OutputSettings {
    /// The output as a person knows it: a path, an address, or `-`.
    pub(crate) fn shown_target(&self) -> Target {
        match &self.target {
            Target::File(path) => Target::File(ObjectStage::shown(self.stage.as_ref(), path)),
            Target::Stdout => Target::Stdout,
        }
    }

    /// `--columns` of a table, in one way of writing them; none where the output is no table.
    pub(crate) fn columns_as_written(&self) -> Option<String> {
        let column = |TableColumn { name, filter }: &TableColumn| {
            if name.contains([',', '=', '"']) {
                format!("{}={filter}", serde_json::Value::from(name.as_str()))
            } else {
                format!("{name}={filter}")
            }
        };
        let columns = || self.table.columns.iter().map(column).collect::<Vec<_>>().join(", ");
        (self.format == Format::Csv).then(columns)
    }

    /// How an output of this run reads.
    pub(crate) fn form(&self) -> StoredForm<'_> {
        match (self.format, &self.layout) {
            (Format::Json, _) => StoredForm::Json,
            (Format::Jsonl, _) => StoredForm::Jsonl,
            (Format::Csv, Some(layout)) => StoredForm::Csv(layout),
            (Format::Csv, None) => unreachable!("a table has its layout before an output is looked at"),
        }
    }

    /// The same, and the other forms that an old output may have, the likeliest first.
    pub(crate) fn forms(&self) -> impl Iterator<Item = StoredForm<'_>> {
        let own = self.form();
        let others = [StoredForm::Json, StoredForm::Jsonl].into_iter();
        std::iter::once(own).chain(others.filter(move |other| other.format() != own.format()))
    }

    /// Whether this run would keep an answer with this status.
    pub(crate) fn keeps(&self, status: u16) -> bool {
        self.null_on.contains(status) || ((200..300).contains(&status) && !self.retry_on.contains(status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back_as_they_are_written() {
        for text in ["json", "jsonl", "csv"] {
            assert_eq!(text.parse::<Format>().unwrap().to_string(), text);
        }
        for text in ["body", "record"] {
            assert_eq!(text.parse::<Shape>().unwrap().to_string(), text);
        }
        for text in ["-", "a/out.json"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        assert!("JSON".parse::<Format>().is_err() && "".parse::<Shape>().is_err());
    }
}
