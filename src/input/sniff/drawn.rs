//! Tables that were laid out to be looked at: with lines, or with spaces that put columns below each other.

use crate::input::sniff::sample::Sample;

/// Lines that are searched for one that is drawn.
const LINES: usize = 20;

/// The least length of a line that is drawn.
const LEAST: &[u8] = b"---";

/// Whether a line of the first ones is drawn: dashes in several columns, as psql, `MySQL`, sqlcmd and Markdown have it.
pub(in crate::input) fn has_rules(sample: Sample<'_>) -> bool {
    let is_rule = |line: &[u8]| {
        let is_of_rules =
            |byte: &u8| matches!(byte, b'-' | b'=' | b'+' | b'|' | b':' | b',' | b';' | b' ' | b'\t');
        let text = line.trim_ascii();
        text.iter().all(is_of_rules)
            && memchr::memmem::find(text, LEAST).is_some()
            && (text.iter().any(|byte| matches!(byte, b'+' | b'|')) || groups(text) > 1)
    };
    sample.lines().take(LINES).any(is_rule)
}

/// How many groups of dashes a line has.
fn groups(line: &[u8]) -> usize {
    line.split(|byte| *byte != b'-').filter(|group| !group.is_empty()).count()
}

/// Whether every line has several spaces between its words.
pub(super) fn is_fixed_width(sample: Sample<'_>) -> bool {
    let is_spaced = |line: &[u8]| memchr::memmem::find(line.trim_ascii(), b"  ").is_some();
    let lines = || sample.lines().filter(|line| !line.trim_ascii().is_empty());
    lines().count() > 1 && lines().all(is_spaced)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(text: &str) -> Sample<'_> {
        Sample { bytes: text.as_bytes(), is_whole: true }
    }

    #[test]
    fn a_line_of_dashes_in_columns_is_drawn() {
        for rule in
            ["-----+------", "+-----+---+", "|---|:--:|", "---,----", "---- -----", "---\t---", "|------|"]
        {
            assert!(has_rules(sample(&format!("a\n{rule}\r\nb\n"))), "{rule}");
        }
        for line in ["---", "-----;;;", "-,-,-", "--+--", "a---|---", "====="] {
            assert!(!has_rules(sample(&format!("a\n{line}\nb\n"))), "{line}");
        }
    }

    #[test]
    fn columns_below_each_other_have_several_spaces_in_every_line() {
        assert!(is_fixed_width(sample("sku   name\nA     x\n\n")));
        for text in ["sku   name\n", "sku name\nA    x\n", "sku   name\nA x\n", "a\nb\n"] {
            assert!(!is_fixed_width(sample(text)), "{text}");
        }
    }
}
