//! What is sent to a token endpoint, with its variables expanded.

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::plan::encode::percent_encode;
use crate::plan::error::{PlanError, TemplateKind};
use crate::plan::fields;
use crate::plan::secrets::SecretCollector;
use crate::plan::template::{EnvLookup, TemplatePiece, parse_variables, printable};
use crate::plan::token_place::TokenPlace;
use crate::plan::user_info::UserInfo;

/// A token that is fetched for `${TOKEN}`.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenTemplate {
    /// What stands for it in a request.
    pub place: TokenPlace,
    /// What is sent to its endpoint; none: a command prints it.
    pub request: Option<TokenRequestTemplate>,
    /// The command that prints it. The shell reads its variables.
    pub command: Option<String>,
}

/// What is sent to a token endpoint. In each text only `${NAME}` has a meaning.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenRequestTemplate {
    /// The address.
    pub url: String,
    /// The client's id.
    pub client_id: Option<String>,
    /// The client's secret.
    pub client_secret: Option<String>,
    /// The scope.
    pub scope: Option<String>,
    /// Further fields, as `name=value`.
    pub fields: Vec<String>,
}

/// The same with the values of the variables.
#[derive(Clone)]
pub(crate) struct TokenRequestParts {
    /// The address.
    pub(crate) url: Url,
    /// Id and secret, where there is either.
    pub(crate) client: Option<(SecretString, SecretString)>,
    /// All other fields but the grant: their names and values.
    pub(crate) fields: Vec<(String, SecretString)>,
}

impl TokenRequestTemplate {
    /// Expands the variables; what may be secret joins `secrets`.
    ///
    /// # Errors
    /// A variable that cannot be used, or an address that is none.
    pub(super) fn expand(
        &self,
        env: &EnvLookup<'_>,
        secrets: &mut SecretCollector,
    ) -> Result<TokenRequestParts, PlanError> {
        let url = address(&self.url, env)?;
        secrets.form_fields(&fields::of_form(url.query().into_iter()));
        let text = |text: &Option<String>, kind: TemplateKind| match text {
            Some(text) => expanded(text, env, &kind),
            None => Ok(SecretString::default()),
        };
        let id = text(&self.client_id, TemplateKind::ClientId)?;
        let secret = text(&self.client_secret, TemplateKind::ClientSecret)?;
        let has_client = self.client_id.is_some() || self.client_secret.is_some();
        let client = has_client.then_some((id, secret));
        if let Some((id, secret)) = &client {
            secrets.client(id.expose_secret(), secret.expose_secret());
        }
        let mut fields = Vec::with_capacity(self.fields.len() + 1);
        for field in &self.fields {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            let value = expanded(value, env, &TemplateKind::TokenField(name.to_owned()))?;
            secrets.field(name, value.expose_secret());
            fields.push((name.to_owned(), value));
        }
        if let Some(scope) = &self.scope {
            fields.push(("scope".to_owned(), expanded(scope, env, &TemplateKind::Scope)?));
        }
        Ok(TokenRequestParts { url, client, fields })
    }
}

fn expanded(text: &str, env: &EnvLookup<'_>, kind: &TemplateKind) -> Result<SecretString, PlanError> {
    let mut out = String::new();
    for piece in parse_variables(text, env, kind)? {
        match piece {
            TemplatePiece::Text(text) => out.push_str(&text),
            TemplatePiece::Secret { name, value } => out.push_str(printable(&name, &value, kind)?),
            // Only variables were parsed.
            TemplatePiece::Column(_) => {}
        }
    }
    Ok(out.into())
}

/// Variables are percent-encoded, but for one that is the whole address.
fn address(text: &str, env: &EnvLookup<'_>) -> Result<Url, PlanError> {
    let kind = TemplateKind::TokenUrl;
    let pieces = parse_variables(text.trim(), env, &kind)?;
    let is_whole = matches!(pieces.as_slice(), [TemplatePiece::Secret { .. }]);
    let mut address = String::new();
    for piece in pieces {
        match piece {
            TemplatePiece::Text(text) => address.push_str(&text),
            TemplatePiece::Secret { name, value } => {
                let value = printable(&name, &value, &kind)?;
                if is_whole {
                    address.push_str(value);
                } else {
                    // Cannot fail: control characters were rejected above.
                    let _ = percent_encode(&mut address, value);
                }
            }
            TemplatePiece::Column(_) => {}
        }
    }
    let url = Url::parse(&address).map_err(|_| PlanError::TokenUrl)?;
    if !matches!(url.scheme(), "http" | "https") || UserInfo::of(&address).is_some() {
        return Err(PlanError::TokenUrl);
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "ID" => Some("my id".into()),
            "SECRET" => Some("canary-secret".into()),
            "URL" => Some("https://id.test/t?x=1".into()),
            _ => None,
        }
    }

    fn template(url: &str) -> TokenRequestTemplate {
        TokenRequestTemplate {
            url: url.into(),
            client_id: Some("${ID}".into()),
            client_secret: Some("${SECRET}".into()),
            scope: Some("read {x}".into()),
            fields: vec!["refresh_token=r=${SECRET}".into(), "user=anna".into()],
        }
    }

    #[test]
    fn variables_are_expanded_and_what_is_secret_is_masked() {
        let mut secrets = SecretCollector::default();
        let parts = template("https://id.test/${ID}/token").expand(&env, &mut secrets).unwrap();
        assert_eq!(parts.url.as_str(), "https://id.test/my%20id/token");
        let (id, secret) = parts.client.unwrap();
        assert_eq!((id.expose_secret(), secret.expose_secret()), ("my id", "canary-secret"));
        let fields: Vec<(&str, &str)> =
            parts.fields.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
        assert_eq!(fields, [("refresh_token", "r=canary-secret"), ("user", "anna"), ("scope", "read {x}")]);
        let mask = secrets.finish().0;
        assert_eq!(mask.apply("got canary-secret of anna"), "got (redacted) of anna");
        assert!(mask.finds("bXkgaWQ6Y2FuYXJ5LXNlY3JldA"), "in base64");
    }

    #[test]
    fn an_address_may_be_a_variable_and_has_no_user_info() {
        let of =
            |url: &str| template(url).expand(&env, &mut SecretCollector::default()).map(|parts| parts.url);
        assert_eq!(of("${URL}").unwrap().as_str(), "https://id.test/t?x=1");
        for wrong in ["id.test/token", "ftp://id.test/", "https://a:b@id.test/t", ""] {
            assert!(matches!(of(wrong), Err(PlanError::TokenUrl)), "{wrong}");
        }
        assert!(matches!(of("https://id.test/${NONE}"), Err(PlanError::Variable { .. })));
    }
}
