//! The encoding of an input: its name, its decoding to UTF-8 while it is read, and the way back.
//!
//! Names and tables are those of the WHATWG Encoding Standard. What is not valid in an encoding must neither stop the
//! reading nor look like a character. Each such byte becomes two bytes that no UTF-8 text has, so that its row is
//! damaged, and the way back restores the byte.

use std::fmt;
use std::io::{self, Read};

use encoding_rs::{Decoder, DecoderResult, EncoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// Bytes that are decoded at a time.
const CHUNK: usize = 64 << 10;
/// The bits of the first byte of an escaped byte: `0xf8` to `0xfb`, which begin no character of UTF-8.
const ESCAPE: u8 = 0xf8;
/// Bytes that a decoder may need to see again: the longest malformed sequence, and what was read beyond it.
const TAIL: usize = 8;

/// A text encoding of the WHATWG standard.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TextEncoding {
    encoding: &'static Encoding,
    /// It was called `utf-16`: the mark of the file gives the order of bytes.
    any_order: bool,
}

/// A character that the encoding does not have.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unmappable;

impl TextEncoding {
    /// UTF-8.
    pub const UTF_8: Self = Self { encoding: UTF_8, any_order: false };
    pub(super) const UTF_16LE: Self = Self { encoding: UTF_16LE, any_order: false };
    pub(super) const UTF_16BE: Self = Self { encoding: UTF_16BE, any_order: false };

    /// The encoding with this name, in any case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let any_order = name.trim().eq_ignore_ascii_case("utf-16");
        Encoding::for_label_no_replacement(name.as_bytes()).map(|encoding| Self { encoding, any_order })
    }

    /// Its name in the standard.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.encoding.name()
    }

    pub(crate) fn is_utf8(self) -> bool {
        self.encoding == UTF_8
    }

    pub(super) fn is_utf16(self) -> bool {
        self.encoding == UTF_16LE || self.encoding == UTF_16BE
    }

    /// Whether the name that was given allows for this encoding, of which the file has the mark.
    pub(super) fn allows(self, marked: Self) -> bool {
        self.encoding == marked.encoding || (self.any_order && marked.is_utf16())
    }

    /// A line end in this encoding: its bytes.
    pub(super) fn line_ends(self) -> [Vec<u8>; 2] {
        [b'\n', b'\r'].map(|byte| {
            if self.encoding == UTF_16LE {
                vec![byte, 0]
            } else if self.encoding == UTF_16BE {
                vec![0, byte]
            } else {
                vec![byte]
            }
        })
    }

    /// The byte-order mark, or nothing where the encoding has none.
    pub(super) fn mark(self) -> &'static [u8] {
        if self.is_utf8() {
            b"\xef\xbb\xbf"
        } else if self.encoding == UTF_16LE {
            b"\xff\xfe"
        } else if self.encoding == UTF_16BE {
            b"\xfe\xff"
        } else {
            b""
        }
    }

    /// Decodes a short text. `None` if it is not valid.
    pub(super) fn decode(self, bytes: &[u8]) -> Option<String> {
        self.encoding.decode_without_bom_handling_and_without_replacement(bytes).map(Into::into)
    }

    /// Appends decoded text in this encoding. Bytes that were no characters are restored.
    ///
    /// # Errors
    /// A character that this encoding does not have.
    pub(super) fn encode(self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Unmappable> {
        if self.is_utf8() {
            out.extend_from_slice(text);
            return Ok(());
        }
        let mut lead = None;
        for chunk in text.utf8_chunks() {
            self.encode_valid(chunk.valid(), out)?;
            for &byte in chunk.invalid() {
                match lead.take() {
                    Some(lead) if byte & 0xc0 == 0x80 => out.push((lead & 3) << 6 | byte & 0x3f),
                    _ if byte & 0xfc == ESCAPE => lead = Some(byte),
                    _ => out.push(byte),
                }
            }
        }
        Ok(())
    }

    fn encode_valid(self, text: &str, out: &mut Vec<u8>) -> Result<(), Unmappable> {
        if self.is_utf16() {
            let bytes = if self.encoding == UTF_16LE { u16::to_le_bytes } else { u16::to_be_bytes };
            out.extend(text.encode_utf16().flat_map(bytes));
            return Ok(());
        }
        let mut encoder = self.encoding.new_encoder();
        let most = encoder.max_buffer_length_from_utf8_without_replacement(text.len()).unwrap_or(usize::MAX);
        let start = out.len();
        out.resize(start + most, 0);
        let (result, _, written) =
            encoder.encode_from_utf8_without_replacement(text, &mut out[start..], true);
        out.truncate(start + written);
        if result == EncoderResult::InputEmpty { Ok(()) } else { Err(Unmappable) }
    }

    /// Appends text for people; a character that this encoding does not have becomes a question mark.
    pub(super) fn encode_lossy(self, text: &str, out: &mut Vec<u8>) {
        let mut buffer = [0; 4];
        for c in text.chars() {
            if self.encode(c.encode_utf8(&mut buffer).as_bytes(), out).is_err() {
                let _ = self.encode(b"?", out);
            }
        }
    }
}

impl fmt::Debug for TextEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Decodes what it reads to UTF-8, in bounded memory.
pub(super) struct DecodingReader<R> {
    inner: R,
    decoder: Decoder,
    raw: Vec<u8>,
    /// The part of `raw` that is not decoded yet.
    rest: (usize, usize),
    /// The last bytes that were decoded: a malformed sequence may have begun in an earlier read.
    tail: [u8; TAIL],
    decoded: Vec<u8>,
    at: usize,
    ended: bool,
    finished: bool,
}

