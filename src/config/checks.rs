//! Settings that are valid alone and contradict each other. They are an error: no setting is ignored silently.

use std::path::{Path, PathBuf};

use crate::collect::{Format, held_beside, siblings};
use crate::config::call::{Call, Purpose};
use crate::config::error::ConfigError;
use crate::config::layers::Layers;
use crate::config::options::{
    self, BODY, BODY_AS, BODY_ESCAPE, BULK, BULK_ITEMS, BULK_KEY, CA_CERT, CHANGES, COLUMNS, CONFIG, CSV_BOM,
    DELIMITER, DEMO, DRY_RUN, FAILED, FORMAT, ITEM, JOIN, LIMIT, MERGE, NEXT, NULL_ON, OUTPUT, PAGES, PRUNE,
    RATE, RATE_STORE, REPORT, RETRY_ON, SELECT, SEPARATOR, Setting, TOKEN_FILE, URL,
};
use crate::config::origin::Origin;
use crate::config::output_name::{self, Mismatch};
use crate::config::refuse::refuse;
use crate::config::settings::{BodyAs, InputPath, Settings, Target};
use crate::config::{stream, token, values};
use crate::fetch::{NextPage, NullOn};
use crate::model::{Exit, option};

/// Refuses settings that contradict each other.
pub(super) fn check(settings: &Settings, layers: &Layers, call: &Call<'_>) -> Result<(), ConfigError> {
    if call.purpose == Purpose::Merge {
        // What is about requests and rows was checked for the shards.
        replaced(settings, layers, call.cwd)?;
        return files(settings, layers, call.cwd);
    }
    source(settings, layers)?;
    demo(settings, layers)?;
    body_escape(settings, layers)?;
    text(settings, layers)?;
    bulk(settings, layers)?;
    pages(settings, layers)?;
    token::check(settings.token.as_ref(), layers)?;
    statuses(settings, layers)?;
    rate_store(settings, layers)?;
    replaced(settings, layers, call.cwd)?;
    if call.purpose == Purpose::Tune {
        return measuring(settings, layers);
    }
    merge(settings, layers)?;
    files(settings, layers, call.cwd)?;
    name(settings, layers)?;
    table(settings, layers)?;
    stream::check(&settings.output, layers)
}

/// The name of the output promises no other format than is written, unless `--format` was given.
fn name(settings: &Settings, layers: &Layers) -> Result<(), ConfigError> {
    let Target::File(output) = &settings.output.target else { return Ok(()) };
    if layers.origin(&FORMAT) != Origin::Default {
        return Ok(());
    }
    output_name::format_of(output)
        .map(drop)
        .map_err(|Mismatch { why, hint }| refuse(layers, [&OUTPUT, &OUTPUT], why, &hint))
}

/// The address comes from one place.
fn source(settings: &Settings, layers: &Layers) -> Result<(), ConfigError> {
    if layers.origin(&URL) == Origin::Default || settings.demo.is_none() {
        return Ok(());
    }
    Err(refuse(
        layers,
        [&DEMO, &URL],
        format!("the built-in API has its own address, but there is one more ({})", layers.origin(&URL)),
        &format!("leave one of the two out; --{CONFIG} /dev/null does without the config file"),
    ))
}

/// `--demo-latency` and its like mean something only with `--demo`. The config file may hold them for other runs.
fn demo(settings: &Settings, layers: &Layers) -> Result<(), ConfigError> {
    if settings.demo.is_some() {
        return Ok(());
    }
    let useless = options::OF_THE_DEMO.iter().find(|setting| layers.origin(setting).is_of_this_run());
    match useless {
        Some(setting) => Err(refuse(
            layers,
            [setting, &DEMO],
            format!("it does nothing without {DEMO}"),
            &format!("add {DEMO}, or leave it out"),
        )),
        None => Ok(()),
    }
}

