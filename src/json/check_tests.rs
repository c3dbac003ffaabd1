//! The law, case by case (named after `JSONTestSuite`'s `y_`, must be kept, and `n_`, must not), then as
//! properties against `serde_json`. Whatever is compacted here is compared with the reference.

use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;

use super::*;
use crate::json::reference;

/// What is kept of `input`, by each of the checks.
fn compacted(input: &[u8]) -> Result<Vec<u8>, JsonError> {
    let result = compacted_by_tokens(input);
    #[cfg(target_arch = "x86_64")]
    blocks::tests::agrees(input, result.as_deref().is_ok_and(|kept| kept == input));
    result
}

fn compacted_by_tokens(input: &[u8]) -> Result<Vec<u8>, JsonError> {
    let mut out = b"before".to_vec();
    let result = compact(input, &mut out);
    assert!(out.starts_with(b"before"), "what stood in the buffer stays");
    assert!(result.is_ok() || out.len() == 6, "an error leaves nothing behind");
    let result = result.map(|()| out.split_off(6));
    assert_eq!(result, reference::compacted(input), "{:?}", String::from_utf8_lossy(input));
    assert_eq!(super::compacted(input).map(Cow::into_owned), result, "{:?}", String::from_utf8_lossy(input));
    result
}

#[test]
fn what_is_compact_already_is_a_part_of_the_input() {
    let compact = br#"{"a":[1,"b c"]}"#;
    for (before, after) in [("", ""), ("\u{feff}", ""), ("", "\r\n"), ("\u{feff}", " ")] {
        let input = [before.as_bytes(), compact, after.as_bytes()].concat();
        assert!(matches!(super::compacted(&input), Ok(Cow::Borrowed(part)) if part == compact));
    }
    assert!(matches!(super::compacted(b"[1, 2]"), Ok(Cow::Owned(made)) if made == b"[1,2]"));
}

fn nested(open: &str, close: &str, levels: usize) -> Vec<u8> {
    [open.repeat(levels), close.repeat(levels)].concat().into_bytes()
}

