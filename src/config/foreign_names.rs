//! Names of the settings in other programs (curl, wget, xargs, ab, wrk, hey) and in libraries. Such a name is no
//! misspelling, so the nearest name would be a wrong suggestion.

use crate::config::options::{self, Setting};

/// Names in other programs; the setting; and what to write of its value where its name alone does not say it.
type Meaning = (&'static [&'static str], &'static Setting, &'static str);

static MEANINGS: &[Meaning] = &[
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
        &options::CONCURRENCY.setting,
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
        &options::RATE.setting,
        "",
    ),
    (&["retry", "max-retries", "tries", "attempts", "max-attempts"], &options::RETRIES.setting, ""),
    (&["user-agent", "agent"], &options::HEADER.setting, "'User-Agent: NAME'"),
    (
        &["token", "bearer", "auth", "user", "oauth2-bearer", "api-key"],
        &options::HEADER.setting,
        "'Authorization: Bearer ${API_TOKEN}'",
    ),
    (&["cookie"], &options::HEADER.setting, "'Cookie: ${COOKIE}'"),
    (
        &["cookie-jar", "cookiejar", "keep-session-cookies", "save-cookies", "load-cookies", "session"],
        &options::COOKIES.setting,
        "",
    ),
    (
        &["paginate", "pagination", "follow-pages", "follow-next", "next-page", "all-pages"],
        &options::NEXT.setting,
        "link",
    ),
    (&["max-pages", "page-limit"], &options::PAGES.setting, ""),
    (&["data", "data-raw", "data-binary", "json", "payload"], &options::BODY.setting, ""),
    (&["request"], &options::METHOD.setting, ""),
    (&["endpoint", "uri", "base-url"], &options::URL.setting, ""),
    (&["location", "max-redirs", "redirects"], &options::FOLLOW.setting, ""),
    (&["no-check-certificate", "no-verify", "verify"], &options::INSECURE.setting, ""),
    (&["jq", "filter", "query"], &options::SELECT.setting, ""),
    (&["column", "col", "field", "sku"], &options::KEY.setting, ""),
    (&["csv-columns", "csv-fields"], &options::COLUMNS.setting, ""),
    (&["bom", "utf8-bom", "utf-8-bom"], &options::CSV_BOM.setting, ""),
    (&["sep"], &options::DELIMITER.setting, ""),
    (&["outfile", "out-file", "output-file", "output-document"], &options::OUTPUT.setting, ""),
    (&["errors", "error-file", "rejects"], &options::FAILED.setting, ""),
    (&["unordered", "streaming", "unbuffered", "line-buffered"], &options::STREAM.setting, ""),
    (&["head", "max-rows", "sample"], &options::LIMIT.setting, ""),
    (
        &["partition", "worker-index", "task-index", "array-index", "shards", "num-shards"],
        &options::SHARD.setting,
        "I/N",
    ),
    (&["run", "run-name", "job-id", "job-name"], &options::RUN_ID.setting, "NAME"),
];

/// The setting that has this name in other programs, and what to write of its value, if that need be said.
pub(super) fn meant(typed: &str) -> Option<(&'static Setting, &'static str)> {
    let typed = typed.replace('_', "-").to_lowercase();
    let (_, setting, value) = MEANINGS.iter().find(|(names, ..)| names.contains(&typed.as_str()))?;
    Some((setting, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::options::Table;

    #[test]
    fn each_name_means_one_setting_and_is_none_itself() {
        let mut all: Vec<_> = MEANINGS.iter().flat_map(|(names, ..)| names.iter().copied()).collect();
        assert!(all.iter().all(|name| options::find(name).is_none() && meant(name).is_some()));
        let before = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), before);
    }

    #[test]
    fn an_underscore_and_capitals_are_forgiven() {
        for typed in ["max_workers", "Threads", "qps"] {
            assert!(meant(typed).is_some_and(|(setting, _)| setting.table == Table::Pace), "{typed}");
        }
        assert!(meant("elephant").is_none());
    }
}
