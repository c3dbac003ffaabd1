//! A job that several processes share: which rows are one process's own, and the name of the job's run.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The most shards of a job: their numbers have five digits in the names of files.
pub(crate) const MOST_SHARDS: u32 = 99_999;

/// The share of one process: number `index`, from 0, of `count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shard {
    /// Its number, less than `count`.
    pub index: u32,
    /// How many there are, at least one.
    pub count: u32,
}

impl Shard {
    /// Whether a row with this key is its own.
    #[must_use]
    pub(crate) fn owns_key(self, key: &str) -> bool {
        owner_of(key, self.count) == self.index
    }

    /// Whether the row of this number, which has no key, is its own.
    #[must_use]
    pub(crate) fn owns_seq(self, seq: u32) -> bool {
        seq % self.count == self.index
    }
}

/// The number of the shard that a key belongs to: the CRC-32 (IEEE, as in gzip) of its UTF-8, modulo the number of shards.
#[must_use]
pub(crate) fn owner_of(key: &str, count: u32) -> u32 {
    crc32fast::hash(key.as_bytes()) % count
}

/// `3/16`.
impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

/// The name of one run of a sharded job, by which its parts are found: 1 to 64 of `A-Z a-z 0-9 . _ -`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

/// Why a text is no [`RunId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no name of a run: write 1 to 64 of A-Z a-z 0-9 . _ -, and neither . nor ..")]
pub struct NoRunId;

impl RunId {
    /// Its text, which is the name of a folder.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RunId {
    type Error = NoRunId;

    fn try_from(text: String) -> Result<Self, NoRunId> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if (1..=64).contains(&text.len()) && is_plain && text != "." && text != ".." {
            Ok(Self(text))
        } else {
            Err(NoRunId)
        }
    }
}

impl FromStr for RunId {
    type Err = NoRunId;

    fn from_str(text: &str) -> Result<Self, NoRunId> {
        text.to_owned().try_into()
    }
}

impl From<RunId> for String {
    fn from(run: RunId) -> Self {
        run.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The CRC-32 of RFC 1952, bit by bit.
    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)))
        })
    }

    #[test]
    fn the_owner_is_that_of_zlib() {
        // python3 -c 'import zlib; print(zlib.crc32("KEY".encode()) % N)'
        for (key, crc) in [
            ("a", 3_904_355_907),
            ("0042", 2_264_490_074),
            ("4711", 3_903_472_759),
            ("SKU-000123", 2_092_666_963),
            ("Gr\u{f6}\u{df}e 7", 2_874_831_468),
            ("\u{1f6d2}", 3_722_024_911),
        ] {
            assert_eq!(crc32(key.as_bytes()), crc, "{key}");
            for count in [1, 2, 3, 7, 16, 64, 1000, MOST_SHARDS] {
                assert_eq!(owner_of(key, count), crc % count, "{key} of {count}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        #[test]
        fn a_key_belongs_to_one_shard_and_it_is_the_same_as_everywhere(key in "\\PC{1,20}", count in 1..=MOST_SHARDS) {
            let owner = owner_of(&key, count);
            prop_assert_eq!(owner, crc32(key.as_bytes()) % count);
            let is_own = |index| Shard { index, count }.owns_key(&key);
            prop_assert!(is_own(owner) && (count == 1 || !is_own((owner + 1) % count)));
        }
    }

    #[test]
    fn a_name_of_a_run_is_the_name_of_a_folder() {
        for good in ["1", "2026-11-29", "a.b_C-3", "...", &"x".repeat(64)] {
            assert_eq!(good.parse::<RunId>().unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "a/b", "a b", "\u{e9}", "a\n", &"x".repeat(65)] {
            assert!(bad.parse::<RunId>().is_err(), "{bad:?}");
        }
    }
}