/// The config file may hold it for a body that the command line gives.
fn body_escape(settings: &Settings, layers: &Layers) -> Result<(), ConfigError> {
    if !layers.origin(&BODY_ESCAPE).is_of_this_run() || settings.request.body.is_some() {
        return Ok(());
    }
    Err(refuse(
        layers,
        [&BODY_ESCAPE, &BODY],
        "it says how values are inserted into a body, and there is none".into(),
        &format!("add {BODY}, or leave it out"),
    ))
}

/// A store keeps a rate, and there has to be one. The config file may hold it for other runs.
fn rate_store(settings: &Settings, layers: &Layers) -> Result<(), ConfigError> {
    if settings.pace.rate.is_some() || !layers.origin(&RATE_STORE).is_of_this_run() {
        return Ok(());
    }
    Err(refuse(
        layers,
        [&RATE_STORE, &RATE],
        format!("it keeps one {RATE} for many processes, and there is none"),
        &format!("add {RATE} 200/s with the rate of all of them together, or leave it out"),
    ))
}

/// `tune` sends requests, so `--dry-run` is refused.
fn measuring(settings: &Settings, layers: &Layers) -> Result<(), ConfigError> {
    if !settings.run.dry_run {
        return Ok(());
    }
    Err(refuse(
        layers,
        [&DRY_RUN, &DRY_RUN],
        "tune sends requests, and a dry run sends none".into(),
        "leave it out, or leave tune out",
    ))
}

fn merge(settings: &Settings, layers: &Layers) -> Result<(), ConfigError> {
    let output = &settings.output;
    if output.merge && output.target == Target::Stdout {
        return Err(refuse(
            layers,
            [&MERGE, &OUTPUT],
            "standard output has no earlier answers to start from".into(),
            &format!("write to a file with -o, or leave {MERGE} out"),
        ));
    }
    if output.prune && !output.merge {
        return Err(refuse(
            layers,
            [&PRUNE, &MERGE],
            format!("without {MERGE} the output has only the SKUs of INPUT anyway"),
            &format!("add {MERGE}, or leave {PRUNE} out"),
        ));
    }
    if output.prune && settings.input.limit.is_some() {
        return Err(refuse(
            layers,
            [&PRUNE, &LIMIT],
            "every SKU beyond the limit would be taken out of the output".into(),
            "leave one of the two out",
        ));
    }
    if output.changes.is_some() && output.target == Target::Stdout {
        return Err(refuse(
            layers,
            [&CHANGES, &OUTPUT],
            "standard output has no earlier answers to compare with".into(),
            &format!("write to a file with -o, or leave {CHANGES} out"),
        ));
    }
    Ok(())
}

/// What belongs to a table means nothing without one. The config file may hold it for other runs.
fn table(settings: &Settings, layers: &Layers) -> Result<(), ConfigError> {
    let of_a_table: [&Setting; 2] = [&COLUMNS, &CSV_BOM];
    let useless = of_a_table.into_iter().find(|setting| layers.origin(setting).is_of_this_run());
    let Some(setting) = useless.filter(|_| settings.output.format != Format::Csv) else { return Ok(()) };
    Err(refuse(
        layers,
        [setting, &FORMAT],
        format!("it is for a table, and the output is {}", settings.output.format),
        &format!("add {FORMAT} csv, or name the output out.csv; or leave it out"),
    ))
}

fn text(settings: &Settings, layers: &Layers) -> Result<(), ConfigError> {
    let response = &settings.response;
    if response.body_as == BodyAs::Text && response.has_filter() {
        return Err(refuse(
            layers,
            [&SELECT, &BODY_AS],
            format!("a jq filter selects from JSON, and {BODY_AS} is text"),
            "leave one of the two out",
        ));
    }
    Ok(())
}

