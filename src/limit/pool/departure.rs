//! What the pool says of an attempt that waits, and what it remembers of one that left.

use tokio::time::Instant;

/// What a departure is remembered by.
#[derive(Debug, Clone, Copy)]
pub(in crate::limit) struct Departure {
    /// The pause it came after.
    pub(in crate::limit) epoch: u32,
    /// All others wait for its answer.
    pub(in crate::limit) probe: bool,
    /// When a probe left.
    pub(in crate::limit) probed: Option<Instant>,
    /// In flight when it left, itself counted.
    pub(in crate::limit) level: usize,
    /// How many might have been in flight when it left.
    pub(in crate::limit) limit: usize,
    /// Which departure it was.
    pub(in crate::limit) number: u64,
    /// The learnt rate held it back, and not the slots.
    pub(in crate::limit) was_paced: bool,
    /// `--rate` held it back.
    pub(in crate::limit) was_kept: bool,
}

/// What a waiter has to do next.
#[derive(Debug)]
pub(in crate::limit) enum TurnStep {
    /// It leaves.
    Go(Departure),
    /// It tries again then.
    Sleep(Instant),
    /// The same. What comes late is not caught up on.
    SleepExactly(Instant),
    /// It waits until something changes.
    Park,
}
