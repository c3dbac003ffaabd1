//! Refused credentials: told from single forbidden SKUs, and stopped fast.

use crate::model::{Cause, Entry, Outcome};

/// The first answers of a run, if all are refusals, end it.
const FIRST: usize = 5;
/// Refusals in a row that end a run later on.
const LATER: usize = 20;

/// Holds refused entries back until it is known whether they are failures of their SKUs or of the
/// credentials: those of a run that stopped for them are deferred. Only an answer to a later SKU shows
/// that the credentials were still good: one to an earlier SKU may have been under way when they expired.
#[derive(Debug)]
pub struct Breaker {
    held: Vec<Entry>,
    limit: usize,
    last_status: u16,
}

/// What to do after an entry.
#[derive(Debug)]
pub enum Ruling {
    /// These entries stand as they are.
    Pass(Vec<Entry>),
    /// The credentials are refused: the run ends, and what is held is deferred.
    Trip {
        /// 401 or 403.
        status: u16,
        /// How many answers in a row said so.
        answers: usize,
    },
}

impl Breaker {
    /// At the start of a run.
    #[must_use]
    pub fn new() -> Self {
        Self { held: Vec::new(), limit: FIRST, last_status: 0 }
    }

    /// Takes an entry that ended with an answer or without one.
    pub fn judge(&mut self, entry: Entry) -> Ruling {
        match refusal(&entry) {
            Some(status) => {
                self.held.push(entry);
                self.last_status = status;
                if self.held.len() < self.limit {
                    return Ruling::Pass(Vec::new());
                }
                Ruling::Trip { status, answers: self.held.len() }
            }
            None if answered(&entry) => {
                self.limit = LATER;
                let mut all: Vec<_> = self.held.extract_if(.., |held| held.seq < entry.seq).collect();
                all.push(entry);
                Ruling::Pass(all)
            }
            None => Ruling::Pass(vec![entry]),
        }
    }

    /// What is still held when the run is over, with whether every answer of the run was a refusal.
    pub fn release(&mut self) -> (Vec<Entry>, Option<u16>) {
        let all_refused = self.limit == FIRST && !self.held.is_empty();
        (std::mem::take(&mut self.held), all_refused.then_some(self.last_status))
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self::new()
    }
}

fn refusal(entry: &Entry) -> Option<u16> {
    match &entry.outcome {
        Outcome::Failed(fault) => match fault.cause {
            Cause::Status(status @ (401 | 403)) => Some(status),
            _ => None,
        },
        _ => None,
    }
}

fn answered(entry: &Entry) -> bool {
    match &entry.outcome {
        Outcome::Fetched(_) => true,
        Outcome::Failed(fault) => fault.status.is_some(),
        Outcome::Deferred(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::model::{Answer, Content, Fault, Fingerprint, Key, Seq, Validators};

    fn entry(seq: u32, outcome: Outcome) -> Entry {
        Entry {
            seq: Seq(seq),
            line: 2,
            key: Key::parse(b"A").unwrap(),
            fingerprint: Fingerprint(0),
            attempts: 1,
            outcome,
            record: csv::ByteRecord::new(),
            address: None,
        }
    }

    fn refused(seq: u32) -> Entry {
        entry(seq, Outcome::Failed(Fault::new(Cause::Status(401), "HTTP 401").with_status(401)))
    }

    fn fetched(seq: u32) -> Entry {
        let content = Content::Json(b"1".to_vec());
        let answer = Answer {
            status: 200,
            at: SystemTime::now(),
            content,
            validators: Validators::default(),
            raw: None,
        };
        entry(seq, Outcome::Fetched(answer))
    }

    fn passed(ruling: Ruling) -> Vec<u32> {
        match ruling {
            Ruling::Pass(entries) => entries.iter().map(|entry| entry.seq.0).collect(),
            Ruling::Trip { answers, .. } => panic!("tripped after {answers}"),
        }
    }

    #[test]
    fn the_first_five_answers_all_refused_end_the_run() {
        let mut breaker = Breaker::new();
        for seq in 0..4 {
            assert!(passed(breaker.judge(refused(seq))).is_empty());
        }
        assert!(matches!(breaker.judge(refused(4)), Ruling::Trip { status: 401, answers: 5 }));
        assert_eq!(breaker.release().0.len(), 5);
    }

    #[test]
    fn twenty_in_a_row_later_end_the_run_and_any_other_answer_ends_the_row() {
        let mut breaker = Breaker::new();
        assert_eq!(passed(breaker.judge(fetched(0))), [0]);
        for seq in 1..20 {
            assert!(passed(breaker.judge(refused(seq))).is_empty());
        }
        assert_eq!(passed(breaker.judge(fetched(20))).len(), 20);
        for seq in 21..40 {
            assert!(passed(breaker.judge(refused(seq))).is_empty());
        }
        assert!(matches!(breaker.judge(refused(40)), Ruling::Trip { answers: 20, .. }));
    }

    #[test]
    fn an_answer_that_was_under_way_when_the_credentials_expired_ends_no_row() {
        let mut breaker = Breaker::new();
        assert_eq!(passed(breaker.judge(fetched(0))), [0]);
        for seq in [2, 4, 5] {
            assert!(passed(breaker.judge(refused(seq))).is_empty());
        }
        assert_eq!(passed(breaker.judge(fetched(1))), [1]);
        assert_eq!(passed(breaker.judge(fetched(3))), [2, 3]);
        for seq in 6..23 {
            assert!(passed(breaker.judge(refused(seq))).is_empty());
        }
        assert!(matches!(breaker.judge(refused(23)), Ruling::Trip { answers: 20, .. }));
        assert_eq!(breaker.release().0.len(), 20);
    }

    #[test]
    fn an_entry_without_an_answer_says_nothing_about_credentials() {
        let mut breaker = Breaker::new();
        passed(breaker.judge(refused(0)));
        let lost = entry(1, Outcome::Failed(Fault::new(Cause::Lost, "lost")));
        assert_eq!(passed(breaker.judge(lost)), [1]);
        assert_eq!(breaker.release().1, Some(401));
    }

    #[test]
    fn alternating_refusals_never_trip() {
        let mut breaker = Breaker::new();
        let passed: usize = (0..200)
            .map(|seq| passed(breaker.judge(if seq % 2 == 0 { refused(seq) } else { fetched(seq) })).len())
            .sum();
        assert_eq!(passed, 200);
    }
}
