//! The config file: found, read and checked key by key, every error with file, line and character.
//! Only its structure is judged here; what a value means is judged once for all three places.
//!
//! Messages never quote a line of the file: it may hold a secret.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::environment::Environment;
use crate::config::error::ConfigError;
use crate::config::foreign_names;
use crate::config::layers::Layer;
use crate::config::options::{self, CONFIG, NOT_SETTINGS, SETTINGS, Setting, Table, Takes};
use crate::config::origin::{Origin, Word};
use crate::config::values::quoted;

/// A config file is a page; more than this was named by mistake.
const LARGEST: u64 = 1 << 20;

/// Reads the config file, if there is one: `named` (then it must be there), else `./config.toml`, else
/// `skufetch/config.toml` in the person's own config folder. Relative names count from `cwd`.
///
/// A folder that may not be searched holds no config file for us: in a container, or under another user, `HOME` is
/// often somebody else's. A file that is there and cannot be read is an error, in any folder.
pub(super) fn layer(named: Option<PathBuf>, env: &Environment, cwd: &Path) -> Result<Layer, ConfigError> {
    let must_exist = named.is_some();
    let candidates = match named {
        Some(path) => vec![path],
        None => [Some("config.toml".into()), own(env)].into_iter().flatten().collect(),
    };
    for path in candidates {
        let place = cwd.join(&path);
        match read(&place) {
            Ok(text) => return ConfigText::new(&path, &text).layer(),
            Err(_) if !must_exist && is_absent(&place) => {}
            Err(error) => return Err(ConfigError::Unreadable { path, why: error }),
        }
    }
    Ok(Layer::new())
}

/// One setting as a string, from a file that may be wrong in other places.
pub(super) fn peek(
    named: Option<PathBuf>,
    env: &Environment,
    cwd: &Path,
    setting: &Setting,
) -> Option<OsString> {
    let mut candidates = [Some("config.toml".into()), own(env)].into_iter().flatten();
    let text = match named {
        Some(path) => read(&cwd.join(path)).ok(),
        None => candidates.find_map(|path: PathBuf| read(&cwd.join(path)).ok()),
    }?;
    let (document, _) = DeTable::parse_recoverable(&text);
    let table = document.get_ref().get(setting.table.name())?;
    Some(table.get_ref().get(setting.name)?.get_ref().as_str()?.into())
}

/// `$XDG_CONFIG_HOME/skufetch/config.toml`; the folder defaults to `~/.config`.
fn own(env: &Environment) -> Option<PathBuf> {
    let folder = env.path("XDG_CONFIG_HOME").or_else(|| Some(env.path("HOME")?.join(".config")))?;
    Some(folder.join("skufetch/config.toml"))
}

/// Whether there is no such file, or none that its folder would let us see.
fn is_absent(path: &Path) -> bool {
    let kind = |found: io::Result<fs::Metadata>| found.err().map(|error| error.kind());
    matches!(kind(fs::metadata(path)), Some(ErrorKind::NotFound | ErrorKind::NotADirectory))
        || kind(fs::symlink_metadata(path)) == Some(ErrorKind::PermissionDenied)
}

fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.split(|byte| *byte == b'\n').count();
        io::Error::other(format!("line {line} is not valid UTF-8"))
    })
}

/// The text of a config file and its name, for places in errors.
struct ConfigText<'a> {
    path: Arc<Path>,
    text: &'a str,
}

type KeyValue<'a> = (&'a Spanned<Cow<'a, str>>, &'a Spanned<DeValue<'a>>);

impl<'a> ConfigText<'a> {
    fn new(path: &Path, text: &'a str) -> Self {
        Self { path: path.into(), text: text.strip_prefix('\u{feff}').unwrap_or(text) }
    }

    fn layer(&self) -> Result<Layer, ConfigError> {
        let document = DeTable::parse(self.text).map_err(|error| {
            let span = error.span().unwrap_or_default();
            self.error(&span, error.message().to_owned(), None)
        })?;
        let mut layer = Layer::new();
        for (name, value) in in_order(document.get_ref()) {
            let table = self.table(name)?;
            let DeValue::Table(entries) = value.get_ref() else {
                let why = format!("`{}` is a table", table.name());
                let hint = format!("write [{}] on a line of its own, and its keys below", table.name());
                return Err(self.error(&name.span(), why, Some(hint)));
            };
            for (key, value) in in_order(entries) {
                let setting = self.setting(table, key)?;
                let words = self.words(setting, value)?;
                if !words.is_empty() {
                    layer.insert(setting.name, words);
                }
            }
        }
        Ok(layer)
    }

