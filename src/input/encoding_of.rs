//! The encoding of an input: as the user says, or UTF-8, or UTF-16 where the bytes leave no doubt.

use crate::input::error::InputError;
use crate::input::source::InputSource;
use crate::input::text_encoding::TextEncoding;

/// Bytes that show the pattern of UTF-16, at most and, where the first line is shorter, at least.
const PATTERN: usize = 1_000;
const LEAST_PATTERN: usize = 8;
/// Bytes of a first line that are looked at.
const LINE: usize = 1 << 20;

const LE: TextEncoding = TextEncoding::UTF_16LE;
const BE: TextEncoding = TextEncoding::UTF_16BE;

#[derive(Clone, Copy)]
enum EncodingMark {
    Text(TextEncoding),
    Utf32,
}

const MARKS: &[(&[u16], EncodingMark)] = &[
    (&[0xef, 0xbb, 0xbf], EncodingMark::Text(TextEncoding::UTF_8)),
    (&[0xff, 0xfe], EncodingMark::Text(LE)),
    (&[0xfe, 0xff], EncodingMark::Text(BE)),
    (&[0xff, 0xfe, 0, 0], EncodingMark::Utf32),
    (&[0, 0, 0xfe, 0xff], EncodingMark::Utf32),
];

/// Decodes the input from here on. Gives its encoding, and whether it begins with a mark.
///
/// # Errors
/// UTF-32, binary data, and a mark of UTF-16 where another encoding is given.
pub(super) fn decoded(
    mut source: InputSource,
    given: Option<TextEncoding>,
) -> Result<(InputSource, TextEncoding, bool), InputError> {
    let mark = source.signature(MARKS)?;
    let encoding = match (mark, given) {
        (Some(EncodingMark::Utf32), _) => return Err(refused(&source, "UTF-32", "UTF-32")),
        (Some(EncodingMark::Text(marked)), Some(given)) if marked.is_utf16() && !given.allows(marked) => {
            return Err(InputError::OtherEncoding {
                at: source.location().clone(),
                given: given.name(),
                marked: marked.name(),
            });
        }
        (Some(EncodingMark::Text(marked)), _) => marked,
        (None, Some(given)) => given,
        (None, None) => by_pattern(&mut source)?,
    };
    if mark.is_some() {
        source.skip(encoding.mark().len());
    }
    let mut source = if encoding.is_utf8() { source } else { source.decode(encoding) };
    // Concatenated exports have several marks. The csv crate would skip one, and only if it arrived in a single read.
    drop_marks(&mut source)?;
    Ok((source, encoding, mark.is_some()))
}

/// Skips every mark of decoded text.
pub(super) fn drop_marks(source: &mut InputSource) -> Result<(), InputError> {
    while source.signature(&MARKS[..1])?.is_some() {
        source.skip(TextEncoding::UTF_8.mark().len());
    }
    Ok(())
}

/// The name of ISO-2022-JP where a text has its escape sequences: its bytes are ASCII, and would be read as UTF-8.
pub(super) fn escaped_encoding(text: &[u8]) -> Option<&'static str> {
    const ESCAPES: [&[u8]; 4] = [b"$B", b"$@", b"(J", b"(I"];
    let is_escape = |at: usize| ESCAPES.iter().any(|escape| text[at + 1..].starts_with(escape));
    memchr::memchr_iter(0x1b, text).any(is_escape).then_some("ISO-2022-JP")
}

/// UTF-16 where every second byte of the first line is zero. Only that line decides, so that the answer does not depend
/// on how many bytes a read returns, and nothing is waited for that the header does not need.
fn by_pattern(source: &mut InputSource) -> Result<TextEncoding, InputError> {
    while !ends_a_line(source.seen()) && source.see_more()? {}
    let line = line_len(source.seen());
    if !source.seen()[..line].contains(&0) {
        return Ok(TextEncoding::UTF_8);
    }
    while source.seen().len() < LEAST_PATTERN && source.see_more()? {}
    let seen = &source.seen()[..line.max(source.seen().len().min(LEAST_PATTERN)).min(PATTERN)];
    let pairs = &seen[..seen.len() & !1];
    let zeros = |parity| pairs.iter().skip(parity).step_by(2).filter(|&&byte| byte == 0).count();
    // In UTF-32 the others are zeros too, half of them.
    let is_wide = |parity| zeros(parity) * 2 == pairs.len() && zeros(1 - parity) * 20 <= pairs.len();
    match (pairs.len() >= 4, is_wide(0), is_wide(1)) {
        (true, true, _) => Ok(BE),
        (true, false, true) => Ok(LE),
        _ => refuse_wide(source, seen, line).map(|()| TextEncoding::UTF_8),
    }
}

fn ends_a_line(seen: &[u8]) -> bool {
    seen.len() >= LINE || line_end(seen).is_some()
}

/// Bytes of the first line with its end.
fn line_len(seen: &[u8]) -> usize {
    line_end(seen).map_or(seen.len(), |at| at + 1).min(LINE)
}

fn line_end(seen: &[u8]) -> Option<usize> {
    memchr::memchr2(b'\n', b'\r', seen)
}

/// Rejects what else has many zeros in its first line: UTF-16 with other characters than Latin ones, UTF-32, binary
/// data. In UTF-8, NUL is a control character that hardly occurs. The limit of 2 in 5 bytes is below the half of
/// UTF-16, and above what one unusual cell can reach.
fn refuse_wide(source: &InputSource, seen: &[u8], line: usize) -> Result<(), InputError> {
    // The higher bytes of Latin, Greek, Cyrillic, Hebrew and Arabic letters, and of signs.
    let are_high = |parity: usize| {
        let mut high = seen.iter().skip(parity).step_by(2);
        let low = seen.iter().skip(1 - parity).step_by(2);
        // In UTF-32 half of the lower bytes are zeros too.
        let zeros = low.filter(|&&byte| byte == 0).count();
        seen.len() >= 4 && zeros * 10 <= seen.len() && high.all(|byte| matches!(byte, 0..=6 | 0x1e..=0x21))
    };
    if are_high(0) != are_high(1) {
        let likely = if are_high(0) { BE } else { LE };
        return Err(InputError::LikelyEncoding { at: source.location().clone(), likely: likely.name() });
    }
    let line = &source.seen()[..line];
    let nul = |parity: usize| line.iter().skip(parity).step_by(2).filter(|&&byte| byte == 0).count();
    let (even, odd) = (nul(0), nul(1));
    if (even + odd) * 5 < line.len() * 2 {
        return Ok(());
    }
    if even.min(odd) * 3 > even.max(odd) {
        return Err(refused(source, "UTF-32 or binary data", "UTF-32LE"));
    }
    let likely = if even > odd { BE } else { LE };
    Err(InputError::LikelyEncoding { at: source.location().clone(), likely: likely.name() })
}

fn refused(source: &InputSource, encoding: &'static str, iconv: &'static str) -> InputError {
    InputError::Encoding { at: source.location().clone(), encoding, iconv }
}
