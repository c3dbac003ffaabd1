//! A token from an OAuth 2 token endpoint (RFC 6749): its request, and what its answer means.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::TokenEndpoint;
use super::reply::{self, IssuedToken};
use crate::model::{Mask, Request, display_safe};

/// The field of a refresh token, in the request and in the answer.
pub(super) const REFRESH_TOKEN: &str = "refresh_token";
/// All but the unreserved characters of RFC 3986.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Characters of an answer that a message shows.
const SHOWN: usize = 200;

/// How client id and secret are sent (RFC 6749, section 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum ClientIn {
    /// By Basic authentication.
    #[default]
    Header,
    /// As fields of the form.
    Body,
}

impl ClientIn {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Header => Self::Body,
            Self::Body => Self::Header,
        }
    }
}

impl TokenEndpoint {
    /// Whether the user gave a field of this name.
    pub(super) fn has_field(&self, name: &str) -> bool {
        self.fields.iter().any(|(given, _)| given == name)
    }

    /// The refresh token that the user gave.
    pub(super) fn given_refresh_token(&self) -> Option<&SecretString> {
        self.fields.iter().find(|(name, _)| name == REFRESH_TOKEN).map(|(_, value)| value)
    }

    /// Whether this is the refresh token that the user gave.
    pub(super) fn is_given(&self, refresh: &SecretString) -> bool {
        self.given_refresh_token().is_some_and(|given| given.expose_secret() == refresh.expose_secret())
    }
}

/// What the answer of an endpoint means.
pub(super) enum EndpointAnswer {
    /// A token.
    Issued(IssuedToken),
    /// It refuses the client as it was sent; its words.
    ClientRefused(String),
    /// It is down or busy, for now.
    Unavailable(String),
    /// It gives no token; its words.
    Refused(String),
}

/// The request for a token. `refresh` is the newest refresh token, where one came.
pub(super) fn request(endpoint: &TokenEndpoint, client: ClientIn, refresh: Option<&SecretString>) -> Request {
    let mut form = String::new();
    let mut push = |name: &str, value: &str| {
        if !form.is_empty() {
            form.push('&');
        }
        form.extend(utf8_percent_encode(name, FORM));
        form.push('=');
        form.extend(utf8_percent_encode(value, FORM));
    };
    if !endpoint.has_field("grant_type") {
        push("grant_type", &endpoint.grant.to_string());
    }
    for (name, value) in endpoint.fields.iter().filter(|(name, _)| refresh.is_none() || name != REFRESH_TOKEN)
    {
        push(name, value.expose_secret());
    }
    if let Some(refresh) = refresh {
        push(REFRESH_TOKEN, refresh.expose_secret());
    }
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some((id, secret)) = &endpoint.client {
        match client {
            ClientIn::Header => {
                headers.extend(basic(id, secret).map(|value| (AUTHORIZATION, value)));
            }
            ClientIn::Body => {
                push("client_id", id.expose_secret());
                push("client_secret", secret.expose_secret());
            }
        }
    }
    // No header of the API goes there, and nothing of this request to the API.
    Request {
        method: Method::POST,
        url: endpoint.url.clone().into(),
        headers,
        body: Some(Bytes::from(form)),
        cross_origin: true,
    }
}

