//! A body is kept exactly if serde_json accepts it, it is at most 100 levels deep and every surrogate is paired. What is
//! kept is the input without its white space. A body that was cut is reported as truncated. What is kept, and what is
//! wrong and where, is what the reference says that reads byte by byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use skufetch::testing::json::{JsonError, JsonErrorKind, MAX_DEPTH, compact};

#[path = "../../src/json/reference.rs"]
mod reference;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

fuzz_target!(|input: &[u8]| {
    let ours = compacted(input);
    let body = input.strip_prefix(BYTE_ORDER_MARK).unwrap_or(input);
    assert_eq!(ours.is_ok(), lawful(body), "{ours:?}");
    assert_eq!(ours, reference::compacted(input));
    is_the_same_in_long_documents(input);
    match ours {
        Ok(kept) => {
            assert_eq!(kept, without_gaps(body));
            assert_eq!(compacted(&kept).as_ref(), Ok(&kept), "compacting again changes nothing");
            // Whatever the number says, the merged file is read by a parser that does not look at it.
            assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&kept).is_ok());
            for end in cuts(input.len()) {
                is_called_cut(input, end);
            }
        }
        Err(error) => {
            assert!(error.offset <= input.len() && !error.to_string().chars().any(char::is_control))
        }
    }
});

/// Long documents are checked in another way, by blocks, which `input` begins in before and after their ends.
fn is_the_same_in_long_documents(input: &[u8]) {
    let shift = input.first().map_or(0, |byte| usize::from(*byte));
    for length in [512 + shift, 8 * 1024 + shift] {
        let text = "x".repeat(length);
        for (before, after) in [("[\"", "\","), ("{\"", "\":")] {
            let end = if before == "[\"" { "]" } else { "}" };
            let document =
                [before.as_bytes(), text.as_bytes(), after.as_bytes(), input, end.as_bytes()].concat();
            assert_eq!(compacted(&document), reference::compacted(&document));
        }
    }
}

fn compacted(input: &[u8]) -> Result<Vec<u8>, JsonError> {
    let mut out = b"before".to_vec();
    let result = compact(input, &mut out);
    assert!(out.starts_with(b"before"), "what stood in the buffer stays");
    assert!(result.is_ok() || out.len() == 6, "an error leaves nothing behind");
    result.map(|()| out.split_off(6))
}

/// Every place in a short body; some of a long one.
fn cuts(length: usize) -> impl Iterator<Item = usize> {
    (0..length).step_by(length / 128 + 1)
}

fn is_called_cut(input: &[u8], end: usize) {
    match compacted(&input[..end]) {
        Ok(_) => {
            let rest = &input[end..];
            let blank = rest.iter().all(|byte| b" \t\r\n".contains(byte));
            let number = input[..end].last().is_some_and(u8::is_ascii_digit);
            assert!(blank || number, "only a number and white space say nothing of where they end");
        }
        Err(error) => {
            assert!(matches!(error.kind, JsonErrorKind::UnexpectedEnd | JsonErrorKind::Empty), "{error}");
        }
    }
}

fn lawful(body: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(body).is_ok() && depth(body) <= MAX_DEPTH && pairs_whole(body)
}

fn without_gaps(json: &[u8]) -> Vec<u8> {
    let (mut quoted, mut escaped) = (false, false);
    let stays = |byte: &u8| {
        let gap = !quoted && b" \t\r\n".contains(byte);
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
        !gap
    };
    let mut kept = json.to_vec();
    kept.retain(stays);
    kept
}

/// The deepest nesting of a document known to be well formed.
fn depth(json: &[u8]) -> usize {
    let (mut deepest, mut open, mut quoted, mut escaped) = (0, 0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => open += 1,
            b']' | b'}' if !quoted => open -= 1,
            _ => {}
        }
        deepest = deepest.max(open);
    }
    deepest
}

/// Whether no surrogate escape of a well-formed document lacks its other half.
fn pairs_whole(json: &[u8]) -> bool {
    let text = std::str::from_utf8(json).expect("RawValue checked it");
    // Escaped backslashes out of the way, every `\u` left is an escape.
    let text = text.replace("\\\\", "__");
    let unit = |at: usize| u32::from_str_radix(&text[at + 2..at + 6], 16).expect("RawValue checked it");
    let units: Vec<(usize, u32)> = text.match_indices("\\u").map(|(at, _)| (at, unit(at))).collect();
    units.iter().enumerate().all(|(n, &(at, unit))| match unit {
        0xD800..=0xDBFF => units.get(n + 1).is_some_and(|&(next, low)| next == at + 6 && low >> 10 == 0x37),
        0xDC00..=0xDFFF => n > 0 && units[n - 1].0 + 6 == at && units[n - 1].1 >> 10 == 0x36,
        _ => true,
    })
}
