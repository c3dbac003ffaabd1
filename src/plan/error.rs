//! Errors of the templates. No message contains the value of a `${NAME}`, nor a part of a template that may
//! be secret: only names, places and what was expected.

use std::fmt;

use crate::input::Columns;
use crate::model::option::{BODY_ESCAPE, CLIENT_ID, CLIENT_SECRET, HEADER};
use crate::model::{Exit, counted};
pub(super) use crate::plan::bulk_fault::BulkFault;
use crate::plan::message_text::{escaped, quoted};
pub(super) use crate::plan::template_kind::TemplateKind;
pub(super) use crate::plan::variable_fault::VariableFault;

/// The most columns that a message lists; the others are counted.
const LISTED: usize = 20;

/// `twice`, `3 times`.
fn times(number: usize) -> String {
    if number == 2 { "twice".into() } else { format!("{number} times") }
}

/// Syntax errors of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxFault {
    /// `{` without `}`.
    #[error("a `{{` is never closed")]
    Unclosed,
    /// `}` without `{`.
    #[error("a `}}` closes nothing")]
    LoneClose,
    /// `${` and no variable's name.
    #[error("`${{` is not followed by the name of an environment variable and `}}`")]
    BadVariable,
    /// A tab, a line end or the like.
    #[error("it holds a control character")]
    Control,
    /// `"\{sku}"` in a JSON body.
    #[error("a placeholder follows a `\\` that begins an escape, which would take in a part of its value")]
    InEscape,
}

/// Where a body declares its charset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CharsetSource {
    /// In the header `Content-Type`.
    ContentType,
    /// In the XML declaration that the body begins with.
    XmlDeclaration,
}

impl fmt::Display for CharsetSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ContentType => "the Content-Type",
            Self::XmlDeclaration => "its XML declaration",
        })
    }
}

/// Errors of a URL template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    /// Neither `http://` nor `https://`.
    #[error("it does not begin with http:// or https://")]
    Scheme,
    /// A column before the path.
    #[error(
        "a column may be used in the path and in the query only, not in the scheme, host, port or user-info"
    )]
    ColumnInOrigin,
    /// A variable in the host or port.
    #[error("a ${{VARIABLE}} is secret, and the scheme, host and port are shown: it may not be used there")]
    SecretInOrigin,
    /// Any placeholder after `#`.
    #[error("what follows `#` is never sent: no placeholder may be used there")]
    PlaceholderInFragment,
    /// A `\`, which parsers of URLs read as `/`.
    #[error("it holds a backslash")]
    Backslash,
    /// `%{sku}` or `%4{sku}`.
    #[error("a placeholder follows a `%` that is not a whole escape such as %20")]
    CutEscape,
    /// A `..` removes a placeholder, or a variable is `..`.
    #[error("a `.` or `..` segment takes a part of it away")]
    Dots,
    /// It is longer than a request line may be.
    #[error("it is too long")]
    TooLong,
    /// The error of the URL parser.
    #[error("it is not a URL: {0}")]
    Parse(url::ParseError),
    /// Valid as a URL, but not as the target of an HTTP request.
    #[error("it cannot be the target of an HTTP request")]
    Target,
}

/// Errors of a header line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// No `:`.
    #[error("it has no colon")]
    NoColon,
    /// The part before `:` is no header name.
    #[error("the text before the colon is not a header name")]
    Name,
    /// The part after `:` is no header value.
    #[error("its value cannot be sent")]
    Value,
    /// A credential of which only the scheme is there, as in `Authorization: Bearer `.
    #[error("no credential follows {0}")]
    NoCredential(&'static str),
    /// The program or the connection sets this header.
    #[error("{0} is set by the program itself")]
    Owned(String),
    /// `Accept-Encoding` lists a coding that is not supported.
    #[error("accept-encoding may name gzip, br, zstd, deflate and identity only")]
    Coding,
    /// A column in `Host` would address another site.
    #[error("a column may not be used in Host: it would change the server that is addressed")]
    ColumnInHost,
    /// There are more headers than can be sent.
    #[error("there are too many headers")]
    TooMany,
}

