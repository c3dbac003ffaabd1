//! The request as the user wrote it: parsed once per run, then bound to the columns of the input.
//!
//! Parsing checks the templates themselves and reads the environment. Only a template that is bound to
//! columns renders rows. Neither has a state or a salt: those belong to the planner.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, Method};
use secrecy::SecretString;

use crate::input::Columns;
use crate::model::request_url::redacted_url;
use crate::model::{Job, Mask, Request};
use crate::plan::body::{BodyTemplate, BoundBody};
use crate::plan::body_escape::BodyEscape;
use crate::plan::cells::Cells;
use crate::plan::error::PlanError;
use crate::plan::fingerprint::{FieldHasher, RequestIdentity};
use crate::plan::foreign_placeholder::foreign_placeholder;
use crate::plan::header::{BoundHeaders, HeaderTemplates};
use crate::plan::item_checks::check_items;
use crate::plan::message_text::quoted;
use crate::plan::pack_template::BulkSettings;
use crate::plan::path_suspicion::{may_be_read_otherwise, suspicion_of_path};
use crate::plan::rejection::Rejection;
use crate::plan::request_settings::RequestSettings;
use crate::plan::secrets::SecretCollector;
use crate::plan::suspicious_keys::Suspicion;
use crate::plan::template::EnvLookup;
use crate::plan::template_kind::TemplateKind;
use crate::plan::token_place::{TOKEN, TokenInRequest, TokenPlace};
use crate::plan::token_request::TokenRequestParts;
use crate::plan::url_template::{BoundUrl, UrlTemplate};
use crate::plan::user_info::expanded_address;
use crate::plan::variable_fault::untyped_hint;

/// All templates of a request, parsed. Columns are names: [`bind`](Self::bind) finds them in an input.
pub struct RequestTemplate {
    settings: RequestSettings,
    pub(super) method: Method,
    url: UrlTemplate,
    /// `scheme://host:port`.
    origin: String,
    headers: HeaderTemplates,
    body: Option<BodyTemplate>,
    proxy: Option<SecretString>,
    rate_store: Option<SecretString>,
    token_request: Option<TokenRequestParts>,
    /// The method and the URL template that identify the job, for messages.
    shown: String,
    /// Those that can be found before the columns are known: all but the credentials in the body.
    secrets: SecretCollector,
}

/// Shows the method and the URL template, no secrets.
impl fmt::Debug for RequestTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestTemplate({})", self.shown)
    }
}

