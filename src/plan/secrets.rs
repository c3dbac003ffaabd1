//! Collects the secrets of a request for the mask of messages, logs, reports and files.

use http::header::{ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_TYPE, HeaderName, USER_AGENT};
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};

use crate::model::Mask;
use crate::model::mask::SHORTEST_INSIDE_WORDS;
use crate::model::option::{PROXY, RATE_STORE, URL};
use crate::plan::credential_name::names_credential;
use crate::plan::header::HeaderTemplates;
use crate::plan::template::EnvLookup;
use crate::plan::token_place::TokenPlace;
use crate::plan::user_info::{PROXY_VARIABLES, UserInfo, in_base64, of_basic};

/// Constant headers that are never credentials.
const PUBLIC: [HeaderName; 4] = [ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE, USER_AGENT];

/// Fields for a token endpoint that are never credentials.
const PUBLIC_FIELDS: [&str; 5] = ["audience", "grant_type", "resource", "scope", "username"];

/// Variables that a command may name, and that are no secrets.
const OF_THE_SHELL: [&str; 9] =
    ["HOME", "HOSTNAME", "LANG", "LOGNAME", "PATH", "PWD", "SHELL", "TMPDIR", "USER"];

/// Shorter words of a header are scheme names, shop numbers and the like. Masking them would garble messages.
const SHORTEST_CREDENTIAL: usize = 7;

/// The texts between the separators of cookies and of the parameters of `Authorization` (`sid=abc; csrf="def"`), except
/// names before `=`: they are not secret, and occur in messages.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let is_separator = |c: char| matches!(c, ';' | ',' | '=' | '"') || c.is_whitespace();
    let mut start = 0;
    let ends = text.match_indices(is_separator).chain([(text.len(), "")]);
    ends.filter_map(move |(end, separator)| {
        let (part, rest) = (&text[start..end], &text[end..]);
        start = end + separator.len();
        let value = rest.strip_prefix('=').map(|value| value.strip_prefix('"').unwrap_or(value));
        let has_value = value.is_some_and(|value| value.starts_with(|c| !is_separator(c)));
        let is_word = part.chars().all(|c| c.is_ascii_alphabetic() || matches!(c, '_' | '-' | '.'));
        (!(has_value && is_word)).then_some(part)
    })
}

/// The secrets so far.
#[derive(Clone, Default)]
pub(super) struct SecretCollector {
    texts: Vec<SecretString>,
    /// The names of secrets that are too short to be masked reliably.
    short: Vec<String>,
}

impl SecretCollector {
    /// Adds the value of an environment variable in a template, however short; without the white space around it, which
    /// servers remove; and its longer parts.
    pub(super) fn variable(&mut self, name: &str, value: &str) {
        let trimmed = value.trim();
        self.note_if_short(trimmed, || format!("the value of {name}"));
        self.add(value);
        self.add(trimmed);
        self.words(value);
    }

    /// Adds the user-info of an address. A name is often short, and not secret.
    fn user_info(&mut self, place: &str, info: &UserInfo) {
        if !self.texts.iter().any(|text| text.expose_secret() == info.password) {
            self.note_if_short(&info.password, || format!("the password in {place}"));
        }
        self.texts.extend(info.secrets());
    }

    /// Adds the user-info of every address that a message may contain: of the URL, of the proxy, of the environment
    /// variables that name a proxy, and the password of the rate store.
    pub(super) fn addresses(
        &mut self,
        url: &str,
        [proxy, rate_store]: [Option<&SecretString>; 2],
        env: &EnvLookup<'_>,
    ) {
        let variables = PROXY_VARIABLES.iter().filter_map(|name| Some((*name, env(name)?)));
        let proxy = proxy.map(|address| (PROXY, address.expose_secret().to_owned()));
        for (place, address) in [(URL, url.to_owned())].into_iter().chain(proxy).chain(variables) {
            if let Some(info) = UserInfo::of(&address) {
                self.user_info(place, &info);
            }
        }
        if let Some(info) = rate_store.and_then(|address| UserInfo::of(address.expose_secret())) {
            self.password(RATE_STORE, &info);
        }
    }

    /// Adds the password of an address whose user is no secret.
    fn password(&mut self, place: &str, info: &UserInfo) {
        if !self.texts.iter().any(|text| text.expose_secret() == info.password) {
            self.note_if_short(&info.password, || format!("the password in {place}"));
        }
        self.texts.extend(info.password_alone());
    }

    /// Adds the id and the secret of a client of a token endpoint, as they are and as Basic authentication sends them. An
    /// id is often short, and not secret.
    pub(super) fn client(&mut self, id: &str, secret: &str) {
        self.note_if_short(secret, || "the client secret".into());
        self.add(secret);
        if id.len() >= SHORTEST_CREDENTIAL {
            self.add(id);
        }
        self.texts.extend(in_base64(id, secret));
    }

    /// Adds the value of a field of the form for a token endpoint: it may hold a credential, but for some.
    pub(super) fn field(&mut self, name: &str, value: &str) {
        if names_credential(name) {
            self.note_if_short(value, || format!("the value of {name}"));
            self.add(value);
        } else if !PUBLIC_FIELDS.contains(&name) && value.len() >= SHORTEST_CREDENTIAL {
            self.add(value);
        }
    }

    /// Adds the values of the variables that a shell command names, but for those that every shell has.
    pub(super) fn command(&mut self, command: &str, env: &EnvLookup<'_>) {
        for after in command.split('$').skip(1) {
            let after = after.strip_prefix('{').unwrap_or(after);
            let end = after.bytes().position(|b| !(b.is_ascii_alphanumeric() || b == b'_'));
            let name = &after[..end.unwrap_or(after.len())];
            if let Some(value) = env(name).filter(|value| value.len() >= SHORTEST_CREDENTIAL)
                && !OF_THE_SHELL.contains(&name)
            {
                self.variable(name, &value);
            }
        }
    }

