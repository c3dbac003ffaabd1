//! Tokens in simulated time: an API and its token endpoint, both scripted.

use std::sync::atomic::AtomicU32;

use secrecy::ExposeSecret;

use super::*;
use crate::fetch::token::{TokenEndpoint, TokenGrant, TokenSettings, TokenSource};

/// An API whose requests take 100 ms and need a token, and an endpoint that gives tokens.
struct TokenApi {
    /// How long a token is good.
    life: Duration,
    /// How long after it was issued the API knows a later token.
    unknown_for: Duration,
    /// Whether the endpoint tells it.
    tells_life: bool,
    /// What the endpoint answers in place of a token, by the number of the request to it.
    endpoint_fails: fn(u32) -> Option<u16>,
    /// A SKU that is refused whatever the token is.
    forbidden: &'static str,
    issued: Mutex<Vec<Instant>>,
    asked: AtomicU32,
    answered: AtomicU32,
    refused: AtomicU32,
}

impl TokenApi {
    fn new(life: u64) -> Self {
        Self {
            life: Duration::from_secs(life),
            unknown_for: Duration::ZERO,
            tells_life: true,
            endpoint_fails: |_| None,
            forbidden: "none",
            issued: Mutex::default(),
            asked: AtomicU32::new(0),
            answered: AtomicU32::new(0),
            refused: AtomicU32::new(0),
        }
    }

    fn issue(&self) -> SendResult {
        if let Some(status) = (self.endpoint_fails)(self.asked.fetch_add(1, Ordering::SeqCst)) {
            return answer(status, &[]);
        }
        let mut issued = self.issued.lock().unwrap();
        issued.push(Instant::now());
        let life =
            if self.tells_life { format!(",\"expires_in\":{}", self.life.as_secs()) } else { String::new() };
        let body = format!("{{\"access_token\":\"t{}\"{life}}}", issued.len() - 1);
        answer(200, &[]).map(|answer| RawAnswer { body: body.into(), ..answer })
    }

    fn is_good(&self, request: &Request) -> bool {
        let token = request.headers["authorization"].to_str().unwrap().strip_prefix("Bearer t").unwrap();
        let number = token.parse::<usize>().unwrap();
        let issued = self.issued.lock().unwrap()[number];
        // The first one is good at once: a run whose first token is refused has wrong credentials.
        let unknown_for = if number == 0 { Duration::ZERO } else { self.unknown_for };
        (unknown_for..self.life).contains(&issued.elapsed()) && !request.url.path().ends_with(self.forbidden)
    }
}

impl Transport for TokenApi {
    async fn send(&self, request: &Request, _: Reuse) -> SendResult {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if request.url.host_str() == Some("id.test") {
            return self.issue();
        }
        let is_good = self.is_good(request);
        let count = if is_good { &self.answered } else { &self.refused };
        count.fetch_add(1, Ordering::SeqCst);
        answer(if is_good { 200 } else { 401 }, &[])
    }
}

fn settings() -> TokenSettings {
    let source = TokenSource::Endpoint(TokenEndpoint {
        url: "https://id.test/token".parse().unwrap(),
        client: None,
        grant: TokenGrant::ClientCredentials,
        fields: Vec::new(),
        refresh_tokens: None,
    });
    let writer = Box::new(|request: &Request, token: &secrecy::SecretString| {
        let mut request = request.clone();
        let value = format!("Bearer {}", token.expose_secret()).parse().unwrap();
        request.headers.insert("authorization", value);
        Ok(request)
    });
    TokenSettings { source, refused_on: "401".parse().unwrap(), writer }
}

/// Fetches so many SKUs, eight at a time, the retries of an attempt being so many.
async fn fetched(
    api: TokenApi,
    skus: u32,
    (retries, wait_for_api): (u32, Duration),
) -> (Fetcher<TokenApi>, Vec<Entry>) {
    let mut fetcher = over(fetcher(|_| send_error(Cause::Lost, Resend::Counted), retries, USUAL), api);
    fetcher.retry.wait_for_api = wait_for_api;
    // As the first connection does.
    fetcher.initial_connects.close();
    let fetcher = fetcher.with_tokens(settings());
    let jobs = (0..skus).map(|seq| {
        let mut job = job(seq);
        job.request.url = format!("http://a.test/{seq}").parse().unwrap();
        fetcher.fetch(job)
    });
    let entries = futures_util::future::join_all(jobs).await;
    (fetcher, entries)
}

fn count(counter: &AtomicU32) -> u32 {
    counter.load(Ordering::SeqCst)
}

const NO_WAIT: (u32, Duration) = (4, Duration::ZERO);

