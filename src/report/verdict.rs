//! What limited a run, and what to change: a pure function of measured facts.
//!
//! The causes are tried from the most certain to the least: what the person or the server asked for (a
//! pause, a rate) explains a run's length even when other things were waited for meanwhile; how many
//! attempts were in flight explains it only when nothing else does.

use std::time::Duration;

use crate::model::Rate;
use crate::report::format;

/// What was measured during a run.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Wall time of the run.
    pub elapsed: Duration,
    /// `--concurrency`, and how far an automatic one went.
    pub concurrency: Concurrency,
    /// The sum over all attempts of their time in flight: over `elapsed`, how many were in flight on average.
    pub busy: Duration,
    /// What held the next attempt back.
    pub waits: Waits,
    /// `--rate`.
    pub rate: Option<Rate>,
    /// Processor time of the thread that does all the work of the network.
    pub processor: Duration,
    /// Attempts on the wire.
    pub attempts: u64,
    /// Of those, answered at all.
    pub answered: u64,
    /// Of those, answered with 429 or 503.
    pub refused: u64,
    /// Why an automatic limit was lowered last, in the limiter's words, if it ever was.
    pub stepped_back: Option<&'static str>,
    /// Latency of the fastest answer.
    pub least: Duration,
    /// Median latency of an answer.
    pub p50: Duration,
}

/// How many attempts might be in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concurrency {
    /// `--concurrency N`.
    Fixed(usize),
    /// `--concurrency auto:MAX`.
    Auto {
        /// The ceiling.
        max: usize,
        /// The limit it had settled at when the work ended.
        settled: usize,
    },
}

/// **Wall time** (not summed over waiters) during which the next attempt could not leave, by what held it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Waits {
    /// Every slot was taken.
    pub slot: Duration,
    /// No rate token was left.
    pub rate: Duration,
    /// The pool was paused, or slowed by what the server said of a quota.
    pub pauses: Duration,
    /// Of that, because the API kept failing: it did not ask for those pauses.
    pub outage: Duration,
    /// A slot was free, but there was no job.
    pub input: Duration,
}

/// What limited a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Nothing was asked.
    Nothing,
    /// The run was over too soon to say.
    TooShort,
    /// `--rate`.
    Rate,
    /// `--concurrency`.
    Concurrency,
    /// The server slowed down or refused.
    Server,
    /// The pauses that the server asked for.
    Pauses,
    /// Rows came too slowly.
    Input,
    /// This machine did not keep up with the API.
    Machine,
}

impl Limit {
    /// A stable word for logs and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::TooShort => "too_short",
            Self::Rate => "rate",
            Self::Concurrency => "concurrency",
            Self::Server => "server",
            Self::Pauses => "pauses",
            Self::Input => "input",
            Self::Machine => "machine",
        }
    }
}

/// What limited a run, and in words what to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The limit.
    pub limit: Limit,
    /// What follows `limited by: `.
    pub text: String,
}

/// Below this the start itself (connections, growth) is most of the run.
const SHORTEST: Duration = Duration::from_millis(500);
/// Fewer attempts than this say nothing about the server or about the slots.
const FEWEST: u64 = 20;
/// A tenth of the time spent in pauses is more than any tuning would win back.
const PAUSED_SHARE: f64 = 0.1;
/// A pause now and then may be chance; more are an answer to the pace.
const SOME_PAUSED: f64 = 0.02;
/// A pacer that is the limit delivers 99 %; the start and the last answers' latency cost a short run more.
const RATE_SHARE: f64 = 0.9;
/// What took more than half of the time is the limit.
const HALF: f64 = 0.5;
/// One answer in fifty that says "too much" is past the server's knee.
const REFUSED_SHARE: f64 = 0.02;
/// A single one among forty is chance.
const FEWEST_REFUSED: u64 = 4;
/// One in two hundred is more than a server refuses by chance.
const SOME_REFUSED: f64 = 0.005;
/// A thread this busy does not wait for the network; the rest is the start and the end.
const WORKING_SHARE: f64 = 0.9;
/// Slots that are full but for ramp-up and the last few answers.
const FULL_SHARE: f64 = 0.75;
/// Where half of the answers take so many times as long as the fastest (which had to connect first), they
/// may have stood in a queue.
const QUEUED: u32 = 2;
/// Nothing over this is proposed: beyond it file descriptors and ports decide.
const MOST_WORKERS: usize = 4096;

