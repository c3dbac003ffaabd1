//! Why parts cannot be put together, and which shards are to be run again.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::model::option::{OUTPUT, RUN_ID, SHARD};
use crate::model::{ObjectAddress, RunId, shell_word};

/// Ranges of shards that are named in one message.
const NAMED: usize = 40;

/// What is wrong with one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PartFault {
    /// There is none.
    Missing,
    /// It does not hold its checksums.
    Damaged,
    /// Its last line names another shard or another run than its place.
    Misplaced,
    /// It was made by another job.
    OtherJob,
    /// It has rows of another input.
    OtherInput,
    /// Another part has a row of the same number.
    Doubled,
}

impl PartFault {
    fn text(self, is_one: bool) -> &'static str {
        match (self, is_one) {
            (Self::Missing, true) => "is missing",
            (Self::Missing, false) => "are missing",
            (Self::Damaged, true) => "is damaged",
            (Self::Damaged, false) => "are damaged",
            (Self::Misplaced, true) => "is the part of another shard or run",
            (Self::Misplaced, false) => "are parts of other shards or runs",
            (Self::OtherJob, true) => "is of another job",
            (Self::OtherJob, false) => "are of another job",
            (Self::OtherInput, true) => "is of another input",
            (Self::OtherInput, false) => "are of another input",
            (Self::Doubled, true) => "has rows that another part has, too",
            (Self::Doubled, false) => "have rows that other parts have, too",
        }
    }
}

/// Why the parts of a run cannot be put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartsFault {
    /// There is not one.
    NoPart {
        /// Where they belong.
        folder: PathBuf,
        /// Runs that have some.
        runs: Vec<String>,
    },
    /// They are parts of jobs with different numbers of shards.
    MixedCounts {
        /// Where they lie.
        folder: PathBuf,
        /// The numbers; first the one of which the most parts are missing.
        counts: Vec<u32>,
    },
    /// Some are not what they should be.
    Faulty {
        /// The run.
        run: RunId,
        /// How many there should be.
        count: u32,
        /// What is wrong, by shard.
        parts: BTreeMap<u32, PartFault>,
    },
    /// All are good, and yet they have not all rows of their input.
    Rows {
        /// Where they lie.
        folder: PathBuf,
        /// Rows of the parts.
        found: u64,
        /// Rows of the input.
        expected: u64,
    },
}

impl PartsFault {
    /// The same fault of parts whose folder a person knows by this name.
    #[must_use]
    pub(crate) fn known_as(mut self, name: PathBuf) -> Self {
        match &mut self {
            Self::NoPart { folder, .. } | Self::MixedCounts { folder, .. } | Self::Rows { folder, .. } => {
                *folder = name;
            }
            Self::Faulty { .. } => {}
        }
        self
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::NoPart { runs, .. } if runs.is_empty() => {
                format!("check {OUTPUT} and {RUN_ID}: both are those that the shards were given")
            }
            Self::NoPart { runs, .. } => {
                format!("check {RUN_ID}: this output has parts of {}", runs.join(", "))
            }
            Self::MixedCounts { folder, counts } => {
                let least_complete = counts.first().copied().unwrap_or_default();
                let tool =
                    if ObjectAddress::is_meant_by(folder) { "with the store's own tool:" } else { "rm" };
                let folder = shell_word(&folder.display().to_string());
                format!(
                    "remove those that are not wanted, such as: {tool} {folder}/*-of-{least_complete:05}.jsonl"
                )
            }
            Self::Faulty { run, count, parts } => {
                let list = ranges(parts.keys().copied(), usize::MAX);
                let first = parts.keys().next().copied().unwrap_or_default();
                format!(
                    "run these shards again, then merge again: {list} (such as {SHARD} {first}/{count} {RUN_ID} {run})"
                )
            }
            Self::Rows { .. } => "run all shards again under another name".into(),
        }
    }
}

