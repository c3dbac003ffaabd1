//! The retry loop in simulated time, over a scripted transport.

use std::num::NonZeroUsize;

use http::{HeaderMap, Method};

use super::super::classify::{BodyAs, BulkFilters, Filters, MeaningSettings, ResponseSettings};
use super::super::redirect::Follow;
use super::super::transport::{Resend, Reuse};
use super::*;

mod tokens;

use crate::limit::{Concurrency, PaceSettings};
use crate::model::fault::CertificateProblem;
use crate::model::{
    Answer, Cause, Content, Event, Fingerprint, Key, Mask, Request, Seq, Size, StatusSet, StopReason,
};

pub(super) type SendResult = Result<RawAnswer, SendError>;

/// Answers the n-th request by a function, without delay, and records when and how it was sent.
pub(super) struct Scripted<F> {
    answer: F,
    sent: Mutex<Vec<(Duration, Reuse)>>,
    start: Instant,
}

impl<F: Fn(usize) -> SendResult + Send + Sync> Transport for Scripted<F> {
    async fn send(&self, _: &Request, reuse: Reuse) -> SendResult {
        let mut sent = self.sent.lock().unwrap();
        sent.push((self.start.elapsed(), reuse));
        (self.answer)(sent.len() - 1)
    }
}

struct Silent;

