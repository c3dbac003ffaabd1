//! Many processes in one: each has its own gate and keeper, and all share a store in memory, in simulated time.

use std::cell::{Cell, RefCell};
use std::num::{NonZeroU32, NonZeroUsize};
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use proptest::prelude::*;
use tokio::time::timeout_at;

use super::*;
use crate::limit::{Concurrency, LoadSignal, MemoryRedis, PaceSettings};
use crate::model::{PauseReason, Rate};

const GOOD: LoadSignal = LoadSignal::Good { latency: Duration::from_millis(5) };
const REFUSED: PauseReason = PauseReason::Refused { status: 429, has_retry_after: true };

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn rate(text: &str) -> Rate {
    text.parse().unwrap()
}

/// What is said.
#[derive(Default)]
struct Said(Mutex<Vec<String>>);

impl Reporter for Said {
    fn on(&self, event: &Event<'_>) {
        if let Event::Warned { message } | Event::Noted { message } = event {
            self.0.lock().unwrap().push((*message).to_owned());
        }
    }
}

/// One process.
#[derive(Clone)]
struct Process {
    pace: PaceSettings,
    /// How long a call takes in each direction.
    way: Duration,
    /// How long an answer of the API takes.
    latency: Duration,
    /// The time after the start at which it begins, and at which it is killed.
    lives: (Duration, Duration),
    /// Keys that an attempt asks for.
    keys: u32,
}

impl Process {
    fn new(text: &str, concurrency: usize) -> Self {
        let pace = PaceSettings {
            concurrency: Concurrency::Fixed(NonZeroUsize::new(concurrency).unwrap()),
            rate: Some(rate(text)),
            is_shared: true,
            ..PaceSettings::default()
        };
        let lives = (Duration::ZERO, Duration::from_hours(9));
        Self { pace, way: Duration::ZERO, latency: ms(5), lives, keys: 1 }
    }

    fn with_burst(mut self, burst: u32) -> Self {
        self.pace.burst = NonZeroU32::new(burst).unwrap();
        self
    }
}

/// What is seen of all of them.
struct World {
    start: Instant,
    redis: MemoryRedis,
    /// When an attempt left, and of which process.
    left: RefCell<Vec<(Duration, usize)>>,
    said: Arc<Said>,
    gates: RefCell<Vec<Gate>>,
    shutdowns: Vec<Shutdown>,
}

impl World {
    fn left_between(&self, from: u64, to: u64) -> usize {
        self.left.borrow().iter().filter(|(at, _)| (ms(from)..ms(to)).contains(at)).count()
    }

    /// The departures of each process.
    fn shares(&self) -> Vec<usize> {
        let mut shares = vec![0; self.shutdowns.len()];
        self.left.borrow().iter().for_each(|(_, process)| shares[*process] += 1);
        shares
    }
}

/// Runs processes for so long, with somebody who does something to the world meanwhile.
async fn run<F: Future<Output = ()>>(
    processes: &[Process],
    until: Duration,
    meanwhile: impl FnOnce(Rc<World>) -> F,
) -> Rc<World> {
    let start = Instant::now();
    let world = Rc::new(World {
        start,
        redis: MemoryRedis::new(),
        left: RefCell::default(),
        said: Arc::default(),
        gates: RefCell::new(processes.iter().map(|process| Gate::new(&process.pace)).collect()),
        shutdowns: processes.iter().map(|_| Shutdown::default()).collect(),
    });
    let end = start + until;
    let all: FuturesUnordered<_> =
        processes.iter().enumerate().map(|(number, process)| live(&world, (number, process), end)).collect();
    let all = all.collect::<Vec<()>>();
    tokio::join!(all, async {
        let _ = timeout_at(end, meanwhile(Rc::clone(&world))).await;
    });
    world
}