    /// Adds the mark of a token. It is no secret, but the place of one.
    pub(super) fn mark(&mut self, place: &TokenPlace) {
        self.add(place.mark());
    }

    /// Adds the values of constant headers, which may be literal text in the config file: each value, each
    /// longer word of it (`Bearer TOKEN`), since a server may repeat one without the other, and what Basic
    /// authentication encodes.
    pub(super) fn headers(&mut self, headers: &HeaderTemplates) {
        for (name, value) in headers.constant().iter().filter(|(name, _)| !PUBLIC.contains(name)) {
            // A value that is not ASCII is still text, as it was before it was a header.
            let Ok(text) = std::str::from_utf8(value.as_bytes()) else { continue };
            self.words(text);
            if name == AUTHORIZATION {
                self.texts.extend(of_basic(text));
            }
        }
    }

    /// Adds the literal text beside a column in a header that probably holds a credential.
    pub(super) fn varying_headers(&mut self, headers: &HeaderTemplates) {
        for (name, text) in headers.varying_texts().filter(|(name, _)| names_credential(name.as_str())) {
            self.words(text);
            if name == AUTHORIZATION {
                self.texts.extend(of_basic(text));
            }
        }
    }

    /// Adds the literal text of the fields of a query or a form that probably hold a credential: as sent, and as
    /// servers decode it.
    pub(super) fn form_fields(&mut self, fields: &[(String, &str)]) {
        for (name, text) in fields {
            let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
            if !names_credential(&decoded(name)) {
                continue;
            }
            let plain = decoded(text);
            // In a form `+` is a space.
            let form = decoded(&text.replace('+', " "));
            for text in [text, plain.as_str(), &form] {
                self.words(text);
            }
        }
    }

    /// Adds the literal text of the fields of a JSON body that probably hold a credential: as sent, and decoded.
    pub(super) fn json_fields(&mut self, fields: &[(String, String)]) {
        for (name, text) in fields {
            let decoded = |text: &str| serde_json::from_str::<String>(&format!("\"{text}\"")).ok();
            if names_credential(&decoded(name).unwrap_or_else(|| name.clone())) {
                self.words(text);
                if let Some(text) = decoded(text) {
                    self.words(&text);
                }
            }
        }
    }

    /// Adds a text, each of its words and each of their parts, with and without the punctuation around it, if they are
    /// long enough.
    fn words(&mut self, text: &str) {
        let is_punctuation = |c: char| !c.is_alphanumeric();
        let words = text.split_ascii_whitespace().chain(parts(text)).chain([text]);
        for word in words.flat_map(|word| [word, word.trim_matches(is_punctuation)]) {
            if word.len() >= SHORTEST_CREDENTIAL {
                self.add(word);
            }
        }
    }

    fn add(&mut self, text: &str) {
        if !self.texts.iter().any(|known| known.expose_secret() == text) {
            self.texts.push(text.into());
        }
    }

    fn note_if_short(&mut self, value: &str, name: impl FnOnce() -> String) {
        if value.is_empty() || value.chars().nth(SHORTEST_INSIDE_WORDS - 1).is_some() {
            return;
        }
        let name = name();
        if !self.short.contains(&name) {
            self.short.push(name);
        }
    }

    /// The mask, and a warning for each secret that it cannot hide reliably.
    pub(super) fn finish(self) -> (Mask, Vec<String>) {
        let warning = |name: &String| {
            format!(
                "{name} has fewer than {SHORTEST_INSIDE_WORDS} characters: messages and reports hide it only \
                 where it stands as a word of its own"
            )
        };
        let warnings = self.short.iter().map(warning).collect();
        // Tokens and cookies join them during the run.
        (Mask::new(self.texts).growing(), warnings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(variable: &str) -> Mask {
        let mut secrets = SecretCollector::default();
        secrets.variable("V", variable);
        secrets.finish().0
    }

    #[test]
    fn the_parts_of_a_text_are_between_separators_and_are_no_names() {
        for (text, expected) in [
            ("sid=CanaryTok99x; csrf=abc", vec!["CanaryTok99x", "abc"]),
            ("Token token=\"a.b/c+d\",x=\"\"", vec!["Token", "a.b/c+d", "x"]),
            ("Key id=abc,secret=def", vec!["Key", "abc", "def"]),
            ("id9=abc", vec!["id9", "abc"]),
            ("YWJj==", vec!["YWJj"]),
            ("é\u{a0}f", vec!["é", "f"]),
            ("", vec![]),
        ] {
            let found: Vec<&str> = parts(text).filter(|part| !part.is_empty()).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn a_variable_is_masked_as_a_whole_without_the_white_space_around_it_and_in_its_longer_parts() {
        let cookie = mask("session=CanaryTok99x; csrf=abcdefgh; a=b");
        let said = "invalid session CanaryTok99x, or (abcdefgh), a b";
        assert_eq!(cookie.apply(said), "invalid session (redacted), or ((redacted)), a b");
        assert_eq!(mask("CanaryTok99x\n").apply("got CanaryTok99x."), "got (redacted).");
        assert_eq!(mask(" tok ").apply("got <tok>, tokens"), "got <(redacted)>, tokens");
    }

    #[test]
    fn a_variable_that_white_space_alone_makes_long_is_short() {
        let mut secrets = SecretCollector::default();
        secrets.variable("V", "tok  ");
        assert_eq!(secrets.finish().1.len(), 1);
    }
}
