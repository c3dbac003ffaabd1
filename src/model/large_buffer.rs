//! Sizes of large buffers whose memory the allocator returns to the system.
//!
//! The allocator of glibc maps large buffers one by one, and unmaps them one by one. But with each one that
//! it unmaps, it raises its threshold to that size, and from then on keeps buffers of that size in its
//! fragmented heap: a few bodies of 10 MiB cost 100 MiB that way. The threshold never exceeds 32 MiB. So a
//! large buffer reserves that much at once: pages that are never written need no memory, only address space.

/// The size that glibc always unmaps: `DEFAULT_MMAP_THRESHOLD_MAX` on 64 bits, and a page for its own use.
const GIVEN_BACK: usize = (32 << 20) + 4096;

/// From this size on a buffer is large.
const LARGE: usize = 1 << 20;

/// The capacity to reserve for this many bytes.
#[must_use]
pub(crate) fn capacity(length: usize) -> usize {
    if length < LARGE { length } else { length.max(GIVEN_BACK) }
}

/// Reserves room for more bytes at the end of the buffer.
pub(crate) fn grow(buffer: &mut Vec<u8>, more: usize) {
    let needed = buffer.len().saturating_add(more);
    if needed >= LARGE && needed > buffer.capacity() {
        // Beyond the first large size, doubling: a body may have gigabytes.
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
