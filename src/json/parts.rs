//! The parts of checked, compact JSON, as the bytes that they are.

use std::ops::Range;

/// What an array or object is made of, by the places of the values in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Parts {
    /// The elements of an array.
    Elements(Vec<Range<usize>>),
    /// The members of an object, each with its name decoded.
    Members(Vec<(String, Range<usize>)>),
}

impl Parts {
    /// The parts of the value at `place`; none for any other value.
    #[must_use]
    pub(crate) fn of(json: &[u8], place: &Range<usize>) -> Option<Self> {
        let mut at = place.start + 1;
        match json.get(place.start)? {
            b'[' => {
                let mut elements = Vec::new();
                while at + 1 < place.end {
                    let end = value_end(json, at)?;
                    elements.push(at..end);
                    at = end + 1;
                }
                Some(Self::Elements(elements))
            }
            b'{' => {
                let mut members = Vec::new();
                while at + 1 < place.end {
                    let name = value_end(json, at)?;
                    let end = value_end(json, name + 1)?;
                    members.push((serde_json::from_slice(&json[at..name]).ok()?, name + 1..end));
                    at = end + 1;
                }
                Some(Self::Members(members))
            }
            _ => None,
        }
    }
}

/// How deep arrays and objects are nested in a value, or in several with commas between them.
#[must_use]
pub(crate) fn depth(json: &[u8]) -> usize {
    let (mut depth, mut most, mut at) = (0_usize, 0, 0);
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => match string_end(json, at) {
                Some(end) => at = end - 1,
                None => break,
            },
            b'[' | b'{' => {
                depth += 1;
                most = most.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    most
}

/// The end of the value that begins at `start`.
fn value_end(json: &[u8], start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = start;
    loop {
        match json.get(at)? {
            b'"' => at = string_end(json, at)?,
            b'[' | b'{' => {
                depth += 1;
                at += 1;
            }
            b']' | b'}' if depth > 0 => {
                depth -= 1;
                at += 1;
            }
            _ if depth > 0 => {
                at += 1;
                continue;
            }
            // A number or a word.
            _ => {
                let is_part = |byte: &u8| !matches!(byte, b',' | b']' | b'}' | b':');
                at += json[at..].iter().take_while(|byte| is_part(byte)).count();
            }
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

/// The end of the string whose opening quote is at `start`.
fn string_end(json: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', json.get(at..)?)?;
        if json[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn all(json: &str) -> Option<Parts> {
        Parts::of(json.as_bytes(), &(0..json.len()))
    }

    #[test]
    fn elements_and_members_are_found_with_their_text() {
        let json = r#"{"a\"b":[1.50,"x,]}",{"c":[]},[]],"d":{},"e":true,"":"\\"}"#;
        let Some(Parts::Members(members)) = all(json) else { panic!("no members") };
        let texts: Vec<_> =
            members.iter().map(|(name, place)| (name.as_str(), &json[place.clone()])).collect();
        assert_eq!(
            texts,
            [("a\"b", r#"[1.50,"x,]}",{"c":[]},[]]"#), ("d", "{}"), ("e", "true"), ("", r#""\\""#)]
        );
        let Some(Parts::Elements(elements)) = Parts::of(json.as_bytes(), &members[0].1) else {
            panic!("none")
        };
        let texts: Vec<_> = elements.iter().map(|place| &json[place.clone()]).collect();
        assert_eq!(texts, ["1.50", r#""x,]}""#, r#"{"c":[]}"#, "[]"]);
    }

    #[test]
    fn a_value_without_parts_has_none() {
        assert_eq!((all("[]"), all("{}")), (Some(Parts::Elements(vec![])), Some(Parts::Members(vec![]))));
        for json in ["1", "\"[]\"", "null", ""] {
            assert_eq!(all(json), None, "{json}");
        }
    }

    #[test]
    fn the_depth_of_values_is_the_deepest_nesting() {
        for (json, expected) in
            [("1", 0), ("[]", 1), (r#"{"a":[{}]},[1]"#, 3), (r#""[[\"[","[""#, 0), ("", 0)]
        {
            assert_eq!(depth(json.as_bytes()), expected, "{json}");
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            any::<String>().prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect()))
            ]
        })
    }

    proptest! {
        #[test]
        fn the_parts_are_those_that_a_parser_finds(value in value()) {
            let json = value.to_string();
            match (all(&json), value) {
                (Some(Parts::Elements(places)), Value::Array(elements)) => {
                    let texts: Vec<_> = places.into_iter().map(|place| json[place].to_owned()).collect();
                    prop_assert_eq!(texts, elements.iter().map(Value::to_string).collect::<Vec<_>>());
                }
                (Some(Parts::Members(places)), Value::Object(members)) => {
                    let texts: Vec<_> =
                        places.into_iter().map(|(name, place)| (name, json[place].to_owned())).collect();
                    let expected: Vec<_> =
                        members.iter().map(|(name, member)| (name.clone(), member.to_string())).collect();
                    prop_assert_eq!(texts, expected);
                }
                (None, value) => prop_assert!(!value.is_array() && !value.is_object()),
                (found, value) => prop_assert!(false, "{found:?} of {value}"),
            }
        }
    }
}
