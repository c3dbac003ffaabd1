//! The arrays and objects that are open, as bits of one integer.

/// The deepest nesting that is followed.
pub(super) const LEVELS: u64 = 63;

/// The kinds of the open arrays and objects, where 1 is an object and 0 an array, or nothing.
#[derive(Clone, Copy, Default)]
pub(super) struct BracketStack {
    /// The kind of the innermost.
    pub(super) innermost: u64,
    /// The others, the innermost of them in the lowest bit.
    outer: u64,
    /// How many are open. Wraps where more are closed than were opened.
    depth: u64,
    /// All depths so far, combined with `|`: over [`LEVELS`] if one of them was.
    depths: u64,
    /// How often the last one that was open was closed, and the end of the bracket that did so last.
    closed: u32,
    end: usize,
    /// Whether a bracket closed what the other kind had opened.
    is_crossed: bool,
}

impl BracketStack {
    /// Reads the bracket `byte` at `at`. Gives 1 if what is inside is of another kind than what was.
    #[inline(always)]
    pub(super) fn bracket(&mut self, byte: u8, at: usize) -> u64 {
        // In ASCII the bit of 32 distinguishes braces from brackets, and that of 2 those that open.
        let kind = u64::from(byte) >> 5 & 1;
        let was = self.innermost;
        if byte & 2 != 0 {
            self.outer = self.outer << 1 | was;
            self.innermost = kind;
            self.depth = self.depth.wrapping_add(1);
        } else {
            self.is_crossed |= kind != was;
            self.innermost = self.outer & 1;
            self.outer >>= 1;
            self.depth = self.depth.wrapping_sub(1);
            if self.depth == 0 {
                self.closed += 1;
                self.end = at + 1;
            }
        }
        self.depths |= self.depth;
        was ^ self.innermost
    }

    /// Whether all brackets until now can be those of one document.
    #[inline(always)]
    pub(super) fn is_good(&self) -> bool {
        !self.is_crossed && self.depths <= LEVELS
    }

    /// Whether the document ended once, with the byte before `end`.
    #[inline(always)]
    pub(super) fn is_closed(&self, end: usize) -> bool {
        self.depth == 0 && self.closed == 1 && self.end == end
    }
}
