//! When probes leave where the server does not say how long to wait.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// The first pause. Source: the contract, section 3.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Where the server may fail by itself, a second probe follows the first one that fails so much later.
pub(super) const SECOND_PROBE: Duration = Duration::from_millis(100);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// When probes leave, counted from the beginning of the cycle, in milliseconds: about twice as late each time, so that
/// a window of a usual length is found to be over soon after it is.
const PROBES: [u64; 9] = [1_250, 2_600, 5_150, 10_250, 20_350, 30_450, 60_600, 120_800, 181_000];
/// After so many refused probes, one leaves with the whole minute of the clock.
pub(super) const MINUTE_AFTER: u32 = 6;
/// A window of a minute may begin with the minute of the server's clock; clocks differ by about this much.
pub(super) const CLOCK_MARGIN: Duration = Duration::from_millis(300);

/// Where probes were farther apart than this when the server opened, that distance is not waited for again: it may have been
/// closed for another reason, and may now be closed for a moment only.
const GAP_MOST: Duration = Duration::from_secs(20);

/// A time in which the server refused everything, and that the probes found the end of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Closing {
    /// From the first refusal to the probe that was accepted.
    pub(super) lasted: Duration,
    /// From the newest refused probe to the one that was accepted.
    pub(super) gap: Duration,
}

impl Closing {
    /// When the next probe leaves if the server is closed again, for the same reason. Some servers refuse for as long as
    /// before, counted from the first refusal at `since`; others count from the newest one, so that each probe that comes
    /// too early costs another ban. None: it is closed for longer than the last time, or that was too long.
    pub(super) fn next_probe(&self, since: Instant, refused: u32, now: Instant) -> Option<Instant> {
        match refused {
            _ if self.gap > GAP_MOST => None,
            1 => Some(now + self.gap),
            2 => Some(since + self.lasted).filter(|at| *at > now + FIRST_PAUSE),
            _ => None,
        }
    }
}

/// When the next probe leaves, after so many that were refused: later and later, and where a window of a usual length
/// would be over.
pub(super) fn next_probe(now: Instant, elapsed: Duration, refused: u32, clock: SystemTime) -> Instant {
    let back_off = FIRST_PAUSE.saturating_mul(1 << refused.min(8)).min(LONGEST_PAUSE);
    // Not much less than the back-off, so that probes do not come too fast where the cycle began long ago.
    let least = back_off.mul_f64(0.5).min(Duration::from_secs(10));
    let usual = PROBES.into_iter().map(Duration::from_millis).map(|at| at.saturating_sub(elapsed));
    let wait = usual.filter(|wait| *wait >= least).min().map_or(back_off, |wait| wait.min(back_off * 2));
    let minute = since_minute(clock).map(|since| Duration::from_mins(1).saturating_sub(since) + CLOCK_MARGIN);
    let wait = match minute {
        // Not before windows of ten seconds are over: where a refusal begins them anew, another probe would be refused.
        Some(minute) if refused >= MINUTE_AFTER && minute > least / 4 => wait.min(minute),
        _ => wait,
    };
    now + wait.min(LONGEST_PAUSE)
}

/// The time since the newest whole minute of the clock.
pub(super) fn since_minute(clock: SystemTime) -> Option<Duration> {
    let since = clock.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(Duration::from_nanos((since.as_nanos() % 60_000_000_000).try_into().ok()?))
}