#[tokio::test(start_paused = true)]
async fn no_sku_is_requested_twice_over_a_token_that_lives_shorter_than_the_run() {
    // 6,000 SKUs, eight at a time and 100 ms each, take 75 s.
    let (fetcher, entries) = fetched(TokenApi::new(15), 6000, NO_WAIT).await;
    assert!(entries.iter().all(|entry| matches!(entry.outcome, Outcome::Fetched(_)) && entry.attempts == 1));
    let api = &fetcher.transport;
    assert_eq!((count(&api.answered), count(&api.refused)), (6000, 0));
    let issued = api.issued.lock().unwrap().len();
    assert!((6..=8).contains(&issued), "{issued} tokens");
}

#[tokio::test(start_paused = true)]
async fn a_life_that_is_not_told_costs_two_rows_of_free_attempts() {
    let api = TokenApi { tells_life: false, ..TokenApi::new(15) };
    let (fetcher, entries) = fetched(api, 6000, NO_WAIT).await;
    assert!(entries.iter().all(|entry| matches!(entry.outcome, Outcome::Fetched(_)) && entry.attempts == 1));
    let refused = count(&fetcher.transport.refused);
    assert!((1..=40).contains(&refused), "{refused} refused");
}

#[tokio::test(start_paused = true)]
async fn a_sku_that_is_refused_whatever_the_token_fails_alone() {
    let api = TokenApi { forbidden: "/77", ..TokenApi::new(900) };
    let (fetcher, entries) = fetched(api, 1000, NO_WAIT).await;
    for entry in entries {
        let refused = matches!(&entry.outcome, Outcome::Failed(fault) if fault.cause == Cause::Status(401));
        assert_eq!(refused, entry.seq == Seq(77), "{:?}", entry.outcome);
    }
    assert!(fetcher.transport.issued.lock().unwrap().len() <= 2);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_down_is_asked_as_often_as_the_retries_say_and_refuses_at_once() {
    for (status, asked) in [(503, 5), (400, 1), (401, 1), (404, 1)] {
        let fails: fn(u32) -> Option<u16> = match status {
            503 => |_| Some(503),
            400 => |_| Some(400),
            401 => |_| Some(401),
            _ => |_| Some(404),
        };
        let (fetcher, entries) =
            fetched(TokenApi { endpoint_fails: fails, ..TokenApi::new(9) }, 20, NO_WAIT).await;
        assert!(entries.iter().all(|entry| matches!(entry.outcome, Outcome::Deferred(_))));
        assert_eq!(count(&fetcher.transport.asked), asked, "{status}");
        assert!(matches!(fetcher.shutdown.reason(), Some(StopReason::NoToken(_))), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_comes_back_is_waited_for() {
    let start = Instant::now();
    let api = TokenApi { endpoint_fails: |asked| (asked < 60).then_some(502), ..TokenApi::new(900) };
    let (_, entries) = fetched(api, 20, (4, Duration::from_mins(10))).await;
    assert!(entries.iter().all(|entry| matches!(entry.outcome, Outcome::Fetched(_))));
    assert!((Duration::from_mins(4)..Duration::from_mins(6)).contains(&start.elapsed()));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_leaves_the_old_token_in_use() {
    // The second to the ninth request fail; a token is good for 15 s, and is renewed from 12 s on.
    let api =
        TokenApi { endpoint_fails: |asked| (1..9).contains(&asked).then_some(500), ..TokenApi::new(15) };
    let (fetcher, entries) = fetched(api, 3000, NO_WAIT).await;
    assert!(entries.iter().all(|entry| matches!(entry.outcome, Outcome::Fetched(_)) && entry.attempts == 1));
    assert!(count(&fetcher.transport.refused) <= 16, "{}", count(&fetcher.transport.refused));
}

#[tokio::test(start_paused = true)]
async fn a_new_token_that_the_api_knows_a_moment_later_ends_no_run() {
    let api = TokenApi { unknown_for: Duration::from_millis(700), ..TokenApi::new(15) };
    let (fetcher, entries) = fetched(api, 3000, NO_WAIT).await;
    assert!(entries.iter().all(|entry| matches!(entry.outcome, Outcome::Fetched(_)) && entry.attempts == 1));
    assert!(count(&fetcher.transport.refused) > 0);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_limits_the_client_is_waited_for() {
    let api = TokenApi { endpoint_fails: |asked| (asked < 12).then_some(429), ..TokenApi::new(900) };
    let (_, entries) = fetched(api, 20, NO_WAIT).await;
    assert!(entries.iter().all(|entry| matches!(entry.outcome, Outcome::Fetched(_))));
}
