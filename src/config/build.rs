//! Builds [`Settings`] from the merged layers. Each value is parsed here, once.

use std::ffi::OsString;
use std::fs;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};

use crate::collect::{self, Compression, Format, OutputSettings, TableColumn, TableSettings};
use crate::config::call::{Call, Purpose};
use crate::config::error::ConfigError;
use crate::config::layers::Layers;
use crate::config::options::{self, HeaderLine, URL};
use crate::config::origin::Origin;
use crate::config::output_name;
use crate::config::settings::{InputPath, RunOptions, Settings, Target};
use crate::config::{command_line, objects, redacted, token};
use crate::demo::DemoSettings;
use crate::fetch::{
    BulkFilters, ConnectionSettings, MeaningSettings, PageSettings, ResponseSettings, RetrySettings,
};
use crate::input::InputSettings;
use crate::limit::PaceSettings;
use crate::model::{Rate, shell_word};
use crate::plan::{self, BulkSettings, RequestSettings};
use crate::report::{ReportSettings, Terminal};

/// Identifies the built-in API, whose port differs from run to run.
const DEMO_URL: &str = "http://demo.invalid/products/{sku}";
/// The same where SKUs are packed.
const DEMO_PACK_URL: &str = "http://demo.invalid/products?sku={items}";

/// Stands in the place of an address where no request is sent.
const UNASKED_URL: &str = "http://merge.invalid/{sku}";

/// Parses all values. Whether they contradict each other is checked afterwards.
pub(super) fn settings(layers: &Layers, call: &Call<'_>) -> Result<Settings, ConfigError> {
    let input_path = match call.purpose {
        // The parts are named once their place is known.
        Purpose::Merge => InputPath::File(PathBuf::new()),
        Purpose::Fetch | Purpose::Tune => input_path(&call.input)?,
    };
    let input = InputSettings {
        key: layers.get(&options::KEY)?,
        columns: Vec::new(),
        delimiter: layers.get(&options::DELIMITER)?,
        quote: layers.get(&options::QUOTE)?,
        escape: layers.get(&options::ESCAPE)?,
        encoding: layers.get(&options::ENCODING)?,
        skip_lines: layers.get(&options::SKIP_LINES)?,
        headers: !layers.get(&options::NO_HEADERS)?,
        limit: layers.get(&options::LIMIT)?.map(NonZeroU64::get),
        shard: None,
        empty_key: layers.get(&options::EMPTY_KEY)?,
        short_rows: layers.get(&options::SHORT_ROWS)?,
    };
    let demo = demo(layers)?;
    let bulk = bulk(layers)?;
    let demo_url = if bulk.is_some() { DEMO_PACK_URL } else { DEMO_URL };
    let unasked = (call.purpose == Purpose::Merge).then(|| UNASKED_URL.to_owned());
    let url = layers.get(&options::URL)?.or_else(|| demo.map(|_| demo_url.to_owned())).or(unasked);
    let Some(url) = url else {
        let output_missing = call.purpose == Purpose::Fetch && layers.get(&options::OUTPUT)?.is_none();
        let reading = Box::new(InputSettings { limit: None, ..input });
        let command = if call.purpose == Purpose::Tune { "skufetch tune" } else { "skufetch" };
        let bare = !layers.any_option();
        return Err(ConfigError::MissingUrl { input: input_path, reading, output_missing, bare, command });
    };
    let (headers, header_origins): (Vec<String>, Vec<_>) =
        layers.get(&options::HEADER)?.into_iter().map(|HeaderLine { text, origin }| (text, origin)).unzip();
    let columns = columns(&url, bulk.as_ref(), &headers);
    Ok(Settings {
        input_path,
        input: InputSettings { columns, ..input },
        request: RequestSettings {
            url,
            identity_url: None,
            method: layers.get(&options::METHOD)?,
            headers,
            body: body(layers, call)?,
            body_escape: layers.get(&options::BODY_ESCAPE)?,
            bulk: bulk.clone(),
            token: token::template(layers)?,
            proxy: layers.get(&options::PROXY)?,
            rate_store: layers.get(&options::RATE_STORE)?,
        },
        token: token::options(layers)?,
        connection: connection(layers)?,
        pace: PaceSettings {
            concurrency: layers.get(&options::CONCURRENCY)?,
            rate: layers.get(&options::RATE)?,
            burst: burst(layers, bulk.as_ref())?,
            is_shared: layers.get(&options::RATE_STORE)?.is_some(),
            max_retry_after: layers.get(&options::MAX_RETRY_AFTER)?,
        },
        retry: RetrySettings {
            retries: layers.get(&options::RETRIES)?,
            follow: layers.get(&options::FOLLOW)?,
            sends_refused_again: call.purpose == Purpose::Fetch,
            reads_quota_fields: layers.get(&options::QUOTA_FIELDS)?,
            keeps_cookies: layers.get(&options::COOKIES)?,
            wait_for_api: layers.get(&options::WAIT_FOR_API)?,
        },
        response: response(layers)?,
        output: output(layers, call.purpose)?,
        run: run(layers)?,
        messages: messages(layers, call)?,
        demo,
        warnings: Vec::new(),
        redacted: redacted::settings(layers, demo.is_some()),
        origins: layers.origins(),
        header_origins,
    })
}

