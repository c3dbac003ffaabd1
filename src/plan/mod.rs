//! Rows to jobs: what may be asked for, how it is written into a request, and what was asked before.
//!
//! A template is parsed and bound to the columns once, before the first row; a placeholder that leads
//! nowhere ends the run there and then. After that a row can only become a job, be a repeat of an
//! earlier job's key, or be refused with a reason. Nothing here sends, waits or reads the
//! environment: the caller passes the environment in.
//!
//! How templates are written:
//!
//! - `${NAME}` is an environment variable, with the same rules in URL, headers, body and proxy: one that is not
//!   set or empty is an error, and so is a `${` that begins nothing else. `${{text}}` is the text `${text}`.
//! - In the URL and in header values `{name}` is a column; `{{` and `}}` stand for the braces themselves. A
//!   lone brace is an error.
//! - In the body `{name}` is a column where there is one of this name, and `{{name}}` is then the text
//!   `{name}`; JSON and GraphQL are full of braces, so all others stand, doubled or not. A value is inserted
//!   once, and escaped as the body's `Content-Type` needs it (`body_escape`), in UTF-8 (`body_charset`). In JSON it stands in a string, or it is a number
//!   (`body_number`).
//! - In the URL a column may stand in path and query, a variable also in the user-info; both are
//!   percent-encoded. User-info stays in the URL (the transport makes Basic authorisation of it). A
//!   fragment never leaves for a server and is dropped.
//! - A name ends at the first `}`, so that a column with a `}` in its name cannot be asked for.
//! - In the proxy's address only variables are replaced: in its user-info percent-encoded, elsewhere as they are.

mod body;
mod body_braces;
mod body_charset;
mod body_escape;
mod body_number;
mod cells;
mod encode;
mod error;
mod fingerprint;
mod header;
mod lost_zeros;
mod message_text;
mod planned;
mod planner;
mod rejection;
mod repeats;
mod request_template;
mod secrets;
mod shown_query;
mod suspicious_keys;
mod template;
mod url_structure;
mod url_template;
mod user_info;

#[cfg(test)]
mod laws;

pub use body_escape::BodyEscape;
pub use error::{CharsetSource, HeaderFault, PlanError, SyntaxFault, TemplateKind, UrlFault, VariableFault};
pub use fingerprint::RequestIdentity;
pub use lost_zeros::{KeyLengths, LostZeros};
pub use planned::{Planned, RejectedRow};
pub use planner::Planner;
pub use rejection::Rejection;
pub use request_template::{BoundTemplate, RequestSettings, RequestTemplate};
pub use suspicious_keys::{KeyWarning, Suspicion};
pub use template::EnvLookup;
