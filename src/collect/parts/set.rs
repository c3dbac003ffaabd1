//! All parts of a run: that they belong together, and their lines in the order of the rows.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::collect::error::{CollectError, FileOperation};
use crate::collect::parts::fault::{PartFault, PartsFault};
use crate::collect::parts::line::PartLine;
use crate::collect::parts::names::{part_name, parts_folder, runs_folder, shard_of};
use crate::collect::parts::reader::{PartReadError, PartReader};
use crate::collect::parts::trailer::PartTrailer;
use crate::model::{RowCounts, RunId, Seq, Shard};

/// What all parts together read at a time, and what one reads at least and at most.
const BUFFERS: usize = 64 << 20;
const LEAST: usize = 16 * 1024;
const MOST: usize = 256 * 1024;

/// The parts of a run, which belong together as far as their last lines tell.
pub(crate) struct PartSet {
    run: RunId,
    parts: Vec<PartReader>,
    /// The next row of each, the first of all on top.
    order: BinaryHeap<Reverse<(Seq, usize)>>,
    /// The part of the line that was read last, and its row.
    current: Option<(usize, Seq)>,
}

impl PartSet {
    /// Opens the parts of a run of an output.
    ///
    /// # Errors
    /// [`CollectError::Parts`] with those that are missing, of another job, input or run, or have no last line.
    pub(crate) fn open(output: &Path, run: &RunId) -> Result<Self, CollectError> {
        let folder = parts_folder(output, run);
        let shards = shards_in(&folder)?;
        let Some(&Shard { count, .. }) = shards.first() else {
            return Err(CollectError::Parts(PartsFault::NoPart { folder, runs: runs(output) }));
        };
        let mut found: BTreeMap<u32, u32> = BTreeMap::new();
        for shard in &shards {
            *found.entry(shard.count).or_default() += 1;
        }
        if found.len() > 1 {
            // The set of which the most is missing comes first.
            let mut counts: Vec<u32> = found.keys().copied().collect();
            counts.sort_by_key(|count| Reverse(count - found[count].min(*count)));
            return Err(CollectError::Parts(PartsFault::MixedCounts { folder, counts }));
        }
        let buffer = (BUFFERS / shards.len()).clamp(LEAST, MOST);
        let (mut parts, mut faults) = (Vec::with_capacity(shards.len()), BTreeMap::new());
        for index in 0..count {
            let shard = Shard { index, count };
            let path = folder.join(part_name(shard));
            match PartReader::open(&path, buffer) {
                Ok(part) if (&part.trailer().run, part.trailer().shard) != (run, shard) => {
                    faults.insert(index, PartFault::Misplaced);
                }
                Ok(part) => parts.push(part),
                Err(PartReadError::Damaged) => {
                    faults.insert(index, PartFault::Damaged);
                }
                Err(PartReadError::Io(error)) if error.kind() == ErrorKind::NotFound => {
                    faults.insert(index, PartFault::Missing);
                }
                Err(PartReadError::Io(error)) => {
                    return Err(CollectError::io(FileOperation::Open, &path)(error));
                }
            }
        }
        faults.extend(strangers(&parts));
        if !faults.is_empty() {
            return Err(faulty(run, count, faults));
        }
        let set = Self { run: run.clone(), parts, order: BinaryHeap::new(), current: None };
        let (found, expected) = (set.counts().rows, set.first().input.content.rows);
        if found != expected {
            return Err(CollectError::Parts(PartsFault::Rows { folder, found, expected }));
        }
        Ok(set)
    }

    /// The last line of the first part: what all have in common.
    pub(crate) fn first(&self) -> &PartTrailer {
        self.parts[0].trailer()
    }

    /// All last lines, in the order of the shards.
    pub(crate) fn trailers(&self) -> impl Iterator<Item = &PartTrailer> {
        self.parts.iter().map(PartReader::trailer)
    }

    /// What became of all rows.
    pub(crate) fn counts(&self) -> RowCounts {
        let mut all = RowCounts::default();
        self.trailers().for_each(|trailer| all.add(&trailer.counts));
        all
    }

    /// Goes on to the next line of all; false at the end of all.
    ///
    /// # Errors
    /// A part cannot be read, or is not what was written. All others are checked then, so that the error names every
    /// shard that is to be run again.
    pub(crate) fn advance(&mut self) -> Result<bool, CollectError> {
        match self.current.take() {
            Some((part, _)) => self.refill(part)?,
            None => (0..self.parts.len()).try_for_each(|part| self.refill(part))?,
        }
        let Some(Reverse((seq, part))) = self.order.pop() else { return Ok(false) };
        if self.order.peek().is_some_and(|Reverse((next, _))| *next == seq) {
            return Err(self.faulty(part, PartFault::Doubled));
        }
        self.current = Some((part, seq));
        Ok(true)
    }

