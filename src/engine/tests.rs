//! The loop under a paused clock, over a scripted transport and a store in memory.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc as std_mpsc};
use std::time::SystemTime;

use http::{HeaderMap, Method};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::sleep;

use super::*;
use crate::collect::{PreviousValue, RefusedRow};
use crate::fetch::{
    BodyAs, BulkFilters, Classifier, Companions, Filters, Follow, MeaningSettings, ResponseSettings,
    RetrySettings,
};
use crate::fetch::{RawAnswer, Reuse, SendError};
use crate::input::Columns;
use crate::limit::{Concurrency, PaceSettings};
use crate::model::{
    Entry, Fault, Fingerprint, Job, Key, Mask, Outcome, Request, Seq, Size, StatusSet, StopReason,
};
use crate::plan::{Planned, Planner, RequestSettings, RequestTemplate};
use crate::report::{LogFormat, ProgressMode, ReportSettings, StatsSnapshot, Terminal};

const SIGTERM: u8 = 15;
/// tokio's timers tick in milliseconds.
const TIMER_TICK: Duration = Duration::from_millis(1);

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// What the transport, the store and the test share.
#[derive(Clone)]
struct World {
    start: Instant,
    /// When each request left, and for which row.
    sent: Arc<Mutex<Vec<(Duration, u32)>>>,
    signals: mpsc::UnboundedSender<u8>,
    /// Bytes that the disk does not take.
    stuck: Arc<AtomicUsize>,
}

impl World {
    fn sent(&self) -> Vec<(Duration, u32)> {
        self.sent.lock().unwrap().clone()
    }

    fn signal(&self) {
        self.signals.send(SIGTERM).unwrap();
    }
}

/// Answers the n-th request (from 1) for a row after a time with a status.
struct Scripted<A> {
    answer: A,
    requests: Mutex<HashMap<u32, u32>>,
    world: World,
}

impl<A: Fn(u32, u32) -> (Duration, u16) + Send + Sync> Transport for Scripted<A> {
    async fn send(&self, request: &Request, _: Reuse) -> Result<RawAnswer, SendError> {
        let row: u32 = request.url.path()[1..].parse().unwrap();
        let number = {
            let mut requests = self.requests.lock().unwrap();
            let number = requests.entry(row).or_default();
            *number += 1;
            *number
        };
        self.world.sent.lock().unwrap().push((self.world.start.elapsed(), row));
        let (takes, status) = (self.answer)(row, number);
        sleep(takes).await;
        Ok(RawAnswer {
            status,
            headers: HeaderMap::new(),
            body: "1".into(),
            may_be_cut: false,
            redirected_to: None,
        })
    }
}

/// Keeps what became of each row, and when.
struct MemoryStore {
    world: World,
    /// Rows before this one have their answer from an earlier run.
    journalled: u32,
    open: usize,
    most_open: usize,
    unflushed: usize,
    /// When each entry came, and its row.
    appended: Vec<(Duration, u32)>,
    failed: Vec<u32>,
    /// When entries were handed over.
    flushed: Vec<Duration>,
}

impl MemoryStore {
    fn new(world: &World, journalled: u32) -> Self {
        Self {
            world: world.clone(),
            journalled,
            open: 0,
            most_open: 0,
            unflushed: 0,
            appended: Vec::new(),
            failed: Vec::new(),
            flushed: Vec::new(),
        }
    }
}

impl EntryStore for MemoryStore {
    fn pass(&mut self, _: Seq) {}

    fn adopt(&mut self, seq: Seq, _: Fingerprint) -> bool {
        if seq.0 < self.journalled {
            return true;
        }
        self.open += 1;
        self.most_open = self.most_open.max(self.open);
        false
    }

    fn began(&self) -> SystemTime {
        SystemTime::now()
    }

    fn previous_value(&mut self, _: &Key, _: Fingerprint) -> Option<PreviousValue> {
        None
    }

    fn keep(&mut self, _: Seq, _: Fingerprint, _: &Key) -> Result<bool, CollectError> {
        Ok(false)
    }

    fn add_row(&mut self, _: Seq, _: Option<&Key>, _: &csv::ByteRecord) -> Result<(), CollectError> {
        Ok(())
    }

