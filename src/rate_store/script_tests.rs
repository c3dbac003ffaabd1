//! The script in a real Redis decides what `limit/memory_store` does, with which whole runs are simulated.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::num::NonZeroU32;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::limit::{MemoryClient, MemoryRedis, StoreAnswer, StoreCall};

const SCRIPT: &str = include_str!("rate.lua");

/// A Redis of the test's own, ended when dropped.
struct TestRedis {
    child: Child,
    stream: BufReader<UnixStream>,
    _folder: tempfile::TempDir,
}

impl TestRedis {
    /// None, with a word: it is not installed.
    fn start() -> Option<Self> {
        let folder = tempfile::TempDir::new().unwrap();
        let socket = folder.path().join("redis.sock");
        // Port 0: it listens on the socket alone.
        let child = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--unixsocket"])
            .arg(&socket)
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .spawn();
        let Ok(child) = child else {
            eprintln!(
                "no redis-server: the script of the rate store is not run (apt-get install redis-server)"
            );
            return None;
        };
        let stream = (0..1_000).find_map(|_| {
            std::thread::sleep(Duration::from_millis(5));
            UnixStream::connect(&socket).ok()
        });
        let stream = BufReader::new(stream.expect("it listens"));
        Some(Self { child, stream, _folder: folder })
    }

    /// The parts of the reply, as text.
    fn call(&mut self, words: &[String]) -> Vec<String> {
        let mut request = Vec::new();
        write!(request, "*{}\r\n", words.len()).unwrap();
        for word in words {
            write!(request, "${}\r\n{word}\r\n", word.len()).unwrap();
        }
        self.stream.get_mut().write_all(&request).unwrap();
        self.reply()
    }

    fn reply(&mut self) -> Vec<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        let (kind, rest) = line.trim_end().split_at(1);
        match kind {
            "*" => (0..rest.parse().unwrap()).flat_map(|_| self.reply()).collect(),
            "$" => {
                let mut text = vec![0; rest.parse::<usize>().unwrap() + 2];
                self.stream.read_exact(&mut text).unwrap();
                text.truncate(text.len() - 2);
                vec![String::from_utf8(text).unwrap()]
            }
            "-" => panic!("{rest}"),
            _ => vec![rest.to_owned()],
        }
    }

    /// The script, at this time of the store's clock in microseconds.
    fn run(
        &mut self,
        clock: u64,
        (me, known): (&MemoryClient, &str),
        call: &StoreCall,
    ) -> (String, StoreAnswer) {
        let words = [
            "EVAL".into(),
            SCRIPT.replace("redis.call('TIME')", "{ARGV[9], ARGV[10]}"),
            "1".into(),
            "rate".into(),
            me.name.clone(),
            known.to_owned(),
            call.want.to_string(),
            call.cost.to_string(),
            format!("{:.0}", me.token * 1e3),
            format!("{:.0}", me.burst),
            me.unit.to_owned(),
            call.pause.map_or(0, |pause| pause.as_micros()).to_string(),
            (clock / 1_000_000).to_string(),
            (clock % 1_000_000).to_string(),
        ];
        let reply = self.call(&words);
        let number = |at: usize| reply[at].parse::<u64>().unwrap();
        let time = |at: usize| Duration::from_nanos(number(at));
        let answer = StoreAnswer {
            granted: u32::try_from(number(1)).unwrap(),
            active: u32::try_from(number(2)).unwrap(),
            differs: number(3) > 0,
            forgot: number(4) > 0,
            at: time(5),
            wait: time(6),
            interval: time(7),
            slack: time(8),
            pause: time(9),
        };
        (reply[0].clone(), answer)
    }
}

impl Drop for TestRedis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug, Clone)]
struct Step {
    process: usize,
    /// The clock goes on by so many microseconds, or back.
    later: i64,
    want: u32,
    cost: u32,
    pause: u64,
    is_emptied: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let later = prop_oneof![0_i64..2_000, 0_i64..200_000, 0_i64..9_000_000, -500_000_i64..0];
    let pause = prop_oneof![9 => Just(0), 1 => 1_u64..5_000_000];
    (0_usize..4, later, 0_u32..40, 1_u32..4, pause, prop::bool::weighted(0.03)).prop_map(
        |(process, later, want, cost, pause, is_emptied)| Step {
            process,
            later,
            want,
            cost,
            pause,
            is_emptied,
        },
    )
}

/// Both rounded what they keep, at different places.
fn is_near(one: Duration, other: Duration) -> bool {
    one.abs_diff(other) <= Duration::from_micros(1)
}

#[test]
fn the_script_decides_as_the_store_in_memory_does_and_its_key_expires() {
    let Some(redis) = TestRedis::start() else { return };
    let redis = RefCell::new(redis);
    let bursts = prop::collection::vec(1_u32..9, 4);
    let rates = prop::collection::vec(prop_oneof![3 => Just(200_u32), 1 => 1_u32..3_000], 4);
    let cases = (rates, bursts, prop::collection::vec(step(), 1..60));
    let config = ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config)
        .run(&cases, |(rates, bursts, steps)| {
            redis.borrow_mut().call(&["FLUSHALL".into()]);
            let memory = MemoryRedis::new();
            let clients: Vec<MemoryClient> = (0..4)
                .map(|number| MemoryClient {
                    name: format!("p{number}"),
                    token: (1e9 / f64::from(rates[number])).round() / 1e3,
                    burst: f64::from(bursts[number]),
                    unit: "attempts",
                })
                .collect();
            let mut known = vec![(String::new(), String::new()); 4];
            let mut clock = 1_800_000_000_000_000_u64;
            for step in steps {
                clock = clock.saturating_add_signed(step.later);
                if step.is_emptied {
                    redis.borrow_mut().call(&["FLUSHALL".into()]);
                    memory.empty();
                }
                let call = StoreCall {
                    want: step.want,
                    cost: NonZeroU32::new(step.cost).unwrap(),
                    pause: Some(step.pause).filter(|pause| *pause > 0).map(Duration::from_micros),
                };
                let (me, (in_redis, in_memory)) = (&clients[step.process], &mut known[step.process]);
                #[allow(clippy::cast_precision_loss)]
                let (epoch, expected) = memory.run(clock as f64, (me, in_memory), &call);
                *in_memory = epoch;
                let (epoch, answer) = redis.borrow_mut().run(clock, (me, in_redis), &call);
                *in_redis = epoch;
                let times = |it: &StoreAnswer| [it.at, it.wait, it.interval, it.slack, it.pause];
                let is_same = times(&answer).into_iter().zip(times(&expected)).all(|(a, b)| is_near(a, b));
                let rest = |it: &StoreAnswer| (it.granted, it.active, it.differs, it.forgot);
                prop_assert!(
                    is_same && rest(&answer) == rest(&expected),
                    "{answer:?}\n{expected:?}\n{step:?}"
                );
                let expires: u64 =
                    redis.borrow_mut().call(&["PTTL".into(), "rate".into()])[0].parse().unwrap();
                prop_assert!(expires > 55_000, "{expires}");
            }
            Ok(())
        })
        .unwrap();
}
