//! Entries to one file, and nothing lost on the way.
//!
//! During the run, a [`Collector`] appends entries to a journal beside the output, in the order in which they come; a
//! thread of its own writes and syncs it. Memory holds one offset a row. The journal is read in the order of the rows
//! into a temporary file in the output's folder: by a draft, as far as it goes without a gap, while answers still come,
//! and at the end by [`ClosedRun`], which renames it over the output. Any reader finds the old file or the new one. The
//! journal is also what an interrupted run leaves to the next one.
//!
//! ```text
//!   entries ─► Collector ─► journal: writer thread ─► out.json.journal ─► ClosedRun ─► temp file ─► out.json
//!                                                          ▲ recovery                     └──► out.failed.csv, out.json.state
//! ```
//!
//! One shard of a job publishes a part in place of the output ([`parts`]); all parts of a run become the output by the same
//! pass over records ([`merge`]).
//!
//! Imports go one way: `files` ← `table`, `journal`, `previous` ← `parts` ← `publish` ← `inspect` ← `collector`, `merge`.

mod collector;
mod error;
mod file_operation;
mod files;
mod identity;
mod inspect;
mod journal;
mod merge;
mod parts;
mod previous;
mod publish;
mod row_stream;
mod settings;
mod table;
mod table_rows;
#[cfg(test)]
mod test_run;

pub use collector::Collector;
pub(crate) use error::CollectError;
pub(crate) use files::atomic::unnamed_file;
pub(crate) use files::compression::Compression;
pub(crate) use files::document::Document;
pub(crate) use files::lock::{Lock, lock_holder};
pub(crate) use files::names::{failed_beside, held_beside, is_held_name, siblings};
pub use files::preflight::{Preflight, preflight};
pub(crate) use files::preflight::{preflight_without_trace, try_publishing};
pub(crate) use files::stage::ObjectStage;
#[cfg(feature = "cloud")]
pub(crate) use files::{
    atomic::{Replacement, remove},
    paths::Paths,
    stage::{ObjectCopies, PendingUpload, make_stage_folder, names_in, random_mark, read_note},
};
pub use identity::{JobIdentity, Provenance};
pub(crate) use inspect::{Inspection, Recovered};
pub(crate) use journal::encode::RefusedRow;
pub(crate) use journal::open::remove_own_journal;
pub(crate) use journal::publish_record::ChangeCounts;
pub(crate) use merge::{MergeSource, PartMerge};
#[cfg(feature = "cloud")]
pub(crate) use parts::names::{is_part_name, runs_folder};
pub(crate) use parts::names::{make_parts_folder, part_path, parts_folder};
pub(crate) use parts::set::FoundPart;
pub(crate) use parts::trailer::{InputForm, PartFacts, PartKind, PartTrailer};
pub(crate) use previous::baseline::skus_in;
pub(crate) use previous::profile::Profile;
pub(crate) use previous::value::PreviousValue;
pub use publish::context::PublishContext;
pub(crate) use publish::decision::PublishDecision;
pub(crate) use publish::failure_file::Failures;
pub(crate) use publish::guard::Degradation;
pub(crate) use publish::outcome::{Evidence, PublishOutcome};
pub(crate) use settings::Format;
pub use settings::OutputSettings;
pub(crate) use settings::PartSettings;
pub(crate) use settings::Shape;
pub use settings::Target;
pub(crate) use table::column_list::{TableColumn, parse_columns};
pub(crate) use table::layout::{ColumnValues, RECORD_COLUMNS, TableLayout, TableSettings};
