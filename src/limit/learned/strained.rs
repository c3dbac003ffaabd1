//! 500, 502, 503 and 504 without a wait: a refusal, a rate to try, or nothing.

use std::time::Duration;

use tokio::time::Instant;

use super::rate::LearnedRate;
use super::strain::StrainVerdict;
use super::{EndedAttempt, LearnedLimits, RECENT, SEVERAL};

/// While a rate is tried, a share of failures is expected.
const SEVERAL_IN_TRIAL: u32 = 14;
const RECENT_IN_TRIAL: u32 = 16;
/// With no more in flight than this …
const FEWEST: usize = 2;
/// … so many …
const SEVERAL_AT_FEWEST: u32 = 7;
/// … of so many.
const RECENT_AT_FEWEST: u32 = 20;

/// So many in a row show that everything fails again, after as many were accepted as the last time.
const IN_A_ROW: u32 = 2;

/// So many of the newest 32 outcomes are many.
const MANY: u32 = 8;

impl LearnedLimits {
    /// Whether a fair part of the newest outcomes are refusals.
    pub(in crate::limit) fn are_many_refused(&self) -> bool {
        self.recent.count_ones() >= MANY
    }

    /// Takes note of an answer that may be a refusal. `is_few`: there would be little to gain from fewer in flight.
    pub(in crate::limit) fn strained(
        &mut self,
        ended: &EndedAttempt,
        (is_few, usual): (bool, Duration),
        now: Instant,
    ) -> StrainVerdict {
        let rate = self.rate.as_ref().map(LearnedRate::per_second);
        let is_trying = self.strain.is_trying();
        if rate.is_none() {
            self.strain.forget_if_lowered(ended.level, usual, now);
        }
        let verdict = self.strain.strained(ended, rate, now);
        match verdict {
            Some(StrainVerdict::FoundChance) => {
                self.shelved_rate = self.rate.take();
                self.window = None;
                self.recent = 0;
                return StrainVerdict::FoundChance;
            }
            Some(StrainVerdict::MoreThanChance) => {
                self.note(true);
                // The server did accept that rate; one that was learnt since is newer. It had fallen by failures that
                // count no more, so that it grows fast until one does.
                let rate = self.rate.take().or(self.shelved_rate.take());
                self.rate = rate.map(|rate| LearnedRate::new(rate.per_second(), true, now));
                self.resume(now);
                return StrainVerdict::Refused;
            }
            Some(StrainVerdict::TriesMuchLower { part }) => {
                let per_second = rate.unwrap_or_default() * part;
                self.rate = Some(LearnedRate::new(per_second, false, now));
                self.recent = 0;
                self.strain.try_much_lower(per_second, ended.departures, now);
                return StrainVerdict::TriesRate;
            }
            Some(StrainVerdict::TriesBelow) => {
                if let Some(rate) = &mut self.rate {
                    rate.hold_below(now, ended);
                }
            }
            _ => {}
        }
        if verdict.is_some() && !is_trying {
            return StrainVerdict::Chance;
        }
        self.note(true);
        self.failing_since.get_or_insert(now);
        if self.is_idle() && self.newest(IN_A_ROW) == IN_A_ROW && self.is_as_before_closing() {
            return StrainVerdict::Refused;
        }
        // With one or two in flight it takes a smaller share of more outcomes: fewer in flight would not help.
        let are_several = if is_trying {
            self.newest(RECENT_IN_TRIAL) >= SEVERAL_IN_TRIAL
        } else {
            self.newest(RECENT) >= SEVERAL
        };
        let are_several_at_fewest =
            ended.level <= FEWEST && self.newest(RECENT_AT_FEWEST) >= SEVERAL_AT_FEWEST;
        if let Some(verdict) = verdict.filter(|_| !are_several && !ended.is_probe) {
            return verdict;
        }
        if is_trying {
            self.strain.end_trial();
        }
        if let Some(rate) = &mut self.rate {
            if self.strain.doubts(rate.per_second(), now) {
                rate.lower(now);
                self.strain.try_lowered(rate.per_second(), ended.departures, now);
                return StrainVerdict::Chance;
            }
            return StrainVerdict::Refused;
        }
        let are_several = is_few && (are_several || are_several_at_fewest);
        if self.is_idle()
            && !ended.is_probe
            && let Some(per_second) = self.strain.rate_to_try(usual, are_several, now)
        {
            self.rate = Some(LearnedRate::new(per_second, false, now));
            self.recent = 0;
            self.strain.try_rate(per_second, ended.departures, now);
            return StrainVerdict::TriesRate;
        }
        let may_try_soon = self.strain.are_some_accepted();
        let is_refusal = !self.is_idle() || ended.is_probe || (are_several && !may_try_soon);
        if is_refusal { StrainVerdict::Refused } else { StrainVerdict::ForNumber }
    }
}
