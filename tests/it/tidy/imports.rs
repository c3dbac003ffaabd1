//! Which file imports from which, and the cycles among them.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};
use syn::{Item, UseTree};

use super::source::Source;

type Path = Vec<String>;

/// The modules, by their paths, and where the names lead that they import.
pub struct Modules {
    files: BTreeMap<Path, String>,
    /// (module, name) → the path that a `use` of it names.
    aliases: BTreeMap<(Path, String), Path>,
    /// Modules whose names a module imports with `*`.
    globs: BTreeMap<Path, Vec<Path>>,
}

impl Modules {
    pub fn of(sources: &[Source]) -> Self {
        let files: BTreeMap<Path, String> =
            sources.iter().map(|source| (source.module(), source.name.clone())).collect();
        let mut modules = Self { files, aliases: BTreeMap::new(), globs: BTreeMap::new() };
        for source in sources {
            let module = source.module();
            for item in &source.code.items {
                let Item::Use(item) = item else { continue };
                for (path, name) in flatten(&item.tree) {
                    let Some(absolute) = modules.absolute(&module, &path) else { continue };
                    if name == "*" {
                        modules.globs.entry(module.clone()).or_default().push(absolute);
                    } else {
                        modules.aliases.insert((module.clone(), name), absolute);
                    }
                }
            }
        }
        modules
    }

    /// The path from the crate's root, where the path is one of this crate.
    fn absolute(&self, module: &Path, path: &[String]) -> Option<Path> {
        let mut base = match path.first()?.as_str() {
            "crate" => Vec::new(),
            "self" => module.clone(),
            "super" => module[..module.len().checked_sub(1)?].to_vec(),
            child => {
                let mut below = module.clone();
                below.push(child.to_owned());
                self.files.contains_key(&below).then_some(below)?
            }
        };
        for part in &path[1..] {
            if part == "super" {
                base.pop();
            } else if part != "self" {
                base.push(part.clone());
            }
        }
        Some(base)
    }

    /// The file that defines what the path names.
    fn file_of(&self, path: &[String], depth: usize) -> Option<&str> {
        let known = (0..=path.len()).rev().find(|end| self.files.contains_key(&path[..*end]))?;
        let (module, rest) = path.split_at(known);
        if let Some(name) = rest.first().filter(|_| depth < 8)
            && let Some(target) = self.aliases.get(&(module.to_vec(), name.clone()))
        {
            let target: Path = target.iter().chain(&rest[1..]).cloned().collect();
            return self.file_of(&target, depth + 1);
        }
        self.files.get(module).map(String::as_str)
    }

    /// The files that a file imports from, itself and the roots of folders around either apart: what a folder's
    /// root defines belongs to the whole folder, and it composes what lies in it.
    pub fn imports(&self, source: &Source) -> BTreeSet<&str> {
        let module = source.module();
        let mut paths = Paths { found: Vec::new() };
        paths.visit_file(&source.code);
        let of = |path: &Path| self.absolute(&module, path);
        let is_apart = |file: &&str| {
            let other = &self.files.iter().find(|(_, name)| name == file).unwrap().0;
            !module.starts_with(other) && !other.starts_with(&module)
        };
        paths.found.iter().filter_map(of).filter_map(|path| self.file_of(&path, 0)).filter(is_apart).collect()
    }
}

/// Files that import from each other, directly or by way of others, each set once.
pub fn cycles(sources: &[Source]) -> Vec<String> {
    let modules = Modules::of(sources);
    let imports: BTreeMap<&str, BTreeSet<&str>> =
        sources.iter().map(|source| (source.name.as_str(), modules.imports(source))).collect();
    let reach = |from: &str| {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut open: Vec<&str> = imports[from].iter().copied().collect();
        while let Some(file) = open.pop() {
            if seen.insert(file) {
                open.extend(imports.get(file).into_iter().flatten().copied());
            }
        }
        seen
    };
    let reached: BTreeMap<&str, BTreeSet<&str>> = imports.keys().map(|file| (*file, reach(file))).collect();
    let sets: BTreeSet<Vec<&str>> = reached
        .iter()
        .filter(|(file, reached)| reached.contains(*file))
        .map(|(file, there)| there.iter().copied().filter(|other| reached[other].contains(file)).collect())
        .collect();
    sets.iter().map(|set| set.join(" ↔ ")).collect()
}

/// Every path of a `use`, with the name that it gets.
pub fn flatten(tree: &UseTree) -> Vec<(Path, String)> {
    match tree {
        UseTree::Path(path) => {
            let below = flatten(&path.tree).into_iter();
            below
                .map(|(rest, name)| (std::iter::once(path.ident.to_string()).chain(rest).collect(), name))
                .collect()
        }
        UseTree::Name(name) if name.ident == "self" => vec![(Vec::new(), String::new())],
        UseTree::Name(name) => vec![(vec![name.ident.to_string()], name.ident.to_string())],
        UseTree::Rename(rename) => vec![(vec![rename.ident.to_string()], rename.rename.to_string())],
        UseTree::Glob(_) => vec![(Vec::new(), "*".into())],
        UseTree::Group(group) => group.items.iter().flat_map(flatten).collect(),
    }
}

/// Every path that code names, of imports and in full; re-exports apart, which only pass a name on.
struct Paths {
    found: Vec<Path>,
}

impl Visit<'_> for Paths {
    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        if matches!(item.vis, syn::Visibility::Inherited) {
            self.found.extend(flatten(&item.tree).into_iter().map(|(path, _)| path));
        }
    }

    fn visit_path(&mut self, path: &syn::Path) {
        if path.segments.len() > 1 {
            self.found.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }
}
