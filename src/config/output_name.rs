//! What the name of the output says about its format. A name that promises what is not written is an error: a program
//! that opens the file by its name would take it for damaged.

use std::path::Path;

use crate::collect::{Compression, Format};
use crate::config::options::{FORMAT, OUTPUT};
use crate::model::shell_word;

/// Endings of JSON lines.
const JSON_LINES: [&str; 3] = ["jsonl", "ndjson", "jsonlines"];
/// Endings of tables that are not written.
const TABLES: [&str; 6] = ["tsv", "xlsx", "xls", "ods", "parquet", "tab"];
/// Endings of other documents.
const DOCUMENTS: [&str; 6] = ["xml", "yaml", "yml", "toml", "html", "sqlite"];
/// Endings of compressed files that are not written, with the programs that make them.
const COMPRESSED: [(&str, &str); 4] = [("bz2", "bzip2"), ("xz", "xz"), ("br", "brotli"), ("zip", "zip")];

/// Why a name does not go with what is written, and what to type.
pub(super) struct Mismatch {
    pub(super) why: String,
    pub(super) hint: String,
}

/// The format that the ending of an output's name asks for, before that of a compressed file; none where it leaves that
/// open.
///
/// # Errors
/// The ending of a format that is not written.
pub(super) fn format_of(path: &Path) -> Result<Option<Format>, Mismatch> {
    if Compression::of(path) != Compression::Plain {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        return format_of_text(&path.with_extension(""), &format!(".{ending}"));
    }
    format_of_text(path, "")
}

/// The same of a name without `packed`, the ending of a compressed file.
fn format_of_text(path: &Path, packed: &str) -> Result<Option<Format>, Mismatch> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    if JSON_LINES.contains(&ending.as_str()) {
        return Ok(Some(Format::Jsonl));
    }
    if ending == "csv" {
        return Ok(Some(Format::Csv));
    }
    let plain = path.with_extension("");
    if let Some((_, program)) = COMPRESSED.iter().find(|(known, _)| *known == ending) {
        let (shown, given) = (path.display(), in_shell(&plain));
        let by = match *program {
            "zip" => format!("zip {} {given}", in_shell(path)),
            program => format!("{program} {given}"),
        };
        return Err(Mismatch {
            why: format!("{shown} would not be compressed, whatever its name says"),
            hint: format!(
                "write {OUTPUT} {}, which is compressed; or compress it afterwards: {by}",
                gzipped(&plain)
            ),
        });
    }
    let with = |ending: &str| in_shell(&path.with_extension(format!("{ending}{packed}")));
    let hint = if TABLES.contains(&ending.as_str()) {
        format!(
            "write {OUTPUT} {}, a table that spreadsheets open, or {OUTPUT} {}",
            with("csv"),
            with("json")
        )
    } else if DOCUMENTS.contains(&ending.as_str()) {
        format!("write {OUTPUT} {}", with("json"))
    } else {
        return Ok(None);
    };
    Err(Mismatch {
        why: format!("{}{packed} would hold JSON, whatever its name says", path.display()),
        hint: format!("{hint}; or add {FORMAT} json to keep this name"),
    })
}

/// The name of the gzip file, as a command takes it.
fn gzipped(plain: &Path) -> String {
    let mut name = plain.as_os_str().to_owned();
    name.push(".gz");
    in_shell(Path::new(&name))
}

/// A path as a command takes it: one that begins with a dash is no option.
fn in_shell(path: &Path) -> String {
    let text = path.display().to_string();
    shell_word(&if text.starts_with('-') { format!("./{text}") } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_sets_the_format_or_is_refused_with_what_to_type() {
        for (name, format) in [
            ("out.json", None),
            ("out", None),
            ("out.JSONL", Some(Format::Jsonl)),
            ("a/b.ndjson", Some(Format::Jsonl)),
            ("x.tmp", None),
            ("out.json.gz", None),
            ("out.jsonl.zst", Some(Format::Jsonl)),
            ("out.NDJSON.GZ", Some(Format::Jsonl)),
            ("out.zst", None),
            ("out.csv", Some(Format::Csv)),
            ("out.CSV.gz", Some(Format::Csv)),
        ] {
            assert_eq!(format_of(Path::new(name)).ok().unwrap(), format, "{name}");
        }
        for (name, hint) in [
            (
                "my out.xlsx",
                "write --output 'my out.csv', a table that spreadsheets open, or --output 'my out.json'; or add \
                 --format json to keep this name",
            ),
            ("out.XML", "write --output out.json; or add --format json to keep this name"),
            (
                "-o.json.xz",
                "write --output ./-o.json.gz, which is compressed; or compress it afterwards: xz ./-o.json",
            ),
            (
                "out.zip",
                "write --output out.gz, which is compressed; or compress it afterwards: zip out.zip out",
            ),
            ("out.xml.gz", "write --output out.json.gz; or add --format json to keep this name"),
        ] {
            assert_eq!(format_of(Path::new(name)).err().unwrap().hint, hint);
        }
    }
}