impl RequestTemplate {
    /// Parses the templates and expands `${NAME}` through `env`.
    ///
    /// # Errors
    /// A template with a syntax error, or with a variable that is not set; a URL that is not valid; a header
    /// line that cannot be sent.
    pub fn parse(settings: &RequestSettings, env: &EnvLookup<'_>) -> Result<Self, PlanError> {
        let secrets = RefCell::new(SecretCollector::default());
        let of_environment =
            |name: &str| env(name).inspect(|value| secrets.borrow_mut().variable(name, value));
        let place = settings.token.as_ref().map(|token| &token.place);
        let collecting = |name: &str| match place {
            Some(place) if name == TOKEN => Some(place.mark().to_owned()),
            _ => of_environment(name),
        };
        let bulk = settings.bulk.as_ref();
        let url = UrlTemplate::parse(&settings.url, bulk, &collecting)?;
        let headers =
            HeaderTemplates::parse(&settings.headers, (settings.body.is_some(), place), &collecting)?;
        let escape = || settings.body_escape.map_or_else(|| headers.body_escape(), Ok);
        let body = settings.body.as_deref();
        let is_default = settings.body_escape.is_none() && !headers.has_content_type();
        let parse = |text| {
            let body = BodyTemplate::parse(text, escape(), is_default, &collecting)?;
            if let Some(bulk) = bulk { body.for_packs(bulk, &collecting) } else { Ok(body) }
        };
        let body = body.map(parse).transpose()?;
        // A connection outlives a token: the proxy gets none.
        let address = |text: Option<&str>, kind: TemplateKind| {
            text.map(|text| expanded_address(text, &kind, &of_environment)).transpose()
        };
        let proxy = address(settings.proxy.as_deref(), TemplateKind::Proxy)?;
        let rate_store = address(settings.rate_store.as_deref(), TemplateKind::RateStore)?;
        let shown = match settings.identity_url.as_ref().filter(|&other| *other != settings.url) {
            Some(other) => UrlTemplate::parse(other, bulk, &collecting)?.shown().to_owned(),
            None => url.shown().to_owned(),
        };
        let mut secrets = secrets.into_inner();
        let token = settings.token.as_ref();
        if let Some(place) = place {
            secrets.mark(place);
        }
        let in_body = |place: &TokenPlace| body.as_ref().is_some_and(|body| body.has_token(place));
        if place.is_some_and(|place| !(url.has_token(place) || headers.has_token(place) || in_body(place))) {
            return Err(PlanError::TokenUnused);
        }
        if let Some(command) = token.and_then(|token| token.command.as_deref()) {
            secrets.command(command, env);
        }
        let token_request = token.and_then(|token| token.request.as_ref());
        let token_request = token_request.map(|it| it.expand(env, &mut secrets)).transpose()?;
        secrets.headers(&headers);
        secrets.varying_headers(&headers);
        secrets.form_fields(&url.query_texts());
        secrets.addresses(url.base().as_str(), [proxy.as_ref(), rate_store.as_ref()], env);

        let method = settings.method();
        Ok(Self {
            settings: settings.clone(),
            origin: url.origin(),
            shown: format!("{method} {shown}"),
            method,
            url,
            headers,
            body,
            proxy,
            rate_store,
            token_request,
            secrets,
        })
    }

    /// Finds the columns in the input.
    ///
    /// # Errors
    /// A name that no column has, or several have; a request without a column; a body whose values cannot be
    /// escaped.
    pub fn bind(self: &Arc<Self>, columns: &Columns) -> Result<BoundTemplate, PlanError> {
        let url = self.url.bind(columns)?;
        let headers = self.headers.bind(columns)?;
        let body = self.body.as_ref().map(|body| body.bind(columns)).transpose()?;
        if body.as_ref().is_some_and(BoundBody::has_placeholder) {
            self.headers.check_charset()?;
        }
        if self.settings.bulk.is_some() {
            check_items((&url, body.as_ref(), &headers), columns)?;
        }
        let mut used = Vec::new();
        let in_body = body.iter().flat_map(BoundBody::columns);
        for column in url.columns().chain(headers.columns()).chain(in_body) {
            if !used.contains(&column) {
                used.push(column);
            }
        }
        if used.is_empty() {
            return Err(self.constant(columns));
        }
        let escape = body.as_ref().map(BoundBody::escape);
        let identity = RequestIdentity {
            digest: self.digest(escape, &columns.key_identity()),
            shown: self.shown.clone(),
        };
        let (names, key) = (columns.names.clone(), columns.key);
        let mut secrets = self.secrets.clone();
        if let Some(body) = &body {
            secrets.form_fields(&body.form_texts());
            secrets.json_fields(&body.json_texts());
        }
        let (mask, mut start_warnings) = secrets.finish();
        start_warnings.extend(self.headers.misspelt());
        if body.as_ref().is_some_and(BoundBody::is_untyped) {
            start_warnings
                .push(format!("the body is not JSON, but is sent as application/json: {}", untyped_hint()));
        }
        Ok(BoundTemplate {
            template: Arc::clone(self),
            url,
            headers,
            body,
            names,
            key,
            used,
            identity,
            mask,
            start_warnings,
        })
    }

    /// The headers of the user that are the same for every job, marked sensitive, and the `Content-Type` of a
    /// body. A `User-Agent` or `Accept` of the user replaces the default one. Lines of a name are not here,
    /// but part of each job, if any of them contains a column.
    pub fn constant_headers(&self) -> &HeaderMap {
        self.headers.constant()
    }

