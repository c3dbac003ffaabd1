//! The ways in which a character is written: percent-encoded, with a backslash, as an entity, and by two of these in
//! turn (`%252F`, `\\\"`, `\&quot;`).

use std::cell::Cell;

/// Encoders that may have been at work in turn.
pub(super) const LEVELS: u8 = 2;

/// What every escape begins with. `+` alone is one: that of a space in a form.
pub(super) const INTRODUCERS: [u8; 4] = [b'%', b'\\', b'&', b'+'];

/// The most characters of an entity that are read, zeros before its number among them.
const LONGEST_ENTITY: usize = 24;

/// A character of which only the first bytes or units are read yet, each after this prefix.
#[derive(Clone, Copy)]
struct Partial<'a, T> {
    prefix: &'a str,
    before: T,
}

/// How the number of a character is written.
#[derive(Clone, Copy)]
struct Numeral {
    base: u32,
    closing: char,
}

/// The entities of ASCII characters, by the names of HTML.
const ENTITIES: [(&str, char); 46] = [
    ("Tab", '\t'),
    ("NewLine", '\n'),
    ("nbsp", ' '),
    ("excl", '!'),
    ("quot", '"'),
    ("QUOT", '"'),
    ("num", '#'),
    ("dollar", '$'),
    ("percnt", '%'),
    ("amp", '&'),
    ("AMP", '&'),
    ("apos", '\''),
    ("lpar", '('),
    ("rpar", ')'),
    ("ast", '*'),
    ("midast", '*'),
    ("plus", '+'),
    ("comma", ','),
    ("period", '.'),
    ("sol", '/'),
    ("colon", ':'),
    ("semi", ';'),
    ("lt", '<'),
    ("LT", '<'),
    ("equals", '='),
    ("gt", '>'),
    ("GT", '>'),
    ("quest", '?'),
    ("commat", '@'),
    ("lsqb", '['),
    ("lbrack", '['),
    ("bsol", '\\'),
    ("rsqb", ']'),
    ("rbrack", ']'),
    ("Hat", '^'),
    ("lowbar", '_'),
    ("UnderBar", '_'),
    ("grave", '`'),
    ("DiacriticalGrave", '`'),
    ("lcub", '{'),
    ("lbrace", '{'),
    ("verbar", '|'),
    ("vert", '|'),
    ("VerticalLine", '|'),
    ("rcub", '}'),
    ("rbrace", '}'),
];

/// A text whose characters are read in any spelling.
pub(super) struct Spelled<'a> {
    text: &'a str,
    ran_out: Cell<bool>,
}

/// Takes a character that is written at some place, and where it ends.
type Found<'f> = &'f mut dyn FnMut(char, usize);

