//! When a token is used, replaced or believed to be refused: decisions without IO, on instants that are handed in.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio::time::Instant;

use super::reply::IssuedToken;

/// If a token is younger than this when the API refuses it, the token has not expired, unless the API accepted it before.
const FRESH: Duration = Duration::from_secs(10);
/// The least time between two renewals that refusals force. Otherwise an API that refuses every token would cause a
/// request to the token endpoint for each refusal.
const BETWEEN_FORCED: Duration = Duration::from_secs(10);
/// A renewal for age that failed is tried again after a quarter of what is left of the token's life, between these.
const RETRY_RENEWAL: (Duration, Duration) = (Duration::from_millis(250), Duration::from_mins(1));

/// The shortest lifetime that is learnt from refusals.
const SHORTEST_LEARNT: Duration = Duration::from_secs(1);
/// After this many tokens without a refusal at the learnt age, a longer lifetime is tried.
const TOKENS_OF_A_LIFE: u32 = 16;

/// The shortest `expires_in` that is used: each new token costs a request to the endpoint.
const SHORTEST_LIFE: Duration = Duration::from_millis(250);
/// Some APIs accept a token only a moment after it was issued. Before the refusal of a new token counts, the job is sent
/// again this many times: first after this wait, then after twice the wait before.
const UNKNOWN_YET: (Duration, u32) = (Duration::from_millis(500), 3);
/// Two tokens that were refused at the same age show the lifetime of tokens. Ages are the same if they differ by less
/// than this fraction (one tenth) or this time.
const SAME_AGE: (u32, Duration) = (10, Duration::from_millis(200));

/// After this many refusals in a row without a good answer, nothing more is sent with the token.
const REFUSED_FOR_ALL: u32 = 3;

/// A token in use.
pub(in crate::fetch) struct UsedToken {
    pub(in crate::fetch) text: SecretString,
    /// Counts the tokens of the run.
    generation: u64,
    since: Instant,
    /// After 80 % of its life.
    renew_at: Option<Instant>,
    ends_at: Option<Instant>,
}

/// What to do before an attempt.
pub(super) enum TokenLook {
    /// Use this one.
    Use(Arc<UsedToken>),
    /// Use this one, and renew it meanwhile.
    UseAndRenew(Arc<UsedToken>),
    /// There is none to use: get one first.
    Get,
    /// It is refused again and again: wait for a newer one.
    Refused(RenewalWait),
}

/// The refusal of a token that is to be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::fetch) struct RenewalWait {
    /// The generation of the refused token.
    pub(super) refused: u64,
    /// The earliest instant of a renewal.
    pub(super) from: Instant,
    /// When the refusal came.
    pub(super) since: Instant,
    /// A renewal is forced then; otherwise the same token is tried again.
    pub(super) renews: bool,
}

/// The refusals of a token that one job had.
#[derive(Default)]
pub(in crate::fetch) struct RefusalsOfToken {
    newest: Option<Instant>,
    /// How often a new token was refused that may not be known yet.
    unknown_yet: u32,
}

/// What follows from the refusal of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenRuling {
    /// The token is good or new: the refusal is the job's.
    Counts,
    /// The attempt is made again with a newer token, at no cost.
    Again(RenewalWait),
}

/// The token of a run, and what is known of it.
#[derive(Default)]
pub(super) struct HeldToken {
    current: Option<Arc<UsedToken>>,
    generation: u64,
    /// When the latest attempt was sent that was answered well with the current token.
    accepted: Option<Instant>,
    /// When the first such attempt was sent.
    first_accepted: Option<Instant>,
    last_forced: Option<Instant>,
    /// No renewal for age before this.
    renewal_waits_until: Option<Instant>,
    /// When the current token was refused first, unless it was accepted for an attempt that was sent later.
    refused: Option<Instant>,
    /// Refusals that may be for the token, since the last good answer.
    refused_in_a_row: u32,
    learnt: Option<LearntLife>,
    /// The age at which the token before was refused: it is learnt if the current token is accepted where that one was
    /// not.
    refused_at_age: Option<Duration>,
    /// The age at which an earlier token was refused, as long as no second one shows the same.
    age_before: Option<Duration>,
    /// An earlier token of the run was accepted.
    was_accepted: bool,
}

/// How long tokens are good, as their refusals show: no life may be told, or a longer one.
struct LearntLife {
    life: Duration,
    /// Tokens in a row that were renewed before they were refused.
    renewed: u32,
}

