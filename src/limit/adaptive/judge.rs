//! What a complete measurement leads to, mode by mode.

use super::arm::Arm;
use super::{Adaptive, ArmEnd, ELASTICITY, LOSS, MARGIN, Mode, PATIENCE_MAX, RISE, START_RISE, Try, UNEASE};
use crate::model::LimitChangeReason;

impl Adaptive {
    /// A measurement is complete.
    pub(super) fn judge(&mut self, end: ArmEnd) -> Option<LimitChangeReason> {
        let arm = self.arm;
        let reason = match self.mode {
            Mode::Start => Some(self.judge_start(&arm, end)),
            Mode::Hold => self.judge_hold(&arm, end),
            Mode::Up { this, .. } => Some(self.judge_up(&this, &arm, end)),
            Mode::Down { this } => self.judge_down(&this, &arm, end),
        };
        if arm.good > 0 && self.lowest.is_none_or(|lowest| arm.wait() < lowest) {
            self.lowest = Some(arm.wait());
        }
        reason
    }

    fn judge_start(&mut self, arm: &Arm, end: ArmEnd) -> LimitChangeReason {
        let lowest = self.lowest.unwrap_or(f64::INFINITY);
        if arm.wait() > START_RISE * lowest {
            self.limit = self.knee(arm, lowest);
            self.rest(end.now, false, PATIENCE_MAX);
            self.enter(Mode::Hold, end.departures);
            return LimitChangeReason::LatencyRises;
        }
        self.prove(arm);
        let mode = if self.limit == self.max { Mode::Hold } else { Mode::Start };
        self.enter(mode, end.departures);
        LimitChangeReason::ThroughputGrows
    }

    fn judge_hold(&mut self, arm: &Arm, end: ArmEnd) -> Option<LimitChangeReason> {
        self.prove(arm);
        self.held.merge(arm);
        let uneasy = self.held.bad >= 4 && self.held.refused() > UNEASE + 1.5 * self.noise;
        if !uneasy {
            self.borne = self.held.refused();
        }
        let rise = arm.wait() / self.lowest.unwrap_or(f64::INFINITY);
        if end.now < self.rest_until {
            self.enter(Mode::Hold, end.departures);
        } else if uneasy && self.limit > 1 {
            self.arm = self.held;
            self.down(0.9, end.departures);
            return Some(LimitChangeReason::SomeRefused);
        } else if rise > RISE && self.limit > 1 && !(self.vain && self.limit < self.max) {
            let knee = self.knee(arm, self.lowest.unwrap_or(f64::INFINITY)) as f64 / self.limit as f64;
            self.down(if rise > START_RISE { knee.clamp(0.5, 0.8) } else { 0.8 }, end.departures);
            return Some(LimitChangeReason::LatencyRises);
        } else if self.limit < self.max && self.rest_good == 0 {
            self.up(arm, end.departures);
        } else {
            self.enter(Mode::Hold, end.departures);
        }
        None
    }

    fn judge_up(&mut self, this: &Try, arm: &Arm, end: ArmEnd) -> LimitChangeReason {
        let added = arm.level() / this.before.level();
        // Noise hides what a small step brings: it is only refused if latency rises clearly.
        let least = if added < MARGIN { added / RISE } else { added.powf(ELASTICITY) };
        if arm.worth() / this.before.worth() >= least {
            self.prove(arm);
            if self.limit as f64 > self.failed_at as f64 * MARGIN {
                self.failed = 0;
            }
            self.step = self.step.map(|step| step * 2).filter(|step| *step < self.limit / 2);
            if self.limit < self.max {
                self.up(arm, end.departures);
            } else {
                self.enter(Mode::Hold, end.departures);
            }
            return LimitChangeReason::ThroughputGrows;
        }
        self.limit = this.from;
        self.failed_at = this.from;
        self.rest(end.now, false, PATIENCE_MAX);
        self.enter(Mode::Hold, end.departures);
        LimitChangeReason::NoGain
    }

    fn judge_down(&mut self, this: &Try, arm: &Arm, end: ArmEnd) -> Option<LimitChangeReason> {
        if arm.worth() >= this.before.worth() * (1.0 - LOSS) {
            self.proven = self.proven.min(self.limit);
            self.enter(Mode::Hold, end.departures);
            return None;
        }
        self.limit = this.from;
        self.vain = true;
        // What was seen up there is not the level's fault.
        self.lowest = Some(this.before.wait());
        self.noise = self.noise.max(this.before.refused().min(arm.refused() * 2.0));
        self.rest(end.now, false, PATIENCE_MAX);
        self.enter(Mode::Hold, end.departures);
        Some(LimitChangeReason::FewerWereSlower)
    }
}
