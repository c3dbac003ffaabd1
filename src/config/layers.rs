//! Merges the settings of the three places. Values are still text here, each with its origin.

use std::collections::BTreeMap;

use crate::config::origin::{Origin, Word, WrongValue};
use crate::config::setting::{Given, Handle, Setting};

/// The settings of one place, each with its words.
pub(super) type Layer = BTreeMap<&'static str, Vec<Word>>;

/// The merged layers.
pub(super) struct Layers(Layer);

impl Layers {
    /// Merges layers, the one with the highest precedence first. A list replaces a list as a whole.
    pub(super) fn merge(places: impl IntoIterator<Item = Layer>) -> Self {
        let mut merged = Layer::new();
        for (name, words) in places.into_iter().flatten() {
            merged.entry(name).or_insert(words);
        }
        Self(merged)
    }

    /// Where each setting that was set came from.
    pub(super) fn origins(&self) -> BTreeMap<&'static str, Origin> {
        self.0.iter().filter_map(|(name, words)| Some((*name, words.first()?.origin.clone()))).collect()
    }

    /// What was written for this setting.
    pub(super) fn given<'a>(&'a self, setting: &'a Setting) -> Given<'a> {
        Given { setting, words: self.words(setting) }
    }

    /// The value of this setting.
    ///
    /// # Errors
    /// What was written is no value of it.
    pub(super) fn get<T>(&self, handle: &Handle<T>) -> Result<T, WrongValue> {
        (handle.read)(&self.given(handle))
    }

    /// Where this setting came from.
    pub(super) fn origin(&self, setting: &Setting) -> Origin {
        self.given(setting).origin()
    }

    /// Whether anything came from the command line.
    pub(super) fn any_option(&self) -> bool {
        self.0.values().flatten().any(|word| matches!(word.origin, Origin::Option(_)))
    }

    /// All words of a setting.
    pub(super) fn words(&self, setting: &Setting) -> &[Word] {
        self.0.get(setting.name).map_or(&[], Vec::as_slice)
    }
}