impl HeldToken {
    /// What to do before an attempt.
    pub(super) fn look(&self, now: Instant) -> TokenLook {
        let Some(token) = &self.current else { return TokenLook::Get };
        if let Some(since) = self.refused.filter(|_| self.refused_in_a_row >= REFUSED_FOR_ALL) {
            return TokenLook::Refused(self.renewal_of(token, (now, since)));
        }
        let is_over = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let waits = self.renewal_waits_until.is_some_and(|until| now < until);
        if waits || !is_over(token.renew_at) {
            return TokenLook::Use(Arc::clone(token));
        }
        if is_over(token.ends_at) { TokenLook::Get } else { TokenLook::UseAndRenew(Arc::clone(token)) }
    }

    /// The generation of the current token; 0 before the first.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// A token was issued to a request that was sent at `since`. `is_forced`: because the one before was refused.
    pub(super) fn replace(&mut self, issued: IssuedToken, since: Instant, is_forced: bool) {
        self.learn(is_forced);
        self.generation += 1;
        let life = issued.life.map(|life| life.max(SHORTEST_LIFE));
        let life = [life, self.learnt.as_ref().map(|learnt| learnt.life)].into_iter().flatten().min();
        let after = |share: f64| life.and_then(|life| since.checked_add(life.mul_f64(share)));
        self.current = Some(Arc::new(UsedToken {
            text: issued.token,
            generation: self.generation,
            since,
            renew_at: after(0.8),
            ends_at: after(1.0),
        }));
        self.was_accepted |= self.accepted.is_some();
        (self.accepted, self.first_accepted) = (None, None);
        (self.refused, self.refused_in_a_row) = (None, 0);
        self.renewal_waits_until = None;
        if is_forced {
            self.last_forced = Some(since);
        }
    }

    /// Learns from the end of the current token how long tokens are good.
    fn learn(&mut self, is_forced: bool) {
        let was_good = self.current.as_ref().filter(|_| self.accepted.is_some());
        if let (true, Some(token), Some(refused)) = (is_forced, was_good, self.refused) {
            self.refused_at_age = Some(refused.saturating_duration_since(token.since));
            return;
        }
        let Some(learnt) = &mut self.learnt else { return };
        learnt.renewed += 1;
        if learnt.renewed == TOKENS_OF_A_LIFE {
            // A token may have been refused early for another reason.
            *learnt = LearntLife { life: learnt.life.saturating_mul(3) / 2, renewed: 0 };
        }
    }

    /// The current token is renewed as its life says, which was learnt after it was issued.
    fn limit_life(&mut self, life: Duration) {
        let Some(token) = &mut self.current else { return };
        let at = |share: f64| token.since.checked_add(life.max(SHORTEST_LEARNT).mul_f64(share));
        let earlier = |one: Option<Instant>, other: Option<Instant>| one.into_iter().chain(other).min();
        let (renew_at, ends_at) = (earlier(token.renew_at, at(0.8)), earlier(token.ends_at, at(1.0)));
        let UsedToken { text, generation, since, .. } = &**token;
        let (text, generation, since) = (text.clone(), *generation, *since);
        *token = Arc::new(UsedToken { text, generation, since, renew_at, ends_at });
    }

    /// A renewal for age failed: the token is used on, until it is refused.
    pub(super) fn renewal_failed(&mut self, now: Instant) {
        let ends_at = self.current.as_ref().and_then(|token| token.ends_at);
        let left = ends_at.map_or(Duration::ZERO, |ends_at| ends_at.saturating_duration_since(now));
        let (least, most) = RETRY_RENEWAL;
        let wait = if left.is_zero() { most / 6 } else { (left / 4).clamp(least, most) };
        self.renewal_waits_until = now.checked_add(wait);
    }

    /// An attempt of a job with this token, sent at `sent`, was answered well. Returns whether that is news.
    pub(super) fn accept(&mut self, token: &UsedToken, sent: Instant, job: &RefusalsOfToken) -> bool {
        if token.generation != self.generation {
            return false;
        }
        if job.newest.is_some()
            && let Some(age) = self.refused_at_age.take()
        {
            let (share, time) = SAME_AGE;
            let is_same = |before: Duration| age.abs_diff(before) <= time.max(before / share);
            if self.age_before.replace(age).is_some_and(is_same) {
                self.learnt = Some(LearntLife { life: age.max(SHORTEST_LEARNT), renewed: 0 });
                self.limit_life(age);
            }
        }
        self.first_accepted = Some(self.first_accepted.map_or(sent, |known| known.min(sent)));
        self.accepted = Some(self.accepted.map_or(sent, |known| known.max(sent)));
        self.refused = self.refused.filter(|refused| *refused >= sent);
        self.refused_in_a_row = 0;
        true
    }

