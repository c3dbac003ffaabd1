//! User-info of an address (`user:password@`): its position, and its encoding.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};

use crate::plan::encode::percent_encode;
use crate::plan::error::{PlanError, TemplateKind};
use crate::plan::template::{EnvLookup, TemplatePiece, parse_variables, printable};

/// The standard variables that name a proxy, as reqwest reads them.
pub(super) const PROXY_VARIABLES: [&str; 6] =
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// A name and a password, as a server or a proxy decodes them.
pub(super) struct UserInfo {
    pub(super) name: String,
    pub(super) password: String,
    /// As written in the address.
    written: String,
}

impl UserInfo {
    /// Reads what precedes the `@`, if there is one.
    pub(super) fn of(address: &str) -> Option<Self> {
        let (_, rest) = split_scheme(address);
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (written, _) = rest[..end].rsplit_once('@')?;
        let (name, password) = written.split_once(':').unwrap_or((written, ""));
        let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
        Some(Self { name: decoded(name), password: decoded(password), written: written.into() })
    }

    /// The password, decoded and as written: of an address whose user is no secret.
    pub(super) fn password_alone(&self) -> [SecretString; 2] {
        let (_, written) = self.written.split_once(':').unwrap_or((&self.written, ""));
        [&self.password, written].map(SecretString::from)
    }

    /// All that must be masked: both parts, decoded and as written, and their form in Basic authentication
    /// (RFC 7617).
    pub(super) fn secrets(&self) -> Vec<SecretString> {
        let written = self.written.split_once(':').unwrap_or((&self.written, ""));
        let plain = [&self.name, &self.password, written.0, written.1].map(SecretString::from);
        plain.into_iter().chain(in_base64(&self.name, &self.password)).collect()
    }
}

/// The name and password in base64 as in Basic authentication, without padding; and in the URL-safe alphabet, if that
/// differs.
pub(super) fn in_base64(name: &str, password: &str) -> impl Iterator<Item = SecretString> {
    let credentials = format!("{name}:{password}");
    let basic = STANDARD_NO_PAD.encode(&credentials);
    let of_url = Some(URL_SAFE_NO_PAD.encode(&credentials)).filter(|of_url| *of_url != basic);
    [basic].into_iter().chain(of_url).map(Into::into)
}

/// The name and password in a value of `Authorization`, if it is Basic, and both in base64.
pub(super) fn of_basic(value: &str) -> Vec<SecretString> {
    let read = || {
        let (scheme, credentials) = value.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = STANDARD_NO_PAD.decode(credentials.trim().trim_end_matches('=')).ok()?;
        let decoded = String::from_utf8(decoded).ok()?;
        let (name, password) = decoded.split_once(':')?;
        Some([name.into(), password.into()].into_iter().chain(in_base64(name, password)).collect())
    };
    read().unwrap_or_default()
}

/// The address of `--proxy` or `--rate-store` with its variables expanded: percent-encoded in the user-info, unchanged
/// elsewhere, so that a variable may be a host or the whole address.
pub(super) fn expanded_address(
    text: &str,
    kind: &TemplateKind,
    env: &EnvLookup<'_>,
) -> Result<SecretString, PlanError> {
    let pieces = split_credentials(parse_variables(text.trim(), env, kind)?);
    let user_info = LiteralUserInfo::find(&pieces);
    let mut address = String::new();
    for (index, piece) in pieces.iter().enumerate() {
        match piece {
            TemplatePiece::Text(text) => address.push_str(text),
            TemplatePiece::Secret { name, value } => {
                let value = printable(name, value, kind)?;
                if index < user_info.end {
                    // Cannot fail: control characters were rejected above.
                    let _ = percent_encode(&mut address, value);
                } else {
                    address.push_str(value);
                }
            }
            // Only variables were parsed.
            TemplatePiece::Column(_) => {}
        }
    }
    let (_, rest) = split_scheme(&address);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    if rest[end..].contains('@') {
        return Err(PlanError::AddressUserInfo(kind.clone()));
    }
    Ok(address.into())
}

/// The literal text of the user-info.
struct LiteralUserInfo {
    /// The index of the piece with its `@`; 0 if there is none, or only text precedes it.
    end: usize,
    has_colon: bool,
}

impl LiteralUserInfo {
    fn find(pieces: &[TemplatePiece]) -> Self {
        let mut found = Self { end: 0, has_colon: false };
        let mut has_colon = false;
        for (index, piece) in pieces.iter().enumerate() {
            let TemplatePiece::Text(text) = piece else { continue };
            let (_, rest) = if index == 0 { split_scheme(text) } else { ("", text.as_str()) };
            for c in rest.chars() {
                match c {
                    '/' | '?' | '#' => return found,
                    ':' => has_colon = true,
                    '@' => found = Self { end: index, has_colon },
                    _ => {}
                }
            }
        }
        found
    }
}

