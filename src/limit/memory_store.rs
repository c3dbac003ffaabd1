//! A store in memory, for tests in simulated time: the decision of `rate_store/rate.lua`, which a test compares with the
//! script itself in a real Redis.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::rate_store::{RateStore, StoreAnswer, StoreCall, StoreFault, StoreFaultKind};
use super::{PaceSettings, kept_interval};

/// What a process says of itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MemoryClient {
    pub(crate) name: String,
    /// From one token to the next, in microseconds.
    pub(crate) token: f64,
    pub(crate) burst: f64,
    pub(crate) unit: &'static str,
}

/// The hash of the script, its times in microseconds.
#[derive(Debug, Clone)]
struct Hash {
    zero: f64,
    epoch: String,
    was_emptied: bool,
    full: f64,
    pause: f64,
    last: f64,
    seen: BTreeMap<String, (f64, MemoryClient)>,
}

/// What the script keeps; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct MemoryRedis(Rc<RefCell<MemoryState>>);

#[derive(Debug)]
struct MemoryState {
    /// The beginning of its clock.
    start: Instant,
    hash: Option<Hash>,
    is_gone: bool,
    calls: u64,
}

impl MemoryRedis {
    /// Empty; its clock begins now.
    pub(crate) fn new() -> Self {
        let state = MemoryState { start: Instant::now(), hash: None, is_gone: false, calls: 0 };
        Self(Rc::new(RefCell::new(state)))
    }

    /// Loses all it knows.
    pub(crate) fn empty(&self) {
        self.0.borrow_mut().hash = None;
    }

    /// Answers no call, or answers again.
    pub(crate) fn set_gone(&self, is_gone: bool) {
        self.0.borrow_mut().is_gone = is_gone;
    }

    /// The calls that were answered.
    pub(crate) fn calls(&self) -> u64 {
        self.0.borrow().calls
    }

    /// The script. `clock` is the store's own, in microseconds. Returns the epoch beside the answer.
    pub(crate) fn run(
        &self,
        clock: f64,
        (me, known): (&MemoryClient, &str),
        call: &StoreCall,
    ) -> (String, StoreAnswer) {
        let mut state = self.0.borrow_mut();
        state.calls += 1;
        let hash = state.hash.get_or_insert_with(|| Hash {
            zero: clock,
            epoch: format!("{}-{clock:.0}", me.name),
            was_emptied: false,
            full: 0.0,
            pause: 0.0,
            last: 0.0,
            seen: BTreeMap::new(),
        });
        if clock - hash.zero < hash.last {
            hash.zero = clock - hash.last;
        }
        let now = clock - hash.zero;
        hash.seen.retain(|name, (seen, _)| *name == me.name || now - *seen <= 5e6);
        let (mut active, mut differs, mut token, mut burst) = (1, false, me.token, me.burst);
        for (_, other) in hash.seen.values().filter(|(_, other)| other.name != me.name) {
            active += 1;
            differs |=
                (other.token - token).abs() > token / 1e6 || other.burst < burst || other.burst > burst;
            differs |= other.unit != me.unit;
            (token, burst) = (token.max(other.token), burst.min(other.burst));
        }
        let forgot = !known.is_empty() && known != hash.epoch;
        if forgot && !hash.was_emptied {
            hash.full = hash.full.max(now + 1e5 + burst * token);
            hash.was_emptied = true;
        }
        if let Some(pause) = call.pause {
            hash.pause = hash.pause.max(now + micros(pause));
        }
        let cost = f64::from(call.cost.get());
        let (step, room) = (token * cost, (burst - cost).max(0.0) * token);
        let (mut granted, mut due, mut slack) = (0.0, now, 0.0);
        if call.want > 0 {
            granted = f64::from(call.want).min((5e4 / (step * f64::from(active))).floor().max(1.0));
            due = (hash.full - room).max(now).max(hash.pause);
            let base = hash.full.max(due);
            slack = due - base + room;
            hash.full = base + granted * step;
        }
        hash.last = now;
        hash.seen.insert(me.name.clone(), (now, me.clone()));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as the script does")]
        let answer = StoreAnswer {
            at: of_micros(now),
            granted: granted as u32,
            wait: of_micros(due - now),
            interval: of_micros(step),
            slack: of_micros(slack),
            pause: of_micros((hash.pause - now).max(0.0)),
            active,
            differs,
            forgot,
        };
        (hash.epoch.clone(), answer)
    }

    /// The way of one process to it.
    pub(crate) fn client(&self, name: &str, pace: &PaceSettings, way: Duration) -> MemoryStore {
        let rate = pace.rate.unwrap();
        let client = MemoryClient {
            name: name.to_owned(),
            token: micros(kept_interval(rate)),
            burst: f64::from(pace.burst.get()),
            unit: if rate.counts_keys() { "keys" } else { "attempts" },
        };
        MemoryStore { redis: self.clone(), client, epoch: String::new(), way }
    }
}

/// The connection of one process.
pub(crate) struct MemoryStore {
    redis: MemoryRedis,
    client: MemoryClient,
    epoch: String,
    /// How long a call takes in each direction.
    pub(crate) way: Duration,
}

impl RateStore for MemoryStore {
    async fn call(&mut self, call: &StoreCall) -> Result<StoreAnswer, StoreFault> {
        sleep(self.way).await;
        let fault = StoreFault { kind: StoreFaultKind::Closed, text: "gone".into() };
        if self.redis.0.borrow().is_gone {
            return Err(fault);
        }
        let start = self.redis.0.borrow().start;
        let clock = micros(start.elapsed()) + 1.7e15;
        let (epoch, answer) = self.redis.run(clock, (&self.client, &self.epoch), call);
        self.epoch = epoch;
        sleep(self.way).await;
        Ok(answer)
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn of_micros(micros: f64) -> Duration {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times of tests")]
    Duration::from_nanos((micros * 1e3).round() as u64)
}