async fn live(world: &World, (number, process): (usize, &Process), end: Instant) {
    let (born, killed) = process.lives;
    sleep(born).await;
    let gate = world.gates.borrow()[number].clone();
    let store = world.redis.client(&format!("p{number}"), &process.pace, process.way);
    let reporter: &dyn Reporter = &*world.said;
    let shutdown = &world.shutdowns[number];
    let keeper = RateKeeper::new(
        NamedStore { store, name: "memory".into() },
        RatedRun { gate: &gate, reporter, shutdown },
    );
    let most = process.pace.concurrency.ceiling().get();
    let jobs: FuturesUnordered<_> = (0..most * 2)
        .map(|_| async {
            for _ in 0..u64::MAX {
                let permit = gate.admit_for(NonZeroU32::new(process.keys).unwrap()).await;
                world.left.borrow_mut().push((world.start.elapsed(), number));
                sleep(process.latency).await;
                permit.finish(GOOD);
            }
        })
        .collect();
    let end = end.min(world.start + killed);
    let _ = timeout_at(end, keeper.beside(jobs.collect::<Vec<()>>())).await;
}

/// The first window that holds more than the promise allows. `cost`: the tokens of each departure.
fn overfull(world: &World, per_second: f64, burst: u32, cost: u32) -> Option<String> {
    let mut left: Vec<Duration> = world.left.borrow().iter().map(|(at, _)| *at).collect();
    left.sort_unstable();
    let most = per_second * 0.010 + f64::from(burst);
    let mut lowest = f64::INFINITY;
    left.iter().enumerate().find_map(|(index, at)| {
        let before = index as f64 * f64::from(cost) - per_second * at.as_secs_f64();
        lowest = lowest.min(before);
        let over = before - lowest + f64::from(cost) - most;
        (over > 1e-3)
            .then(|| format!("departure {index} at {at:?} is {over} over {per_second}/s, burst {burst}"))
    })
}

#[track_caller]
fn obeys(world: &World, text: &str, burst: u32, cost: u32) {
    assert_eq!(overfull(world, rate(text).per_second(), burst, cost), None);
}

async fn nothing(_: Rc<World>) {}

#[tokio::test(start_paused = true)]
async fn together_they_keep_the_law_use_the_rate_and_have_even_shares() {
    for (text, processes, seconds) in [("10/s", 4, 60), ("200/s", 4, 10), ("1000/s", 8, 5), ("5000/s", 4, 4)]
    {
        let all = vec![Process::new(text, 64); processes];
        let world = run(&all, Duration::from_secs(seconds), nothing).await;
        obeys(&world, text, 1, 1);
        let (left, possible) = (world.left.borrow().len() as f64, rate(text).per_second() * seconds as f64);
        assert!(left >= 0.99 * possible, "{text}: {left} of {possible}");
        for share in world.shares() {
            let even = share as f64 * processes as f64 / left;
            assert!((0.9..=1.1).contains(&even), "{text}: {:?}", world.shares());
        }
        let calls = world.redis.calls() / seconds;
        assert!(calls < 500, "{text}: {calls} calls a second");
    }
}