/// What belongs to packs means something only with `--bulk`, and a pack's answer is JSON. The config file may hold the
/// other options for runs that pack.
fn bulk(settings: &Settings, layers: &Layers) -> Result<(), ConfigError> {
    if settings.request.bulk.is_some() {
        if settings.response.body_as == BodyAs::Text {
            return Err(refuse(
                layers,
                [&BODY_AS, &BULK],
                "the answer to a pack is taken apart as JSON, and cannot be text".into(),
                "leave one of the two out",
            ));
        }
        return Ok(());
    }
    let of_bulk: [&Setting; 4] = [&ITEM, &SEPARATOR, &BULK_ITEMS, &BULK_KEY];
    let names_missing: &[&Setting] = if settings.response.null_on.missing { &[&NULL_ON] } else { &[] };
    let mut useless =
        of_bulk.iter().chain(names_missing).filter(|setting| layers.origin(setting).is_of_this_run());
    let Some(setting) = useless.next() else { return Ok(()) };
    let what =
        if **setting == *NULL_ON { format!("the word {} means", NullOn::MISSING) } else { "it means".into() };
    let csv = if **setting == *SEPARATOR {
        format!("; between the cells of the CSV it is {DELIMITER}")
    } else {
        String::new()
    };
    Err(refuse(
        layers,
        [setting, &BULK],
        format!("{what} nothing without {BULK}: each SKU has a request of its own"),
        &format!("add {BULK} with the most SKUs of one request, or leave it out{csv}"),
    ))
}

/// What belongs to pages means something only with `--next`. The config file may hold the other options for runs that
/// follow pages.
fn pages(settings: &Settings, layers: &Layers) -> Result<(), ConfigError> {
    let Some(pages) = &settings.response.pages else {
        let of_pages: [&Setting; 2] = [&JOIN, &PAGES];
        let mut useless = of_pages.iter().filter(|setting| layers.origin(setting).is_of_this_run());
        let Some(setting) = useless.next() else { return Ok(()) };
        return Err(refuse(
            layers,
            [setting, &NEXT],
            format!("it means nothing without {NEXT}: each answer is one page"),
            &format!(
                "add {NEXT} {}, or a filter that gives the next address, or leave it out",
                NextPage::LINK
            ),
        ));
    };
    if settings.response.body_as == BodyAs::Text
        && let Some((named, _)) = pages.filters().next()
    {
        let setting: &Setting = if named == option::NEXT { &NEXT } else { &JOIN };
        return Err(refuse(
            layers,
            [setting, &BODY_AS],
            format!("a jq filter reads JSON, and {BODY_AS} is text"),
            &format!("of texts, {NEXT} {} alone finds the pages, and each is an element", NextPage::LINK),
        ));
    }
    Ok(())
}

/// One status cannot both be tried again and be stored as `null`. Of the default of `--retry-on` it may be taken away:
/// nobody named it there.
fn statuses(settings: &Settings, layers: &Layers) -> Result<(), ConfigError> {
    let Some(text) = layers.given(&RETRY_ON).text()? else { return Ok(()) };
    let Some(both) =
        values::named_statuses(text).ok().and_then(|named| named.common(&settings.output.null_on))
    else {
        return Ok(());
    };
    Err(refuse(
        layers,
        [&RETRY_ON, &NULL_ON],
        format!("status {both} is also in {NULL_ON}: it cannot be both retried and stored as null"),
        "leave it out of one of the two",
    ))
}

/// The input may be the failure file, which is how its rows are asked for again; no two other files
/// may be one.
fn files(settings: &Settings, layers: &Layers, cwd: &Path) -> Result<(), ConfigError> {
    let Target::File(output) = &settings.output.target else { return Ok(()) };
    let output = resolved(&cwd.join(output));
    let is_output = |path: &Path| resolved(&cwd.join(path)) == output;
    if let InputPath::File(input) = &settings.input_path
        && is_output(input)
    {
        return Err(ConfigError::Contradiction {
            origin: layers.origin(&OUTPUT),
            why: "this is INPUT itself, and would be overwritten".into(),
            hint: "name another file with -o".into(),
            exit: Exit::Usage,
        });
    }
    if settings.output.failed.as_deref().is_some_and(is_output) {
        let first: &Setting = if layers.origin(&FAILED) == Origin::Default { &OUTPUT } else { &FAILED };
        return Err(refuse(
            layers,
            [first, &OUTPUT],
            "the answers and the failed rows would go to the same file".into(),
            &format!("name two different files with -o and {FAILED}"),
        ));
    }
    Ok(())
}