fn response(layers: &Layers) -> Result<ResponseSettings, ConfigError> {
    Ok(ResponseSettings {
        select: layers.get(&options::SELECT)?,
        meaning: MeaningSettings {
            refused: layers.get(&options::REFUSED_IF)?,
            null: layers.get(&options::NULL_IF)?,
            retry: layers.get(&options::RETRY_IF)?,
            fail: layers.get(&options::FAIL_IF)?,
        },
        body_as: layers.get(&options::BODY_AS)?,
        null_on: layers.get(&options::NULL_ON)?,
        retry_on: layers.get(&options::RETRY_ON)?,
        bulk: BulkFilters { items: layers.get(&options::BULK_ITEMS)?, key: layers.get(&options::BULK_KEY)? },
        pages: pages(layers)?,
        max_body: layers.get(&options::MAX_BODY)?,
    })
}

fn pages(layers: &Layers) -> Result<Option<PageSettings>, ConfigError> {
    let (join, most) = (layers.get(&options::JOIN)?, layers.get(&options::PAGES)?);
    Ok(layers.get(&options::NEXT)?.map(|next| PageSettings { next, join, most }))
}

/// The columns that the request names. In a body, other braces stand as they are, and name no column.
fn columns(url: &str, bulk: Option<&BulkSettings>, headers: &[String]) -> Vec<String> {
    let headers = headers.iter().map(String::as_str);
    let named = std::iter::once(url).chain(headers).flat_map(plan::column_names);
    match bulk {
        None => named.collect(),
        Some(bulk) => {
            named.filter(|name| name != plan::ITEMS).chain(plan::column_names(&bulk.item)).collect()
        }
    }
}

/// Where keys are counted, at least a whole pack may leave at once.
fn burst(layers: &Layers, bulk: Option<&BulkSettings>) -> Result<NonZeroU32, ConfigError> {
    let burst = layers.get(&options::BURST)?;
    let counts_keys = layers.get(&options::RATE)?.is_some_and(Rate::counts_keys);
    Ok(bulk.filter(|_| counts_keys).map_or(burst, |bulk| burst.max(bulk.size)))
}

fn bulk(layers: &Layers) -> Result<Option<BulkSettings>, ConfigError> {
    let (item, separator) = (layers.get(&options::ITEM)?, layers.get(&options::SEPARATOR)?);
    Ok(layers.get(&options::BULK)?.map(|size| BulkSettings { size, item, separator }))
}

fn input_path(path: &OsString) -> Result<InputPath, ConfigError> {
    match path.to_str() {
        Some("") => Err(ConfigError::CommandLine {
            message: "INPUT is empty".into(),
            hint: Some("name a CSV file, or - for standard input".into()),
        }),
        Some("-") => Ok(InputPath::Stdin),
        Some(address) if options::is_address(address) => {
            let add = match command_line::address(address) {
                shown if shown.contains(command_line::HIDDEN) => format!("the address with {URL}"),
                shown => {
                    format!("the address with {URL}: skufetch products.csv {URL} {}", shell_word(&shown))
                }
            };
            Err(ConfigError::CommandLine {
                message: "INPUT is an address, and has to be a CSV file".into(),
                hint: Some(format!("name a file, and {add}")),
            })
        }
        _ => objects::input(Path::new(path)).unwrap_or_else(|| Ok(InputPath::File(path.into()))),
    }
}

fn connection(layers: &Layers) -> Result<ConnectionSettings, ConfigError> {
    Ok(ConnectionSettings {
        timeout: layers.get(&options::TIMEOUT)?,
        connect_timeout: layers.get(&options::CONNECT_TIMEOUT)?,
        ca_cert: layers.get(&options::CA_CERT)?,
        insecure: layers.get(&options::INSECURE)?,
        http: layers.get(&options::HTTP)?,
    })
}

