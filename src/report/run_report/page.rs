//! One page that needs nothing else: no script, no network, light and dark, on paper and on a telephone.
//!
//! It is XML as well as HTML, so that a test can hold that each tag is closed. All foreign text passes
//! [`text`]; a policy in its head forbids a browser everything but the page's own style.

use std::fmt::Write as _;

use crate::model::display_safe;
use crate::report::run_report::chart::{Hue, MESH};

/// Characters of one piece of foreign text: whole sentences, but never a body.
const TEXT_CHARS: usize = 2_000;

/// Foreign text, escaped for an element or an attribute.
pub(crate) fn text(foreign: &str) -> String {
    let mut safe = String::with_capacity(foreign.len());
    for c in display_safe(foreign, TEXT_CHARS).chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // What XML has no place for.
            '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

/// Foreign sentences as markup: the name of an option is never broken after its hyphens.
pub(crate) fn prose(foreign: &str) -> String {
    let word = |word: &str| {
        let begins = word.trim_start_matches(['(', '\'', '`']).starts_with("--");
        let word = text(word);
        if begins { format!("<span class=\"option\">{word}</span>") } else { word }
    };
    // Control characters are made visible first: a line end would otherwise pass as white space between words.
    display_safe(foreign, TEXT_CHARS).split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// The whole page around its body.
pub(crate) fn page(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n\
         <title>{}</title>\n<style>\n{STYLE}{}</style>\n</head>\n<body>\n{body}</body>\n</html>\n",
        text(title),
        hues()
    )
}

/// A part of the page with a head of its own. `inner` is markup.
pub(crate) fn card(title: &str, inner: &str) -> String {
    format!("<section class=\"card\">\n<h2>{}</h2>\n{inner}</section>\n", text(title))
}

/// Cards of one height, side by side where two fit.
pub(crate) fn pairs(cards: &[String]) -> String {
    group("pairs", cards)
}

/// Cards of any height: they fill two columns, so that no small one leaves a hole beside a large one.
pub(crate) fn columns(cards: &[String]) -> String {
    group("columns", cards)
}

fn group(class: &str, cards: &[String]) -> String {
    let cards = cards.concat();
    if cards.is_empty() { cards } else { format!("<div class=\"{class}\">\n{cards}</div>\n") }
}

/// A chart with its title, what its colours mean, and a remark, which may be empty.
pub(crate) fn figure(title: &str, legend: &[(Hue, &str)], svg: &str, remark: &str) -> String {
    let legend: Vec<_> = legend.iter().map(|(hue, meaning)| (*hue, (*meaning).to_owned())).collect();
    let remark =
        if remark.is_empty() { String::new() } else { format!("<p class=\"soft\">{}</p>\n", prose(remark)) };
    card(title, &format!("{}{svg}{remark}", self::legend(&legend)))
}

/// What colours mean.
pub(crate) fn legend(keys: &[(Hue, String)]) -> String {
    let key = |(hue, meaning): &(Hue, String)| {
        format!("<span class=\"key {}\">{}</span>", hue.name(), text(meaning))
    };
    format!("<p class=\"legend\">{}</p>\n", keys.iter().map(key).collect::<Vec<_>>().join(" "))
}

/// A prominent number and its name.
pub(crate) fn tile(number: &str, name: &str) -> String {
    format!("<div class=\"tile\"><b>{}</b><span>{}</span></div>\n", text(number), text(name))
}

/// A table. A column whose head begins with `#` holds numbers, one that begins with `~` text of any length.
/// `rows` is foreign text.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let class = |column: usize| match head[column].chars().next() {
        Some('#') => " class=\"number\"",
        Some('~') => " class=\"long\"",
        _ => "",
    };
    let mut table = String::from("<div class=\"table\"><table>\n<thead><tr>");
    for (column, name) in head.iter().enumerate() {
        // Writing to a String cannot fail, here and below.
        let _ = write!(table, "<th{}>{}</th>", class(column), text(name.trim_start_matches(['#', '~'])));
    }
    table.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        table.push_str("<tr>");
        for (column, cell) in row.iter().enumerate().take(head.len()) {
            let _ = write!(table, "<td{}>{}</td>", class(column), prose(cell));
        }
        table.push_str("</tr>\n");
    }
    table + "</tbody>\n</table></div>\n"
}