impl Reporter for Silent {
    fn on(&self, _: &Event<'_>) {}
}

#[allow(clippy::unnecessary_wraps, reason = "it is one of two kinds of attempts")]
fn answer(status: u16, headers: &[(&'static str, &str)]) -> SendResult {
    let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    Ok(RawAnswer {
        status,
        headers: headers.collect::<HeaderMap>(),
        body: "1".into(),
        may_be_cut: false,
        redirected_to: None,
    })
}

fn send_error(cause: Cause, resend: Resend) -> SendResult {
    Err(SendError { fault: Fault::new(cause, "boom"), resend })
}

pub(super) fn fetcher<F: Fn(usize) -> SendResult + Send + Sync>(
    answer: F,
    retries: u32,
    retry_on: &str,
) -> Fetcher<Scripted<F>> {
    fetcher_with(answer, MeaningSettings::default(), (retries, retry_on))
}

fn fetcher_with<F: Fn(usize) -> SendResult + Send + Sync>(
    answer: F,
    meaning: MeaningSettings,
    (retries, retry_on): (u32, &str),
) -> Fetcher<Scripted<F>> {
    let concurrency = Concurrency::Fixed(NonZeroUsize::new(8).unwrap());
    let gate = Arc::new(Gate::new(&PaceSettings { concurrency, ..PaceSettings::default() }));
    let initial_connects = Arc::new(Semaphore::new(10));
    let companions =
        Companions { gate, reporter: Arc::new(Silent), shutdown: Arc::default(), initial_connects };
    let retry = RetrySettings {
        retries,
        follow: Follow::SameOrigin,
        sends_refused_again: true,
        reads_quota_fields: true,
        keeps_cookies: false,
        wait_for_api: Duration::ZERO,
    };
    let settings = ResponseSettings {
        select: ".".into(),
        meaning,
        body_as: BodyAs::Json,
        null_on: "410".parse::<StatusSet>().unwrap().into(),
        retry_on: retry_on.parse().unwrap(),
        bulk: BulkFilters::default(),
        pages: None,
        max_body: Size(1 << 20),
    };
    let filters = Filters::compile(&settings).unwrap();
    let classifier = Classifier { settings, filters, mask: Mask::default() };
    let transport = Scripted { answer, sent: Mutex::default(), start: Instant::now() };
    Fetcher::new(transport, retry, classifier, companions)
}

fn job(seq: u32) -> Job {
    Job {
        seq: Seq(seq),
        line: 2,
        key: Key::parse(b"A").unwrap(),
        fingerprint: Fingerprint(0),
        record: csv::ByteRecord::new(),
        request: Request {
            method: Method::GET,
            url: "http://a.test/1".parse().unwrap(),
            headers: HeaderMap::new(),
            body: None,
            cross_origin: false,
        },
    }
}

impl<F> Fetcher<Scripted<F>> {
    fn waits(&self) -> Vec<Duration> {
        let sent = self.transport.sent.lock().unwrap();
        sent.windows(2).map(|pair| pair[1].0.saturating_sub(pair[0].0)).collect()
    }
}

/// tokio's timers tick in milliseconds.
const TICK: Duration = Duration::from_millis(1);

const USUAL: &str = "408,420,425,429,500,502-504,508,509,520-524,529";

#[tokio::test(start_paused = true)]
async fn waits_are_drawn_up_to_a_bound_that_doubles_and_the_last_is_half_of_it_at_least() {
    let mut waits: [Vec<Duration>; 4] = Default::default();
    for _ in 0..150 {
        let fetcher = fetcher(|n| answer(if n < 4 { 500 } else { 200 }, &[]), 4, USUAL);
        let entry = fetcher.fetch(job(0)).await;
        assert!(matches!(entry.outcome, Outcome::Fetched(_)) && entry.attempts == 5);
        fetcher.waits().into_iter().zip(&mut waits).for_each(|(wait, all)| all.push(wait));
    }
    for (n, drawn) in waits.iter().enumerate() {
        let bound = Duration::from_millis(500 << n);
        assert!(drawn.iter().all(|wait| *wait <= bound + TICK), "retry {n}: {drawn:?}");
        let least = if n == 3 { bound / 2 } else { Duration::ZERO };
        assert!(drawn.iter().all(|wait| *wait >= least), "retry {n}: {drawn:?}");
        assert!(drawn.iter().any(|wait| *wait < least + bound / 8), "retry {n}");
        assert!(drawn.iter().any(|wait| *wait > bound / 8 * 7), "retry {n}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_costs_no_attempt_and_the_pool_waits_for_what_it_says() {
    let now = "Sun, 06 Nov 1994 08:49:37 GMT";
    let table = [
        ("2", 2000),
        ("2.0", 2000),
        ("0.75", 750),
        ("Sun, 06 Nov 1994 08:49:40 GMT", 3000),
        ("Sunday, 06-Nov-94 08:49:40 GMT", 3000),
        ("Sun Nov  6 08:49:40 1994", 3000),
    ];
    for (value, wait) in table {
        for status in [403, 420, 429, 503, 508, 509, 529] {
            let asked = [("retry-after", value), ("date", now)];
            let fetcher = fetcher(|n| answer(if n == 0 { status } else { 200 }, &asked), 0, USUAL);
            let entry = fetcher.fetch(job(0)).await;
            assert!(matches!(entry.outcome, Outcome::Fetched(_)) && entry.attempts == 1, "{status} {value}");
            let (waited, wait) = (fetcher.waits()[0], Duration::from_millis(wait));
            assert!(waited >= wait && waited <= wait + TICK, "{status} {value}: {waited:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_that_says_nothing_is_as_if_absent() {
    for value in ["0", "0.0", "-5", "NaN", "soon", "Sun, 06 Nov 1994 08:00:00 GMT"] {
        let asked = [("retry-after", value), ("date", "Sun, 06 Nov 1994 08:49:37 GMT")];
        let refused = fetcher(|n| answer(if n == 0 { 429 } else { 200 }, &asked), 0, USUAL);
        let entry = refused.fetch(job(0)).await;
        assert!(matches!(entry.outcome, Outcome::Fetched(_)) && entry.attempts == 1, "{value}");
        assert!(refused.waits()[0] >= Duration::from_millis(500), "{value}: the pool's back-off");
        let faulty = fetcher(|n| answer(if n == 0 { 503 } else { 200 }, &asked), 1, USUAL);
        let entry = faulty.fetch(job(0)).await;
        assert!(matches!(entry.outcome, Outcome::Fetched(_)) && entry.attempts == 2, "{value}");
        let forbidden = fetcher(|_| answer(403, &asked), 1, USUAL);
        assert!(matches!(forbidden.fetch(job(0)).await.outcome, Outcome::Failed(_)), "{value}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sku_is_refused_any_number_of_times_and_does_not_fail() {
    let fetcher = fetcher(|n| answer(if n < 90 { 429 } else { 200 }, &[("retry-after", "1")]), 0, USUAL);
    let entry = fetcher.fetch(job(0)).await;
    assert!(matches!(entry.outcome, Outcome::Fetched(_)) && entry.attempts == 1);
    assert_eq!(fetcher.waits().len(), 90);
}

#[tokio::test(start_paused = true)]
async fn a_quota_at_zero_makes_a_403_a_refusal_that_lasts_until_its_reset() {
    let used_up = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "9")];
    let fetcher = fetcher(|n| if n == 0 { answer(403, &used_up) } else { answer(200, &[]) }, 0, USUAL);
    let entry = fetcher.fetch(job(0)).await;
    assert!(matches!(entry.outcome, Outcome::Fetched(_)) && entry.attempts == 1);
    assert!(fetcher.waits()[0] >= Duration::from_secs(9), "{:?}", fetcher.waits());
}

#[tokio::test(start_paused = true)]
async fn a_reset_too_far_away_is_believed_only_together_with_a_refusal() {
    let far = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "7200")];
    let alone = fetcher(|_| answer(200, &far), 0, USUAL);
    for seq in 0..3 {
        assert!(matches!(alone.fetch(job(seq)).await.outcome, Outcome::Fetched(_)));
    }
    assert!(alone.shutdown.reason().is_none() && alone.transport.start.elapsed() < Duration::from_secs(1));
    for status in [403, 429] {
        let refused = fetcher(|_| answer(status, &far), 0, USUAL);
        assert!(matches!(refused.fetch(job(0)).await.outcome, Outcome::Deferred(Deferral::AskedToWait)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_final_status_pauses_the_pool_though_its_sku_is_not_sent_again() {
    let asked = [("retry-after", "7")];
    let fetcher = fetcher(|n| answer(if n == 0 { 429 } else { 200 }, &asked), 4, "500");
    assert!(matches!(fetcher.fetch(job(0)).await.outcome, Outcome::Failed(_)));
    assert!(matches!(fetcher.fetch(job(1)).await.outcome, Outcome::Fetched(_)));
    assert!(fetcher.waits()[0] >= Duration::from_secs(7), "{:?}", fetcher.waits());
}

#[tokio::test(start_paused = true)]
async fn where_refusals_are_observations_the_sku_fails() {
    let asked = [("retry-after", "7")];
    let mut fetcher = fetcher(|_| answer(429, &asked), 0, USUAL);
    fetcher.retry.sends_refused_again = false;
    let entry = fetcher.fetch(job(0)).await;
    assert!(matches!(entry.outcome, Outcome::Failed(_)) && entry.attempts == 1);
}

#[tokio::test(start_paused = true)]
async fn a_wait_over_the_limit_or_too_long_to_count_defers_and_stops_the_run() {
    for value in ["301", "99999999999999999999"] {
        let fetcher = fetcher(|_| answer(429, &[("retry-after", value)]), 4, USUAL);
        let entry = fetcher.fetch(job(0)).await;
        assert!(matches!(entry.outcome, Outcome::Deferred(Deferral::AskedToWait)), "{value}");
        assert!(matches!(fetcher.shutdown.reason(), Some(StopReason::AskedToWait(_))));
        assert!(fetcher.waits().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn the_resend_after_an_idle_close_is_free_once_and_on_a_fresh_connection() {
    let once =
        fetcher(|n| if n == 0 { send_error(Cause::Lost, Resend::Once) } else { answer(200, &[]) }, 0, USUAL);
    let entry = once.fetch(job(0)).await;
    assert!(matches!(entry.outcome, Outcome::Fetched(_)) && entry.attempts == 1);
    let sent = once.transport.sent.into_inner().unwrap();
    assert!(matches!(sent[..], [(_, Reuse::Allowed), (_, Reuse::Never)]));
    let twice = fetcher(|_| send_error(Cause::Lost, Resend::Once), 1, USUAL);
    let entry = twice.fetch(job(0)).await;
    assert!(matches!(entry.outcome, Outcome::Failed(_)) && entry.attempts == 2);
    assert_eq!(twice.transport.sent.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_is_refused_stops_the_run_at_its_first_attempt() {
    let fetcher =
        fetcher(|_| send_error(Cause::Certificate(CertificateProblem::WrongTime), Resend::Counted), 4, USUAL);
    let entry = fetcher.fetch(job(0)).await;
    assert!(matches!(entry.outcome, Outcome::Deferred(Deferral::Stopped)));
    assert!(matches!(fetcher.shutdown.reason(), Some(StopReason::Certificate(..))));
    assert!(fetcher.waits().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_outage_pauses_5_10_and_20_seconds_with_one_probe_each_and_then_stops_the_run() {
    let fetcher = fetcher(|n| if n == 0 { answer(200, &[]) } else { answer(500, &[]) }, 4, USUAL);
    fetcher.fetch(job(0)).await;
    let entries = futures_util::future::join_all((1..40).map(|seq| fetcher.fetch(job(seq)))).await;
    assert!(matches!(fetcher.shutdown.reason(), Some(StopReason::Failing(_))));
    assert!(
        entries.iter().all(|entry| matches!(entry.outcome, Outcome::Deferred(_))),
        "deferred, not failed"
    );
    let long: Vec<u64> = fetcher.waits().iter().map(Duration::as_secs).filter(|&secs| secs >= 4).collect();
    assert_eq!(long.len(), 3, "{long:?}");
    assert!(long[0] >= 4 && long[1] >= 9 && long[2] >= 19, "{long:?}");
}

/// Fetches all, and gives how each ended: the attempts of what came, and of what failed.
async fn outcomes<F: Fn(usize) -> SendResult + Send + Sync>(
    fetcher: &Fetcher<ByUrl<F>>,
    seqs: std::ops::Range<u32>,
) -> (Vec<u32>, Vec<u32>) {
    let entries = futures_util::future::join_all(seqs.map(|seq| fetcher.fetch(job_of(seq)))).await;
    let attempts = |fetched: bool| {
        let those = entries.iter().filter(|entry| matches!(entry.outcome, Outcome::Fetched(_)) == fetched);
        those.map(|entry| entry.attempts).collect::<Vec<_>>()
    };
    assert!(entries.iter().all(|entry| !matches!(entry.outcome, Outcome::Deferred(_))), "some are deferred");
    (attempts(true), attempts(false))
}

/// Answers by the SKU and by how often it was sent before, after 20 ms.
struct ByUrl<F> {
    answer: F,
    sent: Mutex<std::collections::HashMap<String, usize>>,
}

impl<F: Fn(usize) -> SendResult + Send + Sync> Transport for ByUrl<F> {
    async fn send(&self, request: &Request, _: Reuse) -> SendResult {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let sku = request.url.path().trim_start_matches('/').to_owned();
        let before = {
            let mut sent = self.sent.lock().unwrap();
            let count = sent.entry(sku.clone()).or_default();
            *count += 1;
            *count - 1
        };
        (self.answer)(sku.parse::<usize>().unwrap() * 100 + before)
    }
}

fn job_of(seq: u32) -> Job {
    let mut job = job(seq);
    job.request.url = format!("http://a.test/{seq}").parse().unwrap();
    job
}

/// The same fetcher over another transport.
fn over<T, U>(fetcher: Fetcher<T>, transport: U) -> Fetcher<U> {
    let Fetcher { gate, retry, answers, reporter, shutdown, health, initial_connects, .. } = fetcher;
    Fetcher {
        transport,
        gate,
        retry,
        answers,
        reporter,
        shutdown,
        health,
        initial_connects,
        rng: Mutex::new(fastrand::Rng::with_seed(7)),
        accepted: OnceLock::new(),
        quota: NewestQuotaSize::default(),
        learns_from_failures: AtomicBool::new(false),
        packs_keys: false,
        tokens: None,
        page_budget: PageBudget::new(Arc::default()),
        cookies: None,
        unfollowed: AtomicU64::new(0),
    }
}

/// `answer` gets the SKU's number by 100, and how often it was sent before.
fn by_url<F: Fn(usize) -> SendResult + Send + Sync>(answer: F, retries: u32) -> Fetcher<ByUrl<F>> {
    let fetcher = fetcher(|_| send_error(Cause::Lost, Resend::Counted), retries, USUAL);
    over(fetcher, ByUrl { answer, sent: Mutex::default() })
}

#[tokio::test(start_paused = true)]
async fn six_skus_at_the_end_that_fail_three_times_are_fetched_and_those_that_always_fail_fail_alone() {
    for (often, fetched) in [(3, 156), (99, 150)] {
        let bad = move |n: usize| n / 100 >= 150 && n % 100 < often;
        let fetcher = by_url(move |n| answer(if bad(n) { 500 } else { 200 }, &[]), 4);
        let (came, failed) = outcomes(&fetcher, 0..156).await;
        assert_eq!((came.len(), failed.len()), (fetched, 156 - fetched));
        assert!(failed.iter().all(|attempts| *attempts == 5), "{failed:?}");
        assert!(fetcher.shutdown.reason().is_none());
        let sent = fetcher.transport.sent.lock().unwrap();
        // What was held is sent once more.
        assert!((150..156).all(|sku| sent[&sku.to_string()] <= 6), "{sent:?}");
        let known: usize = (0..150).map(|sku| sent[&sku.to_string()]).sum();
        assert!(known <= 153, "{known} requests for 150 SKUs that came");
    }
}

#[tokio::test(start_paused = true)]
async fn what_too_much_load_causes_costs_no_attempt() {
    for cause in [Cause::Status(503), Cause::Lost, Cause::Connect] {
        // It has room for five at a time: of eight, three fail.
        let busy = std::cell::Cell::new(0_u64);
        let turn = Mutex::new(busy);
        let fetcher = by_url(
            move |_| {
                let turn = turn.lock().unwrap();
                turn.set(turn.get() + 1);
                match (turn.get() % 8, cause) {
                    (0..5, _) => answer(200, &[]),
                    (_, Cause::Status(status)) => answer(status, &[]),
                    (_, cause) => send_error(cause, Resend::Counted),
                }
            },
            1,
        );
        let (came, failed) = outcomes(&fetcher, 0..200).await;
        // The first few SKUs cannot be told from bad ones.
        assert!(came.len() >= 197 && came.iter().all(|attempts| *attempts <= 2), "{cause:?}: {failed:?}");
        assert!(came.iter().filter(|attempts| **attempts == 2).count() <= 4, "{came:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sku_that_always_fails_is_charged_however_many_others_fail_for_the_load_and_is_sent_at_most_30_times()
 {
    let fails = |n: usize| n / 100 == 60 || n / 100 % 2 == 1 && n.is_multiple_of(100);
    let fetcher = by_url(move |n| answer(if fails(n) { 502 } else { 200 }, &[]), 4);
    let (came, failed) = outcomes(&fetcher, 0..120).await;
    assert_eq!((came.len(), failed.len()), (119, 1));
    assert!((5..=30).contains(&failed[0]), "{failed:?}");
    assert!(fetcher.transport.sent.lock().unwrap()["60"] <= 30);
}

#[tokio::test(start_paused = true)]
async fn a_bare_403_right_after_refusals_is_one_of_them_until_others_come() {
    // A firewall that answers 403 to all for a minute, once a limiter has refused.
    let start = Instant::now();
    let fetcher = by_url(
        move |n| {
            let banned = (1..60).contains(&start.elapsed().as_secs());
            match n / 100 {
                _ if banned => answer(403, &[]),
                20 if n % 100 == 0 => answer(429, &[("retry-after", "1")]),
                77 => answer(403, &[]),
                _ => answer(200, &[]),
            }
        },
        4,
    );
    let (came, failed) = outcomes(&fetcher, 0..120).await;
    assert_eq!((came.len(), failed), (119, vec![1]), "SKU 77 is forbidden itself");
}

#[cfg(feature = "jq")]
fn conditions() -> MeaningSettings {
    let filter = |text: &str| Some(text.to_owned());
    MeaningSettings {
        refused: filter(".refused"),
        null: filter(".null"),
        retry: filter(".retry"),
        fail: filter(".fail"),
    }
}

#[cfg(feature = "jq")]
fn says(status: u16, body: &str) -> RawAnswer {
    RawAnswer {
        status,
        headers: HeaderMap::new(),
        body: body.to_owned().into(),
        may_be_cut: false,
        redirected_to: None,
    }
}

#[cfg(feature = "jq")]
#[tokio::test(start_paused = true)]
async fn what_a_condition_catches_says_nothing_good_about_the_load() {
    let fetcher = fetcher_with(|_| answer(200, &[]), conditions(), (0, USUAL));
    let latency = Duration::from_millis(7);
    let limited = |millis| LoadSignal::Refused {
        status: 200,
        asked: Some(Duration::from_millis(millis)).filter(|asked| !asked.is_zero()),
        latency,
    };
    for (status, body, signal) in [
        (200, r#"{"a":1}"#, LoadSignal::Good { latency }),
        (200, r#"{"null":1}"#, LoadSignal::Cheap),
        (200, r#"{"fail":1}"#, LoadSignal::Cheap),
        (200, r#"{"refused":1}"#, LoadSignal::Cheap),
        (429, r#"{"refused":1}"#, LoadSignal::Cheap),
        (503, r#"{"refused":1}"#, LoadSignal::Cheap),
        (200, r#"{"retry":true}"#, LoadSignal::Fault),
        (200, r#"{"retry":1.5}"#, limited(1_500)),
        (200, r#"{"retry":0}"#, limited(0)),
        (429, r#"{"retry":true}"#, LoadSignal::Refused { status: 429, asked: None, latency }),
    ] {
        let permit = fetcher.gate.admit().await;
        let ended = SendOutcome::Answer(says(status, body));
        let (_, found) = fetcher.judge(ended, latency, &job(0), &permit).await;
        assert_eq!(found, signal, "{status} {body}");
        permit.finish(LoadSignal::Cheap);
    }
}

#[cfg(feature = "jq")]
#[tokio::test(start_paused = true)]
async fn what_fails_by_a_condition_neither_shows_good_credentials_nor_a_working_api() {
    for (body, is_good) in
        [(r#"{"a":1}"#, true), (r#"{"null":1}"#, true), (r#"{"fail":1}"#, false), (r#"{"refused":1}"#, false)]
    {
        let fetcher = fetcher_with(|_| Ok(says(200, body)), conditions(), (0, USUAL));
        let before = Instant::now();
        tokio::time::sleep(Duration::from_millis(5)).await;
        let entry = fetcher.fetch(job(0)).await;
        assert_eq!(entry.outcome.shows_good_credentials(), is_good, "{body}");
        assert_eq!(fetcher.accepted().is_some(), is_good, "{body}");
        assert_eq!(fetcher.health.has_answered_since(before), is_good, "{body}");
        assert_eq!(entry.outcome.refused(), body.contains("refused").then_some(200), "{body}");
    }
}

/// A job's pages: each of this size, and this many.
struct Paged {
    pages: usize,
    bytes: usize,
    sent: Mutex<std::collections::HashMap<String, usize>>,
}

impl Transport for Paged {
    async fn send(&self, request: &Request, _: Reuse) -> SendResult {
        tokio::time::sleep(Duration::from_millis(20)).await;
        *self.sent.lock().unwrap().entry(request.url.as_str().to_owned()).or_default() += 1;
        let page = request.url.query().map_or(1, |query| query.parse().unwrap());
        let link = format!("<?{}>; rel=next", page + 1);
        let next = [("link", link.as_str())];
        let mut raw = answer(200, if page < self.pages { &next } else { &[] })?;
        raw.body = format!("\"{}\"", "x".repeat(self.bytes)).into();
        Ok(raw)
    }
}

/// Fetches so many jobs at once, and gives how often each address was requested.
async fn requests_of_pages(jobs: u32, transport: Paged) -> std::collections::HashMap<String, usize> {
    let Fetcher { retry, answers, reporter, shutdown, initial_connects, .. } =
        fetcher(|_| send_error(Cause::Lost, Resend::Counted), 0, USUAL);
    let pages = crate::fetch::PageSettings {
        next: crate::fetch::NextPage::Link,
        join: ".".into(),
        most: NonZeroU32::new(100).unwrap(),
    };
    let mut settings = answers.classifier().settings.clone();
    (settings.pages, settings.max_body) = (Some(pages), Size(100 << 20));
    let classifier =
        Classifier { filters: Filters::compile(&settings).unwrap(), settings, mask: Mask::default() };
    let concurrency = Concurrency::Fixed(NonZeroUsize::new(64).unwrap());
    let gate = Arc::new(Gate::new(&PaceSettings { concurrency, ..PaceSettings::default() }));
    let companions = Companions { gate, reporter, shutdown, initial_connects };
    let (pages, bytes) = (transport.pages, transport.bytes);
    let fetcher = Fetcher::new(transport, retry, classifier, companions);
    let entries = futures_util::future::join_all((0..jobs).map(|seq| fetcher.fetch(job_of(seq)))).await;
    for entry in entries {
        let Outcome::Fetched(Answer { content: Content::Json(body), .. }) = entry.outcome else {
            panic!("{:?}", entry.outcome)
        };
        assert_eq!(body.len(), pages * (bytes + 3) + 1);
    }
    fetcher.transport.sent.into_inner().unwrap()
}

#[tokio::test(start_paused = true)]
async fn pages_are_asked_for_once_each_while_they_take_little_memory() {
    let transport = Paged { pages: 5, bytes: 20 << 10, sent: Mutex::default() };
    let sent = requests_of_pages(60, transport).await;
    assert!(sent.len() == 300 && sent.values().all(|count| *count == 1), "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn where_pages_take_too_much_memory_some_are_asked_for_a_second_time_and_all_come() {
    let transport = Paged { pages: 4, bytes: 1 << 20, sent: Mutex::default() };
    let sent = requests_of_pages(60, transport).await;
    assert_eq!(sent.len(), 240);
    let twice = sent.values().filter(|count| **count == 2).count();
    assert!(sent.values().all(|count| *count <= 2), "{sent:?}");
    assert!((1..=60).contains(&twice), "{twice}");
}