    fn fail_adopted(&mut self, _: &Job) -> Result<Option<Fault>, CollectError> {
        Ok(None)
    }

    fn append(&mut self, entry: &Entry) -> Result<Option<Fault>, CollectError> {
        self.open -= 1;
        self.unflushed += 100;
        self.appended.push((self.world.start.elapsed(), entry.seq.0));
        if matches!(entry.outcome, Outcome::Failed(_)) {
            self.failed.push(entry.seq.0);
        }
        Ok(None)
    }

    fn append_refused(&mut self, _: &RefusedRow<'_>) -> Result<(), CollectError> {
        Ok(())
    }

    fn flush(&mut self) -> Result<(), CollectError> {
        if self.unflushed > 0 {
            self.unflushed = 0;
            self.flushed.push(self.world.start.elapsed());
        }
        Ok(())
    }

    fn backlog(&self) -> usize {
        self.unflushed + self.world.stuck.load(Ordering::Relaxed)
    }
}

fn planned(row: u32) -> Planned {
    Planned::Job(Job {
        seq: Seq(row),
        line: u64::from(row) + 2,
        key: Key::parse(row.to_string().as_bytes()).unwrap(),
        fingerprint: Fingerprint(row.into()),
        record: csv::ByteRecord::new(),
        request: Request {
            method: Method::GET,
            url: format!("http://a.test/{row}").parse().unwrap(),
            headers: HeaderMap::new(),
            body: None,
            cross_origin: false,
        },
    })
}

fn summary(rows: u32) -> InputSummary {
    let columns = Columns {
        names: vec!["sku".into()],
        key: 0,
        format: crate::input::CsvFormat::default(),
        headers: true,
    };
    let request = RequestSettings { url: "http://a.test/{sku}".into(), ..RequestSettings::default() };
    let template = Arc::new(RequestTemplate::parse(&request, &|_| None).unwrap());
    let planner = Planner::new(template.bind(&columns).unwrap(), [0; 16]);
    InputSummary {
        planner,
        rows: rows.into(),
        content: None,
        blanks: 0,
        ended_in_a_mark: false,
        at_end: true,
        broken: None,
    }
}

/// A run to be played: so many rows, each answered by the script.
struct Scene<A> {
    rows: u32,
    concurrency: usize,
    retries: u32,
    max_time: Option<Duration>,
    /// The input never ends: its thread hangs in a read.
    hangs: bool,
    /// Rows at the beginning that have their answer from an earlier run.
    journalled: u32,
    answer: A,
}

impl<A> Scene<A> {
    fn new(rows: u32, concurrency: usize, answer: A) -> Self {
        Self { rows, concurrency, retries: 0, max_time: None, hangs: false, journalled: 0, answer }
    }
}

/// What a run came to.
struct Played {
    end: RunEnd,
    /// From the report; rows that no event told the end of are deferred.
    stats: StatsSnapshot,
    store: MemoryStore,
    sent: Vec<(Duration, u32)>,
    took: Duration,
    reason: Option<StopReason>,
}