/// Id and secret are encoded as a form first (RFC 6749, section 2.3.1), which leaves those of letters and digits alone.
fn basic(id: &SecretString, secret: &SecretString) -> Option<HeaderValue> {
    let encoded = |text: &SecretString| utf8_percent_encode(text.expose_secret(), FORM).to_string();
    let credentials = STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret)));
    let mut value = HeaderValue::from_str(&format!("Basic {credentials}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// What an answer means. `body` is decoded; `is_text`: it is declared as plain text.
pub(super) fn read(status: u16, (body, is_text): (&[u8], bool), mask: &Mask) -> EndpointAnswer {
    let text = String::from_utf8_lossy(body);
    if (200..300).contains(&status) {
        // A page that is not declared as text is no token, though it may be one line.
        return match if is_text { reply::read(&text) } else { reply::read_json(&text) } {
            Ok(issued) => EndpointAnswer::Issued(issued),
            Err(why) => {
                let said =
                    error_of(&text).map_or_else(String::new, |said| format!(" ({})", shown(&said, mask)));
                EndpointAnswer::Refused(format!("it answers {status}, and not with a token: {why}{said}"))
            }
        };
    }
    let error = error_of(&text);
    let is_client = error.as_deref().is_some_and(|error| error.starts_with("invalid_client"));
    let said = error.unwrap_or_else(|| text.split_whitespace().collect::<Vec<_>>().join(" "));
    let said = match shown(&said, mask) {
        said if said.is_empty() => format!("it answers {status}"),
        said => format!("it answers {status}: {said}"),
    };
    match status {
        _ if is_client => EndpointAnswer::ClientRefused(said),
        401 => EndpointAnswer::ClientRefused(said),
        408 | 425 | 429 | 500.. => EndpointAnswer::Unavailable(said),
        300..=399 => EndpointAnswer::Refused(format!("{said}; it is not followed to another address")),
        _ => EndpointAnswer::Refused(said),
    }
}

fn shown(text: &str, mask: &Mask) -> String {
    display_safe(&mask.apply(text), SHOWN)
}

/// The error of RFC 6749, section 5.2, with its description.
fn error_of(text: &str) -> Option<String> {
    let Ok(Value::Object(fields)) = serde_json::from_str(text) else { return None };
    let of = |name: &str| fields.get(name).and_then(Value::as_str);
    let error = of("error")?;
    Some(
        of("error_description")
            .map_or_else(|| error.to_owned(), |description| format!("{error}: {description}")),
    )
}

#[cfg(test)]
mod tests {
    use super::super::TokenGrant;
    use super::*;

    fn endpoint(fields: &[(&str, &str)]) -> TokenEndpoint {
        TokenEndpoint {
            url: "https://id.example.com/token".parse().unwrap(),
            client: Some(("my id".into(), "s:e&cret".into())),
            grant: TokenGrant::RefreshToken,
            fields: fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect(),
            refresh_tokens: None,
        }
    }

    fn form(request: &Request) -> &str {
        std::str::from_utf8(request.body.as_ref().unwrap()).unwrap()
    }

    #[test]
    fn the_client_goes_by_basic_or_in_the_body_and_each_value_is_encoded() {
        let endpoint = endpoint(&[("scope", "read write"), ("refresh_token", "old+1")]);
        let by_header = request(&endpoint, ClientIn::Header, None);
        assert_eq!(form(&by_header), "grant_type=refresh_token&scope=read%20write&refresh_token=old%2B1");
        let basic = by_header.headers[AUTHORIZATION].to_str().unwrap().strip_prefix("Basic ").unwrap();
        assert_eq!(STANDARD.decode(basic).unwrap(), b"my%20id:s%3Ae%26cret");
        let by_body = request(&endpoint, ClientIn::Body, Some(&"new".into()));
        assert_eq!(
            form(&by_body),
            "grant_type=refresh_token&scope=read%20write&refresh_token=new&client_id=my%20id&client_secret=s%3Ae%26cret"
        );
        assert!(!by_body.headers.contains_key(AUTHORIZATION) && by_body.cross_origin);
    }

    #[test]
    fn a_grant_of_the_user_replaces_the_option() {
        let request = request(&endpoint(&[("grant_type", "urn:x")]), ClientIn::Body, None);
        assert!(form(&request).starts_with("grant_type=urn%3Ax&client_id"));
    }

    #[test]
    fn every_answer_has_its_meaning() {
        let mask = Mask::new(vec!["canary-1".into()]);
        for (status, body, meaning) in [
            (200, r#"{"access_token":"t","expires_in":60}"#, "issued"),
            (201, "\"t\"", "issued"),
            (
                200,
                r#"{"error":"bad","error_description":"canary-1"}"#,
                "refused: it answers 200, and not with a token: it has no access_token: it has error, error_description (bad: (redacted))",
            ),
            (200, "<html>canary-1", "refused: it answers 200, and not with a token: it is not JSON"),
            (401, "", "client: it answers 401"),
            (400, r#"{"error":"invalid_client"}"#, "client: it answers 400: invalid_client"),
            (
                400,
                r#"{"error":"invalid_grant","error_description":"expired"}"#,
                "refused: it answers 400: invalid_grant: expired",
            ),
            (403, "no canary-1\n here", "refused: it answers 403: no (redacted) here"),
            (302, "", "refused: it answers 302; it is not followed"),
            (404, "", "refused: it answers 404"),
            (429, "", "unavailable: it answers 429"),
            (500, "", "unavailable: it answers 500"),
            (503, "down", "unavailable: it answers 503: down"),
        ] {
            let read = match read(status, (body.as_bytes(), false), &mask) {
                EndpointAnswer::Issued(_) => "issued".to_owned(),
                EndpointAnswer::ClientRefused(said) => format!("client: {said}"),
                EndpointAnswer::Unavailable(said) => format!("unavailable: {said}"),
                EndpointAnswer::Refused(said) => format!("refused: {said}"),
            };
            assert!(read.starts_with(meaning), "{status} {body}: {read}");
        }
        assert!(matches!(read(200, (b"t\n", true), &mask), EndpointAnswer::Issued(_)));
    }
}
