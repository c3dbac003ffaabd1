//! Removes content codings: the whole body, or an error.
//!
//! A body is decoded when it is complete, for two reasons. A streaming decoder returns the first of several gzip
//! members and stops, or fails, depending on the packets. And the size of the output is bounded, so that a small body
//! cannot expand without limit.

use std::io::{self, Read};

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use crate::model::option::MAX_BODY;
use crate::model::{Cause, Fault, Size, large_buffer};

/// The value of `Accept-Encoding`: the codings that are decoded here.
pub(in crate::fetch) const ACCEPTED_CODINGS: &str = "gzip, br, zstd, deflate";

/// Codings of IANA's registry that are not supported here.
const KNOWN: [&str; 7] = ["aes128gcm", "compress", "dcb", "dcz", "exi", "pack200-gzip", "x-compress"];

/// Bytes that are decoded at a time; after the first part the buffer grows in large steps.
const PART: usize = 512 << 10;

/// Most codings of one body that are removed.
const MAX_LAYERS: usize = 3;

/// Removes the codings of a body, to at most `cap` bytes.
///
/// # Errors
/// A coding that was not in `Accept-Encoding`, a body that does not decode to its end, or more than `cap` bytes.
pub fn decode(headers: &HeaderMap, body: Bytes, cap: Size) -> Result<Bytes, Fault> {
    if !headers.contains_key(CONTENT_ENCODING) || body.is_empty() {
        return Ok(body);
    }
    let fields: Vec<&str> =
        headers.get_all(CONTENT_ENCODING).iter().map(|v| v.to_str().unwrap_or("?")).collect();
    let layers: Vec<String> = fields
        .join(",")
        .split(',')
        .map(|coding| coding.trim().to_ascii_lowercase())
        .filter(|coding| !coding.is_empty() && coding != "identity")
        .collect();
    if layers.len() > MAX_LAYERS {
        return Err(Fault::new(Cause::Encoding, "the body has too many content codings"));
    }
    layers.iter().rev().try_fold(body, |body, coding| one_layer(coding, &body, cap))
}

fn one_layer(coding: &str, body: &[u8], cap: Size) -> Result<Bytes, Fault> {
    let decoded = match coding {
        "gzip" | "x-gzip" => bounded(flate2::read::MultiGzDecoder::new(body), cap),
        "br" => bounded(brotli_decompressor::Decompressor::new(body, 4096), cap),
        "zstd" => zstd::stream::read::Decoder::with_buffer(body).and_then(|decoder| bounded(decoder, cap)),
        // `deflate` means zlib; some servers send raw DEFLATE data.
        "deflate" => bounded(flate2::read::ZlibDecoder::new(body), cap)
            .or_else(|_| bounded(flate2::read::DeflateDecoder::new(body), cap)),
        other => {
            // Only known names are shown: any other text may be an echo of a secret.
            let detail = if KNOWN.contains(&other) {
                format!("the body has content coding `{other}`, which was not requested")
            } else {
                "the body has an unknown content coding".to_owned()
            };
            return Err(Fault::new(Cause::Encoding, detail));
        }
    };
    match decoded {
        Ok(Some(bytes)) => Ok(bytes.into()),
        Ok(None) => {
            let detail = format!("the decoded body is larger than {MAX_BODY} {cap}");
            Err(Fault::new(Cause::TooLarge, detail))
        }
        Err(error) => {
            let why = crate::model::display_safe(&error.to_string(), 100);
            Err(Fault::new(Cause::Encoding, format!("the body does not decode as {coding}: {why}")))
        }
    }
}

/// Reads to the end; `None` past the cap.
fn bounded(reader: impl Read, cap: Size) -> io::Result<Option<Vec<u8>>> {
    let mut reader = reader.take(cap.0.saturating_add(1));
    let mut out = Vec::new();
    while reader.by_ref().take(PART as u64).read_to_end(&mut out)? == PART {
        large_buffer::grow(&mut out, 2 * PART);
    }
    Ok((out.len() as u64 <= cap.0).then_some(out))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const CAP: Size = Size(1 << 20);

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn with_coding(coding: &str, body: Vec<u8>, cap: Size) -> Result<Bytes, Fault> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, coding.parse().unwrap());
        decode(&headers, body.into(), cap)
    }

    #[test]
    fn several_gzip_members_are_whole() {
        let mut body = gzip(b"[1,");
        body.extend(gzip(b"2]"));
        assert_eq!(with_coding("gzip", body, CAP).unwrap(), "[1,2]");
    }

    #[test]
    fn a_damaged_second_member_is_an_error_and_never_the_first_half() {
        let mut body = gzip(b"[1]");
        body.extend(&gzip(b" ")[..10]);
        assert_eq!(with_coding("gzip", body, CAP).unwrap_err().cause, Cause::Encoding);
    }

    #[test]
    fn every_truncation_of_a_compressed_body_is_an_error() {
        let plain = serde_json::to_vec(&(0..300).collect::<Vec<u32>>()).unwrap();
        let bodies = [
            ("gzip", gzip(&plain)),
            ("zstd", zstd::encode_all(&plain[..], 1).unwrap()),
            ("deflate", {
                let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(&plain).unwrap();
                encoder.finish().unwrap()
            }),
        ];
        for (coding, body) in bodies {
            assert_eq!(with_coding(coding, body.clone(), CAP).unwrap(), plain, "{coding}");
            for end in 1..body.len() {
                match with_coding(coding, body[..end].to_vec(), CAP) {
                    Err(fault) => assert_eq!(fault.cause, Cause::Encoding),
                    Ok(bytes) => panic!("{coding} cut at {end} gave {} bytes", bytes.len()),
                }
            }
        }
    }

    #[test]
    fn a_bomb_stops_at_the_cap() {
        let bomb = gzip(&vec![b' '; 64 << 20]);
        assert!(bomb.len() < 512 << 10);
        assert_eq!(with_coding("gzip", bomb.clone(), CAP).unwrap_err().cause, Cause::TooLarge);
        let nested = gzip(&bomb);
        assert_eq!(with_coding("gzip, gzip", nested, CAP).unwrap_err().cause, Cause::TooLarge);
    }

    #[test]
    fn a_coding_that_was_not_requested_is_an_error() {
        for coding in ["compress", "exi", "aes128gcm", "gzip, gzip, gzip, gzip"] {
            assert_eq!(
                with_coding(coding, vec![1, 2, 3], CAP).unwrap_err().cause,
                Cause::Encoding,
                "{coding}"
            );
        }
        assert_eq!(with_coding("identity", b"1".to_vec(), CAP).unwrap(), "1");
    }
}
