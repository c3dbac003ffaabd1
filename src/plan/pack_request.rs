//! The requests of packs: a template with `{items}`, rendered for several rows.

use csv::ByteRecord;

use crate::model::request_url::redacted_url;
use crate::model::{Pack, PackItem, Request};
use crate::plan::body::BoundBody;
use crate::plan::cells::Cells;
use crate::plan::rejection::Rejection;
use crate::plan::request_template::BoundTemplate;

impl BoundTemplate {
    /// The address of a pack's request, with its first keys, at most `most`.
    pub(crate) fn shown_pack_url(&self, pack: &Pack, most: usize) -> String {
        let items = &pack.items[..pack.items.len().min(most)];
        let rows = items.iter().map(|item| Cells { record: &item.record, names: &self.names });
        let url = self.url.render_pack(rows.clone()).map_or_else(|_| String::new(), |url| redacted_url(&url));
        self.mask.apply(&(url + &self.url.shown_pack_query(rows))).into_owned()
    }

    /// The columns that the request of a pack uses beside its items, each once. Only rows with the same cells there can
    /// be packed together.
    pub(super) fn columns_beside_items(&self) -> Vec<usize> {
        let in_body = self.body.iter().flat_map(BoundBody::columns_beside_items);
        let mut beside = Vec::new();
        for column in self.url.columns_beside_items().chain(self.headers.columns()).chain(in_body) {
            if !beside.contains(&column) {
                beside.push(column);
            }
        }
        beside
    }

    /// The length of path and query of a request for this row alone, and what the row adds to those of a pack, in bytes.
    pub(super) fn target_lengths(
        &self,
        (record, alone): (&ByteRecord, &Request),
        scratch: &mut String,
    ) -> (usize, usize) {
        let cells = Cells { record, names: &self.names };
        (alone.url.target().len(), self.url.item_length(cells, scratch))
    }

    /// The request of a pack of these rows, at least one, each of which was rendered before.
    pub(super) fn render_pack(&self, items: &[PackItem], scratch: &mut String) -> Result<Request, Rejection> {
        let rows = || items.iter().map(|item| Cells { record: &item.record, names: &self.names });
        let Some(first) = rows().next() else { return Err(Rejection::UrlChanged) };
        Ok(Request {
            method: self.template.method.clone(),
            url: self.url.render_pack(rows())?,
            headers: self.headers.render(first, scratch)?,
            body: self.body.as_ref().map(|body| body.render_pack(rows())).transpose()?,
            cross_origin: false,
        })
    }
}
