//! What may be wrong with the place of a pack's keys in a request.

use crate::model::option::{BULK, ITEM};
use crate::plan::template_kind::TemplateKind;

/// What is wrong with `{items}`, the place of a pack's keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BulkFault {
    /// Keys are to be packed, and no template has `{items}`.
    #[error("{BULK} packs SKUs into one request, and neither the URL nor the body has {{items}}")]
    NoItems,
    /// A template has `{items}`, and nothing is packed.
    #[error("{0} has {{items}}, the place of a pack's SKUs, and {BULK} is not given")]
    NoBulk(TemplateKind),
    /// `{items}` is in a header.
    #[error("{0} has {{items}}, which may be used in the URL or in the body only")]
    InHeader(TemplateKind),
    /// There are two of them.
    #[error("{{items}} may be used once in a request")]
    Twice,
    /// The key column stands in the request beside `{items}`.
    #[error(
        "the request of a pack has the key column outside {{items}}, where there is room for one SKU only"
    )]
    KeyBeside,
    /// The item names no key.
    #[error("the item has no column: every SKU of a pack would have the same text")]
    Constant,
}

impl BulkFault {
    pub(super) fn hint(&self) -> String {
        match self {
            Self::NoItems => {
                format!(
                    "write {{items}} where the SKUs belong, as in 'https://api.example.com/products?ids={{items}}'; or leave {BULK} out"
                )
            }
            Self::NoBulk(_) => {
                format!("add {BULK} with the most SKUs that one request may have, such as {BULK} 100")
            }
            Self::InHeader(_) => {
                format!("leave it out of the header; with {BULK} it is replaced in the URL and the body")
            }
            Self::Twice => "leave one of them out".into(),
            Self::KeyBeside => {
                format!(
                    "put what each SKU needs into {ITEM}, such as {ITEM} 'sku:{{sku}}', and {{items}} in its place; {{{{sku}}}} means the text {{sku}}, as GraphQL needs it"
                )
            }
            Self::Constant => format!("put the column into {ITEM}, such as {ITEM} '{{sku}}'"),
        }
    }
}
