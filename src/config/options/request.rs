//! The options of table `request`.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use http::Method;

use crate::config::joined::joined;
use crate::config::options::token;
use crate::config::origin::Origin;
use crate::config::setting::{Handle, Secrecy, Setting, Table, Takes};
use crate::config::values;
use crate::fetch::{Follow, HttpChoice, NextPage};
use crate::model::option;
use crate::plan::BodyEscape;

pub(crate) static SETTINGS: &[&Setting] = &[
    &URL.setting,
    &METHOD.setting,
    &HEADER.setting,
    &BODY.setting,
    &BODY_ESCAPE.setting,
    &BULK.setting,
    &ITEM.setting,
    &SEPARATOR.setting,
    &NEXT.setting,
    &JOIN.setting,
    &PAGES.setting,
    &COOKIES.setting,
    &token::TOKEN_COMMAND.setting,
    &token::TOKEN_URL.setting,
    &token::TOKEN_GRANT.setting,
    &token::CLIENT_ID.setting,
    &token::CLIENT_SECRET.setting,
    &token::SCOPE.setting,
    &token::TOKEN_FIELD.setting,
    &token::TOKEN_FILE.setting,
    &token::TOKEN_ON.setting,
    &TIMEOUT.setting,
    &CONNECT_TIMEOUT.setting,
    &FOLLOW.setting,
    &CA_CERT.setting,
    &PROXY.setting,
    &INSECURE.setting,
    &HTTP.setting,
];

/// A template, not yet parsed.
pub(crate) static URL: Handle<Option<String>> = Handle {
    setting: Setting::new(
        Table::Request,
        option::URL,
        Takes::Text("TEMPLATE"),
        "The address; any column may be used in {}",
    )
    .short('u')
    .more(joined!(
        "For example https://api.example.com/products/{sku}. {sku} is the key column where no column is \
         called so. A value is percent-encoded; it can change neither the host nor the number of path \
         segments. ${ENV_VAR} is replaced by that environment variable and treated as a secret. Required, \
         unless ",
        option::DEMO,
        " is given."
    ))
    .secrecy(Secrecy::Address),
    read: |given| Ok(given.text()?.map(str::to_owned)),
};

