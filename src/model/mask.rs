//! Takes the values of `${NAME}` out of text that people will see.
//!
//! What is shown of a URL has no query and no user-info, but a variable may stand in the path
//! (`/bot${TOKEN}/…`), and a server may echo what it was sent. Whoever shows either passes it
//! through here.

use std::borrow::Cow;

use secrecy::{ExposeSecret, SecretString};

/// What stands in place of a secret.
const REDACTED: &str = "(redacted)";

/// The secrets of a run, raw and percent-encoded, for taking them out of text. Cheap where there are none.
#[derive(Debug, Clone, Default)]
pub struct Mask(Vec<SecretString>);

impl Mask {
    /// For these secrets; empty ones are left out.
    #[must_use]
    pub fn new(mut secrets: Vec<SecretString>) -> Self {
        // Longest first: a secret that holds another one must not leave its own ends behind.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose_secret().len()));
        secrets.retain(|secret| !secret.expose_secret().is_empty());
        Self(secrets)
    }

    /// The text with `(redacted)` in place of every secret.
    #[must_use]
    pub fn apply<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut out = Cow::Borrowed(text);
        for secret in &self.0 {
            if out.contains(secret.expose_secret()) {
                out = Cow::Owned(out.replace(secret.expose_secret(), REDACTED));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_taken_out_and_the_longer_goes_first() {
        let mask = Mask::new(vec!["can".into(), "canary".into(), "".into()]);
        assert_eq!(mask.apply("/bot-canary/x can"), "/bot-(redacted)/x (redacted)");
        assert!(matches!(mask.apply("nothing"), Cow::Borrowed("nothing")));
        assert!(!format!("{mask:?}").contains("can"));
    }
}
