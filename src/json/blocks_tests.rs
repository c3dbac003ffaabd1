//! The law of the check by blocks, with registers of each width.

use super::*;
use crate::json::{depth, reference};

/// What the check says with registers of 512, 256 and 128 bits, as far as this machine has them.
fn all(input: &[u8]) -> Vec<bool> {
    checks().into_iter().map(|check| check(input)).collect()
}

type Check = Box<dyn Fn(&[u8]) -> bool>;

fn checks() -> Vec<Check> {
    let level = Level::new();
    let mut checks: Vec<Check> = Vec::new();
    if let Some(simd) = level.as_avx512() {
        checks.push(Box::new(move |input| is_compact_by(simd, input)));
    }
    if let Some(simd) = level.as_avx2() {
        checks.push(Box::new(move |input| is_compact_by(simd, input)));
    }
    if let Some(simd) = level.as_sse2() {
        checks.push(Box::new(move |input| is_compact_by(simd, input)));
    }
    checks
}

/// Compares the check of `input` with `is_compact`, which is known: alone, and as a value in a document, in which it
/// begins before or after the end of a word or block. Which of these it is, and with which registers, depends on its
/// length, so that many inputs together take not too long without optimisation.
pub(in crate::json) fn agrees(input: &[u8], is_compact: bool) {
    let is_known = |levels: u64| is_compact && depth(input) as u64 + levels <= bracket_stack::LEVELS;
    let number = input.len();
    let checks = checks();
    let said = &checks[number % checks.len()];
    let shown = String::from_utf8_lossy(input);
    let is_container = matches!(input.first(), Some(b'[' | b'{'));
    assert_eq!(said(input), is_known(0) && is_container, "{shown:?}");
    let start = [WORDS * 8, BLOCK][number / 3 % 2] - number / 2 % 12;
    let name = "x".repeat(start - 4);
    let [before, after, end] = [["[\"", "\",", "]"], ["{\"", "\":", "}"]][number / 6 % 2];
    let document = [before.as_bytes(), name.as_bytes(), after.as_bytes(), input, end.as_bytes()].concat();
    // What is no value may be the rest of the object or array.
    let expected = is_known(1) || reference::compacted(&document).is_ok_and(|kept| kept == document);
    assert_eq!(said(&document), expected, "{shown:?} at {start}");
}

#[test]
fn what_is_short_or_has_white_space_is_left_to_the_other_check() {
    let list = |separator: &str| format!("[{}1]", format!("1{separator}").repeat(BLOCK)).into_bytes();
    assert_eq!(is_compact(&list(",")), Level::new().as_avx512().is_some());
    assert_eq!(all(&list(",")), vec![true; checks().len()]);
    assert!(!is_compact(&list(", ")) && !is_compact(b"[1,2]"));
    for (input, expected) in [("{\"a\":1", true), ("{\"a\": 1", false), ("[1, 2", false), ("[[", true)] {
        assert_eq!(seems_compact(input.as_bytes()), expected, "{input}");
    }
}

/// Each fault is one that a single rule finds.
#[test]
fn each_rule_of_the_grammar_holds_at_each_place_of_a_word_and_block() {
    const VALUES: [(&str, bool); 33] = [
        ("{}", true),
        ("[]", true),
        ("[{},[],{\"a\":{}}]", true),
        ("{\"a\":1,\"b\":[1,\"c\"],\"d\":0.5}", true),
        ("[0,-0,10,-1.5,1e5,0E-1,2.5e+3,true,false,null]", true),
        ("{{}}", false),
        ("{[]}", false),
        ("{1}", false),
        ("{\"a\"}", false),
        ("{\"a\",\"b\":1}", false),
        ("{\"a\":1,\"b\"}", false),
        ("{\"a\":1,\"b\",\"c\":1}", false),
        ("{\"a\":1,2:3}", false),
        ("{\"a\":1,[]}", false),
        ("{\"a\":1,{}}", false),
        ("{\"a\":[],\"b\",\"c\":1}", false),
        ("{\"a\":\"b\":1}", false),
        ("{\"a\":}", false),
        ("{:1}", false),
        ("{,}", false),
        ("{\"a\":1,}", false),
        ("[\"a\":1]", false),
        ("[1,\"a\":2]", false),
        ("[[],\"a\":2]", false),
        ("[1,]", false),
        ("[,1]", false),
        ("[1,,1]", false),
        ("[1\"a\"]", false),
        ("[\"a\"[]]", false),
        ("[1}", false),
        ("[00]", false),
        ("[1.]", false),
        ("[1.,2]", false),
    ];
    for (value, expected) in VALUES {
        for start in [3, 40, 64, 65, 500, 511, 512, 513, 600] {
            let shift = value.len() / 2;
            for start in start.max(shift + 3) - shift..=start {
                let name = "x".repeat(start - 3);
                let document = format!("[\"{name}\",{value}]");
                assert_eq!(all(document.as_bytes()), vec![expected; checks().len()], "{value} at {start}");
            }
        }
    }
}

#[test]
fn runs_that_reach_over_several_blocks_are_followed() {
    for length in [1, 63, 64, 65, 511, 512, 513, 1023, 1024, 1025, 5000] {
        let digits = "7".repeat(length);
        let text = "x".repeat(length);
        for (document, expected) in [
            (format!("[{digits}]"), true),
            (format!("[-{digits}.{digits}e{digits},0.{digits}]"), true),
            (format!("[0{digits}]"), false),
            (format!("[{digits}.{digits}.{digits}]"), false),
            (format!("[{digits}{text}]"), false),
            (format!("[true{text}]"), false),
            (format!("{{\"{text}\":\"{text}\",\"{text}\":{digits}}}"), true),
            (format!("{{\"{text}\":\"{text}\",\"{text}\"}}"), false),
            (format!("{{\"{text}\",\"{text}\":1}}"), false),
            (format!("[\"{text}\":1]"), false),
            (format!("[\"{text}\\\"{text}\",\"{text}\\\\\"]"), true),
            (format!("[\"{text}\u{1}\"]"), false),
            (format!("[\"{text}é{text}\"]"), true),
            (format!("[\"{text}]"), false),
        ] {
            assert_eq!(all(document.as_bytes()), vec![expected; checks().len()], "{document}");
        }
    }
}

#[test]
fn every_byte_is_judged_as_the_reference_judges_it() {
    for byte in 0..=u8::MAX {
        for [before, after] in
            [["[\"a", "a\"]"], ["[\"\\", "0061\"]"], ["[", "1]"], ["[1", "1]"], ["[1", "]"], ["[1,", "2]"]]
        {
            let input = [before.as_bytes(), &[byte], after.as_bytes()].concat();
            agrees(&input, reference::compacted(&input).is_ok_and(|kept| kept == input));
        }
    }
}

#[test]
fn bytes_that_are_not_utf8_are_found_in_text_of_any_length() {
    for length in [1, 600, 2000] {
        let text = "x".repeat(length);
        let document = [b"[\"", text.as_bytes(), b"\xff", text.as_bytes(), b"\"]"].concat();
        assert!(all(&document).iter().all(|said| !said));
    }
}
