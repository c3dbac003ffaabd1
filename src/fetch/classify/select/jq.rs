//! jq, by jaq: which parts of its library a filter can use, and one run of a filter.

use std::fmt::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};

use jaq_core::load::{self, Arena, File, Loader, lex};
use jaq_core::native::{self, Fun};
use jaq_core::{Compiler, Ctx, Exn, RunPtr, ValX, Vars, compile, data};
use jaq_json::{Val, read::parse_single_num};

use super::input::FilterInput;
use super::{AddressValue, FilterAnswer, FoundValue, PathStep, SelectError, value};
use crate::json;
use crate::model::display_safe;

pub(super) type Data = data::JustLut<Val>;

/// A compiled filter.
pub(super) struct JqFilter {
    compiled: jaq_core::Filter<Data>,
    /// The names of its variables, in the order of their values.
    variables: &'static [&'static str],
}

impl fmt::Debug for JqFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JqFilter")
    }
}

/// Parts of the library that are left out: those that read the environment, write to standard error or end the process,
/// and those that [`OWN_DEFINITIONS`] and [`own_functions`] replace.
const LEFT_OUT: &[&str] = &[
    "env",
    "debug",
    "debug_empty",
    "stderr",
    "stderr_empty",
    "halt",
    "halt_error",
    "input",
    "inputs",
    "del",
    "delpaths",
    "tonumber",
    "fromjson",
];

/// jaq deletes from an object by moving the last member into the gap. In jq the other members keep their order.
const OWN_DEFINITIONS: &str = r#"
def delete_at($path):
    if   ($path | length) == 0                       then null
    elif . == null                                   then .
    elif ($path | length) > 1 and .[$path[0]] == null then .
    elif ($path | length) > 1                        then .[$path[0]] |= delete_at($path[1:])
    elif type == "object"                            then with_entries(select(.key != $path[0]))
    else .[$path[0]] |= empty end;
def delpaths($paths): reduce ($paths | unique | reverse | .[]) as $path (.; delete_at($path));
def del(f): delpaths([path(f)]);
"#;

/// What is said of a bug of the library.
const BROKE_OFF: &str = "the jq library broke off";

/// Characters of a library's message that are shown.
const MESSAGE_CHARS: usize = super::MESSAGE_CHARS;

/// Characters of a message that are kept: far more than are shown, so that no secret is cut in two before it is masked.
const HEAD_CHARS: usize = 8192;

