//! Salts: 16 random bytes that key checksums and fingerprints, and their form in a header line.

use crate::collect::files::checksum::hex;
use crate::model::Fingerprint;

/// 16 bytes that no other journal has.
pub(crate) fn random_salt() -> [u8; 16] {
    // The standard library's hasher is seeded by the system's random numbers.
    let half = || u128::from(std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0));
    (half() << 64 | half()).to_be_bytes()
}

/// 16 bytes as hex digits.
pub(crate) fn salt_to_hex(bytes: [u8; 16]) -> String {
    Fingerprint(u128::from_be_bytes(bytes)).to_string()
}

/// The 16 bytes of hex digits.
pub(crate) fn salt_from_hex(text: &str) -> Option<[u8; 16]> {
    (text.len() == 32).then(|| hex(text.as_bytes())).flatten().map(u128::to_be_bytes)
}
