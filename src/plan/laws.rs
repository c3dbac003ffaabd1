//! Properties of this module, tested with arbitrary values and templates: a server decodes exactly the cell,
//! or there is no request; and no template, however unusual, makes the program panic.

use std::sync::Arc;

use proptest::prelude::*;
use url::{Position, Url};

use crate::input::{Columns, Row};
use crate::model::{Job, RequestUrl, Seq};
use crate::plan::{Planned, Planner, RequestSettings, RequestTemplate};

/// Characters with a special meaning, among arbitrary ones.
fn hostile() -> impl Strategy<Value = String> {
    const ODD: [char; 48] = [
        '.', '.', '.', '/', '\\', '?', '#', '%', '2', 'e', 'E', 'F', '&', '=', '+', ';', ':', '@', ' ', '{',
        '}', '$', '"', '\'', '<', '>', '|', '^', '`', '~', '-', '_', '*', '!', '(', '[', ',', '\t', '\n',
        '\r', '\0', '\u{7f}', '\u{85}', '\u{a0}', 'é', '日', '😀', '\u{202e}',
    ];
    let one = prop_oneof![4 => prop::sample::select(&ODD[..]), 2 => prop::char::range('0', 'z'), 1 => any::<char>()];
    let text = |size| prop::collection::vec(one.clone(), size).prop_map(String::from_iter);
    prop_oneof![8 => text(0..6), 2 => text(0..40), 1 => text(60..300)]
}

/// Values that climb, or nearly.
fn climbing() -> impl Strategy<Value = String> {
    const PIECES: [&str; 12] = [".", ".", "..", "/", "/", "\\", "a", "%2e", "%2f", "%5c", "%", " "];
    let made = prop::collection::vec(prop::sample::select(&PIECES[..]), 1..6).prop_map(|it| it.concat());
    prop_oneof![4 => made, 1 => hostile()]
}

fn planner(settings: &RequestSettings) -> Result<Planner, crate::plan::PlanError> {
    let names = ["sku", "b", "key"].map(String::from).to_vec();
    let columns = Columns { names, key: 2, format: crate::input::CsvFormat::default(), headers: true };
    let env = |name: &str| (name == "T").then(|| "canary".to_owned());
    let template = Arc::new(RequestTemplate::parse(settings, &env)?);
    Ok(Planner::new(template.bind(&columns)?, [9; 16]))
}

fn row(sku: &str, b: &str, key: &str) -> Row {
    let record = [sku, b, key].iter().collect();
    Row { seq: Seq(0), line: 2, record, is_padded: false, damage: None, quoting_doubt: None }
}

/// Plans one row with a new planner.
fn plan(url: &str, sku: &str, b: &str) -> Option<Job> {
    let settings = RequestSettings { url: url.into(), ..RequestSettings::default() };
    match planner(&settings).unwrap().plan(row(sku, b, "k")) {
        Planned::Job(job) => Some(job),
        Planned::Rejected(refused) => {
            let why = refused.why.to_string();
            assert!(!why.chars().any(char::is_control), "{why:?}");
            None
        }
        other => panic!("neither a repeat nor skipped: {other:?}"),
    }
}

/// Whether a value is allowed in a URL, dots apart.
fn is_allowed_in_a_url(value: &str) -> bool {
    !value.is_empty() && value.len() <= 256 && !value.chars().any(char::is_control)
}

/// Whether a server that decodes this segment finds `.` or `..` between slashes or backslashes in it.
fn has_dots(segment: &str) -> bool {
    segment.split(['/', '\\']).any(|piece| piece == "." || piece == "..")
}

/// The path that a server of the worst kind serves: percent-decoded once, a backslash read as a slash, then dot
/// segments removed (RFC 3986, section 5.2.4).
fn served(path: &str) -> String {
    let path = String::from_utf8(decoded(path)).unwrap().replace('\\', "/");
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(segments.pop()),
            other => segments.push(other),
        }
    }
    format!("/{}", segments.join("/"))
}

