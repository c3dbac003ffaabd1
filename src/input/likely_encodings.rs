//! The encodings that a text may have that is not UTF-8, for a message. None is ever taken by itself.

use crate::input::text_encoding::TextEncoding;

/// The names that are tried: the more usual ones of exports first, which decides between equals.
const TRIED: [&str; 17] = [
    "windows-1252",
    "windows-1250",
    "windows-1251",
    "iso-8859-2",
    "windows-1254",
    "windows-1253",
    "windows-1257",
    "shift_jis",
    "gb18030",
    "euc-kr",
    "big5",
    "koi8-r",
    "ibm866",
    "macintosh",
    "windows-1255",
    "windows-1256",
    "windows-874",
];

/// Letters beyond ASCII that are usual in a language which writes with Latin letters.
const USUAL_LATIN: &str = "äöüßéèêëàâçñáíóúìòùîïôûãõåøæœÄÖÜÉÈÀÅØÑÇ";
const OTHER_LATIN: &str = "ąćęłńśźżŁŚŻčďěňřšťůýžČŘŠŽőűășțşţğışİāēīūģķļņėįųÁÍÓÚ";

/// Vowels of Russian and Greek, in lower case.
const VOWELS: &str = "аеёиоуыэюяαεηιουωάέήίόύώ";

/// Signs that are usual in names of products.
const USUAL_SIGNS: &str = "€£°®©™–—’“”«»½¼×·²³§…\u{a0}„‚•№±µ";

/// The two likeliest encodings of some cells that are not UTF-8, the likelier first.
pub(super) fn likeliest(cells: &[Vec<u8>]) -> [TextEncoding; 2] {
    let mut scored: Vec<(i64, TextEncoding)> = Vec::new();
    for encoding in TRIED.iter().filter_map(|name| TextEncoding::named(name)) {
        let score = cells.iter().map(|cell| score(cell, encoding)).sum::<i64>();
        scored.push((score, encoding));
    }
    // Stable: of equals the more usual one comes first.
    scored.sort_by_key(|&(score, _)| std::cmp::Reverse(score));
    [scored[0].1, scored[1].1]
}

/// A cell that shows the difference of two encodings, else the first one.
pub(super) fn telling(cells: &[Vec<u8>], [first, second]: [TextEncoding; 2]) -> &[u8] {
    let tells = |cell: &&Vec<u8>| first.decode(cell) != second.decode(cell);
    cells.iter().find(tells).or(cells.first()).map_or(&[], Vec::as_slice)
}

/// Points for a cell, ten for each byte that is no ASCII and surely well read.
fn score(cell: &[u8], encoding: TextEncoding) -> i64 {
    let bytes = i64::try_from(cell.iter().filter(|byte| !byte.is_ascii()).count()).unwrap_or(i64::MAX);
    let Some(text) = encoding.decode(cell) else { return -20 * bytes };
    let chars: Vec<char> = text.chars().collect();
    let foreign = chars.iter().filter(|c| !c.is_ascii()).count();
    let points =
        (0..chars.len()).filter(|&at| !chars[at].is_ascii()).map(|at| points(&chars, at)).sum::<i64>();
    // A character of two bytes stands for both.
    points * bytes / i64::try_from(foreign.max(1)).unwrap_or(1)
}

fn points(chars: &[char], at: usize) -> i64 {
    let c = chars[at];
    let before = at.checked_sub(1).map(|place| chars[place]);
    let after = chars.get(at + 1).copied();
    let is_script = |other: Option<char>| other.is_some_and(|other| script(other) == script(c));
    let breaks_case = c.is_uppercase() && before.is_some_and(char::is_lowercase);
    let case = if breaks_case { -12 } else { 0 };
    match script(c) {
        Script::Latin => {
            let crowd = if after.is_some_and(|next| !next.is_ascii()) { -3 } else { 0 };
            let letter = match () {
                () if USUAL_LATIN.contains(c) => 10,
                () if OTHER_LATIN.contains(c) => 9,
                () => 2,
            };
            letter + crowd + case
        }
        Script::Cyrillic | Script::Greek if is_script(before) || is_script(after) => {
            // Hebrew that is read as one of them has few vowels.
            let has_vowel = [before, Some(c), after].into_iter().flatten().any(|c| VOWELS.contains(c));
            (if c.is_lowercase() && has_vowel { 9 } else { 6 }) + case
        }
        // Inside a word of Latin letters, chance has made them.
        Script::Kana | Script::Hangul | Script::Han if is_ascii_letter(before) || is_ascii_letter(after) => {
            -2
        }
        Script::Kana | Script::Hangul => 10,
        Script::Han => 7,
        Script::Hebrew if is_script(before) || is_script(after) => 8,
        Script::Other if is_script(before) || is_script(after) => 5,
        Script::Cyrillic | Script::Greek | Script::Hebrew | Script::Other => -4,
        Script::Sign if USUAL_SIGNS.contains(c) => {
            if before.is_some_and(char::is_alphabetic) && after.is_some_and(char::is_alphabetic) {
                0
            } else {
                6
            }
        }
        Script::Sign => -8,
    }
}

