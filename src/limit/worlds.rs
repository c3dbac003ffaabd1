//! The pool in simulated worlds, which are data: `fixtures/worlds/*.toml`.
//!
//! A world is a server model; the pool is the real one, with endless demand. Only events are simulated, no runtime, so
//! that hundreds of seeds are cheap. `benches/worlds` prints the table at full strength (200 seeds, `WORLD_SEEDS`).

mod limiters;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::num::NonZeroU32;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use tokio::time::Instant;

use super::gate_events::GateEvent;
use super::pool::{Departure, Pool, TurnStep};
use super::{Concurrency, LoadSignal, PaceSettings};
use limiters::{LimitModel, LimiterState};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct World {
    about: String,
    /// The ceiling.
    max: usize,
    /// The least share of the best fixed concurrency's answers, or, where there are limits, of an oracle's.
    least: f64,
    /// The most that may be refused after the first 10 s.
    #[serde(default = "one")]
    refused_most: f64,
    /// The last stage is a recovery: ten seconds into it the pool must be as fast as the best.
    #[serde(default)]
    recovers: bool,
    /// Seeds that once missed the bar: always run.
    #[serde(default)]
    hard_seeds: Vec<u64>,
    stage: Vec<Stage>,
}

fn one() -> f64 {
    1.0
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stage {
    seconds: f64,
    /// Median time of work.
    latency_ms: f64,
    /// Sigma of its logarithm.
    #[serde(default)]
    spread: f64,
    /// How many are worked on at a time; the rest waits.
    capacity: Option<usize>,
    /// Whoever comes while this many are inside is refused.
    cap: Option<usize>,
    /// The cap still counts an answered request for so long on average after the answer has come.
    #[serde(default)]
    release_ms: f64,
    /// All of these accept an attempt, or it is refused.
    #[serde(default)]
    limits: Vec<LimitModel>,
    /// Other clients send so many a second through the same limits.
    #[serde(default)]
    others_per_second: f64,
    /// The share that is refused at random.
    #[serde(default)]
    failing: f64,
    #[serde(default)]
    refusal_ms: f64,
    /// What refuses.
    #[serde(default)]
    refusal: RefusalKind,
    /// A refusal says how long to wait, in seconds rounded up.
    #[serde(default)]
    retry_after: bool,
    /// Each refusal says to wait so many seconds, whatever is true.
    says_seconds: Option<f64>,
    /// Answers tell what is left of the quota.
    #[serde(default)]
    fields: bool,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum RefusalKind {
    /// 500, 502, 503 or 504 without a wait.
    #[default]
    Status503,
    /// 429, or another status that is a refusal by itself.
    Status429,
}

/// What a run came to.
#[derive(Debug, Default, Clone)]
struct Run {
    good: u64,
    attempts_late: u64,
    refused_late: u64,
    /// Good answers after the tenth second of the last stage.
    good_recovered: u64,
    highest: usize,
    last: usize,
}

/// An attempt was refused.
#[derive(Clone, Copy)]
struct Refusal {
    asked: Option<Duration>,
}

#[derive(Clone, Copy)]
struct Attempt {
    left: u64,
    departure: Departure,
    refused: Option<Refusal>,
    quota: Option<(u64, f64)>,
}

struct Simulation<'a> {
    world: &'a World,
    random: fastrand::Rng,
    start: Instant,
    now: u64,
    pool: Pool,
    attempts: Vec<Attempt>,
    free: Vec<usize>,
    events: BinaryHeap<Reverse<(u64, usize)>>,
    line: VecDeque<usize>,
    inside: usize,
    /// When the cap no longer counts requests that were answered.
    releases: Vec<u64>,
    stage: usize,
    limiters: Vec<LimiterState>,
    others: f64,
    /// Where the server's clock stands at the beginning, in seconds.
    phase: f64,
    run: Run,
}

const WAKE: usize = usize::MAX;

fn nanos(ms: f64) -> u64 {
    Duration::from_secs_f64(ms / 1e3).as_nanos().try_into().unwrap()
}

impl<'a> Simulation<'a> {
    /// A pool of this size, or, without one, of the controller's.
    fn new(world: &'a World, fixed: Option<usize>, seed: u64) -> Self {
        let number = |n: usize| NonZeroUsize::new(n).unwrap();
        let concurrency = match fixed {
            Some(fixed) => Concurrency::Fixed(number(fixed)),
            None => Concurrency::Auto { max: number(world.max) },
        };
        let start = Instant::now();
        let mut random = fastrand::Rng::with_seed(seed);
        let phase = random.f64() * 60.0;
        Self {
            world,
            random,
            start,
            now: 0,
            pool: Pool::new(&PaceSettings { concurrency, ..PaceSettings::default() }, start),
            attempts: Vec::new(),
            free: Vec::new(),
            events: BinaryHeap::new(),
            line: VecDeque::new(),
            inside: 0,
            releases: Vec::new(),
            stage: usize::MAX,
            limiters: Vec::new(),
            others: 0.0,
            phase,
            run: Run::default(),
        }
    }

    fn at(&self) -> Instant {
        self.start + Duration::from_nanos(self.now)
    }

    fn seconds(&self) -> f64 {
        self.now as f64 / 1e9
    }

    /// The stage of this instant, how long it has lasted, and whether it is the last.
    fn stage(&mut self) -> Option<(&'a Stage, f64, bool)> {
        let world = self.world;
        let mut into = self.seconds();
        for (index, stage) in world.stage.iter().enumerate() {
            if into < stage.seconds {
                if index != self.stage {
                    self.stage = index;
                    self.limiters = stage.limits.iter().map(LimiterState::new).collect();
                }
                return Some((stage, into, index + 1 == world.stage.len()));
            }
            into -= stage.seconds;
        }
        None
    }

    fn run(mut self) -> Run {
        while let Some((stage, into, last)) = self.stage() {
            self.fill(stage);
            let Some(Reverse((at, id))) = self.events.pop() else { break };
            self.now = at;
            if id != WAKE {
                self.end(id, stage, into > 10.0 && last);
            }
        }
        self.run.last = self.pool.slots.limit();
        self.run.highest = self.pool.slots.peak();
        self.run
    }

    fn fill(&mut self, stage: &Stage) {
        loop {
            match self.pool.step(None, NonZeroU32::MIN, self.at()) {
                TurnStep::Go(departure) => self.leave(stage, departure),
                TurnStep::Park => return,
                TurnStep::Sleep(until) | TurnStep::SleepExactly(until) => {
                    let until = u64::try_from((until - self.start).as_nanos()).unwrap().max(self.now + 1);
                    // One wake at a time is enough, as the head of the queue sleeps alone.
                    self.events.retain(|Reverse((_, id))| *id != WAKE);
                    self.events.push(Reverse((until, WAKE)));
                    return;
                }
            }
        }
    }

    fn leave(&mut self, stage: &Stage, departure: Departure) {
        let refused = self.refuses(stage);
        let now = self.seconds();
        let quota =
            stage.fields.then(|| self.limiters.first().and_then(|limiter| limiter.quota(now))).flatten();
        let attempt = Attempt { left: self.now, departure, refused, quota };
        if self.now > 10_000_000_000 {
            self.run.attempts_late += 1;
            self.run.refused_late += u64::from(refused.is_some());
        }
        let id = self.free.pop().unwrap_or(self.attempts.len());
        if id == self.attempts.len() {
            self.attempts.push(attempt);
        } else {
            self.attempts[id] = attempt;
        }
        if refused.is_some() {
            self.events.push(Reverse((self.now + nanos(stage.refusal_ms) + 1, id)));
        } else {
            self.line.push_back(id);
            self.work(stage);
        }
    }

    /// Whether the server refuses what comes now, and with which wait.
    fn refuses(&mut self, stage: &Stage) -> Option<Refusal> {
        let (now, phase) = (self.seconds(), self.phase);
        while self.others + 1.0 <= now * stage.others_per_second {
            self.others += 1.0;
            if self.limiters.iter_mut().all(|limiter| limiter.is_ready(now, phase)) {
                self.limiters.iter_mut().for_each(|limiter| limiter.accept(now));
            }
        }
        let mut wait: Option<f64> = None;
        for limiter in &mut self.limiters {
            if !limiter.is_ready(now, phase) {
                limiter.refuse(now);
                wait = Some(wait.unwrap_or(0.0).max(limiter.wait(now)));
            }
        }
        if wait.is_none() {
            self.limiters.iter_mut().for_each(|limiter| limiter.accept(now));
        }
        self.releases.retain(|at| *at > self.now);
        let counted = self.inside + self.line.len() + self.releases.len();
        let is_full = stage.cap.is_some_and(|cap| counted >= cap);
        if wait.is_some() || is_full || self.random.f64() < stage.failing {
            let told = wait.filter(|_| stage.retry_after).map(f64::ceil).or(stage.says_seconds);
            let asked = told.map(Duration::from_secs_f64);
            return Some(Refusal { asked });
        }
        None
    }

    /// Takes into work what there is room for.
    fn work(&mut self, stage: &Stage) {
        while self.inside < stage.capacity.unwrap_or(usize::MAX) {
            let Some(id) = self.line.pop_front() else { return };
            self.inside += 1;
            // Box and Muller.
            let (u, v) = (1.0 - self.random.f64(), self.random.f64());
            let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
            let work = stage.latency_ms * (stage.spread * normal).exp();
            self.events.push(Reverse((self.now + nanos(work), id)));
        }
    }

    fn end(&mut self, id: usize, stage: &Stage, recovered: bool) {
        let Attempt { left, departure, refused, quota } = self.attempts[id];
        self.free.push(id);
        let latency = Duration::from_nanos(self.now - left);
        if refused.is_none() {
            self.inside -= 1;
            self.run.good += 1;
            self.run.good_recovered += u64::from(recovered);
            if stage.release_ms > 0.0 {
                let held = -(1.0 - self.random.f64()).ln() * stage.release_ms;
                self.releases.push(self.now + nanos(held));
            }
            self.work(stage);
        }
        let now = self.at();
        if let Some((remaining, reset)) = quota {
            self.pool.report(
                now,
                &departure,
                remaining,
                now + Duration::from_secs_f64(reset.max(0.0).ceil()),
            );
        }
        let signal = match refused {
            None => LoadSignal::Good { latency },
            Some(Refusal { asked }) => match stage.refusal {
                RefusalKind::Status429 => LoadSignal::Refused { status: 429, asked, latency },
                RefusalKind::Status503 => LoadSignal::Strained { status: 503, latency },
            },
        };
        let clock = SystemTime::UNIX_EPOCH
            + Duration::from_hours(500_000)
            + Duration::from_secs_f64(self.seconds() + self.phase);
        self.pool.end(departure, Some(signal), || now, || clock);
        if std::env::var_os("WORLD_RATE").is_some() && self.run.good.is_multiple_of(20) {
            println!(
                "{:8.3} {:?} {:?} {}",
                self.seconds(),
                self.pool.learned.limit(),
                signal,
                self.pool.slots.limit()
            );
        }
        let events = self.pool.events.take_events();
        if std::env::var_os("WORLD_TRACE").is_some() {
            for event in events {
                let second = self.seconds();
                match event {
                    GateEvent::LimitChanged { limit, reason } => println!("{second:8.3} {limit:4} {reason}"),
                    GateEvent::Paused { until, reason } => {
                        println!("{second:8.3} paused {:?}: {reason}", until - now);
                    }
                    GateEvent::Resumed => println!("{second:8.3} resumed {:?}", self.pool.learned),
                }
            }
        }
    }
}

/// The answers of the best fixed concurrency, and those after the recovery. `wide` looks at more than
/// where the best must be.
fn best_fixed(world: &World, seed: u64, wide: bool) -> (u64, u64) {
    if world.stage.iter().any(|stage| !stage.limits.is_empty()) {
        let phase = Simulation::new(world, None, seed).phase;
        let latency = world.stage[0].latency_ms / 1e3;
        let stages: Vec<_> =
            world.stage.iter().map(|stage| (stage.seconds, stage.limits.as_slice())).collect();
        let others: f64 = world.stage.iter().map(|stage| stage.seconds * stage.others_per_second).sum();
        let ideal = limiters::ideal(&stages, phase, world.max as f64 / latency) as f64 - others;
        return (floor(ideal).try_into().unwrap(), 1);
    }
    let mut levels = vec![world.max];
    for stage in &world.stage {
        levels.extend(stage.cap.or(stage.capacity));
    }
    if wide {
        levels.extend([1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128]);
    }
    levels.retain(|level| *level <= world.max);
    levels.sort_unstable();
    levels.dedup();
    let runs = levels.into_iter().map(|level| Simulation::new(world, Some(level), seed).run());
    let runs: Vec<_> = runs.collect();
    let most = |of: fn(&Run) -> u64| runs.iter().map(of).max().unwrap();
    (most(|run| run.good), most(|run| run.good_recovered))
}

/// The whole part.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn floor(number: f64) -> usize {
    number as usize
}

