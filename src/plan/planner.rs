//! The planner: turns each row into a job, a repeat or a rejection.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::input::{Damage, EmptyKey, Row};
use crate::model::{Job, Key, KeyError};
use crate::plan::cells::Cells;
use crate::plan::fingerprint::FieldHasher;
use crate::plan::planned::{Planned, RejectedRow};
use crate::plan::rejection::Rejection;
use crate::plan::repeats::{FirstRow, Repeats};
use crate::plan::request_template::{BoundTemplate, RequestTemplate};
use crate::plan::row_warnings::RowWarnings;

/// Turns rows into jobs. Keeps the keys that have one, so that each key is requested once.
pub struct Planner {
    request: Arc<BoundTemplate>,
    hasher: FieldHasher,
    /// Its requests are compared where the template uses more of a row than its key.
    compares_requests: bool,
    repeats: Repeats,
    superseded: Superseded,
    empty_key: EmptyKey,
    warnings: RowWarnings,
    /// A buffer for reuse.
    scratch: String,
}

/// Rejected rows whose key may still get a job from a later row.
#[derive(Default)]
struct Superseded {
    /// Their number, by the low half of the hash of the key: only a count depends on it.
    open: HashMap<u64, u32>,
    rows: u64,
}

#[allow(clippy::cast_possible_truncation, reason = "the low 64 bits are meant")]
impl Superseded {
    fn refused(&mut self, key_hash: u128) {
        *self.open.entry(key_hash as u64).or_default() += 1;
    }

    fn planned(&mut self, key_hash: u128) {
        if !self.open.is_empty() {
            self.rows += u64::from(self.open.remove(&(key_hash as u64)).unwrap_or(0));
        }
    }
}

/// Shows the method and the URL template, no secrets.
impl fmt::Debug for Planner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Planner({})", self.request.identity())
    }
}

impl Planner {
    /// For the rows of the input that `request` is bound to. `salt` keys every hash: random, except where a
    /// journal with its own salt is continued.
    #[must_use]
    pub fn new(request: BoundTemplate, salt: [u8; 16]) -> Self {
        let compares_requests = request.used().iter().any(|&column| column != request.key());
        Self {
            request: Arc::new(request),
            hasher: FieldHasher::new(salt),
            compares_requests,
            repeats: Repeats::new(compares_requests),
            superseded: Superseded::default(),
            empty_key: EmptyKey::Fail,
            warnings: RowWarnings::default(),
            scratch: String::new(),
        }
    }

    /// What becomes of rows without a key.
    #[must_use]
    pub(crate) fn with_empty_key(self, empty_key: EmptyKey) -> Self {
        Self { empty_key, ..self }
    }

    /// The request that jobs are made of.
    pub fn request(&self) -> &Arc<BoundTemplate> {
        &self.request
    }

    /// Its template, without the columns.
    pub fn template(&self) -> &Arc<RequestTemplate> {
        self.request.template()
    }

