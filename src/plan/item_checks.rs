//! Whether the place of a pack's keys in a request can be used.

use crate::input::Columns;
use crate::plan::body::BoundBody;
use crate::plan::error::{BulkFault, PlanError};
use crate::plan::header::BoundHeaders;
use crate::plan::url_template::BoundUrl;

/// `{items}` stands in one place, the item names a column, and the key is not needed elsewhere.
pub(super) fn check_items(
    (url, body, headers): (&BoundUrl, Option<&BoundBody>, &BoundHeaders),
    columns: &Columns,
) -> Result<(), PlanError> {
    let fault = match (url.has_items(), body.is_some_and(BoundBody::has_items)) {
        (false, false) => BulkFault::NoItems,
        (true, true) => BulkFault::Twice,
        _ => {
            let in_body = || body.into_iter();
            let mut beside: Vec<usize> = url.columns_beside_items().chain(headers.columns()).collect();
            beside.extend(in_body().flat_map(BoundBody::columns_beside_items));
            let all = url.columns().chain(headers.columns()).chain(in_body().flat_map(BoundBody::columns));
            if beside.contains(&columns.key) {
                BulkFault::KeyBeside
            } else if all.count() == beside.len() {
                BulkFault::Constant
            } else {
                return Ok(());
            }
        }
    };
    Err(PlanError::Bulk(fault))
}
