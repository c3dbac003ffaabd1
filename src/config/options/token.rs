//! The options of table `request` that fetch a token for `${TOKEN}`.

use std::path::PathBuf;

use crate::config::joined::joined;
use crate::config::setting::{Handle, Secrecy, Setting, Table, Takes};
use crate::config::values;
use crate::fetch::TokenGrant;
use crate::model::{StatusSet, option};

/// The status that refuses a token in any case.
const ALWAYS: &str = "401";

pub(crate) static TOKEN_COMMAND: Handle<Option<String>> = Handle {
    setting: Setting::new(
        Table::Request,
        option::TOKEN_COMMAND,
        Takes::Text("CMD"),
        "A command that prints ${TOKEN}",
    )
    .more(joined!(
        "sh runs it before the first request, and again when the token is old or refused. What it prints is the token, \
         or JSON with access_token and expires_in. ${TOKEN} may stand in ",
        option::URL,
        ", ",
        option::HEADER,
        " and ",
        option::BODY,
        ". A token is renewed after 80 % of its life, and when the API refuses it (",
        option::TOKEN_ON,
        "); the SKU is then requested again at no cost. It is never shown.",
    ))
    .secrecy(Secrecy::Whole),
    read: |given| Ok(given.text()?.map(str::to_owned)),
};

/// A template of `${NAME}` alone, not yet parsed.
pub(crate) static TOKEN_URL: Handle<Option<String>> = Handle {
    setting: Setting::new(
        Table::Request,
        option::TOKEN_URL,
        Takes::Text("URL"),
        "The OAuth 2 endpoint that gives ${TOKEN}",
    )
    .more(joined!(
        "In place of ",
        option::TOKEN_COMMAND,
        ". A form is sent to it by POST, and its answer has access_token and expires_in (RFC 6749). While it is down it \
         is asked again, as the API is.",
    ))
    .secrecy(Secrecy::Address),
    read: |given| Ok(given.text()?.map(str::to_owned)),
};

pub(crate) static TOKEN_GRANT: Handle<TokenGrant> = Handle {
    setting: Setting::new(Table::Request, option::TOKEN_GRANT, Takes::Word("GRANT"), "The grant")
        .default("client_credentials")
        .more(joined!(
            "client_credentials, refresh_token or password. refresh_token needs ",
            option::TOKEN_FIELD,
            " 'refresh_token=${REFRESH_TOKEN}', or a ",
            option::TOKEN_FILE,
            " that has one; password needs the fields username and password.",
        ))
        .completions(&["client_credentials", "refresh_token", "password"]),
    read: |given| given.choice(),
};

/// A template of `${NAME}` alone, not yet parsed.
pub(crate) static CLIENT_ID: Handle<Option<String>> = Handle {
    setting: Setting::new(
        Table::Request,
        option::CLIENT_ID,
        Takes::Text("ID"),
        "The client's id for the endpoint",
    )
    .more("Sent with the secret by Basic authentication, or as fields of the form where that is refused.")
    .secrecy(Secrecy::Whole),
    read: |given| Ok(given.text()?.map(str::to_owned)),
};

/// A template of `${NAME}` alone, not yet parsed.
pub(crate) static CLIENT_SECRET: Handle<Option<String>> = Handle {
    setting: Setting::new(
        Table::Request,
        option::CLIENT_SECRET,
        Takes::Text("SECRET"),
        "The client's secret for the endpoint",
    )
    .more("Write it as '${CLIENT_SECRET}', so that it appears in no process list.")
    .secrecy(Secrecy::Whole),
    read: |given| Ok(given.text()?.map(str::to_owned)),
};

/// A template of `${NAME}` alone, not yet parsed.
pub(crate) static SCOPE: Handle<Option<String>> = Handle {
    setting: Setting::new(Table::Request, option::SCOPE, Takes::Text("SCOPE"), "The scope of the token"),
    read: |given| Ok(given.text()?.map(str::to_owned)),
};