    /// Decides about the next row.
    pub fn plan(&mut self, row: Row) -> Planned {
        let Row { seq, line, record, is_padded, damage, quoting_doubt } = row;
        if let Some(doubt) = quoting_doubt {
            self.warnings.doubts.add(doubt);
        }
        let refused = |key, why, record| Planned::Rejected(RejectedRow { seq, line, key, why, record });
        if damage == Some(Damage::RepeatedHeader) {
            self.warnings.headers.note(line);
            return refused(None, Rejection::Damaged(Damage::RepeatedHeader), record);
        }
        if record.len() != self.request.names().len() && !is_padded {
            let damage = damage
                .unwrap_or(Damage::FieldCount { found: record.len(), expected: self.request.names().len() });
            return refused(None, Rejection::Damaged(damage), record);
        }
        let cells = Cells { record: &record, names: self.request.names() };
        let key = match Key::parse(cells.bytes(self.request.key())) {
            Ok(key) => key,
            Err(KeyError::Empty) if self.empty_key == EmptyKey::Skip => {
                return Planned::Skipped { seq, line };
            }
            Err(error) => {
                let column = cells.name(self.request.key());
                let why = match (damage, error) {
                    (_, KeyError::Empty) => Rejection::EmptyKey { column },
                    (Some(damage), _) => Rejection::Damaged(damage),
                    (None, KeyError::NotUtf8) => Rejection::NotUtf8 { column },
                };
                return refused(None, why, record);
            }
        };

        let keyed = self.hasher.with(key.as_str().as_bytes());
        let fingerprint = self
            .request
            .used()
            .iter()
            .fold(keyed, |print, &column| print.with(cells.bytes(column)))
            .fingerprint();
        let key_hash = keyed.finish();
        #[allow(clippy::cast_possible_truncation, reason = "any 32 bits of it do")]
        let request_hash = if self.compares_requests { fingerprint.0 as u32 } else { 0 };
        if let Some(first) = self.repeats.find(key_hash) {
            let differs = first.request != request_hash;
            self.warnings.keys.note_row(&key, line);
            return Planned::Repeat { seq, line, first: first.seq, differs, key, record };
        }
        if let Some(damage) = damage {
            self.superseded.refused(key_hash);
            return refused(Some(key), Rejection::Damaged(damage), record);
        }
        let request = match self.request.render(cells, &mut self.scratch) {
            Ok(request) => request,
            Err(why) => {
                self.superseded.refused(key_hash);
                return refused(Some(key), why, record);
            }
        };
        self.superseded.planned(key_hash);
        let first = FirstRow { seq, request: request_hash };
        self.repeats.insert(key_hash, first);
        let suspicion = self.warnings.keys.note_row(&key, line);
        self.warnings.keys.note_key(suspicion);
        if let Some((kind, value)) = self.request.path_suspicion(cells) {
            self.warnings.keys.add(kind, line, || value);
        }
        Planned::Job(Job { seq, line, key, fingerprint, request, record })
    }

    /// Whether a row with this key became a job. An earlier row of the same key that was rejected is then a
    /// repeat, not a failure. This is known only at the end of the input.
    pub(crate) fn was_planned(&self, key: &Key) -> bool {
        self.repeats.find(self.hasher.with(key.as_str().as_bytes()).finish()).is_some()
    }

    /// Rejected rows so far whose key got a job from a later row: they are repeats, not failures.
    pub(crate) fn superseded(&self) -> u64 {
        self.superseded.rows
    }

    /// What looks odd in the rows so far.
    pub(crate) fn row_warnings(&self) -> &RowWarnings {
        &self.warnings
    }

    /// The same, one sentence for each kind.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.sentences()
    }
}

#[cfg(test)]
mod tests {
    use csv::ByteRecord;
    use http::Method;

    use super::*;
    use crate::model::{Mask, Seq};
    use crate::plan::RequestSettings;
    use crate::plan::test_plan::{bind, env, job, planner, row, settings};