    /// The names of all headers of the user, in alphabetical order, including those that differ by row.
    pub(crate) fn header_names(&self) -> Vec<&str> {
        self.headers.names()
    }

    /// The method of every request.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// `scheme://host:port` of every request, for messages. The port only if it is not the default.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The address of the store of a shared rate, with its variables expanded.
    pub(crate) fn rate_store(&self) -> Option<&SecretString> {
        self.rate_store.as_ref()
    }

    /// The address of the proxy, with its variables expanded.
    pub(crate) fn proxy(&self) -> Option<&SecretString> {
        self.proxy.as_ref()
    }

    /// What is sent to the token endpoint, if there is one.
    pub(crate) fn token_request(&self) -> Option<&TokenRequestParts> {
        self.token_request.as_ref()
    }

    /// Hashes all that makes two runs send the same requests, as written. Credentials in constant headers are
    /// left out: with a new one, earlier answers still hold.
    fn digest(&self, escape: Option<BodyEscape>, key_name: &str) -> u128 {
        let RequestSettings { url, identity_url, body, bulk, .. } = &self.settings;
        let url = identity_url.as_ref().unwrap_or(url);
        // No salt: the digest must be the same in every run of the job.
        let mut hasher = FieldHasher::new([0; 16])
            .with(self.method.as_str().as_bytes())
            .with(url.trim().as_bytes())
            .with(key_name.as_bytes())
            .with(&[u8::from(body.is_some())])
            .with(body.as_deref().unwrap_or_default().as_bytes());
        if let Some(escape) = escape {
            hasher = hasher.with(escape.to_string().as_bytes());
        }
        // How many keys a request has makes no difference to the answers.
        if let Some(BulkSettings { item, separator, .. }) = bulk {
            hasher = hasher.with(item.as_bytes()).with(separator.as_bytes());
        }
        let with = |hasher: FieldHasher, (name, value): &(HeaderName, String)| {
            hasher.with(name.as_str().as_bytes()).with(value.as_bytes())
        };
        self.headers.written().iter().fold(hasher, with).finish()
    }

    /// The error for a request without a column. Perhaps the braces of one are doubled.
    fn constant(&self, columns: &Columns) -> PlanError {
        let RequestSettings { url, headers, body, .. } = &self.settings;
        let templates: Vec<&String> = headers.iter().chain(body).chain([url]).collect();
        let doubled = columns.names.iter().map(String::as_str).chain(["sku"]).find(|name| {
            let doubled = format!("{{{{{name}}}}}");
            templates.iter().any(|template| template.contains(&doubled))
        });
        PlanError::Constant {
            doubled: doubled.map(str::to_owned),
            foreign: foreign_placeholder(url, columns).map(|(written, name)| (quoted(&written), name)),
            has_query: url.contains('?'),
        }
    }
}

/// A request template whose columns are those of an input. It renders a request for each row.
pub struct BoundTemplate {
    pub(super) template: Arc<RequestTemplate>,
    pub(super) url: BoundUrl,
    pub(super) headers: BoundHeaders,
    pub(super) body: Option<BoundBody>,
    pub(super) names: Vec<String>,
    key: usize,
    /// The columns that the request uses, each once, in the order of their use, and those that its answers depend on.
    used: Vec<usize>,
    identity: RequestIdentity,
    pub(super) mask: Mask,
    start_warnings: Vec<String>,
}

/// Shows the method and the URL template, no secrets.
impl fmt::Debug for BoundTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BoundTemplate({})", self.identity)
    }
}

impl BoundTemplate {
    /// The template without its columns.
    pub fn template(&self) -> &Arc<RequestTemplate> {
        &self.template
    }

    /// Identifies the job, for its journal.
    pub fn identity(&self) -> &RequestIdentity {
        &self.identity
    }

    /// Removes secrets from messages: the values of `${NAME}`, the values of constant headers, the literal text of
    /// headers, query parameters and body fields that probably hold a credential, and the user-info of the URL, of the
    /// proxy and of the standard proxy variables.
    pub fn mask(&self) -> Mask {
        self.mask.clone()
    }

