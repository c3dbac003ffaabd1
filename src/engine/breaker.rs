//! Refused credentials stop the run early; single forbidden SKUs do not.

use std::time::Instant;

use crate::model::{Entry, Outcome};

/// The first answers of a run, if all are refusals, end it.
const FIRST: usize = FIRST_ATTEMPTS as usize;
/// So many attempts bring them.
pub(crate) const FIRST_ATTEMPTS: u32 = 5;
/// Refusals in a row that end a run later on.
const LATER: usize = 20;

/// Holds refused entries until it is known whether they are failures of their SKUs or of the credentials; a run that
/// stops for them defers them. Two questions are kept apart:
///
/// - What ends a row of refusals: any other answer to a later SKU.
/// - What shows that a refusal was the SKU's own: a good answer to a request that left after the refusal came.
///   A later SKU may have been asked before, while the credentials were still good.
#[derive(Debug)]
pub(crate) struct Breaker {
    held: Vec<PendingRefusal>,
    limit: usize,
    last_status: u16,
}

/// A refused entry.
#[derive(Debug)]
struct PendingRefusal {
    entry: Entry,
    /// The other keys of its pack, which had the same answer.
    companions: Vec<Entry>,
    /// When its answer came.
    came: Instant,
    /// No other answer has ended its row.
    is_in_row: bool,
}

impl PendingRefusal {
    fn into_entries(self) -> impl Iterator<Item = Entry> {
        std::iter::once(self.entry).chain(self.companions)
    }
}

/// A row of 403 that is enough to end the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowOf403 {
    /// Nothing else has come yet.
    First,
    /// A good answer came before, or beside it.
    AfterGoodAnswers,
}

/// What to do after an entry.
#[derive(Debug)]
pub(crate) enum Ruling {
    /// These entries stand as they are.
    Pass(Vec<Entry>),
    /// The credentials are refused: the run ends, and what is held is deferred.
    Trip {
        /// 401, 403 or 407.
        status: u16,
        /// How many answers in a row were refusals.
        answers: usize,
        /// What the server said in the last that has a body; may be empty.
        said: Box<str>,
    },
}

impl Breaker {
    /// At the start of a run.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self { held: Vec::new(), limit: FIRST, last_status: 0 }
    }

    /// Takes an entry that ended with an answer or without one. `now` is called for refusals only.
    pub(crate) fn judge(&mut self, entry: Entry, now: impl FnOnce() -> Instant) -> Ruling {
        self.judge_pack(entry, Vec::new(), now)
    }

    /// Whether an entry stands as it is, and nothing is held that it says something about. So it is with nearly all
    /// entries, which then need not be moved.
    pub(crate) fn lets_pass(&mut self, entry: &Entry) -> bool {
        let passes = self.held.is_empty() && entry.outcome.refused().is_none();
        if passes && is_other_answer(&entry.outcome) {
            self.limit = LATER;
        }
        passes
    }

    /// The same for all keys of a pack that one answer refused.
    pub(crate) fn judge_pack(
        &mut self,
        entry: Entry,
        companions: Vec<Entry>,
        now: impl FnOnce() -> Instant,
    ) -> Ruling {
        if let Some(status) = entry.outcome.refused() {
            self.held.push(PendingRefusal { entry, companions, came: now(), is_in_row: true });
            self.last_status = status;
            let answers = self.held.iter().filter(|held| held.is_in_row).count();
            if answers < self.limit {
                return Ruling::Pass(Vec::new());
            }
            return Ruling::Trip { status, answers, said: self.said() };
        }
        if self.lets_pass(&entry) {
            return Ruling::Pass(vec![entry]);
        }
        if is_other_answer(&entry.outcome) {
            self.limit = LATER;
            for held in self.held.iter_mut().filter(|held| held.entry.seq < entry.seq) {
                held.is_in_row = false;
            }
        }
        if !entry.outcome.shows_good_credentials() {
            return Ruling::Pass(vec![entry]);
        }
        let mut passed = self.vouch(entry.sent);
        passed.push(entry);
        Ruling::Pass(passed)
    }

    /// The last refusing status, and how many refusals are held; none where nothing is.
    #[must_use]
    pub(crate) fn pending(&self) -> Option<(u16, usize)> {
        let skus = self.held.iter().map(|held| 1 + held.companions.len()).sum();
        (skus > 0).then_some((self.last_status, skus))
    }

    /// What the server said in the last refusal that is held and has a body; may be empty.
    #[must_use]
    pub(crate) fn said(&self) -> Box<str> {
        let details = self.held.iter().rev().filter_map(|held| match &held.entry.outcome {
            Outcome::Failed(fault) => Some(&fault.detail),
            _ => None,
        });
        details.into_iter().find(|detail| !detail.is_empty()).cloned().unwrap_or_default()
    }

    /// Whether no answer but refusals has come yet.
    #[must_use]
    pub(crate) fn is_first_row(&self) -> bool {
        self.limit == FIRST
    }

    /// A SKU that had its answer before was requested again and answered: refusals that came before that request left
    /// are the SKUs' own.
    pub(crate) fn vouch(&mut self, sent: Option<Instant>) -> Vec<Entry> {
        self.limit = LATER;
        let settled = |held: &mut PendingRefusal| sent.is_some_and(|sent| held.came < sent);
        self.held.extract_if(.., settled).flat_map(PendingRefusal::into_entries).collect()
    }

    /// Whether nothing but refusals has come yet, which are enough to end the run.
    #[must_use]
    pub(crate) fn is_first_row_full(&self) -> bool {
        self.is_first_row() && self.held.iter().filter(|held| held.is_in_row).count() >= self.limit
    }

    /// Whether nothing but 403 is held that nothing explains.
    #[must_use]
    pub(crate) fn holds_only_403(&self) -> bool {
        self.held.iter().all(|held| held.entry.outcome.is_forbidden())
    }

    /// What is still held when the run is over.
    pub(crate) fn release(&mut self) -> impl Iterator<Item = Entry> + use<> {
        std::mem::take(&mut self.held).into_iter().flat_map(PendingRefusal::into_entries)
    }

    /// The refusing status, if no answer of the run was anything else.
    #[must_use]
    pub(crate) fn all_refused(&self) -> Option<u16> {
        (self.limit == FIRST && !self.held.is_empty()).then_some(self.last_status)
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self::new()
    }
}