/// Decodes a segment as a server does.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let hex: String = [bytes.next().unwrap(), bytes.next().unwrap()].map(char::from).iter().collect();
        out.push(u8::from_str_radix(&hex, 16).unwrap());
    }
    out
}

/// Checks a template whose segment number `at` is `before` + sku + `after`.
fn segment_law(url: &str, at: usize, (before, after): (&str, &str), sku: &str) {
    let whole = format!("{before}{sku}{after}");
    let allowed = is_allowed_in_a_url(sku) && !has_dots(&whole);
    let Some(job) = plan(url, sku, "b") else {
        assert!(!allowed, "{sku:?} may be requested");
        return;
    };
    assert!(allowed, "{sku:?} may not be requested");
    let safe = plan(url, "x", "b").unwrap().request.url;
    let found = job.request.url;
    unchanged_but_for_values(&safe, &found);
    let segments: Vec<&str> = found.path_segments().unwrap().collect();
    assert_eq!(decoded(segments[at]), whole.as_bytes());
    let expected: Vec<&str> = safe.path_segments().unwrap().collect();
    for (index, segment) in segments.iter().enumerate().filter(|(index, _)| *index != at) {
        assert_eq!(*segment, expected[index]);
    }
}

/// The parser reads it as it is; same origin, user-info, number of segments, number of query pairs; no raw control byte.
fn unchanged_but_for_values(safe: &RequestUrl, found: &RequestUrl) {
    let read = Url::parse(found.as_str()).unwrap();
    assert_eq!((read.as_str(), found.target()), (found.as_str(), &read[Position::BeforePath..]));
    assert_eq!(safe.origin(), found.origin());
    assert_eq!((safe.username(), safe.password()), (found.username(), found.password()));
    assert_eq!(safe.path_segments().unwrap().count(), found.path_segments().unwrap().count());
    assert_eq!(safe.query().is_some(), found.query().is_some());
    assert_eq!(safe.query_pairs().count(), found.query_pairs().count());
    assert_eq!(found.fragment(), None);
    assert!(found.as_str().bytes().all(|b| b.is_ascii_graphic()));
    assert!(found.as_str().parse::<http::Uri>().is_ok());
}

/// The body of one row, sent with this header line.
fn body_law(body: &str, content_type: &str, (sku, b): (&str, &str)) -> Option<Vec<u8>> {
    let settings = RequestSettings {
        url: "http://h/".into(),
        headers: vec![content_type.into()],
        body: Some(body.into()),
        ..RequestSettings::default()
    };
    match planner(&settings).unwrap().plan(row(sku, b, "k")) {
        Planned::Job(job) => Some(job.request.body.unwrap().to_vec()),
        Planned::Rejected(_) => None,
        other => panic!("neither a repeat nor skipped: {other:?}"),
    }
}

/// What an XML parser reads from an element: its attributes, then its text.
fn read_xml(body: &[u8]) -> Vec<String> {
    use quick_xml::events::Event;
    let text = std::str::from_utf8(body).unwrap();
    let mut reader = quick_xml::Reader::from_str(text);
    let (mut read, mut content) = (Vec::new(), String::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Start(element) => {
                for attribute in element.attributes() {
                    read.push(
                        attribute
                            .unwrap()
                            .normalized_value(quick_xml::XmlVersion::Implicit1_0)
                            .unwrap()
                            .into_owned(),
                    );
                }
            }
            Event::Text(text) => content.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) => {
                let written = format!("&{};", reference.xml10_content());
                content.push_str(&quick_xml::escape::unescape(&written).unwrap());
            }
            Event::Eof => break,
            _ => {}
        }
    }
    read.push(content);
    read
}

