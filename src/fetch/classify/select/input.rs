//! An answer as filters see it: its body, parsed once for all of them, and the values of their variables.

use std::panic::catch_unwind;

use bytes::Bytes;
use http::HeaderMap;
use jaq_json::{Map, Val};
use url::Url;

use super::row_cells::RowCells;
use super::{AnswerFacts, AskedKey, UsedVariables, value};

/// The input of filters.
pub(in super::super) struct FilterInput {
    body: Val,
    status: Val,
    headers: Val,
    key: Val,
    row: Val,
    name: Val,
    page_url: Val,
    page_number: Val,
}

impl FilterInput {
    /// `json` is checked and compact; `None` where it is not. Of the variables those are made that the filters use.
    pub(in super::super) fn new(json: &[u8], facts: &AnswerFacts<'_>, used: &UsedVariables) -> Option<Self> {
        // A body may trigger a bug of the library; that must fail this one body, not the run.
        let body = catch_unwind(|| value::read(&Bytes::copy_from_slice(json))).ok()??;
        Some(Self {
            body,
            status: Val::from(usize::from(facts.status)),
            headers: if used.headers { headers(facts.headers) } else { Val::Null },
            key: facts.asked.map_or(Val::Null, |asked| text(asked.key.as_str().as_bytes())),
            row: facts.asked.map_or(Val::Null, |asked| row(&used.cells, asked)),
            name: Val::Null,
            page_url: Val::Null,
            page_number: Val::Null,
        })
    }

    /// The same as an item, which was the member of this name.
    pub(in super::super) fn named(mut self, name: Option<&str>) -> Self {
        self.name = name.map_or(Val::Null, |name| text(name.as_bytes()));
        self
    }

    /// It is a page of several, with this number, at this address; its user-info is left out.
    pub(in super::super) fn set_page(&mut self, url: &Url, number: u32) {
        let mut shown = url.clone();
        // Both fail only for URLs without a host, which are not requested.
        let _ = shown.set_username("");
        let _ = shown.set_password(None);
        self.page_url = text(shown.as_str().as_bytes());
        self.page_number = usize::try_from(number).map_or(Val::Null, Val::from);
    }

    pub(super) fn body(&self) -> Val {
        self.body.clone()
    }

    /// The values of these variables.
    pub(super) fn variables<'a>(&'a self, names: &'a [&str]) -> impl Iterator<Item = Val> + 'a {
        names.iter().map(|name| match *name {
            super::STATUS => self.status.clone(),
            super::HEADERS => self.headers.clone(),
            super::KEY => self.key.clone(),
            super::ROW => self.row.clone(),
            super::NAME => self.name.clone(),
            super::PAGE_URL => self.page_url.clone(),
            super::PAGE_NUMBER => self.page_number.clone(),
            _ => Val::Null,
        })
    }
}

/// The fields by their names in lower case. Those of one name are one text, as RFC 9110, section 5.3, joins them.
fn headers(fields: &HeaderMap) -> Val {
    let mut members = Map::default();
    for name in fields.keys() {
        let values: Vec<&[u8]> = fields.get_all(name).iter().map(http::HeaderValue::as_bytes).collect();
        members.insert(text(name.as_str().as_bytes()), text(&values.join(&b", "[..])));
    }
    Val::obj(members)
}

/// The cells by the names of their columns.
fn row(cells: &RowCells, asked: AskedKey<'_>) -> Val {
    let mut members = Map::default();
    for (name, column) in cells.iter() {
        // A row that is padded has fewer cells; the others are empty.
        members.insert(text(name.as_bytes()), text(asked.record.get(column).unwrap_or_default()));
    }
    Val::obj(members)
}

fn text(bytes: &[u8]) -> Val {
    // jq's texts are UTF-8.
    Val::utf8_str(Bytes::from(String::from_utf8_lossy(bytes).into_owned()))
}