/// An answer that is no refusal. A refusing status that `--null-on` stores as `null` counts neither way.
fn is_other_answer(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Fetched(answer) => !matches!(answer.status, 401 | 403 | 407),
        Outcome::Failed(fault) => fault.status.is_some(),
        Outcome::Deferred(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::model::{Answer, Cause, Content, Fault, Fingerprint, Key, Seq, Validators};

    /// A breaker with a clock of its own, in milliseconds.
    struct Trial {
        breaker: Breaker,
        start: Instant,
    }

    impl Trial {
        fn new() -> Self {
            Self { breaker: Breaker::new(), start: Instant::now() }
        }

        /// An entry whose request left at one time and whose answer came at another.
        fn judge(&mut self, seq: u32, (sent, came): (u64, u64), outcome: Outcome) -> Ruling {
            let before = (self.breaker.held.len(), self.breaker.limit);
            let at = |millis| self.start + Duration::from_millis(millis);
            let entry = Entry {
                seq: Seq(seq),
                line: 2,
                key: Key::parse(b"A").unwrap(),
                fingerprint: Fingerprint(0),
                attempts: 1,
                sent: Some(at(sent)),
                outcome,
                record: csv::ByteRecord::new(),
                address: None,
                request: None,
                is_companion: false,
            };
            // Asked first, it changes nothing of the ruling.
            let passes = self.breaker.lets_pass(&entry);
            assert!(passes || before == (self.breaker.held.len(), self.breaker.limit));
            let ruling = self.breaker.judge(entry, || at(came));
            let passed_alone = matches!(&ruling, Ruling::Pass(entries) if entries.len() == 1);
            assert_eq!(passes, before.0 == 0 && passed_alone);
            ruling
        }

        /// One request after the other: each leaves when the one before was answered.
        fn next(&mut self, seq: u32, outcome: Outcome) -> Ruling {
            let at = u64::from(seq) * 10;
            self.judge(seq, (at + 1, at + 10), outcome)
        }
    }

    fn refused() -> Outcome {
        failed(401)
    }

    fn failed(status: u16) -> Outcome {
        Outcome::Failed(Fault::of_status(status, format!("said {status}")))
    }

    fn fetched() -> Outcome {
        stored(200)
    }

    fn stored(status: u16) -> Outcome {
        let content = Content::Json(b"1"[..].into());
        Outcome::Fetched(Answer {
            status,
            at: SystemTime::now(),
            content,
            validators: Validators::default(),
            raw: None,
            error: None,
        })
    }

    fn passed(ruling: Ruling) -> Vec<u32> {
        match ruling {
            Ruling::Pass(entries) => entries.iter().map(|entry| entry.seq.0).collect(),
            Ruling::Trip { answers, .. } => panic!("tripped after {answers}"),
        }
    }

    #[test]
    fn the_first_five_answers_all_refused_end_the_run() {
        let mut trial = Trial::new();
        for seq in 0..4 {
            assert!(passed(trial.next(seq, refused())).is_empty());
        }
        assert!(
            matches!(trial.next(4, refused()), Ruling::Trip { status: 401, answers: 5, said } if &*said == "said 401")
        );
        assert_eq!(trial.breaker.release().count(), 5);
    }

    #[test]
    fn twenty_in_a_row_later_end_the_run_and_any_other_answer_ends_the_row() {
        for other in [fetched(), failed(404), failed(500)] {
            let ends_doubt = !matches!(&other, Outcome::Failed(fault) if fault.status == Some(500));
            let mut trial = Trial::new();
            assert_eq!(passed(trial.next(0, fetched())), [0]);
            for seq in 1..20 {
                assert!(passed(trial.next(seq, refused())).is_empty());
            }
            // A server that fails says nothing of credentials.
            assert_eq!(passed(trial.next(20, other)).len(), if ends_doubt { 20 } else { 1 });
            for seq in 21..40 {
                assert!(passed(trial.next(seq, refused())).is_empty());
            }
            assert!(matches!(trial.next(40, refused()), Ruling::Trip { answers: 20, .. }));
            assert_eq!(trial.breaker.release().count(), if ends_doubt { 20 } else { 39 });
        }
    }

    #[test]
    fn an_answer_that_was_under_way_when_the_credentials_expired_ends_no_row() {
        let mut trial = Trial::new();
        assert_eq!(passed(trial.judge(0, (0, 5), fetched())), [0]);
        for seq in [2, 4, 5] {
            assert!(passed(trial.judge(seq, (10, 20), refused())).is_empty());
        }
        assert_eq!(passed(trial.judge(1, (9, 21), fetched())), [1]);
        for seq in 6..22 {
            assert!(passed(trial.judge(seq, (22, 30), refused())).is_empty());
        }
        assert!(matches!(trial.judge(22, (22, 30), refused()), Ruling::Trip { answers: 20, .. }));
        assert_eq!(trial.breaker.release().count(), 20);
    }

    #[test]
    fn a_later_sku_that_was_asked_before_the_refusal_came_ends_the_row_and_settles_nothing() {
        let mut trial = Trial::new();
        passed(trial.judge(0, (0, 5), fetched()));
        assert!(passed(trial.judge(1, (10, 20), refused())).is_empty());
        assert_eq!(passed(trial.judge(2, (10, 30), fetched())), [2], "under way when 1 was refused");
        assert_eq!(trial.breaker.pending(), Some((401, 1)));
        for seq in 3..22 {
            assert!(passed(trial.judge(seq, (31, 40), refused())).is_empty(), "the row began anew");
        }
        assert!(matches!(trial.judge(22, (31, 40), refused()), Ruling::Trip { answers: 20, .. }));
        assert_eq!(trial.breaker.release().count(), 21, "and all of them are in doubt");
    }

    #[test]
    fn a_good_answer_to_what_left_later_settles_refusals_of_earlier_and_later_skus() {
        let mut trial = Trial::new();
        passed(trial.judge(0, (0, 5), fetched()));
        passed(trial.judge(2, (10, 20), refused()));
        passed(trial.judge(9, (10, 20), refused()));
        passed(trial.judge(5, (21, 35), refused()));
        assert_eq!(passed(trial.judge(4, (30, 40), fetched())), [2, 9, 4]);
        assert_eq!(trial.breaker.pending(), Some((401, 1)));
    }

    #[test]
    fn an_entry_without_an_answer_says_nothing_about_credentials() {
        let mut trial = Trial::new();
        passed(trial.next(0, refused()));
        assert_eq!(passed(trial.next(1, Outcome::Failed(Fault::new(Cause::Lost, "lost")))), [1]);
        assert_eq!(trial.breaker.all_refused(), Some(401));
    }

    #[test]
    fn a_refusing_status_that_is_stored_as_null_counts_neither_way() {
        let mut trial = Trial::new();
        for seq in 0..8 {
            let outcome = if seq % 2 == 0 { refused() } else { stored(403) };
            passed(trial.next(seq, outcome));
        }
        assert!(matches!(trial.next(8, refused()), Ruling::Trip { answers: 5, .. }));
    }

    #[test]
    fn alternating_refusals_never_trip_and_are_settled_as_they_come() {
        let mut trial = Trial::new();
        let count: usize = (0..200)
            .map(|seq| passed(trial.next(seq, if seq % 2 == 0 { refused() } else { fetched() })).len())
            .sum();
        assert_eq!((count, trial.breaker.pending()), (200, None));
    }
}
