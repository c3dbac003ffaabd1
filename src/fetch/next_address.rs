//! The address of the page after one: where it may lead, a pure function.

use url::Url;

use crate::model::fault::PageProblem;
use crate::model::option::{FOLLOW, NEXT, URL};
use crate::model::request_url::redacted_url;
use crate::model::{Cause, Fault, display_safe};

/// The longest address that is requested: cursors are long, and servers accept no more than this.
const LONGEST: usize = 32 << 10;
/// Characters that are shown of what is no address.
const SHOWN: usize = 100;

/// The address that a page names, resolved against the page's own. `template` is the address of the first page as it was
/// requested: pages stay at its origin, with its user-info.
///
/// # Errors
/// An address that may not be requested. Its text may hold what the server was sent: mask it before it is shown.
pub(super) fn next_address(text: &str, page: &Url, template: &Url) -> Result<Url, Fault> {
    let refuse =
        |problem, detail: String| Fault::new(Cause::Pages(problem), format!("the next page {detail}"));
    let mut url = match page.join(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.host().is_some() => url,
        _ => {
            let before_query = text.split(['?', '#']).next().unwrap_or_default();
            let shown = display_safe(before_query, SHOWN);
            let detail = format!("has no address: `{shown}` is none of HTTP");
            return Err(refuse(PageProblem::NoAddress, detail));
        }
    };
    url.set_fragment(None);
    // Both fail only for URLs without a host, which were refused above.
    let _ = url.set_username(template.username());
    let _ = url.set_password(template.password());
    if url.origin() != template.origin() {
        return Err(refuse(PageProblem::OtherOrigin, elsewhere(&url, page, template)));
    }
    if url.as_str().len() > LONGEST {
        let detail = format!("has an address of {} bytes, and {LONGEST} are the most", url.as_str().len());
        return Err(refuse(PageProblem::NoAddress, detail));
    }
    Ok(url)
}

/// What is wrong with an address at another origin, and what to do.
fn elsewhere(url: &Url, page: &Url, template: &Url) -> String {
    let origin = url.origin().ascii_serialization();
    let has_same_host = url.host() == template.host();
    match (template.scheme(), url.scheme()) {
        ("http", "https") if has_same_host => {
            format!("is at the same host by https: write {origin} in {URL}")
        }
        ("https", "http") if has_same_host => format!(
            "leads from https to http ({}); where the server means https, correct it: {NEXT} '.next | sub(\"^http:\"; \
             \"https:\")'",
            redacted_url(url)
        ),
        _ if page.origin() != template.origin() => format!(
            "is at {origin}, where a redirect led ({FOLLOW} any), and pages are requested from the origin of {URL} only"
        ),
        _ => format!("is at another origin, {origin}: pages are requested from the origin of {URL} only"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(text: &str, page: &str, template: &str) -> Result<String, String> {
        let url = |text: &str| text.parse::<Url>().unwrap();
        match next_address(text, &url(page), &url(template)) {
            Ok(url) => Ok(url.into()),
            Err(fault) => Err(fault.to_string()),
        }
    }

    #[test]
    fn an_address_is_resolved_against_the_page_and_keeps_the_user_info_of_the_template() {
        for (text, expected) in [
            ("/p?page=2", "https://a.test/p?page=2"),
            ("?page=2#top", "https://a.test/v1/p/7?page=2"),
            ("8", "https://a.test/v1/p/8"),
            ("../8", "https://a.test/v1/8"),
            ("//a.test/9", "https://a.test/9"),
            ("https://A.test:443/9", "https://a.test/9"),
            ("https://other:user@a.test/9", "https://a.test/9"),
            ("/a b?c=d e", "https://a.test/a%20b?c=d%20e"),
            ("", "https://a.test/v1/p/7?x=1"),
        ] {
            let page = "https://a.test/v1/p/7?x=1";
            assert_eq!(next(text, page, "https://a.test/1").as_deref(), Ok(expected), "{text}");
            let own = expected.replace("https://", "https://u:p@");
            assert_eq!(next(text, page, "https://u:p@a.test/1").as_deref(), Ok(own.as_str()), "{text}");
        }
    }

    #[test]
    fn pages_stay_at_the_origin_of_the_template() {
        for (text, template, said) in [
            ("https://b.test/2?key=canary", "https://a.test/1", "is at another origin, https://b.test:"),
            ("https://a.test:444/2", "https://a.test/1", "another origin, https://a.test:444:"),
            ("//evil.test/2", "https://a.test/1", "another origin, https://evil.test:"),
            (
                "http://a.test/2?key=canary",
                "https://a.test/1",
                "leads from https to http (http://a.test/2); where",
            ),
            (
                "https://a.test/2",
                "http://a.test/1",
                "at the same host by https: write https://a.test in --url",
            ),
            (
                "file:///etc/passwd",
                "https://a.test/1",
                "has no address: `file:///etc/passwd` is none of HTTP",
            ),
            ("javascript:alert(1)", "https://a.test/1", "has no address"),
            ("http://[?key=canary", "https://a.test/1", "has no address: `http://[` is none"),
        ] {
            let refused = next(text, template, template).unwrap_err();
            assert!(refused.contains(said) && !refused.contains("canary"), "{text}: {refused}");
        }
        let refused = next("/2", "https://b.test/1", "https://a.test/1").unwrap_err();
        assert!(refused.contains("is at https://b.test, where a redirect led"), "{refused}");
        let back = next("https://a.test/2", "https://b.test/1", "https://a.test/1");
        assert_eq!(back.as_deref(), Ok("https://a.test/2"));
        assert!(next(&"x".repeat(LONGEST), "https://a.test/1", "https://a.test/1").is_err());
    }
}