/// Says what limited a run and names a number to type.
#[must_use]
pub fn verdict(facts: &Facts) -> Verdict {
    let text = |limit, text: String| Verdict { limit, text };
    if facts.attempts == 0 {
        return text(Limit::Nothing, "nothing; no request was sent".into());
    }
    if facts.answered == 0 {
        let requests = format::counted(facts.attempts, "request was", "requests were");
        return text(Limit::Server, format!("the API: {requests} sent and none was answered"));
    }
    if facts.elapsed < SHORTEST {
        return too_short(facts);
    }
    if facts.share(facts.waits.outage) >= PAUSED_SHARE && facts.waits.outage >= facts.asked_pauses() {
        return text(Limit::Server, outage(facts));
    }
    if facts.share(facts.asked_pauses()) >= PAUSED_SHARE {
        return text(Limit::Pauses, pauses(facts));
    }
    if let Some(rate) = facts.rate
        && (facts.per_second() >= RATE_SHARE * rate.per_second() || facts.share(facts.waits.rate) >= HALF)
    {
        return text(Limit::Rate, asked_rate(facts, rate));
    }
    if facts.share(facts.waits.input) >= HALF {
        return text(Limit::Input, input(facts));
    }
    if facts.attempts < FEWEST {
        return too_short(facts);
    }
    if facts.is_refused_at(REFUSED_SHARE) || facts.share(facts.asked_pauses()) >= SOME_PAUSED {
        return text(Limit::Server, refusals(facts));
    }
    if facts.share(facts.processor) >= WORKING_SHARE {
        return text(Limit::Machine, working(facts));
    }
    if facts.in_flight() < FULL_SHARE * facts.limit() as f64 && facts.share(facts.waits.slot) < HALF {
        return text(Limit::Machine, machine(facts));
    }
    match facts.concurrency {
        Concurrency::Auto { settled, .. } if facts.is_below_its_ceiling() => {
            text(Limit::Server, knee(facts, settled))
        }
        _ => text(Limit::Concurrency, workers(facts)),
    }
}

