//! The SKU as it is in the output: valid once parsed, and never empty.

use std::fmt;

/// The key of one entry in the output. Text as in the CSV: leading zeros, case and spaces are kept.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Box<str>);

/// Why a cell cannot be a [`Key`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The cell is empty.
    #[error("the key is empty")]
    Empty,
    /// The cell is not UTF-8.
    #[error("the key is not valid UTF-8")]
    NotUtf8,
}

impl Key {
    /// Parses a CSV cell as a key.
    ///
    /// ```
    /// use skufetch::testing::model::Key;
    ///
    /// assert_eq!(Key::parse(b"007 b").unwrap().as_str(), "007 b");
    /// assert!(Key::parse(b"").is_err());
    /// ```
    ///
    /// # Errors
    /// An empty cell, or bytes that are not UTF-8.
    pub fn parse(cell: &[u8]) -> Result<Self, KeyError> {
        match std::str::from_utf8(cell) {
            Ok("") => Err(KeyError::Empty),
            Ok(text) => Ok(Self(text.into())),
            Err(_) => Err(KeyError::NotUtf8),
        }
    }

    /// The key's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_text_and_never_empty() {
        assert_eq!(Key::parse(b"").unwrap_err(), KeyError::Empty);
        assert_eq!(Key::parse(b"\xff").unwrap_err(), KeyError::NotUtf8);
        assert_eq!(Key::parse(b"007 b").unwrap().as_str(), "007 b");
    }
}