/// Pieces that templates are made of, and that break them.
fn odd_template() -> impl Strategy<Value = String> {
    const PIECES: [&str; 40] = [
        "http://",
        "https://",
        "HTTP://",
        "h",
        "h.example",
        "{sku}",
        "{b}",
        "{sku}",
        "${T}",
        "${U}",
        "${",
        "{",
        "}",
        "{{",
        "}}",
        "/",
        "/",
        "/",
        "?",
        "#",
        "@",
        ":",
        ":80",
        "%",
        "%2e",
        "%4",
        "..",
        ".",
        "\\",
        "é",
        " ",
        "a",
        "q0x1z",
        "&k=",
        "[::1]",
        "xn--",
        "\t",
        "|",
        "'",
        "$",
    ];
    let made =
        prop::collection::vec(prop::sample::select(&PIECES[..]), 0..12).prop_map(|pieces| pieces.concat());
    let plausible = made.clone().prop_map(|rest| format!("https://u:${{T}}@h.example/{rest}"));
    prop_oneof![made, plausible, hostile()]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1024) })]

    #[test]
    fn a_value_alone_in_a_segment_arrives_as_it_is_or_not_at_all(sku in hostile()) {
        segment_law("https://u:p@h:8080/p/{sku}/info?x=1", 1, ("", ""), &sku);
        segment_law("http://h/{sku}", 0, ("", ""), &sku);
    }

    #[test]
    fn a_value_inside_a_segment_arrives_as_it_is_or_not_at_all(sku in hostile()) {
        segment_law("https://h/a/p-{sku}.json", 1, ("p-", ".json"), &sku);
        segment_law("https://h/.{sku}/b", 0, (".", ""), &sku);
        segment_law("https://h/a/%2e{sku}", 1, (".", ""), &sku);
        segment_law("https://h/{sku}%2E", 0, ("", "."), &sku);
    }

    #[test]
    fn two_values_in_one_segment_arrive_as_they_are_or_not_at_all(sku in hostile(), b in hostile()) {
        let whole = format!("{sku}{b}");
        let allowed = is_allowed_in_a_url(&sku) && is_allowed_in_a_url(&b) && !has_dots(&whole);
        let url = "https://h/a/{sku}{b}/c";
        let job = plan(url, &sku, &b);
        prop_assert_eq!(job.is_some(), allowed);
        if let Some(job) = job {
            unchanged_but_for_values(&plan(url, "x", "y").unwrap().request.url, &job.request.url);
            prop_assert_eq!(decoded(job.request.url.path_segments().unwrap().nth(1).unwrap()), whole.as_bytes());
        }
    }

    #[test]
    fn no_value_climbs_out_of_the_fixed_beginning_of_the_path(
        sku in climbing(), b in climbing(), rest in prop::collection::vec(prop::sample::select(
            &["{sku}", "{b}", ".", "..", "%2e", "/", "%2F", "%5c", "-", "?q=", "c"][..]), 0..8),
    ) {
        let url = format!("https://h/fixed/one/{{sku}}{}", rest.concat());
        let settings = RequestSettings { url, ..RequestSettings::default() };
        // A template that has dots of its own is refused.
        let Ok(mut planner) = planner(&settings) else { return Ok(()) };
        if let Planned::Job(job) = planner.plan(row(&sku, &b, "k")) {
            let path = job.request.url.path();
            prop_assert!(served(path).starts_with("/fixed/one/"), "{}", path);
            prop_assert_eq!(served(path), String::from_utf8(decoded(path)).unwrap().replace('\\', "/"));
        }
    }

    #[test]
    fn a_value_in_the_query_arrives_as_it_is_or_not_at_all(sku in hostile(), b in hostile()) {
        let url = "https://h/a?q={sku}&r=x-{b}-y&s=1";
        let job = plan(url, &sku, &b);
        prop_assert_eq!(job.is_some(), is_allowed_in_a_url(&sku) && is_allowed_in_a_url(&b));
        if let Some(job) = job {
            unchanged_but_for_values(&plan(url, "x", "y").unwrap().request.url, &job.request.url);
            // As forms are decoded, where `+` is a space; and as plain URLs are.
            let pairs: Vec<_> = job.request.url.query_pairs().map(|(_, value)| value.into_owned()).collect();
            prop_assert_eq!(&pairs, &[sku.clone(), format!("x-{b}-y"), "1".into()]);
            let raw = job.request.url.query().unwrap().split('&').next().unwrap();
            prop_assert_eq!(decoded(raw.strip_prefix("q=").unwrap()), sku.as_bytes());
        }
    }

    #[test]
    fn a_value_in_a_json_body_is_decoded_as_it_was(sku in hostile(), b in hostile()) {
        let settings = RequestSettings {
            url: "http://h/".into(),
            body: Some(r#"{"q":"{sku}","l":["a{b}c","{sku}"]}"#.into()),
            ..RequestSettings::default()
        };
        let Planned::Job(job) = planner(&settings).unwrap().plan(row(&sku, &b, "k")) else {
            panic!("a body takes anything")
        };
        let value: serde_json::Value = serde_json::from_slice(&job.request.body.unwrap()).unwrap();
        prop_assert_eq!(value, serde_json::json!({"q": sku, "l": [format!("a{b}c"), sku]}));
    }

    #[test]
    fn a_value_outside_of_quotes_in_a_json_body_is_one_number_or_boolean_or_there_is_no_request(
        sku in prop_oneof![hostile(), "[-+0-9.eE]{0,6}", "(null|true|false|1,2|\\[1\\]|0)"],
    ) {
        let body = body_law(r#"[{sku},"{sku}"]"#, "Content-Type: application/json", (&sku, "b"));
        let number = sku.parse::<serde_json::Number>().ok().map(serde_json::Value::Number);
        let scalar = number.or_else(|| sku.parse::<bool>().ok().map(serde_json::Value::Bool));
        let is_plain = sku == "0" || sku.starts_with(|c| matches!(c, '1'..='9')) && sku.bytes().all(|b| b.is_ascii_digit());
        prop_assert!(body.is_some() || !is_plain || sku.len() > 300);
        prop_assert!(body.is_none() || scalar.is_some(), "{:?}", body);
        if let Some(body) = body {
            let read: serde_json::Value = serde_json::from_slice(&body).unwrap();
            prop_assert_eq!(read, serde_json::json!([scalar, sku]));
        }
    }

    #[test]
    fn a_value_in_a_form_body_is_decoded_as_it_was(sku in hostile(), b in hostile()) {
        let body = "q={sku}&r=x{b}y&s={sku}";
        let job = body_law(body, "Content-Type: application/x-www-form-urlencoded; charset=UTF-8", (&sku, &b)).unwrap();
        let pairs: Vec<_> = url::form_urlencoded::parse(&job).map(|(_, value)| value.into_owned()).collect();
        prop_assert_eq!(&pairs, &[sku.clone(), format!("x{b}y"), sku.clone()]);
        // As a reader decodes it to whom `+` is no space.
        let raw = std::str::from_utf8(&job).unwrap().split('&').next().unwrap();
        prop_assert_eq!(decoded(raw.strip_prefix("q=").unwrap()), sku.as_bytes());
    }

    #[test]
    fn a_value_in_an_xml_body_is_decoded_as_it_was_or_there_is_no_request(sku in hostile(), b in hostile()) {
        let body = "<a b=\"{sku}\" c='{b}'>x{b}y</a>";
        let is_carried = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
        let job = body_law(body, "Content-Type: Text/XML", (&sku, &b));
        prop_assert_eq!(job.is_some(), sku.chars().chain(b.chars()).all(is_carried));
        if let Some(job) = job {
            prop_assert_eq!(read_xml(&job), [sku.clone(), b.clone(), format!("x{b}y")]);
        }
    }

    #[test]
    fn a_value_in_a_plain_body_is_sent_as_it_is(sku in hostile(), b in hostile()) {
        let job = body_law("{sku}|{b}", "Content-Type: text/plain", (&sku, &b)).unwrap();
        prop_assert_eq!(job, format!("{sku}|{b}").into_bytes());
    }

    #[test]
    fn in_a_body_every_brace_is_literal_except_for_two_forms(
        pieces in prop::collection::vec(prop::sample::select(
            &["{", "}", "{{", "}}", "sku", "b", "x", "\"", "{x}", "{{x}}", " "][..]), 0..16),
        before in "[{} x]{0,4}", after in "[{} x]{0,4}",
    ) {
        // Read again with the value `{sku}` and with a plain one: they differ exactly where the column is.
        let text = pieces.concat();
        let with = |sku| body_law(&format!("{text} {{key}}"), "Content-Type: text/plain", (sku, "B"));
        let (first, second) = (with("\u{1}").unwrap(), with("\u{2}").unwrap());
        prop_assert_eq!(first.iter().map(|b| if *b == 1 { 2 } else { *b }).collect::<Vec<_>>(), second);
        // A column in the midst of arbitrary braces is never lost, unless just these double it.
        let body = format!("{before}{{sku}}{after} {{key}}");
        let sent = body_law(&body, "Content-Type: text/plain", ("\u{1}", "B")).unwrap();
        let is_doubled = before.ends_with('{') && after.starts_with('}');
        let value = if is_doubled { "sku" } else { "\u{1}" };
        prop_assert_eq!(String::from_utf8(sent).unwrap(), format!("{before}{value}{after} k"));
    }

    #[test]
    fn a_value_in_a_header_arrives_as_it_is_or_not_at_all(sku in hostile()) {
        let settings = RequestSettings {
            url: "http://h/".into(),
            headers: vec!["X-Sku: <{sku}>".into()],
            ..RequestSettings::default()
        };
        match planner(&settings).unwrap().plan(row(&sku, "b", "k")) {
            Planned::Job(job) => {
                prop_assert!(!sku.chars().any(char::is_control));
                let expected = format!("<{sku}>");
                prop_assert_eq!(job.request.headers["x-sku"].as_bytes(), expected.as_bytes());
            }
            _ => prop_assert!(sku.chars().any(char::is_control)),
        }
    }

    #[test]
    fn no_url_template_breaks_the_program_or_lets_a_value_out_of_its_place(
        url in odd_template(), first in hostile(), second in hostile(),
    ) {
        let settings = RequestSettings { url, ..RequestSettings::default() };
        let mut planner = match planner(&settings) {
            Ok(planner) => planner,
            Err(error) => {
                let text = format!("{error} {error:?} {:?}", error.hint());
                prop_assert!(!text.contains("canary"));
                return Ok(());
            }
        };
        let text = format!("{planner:?} {} {}", planner.request().identity(), planner.template().origin());
        prop_assert!(!text.contains("canary"));
        let Planned::Job(safe) = planner.plan(row("x", "y", "k")) else { panic!("{} refuses x and y", settings.url) };
        prop_assert_eq!(safe.request.url.origin().ascii_serialization(), planner.template().origin());
        for (key, value) in [("1", &first), ("2", &second)] {
            if let Planned::Job(job) = planner.plan(row(value, &second, key)) {
                unchanged_but_for_values(&safe.request.url, &job.request.url);
            }
        }
    }

    #[test]
    fn no_header_line_and_no_body_template_breaks_the_program(line in hostile(), piece in odd_template(), sku in hostile()) {
        let settings = RequestSettings {
            url: "http://h/{key}".into(),
            headers: vec![line, format!("X: {piece}")],
            body: Some(piece.clone()),
            ..RequestSettings::default()
        };
        let body_only = RequestSettings { headers: Vec::new(), ..settings.clone() };
        for settings in [settings, body_only] {
            if let Ok(mut planner) = planner(&settings) {
                planner.plan(row(&sku, "b", "k"));
            }
        }
    }
}
