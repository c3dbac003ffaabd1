//! Reads an output file SKU by SKU, in either format and shape, and in any layout that is JSON.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::ops::ControlFlow;

use crate::collect::files::compression::unpacked;
use crate::collect::files::stamp::{Stamp, StampReader};
use crate::collect::previous::key_hash::KeyHasher;
use crate::collect::previous::line_window::LineWindow;
use crate::collect::previous::members::{JsonText, Malformed, compact_value, members};
use crate::collect::previous::own_line::{own_line, own_value};
use crate::collect::previous::profile::{MeasuredOutput, Profiler};
use crate::collect::previous::stored_sku::{Stored, StoredSku, Unreadable};
use crate::collect::previous::stored_table::{old_table, visit_rows};
use crate::collect::settings::{Format, Shape, StoredForm};

/// Visits every SKU in the order of the file until `visit` breaks off. Checks what it passes. The stamp is that of
/// the whole file only where no visit broke off.
pub(crate) fn visit_skus(
    file: &File,
    form: StoredForm<'_>,
    visit: impl FnMut(StoredSku<'_>) -> ControlFlow<()>,
) -> Result<Stamp, Unreadable> {
    let begin = |why| Unreadable { offset: 0, why };
    let table = match form {
        StoredForm::Csv(layout) => Some(old_table(file, layout).map_err(begin)?),
        StoredForm::Json | StoredForm::Jsonl => None,
    };
    let mut raw = StampReader::new(file);
    let (_, text) = unpacked(&mut raw).map_err(|error| begin(error.into()))?;
    if let Some(table) = table {
        visit_rows(text, &table, visit)?;
        return Ok(raw.stamp());
    }
    let format = form.format();
    let text = JsonText::new(LineWindow::new(text));
    let mut walk = OutputWalk { text, format, value: Vec::new(), compact: Vec::new(), visit };
    let walked = if format == Format::Json { walk.object() } else { walk.lines() };
    walked.map_err(|why| Unreadable { offset: walk.text.at, why })?;
    drop(walk);
    Ok(raw.stamp())
}

/// Measures an output file.
pub(crate) fn measure(file: &File, form: StoredForm<'_>) -> Result<MeasuredOutput, Unreadable> {
    let mut profiler = Profiler::default();
    let (hasher, mut seen) = (KeyHasher::random(), HashSet::new());
    visit_skus(file, form, |sku| {
        // Of a table, several rows may have one key.
        let is_new = form.format() != Format::Csv || seen.insert(hasher.hash(sku.key));
        if let Some(body) = sku.stored.body.as_ref().filter(|_| is_new) {
            profiler.body(body);
        }
        ControlFlow::Continue(())
    })?;
    Ok(profiler.finish())
}

/// The first SKU of an output file for which `wanted` is true.
pub(crate) fn first_sku(
    file: &File,
    form: StoredForm<'_>,
    mut wanted: impl FnMut(&str, &[u8]) -> bool,
) -> Option<(String, Vec<u8>)> {
    let mut found = None;
    let visited = visit_skus(file, form, |sku| match sku.stored.body {
        Some(body) if wanted(sku.key, &body) => {
            found = Some((sku.key.to_owned(), body.into_owned()));
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    visited.ok().and(found)
}

/// Takes the value of a SKU apart: what follows the key in the JSON format, or the object of a line. It is compact.
pub(crate) fn take_apart(value: &[u8], format: Format) -> Result<Stored<'_>, Malformed> {
    own_value(value, format).map_or_else(|| take_apart_any(value, format), Ok)
}

/// The same, in whatever order its members are.
pub(super) fn take_apart_any(value: &[u8], format: Format) -> Result<Stored<'_>, Malformed> {
    let plain = || Stored { shape: Shape::Body, status: None, body: Some(Cow::Borrowed(value)) };
    if format == Format::Json && !value.starts_with(b"{\"status\":") {
        return Ok(plain());
    }
    let mut names = Vec::new();
    let (mut status, mut body) = (None, None);
    members(value, |name, value| {
        match name {
            b"\"status\"" => status = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()),
            b"\"body\"" => body = Some(Cow::Owned(value.to_vec())),
            _ => {}
        }
        names.push(name.to_vec());
    })?;
    let own: &[&[u8]] = match format {
        Format::Json => &names.iter().map(Vec::as_slice).collect::<Vec<_>>(),
        Format::Jsonl | Format::Csv => {
            &names.iter().map(Vec::as_slice).filter(|name| *name != b"\"key\"").collect::<Vec<_>>()
        }
    };
    let is_record =
        matches!(own, [b"\"status\"", b"\"fetched_at\"", b"\"attempts\"", b"\"body\"" | b"\"error\""]);
    Ok(match (is_record, format) {
        (true, _) => Stored { shape: Shape::Record, status, body },
        (false, Format::Json) => plain(),
        (false, Format::Jsonl | Format::Csv) => Stored { shape: Shape::Body, status: None, body },
    })
}

struct OutputWalk<R, V> {
    text: JsonText<LineWindow<R>>,
    format: Format,
    value: Vec<u8>,
    compact: Vec<u8>,
    visit: V,
}

impl<R: Read, V: FnMut(StoredSku<'_>) -> ControlFlow<()>> OutputWalk<R, V> {
    /// One object, a member a key.
    fn object(&mut self) -> Result<(), Malformed> {
        let mut raw_key = Vec::new();
        self.text.byte_order_mark()?;
        self.text.gap()?;
        self.text.expect(b'{', "it is not one JSON object")?;
        let mut first = true;
        while self.text.more(first)? {
            first = false;
            if let Some(passed) = self.own_line()? {
                if passed.is_break() {
                    return Ok(());
                }
                continue;
            }
            let start = self.text.at;
            raw_key.clear();
            self.value.clear();
            self.text.key(&mut raw_key)?;
            self.text.value(&mut self.value)?;
            if self.pass(&unquoted(&raw_key)?, start)?.is_break() {
                return Ok(());
            }
        }
        match self.text.gap()? {
            None => Ok(()),
            Some(_) => Err(Malformed::Syntax("something follows the object")),
        }
    }

    /// Objects one after the other, each with its key.
    fn lines(&mut self) -> Result<(), Malformed> {
        self.text.byte_order_mark()?;
        while self.text.gap()?.is_some() {
            if let Some(passed) = self.own_line()? {
                if passed.is_break() {
                    return Ok(());
                }
                continue;
            }
            let start = self.text.at;
            self.value.clear();
            self.text.value(&mut self.value)?;
            let mut found = None;
            members(&self.value, |key, value| {
                if key == b"\"key\"" {
                    found = Some(unquoted(value));
                }
            })?;
            let key = found.ok_or(Malformed::Syntax("a line has no \"key\""))??;
            if self.pass(&key, start)?.is_break() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Visits the SKU that begins here, if its line is laid out as skufetch writes it.
    fn own_line(&mut self) -> Result<Option<ControlFlow<()>>, Malformed> {
        let start = self.text.at;
        let Some(line) = self.text.line()? else { return Ok(None) };
        let line = match self.format {
            Format::Json => line.strip_suffix(b",").unwrap_or(line),
            Format::Jsonl | Format::Csv => line,
        };
        let Some((key, stored)) = own_line(line, self.format) else { return Ok(None) };
        let length = line.len();
        let passed = (self.visit)(StoredSku { key, stored, start, end: start + length as u64 });
        self.text.skip_seen(length);
        Ok(Some(passed))
    }

    /// The value was read, which began (with its key) at `start` and ends here.
    fn pass(&mut self, key: &str, start: u64) -> Result<ControlFlow<()>, Malformed> {
        self.compact.clear();
        compact_value(&self.value, &mut self.compact)?;
        let stored = take_apart(&self.compact, self.format)?;
        Ok((self.visit)(StoredSku { key, stored, start, end: self.text.at }))
    }
}

pub(crate) fn unquoted(key: &[u8]) -> Result<String, Malformed> {
    serde_json::from_slice(key).map_err(|_| Malformed::Syntax("a key is not a JSON string"))
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::collect::files::stamp::stamp_of;
    use crate::collect::previous::profile::Profile;

    fn file(text: &str) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.rewind().unwrap();
        file
    }

    fn stored(text: &str, form: StoredForm<'_>) -> Vec<(String, Shape, Option<String>)> {
        let mut all = Vec::new();
        let stamp = visit_skus(&file(text), form, |sku| {
            let body = sku.stored.body.map(|body| String::from_utf8(body.into_owned()).unwrap());
            all.push((sku.key.to_owned(), sku.stored.shape, body));
            ControlFlow::Continue(())
        });
        assert_eq!(stamp.unwrap(), stamp_of(&file(text)).unwrap());
        all
    }

    #[test]
    fn the_shape_of_each_value_follows_from_its_members() {
        let record =
            |last: &str| format!("{{\"status\" : 200, \"fetched_at\":\"\", \"attempts\":1, {last}}}");
        let (body, error) = (record("\"body\":[ 1.10 ]"), record("\"error\":\"x\""));
        let text =
            format!("{{\"A\":{body}, \"B\":{error},\n\"C\":{{\"status\":1,\"body\":2}}, \"D\":\"x\"}}");
        let some = |body: &str| Some(body.to_owned());
        assert_eq!(
            stored(&text, StoredForm::Json),
            [
                ("A".into(), Shape::Record, some("[1.10]")),
                ("B".into(), Shape::Record, None),
                ("C".into(), Shape::Body, some("{\"status\":1,\"body\":2}")),
                ("D".into(), Shape::Body, some("\"x\"")),
            ]
        );
        let text = "{\"key\":\"A\",\"body\":{\"x\": 1}}\n\
                    {\"key\":\"B\",\"status\":200,\"fetched_at\":\"\",\"attempts\":1,\"body\":null}\n\
                    {\"key\":\"C\",\"status\":404,\"fetched_at\":\"\",\"attempts\":1,\"error\":\"x\"}\n\
                    {\"body\":1,\"key\":\"D\"}{\"key\":\"E\"}";
        assert_eq!(
            stored(text, StoredForm::Jsonl),
            [
                ("A".into(), Shape::Body, some("{\"x\":1}")),
                ("B".into(), Shape::Record, some("null")),
                ("C".into(), Shape::Record, None),
                ("D".into(), Shape::Body, some("1")),
                ("E".into(), Shape::Body, None),
            ]
        );
    }

    #[test]
    fn a_file_is_measured_without_the_skus_that_failed() {
        let text = "{\"A\":{},\"B\":{},\"C\":null,\"D\":{\"status\":404,\"fetched_at\":\"\",\"attempts\":1,\"error\":\"x\"}}";
        let profile = measure(&file(text), StoredForm::Json).unwrap().profile;
        assert_eq!(profile, Profile { skus: 3, nulls: 1, commonest: 2, commonest_raw: None });
    }

    #[test]
    fn the_first_sku_that_is_wanted_is_found_and_no_more_is_read() {
        let file = file("{\"A\":1,\"B\":{\"x\":2},\"C\":3 and then nonsense");
        let found = first_sku(&file, StoredForm::Json, |_, body| body.starts_with(b"{"));
        assert_eq!(found, Some(("B".into(), b"{\"x\":2}".to_vec())));
    }

    #[test]
    fn lines_of_ours_are_not_read_byte_by_byte() {
        for (format, text) in [
            (Format::Json, "{\n\"A\":{\"x\":[1]},\n\"B\":2\n}\n"),
            (Format::Jsonl, "{\"key\":\"A\",\"body\":1}\n{\"key\":\"B\",\"body\":[2]}\n"),
        ] {
            let mut count = 0;
            let visit = |_: StoredSku<'_>| {
                count += 1;
                ControlFlow::Continue(())
            };
            let text = JsonText::new(LineWindow::new(text.as_bytes()));
            let mut walk = OutputWalk { text, format, value: Vec::new(), compact: Vec::new(), visit };
            if format == Format::Json { walk.object() } else { walk.lines() }.unwrap();
            assert_eq!(
                (walk.value.capacity(), walk.compact.capacity()),
                (0, 0),
                "the general reader fills both"
            );
            assert_eq!(count, 2);
        }
    }

    /// A value, as it is when it is compact.
    fn value() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            any::<i32>().prop_map(Value::from),
            Just(Value::Null),
            "[a\"\\\\{}\\[\\],:\n é]{0,6}".prop_map(Value::from)
        ];
        let tree = leaf.prop_recursive(3, 12, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(("[ak{}\"]{0,3}", inner), 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect()))
            ]
        });
        tree.prop_map(|value| value.to_string())
    }

    /// The text with white space around its tokens: `gaps` in turn, which stay when none is left.
    fn spaced(json: &str, gaps: &[&str]) -> String {
        let (mut out, mut is_quoted, mut is_escaped) = (String::new(), false, false);
        let mut gaps = gaps.iter().cycle();
        for char in json.chars() {
            let is_token = !is_quoted && "{}[],:".contains(char);
            if is_token {
                out.push_str(gaps.next().unwrap_or(&""));
            }
            out.push(char);
            if is_token {
                out.push_str(gaps.next().unwrap_or(&""));
            }
            (is_quoted, is_escaped) = match char {
                '"' if !is_escaped => (!is_quoted, false),
                '\\' => (is_quoted, !is_escaped),
                _ => (is_quoted, false),
            };
        }
        out
    }

    const GAPS: &[&str] = &["", "", "", " ", "\n", "\r\n", "\t "];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        #[test]
        fn a_file_has_the_same_skus_in_whatever_layout(
            skus in prop::collection::vec((value(), any::<bool>(), prop::sample::subsequence(GAPS, 0..5)), 0..8),
            is_lines: bool, between in prop::sample::select(GAPS),
        ) {
            let mut text = String::from(if is_lines { "" } else { "{" });
            let mut expected = Vec::new();
            for (index, (body, is_own, gaps)) in skus.iter().enumerate() {
                let key = format!("k\u{e4}{index}");
                let sku = if is_lines {
                    format!("{{\"key\":\"{key}\",\"body\":{body}}}")
                } else {
                    format!("\"{key}\":{body}")
                };
                let comma = if is_lines { "" } else { "," };
                let sku = if *is_own { format!("\n{sku}") } else { spaced(&sku, gaps) };
                text.extend([if index == 0 { "" } else { comma }, between, &sku]);
                expected.push((key, body.clone()));
            }
            text += if is_lines { "\n" } else { "\n}\n" };
            let mut found = Vec::new();
            let form = if is_lines { StoredForm::Jsonl } else { StoredForm::Json };
            let visited = visit_skus(&file(&text), form, |sku| {
                let place = usize::try_from(sku.start).unwrap()..usize::try_from(sku.end).unwrap();
                let whole = if is_lines { text[place].to_owned() } else { format!("{{{}}}", &text[place]) };
                let Ok(Value::Object(members)) = serde_json::from_str(&whole) else { panic!("{whole}") };
                assert!(members.len() == if is_lines { 2 } else { 1 }, "{whole}");
                let body = sku.stored.body.expect("a body");
                found.push((sku.key.to_owned(), String::from_utf8(body.into_owned()).unwrap()));
                ControlFlow::Continue(())
            });
            prop_assert_eq!(visited.unwrap(), stamp_of(&file(&text)).unwrap());
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn what_is_read_to_its_end_is_json(
            text in prop::collection::vec(
                prop::sample::select(&["\n", "\"A\":", "1", ",", "{", "}", "[", "]", "\"", "\\", " ", "\"b\"", "{\"key\":\"A\",\"body\":", "\n\"C\":2,"][..]),
                0..14,
            ),
        ) {
            let text = format!("{{{}", text.concat());
            if visit_skus(&file(&text), StoredForm::Json, |_| ControlFlow::Continue(())).is_ok() {
                prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok(), "{}", text);
            }
            if visit_skus(&file(&text), StoredForm::Jsonl, |_| ControlFlow::Continue(())).is_ok() {
                let mut documents = serde_json::Deserializer::from_str(&text).into_iter::<serde::de::IgnoredAny>();
                prop_assert!(documents.all(|document| document.is_ok()), "{}", text);
            }
        }
    }
}
