//! Encoding, `sep=` line and delimiter of a file, derived from its first line.

use crate::input::error::InputError;
use crate::input::source::InputSource;

/// The delimiters that are detected. The earlier one is preferred if the first line has as many of both.
const GUESSED: [u8; 4] = [b',', b';', b'\t', b'|'];

/// The bytes of a first line that are used to detect its delimiter. A longer header is read all the same.
const PROBE_CAP: usize = 1 << 20;

/// Where the records begin and what separates their cells.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    pub(super) delimiter: u8,
    /// The physical line of the first byte that is not consumed.
    pub(super) line: u64,
    /// The byte before that one is a carriage return.
    pub(super) after_cr: bool,
}

/// Whether a byte can be a delimiter: an ASCII character other than a quote, a line end or NUL.
#[must_use]
pub fn may_delimit(byte: u8) -> bool {
    byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n' | 0)
}

/// Reads the first line, and skips byte-order marks and a `sep=` line.
pub(super) fn read_dialect(source: &mut InputSource, wanted: Option<u8>) -> Result<Dialect, InputError> {
    if let Some(byte) = wanted.filter(|&byte| !may_delimit(byte)) {
        return Err(InputError::Delimiter { at: source.location().clone(), delimiter: char::from(byte) });
    }
    drop_marks(source)?;
    let wanted_only = wanted.map(|byte| [byte]);
    let (delimiter, length) = probe(source, wanted_only.as_ref().map_or(&GUESSED[..], |only| &only[..]))?;
    refuse_wide(source, length)?;
    let mut dialect = Dialect { delimiter, line: 1, after_cr: false };
    if let Some((delimiter, end)) = sep_line(source.seen()) {
        dialect.delimiter = wanted.unwrap_or(delimiter);
        dialect.after_cr = source.seen().get(end) == Some(&b'\r');
        dialect.line = 2;
        source.skip(source.seen().len().min(end + 1));
        drop_marks(source)?;
    }
    Ok(dialect)
}

#[derive(Clone, Copy)]
enum ByteOrder {
    Utf8,
    Wide(&'static str, &'static str),
}

const MARKS: &[(&[u16], ByteOrder)] = &[
    (&[0xef, 0xbb, 0xbf], ByteOrder::Utf8),
    (&[0xff, 0xfe], ByteOrder::Wide("UTF-16", "UTF-16")),
    (&[0xfe, 0xff], ByteOrder::Wide("UTF-16", "UTF-16")),
    (&[0xff, 0xfe, 0, 0], ByteOrder::Wide("UTF-32", "UTF-32")),
    (&[0, 0, 0xfe, 0xff], ByteOrder::Wide("UTF-32", "UTF-32")),
];

/// Skips every byte-order mark at the start (concatenated exports have several). The csv crate would skip
/// one, and only if it arrived in a single read.
fn drop_marks(source: &mut InputSource) -> Result<(), InputError> {
    while let Some(order) = source.signature(MARKS)? {
        match order {
            ByteOrder::Utf8 => source.skip(3),
            ByteOrder::Wide(encoding, iconv) => {
                return Err(InputError::Encoding { at: source.location().clone(), encoding, iconv });
            }
        }
    }
    Ok(())
}

/// Counts the delimiters in the first line. Gives the most frequent one, and the length of the line.
fn probe(source: &mut InputSource, candidates: &[u8]) -> Result<(u8, usize), InputError> {
    let mut first_line = FirstLine::new(candidates);
    let mut at = 0;
    while at < PROBE_CAP {
        let Some(&byte) = source.seen().get(at) else {
            if source.see_more()? {
                continue;
            }
            break;
        };
        first_line.take(byte);
        if first_line.state == FirstLineState::Over {
            break;
        }
        at += 1;
    }
    Ok((first_line.most(), at))
}

/// Rejects UTF-16 and UTF-32 without a byte-order mark: most of their characters contain a NUL byte. In
/// UTF-8, NUL is a control character that hardly occurs. The limit of 2 in 5 bytes is below the half of
/// UTF-16, and above what one unusual cell can reach.
fn refuse_wide(source: &InputSource, length: usize) -> Result<(), InputError> {
    let line = &source.seen()[..length];
    let nul = |parity: usize| line.iter().skip(parity).step_by(2).filter(|&&byte| byte == 0).count();
    let (even, odd) = (nul(0), nul(1));
    if even + odd == 0 || (even + odd) * 5 < line.len() * 2 {
        return Ok(());
    }
    let (encoding, iconv) = match (even > odd, even.min(odd) * 3 > even.max(odd)) {
        (_, true) => ("UTF-32 or binary data", "UTF-32LE"),
        (true, false) => ("UTF-16 (big-endian, without a mark)", "UTF-16BE"),
        (false, false) => ("UTF-16 (little-endian, without a mark)", "UTF-16LE"),
    };
    Err(InputError::Encoding { at: source.location().clone(), encoding, iconv })
}

/// The delimiter that a first line `sep=;` names (a convention of Excel; some programs quote it), and where
/// that line ends.
fn sep_line(seen: &[u8]) -> Option<(u8, usize)> {
    let end = memchr::memchr2(b'\r', b'\n', seen).unwrap_or(seen.len());
    let line = &seen[..end];
    let line = line.strip_prefix(b"\"").and_then(|inner| inner.strip_suffix(b"\"")).unwrap_or(line);
    match line {
        [name @ .., b'=', delimiter] if name.eq_ignore_ascii_case(b"sep") && may_delimit(*delimiter) => {
            Some((*delimiter, end))
        }
        _ => None,
    }
}