fn is_ascii_letter(c: Option<char>) -> bool {
    c.is_some_and(|c| c.is_ascii_alphabetic())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Script {
    Latin,
    Cyrillic,
    Greek,
    Hebrew,
    Kana,
    Hangul,
    Han,
    Other,
    Sign,
}

fn script(c: char) -> Script {
    match c {
        'a'..='z' | 'A'..='Z' => Script::Latin,
        '\u{c0}'..='\u{24f}' if c.is_alphabetic() => Script::Latin,
        '\u{370}'..='\u{3ff}' if c.is_alphabetic() => Script::Greek,
        '\u{400}'..='\u{4ff}' => Script::Cyrillic,
        '\u{5d0}'..='\u{5ea}' => Script::Hebrew,
        '\u{3040}'..='\u{30ff}' => Script::Kana,
        '\u{ac00}'..='\u{d7a3}' => Script::Hangul,
        '\u{4e00}'..='\u{9fff}' => Script::Han,
        // Half-width kana, which chance makes of other encodings.
        '\u{ff61}'..='\u{ff9f}' => Script::Sign,
        _ if c.is_alphabetic() => Script::Other,
        _ => Script::Sign,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(encoding: &str, texts: &[&str]) -> Vec<Vec<u8>> {
        let encode = |text: &&str| {
            let mut bytes = Vec::new();
            TextEncoding::named(encoding).unwrap().encode(text.as_bytes(), &mut bytes).unwrap();
            bytes
        };
        texts.iter().map(encode).collect()
    }

    #[test]
    fn the_encoding_of_usual_exports_is_among_the_two_and_mostly_the_first() {
        for (encoding, texts, is_first) in [
            ("windows-1252", &["Größe", "Müller Töpfe", "Bräter 24 cm"][..], true),
            ("windows-1252", &["Crème brûlée", "Pâté à l’ancienne"], true),
            ("windows-1252", &["Niño", "Cañón 5€"], true),
            ("windows-1250", &["Żółta łyżka", "Świeca zapachowa", "Ścierka"], true),
            ("windows-1250", &["Příbor", "Žlutý hrnček", "Šálek"], false),
            ("iso-8859-2", &["Świeca", "Żółta ścierka"], true),
            ("windows-1251", &["Кружка белая", "Ложка чайная"], true),
            ("koi8-r", &["Кружка белая", "Ложка чайная"], false),
            ("ibm866", &["Кружка белая", "Ложка чайная"], false),
            ("windows-1253", &["Κούπα λευκή", "Κουτάλι"], true),
            ("windows-1254", &["Çay bardağı", "Kaşık ışıltı"], true),
            ("windows-1255", &["שם", "קפה", "תה ירוק"], false),
            ("windows-1255", &["ספל לבן", "כפית"], false),
            ("shift_jis", &["マグカップ 白", "スプーン"], true),
            ("gb18030", &["白色马克杯", "不锈钢勺子"], true),
            ("euc-kr", &["머그컵 흰색", "숟가락"], true),
        ] {
            let found = likeliest(&cells(encoding, texts));
            let named = TextEncoding::named(encoding).unwrap();
            assert!(found.contains(&named), "{encoding}: {found:?}");
            assert!(!is_first || found[0] == named, "{encoding}: {found:?}");
        }
    }

    #[test]
    fn the_cell_that_is_shown_tells_the_two_apart() {
        let cells = cells("windows-1250", &["Müller", "Łyżka"]);
        let two = ["windows-1250", "windows-1252"].map(|name| TextEncoding::named(name).unwrap());
        assert_eq!(two[0].decode(telling(&cells, two)).unwrap(), "Łyżka");
    }
}
