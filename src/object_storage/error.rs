//! Why an operation on an object failed.

use object_store::Error;

use crate::model::ObjectAddress;

/// Characters of a reason: servers answer with whole documents.
const REASON_CHARS: usize = 300;

/// What kind of failure it is, as far as it decides what the run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreErrorKind {
    /// There is no such object, or no such bucket.
    NotFound,
    /// The store refuses the credentials, or there are none.
    Denied,
    /// The object is not the one that it should be.
    Changed,
    /// Another run holds the lock.
    Locked,
    /// The store cannot do what is needed.
    Unsupported,
    /// A file of this machine cannot be read or written.
    File,
    /// The run was stopped meanwhile.
    Stopped,
    /// The store does not answer, or answers with an error.
    Unavailable,
}

/// Why an operation on an object failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{address}: {why}")]
pub(crate) struct StoreError {
    pub(crate) kind: StoreErrorKind,
    pub(super) address: ObjectAddress,
    pub(super) why: String,
}

impl StoreError {
    pub(crate) fn new(kind: StoreErrorKind, address: &ObjectAddress, why: impl Into<String>) -> Self {
        Self { kind, address: address.clone(), why: why.into() }
    }

    /// For `map_err`: work on a file of this machine that failed.
    pub(crate) fn file(address: &ObjectAddress) -> impl Fn(std::io::Error) -> Self + '_ {
        move |error| Self::new(StoreErrorKind::File, address, format!("the file of this machine: {error}"))
    }

    /// For `map_err`: what the crate says of an operation. `has_credentials`: some were found without asking anybody.
    pub(super) fn of(address: &ObjectAddress, has_credentials: bool) -> impl Fn(Error) -> Self + '_ {
        move |error| {
            let kind = match &error {
                Error::NotFound { .. } => StoreErrorKind::NotFound,
                Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => StoreErrorKind::Denied,
                Error::Precondition { .. } | Error::AlreadyExists { .. } | Error::NotModified { .. } => {
                    StoreErrorKind::Changed
                }
                Error::NotSupported { .. } | Error::NotImplemented { .. } => StoreErrorKind::Unsupported,
                // Whoever was asked for credentials did not give any.
                Error::Generic { .. } if !has_credentials => StoreErrorKind::Denied,
                _ => StoreErrorKind::Unavailable,
            };
            let why = match kind {
                StoreErrorKind::NotFound if text_of(&error).contains("NoSuchBucket") => {
                    "there is no such bucket".into()
                }
                StoreErrorKind::NotFound => "there is no such object".into(),
                StoreErrorKind::Denied if !has_credentials => {
                    format!("no credentials were found for it ({})", text_of(&error))
                }
                _ => text_of(&error),
            };
            Self::new(kind, address, why)
        }
    }
}

/// The innermost cause has what the server said; the words around it repeat the address, in some cases with a signature.
fn text_of(error: &Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(next) = innermost.source() {
        innermost = next;
    }
    let text: String =
        innermost.to_string().chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
    let text = without_queries(&text);
    match text.char_indices().nth(REASON_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Queries of addresses hold signatures.
fn without_queries(text: &str) -> String {
    let shown = |word: &str| match word.split_once('?') {
        Some((before, _)) if before.contains("://") => format!("{before}?…"),
        _ => word.to_owned(),
    };
    text.split(' ').map(shown).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_short_and_shows_no_signature() {
        let address = ObjectAddress::parse(std::path::Path::new("s3://b/k")).unwrap().unwrap();
        let of = |text: String| {
            let error = Error::Generic { store: "S3", source: text.into() };
            StoreError::of(&address, true)(error).to_string()
        };
        let text = of("GET https://b.s3.example/k?X-Amz-Signature=abc failed\nthen more".into());
        assert_eq!(text, "s3://b/k: GET https://b.s3.example/k?… failed then more");
        assert!(of("x".repeat(5_000)).len() < 400);
    }
}