impl fmt::Display for PartsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPart { folder, .. } => write!(f, "there is no part in {}", folder.display()),
            Self::MixedCounts { folder, counts } => {
                let counts: Vec<String> = counts.iter().map(u32::to_string).collect();
                write!(
                    f,
                    "the parts in {} are of jobs with {} shards",
                    folder.display(),
                    counts.join(" and ")
                )
            }
            Self::Faulty { run, count, parts } => {
                let mut kinds: BTreeMap<PartFault, Vec<u32>> = BTreeMap::new();
                for (&shard, &fault) in parts {
                    kinds.entry(fault).or_default().push(shard);
                }
                let shards = if *count == 1 { "shard" } else { "shards" };
                write!(f, "the parts of run {run} cannot be put together: of {count} {shards} ")?;
                for (place, (fault, shards)) in kinds.iter().enumerate() {
                    let comma = if place > 0 { ", " } else { "" };
                    let (number, text) = (shards.len(), fault.text(shards.len() == 1));
                    write!(f, "{comma}{number} {text} ({})", ranges(shards.iter().copied(), NAMED))?;
                }
                Ok(())
            }
            Self::Rows { folder, found, expected } => write!(
                f,
                "the parts in {} have {found} rows, and their input has {expected}",
                folder.display()
            ),
        }
    }
}

/// Rising numbers as `3,7-9`, which `sbatch --array` takes as well; at most so many ranges.
fn ranges(numbers: impl Iterator<Item = u32>, most: usize) -> String {
    let mut found: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match found.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => found.push((number, number)),
        }
    }
    let range = |&(first, last): &(u32, u32)| match last - first {
        0 => first.to_string(),
        _ => format!("{first}-{last}"),
    };
    let mut text: Vec<String> = found.iter().take(most).map(range).collect();
    if found.len() > most {
        text.push("...".into());
    }
    text.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_faulty_part_is_named_with_what_is_wrong_and_the_list_to_run_again() {
        use PartFault::{Damaged, Missing, OtherInput};
        let parts = [(3, Missing), (7, Missing), (8, Missing), (9, Missing), (4, Damaged), (12, OtherInput)];
        let run: RunId = "r1".parse().unwrap();
        let fault = PartsFault::Faulty { run, count: 16, parts: parts.into() };
        assert_eq!(
            fault.to_string(),
            "the parts of run r1 cannot be put together: of 16 shards 4 are missing (3,7-9), 1 is damaged (4), \
             1 is of another input (12)"
        );
        assert_eq!(
            fault.hint(),
            "run these shards again, then merge again: 3-4,7-9,12 (such as --shard 3/16 --run-id r1)"
        );
    }

    #[test]
    fn ranges_join_neighbours() {
        let all = [0, 1, 2, 4, 6, 7, 99_998];
        assert_eq!(ranges(all.into_iter(), 9), "0-2,4,6-7,99998");
        assert_eq!(ranges(all.into_iter(), 2), "0-2,4,...");
        assert_eq!(ranges([].into_iter(), 2), "");
    }

    #[test]
    fn mixed_numbers_of_shards_and_no_part_at_all_have_their_words() {
        let folder = PathBuf::from("o.parts/r");
        let mixed = PartsFault::MixedCounts { folder: folder.clone(), counts: vec![7, 16] };
        assert_eq!(mixed.to_string(), "the parts in o.parts/r are of jobs with 7 and 16 shards");
        assert!(mixed.hint().ends_with("rm o.parts/r/*-of-00007.jsonl"), "{}", mixed.hint());
        let none = |runs: &[&str]| {
            let runs = runs.iter().map(|&run| run.to_owned()).collect();
            PartsFault::NoPart { folder: folder.clone(), runs }
        };
        assert_eq!(none(&[]).to_string(), "there is no part in o.parts/r");
        assert!(none(&["a", "b"]).hint().ends_with("parts of a, b"));
    }
}