#[tokio::test(start_paused = true)]
async fn processes_with_few_slots_or_a_long_way_to_the_store_have_their_share_too() {
    let mut all = vec![Process::new("200/s", 64); 4];
    all[0] = Process { latency: ms(1), ..Process::new("200/s", 1) };
    all[1].way = ms(3);
    all[2].way = ms(20);
    let world = run(&all, Duration::from_secs(20), nothing).await;
    let left = world.left.borrow().len();
    assert!(left >= 3_960, "{left}");
    // One slot at a time waits for its turn behind the 50 ms of the others.
    let shares = world.shares();
    assert!(shares[0] >= 300 && shares[1..].iter().all(|share| *share >= 900), "{shares:?}");
    // The clock of a store that is far away is known as well as half the way back.
    obeys(&world, "200/s", 1, 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_later_gets_its_share_and_that_of_one_that_is_killed_goes_to_the_others() {
    let mut all = vec![Process::new("1000/s", 64); 3];
    all[1].lives.0 = ms(2_000);
    all[2].lives.1 = ms(4_000);
    let world = run(&all, ms(6_000), nothing).await;
    obeys(&world, "1000/s", 1, 1);
    assert!(world.left.borrow().len() >= 5_900, "{}", world.left.borrow().len());
    let of = |number: usize, from: u64| {
        let left = world.left.borrow();
        left.iter().filter(|(at, it)| *it == number && (ms(from)..ms(from + 1_000)).contains(at)).count()
    };
    assert!((300..=370).contains(&of(1, 2_900)), "{}", of(1, 2_900));
    assert!(of(0, 4_900) >= 480, "{}", of(0, 4_900));
}

#[tokio::test(start_paused = true)]
async fn the_burst_is_one_of_all() {
    let all = vec![Process::new("50/s", 16).with_burst(8); 4];
    let world = run(&all, ms(10_000), nothing).await;
    obeys(&world, "50/s", 8, 1);
    assert_eq!(world.left_between(0, 15), 8);
    assert!(world.left.borrow().len() >= 495, "{}", world.left.borrow().len());
}

#[tokio::test(start_paused = true)]
async fn a_rate_of_keys_counts_the_keys_of_a_pack() {
    let all = vec![Process { keys: 20, ..Process::new("2000 keys/s", 16).with_burst(20) }; 4];
    let world = run(&all, ms(5_000), nothing).await;
    obeys(&world, "2000 keys/s", 20, 20);
    assert!(world.left.borrow().len() >= 495, "{}", world.left.borrow().len());
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_one_is_asked_for_holds_for_all_within_100_ms_and_one_probe_of_each_follows() {
    for text in ["5000/s", "100/s"] {
        let all = vec![Process::new(text, 64); 4];
        let world = run(&all, ms(4_000), |world| async move {
            sleep(ms(1_000)).await;
            let gate = world.gates.borrow()[2].clone();
            assert!(gate.pause(Instant::now() + ms(2_000), REFUSED));
        })
        .await;
        assert_eq!(world.left_between(1_100, 3_000), 0, "{text}");
        // Answers take 5 ms: until the first of them only probes are sent.
        let probes = world.left_between(3_000, 3_005);
        assert!((1..=4).contains(&probes), "{text}: {probes}");
        assert!(world.left_between(3_000, 4_000) as f64 > rate(text).per_second() / 2.0, "{text}");
        obeys(&world, text, 1, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_a_process_for_its_own_reasons_holds_for_it_alone() {
    let all = vec![Process::new("100/s", 8); 2];
    let world = run(&all, ms(3_000), |world| async move {
        sleep(ms(1_000)).await;
        let gate = world.gates.borrow()[0].clone();
        gate.pause(Instant::now() + ms(1_500), PauseReason::Outage);
    })
    .await;
    assert!(world.left_between(1_200, 2_400) >= 118, "{}", world.left_between(1_200, 2_400));
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_gone_nothing_leaves_and_on_its_return_there_is_no_burst() {
    for (text, burst) in [("5000/s", 1), ("200/s", 10), ("4/s", 1)] {
        for is_emptied in [false, true] {
            let all = vec![Process::new(text, 64).with_burst(burst); 4];
            let world = run(&all, ms(8_000), |world| async move {
                sleep(ms(1_005)).await;
                world.redis.set_gone(true);
                sleep(ms(2_000)).await;
                if is_emptied {
                    world.redis.empty();
                }
                world.redis.set_gone(false);
            })
            .await;
            assert_eq!(world.left_between(1_105, 3_005), 0, "{text}");
            obeys(&world, text, burst, 1);
            let after = world.left_between(4_000, 8_000) as f64;
            assert!(after >= rate(text).per_second() * 3.5, "{text}: {after}");
            let said = world.said.0.lock().unwrap();
            let gone = said.iter().filter(|line| line.contains("is gone")).count();
            let back = said.iter().filter(|line| line.contains("answers again")).count();
            assert_eq!((gone, back), (4, 4), "once each: {said:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_emptied_while_all_go_on_lets_no_burst_through() {
    for (text, burst) in [("5000/s", 1), ("500/s", 50), ("2/s", 1)] {
        let all = vec![Process::new(text, 64).with_burst(burst); 4];
        let world = run(&all, ms(9_000), |world| async move {
            for pause in [1_003, 2_001, 50] {
                sleep(ms(pause)).await;
                world.redis.empty();
            }
        })
        .await;
        obeys(&world, text, burst, 1);
        assert!(world.left_between(5_000, 9_000) as f64 >= rate(text).per_second() * 3.5, "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_gone_for_good_ends_the_run() {
    let mut process = Process::new("100/s", 8);
    process.pace.max_retry_after = Duration::from_secs(30);
    let ended = Cell::new(None);
    let world = run(&[process], ms(60_000), |world| {
        let ended = &ended;
        async move {
            sleep(ms(1_000)).await;
            world.redis.set_gone(true);
            world.shutdowns[0].triggered().await;
            ended.set(Some(world.start.elapsed()));
        }
    })
    .await;
    let ended = ended.get().unwrap();
    assert!((ms(31_000)..ms(31_500)).contains(&ended), "{ended:?}");
    assert!(matches!(world.shutdowns[0].reason(), Some(StopReason::RateStore { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_is_longer_than_one_may_be_ends_the_run() {
    let mut short = Process::new("100/s", 8);
    short.pace.max_retry_after = Duration::from_secs(10);
    let all = [short, Process::new("100/s", 8)];
    let world = run(&all, ms(3_000), |world| async move {
        sleep(ms(1_000)).await;
        let gate = world.gates.borrow()[1].clone();
        gate.pause(Instant::now() + Duration::from_mins(1), REFUSED);
    })
    .await;
    assert!(matches!(world.shutdowns[0].reason(), Some(StopReason::AskedToWait(Some(_)))));
    assert!(!world.shutdowns[1].is_triggered());
}

#[tokio::test(start_paused = true)]
async fn of_different_rates_the_lower_holds_and_each_is_warned_once() {
    let all = [Process::new("500/s", 64).with_burst(3), Process::new("100/s", 64).with_burst(9)];
    let world = run(&all, ms(5_000), nothing).await;
    assert!(world.left.borrow().len() >= 490, "{}", world.left.borrow().len());
    // The first call of the first process knows of no other.
    assert!(world.left_between(500, 5_000) <= 455, "{}", world.left_between(500, 5_000));
    let said = world.said.0.lock().unwrap();
    assert_eq!(said.iter().filter(|line| line.contains("the lower holds")).count(), 2, "{said:?}");
}

#[derive(Debug, Clone)]
enum Blow {
    Gone(u64),
    Empty,
    Pause(usize, u64),
}

fn blow() -> impl Strategy<Value = Blow> {
    prop_oneof![
        (1_u64..700).prop_map(Blow::Gone),
        Just(Blow::Empty),
        (0_usize..4, 1_u64..900).prop_map(|(gate, length)| Blow::Pause(gate, length)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn no_window_is_ever_too_full_whatever_happens(
        per_second in prop_oneof![1_u32..20, 20_u32..3_000],
        burst in 1_u32..6,
        processes in prop::collection::vec((1_usize..40, 0_u64..4, 0_u64..2_000, 500_u64..9_000, 1_u64..30), 1..5),
        blows in prop::collection::vec((1_u64..1_500, blow()), 0..5),
    ) {
        let text = format!("{per_second}/s");
        // A new process cannot know what an emptied store granted, if it calls before those that do.
        let is_emptied = blows.iter().any(|(_, blow)| matches!(blow, Blow::Empty));
        let all: Vec<Process> = processes
            .iter()
            .map(|(concurrency, way, born, killed, latency)| Process {
                way: ms(*way),
                lives: if is_emptied { (ms(0), ms(9_000)) } else { (ms(*born), ms(*killed)) },
                latency: ms(*latency),
                ..Process::new(&text, *concurrency).with_burst(burst)
            })
            .collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let world = runtime.block_on(run(&all, ms(5_000), |world| async move {
            sleep(ms(50)).await;
            for (pause, blow) in blows {
                sleep(ms(pause)).await;
                match blow {
                    Blow::Gone(length) => {
                        world.redis.set_gone(true);
                        sleep(ms(length)).await;
                        world.redis.set_gone(false);
                    }
                    Blow::Empty => world.redis.empty(),
                    Blow::Pause(gate, length) => {
                        let gates = world.gates.borrow();
                        gates[gate % gates.len()].pause(Instant::now() + ms(length), REFUSED);
                    }
                }
            }
        }));
        prop_assert_eq!(overfull(&world, f64::from(per_second), burst, 1), None);
    }
}
