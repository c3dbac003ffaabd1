//! The planner: settings and columns in, then one row after the other to a job, a repeat or a refusal.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;

use csv::ByteRecord;
use http::{HeaderMap, HeaderName, Method};
use secrecy::{ExposeSecret, SecretString};

use crate::input::{Columns, Damage, Row};
use crate::model::Mask;
use crate::model::job::redacted_url;
use crate::model::{Job, Key, KeyError, Request};
use crate::plan::body::BodyTemplate;
use crate::plan::body_escape::BodyEscape;
use crate::plan::error::PlanError;
use crate::plan::fingerprint::{FieldHasher, RequestIdentity};
use crate::plan::header::Headers;
use crate::plan::planned::{Planned, RejectedRow};
use crate::plan::rejection::{Cells, Rejection};
use crate::plan::repeats::{FirstRow, Repeats};
use crate::plan::secrets::SecretCollector;
use crate::plan::suspicious_keys::{KeyWarning, SuspiciousKeys};
use crate::plan::template::{EnvLookup, Scope};
use crate::plan::url_template::UrlTemplate;
use crate::plan::user_info::{PROXY_VARIABLES, UserInfo, proxy_address};

/// What the user said about the request, as text.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RequestSettings {
    /// The URL template.
    pub url: String,
    /// The method; without one GET, or POST with a body.
    pub method: Option<Method>,
    /// `Name: value` lines; a value is a template.
    pub headers: Vec<String>,
    /// The body template itself, not the name of a file.
    pub body: Option<String>,
    /// How values are inserted into the body; without it as its `Content-Type` needs it.
    pub body_escape: Option<BodyEscape>,
    /// The address of a proxy, a template of `${NAME}` alone.
    pub proxy: Option<String>,
}

/// Shows only what is certainly no secret.
impl fmt::Debug for RequestSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestSettings").field("method", &self.method).finish_non_exhaustive()
    }
}

/// Makes jobs of rows.
pub struct Planner {
    method: Method,
    url: UrlTemplate,
    headers: Headers,
    body: Option<BodyTemplate>,
    names: Vec<String>,
    key: usize,
    /// The columns that the request uses, each once, in the order of their use.
    used: Vec<usize>,
    print: FieldHasher,
    identity: RequestIdentity,
    proxy: Option<SecretString>,
    mask: Mask,
    short_secrets: Vec<String>,
    repeats: Repeats,
    refused: Superseded,
    suspicious_keys: SuspiciousKeys,
    scratch: String,
}

/// Rejected rows whose key may yet get a job from a later row.
#[derive(Default)]
struct Superseded {
    /// How many, by the low half of the key's hash: only a count depends on it.
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

/// Shows what would be asked, no secrets.
impl fmt::Debug for Planner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Planner({})", self.identity)
    }
}

