//! What happened in a run, the exit and the hint that follow from it.

use std::io;

use super::decide::after_writing;
use super::*;

use crate::collect::{CollectError, Degradation, PublishDecision, preflight};
use crate::config::{self, ConfigError, Environment, Invocation};
use crate::input::{InputError, InputSettings, Rows};
use crate::model::fault::CertificateProblem;
use crate::model::{Fault, Key};

const AGAIN: &str = "the same command resumes from the journal";
const NO_HINT: &str = "";

fn settings() -> Settings {
    let args = ["skufetch", "products.csv", "-o", "out.json", "-u", "http://a.example/{sku}"];
    let env: Environment = std::iter::empty::<(&str, &str)>().collect();
    let nowhere = tempfile::tempdir().unwrap();
    match config::load(args.into_iter().map(Into::into), &env, nowhere.path()).unwrap() {
        Invocation::Fetch(settings) => *settings,
        _ => unreachable!("no other command was given"),
    }
}

fn changed() -> InputError {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "sku\nA\n").unwrap();
    let path = InputPath::File(file.path().into());
    let surveyed = crate::input::survey(&path, &InputSettings::default()).unwrap();
    std::fs::write(file.path(), "sku\nB\n").unwrap();
    surveyed.rows(&InputSettings::default()).err().unwrap()
}

fn full_disk() -> CollectError {
    CollectError::Stdout(io::ErrorKind::StorageFull.into())
}

/// A run of ten rows that were all fetched.
fn complete() -> Happened {
    Happened { counts: counts(10, 0, 0), at_end: true, ..Happened::default() }
}

fn counts(fetched: u64, failed: u64, deferred: u64) -> Counts {
    Counts { rows: fetched + failed + deferred, fetched, failed, deferred, ..Counts::default() }
}

/// The same, stopped for this reason while rows were left.
fn stopped_by(reason: StopReason) -> Happened {
    Happened { counts: counts(6, 0, 4), stopped: Some(reason), ..complete() }
}

/// How a run ends: its exit code and its hint.
fn ends(happened: Happened, decision: &PublishDecision) -> (u8, String) {
    let settings = settings();
    let failed = happened.counts.failed;
    let outcome =
        before_publishing(happened, settings.run.min_success).and_then(|()| after_writing(decision));
    let code = exit(outcome.as_ref().err(), failed).code();
    let context = Context {
        fetched: 0,
        settings: &settings,
        origin: " at http://a.example".into(),
        mask: Mask::default(),
        proxy: None,
    };
    let error = outcome.err().map(|obstacle| context.error(obstacle, None));
    if let Some(error) = &error {
        assert_eq!(error.exit.code(), code, "{error:?}");
    }
    (code, error.and_then(|error| error.hint).unwrap_or_default())
}

fn key() -> Key {
    Key::parse(b"A").unwrap()
}

/// Every reason to stop, with the exit code and a part of the hint.
fn stops() -> Vec<(StopReason, u8, &'static str)> {
    let failing = |cause, detail: &str| StopReason::Failing(Fault::new(cause, detail));
    let certificate = |problem| StopReason::Certificate(problem, "refused".into());
    let (status, skus, asked_again) = (401, 5, key());
    vec![
        (StopReason::Signal(2), 130, AGAIN),
        (StopReason::Signal(15), 143, AGAIN),
        (StopReason::OutOfTime, 75, AGAIN),
        (StopReason::AskedToWait(Some(Duration::from_hours(1))), 75, AGAIN),
        (StopReason::AskedToWait(None), 75, AGAIN),
        (StopReason::OnlyRefused { status: 429, lasted: Duration::from_mins(10) }, 75, AGAIN),
        (StopReason::Unreachable("refused".into()), 69, "check the host and port in --url"),
        (certificate(CertificateProblem::Untrusted), 69, "--ca-cert FILE"),
        (certificate(CertificateProblem::AuthorityAsServer), 69, "CA:FALSE"),
        (certificate(CertificateProblem::WrongName), 69, "check the host in --url"),
        (certificate(CertificateProblem::WrongTime), 69, "the clock of this machine"),
        (certificate(CertificateProblem::ClientRequired), 69, "let a gateway that holds the certificate"),
        (failing(Cause::Status(500), ""), 69, "leave 500 out of --retry-on"),
        (failing(Cause::Timeout, "HTTP 500 is not what it was"), 69, AGAIN),
        (StopReason::Refused { status, answers: 5, said: "no".into() }, 77, "check --header"),
        (StopReason::Refused { status: 407, answers: 5, said: "".into() }, 77, "check --proxy"),
        (StopReason::ProxyFailed("refused".into()), 69, "check --proxy"),
        (StopReason::NoHttp2, 69, "--http auto"),
        (StopReason::Unreadable("no header".into()), 69, "check the port"),
        (
            StopReason::RefusedAtEnd { status, skus, asked_again: asked_again.clone(), said: "no".into() },
            77,
            "check --header",
        ),
        (StopReason::RefusalsUnsettled { status, skus, asked_again, why: "late".into() }, 75, AGAIN),
        (StopReason::Disk, 74, NO_HINT),
        (StopReason::StdoutClosed, 74, "name a file with --output"),
    ]
}