/// Why a request cannot be planned. Ends the run before the first request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A placeholder names no column.
    #[error("{place} uses the column {name}, which the input lacks; it has {columns}")]
    UnknownColumn {
        /// Where.
        place: TemplateKind,
        /// The name, quoted.
        name: String,
        /// The columns that are there, quoted.
        columns: String,
        /// The placeholder of the column that is probably meant.
        nearest: Option<String>,
    },
    /// A placeholder names a column that is there more than once.
    #[error("{place} uses the column {name}, which is in the header {}", times(placeholders.len()))]
    AmbiguousColumn {
        /// Where.
        place: TemplateKind,
        /// The name, quoted.
        name: String,
        /// The placeholders of these columns.
        placeholders: Vec<String>,
    },
    /// A placeholder is the number of a column that is not there.
    #[error("{place} uses column {number}; the input has {}", counted(*.columns as u64, "column", "columns"))]
    NoSuchColumn {
        /// Where.
        place: TemplateKind,
        /// The number, quoted.
        number: String,
        /// How many columns there are.
        columns: usize,
    },
    /// A syntax error.
    #[error("{place} is badly written: {fault}")]
    Syntax {
        /// Where.
        place: TemplateKind,
        /// What.
        fault: SyntaxFault,
    },
    /// An environment variable that cannot be used.
    #[error("{place} uses the environment variable {name}, which {fault}")]
    Variable {
        /// Where.
        place: TemplateKind,
        /// The variable's name.
        name: String,
        /// What.
        fault: VariableFault,
    },
    /// A URL template that is not valid.
    #[error("the URL template cannot be used: {0}")]
    Url(UrlFault),
    /// A header line that is not valid.
    #[error("header line {line} cannot be used: {fault}")]
    Header {
        /// Which of the given lines, from 1. Its text may hold a secret and is not shown.
        line: usize,
        /// What.
        fault: HeaderFault,
    },
    /// The body has a placeholder, and its type does not determine how to escape values.
    #[error(
        "the body template has a placeholder, but {} does not determine how to escape its value",
        .content_type.as_ref().map_or_else(
            || "the Content-Type, which holds a placeholder or is there twice,".into(),
            |content_type| format!("the Content-Type {content_type}")
        )
    )]
    BodyEscape {
        /// The type, quoted, if it is literal text.
        content_type: Option<String>,
    },
    /// The body has a placeholder, and declares another charset than UTF-8.
    #[error(
        "the body template has a placeholder, whose value is sent as UTF-8, but {place} declares {}",
        .charset.as_ref().map_or_else(|| "another charset".into(), |charset| format!("the charset {charset}"))
    )]
    BodyCharset {
        /// Where.
        place: CharsetSource,
        /// The charset, quoted, if it is literal text.
        charset: Option<String>,
    },
    /// A placeholder of an XML body is where nothing can be escaped.
    #[error("a placeholder of the XML body is in a CDATA section, where no value can be escaped")]
    ValueInCdata,
    /// The address of `--proxy` or `--rate-store` cannot be split into user-info and host.
    #[error("{0} cannot be read: there is a `/`, `?` or `#` before its `@`")]
    AddressUserInfo(TemplateKind),
    /// The address of `--token-url` is none.
    #[error(
        "the address of the token endpoint cannot be used: it is not an http:// or https:// address without user-info"
    )]
    TokenUrl,
    /// A token is fetched, and the request has no `${TOKEN}`.
    #[error("a token is fetched, but the request does not use ${{TOKEN}}")]
    TokenUnused,
    /// `{items}` or what belongs to it cannot be used.
    #[error("{0}")]
    Bulk(BulkFault),
    /// Every SKU would get the same request.
    #[error("the request uses no column of the CSV: every SKU would get the same request")]
    Constant {
        /// A column whose braces are doubled, which makes them literal text.
        doubled: Option<String>,
        /// Text of the URL that names a column in another notation (`:sku`), escaped, and that column.
        foreign: Option<(String, String)>,
        /// The URL has a query, whose `&` ends the command where the shell reads it.
        has_query: bool,
    },
}

