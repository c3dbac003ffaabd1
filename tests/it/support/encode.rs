//! Content encodings, well made and ill made.

use std::io::Write;

use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use flate2::{Compression, FlushCompress};

/// One gzip member.
pub fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Several gzip members, one after the other, which together hold the content.
pub fn gzip_members(content: &[u8], members: usize) -> Vec<u8> {
    content.chunks(content.len().div_ceil(members).max(1)).flat_map(gzip).collect()
}

/// What HTTP calls `deflate`: a zlib stream.
pub fn deflate(content: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// A deflate stream without zlib's frame, as some servers send it.
pub fn raw_deflate(content: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// One brotli stream.
pub fn brotli(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let params = brotli::enc::BrotliEncoderParams { quality: 1, ..Default::default() };
    brotli::BrotliCompress(&mut &content[..], &mut out, &params).unwrap();
    out
}

/// One zstd frame.
pub fn zstd(content: &[u8]) -> Vec<u8> {
    zstd::encode_all(content, 1).unwrap()
}

/// A JSON string of `mebibytes` MiB of the letter a, in one gzip member of about a thousandth.
///
/// Made without ever holding it: a MiB is compressed once, with full flushes before and after, so
/// that its bytes may be repeated.
pub fn gzip_bomb(mebibytes: usize) -> Vec<u8> {
    let letters = vec![b'a'; 1 << 20];
    let mut crc = crc32fast::Hasher::new();
    // Magic, deflate, no flags, no time, no hints, unknown system (RFC 1952, 2.3).
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let (quote, block) = (flushed(b"\""), flushed(&letters));
    let mut part = |content: &[u8], packed: &[u8]| {
        crc.update(content);
        out.extend_from_slice(packed);
    };
    part(b"\"", &quote);
    for _ in 0..mebibytes {
        part(&letters, &block);
    }
    part(b"\"", &quote);
    // An empty final block (RFC 1951, 3.2.6), then checksum and length.
    out.extend_from_slice(&[3, 0]);
    out.extend_from_slice(&crc.finalize().to_le_bytes());
    out.extend_from_slice(&u32::try_from((mebibytes << 20) + 2).unwrap().to_le_bytes());
    out
}

/// Raw deflate blocks that end on a byte and that no later block refers back into.
fn flushed(content: &[u8]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(content.len() / 100 + 1024);
    let mut encoder = flate2::Compress::new(Compression::fast(), false);
    encoder.compress_vec(content, &mut packed, FlushCompress::Full).unwrap();
    assert_eq!(encoder.total_in(), content.len() as u64);
    packed
}
