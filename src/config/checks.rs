//! Settings that are each right and do not go together. A run that would ignore one of them is
//! refused: nobody is watching at night to notice.

use std::path::{Path, PathBuf};

use crate::collect::{held_beside, siblings};
use crate::config::Purpose;
use crate::config::build::Call;
use crate::config::error::ConfigError;
use crate::config::layers::{Layers, Origin};
use crate::config::settings::{BodyAs, InputPath, Settings, Target};
use crate::config::values;
use crate::model::Exit;

/// Looks at what each setting means for the others.
pub(super) fn check(settings: &Settings, layers: &Layers, call: &Call<'_>) -> Result<(), ConfigError> {
    source(settings, layers)?;
    demo(settings, layers)?;
    body_escape(settings, layers)?;
    text(settings, layers)?;
    statuses(settings, layers)?;
    replaced(settings, layers, call.cwd)?;
    if call.purpose == Purpose::Tune {
        return measuring(settings, layers);
    }
    merge(settings, layers)?;
    files(settings, layers, call.cwd)
}

/// The address comes from one place.
fn source(settings: &Settings, layers: &Layers) -> Result<(), ConfigError> {
    if settings.request.url.is_none() || settings.demo.is_none() {
        return Ok(());
    }
    Err(refuse(
        layers,
        ["demo", "url"],
        format!("the built-in API has its own address, but there is one more ({})", layers.origin("url")),
        "leave one of the two out; --config /dev/null does without the config file",
    ))
}

/// `--demo-latency` and its like say something only of a demo. In the config file they may stand ready.
fn demo(settings: &Settings, layers: &Layers) -> Result<(), ConfigError> {
    let idle = ["demo-latency", "demo-failures", "demo-rate"]
        .into_iter()
        .filter(|_| settings.demo.is_none())
        .find(|name| matches!(layers.origin(name), Origin::Option(_) | Origin::Environment(_)));
    match idle {
        Some(name) => Err(refuse(
            layers,
            [name, "demo"],
            "it does nothing without --demo".into(),
            "add --demo, or leave it out",
        )),
        None => Ok(()),
    }
}

/// In the config file it may stand ready for a body that a command line brings.
fn body_escape(settings: &Settings, layers: &Layers) -> Result<(), ConfigError> {
    let is_asked = matches!(layers.origin("body-escape"), Origin::Option(_) | Origin::Environment(_));
    if !is_asked || settings.request.body.is_some() {
        return Ok(());
    }
    Err(refuse(
        layers,
        ["body-escape", "body"],
        "it says how values are inserted into a body, and there is none".into(),
        "add --body, or leave it out",
    ))
}

/// Who says that no request may leave must not be surprised by two thousand.
fn measuring(settings: &Settings, layers: &Layers) -> Result<(), ConfigError> {
    if !settings.run.dry_run {
        return Ok(());
    }
    Err(refuse(
        layers,
        ["dry-run", "dry-run"],
        "tune sends requests, and a dry run sends none".into(),
        "leave it out, or leave tune out",
    ))
}

fn merge(settings: &Settings, layers: &Layers) -> Result<(), ConfigError> {
    let output = &settings.output;
    if output.merge && output.path == Target::Stdout {
        return Err(refuse(
            layers,
            ["merge", "output"],
            "standard output has no earlier answers to start from".into(),
            "write to a file with -o, or leave --merge out",
        ));
    }
    if output.prune && !output.merge {
        return Err(refuse(
            layers,
            ["prune", "merge"],
            "without --merge the output has only the SKUs of INPUT anyway".into(),
            "add --merge, or leave --prune out",
        ));
    }
    if output.prune && settings.input.limit.is_some() {
        return Err(refuse(
            layers,
            ["prune", "limit"],
            "every SKU beyond the limit would be taken out of the output".into(),
            "leave one of the two out",
        ));
    }
    if output.changes.is_some() && output.path == Target::Stdout {
        return Err(refuse(
            layers,
            ["changes", "output"],
            "standard output has no earlier answers to compare with".into(),
            "write to a file with -o, or leave --changes out",
        ));
    }
    Ok(())
}

fn text(settings: &Settings, layers: &Layers) -> Result<(), ConfigError> {
    let response = &settings.response;
    if response.body_as == BodyAs::Text && response.select.trim() != "." {
        return Err(refuse(
            layers,
            ["select", "body-as"],
            "a jq filter selects from JSON, and --body-as is text".into(),
            "leave one of the two out",
        ));
    }
    Ok(())
}