impl<'a> Spelled<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, ran_out: Cell::new(false) }
    }

    /// Tells each character that is written here, in whatever spelling; whether the text ends within one.
    pub(super) fn characters(&self, at: usize, mut found: impl FnMut(char, usize)) -> bool {
        self.ran_out.set(false);
        self.read(at, LEVELS, &mut found);
        self.ran_out.get()
    }

    /// The same after so many encoders at most.
    fn read(&self, at: usize, levels: u8, found: Found<'_>) {
        let Some(c) = self.text[at..].chars().next() else { return self.ran_out.set(true) };
        found(c, at + c.len_utf8());
        if levels > 0 && is_introducer(c) {
            let levels = levels - 1;
            self.read(at, levels, &mut |c, end| match c {
                '%' => self.percent(end, levels, found),
                '\\' => self.backslash(end, levels, found),
                '&' => self.entity(end, levels, found),
                '+' => found(' ', end),
                _ => {}
            });
        }
    }

    /// The character that is written here, if it is one of these: letters, digits and what else is no introducer. Of
    /// such there is at most one.
    fn one(&self, at: usize, levels: u8, is_wanted: impl Fn(char) -> bool) -> Option<(char, usize)> {
        let mut one = None;
        self.read(at, levels, &mut |c, end| {
            if is_wanted(c) {
                one = Some((c, end));
            }
        });
        one
    }

    /// A number of so many hexadecimal digits.
    fn number(&self, mut at: usize, levels: u8, digits: usize) -> Option<(u32, usize)> {
        let mut number = 0;
        for _ in 0..digits {
            let (digit, end) = self.one(at, levels, |c| c.is_ascii_hexdigit())?;
            number = number * 16 + digit.to_digit(16)?;
            at = end;
        }
        Some((number, at))
    }

    /// `%C3%A9`, or as JavaScript's `escape` writes it, `%u00e9`.
    fn percent(&self, at: usize, levels: u8, found: Found<'_>) {
        match self.one(at, levels, |c| c == 'u') {
            Some((_, end)) => self.units(Partial { prefix: "%u", before: None }, end, levels, found),
            None => self.bytes(Partial { prefix: "%", before: &[] }, at, levels, found),
        }
    }

    /// `\"` and `\n`, `\u00e9`, `\u{e9}`, `\U000000e9`, `\xc3\xa9` or `\xe9`.
    fn backslash(&self, at: usize, levels: u8, found: Found<'_>) {
        self.read(at, levels, &mut |c, end| match c {
            'n' => found('\n', end),
            'r' => found('\r', end),
            't' => found('\t', end),
            'b' => found('\u{8}', end),
            'f' => found('\u{c}', end),
            'u' => match self.one(end, levels, |c| c == '{') {
                Some((_, end)) => self.numeric(Numeral { base: 16, closing: '}' }, end, levels, found),
                None => self.units(Partial { prefix: "\\u", before: None }, end, levels, found),
            },
            'U' => {
                if let Some((code, end)) = self.number(end, levels, 8)
                    && let Some(c) = char::from_u32(code)
                {
                    found(c, end);
                }
            }
            'x' => {
                if let Some((code @ 0x80.., end)) = self.number(end, levels, 2)
                    && let Some(c) = char::from_u32(code)
                {
                    found(c, end);
                }
                self.bytes(Partial { prefix: "\\x", before: &[] }, end, levels, found);
            }
            // Of letters and digits no escape stands for themselves.
            _ if c.is_ascii_punctuation() || c == ' ' => found(c, end),
            _ => {}
        });
    }

    /// The rest of a character that is written byte by byte, each after the prefix.
    fn bytes(&self, Partial { prefix, before }: Partial<'_, &[u8]>, at: usize, levels: u8, found: Found<'_>) {
        let Some((byte, end)) = self.number(at, levels, 2) else { return };
        let bytes: Vec<u8> = before.iter().copied().chain(u8::try_from(byte)).collect();
        match std::str::from_utf8(&bytes) {
            Ok(text) => text.chars().for_each(|c| found(c, end)),
            Err(error) if error.error_len().is_none() => {
                self.after(prefix, end, levels, &mut |end| {
                    self.bytes(Partial { prefix, before: &bytes }, end, levels, found);
                });
            }
            Err(_) => {}
        }
    }

    /// The rest of a character that is written in UTF-16, each unit after the prefix.
    fn units(
        &self,
        Partial { prefix, before }: Partial<'_, Option<u16>>,
        at: usize,
        levels: u8,
        found: Found<'_>,
    ) {
        let Some((unit, end)) = self.number(at, levels, 4) else { return };
        let units = before.into_iter().chain(u16::try_from(unit));
        match (char::decode_utf16(units).next(), before, u16::try_from(unit)) {
            (Some(Ok(c)), ..) => found(c, end),
            (_, None, Ok(unit)) => {
                let found = &mut |end| self.units(Partial { prefix, before: Some(unit) }, end, levels, found);
                self.after(prefix, end, levels, found);
            }
            _ => {}
        }
    }

    /// Where this text ends, in each way in which it is written here.
    fn after(&self, text: &str, at: usize, levels: u8, found: &mut dyn FnMut(usize)) {
        let Some(first) = text.chars().next() else { return found(at) };
        self.read(at, levels, &mut |c, end| {
            if c == first {
                self.after(&text[first.len_utf8()..], end, levels, found);
            }
        });
    }

    /// `quot;`, `#039;` or `#x27;`.
    fn entity(&self, at: usize, levels: u8, found: Found<'_>) {
        if let Some((_, end)) = self.one(at, levels, |c| c == '#') {
            return match self.one(end, levels, |c| matches!(c, 'x' | 'X')) {
                Some((_, end)) => self.numeric(Numeral { base: 16, closing: ';' }, end, levels, found),
                None => self.numeric(Numeral { base: 10, closing: ';' }, end, levels, found),
            };
        }
        if let Some((name, end)) = self.word(';', at, levels)
            && let Some((_, c)) = ENTITIES.iter().find(|(known, _)| *known == name)
        {
            found(*c, end);
        }
    }

    /// The number of a character in this base, with any zeros before it, and what ends it.
    fn numeric(&self, Numeral { base, closing }: Numeral, at: usize, levels: u8, found: Found<'_>) {
        if let Some((digits, end)) = self.word(closing, at, levels)
            && let Some(c) = u32::from_str_radix(&digits, base).ok().and_then(char::from_u32)
        {
            found(c, end);
        }
    }

    /// Letters and digits up to what ends them, and where that ends.
    fn word(&self, closing: char, mut at: usize, levels: u8) -> Option<(String, usize)> {
        let mut word = String::new();
        loop {
            let (c, end) = self.one(at, levels, |c| c.is_ascii_alphanumeric() || c == closing)?;
            if c == closing {
                return Some((word, end));
            }
            if word.len() == LONGEST_ENTITY {
                return None;
            }
            word.push(c);
            at = end;
        }
    }
}

fn is_introducer(c: char) -> bool {
    u8::try_from(c).is_ok_and(|byte| INTRODUCERS.contains(&byte))
}
