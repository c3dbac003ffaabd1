//! `${TOKEN}` in a request: a mark until the request is sent, since the token changes while the run goes on.

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::model::Request;
use crate::plan::body_escape::BodyEscape;
use crate::plan::encode::percent_encode;

/// The name of the variable.
pub(crate) const TOKEN: &str = "TOKEN";

/// Characters of a mark: no value has it by chance.
const MARK_CHARS: usize = 32;

/// The mark that stands for the token. It consists of letters, so that no encoding changes it.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenPlace(Box<str>);

impl TokenPlace {
    /// A mark for this run.
    #[must_use]
    pub(crate) fn random() -> Self {
        Self(std::iter::repeat_with(fastrand::alphabetic).take(MARK_CHARS).collect())
    }

    /// The mark.
    pub(super) fn mark(&self) -> &str {
        &self.0
    }
}

/// Writes tokens into requests.
pub(crate) struct TokenInRequest {
    pub(super) place: TokenPlace,
    pub(super) escape: BodyEscape,
}

impl TokenInRequest {
    /// The request with the token in the places of `${TOKEN}`, encoded as each place needs it.
    ///
    /// # Errors
    /// It cannot stand there, for a message.
    pub(crate) fn write(&self, request: &Request, token: &SecretString) -> Result<Request, String> {
        let (mark, token) = (self.place.mark(), token.expose_secret());
        let mut request = request.clone();
        if request.url.as_str().contains(mark) {
            let mut encoded = String::new();
            percent_encode(&mut encoded, token).map_err(|_| "it has a control character")?;
            let url = request.url.as_str().replace(mark, &encoded);
            request.url = Url::parse(&url).map_err(|error| error.to_string())?.into();
        }
        for value in request.headers.values_mut() {
            let Some(text) = std::str::from_utf8(value.as_bytes()).ok().filter(|text| text.contains(mark))
            else {
                continue;
            };
            let mut written = HeaderValue::from_bytes(text.replace(mark, token).as_bytes())
                .map_err(|_| "it has a character that no header can carry")?;
            written.set_sensitive(true);
            *value = written;
        }
        if let Some(body) = request.body.as_ref().and_then(|body| std::str::from_utf8(body).ok())
            && body.contains(mark)
        {
            let mut escaped = String::new();
            self.escape.push(&mut escaped, token).map_err(|_| "it has a character that XML cannot carry")?;
            request.body = Some(body.replace(mark, &escaped).into());
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};

    use super::*;

    fn written(token: &str, escape: BodyEscape) -> Request {
        let place = TokenPlace::random();
        let mark = place.mark();
        let mut headers = HeaderMap::new();
        headers.insert("authorization", format!("Bearer {mark}").parse().unwrap());
        headers.insert("x-other", "1".parse().unwrap());
        let request = Request {
            method: Method::POST,
            url: format!("https://u:{mark}@a.test/{mark}/1?t={mark}&s=1").parse().unwrap(),
            headers,
            body: Some(format!("<{mark}>").into()),
            cross_origin: false,
        };
        TokenInRequest { place, escape }.write(&request, &token.into()).unwrap()
    }

    #[test]
    fn each_place_encodes_the_token_in_its_own_way() {
        let request = written("a/b&\"", BodyEscape::Json);
        assert_eq!(request.url.as_str(), "https://u:a%2Fb%26%22@a.test/a%2Fb%26%22/1?t=a%2Fb%26%22&s=1");
        assert_eq!(request.headers["authorization"], "Bearer a/b&\"");
        assert!(request.headers["authorization"].is_sensitive());
        assert_eq!(request.body.unwrap(), "<a/b&\\\">");
        assert_eq!(written("a&b", BodyEscape::Xml).body.unwrap(), "<a&amp;b>");
    }

    #[test]
    fn two_runs_have_two_marks() {
        assert!(TokenPlace::random() != TokenPlace::random());
    }
}
