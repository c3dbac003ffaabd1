//! Pages read back by the tests, as strictly as XML is.

use quick_xml::events::Event as Xml;

/// The text of a page. Panics where a tag is not closed, where anything is fetched, or where a script is.
pub(crate) fn read_page(page: &str) -> String {
    let mut reader = quick_xml::Reader::from_str(page);
    let (mut open, mut text) = (Vec::<String>::new(), String::new());
    loop {
        match reader.read_event().unwrap_or_else(|error| panic!("{error}\n{page}")) {
            Xml::Eof => break,
            Xml::DocType(_) => {}
            event @ (Xml::Start(_) | Xml::Empty(_)) => {
                let (Xml::Start(tag) | Xml::Empty(tag)) = &event else { continue };
                let name = tag.name().as_ref().to_owned();
                assert!(
                    !matches!(name.as_str(), "script" | "link" | "img" | "iframe" | "object" | "a"),
                    "{name}"
                );
                for attribute in tag.attributes() {
                    let attribute = attribute.unwrap_or_else(|error| panic!("{error}\n{page}"));
                    let key = attribute.key.as_ref().to_owned();
                    let value = attribute.value.into_owned();
                    assert!(
                        !key.starts_with("on") && !matches!(key.as_str(), "src" | "href" | "xmlns"),
                        "{key}"
                    );
                    assert!(!value.contains("://") && !value.contains("url("), "{key}={value}");
                }
                if matches!(event, Xml::Start(_)) {
                    open.push(name);
                }
            }
            Xml::End(tag) => {
                let name = open.pop();
                assert_eq!(name.as_deref(), Some(tag.name().as_ref()));
            }
            Xml::Text(part) => text.push_str(&part),
            Xml::GeneralRef(part) => {
                text.push_str(match &*part {
                    "lt" => "<",
                    "gt" => ">",
                    "amp" => "&",
                    "quot" => "\"",
                    "#39" | "apos" => "'",
                    other => panic!("{other:?}"),
                });
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(open.is_empty(), "{open:?}");
    let style = page.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
    assert!(!style.contains("url(") && !style.contains("@import") && !style.contains("://"));
    text
}