#[test]
fn every_end_of_a_run_has_its_exit_and_its_hint() {
    let published = || PublishDecision::Published;
    let cases = [
        ("all fetched", complete(), published(), 0, NO_HINT),
        ("some failed", Happened { counts: counts(9, 1, 0), ..complete() }, published(), 1, NO_HINT),
        (
            "the input cannot be read on",
            Happened { input_error: Some(changed()), ..complete() },
            published(),
            65,
            "",
        ),
        (
            "no row",
            Happened { counts: counts(0, 0, 0), ..complete() },
            published(),
            65,
            "there is a header, but no row below it",
        ),
        (
            "too few came",
            Happened { counts: counts(1, 9, 0), ..complete() },
            published(),
            69,
            "the failures are listed above",
        ),
        (
            "none is known there",
            Happened { counts: counts(0, 10, 0), not_found: 10, ..complete() },
            published(),
            69,
            "--null-on 404",
        ),
        ("all is null", complete(), PublishDecision::NothingButNulls, 69, NO_HINT),
        (
            "the disk is full",
            Happened { journal_error: Some(full_disk()), ..complete() },
            published(),
            74,
            "",
        ),
        ("rows are left", Happened { counts: counts(9, 0, 1), ..complete() }, published(), 75, AGAIN),
        ("more rows may come", Happened { at_end: false, ..complete() }, published(), 75, AGAIN),
        (
            "an interrupted run has more",
            Happened { is_partial: true, unclaimed: 3, ..complete() },
            published(),
            75,
            "finish that run first",
        ),
        ("held back", complete(), PublishDecision::HeldBack(vec![Degradation::Fewer]), 76, NO_HINT),
    ];
    for (what, happened, decision, code, hint) in cases {
        let ends = ends(happened, &decision);
        assert_eq!(ends.0, code, "{what}: {ends:?}");
        assert!(ends.1.contains(hint), "{what}: {ends:?}");
    }
    for (reason, code, hint) in stops() {
        let ends = ends(stopped_by(reason.clone()), &published());
        assert_eq!(ends.0, code, "{reason:?}: {ends:?}");
        assert!(ends.1.contains(hint), "{reason:?}: {ends:?}");
    }
}

#[test]
fn an_error_before_the_first_request_has_its_own_exit() {
    let nowhere = tempfile::tempdir().unwrap();
    let path = |name: &str| nowhere.path().join(name);
    let missing =
        Rows::open(&InputPath::File(path("products.csv")), &InputSettings::default()).err().unwrap();
    let output = OutputSettings { target: Target::File(path("no/out.json")), ..OutputSettings::default() };
    let no_folder = preflight(&output).err().unwrap();
    let env: Environment = std::iter::empty::<(&str, &str)>().collect();
    let args = ["skufetch", "products.csv", "-o", "out.json", "--config", "none.toml"];
    let no_config = config::load(args.into_iter().map(Into::into), &env, nowhere.path()).err().unwrap();
    for (error, code) in [
        (CommandError::from(ConfigError::MissingOutput { has_query: true }), 2),
        (CommandError::from(no_config), 78),
        (CommandError::from(missing), 66),
        (CommandError::from(no_folder), 73),
        (CommandError::from(changed()), 65),
        (CommandError::from(full_disk()), 74),
        (before_any_request(15), 143),
    ] {
        assert_eq!(error.exit.code(), code, "{error:?}");
    }
}

#[test]
fn a_run_with_undecided_rows_is_never_published_whatever_the_cause() {
    for (reason, code, _) in stops() {
        for deferred in [1, 9] {
            for at_end in [true, false] {
                let happened = Happened {
                    counts: counts(10 - deferred, 0, deferred),
                    at_end,
                    ..stopped_by(reason.clone())
                };
                assert_eq!(ends(happened, &PublishDecision::Published).0, code, "{deferred}, {reason:?}");
            }
        }
    }
    for deferred in [0, 1, 9] {
        let happened = Happened {
            counts: counts(10 - deferred, 0, deferred),
            at_end: false,
            input_error: Some(changed()),
            ..complete()
        };
        assert_eq!(ends(happened, &PublishDecision::Published).0, 65);
    }
}

#[test]
fn a_run_that_is_out_of_time_when_nothing_is_left_is_published() {
    let in_time = Happened { stopped: Some(StopReason::OutOfTime), ..complete() };
    assert_eq!(ends(in_time, &PublishDecision::Published).0, 0);
    // More rows may be there: a pipe that is still open, or a reader that is gone.
    let unread = Happened { stopped: Some(StopReason::OutOfTime), at_end: false, ..complete() };
    assert_eq!(ends(unread, &PublishDecision::Published).0, 75);
}

#[test]
fn rejected_rows_without_a_sku_of_their_own_do_not_count_as_skus() {
    let happened = |superseded| Happened { counts: counts(4, 6, 0), superseded, ..complete() };
    assert_eq!(ends(happened(0), &PublishDecision::Published).0, 69, "4 of 10");
    assert_eq!(ends(happened(2), &PublishDecision::Published).0, 1, "4 of 8");
    let keyless = Happened { keyless: 2, ..happened(0) };
    assert_eq!(ends(keyless, &PublishDecision::Published).0, 1, "4 of 8");
    assert_eq!(ends(happened(9), &PublishDecision::Published).0, 1, "no more than the failed ones");
}

#[test]
fn the_pauses_of_an_outage_are_named_as_they_are() {
    let fault = Fault::of_status(503, "");
    let error = stopped(&StopReason::Failing(fault), &settings(), None);
    assert_eq!(
        error.message,
        "the API kept failing through pauses of 5, 10 and 20 s: HTTP 503 Service Unavailable"
    );
}
