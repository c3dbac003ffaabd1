//! One page that needs nothing else: no script, no network, light and dark, on paper and on a telephone.
//!
//! It is XML as well as HTML, so that a test can hold that each tag is closed. All foreign text passes
//! [`text`]; a policy in its head forbids a browser everything but the page's own style.

use std::fmt::Write as _;

use super::chart::{Hue, MESH};
use crate::model::display_safe;

/// Characters of one piece of foreign text: whole sentences, but never a body.
const TEXT_CHARS: usize = 2_000;

/// Foreign text as it may stand in an element or in an attribute.
pub(in crate::report) fn text(foreign: &str) -> String {
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

/// The whole page around its body.
pub(in crate::report) fn page(title: &str, body: &str) -> String {
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
pub(in crate::report) fn card(title: &str, inner: &str) -> String {
    format!("<section class=\"card\">\n<h2>{}</h2>\n{inner}</section>\n", text(title))
}

/// The same over the whole width.
pub(in crate::report) fn wide_card(title: &str, inner: &str) -> String {
    card(title, inner).replacen("class=\"card\"", "class=\"card wide\"", 1)
}

/// A chart with its title, what its colours mean, and a remark, which may be empty.
pub(in crate::report) fn figure(title: &str, legend: &[(Hue, &str)], svg: &str, remark: &str) -> String {
    let mut keys = String::new();
    for (hue, meaning) in legend {
        // Writing to a String cannot fail, here and below.
        let _ = write!(keys, "<span class=\"key {}\">{}</span>", hue.name(), text(meaning));
    }
    let remark =
        if remark.is_empty() { String::new() } else { format!("<p class=\"soft\">{}</p>\n", text(remark)) };
    card(title, &format!("<p class=\"legend\">{keys}</p>\n{svg}{remark}"))
}

/// A number that is looked for, and what it is.
pub(in crate::report) fn tile(number: &str, name: &str) -> String {
    format!("<div class=\"tile\"><b>{}</b><span>{}</span></div>\n", text(number), text(name))
}

/// A table. A column whose head begins with `#` holds numbers, one that begins with `~` text of any length.
/// `rows` is foreign text.
pub(in crate::report) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let class = |column: usize| match head[column].chars().next() {
        Some('#') => " class=\"number\"",
        Some('~') => " class=\"long\"",
        _ => "",
    };
    let mut table = String::from("<div class=\"table\"><table>\n<thead><tr>");
    for (column, name) in head.iter().enumerate() {
        let _ = write!(table, "<th{}>{}</th>", class(column), text(name.trim_start_matches(['#', '~'])));
    }
    table.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        table.push_str("<tr>");
        for (column, cell) in row.iter().enumerate().take(head.len()) {
            let _ = write!(table, "<td{}>{}</td>", class(column), text(cell));
        }
        table.push_str("</tr>\n");
    }
    table + "</tbody>\n</table></div>\n"
}

/// Colours of the drawings, which stand in their attributes, by those of the page.
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