impl Planner {
    /// Binds the templates to the columns and expands `${NAME}` through `env`. `salt` keys every hash: random,
    /// and the same again when a journal that was written with it is to be continued.
    ///
    /// # Errors
    /// A template that is badly written, names no column, or asks for a variable that is not there; a URL
    /// that cannot be one; a header line that cannot be sent; no column anywhere.
    pub fn new(
        settings: &RequestSettings,
        columns: &Columns,
        env: &EnvLookup<'_>,
        salt: [u8; 16],
    ) -> Result<Self, PlanError> {
        let secrets = RefCell::new(SecretCollector::default());
        let noting = |name: &str| env(name).inspect(|value| secrets.borrow_mut().variable(name, value));
        let scope = Scope { columns, env: &noting };
        let url = UrlTemplate::parse(&settings.url, scope)?;
        let headers = Headers::parse(&settings.headers, settings.body.is_some(), scope)?;
        let escape = || settings.body_escape.map_or_else(|| headers.body_escape(), Ok);
        let body =
            settings.body.as_deref().map(|text| BodyTemplate::parse(text, escape(), scope)).transpose()?;
        if body.as_ref().is_some_and(BodyTemplate::has_placeholder) {
            headers.check_charset()?;
        }
        let proxy = settings.proxy.as_deref().map(|text| proxy_address(text, &noting)).transpose()?;
        let mut secrets = secrets.into_inner();
        secrets.headers(&headers);
        secrets.varying_headers(&headers);
        secrets.query(&url);
        gather_user_info(&mut secrets, (&url, proxy.as_ref()), env);
        let (mask, short_secrets) = secrets.finish();

        let mut used = Vec::new();
        let in_body = body.iter().flat_map(BodyTemplate::columns);
        for column in url.columns().chain(headers.columns()).chain(in_body) {
            if !used.contains(&column) {
                used.push(column);
            }
        }
        if used.is_empty() {
            return Err(constant(settings, columns));
        }
        let default = if settings.body.is_some() { Method::POST } else { Method::GET };
        let method = settings.method.clone().unwrap_or(default);
        let print = FieldHasher::new(salt);
        let shown = format!("{method} {}", url.shown());
        let escape = body.as_ref().map(BodyTemplate::escape);
        let digest = digest(print, settings, (&method, escape), (&headers, columns));
        Ok(Self {
            identity: RequestIdentity { digest, shown },
            proxy,
            mask,
            short_secrets,
            names: columns.names.clone(),
            key: columns.key,
            repeats: Repeats::default(),
            refused: Superseded::default(),
            suspicious_keys: SuspiciousKeys::default(),
            scratch: String::new(),
            method,
            url,
            headers,
            body,
            used,
            print,
        })
    }

    /// Decides about the next row.
    pub fn plan(&mut self, row: Row) -> Planned {
        let Row { seq, line, record, damage } = row;
        let refused = |key, why, record| Planned::Rejected(RejectedRow { seq, line, key, why, record });
        if record.len() != self.names.len() {
            let damage =
                damage.unwrap_or(Damage::FieldCount { found: record.len(), expected: self.names.len() });
            return refused(None, Rejection::Damaged(damage), record);
        }
        let cells = Cells { record: &record, names: &self.names };
        let key = match Key::parse(cells.bytes(self.key)) {
            Ok(key) => key,
            Err(error) => {
                let column = cells.name(self.key);
                let why = match (damage, error) {
                    (Some(damage), _) => Rejection::Damaged(damage),
                    (None, KeyError::Empty) => Rejection::EmptyKey { column },
                    (None, KeyError::NotUtf8) => Rejection::NotUtf8 { column },
                };
                return refused(None, why, record);
            }
        };

        let keyed = self.print.with(key.as_str().as_bytes());
        let fingerprint =
            self.used.iter().fold(keyed, |print, &column| print.with(cells.bytes(column))).fingerprint();
        let key_hash = keyed.finish();
        #[allow(clippy::cast_possible_truncation, reason = "any 32 bits of it do")]
        let request_hash = fingerprint.0 as u32;
        if let Some(first) = self.repeats.find(key_hash) {
            let differs = first.request != request_hash;
            return Planned::Repeat { seq, line, first_line: first.line.into(), differs };
        }
        if let Some(damage) = damage {
            self.refused.refused(key_hash);
            return refused(Some(key), Rejection::Damaged(damage), record);
        }
        let request = match self.render(&record) {
            Ok(request) => request,
            Err(why) => {
                self.refused.refused(key_hash);
                return refused(Some(key), why, record);
            }
        };
        self.refused.planned(key_hash);
        let first = FirstRow { line: u32::try_from(line).unwrap_or(u32::MAX), request: request_hash };
        self.repeats.insert(key_hash, first);
        self.suspicious_keys.note(&key, line);
        Planned::Job(Job { seq, line, key, fingerprint, request, record })
    }