/// Cases that are kept, with what is kept of them.
const KEPT: &[(&str, &[u8], &[u8])] = &[
    ("y_structure_null", b"null", b"null"),
    ("y_structure_true", b"true", b"true"),
    ("y_structure_false", b"false", b"false"),
    ("y_structure_empty_array", b"[]", b"[]"),
    ("y_structure_empty_object", b"{}", b"{}"),
    ("y_structure_blank_inside", b" [ ] ", b"[]"),
    (
        "y_structure_blank_everywhere",
        b"\r\n\t {\n \"a\" :\t[ 1 ,\r2 ] , \"b\" : { } }\n ",
        br#"{"a":[1,2],"b":{}}"#,
    ),
    ("y_structure_members_in_their_order", br#"{"b":1,"a":2}"#, br#"{"b":1,"a":2}"#),
    ("y_structure_repeated_names", br#"{"a":1, "a":2}"#, br#"{"a":1,"a":2}"#),
    ("y_structure_empty_name", br#"{"":0}"#, br#"{"":0}"#),
    ("y_structure_lonely_string", br#""a""#, br#""a""#),
    ("y_structure_lonely_number", b"42", b"42"),
    ("y_structure_byte_order_mark", b"\xef\xbb\xbf{\"a\":1}", br#"{"a":1}"#),
    ("y_structure_byte_order_mark_and_blank", b"\xef\xbb\xbf \n[1, 2]", b"[1,2]"),
    ("y_number_zero", b"0", b"0"),
    ("y_number_minus_zero", b"-0", b"-0"),
    ("y_number_minus_zero_exponent", b"-0.0e-0", b"-0.0e-0"),
    ("y_number_trailing_zero", b"[1.10]", b"[1.10]"),
    ("y_number_over_two_to_the_53", b"9007199254740993", b"9007199254740993"),
    ("y_number_over_64_bits", b"[123456789012345678901234567890]", b"[123456789012345678901234567890]"),
    ("y_number_out_of_range", b"[1e400,-1E+400,1e-400]", b"[1e400,-1E+400,1e-400]"),
    ("y_number_leading_zero_of_exponent", b"1e007", b"1e007"),
    ("y_number_many_digits", b"0.100000000000000000000000000001", b"0.100000000000000000000000000001"),
    ("y_string_empty", br#""""#, br#""""#),
    ("y_string_blank_stays", b"\" a \xc2\xa0 b \"", b"\" a \xc2\xa0 b \""),
    ("y_string_all_escapes", br#""\"\\\/\b\f\n\r\t\u00e9\u00E9""#, br#""\"\\\/\b\f\n\r\t\u00e9\u00E9""#),
    ("y_string_escaped_nul", br#""\u0000""#, br#""\u0000""#),
    ("y_string_surrogate_pair", br#""\ud83d\uDE00""#, br#""\ud83d\uDE00""#),
    ("y_string_last_pair", br#""\udbff\udfff""#, br#""\udbff\udfff""#),
    ("y_string_beside_surrogates", br#""\ud7ff\ue000""#, br#""\ud7ff\ue000""#),
    ("y_string_escaped_backslash_before_u", br#""\\ud800""#, br#""\\ud800""#),
    ("y_string_noncharacters", b"\"\\uffff\xef\xbf\xbf\"", b"\"\\uffff\xef\xbf\xbf\""),
    ("y_string_delete", b"\"\x7f\"", b"\"\x7f\""),
    ("y_string_c1_control", b"\"\xc2\x9b\"", b"\"\xc2\x9b\""),
    ("y_string_line_separators", b"\"\xe2\x80\xa8\xe2\x80\xa9\"", b"\"\xe2\x80\xa8\xe2\x80\xa9\""),
    ("y_string_four_bytes", "[\"😀\"]".as_bytes(), "[\"😀\"]".as_bytes()),
    ("y_string_byte_order_mark_inside", b"\"\xef\xbb\xbf\"", b"\"\xef\xbb\xbf\""),
    ("y_string_brackets", br#"["]}{[,:"]"#, br#"["]}{[,:"]"#),
];

/// Cases that are refused, with why and where.
const REFUSED: &[(&str, &[u8], Kind, usize)] = &[
    ("n_structure_no_data", b"", Kind::Empty, 0),
    ("n_structure_only_blank", b" \n\t\r", Kind::Empty, 4),
    ("n_structure_only_byte_order_mark", b"\xef\xbb\xbf", Kind::Empty, 3),
    ("n_structure_two_byte_order_marks", b"\xef\xbb\xbf\xef\xbb\xbf1", Kind::ExpectedValue, 3),
    ("n_structure_byte_order_mark_at_end", b"1\xef\xbb\xbf", Kind::Trailing, 1),
    ("n_structure_utf16", b"\xff\xfe[\x00]\x00", Kind::NotUtf8, 0),
    ("n_structure_utf16_without_mark", b"[\x00]\x00", Kind::ExpectedValue, 1),
    ("n_structure_html", b"<!DOCTYPE html>", Kind::ExpectedValue, 0),
    ("n_structure_two_values", b"1 2", Kind::Trailing, 2),
    ("n_structure_lines_of_json", b"{}\n{}", Kind::Trailing, 3),
    ("n_structure_trailing_nul", b"{}\0", Kind::Trailing, 2),
    ("n_structure_trailing_bracket", b"[1]]", Kind::Trailing, 3),
    ("n_structure_trailing_not_utf8", b"{}\xff", Kind::NotUtf8, 2),
    ("n_structure_nul", b"\0", Kind::ExpectedValue, 0),
    ("n_structure_vertical_tab", b"[1,\x0b2]", Kind::ExpectedValue, 3),
    ("n_structure_no_break_space", b"[1,\xc2\xa02]", Kind::ExpectedValue, 3),
    ("n_structure_line_comment", b"[1] // one", Kind::Trailing, 4),
    ("n_structure_block_comment", b"[/* one */1]", Kind::ExpectedValue, 1),
    ("n_structure_hash_comment", b"# one\n1", Kind::ExpectedValue, 0),
    ("n_structure_capital_null", b"[NULL]", Kind::ExpectedValue, 1),
    ("n_structure_literal_misspelt", b"[nul]", Kind::ExpectedValue, 1),
    ("n_structure_literal_too_long", b"[nulll]", Kind::ExpectedCommaOrBracket, 5),
    ("n_structure_padding", b")]}',\n{}", Kind::ExpectedValue, 0),
    ("n_array_trailing_comma", b"[1,]", Kind::ExpectedValue, 3),
    ("n_array_leading_comma", b"[,1]", Kind::ExpectedValue, 1),
    ("n_array_double_comma", b"[1,,2]", Kind::ExpectedValue, 3),
    ("n_array_no_comma", b"[1 2]", Kind::ExpectedCommaOrBracket, 3),
    ("n_array_colon", b"[1:2]", Kind::ExpectedCommaOrBracket, 2),
    ("n_array_closed_by_brace", b"[1}", Kind::ExpectedCommaOrBracket, 2),
    ("n_array_empty_closed_by_brace", b"[}", Kind::ExpectedValue, 1),
    ("n_object_trailing_comma", br#"{"a":1,}"#, Kind::ExpectedName, 7),
    ("n_object_leading_comma", br#"{,"a":1}"#, Kind::ExpectedNameOrEnd, 1),
    ("n_object_no_comma", br#"{"a":1 "b":2}"#, Kind::ExpectedCommaOrBrace, 7),
    ("n_object_no_colon", br#"{"a" 1}"#, Kind::ExpectedColon, 5),
    ("n_object_no_value", br#"{"a":}"#, Kind::ExpectedValue, 5),
    ("n_object_double_colon", br#"{"a"::1}"#, Kind::ExpectedValue, 5),
    ("n_object_bare_name", b"{a:1}", Kind::ExpectedNameOrEnd, 1),
    ("n_object_number_as_name", b"{1:1}", Kind::ExpectedNameOrEnd, 1),
    ("n_object_single_quotes", b"{'a':1}", Kind::ExpectedNameOrEnd, 1),
    ("n_object_closed_by_bracket", br#"{"a":1]"#, Kind::ExpectedCommaOrBrace, 6),
    ("n_object_name_not_utf8", b"{\"\xff\":1}", Kind::NotUtf8, 2),
    ("n_number_leading_zero", b"01", Kind::LeadingZero, 0),
    ("n_number_minus_leading_zero", b"[-012]", Kind::LeadingZero, 2),
    ("n_number_plus", b"+1", Kind::ExpectedValue, 0),
    ("n_number_bare_point", b".5", Kind::ExpectedValue, 0),
    ("n_number_no_fraction", b"[1.]", Kind::ExpectedDigit, 3),
    ("n_number_no_whole_part", b"[-.5]", Kind::ExpectedDigit, 2),
    ("n_number_no_exponent", b"[1e]", Kind::ExpectedDigit, 3),
    ("n_number_signed_nothing", b"[1e+]", Kind::ExpectedDigit, 4),
    ("n_number_fraction_of_exponent", b"[1e1.5]", Kind::ExpectedCommaOrBracket, 4),
    ("n_number_two_points", b"[1.2.3]", Kind::ExpectedCommaOrBracket, 4),
    ("n_number_two_minus", b"[--1]", Kind::ExpectedDigit, 2),
    ("n_number_minus_blank", b"[- 1]", Kind::ExpectedDigit, 2),
    ("n_number_hexadecimal", b"[0x1F]", Kind::ExpectedCommaOrBracket, 2),
    ("n_number_separator", b"1_000", Kind::Trailing, 1),
    ("n_number_nan", b"[NaN]", Kind::ExpectedValue, 1),
    ("n_number_infinity", b"[Infinity]", Kind::ExpectedValue, 1),
    ("n_number_minus_infinity", b"[-Infinity]", Kind::ExpectedDigit, 2),
    ("n_number_full_width_digit", "[１]".as_bytes(), Kind::ExpectedValue, 1),
    ("n_number_not_utf8", b"[-\xff]", Kind::NotUtf8, 2),
    ("n_string_single_quotes", b"'a'", Kind::ExpectedValue, 0),
    ("n_string_raw_newline", b"\"a\nb\"", Kind::Control, 2),
    ("n_string_raw_tab", b"\"\t\"", Kind::Control, 1),
    ("n_string_raw_nul", b"\"\0\"", Kind::Control, 1),
    ("n_string_raw_escape", b"\"12345678\x1b\"", Kind::Control, 9),
    ("n_string_unknown_escape", br#""\x41""#, Kind::BadEscape, 1),
    ("n_string_capital_u", br#""\U0041""#, Kind::BadEscape, 1),
    ("n_string_escaped_quote_mark", br#""\'""#, Kind::BadEscape, 1),
    ("n_string_escaped_newline", b"\"\\\n\"", Kind::BadEscape, 1),
    ("n_string_short_u", br#""\u12""#, Kind::BadEscape, 5),
    ("n_string_signed_u", br#""\u+123""#, Kind::BadEscape, 3),
    ("n_string_first_half_alone", br#""\ud800""#, Kind::LoneSurrogate, 1),
    ("n_string_first_half_before_text", br#""\ud800abcdef""#, Kind::LoneSurrogate, 1),
    ("n_string_first_half_before_escape", br#""\ud800\n""#, Kind::LoneSurrogate, 1),
    ("n_string_first_half_twice", br#""\ud800\ud800""#, Kind::LoneSurrogate, 1),
    ("n_string_second_half_alone", br#""a\udc00""#, Kind::LoneSurrogate, 2),
    ("n_string_halves_swapped", br#""\udc00\ud800""#, Kind::LoneSurrogate, 1),
    ("n_string_halves_apart", br#""\ud83d \ude00""#, Kind::LoneSurrogate, 1),
    ("n_string_first_half_and_letter", br#""\ud800\u0041""#, Kind::LoneSurrogate, 1),
    ("n_string_name_with_lone_half", br#"{"\ud800":1}"#, Kind::LoneSurrogate, 2),
    ("n_string_latin_1", b"\"caf\xe9\"", Kind::NotUtf8, 4),
    ("n_string_lonely_continuation", b"\"\x80\"", Kind::NotUtf8, 1),
    ("n_string_overlong_slash", b"\"\xc0\xaf\"", Kind::NotUtf8, 1),
    ("n_string_overlong_nul", b"\"\xe0\x80\x80\"", Kind::NotUtf8, 1),
    ("n_string_surrogate_in_utf8", b"\"\xed\xa0\x80\"", Kind::NotUtf8, 1),
    ("n_string_over_the_last_character", b"\"\xf4\x90\x80\x80\"", Kind::NotUtf8, 1),
    ("n_string_cut_character", b"\"\xe2\x82\"", Kind::NotUtf8, 1),
    ("n_string_bad_bytes_before_a_bad_escape", b"\"\xff\\x\"", Kind::NotUtf8, 1),
    ("n_string_bad_bytes_before_the_end", b"\"\xffa", Kind::NotUtf8, 1),
];

#[test]
fn good_json_is_kept_byte_for_byte_less_its_gaps() {
    for (name, input, kept) in KEPT {
        assert_eq!(compacted(input).as_deref(), Ok(*kept), "{name}");
    }
}

#[test]
fn bad_json_is_refused_with_its_reason_and_place() {
    for (name, input, kind, offset) in REFUSED {
        assert_eq!(compacted(input), Err(kind.at(*offset)), "{name}");
    }
}

#[test]
fn a_hundred_levels_are_kept_and_one_more_is_refused() {
    for (open, close) in [("[", "]"), ("{\"a\":[", "]}")] {
        let levels = MAX_DEPTH / open.matches(['[', '{']).count();
        let input = nested(open, close, levels);
        assert_eq!(compacted(&input), Ok(input.clone()));
        let error = compacted(&nested(open, close, levels + 1)).unwrap_err();
        assert_eq!(error.kind, Kind::TooDeep);
        assert_eq!(error.offset, open.len() * levels);
    }
    let siblings = format!("[{}[]]", "[[]],".repeat(500)).into_bytes();
    assert_eq!(compacted(&siblings), Ok(siblings.clone()), "depth is not a count of brackets");
}

/// Bytes that a shortcut could take for others: every special one, at each place of a register and beside its ends.
#[test]
fn every_byte_at_every_place_of_a_string_is_judged_as_the_reference_judges_it() {
    let escape = b"\\ud83d\\ude00";
    for length in 0..50 {
        for place in 0..length {
            for byte in (0..0x24).chain([b'\\', b'{', 0x7F, 0x80, 0xC3, 0xE2, 0xF0, 0xFF]) {
                let mut input = [b"[\"", &vec![b'a'; length][..], b"\" , 1]"].concat();
                input[2 + place] = byte;
                let _ = compacted_by_tokens(&input);
                input.truncate(2 + length);
                let _ = compacted_by_tokens(&input);
            }
            let mut input = [b"{\"", &vec![b'a'; length][..], b"\":0}"].concat();
            input.splice(2 + place..2 + place, escape.iter().copied());
            assert!(compacted_by_tokens(&input).is_ok());
            for end in 2 + place..2 + place + escape.len() {
                let _ = compacted_by_tokens(&input[..end]);
            }
        }
    }
}

#[test]
fn five_million_levels_cost_no_stack() {
    assert_eq!(compacted("[".repeat(5_000_000).as_bytes()).unwrap_err().kind, Kind::TooDeep);
}

#[test]
fn a_document_cut_anywhere_ends_too_early() {
    let whole =
        "\u{feff} {\"né\\u00e9\\ud83d\\ude00\" : [ -1.5e+7, true,false , null, \"😀\\n\" ], \"b\":{}} ";
    let whole = whole.as_bytes();
    assert!(compacted(whole).is_ok());
    for end in 0..whole.len() - 1 {
        let kind = compacted(&whole[..end]).unwrap_err().kind;
        // The mark alone, or with the blank after it, holds no value yet.
        let expected = if matches!(end, 0 | 3 | 4) { Kind::Empty } else { Kind::UnexpectedEnd };
        assert_eq!(kind, expected, "cut at {end}");
    }
}

#[test]
fn an_error_says_what_and_where() {
    let shown = |input: &[u8]| compacted(input).unwrap_err().to_string();
    assert_eq!(shown(b"<html>"), "not JSON: expected a value at byte 0");
    assert_eq!(shown(br#"{"a":1"#), "not JSON: it ends too early at byte 6");
    assert_eq!(shown(&[b'['; 101]), "JSON nested more than 100 levels deep at byte 100");
    assert_eq!(shown(br#"{"a":1]"#), "not JSON: expected `,` or `}` at byte 6");
}

/// What `serde_json` and three counts of our own say of the same bytes.
fn lawful(input: &[u8]) -> bool {
    let body = input.strip_prefix(BYTE_ORDER_MARK).unwrap_or(input);
    serde_json::from_slice::<&RawValue>(body).is_ok() && depth(body) <= MAX_DEPTH && pairs_whole(body)
}

/// The deepest nesting of a well-formed document.
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
    let units: Vec<(usize, u32)> = text
        .match_indices("\\u")
        .map(|(at, _)| (at, u32::from_str_radix(&text[at + 2..at + 6], 16).expect("RawValue checked it")))
        .collect();
    units.iter().enumerate().all(|(n, &(at, unit))| match unit {
        0xD800..=0xDBFF => units.get(n + 1).is_some_and(|&(next, low)| next == at + 6 && low >> 10 == 0x37),
        0xDC00..=0xDFFF => n > 0 && units[n - 1].0 + 6 == at && units[n - 1].1 >> 10 == 0x36,
        _ => true,
    })
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter_map("finite", |n| n.is_finite().then(|| Value::from(n))),
        any::<String>().prop_map(Value::from),
        "[\\\\\"\u{0}-\u{1f}é😀a]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The same document with white space of any kind between its tokens.
fn spaced(compact: &str, gaps: &[u8]) -> Vec<u8> {
    let mut gaps = gaps.iter().cycle();
    let mut gap = move |out: &mut Vec<u8>| {
        let seed = gaps.next().copied().unwrap_or_default();
        let blanks = b" \n\r\t".iter().cycle().skip(usize::from(seed >> 4));
        out.extend(blanks.take(usize::from(seed & 0xF) / 3));
    };
    let (mut out, mut quoted, mut escaped) = (Vec::new(), false, false);
    gap(&mut out);
    for &byte in compact.as_bytes() {
        let structural = !quoted && b"[]{},:".contains(&byte);
        if structural {
            gap(&mut out);
        }
        out.push(byte);
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
        if structural {
            gap(&mut out);
        }
    }
    gap(&mut out);
    out
}

/// Bytes near JSON: fragments of it in any order, so that mistakes are many and of every class.
fn near_json() -> impl Strategy<Value = Vec<u8>> {
    let fragment = proptest::sample::select(vec![
        &b"["[..],
        b"]",
        b"{",
        b"}",
        b",",
        b":",
        b"\"",
        b"\\",
        b" ",
        b"\n",
        b"0",
        b"-",
        b"1.5",
        b"e+1",
        b".",
        b"true",
        b"null",
        b"\"a\"",
        b"\"a\":",
        b"\"\\ud83d\\ude00\"",
        b"\\ud800",
        b"\\udc00",
        b"\\u0041",
        b"\xc3\xa9",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\0",
        b"[[]]",
        b"{}",
        b"\"\"",
        b"01",
        b"\\\\",
        b"\\n",
        b"12345678",
    ]);
    proptest::collection::vec(fragment, 0..16).prop_map(|fragments| fragments.concat())
}

fn agrees(input: &[u8]) -> Result<(), TestCaseError> {
    let ours = compacted(input);
    prop_assert_eq!(ours.is_ok(), lawful(input), "{:?} of {:?}", ours, String::from_utf8_lossy(input));
    if let Ok(kept) = ours {
        let again = compacted(&kept);
        prop_assert_eq!(again.as_ref(), Ok(&kept), "compacting again changes nothing");
        prop_assert!(!kept.contains(&b'\n'), "one line");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn gaps_go_and_everything_else_stays(value in any_value(), gaps in proptest::collection::vec(any::<u8>(), 1..40)) {
        let compact = value.to_string();
        prop_assert_eq!(compacted(&spaced(&compact, &gaps)), Ok(compact.clone().into_bytes()));
        let pretty = serde_json::to_vec_pretty(&value).unwrap();
        prop_assert_eq!(compacted(&pretty), Ok(compact.into_bytes()));
    }

    #[test]
    fn any_bytes_are_judged_as_serde_json_judges_them(input: Vec<u8>) {
        agrees(&input)?;
    }

    #[test]
    fn near_json_is_judged_as_serde_json_judges_it(input in near_json()) {
        agrees(&input)?;
    }

    #[test]
    fn damaged_json_is_judged_as_serde_json_judges_it(
        value in any_value(),
        place: prop::sample::Index,
        fragment in near_json(),
        removed in 0_usize..4,
    ) {
        let mut input = value.to_string().into_bytes();
        let at = place.index(input.len() + 1);
        let end = input.len().min(at + removed);
        input.splice(at..end, fragment);
        agrees(&input)?;
    }

    #[test]
    fn a_cut_is_never_called_a_mistake(value in any_value(), place: prop::sample::Index) {
        let input = value.to_string().into_bytes();
        let end = place.index(input.len());
        if let Err(error) = compacted(&input[..end]) {
            prop_assert!(matches!(error.kind, Kind::UnexpectedEnd | Kind::Empty), "{}", error);
        }
    }
}
