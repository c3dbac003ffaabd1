//! What earlier, completed runs left: the old output, measured and indexed, and its state file.

pub(crate) mod baseline;
pub(crate) mod key_hash;
pub(crate) mod line_window;
pub(crate) mod members;
pub(crate) mod old_output;
pub(crate) mod own_line;
pub(crate) mod plain_text;
pub(crate) mod previous_run;
pub(crate) mod profile;
pub(crate) mod state;
pub(crate) mod stored;
pub(crate) mod stored_sku;
pub(crate) mod stored_table;
pub(crate) mod value;