/// None: GET, or POST with a body.
pub(crate) static METHOD: Handle<Option<Method>> = Handle {
    setting: Setting::new(
        Table::Request,
        option::METHOD,
        Takes::Text("METHOD"),
        joined!("The method [default: GET; POST with ", option::BODY, "]"),
    )
    .short('X')
    .more(joined!(
        "A retried POST may act twice: an answer that is lost on its way back is requested again. ",
        option::RETRIES,
        " 0 turns retries off.",
    ))
    // There are others.
    .completions(&["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]),
    read: |given| given.parse_if_set(values::method),
};

/// A header of every request. Has no `Debug`: the value may be a secret.
pub(crate) struct HeaderLine {
    /// `name: value`; the value is a template.
    pub text: String,
    /// Where it came from.
    pub origin: Origin,
}

pub(crate) static HEADER: Handle<Vec<HeaderLine>> = Handle {
    setting: Setting::new(
        Table::Request,
        option::HEADER,
        Takes::List("NAME: VALUE"),
        "A header of each request; repeatable",
    )
    .short('H')
    .more(
        "The value may hold {column} and ${ENV_VAR}; write secrets as ${ENV_VAR}, so that they stand in no \
         process list. It replaces the program's own header of that name. Headers given here replace \
         those of the environment, which replace those of the config file.",
    )
    .secrecy(Secrecy::Header),
    read: |given| {
        given.list(|text, origin| {
            let (name, value) = values::header(text)?;
            Ok(HeaderLine { text: format!("{name}: {value}"), origin: origin.clone() })
        })
    },
};

/// The text, or `@` and the name of a file.
pub(crate) static BODY: Handle<Option<String>> = Handle {
    setting: Setting::new(
        Table::Request,
        option::BODY,
        Takes::Text("TEXT|@FILE"),
        "A body for each request, or @FILE that holds it",
    )
    .more(joined!(
        "{column} and ${ENV_VAR} are inserted as the Content-Type needs it. {{column}} stands for the text \
         {column}; all other braces are sent unchanged. FILE is relative to the current folder. Content-Type is \
         application/json unless ",
        option::HEADER,
        " says otherwise. A retried POST may act twice.",
    ))
    .secrecy(Secrecy::Body),
    read: |given| {
        given.parse_if_set(|text| match text.strip_prefix('@') {
            Some("" | "-") => Err("write @FILE with the name of a file"),
            _ => Ok(text.to_owned()),
        })
    },
};

/// None: by the `Content-Type`.
pub(crate) static BODY_ESCAPE: Handle<Option<BodyEscape>> = Handle {
    setting: Setting::new(
        Table::Request,
        option::BODY_ESCAPE,
        Takes::Word("KIND"),
        "json, form, xml or none [default: by Content-Type]",
    )
    .more(
        "How values are inserted: json escapes them for the inside of a string, form percent-encodes, xml uses \
         entity and character references, none inserts them unchanged. Default: json without a Content-Type and \
         for application/json and +json, form for application/x-www-form-urlencoded, xml for application/xml, \
         text/xml and +xml, none for text/plain. Other types need this option if the body has a placeholder. \
         The Content-Type is not changed.",
    )
    .completions(&["json", "form", "xml", "none"]),
    read: |given| given.parse_if_set(str::parse),
};

/// None: each SKU has a request of its own.
pub(crate) static BULK: Handle<Option<NonZeroU32>> = Handle {
    setting: Setting::new(Table::Request, option::BULK, Takes::Word("N"), "Ask for up to N SKUs in one request")
        .more(joined!(
            "{items} in the address or in the body means the SKUs of a pack, each written as ",
            option::ITEM,
            " says: 'https://api.example.com/products?ids={items}'. ",
            option::BULK_ITEMS,
            " and ",
            option::BULK_KEY,
            " take the answer apart. A pack that the server refuses with 400, 404, 410, 413, 414 or 422 is halved \
             until the SKU stands alone that it refuses. The output is the same as without packs.",
        )),
    read: |given| given.parse_if_set(values::non_zero),
};

/// A template, not yet parsed.
pub(crate) static ITEM: Handle<String> = Handle {
    setting: Setting::new(Table::Request, option::ITEM, Takes::Text("TEMPLATE"), "One SKU of a pack")
        .default("{sku}")
        .more("May hold any column. Each value is encoded as it is elsewhere in the address or the body: 'ids[]={sku}'."),
    read: |given| given.parse(not_empty),
};

/// As it is sent.
pub(crate) static SEPARATOR: Handle<String> = Handle {
    setting: Setting::new(
        Table::Request,
        option::SEPARATOR,
        Takes::Text("TEXT"),
        "Between two SKUs of a pack",
    )
    .default(",")
    .more("It is sent as it is written: '%20OR%20' in an address, ' OR ' in a JSON body."),
    read: |given| given.parse(not_empty),
};

/// The filter is not yet compiled. None: each answer is whole.
pub(crate) static NEXT: Handle<Option<NextPage>> = Handle {
    setting: Setting::new(
        Table::Request,
        option::NEXT,
        Takes::Text("link|JQ"),
        "Ask for all pages of a SKU's answer",
    )
    .more(joined!(
        "link follows Link: rel=\"next\". A jq filter gives the address of the next page, as a text that may be \
         relative, and null at the end: '.links.next'. It has $url and $page (the address and number of the page), \
         $status, $headers, $key and $row. Method, headers and body stay those of the first page; an address at another \
         origin fails the SKU. The pages become one array of what ",
        option::JOIN,
        " gives of each, to which ",
        option::SELECT,
        " is applied. ",
        option::RETRIES,
        " is for each page, ",
        option::MAX_BODY,
        " for all of them. With ",
        option::BULK,
        " the items of all pages are taken apart together.",
    )),
    read: |given| {
        given.parse_if_set(|text| match text.trim() {
            "" => Err("the filter is empty"),
            NextPage::LINK => Ok(NextPage::Link),
            _ => Ok(NextPage::Filter(text.to_owned())),
        })
    },
};

/// Not yet compiled.
pub(crate) static JOIN: Handle<String> = Handle {
    setting: Setting::new(Table::Request, option::JOIN, Takes::Text("JQ"), "What to take of each page")
        .default(".")
        .more("A jq filter: each value that it gives is an element of the array of all pages. '.items[]' joins lists."),
    read: |given| {
        given.parse(|text| match text.trim() {
            "" => Err("the filter is empty: write . to take each page whole"),
            _ => Ok(text.to_owned()),
        })
    },
};

pub(crate) static PAGES: Handle<NonZeroU32> = Handle {
    setting: Setting::new(Table::Request, option::PAGES, Takes::Word("N"), "The most pages of one SKU")
        .default("100")
        .more("A SKU that has more fails: nothing is cut off in silence."),
    read: |given| given.parse(values::non_zero),
};

pub(crate) static COOKIES: Handle<bool> = Handle {
    setting: Setting::flag(Table::Request, option::COOKIES, "Keep the cookies that answers set").more(
        "They are sent with later requests of the run to the same origin, and to no other. All requests share them. A \
         Cookie header that you gave stays, and its cookies win over those of the same name. Nothing is kept after the \
         run.",
    ),
    read: |given| given.flag(),
};

fn not_empty(text: &str) -> Result<String, &'static str> {
    if text.is_empty() { Err("the value is empty") } else { Ok(text.to_owned()) }
}

/// Of one attempt; at least a millisecond.
pub(crate) static TIMEOUT: Handle<Duration> = Handle {
    setting: Setting::new(
        Table::Request,
        option::TIMEOUT,
        Takes::Word("TIME"),
        "For one attempt, body included",
    )
    .default("30s")
    .more("From sending to the last byte of the body; waiting for its turn does not count."),
    read: |given| given.parse(values::timeout),
};

/// At least a millisecond.
pub(crate) static CONNECT_TIMEOUT: Handle<Duration> = Handle {
    setting: Setting::new(
        Table::Request,
        option::CONNECT_TIMEOUT,
        Takes::Word("TIME"),
        "For connecting, TLS included",
    )
    .default("10s"),
    read: |given| given.parse(values::timeout),
};

pub(crate) static FOLLOW: Handle<Follow> = Handle {
    setting: Setting::new(
        Table::Request,
        option::FOLLOW,
        Takes::Word("REDIRECTS"),
        "none, same-origin or any",
    )
    .default("same-origin")
    .more(joined!(
        "At most 5, and never from https to http. With any, no header, body or user-info that you gave reaches \
         another origin. Where a redirect would lose the body of a request, the SKU fails, and the message names \
         the address to use as ",
        option::URL,
        ".",
    ))
    .completions(&["none", "same-origin", "any"]),
    read: |given| given.choice(),
};

pub(crate) static CA_CERT: Handle<Option<PathBuf>> = Handle {
    setting: Setting::new(
        Table::Request,
        option::CA_CERT,
        Takes::Text("FILE"),
        "Trust the certificates in this PEM file, too",
    ),
    read: |given| given.path(),
};

/// A template of `${NAME}` alone, not yet parsed.
pub(crate) static PROXY: Handle<Option<String>> = Handle {
    setting: Setting::new(
        Table::Request,
        option::PROXY,
        Takes::Text("URL"),
        "Send everything through this proxy",
    )
    .more(
        "Default: the standard variables, such as HTTPS_PROXY and NO_PROXY. May hold ${ENV_VAR}: before \
             the @ it is percent-encoded, elsewhere inserted as it is.",
    )
    .secrecy(Secrecy::Proxy),
    read: |given| Ok(given.text()?.map(str::to_owned)),
};

pub(crate) static INSECURE: Handle<bool> = Handle {
    setting: Setting::flag(Table::Request, option::INSECURE, "Do not verify the server's certificate"),
    read: |given| given.flag(),
};

pub(crate) static HTTP: Handle<HttpChoice> = Handle {
    setting: Setting::new(Table::Request, option::HTTP, Takes::Word("VERSION"), "HTTP: 1.1, 2 or auto")
        .default("auto")
        .more(
            "auto speaks HTTP/2 where the TLS handshake agrees on it. 2 ends the run where the server does not speak \
             it, and speaks it without TLS as well. 1.1 helps where a server or proxy is at fault with HTTP/2 only.",
        )
        .completions(&["1.1", "2", "auto"]),
    read: |given| given.choice(),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url() {
        assert_eq!(URL.of(&[]), Ok(None));
        assert_eq!(URL.of(&["http://a/{sku}"]), Ok(Some("http://a/{sku}".into())));
        assert_eq!(URL.refuses(""), "the value is empty");
    }

    #[test]
    fn method() {
        assert_eq!(METHOD.of(&[]), Ok(None));
        assert_eq!(METHOD.of(&["put"]), Ok(Some(Method::PUT)));
        assert!(METHOD.refuses("CONNECT").contains("opens a tunnel"));
    }

    #[test]
    fn header() {
        let texts =
            |words| HEADER.of(words).map(|lines| lines.into_iter().map(|line| line.text).collect::<Vec<_>>());
        assert_eq!(texts(&[]), Ok(Vec::new()));
        assert_eq!(texts(&["A: 1", "B: ${T}"]), Ok(vec!["a: 1".into(), "b: ${T}".into()]));
        assert!(HEADER.refuses("canary").contains("no colon"));
    }

    #[test]
    fn body() {
        assert_eq!(BODY.of(&[]), Ok(None));
        assert_eq!(BODY.of(&["@q.json"]), Ok(Some("@q.json".into())));
        assert!(BODY.refuses("@-").contains("@FILE"));
    }

    #[test]
    fn body_escape() {
        assert_eq!(BODY_ESCAPE.of(&[]), Ok(None));
        assert!(BODY_ESCAPE.of(&["xml"]).unwrap().is_some());
        assert!(BODY_ESCAPE.refuses("html").contains("json, form, xml or none"));
    }

    #[test]
    fn bulk() {
        assert_eq!(BULK.of(&[]), Ok(None));
        assert_eq!(BULK.of(&["100"]), Ok(NonZeroU32::new(100)));
        assert!(BULK.refuses("0").contains("is not a whole number from 1"));
    }

    #[test]
    fn item() {
        assert_eq!(ITEM.of(&[]).as_deref(), Ok("{sku}"));
        assert_eq!(ITEM.of(&["id={sku}"]).as_deref(), Ok("id={sku}"));
    }

    #[test]
    fn separator() {
        assert_eq!(SEPARATOR.of(&[]).as_deref(), Ok(","));
        assert_eq!(SEPARATOR.of(&[" OR "]).as_deref(), Ok(" OR "));
    }

    #[test]
    fn next() {
        assert_eq!(NEXT.of(&[]), Ok(None));
        assert_eq!(NEXT.of(&[" link "]), Ok(Some(NextPage::Link)));
        assert_eq!(NEXT.of(&[".next"]), Ok(Some(NextPage::Filter(".next".into()))));
        assert!(NEXT.refuses(" ").contains("the filter is empty"));
    }

    #[test]
    fn join() {
        assert_eq!(JOIN.of(&[]).as_deref(), Ok("."));
        assert_eq!(JOIN.of(&[".items[]"]).as_deref(), Ok(".items[]"));
        assert!(JOIN.refuses(" ").contains("the filter is empty"));
    }

    #[test]
    fn pages() {
        assert_eq!(PAGES.of(&[]).map(NonZeroU32::get), Ok(100));
        assert_eq!(PAGES.of(&["1"]).map(NonZeroU32::get), Ok(1));
        assert!(PAGES.refuses("0").contains("is not a whole number from 1"));
    }

    #[test]
    fn cookies() {
        assert_eq!((COOKIES.of(&[]), COOKIES.of(&["1"])), (Ok(false), Ok(true)));
    }

    #[test]
    fn timeout() {
        assert_eq!(TIMEOUT.of(&[]), Ok(Duration::from_secs(30)));
        assert_eq!(TIMEOUT.of(&["250ms"]), Ok(Duration::from_millis(250)));
        assert!(TIMEOUT.refuses("0s").contains("leaves no time"));
    }

    #[test]
    fn connect_timeout() {
        assert_eq!(CONNECT_TIMEOUT.of(&[]), Ok(Duration::from_secs(10)));
        assert!(CONNECT_TIMEOUT.refuses("9").contains("is not a duration"));
    }

    #[test]
    fn follow() {
        assert_eq!(FOLLOW.of(&[]), Ok(Follow::SameOrigin));
        assert_eq!(FOLLOW.of(&["any"]), Ok(Follow::Any));
        assert!(FOLLOW.refuses("all").contains("none, same-origin or any"));
    }

    #[test]
    fn ca_cert() {
        assert_eq!(CA_CERT.of(&[]), Ok(None));
        assert_eq!(CA_CERT.of(&["ca.pem"]), Ok(Some("ca.pem".into())));
        assert_eq!(CA_CERT.refuses(""), "the value is empty");
    }

    #[test]
    fn proxy() {
        assert_eq!(PROXY.of(&[]), Ok(None));
        assert_eq!(PROXY.of(&["http://p:1"]), Ok(Some("http://p:1".into())));
        assert_eq!(PROXY.refuses(""), "the value is empty");
    }

    #[test]
    fn insecure() {
        assert_eq!((INSECURE.of(&[]), INSECURE.of(&["1"])), (Ok(false), Ok(true)));
    }

    #[test]
    fn http() {
        assert_eq!(HTTP.of(&[]), Ok(HttpChoice::Auto));
        assert_eq!(HTTP.of(&["1.1"]), Ok(HttpChoice::Http1));
        assert_eq!(HTTP.of(&["2"]), Ok(HttpChoice::Http2));
        assert!(HTTP.refuses("3").contains("1.1, 2 or auto"));
    }
}
