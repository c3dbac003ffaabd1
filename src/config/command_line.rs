//! The command line as it may be shown and, but for secrets, pasted: the options as they were given,
//! each as one word of a shell.
//!
//! What may hold a secret is replaced by `...`: user-info and query values of addresses, values of
//! headers, bodies. A value that is a reference alone, `{column}` or `${ENV_VAR}`, is none.

use crate::config::cli::CommandLine;
use crate::config::options::{self, Setting, Takes};
use crate::config::setting::Secrecy;
use crate::model::display_safe;

/// Longer words are no longer read.
const WORD_CHARS: usize = 300;
/// Stands for what is not shown.
pub(super) const HIDDEN: &str = "...";
/// What belongs to the measurement alone, or is replaced by what it found.
static LEFT_OUT: [&Setting; 7] = [
    // It comes last.
    &options::OUTPUT.setting,
    &options::LIMIT.setting,
    &options::MAX_TIME.setting,
    &options::CONCURRENCY.setting,
    &options::PROGRESS.setting,
    &options::REPORT.setting,
    &options::LOG_FORMAT.setting,
];

/// A command that can be typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypedCommand {
    /// Its words, as a shell takes them.
    pub text: String,
    /// The same for one row, with the answer on standard output.
    pub one_row: String,
    /// Something in it is replaced by `...`, and has to be typed again.
    pub hides: bool,
}

/// `skufetch INPUT` with the options of this command line that a fetch should have, too, and an output
/// unless `has_output` says that one is set.
pub(super) fn command(line: &CommandLine, has_output: bool) -> TypedCommand {
    let mut words = vec!["skufetch".to_owned(), quoted(&line.input.to_string_lossy())];
    if let Some(config) = &line.config {
        words.extend([format!("--{}", options::CONFIG), quoted(&config.to_string_lossy())]);
    }
    let mut hides = false;
    for setting in options::all().filter(|setting| !LEFT_OUT.contains(setting)) {
        for word in line.layer.get(setting.name).into_iter().flatten() {
            words.push(setting.to_string());
            if setting.takes != Takes::Flag {
                let written = word.text.to_string_lossy();
                let shown = redacted(setting.secrecy, &written);
                hides |= setting.secrecy != Secrecy::Open && shown.contains(HIDDEN);
                words.push(quoted(&shown));
            }
        }
    }
    let one_row = [words.join(" "), one_row_to_standard_output()].join(" ");
    let output = line.layer.get(options::OUTPUT.name).into_iter().flatten().next();
    match output {
        Some(file) => words.extend([options::OUTPUT.to_string(), quoted(&file.text.to_string_lossy())]),
        None if has_output => {}
        None => words.extend([options::OUTPUT.to_string(), "out.json".into()]),
    }
    TypedCommand { text: words.join(" "), one_row, hides }
}

fn one_row_to_standard_output() -> String {
    format!("{} 1 {} -", options::LIMIT, options::OUTPUT)
}

fn redacted(secrecy: Secrecy, text: &str) -> String {
    match secrecy {
        Secrecy::Address => address(text),
        Secrecy::Proxy => proxy(text),
        Secrecy::Header => match text.split_once(':') {
            Some((name, _)) => format!("{}: {HIDDEN}", name.trim()),
            None => HIDDEN.into(),
        },
        Secrecy::Field => match text.split_once('=') {
            Some((_, value)) if is_reference(value) => text.to_owned(),
            Some((name, _)) => format!("{}={HIDDEN}", name.trim()),
            None => HIDDEN.into(),
        },
        Secrecy::Whole if is_reference(text) => text.to_owned(),
        Secrecy::Whole => HIDDEN.into(),
        Secrecy::Body if !text.starts_with('@') => HIDDEN.into(),
        Secrecy::Body | Secrecy::Open => text.to_owned(),
    }
}

/// An address without what may be secret in it.
pub(super) fn address(text: &str) -> String {
    let (text, fragment) = text.split_once('#').map_or((text, ""), |(text, _)| (text, ""));
    let (base, query) = text.split_once('?').map_or((text, None), |(base, query)| (base, Some(query)));
    let (scheme, rest) = base.split_once("://").map_or(("", base), |(scheme, rest)| (scheme, rest));
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if !is_host(authority.rsplit_once('@').map_or(authority, |(_, host)| host)) {
        return HIDDEN.into();
    }
    let authority = match authority.rsplit_once('@') {
        Some((user, host)) if is_reference(user) => format!("{user}@{host}"),
        Some((_, host)) => format!("{HIDDEN}@{host}"),
        None => authority.to_owned(),
    };
    let scheme = if scheme.is_empty() { String::new() } else { format!("{scheme}://") };
    let query = query.map_or_else(String::new, self::query);
    format!("{scheme}{authority}{path}{query}{fragment}")
}

/// The address of a proxy without what may be secret in it. It has no path: all before the last `@` is user-info.
fn proxy(text: &str) -> String {
    let (scheme, rest) = text.find("://").map_or(("", text), |at| text.split_at(at + 3));
    let (user, host) = rest.rsplit_once('@').map_or((None, rest), |(user, host)| (Some(user), host));
    if is_reference(text) {
        return text.to_owned();
    }
    if !is_proxy_host(host.trim_end_matches('/')) {
        return HIDDEN.into();
    }
    match user {
        None => text.to_owned(),
        Some(user) if is_reference(user) => text.to_owned(),
        Some(_) => format!("{scheme}{HIDDEN}@{host}"),
    }
}