    fn refused(planned: Planned) -> RejectedRow {
        match planned {
            Planned::Rejected(refused) => refused,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_row_becomes_a_job_with_its_place_key_request_and_record() {
        let mut settings = settings("https://h/{sku}?r={region}");
        settings.headers = vec!["X-Region: {region}".into(), "Authorization: Bearer ${TOKEN}".into()];
        settings.body = Some(r#"{"q":"{sku}"}"#.into());
        let mut planner = planner(&settings);
        let job = job(planner.plan(row(7, &["00 1\"", "eu"])));
        assert_eq!((job.seq, job.line, job.key.as_str()), (Seq(5), 7, "00 1\""));
        assert_eq!(job.request.method, Method::POST);
        assert_eq!(job.request.url.as_str(), "https://h/00%201%22?r=eu");
        assert_eq!(job.request.headers["x-region"], "eu");
        assert_eq!(job.request.body.as_deref(), Some(&br#"{"q":"00 1\""}"#[..]));
        assert!(!job.request.cross_origin);
        assert_eq!(job.record, vec!["00 1\"", "eu"]);
        assert_eq!(planner.template().constant_headers()["authorization"], "Bearer can/ary");
        assert_eq!(planner.template().constant_headers()["content-type"], "application/json");
        assert_eq!(planner.template().header_names(), ["authorization", "content-type", "x-region"]);
        assert_eq!(planner.template().origin(), "https://h");
    }

    #[test]
    fn a_planner_may_move_to_a_thread_of_its_own() {
        fn moves<T: Send + 'static>() {}
        moves::<Planner>();
        moves::<Planned>();
        moves::<Mask>();
    }

    #[test]
    fn a_repeat_is_requested_once_and_records_whether_its_request_would_have_differed() {
        let mut planner = planner(&settings("http://h/{sku}?r={region}"));
        job(planner.plan(row(2, &["a", "eu"])));
        for (line, region, expected) in [(3, "eu", false), (4, "us", true), (5, "bad\n", true)] {
            let Planned::Repeat { line: found, first: Seq(0), differs, .. } =
                planner.plan(row(line, &["a", region]))
            else {
                panic!("no repeat")
            };
            assert_eq!((found, differs), (line.into(), expected));
        }
    }

    #[test]
    fn columns_that_the_request_does_not_use_make_no_difference() {
        let mut planner = planner(&settings("http://h/{sku}"));
        job(planner.plan(row(2, &["a", "eu"])));
        assert!(matches!(planner.plan(row(3, &["a", "us"])), Planned::Repeat { differs: false, .. }));
    }

    #[test]
    fn of_a_repeated_sku_the_first_row_that_can_be_requested_counts() {
        let mut planner = planner(&settings("http://h/{sku}?r={region}"));
        let early = refused(planner.plan(row(2, &["a", ""])));
        let never = refused(planner.plan(row(3, &["b", ""])));
        job(planner.plan(row(4, &["a", "eu"])));
        assert!(planner.was_planned(&early.key.unwrap()));
        assert!(!planner.was_planned(&never.key.unwrap()));
    }

    #[test]
    fn an_empty_key_fails_its_row_even_where_the_url_does_not_need_it() {
        let mut planner = planner(&settings("http://h/{region}"));
        let refused = refused(planner.plan(row(2, &["", "eu"])));
        assert_eq!(refused.why.to_string(), "column `sku`, the key, is empty");
        assert_eq!((refused.key, refused.record), (None, ByteRecord::from(vec!["", "eu"])));
    }

    #[test]
    fn a_row_without_a_key_is_skipped_where_that_is_wanted_whatever_else_is_wrong_with_it() {
        let mut planner = planner(&settings("http://h/{sku}")).with_empty_key(EmptyKey::Skip);
        let mut damaged = row(3, &[&b""[..], b"\xff"]);
        damaged.damage = Some(Damage::NotText { column: "region".into(), encoding: "UTF-8" });
        for row in [row(2, &["", "eu"]), damaged] {
            assert!(matches!(planner.plan(row), Planned::Skipped { .. }));
        }
        job(planner.plan(row(4, &["a", "eu"])));
    }

    #[test]
    fn a_padded_row_is_requested_with_empty_cells_and_keeps_its_own() {
        let mut planner = planner(&settings("http://h/{sku}"));
        let padded = Row { is_padded: true, ..row(2, &["a"]) };
        assert_eq!(job(planner.plan(padded)).record, vec!["a"]);
        let needed = super::super::test_plan::planner(&settings("http://h/{sku}/{region}"));
        let mut needed = needed;
        let padded = Row { is_padded: true, ..row(2, &["a"]) };
        assert!(matches!(refused(needed.plan(padded)).why, Rejection::Empty { .. }));
    }

    #[test]
    fn a_header_once_more_is_refused_and_warned_about() {
        let mut planner = planner(&settings("http://h/{sku}"));
        for line in [5, 9] {
            let again = Row { damage: Some(Damage::RepeatedHeader), ..row(line, &["sku", "region"]) };
            assert_eq!(refused(planner.plan(again)).key, None);
        }
        let expected = "2 rows are the header once more, the first in line 5: were files joined?";
        assert_eq!(planner.warnings(), [expected]);
    }

    #[test]
    fn a_damaged_row_is_refused_with_its_key_only_where_its_cells_are_in_place() {
        let mut planner = planner(&settings("http://h/{sku}"));
        let found = refused(planner.plan(row(2, &["a", "b", "c"])));
        assert_eq!(found.why.to_string(), "the row is damaged: 3 fields where the header has 2");
        assert_eq!(found.key, None);
        assert!(refused(planner.plan(row(3, &["a"]))).key.is_none());

        let bad = |sku: &[u8]| {
            let mut row = row(4, &[sku, b"\xff"]);
            row.damage = Some(Damage::NotText { column: "region".into(), encoding: "UTF-8" });
            row
        };
        assert_eq!(refused(planner.plan(bad(b"a"))).key.unwrap().as_str(), "a");
        assert!(refused(planner.plan(bad(b"\xfe"))).key.is_none());
        job(planner.plan(row(5, &["a", "eu"])));
        assert!(matches!(planner.plan(bad(b"a")), Planned::Repeat { first: Seq(3), .. }));
    }

    #[test]
    fn a_cell_that_is_not_text_is_refused_also_without_a_word_from_the_input() {
        let mut planner = planner(&settings("http://h/{sku}?r={region}"));
        assert!(matches!(
            refused(planner.plan(row(2, &[&b"\xff"[..], b"eu"]))).why,
            Rejection::NotUtf8 { .. }
        ));
        assert!(matches!(
            refused(planner.plan(row(3, &[&b"a"[..], b"\xff"]))).why,
            Rejection::NotUtf8 { .. }
        ));
    }

    #[test]
    fn a_fingerprint_holds_the_key_and_the_values_in_the_order_of_their_use() {
        let print = |names: &[&str], url: &str, cells: &[&str]| {
            let mut planner = Planner::new(bind(&settings(url), names, &env).unwrap(), [3; 16]);
            job(planner.plan(row(2, cells))).fingerprint
        };
        let first = print(&["sku", "a", "b"], "http://h/{b}/{a}/{b}", &["k", "1", "2"]);
        assert_eq!(first, FieldHasher::new([3; 16]).with(b"k").with(b"2").with(b"1").fingerprint());
        assert_eq!(first, print(&["sku", "b", "x", "a"], "http://h/{b}/{a}/{b}", &["k", "2", "?", "1"]));
        assert_ne!(first, print(&["sku", "b", "a"], "http://h/{b}/{a}/{b}", &["k", "1", "2"]));
    }

    #[test]
    fn a_fingerprint_does_not_depend_on_the_order_of_header_names() {
        let print = |headers: [&str; 2]| {
            let headers = headers.map(str::to_owned).to_vec();
            let mut planner = planner(&RequestSettings { headers, ..settings("https://h/{sku}") });
            job(planner.plan(row(2, &["k", "eu"]))).fingerprint
        };
        assert_eq!(
            print(["X-Region: {region}", "X-Sku: {sku}"]),
            print(["x-sku: {sku}", "X-REGION: {region}"])
        );
    }

    #[test]
    fn suspicious_keys_are_requested_and_warned_about_once() {
        let mut planner = planner(&settings("http://h/{sku}"));
        for (line, sku) in [(2, "1.23E+12"), (3, "4.56E+12"), (4, "4.56E+12"), (5, "1\t")] {
            planner.plan(row(line, &[sku, ""]));
        }
        let warnings = planner.warnings();
        assert_eq!(warnings.len(), 1, "a refused row is not counted: {warnings:?}");
        assert!(warnings[0].starts_with("the SKUs of 3 rows, which make only 2 SKUs, look like numbers"));
    }

    #[test]
    fn a_path_that_servers_read_differently_is_requested_and_warned_about_with_its_value() {
        let mut planner = planner(&settings("http://h/p/{region}?q={sku}"));
        for (line, sku, region) in [(2, "/1", "a/b"), (3, "2", "/eu"), (4, "3", "a//b"), (5, "4", "..;x")] {
            job(planner.plan(row(line, &[sku, region])));
        }
        let told = planner.warnings();
        assert_eq!(
            told,
            [
                "2 SKUs put a second slash into the path of their URL, the first is `/eu` (line 3); they are fetched \
                 as they are, but a server that merges slashes answers for another value",
                "1 SKU hides a `.` or `..` in the path of its URL: `..;x` (line 5); it is fetched as it is, \
                 but a server that decodes twice, or takes off what follows a `;`, answers for another path",
            ]
        );
    }
}
