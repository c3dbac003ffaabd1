//! The options of table `response`.

use crate::config::joined::joined;
use crate::config::setting::{Handle, Setting, Table, Takes};
use crate::config::values;
use crate::fetch::{BodyAs, NullOn};
use crate::model::Size;
use crate::model::option;

pub(crate) static SETTINGS: &[&Setting] = &[
    &SELECT.setting,
    &BODY_AS.setting,
    &NULL_ON.setting,
    &REFUSED_IF.setting,
    &NULL_IF.setting,
    &RETRY_IF.setting,
    &FAIL_IF.setting,
    &BULK_ITEMS.setting,
    &BULK_KEY.setting,
    &MAX_BODY.setting,
];

/// Not yet compiled.
pub(crate) static SELECT: Handle<String> = Handle {
    setting: Setting::new(Table::Response, option::SELECT, Takes::Text("JQ"), "A jq filter on each body")
        .default(".")
        .more("$key is the SKU, and $row has the cells of its row: '. + {cost: $row.cost}'."),
    read: |given| {
        given.parse(|text| match text.trim() {
            "" => Err("the filter is empty: write . to keep the body as it is"),
            _ => Ok(text.to_owned()),
        })
    },
};

pub(crate) static BODY_AS: Handle<BodyAs> = Handle {
    setting: Setting::new(Table::Response, option::BODY_AS, Takes::Word("KIND"), "json or text")
        .default("json")
        .more(
            "With text the body becomes a JSON string. A charset that Content-Type declares is decoded; a \
             byte-order mark wins over it.",
        )
        .completions(&["json", "text"]),
    read: |given| given.choice(),
};

pub(crate) static NULL_ON: Handle<NullOn> = Handle {
    setting: Setting::new(Table::Response, option::NULL_ON, Takes::Word("CODES"), "Statuses that store null")
        .default("none")
        .more(joined!(
            "They count as fetched. For example 404,410. A status that is also in the default of ",
            option::RETRY_ON,
            " is then stored, not retried. With the word missing, so do SKUs that the answer to a pack leaves out: \
             missing,404.",
        )),
    read: |given| given.parse(values::null_on),
};

/// Not yet compiled, as the three below.
pub(crate) static REFUSED_IF: Handle<Option<String>> = Handle {
    setting: Setting::new(
        Table::Response,
        option::REFUSED_IF,
        Takes::Text("JQ"),
        "Answers that refuse the credentials",
    )
    .more(joined!(
        "A jq filter on every answer, error or not: where it gives true, the answer counts as 401 does. Filters \
         that say what an answer means have $status, $headers (names in lower case), $key and $row, and are asked \
         in this order: ",
        option::REFUSED_IF,
        ", ",
        option::NULL_IF,
        ", ",
        option::RETRY_IF,
        ", ",
        option::FAIL_IF,
        ". Any value but false and null counts as true. A filter that fails, and a body that is not JSON, say no.",
    )),
    read: |given| given.parse_if_set(condition),
};

pub(crate) static NULL_IF: Handle<Option<String>> = Handle {
    setting: Setting::new(Table::Response, option::NULL_IF, Takes::Text("JQ"), "Answers that store null")
        .more(joined!(
            "A jq filter on 2xx. They count as fetched, as those of ",
            option::NULL_ON,
            " do. For example '.status == \"NOT_FOUND\"'.",
        )),
    read: |given| given.parse_if_set(condition),
};

pub(crate) static RETRY_IF: Handle<Option<String>> = Handle {
    setting: Setting::new(
        Table::Response,
        option::RETRY_IF,
        Takes::Text("JQ"),
        "Answers to try again",
    )
    .more(joined!(
        "A jq filter on every answer. true is a retry of the SKU. A number is a limit of the API: all requests \
         pause for so many seconds, as with 429 and Retry-After, and the SKU loses no retry. Over ",
        option::MAX_RETRY_AFTER,
        " the run ends.",
    )),
    read: |given| given.parse_if_set(condition),
};

