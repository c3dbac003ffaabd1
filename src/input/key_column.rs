//! Chooses the key column by name or number, and says what to type where none can be chosen.

use std::str::from_utf8;

use csv::ByteRecord;

use crate::input::error::InputError;
use crate::input::key_remedy::KeyRemedy;
use crate::input::likely_key;
use crate::input::location::InputLocation;
use crate::input::message_text::escaped;
use crate::input::value_shape::is_one_of;
use crate::model::shell_word;

/// The most names that a message lists.
const LISTED: usize = 20;

/// The most characters of a name in a message.
const NAME_SHOWN: usize = 40;

/// The name that the key column has where none is wanted.
const DEFAULT_NAME: &str = "sku";

/// The header, and the column that is wanted of it.
#[derive(Clone, Copy)]
pub(super) struct KeySearch<'a> {
    pub(super) names: &'a [String],
    /// A name, or a number such as `#3`.
    pub(super) wanted: Option<&'a str>,
    /// Whether the names are those of a header line.
    pub(super) headers: bool,
}

/// The index of a column that is named by its number: `#3` is the third.
///
/// # Errors
/// There is no such column. Nothing for text that is no such number.
pub(super) fn numbered(text: &str, columns: usize) -> Option<Result<usize, NoSuchNumber>> {
    let digits = text.strip_prefix('#')?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let index = digits.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
    Some(index.filter(|index| *index < columns).ok_or(NoSuchNumber))
}

/// The input has fewer columns, or the number is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoSuchNumber;

/// The number of a column as it is typed: `#3`. With zeros before it where a column has this very name, which counts
/// first.
pub(super) fn number_of(names: &[String], index: usize) -> String {
    let mut number = format!("#{}", index + 1);
    while names.contains(&number) {
        number.insert(1, '0');
    }
    number
}

/// A name without case, without white space and without invisible characters, by which it is found if no name is
/// exactly the wanted one.
pub(super) fn plain(name: &str) -> String {
    plain_chars(name).collect()
}

/// The characters of [`plain`].
pub(super) fn plain_chars(name: &str) -> impl Iterator<Item = char> {
    name.chars().filter(|c| !is_space(*c)).flat_map(char::to_lowercase)
}

/// White space, no-break spaces and what has no width, byte-order marks among it.
fn is_space(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
}