    fn table(&self, name: &Spanned<Cow<'_, str>>) -> Result<Table, ConfigError> {
        let text = name.get_ref().as_ref();
        if let Some(table) = options::table(text) {
            return Ok(table);
        }
        if let Some(Setting { table, .. }) = options::find(text) {
            let why = format!("`{text}` is outside its table");
            return Err(self.error(&name.span(), why, Some(format!("move it below [{}]", table.name()))));
        }
        let names = || SETTINGS.iter().map(|(table, _)| table.name());
        let hint = match options::nearest(text, names()) {
            Some(name) => format!("did you mean [{name}]?"),
            None => format!(
                "the tables are {}; if this file belongs to another program, name yours with --{CONFIG} FILE",
                names().map(|name| format!("[{name}]")).collect::<Vec<_>>().join(" ")
            ),
        };
        Err(self.error(&name.span(), format!("there is no table {}", quoted(text)), Some(hint)))
    }

    fn setting(&self, table: Table, key: &Spanned<Cow<'_, str>>) -> Result<&'static Setting, ConfigError> {
        let text = key.get_ref().as_ref();
        let why = || format!("there is no key {} in [{}]", quoted(text), table.name());
        match options::find(text) {
            Some(setting) if setting.table == table => return Ok(setting),
            Some(Setting { table: its_own, .. }) => {
                let hint = format!("`{text}` belongs in [{}]", its_own.name());
                return Err(self.error(&key.span(), why(), Some(hint)));
            }
            None => {}
        }
        if NOT_SETTINGS.contains(&text) {
            let hint = format!("--{text} is an option of the command line only");
            return Err(self.error(&key.span(), why(), Some(hint)));
        }
        let nearest = || options::nearest(text, options::all().map(|s| s.name)).and_then(options::find);
        let meant = foreign_names::meant(text).map(|(setting, _)| setting).or_else(nearest);
        let hint = match meant {
            Some(meant) if meant.table == table => format!("did you mean `{}`?", meant.name),
            Some(meant) => format!("did you mean `{}`? It belongs in [{}]", meant.name, meant.table.name()),
            None => {
                let keys = options::all().filter(|setting| setting.table == table);
                let keys: Vec<_> = keys.map(|setting| setting.name).collect();
                format!("the keys of [{}] are {}", table.name(), keys.join(", "))
            }
        };
        Err(self.error(&key.span(), why(), Some(hint)))
    }

    /// The value as the command line would write it. None: the key is as if it were left out.
    fn words(
        &self,
        setting: &'static Setting,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Vec<Word>, ConfigError> {
        let text = match (setting.takes, value.get_ref()) {
            (Takes::List(_), DeValue::Array(items)) => {
                return items.iter().map(|item| self.item(setting, item)).collect();
            }
            (Takes::Flag, DeValue::Boolean(on)) => on.to_string(),
            (Takes::Flag | Takes::Word(_) | Takes::Text(_), DeValue::String(text)) => {
                if text.is_empty() && setting.default.is_empty() {
                    return Ok(Vec::new());
                }
                text.to_string()
            }
            (Takes::Word(_), DeValue::Integer(number)) => {
                // The sign counts in `retry-on = +202`, which TOML reads as the number 202.
                let is_signed = self.text.get(value.span()).is_some_and(|text| text.starts_with('+'));
                let sign = if is_signed && setting.plus_counts { "+" } else { "" };
                format!("{sign}{}", number.to_string().trim_start_matches('+'))
            }
            (Takes::Word(_), DeValue::Float(number)) => number.as_str().to_owned(),
            (_, other) => return Err(self.wrong_type(setting, &value.span(), other)),
        };
        Ok(vec![self.word(setting, &value.span(), text)])
    }

    fn item(&self, setting: &'static Setting, item: &Spanned<DeValue<'_>>) -> Result<Word, ConfigError> {
        match item.get_ref() {
            DeValue::String(text) => Ok(self.word(setting, &item.span(), text.to_string())),
            other => Err(self.wrong_type(setting, &item.span(), other)),
        }
    }

    fn word(&self, setting: &'static Setting, span: &Range<usize>, text: String) -> Word {
        let (line, column) = self.place(span);
        let origin = Origin::File { name: setting.name, path: Arc::clone(&self.path), line, column };
        Word { text: text.into(), origin }
    }

    fn wrong_type(&self, setting: &Setting, span: &Range<usize>, found: &DeValue<'_>) -> ConfigError {
        let wanted = match setting.takes {
            Takes::Flag => "true or false",
            Takes::Word(_) => "a string or a number",
            Takes::Text(_) => "a string",
            Takes::List(_) => "an array of strings",
        };
        let why = format!("{}: this is {}, not {wanted}", setting.name, kind(found));
        let hint = match setting.takes {
            Takes::Flag => format!("write {} = true", setting.name),
            Takes::List(name) => format!("write {} = [\"{name}\"]", setting.name),
            Takes::Word(name) | Takes::Text(name) => format!("write {} = \"{name}\"", setting.name),
        };
        self.error(span, why, Some(hint))
    }

    fn error(&self, span: &Range<usize>, why: String, hint: Option<String>) -> ConfigError {
        let (line, column) = self.place(span);
        ConfigError::File { path: self.path.to_path_buf(), line, column, why, hint }
    }

    /// Line and character, both from 1.
    fn place(&self, span: &Range<usize>) -> (usize, usize) {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        (line, column)
    }
}

/// The entries as they stand in the file, so that its first error is the one that is shown.
fn in_order<'a>(table: &'a DeTable<'a>) -> Vec<KeyValue<'a>> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or a time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Exit;

