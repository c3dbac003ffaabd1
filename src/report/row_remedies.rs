//! Options that help against rows which fail for their form.

use crate::model::counted;
use crate::model::option::{EMPTY_KEY, SHORT_ROWS};

/// A sentence for each kind of such rows: `keyless` ones without a SKU, and `short` ones with fewer cells than the
/// header.
pub(crate) fn row_remedies(keyless: u64, short: u64) -> Vec<String> {
    let mut remedies = Vec::new();
    if keyless > 0 {
        let rows = counted(keyless, "row has no SKU", "rows have no SKU");
        remedies.push(format!("{rows}: {EMPTY_KEY} skip leaves such rows out"));
    }
    if short > 0 {
        let rows =
            counted(short, "row has fewer cells than the header", "rows have fewer cells than the header");
        remedies.push(format!("{rows}: {SHORT_ROWS} pad takes the missing cells for empty ones"));
    }
    remedies
}
