//! Requests that ask for a body only if it changed.

use http::HeaderValue;
use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH};

use crate::collect::PreviousValue;
use crate::model::Job;

/// Sends the validators of the value that is known.
pub(super) fn make_conditional(job: &mut Job, known: &PreviousValue) {
    let mut set = |name, value: &Option<Box<str>>| {
        if let Some(value) = value.as_deref().and_then(|text| HeaderValue::from_str(text).ok()) {
            job.request.headers.insert(name, value);
        }
    };
    set(IF_NONE_MATCH, &known.validators.etag);
    set(IF_MODIFIED_SINCE, &known.validators.last_modified);
}
