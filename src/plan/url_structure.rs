//! Checks the positions of placeholders in a URL template, and normalises its text with the URL parser.
//!
//! The URL parser parses the template once, before the first row, with a harmless word in place of each
//! placeholder. The result is split at those words, so that the literal text is in its final form.

use http::Uri;
use url::Url;

use crate::plan::error::UrlFault;
use crate::plan::message_text::escaped;
use crate::plan::template::{ParsedPart, TemplatePart, TemplatePiece};

/// The longest request target: `http::Uri` takes no more (its `MAX_LEN`), and the transport needs one.
pub(super) const LONGEST_URL: usize = (u16::MAX - 1) as usize;

/// The part of the URL that a piece of the template belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum UrlPart {
    Authority,
    Path,
    Query,
    Fragment,
}

/// Checks that every placeholder is allowed at its position. Gives the pieces without the fragment, and the
/// text that may be shown.
pub(super) fn check_placeholders(
    pieces: Vec<TemplatePiece>,
) -> Result<(Vec<TemplatePiece>, String), UrlFault> {
    let scheme = match pieces.first() {
        Some(TemplatePiece::Text(text)) => scheme_length(text).ok_or(UrlFault::Scheme)?,
        Some(TemplatePiece::Column(_)) => return Err(UrlFault::ColumnInOrigin),
        Some(TemplatePiece::Secret { .. }) => return Err(UrlFault::SecretInOrigin),
        None => return Err(UrlFault::Scheme),
    };
    let mut check = PlaceholderCheck {
        part: UrlPart::Authority,
        pending: false,
        host: String::new(),
        path: String::new(),
    };
    let mut kept = Vec::with_capacity(pieces.len());
    let mut prefix = String::new();
    for piece in pieces {
        if let TemplatePiece::Text(text) = &piece {
            let skip = if kept.is_empty() { scheme } else { 0 };
            if kept.is_empty() {
                prefix.push_str(&text[..skip]);
            }
            let end = skip + check.text(&text[skip..])?;
            kept.push(TemplatePiece::Text(text[..end].into()));
        } else {
            check.placeholder(&piece)?;
            kept.push(piece);
        }
    }
    check.leave_authority()?;
    let shown = escaped(&format!("{prefix}{}{}", check.host, check.path));
    Ok((kept, shown))
}

/// The state of the check while it reads the template.
struct PlaceholderCheck {
    part: UrlPart,
    /// A secret is in the authority and no `@` has followed yet: it may be in the user-info or in the host.
    pending: bool,
    /// The authority after the last `@` so far.
    host: String,
    path: String,
}

impl PlaceholderCheck {
    /// Reads literal text. Gives the length of what precedes a fragment.
    fn text(&mut self, text: &str) -> Result<usize, UrlFault> {
        for (at, c) in text.char_indices() {
            if c == '\\' {
                return Err(UrlFault::Backslash);
            }
            let next = match (self.part, c) {
                (UrlPart::Fragment, _) | (_, '#') => UrlPart::Fragment,
                (UrlPart::Query, _) | (_, '?') => UrlPart::Query,
                (UrlPart::Path, _) | (_, '/') => UrlPart::Path,
                (UrlPart::Authority, _) => UrlPart::Authority,
            };
            if self.part == UrlPart::Authority && next != UrlPart::Authority {
                self.leave_authority()?;
            }
            let entered = self.part != UrlPart::Fragment && next == UrlPart::Fragment;
            self.part = next;
            match next {
                UrlPart::Authority if c == '@' => {
                    self.pending = false;
                    self.host.clear();
                }
                UrlPart::Authority => self.host.push(c),
                UrlPart::Path => self.path.push(c),
                UrlPart::Query | UrlPart::Fragment => {}
            }
            if entered {
                // No placeholder may follow, and the rest is dropped.
                return Ok(at);
            }
        }
        Ok(if self.part == UrlPart::Fragment { 0 } else { text.len() })
    }