impl<A: Fn(u32, u32) -> (Duration, u16) + Send + Sync> Scene<A> {
    /// Runs to the end, with `outside` at the same time.
    async fn play(self, outside: impl AsyncFnOnce(World)) -> Played {
        let (sender, numbers) = mpsc::unbounded_channel();
        let world =
            World { start: Instant::now(), sent: Arc::default(), signals: sender, stuck: Arc::default() };
        let concurrency = Concurrency::Fixed(NonZeroUsize::new(self.concurrency).unwrap());
        let gate = Arc::new(Gate::new(&PaceSettings { concurrency, ..PaceSettings::default() }));
        let quiet = ReportSettings {
            progress: ProgressMode::None,
            log_format: LogFormat::Text,
            verbose: 0,
            quiet: true,
            terminal: Terminal::absent(),
        };
        let report = Arc::new(Report::new(quiet, Box::new(std::io::sink())));
        let shutdown = Arc::new(Shutdown::default());
        let transport = Scripted { answer: self.answer, requests: Mutex::default(), world: world.clone() };
        let retry = RetrySettings {
            retries: self.retries,
            follow: Follow::SameOrigin,
            sends_refused_again: true,
            reads_quota_fields: true,
            keeps_cookies: false,
            wait_for_api: Duration::ZERO,
        };
        let settings = ResponseSettings {
            select: ".".into(),
            meaning: MeaningSettings::default(),
            body_as: BodyAs::Json,
            null_on: "410".parse::<StatusSet>().unwrap().into(),
            retry_on: "408,429,500,503".parse().unwrap(),
            bulk: BulkFilters::default(),
            pages: None,
            max_body: Size(1 << 20),
        };
        let filters = Filters::compile(&settings).unwrap();
        let classifier = Classifier { settings, filters, mask: Mask::default() };
        let companions = Companions {
            gate: Arc::clone(&gate),
            reporter: Arc::clone(&report) as _,
            shutdown: Arc::clone(&shutdown),
            initial_connects: Arc::new(Semaphore::new(1_000)),
        };
        let fetcher = Fetcher::new(transport, retry, classifier, companions);
        let mut store = MemoryStore::new(&world, self.journalled);
        let mut signals = Signals::from_channel(numbers);
        let engine = Engine {
            fetcher: &fetcher,
            gate: &gate,
            store: &mut store,
            report: &report,
            shutdown: &shutdown,
            signals: &mut signals,
            reader: StdoutPeer::none(),
            started: world.start,
            deadline: self.max_time.map(|time| world.start + time),
            max_age: None,
        };
        let (rows, hangs) = (self.rows, self.hangs);
        let (batches, received) = mpsc::channel(4);
        batches.send((0..rows).map(planned).collect()).await.unwrap();
        let (_release, released) = std_mpsc::channel::<()>();
        let keeps_open = hangs.then_some(batches);
        let input = InputThread::scripted(received, move || {
            if hangs {
                let _ = released.recv();
            }
            summary(rows)
        });
        let (end, ()) = tokio::join!(engine.run(input), outside(world.clone()));
        drop(keeps_open);
        let took = world.start.elapsed();
        let mut stats = report.stats();
        stats.counters.deferred += end.rows - stats.counters.done();
        Played { end, stats, store, sent: world.sent(), took, reason: shutdown.reason().cloned() }
    }
}

fn near(time: Duration, expected: Duration) -> bool {
    time >= expected && time <= expected + TICK + TIMER_TICK
}

#[tokio::test(start_paused = true)]
async fn a_run_ends_when_every_row_has_its_entry() {
    let scene = Scene::new(10, 2, |_, _| (millis(100), 200));
    let played = scene.play(async |_| ()).await;
    assert_eq!((played.stats.counters.fetched, played.store.appended.len()), (10, 10));
    assert!(near(played.took, millis(500)), "{:?}", played.took);
    assert_eq!(played.reason, None);
    assert!(played.end.input_summary.is_some_and(|summary| summary.at_end));
}

#[tokio::test(start_paused = true)]
async fn after_a_signal_attempts_in_flight_get_10_s_and_are_then_deferred() {
    let scene = Scene::new(20, 4, |row, _| (if row == 0 { seconds(9) } else { seconds(60) }, 200));
    let played = scene
        .play(async |world| {
            sleep(seconds(1)).await;
            world.signal();
        })
        .await;
    assert!(near(played.took, seconds(11)), "{:?}", played.took);
    assert_eq!((played.stats.counters.fetched, played.stats.counters.deferred), (1, 19));
    assert_eq!(played.reason, Some(StopReason::Signal(SIGTERM)));
    assert!(!played.end.at_once);
    assert_eq!(played.sent.len(), 4, "nothing leaves once the run stops");
}