impl PlanError {
    /// The exit of the program: [`Exit::Data`] if the input lacks a column of a template, else
    /// [`Exit::Usage`] (the caller makes it [`Exit::Config`] if the value is from the config file).
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::UnknownColumn { .. } | Self::AmbiguousColumn { .. } | Self::NoSuchColumn { .. } => {
                Exit::Data
            }
            _ => Exit::Usage,
        }
    }

    /// What to do about it, one sentence.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::UnknownColumn { nearest: Some(nearest), .. } => {
                format!("did you mean {nearest}? Case and spaces count")
            }
            Self::UnknownColumn { .. } => {
                "name one of these columns in braces; braces that are meant literally are written {{ and }}"
                    .into()
            }
            Self::AmbiguousColumn { placeholders, .. } => format!("say which: {}", placeholders.join(" or ")),
            Self::NoSuchColumn { columns: 1, .. } => "the only column is {#1}".into(),
            Self::NoSuchColumn { columns, .. } => format!("the columns are {{#1}} to {{#{columns}}}"),
            Self::Syntax { fault: SyntaxFault::Control, .. } => {
                "remove it; is there a stray line end?".into()
            }
            Self::Syntax { fault: SyntaxFault::InEscape, .. } => r"in JSON a literal \ is written \\".into(),
            Self::Syntax { fault: SyntaxFault::BadVariable, .. } => {
                "a variable is written ${NAME}, of letters, digits and _; the text ${x} is written ${{x}}"
                    .into()
            }
            Self::Syntax { .. } => {
                "{sku} is a column and ${NAME} a variable; literal braces are written {{ and }}".into()
            }
            Self::Variable { place, name, fault } => fault.hint(name, place),
            Self::Url(fault) => return fault.hint().map(Into::into),
            Self::Header { fault: HeaderFault::Owned(_), .. } => "leave this header out".into(),
            Self::Header { fault: HeaderFault::NoColon | HeaderFault::Name, .. } => {
                "write it as 'Name: value'".into()
            }
            Self::Header { fault: HeaderFault::NoCredential(_), .. } => {
                "is a variable empty in this shell? in single quotes the program reads it: \
                 -H 'Authorization: Bearer ${API_TOKEN}'"
                    .into()
            }
            Self::Header { .. } => return None,
            Self::BodyEscape { .. } => {
                format!(
                    "add {BODY_ESCAPE} json, form or xml, or {BODY_ESCAPE} none to insert values as they are"
                )
            }
            Self::BodyCharset { place: CharsetSource::ContentType, .. } => {
                "write charset=utf-8, or leave the charset out".into()
            }
            Self::BodyCharset { place: CharsetSource::XmlDeclaration, .. } => {
                "write encoding=\"UTF-8\", or leave the encoding out".into()
            }
            Self::ValueInCdata => {
                "leave out <![CDATA[ and ]]> around it: the value is escaped as the text of an element".into()
            }
            Self::AddressUserInfo(kind) => encoded_user_info(kind).into(),
            Self::TokenUrl => format!(
                "write the whole address, such as https://id.example.com/oauth2/token; id and secret go with \
                 {CLIENT_ID} and {CLIENT_SECRET}"
            ),
            Self::TokenUnused => {
                format!(
                    "add {HEADER} 'Authorization: Bearer ${{TOKEN}}', or put ${{TOKEN}} where the API expects it"
                )
            }
            Self::Bulk(fault) => fault.hint(),
            Self::Constant { doubled: Some(name), .. } => {
                let name = escaped(name);
                format!("{{{{{name}}}}} means the text {{{name}}}; the value of the column is {{{name}}}")
            }
            Self::Constant { foreign: Some((written, name)), .. } => {
                format!("in place of {written} write {{{}}}, in single quotes", escaped(name))
            }
            Self::Constant { has_query, .. } => format!(
                "put {{sku}} where the SKU belongs, as in https://api.example.com/products/{{sku}}{}",
                if *has_query {
                    "; if it was there, the shell ended the command at a `&` of the address: put the address in single quotes"
                } else {
                    ""
                }
            ),
        })
    }

    /// The error for a name that no column has.
    pub(super) fn unknown_column(place: TemplateKind, name: &str, columns: &Columns) -> Self {
        let mut listed: Vec<String> = columns.names.iter().take(LISTED).map(|n| quoted(n)).collect();
        if columns.names.len() > LISTED {
            listed.push(format!("{} more", columns.names.len() - LISTED));
        }
        // Empty braces can only mean the key.
        let nearest = if name.is_empty() { Some(columns.key) } else { columns.nearest(name) };
        let nearest = nearest.map(|index| columns.placeholder(index));
        // These may be braces around JSON in a header value, and their content secret.
        let name = match name {
            "" => "with an empty name".into(),
            name if name.contains(['"', ':']) => "between the braces".into(),
            name => quoted(name),
        };
        Self::UnknownColumn { place, name, columns: listed.join(", "), nearest }
    }

    /// The error for a name that the columns at these `places` have.
    pub(super) fn ambiguous_column(
        place: TemplateKind,
        (name, places): (&str, &[usize]),
        columns: &Columns,
    ) -> Self {
        let placeholders = places.iter().take(LISTED).map(|&index| columns.placeholder(index)).collect();
        Self::AmbiguousColumn { place, name: quoted(name), placeholders }
    }
}

