//! What the learnt limits have to know of an attempt that ended.

/// What has to be known of an attempt that ended.
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
#[derive(Debug, Clone, Copy)]
pub(in crate::limit) struct EndedAttempt {
    /// In flight when it left, itself counted.
    pub(in crate::limit) level: usize,
    /// Which departure it was.
    pub(in crate::limit) number: u64,
    /// How many departures there were when it ended.
    pub(in crate::limit) departures: u64,
    /// The learnt rate held it back, and not the number in flight.
    pub(in crate::limit) was_paced: bool,
    /// `--rate` held it back: so many leave in a second.
    pub(in crate::limit) given_rate: Option<f64>,
    /// It was the probe after a pause.
    pub(in crate::limit) is_probe: bool,
    /// The pool was paused since it left.
    pub(in crate::limit) is_old: bool,
    /// What is taken for a refusal may be a server that fails.
    pub(in crate::limit) is_unclear: bool,
}