impl Facts {
    fn seconds(&self) -> f64 {
        self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    fn share(&self, time: Duration) -> f64 {
        time.as_secs_f64() / self.seconds()
    }

    fn per_second(&self) -> f64 {
        self.attempts as f64 / self.seconds()
    }

    fn in_flight(&self) -> f64 {
        self.share(self.busy)
    }

    /// What the API asked for; its failures apart.
    fn asked_pauses(&self) -> Duration {
        self.waits.pauses.saturating_sub(self.waits.outage)
    }

    fn is_refused_at(&self, share: f64) -> bool {
        self.refused >= FEWEST_REFUSED && self.refused as f64 >= share * self.attempts as f64
    }

    /// The API said "too much" more often than by chance.
    fn is_refused(&self) -> bool {
        self.is_refused_at(SOME_REFUSED) || self.share(self.asked_pauses()) >= SOME_PAUSED
    }

    fn limit(&self) -> usize {
        match self.concurrency {
            Concurrency::Fixed(limit) => limit,
            Concurrency::Auto { settled, .. } => settled,
        }
    }

    /// The controller settled where more did not pay. A little below the ceiling is no such place: it
    /// is a step of the controller's, up or down, that the end of the run cut short, or a single try;
    /// unless what it met there were refusals.
    fn is_below_its_ceiling(&self) -> bool {
        let Concurrency::Auto { max, settled } = self.concurrency else { return false };
        let refused =
            self.stepped_back.is_some_and(|why| why.contains("refused")) && self.is_refused_at(SOME_REFUSED);
        settled < max && (refused || settled.saturating_mul(8) < max.saturating_mul(7))
    }

    fn ceiling(&self) -> usize {
        match self.concurrency {
            Concurrency::Fixed(limit) => limit,
            Concurrency::Auto { max, .. } => max,
        }
    }

    /// Four times the workers: two doublings, and `auto` stops sooner where that does not pay.
    fn more_workers(&self) -> String {
        format!("--concurrency auto:{}", self.ceiling().saturating_mul(4).clamp(16, MOST_WORKERS))
    }
}

fn too_short(facts: &Facts) -> Verdict {
    let requests = format::counted(facts.attempts, "request", "requests");
    let text = format!("too short a run to say ({requests} in {})", format::duration(facts.elapsed));
    Verdict { limit: Limit::TooShort, text }
}

fn pauses(facts: &Facts) -> String {
    let asked = facts.rate.map_or(f64::INFINITY, Rate::per_second);
    // What the server bore on average, pauses counted in, is what it bears without asking for pauses.
    let borne = facts.per_second().min(asked * RATE_SHARE);
    format!(
        "the pauses that the API asked for ({} of {}); a steady pace may need none, try --rate {}",
        format::duration(facts.asked_pauses().min(facts.elapsed)),
        format::duration(facts.elapsed),
        typed_rate(borne)
    )
}

fn outage(facts: &Facts) -> String {
    format!(
        "the server: it kept failing, and the run waited for it ({} of {}); at another time it may be faster",
        format::duration(facts.waits.outage.min(facts.elapsed)),
        format::duration(facts.elapsed)
    )
}

fn asked_rate(facts: &Facts, rate: Rate) -> String {
    let asked = rate.per_second();
    if facts.is_refused() {
        return format!(
            "the rate asked for (--rate {rate}), and even so {}; do not raise it, --rate {} may need no pauses",
            refused(facts),
            typed_rate(asked * RATE_SHARE)
        );
    }
    // Little's law: what so many slots carry at this latency.
    let carried = facts.ceiling() as f64 / facts.p50.as_secs_f64().max(1e-6);
    let twice = typed_rate(asked * 2.0);
    let workers = if carried < asked * 2.0 && facts.ceiling() < MOST_WORKERS {
        format!(" {}", facts.more_workers())
    } else {
        String::new()
    };
    format!("the rate asked for (--rate {rate}); raise it if the API allows, try --rate {twice}{workers}")
}

fn input(facts: &Facts) -> String {
    format!(
        "the input: rows came more slowly than they were answered ({} in flight on average); \
         a file in place of the pipe would be faster, more workers would not",
        in_flight(facts)
    )
}

/// `12 of 6,041 answers were 429 or 503`
fn refused(facts: &Facts) -> String {
    format!("{} of {} answers were 429 or 503", format::count(facts.refused), format::count(facts.attempts))
}

fn refusals(facts: &Facts) -> String {
    let quieted = facts.share(facts.asked_pauses()) >= SOME_PAUSED;
    let try_this = match facts.concurrency {
        Concurrency::Fixed(limit) if limit > 1 && !quieted => format!("try --concurrency auto:{limit}"),
        _ => format!("try --rate {}", typed_rate((facts.attempts - facts.refused) as f64 / facts.seconds())),
    };
    let pauses = if quieted {
        format!(", and it asked for pauses ({})", format::duration(facts.asked_pauses()))
    } else {
        String::new()
    };
    format!("the server: {}{pauses}; more workers would not help, {try_this}", refused(facts))
}

fn knee(facts: &Facts, settled: usize) -> String {
    let why = match facts.stepped_back {
        Some(why) if why.contains("refused") => "it refused some past",
        Some(why) if why.contains("latency") => "it slowed down past",
        _ => "its throughput stopped growing at",
    };
    format!(
        "the server: {why} {} in flight; more workers would not help, --concurrency {settled} does as well",
        format::count(settled as u64)
    )
}

fn workers(facts: &Facts) -> String {
    let limit = facts.limit();
    let at = format!("the API's latency at {} in flight", format::count(limit as u64));
    if facts.ceiling() >= MOST_WORKERS {
        return format!("{at}; that is as many as one machine should hold");
    }
    // An automatic number was measured; of a fixed one nobody knows on which side of the knee it is.
    let is_fixed = matches!(facts.concurrency, Concurrency::Fixed(2..));
    if is_fixed && !facts.least.is_zero() && facts.p50 >= facts.least.saturating_mul(QUEUED) {
        let [p50, least] = [facts.p50, facts.least].map(format::latency);
        return format!(
            "{at} ({p50}, the fastest {least}: they may queue there); auto finds whether more or fewer pay, try {}",
            facts.more_workers()
        );
    }
    format!("{at}; more workers would help, try {}", facts.more_workers())
}

fn machine(facts: &Facts) -> String {
    format!(
        "this machine: on average {} of {} were in flight; more workers would not help, --concurrency {} does as well",
        in_flight(facts),
        format::count(facts.limit() as u64),
        format::whole(facts.in_flight().ceil()).max(1)
    )
}

fn working(facts: &Facts) -> String {
    let try_this = match facts.concurrency {
        Concurrency::Fixed(limit) if limit > 1 => {
            format!("fewer may do as well, try --concurrency auto:{limit}")
        }
        Concurrency::Fixed(_) => "nor would a higher --rate".into(),
        Concurrency::Auto { settled, .. } => format!("--concurrency {settled} does as well"),
    };
    format!(
        "this machine: the processor was at work {} % of the time; more workers would not help, {try_this}",
        format::whole(100.0 * facts.share(facts.processor)).min(100)
    )
}

fn in_flight(facts: &Facts) -> String {
    match facts.in_flight() {
        few if few < 9.95 => format!("{few:.1}"),
        many => format::count(format::whole(many)),
    }
}

/// A rate that can be typed, rounded down to two digits.
pub(super) fn typed_rate(per_second: f64) -> String {
    let per_second = if per_second.is_finite() { per_second } else { 1.0 };
    let (number, unit) = match per_second {
        rate if rate >= 1.0 => (rate, "s"),
        rate if rate * 60.0 >= 1.0 => (rate * 60.0, "m"),
        rate => (rate * 3_600.0, "h"),
    };
    // The small addition keeps 0.3 × 60 = 17.999… at 18.
    let number = format::whole((number + 1e-6).floor()).clamp(1, u64::from(u32::MAX));
    let step = 10u64.pow(number.ilog10().saturating_sub(1));
    format!("{}/{unit}", number / step * step)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The run of the contract's example: 6,041 attempts in 6.3 s with 64 in flight.
    fn full_run() -> Facts {
        Facts {
            elapsed: Duration::from_millis(6_300),
            concurrency: Concurrency::Auto { max: 64, settled: 64 },
            busy: Duration::from_secs(390),
            waits: Waits { slot: Duration::from_secs(6), ..Waits::default() },
            rate: None,
            processor: Duration::from_secs(1),
            attempts: 6_041,
            answered: 6_041,
            refused: 0,
            stepped_back: None,
            least: Duration::from_millis(60),
            p50: Duration::from_millis(98),
        }
    }

    fn check(facts: &Facts, limit: Limit, text: &str) {
        assert_eq!(verdict(facts), Verdict { limit, text: text.into() });
    }

    #[test]
    fn full_slots_ask_for_more_workers() {
        check(
            &full_run(),
            Limit::Concurrency,
            "the API's latency at 64 in flight; more workers would help, try --concurrency auto:256",
        );
        check(
            &Facts { concurrency: Concurrency::Fixed(1), busy: Duration::from_secs(6), ..full_run() },
            Limit::Concurrency,
            "the API's latency at 1 in flight; more workers would help, try --concurrency auto:16",
        );
        check(
            &Facts { concurrency: Concurrency::Fixed(5_000), busy: Duration::from_mins(500), ..full_run() },
            Limit::Concurrency,
            "the API's latency at 5,000 in flight; that is as many as one machine should hold",
        );
    }

    #[test]
    fn a_met_rate_is_the_limit_and_is_raised_with_the_workers_it_needs() {
        let paced = Facts {
            rate: Some("200/s".parse().unwrap()),
            elapsed: Duration::from_secs(30),
            attempts: 6_000,
            busy: Duration::from_mins(10),
            ..full_run()
        };
        check(
            &paced,
            Limit::Rate,
            "the rate asked for (--rate 200/s); raise it if the API allows, try --rate 400/s",
        );
        check(
            &Facts { concurrency: Concurrency::Fixed(25), ..paced },
            Limit::Rate,
            "the rate asked for (--rate 200/s); raise it if the API allows, try --rate 400/s --concurrency auto:100",
        );
        let slow = Facts { rate: Some("18/m".parse().unwrap()), attempts: 9, ..paced };
        check(
            &slow,
            Limit::Rate,
            "the rate asked for (--rate 18/m); raise it if the API allows, try --rate 36/m",
        );
    }

    #[test]
    fn pauses_ask_for_the_pace_that_was_borne() {
        let waits = Waits { pauses: Duration::from_secs(12), ..Waits::default() };
        let paused = Facts { elapsed: Duration::from_secs(40), waits, ..full_run() };
        check(
            &paused,
            Limit::Pauses,
            "the pauses that the API asked for (12.0 s of 40.0 s); a steady pace may need none, try --rate 150/s",
        );
        check(
            &Facts { rate: Some("100/s".parse().unwrap()), ..paced_at(&paused, 100.0) },
            Limit::Pauses,
            "the pauses that the API asked for (12.0 s of 40.0 s); a steady pace may need none, try --rate 90/s",
        );
    }

    #[test]
    fn an_outage_asked_for_no_pause_and_no_rate_mends_it() {
        let waits =
            Waits { pauses: Duration::from_secs(20), outage: Duration::from_secs(15), ..Waits::default() };
        check(
            &Facts { elapsed: Duration::from_secs(40), waits, ..full_run() },
            Limit::Server,
            "the server: it kept failing, and the run waited for it (15.0 s of 40.0 s); at another time it may be faster",
        );
        // A short one beside long pauses that were asked for.
        let waits = Waits { outage: Duration::from_secs(5), ..waits };
        let facts = Facts { elapsed: Duration::from_secs(40), waits, ..full_run() };
        assert_eq!(verdict(&facts).limit, Limit::Pauses);
    }

    fn paced_at(facts: &Facts, per_second: f64) -> Facts {
        Facts { attempts: format::whole(per_second * facts.elapsed.as_secs_f64()), ..*facts }
    }

    #[test]
    fn a_server_past_its_knee_gets_no_more_workers() {
        let settled = Concurrency::Auto { max: 64, settled: 23 };
        let knee = Facts { concurrency: settled, busy: Duration::from_secs(140), ..full_run() };
        check(
            &knee,
            Limit::Server,
            "the server: its throughput stopped growing at 23 in flight; more workers would not help, --concurrency 23 does as well",
        );
        check(
            &Facts { stepped_back: Some("latency rises"), ..knee },
            Limit::Server,
            "the server: it slowed down past 23 in flight; more workers would not help, --concurrency 23 does as well",
        );
        check(
            &Facts { concurrency: Concurrency::Fixed(64), refused: 412, ..full_run() },
            Limit::Server,
            "the server: 412 of 6,041 answers were 429 or 503; more workers would not help, try --concurrency auto:64",
        );
        check(
            &Facts { refused: 412, ..full_run() },
            Limit::Server,
            "the server: 412 of 6,041 answers were 429 or 503; more workers would not help, try --rate 890/s",
        );
    }

    #[test]
    fn a_controller_that_steps_back_says_for_what() {
        let settled = Concurrency::Auto { max: 64, settled: 23 };
        let knee = Facts { concurrency: settled, busy: Duration::from_secs(140), ..full_run() };
        for (why, says) in [
            ("refused above this", "it refused some past"),
            ("some refused", "it refused some past"),
            ("latency rises", "it slowed down past"),
            ("more in flight brought nothing", "its throughput stopped growing at"),
        ] {
            let text = verdict(&Facts { stepped_back: Some(why), ..knee }).text;
            assert!(text.starts_with(&format!("the server: {says} 23 in flight")), "{text}");
        }
    }

    #[test]
    fn a_controller_just_under_its_ceiling_is_at_its_ceiling_unless_it_was_refused_there() {
        let under = |stepped_back, refused| Facts {
            concurrency: Concurrency::Auto { max: 64, settled: 62 },
            stepped_back,
            refused,
            ..full_run()
        };
        for facts in [
            under(None, 0),
            under(Some("latency rises"), 0),
            // One in a hundred of the demo's requests fails, a third of those with 503.
            under(Some("refused above this"), 20),
        ] {
            check(
                &facts,
                Limit::Concurrency,
                "the API's latency at 62 in flight; more workers would help, try --concurrency auto:256",
            );
        }
        assert_eq!(verdict(&under(Some("refused above this"), 60)).limit, Limit::Server);
    }

    #[test]
    fn who_was_refused_or_paused_gets_no_more_workers_and_no_higher_rate() {
        let some = Facts {
            concurrency: Concurrency::Fixed(10),
            refused: 40,
            waits: Waits { pauses: Duration::from_millis(500), ..full_run().waits },
            ..full_run()
        };
        check(
            &some,
            Limit::Server,
            "the server: 40 of 6,041 answers were 429 or 503, and it asked for pauses (500 ms); \
             more workers would not help, try --rate 950/s",
        );
        check(
            &Facts { rate: Some("950/s".parse().unwrap()), ..some },
            Limit::Rate,
            "the rate asked for (--rate 950/s), and even so 40 of 6,041 answers were 429 or 503; \
             do not raise it, --rate 850/s may need no pauses",
        );
    }

    #[test]
    fn a_fixed_number_past_the_knee_is_not_told_that_more_would_help() {
        let queued = Facts {
            concurrency: Concurrency::Fixed(40),
            p50: Duration::from_millis(204),
            least: Duration::from_millis(51),
            ..full_run()
        };
        check(
            &queued,
            Limit::Concurrency,
            "the API's latency at 40 in flight (204 ms, the fastest 51 ms: they may queue there); \
             auto finds whether more or fewer pay, try --concurrency auto:160",
        );
        let auto = Facts { concurrency: Concurrency::Auto { max: 64, settled: 64 }, ..queued };
        assert!(verdict(&auto).text.contains("more workers would help"), "it measured that");
    }

    #[test]
    fn a_single_refusal_among_few_answers_is_chance() {
        let few = Facts { attempts: 44, answered: 44, refused: 1, ..full_run() };
        assert_eq!(verdict(&few).limit, Limit::Concurrency);
        assert_eq!(verdict(&Facts { refused: 4, ..few }).limit, Limit::Server);
    }

    #[test]
    fn an_api_that_never_answers_is_the_limit_however_short_the_run() {
        check(
            &Facts { answered: 0, attempts: 9, elapsed: Duration::from_millis(40), ..full_run() },
            Limit::Server,
            "the API: 9 requests were sent and none was answered",
        );
    }

    #[test]
    fn a_processor_that_never_rests_is_the_limit() {
        let working = Facts { processor: Duration::from_secs(6), ..full_run() };
        check(
            &working,
            Limit::Machine,
            "this machine: the processor was at work 95 % of the time; more workers would not help, \
             --concurrency 64 does as well",
        );
        let fixed = Facts { concurrency: Concurrency::Fixed(200), ..working };
        assert!(verdict(&fixed).text.ends_with("fewer may do as well, try --concurrency auto:200"));
    }

    #[test]
    fn a_slow_pipe_is_the_input() {
        let waits = Waits { input: Duration::from_secs(5), ..Waits::default() };
        check(
            &Facts { waits, busy: Duration::from_secs(7), ..full_run() },
            Limit::Input,
            "the input: rows came more slowly than they were answered (1.1 in flight on average); a file in place of the pipe would be faster, more workers would not",
        );
    }

    #[test]
    fn slots_that_stay_empty_point_at_this_machine() {
        check(
            &Facts { busy: Duration::from_secs(70), waits: Waits::default(), ..full_run() },
            Limit::Machine,
            "this machine: on average 11 of 64 were in flight; more workers would not help, --concurrency 12 does as well",
        );
    }

    #[test]
    fn slots_that_were_few_while_they_grew_were_still_full() {
        let growing = Facts { busy: Duration::from_secs(200), ..full_run() };
        assert_eq!(verdict(&growing).limit, Limit::Concurrency);
    }

    #[test]
    fn a_short_run_is_not_judged() {
        check(
            &Facts { elapsed: Duration::from_millis(300), ..full_run() },
            Limit::TooShort,
            "too short a run to say (6,041 requests in 300 ms)",
        );
        check(
            &Facts { attempts: 1, ..full_run() },
            Limit::TooShort,
            "too short a run to say (1 request in 6.3 s)",
        );
        check(&Facts { attempts: 0, ..full_run() }, Limit::Nothing, "nothing; no request was sent");
    }

    #[test]
    fn a_rate_to_type_is_rounded_down_and_never_zero() {
        for (rate, text) in [
            (952.4, "950/s"),
            (15.9, "15/s"),
            (1.0, "1/s"),
            (0.3, "18/m"),
            (0.001, "3/h"),
            (0.0, "1/h"),
            (f64::INFINITY, "1/s"),
            (f64::NAN, "1/s"),
            (1e30, "4200000000/s"),
        ] {
            assert_eq!(typed_rate(rate), text);
            assert!(typed_rate(rate).parse::<Rate>().is_ok());
        }
    }

    proptest! {
        #[test]
        fn every_number_that_is_proposed_can_be_typed(
            (millis, attempts, refused, busy) in (0u64..100_000_000, any::<u32>(), any::<u32>(), any::<u32>()),
            (pauses, rate_wait, input, p50) in (any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>()),
            (max, settled, fixed, rate) in (1usize..10_000, 1usize..10_000, any::<bool>(), proptest::option::of(1u32..)),
        ) {
            let time = |millis: u32| Duration::from_millis(millis.into());
            let auto = Concurrency::Auto { max, settled: settled.min(max) };
            let facts = Facts {
                elapsed: Duration::from_millis(millis),
                concurrency: if fixed { Concurrency::Fixed(max) } else { auto },
                busy: time(busy),
                waits: Waits { slot: time(p50), rate: time(rate_wait), pauses: time(pauses), outage: time(pauses / 2), input: time(input) },
                rate: rate.map(|count| format!("{count}/m").parse().unwrap()),
                processor: time(busy / 2),
                attempts: attempts.into(),
                answered: attempts.into(),
                refused: refused.min(attempts).into(),
                stepped_back: None,
                least: time(p50 / 4),
                p50: time(p50),
            };
            let text = verdict(&facts).text;
            prop_assert!(!text.contains("NaN") && !text.contains("inf "), "{}", text);
            if let Some(at) = text.find("try --rate ") {
                let word = text[at + 11..].split(' ').next().unwrap();
                prop_assert!(word.parse::<Rate>().is_ok(), "{}", text);
            }
        }
    }
}