impl KeySearch<'_> {
    /// Chooses the key column: by exact name, by number, by the name without case and spaces where that is one
    /// column's; without a wanted one the column `sku` in the same way, else the only one. `below` gives some of the
    /// next records, each with its line.
    ///
    /// # Errors
    /// No column, or several, and what to type.
    pub(super) fn choose(
        self,
        at: &InputLocation,
        below: impl FnOnce() -> Vec<(u64, ByteRecord)>,
    ) -> Result<usize, InputError> {
        let wanted = self.wanted.unwrap_or(DEFAULT_NAME);
        let exact = self.places(|name| name == wanted);
        let found = match exact[..] {
            [] => self.by_number_or_plain_name(wanted, at)?,
            _ => exact,
        };
        match (&found[..], self.wanted, self.only()) {
            (&[index], ..) | ([], None, Some(index)) => Ok(index),
            ([], ..) => Err(self.not_found(at, &below())),
            (several, ..) => Err(self.several(several, at)),
        }
    }

    fn by_number_or_plain_name(self, wanted: &str, at: &InputLocation) -> Result<Vec<usize>, InputError> {
        match numbered(wanted, self.names.len()) {
            Some(Ok(index)) => return Ok(vec![index]),
            Some(Err(NoSuchNumber)) => {
                let (wanted, columns) = (wanted.into(), self.names.len());
                return Err(InputError::NoSuchColumn { at: at.clone(), wanted, columns });
            }
            None => {}
        }
        let wanted = plain(wanted);
        Ok(self.places(|name| !wanted.is_empty() && plain_chars(name).eq(wanted.chars())))
    }

    fn places(self, is: impl Fn(&str) -> bool) -> Vec<usize> {
        (0..self.names.len()).filter(|&index| is(&self.names[index])).collect()
    }

    /// The only column, apart from columns without a name at the end: some programs end every line with a delimiter.
    fn only(self) -> Option<usize> {
        let (first, others) = self.names.split_first()?;
        let alone = others.is_empty() || (!plain(first).is_empty() && others.iter().all(String::is_empty));
        alone.then_some(0)
    }

    fn not_found(self, at: &InputLocation, below: &[(u64, ByteRecord)]) -> InputError {
        let (at, columns) =
            (at.clone(), listed(&self.names.iter().map(|name| cut(name)).collect::<Vec<_>>()));
        let remedy = self.remedy(below);
        match self.wanted {
            Some(wanted) => {
                InputError::NoSuchKey { at, wanted: escaped(wanted).into(), columns: columns.into(), remedy }
            }
            None => InputError::NoKey { at, columns: columns.into(), remedy },
        }
    }

    fn remedy(self, below: &[(u64, ByteRecord)]) -> KeyRemedy {
        let column = |index| KeyRemedy::Column(self.word(index).into());
        if let Some(index) = self.wanted.and_then(|wanted| nearest(self.names, wanted)) {
            return column(index);
        }
        let likeliest = likely_key::likeliest(self.names);
        if let Some(index) = likeliest.filter(|&index| plain(&self.names[index]).contains(DEFAULT_NAME)) {
            return column(index);
        }
        if let Some(line) = self.line_of_header(below) {
            return KeyRemedy::SkipLines(line - 1);
        }
        if let Some(index) = likeliest {
            return column(index);
        }
        let is_a_value = |index: &usize| {
            let below = below.iter().filter_map(|(_, row)| from_utf8(row.get(*index)?).ok());
            likely_key::is_like_a_value(&self.names[*index]) || is_one_of(&self.names[*index], below)
        };
        match (0..self.names.len()).find(is_a_value).filter(|_| self.headers) {
            Some(index) => KeyRemedy::NoHeader {
                value: cut(&self.names[index]).into(),
                cells: self.names.iter().map(|name| cut(name)).collect(),
            },
            None => KeyRemedy::Unknown,
        }
    }

    /// The line of the first record below that has the wanted name in a cell.
    fn line_of_header(self, below: &[(u64, ByteRecord)]) -> Option<u64> {
        let wanted = plain(self.wanted.unwrap_or(DEFAULT_NAME));
        let is_wanted = |cell: &[u8]| from_utf8(cell).is_ok_and(|name| plain_chars(name).eq(wanted.chars()));
        below.iter().find(|(_, record)| record.iter().any(is_wanted)).map(|(line, _)| *line)
    }

    fn several(self, several: &[usize], at: &InputLocation) -> InputError {
        let placed: Vec<String> = several
            .iter()
            .map(|&index| format!("{} (column {})", cut(&self.names[index]), index + 1))
            .collect();
        let words: Vec<String> = several.iter().map(|&index| self.word(index)).collect();
        InputError::SeveralKeys {
            at: at.clone(),
            columns: listed(&placed).into(),
            choices: words.iter().take(LISTED).map(|word| Box::from(word.as_str())).collect(),
        }
    }

    /// A column as a word for a shell: by its name where that can be typed as it is shown, else by its number.
    fn word(self, index: usize) -> String {
        let name = &self.names[index];
        let is_shown_whole =
            escaped(name) == *name && name.trim() == name && name.chars().count() <= NAME_SHOWN;
        let is_a_value = !name.is_empty() && !name.starts_with('-');
        let is_alone = self.names.iter().filter(|other| *other == name).count() == 1;
        if is_shown_whole && is_a_value && is_alone {
            return shell_word(name);
        }
        shell_word(&number_of(self.names, index))
    }
}

