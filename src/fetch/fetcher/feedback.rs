//! What an attempt came to: for its job, for the reporter, for the gate, and for the run where a wait is too long.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, LINK, RETRY_AFTER};
use tokio::time::Instant;

use super::super::classify::Classification;
use super::super::classify::decode::decode;
use super::super::link::names_next;
use super::super::rate_fields::{self, Credence, ReportedQuota};
use super::super::refusal::{self, RefusalHints};
use super::super::retry_after::retry_after;
use super::super::transport::{RawAnswer, Transport};
use super::requested::Requested;
use super::{Fetcher, Judged, SendOutcome};
use crate::limit::{LoadSignal, Permit};
use crate::model::fault::{ProxyProblem, RetryAfter};
use crate::model::{Cause, Deferral, Event, Fault, LoadClass, QuotaSize, StopReason};

impl<T: Transport> Fetcher<T> {
    /// Judges what an attempt came to, reports it, and says what the gate should learn from it.
    pub(super) async fn judge<R: Requested>(
        &self,
        ended: SendOutcome,
        latency: Duration,
        job: &R,
        permit: &Permit,
    ) -> (Judged<R::Kept>, LoadSignal) {
        let mask = &self.answers.classifier().mask;
        let mut answer = match ended {
            SendOutcome::Answer(answer) => answer,
            SendOutcome::RedirectRefused(fault) => {
                return (Judged::GiveUp(fault.masked(mask)), LoadSignal::Cheap);
            }
            SendOutcome::Failed(error) => return self.judge_send_error(error.fault, latency, job),
        };
        let status = answer.status;
        self.report_answer(job, status, latency, answer.body.len() as u64);
        let fields = RareFields::of(&answer.headers);
        let word = self.word_on_pace(permit, &answer, fields);
        let is_served = status < 400;
        let is_unfollowed = fields.has_link && self.notes_next_pages() && names_next(&answer.headers);
        match job.classify(&self.answers, &mut answer).await.masked(mask) {
            Classification::Keep(answer) if R::refusal_in(&answer).is_some() => {
                let asked = R::refusal_in(&answer).and_then(|fault| fault.retry_after).or(word.asked);
                let signal = PaceWord { is_refusal: true, asked }.signal(status, latency);
                (Judged::Keep(answer), signal)
            }
            Classification::Keep(answer) if is_served => {
                if is_unfollowed {
                    self.unfollowed.fetch_add(1, Ordering::Relaxed);
                }
                (Judged::Keep(answer), LoadSignal::Good { latency })
            }
            // A status, or a body, that is stored as null.
            Classification::Keep(answer) | Classification::KeepNull(answer) => {
                (Judged::Keep(answer), LoadSignal::Cheap)
            }
            Classification::Limited(mut fault) => {
                fault.retry_after = fault.retry_after.or(word.asked);
                let signal = PaceWord { is_refusal: true, asked: fault.retry_after }.signal(status, latency);
                (Judged::Refused(fault), signal)
            }
            // It is no limit, whatever the status says.
            Classification::GiveUp(fault) if matches!(fault.cause, Cause::Meaning(_)) => {
                let signal = of_fault(fault.cause, latency);
                (Judged::GiveUp(fault), signal)
            }
            Classification::Retry(mut fault) if word.is_refusal => {
                fault.retry_after = word.asked;
                let signal = word.signal(status, latency);
                (Judged::Refused(fault), signal)
            }
            Classification::Retry(mut fault) => {
                fault.retry_after = word.asked;
                // "Not ready yet" says nothing about capacity, however fast it came.
                let is_unready = matches!(fault.cause, Cause::Status(..400));
                let signal = if is_unready { LoadSignal::Cheap } else { of_fault(fault.cause, latency) };
                (Judged::Retry(fault), signal)
            }
            Classification::GiveUp(mut fault) if word.is_refusal => {
                fault.retry_after = word.asked;
                let signal = word.signal(status, latency);
                // --retry-on names the statuses that are final; a client error that is told to be a limit is none.
                let is_final = !matches!(status, 400 | 403);
                (if is_final { Judged::GiveUp(fault) } else { Judged::Refused(fault) }, signal)
            }
            Classification::GiveUp(fault) => {
                let signal =
                    if is_served { LoadSignal::Good { latency } } else { of_fault(fault.cause, latency) };
                (Judged::GiveUp(fault), signal)
            }
        }
    }

