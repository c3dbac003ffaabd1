//! How much functions take, and the names of types. (How long functions are, clippy checks.)

use std::collections::BTreeMap;

use syn::visit::{self, Visit};
use syn::{FnArg, Item, Signature, Type};

use super::source::Source;

/// The most lines of a file, its tests apart.
pub const MOST_LINES_OF_A_FILE: usize = 400;
/// The most parameters, `self` apart; a tuple counts as what is in it.
pub const MOST_PARAMETERS: usize = 4;

/// Functions that take too much.
pub fn functions(source: &Source) -> Vec<String> {
    let mut functions = Functions { file: &source.name, wrong: Vec::new() };
    functions.visit_file(&source.code);
    functions.wrong
}

struct Functions<'a> {
    file: &'a str,
    wrong: Vec<String>,
}

impl Functions<'_> {
    fn check(&mut self, signature: &Signature) {
        let (file, name) = (self.file, &signature.ident);
        let parameters: usize = signature.inputs.iter().map(parameters).sum();
        if parameters > MOST_PARAMETERS {
            self.wrong.push(format!("{file}: {name} takes {parameters} parameters"));
        }
    }
}

impl Visit<'_> for Functions<'_> {
    fn visit_item_fn(&mut self, item: &syn::ItemFn) {
        self.check(&item.sig);
        visit::visit_item_fn(self, item);
    }

    /// The parameters of a trait's method are the trait's choice.
    fn visit_item_impl(&mut self, item: &syn::ItemImpl) {
        if item.trait_.is_none() {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &syn::ImplItemFn) {
        self.check(&item.sig);
        visit::visit_impl_item_fn(self, item);
    }
}

fn parameters(argument: &FnArg) -> usize {
    match argument {
        FnArg::Receiver(_) => 0,
        FnArg::Typed(typed) => width(&typed.ty),
    }
}

fn width(of: &Type) -> usize {
    match of {
        Type::Tuple(tuple) => tuple.elems.iter().map(width).sum::<usize>().max(1),
        Type::Reference(reference) => width(&reference.elem),
        _ => 1,
    }
}

/// Type names that are defined in more than one place.
pub fn repeated_types(sources: &[Source]) -> Vec<String> {
    let mut places: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for source in sources {
        for name in types(&source.code.items) {
            places.entry(name).or_default().push(&source.name);
        }
    }
    let repeated = places.into_iter().filter(|(_, places)| places.len() > 1);
    repeated.map(|(name, places)| format!("{name}: {}", places.join(", "))).collect()
}

fn types(items: &[Item]) -> Vec<String> {
    let of = |item: &Item| match item {
        Item::Struct(item) => vec![item.ident.to_string()],
        Item::Enum(item) => vec![item.ident.to_string()],
        Item::Trait(item) => vec![item.ident.to_string()],
        Item::Type(item) => vec![item.ident.to_string()],
        Item::Mod(item) => item.content.as_ref().map_or_else(Vec::new, |(_, items)| types(items)),
        _ => Vec::new(),
    };
    items.iter().flat_map(of).collect()
}