#[tokio::test(start_paused = true)]
async fn a_run_in_which_everything_is_refused_ends_after_ten_minutes_and_fails_nothing() {
    for good in [0, 30] {
        // Some good answers first, or none.
        let scene = Scene::new(100, 8, move |row, _| (millis(30), if row < good { 200 } else { 429 }));
        let played = scene.play(async |_| ()).await;
        let Some(StopReason::OnlyRefused { status: 429, lasted }) = played.reason else {
            panic!("{:?}", played.reason)
        };
        assert!((seconds(600)..seconds(700)).contains(&lasted), "{lasted:?}");
        assert!(played.took >= lasted && played.took < seconds(720), "{:?}", played.took);
        let counters = &played.stats.counters;
        assert_eq!((counters.fetched, counters.failed, counters.retries), (u64::from(good), 0, 0));
        assert_eq!(counters.deferred, 100 - u64::from(good));
        // Hardly more than a probe a minute.
        assert!(counters.refused <= 60, "{}", counters.refused);
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_up_to_max_time_defer_what_is_left() {
    let scene = Scene { max_time: Some(seconds(90)), ..Scene::new(100, 8, |_, _| (millis(30), 429)) };
    let played = scene.play(async |_| ()).await;
    assert_eq!(played.reason, Some(StopReason::OutOfTime));
    assert!(near(played.took, seconds(90)), "{:?}", played.took);
    assert_eq!((played.stats.counters.failed, played.stats.counters.deferred), (0, 100));
}

#[tokio::test(start_paused = true)]
async fn a_drained_run_ends_before_its_10_s_are_over() {
    let scene = Scene::new(20, 4, |_, _| (seconds(3), 200));
    let played = scene
        .play(async |world| {
            sleep(seconds(1)).await;
            world.signal();
        })
        .await;
    assert!(near(played.took, seconds(3)), "{:?}", played.took);
    assert_eq!((played.stats.counters.fetched, played.stats.counters.deferred), (4, 16));
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_ends_the_run_at_once() {
    let scene = Scene::new(20, 4, |_, _| (seconds(60), 200));
    let played = scene
        .play(async |world| {
            for _ in 0..2 {
                sleep(seconds(1)).await;
                world.signal();
            }
        })
        .await;
    assert!(near(played.took, seconds(2)), "{:?}", played.took);
    assert!(played.end.at_once);
    assert_eq!(played.stats.counters.deferred, 20);
}

#[tokio::test(start_paused = true)]
async fn nothing_begins_after_max_time_and_what_is_in_flight_is_drained() {
    let scene = Scene::new(20, 1, |_, _| (millis(700), 200));
    let played = Scene { max_time: Some(seconds(3)), ..scene }.play(async |_| ()).await;
    assert_eq!(played.reason, Some(StopReason::OutOfTime));
    assert_eq!((played.stats.counters.fetched, played.stats.counters.deferred), (5, 15));
    assert!(near(played.took, millis(3_500)), "{:?}", played.took);
    let scene = Scene::new(20, 1, |_, _| (seconds(60), 200));
    let played = Scene { max_time: Some(seconds(3)), ..scene }.play(async |_| ()).await;
    assert!(near(played.took, seconds(13)), "{:?}", played.took);
    assert_eq!(played.stats.counters.deferred, 20);
}

#[tokio::test(start_paused = true)]
async fn jobs_that_wait_for_a_retry_fill_the_window_and_no_more_are_opened() {
    let scene = Scene::new(40, 2, |_, number| (millis(1), if number == 1 { 408 } else { 200 }));
    let played = Scene { retries: 4, ..scene }.play(async |_| ()).await;
    assert_eq!(played.stats.counters.fetched, 40);
    assert_eq!(played.store.most_open, 8);
}

#[tokio::test(start_paused = true)]
async fn every_answer_is_handed_to_the_journal_within_2_ms() {
    let scene = Scene::new(200, 4, |row, _| (millis(3 + u64::from(row) * 7 % 29), 200));
    let played = scene.play(async |_| ()).await;
    let MemoryStore { appended, flushed, .. } = &played.store;
    assert_eq!(appended.len(), 200);
    for (at, row) in appended {
        let handed_over = flushed.iter().find(|flushed| *flushed >= at).unwrap();
        let held = handed_over.saturating_sub(*at);
        assert!(held <= millis(2) + TIMER_TICK, "row {row} was held for {held:?}");
    }
    assert!(flushed.len() < 200, "answers that come together are handed over together");
}

#[tokio::test(start_paused = true)]
async fn no_job_is_opened_while_too_much_waits_for_the_disk() {
    let scene = Scene::new(100, 4, |_, _| (millis(10), 200));
    let played = scene
        .play(async |world| {
            sleep(millis(95)).await;
            world.stuck.store(MAX_BACKLOG, Ordering::Relaxed);
            sleep(seconds(5)).await;
            world.stuck.store(0, Ordering::Relaxed);
        })
        .await;
    assert_eq!(played.stats.counters.fetched, 100);
    let between = |from, to| played.sent.iter().filter(|(at, _)| (from..to).contains(at)).count();
    assert_eq!(between(millis(95), millis(5_095)), 0, "{:?}", played.sent);
    assert!(between(Duration::ZERO, millis(95)) > 30 && between(millis(5_095), millis(5_150)) > 0);
}

#[tokio::test(start_paused = true)]
async fn an_input_that_hangs_is_waited_for_and_left_behind_when_the_run_stops() {
    let scene = Scene::new(3, 4, |_, _| (millis(10), 200));
    let played = Scene { hangs: true, ..scene }
        .play(async |world| {
            sleep(seconds(30)).await;
            world.signal();
        })
        .await;
    assert!(near(played.took, seconds(30)), "{:?}", played.took);
    assert_eq!((played.stats.counters.fetched, played.stats.counters.deferred), (3, 0));
    assert!(played.end.input_summary.is_none());
    let starved = played.end.waits.blocked.input;
    assert!(starved > seconds(29) && starved <= seconds(30), "{starved:?}");
}

#[tokio::test(start_paused = true)]
async fn refusals_at_the_end_are_failures_where_a_sku_that_had_its_answer_has_it_again() {
    let scene = Scene::new(6, 1, |row, _| (millis(10), if row < 4 { 200 } else { 403 }));
    let played = scene.play(async |_| ()).await;
    let asked: Vec<u32> = played.sent.iter().map(|(_, row)| *row).collect();
    assert_eq!(asked, [0, 1, 2, 3, 4, 5, 0]);
    assert_eq!((played.stats.counters.fetched, played.stats.counters.failed), (4, 2));
    assert_eq!((played.store.failed, played.reason), (vec![4, 5], None));
}

#[tokio::test(start_paused = true)]
async fn refusals_at_the_end_are_deferred_where_that_sku_is_refused_too() {
    let refuses = |row, number| row >= 4 || number > 1;
    let scene =
        Scene::new(6, 1, move |row, number| (millis(10), if refuses(row, number) { 401 } else { 200 }));
    let played = scene.play(async |_| ()).await;
    assert_eq!((played.stats.counters.fetched, played.stats.counters.deferred), (4, 2));
    assert_eq!(played.store.failed, [] as [u32; 0]);
    let asked_again = Key::parse(b"0").unwrap();
    assert_eq!(
        played.reason,
        Some(StopReason::RefusedAtEnd { status: 401, skus: 2, asked_again, said: "1".into() })
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_that_goes_on_is_not_ended_by_skus_that_are_forbidden() {
    let scene = Scene::new(12, 1, |row, _| (millis(10), if row < 2 { 200 } else { 403 }));
    let played = Scene { retries: 1, journalled: 2, ..scene }.play(async |_| ()).await;
    let asked: Vec<u32> = played.sent.iter().map(|(_, row)| *row).collect();
    assert_eq!(asked, [2, 3, 4, 5, 6, 1, 7, 8, 9, 10, 11, 1], "a SKU of the earlier run shows it, twice");
    assert_eq!((played.stats.counters.recovered, played.stats.counters.failed), (2, 10));
    assert_eq!(played.reason, None);
}

#[tokio::test(start_paused = true)]
async fn what_ends_the_run_by_itself_is_settled_before_the_last_tick() {
    let scene = Scene::new(50, 8, |_, _| (millis(10), 401));
    let played = scene.play(async |_| ()).await;
    assert!(matches!(played.reason, Some(StopReason::Refused { status: 401, answers: 5, .. })));
    assert_eq!((played.stats.counters.deferred, played.stats.counters.failed), (50, 0));
}
