//! The rate as a law of windows, read off a server's log.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The late timer of the promise (10 ms), and as much again for the way and the server's own turn.
const LEAST: Duration = Duration::from_millis(10 + 20);
const NAP: Duration = Duration::from_millis(1);

/// Measures how late this machine runs what is due, from its start on: what a law has to allow for, since a server that
/// is kept from its processor sees requests together that left apart.
pub struct Slack {
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
    processes: u32,
}

#[derive(Default)]
struct State {
    /// The longest delay of a sleep.
    worst: Mutex<Duration>,
    is_over: AtomicBool,
}

impl Slack {
    /// Of the program and the server.
    pub fn watch() -> Self {
        Self::of(2)
    }

    fn of(processes: u32) -> Self {
        let state = Arc::new(State::default());
        let measured = Arc::clone(&state);
        let thread = thread::spawn(move || {
            while !measured.is_over.load(Ordering::Relaxed) {
                let began = Instant::now();
                thread::sleep(NAP);
                let late = began.elapsed().saturating_sub(NAP);
                let mut worst = measured.worst.lock().unwrap();
                *worst = late.max(*worst);
            }
        });
        Self { state, thread: Some(thread), processes }
    }

    /// In seconds. Each of the processes may be late once.
    pub fn seconds(&self) -> f64 {
        (LEAST + *self.state.worst.lock().unwrap() * self.processes).as_secs_f64()
    }
}

impl Drop for Slack {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The first window of these instants, which are in order, that holds more than the rate and the burst allow.
pub fn overfull(at: &[Instant], (per_second, burst): (f64, usize), slack: &Slack) -> Option<String> {
    let first = *at.first()?;
    let most = per_second * slack.seconds() + burst as f64;
    let mut lowest = f64::INFINITY;
    at.iter().enumerate().find_map(|(index, at)| {
        let since = (*at - first).as_secs_f64();
        // How many are ahead of the rate: a window is too full by how far this has risen in it.
        let ahead = index as f64 - per_second * since;
        lowest = lowest.min(ahead);
        let over = ahead - lowest + 1.0 - most;
        (over > 0.0).then(|| format!("request {index} at {since} s is {over} over {per_second}/s + {most}"))
    })
}

/// Runs until one of five runs obeys: what is wrong is so every time, and a machine is seldom late five times.
///
/// # Panics
/// If none did.
#[track_caller]
pub fn one_of_several(run: impl Fn(&Slack) -> Option<String>) {
    one_of_several_among(2, run);
}

/// The same for four processes that share a rate: each of them, the server and the store may be late.
///
/// # Panics
/// If none did.
#[track_caller]
pub fn one_of_several_by_four_processes(run: impl Fn(&Slack) -> Option<String>) {
    one_of_several_among(6, run);
}

#[track_caller]
fn one_of_several_among(processes: u32, run: impl Fn(&Slack) -> Option<String>) {
    const RUNS: usize = 5;
    let faults: Vec<String> = (0..RUNS).map_while(|_| run(&Slack::of(processes))).collect();
    assert!(faults.len() < RUNS, "{faults:?}");
}

#[test]
fn a_window_that_is_too_full_is_found_and_one_that_is_just_full_is_not() {
    let slack = Slack::watch();
    drop(Slack::watch());
    let start = Instant::now();
    // Far more than any delay of this machine.
    let per_second = 0.01;
    let at = |seconds: &[u64]| -> Vec<Instant> {
        seconds.iter().map(|second| start + Duration::from_secs(*second)).collect()
    };
    assert_eq!(overfull(&at(&[0, 0, 100, 200]), (per_second, 2), &slack), None);
    assert_eq!(overfull(&at(&[0, 200, 200, 200]), (per_second, 3), &slack), None);
    assert!(overfull(&at(&[0, 200, 200, 200]), (per_second, 2), &slack).is_some());
    assert!(overfull(&at(&[0, 0, 0]), (per_second, 2), &slack).is_some());
}