impl<R: Read> DecodingReader<R> {
    pub(super) fn new(inner: R, encoding: TextEncoding) -> Self {
        Self {
            inner,
            decoder: encoding.encoding.new_decoder_without_bom_handling(),
            raw: vec![0; CHUNK],
            rest: (0, 0),
            tail: [0; TAIL],
            decoded: Vec::new(),
            at: 0,
            ended: false,
            finished: false,
        }
    }

    /// Decodes a part of what was read.
    fn decode(&mut self) {
        let (from, to) = self.rest;
        self.decoded.resize(CHUNK, 0);
        let (result, read, written) = self.decoder.decode_to_utf8_without_replacement(
            &self.raw[from..to],
            &mut self.decoded,
            self.ended,
        );
        self.decoded.truncate(written);
        self.at = 0;
        let used = &self.raw[from..from + read];
        self.rest.0 += read;
        let kept = used.len().min(TAIL);
        self.tail.rotate_left(kept);
        self.tail[TAIL - kept..].copy_from_slice(&used[used.len() - kept..]);
        match result {
            DecoderResult::InputEmpty => self.finished = self.ended,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(length, beyond) => {
                let end = TAIL - usize::from(beyond);
                for &byte in &self.tail[end.saturating_sub(usize::from(length))..end] {
                    self.decoded.extend([ESCAPE | byte >> 6, 0x80 | byte & 0x3f]);
                }
            }
        }
    }
}

impl<R: Read> Read for DecodingReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.decoded.len() {
            if self.finished || out.is_empty() {
                return Ok(0);
            }
            if self.rest.0 == self.rest.1 && !self.ended {
                let read = self.inner.read(&mut self.raw)?;
                self.rest = (0, read);
                self.ended = read == 0;
            }
            self.decode();
        }
        let read = (&self.decoded[self.at..]).read(out)?;
        self.at += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Parts<'a>(&'a [u8], usize);

    impl Read for Parts<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let size = self.1.min(out.len());
            self.0.read(&mut out[..size])
        }
    }

    fn decoded(bytes: &[u8], encoding: TextEncoding, size: usize) -> Vec<u8> {
        let mut out = Vec::new();
        DecodingReader::new(Parts(bytes, size), encoding).read_to_end(&mut out).unwrap();
        out
    }

    fn named(name: &str) -> TextEncoding {
        TextEncoding::named(name).unwrap()
    }

    #[test]
    fn names_are_those_of_the_standard_in_any_case() {
        for (name, is) in [
            ("windows-1252", "windows-1252"),
            ("Latin1", "windows-1252"),
            (" UTF-16LE ", "UTF-16LE"),
            ("sjis", "Shift_JIS"),
            ("cp1251", "windows-1251"),
        ] {
            assert_eq!(named(name).name(), is);
        }
        for wrong in ["", "replacement", "iso-2022-kr", "cp850", "utf-7", "utf-32"] {
            assert_eq!(TextEncoding::named(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn utf_16_without_an_order_allows_for_both_marks() {
        for (name, little, big) in [
            ("utf-16", true, true),
            ("utf-16le", true, false),
            ("utf-16be", false, true),
            ("windows-1252", false, false),
        ] {
            let allows = |mark| named(name).allows(mark);
            assert_eq!(
                (allows(TextEncoding::UTF_16LE), allows(TextEncoding::UTF_16BE)),
                (little, big),
                "{name}"
            );
        }
    }

    #[test]
    fn a_character_that_an_encoding_does_not_have_is_an_error_in_a_cell_and_a_mark_in_a_message() {
        let mut out = Vec::new();
        assert_eq!(named("windows-1252").encode("ж".as_bytes(), &mut out), Err(Unmappable));
        named("windows-1252").encode_lossy("ä ж", &mut out);
        assert_eq!(out, b"\xe4 ?");
    }

    #[test]
    fn what_is_no_character_is_damage_and_is_restored() {
        for (name, bytes) in [
            ("utf-16le", &b"a\0\x00\xd8b\0"[..]),
            ("utf-16be", b"\0a\xdc\x00\0b\0"),
            ("shift_jis", b"a\x81\xffb\x81"),
            ("iso-8859-8", b"a\xffb"),
            ("euc-kr", b"a\xc8b"),
        ] {
            for size in [1, 3, 100] {
                let text = decoded(bytes, named(name), size);
                assert!(std::str::from_utf8(&text).is_err(), "{name}");
                let mut back = Vec::new();
                named(name).encode(&text, &mut back).unwrap();
                assert_eq!(back, bytes, "{name}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_back_however_it_arrives(text in "\\PC{0,40}|[a-zäöüß\r\n\0]{0,40}", size in 1usize..9) {
            for encoding in [TextEncoding::UTF_16LE, TextEncoding::UTF_16BE, named("gb18030"), named("windows-1252")] {
                let mut bytes = Vec::new();
                if encoding.encode(text.as_bytes(), &mut bytes).is_ok() {
                    prop_assert_eq!(decoded(&bytes, encoding, size), text.as_bytes());
                }
            }
        }

        #[test]
        fn any_bytes_are_decoded_the_same_however_they_arrive_and_single_bytes_are_restored(
            bytes in prop::collection::vec(any::<u8>(), 0..40),
            size in 1usize..9,
        ) {
            for name in ["utf-16le", "utf-16be", "windows-1253", "koi8-u", "shift_jis", "gbk", "iso-2022-jp", "big5", "euc-jp"] {
                let encoding = named(name);
                let whole = decoded(&bytes, encoding, 1000);
                prop_assert_eq!(&decoded(&bytes, encoding, size), &whole);
                if name.starts_with("utf-16") || name.ends_with("1253") || name == "koi8-u" {
                    let mut back = Vec::new();
                    prop_assert_eq!(encoding.encode(&whole, &mut back), Ok(()));
                    prop_assert_eq!(&back, &bytes);
                }
            }
        }
    }
}
