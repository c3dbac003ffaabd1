//! CSV outputs: the columns that the user named, what a row is made of, and the rows of the input until they are written.

pub(crate) mod cell;
pub(crate) mod column_list;
pub(crate) mod layout;
pub(crate) mod row_spool;
