//! Options named in string literals.

use std::collections::BTreeSet;

use skufetch::testing::config::options;
use syn::visit::{self, Visit};
use syn::{Attribute, LitStr, Macro, Meta};

use super::source::Source;

/// Options that are no settings.
const OF_THE_COMMAND_LINE: [&str; 5] = ["config", "help", "quiet", "verbose", "version"];

/// The only file that may name options in literals, each once: all others take the names from there.
const NAMED_IN: &str = "model/option.rs";

/// The options that a source names in its string literals and should take from [`NAMED_IN`].
pub fn in_literals(source: &Source) -> Vec<String> {
    let mut literals = Literals::default();
    literals.visit_file(&source.code);
    let mut once = BTreeSet::new();
    let mut found = BTreeSet::new();
    for option in literals.texts.iter().flat_map(|text| options_in(text)) {
        if source.name != NAMED_IN || !once.insert(option.clone()) {
            found.insert(option);
        }
    }
    found.into_iter().map(|option| format!("{}: {option}", source.name)).collect()
}

/// All literals. The arguments of macros are tokens, not parsed code: they stand here as they are written.
#[derive(Default)]
struct Literals {
    texts: Vec<String>,
}

impl Visit<'_> for Literals {
    fn visit_lit_str(&mut self, literal: &LitStr) {
        self.texts.push(literal.value());
    }

    fn visit_macro(&mut self, call: &Macro) {
        self.texts.push(call.tokens.to_string());
    }

    fn visit_attribute(&mut self, attribute: &Attribute) {
        match &attribute.meta {
            // Comments may name options.
            Meta::NameValue(_) if attribute.path().is_ident("doc") => {}
            Meta::List(list) => self.texts.push(list.tokens.to_string()),
            _ => visit::visit_attribute(self, attribute),
        }
    }
}

fn options_in(text: &str) -> impl Iterator<Item = String> {
    let name_after = |at: usize| {
        let end = text[at..].find(|c: char| !c.is_ascii_lowercase() && c != '-');
        text[at..].split_at(end.unwrap_or(text.len() - at)).0.trim_end_matches('-')
    };
    let is_option = |name: &&str| OF_THE_COMMAND_LINE.contains(name) || options::find(name).is_some();
    text.match_indices("--")
        .map(move |(at, dashes)| name_after(at + dashes.len()))
        .filter(is_option)
        .map(|name| format!("--{name}"))
}
