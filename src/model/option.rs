//! The options, as they are typed. Whatever names one, its own description in `config/options` included, takes the
//! name from here: a message of any layer follows when an option is renamed.

// Table `input`
pub(crate) const KEY: &str = "--key";
pub(crate) const DELIMITER: &str = "--delimiter";
pub(crate) const QUOTE: &str = "--quote";
pub(crate) const ESCAPE: &str = "--escape";
pub(crate) const ENCODING: &str = "--encoding";
pub(crate) const SKIP_LINES: &str = "--skip-lines";
pub(crate) const NO_HEADERS: &str = "--no-headers";
pub(crate) const EMPTY_KEY: &str = "--empty-key";
pub(crate) const SHORT_ROWS: &str = "--short-rows";
pub(crate) const LIMIT: &str = "--limit";

// Table `request`
pub(crate) const URL: &str = "--url";
pub(crate) const METHOD: &str = "--method";
pub(crate) const HEADER: &str = "--header";
pub(crate) const BODY: &str = "--body";
pub(crate) const BODY_ESCAPE: &str = "--body-escape";
pub(crate) const BULK: &str = "--bulk";
pub(crate) const ITEM: &str = "--item";
pub(crate) const SEPARATOR: &str = "--separator";
pub(crate) const NEXT: &str = "--next";
pub(crate) const JOIN: &str = "--join";
pub(crate) const PAGES: &str = "--pages";
pub(crate) const COOKIES: &str = "--cookies";
pub(crate) const TOKEN_COMMAND: &str = "--token-command";
pub(crate) const TOKEN_URL: &str = "--token-url";
pub(crate) const TOKEN_GRANT: &str = "--token-grant";
pub(crate) const CLIENT_ID: &str = "--client-id";
pub(crate) const CLIENT_SECRET: &str = "--client-secret";
pub(crate) const SCOPE: &str = "--scope";
pub(crate) const TOKEN_FIELD: &str = "--token-field";
pub(crate) const TOKEN_FILE: &str = "--token-file";
pub(crate) const TOKEN_ON: &str = "--token-on";
pub(crate) const TIMEOUT: &str = "--timeout";
pub(crate) const CONNECT_TIMEOUT: &str = "--connect-timeout";
pub(crate) const FOLLOW: &str = "--follow";
pub(crate) const CA_CERT: &str = "--ca-cert";
pub(crate) const PROXY: &str = "--proxy";
pub(crate) const INSECURE: &str = "--insecure";
pub(crate) const HTTP: &str = "--http";

// Table `pace`
pub(crate) const CONCURRENCY: &str = "--concurrency";
pub(crate) const RATE: &str = "--rate";
pub(crate) const BURST: &str = "--burst";
pub(crate) const MAX_TIME: &str = "--max-time";

// Table `retry`
pub(crate) const RETRIES: &str = "--retries";
pub(crate) const RETRY_ON: &str = "--retry-on";
pub(crate) const QUOTA_FIELDS: &str = "--quota-fields";
pub(crate) const MAX_RETRY_AFTER: &str = "--max-retry-after";

// Table `response`
pub(crate) const SELECT: &str = "--select";
pub(crate) const BODY_AS: &str = "--body-as";
pub(crate) const NULL_ON: &str = "--null-on";
pub(crate) const REFUSED_IF: &str = "--refused-if";
pub(crate) const NULL_IF: &str = "--null-if";
pub(crate) const RETRY_IF: &str = "--retry-if";
pub(crate) const FAIL_IF: &str = "--fail-if";
pub(crate) const BULK_ITEMS: &str = "--bulk-items";
pub(crate) const BULK_KEY: &str = "--bulk-key";
pub(crate) const MAX_BODY: &str = "--max-body";

// Table `output`
pub(crate) const OUTPUT: &str = "--output";
pub(crate) const FORMAT: &str = "--format";
pub(crate) const COLUMNS: &str = "--columns";
pub(crate) const CSV_BOM: &str = "--csv-bom";
pub(crate) const SHAPE: &str = "--shape";
pub(crate) const MERGE: &str = "--merge";
pub(crate) const PRUNE: &str = "--prune";
pub(crate) const CHANGES: &str = "--changes";
pub(crate) const GUARD: &str = "--guard";
pub(crate) const STREAM: &str = "--stream";
pub(crate) const FAILED: &str = "--failed";
pub(crate) const MIN_SUCCESS: &str = "--min-success";

// Table `run`
pub(crate) const FRESH: &str = "--fresh";
pub(crate) const MAX_AGE: &str = "--max-age";
pub(crate) const WAIT_FOR_API: &str = "--wait-for-api";
pub(crate) const JOURNAL_DIR: &str = "--journal-dir";
pub(crate) const RATE_STORE: &str = "--rate-store";
pub(crate) const SHARD: &str = "--shard";
pub(crate) const RUN_ID: &str = "--run-id";
pub(crate) const LOCK_WAIT: &str = "--lock-wait";
pub(crate) const DRY_RUN: &str = "--dry-run";
pub(crate) const PROGRESS: &str = "--progress";
pub(crate) const REPORT: &str = "--report";
pub(crate) const LOG_FORMAT: &str = "--log-format";
pub(crate) const DEMO: &str = "--demo";
pub(crate) const DEMO_LATENCY: &str = "--demo-latency";
pub(crate) const DEMO_FAILURES: &str = "--demo-failures";
pub(crate) const DEMO_MISSING: &str = "--demo-missing";
pub(crate) const DEMO_RATE: &str = "--demo-rate";

// Of the command line alone
pub(crate) const CONFIG: &str = "--config";
pub(crate) const VERBOSE: &str = "--verbose";
pub(crate) const QUIET: &str = "--quiet";
pub(crate) const HELP: &str = "--help";
pub(crate) const VERSION: &str = "--version";
