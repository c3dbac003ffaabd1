//! Which condition decides about an answer, what it makes of it, and what it can see.

use std::time::Duration;

use bytes::Bytes;
use csv::ByteRecord;
use http::HeaderMap;
use proptest::prelude::*;

use super::super::{
    AnsweredJob, BodyAs, BulkFilters, Classification, Classifier, Filters, ResponseSettings, classify,
};
use super::*;
use crate::fetch::transport::RawAnswer;
use crate::model::fault::AnswerMeaning;
use crate::model::{Cause, Content, Fault, Key, Mask, Size, StatusSet};

/// These options, and a secret that the server may repeat.
struct Trial {
    settings: ResponseSettings,
    headers: HeaderMap,
}

impl Trial {
    fn new(conditions: &[(&str, &str)]) -> Self {
        let mut meaning = MeaningSettings::default();
        let mut select = ".".to_owned();
        for (option, text) in conditions {
            let text = (*text).to_owned();
            match *option {
                REFUSED_IF => meaning.refused = Some(text),
                NULL_IF => meaning.null = Some(text),
                RETRY_IF => meaning.retry = Some(text),
                FAIL_IF => meaning.fail = Some(text),
                _ => select = text,
            }
        }
        let settings = ResponseSettings {
            select,
            meaning,
            body_as: BodyAs::Json,
            null_on: "410".parse::<StatusSet>().unwrap().into(),
            retry_on: "202,429,503".parse().unwrap(),
            bulk: BulkFilters::default(),
            pages: None,
            max_body: Size(1 << 20),
        };
        Self { settings, headers: HeaderMap::new() }
    }

    fn classify(&self, status: u16, body: &str) -> Classification {
        let columns = ["sku", "price", "sku"].map(str::to_owned);
        let classifier = Classifier {
            settings: self.settings.clone(),
            filters: Filters::compile(&self.settings).unwrap().with_columns(&columns),
            mask: Mask::new(vec!["canary-123".into()]),
        };
        let (key, record) = (Key::parse("é7".as_bytes()).unwrap(), ByteRecord::from(vec!["é7", "1.10"]));
        let job = AnsweredJob::new(&key, &record, false);
        let body = Bytes::copy_from_slice(body.as_bytes());
        let mut answer =
            RawAnswer { status, headers: self.headers.clone(), body, may_be_cut: false, redirected_to: None };
        classify(&mut answer, &classifier, job).masked(&classifier.mask)
    }

    fn fault(&self, body: &str) -> Fault {
        match self.classify(200, body) {
            Classification::GiveUp(fault) | Classification::Retry(fault) | Classification::Limited(fault) => {
                fault
            }
            other => panic!("{body}: {other:?}"),
        }
    }

    fn kept(&self, body: &str) -> String {
        match self.classify(200, body) {
            Classification::Keep(answer) => match answer.content {
                Content::Json(json) => String::from_utf8(json.into()).unwrap(),
                Content::Unchanged => panic!("unchanged"),
            },
            other => panic!("{body}: {other:?}"),
        }
    }
}

/// What becomes of an answer.
fn verdict(classification: &Classification) -> &'static str {
    match classification {
        Classification::Keep(answer) if answer.content == Content::Json(b"null"[..].into()) => "null on",
        Classification::Keep(_) => "keep",
        Classification::KeepNull(_) => "null",
        Classification::Limited(_) => "limited",
        Classification::Retry(Fault { cause: Cause::Meaning(AnswerMeaning::ToBeRetried), .. }) => "retry",
        Classification::Retry(_) => "retry on",
        Classification::GiveUp(Fault { cause: Cause::Meaning(AnswerMeaning::Failed), .. }) => "fail",
        Classification::GiveUp(Fault { cause: Cause::Meaning(_), .. }) => "refused",
        Classification::GiveUp(_) => "give up",
    }
}

const ALL: &[(&str, &str)] = &[(REFUSED_IF, ".r"), (NULL_IF, ".n"), (RETRY_IF, ".t"), (FAIL_IF, ".f")];

