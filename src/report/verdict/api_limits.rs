//! The limits of the API, as far as a run learnt them or the API announced them.

use std::time::Duration;

use crate::limit::LearnedLimit;
use crate::model::QuotaSize;
use crate::report::format::{self, counted};
use crate::report::verdict::typed_rate::typed_rate;

/// What is known of the API's limits.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct ApiLimits {
    /// What was learnt from refusals.
    pub(crate) learned: Option<LearnedLimit>,
    /// Requests in flight that are accepted, where more were refused and that explains all refusals.
    pub(crate) in_flight: Option<usize>,
    /// Attempts that were refused.
    pub(crate) refused: u64,
    /// What the quota fields said.
    pub(crate) announced: Option<QuotaSize>,
    /// Connections that the server serves at a time, where more were refused or stayed silent.
    pub(crate) connections: Option<usize>,
}

impl ApiLimits {
    /// The learnt limit in attempts a second, where refusals showed it.
    #[must_use]
    pub(crate) fn per_second(&self) -> Option<f64> {
        self.learned.map(per_second)
    }

    /// The limits in words; none where nothing is known.
    ///
    /// `100/m (100 in 60 s), learnt from 7 refusals; the quota fields say 100 in 60 s`
    #[must_use]
    pub(crate) fn text(&self) -> Option<String> {
        let learned = self
            .learned
            .map(|learned| format!("{}, learnt from {}", limit_text(learned), self.refusals_text()));
        let in_flight = self
            .in_flight
            .map(|cap| format!("{}, learnt from {}", in_flight_text(cap), self.refusals_text()));
        let announced = self.announced.map(|QuotaSize { limit, window }| {
            let limit = format::count(format::whole(limit));
            window.map_or_else(
                || format!("the quota fields say {limit}"),
                |window| format!("the quota fields say {limit} in {}", period_text(window)),
            )
        });
        let connections = self.connections.map(connections_text);
        let parts: Vec<String> = [learned, in_flight, announced, connections].into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    fn refusals_text(&self) -> String {
        counted(self.refused, "refusal", "refusals")
    }
}

/// `10 requests in flight`
pub(crate) fn in_flight_text(in_flight: usize) -> String {
    format!("{} in flight", counted(in_flight as u64, "request", "requests"))
}

/// `the server serves 20 connections at a time`
pub(crate) fn connections_text(connections: usize) -> String {
    format!("the server serves {} at a time", counted(connections as u64, "connection", "connections"))
}

/// `20/s`, or `100/m (100 in 60 s)`
#[must_use]
pub(crate) fn limit_text(learned: LearnedLimit) -> String {
    let rate = typed_rate(per_second(learned));
    match learned {
        LearnedLimit::Rate(_) => rate,
        LearnedLimit::Window { capacity, period } => {
            format!("{rate} ({} in {})", format::count(capacity), period_text(period))
        }
    }
}

/// A limit in attempts a second.
#[must_use]
pub(crate) fn per_second(learned: LearnedLimit) -> f64 {
    match learned {
        LearnedLimit::Rate(per_second) => per_second,
        LearnedLimit::Window { capacity, period } => capacity as f64 / period.as_secs_f64().max(1e-3),
    }
}

/// `60 s`, `10.5 s`, `1 h`: a period is called by the number that was configured.
fn period_text(period: Duration) -> String {
    let tenths = (period.as_millis() + 50) / 100;
    match (tenths / 10, tenths % 10) {
        (seconds @ 0..=120, 0) => format!("{seconds} s"),
        (seconds @ 0..=120, tenth) => format!("{seconds}.{tenth} s"),
        (seconds, _) => format::duration(Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: ApiLimits =
        ApiLimits { learned: None, in_flight: None, refused: 0, announced: None, connections: None };

    fn window(capacity: u64, seconds: u64) -> ApiLimits {
        let period = Duration::from_secs(seconds);
        ApiLimits { learned: Some(LearnedLimit::Window { capacity, period }), refused: 7, ..NOTHING }
    }

    fn said(limit: f64, seconds: Option<u64>) -> QuotaSize {
        QuotaSize { limit, window: seconds.map(Duration::from_secs) }
    }

    #[test]
    fn each_limit_is_named_with_what_it_is_known_from() {
        let rate = |per_second| ApiLimits { learned: Some(LearnedLimit::Rate(per_second)), ..NOTHING };
        for (limits, text) in [
            (ApiLimits { refused: 31, ..rate(19.9) }, "20/s, learnt from 31 refusals"),
            (ApiLimits { refused: 1, ..rate(0.5) }, "30/m, learnt from 1 refusal"),
            (window(100, 60), "100/m (100 in 60 s), learnt from 7 refusals"),
            (window(50, 10), "5/s (50 in 10 s), learnt from 7 refusals"),
            (window(50, 3_600), "50/h (50 in 1 h), learnt from 7 refusals"),
            (
                ApiLimits { announced: Some(said(100.0, Some(60))), ..window(100, 60) },
                "100/m (100 in 60 s), learnt from 7 refusals; the quota fields say 100 in 60 s",
            ),
            (
                ApiLimits { announced: Some(said(5_000.0, Some(3_600))), ..NOTHING },
                "the quota fields say 5,000 in 1 h",
            ),
            (ApiLimits { announced: Some(said(40.0, None)), ..NOTHING }, "the quota fields say 40"),
            (
                ApiLimits { in_flight: Some(10), refused: 6, ..NOTHING },
                "10 requests in flight, learnt from 6 refusals",
            ),
            (ApiLimits { connections: Some(20), ..NOTHING }, "the server serves 20 connections at a time"),
            (ApiLimits { connections: Some(1), ..NOTHING }, "the server serves 1 connection at a time"),
        ] {
            assert_eq!(limits.text().as_deref(), Some(text));
        }
    }

    #[test]
    fn refusals_alone_name_no_rate() {
        let limits = ApiLimits { refused: 9, ..NOTHING };
        assert_eq!((limits.text(), limits.per_second()), (None, None));
    }

    #[test]
    fn a_window_is_typed_as_it_was_configured() {
        for (capacity, seconds, rate) in
            [(100, 60, "100/m"), (50, 10, "5/s"), (10, 1, "10/s"), (50, 3_600, "50/h"), (20, 3, "400/m")]
        {
            assert_eq!(window(capacity, seconds).per_second().map(typed_rate).as_deref(), Some(rate));
        }
    }
}