/// The column whose name is the most similar: the same but for case and spaces, else the only one that has the wanted
/// name in it, else one of whose letters at most a third differ.
pub(super) fn nearest(names: &[String], wanted: &str) -> Option<usize> {
    let wanted = plain(wanted);
    if wanted.is_empty() {
        return None;
    }
    // Without a header the names are cells: a SKU, perhaps, that begins with `SKU`.
    let plain_name =
        |name: &String| if likely_key::is_like_a_value(name) { String::new() } else { plain(name) };
    let plain_names: Vec<String> = names.iter().map(plain_name).collect();
    let same = plain_names.iter().position(|name| *name == wanted);
    let mut with_it =
        (0..names.len()).filter(|&index| wanted.chars().count() > 2 && plain_names[index].contains(&wanted));
    let only_with_it = with_it.next().filter(|_| with_it.next().is_none());
    let near = |(index, name): (usize, &String)| {
        let distance = strsim::osa_distance(name, &wanted);
        let is_near = distance * 3 <= name.chars().count().max(wanted.chars().count());
        (is_near && !name.is_empty()).then_some((distance, index))
    };
    let most_similar = || plain_names.iter().enumerate().filter_map(near).min().map(|(_, index)| index);
    same.or(only_with_it).or_else(most_similar)
}

