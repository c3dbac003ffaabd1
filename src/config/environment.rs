//! The process environment, read once: nothing else in the program reads it. Tests build theirs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use crate::config::error::ConfigError;
use crate::config::foreign_names;
use crate::config::layers::Layer;
use crate::config::options::{self, Setting, Table, Takes};
use crate::config::origin::{Origin, Word};
use crate::config::setting::{NOT_UTF8, VARIABLE_PREFIX};
use crate::fetch::{PROXY_SCHEMES, is_proxy_of_environment, is_proxy_scheme};

/// The environment variables as they were at the start. `Debug` shows none of them.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// Takes the variables of this process.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place")]
    pub fn capture() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// The variable's value; `None` if it is not set, or not UTF-8. An empty value is a value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        self.0.get(&OsString::from(name))?.to_str().map(str::to_owned)
    }

    /// The variable as an absolute path; the folders of the XDG convention count only so.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.0.get(&OsString::from(name)).map(PathBuf::from).filter(|path| path.is_absolute())
    }

    /// The variables whose names begin with one of these, as far as they are UTF-8.
    #[cfg(feature = "cloud")]
    pub(crate) fn with_prefixes<'a>(
        &'a self,
        prefixes: &'a [&str],
    ) -> impl Iterator<Item = (String, String)> + 'a {
        let texts = self.0.iter().filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)));
        let wanted = texts.filter(|(name, _)| prefixes.iter().any(|prefix| name.starts_with(prefix)));
        wanted.map(|(name, value)| (name.to_owned(), value.to_owned()))
    }

    /// One setting, if its variable is set.
    pub(super) fn setting(&self, setting: &Setting) -> Option<OsString> {
        self.0.get(&OsString::from(setting.variable())).filter(|value| !value.is_empty()).cloned()
    }

    /// What the variables say about the settings. An empty variable is as if it were not set.
    pub(super) fn layer(&self) -> Result<Layer, ConfigError> {
        let mut layer = Layer::new();
        for setting in options::all() {
            let variable = setting.variable();
            let Some(value) = self.0.get(&OsString::from(&variable)).filter(|value| !value.is_empty()) else {
                continue;
            };
            let word = Word { text: value.clone(), origin: Origin::Environment(variable) };
            let words = if let Takes::List(_) = setting.takes { lines(&word)? } else { vec![word] };
            if !words.is_empty() {
                layer.insert(setting.name, words);
            }
        }
        Ok(layer)
    }

    /// A sentence for each proxy variable that seems to name a proxy and is not used. Its value is not shown: it may hold
    /// a password.
    ///
    /// This follows how reqwest reads the variables: of two spellings the first one that is set, even if it is empty; none
    /// in a CGI program; and a value that it cannot parse it ignores without an error.
    pub(super) fn unused_proxies(&self) -> Vec<String> {
        const PAIRS: [[&str; 2]; 3] =
            [["HTTP_PROXY", "http_proxy"], ["HTTPS_PROXY", "https_proxy"], ["ALL_PROXY", "all_proxy"]];
        let is_cgi = self.0.contains_key(&OsString::from("REQUEST_METHOD"));
        let mut unused = Vec::new();
        for names in PAIRS {
            // The spelling that is read in place of the other, and whether its proxy is used.
            let mut first: Option<(&str, bool)> = None;
            for name in names {
                let Some(value) = self.0.get(&OsString::from(name)) else { continue };
                let why = match (value.to_str(), first) {
                    (_, Some((_, true))) | (Some(""), _) => None,
                    _ if is_cgi => Some("REQUEST_METHOD is set, as in a CGI program".into()),
                    (_, Some((before, false))) => Some(format!("{before} is read in its place")),
                    (None, None) => Some("its value is not valid UTF-8".into()),
                    (Some(value), None) => (!is_proxy_of_environment(value)).then(|| why_unusable(value)),
                };
                if first.is_none()
                    && let Some(value) = value.to_str()
                {
                    first = Some((name, !value.is_empty() && why.is_none()));
                }
                unused.extend(why.map(|why| format!("{name} is not used, requests go past it: {why}")));
            }
        }
        unused
    }

    /// A sentence for each variable that was probably meant as a setting, but is none.
    pub(super) fn misspelt(&self) -> Vec<String> {
        let names = || options::all().map(|setting| setting.name);
        let misspelt = |variable: &OsString| {
            let variable = variable.to_str()?;
            let name = variable.strip_prefix(VARIABLE_PREFIX)?.to_ascii_lowercase().replace('_', "-");
            if names().any(|known| known == name) {
                return None;
            }
            if [options::CONFIG, options::VERBOSE, options::QUIET].contains(&name.as_str()) {
                return Some(format!("{variable} is not read: --{name} is an option only"));
            }
            // Only names that nobody gives to a variable of their own, as they may to SKUFETCH_TOKEN.
            let foreign = foreign_names::meant(&name).filter(|(setting, _)| setting.table == Table::Pace);
            let meant = match foreign {
                Some((setting, _)) => setting,
                None => options::find(options::nearest(&name, names())?)?,
            };
            Some(format!("{variable} is not read: no setting has this name; {} has", meant.variable()))
        };
        self.0.keys().filter_map(misspelt).collect()
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment({} variables)", self.0.len())
    }
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// Why reqwest cannot use this value of a proxy variable.
fn why_unusable(value: &str) -> String {
    let trimmed = value.trim();
    if !is_proxy_scheme(trimmed) {
        return format!("its scheme is none of {}", PROXY_SCHEMES.join(", "));
    }
    if trimmed != value && is_proxy_of_environment(trimmed) {
        return "there is white space before or after the address".into();
    }
    "its value is not an address such as http://host:3128 or http://user:password@host:3128, with the special characters \
     of user and password percent-encoded"
        .into()
}

