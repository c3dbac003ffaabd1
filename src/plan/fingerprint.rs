//! Keyed hashes of a key, of a request and of a job.
//!
//! SipHash-2-4 with 128 bits (Aumasson and Bernstein), keyed by the salt of the run: the author of a CSV
//! cannot make two keys collide, and the reader of a journal cannot test values without its salt. The hashed
//! bytes are part of the journal format: see the golden test.

use std::fmt;
use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};

use crate::model::Fingerprint;

/// Identifies the job, for its journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestIdentity {
    /// A hash of method, URL template, body template, key column and header lines, all as written. It does
    /// not contain the value of a `${NAME}`, nor a constant header that holds a credential (`Authorization`,
    /// `Cookie`, `X-Api-Key` and the like), nor the `User-Agent`: a run with a new token continues the old
    /// journal.
    pub digest: u128,
    /// The method, and the URL template up to `?` without user-info, for messages.
    pub shown: String,
}

impl fmt::Display for RequestIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// A hash of one field after another. The length of each comes first (64 bits, little endian), so that no two
/// lists of fields hash the same bytes.
#[derive(Clone, Copy)]
pub(super) struct FieldHasher(SipHasher24);

impl FieldHasher {
    pub(super) fn new(salt: [u8; 16]) -> Self {
        Self(SipHasher24::new_with_key(&salt))
    }

    /// Adds a field.
    pub(super) fn with(mut self, field: &[u8]) -> Self {
        self.0.write(&(field.len() as u64).to_le_bytes());
        self.0.write(field);
        self
    }

    pub(super) fn finish(self) -> u128 {
        self.0.finish128().into()
    }

    pub(super) fn fingerprint(self) -> Fingerprint {
        Fingerprint(self.finish())
    }
}

/// The fingerprint that a job has under this salt: of its key, and of the cells that its request uses, in their order.
pub(crate) fn fingerprint_of(salt: [u8; 16], fields: &[&[u8]]) -> Fingerprint {
    fields.iter().fold(FieldHasher::new(salt), |hasher, field| hasher.with(field)).fingerprint()
}

/// Shows no state: it contains the salt.
impl fmt::Debug for FieldHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FieldHasher")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The authors' key 00 01 … 0f.
    fn salt() -> [u8; 16] {
        std::array::from_fn(|i| u8::try_from(i).unwrap())
    }

    #[test]
    fn the_hash_is_the_authors_siphash_2_4_128() {
        // First row of vectors_sip128 in the reference implementation.
        let empty = FieldHasher::new(salt()).finish().to_le_bytes();
        assert_eq!(empty, 0xa381_7f04_ba25_a8e6_6df6_7214_c755_0293_u128.to_be_bytes());
    }

    #[test]
    fn a_fingerprint_never_changes_from_version_to_version() {
        let print = FieldHasher::new(salt()).with(b"007 b").with("é".as_bytes()).with(b"");
        assert_eq!(print.fingerprint().to_string(), "97d7c0cbc487daa989748fa07b5a86cf");
    }

    #[test]
    fn fields_do_not_run_into_each_other() {
        let print = FieldHasher::new(salt());
        assert_ne!(print.with(b"ab").with(b"c").finish(), print.with(b"a").with(b"bc").finish());
        assert_ne!(print.with(b"").finish(), print.finish());
        assert_ne!(print.with(b"a").finish(), FieldHasher::new([0; 16]).with(b"a").finish());
    }
}