    /// Whether a row with this key became a job. An earlier row of the same key that was refused is then a
    /// repeat, not a failure; only at the end of the input is that known.
    pub fn was_planned(&self, key: &Key) -> bool {
        self.repeats.find(self.print.with(key.as_str().as_bytes()).finish()).is_some()
    }

    /// Rejected rows so far whose key a later row got a job for: they are repeats, not failures.
    pub fn superseded(&self) -> u64 {
        self.refused.rows
    }

    /// Jobs so far: distinct keys that can be asked for.
    pub fn jobs(&self) -> usize {
        self.repeats.len()
    }

    /// The user's headers that are the same for every job, marked sensitive, and the `Content-Type` of a
    /// body. One that the program would set itself (`User-Agent`, `Accept`) is here if the user gave it
    /// and then takes its place. Lines of a name that any line fills from a column come with each job instead.
    pub fn constant_headers(&self) -> &HeaderMap {
        self.headers.constant()
    }

    /// The names of all headers that the user's settings make, in alphabetical order, with those that differ by row.
    pub fn header_names(&self) -> Vec<&str> {
        self.headers.names()
    }

    /// The method of every request.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// `scheme://host:port` of every request, for people; the port only where it is not the scheme's own.
    pub fn origin(&self) -> &str {
        self.url.origin()
    }

    /// What makes a journal belong to this job.
    pub fn identity(&self) -> RequestIdentity {
        self.identity.clone()
    }

    /// Takes secrets out of text for people: the values of `${NAME}`, wherever they stand, what constant headers
    /// hold, and the user-info of the URL, of the proxy and of the standard proxy variables.
    pub fn mask(&self) -> Mask {
        self.mask.clone()
    }

    /// A sentence for each secret that is too short to be hidden well; shows none.
    pub fn short_secrets(&self) -> &[String] {
        &self.short_secrets
    }

    /// The address of the proxy, its variables filled in.
    pub fn proxy(&self) -> Option<&SecretString> {
        self.proxy.as_ref()
    }

    /// The address of a job as a plan shows it: as everywhere without user-info, and of the query what
    /// columns alone make.
    pub fn shown_url(&self, job: &Job) -> String {
        let cells = Cells { record: &job.record, names: &self.names };
        let url = redacted_url(&job.request.url) + &self.url.shown_query(cells);
        self.mask.apply(&url).into_owned()
    }

    /// Keys so far that look damaged, a kind at most once.
    pub fn warnings(&self) -> Vec<KeyWarning> {
        self.suspicious_keys.warnings().to_vec()
    }

    fn render(&mut self, record: &ByteRecord) -> Result<Request, Rejection> {
        let cells = Cells { record, names: &self.names };
        Ok(Request {
            method: self.method.clone(),
            url: self.url.render(cells, &mut self.scratch)?,
            headers: self.headers.render(cells, &mut self.scratch)?,
            body: self.body.as_ref().map(|body| body.render(cells)).transpose()?,
            cross_origin: false,
        })
    }
}

/// All that makes two runs ask in the same way, as written. Of constant headers credentials are left out: a new
/// one does not make old answers wrong.
fn digest(
    print: FieldHasher,
    settings: &RequestSettings,
    (method, escape): (&Method, Option<BodyEscape>),
    (headers, columns): (&Headers, &Columns),
) -> u128 {
    let body = settings.body.as_deref();
    let mut print = print
        .with(method.as_str().as_bytes())
        .with(settings.url.trim().as_bytes())
        .with(columns.key_name().as_bytes())
        .with(&[u8::from(body.is_some())])
        .with(body.unwrap_or_default().as_bytes());
    if let Some(escape) = escape {
        print = print.with(escape.to_string().as_bytes());
    }
    let with = |print: FieldHasher, (name, value): &(HeaderName, String)| {
        print.with(name.as_str().as_bytes()).with(value.as_bytes())
    };
    headers.written().iter().fold(print, with).finish()
}