/// A list in a variable: one text a line.
fn lines(word: &Word) -> Result<Vec<Word>, ConfigError> {
    let text = word
        .text
        .to_str()
        .ok_or_else(|| ConfigError::Value { origin: word.origin.clone(), why: NOT_UTF8.into() })?;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    Ok(lines.map(|line| Word { text: line.into(), origin: word.origin.clone() }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_is_as_if_it_were_not_set() {
        let env: Environment = [("SKUFETCH_RATE", ""), ("SKUFETCH_HEADER", "\n\n")].into_iter().collect();
        assert!(env.layer().unwrap().is_empty());
    }

    #[test]
    fn headers_are_one_to_a_line() {
        let env: Environment = [("SKUFETCH_HEADER", "A: 1\r\n\nB: 2\n")].into_iter().collect();
        let layer = env.layer().unwrap();
        let texts: Vec<_> = layer["header"].iter().map(|word| word.text.to_str().unwrap()).collect();
        assert_eq!(texts, ["A: 1", "B: 2"]);
    }

    #[test]
    fn a_misspelt_variable_is_warned_about_and_a_foreign_one_is_ignored() {
        let env: Environment = [
            ("SKUFETCH_RAET", "5/s"),
            ("SKUFETCH_CONFIG", "x"),
            ("SKUFETCH_SESSION_ID", "x"),
            ("SKUFETCH_VERSION", "x"),
            ("SKUFETCH_TOKEN", "x"),
            ("SKUFETCH_WORKERS", "x"),
            ("RATE", "x"),
        ]
        .into_iter()
        .collect();
        let misspelt = env.misspelt();
        assert_eq!(misspelt.len(), 3, "{misspelt:?}");
        assert!(misspelt[0].contains("SKUFETCH_CONFIG"));
        assert_eq!(misspelt[1], "SKUFETCH_RAET is not read: no setting has this name; SKUFETCH_RATE has");
        assert!(misspelt[2].ends_with("SKUFETCH_CONCURRENCY has"), "{misspelt:?}");
    }

    #[test]
    fn a_proxy_of_a_kind_that_is_not_spoken_is_pointed_out_without_its_password() {
        let env: Environment = [
            ("HTTP_PROXY", "htp://me:canary@proxy:3128"),
            ("https_proxy", "socks5h://proxy:1080"),
            ("ALL_PROXY", "proxy:3128"),
            ("all_proxy", ""),
        ]
        .into_iter()
        .collect();
        let unused = env.unused_proxies();
        assert_eq!(unused.len(), 1, "{unused:?}");
        assert!(
            unused[0].starts_with("HTTP_PROXY is not used, ") && !unused[0].contains("canary"),
            "{unused:?}"
        );
    }

    fn unused(variables: &[(&str, &str)]) -> Vec<String> {
        variables.iter().copied().collect::<Environment>().unused_proxies()
    }

    #[test]
    fn every_proxy_that_cannot_be_read_is_pointed_out_and_not_shown() {
        for value in [
            "http://can ary:3128",
            "http://me:can ary@proxy:3128",
            "http://me:can^ary@proxy:3128",
            "http://me:can\"ary@proxy:3128",
            "http://me:can<ary@proxy:3128",
            "http://me:can|ary@proxy:3128",
            "http://me:can\\ary@proxy:3128",
            "http://me:can[ary@proxy:3128",
            "http://me:can]ary@proxy:3128",
            "http://",
            "http:127.0.0.1:1",
            "http//canary:3128",
            "http://[::1:3128",
            "http://${CANARY}:3128",
            "${CANARY}",
            " http://canary:3128",
            "http://canary:3128 ",
            "http://canary:3128\n",
            "SOCKS5://canary:1080",
            " ",
        ] {
            for name in ["http_proxy", "HTTPS_PROXY", "all_proxy"] {
                let said = unused(&[(name, value)]);
                assert_eq!(said.len(), 1, "{value}");
                let expected = format!("{name} is not used, requests go past it: ");
                assert!(said[0].starts_with(&expected), "{}", said[0]);
                assert!(!said[0].to_lowercase().contains("ary"), "{}", said[0]);
            }
        }
        for value in [
            "",
            "proxy",
            "proxy:3128",
            "http://proxy",
            "HTTP://proxy:3128/",
            "https://me:p%20w@proxy:3128",
            "http://[::1]:3128",
            "socks4a://proxy:1080",
        ] {
            assert_eq!(unused(&[("http_proxy", value)]), Vec::<String>::new(), "{value}");
        }
    }

    #[test]
    fn of_two_spellings_of_a_proxy_variable_the_first_is_read() {
        const GOOD: &str = "http://proxy:3128";
        for (first, second, expected) in [
            (GOOD, GOOD, None),
            (GOOD, "htp://x", None),
            ("", GOOD, Some("http_proxy is not used, requests go past it: HTTP_PROXY is read in its place")),
            ("", "", None),
        ] {
            let said = unused(&[("HTTP_PROXY", first), ("http_proxy", second)]);
            assert_eq!(said.first().map(String::as_str), expected, "{first:?} {second:?}");
        }
        assert_eq!(unused(&[("HTTP_PROXY", "htp://x"), ("http_proxy", GOOD)]).len(), 2);
        let said = unused(&[("REQUEST_METHOD", "GET"), ("ALL_PROXY", GOOD), ("HTTP_PROXY", "")]);
        assert_eq!(
            said,
            ["ALL_PROXY is not used, requests go past it: REQUEST_METHOD is set, as in a CGI program"]
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_proxy_variable_that_is_not_utf_8_is_passed_over_for_the_other_spelling() {
        use std::os::unix::ffi::OsStringExt;
        let odd = OsString::from_vec(b"http://\xff:1".to_vec());
        let env: Environment = [(OsString::from("HTTP_PROXY"), odd)].into_iter().collect();
        let said = env.unused_proxies();
        assert_eq!(said, ["HTTP_PROXY is not used, requests go past it: its value is not valid UTF-8"]);
    }

    #[test]
    fn the_environment_shows_no_value() {
        let env: Environment = [("TOKEN", "canary")].into_iter().collect();
        assert!(!format!("{env:?}").contains("canary"));
        assert_eq!(env.get("TOKEN").as_deref(), Some("canary"));
        assert_eq!(env.get("OTHER"), None);
    }
}