/// Counts the candidates in the first line that is not blank, outside quotes. A quote may open after each of
/// them.
struct FirstLine<'a> {
    candidates: &'a [u8],
    counts: [u64; 256],
    state: FirstLineState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FirstLineState {
    Before,
    CellStart,
    Bare,
    Quoted,
    QuoteSeen,
    Over,
}

impl<'a> FirstLine<'a> {
    fn new(candidates: &'a [u8]) -> Self {
        Self { candidates, counts: [0; 256], state: FirstLineState::Before }
    }

    fn take(&mut self, byte: u8) {
        self.state = match (self.state, byte) {
            (FirstLineState::Before, b'\r' | b'\n') => FirstLineState::Before,
            (FirstLineState::Quoted, b'"') => FirstLineState::QuoteSeen,
            (FirstLineState::Quoted, _)
            | (FirstLineState::Before | FirstLineState::CellStart | FirstLineState::QuoteSeen, b'"') => {
                FirstLineState::Quoted
            }
            (FirstLineState::Over, _) | (_, b'\r' | b'\n') => FirstLineState::Over,
            (_, byte) if self.candidates.contains(&byte) => {
                self.counts[usize::from(byte)] += 1;
                FirstLineState::CellStart
            }
            _ => FirstLineState::Bare,
        };
    }

    /// The most frequent candidate, the first of equals.
    fn most(&self) -> u8 {
        let best = self.candidates.iter().rev().max_by_key(|&&byte| self.counts[usize::from(byte)]);
        best.map_or(b',', |&byte| byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::location::InputLocation;

    fn dialect(bytes: &[u8]) -> Result<Dialect, InputError> {
        read_dialect(&mut source(bytes), None)
    }

    fn source(bytes: &[u8]) -> InputSource {
        InputSource::new(Box::new(std::io::Cursor::new(bytes.to_vec())), InputLocation::named("p.csv"))
            .unwrap()
    }

    fn delimiter(bytes: &[u8]) -> char {
        char::from(dialect(bytes).unwrap().delimiter)
    }

    #[test]
    fn the_delimiter_is_found_in_the_first_line() {
        assert_eq!(delimiter(b"sku,name\n"), ',');
        assert_eq!(delimiter(b"sku;name, long;price\n1,2,3,4,5"), ';');
        assert_eq!(delimiter(b"\r\n\nsku\tname"), '\t');
        assert_eq!(delimiter(b"sku|name\r\n"), '|');
        assert_eq!(delimiter(b"a,b;c"), ',', "of as many of each the first counts");
        assert_eq!(delimiter(b"sku\nA;B;C"), ',', "one column");
        assert_eq!(delimiter(b""), ',');
    }

    #[test]
    fn delimiters_inside_quotes_do_not_count() {
        assert_eq!(delimiter(b"\"sku, the; key;;\",\"a\nb;;;\",c\n"), ',');
        assert_eq!(delimiter(b"sku;\"na,,,me\nx\";price\n"), ';');
        assert_eq!(
            delimiter(b"sku,na|\"me||||\nA1,x,y\n"),
            ',',
            "a quote that never closes for that delimiter"
        );
    }

    #[test]
    fn a_sep_line_names_the_delimiter_and_is_no_header() {
        for (bytes, delimiter, after_cr, left) in [
            (&b"sep=;\na,b;c"[..], b';', false, &b"a,b;c"[..]),
            (b"\xef\xbb\xbfSEP=|\r\na,b", b'|', true, b"\na,b"),
            (b"\"sep=\t\"\ra,b", b'\t', true, b"a,b"),
            (b"sep=;", b';', false, b""),
        ] {
            let mut source = source(bytes);
            let dialect = read_dialect(&mut source, None).unwrap();
            assert_eq!(dialect, Dialect { delimiter, line: 2, after_cr });
            assert_eq!(source.seen(), left);
        }
        assert_eq!(read_dialect(&mut source(b"sep=;\na"), Some(b',')).unwrap().delimiter, b',');
        for header in [&b"sep=\na"[..], b"sep=ab\n", b"sep=\"\n", b"sep,=;\n", b"x\nsep=;\n"] {
            assert_eq!(dialect(header).unwrap().line, 1);
        }
    }

    #[test]
    fn every_mark_at_the_start_is_dropped() {
        let mut source = source(b"\xef\xbb\xbf\xef\xbb\xbfsku");
        read_dialect(&mut source, None).unwrap();
        assert_eq!(source.seen(), b"sku");
    }

    #[test]
    fn wide_text_is_refused_with_its_name_marked_or_not() {
        let wide = |text: &str, to: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(to).collect::<Vec<u8>>();
        let little = u16::to_le_bytes;
        for (bytes, name) in [
            (wide("\u{feff}sku\r\n", little), "UTF-16"),
            (wide("\u{feff}sku\r\n", u16::to_be_bytes), "UTF-16"),
            (wide("sku,name\r\n", little), "UTF-16LE"),
            (wide("sku\n", u16::to_be_bytes), "UTF-16BE"),
            ("sku\n".chars().flat_map(|c| u32::from(c).to_le_bytes()).collect(), "UTF-32LE"),
            (b"\xff\xfe\0\0s\0\0\0".to_vec(), "UTF-32"),
        ] {
            match dialect(&bytes) {
                Err(InputError::Encoding { iconv, .. }) => assert_eq!(iconv, name),
                other => panic!("{bytes:?}: {other:?}"),
            }
        }
        assert!(dialect(b"sku\0,name\n").is_ok());
    }

    #[test]
    fn a_quote_or_a_line_end_is_no_delimiter() {
        for byte in [b'"', b'\n', b'\r', 0, 0xc3] {
            assert!(matches!(read_dialect(&mut source(b"a"), Some(byte)), Err(InputError::Delimiter { .. })));
        }
    }
}
