//! Which proxy is used, and how it is shown.

use super::*;

fn of_variables(variables: &[(&str, &str)]) -> ProxyRules {
    ProxyRules::of_variables(|name| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    })
}

/// The proxy for an address and the variable that names it.
fn chosen(variables: &[(&str, &str)], url: &'static str) -> Option<(String, ProxySource)> {
    let rules = of_variables(variables);
    rules.proxy_for(&Uri::from_static(url)).map(|proxy| (proxy.to_string(), proxy.source()))
}

#[test]
fn each_scheme_has_its_variable_and_all_proxy_is_for_both() {
    let (http, https, all) =
        (("HTTP_PROXY", "h:1"), ("https_proxy", "http://s:2"), ("all_proxy", "socks5h://a:3"));
    let (plain, tls) = ("http://a.test/", "https://a.test/");
    let plain_proxy = Some(("http://h:1".to_owned(), ProxySource::Variable("HTTP_PROXY")));
    let tls_proxy = Some(("http://s:2".to_owned(), ProxySource::Variable("https_proxy")));
    let of_all = Some(("socks5h://a:3".to_owned(), ProxySource::Variable("all_proxy")));
    assert_eq!(chosen(&[], plain), None);
    assert_eq!(chosen(&[http, https, all], plain), plain_proxy);
    assert_eq!(chosen(&[http, https, all], tls), tls_proxy);
    assert_eq!((chosen(&[http], tls), chosen(&[https], plain)), (None, None));
    assert_eq!((chosen(&[all], plain), chosen(&[all], tls)), (of_all.clone(), of_all.clone()));
    // One that cannot be read is as if absent; one that is empty stands for the other spelling, too.
    assert_eq!(chosen(&[("http_proxy", "htp://x"), all], plain), of_all);
    assert_eq!(chosen(&[("HTTP_PROXY", ""), ("http_proxy", "h:1")], plain), None);
    assert_eq!(chosen(&[("REQUEST_METHOD", "GET"), http, all], plain), None);
}

#[test]
fn no_proxy_holds_for_names_and_addresses() {
    for (list, url, is_direct) in [
        ("*", "http://127.0.0.1:8080/", true),
        ("*", "http://[::1]/", true),
        ("a.test:8080", "http://a.test/", false),
        ("a.test:80", "http://a.test/", true),
        ("a.test:443", "https://a.test/", true),
        ("10.0.0.0/8", "http://10.1.2.3/", true),
    ] {
        for name in ["NO_PROXY", "no_proxy"] {
            assert_eq!(
                chosen(&[("ALL_PROXY", "p:1"), (name, list)], url).is_none(),
                is_direct,
                "{list} {url}"
            );
        }
    }
}

#[test]
fn an_address_is_shown_without_its_user_info_and_with_its_port() {
    for (address, shown) in [
        ("http://me:canary@p:3128/", "http://p:3128"),
        ("me:canary@p:3128", "http://p:3128"),
        ("HTTPS://me:can ary@P:3128", "https://p:3128"),
        ("socks5://me:canary@p", "socks5://p:1080"),
        ("SOCKS4A://p", "socks4a://p:1080"),
        ("socks5h://[::1]:9", "socks5h://[::1]:9"),
    ] {
        let rules = ProxyRules::of_setting(&SecretString::from(address)).unwrap();
        let proxy = rules.proxy_for(&Uri::from_static("http://a.test/")).unwrap();
        assert_eq!((proxy.to_string(), format!("{proxy:?}")), (shown.to_owned(), shown.to_owned()));
    }
    for address in ["ftp://p:1", "http://", "http://us:canary@:x", "http://p:99999", "socks5://"] {
        let refused = ProxyRules::of_setting(&SecretString::from(address)).unwrap_err();
        assert!(!refused.to_string().contains("canary"), "{refused}");
    }
}
