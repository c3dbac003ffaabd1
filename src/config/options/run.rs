//! The options of table `run`, those of the built-in API apart.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::choices::ShardChoice;
use crate::config::joined::joined;
use crate::config::setting::{Handle, InTune, Secrecy, Setting, Table, Takes};
use crate::config::values::{self, or_none};
use crate::model::{RunId, option};
use crate::report::{LogFormat, ProgressMode, ReportFile};

/// `--fresh`: the journal is ignored.
pub(crate) static FRESH: Handle<bool> = Handle {
    setting: Setting::flag(Table::Run, option::FRESH, "Ignore the journal of an interrupted run")
        .in_tune(InTune::Ignored),
    read: |given| given.flag(),
};

pub(crate) static MAX_AGE: Handle<Option<Duration>> = Handle {
    setting: Setting::new(Table::Run, option::MAX_AGE, Takes::Word("TIME"), "Ask again for what is older")
        .default("none")
        .more(joined!(
            "Values younger than this are kept (with ",
            option::MERGE,
            "); older answers in the journal of an interrupted run are requested again (with or without ",
            option::MERGE,
            "). For a daily run use 20h: at 24h, values stored a few minutes into yesterday's run are still too \
             young, so they are refreshed only every second night.",
        ))
        .in_tune(InTune::Ignored),
    read: |given| given.parse(or_none(values::duration)),
};

pub(crate) static WAIT_FOR_API: Handle<Duration> = Handle {
    setting: Setting::new(
        Table::Run,
        option::WAIT_FOR_API,
        Takes::Word("TIME"),
        "Wait for an API that is down",
    )
    .default("0s")
    .more(
        "An API that cannot be reached or keeps failing is waited for until so long after its last good answer, or \
         after the start; then the run ends with exit 69. At 0s a dead port ends it at once, and an outage after \
         pauses of 5, 10 and 20 s.",
    )
    .in_tune(InTune::Ignored),
    read: |given| given.parse(values::duration),
};

/// A template, not yet parsed.
pub(crate) static RATE_STORE: Handle<Option<String>> = Handle {
    setting: Setting::new(
        Table::Run,
        option::RATE_STORE,
        Takes::Text("URL"),
        "One rate for many processes, in a Redis",
    )
    .more(joined!(
        "All processes that name the same Redis and key keep ",
        option::RATE,
        " together: redis://host:6379/0?key=NAME, or rediss:// for TLS. Without a key it is that of the API's host. \
         A user and a password go before the @, and may be ${ENV_VAR}. While the Redis is gone no request is \
         sent.",
    ))
    .secrecy(Secrecy::Proxy),
    read: |given| Ok(given.text()?.map(str::to_owned)),
};

/// The share of this process; its number may be told by the environment of the scheduler.
pub(crate) static SHARD: Handle<Option<ShardChoice>> = Handle {
    setting: Setting::new(
        Table::Run,
        option::SHARD,
        Takes::Word("I/N"),
        "Only this process's share of the rows",
    )
    .more(joined!(
        "Shard I, from 0, of N. auto/N takes I from JOB_COMPLETION_INDEX, AWS_BATCH_JOB_ARRAY_INDEX, BATCH_TASK_INDEX, \
         CLOUD_RUN_TASK_INDEX or SLURM_ARRAY_TASK_ID. A row belongs to shard CRC-32(key) mod N. What is written is a \
         part, in out.json.parts/RUN; skufetch merge puts all parts together. Needs ",
        option::RUN_ID,
        "; not with ",
        option::MERGE,
        ".",
    ))
    .in_tune(InTune::Ignored),
    read: |given| given.parse_if_set(str::parse),
};

pub(crate) static RUN_ID: Handle<Option<RunId>> = Handle {
    setting: Setting::new(
        Table::Run,
        option::RUN_ID,
        Takes::Text("NAME"),
        "The run that shards and their merge share",
    )
    .more(
        "The same for all shards of one run, another for the next run: 1 to 64 of A-Z a-z 0-9 . _ -. A shard that is \
         run again under the same name sends nothing if its part is complete.",
    )
    .in_tune(InTune::Ignored),
    read: |given| given.parse_if_set(str::parse),
};

pub(crate) static LOCK_WAIT: Handle<Duration> = Handle {
    setting: Setting::new(
        Table::Run,
        option::LOCK_WAIT,
        Takes::Word("TIME"),
        "Wait for another run on this output",
    )
    .default("0s")
    .more("Two runs never work on one output; the second ends at once, or after this time.")
    .in_tune(InTune::Ignored),
    read: |given| given.parse(values::duration),
};

pub(crate) static JOURNAL_DIR: Handle<Option<PathBuf>> = Handle {
    setting: Setting::new(
        Table::Run,
        option::JOURNAL_DIR,
        Takes::Text("DIR"),
        "Where the journal of an output in a store lies",
    )
    .more(
        "For s3://, gs:// and az://: journal, draft and a copy of the old output are files of this machine, in a folder \
         for each address. Without it, skufetch in $XDG_STATE_HOME or in ~/.local/state. A run on a machine that has \
         not got this folder asks for everything anew.",
    )
    .in_tune(InTune::Ignored),
    read: |given| given.path(),
};

