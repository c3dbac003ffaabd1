//! Keyed hashes of keys, by which the old output's values are found.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::collect::files::salt::random_salt;

/// A hash of a key, in pieces that pack: 96 bits, of which two of ten million keys share one with a chance of one
/// in 10^15.
pub(crate) type KeyHash = [u32; 3];

/// Hashes keys for one run.
#[derive(Debug, Clone)]
pub(crate) struct KeyHasher(SipHasher13);

impl KeyHasher {
    /// A hasher that no one outside this process can predict.
    pub(crate) fn random() -> Self {
        Self(SipHasher13::new_with_key(&random_salt()))
    }

    /// The hash of a key's text.
    pub(crate) fn hash(&self, key: &str) -> KeyHash {
        let mut hasher = self.0;
        hasher.write(key.as_bytes());
        let hash = hasher.finish128();
        let half = |value: u64| [(value >> 32) as u32, (value & 0xffff_ffff) as u32];
        let ([a, b], [c, _]) = (half(hash.h1), half(hash.h2));
        [a, b, c]
    }
}
