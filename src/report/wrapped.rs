//! Lines that are broken between words at the width of a terminal, which itself breaks within them.

/// The text with every line over `width` columns broken at spaces; what follows is indented by four more than the
/// line. Words that are longer stay whole. A width of 0 breaks nothing.
pub(crate) fn wrapped(text: &str, width: usize) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if width == 0 || columns(line) <= width {
            out.push_str(line);
        } else {
            out.push_str(&broken(line.trim_end_matches('\n'), width));
            out.push_str(if line.ends_with('\n') { "\n" } else { "" });
        }
    }
    out
}

fn broken(line: &str, width: usize) -> String {
    let indent = line.len() - line.trim_start_matches(' ').len();
    let mut out = " ".repeat(indent);
    let mut used = indent;
    for (place, word) in line.trim_start_matches(' ').split(' ').enumerate() {
        let room = columns(word);
        if place > 0 && used + 1 + room > width {
            out.push('\n');
            out.push_str(&" ".repeat(indent + 4));
            used = indent + 4;
        } else if place > 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += room;
    }
    out
}

/// Characters that take a column, without colours and the line end.
fn columns(text: &str) -> usize {
    let mut is_colour = false;
    let takes_one = |c: char| {
        match c {
            '\x1b' => is_colour = true,
            'm' if is_colour => {
                is_colour = false;
                return false;
            }
            _ => {}
        }
        !is_colour && c != '\n'
    };
    text.chars().map(takes_one).filter(|takes| *takes).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn long_lines_break_between_words_and_go_on_indented() {
        assert_eq!(wrapped("one two three\nfour\n", 9), "one two\n    three\nfour\n");
        assert_eq!(wrapped("  one two three", 9), "  one two\n      three");
        assert_eq!(wrapped("abcdefghijkl mno", 9), "abcdefghijkl\n    mno");
        assert_eq!(wrapped("\x1b[1;31merror:\x1b[0m no\n", 9), "\x1b[1;31merror:\x1b[0m no\n");
        assert_eq!(wrapped("one two three\n", 0), "one two three\n");
    }

    proptest! {
        #[test]
        fn no_word_is_lost_and_no_line_is_longer_than_a_word(text in "[a-z ]{0,80}", width in 1_usize..30) {
            let shown = wrapped(&text, width);
            prop_assert_eq!(shown.split_whitespace().collect::<Vec<_>>(), text.split_whitespace().collect::<Vec<_>>());
            for line in shown.lines() {
                prop_assert!(line.len() <= width || line.trim().split(' ').count() == 1, "{}", line);
            }
        }
    }
}
