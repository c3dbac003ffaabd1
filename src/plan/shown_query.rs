//! The query of a request as a dry run shows it: what columns make of it, and nothing that may be a secret.

use crate::plan::encode::percent_encode;

/// Builds the query pair by pair.
#[derive(Default)]
pub(super) struct ShownQuery {
    shown: String,
    name: String,
    /// The text after the `=`, if there is one.
    value: Option<String>,
    /// The pair contains literal text where only the value of a column is shown.
    hides: bool,
}

impl ShownQuery {
    pub(super) fn text(&mut self, text: &str) {
        for c in text.chars() {
            match (c, &self.value) {
                ('&', _) => self.end_pair(),
                ('=', None) => {
                    self.value = Some(String::new());
                    self.hides = false;
                }
                (_, None) => {
                    self.name.push(c);
                    self.hides = true;
                }
                // The end of a secret in base64 looks like a name without a value.
                ('=', Some(value)) if value.is_empty() => {}
                (_, Some(_)) => self.hides = true,
            }
        }
    }

    /// Text between the values of a pack, which is shown: it says how its keys are written.
    pub(super) fn text_of_items(&mut self, text: &str) {
        for c in text.chars() {
            match (c, &mut self.value) {
                ('&', _) => self.end_pair(),
                ('=', None) => {
                    self.value = Some(String::new());
                    self.hides = false;
                }
                (_, None) => self.name.push(c),
                (_, Some(value)) => value.push(c),
            }
        }
    }

    pub(super) fn value(&mut self, value: &[u8]) {
        // A value that cannot be encoded makes no request, so nothing is shown.
        let _ =
            percent_encode(self.value.as_mut().unwrap_or(&mut self.name), &String::from_utf8_lossy(value));
    }

    fn end_pair(&mut self) {
        const HIDDEN: &str = "...";
        let pair = std::mem::take(self);
        self.shown = pair.shown;
        self.shown.push(if self.shown.is_empty() { '?' } else { '&' });
        match (pair.value, pair.hides) {
            (Some(value), false) if value.is_empty() => self.shown.push_str(HIDDEN),
            (Some(_), true) => self.shown.extend([&pair.name, "=", HIDDEN]),
            (Some(value), false) => self.shown.extend([&pair.name, "=", &value]),
            (None, true) => self.shown.push_str(HIDDEN),
            (None, false) => self.shown.push_str(&pair.name),
        }
    }

    pub(super) fn finish(mut self) -> String {
        self.end_pair();
        self.shown
    }
}