/// Splits a variable that contains name and password, as in `https://${CREDENTIALS}@…`. A name has no colon
/// (RFC 7617), so the first one ends it.
pub(super) fn split_credentials(pieces: Vec<TemplatePiece>) -> Vec<TemplatePiece> {
    let user_info = LiteralUserInfo::find(&pieces);
    let mut is_whole = !user_info.has_colon;
    let mut out = Vec::with_capacity(pieces.len());
    for (index, piece) in pieces.into_iter().enumerate() {
        if let TemplatePiece::Secret { name, value } = &piece
            && let Some((user, password)) = value.expose_secret().split_once(':')
            && is_whole
            && index < user_info.end
        {
            is_whole = false;
            let part = |text: &str| TemplatePiece::Secret { name: name.clone(), value: text.into() };
            out.extend([part(user), TemplatePiece::Text(":".into()), part(password)]);
        } else {
            out.push(piece);
        }
    }
    out
}

/// `http://` and what follows it; an address may have no scheme.
fn split_scheme(address: &str) -> (&str, &str) {
    address.find("://").map_or(("", address), |at| address.split_at(at + 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        let value = match name {
            "USER" => "me",
            "PW" => "s3cr:et@%/x",
            "BOTH" => "me:s3cr:et",
            "HOST" => "proxy:3128",
            "ALL" => "http://me:p%40ss@proxy:3128",
            "LINE" => "canary\n",
            _ => return None,
        };
        Some(value.into())
    }

    fn address(text: &str) -> Result<String, PlanError> {
        expanded_address(text, &TemplateKind::Proxy, &env).map(|address| address.expose_secret().to_owned())
    }

    #[test]
    fn variables_are_encoded_in_the_user_info_and_unchanged_elsewhere() {
        for (text, expected) in [
            ("http://proxy:3128", "http://proxy:3128"),
            ("http://me:${PW}@proxy:3128", "http://me:s3cr%3Aet%40%25%2Fx@proxy:3128"),
            ("me:${PW}@proxy:3128", "me:s3cr%3Aet%40%25%2Fx@proxy:3128"),
            ("http://${USER}:${PW}@${HOST}/", "http://me:s3cr%3Aet%40%25%2Fx@proxy:3128/"),
            ("http://${BOTH}@proxy", "http://me:s3cr%3Aet@proxy"),
            ("http://x-${BOTH}-y@proxy", "http://x-me:s3cr%3Aet-y@proxy"),
            ("${ALL}", "http://me:p%40ss@proxy:3128"),
            ("http://a:b${{x}}@${HOST}", "http://a:b${x}@proxy:3128"),
            ("http://a:p@ss@proxy", "http://a:p@ss@proxy"),
        ] {
            assert_eq!(address(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn an_address_that_cannot_be_split_is_refused_and_not_shown() {
        for text in
            ["http://me:can/ary@proxy", "http://me:can#ary@proxy", "me:can?ary@proxy", "http://u:${LINE}@p"]
        {
            let error = address(text).unwrap_err();
            let said = format!("{error} {error:?} {:?}", error.hint());
            assert!(!said.contains("can") || said.contains("cannot"), "{said}");
            assert!(!said.contains("ary@") && error.exit().code() == 2, "{said}");
        }
    }

    #[test]
    fn user_info_is_decoded_as_a_proxy_decodes_it() {
        for (address, expected) in [
            ("http://me:p%40s%3As@h:1/", Some(("me", "p@s:s"))),
            ("me@h", Some(("me", ""))),
            ("socks5://a:b:c@h", Some(("a", "b:c"))),
            ("http://a:p@ss@h", Some(("a", "p@ss"))),
            ("http://h:1/@x", None),
            ("h:1", None),
        ] {
            let found = UserInfo::of(address).map(|it| (it.name, it.password));
            assert_eq!(found.as_ref().map(|(n, p)| (n.as_str(), p.as_str())), expected, "{address}");
        }
        let info = UserInfo::of("http://us:p%40ss@h").unwrap();
        let secrets = info.secrets();
        let texts: Vec<&str> = secrets.iter().map(ExposeSecret::expose_secret).collect();
        // base64 of `us:p@ss`, without the padding that not everybody writes
        assert_eq!(texts, ["us", "p@ss", "us", "p%40ss", "dXM6cEBzcw"]);
        // In the alphabet for URLs too.
        let secrets = UserInfo::of("http://a:%3E%3E%3E%3F%3F%3F@h").unwrap().secrets();
        let texts: Vec<&str> = secrets[4..].iter().map(ExposeSecret::expose_secret).collect();
        assert_eq!(texts, ["YTo+Pj4/Pz8", "YTo-Pj4_Pz8"]);
    }

    #[test]
    fn basic_credentials_are_read_and_others_are_left() {
        let read = |value| -> Vec<String> {
            of_basic(value).iter().map(|text| text.expose_secret().to_owned()).collect()
        };
        assert_eq!(read("Basic dXM6cEBzcw=="), ["us", "p@ss", "dXM6cEBzcw"]);
        assert_eq!(read(" basic  dXM6cEBzcw"), ["us", "p@ss", "dXM6cEBzcw"]);
        assert_eq!(read("Basic YTo+Pj4/Pz8="), ["a", ">>>???", "YTo+Pj4/Pz8", "YTo-Pj4_Pz8"]);
        for other in ["Bearer dXM6cEBzcw==", "Basic", "Basic !", "Basic dXM=", ""] {
            assert_eq!(read(other), Vec::<String>::new(), "{other}");
        }
    }
}