/// Names with their values, in as many columns as fit.
pub(crate) fn names(pairs: &[(String, String)]) -> String {
    let pair = |(name, value): &(String, String)| {
        format!("<div><dt>{}</dt><dd>{}</dd></div>\n", text(name), text(value))
    };
    format!("<dl>\n{}</dl>\n", pairs.iter().map(pair).collect::<String>())
}

/// Colours of the drawings, which are in their attributes, by those of the page.
fn hues() -> String {
    let mut rules = format!("[stroke=\"{MESH}\"]{{stroke:var(--mesh)}}\n");
    for hue in Hue::ALL {
        let (name, colour) = (hue.name(), hue.attribute());
        let _ = writeln!(
            rules,
            "[fill=\"{colour}\"],.key.{name}::before{{fill:var(--{name});background:var(--{name})}}\n\
             [stroke=\"{colour}\"]{{stroke:var(--{name})}}"
        );
    }
    rules
}

const STYLE: &str = include_str!("page.css");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_not_broken_and_stays_what_it_was() {
        assert_eq!(
            prose("try --rate 5/s (or `--burst`); a -- b <x>"),
            "try <span class=\"option\">--rate</span> 5/s (or <span class=\"option\">`--burst`);</span> \
             a <span class=\"option\">--</span> b &lt;x&gt;"
        );
        assert_eq!(prose(" a  b "), " a  b ");
        assert_eq!(prose("--\n<b>"), "<span class=\"option\">--\\u{a}&lt;b&gt;</span>");
    }

    /// The colours of one scheme, by name.
    fn colours(scheme: &str) -> Vec<(&str, [f64; 3])> {
        let names = scheme.split(";--").filter_map(|rule| rule.split_once(":#"));
        let part =
            |hex: &str, at: usize| f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
        names
            .map(|(name, hex)| {
                let hex: String = match hex.trim_end_matches('}') {
                    hex if hex.len() == 3 => hex.chars().flat_map(|c| [c, c]).collect(),
                    hex => hex.into(),
                };
                (name.trim_start_matches("--"), [0, 2, 4].map(|at| part(&hex, at)))
            })
            .collect()
    }

    /// The contrast of two colours as WCAG 2 defines it.
    fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
        let light = |colour: [f64; 3]| {
            let linear = |c: f64| if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) };
            let [red, green, blue] = colour.map(linear);
            0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05
        };
        let (one, other) = (light(one), light(other));
        one.max(other) / one.min(other)
    }

    #[test]
    fn text_and_drawings_have_the_contrast_of_wcag_aa_in_light_and_in_dark() {
        let schemes: Vec<_> =
            STYLE.split(":root{").skip(1).map(|rest| rest.split('}').next().unwrap()).collect();
        assert_eq!(schemes.len(), 2);
        for scheme in schemes {
            let scheme = format!(";{scheme}");
            let colours = colours(&scheme);
            let of = |wanted: &str| colours.iter().find(|(name, _)| *name == wanted).unwrap().1;
            let text = ["ink", "soft", "good", "bad", "warn"].map(|name| (name, 4.5));
            for (name, least) in text.into_iter().chain(Hue::ALL.map(|hue| (hue.name(), 3.0))) {
                for ground in ["paper", "card"] {
                    let contrast = contrast(of(name), of(ground));
                    assert!(contrast >= least, "{name} on {ground}: {contrast:.2}");
                }
            }
        }
    }

    #[test]
    fn the_drawings_have_the_colours_of_the_light_page() {
        let light = STYLE.lines().next().unwrap();
        for hue in Hue::ALL {
            let rule = format!("--{}:{}", hue.name(), hue.attribute().to_lowercase());
            assert!(light.contains(&rule), "{rule}");
        }
    }
}