/// The report and the file of changes replace whatever has their names, and a run that publishes removes an output that
/// was held back: nothing else that the run reads or writes may have these names.
fn replaced(settings: &Settings, layers: &Layers, cwd: &Path) -> Result<(), ConfigError> {
    let others = others(settings, layers)?;
    let held = match &settings.output.target {
        Target::File(output) => Some(held_beside(output)),
        Target::Stdout => None,
    };
    let report = settings.run.report.as_ref().map(|report| report.path.clone());
    let changes = settings.output.changes.clone();
    let token = settings.token.as_ref().and_then(|token| token.file.clone());
    let written: [(&Setting, &str, Option<PathBuf>); 4] = [
        (&TOKEN_FILE, "the refresh token would overwrite it", token),
        (&REPORT, "the report would overwrite it", report),
        (&CHANGES, "the changes would overwrite it", changes),
        (&OUTPUT, "an output that is held back would take its place", held),
    ];
    for (setting, what_happens, path) in written {
        let Some(path) = path.map(|path| resolved(&cwd.join(path))) else { continue };
        let is_taken =
            |other: &&OtherFile| other.set_by != Some(setting) && resolved(&cwd.join(&other.path)) == path;
        if let Some(OtherFile { set_by, what, .. }) = others.iter().find(is_taken) {
            let hint = format!("name another file with {setting}");
            let why = format!("this is {what}, and {what_happens}");
            return Err(refuse(layers, [setting, set_by.unwrap_or(setting)], why, &hint));
        }
    }
    Ok(())
}

/// A file that a run reads or writes.
struct OtherFile {
    /// The setting that names it; none for INPUT.
    set_by: Option<&'static Setting>,
    what: String,
    path: PathBuf,
}

fn others(settings: &Settings, layers: &Layers) -> Result<Vec<OtherFile>, ConfigError> {
    let mut others = Vec::new();
    let mut add = |set_by: Option<&'static Setting>, what: &str, path: PathBuf| {
        others.push(OtherFile { set_by, what: what.to_owned(), path });
    };
    if let InputPath::File(input) = &settings.input_path {
        add(None, "INPUT", input.clone());
    }
    if let Target::File(output) = &settings.output.target {
        add(Some(&OUTPUT), "the output", output.clone());
        for path in siblings(output) {
            add(Some(&OUTPUT), "a file of the run's own", path);
        }
        add(Some(&OUTPUT), "where an output goes that is held back", held_beside(output));
    }
    if let Some(path) = &settings.output.failed {
        add(Some(&FAILED), "the file of failed rows", path.clone());
    }
    if let Some(path) = &settings.output.changes {
        add(Some(&CHANGES), &format!("the file of {CHANGES}"), path.clone());
    }
    if let Some(report) = &settings.run.report {
        add(Some(&REPORT), "the report", report.path.clone());
    }
    if let Some(path) = &settings.connection.ca_cert {
        add(Some(&CA_CERT), &format!("the file of {CA_CERT}"), path.clone());
    }
    if let Some(path) = settings.token.as_ref().and_then(|token| token.file.as_ref()) {
        add(Some(&TOKEN_FILE), &format!("the file of {TOKEN_FILE}"), path.clone());
    }
    if let Some(file) = layers.given(&BODY).text()?.and_then(|text| text.strip_prefix('@')) {
        add(Some(&BODY), &format!("the file of {BODY}"), file.into());
    }
    Ok(others)
}

/// The path with symbolic links followed, as far as it exists. A link may lead to what is not there yet.
fn resolved(path: &Path) -> PathBuf {
    /// The kernel's own bound.
    const MAX_LINKS: usize = 40;
    let mut path = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        if let Ok(real) = path.canonicalize() {
            return real;
        }
        let Ok(next) = path.read_link() else { break };
        path = path.parent().unwrap_or(Path::new("")).join(next);
    }
    match (path.parent().map(Path::canonicalize), path.file_name()) {
        (Some(Ok(folder)), Some(name)) => folder.join(name),
        _ => path.components().collect(),
    }
}
