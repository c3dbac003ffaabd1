//! The end of a shard: its journal becomes a part, which is put in place in one step.
//!
//! What depends on other rows of a key is decided here: all of them belong to this shard. So whoever merges the parts
//! needs no memory of keys.

use std::collections::{HashMap, HashSet};
use std::io::Write;

use crate::collect::error::{CollectError, FileOperation};
use crate::collect::files::atomic::{Replacement, remove, sync_folder};
use crate::collect::files::checksum::PREFIX;
use crate::collect::files::paths::Paths;
use crate::collect::files::stamp::StampWriter;
use crate::collect::journal::decode::{FailedRecord, JournalRecord, read_row};
use crate::collect::journal::reader::JournalReader;
use crate::collect::parts::line::{push_again, push_cells, push_repeats, push_seq};
use crate::collect::parts::trailer::{PartFacts, PartTrailer};
use crate::collect::previous::key_hash::{KeyHash, KeyHasher};
use crate::collect::publish::closed_run::ClosedRun;
use crate::collect::publish::context::PublishContext;
use crate::collect::publish::decision::{Judgement, PublishDecision};
use crate::collect::publish::failure_file::Failures;
use crate::collect::publish::outcome::{Evidence, PublishOutcome};
use crate::collect::settings::OutputSettings;
use crate::collect::table::row_spool::{SpooledRow, SpooledRows};
use crate::model::{Key, Seq};

/// Handed to the file at a time.
const CHUNK: usize = 64 * 1024;

impl ClosedRun {
    /// Puts the part in place, and removes the journal.
    ///
    /// # Errors
    /// A journal that does not read back, or disk trouble. Up to the instant of the rename, what was in the part's place
    /// stays; an error after it is [`CollectError::Unsettled`].
    pub(crate) fn publish_part(
        self,
        settings: &OutputSettings,
        context: &PublishContext<'_>,
        facts: PartFacts,
    ) -> Result<PublishOutcome, CollectError> {
        let paths = context.place.paths.as_ref().expect("a part is a file");
        let job = self.job.clone();
        let writer = PartWriter::of(&self, settings, context, paths)?;
        let WrittenPart { file, failures } = writer.write(self, context, |failures, records| {
            let mut facts = facts;
            facts.counts.refused_were_repeats(failures.repeats);
            PartTrailer::new(settings, job, facts, records)
        })?;
        let bytes = file.bytes();
        let lines = failures.rows;
        file.into_inner().put_if(context.is_stopped, context.may_replace)?;
        let given = &paths.output.given;
        sync_folder(&paths.output.real)
            .and_then(|()| remove(&paths.journal))
            .map_err(|error| error.after_publishing(given))?;
        let judgement = Judgement {
            decision: PublishDecision::Published,
            suspicious_shares: Vec::new(),
            fetched_degradations: Vec::new(),
        };
        Ok(PublishOutcome {
            path: Some(given.clone()),
            bytes,
            lines,
            failures,
            ..PublishOutcome::new(judgement, Evidence::default())
        })
    }
}

/// A part on its way.
struct PartWriter<'a> {
    out: StampWriter<Replacement>,
    paths: &'a Paths,
    buffer: Vec<u8>,
    is_table: bool,
    key_column: usize,
    is_planned: &'a dyn Fn(&Key) -> bool,
    hasher: KeyHasher,
    /// Keys of refused rows so far, and those of damaged rows, as far as their cells can be read.
    refused: HashSet<KeyHash>,
    damaged: HashSet<KeyHash>,
    /// Of a table, the lines of keys that later rows repeat.
    firsts: HashMap<KeyHash, u64>,
    failures: Failures,
    row: csv::ByteRecord,
}

/// A failed row among those of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It is the first that failed, or has no other beside it.
    First,
    /// An earlier refused row has its key, or another row of it was asked for.
    Again,
    /// It was refused, and another row got a job for its key.
    Repeat,
}

impl Standing {
    fn of(is_first: bool) -> Self {
        if is_first { Self::First } else { Self::Again }
    }
}

struct WrittenPart {
    file: StampWriter<Replacement>,
    failures: Failures,
}

impl<'a> PartWriter<'a> {
    fn of(
        run: &ClosedRun,
        settings: &OutputSettings,
        context: &PublishContext<'a>,
        paths: &'a Paths,
    ) -> Result<Self, CollectError> {
        Ok(Self {
            // As the journal: the output may be for fewer readers than new files are.
            out: StampWriter::new(
                Replacement::create_private(&paths.output.real)?.in_stage(paths.output.stage()),
            ),
            paths,
            buffer: Vec::with_capacity(2 * CHUNK),
            is_table: settings.layout.is_some(),
            key_column: context.columns.key,
            is_planned: context.is_planned,
            // Keys of a table are hashed as they were when its rows were kept.
            hasher: run.previous.hasher.clone(),
            refused: HashSet::new(),
            damaged: HashSet::new(),
            firsts: HashMap::new(),
            failures: Failures::default(),
            row: csv::ByteRecord::new(),
        })
    }

