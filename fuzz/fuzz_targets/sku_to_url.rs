//! A cell becomes a URL or a body from which the server decodes exactly that cell, or there is no request.
//!
//! Known templates are checked against the whole law. An arbitrary template is checked against the half that needs no
//! knowledge of it: the same origin, user-info, number of segments and of query pairs for any value, and no part of a
//! secret in an error.
#![no_main]

use std::borrow::Cow;
use std::sync::Arc;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use skufetch::testing::input::{Columns, CsvFormat, Row};
use skufetch::testing::model::{Job, RequestUrl, Seq};
use skufetch::testing::plan::{BodyEscape, Planned, Planner, RequestSettings, RequestTemplate};
use url::Url;

#[derive(Debug, Arbitrary)]
struct Case<'a> {
    template: u8,
    sku: &'a [u8],
    other: &'a [u8],
    free: Cow<'a, str>,
}

/// Where the values are, and the text around them.
enum Spot {
    /// A segment of the path, by its number: its text with `\x01` for the SKU and `\x02` for the other cell.
    Segment(usize, &'static str),
    /// A pair of the query, by its number: its value likewise.
    Query(usize, &'static str),
}
use Spot::{Query, Segment};

const TEMPLATES: &[(&str, &[Spot])] = &[
    ("http://h/{sku}", &[Segment(0, "\x01")]),
    ("https://u:p@h:8080/p/{sku}/info?x=1", &[Segment(1, "\x01")]),
    ("https://h/a/p-{sku}.json", &[Segment(1, "p-\x01.json")]),
    ("https://h/.{sku}/b", &[Segment(0, ".\x01")]),
    ("https://h/a/%2e{sku}", &[Segment(1, ".\x01")]),
    ("https://h/{sku}%2E", &[Segment(0, "\x01.")]),
    ("https://h/a/{sku}{b}/c", &[Segment(1, "\x01\x02")]),
    ("https://h/{sku}/{b}", &[Segment(0, "\x01"), Segment(1, "\x02")]),
    ("https://h/{sku}-{b}-{sku}", &[Segment(0, "\x01-\x02-\x01")]),
    ("https://h/a?q={sku}&r=x-{b}-y&s=1", &[Query(0, "\x01"), Query(1, "x-\x02-y"), Query(2, "1")]),
    ("https://h?q={sku}{b}", &[Query(0, "\x01\x02")]),
    ("https://h/{sku}?q={sku}", &[Segment(0, "\x01"), Query(0, "\x01")]),
];

fuzz_target!(|case: Case<'_>| {
    // One in four templates is arbitrary.
    match TEMPLATES.get(usize::from(case.template % 16)) {
        Some((url, spots)) => known(url, spots, case.sku, case.other),
        None => {
            unknown(&case.free, case.sku, case.other);
            form(case.sku, case.other);
            other_templates(&case.free, case.sku, case.other);
        }
    }
});

fn planner(url: &str) -> Result<Planner, skufetch::testing::plan::PlanError> {
    planner_of(&RequestSettings { url: url.into(), ..RequestSettings::default() })
}

fn planner_of(settings: &RequestSettings) -> Result<Planner, skufetch::testing::plan::PlanError> {
    let names = ["sku", "b", "key"].map(String::from).to_vec();
    let columns = Columns { names, key: 2, format: CsvFormat::default(), headers: true };
    let env = |name: &str| (name == "T").then(|| "can/ary".to_owned());
    let template = Arc::new(RequestTemplate::parse(settings, &env)?);
    Ok(Planner::new(template.bind(&columns)?, [9; 16]))
}

fn plan(planner: &mut Planner, key: &str, sku: &[u8], b: &[u8]) -> Option<Job> {
    let record = [sku, b, key.as_bytes()].iter().collect();
    match planner.plan(Row {
        seq: Seq(0),
        line: 2,
        record,
        is_padded: false,
        damage: None,
        quoting_doubt: None,
    }) {
        Planned::Job(job) => Some(job),
        Planned::Rejected(refused) => {
            let why = refused.why.to_string();
            assert!(!why.chars().any(char::is_control), "{why:?}");
            None
        }
        Planned::Repeat { .. } => panic!("no key was given twice"),
        Planned::Skipped { .. } => panic!("no row is skipped"),
    }
}

fn known(url: &str, spots: &[Spot], sku: &[u8], b: &[u8]) {
    let mut planner = planner(url).expect("a good template");
    let safe = plan(&mut planner, "0", b"x", b"y").expect("letters may be asked for").request.url;
    let uses_b = url.contains("{b}");
    let mut allowed = may_stand_in_a_url(sku) && (!uses_b || may_stand_in_a_url(b));
    for spot in spots {
        if let Segment(_, shape) = spot {
            let whole = filled(shape, sku, b);
            let mut pieces = whole.split(|byte| matches!(byte, b'/' | b'\\'));
            allowed &= !pieces.any(|piece| piece == b"." || piece == b"..");
        }
    }
    let Some(job) = plan(&mut planner, "1", sku, b) else {
        assert!(!allowed, "{url}: {sku:?} and {b:?} may be asked for");
        return;
    };
    assert!(allowed, "{url}: {sku:?} and {b:?} may not be asked for");
    let found = job.request.url;
    unchanged_but_for_values(&safe, &found);
    let segments: Vec<&str> = found.path_segments().unwrap().collect();
    let pairs: Vec<&str> = found.query().unwrap_or_default().split('&').collect();
    for spot in spots {
        match spot {
            Segment(at, shape) => assert_eq!(decoded(segments[*at]), filled(shape, sku, b)),
            Query(at, shape) => {
                let (_, value) = pairs[*at].split_once('=').unwrap();
                assert_eq!(decoded(value), filled(shape, sku, b));
                // As a form is read, where `+` is a space.
                let (_, value) = found.query_pairs().nth(*at).unwrap();
                assert_eq!(value.as_bytes(), filled(shape, sku, b));
            }
        }
    }
}

fn unknown(url: &str, sku: &[u8], b: &[u8]) {
    let mut planner = match planner(url) {
        Ok(planner) => planner,
        Err(error) => {
            let said = format!("{error} {error:?} {:?}", error.hint());
            assert!(!said.contains("can/ary") && !said.contains("can%2Fary"), "{said}");
            return;
        }
    };
    let said = format!("{planner:?} {} {}", planner.request().identity(), planner.template().origin());
    assert!(!said.contains("can/ary") && !said.contains("can%2Fary"), "{said}");
    let Some(safe) = plan(&mut planner, "0", b"x", b"y") else { return };
    let safe = safe.request.url;
    assert_eq!(safe.origin().ascii_serialization(), planner.template().origin());
    if let Some(job) = plan(&mut planner, "1", sku, b) {
        unchanged_but_for_values(&safe, &job.request.url);
    }
}

/// A form holds each cell that is text.
fn form(sku: &[u8], b: &[u8]) {
    let settings = RequestSettings {
        url: "http://h/".into(),
        headers: vec!["Content-Type: application/x-www-form-urlencoded".into()],
        body: Some("q={sku}&r=x{b}y".into()),
        ..RequestSettings::default()
    };
    let mut planner = planner_of(&settings).expect("a good template");
    let job = plan(&mut planner, "1", sku, b);
    let texts = (std::str::from_utf8(sku), std::str::from_utf8(b));
    let (Ok(sku), Ok(b)) = texts else {
        assert!(job.is_none());
        return;
    };
    let body = job.expect("a form carries any text").request.body.unwrap();
    let pairs: Vec<_> = url::form_urlencoded::parse(&body).map(|(_, value)| value.into_owned()).collect();
    assert_eq!(pairs, [sku.to_owned(), format!("x{b}y")]);
}

/// Bodies of each type and addresses of proxies, however odd: none breaks the program or shows a secret.
fn other_templates(text: &str, sku: &[u8], b: &[u8]) {
    for escape in [BodyEscape::Json, BodyEscape::Form, BodyEscape::Xml, BodyEscape::None] {
        let settings = RequestSettings {
            url: "http://h/{key}".into(),
            body: Some(text.into()),
            body_escape: Some(escape),
            proxy: Some(text.into()),
            ..RequestSettings::default()
        };
        for settings in [RequestSettings { proxy: None, ..settings.clone() }, settings] {
            match planner_of(&settings) {
                Err(error) => {
                    let said = format!("{error} {error:?} {:?}", error.hint());
                    assert!(!said.contains("can/ary") && !said.contains("can%2Fary"), "{said}");
                }
                Ok(mut planner) => {
                    let masked = planner.request().mask().apply(text).into_owned();
                    assert!(!text.contains("${T}") || !masked.contains("can/ary"), "{masked}");
                    let _ = plan(&mut planner, "1", sku, b);
                }
            }
        }
    }
}

/// The parser reads it as it is; same origin, user-info, number of segments and of query pairs; no raw byte that means
/// something.
fn unchanged_but_for_values(safe: &RequestUrl, found: &RequestUrl) {
    assert_eq!(Url::parse(found.as_str()).unwrap().as_str(), found.as_str());
    assert_eq!(safe.origin(), found.origin());
    assert_eq!((safe.username(), safe.password()), (found.username(), found.password()));
    assert_eq!(safe.path_segments().unwrap().count(), found.path_segments().unwrap().count());
    assert_eq!(safe.query().is_some(), found.query().is_some());
    assert_eq!(safe.query_pairs().count(), found.query_pairs().count());
    assert_eq!(found.fragment(), None);
    assert!(found.as_str().bytes().all(|byte| byte.is_ascii_graphic()), "{}", found.as_str());
    assert!(found.as_str().parse::<http::Uri>().is_ok(), "{}", found.as_str());
}

/// By the contract, dots apart.
fn may_stand_in_a_url(value: &[u8]) -> bool {
    let text = std::str::from_utf8(value);
    text.is_ok_and(|text| !text.is_empty() && text.len() <= 256 && !text.chars().any(char::is_control))
}

fn filled(shape: &str, sku: &[u8], b: &[u8]) -> Vec<u8> {
    let parts = shape.bytes().map(|byte| match byte {
        1 => sku.to_vec(),
        2 => b.to_vec(),
        other => vec![other],
    });
    parts.collect::<Vec<_>>().concat()
}

/// What a server makes of a segment or of a query's value.
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