#[test]
fn in_every_world_auto_comes_close_to_the_best_fixed_concurrency() {
    let seeds: u64 = std::env::var("WORLD_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let only = std::env::var("WORLD_ONLY").ok();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/worlds");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    println!(
        "{:40} {:>7} {:>7} {:>8} {:>9} {:>7}",
        "world", "worst", "mean", "refused", "recovered", "limit"
    );
    let mut failed = Vec::new();
    for path in paths {
        let world: World = toml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        if only.as_ref().is_some_and(|only| !path.to_string_lossy().contains(only.as_str())) {
            continue;
        }
        let (mut shares, mut refused, mut recovered, mut last) = (Vec::new(), 0.0_f64, 1.0_f64, 0);
        let hard = world.hard_seeds.iter().copied().filter(|seed| *seed >= seeds);
        for seed in (0..seeds).chain(hard) {
            let (best, best_recovered) = best_fixed(&world, seed, seeds > 1);
            let run = Simulation::new(&world, None, seed).run();
            assert!(run.highest <= world.max, "{} went over its ceiling", world.about);
            shares.push(run.good as f64 / best as f64);
            if std::env::var_os("WORLD_TRACE").is_some() {
                let refused = run.refused_late as f64 / run.attempts_late.max(1) as f64;
                println!("seed {seed}: {:.3}, refused {refused:.3}", run.good as f64 / best as f64);
            }
            refused = refused.max(run.refused_late as f64 / run.attempts_late.max(1) as f64);
            if world.recovers {
                recovered = recovered.min(run.good_recovered as f64 / best_recovered as f64);
            }
            last = run.last;
        }
        let worst = shares.iter().copied().fold(f64::INFINITY, f64::min);
        let mean = shares.iter().sum::<f64>() / shares.len() as f64;
        println!(
            "{:40} {:6.1}% {:6.1}% {:7.2}% {:8.1}% {last:7}",
            world.about,
            worst * 100.0,
            mean * 100.0,
            refused * 100.0,
            recovered * 100.0
        );
        if worst < world.least || refused > world.refused_most || recovered < 0.95 {
            failed.push(world.about);
        }
    }
    assert!(failed.is_empty(), "not good enough: {failed:?}");
}