    /// Good answers that are the first page of several, of which the others are not asked for.
    pub(crate) fn unfollowed_pages(&self) -> u64 {
        self.unfollowed.load(Ordering::Relaxed)
    }

    /// Of packs the keys that are not on the first page fail, and of pages all are asked for.
    fn notes_next_pages(&self) -> bool {
        !self.packs_keys && !self.follows_pages()
    }

    /// The size of the quota that the newest answer with such fields said.
    pub(crate) fn newest_quota(&self) -> Option<QuotaSize> {
        self.quota.get()
    }

    /// What an answer says about the pace. Its quota is passed to the gate.
    fn word_on_pace(&self, permit: &Permit, answer: &RawAnswer, fields: RareFields) -> PaceWord {
        let (mut quota, mut asked) = (None, None);
        if fields.tells_pace {
            let now = SystemTime::now();
            let credence =
                if matches!(answer.status, 403 | 429) { Credence::Refusal } else { Credence::Usual };
            if self.retry.reads_quota_fields {
                quota = rate_fields::quota(&answer.headers, now, credence);
            }
            // A wait of zero says nothing.
            asked = retry_after(&answer.headers, now)
                .filter(|asked| !matches!(asked, RetryAfter::Wait(wait) if wait.is_zero()));
        }
        let used_up = quota.filter(|quota| quota.remaining == 0);
        let hints = RefusalHints { asks_to_wait: asked.is_some(), is_quota_used_up: used_up.is_some() };
        let body = || self.beginning_of(answer);
        let is_refusal = refusal::is_refusal(answer.status, &answer.headers, hints, body);
        if let Some(quota) = &quota {
            self.quota.note(quota);
            report_quota(permit, quota);
        }
        let until_reset = used_up
            .filter(|quota| is_refusal && quota.is_reset_said && !quota.reset.is_zero())
            .map(|quota| quota.reset);
        PaceWord { is_refusal, asked: asked.or(until_reset.map(RetryAfter::Wait)) }
    }

    /// The beginning of a body, decoded. A large one is no word of a limiter.
    fn beginning_of(&self, answer: &RawAnswer) -> Vec<u8> {
        const LARGEST: usize = 64 << 10;
        let settings = &self.answers.classifier().settings;
        if answer.body.len() > LARGEST {
            let is_plain = !answer.headers.contains_key(CONTENT_ENCODING);
            return if is_plain { answer.body[..refusal::BODY_READ].to_vec() } else { Vec::new() };
        }
        let decoded = decode(&answer.headers, answer.body.clone(), settings.max_body).unwrap_or_default();
        decoded[..decoded.len().min(refusal::BODY_READ)].to_vec()
    }

    fn judge_send_error<R: Requested>(
        &self,
        fault: Fault,
        latency: Duration,
        job: &R,
    ) -> (Judged<R::Kept>, LoadSignal) {
        if let Some(status) = fault.status {
            // The head came, and the server counts the request.
            self.report_answer(job, status, latency, 0);
        }
        // Without a whole answer nothing shows that the server did its work.
        let is_too_much = LoadClass::of_cause(fault.cause).is_too_much();
        let signal = if is_too_much { LoadSignal::Overload { latency } } else { LoadSignal::Fault };
        let fault = fault.masked(&self.answers.classifier().mask);
        match fault.cause {
            Cause::Certificate(problem) => {
                self.shutdown.trigger(StopReason::Certificate(problem, fault.detail.to_string()));
                (Judged::Retry(fault), signal)
            }
            Cause::NoHttp2 => {
                self.shutdown.trigger(StopReason::NoHttp2);
                (Judged::Retry(fault), signal)
            }
            Cause::TooLarge | Cause::Proxy(ProxyProblem::Credentials) => (Judged::GiveUp(fault), signal),
            _ => (Judged::Retry(fault), signal),
        }
    }

