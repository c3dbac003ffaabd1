//! Every setting as a report may show it: its value, the place that set it, and no secret.
//!
//! Of an address its user-info is left out and of its query the values that are written out, of headers their
//! values, of a body all but the name of its file. `${NAME}` and `{column}` stand as they were written.

use crate::config::command_line;
use crate::config::layers::Layers;
use crate::config::options;
use crate::config::origin::{Origin, Word};
use crate::config::setting::Secrecy;
use crate::report::{SettingOrigin, ShownSetting};

/// Stands for what is not shown.
const NOT_SHOWN: &str = "(not shown)";

/// All of them, in the order of `--help`; those of the demo only where it is asked.
pub(super) fn settings(layers: &Layers, demo: bool) -> Vec<ShownSetting> {
    options::all()
        .filter(|setting| demo || !(**setting == *options::DEMO || options::OF_THE_DEMO.contains(setting)))
        .map(|setting| {
            let words = layers.words(setting);
            let default = Some(setting.default).filter(|text| !text.is_empty()).map(str::to_owned);
            ShownSetting {
                table: setting.table.name(),
                name: setting.name,
                value: if words.is_empty() { default } else { Some(value(setting.secrecy, words)) },
                set_by: match layers.origin(setting) {
                    Origin::Default => SettingOrigin::Default,
                    Origin::Option(_) => SettingOrigin::Option,
                    Origin::Environment(_) => SettingOrigin::Environment,
                    Origin::File { .. } => SettingOrigin::File,
                },
            }
        })
        .collect()
}

fn value(secrecy: Secrecy, words: &[Word]) -> String {
    let one = |word: &Word| {
        let text = word.text.to_string_lossy();
        match secrecy {
            Secrecy::Address => address(&text),
            Secrecy::Proxy => proxy(&text),
            Secrecy::Header => text.split_once(':').map_or(NOT_SHOWN, |(name, _)| name.trim()).to_owned(),
            Secrecy::Field => text.split_once('=').map_or(NOT_SHOWN, |(name, _)| name.trim()).to_owned(),
            Secrecy::Whole => NOT_SHOWN.to_owned(),
            Secrecy::Body if !text.starts_with('@') => NOT_SHOWN.to_owned(),
            Secrecy::Body | Secrecy::Open => text.into_owned(),
        }
    };
    words.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// An address without user-info. Where it is not certain what its user-info is, nothing of it is shown.
fn address(text: &str) -> String {
    let text = text.split('#').next().unwrap_or_default();
    let (text, query) = text.split_once('?').map_or((text, None), |(text, query)| (text, Some(query)));
    let Some((scheme, rest)) = text.split_once("://") else { return NOT_SHOWN.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if !command_line::is_host(host) {
        return NOT_SHOWN.to_owned();
    }
    format!("{scheme}://{host}{path}{}", query.map_or_else(String::new, command_line::query))
}

/// Scheme, host and port of a proxy. It has no path, so that whatever stands before the last `@` is user-info,
/// though a password may hold what ends it.
fn proxy(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return NOT_SHOWN.to_owned() };
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let end = host.find(['/', '?', '#']).unwrap_or(host.len());
    if command_line::is_proxy_host(&host[..end]) {
        format!("{scheme}://{}", &host[..end])
    } else {
        NOT_SHOWN.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::layers::Layer;

    fn layers(words: &[(&'static str, &[&str])]) -> Layers {
        let word = |text: &&str| Word { text: text.into(), origin: Origin::Option("x") };
        let layer: Layer =
            words.iter().map(|(name, texts)| (*name, texts.iter().map(word).collect())).collect();
        Layers::merge([layer])
    }

    #[test]
    fn every_setting_is_shown_once_with_its_origin_and_those_of_the_demo_only_in_one() {
        let layers = layers(&[("rate", &["5/s"])]);
        let shown = settings(&layers, false);
        let of = |name: &str| shown.iter().find(|setting| setting.name == name).unwrap();
        assert_eq!((of("rate").value.as_deref(), of("rate").set_by), (Some("5/s"), SettingOrigin::Option));
        assert_eq!((of("burst").value.as_deref(), of("burst").set_by), (Some("1"), SettingOrigin::Default));
        assert_eq!((of("url").value.as_deref(), of("url").table), (None, "request"));
        assert!(!shown.iter().any(|setting| setting.name.starts_with("demo")));
        assert_eq!(settings(&layers, true).len(), options::all().count());
    }

    #[test]
    fn of_a_password_that_was_not_encoded_nothing_is_shown_either() {
        for password in ["can/ary", "can?ary", "can#ary", "can@ary", "can:ary", "1/canary", "${X}/ary", "ary"]
        {
            let text = format!("http://us:{password}@proxy:3128");
            assert_eq!(proxy(&text), "http://proxy:3128", "{text}");
            // What parses as a port and a path is a port and a path.
            assert!(!address(&text).contains("ary") || password == "1/canary", "{text}: {}", address(&text));
        }
        assert_eq!(proxy("http://${HOST}:3128/"), "http://${HOST}:3128");
        assert_eq!(proxy("${PROXY}"), NOT_SHOWN);
        assert_eq!(proxy("http://[::1]:3128"), "http://[::1]:3128");
    }

    #[test]
    fn no_secret_is_shown() {
        let layers = layers(&[
            ("url", &["https://us:canary@api/p/{sku}/${T}?lang={lang}&key=canary&canary&canary==#canary"]),
            ("proxy", &["http://canary:canary@proxy:3128/", "canary"]),
            ("header", &["X-Key: canary", "canary"]),
            ("body", &["{\"t\":\"canary\"}"]),
        ]);
        let shown = settings(&layers, true);
        assert!(!shown.iter().any(|it| it.value.as_ref().is_some_and(|value| value.contains("canary"))));
        assert!(!format!("{shown:?}").contains("api/p"), "values stand in no debug text");
        let of = |name: &str| shown.iter().find(|s| s.name == name).unwrap().value.clone().unwrap();
        assert_eq!(of("url"), "https://api/p/{sku}/${T}?lang={lang}&key=...&...&...");
        assert_eq!(of("proxy"), "http://proxy:3128, (not shown)");
        assert_eq!(of("header"), "X-Key, (not shown)");
        assert_eq!(of("body"), "(not shown)");
    }
}
