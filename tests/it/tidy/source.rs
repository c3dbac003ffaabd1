//! The source files as parsed code, without their tests.

use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::visit_mut::{self, VisitMut};
use syn::{Attribute, File, Item, Meta};

/// Begins the tests of a file, which are at its end.
const TEST_MODULE: &str = "#[cfg(test)]\nmod tests {";

/// A file below `src`, without its tests.
pub struct Source {
    /// Its path below `src`, such as `limit/gate.rs`.
    pub name: String,
    /// The whole text, tests included.
    pub text: String,
    /// What was parsed, with the tests taken out.
    pub code: File,
    /// Lines without those of test modules.
    pub lines: usize,
}

impl Source {
    /// The path of the module: `["limit", "gate"]`; empty for the crate's root.
    pub fn module(&self) -> Vec<String> {
        let stem = self.name.trim_end_matches(".rs");
        let stem = stem.strip_suffix("mod").map_or(stem, |folder| folder.trim_end_matches('/'));
        stem.split('/').filter(|part| !part.is_empty() && *part != "lib").map(str::to_owned).collect()
    }

    /// Whether the code names this path, such as `std::env` (also as `use std::{env, …}`) or the macro `println!`.
    pub fn uses(&self, path: &str) -> bool {
        let mut search =
            Search { wanted: path.trim_end_matches('!'), is_macro: path.ends_with('!'), found: false };
        search.visit_file(&self.code);
        search.found
    }
}

/// All files below `src` that are not tests alone.
pub fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all: Vec<(String, String)> = Vec::new();
    let mut open = vec![root.clone()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                all.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    all.sort();
    let parsed: Vec<(String, String, File)> = all
        .into_iter()
        .map(|(name, text)| {
            let code = syn::parse_file(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, text, code)
        })
        .collect();
    let tests: Vec<String> = parsed.iter().flat_map(|(name, _, code)| test_files(name, code)).collect();
    let found: Vec<Source> = parsed
        .into_iter()
        .filter(|(name, ..)| !tests.contains(name))
        .map(|(name, text, mut code)| {
            RemoveTests.visit_file_mut(&mut code);
            let lines = text.find(TEST_MODULE).map_or(&*text, |end| &text[..end]).lines().count();
            Source { name, text, code, lines }
        })
        .collect();
    assert!(found.len() > 40, "only {} files were found", found.len());
    found
}

/// Files that a `#[cfg(test)] mod name;` declares: they hold tests alone.
fn test_files(file: &str, code: &File) -> Vec<String> {
    let folder = match file.rsplit_once('/') {
        Some((folder, "mod.rs")) => folder,
        _ => file.trim_end_matches(".rs"),
    };
    let declared = |item: &Item| match item {
        Item::Mod(module) if module.content.is_none() && module.attrs.iter().any(is_cfg_test) => {
            let beside =
                |path: String| format!("{}/{path}", file.rsplit_once('/').map_or("", |(above, _)| above));
            let named = module.attrs.iter().find_map(path_of).map(beside);
            Some(named.unwrap_or_else(|| format!("{folder}/{}.rs", module.ident)))
        }
        _ => None,
    };
    code.items.iter().filter_map(declared).collect()
}

/// The path of `#[path = "tests.rs"]`, from the folder of the file.
fn path_of(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(pair) = &attribute.meta else { return None };
    match &pair.value {
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(path), .. })
            if attribute.path().is_ident("path") =>
        {
            Some(path.value())
        }
        _ => None,
    }
}

fn is_cfg_test(attribute: &Attribute) -> bool {
    let Meta::List(list) = &attribute.meta else { return false };
    attribute.path().is_ident("cfg") && list.tokens.to_string() == "test"
}

/// Takes out what only tests see.
struct RemoveTests;

impl VisitMut for RemoveTests {
    fn visit_file_mut(&mut self, file: &mut File) {
        retain(&mut file.items);
        visit_mut::visit_file_mut(self, file);
    }

    fn visit_item_impl_mut(&mut self, item: &mut syn::ItemImpl) {
        item.items.retain(|item| match item {
            syn::ImplItem::Fn(function) => !function.attrs.iter().any(is_cfg_test),
            _ => true,
        });
    }
}

fn retain(items: &mut Vec<Item>) {
    items.retain(|item| {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Struct(item) => &item.attrs,
            Item::Const(item) => &item.attrs,
            _ => return true,
        };
        !attributes.iter().any(is_cfg_test)
    });
}

struct Search<'a> {
    wanted: &'a str,
    is_macro: bool,
    found: bool,
}

impl Visit<'_> for Search<'_> {
    fn visit_path(&mut self, path: &syn::Path) {
        let text: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.found |= !self.is_macro && is_within(&text.join("::"), self.wanted);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &syn::Macro) {
        self.found |=
            self.is_macro && call.path.segments.last().is_some_and(|last| last.ident == self.wanted);
        // The arguments are tokens, not parsed code.
        let arguments: String = call.tokens.to_string().split_whitespace().collect();
        self.found |= !self.is_macro && arguments.contains(&format!("{}::", self.wanted));
        visit::visit_macro(self, call);
    }

    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        let paths = super::imports::flatten(&item.tree);
        self.found |=
            !self.is_macro && paths.iter().any(|(path, _)| is_within(&path.join("::"), self.wanted));
    }
}

/// Whether a path is the wanted one or lies below it; of a wanted path of two parts, such as `fs::rename`, the
/// beginning may be missing.
fn is_within(path: &str, wanted: &str) -> bool {
    let path = format!("::{path}::");
    path.contains(&format!("::{wanted}::"))
}
