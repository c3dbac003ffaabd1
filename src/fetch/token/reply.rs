//! Reads what a command printed or an endpoint answered: a token, and how long it lives.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::model::display_safe;

/// The field of a token (RFC 6749, section 5.1).
pub(super) const ACCESS_TOKEN: &str = "access_token";
/// Names of fields that a message lists.
const LISTED: usize = 12;
/// Characters of such a name.
const NAME_CHARS: usize = 40;
/// No token that is told to live longer is renewed for its age.
const LONGEST_LIFE: Duration = Duration::from_hours(24 * 365);

/// A new token.
pub(super) struct IssuedToken {
    pub(super) token: SecretString,
    /// How long it is good, from when it was asked for; none: that was not told.
    pub(super) life: Option<Duration>,
    /// The refresh token that replaces the one before, if there is one.
    pub(super) refresh: Option<SecretString>,
}

/// Reads a text that is a token alone, or JSON: an object with the fields of RFC 6749, section 5.1, or a string.
///
/// # Errors
/// What is wrong with it, for a message. It shows no value.
pub(super) fn read(text: &str) -> Result<IssuedToken, String> {
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.starts_with(['{', '"', '[']) { read_json(text) } else { alone(text) }
}

/// Reads JSON: an object with the fields of RFC 6749, section 5.1, or a string.
///
/// # Errors
/// As of [`read`].
pub(super) fn read_json(text: &str) -> Result<IssuedToken, String> {
    match serde_json::from_str(text.trim_start_matches('\u{feff}')) {
        Ok(Value::String(token)) => alone(token.trim()),
        Ok(Value::Object(fields)) => of_fields(&fields),
        Ok(_) => Err("it is JSON, but neither an object nor a string".into()),
        Err(_) if text.trim().is_empty() => Err("it is empty".into()),
        Err(_) => Err("it is not JSON".into()),
    }
}

fn alone(token: &str) -> Result<IssuedToken, String> {
    Ok(IssuedToken { token: checked(token)?, life: None, refresh: None })
}

fn of_fields(fields: &Map<String, Value>) -> Result<IssuedToken, String> {
    let Some(token) = fields.get(ACCESS_TOKEN) else {
        let names = fields.keys().take(LISTED).map(|name| display_safe(name, NAME_CHARS));
        let names: Vec<String> = names.collect();
        let has =
            if names.is_empty() { "it has no field".into() } else { format!("it has {}", names.join(", ")) };
        return Err(format!("it has no {ACCESS_TOKEN}: {has}"));
    };
    let Value::String(token) = token else { return Err(format!("its {ACCESS_TOKEN} is no string")) };
    let refresh = match fields.get("refresh_token") {
        Some(Value::String(token)) if !token.is_empty() => Some(token.as_str().into()),
        _ => None,
    };
    Ok(IssuedToken { token: checked(token.trim())?, life: fields.get("expires_in").and_then(life), refresh })
}

/// Seconds, as a number or as a string of one. Nothing and less is told where a server does not know.
fn life(expires_in: &Value) -> Option<Duration> {
    let seconds = match expires_in {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    let life = Duration::try_from_secs_f64(seconds).ok()?;
    (!life.is_zero() && life <= LONGEST_LIFE).then_some(life)
}

/// A token is what a header can carry: visible characters of ASCII, and spaces.
fn checked(token: &str) -> Result<SecretString, String> {
    if token.is_empty() {
        return Err("it is empty".into());
    }
    let lines = token.lines().count();
    if lines > 1 {
        return Err(format!("it has {lines} lines, and a token is one"));
    }
    if token.starts_with('<') {
        return Err("it is markup, perhaps a page".into());
    }
    if token.bytes().any(|byte| !(b' '..=b'~').contains(&byte)) {
        return Err("the token has a character that no header can carry".into());
    }
    Ok(token.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;

    fn told(text: &str) -> (String, Option<f64>, Option<String>) {
        let issued = read(text).unwrap();
        let refresh = issued.refresh.map(|token| token.expose_secret().to_owned());
        (issued.token.expose_secret().to_owned(), issued.life.map(|life| life.as_secs_f64()), refresh)
    }

    #[test]
    fn a_token_is_a_line_a_json_string_or_a_field() {
        for text in ["abc", " abc\n", "abc\r\n", "\u{feff}abc", "\"abc\"", r#"{"access_token":"abc"}"#] {
            assert_eq!(told(text), ("abc".into(), None, None), "{text:?}");
        }
        let whole = r#"{"access_token":"a.b-c","expires_in":900,"refresh_token":"r"}"#;
        assert_eq!(told(whole), ("a.b-c".into(), Some(900.0), Some("r".into())));
    }

    #[test]
    fn a_life_that_says_nothing_is_none() {
        for (expires_in, life) in [
            ("3600", Some(3600.0)),
            ("\"3600\"", Some(3600.0)),
            ("2.5", Some(2.5)),
            ("0", None),
            ("-1", None),
            ("1e300", None),
            ("null", None),
            ("\"soon\"", None),
            ("99999999999", None),
        ] {
            let text = format!(r#"{{"access_token":"t","expires_in":{expires_in}}}"#);
            assert_eq!(told(&text).1, life, "{expires_in}");
        }
    }

    #[test]
    fn what_is_no_token_says_why_and_shows_no_value() {
        for (text, why) in [
            ("", "it is empty"),
            (" \n", "it is empty"),
            ("\"\"", "it is empty"),
            ("canary\nsecond", "it has 2 lines"),
            ("<p>canary</p>", "it is markup"),
            ("cana\u{e9}ry", "no header can carry"),
            ("cana\u{7}ry", "no header can carry"),
            (r#"{"token":"canary","user":1}"#, "it has no access_token: it has token, user"),
            ("{}", "it has no access_token: it has no field"),
            (r#"{"access_token":7}"#, "its access_token is no string"),
            ("[\"canary\"]", "neither an object nor a string"),
            ("{\"canary", "it is not JSON"),
        ] {
            let Err(error) = read(text) else { panic!("{text}") };
            assert!(error.contains(why) && !error.contains("canary"), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_a_token_can_stand_in_a_header(text in "\\PC{0,40}|\\{\"access_token\":\"\\PC{0,20}\"\\}") {
            if let Ok(issued) = read(&text) {
                let value = http::HeaderValue::from_str(issued.token.expose_secret());
                prop_assert!(value.is_ok());
            }
        }
    }
}