impl JqFilter {
    /// `variables`: all that the filter may name, each with its `$`.
    pub(super) fn compile(text: &str, variables: &'static [&'static str]) -> Result<Self, SelectError> {
        let arena = Arena::default();
        let library = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
        let own = load::parse(OWN_DEFINITIONS, |parser| parser.defs()).unwrap_or_default();
        let definitions = library.filter(|definition| !LEFT_OUT.contains(&definition.name)).chain(own);
        let modules = Loader::new(definitions)
            .load(&arena, File { code: text, path: () })
            .map_err(|errors| unreadable(text, errors))?;
        load::import(&modules, |_| Err("filters cannot read files".into()))
            .map_err(|errors| unreadable(text, errors))?;
        let library = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
        let functions = library.filter(|(name, ..)| !LEFT_OUT.contains(name)).chain(own_functions());
        let compiled = Compiler::default()
            .with_funs(functions)
            .with_global_vars(variables.iter().copied())
            .compile(modules)
            .map_err(|errors| unknown((text, variables), errors))?;
        Ok(Self { compiled, variables })
    }

    /// Appends the one value that the filter gives.
    pub(super) fn select(&self, input: &FilterInput, out: &mut Vec<u8>) -> Result<(), SelectError> {
        // A body may trigger a bug of the library; that must fail this one value, not the run.
        let run = || {
            // A second value decides; however many more the filter would give, they are not computed.
            let mut values = self.values(input);
            let value = values.next().ok_or(SelectError::NoValue)?.map_err(failed)?;
            match values.next() {
                None => value::write(&value, out),
                Some(Ok(_)) => Err(SelectError::SeveralValues),
                Some(Err(exception)) => Err(failed(exception)),
            }
        };
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err(SelectError::Failed(BROKE_OFF.into())))
    }

    /// The first value of the filter that jq takes for true. No where there is none, or an error comes before it.
    pub(super) fn answer(&self, input: &FilterInput) -> FilterAnswer {
        let run = || {
            for value in self.values(input) {
                return match value {
                    Ok(Val::Null | Val::Bool(false)) => continue,
                    Ok(value) => yes(&value),
                    Err(_) => FilterAnswer::No,
                };
            }
            FilterAnswer::No
        };
        catch_unwind(AssertUnwindSafe(run)).unwrap_or(FilterAnswer::No)
    }

    /// All values: those that are parts of the body by their paths, where the filter does nothing but select.
    pub(super) fn all(&self, input: &FilterInput) -> Result<Vec<FoundValue>, SelectError> {
        let run = || {
            if let Some(found) = self.paths(input) {
                return Ok(found);
            }
            let written = |value| {
                let mut json = Vec::new();
                value::write(&value, &mut json).map(|()| FoundValue::Computed(json))
            };
            self.values(input).map(|value| value.map_err(failed).and_then(written)).collect()
        };
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err(SelectError::Failed(BROKE_OFF.into())))
    }

    /// The paths of all values; none where the filter computes any, or fails.
    fn paths(&self, input: &FilterInput) -> Option<Vec<FoundValue>> {
        let context = Ctx::<Data>::new(&self.compiled.lut, Vars::new(input.variables(self.variables)));
        let values = self.compiled.id.paths((context, at_root(input.body())));
        let found = values.map(|value| {
            let (_, mut path) = value.ok()?;
            let mut steps = Vec::new();
            while let Some((step, rest)) = path.pop() {
                steps.push(match step {
                    Val::Num(index) => PathStep::Index(index.to_string().parse().ok()?),
                    Val::TStr(name) => PathStep::Name(String::from_utf8(name.to_vec()).ok()?),
                    _ => return None,
                });
                path = rest;
            }
            steps.reverse();
            Some(FoundValue::At(steps))
        });
        found.collect()
    }

    /// The first value, where it is a text or a number.
    pub(super) fn key(&self, input: &FilterInput) -> Option<String> {
        let run = || match self.values(input).next()?.ok()? {
            Val::TStr(text) => String::from_utf8(text.to_vec()).ok(),
            number @ Val::Num(_) => {
                let mut json = Vec::new();
                value::write(&number, &mut json).ok()?;
                String::from_utf8(json).ok()
            }
            _ => None,
        };
        catch_unwind(AssertUnwindSafe(run)).unwrap_or(None)
    }

    /// The one value, where there is one.
    pub(super) fn address(&self, input: &FilterInput) -> Result<AddressValue, SelectError> {
        let run = || {
            let mut values = self.values(input);
            let first = match values.next().transpose().map_err(failed)? {
                None | Some(Val::Null | Val::Bool(false)) => AddressValue::None,
                Some(Val::TStr(text)) if text.trim_ascii().is_empty() => AddressValue::None,
                Some(Val::TStr(text)) => AddressValue::Text(String::from_utf8_lossy(&text).into_owned()),
                Some(other) => {
                    let mut json = Vec::new();
                    value::write(&other, &mut json)?;
                    AddressValue::Other(String::from_utf8_lossy(&json).into_owned())
                }
            };
            match values.next() {
                None => Ok(first),
                Some(Ok(_)) => Err(SelectError::SeveralValues),
                Some(Err(exception)) => Err(failed(exception)),
            }
        };
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err(SelectError::Failed(BROKE_OFF.into())))
    }

    fn values<'a>(&'a self, input: &FilterInput) -> impl Iterator<Item = ValX<'a, Val>> + 'a {
        let context = Ctx::<Data>::new(&self.compiled.lut, Vars::new(input.variables(self.variables)));
        self.compiled.id.run((context, input.body()))
    }
}

/// A value, and the path to it: the empty one.
fn at_root<P: Default>(value: Val) -> (Val, P) {
    (value, P::default())
}

/// What a value means that is neither `false` nor `null`.
fn yes(value: &Val) -> FilterAnswer {
    match value {
        Val::Bool(_) => FilterAnswer::Yes,
        // The text of a number is one that Rust reads, infinite ones included.
        Val::Num(number) => FilterAnswer::Number(number.to_string().parse().unwrap_or(f64::NAN)),
        Val::TStr(text) => FilterAnswer::Text(String::from_utf8_lossy(text).into_owned()),
        other => {
            let mut json = Vec::new();
            match value::write(other, &mut json) {
                Ok(()) => FilterAnswer::Text(String::from_utf8_lossy(&json).into_owned()),
                Err(_) => FilterAnswer::Yes,
            }
        }
    }
}