/// Templates of `${NAME}` alone, not yet parsed.
pub(crate) static TOKEN_FIELD: Handle<Vec<String>> = Handle {
    setting: Setting::new(
        Table::Request,
        option::TOKEN_FIELD,
        Takes::List("FIELD"),
        "A field NAME=VALUE of its form; repeatable",
    )
    .more("The value may hold ${ENV_VAR}: 'refresh_token=${REFRESH_TOKEN}', 'audience=https://api.example.com'.")
    .secrecy(Secrecy::Field),
    read: |given| {
        given.list(|text, _| match text.split_once('=') {
            Some((name, _)) if !name.trim().is_empty() => Ok(text.to_owned()),
            _ => Err("write it as NAME=VALUE".to_owned()),
        })
    },
};

pub(crate) static TOKEN_FILE: Handle<Option<PathBuf>> = Handle {
    setting: Setting::new(
        Table::Request,
        option::TOKEN_FILE,
        Takes::Text("FILE"),
        "Keeps a refresh token that changes",
    )
    .more(joined!(
        "Some endpoints give a new refresh token with each token, and the old one is then good for nothing. The newest is \
         kept here, readable by its owner alone, and is used in place of the one of ",
        option::TOKEN_FIELD,
        ".",
    )),
    read: |given| given.path(),
};

pub(crate) static TOKEN_ON: Handle<StatusSet> = Handle {
    setting: Setting::new(
        Table::Request,
        option::TOKEN_ON,
        Takes::Word("CODES"),
        "Statuses that refuse a token",
    )
    .default(ALWAYS)
    .more("401 always is one. Amazon's Selling Partner API refuses an expired token with 403: 401,403."),
    read: |given| {
        given.parse(|text| match values::statuses(text)?.to_string() {
            named if named.is_empty() => values::statuses(ALWAYS),
            named => values::statuses(&format!("{ALWAYS},{named}")),
        })
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_command() {
        assert_eq!(TOKEN_COMMAND.of(&[]), Ok(None));
        assert_eq!(TOKEN_COMMAND.of(&["cat token"]), Ok(Some("cat token".into())));
    }

    #[test]
    fn token_url() {
        assert_eq!(TOKEN_URL.of(&["https://a/${T}"]), Ok(Some("https://a/${T}".into())));
    }

    #[test]
    fn token_grant() {
        assert_eq!(TOKEN_GRANT.of(&[]), Ok(TokenGrant::ClientCredentials));
        assert_eq!(TOKEN_GRANT.of(&["password"]), Ok(TokenGrant::Password));
        assert!(TOKEN_GRANT.refuses("implicit").contains("client_credentials, refresh_token or password"));
    }

    #[test]
    fn client_id() {
        assert_eq!(CLIENT_ID.of(&["a"]), Ok(Some("a".into())));
    }

    #[test]
    fn client_secret() {
        assert_eq!(CLIENT_SECRET.of(&["${S}"]), Ok(Some("${S}".into())));
    }

    #[test]
    fn scope() {
        assert_eq!(SCOPE.of(&["read write"]), Ok(Some("read write".into())));
    }

    #[test]
    fn token_field() {
        assert_eq!(TOKEN_FIELD.of(&["a=1", "b="]), Ok(vec!["a=1".into(), "b=".into()]));
        for wrong in ["a", "=1"] {
            assert!(TOKEN_FIELD.refuses(wrong).contains("NAME=VALUE"), "{wrong}");
        }
    }

    #[test]
    fn token_file() {
        assert_eq!(TOKEN_FILE.of(&["t"]), Ok(Some("t".into())));
    }

    #[test]
    fn token_on() {
        assert!(TOKEN_ON.of(&[]).unwrap().contains(401));
        let more = TOKEN_ON.of(&["403"]).unwrap();
        assert!(more.contains(403) && more.contains(401));
        assert!(TOKEN_ON.of(&["none"]).unwrap().contains(401));
        assert!(!TOKEN_ON.refuses("often").is_empty());
    }
}
