//! Which variables a filter uses, found in its text. What cannot be told counts as used.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::load::{self};
use jaq_core::path::{Opt, Part, Path};

use super::VariableUse;
use super::row_cells::RowUse;
use super::{HEADERS, ROW};

/// The variables of a filter that compiles.
pub(super) fn variable_use(text: &str) -> VariableUse {
    let Some(term) = load::parse(text, |parser| parser.term()) else {
        return VariableUse { headers: true, row: RowUse::All, essential: Vec::new() };
    };
    let mut found = VariableUse::default();
    found.term(&term);
    found
}

impl VariableUse {
    fn term(&mut self, term: &Term<&str>) {
        match term {
            Term::Id | Term::Recurse | Term::Num(_) | Term::Break(_) => {}
            Term::Str(_, parts) => self.text(parts),
            Term::Arr(inner) => self.terms(inner.iter().map(AsRef::as_ref)),
            Term::Obj(members) => {
                for (name, value) in members {
                    self.term(name);
                    self.terms(value);
                }
            }
            Term::Neg(inner) | Term::Label(_, inner) => self.term(inner),
            Term::BinOp(left, operator, right) => {
                self.term(left);
                if let BinaryOp::Pipe(Some(pattern)) = operator {
                    self.pattern(pattern);
                }
                self.term(right);
            }
            Term::Fold(_, values, pattern, arguments) => {
                self.term(values);
                self.pattern(pattern);
                self.terms(arguments);
            }
            Term::TryCatch(tried, catch) => {
                self.term(tried);
                self.terms(catch.iter().map(AsRef::as_ref));
            }
            Term::IfThenElse(branches, otherwise) => {
                for (condition, then) in branches {
                    self.term(condition);
                    self.term(then);
                }
                self.terms(otherwise.iter().map(AsRef::as_ref));
            }
            Term::Def(definitions, inner) => {
                self.terms(definitions.iter().map(|Def { body, .. }| body));
                self.term(inner);
            }
            Term::Call(_, arguments) => self.terms(arguments),
            Term::Var(name) => self.variable(name),
            Term::Path(of, path) => self.path(of, path),
        }
    }

    fn terms<'a>(&mut self, terms: impl IntoIterator<Item = &'a Term<&'a str>>) {
        for term in terms {
            self.term(term);
        }
    }

    fn variable(&mut self, name: &str) {
        match name {
            HEADERS => self.headers = true,
            ROW => self.row = RowUse::All,
            _ => {}
        }
    }

    /// `$row.name` and `$row["name"]` use one column.
    fn path(&mut self, of: &Term<&str>, Path(parts): &Path<Term<&str>>) {
        let column = match (of, parts.first()) {
            (Term::Var(ROW), Some((Part::Index(index), opt))) => plain_text(index).map(|name| (name, *opt)),
            _ => None,
        };
        match column {
            Some((name, opt)) => {
                if matches!(opt, Opt::Essential) && !self.essential.contains(&name) {
                    self.essential.push(name.clone());
                }
                self.row = std::mem::take(&mut self.row).with(RowUse::Columns(vec![name]));
            }
            None => self.term(of),
        }
        for (part, _) in parts {
            match part {
                Part::Index(index) => self.term(index),
                Part::Range(from, until) => self.terms(from.iter().chain(until)),
            }
        }
    }

    fn text(&mut self, parts: &[StrPart<&str, Term<&str>>]) {
        for part in parts {
            if let StrPart::Term(inner) = part {
                self.term(inner);
            }
        }
    }

    fn pattern(&mut self, pattern: &Pattern<&str>) {
        match pattern {
            Pattern::Var(_) => {}
            Pattern::Arr(patterns) => patterns.iter().for_each(|pattern| self.pattern(pattern)),
            Pattern::Obj(members) => {
                for (name, pattern) in members {
                    self.term(name);
                    self.pattern(pattern);
                }
            }
        }
    }
}

/// A text without anything to compute.
fn plain_text(term: &Term<&str>) -> Option<String> {
    let Term::Str(None, parts) = term else { return None };
    let part = |part: &StrPart<&str, Term<&str>>| match part {
        StrPart::Str(text) => Some((*text).to_owned()),
        StrPart::Char(character) => Some(character.to_string()),
        StrPart::Term(_) => None,
    };
    parts.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_of_row_are_found_in_the_text() {
        let columns = |names: &[&str]| RowUse::Columns(names.iter().map(|&name| name.to_owned()).collect());
        for (filter, row) in [
            (". + {price: $row.price}", columns(&["price"])),
            (r#"{a: $row["list price"], b: $row."ean"}"#, columns(&["list price", "ean"])),
            (r#"if .sku != $row.sku then error("no \($row.sku)") else . end"#, columns(&["sku"])),
            ("def f: $row.a; [.x[]? | f] | reduce .[] as $y (0; . + $row.b)", columns(&["a", "b"])),
            (".a[$row.n | tonumber]", columns(&["n"])),
            ("try error($row.x) catch $row.y", columns(&["x", "y"])),
            (r#"$row."é""#, columns(&["é"])),
            ("{$row}", RowUse::All),
            ("$row", RowUse::All),
            ("$row | .price", RowUse::All),
            ("$row[.column]", RowUse::All),
            (r#"$row["a\(1)"]"#, RowUse::All),
            ("$row.a, $row", RowUse::All),
            (".row, \"$row\", $key", RowUse::Nothing),
        ] {
            assert_eq!(variable_use(filter).row, row, "{filter}");
        }
    }

    #[test]
    fn headers_are_made_only_where_a_filter_names_them() {
        for filter in ["$headers.etag", "{$headers}", "\"\\($headers)\"", "-($headers | length)"] {
            assert!(variable_use(filter).headers, "{filter}");
        }
        assert!(!variable_use(".headers, $status").headers);
    }

    #[test]
    fn a_column_with_a_question_mark_need_not_be_there() {
        assert_eq!(variable_use("$row.a?, $row.b").essential, ["b"]);
    }
}
