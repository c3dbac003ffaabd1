//! Models of rate limiters: what real ones accept, in simulated time (seconds from the beginning).

use std::collections::VecDeque;

use serde::Deserialize;

/// One limit of a server. Several may hold at once.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", tag = "kind")]
pub(super) enum LimitModel {
    /// A bucket of `burst` tokens that is filled by `rate` a second.
    Bucket { rate: f64, burst: f64 },
    /// A bucket; who exceeds it is refused for `ban` seconds, while it goes on to be filled.
    BanBucket { rate: f64, burst: f64, ban: f64 },
    /// `count` in each window; a window begins with the first attempt after the one before, or with the clock.
    Fixed {
        count: usize,
        seconds: f64,
        #[serde(default)]
        by_clock: bool,
    },
    /// `count` in any window.
    Sliding { count: usize, seconds: f64 },
    /// `count` in a window; a refused attempt begins it anew.
    Extending { count: usize, seconds: f64 },
    /// `count` in a window; who exceeds it is refused for `ban` seconds. With `extends`, each attempt starts the ban again.
    Ban {
        count: usize,
        seconds: f64,
        ban: f64,
        #[serde(default)]
        extends: bool,
    },
    /// The weighted sum of this window and the one before, as proxies keep it.
    Counter {
        count: usize,
        seconds: f64,
        #[serde(default)]
        counts_refused: bool,
    },
    /// A bucket that is filled when something comes, by whole tokens since the newest one that was accepted: what comes
    /// faster than it fills finds nothing added. Who exceeds it is refused for `ban` seconds. Varnish's vsthrottle.
    Stepped {
        count: usize,
        seconds: f64,
        #[serde(default)]
        ban: f64,
    },
}

/// The state of one limit.
#[derive(Debug, Clone)]
pub(super) struct LimiterState {
    model: LimitModel,
    tokens: f64,
    /// What the tokens would be with those that were added since.
    filled: f64,
    at: f64,
    began: f64,
    count: usize,
    before: usize,
    banned_until: f64,
    times: VecDeque<f64>,
}

impl LimiterState {
    pub(super) fn new(model: &LimitModel) -> Self {
        let tokens = match model {
            LimitModel::Bucket { burst, .. } | LimitModel::BanBucket { burst, .. } => *burst,
            LimitModel::Stepped { count, .. } => *count as f64,
            _ => 0.0,
        };
        Self {
            model: model.clone(),
            tokens,
            filled: tokens,
            at: 0.0,
            began: f64::NEG_INFINITY,
            count: 0,
            before: 0,
            banned_until: f64::NEG_INFINITY,
            times: VecDeque::new(),
        }
    }

    /// Moves windows and buckets to this time; `phase` is where the clock stands at the beginning.
    fn advance(&mut self, now: f64, phase: f64) {
        match self.model {
            LimitModel::Bucket { rate, burst } | LimitModel::BanBucket { rate, burst, .. } => {
                self.tokens = (self.tokens + (now - self.at) * rate).min(burst);
                self.at = now;
            }
            LimitModel::Fixed { seconds, by_clock, .. } => {
                if by_clock {
                    let began = ((now + phase) / seconds).floor() * seconds - phase;
                    if began > self.began {
                        (self.began, self.count) = (began, 0);
                    }
                } else if now >= self.began + seconds {
                    (self.began, self.count) = (now, 0);
                }
            }
            LimitModel::Extending { seconds, .. } | LimitModel::Ban { seconds, .. } => {
                if now >= self.began + seconds {
                    (self.began, self.count) = (now, 0);
                }
            }
            LimitModel::Sliding { seconds, .. } => {
                while self.times.front().is_some_and(|time| *time <= now - seconds) {
                    self.times.pop_front();
                }
            }
            LimitModel::Stepped { count, seconds, .. } => {
                let filled = self.tokens + ((now - self.at) / seconds * count as f64).floor();
                // Its time goes on only where one is accepted.
                self.filled = filled.min(count as f64);
            }
            LimitModel::Counter { seconds, .. } => {
                let began = ((now + phase) / seconds).floor() * seconds - phase;
                if began > self.began {
                    self.before = if began - self.began < seconds * 1.5 { self.count } else { 0 };
                    (self.began, self.count) = (began, 0);
                }
            }
        }
    }

