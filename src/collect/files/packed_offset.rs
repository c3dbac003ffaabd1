//! A file offset that needs no padding.

/// An offset in a file, in bytes, aligned to 4 bytes instead of 8: a record of an index that has 24 or 32 bytes with it
/// would have 8 more with a `u64`. Ordered like the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PackedOffset {
    // The order of the fields is the order of the type.
    high: u32,
    low: u32,
}

impl PackedOffset {
    /// The first byte of the file.
    pub(crate) const ZERO: Self = Self::new(0);

    #[allow(clippy::cast_possible_truncation, reason = "each takes its own 32 bits")]
    pub(crate) const fn new(offset: u64) -> Self {
        Self { high: (offset >> 32) as u32, low: offset as u32 }
    }

    /// The offset in bytes.
    pub(crate) const fn get(self) -> u64 {
        (self.high as u64) << 32 | self.low as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_reads_back_and_keeps_its_order() {
        let offsets = [0, 1, u64::from(u32::MAX), 1 << 32, (7 << 32) | 3, u64::MAX];
        let packed = offsets.map(PackedOffset::new);
        assert_eq!(packed.map(PackedOffset::get), offsets);
        assert!(packed.is_sorted() && packed[0] == PackedOffset::ZERO);
    }

    #[test]
    fn it_adds_no_padding_to_words_of_four_bytes() {
        assert_eq!(size_of::<([u32; 3], PackedOffset, u32)>(), 24);
    }
}