    /// Warnings for the start of a run: each secret that is too short to be masked reliably, and a body that is sent as
    /// JSON and is not JSON. They show no secret.
    pub(crate) fn start_warnings(&self) -> &[String] {
        &self.start_warnings
    }

    /// The address of a job for the output of a dry run: without user-info, and with only those parts of the
    /// query that columns make.
    pub(crate) fn shown_url(&self, job: &Job) -> String {
        let cells = Cells { record: &job.record, names: &self.names };
        let url = redacted_url(&job.request.url) + &self.url.shown_query(cells);
        self.mask.apply(&url).into_owned()
    }

    /// The same, whose answers depend on these columns as well: they are part of the fingerprints.
    #[must_use]
    pub(crate) fn also_using(mut self, columns: &[usize]) -> Self {
        for &column in columns {
            if !self.used.contains(&column) {
                self.used.push(column);
            }
        }
        self
    }

    /// The names of the input's columns.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// The index of the key column.
    pub(super) fn key(&self) -> usize {
        self.key
    }

    /// The columns that the request uses, each once, in the order of their use, and those that its answers depend on.
    pub(crate) fn used(&self) -> &[usize] {
        &self.used
    }

    /// What some server may read otherwise than it was sent in the path of one row; and the value, quoted.
    pub(super) fn path_suspicion(&self, cells: Cells<'_>) -> Option<(Suspicion, String)> {
        // Where path and query part is not looked for in every row.
        self.url.cells(cells).find(|cell| may_be_read_otherwise(cell))?;
        let (column, kind) = suspicion_of_path(self.url.path(cells))?;
        Some((kind, quoted(&String::from_utf8_lossy(cells.bytes(column)))))
    }

    /// How keys are packed; none: each has a request of its own.
    pub(crate) fn bulk(&self) -> Option<&BulkSettings> {
        self.template.settings.bulk.as_ref()
    }

    /// Writes tokens into the requests; none where none is fetched.
    pub(crate) fn token_in_request(&self) -> Option<TokenInRequest> {
        let place = self.template.settings.token.as_ref()?.place.clone();
        let escape = self.body.as_ref().map_or(BodyEscape::None, BoundBody::escape);
        Some(TokenInRequest { place, escape })
    }

