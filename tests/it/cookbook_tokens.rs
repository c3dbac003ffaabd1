//! The token endpoints of the cookbook, and the APIs that their tokens are for.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::cookbook::{items, listed};
use crate::support::log::percent_decode;
use crate::support::{Reply, Seen};

/// What these endpoints and APIs answer; none where the request is for another.
pub fn reply(seen: &Seen, product: &dyn Fn(&str) -> String) -> Option<Reply> {
    endpoint(seen).or_else(|| api(seen, product))
}

fn endpoint(seen: &Seen) -> Option<Reply> {
    let token = match seen.path() {
        "/identity/v1/oauth2/token" => {
            assert_eq!(client(seen), "shop-1:s3cret-ebay");
            let scope = "https://api.ebay.com/oauth/api_scope";
            assert_eq!(form(seen), fields(&[("grant_type", "client_credentials"), ("scope", scope)]));
            "ebay-token"
        }
        "/v1/oauth2/token" => {
            // DigiKey reads the client from the form.
            if seen.header("authorization").is_some() {
                return Some(Reply::json("{\"error\":\"invalid_client\"}").with_status(401));
            }
            let expected = [
                ("grant_type", "client_credentials"),
                ("client_id", "client-1"),
                ("client_secret", "s3cret-digikey"),
            ];
            assert_eq!(form(seen), fields(&expected));
            "digikey-token"
        }
        "/auth/o2/token" => {
            assert_eq!(client(seen), "app-1:s3cret-lwa");
            let refresh = ("refresh_token", "Atzr|s3cret-refresh");
            assert_eq!(form(seen), fields(&[("grant_type", "refresh_token"), refresh]));
            "Atza|amazon-token"
        }
        "/api/oauth/v1/token" => {
            assert_eq!(client(seen), "client-1:s3cret-pim");
            let expected =
                [("grant_type", "password"), ("username", "reader"), ("password", "s3cret-reader")];
            assert_eq!(form(seen), fields(&expected));
            "akeneo-token"
        }
        "/rest/V1/integration/admin/token" => {
            let body: Value = serde_json::from_slice(&seen.body).expect("a body of JSON");
            assert_eq!(body, serde_json::json!({"username": "reader", "password": "s3cret-magento"}));
            return Some(Reply::json("\"magento-token\""));
        }
        _ => return None,
    };
    Some(Reply::json(format!(
        "{{\"access_token\":\"{token}\",\"token_type\":\"bearer\",\"expires_in\":3600}}"
    )))
}

fn api(seen: &Seen, product: &dyn Fn(&str) -> String) -> Option<Reply> {
    let has = |name: &str, value: &str| assert_eq!(seen.header(name), Some(value), "{seen:?}");
    match seen.path() {
        path if path.starts_with("/buy/browse/v1/item/") => has("authorization", "Bearer ebay-token"),
        path if path.starts_with("/products/v4/search/") => {
            has("authorization", "Bearer digikey-token");
            has("x-digikey-client-id", "client-1");
            return Some(Reply::json(product(path.split('/').nth(4).expect("a SKU"))));
        }
        "/rest/V1/products" => {
            has("authorization", "Bearer magento-token");
            let of_filter = |name: &str| {
                let name = format!("searchCriteria[filter_groups][0][filters][0][{name}]");
                String::from_utf8(seen.query_value(&name).expect("a filter")).expect("UTF-8")
            };
            assert_eq!((of_filter("field").as_str(), of_filter("condition_type").as_str()), ("sku", "in"));
            let skus = listed(&of_filter("value"), ",");
            return Some(Reply::json(format!("{{\"items\":{}}}", items(&skus, product))));
        }
        "/catalog/2022-04-01/items" if seen.header("x-amz-access-token").is_some() => {
            has("x-amz-access-token", "Atza|amazon-token");
            return None;
        }
        "/api/rest/v1/products" => {
            has("authorization", "Bearer akeneo-token");
            let search = seen.query_value("search").expect("a search");
            let search: Value = serde_json::from_slice(&search).expect("a search of JSON");
            let skus = search["identifier"][0]["value"].as_array().expect("SKUs").iter();
            let skus: Vec<String> = skus.map(|sku| sku.as_str().expect("a SKU").to_owned()).collect();
            let item = |sku: &str| format!("{{\"identifier\":\"{sku}\"}}");
            return Some(Reply::json(format!("{{\"_embedded\":{{\"items\":{}}}}}", items(&skus, &item))));
        }
        _ => return None,
    }
    Some(Reply::json(product(&seen.sku)))
}

/// Id and secret of Basic authentication.
fn client(seen: &Seen) -> String {
    let basic =
        seen.header("authorization").and_then(|value| value.strip_prefix("Basic ")).expect("a client");
    String::from_utf8(STANDARD.decode(basic).expect("base64")).expect("UTF-8")
}

fn form(seen: &Seen) -> BTreeMap<String, String> {
    let decoded = |text: &str| String::from_utf8(percent_decode(text)).expect("UTF-8");
    let body = String::from_utf8(seen.body.clone()).expect("a form");
    let pairs = listed(&body, "&");
    let pairs = pairs.iter().map(|pair| pair.split_once('=').expect("a field"));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

fn fields(fields: &[(&str, &str)]) -> BTreeMap<String, String> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
