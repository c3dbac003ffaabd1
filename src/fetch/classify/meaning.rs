//! What an answer means beside its status, by the user's conditions: `--refused-if`, `--null-if`, `--retry-if` and
//! `--fail-if`, in this order.
//!
//! A condition is a jq filter. It says yes with its first value that jq takes for true, that is, any but `false` and
//! `null`. Where there is none, where it fails, or where the body is no JSON, it says no.

use std::time::Duration;

use super::select::{Condition, FilterAnswer, FilterInput, SelectError};
use crate::model::fault::RetryAfter;
use crate::model::option::{FAIL_IF, NULL_IF, REFUSED_IF, RETRY_IF};

/// The longest wait that a number can mean, in seconds: about 30,000 years. Any longer one is too long to be told.
const LONGEST: f64 = 1e12;

/// The conditions of the user, not yet compiled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MeaningSettings {
    /// The answer refuses the credentials, as 401 does. Asked of every answer.
    pub refused: Option<String>,
    /// The answer is stored as `null`. Asked of 2xx.
    pub null: Option<String>,
    /// The answer is not ready, or, with a number, limits the client for so many seconds. Asked of every answer.
    pub retry: Option<String>,
    /// The answer fails its SKU. Asked of 2xx.
    pub fail: Option<String>,
}

impl MeaningSettings {
    /// The conditions that were given, each with its option, in the order in which they are asked.
    pub(crate) fn given(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let Self { refused, null, retry, fail } = self;
        [(REFUSED_IF, refused), (NULL_IF, null), (RETRY_IF, retry), (FAIL_IF, fail)]
            .into_iter()
            .filter_map(|(option, text)| Some((option, text.as_deref()?)))
    }
}

/// The conditions, compiled.
#[derive(Debug)]
pub(super) struct Conditions {
    refused: Option<Condition>,
    null: Option<Condition>,
    retry: Option<Condition>,
    fail: Option<Condition>,
}

/// What the conditions say that come before the status counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConditionRuling {
    /// The credentials are refused.
    Refused,
    /// `null` is stored.
    Null,
    /// It is sent again, at the cost of the SKU.
    Retry,
    /// The server limits the client; with the wait, where one is told.
    Limited(Option<RetryAfter>),
}

/// Why an answer fails its SKU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The condition gives no reason.
    Unexplained,
    /// The reason, as the server or the filter wrote it.
    Because(String),
}

impl Conditions {
    /// Compiles those that were given; nothing where none was.
    ///
    /// # Errors
    /// The option of the first one that is no filter, and why.
    pub(super) fn compile(settings: &MeaningSettings) -> Result<Option<Self>, (&'static str, SelectError)> {
        if settings.given().next().is_none() {
            return Ok(None);
        }
        let one = |option, text: &Option<String>| {
            text.as_deref().map(|text| Condition::compile(text).map_err(|error| (option, error))).transpose()
        };
        Ok(Some(Self {
            refused: one(REFUSED_IF, &settings.refused)?,
            null: one(NULL_IF, &settings.null)?,
            retry: one(RETRY_IF, &settings.retry)?,
            fail: one(FAIL_IF, &settings.fail)?,
        }))
    }

    /// The first condition that says yes, `--fail-if` apart; none: the status decides.
    pub(super) fn rule(&self, input: &FilterInput, is_success: bool) -> Option<ConditionRuling> {
        if says_yes(self.refused.as_ref(), input) {
            return Some(ConditionRuling::Refused);
        }
        if is_success && says_yes(self.null.as_ref(), input) {
            return Some(ConditionRuling::Null);
        }
        retry_ruling(self.retry.as_ref()?, input)
    }

    /// What the conditions say about an answer without an item: those that say the same of nothing at all are about items,
    /// and are not asked. `blank` is an empty object.
    pub(super) fn rule_whole(&self, input: &FilterInput, blank: &FilterInput) -> Option<ConditionRuling> {
        let is_about_it = |condition: &&Condition| condition.answer(blank) == FilterAnswer::No;
        if says_yes(self.refused.as_ref().filter(is_about_it), input) {
            return Some(ConditionRuling::Refused);
        }
        retry_ruling(self.retry.as_ref().filter(is_about_it)?, input)
    }

    /// Whether an answer without an item fails its pack, and why.
    pub(super) fn failure_whole(&self, input: &FilterInput, blank: &FilterInput) -> Option<Failure> {
        self.fail.as_ref().filter(|condition| condition.answer(blank) == FilterAnswer::No)?;
        self.failure(input)
    }

    /// Whether a 2xx that nothing else was said of fails its SKU, and why.
    pub(super) fn failure(&self, input: &FilterInput) -> Option<Failure> {
        match self.fail.as_ref()?.answer(input) {
            FilterAnswer::No => None,
            FilterAnswer::Text(reason) if !reason.trim().is_empty() => Some(Failure::Because(reason)),
            FilterAnswer::Yes | FilterAnswer::Number(_) | FilterAnswer::Text(_) => Some(Failure::Unexplained),
        }
    }
}

fn retry_ruling(condition: &Condition, input: &FilterInput) -> Option<ConditionRuling> {
    match condition.answer(input) {
        FilterAnswer::No => None,
        FilterAnswer::Yes | FilterAnswer::Text(_) => Some(ConditionRuling::Retry),
        FilterAnswer::Number(seconds) => Some(ConditionRuling::Limited(wait(seconds))),
    }
}

fn says_yes(condition: Option<&Condition>, input: &FilterInput) -> bool {
    condition.is_some_and(|condition| condition.answer(input) != FilterAnswer::No)
}

/// A wait of so many seconds. As with `Retry-After`, zero tells no wait, and neither does a number below it or none
/// at all.
fn wait(seconds: f64) -> Option<RetryAfter> {
    if seconds > LONGEST {
        return Some(RetryAfter::TooLong);
    }
    let wait = Duration::try_from_secs_f64(seconds).ok().filter(|wait| !wait.is_zero());
    wait.map(RetryAfter::Wait)
}

#[cfg(all(test, feature = "jq"))]
#[path = "meaning_tests.rs"]
mod tests;
