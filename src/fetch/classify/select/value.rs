//! JSON bytes to jq values and back.
//!
//! jaq's own reader and writer do not suffice for three reasons: the digits of numbers must survive (`-0`, and whole
//! numbers so long that converting them to binary takes minutes), a value that JSON cannot hold must be an error, and
//! neither may recurse deeper than [`MAX_DEPTH`].

use bytes::Bytes;
use jaq_json::{Map, Num, Rc, Val};

use super::SelectError;
use crate::json::{MAX_DEPTH, compact, escape_into};

/// Whole numbers with more digits stay text, as decimal numbers do. No double has more than 309.
const LONG_NUMBER: usize = 400;

/// Below this (2⁵³), a whole float prints exactly as a whole number, as in jq.
const WHOLE: f64 = 9_007_199_254_740_992.0;

/// Reads one value of checked, compact JSON. `None` where it is neither.
pub(super) fn read(json: &Bytes) -> Option<Val> {
    let mut reader = Reader { json, at: 0 };
    let value = reader.value(0)?;
    (reader.at == json.len()).then_some(value)
}

struct Reader<'a> {
    json: &'a Bytes,
    at: usize,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Option<Val> {
        match *self.json.get(self.at)? {
            b'"' => self.string(),
            b'[' if depth < MAX_DEPTH => self.array(depth),
            b'{' if depth < MAX_DEPTH => self.object(depth),
            b't' => self.word("true", Val::Bool(true)),
            b'f' => self.word("false", Val::Bool(false)),
            b'n' => self.word("null", Val::Null),
            _ => self.number(),
        }
    }

    fn array(&mut self, depth: usize) -> Option<Val> {
        let mut elements = Vec::new();
        self.at += 1;
        while !self.step(b']') {
            if !elements.is_empty() && !self.step(b',') {
                return None;
            }
            elements.push(self.value(depth + 1)?);
        }
        Some(Val::Arr(Rc::new(elements)))
    }

    fn object(&mut self, depth: usize) -> Option<Val> {
        let mut members = Map::default();
        self.at += 1;
        while !self.step(b'}') {
            if !members.is_empty() && !self.step(b',') {
                return None;
            }
            let name = self.string()?;
            if !self.step(b':') {
                return None;
            }
            // Of a repeated name the last value counts, as in jq.
            members.insert(name, self.value(depth + 1)?);
        }
        Some(Val::obj(members))
    }

    fn string(&mut self) -> Option<Val> {
        let opening = self.at;
        if !self.step(b'"') {
            return None;
        }
        let mut escaped = false;
        loop {
            let rest = self.json.get(self.at..)?;
            self.at += memchr::memchr2(b'"', b'\\', rest)?;
            if self.step(b'"') {
                break;
            }
            escaped = true;
            self.at += 2;
        }
        let text = if escaped {
            Bytes::from(serde_json::from_slice::<String>(&self.json[opening..self.at]).ok()?)
        } else {
            self.json.slice(opening + 1..self.at - 1)
        };
        Some(Val::utf8_str(text))
    }

    fn number(&mut self) -> Option<Val> {
        let start = self.at;
        let part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
        self.at += self.json[start..].iter().take_while(|byte| part(byte)).count();
        let text = std::str::from_utf8(&self.json[start..self.at]).ok().filter(|text| !text.is_empty())?;
        let whole = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        let number = if whole && text != "-0" && text.len() <= LONG_NUMBER {
            Num::from_str_radix(text, 10)?
        } else {
            Num::Dec(Rc::new(text.to_owned()))
        };
        Some(Val::Num(number))
    }

    fn word(&mut self, word: &str, value: Val) -> Option<Val> {
        let found = self.json.get(self.at..)?.starts_with(word.as_bytes());
        self.at += word.len();
        found.then_some(value)
    }

    fn step(&mut self, byte: u8) -> bool {
        let found = self.json.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }
}

/// Appends a value as compact JSON.
pub(super) fn write(value: &Val, out: &mut Vec<u8>) -> Result<(), SelectError> {
    write_at(value, 0, out)
}

fn write_at(value: &Val, depth: usize, out: &mut Vec<u8>) -> Result<(), SelectError> {
    match value {
        Val::Null => out.extend_from_slice(b"null"),
        Val::Bool(true) => out.extend_from_slice(b"true"),
        Val::Bool(false) => out.extend_from_slice(b"false"),
        Val::Num(number) => write_number(number, out)?,
        Val::TStr(text) => write_text(text, out)?,
        Val::BStr(_) => return Err(SelectError::NotJson("a string of bytes")),
        Val::Arr(_) | Val::Obj(_) if depth == MAX_DEPTH => {
            return Err(SelectError::NotJson("arrays and objects over 100 levels deep"));
        }
        Val::Arr(elements) => {
            out.push(b'[');
            for (n, element) in elements.iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                write_at(element, depth + 1, out)?;
            }
            out.push(b']');
        }
        Val::Obj(members) => {
            out.push(b'{');
            for (n, (name, member)) in members.iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                let Val::TStr(name) = name else {
                    return Err(SelectError::NotJson("an object whose names are not all text"));
                };
                write_text(name, out)?;
                out.push(b':');
                write_at(member, depth + 1, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn write_text(text: &[u8], out: &mut Vec<u8>) -> Result<(), SelectError> {
    let text = std::str::from_utf8(text).map_err(|_| SelectError::NotJson("text that is not UTF-8"))?;
    escape_into(text, out);
    Ok(())
}

fn write_number(number: &Num, out: &mut Vec<u8>) -> Result<(), SelectError> {
    match number {
        Num::Int(_) | Num::BigInt(_) => out.extend_from_slice(number.to_string().as_bytes()),
        Num::Float(float) => write_float(*float, out)?,
        // A number of the body is as the server wrote it; one of the filter's text may be `.5` or `1.`.
        Num::Dec(text) => {
            if compact(text.as_bytes(), out).is_err() {
                write_float(text.parse().unwrap_or(f64::NAN), out)?;
            }
        }
    }
    Ok(())
}

fn write_float(float: f64, out: &mut Vec<u8>) -> Result<(), SelectError> {
    if !float.is_finite() {
        return Err(SelectError::NotJson("a number that is infinite or none at all"));
    }
    let text = if float.fract() == 0.0 && float.abs() < WHOLE {
        format!("{float:.0}")
    } else {
        Num::Float(float).to_string()
    };
    out.extend_from_slice(text.as_bytes());
    Ok(())
}
