//! The slowest answers, one a SKU: ten of them, kept in the order of their latency.

use std::time::Duration;

use crate::model::Key;

const KEPT: usize = 10;
/// Characters of a key: more than are shown anywhere.
const KEY_CHARS: usize = 300;

/// A SKU whose answer took long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SlowAnswer {
    /// From sending to the last byte of the body.
    pub(crate) latency: Duration,
    /// The SKU, cut to 300 characters. Foreign: escape it where it is shown.
    pub(crate) key: String,
    /// The row's physical line.
    pub(crate) line: u64,
    /// The answer's status.
    pub(crate) status: u16,
    /// When it arrived, to a twentieth of a second, from the beginning of the run.
    pub(crate) at: Duration,
}

/// An answer, without its key: that is copied only where the answer is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimedAnswer {
    /// From sending to the last byte of the body.
    pub(crate) latency: Duration,
    /// The row's physical line.
    pub(crate) line: u64,
    /// The answer's status.
    pub(crate) status: u16,
    /// When it arrived, from the beginning of the run.
    pub(crate) at: Duration,
}

/// The slowest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct SlowestAnswers(Vec<SlowAnswer>);

impl SlowestAnswers {
    /// Records an answer. Nearly always that is one comparison.
    pub(crate) fn count(&mut self, key: &Key, answer: TimedAnswer) {
        let TimedAnswer { latency, line, status, at } = answer;
        if self.0.len() == KEPT && self.0.last().is_some_and(|last| latency <= last.latency) {
            return;
        }
        let same = self.0.iter().position(|slow| slow.line == line);
        let slow = match same {
            Some(place) if self.0[place].latency >= latency => return,
            Some(place) => SlowAnswer { latency, status, at, ..self.0.remove(place) },
            None => {
                let mut text = if self.0.len() == KEPT { self.0.pop() } else { None }
                    .map_or_else(String::new, |gone| gone.key);
                text.clear();
                text.extend(key.as_str().chars().take(KEY_CHARS));
                SlowAnswer { latency, key: text, line, status, at }
            }
        };
        let place = self.0.partition_point(|other| other.latency >= latency);
        self.0.insert(place, slow);
    }

    pub(crate) fn list(&self) -> &[SlowAnswer] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_are_the_ten_slowest_each_once(answers in proptest::collection::vec((0u64..500, 0u64..40), 0..300)) {
            let mut slowest = SlowestAnswers::default();
            let mut by_line = std::collections::BTreeMap::<u64, u64>::new();
            for (millis, line) in &answers {
                let key = Key::parse(format!("S{line}").as_bytes()).unwrap();
                let latency = Duration::from_millis(*millis);
                slowest.count(&key, TimedAnswer { latency, line: *line, status: 200, at: Duration::ZERO });
                let most = by_line.entry(*line).or_default();
                *most = (*most).max(*millis);
            }
            let mut expected: Vec<u64> = by_line.values().copied().collect();
            expected.sort_unstable_by(|a, b| b.cmp(a));
            expected.truncate(KEPT);
            let found: Vec<u64> =
                slowest.list().iter().map(|slow| u64::try_from(slow.latency.as_millis()).unwrap()).collect();
            prop_assert_eq!(found, expected);
            for slow in slowest.list() {
                prop_assert_eq!(&slow.key, &format!("S{}", slow.line));
            }
        }
    }

    #[test]
    fn a_long_key_is_cut() {
        let mut slowest = SlowestAnswers::default();
        let key = Key::parse("é".repeat(9_000).as_bytes()).unwrap();
        let latency = Duration::from_secs(1);
        slowest.count(&key, TimedAnswer { latency, line: 2, status: 200, at: Duration::ZERO });
        assert_eq!(slowest.list()[0].key.chars().count(), KEY_CHARS);
    }
}