pub(crate) static FAIL_IF: Handle<Option<String>> = Handle {
    setting: Setting::new(Table::Response, option::FAIL_IF, Takes::Text("JQ"), "Answers that fail their SKU")
        .more("A jq filter on 2xx. A text that it gives is the reason that is shown: '.errors[0].message'."),
    read: |given| given.parse_if_set(condition),
};

fn condition(text: &str) -> Result<String, &'static str> {
    match text.trim() {
        "" => Err("the filter is empty"),
        _ => Ok(text.to_owned()),
    }
}

/// Not yet compiled, as the one below.
pub(crate) static BULK_ITEMS: Handle<Option<String>> = Handle {
    setting: Setting::new(
        Table::Response,
        option::BULK_ITEMS,
        Takes::Text("JQ"),
        "The items in the answer to a pack",
    )
    .more(joined!(
        "A jq filter: each value that it gives is an item, and a single array or object is taken apart into its \
         elements or members: '.data.products'. Without it the whole answer is taken apart. ",
        option::SELECT,
        " and the filters that say what an answer means are applied to each item.",
    )),
    read: |given| given.parse_if_set(condition),
};

pub(crate) static BULK_KEY: Handle<Option<String>> = Handle {
    setting: Setting::new(Table::Response, option::BULK_KEY, Takes::Text("JQ"), "The SKU of an item")
        .more(
            "A jq filter on each item: '.sku'. $name is the name of a member that the item was. By default the item's \
             SKU is that name. Items are matched by their SKU, never by their order.",
        ),
    read: |given| given.parse_if_set(condition),
};

/// Decoded; never 0.
pub(crate) static MAX_BODY: Handle<Size> = Handle {
    setting: Setting::new(
        Table::Response,
        option::MAX_BODY,
        Takes::Word("SIZE"),
        "The largest body to keep, decoded",
    )
    .default("10MiB"),
    read: |given| given.parse(values::size),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn select() {
        assert_eq!(SELECT.of(&[]).as_deref(), Ok("."));
        assert_eq!(SELECT.of(&[" .a"]).as_deref(), Ok(" .a"));
        assert!(SELECT.refuses("  ").contains("the filter is empty"));
    }

    #[test]
    fn conditions() {
        for condition in [&REFUSED_IF, &NULL_IF, &RETRY_IF, &FAIL_IF] {
            assert_eq!(condition.of(&[]), Ok(None));
            assert_eq!(condition.of(&[" .a"]), Ok(Some(" .a".into())));
            assert!(condition.refuses("  ").contains("the filter is empty"));
        }
    }

    #[test]
    fn bulk_items() {
        assert_eq!(BULK_ITEMS.of(&[]), Ok(None));
        assert_eq!(BULK_ITEMS.of(&[".data"]), Ok(Some(".data".into())));
        assert!(BULK_ITEMS.refuses(" ").contains("the filter is empty"));
    }

    #[test]
    fn bulk_key() {
        assert_eq!(BULK_KEY.of(&[]), Ok(None));
        assert_eq!(BULK_KEY.of(&[".sku"]), Ok(Some(".sku".into())));
        assert!(BULK_KEY.refuses(" ").contains("the filter is empty"));
    }

    #[test]
    fn body_as() {
        assert_eq!((BODY_AS.of(&[]), BODY_AS.of(&["text"])), (Ok(BodyAs::Json), Ok(BodyAs::Text)));
        assert!(BODY_AS.refuses("xml").contains("json or text"));
    }

    #[test]
    fn null_on() {
        assert_eq!(NULL_ON.of(&[]), Ok(NullOn::default()));
        assert!(NULL_ON.of(&["404,410"]).unwrap().statuses.contains(410));
        assert!(!NULL_ON.of(&["404"]).unwrap().missing && NULL_ON.of(&["missing"]).unwrap().missing);
        let both = NULL_ON.of(&["404, missing"]).unwrap();
        assert!(both.missing && both.statuses.contains(404));
        assert!(NULL_ON.refuses("+404").contains("are not statuses"));
    }

    #[test]
    fn max_body() {
        assert_eq!((MAX_BODY.of(&[]), MAX_BODY.of(&["1kB"])), (Ok(Size(10 << 20)), Ok(Size(1_000))));
        assert!(MAX_BODY.refuses("0").contains("is not a size"));
    }
}