    /// The line that was read last.
    ///
    /// # Errors
    /// As [`PartSet::advance`].
    pub(crate) fn line(&mut self) -> Result<PartLine<'_>, CollectError> {
        let part = self.current.map_or(0, |(part, _)| part);
        if let Err(error) = self.parts[part].load() {
            return Err(self.unreadable(part, error));
        }
        if self.parts[part].line().is_err() {
            return Err(self.faulty(part, PartFault::Damaged));
        }
        self.parts[part].line().map_err(|_| CollectError::Stopped)
    }

    /// The line that a repeat names, of the part whose line was read last, without its line end.
    ///
    /// # Errors
    /// As [`PartSet::advance`].
    pub(crate) fn first_line(&mut self, place: u64, line: &mut Vec<u8>) -> Result<(), CollectError> {
        let part = self.current.map_or(0, |(part, _)| part);
        match self.parts[part].read_at(place, line) {
            Ok(()) => Ok(()),
            Err(error) => Err(self.unreadable(part, error)),
        }
    }

    /// The error of a line of the part that was read last, which does not mean what it should.
    pub(crate) fn damaged(&mut self) -> CollectError {
        let part = self.current.map_or(0, |(part, _)| part);
        self.faulty(part, PartFault::Damaged)
    }

    fn refill(&mut self, part: usize) -> Result<(), CollectError> {
        match self.parts[part].advance() {
            Ok(Some(seq)) => {
                self.order.push(Reverse((seq, part)));
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(error) => Err(self.unreadable(part, error)),
        }
    }

    fn unreadable(&mut self, part: usize, error: PartReadError) -> CollectError {
        match error {
            PartReadError::Damaged => self.faulty(part, PartFault::Damaged),
            PartReadError::Io(error) => CollectError::io(FileOperation::Read, self.parts[part].path())(error),
        }
    }

    /// The error of a part that is not what it should be, and of all others that are not.
    fn faulty(&mut self, part: usize, fault: PartFault) -> CollectError {
        let mut faults = BTreeMap::new();
        if fault == PartFault::Damaged {
            faults.insert(index(part), fault);
        }
        for (other, part) in self.parts.iter_mut().enumerate() {
            if !faults.contains_key(&index(other)) && matches!(part.check_rest(), Err(PartReadError::Damaged))
            {
                faults.insert(index(other), PartFault::Damaged);
            }
        }
        // A number that another part has may be a damaged one: of which part, only the checksums tell.
        if faults.is_empty() {
            faults.insert(index(part), fault);
        }
        faulty(&self.run, index(self.parts.len()), faults)
    }
}

/// The number of a part among all, which is that of its shard.
fn index(part: usize) -> u32 {
    u32::try_from(part).unwrap_or(u32::MAX)
}

fn faulty(run: &RunId, count: u32, parts: BTreeMap<u32, PartFault>) -> CollectError {
    CollectError::Parts(PartsFault::Faulty { run: run.clone(), count, parts })
}

/// The parts that are not of the job and the input that most are of. Where as many are of one as of another, the newest
/// part counts.
fn strangers(parts: &[PartReader]) -> Vec<(u32, PartFault)> {
    let of_job = |part: &PartReader| {
        let trailer = part.trailer();
        let columns = trailer.kind.columns.clone().unwrap_or_default();
        (trailer.job.digest.clone(), trailer.kind.shape.clone(), trailer.kind.columns.is_some(), columns)
    };
    let of_input = |part: &PartReader| (of_job(part), format!("{:?}", part.trailer().input));
    let (job, input) = (usual(parts, of_job), usual(parts, of_input));
    let fault = |part: &PartReader| {
        if Some(&of_job(part)) != job.as_ref() {
            Some(PartFault::OtherJob)
        } else if Some(&of_input(part)) != input.as_ref() {
            Some(PartFault::OtherInput)
        } else {
            None
        }
    };
    parts.iter().filter_map(|part| Some((part.trailer().shard.index, fault(part)?))).collect()
}

/// What most parts have; of several with as many parts, that of the newest part.
fn usual<T: Eq + std::hash::Hash>(parts: &[PartReader], of: impl Fn(&PartReader) -> T) -> Option<T> {
    let mut kinds = HashMap::new();
    for part in parts {
        let written = fs::metadata(part.path()).and_then(|found| found.modified()).ok();
        let (count, newest) = kinds.entry(of(part)).or_insert((0, written));
        *count += 1;
        *newest = (*newest).max(written);
    }
    kinds.into_iter().max_by_key(|(_, rank)| *rank).map(|(kind, _)| kind)
}

/// The shards that have a file in this folder.
fn shards_in(folder: &Path) -> Result<Vec<Shard>, CollectError> {
    let found = names_in(folder).map_err(CollectError::io(FileOperation::Read, folder))?;
    Ok(found.iter().filter_map(|name| shard_of(name)).collect())
}

/// The runs of an output that have parts.
fn runs(output: &Path) -> Vec<String> {
    let folder = runs_folder(output);
    let has_part = |name: &String| shards_in(&folder.join(name)).is_ok_and(|shards| !shards.is_empty());
    let mut runs: Vec<String> = names_in(&folder).unwrap_or_default().into_iter().filter(has_part).collect();
    runs.sort();
    runs
}

/// The names in a folder; none where it is not there.
fn names_in(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    entries.filter_map(|entry| entry.map(|entry| entry.file_name().into_string().ok()).transpose()).collect()
}

/// What lies in the place of a part that is to be made.
pub(crate) enum FoundPart {
    /// Nothing.
    None,
    /// A complete part of this run, job and input.
    Complete(Box<PartTrailer>),
    /// Something else, and what, as the end of a sentence.
    Other(&'static str),
}

impl FoundPart {
    /// Looks at the part at `path`, and reads all of it. `is_own` compares its last line with what is to be made.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn at(
        path: &Path,
        compare: impl FnOnce(&PartTrailer) -> Option<&'static str>,
    ) -> Result<Self, CollectError> {
        let read = || {
            let mut part = PartReader::open(path, MOST)?;
            if let Some(other) = compare(part.trailer()) {
                return Ok(Self::Other(other));
            }
            part.check_rest()?;
            Ok(Self::Complete(Box::new(part.trailer().clone())))
        };
        match read() {
            Ok(found) => Ok(found),
            Err(PartReadError::Damaged) => Ok(Self::Other("it is damaged")),
            Err(PartReadError::Io(error)) if error.kind() == ErrorKind::NotFound => Ok(Self::None),
            Err(PartReadError::Io(error)) => Err(CollectError::io(FileOperation::Read, path)(error)),
        }
    }
}