pub(crate) static DRY_RUN: Handle<bool> = Handle {
    setting: Setting::flag(Table::Run, option::DRY_RUN, "Print the plan: no request, no file written")
        .more(
            "To standard output: rows, repeats, rejected rows with their lines, the first addresses, the pace and \
         the time it takes, what is already there. Exit 1 where rows would be rejected, 76 where the output \
         would be held back.",
        )
        .in_tune(InTune::Ignored),
    read: |given| given.flag(),
};

pub(crate) static PROGRESS: Handle<ProgressMode> = Handle {
    setting: Setting::new(Table::Run, option::PROGRESS, Takes::Word("MODE"), "auto, bar, plain or none")
        .default("auto")
        .more("auto is a bar on a terminal, else one plain line every 10 s.")
        .completions(&["auto", "bar", "plain", "none"]),
    read: |given| given.choice(),
};

pub(crate) static REPORT: Handle<Option<ReportFile>> = Handle {
    setting: Setting::new(
        Table::Run,
        option::REPORT,
        Takes::Text("FILE"),
        "Write a report: FILE.json, .html or .prom",
    )
    .more(
        "By the ending: one JSON object, a page for a browser, or text for Prometheus' node_exporter. Written \
         at every end, published or not.",
    )
    .in_tune(InTune::Other {
        help: "Write the measurement: FILE.json or .html",
        long: "",
        more: "By the ending: one JSON object, or a page for a browser.",
    }),
    read: |given| {
        given.path()?.map(values::report_file).transpose().map_err(|why| given.wrong(why))
    },
};

pub(crate) static LOG_FORMAT: Handle<LogFormat> = Handle {
    setting: Setting::new(
        Table::Run,
        option::LOG_FORMAT,
        Takes::Word("FORMAT"),
        "Standard error: text or json",
    )
    .default("text")
    .completions(&["text", "json"]),
    read: |given| given.choice(),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh() {
        assert_eq!((FRESH.of(&[]), FRESH.of(&["true"])), (Ok(false), Ok(true)));
    }

    #[test]
    fn max_age() {
        assert_eq!((MAX_AGE.of(&[]), MAX_AGE.of(&["none"])), (Ok(None), Ok(None)));
        assert_eq!(MAX_AGE.of(&["20h"]), Ok(Some(Duration::from_hours(20))));
        assert!(MAX_AGE.refuses("20").contains("is not a duration"));
    }

    #[test]
    fn wait_for_api() {
        assert_eq!(WAIT_FOR_API.of(&[]), Ok(Duration::ZERO));
        assert_eq!(WAIT_FOR_API.of(&["10m"]), Ok(Duration::from_mins(10)));
        assert!(WAIT_FOR_API.refuses("10").contains("is not a duration"));
    }

    #[test]
    fn rate_store() {
        assert_eq!(RATE_STORE.of(&[]), Ok(None));
        assert_eq!(RATE_STORE.of(&["redis://h"]), Ok(Some("redis://h".into())));
    }

    #[test]
    fn shard() {
        assert_eq!(SHARD.of(&[]), Ok(None));
        assert_eq!(SHARD.of(&["3/16"]), Ok(Some(ShardChoice { index: Some(3), count: 16 })));
        assert_eq!(SHARD.of(&["auto/16"]), Ok(Some(ShardChoice { index: None, count: 16 })));
        assert!(SHARD.refuses("16/16").contains("the last one is 15/16"));
        for wrong in ["3", "/", "3/0", "-1/4", "+1/4", "a/4", "1/100000", "auto/"] {
            assert!(SHARD.refuses(wrong).contains("is no shard"), "{wrong}");
        }
    }

    #[test]
    fn run_id() {
        assert_eq!(RUN_ID.of(&[]), Ok(None));
        assert_eq!(RUN_ID.of(&["2026-11-29"]).unwrap().unwrap().as_str(), "2026-11-29");
        assert!(RUN_ID.refuses("..").contains("no name of a run"));
    }

    #[test]
    fn lock_wait() {
        assert_eq!(LOCK_WAIT.of(&[]), Ok(Duration::ZERO));
        assert_eq!(LOCK_WAIT.of(&["7s"]), Ok(Duration::from_secs(7)));
        assert!(LOCK_WAIT.refuses("").contains("is not a duration"));
    }

    #[test]
    fn journal_dir() {
        assert_eq!(JOURNAL_DIR.of(&[]), Ok(None));
        assert_eq!(JOURNAL_DIR.of(&["/var/lib/skufetch"]), Ok(Some("/var/lib/skufetch".into())));
    }

    #[test]
    fn dry_run() {
        assert_eq!((DRY_RUN.of(&[]), DRY_RUN.of(&["true"])), (Ok(false), Ok(true)));
    }

    #[test]
    fn progress() {
        assert_eq!(
            (PROGRESS.of(&[]), PROGRESS.of(&["none"])),
            (Ok(ProgressMode::Auto), Ok(ProgressMode::None))
        );
        assert!(PROGRESS.refuses("dots").contains("auto, bar, plain or none"));
    }

    #[test]
    fn report() {
        assert_eq!(REPORT.of(&[]), Ok(None));
        assert!(REPORT.of(&["r.html"]).unwrap().is_some());
        assert!(REPORT.refuses("r.txt").contains("is not a report"));
    }

    #[test]
    fn log_format() {
        assert_eq!(
            (LOG_FORMAT.of(&[]), LOG_FORMAT.of(&["json"])),
            (Ok(LogFormat::Text), Ok(LogFormat::Json))
        );
        assert!(LOG_FORMAT.refuses("xml").contains("text or json"));
    }
}