    fn placeholder(&mut self, piece: &TemplatePiece) -> Result<(), UrlFault> {
        match (self.part, piece) {
            (UrlPart::Fragment, _) => return Err(UrlFault::PlaceholderInFragment),
            (UrlPart::Authority, TemplatePiece::Secret { .. }) => self.pending = true,
            (UrlPart::Authority, _) => return Err(UrlFault::ColumnInOrigin),
            (UrlPart::Path, TemplatePiece::Column(name)) => self.path.extend(["{", name, "}"]),
            (UrlPart::Path, TemplatePiece::Secret { name, .. }) => self.path.extend(["${", name, "}"]),
            (UrlPart::Path | UrlPart::Query, _) => {}
        }
        Ok(())
    }

    fn leave_authority(&self) -> Result<(), UrlFault> {
        if self.part != UrlPart::Authority {
            return Ok(());
        }
        if self.pending {
            return Err(UrlFault::SecretInOrigin);
        }
        // The parser would read `http:///host/` as `http://host/`.
        if self.host.is_empty() {
            return Err(UrlFault::Parse(url::ParseError::EmptyHost));
        }
        Ok(())
    }
}

/// The length of `http://` or `https://`, in any case.
fn scheme_length(text: &str) -> Option<usize> {
    ["https://", "http://"]
        .into_iter()
        .find(|scheme| text.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme)))
        .map(str::len)
}

/// Passes the template through the URL parser and splits the result at the placeholders: all text is then in
/// its final form.
pub(super) fn normalise(pieces: Vec<TemplatePiece>, written: &str) -> Result<Vec<TemplatePiece>, UrlFault> {
    // A word that the template does not contain, of characters that no normalisation changes.
    let mut stem = String::from("q0x");
    for n in 1.. {
        if !written.contains(&stem) {
            break;
        }
        stem = format!("q{n}x");
    }
    let word = |index: usize| format!("{stem}{index}z");
    let mut text = String::new();
    for (index, piece) in pieces.iter().enumerate() {
        match piece {
            TemplatePiece::Text(literal) => text.push_str(literal),
            _ => text.push_str(&word(index)),
        }
    }
    let url = Url::parse(&text).map_err(UrlFault::Parse)?;
    let mut rest = url.as_str();
    let mut out = Vec::with_capacity(pieces.len());
    for (index, piece) in pieces.into_iter().enumerate() {
        if matches!(piece, TemplatePiece::Text(_)) {
            continue;
        }
        let (before, after) = rest.split_once(word(index).as_str()).ok_or(UrlFault::Dots)?;
        if before.contains(&stem) {
            return Err(UrlFault::Dots);
        }
        if ends_in_cut_escape(before) {
            return Err(UrlFault::CutEscape);
        }
        out.push(TemplatePiece::Text(before.into()));
        out.push(piece);
        rest = after;
    }
    if rest.contains(&stem) {
        return Err(UrlFault::Dots);
    }
    out.push(TemplatePiece::Text(rest.into()));
    Ok(out)
}

/// Whether what follows would be read as the rest of a `%XX`.
fn ends_in_cut_escape(text: &str) -> bool {
    let bytes = text.as_bytes();
    let end = bytes.len();
    bytes.last() == Some(&b'%') || end >= 2 && bytes[end - 2] == b'%' && bytes[end - 1].is_ascii_hexdigit()
}

/// The template with a letter in place of each column. It must be a URL that the parser does not change (it
/// contains the secrets now), and a valid request target.
pub(super) fn sample(parts: &[ParsedPart]) -> Result<Url, UrlFault> {
    let text: String = parts
        .iter()
        .map(|part| match part {
            TemplatePart::Text(text) => text,
            TemplatePart::Column(_) => "x",
        })
        .collect();
    if text.len() > LONGEST_URL {
        return Err(UrlFault::TooLong);
    }
    let url = Url::parse(&text).map_err(UrlFault::Parse)?;
    if url.as_str() != text {
        return Err(UrlFault::Dots);
    }
    if text.parse::<Uri>().is_err() {
        return Err(UrlFault::Target);
    }
    Ok(url)
}
