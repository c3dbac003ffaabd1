//! The parts of a sharded job: each has the rows of one shard, and is published in one step.

pub(crate) mod fault;
pub(crate) mod line;
pub(crate) mod names;
pub(crate) mod reader;
pub(crate) mod set;
pub(crate) mod trailer;