proptest! {
    #[test]
    fn the_first_that_says_yes_decides_and_null_and_fail_are_asked_of_2xx_only(
        (refused, null, fail) in any::<(bool, bool, bool)>(),
        retry in proptest::sample::select(vec!["false", "null", "true", "\"yes\"", "3"]),
        status in proptest::sample::select(vec![200_u16, 201, 202, 299, 304, 400, 401, 403, 404, 410, 429, 500, 503]),
    ) {
        let body = format!(r#"{{"r":{refused},"n":{null},"t":{retry},"f":{fail}}}"#);
        let is_success = (200..300).contains(&status);
        let expected = match retry {
            _ if refused => "refused",
            _ if is_success && null => "null",
            "3" => "limited",
            "true" | "\"yes\"" if !matches!(status, 202 | 429 | 503) => "retry",
            _ if status == 410 => "null on",
            _ if matches!(status, 202 | 429 | 503) => "retry on",
            _ if !is_success => "give up",
            _ if fail => "fail",
            _ => "keep",
        };
        prop_assert_eq!(verdict(&Trial::new(ALL).classify(status, &body)), expected);
    }

    #[test]
    fn conditions_that_say_no_change_nothing(
        body in r#"[\[\]{}":,a-c0-2 e.tnull]{0,30}"#, status in proptest::sample::select(vec![200_u16, 202, 304, 404, 410, 503]),
    ) {
        let without = format!("{:?}", strip(Trial::new(&[]).classify(status, &body)));
        let with: Vec<_> = [REFUSED_IF, NULL_IF, RETRY_IF, FAIL_IF].map(|option| (option, "empty, false, null")).into();
        prop_assert_eq!(&format!("{:?}", strip(Trial::new(&with).classify(status, &body))), &without);
        let failing: Vec<_> = with.iter().map(|(option, _)| (*option, "error(\"x\")")).collect();
        prop_assert_eq!(format!("{:?}", strip(Trial::new(&failing).classify(status, &body))), without);
    }
}

/// The same without its time.
fn strip(classification: Classification) -> Classification {
    match classification {
        Classification::Keep(mut answer) => {
            answer.at = std::time::SystemTime::UNIX_EPOCH;
            Classification::Keep(answer)
        }
        other => other,
    }
}

#[test]
fn a_value_says_yes_as_in_jq() {
    for (filter, body, expected) in [
        (".error", r#"{"error":null}"#, "keep"),
        (".error", "{}", "keep"),
        (".error", r#"{"error":false}"#, "keep"),
        (".error", r#"{"error":"x"}"#, "fail"),
        (".error", r#"{"error":{"code":1}}"#, "fail"),
        (".error", r#"{"error":0}"#, "fail"),
        (".error", "[1]", "keep"),
        (".errors[]", r#"{"errors":[]}"#, "keep"),
        (".errors[]", r#"{"errors":[null,false,"x"]}"#, "fail"),
        (".errors[], error(\"late\")", r#"{"errors":["x"]}"#, "fail"),
        ("error(\"early\"), true", "{}", "keep"),
        ("repeat(true)", "{}", "fail"),
    ] {
        assert_eq!(
            verdict(&Trial::new(&[(FAIL_IF, filter)]).classify(200, body)),
            expected,
            "{filter} {body}"
        );
    }
}

#[test]
fn a_number_is_the_wait_in_seconds() {
    let wait = |filter: &str| Trial::new(&[(RETRY_IF, filter)]).fault("{}").retry_after;
    for (filter, millis) in
        [("3", 3_000), ("0.25", 250), ("1.5e1", 15_000), ("300000", 300_000_000), ("1e12", 10_u64.pow(15))]
    {
        assert_eq!(wait(filter), Some(RetryAfter::Wait(Duration::from_millis(millis))), "{filter}");
    }
    for filter in ["0", "-1", "nan", "-infinite", "0.0", "1e-12"] {
        assert_eq!(wait(filter), None, "{filter}");
    }
    for filter in ["1e13", "infinite", "1e400", "9999999999999999999999"] {
        assert_eq!(wait(filter), Some(RetryAfter::TooLong), "{filter}");
    }
}

#[test]
fn a_limit_in_the_body_of_a_404_goes_before_the_null_of_its_status() {
    let mut trial = Trial::new(&[(RETRY_IF, "if .message == \"quota\" then 60 else false end")]);
    trial.settings.null_on = "404".parse::<StatusSet>().unwrap().into();
    assert_eq!(verdict(&trial.classify(404, r#"{"message":"quota"}"#)), "limited");
    assert_eq!(verdict(&trial.classify(404, r#"{"message":"none"}"#)), "null on");
}

#[test]
fn a_body_that_is_no_json_says_no_and_text_is_looked_at_as_a_text() {
    let mut trial = Trial::new(&[(REFUSED_IF, "true"), (FAIL_IF, "true")]);
    for (status, body) in [(200, "<html>"), (200, ""), (404, "<html>"), (500, "{"), (503, "{\"a\":1}x")] {
        let verdict = verdict(&trial.classify(status, body));
        assert!(matches!(verdict, "give up" | "retry on"), "{status} {body}: {verdict}");
    }
    trial.settings.body_as = BodyAs::Text;
    trial.settings.meaning =
        MeaningSettings { fail: Some("startswith(\"ERR\")".into()), ..MeaningSettings::default() };
    assert_eq!(verdict(&trial.classify(200, "ERR 7")), "fail");
    assert_eq!(trial.kept("fine"), "\"fine\"");
}

#[test]
fn filters_see_status_headers_key_and_row() {
    let mut trial = Trial::new(&[(FAIL_IF, "[$status, $headers, $key, $row] | tojson")]);
    for (name, value) in [("X-Left", "3"), ("Via", "a"), ("via", "b")] {
        trial.headers.append(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
    }
    assert_eq!(
        trial.fault("{}").to_string(),
        r#"[200,{"x-left":"3","via":"a, b"},"é7",{"sku":"é7","price":"1.10"}]"#
    );
    let select = Trial::new(&[("", r#"{k: $key, c: $row.price, n: $row["none"]?, s: $row.sku, b: .b}"#)]);
    assert_eq!(select.kept(r#"{"b":1.10}"#), r#"{"k":"é7","c":"1.10","n":null,"s":"é7","b":1.10}"#);
    // The row lacks its last cell.
    let all = Trial::new(&[("", "$row | length")]);
    assert_eq!(all.kept("0"), "2");
}

#[test]
fn a_variable_that_is_not_there_is_named_with_its_place_and_those_that_are() {
    let message = |option, filter| {
        let settings = Trial::new(&[(option, filter)]).settings;
        Filters::compile(&settings).map(drop).unwrap_err()
    };
    let fault = message(FAIL_IF, ".a == $sku");
    assert_eq!((fault.option, fault.text.as_str()), (FAIL_IF, ".a == $sku"));
    assert_eq!(
        fault.error.to_string(),
        "the jq filter uses an unknown variable: `$sku`, at character 7; there are $status, $headers, $key, $row"
    );
    let fault = message("", "{$status}");
    assert!(
        fault.error.to_string().ends_with("`$status`, at character 2; there are $key, $row"),
        "{}",
        fault.error
    );
    for option in [REFUSED_IF, NULL_IF, RETRY_IF, FAIL_IF] {
        assert_eq!(message(option, ".a |").option, option);
    }
}

#[test]
fn a_reason_is_shown_without_secrets_and_control_characters_and_short() {
    let trial = Trial::new(&[(FAIL_IF, ".why")]);
    for (body, expected) in [
        (r#"{"why":"no canary-123\u001b[2J\n here"}"#, "no (redacted)\\u{1b}[2J here"),
        (r#"{"why":[{"m":"canary-123"}]}"#, r#"[{"m":"(redacted)"}]"#),
        (r#"{"why":true,"x":"canary-123"}"#, r#"{"why":true,"x":"(redacted)"}"#),
        (r#"{"why":" "}"#, r#"{"why":" "}"#),
        (r#"{"why":7}"#, r#"{"why":7}"#),
    ] {
        let fault = trial.fault(body);
        assert_eq!((fault.to_string().as_str(), fault.status), (expected, Some(200)), "{body}");
    }
    let long = format!(r#"{{"why":"{} canary-123 {}"}}"#, "x".repeat(190), "y".repeat(300));
    let shown = trial.fault(&long).to_string();
    assert!(!shown.contains("canary") && shown.chars().count() <= 201 && shown.ends_with('…'), "{shown}");
}

#[test]
fn refused_credentials_and_retries_say_what_the_server_said() {
    let trial = Trial::new(&[(REFUSED_IF, ".error == \"token\""), (RETRY_IF, ".busy")]);
    let refused = trial.fault(r#"{"error":"token","m":"canary-123"}"#);
    assert_eq!(refused.cause, Cause::Meaning(AnswerMeaning::CredentialsRefused));
    let said = r#"{"error":"token","m":"(redacted)"}"#;
    assert_eq!(refused.to_string(), format!("refused ({REFUSED_IF}): {said}"));
    assert_eq!(trial.fault(r#"{"busy":true}"#).cause, Cause::Meaning(AnswerMeaning::ToBeRetried));
}
