//! Which shard this process is: as it was typed, or as the scheduler tells it in the environment.

use crate::collect::PartSettings;
use crate::config::call::Purpose;
use crate::config::choices::ShardChoice;
use crate::config::environment::Environment;
use crate::config::error::ConfigError;
use crate::config::layers::Layers;
use crate::config::options::{DRY_RUN, MERGE, OUTPUT, PRUNE, RUN_ID, SHARD};
use crate::config::origin::Origin;
use crate::config::refuse::refuse;
use crate::config::settings::{Settings, Target};
use crate::model::{Exit, Shard};

/// The variables in which schedulers tell a process its number: Kubernetes, AWS Batch, Google Batch, Cloud Run, Slurm.
const INDEXES: [&str; 5] = [
    "JOB_COMPLETION_INDEX",
    "AWS_BATCH_JOB_ARRAY_INDEX",
    "BATCH_TASK_INDEX",
    "CLOUD_RUN_TASK_INDEX",
    "SLURM_ARRAY_TASK_ID",
];

/// Sets the share of this process, and the name of its run.
///
/// # Errors
/// A number that is not told, or is none of a shard; a shard without a run, or beside what concerns the whole output.
pub(super) fn settle(
    settings: &mut Settings,
    layers: &Layers,
    (env, purpose): (&Environment, Purpose),
) -> Result<(), ConfigError> {
    settings.run.run_id = layers.get(&RUN_ID)?;
    match (purpose, layers.get(&SHARD)?) {
        (Purpose::Merge, _) => merging(settings, layers),
        (Purpose::Fetch, Some(choice)) => sharing(settings, layers, (choice, env)),
        (Purpose::Fetch, None) if layers.origin(&RUN_ID).is_of_this_run() => Err(refuse(
            layers,
            [&RUN_ID, &SHARD],
            format!("it names the run of a sharded job, and there is no {SHARD}"),
            &format!("add {SHARD} I/N, or leave it out"),
        )),
        (Purpose::Tune, _) | (Purpose::Fetch, None) => Ok(()),
    }
}

fn sharing(
    settings: &mut Settings,
    layers: &Layers,
    (choice, env): (ShardChoice, &Environment),
) -> Result<(), ConfigError> {
    let Some(run) = settings.run.run_id.clone() else {
        return Err(refuse(
            layers,
            [&SHARD, &RUN_ID],
            "a part belongs to a run, and none is named".into(),
            &format!("add {RUN_ID} NAME: the same for all shards and their merge, such as a date"),
        ));
    };
    if settings.output.merge {
        return Err(refuse(
            layers,
            [&SHARD, &MERGE],
            format!("a shard writes a part, which nothing is merged into: not with {MERGE}"),
            "leave one of the two out",
        ));
    }
    if settings.output.target == Target::Stdout {
        return Err(refuse(
            layers,
            [&SHARD, &OUTPUT],
            "a part lies beside the output, and standard output has no place".into(),
            &format!("name the file that the parts become with {OUTPUT}"),
        ));
    }
    let shard = Shard { index: index(layers, choice, env)?, count: choice.count };
    settings.input.shard = Some(shard);
    settings.output.part = Some(PartSettings { shard, run, used: Vec::new(), key: 0 });
    Ok(())
}

/// The number of the shard.
fn index(layers: &Layers, choice: ShardChoice, env: &Environment) -> Result<u32, ConfigError> {
    let count = choice.count;
    if let Some(index) = choice.index {
        return Ok(index);
    }
    let wrong = |why: String, hint: String| {
        Err(ConfigError::Contradiction { origin: layers.origin(&SHARD), why, hint, exit: Exit::Usage })
    };
    let set = |name: &'static str| Some((name, env.get(name).filter(|value| !value.is_empty())?));
    let told: Vec<(&str, String)> = INDEXES.into_iter().filter_map(set).collect();
    let hint = format!("say which one it is: {SHARD} 0/{count} to {}/{count}", count - 1);
    match &told[..] {
        [] => {
            wrong(format!("auto takes the number of the shard from {}: none is set", listed(&INDEXES)), hint)
        }
        [(name, value)] => {
            let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
            match value.parse::<u32>().ok().filter(|_| is_number) {
                Some(index) if index < count => Ok(index),
                Some(index) => wrong(
                    format!(
                        "{name} is {index}, and of {count} shards, counted from 0, the last one is {}",
                        count - 1
                    ),
                    format!(
                        "start as many as {SHARD} says, numbered from 0 (Slurm: --array=0-{})",
                        count - 1
                    ),
                ),
                None => wrong(format!("{name} is no number of a shard"), hint),
            }
        }
        [(first, _), (second, _), ..] => wrong(
            format!("{first} and {second} are both set: it is open which one tells the number of the shard"),
            format!("unset one of the two; or {hint}"),
        ),
    }
}

fn listed(names: &[&str]) -> String {
    let (last, others) = names.split_last().unwrap_or((&"", &[]));
    format!("{} or {last}", others.join(", "))
}

/// What `skufetch merge` cannot have.
fn merging(settings: &Settings, layers: &Layers) -> Result<(), ConfigError> {
    if settings.run.run_id.is_none() {
        return Err(ConfigError::CommandLine {
            message: format!("{RUN_ID} is missing"),
            hint: Some(format!(
                "name the run whose parts are put together: skufetch merge -o out.json {RUN_ID} NAME"
            )),
        });
    }
    if matches!(layers.origin(&SHARD), Origin::Option(_)) {
        return Err(refuse(
            layers,
            [&SHARD, &SHARD],
            "merge puts the parts of all shards together".into(),
            "leave it out",
        ));
    }
    if settings.run.dry_run {
        return Err(refuse(
            layers,
            [&DRY_RUN, &DRY_RUN],
            "a merge sends no request, and has no plan to show".into(),
            "leave it out",
        ));
    }
    if settings.output.target == Target::Stdout {
        return Err(refuse(
            layers,
            [&OUTPUT, &OUTPUT],
            "the parts lie beside the output, and standard output has no place".into(),
            &format!("name the file that the shards were given with {OUTPUT}"),
        ));
    }
    for (setting, is_set) in [(&MERGE, settings.output.merge), (&PRUNE, settings.output.prune)] {
        if is_set {
            return Err(refuse(
                layers,
                [setting, setting],
                "the parts of a run are a whole output, which starts from no old one".into(),
                "leave it out",
            ));
        }
    }
    Ok(())
}
