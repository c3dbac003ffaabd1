//! Memory for large buffers that is given back when they are done with.
//!
//! The system's allocator (glibc) takes large buffers from the system one by one, and gives them back one
//! by one. But with each that it gives back it takes that size for usual, and from then on keeps what is
//! that large in its heap, full of holes: a few bodies of 10 MiB cost 100 MiB that way. Sizes beyond
//! 32 MiB it never gets used to. So a large buffer asks for as much at once: what is not written to
//! costs no memory, only address space.

/// What glibc never keeps: `DEFAULT_MMAP_THRESHOLD_MAX` on 64 bits, and a page for its own use.
const GIVEN_BACK: usize = (32 << 20) + 4096;

/// From here on a buffer counts as large.
const LARGE: usize = 1 << 20;

/// The capacity to ask for where so many bytes will be needed.
#[must_use]
pub fn capacity(length: usize) -> usize {
    if length < LARGE { length } else { length.max(GIVEN_BACK) }
}

/// Makes room for more bytes at the end of the buffer.
pub fn grow(buffer: &mut Vec<u8>, more: usize) {
    let needed = buffer.len().saturating_add(more);
    if needed >= LARGE && needed > buffer.capacity() {
        // Past the first large size, doubling: a body may have gigabytes.
        let whole = needed.max(buffer.capacity().saturating_mul(2)).max(GIVEN_BACK);
        buffer.reserve_exact(whole - buffer.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_buffer_grows_as_usual_and_a_large_one_past_what_the_allocator_keeps() {
        assert_eq!((capacity(1000), capacity(LARGE)), (1000, GIVEN_BACK));
        assert_eq!(capacity(GIVEN_BACK + 1), GIVEN_BACK + 1);
        let mut buffer = vec![0; 1000];
        let before = buffer.capacity();
        grow(&mut buffer, 1000);
        assert_eq!(buffer.capacity(), before);
        grow(&mut buffer, LARGE);
        assert_eq!(buffer.capacity(), GIVEN_BACK);
        grow(&mut buffer, GIVEN_BACK);
        assert_eq!(buffer.capacity(), 2 * GIVEN_BACK);
    }
}
