//! What other programs call our settings: curl, wget, xargs, ab, wrk, hey and the libraries people come from.
//! Such a name is no slip of the fingers, so no nearness finds what it means.

use crate::config::options::{self, Setting, Table};

/// Names, as they are typed elsewhere; the setting; and what to write where its name alone does not say it.
type Meaning = (&'static [&'static str], &'static str, &'static str);

const MEANINGS: &[Meaning] = &[
    (
        &[
            "worker",
            "workers",
            "max-workers",
            "thread",
            "threads",
            "max-threads",
            "job",
            "jobs",
            "parallel",
            "parallelism",
            "parallel-max",
            "concurrent",
            "max-concurrency",
            "connections",
            "max-connections",
            "pool-size",
            "max-procs",
            "processes",
        ],
        "concurrency",
        "",
    ),
    (
        &[
            "qps",
            "rps",
            "rate-limit",
            "ratelimit",
            "limit-rate",
            "max-rate",
            "requests-per-second",
            "throttle",
            "delay",
            "wait",
            "sleep",
        ],
        "rate",
        "",
    ),
    (&["retry", "max-retries", "tries", "attempts", "max-attempts"], "retries", ""),
    (&["user-agent", "agent"], "header", "'User-Agent: NAME'"),
    (
        &["token", "bearer", "auth", "user", "oauth2-bearer", "api-key"],
        "header",
        "'Authorization: Bearer ${API_TOKEN}'",
    ),
    (&["cookie"], "header", "'Cookie: ${COOKIE}'"),
    (&["data", "data-raw", "data-binary", "json", "payload"], "body", ""),
    (&["request"], "method", ""),
    (&["endpoint", "uri", "base-url"], "url", ""),
    (&["location", "max-redirs", "redirects"], "follow", ""),
    (&["no-check-certificate", "no-verify", "verify"], "insecure", ""),
    (&["jq", "filter", "query"], "select", ""),
    (&["column", "col", "field", "sku"], "key", ""),
    (&["separator", "sep"], "delimiter", ""),
    (&["outfile", "out-file", "output-file", "output-document"], "output", ""),
    (&["errors", "error-file", "rejects"], "failed", ""),
    (&["head", "max-rows", "sample"], "limit", ""),
];

/// The setting that has this name elsewhere, and what to write of its value, if that need be said.
pub(super) fn meant(typed: &str) -> Option<((Table, &'static Setting), &'static str)> {
    let typed = typed.replace('_', "-").to_lowercase();
    let (_, name, value) = MEANINGS.iter().find(|(names, ..)| names.contains(&typed.as_str()))?;
    Some((options::find(name)?, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_means_one_setting_and_is_none_itself() {
        let mut all: Vec<_> = MEANINGS.iter().flat_map(|(names, ..)| names.iter().copied()).collect();
        assert!(all.iter().all(|name| options::find(name).is_none() && meant(name).is_some()));
        let before = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), before);
        assert!(MEANINGS.iter().all(|(_, setting, _)| options::find(setting).is_some()));
    }

    #[test]
    fn an_underscore_and_capitals_are_forgiven() {
        for typed in ["max_workers", "Threads", "qps"] {
            assert!(meant(typed).is_some_and(|((table, _), _)| table == Table::Pace), "{typed}");
        }
        assert!(meant("elephant").is_none());
    }
}
