//! The controller in simulated worlds, which are data: `fixtures/worlds/*.toml`.
//!
//! A world is a server model; the pool is the real controller, the real pause and the real slots,
//! with endless demand. Only events are simulated, no runtime, so that hundreds of seeds are cheap.
//! `benches/worlds` prints the table at full strength (200 seeds, `WORLD_SEEDS`).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::path::Path;

use serde::Deserialize;
use tokio::time::Instant;

use crate::model::PauseReason;

use super::super::pause::{Admission, PoolPause};
use super::super::slots::Slots;
use super::super::spread::Spread;
use super::*;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct World {
    about: String,
    /// The ceiling.
    max: usize,
    /// The least share of the best fixed concurrency's answers.
    least: f64,
    /// The most that may be refused after the first 5 s.
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
    /// Attempts a second; whoever comes above is refused.
    limiter: Option<f64>,
    /// How many of them may come at once.
    #[serde(default = "one")]
    burst: f64,
    /// The share that is refused at random.
    #[serde(default)]
    failing: f64,
    #[serde(default)]
    refusal_ms: f64,
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

#[derive(Clone, Copy)]
struct Attempt {
    left: u64,
    level: usize,
    limit: usize,
    number: u64,
    epoch: u32,
    probe: bool,
    refused: bool,
}

struct Simulation<'a> {
    world: &'a World,
    random: fastrand::Rng,
    start: Instant,
    now: u64,
    adaptive: Option<Adaptive>,
    pause: PoolPause,
    slots: Slots,
    spread: Spread,
    attempts: Vec<Attempt>,
    free: Vec<usize>,
    events: BinaryHeap<Reverse<(u64, usize)>>,
    line: VecDeque<usize>,
    inside: usize,
    tokens: f64,
    tokens_at: u64,
    run: Run,
}

const WAKE: usize = usize::MAX;

fn nanos(ms: f64) -> u64 {
    Duration::from_secs_f64(ms / 1e3).as_nanos().try_into().unwrap()
}

impl<'a> Simulation<'a> {
    /// A pool of this size, or, without one, of the controller's.
    fn new(world: &'a World, fixed: Option<usize>, seed: u64) -> Self {
        let adaptive = fixed.is_none().then(|| Adaptive::new(world.max));
        let limit = fixed.or_else(|| adaptive.as_ref().map(Adaptive::limit)).unwrap();
        Self {
            world,
            random: fastrand::Rng::with_seed(seed),
            start: Instant::now(),
            now: 0,
            adaptive,
            pause: PoolPause::default(),
            slots: Slots::new(limit),
            spread: Spread::default(),
            attempts: Vec::new(),
            free: Vec::new(),
            events: BinaryHeap::new(),
            line: VecDeque::new(),
            inside: 0,
            tokens: world.stage[0].burst,
            tokens_at: 0,
            run: Run::default(),
        }
    }

    fn at(&self) -> Instant {
        self.start + Duration::from_nanos(self.now)
    }

    /// The stage of this instant, how long it has lasted, and whether it is the last.
    fn stage(&self) -> Option<(&'a Stage, f64, bool)> {
        let mut into = self.now as f64 / 1e9;
        for (index, stage) in self.world.stage.iter().enumerate() {
            if into < stage.seconds {
                return Some((stage, into, index + 1 == self.world.stage.len()));
            }
            into -= stage.seconds;
        }
        None
    }

    fn limit(&self) -> usize {
        self.slots.limit()
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
        self.run.last = self.limit();
        self.run.highest = self.slots.peak();
        self.run
    }

    fn fill(&mut self, stage: &Stage) {
        while self.slots.has_room() && self.pause.has_room() {
            let probe = match self.pause.admission(self.at()) {
                Admission::Free => false,
                Admission::Probe => true,
                Admission::AfterProbe => return,
                Admission::At(until) => {
                    let until = u64::try_from((until - self.start).as_nanos()).unwrap();
                    self.events.push(Reverse((until, WAKE)));
                    return;
                }
            };
            if let Err(until) = self.spread.may_depart(self.at()) {
                let until = u64::try_from((until - self.start).as_nanos()).unwrap();
                self.events.push(Reverse((until, WAKE)));
                return;
            }
            self.pause.left(probe);
            self.spread.left(self.at(), self.slots.limit());
            self.leave(stage, probe);
        }
    }