fn failed(exception: Exn<'_, Val>) -> SelectError {
    let text = match exception.get_err() {
        Ok(error) => {
            let mut head = MessageHead(String::new());
            // It stops with an error where the message is longer than its head.
            let _ = write!(head, "{error}");
            head.0
        }
        Err(_) => "it broke off".into(),
    };
    SelectError::Failed(text)
}

/// Collects the first part of a message that may quote a whole body.
struct MessageHead(String);

impl fmt::Write for MessageHead {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend(text.chars().take(HEAD_CHARS));
        if self.0.len() > HEAD_CHARS { Err(fmt::Error) } else { Ok(()) }
    }
}

/// Functions that replace the library's.
fn own_functions() -> [Fun<Data>; 2] {
    // The library's reader recurses as deep as the text is nested, and accepts more than JSON.
    let from_json: RunPtr<Data> = |(_, input)| {
        native::bome(input.try_as_utf8_bytes_owned().and_then(|text| {
            let mut compact = Vec::new();
            json::compact(&text, &mut compact).map_err(jaq_json::Error::str)?;
            value::read(&compact.into()).ok_or_else(|| jaq_json::Error::str("not JSON"))
        }))
    };
    // Unlike JSON, texts of APIs hold numbers such as `007`. Long ones would take minutes to convert.
    let to_number: RunPtr<Data> = |(_, input)| {
        native::bome(match input {
            Val::Num(number) => Ok(Val::Num(number)),
            other => other.try_as_utf8_bytes_owned().and_then(|text| {
                let text = Some(text.trim_ascii()).filter(|text| text.len() < 1_000);
                let number = text.and_then(parse_single_num);
                number.map(Val::Num).ok_or_else(|| jaq_json::Error::str("cannot parse the text as number"))
            }),
        })
    };
    [
        native::run::<Data>(("fromjson", native::v(0), from_json)),
        native::run::<Data>(("tonumber", native::v(0), to_number)),
    ]
}

/// The message for a filter that cannot be parsed.
fn unreadable(text: &str, errors: load::Errors<&str, ()>) -> SelectError {
    let message = errors.into_iter().next().and_then(|(_, error)| match error {
        load::Error::Io(errors) => errors.first().map(|(part, why)| format!("{why}{}", place(text, part))),
        load::Error::Lex(errors) => errors.first().map(|(expected, part)| {
            let expected = match expected {
                // An opening delimiter without its closing one.
                lex::Expect::Delim(opening) => format!("the end of `{opening}`"),
                other => format!("a {}", other.as_str()),
            };
            format!("cannot be read: expected {expected}{}", place(text, part))
        }),
        load::Error::Parse(errors) => errors.first().map(|(expected, part)| {
            format!("cannot be read: expected {}{}", expected.as_str(), place(text, part))
        }),
    });
    SelectError::Filter(message.unwrap_or_else(|| "cannot be read".into()))
}

/// The message for a filter that uses an unknown name.
fn unknown((text, variables): (&str, &[&str]), errors: compile::Errors<&str, ()>) -> SelectError {
    let Some((name, kind)) = errors.into_iter().flat_map(|(_, errors)| errors).next() else {
        return SelectError::Filter("cannot be used".into());
    };
    let place = place(text, name);
    let name = display_safe(name, MESSAGE_CHARS);
    match (name.as_str(), kind) {
        ("env" | "$ENV", _) => SelectError::Filter(format!("cannot see the environment (`{name}`{place})")),
        (_, compile::Undefined::Var) => {
            let known = if variables.is_empty() { "none".into() } else { variables.join(", ") };
            SelectError::Variable(format!("`{name}`{place}; there are {known}"))
        }
        (_, kind) => SelectError::Filter(format!("uses an unknown {}: `{name}`{place}", kind.as_str())),
    }
}

/// The position of a part of the filter, in characters from 1.
fn place(text: &str, part: &str) -> String {
    let offset = (part.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
    match text.get(..offset) {
        Some(before) if offset < text.len() => format!(", at character {}", before.chars().count() + 1),
        Some(_) => ", at its end".into(),
        None => String::new(),
    }
}

#[cfg(test)]
#[path = "jq_tests.rs"]
mod tests;