    fn wrong(text: &str) -> String {
        let Err(error) = ConfigText::new(Path::new("c.toml"), text).layer() else {
            panic!("{text} was taken")
        };
        assert_eq!(error.exit(), Exit::Config);
        format!("{error} | {}", error.hint().unwrap_or_default())
    }

    fn texts(text: &str, name: &str) -> Vec<String> {
        let Ok(layer) = ConfigText::new(Path::new("c.toml"), text).layer() else {
            panic!("{text} was refused")
        };
        let words = layer.get(name).map(Vec::as_slice).unwrap_or_default();
        words.iter().map(|word| word.text.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn an_unknown_key_is_named_with_its_place_and_the_nearest_one() {
        assert_eq!(
            wrong("# pace\n[pace]\nburst = 2\n  raet = \"5/s\"\n"),
            "c.toml:4:3: there is no key `raet` in [pace] | did you mean `rate`?"
        );
        assert_eq!(
            wrong("[pace]\nretires = 3"),
            "c.toml:2:1: there is no key `retires` in [pace] | did you mean `retries`? It belongs in [retry]"
        );
        assert_eq!(
            wrong("[retry]\nmax_retry_after = \"1m\""),
            "c.toml:2:1: there is no key `max_retry_after` in [retry] | did you mean `max-retry-after`?"
        );
        assert_eq!(
            wrong("[pace]\nworkers = 8"),
            "c.toml:2:1: there is no key `workers` in [pace] | did you mean `concurrency`?"
        );
        assert!(wrong("[retry]\nelephant = 1").contains("the keys of [retry] are retries, retry-on,"));
    }

    #[test]
    fn a_key_in_the_wrong_table_is_sent_to_its_own() {
        assert_eq!(
            wrong("[output]\nconcurrency = 4"),
            "c.toml:2:1: there is no key `concurrency` in [output] | `concurrency` belongs in [pace]"
        );
        assert_eq!(
            wrong("concurrency = 4"),
            "c.toml:1:1: `concurrency` is outside its table | move it below [pace]"
        );
    }

    #[test]
    fn an_unknown_table_is_named_with_the_nearest_one() {
        assert_eq!(wrong("[reqest]"), "c.toml:1:2: there is no table `reqest` | did you mean [request]?");
        assert!(wrong("[package]\nname = 1").contains("[run]; if this file belongs to another program"));
        assert!(wrong("pace = 4").contains("c.toml:1:1: `pace` is a table | write [pace]"));
        assert!(wrong("[[pace]]\nburst = 1").contains("`pace` is a table"));
    }

    #[test]
    fn options_of_the_command_line_alone_are_no_keys() {
        for name in NOT_SETTINGS {
            assert!(wrong(&format!("[run]\n{name} = true")).contains("an option of the command line only"));
        }
    }

    #[test]
    fn what_is_no_toml_is_named_with_its_line_and_never_quoted() {
        for text in [
            "[request]\nurl = canary",
            "[request]\nurl = \"canary",
            "[request]\nheader = [\"canary\" \"canary\"]",
            "[request]\nurl = \"canary\"\nurl = \"canary\"",
            "[request]\nurl = '''canary",
            "[request]\nurl = \"\\canary\"",
            "[request]\ncanary canary",
            "[request]\nurl = 12canary",
        ] {
            let message = wrong(text);
            assert!(message.starts_with("c.toml:2:") || message.starts_with("c.toml:3:"), "{message}");
            assert!(!message.contains("canary"), "{message}");
        }
    }

    #[test]
    fn numbers_and_truths_may_be_written_as_toml_has_them() {
        assert_eq!(texts("[pace]\nconcurrency = 1_6", "concurrency"), ["16"]);
        assert_eq!(texts("[output]\nmin-success = 99.5", "min-success"), ["99.5"]);
        assert_eq!(texts("[output]\nmerge = true", "merge"), ["true"]);
        assert_eq!(texts("[output]\nmerge = \"yes\"", "merge"), ["yes"]);
        assert_eq!(texts("output.merge = false", "merge"), ["false"]);
        assert_eq!(texts("[retry]\nretry-on = +202", "retry-on"), ["+202"]);
        assert_eq!(texts("[retry]\nretry-on = \"+202\"", "retry-on"), ["+202"]);
        assert_eq!(texts("[retry]\nretry-on = 202", "retry-on"), ["202"]);
        assert_eq!(texts("[retry]\nretries = +2", "retries"), ["2"]);
        assert_eq!(texts("[request]\nheader = [\"A: 1\",\n\"B: 2\"]", "header"), ["A: 1", "B: 2"]);
    }

    #[test]
    fn an_empty_string_leaves_a_key_out_where_there_is_no_word_for_its_default() {
        assert!(texts("[request]\nurl = \"\"\nheader = []\n[input]\nkey = \"\"", "url").is_empty());
        assert_eq!(texts("[pace]\nrate = \"\"", "rate"), [""]);
    }

    #[test]
    fn a_value_of_the_wrong_type_says_what_to_write() {
        assert_eq!(
            wrong("[request]\n  url = 5"),
            "c.toml:2:9: url: this is a number, not a string | write url = \"TEMPLATE\""
        );
        assert!(wrong("[output]\nmerge = 1").contains("not true or false | write merge = true"));
        assert!(wrong("[request]\nheader = \"A: 1\"").contains("write header = [\"NAME: VALUE\"]"));
        assert!(wrong("[request]\nheader = [\n\"A: 1\", 2]").starts_with("c.toml:3:9: header"));
        assert!(wrong("[pace]\nconcurrency = true").contains("not a string or a number"));
        assert!(wrong("[pace]\nrate = { a = 1 }").contains("this is a table"));
        assert!(wrong("[pace]\nrate = 2026-01-01").contains("this is a date or a time"));
    }

    #[test]
    fn places_count_characters_and_a_byte_order_mark_is_no_character() {
        assert!(wrong("\u{feff}[reqest]").starts_with("c.toml:1:2:"));
        assert!(wrong("pace = { \"é\" = 1 , raet = 2 }").starts_with("c.toml:1:10:"));
        assert!(wrong("[pace]\r\nraet = 2").starts_with("c.toml:2:1:"));
    }

    proptest! {
        #[test]
        fn no_text_panics_the_reader_and_every_error_has_a_place_in_it(
            text in "[\\[\\]a-e=\"'#\\n é.{},\\\\0-9-]{0,60}|.{0,60}"
        ) {
            let source = ConfigText::new(Path::new("c.toml"), &text);
            if let Err(ConfigError::File { line, column, .. }) = source.layer() {
                prop_assert!(line >= 1 && line <= text.matches('\n').count() + 1 && column >= 1);
            }
        }
    }
}
