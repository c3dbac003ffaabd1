//! All secrets of a request, gathered for the one mask that is laid over messages, logs, reports and files.

use http::header::{ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_TYPE, HeaderName, USER_AGENT};
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};

use crate::model::Mask;
use crate::model::mask::SHORTEST_INSIDE_WORDS;
use crate::plan::header::HeaderTemplates;
use crate::plan::url_template::UrlTemplate;
use crate::plan::user_info::{UserInfo, of_basic};

/// Constant headers that are no credentials, whatever stands in them.
const PUBLIC: [HeaderName; 4] = [ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE, USER_AGENT];

/// Parts of names that credentials are sent by. It is no loss where a harmless value is hidden as well.
const CREDENTIAL_NAMES: [&str; 9] =
    ["key", "token", "secret", "auth", "sig", "pass", "access", "session", "cookie"];

/// Shorter words of a header are scheme names, shop numbers and the like; masking them would garble every
/// message.
const SHORTEST_CREDENTIAL: usize = 7;

/// Whether a header or a parameter of this name probably holds a credential.
fn names_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    CREDENTIAL_NAMES.iter().any(|part| name.contains(part))
}

/// What must not be shown, as it is gathered.
#[derive(Default)]
pub(super) struct SecretCollector {
    texts: Vec<SecretString>,
    /// What is too short to be hidden well, as a message names it.
    short: Vec<String>,
}

impl SecretCollector {
    /// The value of an environment variable that a template asked for.
    pub(super) fn variable(&mut self, name: &str, value: &str) {
        self.note_if_short(value, || format!("the value of {name}"));
        self.texts.push(value.into());
    }

    /// The user-info of an address from this place; a name is often short, and no password.
    pub(super) fn user_info(&mut self, place: &str, info: &UserInfo) {
        if !self.texts.iter().any(|text| text.expose_secret() == info.password) {
            self.note_if_short(&info.password, || format!("the password in {place}"));
        }
        self.texts.extend(info.secrets());
    }

    /// What stands in constant headers, written out in the config file perhaps: each value, and each longer
    /// word of it (`Bearer TOKEN`), since a server may echo one without the other; and what Basic
    /// authentication encodes.
    pub(super) fn headers(&mut self, headers: &HeaderTemplates) {
        for (name, value) in headers.constant().iter().filter(|(name, _)| !PUBLIC.contains(name)) {
            // A value that is not ASCII is text all the same, as every value was before it was sent.
            let Ok(text) = std::str::from_utf8(value.as_bytes()) else { continue };
            self.words(text);
            if name == AUTHORIZATION {
                self.texts.extend(of_basic(text).into_iter().flatten());
            }
        }
    }

    /// What is written out beside a column in a header whose name looks like a credential's.
    pub(super) fn varying_headers(&mut self, headers: &HeaderTemplates) {
        for (name, text) in headers.varying_texts().filter(|(name, _)| names_credential(name.as_str())) {
            self.words(text);
            if name == AUTHORIZATION {
                self.texts.extend(of_basic(text).into_iter().flatten());
            }
        }
    }

    /// What is written out in the query, in a parameter whose name looks like a credential's: as it is sent, and as
    /// servers decode it.
    pub(super) fn query(&mut self, url: &UrlTemplate) {
        for (name, text) in url.query_texts() {
            let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
            if !names_credential(&decoded(&name)) {
                continue;
            }
            let plain = decoded(text);
            // In a form `+` is a space.
            let form = decoded(&text.replace('+', " "));
            for text in [text, &plain, &form] {
                self.words(text);
            }
        }
    }

    /// A text as a whole and each of its words, with the punctuation around it and without, as far as they are long
    /// enough.
    fn words(&mut self, text: &str) {
        let is_punctuation = |c: char| !c.is_alphanumeric();
        let words = text.split_ascii_whitespace().chain([text]);
        for word in words.flat_map(|word| [word, word.trim_matches(is_punctuation)]) {
            let is_known = || self.texts.iter().any(|known| known.expose_secret() == word);
            if word.len() >= SHORTEST_CREDENTIAL && !is_known() {
                self.texts.push(word.into());
            }
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

    /// The mask, and a sentence for each secret that it cannot hide well.
    pub(super) fn finish(self) -> (Mask, Vec<String>) {
        let warning = |name: &String| {
            format!(
                "{name} has fewer than {SHORTEST_INSIDE_WORDS} characters: messages and reports hide it only \
                 where it stands as a word of its own"
            )
        };
        (Mask::new(self.texts), self.short.iter().map(warning).collect())
    }
}