/// Whether this is a host, with a port or without, and not half a password: what is no number after its colon is
/// no port.
pub(super) fn is_host(text: &str) -> bool {
    let port = match text.strip_prefix('[').and_then(|address| address.split_once(']')) {
        Some((_, port)) => port.strip_prefix(':').unwrap_or(port),
        None => text.split_once(':').map_or("", |(_, port)| port),
    };
    port.bytes().all(|byte| byte.is_ascii_digit())
}

/// The same for a proxy, where a variable may be the port.
pub(super) fn is_proxy_host(text: &str) -> bool {
    is_host(text) || text.split_once(':').is_some_and(|(_, port)| is_reference(port))
}

/// A query, with its `?`, whose values are shown only where they are references.
pub(super) fn query(text: &str) -> String {
    let pair = |pair: &str| match pair.split_once('=') {
        // The end of a secret in base64 looks like a name without a value.
        Some((_, value)) if value.trim_matches('=').is_empty() => HIDDEN.into(),
        Some((_, value)) if is_reference(value) => pair.to_owned(),
        Some((name, _)) => format!("{name}={HIDDEN}"),
        None if is_reference(pair) => pair.to_owned(),
        None => HIDDEN.into(),
    };
    format!("?{}", text.split('&').map(pair).collect::<Vec<_>>().join("&"))
}

/// `{column}`, `${ENV_VAR}`, or several of them, and nothing else but what stands between.
fn is_reference(value: &str) -> bool {
    let mut rest = value;
    while !rest.is_empty() {
        let inner = rest.strip_prefix('$').unwrap_or(rest);
        let Some(end) = inner.strip_prefix('{').and_then(|inner| inner.find('}')) else { return false };
        rest = inner[end + 2..].trim_start_matches(':');
    }
    true
}

/// One word of a shell; what could act on a terminal is escaped.
fn quoted(word: &str) -> String {
    let word = display_safe(word, WORD_CHARS);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::config::cli::{Asked, parse};

    fn typed(args: &[&str]) -> TypedCommand {
        match parse(["skufetch", "tune"].iter().chain(args).map(OsString::from)) {
            Ok(Asked::Tune(line)) => command(&line, line.layer.contains_key(options::OUTPUT.name)),
            _ => panic!("{args:?}"),
        }
    }

    #[test]
    fn it_is_the_line_that_was_typed_without_what_belongs_to_the_measurement() {
        assert_eq!(
            typed(&["my products.csv", "-u", "https://a/p/{sku}", "--limit", "9", "-c", "auto:9", "-q"]).text,
            "skufetch 'my products.csv' --url 'https://a/p/{sku}' --output out.json"
        );
        assert_eq!(
            typed(&["in.csv", "-u", "https://a/p/{sku}", "-o", "my out.json", "--limit", "9"]).one_row,
            "skufetch in.csv --url 'https://a/p/{sku}' --limit 1 --output -"
        );
        assert_eq!(
            typed(&["in.csv", "--demo", "-o", "a.json", "--merge", "-r", "5/s", "--config", "c.toml"]).text,
            "skufetch in.csv --config c.toml --rate 5/s --merge --demo --output a.json"
        );
        assert_eq!(typed(&["it's.csv", "--demo"]).text, r"skufetch 'it'\''s.csv' --demo --output out.json");
    }

    #[test]
    fn no_secret_is_shown_and_references_are() {
        let command = typed(&[
            "in.csv",
            "-u",
            "https://user:canary@a/p/{sku}?lang={lang}&key=canary&token=${TOKEN}&canary&canary==#canary",
            "-H",
            "X-Key: canary",
            "-H",
            "canary",
            "--body",
            "{\"a\":\"canary\"}",
            "--proxy",
            "http://canary:canary@p:1",
        ]);
        let line = &command.text;
        assert!(!line.contains("canary"), "{line}");
        assert!(command.hides);
        assert!(
            line.contains("'https://...@a/p/{sku}?lang={lang}&key=...&token=${TOKEN}&...&...'"),
            "{line}"
        );
        assert!(line.contains("--header 'X-Key: ...'"), "{line}");
        for password in ["can/ary", "can?ary", "can#ary", "1/canary", "can@ary", "${A}/canary"] {
            let line = typed(&["in.csv", "--demo", "--proxy", &format!("http://us:{password}@p:1")]).text;
            assert!(!line.contains("can") && line.contains("--proxy http://...@p:1 "), "{line}");
            let line = typed(&["in.csv", "--demo", "--proxy", &format!("us:{password}")]).text;
            assert!(!line.contains("can"), "{line}");
        }
        let open =
            typed(&["in.csv", "-u", "http://a/{sku}", "--body", "@q.json", "--proxy", "http://${A}:${B}@p"]);
        assert!(open.text.contains("--body @q.json --proxy 'http://${A}:${B}@p'"), "{}", open.text);
        assert!(!open.hides);
    }
}
