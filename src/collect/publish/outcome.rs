//! What came of publishing.

use std::path::PathBuf;

use crate::collect::journal::publish_record::ChangeCounts;
use crate::collect::previous::baseline::Baseline;
use crate::collect::previous::profile::Profile;
use crate::collect::publish::decision::{Judgement, PublishDecision};
use crate::collect::publish::failure_file::Failures;
use crate::collect::publish::guard::Degradation;

/// What a decision was based on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evidence {
    /// The old output, if there was one to compare with.
    pub old: Option<Baseline>,
    /// The new one.
    pub new: Profile,
    /// Of its nulls, those that stand for a status of `--null-on`.
    pub nulls_for_status: u64,
    /// A key that shows the first degradation, and its new body where it has one.
    pub example: Option<(String, Option<String>)>,
}

/// What came of publishing.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishOutcome {
    /// Whether the output was replaced.
    pub decision: PublishDecision,
    /// What that was based on.
    pub evidence: Evidence,
    /// Signs that a first output, which has nothing to be compared with, may be wrong.
    pub suspicious_shares: Vec<Degradation>,
    /// With `--merge`: what this run fetched, which may be a small part of the output.
    pub fetched: Profile,
    /// What of it is much worse than the old output was.
    pub fetched_degradations: Vec<Degradation>,
    /// The output as the user named it, or where it is held back; `None` for standard output and for what was not
    /// kept.
    pub path: Option<PathBuf>,
    /// The file that an output which is held back was to replace.
    pub replaces: Option<PathBuf>,
    /// The output's size in bytes.
    pub bytes: u64,
    /// Its lines of SKUs.
    pub lines: u64,
    /// What failed.
    pub failures: Failures,
    /// The differences from the old output, and where they were written.
    pub changes: Option<(ChangeCounts, PathBuf)>,
    /// Values of the old output that no row of the input has, with `--merge`.
    pub not_in_input: u64,
    /// They were taken out by `--prune`.
    pub pruned: bool,
    /// Warnings for the user, one sentence each.
    pub warnings: Vec<String>,
}

impl PublishOutcome {
    /// An outcome with this decision, of which nothing else is known yet.
    pub(crate) fn new(judgement: Judgement, evidence: Evidence) -> Self {
        let Judgement { decision, suspicious_shares, fetched_degradations } = judgement;
        Self {
            decision,
            evidence,
            suspicious_shares,
            fetched: Profile::default(),
            fetched_degradations,
            path: None,
            replaces: None,
            bytes: 0,
            lines: 0,
            failures: Failures::default(),
            changes: None,
            not_in_input: 0,
            pruned: false,
            warnings: Vec::new(),
        }
    }
}

/// What came of a run that published nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnpublishedOutcome {
    /// What failed.
    pub failures: Failures,
    /// Warnings for the user, one sentence each.
    pub warnings: Vec<String>,
}