/// One status cannot both be tried again and be stored as `null`. Of the default of `--retry-on` it may be taken away:
/// nobody named it there.
fn statuses(settings: &Settings, layers: &Layers) -> Result<(), ConfigError> {
    let Some(text) = layers.text("retry-on")? else { return Ok(()) };
    let Some(both) =
        values::retry_on_named(text).ok().and_then(|named| named.common(&settings.response.null_on))
    else {
        return Ok(());
    };
    Err(refuse(
        layers,
        ["retry-on", "null-on"],
        format!("status {both} is also in --null-on: it cannot be both retried and stored as null"),
        "leave it out of one of the two",
    ))
}

/// The input may be the failure file, which is how its rows are asked for again; no two other files
/// may be one.
fn files(settings: &Settings, layers: &Layers, cwd: &Path) -> Result<(), ConfigError> {
    let Target::File(output) = &settings.output.path else { return Ok(()) };
    let output = resolved(&cwd.join(output));
    let is_output = |path: &Path| resolved(&cwd.join(path)) == output;
    if let InputPath::File(input) = &settings.input.path
        && is_output(input)
    {
        return Err(ConfigError::Contradiction {
            origin: layers.origin("output"),
            why: "this is INPUT itself, and would be overwritten".into(),
            hint: "name another file with -o".into(),
            exit: Exit::Usage,
        });
    }
    if settings.output.failed.as_deref().is_some_and(is_output) {
        let name = if layers.origin("failed") == Origin::Default { "output" } else { "failed" };
        return Err(refuse(
            layers,
            [name, "output"],
            "the answers and the failed rows would go to the same file".into(),
            "name two different files with -o and --failed",
        ));
    }
    Ok(())
}

/// The report and the file of changes replace whatever has their names, and a run that publishes removes an output that
/// was held back: nothing else that the run reads or writes may have these names.
fn replaced(settings: &Settings, layers: &Layers, cwd: &Path) -> Result<(), ConfigError> {
    let others = others(settings, layers)?;
    let held = match &settings.output.path {
        Target::File(output) => Some(held_beside(output)),
        Target::Stdout => None,
    };
    let report = settings.run.report.as_ref().map(|report| report.path.clone());
    let changes = settings.output.changes.clone();
    let written = [
        ("report", "the report would overwrite it", report),
        ("changes", "the changes would overwrite it", changes),
        ("output", "an output that is held back would take its place", held),
    ];
    for (name, what_happens, path) in written {
        let Some(path) = path.map(|path| resolved(&cwd.join(path))) else { continue };
        let taken =
            others.iter().find(|(with, _, other)| *with != name && resolved(&cwd.join(other)) == path);
        if let Some((with, what, _)) = taken {
            let with = if *with == "INPUT" { name } else { *with };
            let hint = format!("name another file with --{name}");
            return Err(refuse(layers, [name, with], format!("this is {what}, and {what_happens}"), &hint));
        }
    }
    Ok(())
}

/// The files that a run reads or writes: the setting, what the file is, and its path.
fn others(
    settings: &Settings,
    layers: &Layers,
) -> Result<Vec<(&'static str, &'static str, PathBuf)>, ConfigError> {
    let mut others: Vec<(&str, &str, PathBuf)> = Vec::new();
    if let InputPath::File(input) = &settings.input.path {
        others.push(("INPUT", "INPUT", input.clone()));
    }
    if let Target::File(output) = &settings.output.path {
        others.push(("output", "the output", output.clone()));
        others.extend(siblings(output).map(|path| ("output", "a file of the run's own", path)));
        others.push(("output", "where an output goes that is held back", held_beside(output)));
    }
    others.extend(settings.output.failed.clone().map(|path| ("failed", "the file of failed rows", path)));
    others.extend(settings.output.changes.clone().map(|path| ("changes", "the file of --changes", path)));
    let report = settings.run.report.as_ref().map(|report| report.path.clone());
    others.extend(report.map(|path| ("report", "the report", path)));
    others.extend(settings.request.ca_cert.clone().map(|path| ("ca-cert", "the file of --ca-cert", path)));
    if let Some(body) = layers.text("body")?.and_then(|text| text.strip_prefix('@')) {
        others.push(("body", "the file of --body", body.into()));
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

/// The file alone is to blame only where nothing outside it has a part in the contradiction.
fn refuse(layers: &Layers, names: [&str; 2], why: String, hint: &str) -> ConfigError {
    let set = names.map(|name| layers.origin(name));
    let outside = set.iter().any(|origin| matches!(origin, Origin::Option(_) | Origin::Environment(_)));
    let exit = if outside { Exit::Usage } else { Exit::Config };
    let [origin, _] = set;
    ConfigError::Contradiction { origin, why, hint: hint.into(), exit }
}
