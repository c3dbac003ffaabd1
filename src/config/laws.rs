//! A law, held over arbitrary words: nothing that is typed, set or written breaks the program, and what
//! is in an address, a header's value, a body or a proxy is shown nowhere.

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::config::options::{Setting, all};

const CANARY: &str = "canary";
const SECRETS: [&str; 4] = ["url", "header", "body", "proxy"];

/// A setting, perhaps one that holds a secret, and text to set it to.
fn set() -> impl Strategy<Value = (&'static Setting, String)> {
    let settings: Vec<&'static Setting> = all().collect();
    let secrets: Vec<_> =
        settings.iter().copied().filter(|setting| SECRETS.contains(&setting.name)).collect();
    let setting = prop_oneof![prop::sample::select(settings), prop::sample::select(secrets)];
    (setting, "[ -.0-~é\\x01\\n]{0,12}", "[ -.0-~é\\x01]{0,12}").prop_map(|(setting, before, after)| {
        // Only what follows the colon is a header's value; a body that begins with @ is a file's name;
        // and what begins with a dash is an option to the parser.
        let value = match setting.name {
            "header" => format!("X-Key: {}{CANARY}{after}", before.replace('\n', "")),
            "body" => format!(" {before}{CANARY}{after}"),
            _ if SECRETS.contains(&setting.name) => {
                format!("{}{CANARY}{after}", before.trim_start_matches('-'))
            }
            _ => before + &after,
        };
        (setting, value)
    })
}

/// The setting in a config file: in its table or another, as a string, a list or worse.
fn written((setting, value): &(&'static Setting, String), home: bool, kind: u8) -> String {
    let table = if home { setting.table.name() } else { "pace" };
    let string = serde_json::to_string(value).unwrap().replace('\u{7f}', "\\u007f");
    let value = match kind {
        0 | 1 => string,
        2 => format!("[{string}]"),
        3 => format!("{{ a = {string} }}"),
        _ => "true".into(),
    };
    format!("[{table}]\n{} = {value}\n", setting.name)
}

proptest! {
    #[test]
    fn no_secret_in_any_of_the_three_places_is_shown_whatever_surrounds_it(
        typed in prop::collection::vec((set(), any::<bool>()), 0..5),
        variables in prop::collection::vec(set(), 0..3),
        in_file in prop::collection::vec((set(), prop::bool::weighted(0.9), 0_u8..5), 0..3),
        suffix in prop::option::weighted(0.2, "[a-z]"),
        junk in "[\\[\\]a-e= \n]{0,9}",
    ) {
        let folder = TempDir::new().unwrap();
        let entries = in_file.iter().map(|(entry, home, kind)| written(entry, *home, *kind));
        let text = entries.collect::<String>() + &junk;
        std::fs::write(folder.path().join("config.toml"), text).unwrap();
        let suffix = suffix.unwrap_or_default();
        let mut arguments = vec!["skufetch".to_owned(), "in.csv".into()];
        for ((setting, value), joined) in &typed {
            let name = format!("--{}{suffix}", setting.name);
            if *joined || value.starts_with('-') {
                arguments.push(format!("{name}={value}"));
            } else {
                arguments.extend([name, value.clone()]);
            }
        }
        let variable = |(setting, value): &(&'static Setting, String)| {
            (setting.variable() + &suffix, value.clone())
        };
        let env: Environment = variables.iter().map(variable).collect();
        let text = match load(arguments.into_iter().map(OsString::from), &env, folder.path()) {
            Ok(Invocation::Fetch(settings)) => format!("{settings:?} {:?}", settings.warnings),
            Ok(other) => format!("{other:?}"),
            Err(error) => {
                prop_assert!(matches!(error.exit().code(), 2 | 78));
                format!("{error} {error:?} {:?}", error.hint())
            }
        };
        prop_assert!(!text.contains(CANARY), "{text}");
    }
}
