//! Rows to jobs: which rows make a request, how their values are written into it, and which keys had one
//! before.
//!
//! The request is parsed once ([`RequestTemplate`]), bound to the columns of the input ([`BoundTemplate`]),
//! and then rendered for each row by the [`Planner`]. What is wrong with a template ends the run before the
//! first row. After that a row becomes a job, is a repeat of an earlier key, or is rejected with a reason.
//! Nothing here sends, waits or reads the environment: the caller passes the environment in.
//!
//! How templates are written:
//!
//! - `${NAME}` is an environment variable, with the same rules in URL, headers, body and proxy. One that is
//!   not set or empty is an error, and so is any other `${`. `${{text}}` is the text `${text}`.
//! - In the URL and in header values `{name}` is a column, and `{{` and `}}` are literal braces. A single
//!   brace is an error.
//! - In the body `{name}` is a column if the input has one of this name, and `{{name}}` is then the text
//!   `{name}`. All other braces are literal, since JSON and GraphQL are full of them (`body_braces`). A value
//!   is inserted once, escaped as the `Content-Type` of the body requires (`body_escape`), in UTF-8
//!   (`body_charset`). In JSON it is inside a string, or it is a number (`body_number`).
//! - In the URL a column may be in path and query, a variable also in the user-info; both are
//!   percent-encoded. User-info stays in the URL (the transport derives Basic authentication from it). A
//!   fragment is never sent, and is dropped.
//! - A name ends at the first `}`, so a column with a `}` in its name cannot be used.
//! - In the address of the proxy only variables are replaced: percent-encoded in its user-info, unchanged
//!   elsewhere.
//!
//! ```
//! use std::sync::Arc;
//!
//! use skufetch::testing::input::{InputSettings, Rows};
//! use skufetch::testing::plan::{Planned, Planner, RequestSettings, RequestTemplate};
//!
//! let csv = Box::new("sku,lang\n4711,de\n".as_bytes());
//! let mut rows = Rows::from_reader(csv, "example", &InputSettings::default())?;
//!
//! let url = "https://api.example.com/{lang}/products/{sku}".into();
//! let settings = RequestSettings { url, ..RequestSettings::default() };
//! let template = Arc::new(RequestTemplate::parse(&settings, &|_| None)?);
//! let mut planner = Planner::new(template.bind(rows.columns())?, [0; 16]);
//!
//! let row = rows.next_row()?.expect("the first row");
//! let Planned::Job(job) = planner.plan(row) else { panic!("a row that can be requested") };
//! assert_eq!(job.request.url.as_str(), "https://api.example.com/de/products/4711");
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod body;
mod body_braces;
mod body_charset;
mod body_escape;
mod body_number;
mod bulk_fault;
mod cells;
mod credential_name;
mod encode;
mod error;
mod fields;
mod fingerprint;
mod foreign_placeholder;
mod header;
mod item_checks;
mod lost_zeros;
mod message_text;
mod pack_request;
mod pack_template;
mod packer;
mod path_suspicion;
mod planned;
mod planner;
mod quoting_doubts;
mod rejection;
mod repeats;
mod request_settings;
mod request_template;
mod row_warnings;
mod secrets;
mod shown_query;
mod suspicious_keys;
mod template;
mod template_kind;
#[cfg(test)]
mod test_plan;
mod token_place;
mod token_request;
mod url_structure;
mod url_template;
mod user_info;
mod variable_fault;

#[cfg(test)]
mod laws;

pub use body_escape::BodyEscape;
pub(crate) use bulk_fault::BulkFault;
pub(crate) use error::CharsetSource;
pub use error::PlanError;
pub(crate) use fingerprint::fingerprint_of;
pub(crate) use lost_zeros::KeyLengths;
pub(crate) use pack_template::BulkSettings;
pub(crate) use packer::Packer;
pub use planned::Planned;
pub(crate) use planned::RejectedRow;
pub use planner::Planner;
pub(crate) use rejection::Rejection;
pub use request_settings::RequestSettings;
pub(crate) use request_template::BoundTemplate;
pub use request_template::RequestTemplate;
pub(crate) use row_warnings::RowWarnings;
#[cfg(test)]
pub(crate) use template::EnvLookup;
pub(crate) use template::{ITEMS, column_names};
pub(crate) use template_kind::TemplateKind;
pub(crate) use token_place::TOKEN;
pub(crate) use token_place::TokenPlace;
pub(crate) use token_request::{TokenRequestParts, TokenRequestTemplate, TokenTemplate};