/// The body, or the content of the file that it names. The path is relative to the current folder, wherever it is
/// written. A leading byte-order mark, which editors write, is removed.
fn body(layers: &Layers, call: &Call<'_>) -> Result<Option<String>, ConfigError> {
    let Some(body) = layers.get(&options::BODY)?.filter(|_| call.purpose != Purpose::Merge) else {
        return Ok(None);
    };
    let Some(name) = body.strip_prefix('@') else { return Ok(Some(body)) };
    let read = fs::read(call.cwd.join(name)).map_err(|error| error.to_string());
    let text = read.and_then(|bytes| String::from_utf8(bytes).map_err(|_| "it is not valid UTF-8".into()));
    let text =
        text.map(|text| Some(text.strip_prefix('\u{feff}').map_or_else(|| text.clone(), str::to_owned)));
    text.map_err(|why| {
        layers.given(&options::BODY).wrong(format!("the file {name} cannot be read: {why}")).into()
    })
}

fn output(layers: &Layers, purpose: Purpose) -> Result<OutputSettings, ConfigError> {
    let path = match (layers.get(&options::OUTPUT)?, purpose) {
        (Some(path), _) => path,
        (None, Purpose::Tune) => PathBuf::from("-"),
        (None, Purpose::Fetch | Purpose::Merge) => {
            let address = layers.given(&URL).text()?;
            return Err(ConfigError::MissingOutput { has_query: address.is_some_and(|it| it.contains('?')) });
        }
    };
    let format = format(layers, &path)?;
    let named = layers.get(&options::FAILED)?;
    let changes = layers.get(&options::CHANGES)?;
    let compression = Compression::of(&path);
    let (target, failed) = if path.as_os_str() == "-" {
        (Target::Stdout, named)
    } else {
        let failed = named.unwrap_or_else(|| collect::failed_beside(&path));
        (Target::File(path), Some(failed))
    };
    Ok(OutputSettings {
        target,
        format,
        compression,
        table: table(layers, format)?,
        shape: layers.get(&options::SHAPE)?,
        merge: layers.get(&options::MERGE)?,
        prune: layers.get(&options::PRUNE)?,
        changes,
        guard: layers.get(&options::GUARD)?.0.map(|percent| percent.share() * 100.0),
        stream: layers.get(&options::STREAM)?,
        failed,
        accepts_nulls: layers.get(&options::MIN_SUCCESS)?.share() <= 0.0,
        max_age: layers.get(&options::MAX_AGE)?,
        null_on: layers.get(&options::NULL_ON)?.statuses,
        retry_on: layers.get(&options::RETRY_ON)?,
        fresh: layers.get(&options::FRESH)?,
        lock_wait: layers.get(&options::LOCK_WAIT)?,
        ..OutputSettings::default()
    })
}

/// Without columns, a table has one with the whole body.
fn table(layers: &Layers, format: Format) -> Result<TableSettings, ConfigError> {
    let mut columns = layers.get(&options::COLUMNS)?;
    if columns.is_empty() && format == Format::Csv {
        columns.push(TableColumn { name: "body".into(), filter: ".".into() });
    }
    Ok(TableSettings { columns, mark: layers.get(&options::CSV_BOM)? })
}

/// The format that was asked for, else the one that the name of the output asks for.
fn format(layers: &Layers, path: &Path) -> Result<Format, ConfigError> {
    let format = layers.get(&options::FORMAT)?;
    if layers.origin(&options::FORMAT) != Origin::Default {
        return Ok(format);
    }
    // A name that promises another format is refused among the contradictions.
    Ok(output_name::format_of(path).ok().flatten().unwrap_or(format))
}

fn run(layers: &Layers) -> Result<RunOptions, ConfigError> {
    Ok(RunOptions {
        max_time: layers.get(&options::MAX_TIME)?,
        min_success: layers.get(&options::MIN_SUCCESS)?,
        dry_run: layers.get(&options::DRY_RUN)?,
        report: layers.get(&options::REPORT)?,
        run_id: None,
        journal_dir: None,
    })
}

fn messages(layers: &Layers, call: &Call<'_>) -> Result<ReportSettings, ConfigError> {
    Ok(ReportSettings {
        progress: layers.get(&options::PROGRESS)?,
        log_format: layers.get(&options::LOG_FORMAT)?,
        verbose: call.verbose,
        quiet: call.quiet,
        terminal: Terminal::absent(),
    })
}

fn demo(layers: &Layers) -> Result<Option<DemoSettings>, ConfigError> {
    let demo = DemoSettings {
        latency: layers.get(&options::DEMO_LATENCY)?,
        failures: layers.get(&options::DEMO_FAILURES)?.share(),
        missing: layers.get(&options::DEMO_MISSING)?.share(),
        rate: layers.get(&options::DEMO_RATE)?,
    };
    Ok(layers.get(&options::DEMO)?.then_some(demo))
}