    /// The token that was refused is tried again.
    pub(super) fn try_again(&mut self) {
        self.refused_in_a_row = 0;
    }

    /// Whether the current token is of a newer generation, or was accepted for an attempt that was sent after this
    /// instant.
    pub(super) fn is_better_than(&self, generation: u64, since: Instant) -> bool {
        self.generation > generation || self.accepted.is_some_and(|sent| sent > since)
    }

    /// The API refused this token for an attempt that was sent at `sent`.
    ///
    /// It is renewed once for all that it was refused for. The job's own is a refusal of a token that is new and was
    /// never accepted, or that others are accepted with.
    pub(super) fn refuse(
        &mut self,
        token: &UsedToken,
        (sent, now): (Instant, Instant),
        job: &mut RefusalsOfToken,
    ) -> TokenRuling {
        let before = job.newest.replace(now);
        if token.generation != self.generation {
            // It was replaced meanwhile.
            let refused = token.generation;
            return TokenRuling::Again(RenewalWait { refused, from: now, since: now, renews: true });
        }
        self.refused.get_or_insert(now);
        let is_fresh = sent.saturating_duration_since(token.since) < FRESH;
        let was_too_early = self.first_accepted.is_none_or(|first| sent < first);
        let may_be_unknown = self.was_accepted && was_too_early && is_fresh;
        if may_be_unknown && job.unknown_yet < UNKNOWN_YET.1 {
            job.unknown_yet += 1;
            self.refused_in_a_row += 1;
            return TokenRuling::Again(self.renewal_of(token, (now, now)));
        }
        let is_own = match before {
            None => is_fresh && self.accepted.is_none(),
            Some(before) => {
                let is_newer = token.since >= before;
                // Near this attempt: later it may have become old.
                let is_good = |accepted: &Instant| {
                    *accepted > before && sent.saturating_duration_since(*accepted) < FRESH
                };
                is_newer && (is_fresh || self.accepted.is_none())
                    || self.accepted.as_ref().is_some_and(is_good)
            }
        };
        if is_own {
            return TokenRuling::Counts;
        }
        self.refused_in_a_row += 1;
        TokenRuling::Again(self.renewal_of(token, (now, now)))
    }

    fn renewal_of(&self, token: &UsedToken, (now, since): (Instant, Instant)) -> RenewalWait {
        let refused = token.generation;
        if self.was_accepted && self.accepted.is_none() {
            // 0.5, 1 and 2 s after the first refusal, one after the other.
            let (first, tries) = UNKNOWN_YET;
            let first_refused = self.refused.unwrap_or(since);
            let waits = (0..tries).scan(Duration::ZERO, |sum, n| {
                *sum += first * 2_u32.pow(n);
                Some(*sum)
            });
            let next = waits.filter_map(|wait| first_refused.checked_add(wait)).find(|at| *at > now);
            if let Some(from) = next {
                return RenewalWait { refused, from, since, renews: false };
            }
        }
        let from = self.last_forced.and_then(|last| last.checked_add(BETWEEN_FORCED));
        RenewalWait { refused, from: from.map_or(now, |from| from.max(now)), since, renews: true }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    /// A token holder with a clock in milliseconds, and what happened to each job.
    struct Trial {
        held: HeldToken,
        start: Instant,
        tokens: Vec<Arc<UsedToken>>,
    }

    impl Trial {
        /// With a first token at 0 that is told to live so many seconds.
        fn new(life: Option<u64>) -> Self {
            let mut trial = Self { held: HeldToken::default(), start: Instant::now(), tokens: Vec::new() };
            trial.issue(0, life, false);
            trial
        }

        fn at(&self, millis: u64) -> Instant {
            self.start + Duration::from_millis(millis)
        }

        fn issue(&mut self, at: u64, life: Option<u64>, is_forced: bool) {
            let number = self.tokens.len();
            let token = format!("t{number}").into();
            let issued = IssuedToken { token, life: life.map(Duration::from_secs), refresh: None };
            self.held.replace(issued, self.at(at), is_forced);
            let TokenLook::Use(token) = self.held.look(self.at(at)) else { panic!("a new token is used") };
            assert_eq!(token.text.expose_secret(), format!("t{number}"));
            self.tokens.push(token);
        }

        fn look(&self, at: u64) -> &'static str {
            match self.held.look(self.at(at)) {
                TokenLook::Use(_) => "use",
                TokenLook::UseAndRenew(_) => "use and renew",
                TokenLook::Get => "get",
                TokenLook::Refused(_) => "refused",
            }
        }

        fn accept(&mut self, token: usize, sent: u64) -> bool {
            self.accept_for(token, sent, &job())
        }

        fn accept_for(&mut self, token: usize, sent: u64, job: &RefusalsOfToken) -> bool {
            let (token, sent) = (Arc::clone(&self.tokens[token]), self.at(sent));
            self.held.accept(&token, sent, job)
        }

        /// How long the job waits for another token, in milliseconds; none where the refusal counts.
        fn refuse(
            &mut self,
            token: usize,
            (sent, now): (u64, u64),
            job: &mut RefusalsOfToken,
        ) -> Option<u128> {
            let (token, times) = (Arc::clone(&self.tokens[token]), (self.at(sent), self.at(now)));
            match self.held.refuse(&token, times, job) {
                TokenRuling::Counts => None,
                TokenRuling::Again(wait) => Some((wait.from - self.at(now)).as_millis()),
            }
        }
    }