impl UrlFault {
    fn hint(self) -> Option<&'static str> {
        Some(match self {
            Self::Scheme => "write the whole address, such as https://api.example.com/products/{sku}",
            Self::ColumnInOrigin => "end the host with a slash before the first column",
            Self::SecretInOrigin => "write the host out, or set the whole template with SKUFETCH_URL",
            Self::PlaceholderInFragment => "a literal # is written %23",
            Self::Backslash => "write / between segments, or %5C for a literal backslash",
            Self::CutEscape => "a literal % is written %25",
            Self::Dots => "write the path without . and ..",
            Self::TooLong | Self::Parse(_) | Self::Target => return None,
        })
    }
}

/// What to write where a password has a character that ends it.
fn encoded_user_info(kind: &TemplateKind) -> &'static str {
    match kind {
        TemplateKind::RateStore => {
            "write it as %2F, %3F or %23, or put the password into a variable, as in \
             redis://:${REDIS_PASSWORD}@redis.example.com:6379/0"
        }
        _ => {
            "write it as %2F, %3F or %23, or put the password into a variable, as in \
             http://user:${PROXY_PASSWORD}@proxy.example.com:3128"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(names: &[&str]) -> Columns {
        let names = names.iter().map(|n| (*n).to_owned()).collect();
        Columns { names, key: 0, format: crate::input::CsvFormat::default(), headers: true }
    }

    #[test]
    fn an_unknown_column_lists_what_there_is_and_the_nearest() {
        let error = PlanError::unknown_column(TemplateKind::Url, "regoin", &columns(&["sku", "region"]));
        assert_eq!(
            error.to_string(),
            "the URL template uses the column `regoin`, which the input lacks; it has `sku`, `region`"
        );
        assert_eq!(error.hint().unwrap(), "did you mean {region}? Case and spaces count");
        assert_eq!(error.exit(), Exit::Data);
    }

    #[test]
    fn case_alone_is_found_as_the_nearest() {
        let hint = |name: &str, names: &[&str]| {
            PlanError::unknown_column(TemplateKind::Body, name, &columns(names)).hint().unwrap()
        };
        assert!(hint("REGION", &["sku", "Region"]).starts_with("did you mean {Region}?"));
        // What cannot be typed as it is shown is named by its number.
        for name in [" Region", "Reg\u{a0}ion", "region\t", "\u{feff}Region"] {
            assert!(hint("REGION", &["sku", name]).starts_with("did you mean {#2}?"), "{name:?}");
        }
        assert!(hint("SKU", &["ean", "name"]).starts_with("did you mean {ean}?"), "the key column");
        assert!(hint("SKU", &["name", "Variant SKU"]).starts_with("did you mean {Variant SKU}?"));
    }

    #[test]
    fn a_far_name_has_no_nearest_and_many_columns_are_counted() {
        let names: Vec<String> = (0..30).map(|n| format!("c{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let error = PlanError::unknown_column(TemplateKind::Url, "zzz", &columns(&names));
        assert!(error.to_string().ends_with("`c19`, 10 more"), "{error}");
        assert!(matches!(error, PlanError::UnknownColumn { nearest: None, .. }));
    }

    #[test]
    fn json_between_braces_is_not_repeated() {
        let place = TemplateKind::Header("x-filter".into());
        let error = PlanError::unknown_column(place, "\"token\":\"canary\"", &columns(&["sku"]));
        assert!(!error.to_string().contains("canary"));
    }
}
