//! What `tune` measured, and the number that follows from it.

use std::fmt;
use std::time::Duration;

use crate::limit::LearnedLimit;
use crate::limit::climb::{ClimbEnd, Rung, best};
use crate::model::Rate;
use crate::model::option::{CONCURRENCY, RATE};
use crate::report::run_stats::CauseGroup;
use crate::report::verdict::{per_second, typed_rate};

/// What to type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proposal {
    /// `--rate`, since the API limits it.
    Rate(String),
    /// `--concurrency`.
    Workers(usize),
}

/// The concurrency to type: at a limited rate `auto` does.
impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate(_) => f.write_str("auto"),
            Self::Workers(workers) => write!(f, "{workers}"),
        }
    }
}

/// What the answers of a climb were worth, the errors apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TunedAnswers {
    /// A fetch would keep them.
    pub(crate) good: u64,
    /// A fetch would store `null` for them.
    pub(crate) nulls: u64,
    /// They would fail their SKU, such as a 404 or a body that is no JSON.
    pub(crate) failed: u64,
    /// Of the good ones, how many have the commonest body.
    pub(crate) same_body: u64,
}

/// Why nothing can be named, however fast the answers came: they are not those of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerDoubt {
    /// Most answers would fail their SKU.
    MostFail,
    /// All answers are `null`.
    OnlyNulls,
    /// More than half of the answers have the same body.
    SameBody,
}

/// With fewer answers a body that comes twice says nothing.
const FEWEST_BODIES: u64 = 10;

impl TunedAnswers {
    /// Why they say nothing of the API, if they do not.
    #[must_use]
    pub(crate) fn doubt(self) -> Option<AnswerDoubt> {
        let Self { good, nulls, failed, same_body } = self;
        if failed > good + nulls {
            return Some(AnswerDoubt::MostFail);
        }
        if good == 0 && nulls > 0 {
            return Some(AnswerDoubt::OnlyNulls);
        }
        (good >= FEWEST_BODIES && same_body * 2 > good).then_some(AnswerDoubt::SameBody)
    }
}

/// The result of a climb.
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
#[derive(Debug, Clone)]
pub(crate) struct TuneResult {
    /// Every rung.
    pub(crate) rungs: Vec<Rung>,
    /// Why there are no more.
    pub(crate) end: ClimbEnd,
    /// The limit that was learnt once the API refused.
    pub(crate) sustained: Option<LearnedLimit>,
    /// The API refused and no limit was found: what was measured may be a burst.
    pub(crate) may_be_burst: bool,
    /// The most workers that were allowed.
    pub(crate) ceiling: usize,
    /// `--rate`.
    pub(crate) rate: Option<Rate>,
    /// Requests of the whole climb.
    pub(crate) requests: u64,
    /// What the answers were worth.
    pub(crate) answers: TunedAnswers,
    /// Its time.
    pub(crate) elapsed: Duration,
    /// Rows of the sample at most.
    pub(crate) sample: u64,
    /// The input has no rows beyond the sample.
    pub(crate) whole_input: bool,
    /// Failures by cause.
    pub(crate) causes: Vec<CauseGroup>,
    /// A number can be named: the API answered to the end and accepted the credentials.
    pub(crate) sound: bool,
    /// INPUT.
    pub(crate) input: String,
    /// What was requested, without secrets.
    pub(crate) request: String,
    /// The command to paste, but for its concurrency.
    pub(crate) command: String,
    /// Something in it is not shown.
    pub(crate) hides: bool,
}

impl TuneResult {
    fn is_sound(&self) -> bool {
        self.sound && self.answers.doubt().is_none()
    }

    /// The rung to name.
    #[must_use]
    pub(crate) fn best(&self) -> Option<&Rung> {
        best(&self.rungs).filter(|_| self.is_sound() && !self.may_be_burst)
    }

    /// What to type, if anything can be named.
    #[must_use]
    pub(crate) fn proposal(&self) -> Option<Proposal> {
        match self.sustained.filter(|_| self.is_sound()) {
            Some(limit) => Some(Proposal::Rate(typed_rate(per_second(limit)))),
            None => self.best().map(|best| Proposal::Workers(best.workers)),
        }
    }

    /// Requests that are counted in no rung.
    pub(crate) fn of_no_rung(&self) -> u64 {
        self.requests.saturating_sub(self.rungs.iter().map(|rung| rung.requests).sum())
    }

    /// The command to paste, where something can be named.
    pub(crate) fn paste(&self) -> Option<String> {
        Some(match self.proposal()? {
            Proposal::Rate(rate) => format!("{} {RATE} {rate}", self.command),
            Proposal::Workers(workers) => format!("{} {CONCURRENCY} {workers}", self.command),
        })
    }
}