    /// Whether it would accept an attempt.
    pub(super) fn is_ready(&mut self, now: f64, phase: f64) -> bool {
        self.advance(now, phase);
        match self.model {
            LimitModel::Bucket { .. } => self.tokens >= 1.0 - 1e-9,
            LimitModel::BanBucket { .. } => now >= self.banned_until && self.tokens >= 1.0 - 1e-9,
            LimitModel::Fixed { count, .. } | LimitModel::Extending { count, .. } => self.count < count,
            LimitModel::Ban { count, .. } => now >= self.banned_until && self.count < count,
            LimitModel::Sliding { count, .. } => self.times.len() < count,
            LimitModel::Stepped { .. } => now >= self.banned_until && self.filled >= 1.0,
            LimitModel::Counter { count, seconds, .. } => {
                let weight = 1.0 - (now - self.began) / seconds;
                (self.before as f64 * weight + self.count as f64) < count as f64
            }
        }
    }

    /// Takes note of an attempt that was accepted.
    pub(super) fn accept(&mut self, now: f64) {
        if matches!(self.model, LimitModel::Stepped { .. }) {
            (self.tokens, self.at) = (self.filled, now);
        }
        self.tokens -= 1.0;
        self.count += 1;
        if matches!(self.model, LimitModel::Sliding { .. }) {
            self.times.push_back(now);
        }
    }

    /// Takes note of one that was refused by this limit.
    pub(super) fn refuse(&mut self, now: f64) {
        match self.model {
            LimitModel::Extending { .. } => self.began = now,
            LimitModel::Ban { ban, extends, .. } if extends || now >= self.banned_until => {
                self.banned_until = now + ban;
                (self.began, self.count) = (now + ban, 0);
            }
            LimitModel::BanBucket { ban, .. } | LimitModel::Stepped { ban, .. }
                if now >= self.banned_until =>
            {
                self.banned_until = now + ban;
            }
            LimitModel::Counter { counts_refused: true, .. } => self.count += 1,
            _ => {}
        }
    }

    /// How long until it accepts one, as far as it can say.
    pub(super) fn wait(&self, now: f64) -> f64 {
        match self.model {
            LimitModel::Bucket { rate, .. } => (1.0 - self.tokens) / rate,
            LimitModel::Fixed { seconds, .. } | LimitModel::Extending { seconds, .. } => {
                self.began + seconds - now
            }
            LimitModel::Ban { .. } | LimitModel::BanBucket { .. } => self.banned_until - now,
            LimitModel::Sliding { seconds, .. } => {
                self.times.front().map_or(0.0, |time| time + seconds - now)
            }
            LimitModel::Counter { seconds, .. } => seconds / 10.0,
            LimitModel::Stepped { count, seconds, .. } => {
                (self.banned_until - now).max(seconds / count as f64 - (now - self.at))
            }
        }
        .max(0.0)
    }

    /// What is left, and until when, as quota fields say it.
    pub(super) fn quota(&self, now: f64) -> Option<(u64, f64)> {
        match self.model {
            LimitModel::Fixed { count, seconds, .. } => {
                Some(((count - self.count.min(count)) as u64, self.began + seconds - now))
            }
            _ => None,
        }
    }
}

/// How many attempts an oracle gets through these limits in a time that is stepped by a millisecond.
pub(super) fn ideal(stages: &[(f64, &[LimitModel])], phase: f64, at_most_per_second: f64) -> u64 {
    let (mut accepted, mut begins) = (0, 0.0);
    for (seconds, models) in stages {
        let mut limiters: Vec<LimiterState> = models.iter().map(LimiterState::new).collect();
        let mut budget = 0.0_f64;
        for step in 0.. {
            let into = f64::from(step) * 1e-3;
            if into >= *seconds {
                break;
            }
            budget = (budget + at_most_per_second * 1e-3).min(64.0);
            let now = begins + into;
            while budget >= 1.0 && limiters.iter_mut().all(|limiter| limiter.is_ready(now, phase)) {
                for limiter in &mut limiters {
                    limiter.accept(now);
                }
                accepted += 1;
                budget -= 1.0;
            }
        }
        begins += seconds;
    }
    accepted
}
