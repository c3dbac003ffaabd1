//! A fault at every call of a run, and what must hold after each.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;

use super::drive::{InjectedRun, at_publish, whole};
use super::stage::{End, Stage};
use super::strace::{Call, Injection, Log};

/// Runs at a time. They wait for syncs and for strace more than they work.
const AT_ONCE: usize = 8;
/// More sweeps for calls that were missed.
const RETRIES: usize = 12;

/// Which part of a run is disturbed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Part {
    Whole,
    Publishing,
}

/// The result of a sweep.
#[derive(Debug, Default)]
pub struct Swept {
    /// Disturbed runs.
    pub runs: usize,
    /// The calls on files of the run that were struck.
    pub injected: BTreeSet<String>,
    /// Runs whose fault struck something else, such as a pipe, or nothing.
    pub elsewhere: usize,
}

/// Disturbs a run in each of these ways, and checks each. Panics with all that did not hold.
fn sweep(stage: &Stage, part: Part, injections: Vec<Injection>) -> Swept {
    let (runs, results) = (injections.len(), Mutex::new((Swept::default(), Vec::new())));
    let left = Mutex::new(injections.into_iter());
    let next = || left.lock().unwrap().next();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(runs) {
            scope.spawn(|| {
                while let Some(injection) = next() {
                    let case = stage.case(&injection.name());
                    let result = catch_unwind(AssertUnwindSafe(|| disturb(stage, part, &case, &injection)));
                    let mut results = results.lock().unwrap();
                    match result {
                        Ok(Ok(Some(id))) => drop(results.0.injected.insert(id)),
                        Ok(Ok(None)) => results.0.elsewhere += 1,
                        Ok(Err(why)) => results.1.push(format!("{case}: {why}")),
                        Err(_) => results.1.push(format!("{case}: see above")),
                    }
                }
            });
        }
    });
    let (swept, wrong) = results.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {runs} runs:\n{}", wrong.len(), wrong.join("\n\n"));
    Swept { runs, ..swept }
}

/// One disturbed run and one more. Gives the call that was struck, if that was on a file of the run.
fn disturb(stage: &Stage, part: Part, case: &str, injection: &Injection) -> Result<Option<String>, String> {
    let (run, input) = match part {
        Part::Whole => (whole(stage, case, Some(injection)), "products.csv"),
        Part::Publishing => (at_publish(stage, case, Some(injection)), "-"),
    };
    let injected = run.log.injected(injection).filter(|call| call.about.is_some());
    let checked =
        check(stage, part, (case, injection), &run).and_then(|()| stage.check_again(&run.dir, input, case));
    checked.map_err(|why| format!("{why}\n{}\n{}", run.stderr, run.text))?;
    Ok(injected.map(Call::id))
}

fn check(
    stage: &Stage,
    part: Part,
    (case, injection): (&str, &Injection),
    run: &InjectedRun,
) -> Result<(), String> {
    let injected = run.log.injected(injection);
    if run.stderr.contains("panicked") && injected.is_none_or(|call| call.about.is_some()) {
        return Err("it panicked".into());
    }
    let end = match run.log.code {
        None if injection.kills() && part == Part::Publishing => End::KilledPublishing,
        None if injection.kills() => End::Killed,
        Some(code) if code == stage.code => End::Published,
        Some(73 | 74) if stage.requested(case).is_empty() => End::Refused,
        Some(74) => End::Failed,
        // What an eventfd answers with EIO is no matter of files.
        _ if injected.is_some_and(|call| call.about.is_none()) => End::Killed,
        code => return Err(format!("it ended with {code:?}")),
    };
    let again = run.log.synced_again();
    if !again.is_empty() {
        return Err(format!("synced again after a failed sync: {again:?}"));
    }
    if injected.is_some_and(Call::left_a_temporary_file) {
        return stage.check_files(&run.dir, end, &run.stderr);
    }
    stage.check_left(&run.dir, end, &run.stderr)
}

/// An injection at each call that any thread of this undisturbed run made, of those that are made on
/// files at all.
fn every_call(log: &Log, what: &'static str, of: impl Fn(&str) -> bool) -> Vec<Injection> {
    let on_files: BTreeSet<_> =
        log.calls.iter().filter(|call| call.about.is_some()).map(|call| &call.name).collect();
    let each = |(call, most): (String, usize)| {
        (1..=most).map(move |nth| Injection { call: call.clone(), nth, what, on: None })
    };
    log.most().into_iter().filter(|(call, _)| of(call) && on_files.contains(call)).flat_map(each).collect()
}

/// An injection at each call on the journal: its own thread's too, which are later than others'.
fn every_call_on_the_journal(log: &Log, what: &'static str) -> Vec<Injection> {
    let on = "out.json.journal";
    let count = |name: &str| {
        log.calls.iter().filter(|call| call.name == name && call.about.as_deref() == Some(on)).count()
    };
    let each = |call: &'static str| {
        (1..=count(call)).map(move |nth| Injection { call: call.into(), nth, what, on: Some(on) })
    };
    ["write", "fsync", "fdatasync"].into_iter().flat_map(each).collect()
}

/// Writes, syncs and renames.
pub fn keeps_data(call: &str) -> bool {
    ["write", "copy_file_range", "sendfile", "sync", "rename"].iter().any(|part| call.contains(part))
}

/// Disturbs every call on a file of the run that `of` names. Whichever thread is first at its n-th
/// call is struck, so a call on a file may be missed in favour of one on a pipe: then once more.
pub fn sweep_all(stage: &Stage, part: Part, what: &'static str, of: impl Fn(&str) -> bool) -> Swept {
    let log = without_fault(stage, part);
    let wanted: BTreeSet<String> =
        log.calls.iter().filter(|call| call.about.is_some() && of(&call.name)).map(Call::id).collect();
    let mut injections = every_call(&log, what, &of);
    injections.extend(every_call_on_the_journal(&log, what));
    let mut swept = sweep(stage, part, injections);
    for _ in 0..RETRIES {
        let missed: BTreeSet<_> =
            wanted.difference(&swept.injected).filter_map(|id| id.split(' ').next()).collect();
        // In a whole run the threads' pace decides what there is.
        if missed.is_empty() || part == Part::Whole {
            break;
        }
        let more = sweep(stage, part, every_call(&log, what, |call| missed.contains(call)));
        swept.runs += more.runs;
        swept.elsewhere += more.elsewhere;
        swept.injected.extend(more.injected);
    }
    let missed: Vec<_> = wanted.difference(&swept.injected).collect();
    println!(
        "{what}, {:?}, {part:?}: {} runs; struck {} calls on files, missed {missed:?}; {} runs struck none",
        stage.kind,
        swept.runs,
        swept.injected.len(),
        swept.elsewhere
    );
    assert!(part == Part::Whole || missed.is_empty(), "never struck: {missed:?}");
    swept
}

/// An undisturbed run's calls, of the part that is to be disturbed.
pub fn without_fault(stage: &Stage, part: Part) -> Log {
    let run = match part {
        Part::Whole => whole(stage, "undisturbed", None),
        Part::Publishing => at_publish(stage, "undisturbed", None),
    };
    assert_eq!(run.log.code, Some(stage.code), "{}", run.stderr);
    stage.check_left(&run.dir, End::Published, &run.stderr).unwrap();
    run.log
}