    pub(super) fn report_answer<R: Requested>(&self, job: &R, status: u16, latency: Duration, bytes: u64) {
        let (key, line) = (job.key(), job.line());
        self.reporter.on(&Event::AttemptAnswered { key, line, status, latency, bytes });
    }

    /// How long the server requires a wait of. A longer wait than the gate accepts ends the run.
    pub(super) fn wait_asked_by(&self, fault: &Fault) -> Result<Duration, Deferral> {
        let too_long = match fault.retry_after {
            None => return Ok(Duration::ZERO),
            Some(RetryAfter::Wait(wait)) if self.gate.accepts_pause(wait) => return Ok(wait),
            Some(RetryAfter::Wait(wait)) => Some(wait),
            Some(RetryAfter::TooLong) => None,
        };
        self.shutdown.trigger(StopReason::AskedToWait(too_long));
        Err(Deferral::AskedToWait)
    }
}

/// Fields of a head that most answers lack. One pass over all names costs less than looking up each of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct RareFields {
    /// `Retry-After`, or a field that may tell a quota.
    tells_pace: bool,
    /// `Link`.
    has_link: bool,
}

impl RareFields {
    fn of(headers: &HeaderMap) -> Self {
        let mut fields = Self::default();
        for name in headers.keys() {
            fields.has_link |= name == LINK;
            fields.tells_pace |= name == RETRY_AFTER || rate_fields::may_tell_quota(name);
        }
        fields
    }
}

/// What an answer says about the pace.
struct PaceWord {
    is_refusal: bool,
    /// The wait that it asks for, if any: never zero.
    asked: Option<RetryAfter>,
}

impl PaceWord {
    fn signal(&self, status: u16, latency: Duration) -> LoadSignal {
        let asked = match self.asked {
            Some(RetryAfter::Wait(wait)) => Some(wait),
            // The run ends.
            Some(RetryAfter::TooLong) | None => None,
        };
        LoadSignal::Refused { status, asked, latency }
    }
}

/// Passes a quota to the gate. One that refills all the time does not come back at an instant.
fn report_quota(permit: &Permit, quota: &ReportedQuota) {
    if let Some(reset) = Instant::now().checked_add(quota.reset).filter(|_| !quota.is_bucket) {
        permit.report_quota(quota.remaining, reset);
    }
}

/// What a status that is no success says about the load by itself. Whether 500, 502, 503 or 504 is a sign of load
/// shows only beside other answers.
fn of_fault(cause: Cause, latency: Duration) -> LoadSignal {
    match LoadClass::of_cause(cause) {
        LoadClass::Served => LoadSignal::Good { latency },
        LoadClass::Cheap if cause == Cause::Status(403) => LoadSignal::Forbidden,
        LoadClass::Cheap => LoadSignal::Cheap,
        LoadClass::Limited | LoadClass::Overloaded | LoadClass::Broken => LoadSignal::Fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_403_that_nothing_explains_may_be_a_refusal_and_a_404_is_none() {
        let signals = [403, 404, 401, 500, 200].map(|status| of_fault(Cause::Status(status), Duration::ZERO));
        let good = LoadSignal::Good { latency: Duration::ZERO };
        let expected = [LoadSignal::Forbidden, LoadSignal::Cheap, LoadSignal::Cheap, LoadSignal::Fault, good];
        assert_eq!(signals, expected);
    }

    #[test]
    fn fields_about_the_pace_and_links_are_found_among_others() {
        for (name, tells_pace, has_link) in [
            ("retry-after", true, false),
            ("ratelimit", true, false),
            ("x-ratelimit-remaining", true, false),
            ("x-shopify-shop-api-call-limit", true, false),
            ("link", false, true),
            ("etag", false, false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("content-type", "application/json".parse().unwrap());
            headers.insert(name, "1".parse().unwrap());
            assert_eq!(RareFields::of(&headers), RareFields { tells_pace, has_link }, "{name}");
        }
    }
}