/// The user-info of every address that may stand in a message: of the URL, of the proxy, and of the variables
/// that name a proxy where `--proxy` does not.
fn gather_user_info(
    secrets: &mut SecretCollector,
    (url, proxy): (&UrlTemplate, Option<&SecretString>),
    env: &EnvLookup<'_>,
) {
    let variables = PROXY_VARIABLES.iter().filter_map(|name| Some((*name, env(name)?)));
    let proxy = proxy.map(|address| ("--proxy", address.expose_secret().to_owned()));
    let addresses = [("--url", url.base().to_string())].into_iter().chain(proxy).chain(variables);
    for (place, address) in addresses {
        if let Some(info) = UserInfo::of(&address) {
            secrets.user_info(place, &info);
        }
    }
}

/// No column stands anywhere: perhaps since its braces are doubled.
fn constant(settings: &RequestSettings, columns: &Columns) -> PlanError {
    let templates: Vec<&String> =
        settings.headers.iter().chain(&settings.body).chain([&settings.url]).collect();
    let doubled = columns.names.iter().map(String::as_str).chain(["sku"]).find(|name| {
        let doubled = format!("{{{{{name}}}}}");
        templates.iter().any(|template| template.contains(&doubled))
    });
    PlanError::Constant { doubled: doubled.map(str::to_owned) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Seq;

    fn columns(names: &[&str]) -> Columns {
        let names = names.iter().map(|n| (*n).to_owned()).collect();
        Columns { names, key: 0, delimiter: b',', headers: true }
    }

    fn settings(url: &str) -> RequestSettings {
        RequestSettings { url: url.into(), ..RequestSettings::default() }
    }

    fn env(name: &str) -> Option<String> {
        (name == "TOKEN").then(|| "can/ary".into())
    }

    fn planner(settings: &RequestSettings) -> Planner {
        Planner::new(settings, &columns(&["sku", "region"]), &env, [3; 16]).unwrap()
    }

    fn row<C: AsRef<[u8]>>(line: u32, cells: &[C]) -> Row {
        Row { seq: Seq(line - 2), line: line.into(), record: cells.iter().collect(), damage: None }
    }

    fn job(planned: Planned) -> Job {
        match planned {
            Planned::Job(job) => job,
            other => panic!("{other:?}"),
        }
    }

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
        assert_eq!(planner.constant_headers()["authorization"], "Bearer can/ary");
        assert_eq!(planner.constant_headers()["content-type"], "application/json");
        assert_eq!(planner.header_names(), ["authorization", "content-type", "x-region"]);
        assert_eq!(planner.origin(), "https://h");
    }

    #[test]
    fn a_plan_shows_of_a_query_what_columns_make_and_no_secret() {
        for (url, expected) in [
            ("https://u:${TOKEN}@h/{sku}", "https://h/7%206"),
            ("https://h/p?sku={sku}&r={region}", "https://h/p?sku=7%206&r=eu"),
            ("https://h/p?key=secret&sku={sku}", "https://h/p?key=...&sku=7%206"),
            ("https://h/p?key=${TOKEN}&sku={sku}#x", "https://h/p?key=...&sku=7%206"),
            ("https://h/p?q=a{sku}&secret&{region}", "https://h/p?q=...&...&eu"),
            ("https://h/${TOKEN}/{sku}?a=b=c", "https://h/(redacted)/7%206?a=..."),
            ("https://h/{sku}?c2VjcmV0==&k=", "https://h/7%206?...&..."),
            ("https://h/{sku}?", "https://h/7%206?"),
        ] {
            let mut planner = planner(&settings(url));
            let job = job(planner.plan(row(2, &["7 6", "eu"])));
            assert_eq!(planner.shown_url(&job), expected, "{url}");
        }
    }

    #[test]
    fn a_planner_may_move_to_a_thread_of_its_own() {
        fn moves<T: Send + 'static>() {}
        moves::<Planner>();
        moves::<Planned>();
        moves::<Mask>();
    }

    #[test]
    fn the_method_is_get_without_a_body_and_the_users_where_given() {
        assert_eq!(planner(&settings("http://h/{sku}")).method(), Method::GET);
        let put = RequestSettings {
            method: Some(Method::PUT),
            body: Some("x".into()),
            ..settings("http://h/{sku}")
        };
        assert_eq!(planner(&put).method(), Method::PUT);
    }

    #[test]
    fn a_repeat_is_asked_for_once_and_says_whether_its_request_would_have_differed() {
        let mut planner = planner(&settings("http://h/{sku}?r={region}"));
        job(planner.plan(row(2, &["a", "eu"])));
        for (line, region, expected) in [(3, "eu", false), (4, "us", true), (5, "bad\n", true)] {
            let Planned::Repeat { line: found, first_line: 2, differs, .. } =
                planner.plan(row(line, &["a", region]))
            else {
                panic!("no repeat")
            };
            assert_eq!((found, differs), (line.into(), expected));
        }
        assert_eq!(planner.jobs(), 1);
    }

    #[test]
    fn columns_that_the_request_does_not_use_make_no_difference() {
        let mut planner = planner(&settings("http://h/{sku}"));
        job(planner.plan(row(2, &["a", "eu"])));
        assert!(matches!(planner.plan(row(3, &["a", "us"])), Planned::Repeat { differs: false, .. }));
    }

    #[test]
    fn of_a_repeated_sku_the_first_row_that_can_be_asked_for_counts() {
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
    fn a_damaged_row_is_refused_with_its_key_only_where_its_cells_are_in_place() {
        let mut planner = planner(&settings("http://h/{sku}"));
        let found = refused(planner.plan(row(2, &["a", "b", "c"])));
        assert_eq!(found.why.to_string(), "the row is damaged: 3 fields where the header has 2");
        assert_eq!(found.key, None);
        assert!(refused(planner.plan(row(3, &["a"]))).key.is_none());

        let bad = |sku: &[u8]| {
            let mut row = row(4, &[sku, b"\xff"]);
            row.damage = Some(Damage::NotUtf8 { column: "region".into() });
            row
        };
        assert_eq!(refused(planner.plan(bad(b"a"))).key.unwrap().as_str(), "a");
        assert!(refused(planner.plan(bad(b"\xfe"))).key.is_none());
        job(planner.plan(row(5, &["a", "eu"])));
        assert!(matches!(planner.plan(bad(b"a")), Planned::Repeat { first_line: 5, .. }));
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
            let mut planner = Planner::new(&settings(url), &columns(names), &env, [3; 16]).unwrap();
            job(planner.plan(row(2, cells))).fingerprint
        };
        let first = print(&["sku", "a", "b"], "http://h/{b}/{a}/{b}", &["k", "1", "2"]);
        assert_eq!(first, FieldHasher::new([3; 16]).with(b"k").with(b"2").with(b"1").fingerprint());
        assert_eq!(first, print(&["sku", "b", "x", "a"], "http://h/{b}/{a}/{b}", &["k", "2", "?", "1"]));
        assert_ne!(first, print(&["sku", "b", "a"], "http://h/{b}/{a}/{b}", &["k", "1", "2"]));
    }

    #[test]
    fn an_identity_changes_with_the_job_and_not_with_a_secret() {
        let base = RequestSettings {
            headers: vec!["Authorization: ${TOKEN}".into(), "X: {region}".into()],
            ..settings("https://u:p@h/{sku}?k=${TOKEN}")
        };
        let identity = |settings: &RequestSettings, token: &'static str| {
            let env = move |_: &str| Some(token.to_owned());
            Planner::new(settings, &columns(&["sku", "region"]), &env, [3; 16]).unwrap().identity()
        };
        let first = identity(&base, "one");
        assert_eq!(first.to_string(), "GET https://h/{sku}");
        assert_eq!(first, identity(&base, "two"));
        let mut constant = base.clone();
        constant.headers[0] = "Authorization: other".into();
        assert_eq!(first, identity(&constant, "one"));
        let mut reordered = base.clone();
        reordered.headers = vec!["x:  {region} ".into(), "authorization: ${TOKEN}".into()];
        assert_eq!(first, identity(&reordered, "one"));

        let other = [
            RequestSettings { url: "https://u:p@h/{sku}?k=x".into(), ..base.clone() },
            RequestSettings { method: Some(Method::HEAD), ..base.clone() },
            RequestSettings { body: Some(String::new()), method: Some(Method::GET), ..base.clone() },
            RequestSettings { headers: vec!["Y: {region}".into()], ..base.clone() },
        ];
        for settings in other {
            assert_ne!(first.digest, identity(&settings, "one").digest, "{:?}", settings.method);
        }
    }

    #[test]
    fn an_identity_changes_with_each_constant_header_that_may_change_the_answer() {
        let identity = |headers: &[&str], variable: &'static str| {
            let headers = headers.iter().map(|line| (*line).to_owned()).collect();
            let settings = RequestSettings { headers, ..settings("https://h/{sku}") };
            let env = move |_: &str| Some(variable.to_owned());
            Planner::new(&settings, &columns(&["sku", "region"]), &env, [3; 16]).unwrap().identity().digest
        };
        for name in ["Accept", "Accept-Language", "Host", "X-Tenant", "x-api-version", "Prefer", "Range", "X"]
        {
            let with = |value: &str| identity(&[&format!("{name}: {value}")], "one");
            assert_ne!(with("de"), with("fr"), "{name}");
            assert_ne!(with("de"), identity(&[], "one"), "{name}");
            assert_eq!(with("${V}"), identity(&[&format!("{name}: ${{V}}")], "two"), "{name}");
            assert_ne!(with("${V}"), with("${W}"), "{name}");
        }
        for name in [
            "Authorization",
            "Cookie",
            "User-Agent",
            "X-Api-Key",
            "APIKEY",
            "X-Access-Token",
            "x-client-SECRET",
            "X-Auth",
            "X-Signature",
            "Session",
            "X-Password",
        ] {
            assert_eq!(identity(&[&format!("{name}: new")], "one"), identity(&[], "one"), "{name}");
        }
        let lines = ["Accept: a", "X-Tag: {region}", "accept-language: de", "X-Sku: {sku}", "X-Tag: c"];
        let first = identity(&lines, "one");
        let reordered = ["X-SKU:{sku}", "ACCEPT-LANGUAGE: de ", "x-tag: {region}", "x-tag:c", "accept: a"];
        assert_eq!(first, identity(&reordered, "one"));
        let swapped = ["Accept: a", "X-Tag: c", "accept-language: de", "X-Sku: {sku}", "X-Tag: {region}"];
        assert_ne!(first, identity(&swapped, "one"), "lines of one name have an order");
        assert_ne!(identity(&["A: b", "C: d"], "one"), identity(&["A: d", "C: b"], "one"));
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
    fn a_request_that_is_the_same_for_every_sku_is_an_error() {
        let columns = columns(&["sku"]);
        let error = Planner::new(&settings("http://h/{{sku}}"), &columns, &env, [0; 16]).unwrap_err();
        assert_eq!((error.exit().code(), &error), (2, &PlanError::Constant { doubled: Some("sku".into()) }));
        let by_header = RequestSettings { headers: vec!["X: {sku}".into()], ..settings("http://h/") };
        assert!(Planner::new(&by_header, &columns, &env, [0; 16]).is_ok());
    }

    #[test]
    fn secrets_show_in_no_debug_form_and_are_masked_in_each_form_they_are_sent_in() {
        let settings = RequestSettings {
            headers: vec!["X: ${TOKEN}".into()],
            body: Some("\"${TOKEN}\"".into()),
            ..settings("http://u:${TOKEN}@h/${TOKEN}/{sku}?canary")
        };
        let mut planner = planner(&settings);
        assert!(!format!("{planner:?} {settings:?} {:?}", planner.constant_headers()).contains("ary"));
        let job = job(planner.plan(row(2, &["1", ""])));
        assert!(job.request.url.as_str().contains("can%2Fary"));
        let shown = crate::model::job::redacted_url(&job.request.url);
        assert_eq!(planner.mask().apply(&shown), "http://h/(redacted)/1");
        assert_eq!(planner.mask().apply("echo can/ary"), "echo (redacted)");
    }

    #[test]
    fn what_stands_in_a_constant_header_is_masked_whole_and_word_by_word() {
        let headers = vec![
            "Authorization: Bearer canary-token".into(),
            "Accept-Language: en".into(),
            "X-Shop: 7".into(),
        ];
        let planner = planner(&RequestSettings { headers, ..settings("http://h/{sku}") });
        let mask = planner.mask();
        assert_eq!(mask.apply("you sent canary-token"), "you sent (redacted)");
        assert_eq!(mask.apply("got Bearer canary-token"), "got (redacted)");
        assert_eq!(mask.apply("7 Bearer wanted, en"), "7 Bearer wanted, en");
    }

    #[test]
    fn what_is_written_out_in_a_query_or_beside_a_column_is_masked_where_its_name_is_a_credentials() {
        let masked = |url: &str, header: &str, text: &str| {
            let settings = RequestSettings { headers: vec![header.into()], ..settings(url) };
            planner(&settings).mask().apply(text).into_owned()
        };
        for name in [
            "key",
            "api_key",
            "APIKEY",
            "access_token",
            "client%5Fsecret",
            "auth",
            "X-Sig",
            "pass",
            "sessionid",
        ] {
            let url = format!(
                "http://h/{{sku}}?lang=english&{name}=can%2Fary+lit&q={{sku}}&sig=1{{region}}-canary-2"
            );
            let said = "can/ary lit, can%2Fary+lit, can/ary+lit, can%252Fary%2Blit, -canary-2; english";
            let shown = masked(&url, "X: {region}", said);
            assert!(!shown.contains("can") && shown.ends_with("; english"), "{name}: {shown}");
        }
        for (header, said) in [
            ("Authorization: Bearer canary-lit {sku}", "you sent canary-lit"),
            ("Authorization: Basic Y2FuYXJ5OmNhbmFyeXB3 {sku}", "canarypw"),
            ("X-Api-Key: {sku}.canary-lit", "canary-lit"),
            ("Cookie: id={sku}; session=canary", "session=canary"),
        ] {
            assert!(!masked("http://h/{sku}", header, said).contains("canary"), "{header}");
        }
        for (url, header) in [
            ("http://h/harmless/{sku}?lang=harmless&q=x{region}harmless", "X-Shop: harmless {sku}"),
            ("http://h/{sku}?harmless", "Accept-Language: {region}, harmless"),
        ] {
            assert_eq!(masked(url, header, "harmless 123456"), "harmless 123456");
        }
        assert_eq!(masked("http://h/{sku}?key=123456", "X: 1", "123456"), "123456", "too short");
    }

    #[test]
    fn suspicious_keys_are_requested_and_warned_about_once() {
        let mut planner = planner(&settings("http://h/{sku}"));
        for (line, sku) in [(2, "1.23E+12"), (3, "4.56E+12"), (4, "4.56E+12"), (5, "1\t")] {
            planner.plan(row(line, &[sku, ""]));
        }
        let warnings = planner.warnings();
        assert_eq!(warnings.len(), 1, "a repeat and a refused row are not counted");
        assert_eq!((warnings[0].count, warnings[0].line), (2, 2));
    }
}