    fn write(
        mut self,
        run: ClosedRun,
        context: &PublishContext<'_>,
        trailer: impl FnOnce(&Failures, crate::collect::files::stamp::Stamp) -> Option<PartTrailer>,
    ) -> Result<WrittenPart, CollectError> {
        let journal = run.journal;
        let mut rows = run.rows.map(crate::collect::table::row_spool::RowSpool::finish).transpose()?;
        let mut records = JournalReader::new(journal.path, journal.file, journal.salt);
        for (seq, offset) in journal.offsets.rows() {
            if (context.is_stopped)() {
                return Err(CollectError::Stopped);
            }
            let own = self.rows_before(seq, rows.as_mut())?;
            let (line, record) = records.read_line(offset)?;
            match record {
                JournalRecord::Fetched(_) => self.answer(seq, own.as_ref(), line)?,
                JournalRecord::Failed(failed) => {
                    if !self.failure(seq, own.as_ref(), (line, &failed))? {
                        return Err(records.damaged(offset, "a record does not read back"));
                    }
                }
                JournalRecord::Kept(_) | JournalRecord::Synced(_) => {
                    return Err(records.damaged(offset, "a record does not belong into a part"));
                }
            }
        }
        self.rows_before(Seq(u32::MAX), rows.as_mut())?;
        self.pass_on(0)?;
        let line = trailer(&self.failures, self.out.stamp()).expect("a part has its settings");
        let pushed = line.push(&mut self.buffer);
        self.written(pushed.map_err(Into::into))?;
        self.pass_on(0)?;
        Ok(WrittenPart { file: self.out, failures: self.failures })
    }

    /// Writes the rows before this one that repeat others, and returns its own.
    fn rows_before(
        &mut self,
        seq: Seq,
        rows: Option<&mut SpooledRows>,
    ) -> Result<Option<SpooledRow>, CollectError> {
        let Some(rows) = rows else { return Ok(None) };
        loop {
            match rows.take_up_to(seq)? {
                Some(row) if row.is_repeat => {
                    let first = self.firsts.get(&self.hash_of(&row)).copied();
                    if let Some(first) = first {
                        push_seq(&mut self.buffer, row.seq);
                        push_cells(&mut self.buffer, &row.cells);
                        push_repeats(&mut self.buffer, first);
                        self.pass_on(CHUNK)?;
                    }
                }
                Some(row) if row.seq < seq => {}
                Some(row) => {
                    if self.is_table && rows.repeated.contains(&self.hash_of(&row)) {
                        let place = self.out.bytes() + self.buffer.len() as u64;
                        self.firsts.insert(self.hash_of(&row), place);
                    }
                    return Ok(Some(row));
                }
                None => return Ok(None),
            }
        }
    }

    fn hash_of(&self, row: &SpooledRow) -> KeyHash {
        let key = row.cells.get(self.key_column).unwrap_or_default();
        self.hasher.hash(&String::from_utf8_lossy(key))
    }

    fn answer(&mut self, seq: Seq, own: Option<&SpooledRow>, line: &[u8]) -> Result<(), CollectError> {
        push_seq(&mut self.buffer, seq);
        if let Some(row) = own {
            push_cells(&mut self.buffer, &row.cells);
        }
        self.members(line)
    }

    /// False where the record does not read back.
    fn failure(
        &mut self,
        seq: Seq,
        own: Option<&SpooledRow>,
        (line, record): (&[u8], &FailedRecord<'_>),
    ) -> Result<bool, CollectError> {
        let Some(standing) = self.standing(record) else { return Ok(false) };
        if standing == Standing::Repeat {
            self.failures.repeats += 1;
            return Ok(true);
        }
        self.failures.rows += 1;
        push_seq(&mut self.buffer, seq);
        if let Some(row) = own.filter(|_| self.is_table) {
            push_cells(&mut self.buffer, &row.cells);
        }
        if standing == Standing::Again {
            push_again(&mut self.buffer);
        }
        self.members(line)?;
        Ok(true)
    }

    /// Nothing where the record does not read back.
    fn standing(&mut self, record: &FailedRecord<'_>) -> Option<Standing> {
        if !record.refused {
            return Some(Standing::First);
        }
        if let Some(raw) = record.key {
            let key: String = serde_json::from_slice(raw).ok()?;
            if Key::parse(key.as_bytes()).is_ok_and(|key| (self.is_planned)(&key)) {
                return Some(Standing::Repeat);
            }
            return Some(Standing::of(self.refused.insert(self.hasher.hash(&key))));
        }
        if !read_row(record.row, &mut self.row) {
            return None;
        }
        let Some(key) = self.row.get(self.key_column).and_then(|cell| Key::parse(cell).ok()) else {
            return Some(Standing::First);
        };
        let hash = self.hasher.hash(key.as_str());
        let has_other_row = (self.is_planned)(&key) || self.refused.contains(&hash);
        Some(Standing::of(!has_other_row && self.damaged.insert(hash)))
    }

    /// The rest of a line: what the journal has behind its checksum.
    fn members(&mut self, line: &[u8]) -> Result<(), CollectError> {
        self.buffer.extend_from_slice(&line[PREFIX..]);
        self.buffer.push(b'\n');
        self.pass_on(CHUNK)
    }

    /// Hands the buffer on, once there are so many bytes in it.
    fn pass_on(&mut self, from: usize) -> Result<(), CollectError> {
        if self.buffer.len() < from {
            return Ok(());
        }
        let written = self.out.write_all(&self.buffer);
        self.buffer.clear();
        self.written(written)
    }

    fn written(&self, result: std::io::Result<()>) -> Result<(), CollectError> {
        result.map_err(CollectError::io(FileOperation::Write, &self.paths.output.given))
    }
}