    fn job() -> RefusalsOfToken {
        RefusalsOfToken::default()
    }

    #[test]
    fn a_token_is_renewed_after_four_fifths_of_its_life_and_used_meanwhile() {
        let mut trial = Trial::new(Some(100));
        assert_eq!(
            [trial.look(79_999), trial.look(80_000), trial.look(100_000)],
            ["use", "use and renew", "get"]
        );
        trial.issue(80_000, None, false);
        assert_eq!(trial.look(99_999_999), "use", "of a life that is not told nothing is known");
        assert!(matches!(HeldToken::default().look(trial.at(0)), TokenLook::Get));
    }

    #[test]
    fn after_a_renewal_that_failed_the_token_serves_on_and_the_next_try_waits() {
        let mut trial = Trial::new(Some(100));
        trial.held.renewal_failed(trial.at(80_000));
        assert_eq!([trial.look(84_999), trial.look(85_000)], ["use", "use and renew"]);
        trial.held.renewal_failed(trial.at(120_000));
        assert_eq!([trial.look(129_999), trial.look(130_000)], ["use", "get"]);
    }

    #[test]
    fn a_new_token_that_was_never_accepted_is_refused_for_good() {
        let mut trial = Trial::new(None);
        assert_eq!(trial.refuse(0, (1, 5), &mut job()), None);
        // It waited at the gate for a long time: it may have been good at first.
        let mut late = job();
        assert_eq!(trial.refuse(0, (10_000, 10_005), &mut late), Some(0));
        trial.issue(10_005, None, true);
        assert_eq!(
            trial.refuse(1, (90_000, 90_005), &mut late),
            None,
            "the second was never accepted either"
        );
    }

    #[test]
    fn an_old_token_is_renewed_once_for_all_and_a_job_refused_with_the_new_one_is_refused() {
        let mut trial = Trial::new(None);
        trial.accept(0, 0);
        let (mut one, mut other) = (job(), job());
        assert_eq!(trial.refuse(0, (20_000, 20_010), &mut one), Some(0));
        trial.issue(20_010, None, true);
        assert_eq!(trial.refuse(0, (20_000, 20_020), &mut other), Some(0), "it was replaced meanwhile");
        assert!(trial.held.is_better_than(1, trial.at(20_020)));
        trial.accept(1, 20_025);
        assert_eq!(trial.refuse(1, (20_030, 20_040), &mut one), None);
        assert_eq!(trial.refuse(1, (20_060, 20_070), &mut other), None);
    }

    #[test]
    fn renewals_that_refusals_force_are_ten_seconds_apart() {
        let mut trial = Trial::new(None);
        trial.accept(0, 0);
        assert_eq!(trial.refuse(0, (20_000, 20_010), &mut job()), Some(0));
        trial.issue(20_010, None, true);
        trial.accept(1, 20_020);
        assert_eq!(trial.refuse(1, (23_000, 23_010), &mut job()), Some(7_000));
        // A renewal for age is none of these.
        trial.issue(24_000, None, false);
        trial.accept(2, 24_001);
        assert_eq!(trial.refuse(2, (35_000, 35_010), &mut job()), Some(0));
    }

    #[test]
    fn where_others_are_accepted_with_the_token_the_refusal_is_the_jobs_own() {
        let mut trial = Trial::new(None);
        trial.accept(0, 0);
        let mut own = job();
        assert_eq!(trial.refuse(0, (15_000, 15_010), &mut own), Some(0));
        assert!(!trial.held.is_better_than(1, trial.at(15_010)));
        trial.accept(0, 15_011);
        assert!(trial.held.is_better_than(1, trial.at(15_010)));
        assert_eq!(trial.refuse(0, (15_020, 15_030), &mut own), None);
        trial.issue(16_000, None, false);
        assert!(!trial.accept(0, 16_010), "a token of the past shows nothing");
    }