    /// The request of one row. `scratch` is a buffer for reuse.
    pub(super) fn render(&self, cells: Cells<'_>, scratch: &mut String) -> Result<Request, Rejection> {
        Ok(Request {
            method: self.template.method.clone(),
            url: self.url.render(cells, scratch)?,
            headers: self.headers.render(cells, scratch)?,
            body: self.body.as_ref().map(|body| body.render(cells)).transpose()?,
            cross_origin: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::test_plan::{bind, env, job, planner, row, settings};

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
            assert_eq!(planner.request().shown_url(&job), expected, "{url}");
        }
    }

    #[test]
    fn the_method_is_get_without_a_body_and_the_users_where_given() {
        assert_eq!(planner(&settings("http://h/{sku}")).template().method(), Method::GET);
        let put = RequestSettings {
            method: Some(Method::PUT),
            body: Some("x".into()),
            ..settings("http://h/{sku}")
        };
        assert_eq!(planner(&put).template().method(), Method::PUT);
    }

    #[test]
    fn an_identity_changes_with_the_job_and_not_with_a_secret() {
        let base = RequestSettings {
            headers: vec!["Authorization: ${TOKEN}".into(), "X: {region}".into()],
            ..settings("https://u:p@h/{sku}?k=${TOKEN}")
        };
        let identity = |settings: &RequestSettings, token: &'static str| {
            let env = move |_: &str| Some(token.to_owned());
            bind(settings, &["sku", "region"], &env).unwrap().identity().clone()
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
            bind(&settings, &["sku", "region"], &env).unwrap().identity().digest
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
    fn a_request_that_is_the_same_for_every_sku_is_an_error() {
        let error = bind(&settings("http://h/{{sku}}"), &["sku"], &env).unwrap_err();
        assert_eq!(
            (error.exit().code(), &error),
            (2, &PlanError::Constant { doubled: Some("sku".into()), foreign: None, has_query: false })
        );
        let by_header = RequestSettings { headers: vec!["X: {sku}".into()], ..settings("http://h/") };
        assert!(bind(&by_header, &["sku"], &env).is_ok());
    }

    #[test]
    fn secrets_show_in_no_debug_form_and_are_masked_in_each_form_they_are_sent_in() {
        let settings = RequestSettings {
            headers: vec!["X: ${TOKEN}".into()],
            body: Some("\"${TOKEN}\"".into()),
            ..settings("http://u:${TOKEN}@h/${TOKEN}/{sku}?canary")
        };
        let mut planner = planner(&settings);
        assert!(
            !format!("{planner:?} {settings:?} {:?}", planner.template().constant_headers()).contains("ary")
        );
        let job = job(planner.plan(row(2, &["1", ""])));
        assert!(job.request.url.as_str().contains("can%2Fary"));
        let shown = crate::model::request_url::redacted_url(&job.request.url);
        assert_eq!(planner.request().mask().apply(&shown), "http://h/(redacted)/1");
        assert_eq!(planner.request().mask().apply("echo can/ary"), "echo (redacted)");
    }

    #[test]
    fn the_value_of_a_constant_header_is_masked_whole_and_word_by_word() {
        let headers = vec![
            "Authorization: Bearer canary-token".into(),
            "Accept-Language: en".into(),
            "X-Shop: 7".into(),
        ];
        let planner = planner(&RequestSettings { headers, ..settings("http://h/{sku}") });
        let mask = planner.request().mask();
        assert_eq!(mask.apply("you sent canary-token"), "you sent (redacted)");
        assert_eq!(mask.apply("got Bearer canary-token"), "got (redacted)");
        assert_eq!(mask.apply("7 Bearer wanted, en"), "7 Bearer wanted, en");
    }

    #[test]
    fn what_is_written_out_in_a_query_or_beside_a_column_is_masked_where_its_name_is_a_credentials() {
        let masked = |url: &str, header: &str, text: &str| {
            let settings = RequestSettings { headers: vec![header.into()], ..settings(url) };
            planner(&settings).request().mask().apply(text).into_owned()
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
            "appid",
            "AppID",
            "app_id",
            "x-api-id",
            "userPwd",
            "credentials",
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
            ("http://h/{sku}?path=harmless&mapPid=harmless&appidea=harmless", "X: 1"),
        ] {
            assert_eq!(masked(url, header, "harmless 123456"), "harmless 123456");
        }
        assert_eq!(masked("http://h/{sku}?key=123456", "X: 1", "123456"), "123456", "too short");
    }

    #[test]
    fn what_is_written_out_in_a_body_is_masked_where_its_field_is_a_credentials() {
        use BodyEscape::{Form, Json, None as AsItIs};
        let form = r"sku={sku}&client_secret=can%2Fary+1&path=harmless";
        let json = r#"{"sku":"{sku}","path":"harmless","auth_token":["Bearer can\/ary 1"],"key":{region}}"#;
        for (body, escape, is_masked) in [
            (json, None, true),
            (json, Some(Json), true),
            (json, Some(AsItIs), true),
            (form, None, true),
            (form, Some(Form), true),
            (form, Some(AsItIs), true),
            (r#"{"sku":"{sku}","path":"can/ary 1","keys":1234567}"#, None, false),
            (r#"{"sku":"{sku}","path":"a&key=can/ary 1"}"#, None, false),
        ] {
            let body = Some(body.to_owned());
            let planner = planner(&RequestSettings { body, body_escape: escape, ..settings("http://h/") });
            let mask = planner.request().mask();
            assert_eq!(mask.finds("you sent can/ary 1"), is_masked, "{escape:?}");
            assert!(!mask.finds("harmless {sku}"), "{escape:?}");
        }
    }
}