    fn leave(&mut self, stage: &Stage, probe: bool) {
        let number = self.slots.departures();
        self.slots.take();
        let refused = self.refuses(stage);
        let attempt = Attempt {
            left: self.now,
            level: self.slots.in_flight(),
            limit: self.limit(),
            number,
            epoch: self.pause.epoch(),
            probe,
            refused,
        };
        if self.now > 5_000_000_000 {
            self.run.attempts_late += 1;
            self.run.refused_late += u64::from(refused);
        }
        let id = self.free.pop().unwrap_or(self.attempts.len());
        if id == self.attempts.len() {
            self.attempts.push(attempt);
        } else {
            self.attempts[id] = attempt;
        }
        if refused {
            self.events.push(Reverse((self.now + nanos(stage.refusal_ms) + 1, id)));
        } else {
            self.line.push_back(id);
            self.work(stage);
        }
    }

    fn refuses(&mut self, stage: &Stage) -> bool {
        let limited = stage.limiter.is_some_and(|rate| {
            let earned = (self.now - self.tokens_at) as f64 / 1e9 * rate;
            self.tokens_at = self.now;
            self.tokens = (self.tokens + earned).min(stage.burst) - 1.0;
            if self.tokens < 0.0 {
                self.tokens += 1.0;
                return true;
            }
            false
        });
        limited
            || stage.cap.is_some_and(|cap| self.inside + self.line.len() >= cap)
            || self.random.f64() < stage.failing
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
        let attempt = self.attempts[id];
        self.free.push(id);
        self.slots.release();
        let latency = Duration::from_nanos(self.now - attempt.left);
        if !attempt.refused {
            self.inside -= 1;
            self.run.good += 1;
            self.run.good_recovered += u64::from(recovered);
            self.spread.answered(latency);
            self.work(stage);
        } else if stage.limiter.is_some() {
            // As the fetcher does for a 429 without Retry-After: the attempt's back-off.
            let wait = Duration::from_secs_f64(self.random.f64() * 0.5);
            let now = self.at();
            if self.pause.pause(now, now + wait, PauseReason::Refused { status: 429, has_retry_after: false })
            {
                self.spread.begin();
            }
        }
        let signal =
            if attempt.refused { LoadSignal::Overload { latency } } else { LoadSignal::Good { latency } };
        let (now, epoch) = (self.at(), self.pause.epoch());
        if attempt.probe {
            self.pause.probed(attempt.epoch, Some(!attempt.refused), now);
        }
        self.pause.ended(attempt.epoch, Some(!attempt.refused), self.limit());
        if let Some(adaptive) = &mut self.adaptive {
            let sample = AttemptSample {
                signal,
                level: attempt.level,
                limit: attempt.limit,
                full: self.slots.was_full_since(attempt.number),
                number: attempt.number,
                departures: self.slots.departures(),
                paused: attempt.epoch != epoch,
            };
            let decision = adaptive.observe(&sample, || Duration::from_nanos(self.now));
            self.slots.resize(adaptive.limit());
            if std::env::var_os("WORLD_TRACE").is_some()
                && let Some(LimitDecision { limit, reason: Some(reason) }) = decision
            {
                println!("{:8.3} {limit:4} {reason}", self.now as f64 / 1e9);
            }
        }
    }
}

/// The answers of the best fixed concurrency, and those after the recovery. `wide` looks at more than
/// where the best must be.
fn best_fixed(world: &World, seed: u64, wide: bool) -> (u64, u64) {
    let mut levels = vec![world.max];
    for stage in &world.stage {
        levels.extend(stage.cap.or(stage.capacity));
        // What a limiter accepts by Little's law, less what bunches.
        levels.extend(stage.limiter.map(|rate| floor(rate * stage.latency_ms / 1e3 * 0.9)));
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
                println!("seed {seed}: {:.3}", run.good as f64 / best as f64);
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