    #[test]
    fn a_token_that_is_refused_three_times_in_a_row_is_used_for_no_attempt() {
        let mut trial = Trial::new(None);
        trial.accept(0, 0);
        for number in 1..4 {
            trial.refuse(0, (20_000, 20_000 + number), &mut job());
            assert_eq!(trial.look(20_010), if number < 3 { "use" } else { "refused" });
        }
        let TokenLook::Refused(wait) = trial.held.look(trial.at(20_010)) else { panic!("used") };
        assert_eq!((wait.from, wait.since), (trial.at(20_010), trial.at(20_001)));
        // Another SKU is answered well: the refusals were for their SKUs.
        trial.accept(0, 20_002);
        assert_eq!(trial.look(20_020), "use");
        for _ in 0..3 {
            trial.refuse(0, (21_000, 21_000), &mut job());
        }
        assert_eq!(trial.look(21_005), "refused");
        trial.issue(21_010, None, true);
        assert_eq!(trial.look(21_020), "use");
    }

    #[test]
    fn a_token_that_follows_a_good_one_may_be_known_a_moment_later() {
        let mut trial = Trial::new(Some(100));
        trial.accept(0, 1);
        trial.issue(80_000, Some(100), false);
        let mut first = job();
        assert_eq!(trial.refuse(1, (80_000, 80_010), &mut first), Some(500));
        assert_eq!(trial.refuse(1, (80_500, 80_510), &mut first), Some(1_000));
        assert_eq!(trial.refuse(1, (81_510, 81_520), &mut first), Some(1_990));
        // From then on it is renewed, and the next one that is refused is refused for good.
        assert_eq!(trial.refuse(1, (83_510, 83_520), &mut first), Some(0));
        trial.issue(83_520, Some(100), true);
        assert_eq!(trial.refuse(2, (83_530, 83_540), &mut first), None);
    }

    #[test]
    fn a_job_may_outlive_many_tokens() {
        let mut trial = Trial::new(None);
        let mut long = job();
        for number in 0..20 {
            let now = number * 60_000;
            trial.accept(usize::try_from(number).unwrap(), now + 1);
            let wait =
                trial.refuse(usize::try_from(number).unwrap(), (now + 50_000, now + 50_010), &mut long);
            assert_eq!(wait, Some(0), "{number}");
            trial.issue(now + 60_000, None, true);
        }
    }

    #[test]
    fn a_life_that_is_not_told_is_learnt_from_the_refusal_and_a_longer_one_is_tried_later() {
        let mut trial = Trial::new(None);
        trial.accept(0, 2_990);
        let mut refused = job();
        trial.refuse(0, (3_000, 3_000), &mut refused);
        trial.issue(3_000, None, true);
        assert!(trial.accept_for(1, 3_001, &refused));
        assert_eq!(trial.look(9_999_999), "use", "one token shows nothing");
        trial.refuse(1, (16_050, 16_050), &mut job());
        trial.issue(16_050, None, true);
        assert!(trial.accept_for(2, 16_051, &refused));
        assert_eq!(trial.look(9_999_999), "use", "another age shows nothing");
        trial.refuse(2, (29_000, 29_000), &mut job());
        trial.issue(29_000, None, true);
        assert!(trial.accept_for(3, 29_001, &refused));
        // Four fifths of 12.95 s.
        assert_eq!([trial.look(29_000 + 10_359), trial.look(29_000 + 10_360)], ["use", "use and renew"]);
        let mut at = 29_000;
        for _ in 0..TOKENS_OF_A_LIFE {
            at += 10_360;
            trial.issue(at, None, false);
            trial.accept(trial.tokens.len() - 1, at + 1);
        }
        // Half as long again.
        assert_eq!([trial.look(at + 15_539), trial.look(at + 15_540)], ["use", "use and renew"]);
        // What is told is believed where it is shorter.
        trial.issue(at, Some(2), false);
        assert_eq!([trial.look(at + 1_599), trial.look(at + 1_600)], ["use", "use and renew"]);
    }

    #[test]
    fn nothing_is_learnt_from_a_refusal_that_was_the_jobs_own() {
        let mut trial = Trial::new(None);
        trial.accept(0, 1);
        let mut own = job();
        trial.refuse(0, (3_000, 3_010), &mut own);
        trial.issue(3_020, None, true);
        trial.accept(1, 3_021);
        assert_eq!(trial.refuse(1, (3_030, 3_040), &mut own), None);
        assert_eq!(trial.look(9_999_999), "use");
    }
}
