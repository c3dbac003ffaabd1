//! The one job that is requested again to learn what refusals were for.

use crate::model::{Job, Seq};

/// One job that is requested again, where it is open whether refusals were for the credentials.
pub(super) struct Recheck {
    /// The latest job that had its answer from an earlier run.
    pub(super) earlier: Option<Job>,
    /// The row of the job that is under way again.
    pub(super) under_way: Option<Seq>,
    /// It was requested at the end of the run, and is not requested another time.
    pub(super) is_last: bool,
    /// Retries are allowed, so that a request that changes something may be sent twice.
    pub(super) may_act_twice: bool,
}

impl Recheck {
    /// None is under way.
    pub(super) fn new(may_act_twice: bool) -> Self {
        Self { earlier: None, under_way: None, is_last: false, may_act_twice }
    }
}