fn listed(names: &[String]) -> String {
    let text = names[..names.len().min(LISTED)].join(", ");
    match names.len().saturating_sub(LISTED) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

/// A name in a message, in backticks.
pub(super) fn cut(name: &str) -> String {
    let text = escaped(name);
    match text.char_indices().nth(NAME_SHOWN) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Exit;

    fn choose(names: &[&str], wanted: Option<&str>) -> Result<usize, InputError> {
        choose_over(names, wanted, &[])
    }

    fn choose_over(names: &[&str], wanted: Option<&str>, below: &[(u64, &str)]) -> Result<usize, InputError> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let search = KeySearch { names: &names, wanted, headers: true };
        let record = |&(line, text): &(u64, &str)| (line, text.split(',').collect());
        search.choose(&InputLocation::named("p.csv").line(1), || below.iter().map(record).collect())
    }

    fn hint(names: &[&str], wanted: Option<&str>) -> String {
        let error = choose(names, wanted).unwrap_err();
        assert_eq!(error.exit(), Exit::Data);
        error.hint().unwrap()
    }

    #[test]
    fn the_key_is_the_named_column_else_sku_else_the_only_one() {
        for (names, wanted, expected) in [
            (&["name", "sku"][..], None, 1),
            (&["name", "SKU"], None, 1),
            (&["name", " Sku\u{a0}"], None, 1),
            (&["\u{feff}sku", "name"], None, 0),
            (&["article"], None, 0),
            (&["article", "", ""], None, 0),
            (&["sku", "ean"], Some("ean"), 1),
            (&["SKU", "sku"], Some("sku"), 1),
            (&["SKU", "a", "sku"], None, 2),
            (&["a", " Artikel Nr "], Some("artikelnr"), 1),
            (&["a", "Référence\u{a0}produit"], Some("référence produit"), 1),
            (&["sku", "x", "x"], None, 0),
            (&["sku", "name", "sku"], Some("#3"), 2),
            (&["sku", "name", "sku"], Some("#03"), 2),
            (&["a", "#1", "c"], Some("#1"), 1),
            (&["a", " #1", "c"], Some("#1"), 0),
        ] {
            assert_eq!(choose(names, wanted).unwrap(), expected, "{names:?} {wanted:?}");
        }
    }

    #[test]
    fn without_a_key_the_likeliest_column_is_suggested_and_never_the_first_for_its_place() {
        let error = choose(&["Handle", "Title", "Variant SKU"], None).unwrap_err();
        assert!(error.to_string().starts_with("p.csv, line 1: "), "{error}");
        assert!(error.to_string().ends_with("there are: `Handle`, `Title`, `Variant SKU`"), "{error}");
        assert_eq!(error.hint().unwrap(), "say which column holds the SKU, for example --key 'Variant SKU'");
        assert_eq!(hint(&["Handle", "Title"], None), "say with --key which of them holds the SKU");
        assert!(hint(&["a", "\tRéférence produit"], None).ends_with("--key '#2'"));
        assert!(hint(&["a", "-sku"], Some("variant")).contains("--key '#2'"), "no option");
        assert!(hint(&["#2", "Item\u{a0}no"], None).ends_with("--key '#02'"));
        assert!(hint(&["a", "it's no SKU"], None).ends_with("--key \"it's no SKU\""));
    }

    #[test]
    fn a_wrong_key_leads_to_the_nearest_column_else_to_the_likeliest() {
        for (wanted, word) in [("Skus", "sku"), ("artcle", "article"), ("colour", "sku"), ("SKU no", "sku")] {
            let error = choose(&["id", "sku", "article"], Some(wanted)).unwrap_err();
            let listed = format!("`{wanted}`; there are: `id`, `sku`, `article`");
            assert!(error.to_string().contains(&listed), "{error}");
            assert_eq!(error.hint().unwrap(), format!("did you mean --key {word}?"));
        }
        assert!(hint(&["a", "Variant SKU", "Variant name"], Some("sku")).contains("'Variant SKU'"));
        assert_eq!(hint(&["id", "name"], Some("colour")), "say with --key which of them holds the SKU");
    }

    #[test]
    fn a_header_of_digits_is_doubted_and_one_further_below_found() {
        assert!(hint(&["A1", "10"], None).starts_with("is line 1 a header? `10` looks like a value"));
        assert!(
            hint(&["SKU-0001", "Shirt"], Some("sku")).contains("\n    --no-headers --key 1   `SKU-0001`")
        );
        let error = choose_over(&["A1", "Tea"], None, &[(2, "A2,Mug"), (3, "B17,Cup")]).unwrap_err();
        assert!(error.hint().unwrap().ends_with("--key 1   `A1`\n    --no-headers --key 2   `Tea`"));
        let error = choose_over(&["Report", "of today"], None, &[(2, "x"), (4, "a,SKU ")]).unwrap_err();
        assert_eq!(error.hint().unwrap(), "the header seems to be on line 4: --skip-lines 3");
        let names = ["1".to_owned(), "2".to_owned()];
        let search = KeySearch { names: &names, wanted: None, headers: false };
        let error = search.choose(&InputLocation::named("p.csv"), Vec::new).unwrap_err();
        assert_eq!(error.hint().unwrap(), "say with --key which of them holds the SKU");
    }

    #[test]
    fn several_columns_for_the_key_are_told_apart_by_name_or_number() {
        let error = choose(&["SKU", "a", "Sku"], None).unwrap_err();
        assert!(error.to_string().contains("`SKU` (column 1), `Sku` (column 3)"), "{error}");
        assert_eq!(error.hint().unwrap(), "say which: --key SKU or --key Sku");
        assert_eq!(hint(&["ean", "x", "ean"], Some("ean")), "say which: --key '#1' or --key '#3'");
    }

    #[test]
    fn a_number_out_of_range_is_an_error_with_the_number_of_columns() {
        for wanted in ["#0", "#4", "#99999999999999999999999"] {
            let error = choose(&["sku", "name", "sku"], Some(wanted)).unwrap_err();
            let expected = format!("p.csv, line 1: there is no column {wanted}; the input has 3 columns");
            assert_eq!((error.to_string(), error.exit()), (expected, Exit::Data));
        }
        assert!(matches!(choose(&["a", "b"], Some("#x")).unwrap_err(), InputError::NoSuchKey { .. }));
    }

    #[test]
    fn a_message_lists_no_more_than_a_screen_can_hold() {
        let names: Vec<String> = (0..30).map(|i| format!("{i}{}", "x".repeat(60))).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let error = choose(&names, None).unwrap_err().to_string();
        assert!(error.ends_with("and 10 more") && error.len() < 1200, "{error}");
    }
}
