//! Progress without a terminal: a line every ten seconds that a log or a mail can keep.
//!
//! The first is printed after ten seconds, so a short run from cron prints its summary and nothing else.

use std::time::Duration;

use crate::report::console::progress_snapshot::ProgressSnapshot;
use crate::report::format;

const EVERY: Duration = Duration::from_secs(10);

/// When the next plain line is due.
#[derive(Debug)]
pub(crate) struct PlainInterval {
    due: Duration,
}

impl Default for PlainInterval {
    fn default() -> Self {
        Self { due: EVERY }
    }
}

impl PlainInterval {
    /// True once in every ten seconds of the run; a late caller gets one line, not those it missed.
    pub(crate) fn is_due(&mut self, elapsed: Duration) -> bool {
        let due = elapsed >= self.due;
        if due {
            let periods = elapsed.as_secs() / EVERY.as_secs();
            self.due = Duration::from_secs((periods + 1).saturating_mul(EVERY.as_secs()));
        }
        due
    }
}

/// `20 s: 2,431 of 6,000 (40 %) · 243/s · 64 in flight · 41 retries · 6 failed · 15 s left`
pub(crate) fn line(snapshot: &ProgressSnapshot) -> String {
    let done = format::count(snapshot.done);
    let progress = match snapshot.total {
        Some(total) => {
            let percent = (snapshot.done.min(total) * 100).checked_div(total).unwrap_or(100);
            format!("{done} of {} ({percent} %)", format::count(total))
        }
        None => format::counted(snapshot.done, "row", "rows"),
    };
    let at = format::time_left(Duration::from_secs(snapshot.elapsed.as_secs()));
    let mut parts = vec![format!("{at}: {progress}"), snapshot.pace()];
    parts.extend(snapshot.learnt());
    parts.push(snapshot.flying());
    parts.extend([snapshot.retried(), snapshot.failures(), snapshot.time_left()].into_iter().flatten());
    parts.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::LearnedLimit;
    use crate::model::Reporter;
    use crate::report::test_report::{
        FETCHED, RETRY_AFTER, from_cron, on_terminal, report_to_memory, status_at,
    };
    use crate::report::{ProgressMode, ReportSettings};

    fn snapshot() -> ProgressSnapshot {
        ProgressSnapshot {
            elapsed: Duration::from_millis(20_070),
            done: 2_431,
            total: Some(6_000),
            rate: 243.0,
            in_flight: 64,
            limit: 64,
            retries: 41,
            failed: 6,
            paused: None,
            learned: None,
            left: Some(Duration::from_millis(14_700)),
        }
    }

    #[test]
    fn a_plain_line_says_how_far_and_how_fast() {
        assert_eq!(
            line(&snapshot()),
            "20 s: 2,431 of 6,000 (40 %) · 243/s · 64 in flight · 41 retries · 6 failed · 15 s left"
        );
        let unknown = ProgressSnapshot { total: None, left: None, retries: 0, failed: 0, ..snapshot() };
        assert_eq!(line(&unknown), "20 s: 2,431 rows · 243/s · 64 in flight");
        let empty = ProgressSnapshot { total: Some(0), done: 0, ..unknown };
        assert_eq!(line(&empty), "20 s: 0 of 0 (100 %) · 243/s · 64 in flight");
    }

    #[test]
    fn a_learnt_limit_stands_beside_the_rate() {
        let learned = Some(LearnedLimit::Rate(0.5));
        let text = line(&ProgressSnapshot { learned, rate: 0.5, in_flight: 1, ..snapshot() });
        assert!(text.contains(" · 30/min · 30/m learnt · 1 in flight · "), "{text}");
    }

    #[test]
    fn a_pause_is_shown_in_place_of_the_rate() {
        let paused = Some((Duration::from_secs(12), RETRY_AFTER));
        let text = line(&ProgressSnapshot { paused, in_flight: 0, ..snapshot() });
        assert!(text.contains(" · paused 12 s: 429 with Retry-After · 0 in flight · "), "{text}");
    }

    #[test]
    fn a_line_is_due_every_ten_seconds_and_late_ones_are_not_made_up() {
        let mut cadence = PlainInterval::default();
        let mut at = |seconds| cadence.is_due(Duration::from_secs(seconds));
        assert!(!at(0) && !at(9));
        assert!(at(10) && !at(10) && !at(19));
        assert!(at(47) && !at(49) && at(50));
    }

    #[test]
    fn from_cron_a_short_run_prints_only_its_summary_and_a_long_one_a_line_every_ten_seconds() {
        let (report, stderr) = report_to_memory(from_cron());
        report.started(Some(6_000));
        for tenth in 0..100 {
            report.tick(&status_at(f64::from(tenth) / 10.0));
        }
        assert_eq!(stderr.text(), "");
        report.on(&FETCHED);
        for tenth in 100..=305 {
            report.tick(&status_at(f64::from(tenth) / 10.0));
        }
        let text = stderr.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].starts_with("10 s: 1 of 6,000 (0 %) · 6.0/min · 64 in flight · "), "{text}");
        assert!(lines[2].starts_with("30 s: "), "{text}");
    }

    #[test]
    fn with_progress_none_a_long_run_prints_nothing_before_its_summary() {
        let (report, stderr) =
            report_to_memory(ReportSettings { progress: ProgressMode::None, ..on_terminal() });
        report.tick(&status_at(5.0));
        report.tick(&status_at(50.0));
        assert_eq!(stderr.text(), "");
    }
}
