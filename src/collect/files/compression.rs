//! Compressed outputs: which names ask for it, and the bytes on their way to the file and back.
//!
//! A name says how an output is written, and its first bytes say how it is read: a file that somebody unpacked or
//! packed under its old name is still read. The same text gives the same bytes: no time and no name is in them.

use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use flate2::write::GzEncoder;

/// Read at a time.
const BLOCK: usize = 64 * 1024;
/// The first bytes of a gzip member and of a zstd frame; no JSON and no CSV begins so.
const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// How an output is compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Compression {
    /// It is not.
    #[default]
    Plain,
    /// `.gz`
    Gzip,
    /// `.zst`
    Zstd,
}

impl Compression {
    /// What the ending of a name asks for.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        match ending.as_deref() {
            Some("gz") => Self::Gzip,
            Some("zst") => Self::Zstd,
            _ => Self::Plain,
        }
    }

    /// What the first bytes of a file show.
    fn of_bytes(head: &[u8]) -> Self {
        match head {
            _ if head.starts_with(GZIP) => Self::Gzip,
            _ if head.starts_with(ZSTD) => Self::Zstd,
            _ => Self::Plain,
        }
    }
}

/// A writer that compresses what it is given.
pub(crate) enum CompressedWriter<W: Write> {
    Plain(W),
    Gzip(GzEncoder<W>),
    Zstd(zstd::stream::write::Encoder<'static, W>),
}

impl<W: Write> CompressedWriter<W> {
    /// # Errors
    /// There is no memory for the encoder.
    pub(crate) fn new(out: W, compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::Plain => Self::Plain(out),
            // Its header has no time of its own accord.
            Compression::Gzip => Self::Gzip(GzEncoder::new(out, flate2::Compression::default())),
            Compression::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(out, zstd::DEFAULT_COMPRESSION_LEVEL)?;
                encoder.include_checksum(true)?;
                Self::Zstd(encoder)
            }
        })
    }

    /// What it is written to. The last bytes may not have gone there yet.
    pub(crate) fn target(&self) -> &W {
        match self {
            Self::Plain(out) => out,
            Self::Gzip(encoder) => encoder.get_ref(),
            Self::Zstd(encoder) => encoder.get_ref(),
        }
    }

    /// Ends the compressed data; returns what it was written to.
    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(out) => Ok(out),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for CompressedWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(out) => out.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    /// Flushes what it is written to. What the encoder holds stays there: to force it out would change the bytes.
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.flush(),
            Self::Gzip(encoder) => encoder.get_mut().flush(),
            Self::Zstd(encoder) => encoder.get_mut().flush(),
        }
    }
}

/// The text of a file, unpacked where its first bytes show that it is compressed. Read to its end, it has read the file to
/// its end.
///
/// # Errors
/// Those of the reader.
pub(crate) fn unpacked<'a>(mut file: impl Read + 'a) -> io::Result<(Compression, Box<dyn Read + 'a>)> {
    let mut head = Vec::with_capacity(ZSTD.len());
    file.by_ref().take(ZSTD.len() as u64).read_to_end(&mut head)?;
    let compression = Compression::of_bytes(&head);
    let whole = io::Cursor::new(head).chain(file);
    let buffered = |whole| BufReader::with_capacity(BLOCK, whole);
    Ok((
        compression,
        match compression {
            Compression::Plain => Box::new(whole),
            Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(buffered(whole))),
            Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(buffered(whole))?),
        },
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packed(parts: &[&[u8]], compression: Compression) -> Vec<u8> {
        let mut writer = CompressedWriter::new(Vec::new(), compression).unwrap();
        for part in parts {
            writer.write_all(part).unwrap();
            writer.flush().unwrap();
        }
        writer.finish().unwrap()
    }

    fn read_back(bytes: &[u8]) -> io::Result<(Compression, Vec<u8>)> {
        let (compression, mut reader) = unpacked(bytes)?;
        let mut text = Vec::new();
        reader.read_to_end(&mut text)?;
        Ok((compression, text))
    }

    #[test]
    fn the_ending_of_a_name_decides_and_nothing_else_in_it() {
        for (name, compression) in [
            ("out.json", Compression::Plain),
            ("out.json.gz", Compression::Gzip),
            ("out.JSONL.ZST", Compression::Zstd),
            ("a.gz/out", Compression::Plain),
            (".gz", Compression::Plain),
            ("out.gz", Compression::Gzip),
        ] {
            assert_eq!(Compression::of(Path::new(name)), compression, "{name}");
        }
    }

    #[test]
    fn no_time_is_in_the_bytes() {
        let bytes = packed(&[b"{}"], Compression::Gzip);
        assert_eq!(bytes[3..8], [0; 5], "flags and time");
    }

    #[test]
    fn data_that_ends_too_early_is_an_error() {
        for compression in [Compression::Gzip, Compression::Zstd] {
            let bytes = packed(&[&b"{\"A\":1}".repeat(100)], compression);
            for end in 4..bytes.len() {
                assert!(read_back(&bytes[..end]).is_err(), "{compression:?} {end}");
            }
        }
        assert_eq!(read_back(b"").unwrap(), (Compression::Plain, Vec::new()));
        assert_eq!(read_back(b"{").unwrap(), (Compression::Plain, b"{".to_vec()));
    }

    #[test]
    fn what_is_joined_is_read_whole() {
        for compression in [Compression::Gzip, Compression::Zstd] {
            let both = [packed(&[b"one "], compression), packed(&[b"two"], compression)].concat();
            assert_eq!(read_back(&both).unwrap(), (compression, b"one two".to_vec()));
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(parts in proptest::collection::vec("[{}\":,a-z0-9\n]{0,400}", 0..6)) {
            let parts: Vec<&[u8]> = parts.iter().map(String::as_bytes).collect();
            for compression in [Compression::Plain, Compression::Gzip, Compression::Zstd] {
                let bytes = packed(&parts, compression);
                let (found, text) = read_back(&bytes).unwrap();
                prop_assert_eq!(&text, &parts.concat());
                prop_assert!(found == compression || text.is_empty());
                prop_assert_eq!(bytes, packed(&parts, compression));
            }
        }
    }
}
