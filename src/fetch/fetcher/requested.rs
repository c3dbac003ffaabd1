//! What a request asks for: one key, or a pack of them. The retry loop is the same for both.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH};

use super::super::backoff::backoff;
use super::super::classify::{Classification, ItemRuling, Offload, PackAnswer};
use super::super::transport::{RawAnswer, Transport};
use super::{Fetcher, Judged, Tries};
use crate::model::request_url::redacted_url;
use crate::model::{
    Answer, Cause, Deferral, Event, Fault, Job, Key, Outcome, Pack, PackItem, PackSearch, Request, Seq,
};

/// Where a job waits at the gate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum QueueEnd {
    /// Before all that were not sent yet.
    Front,
    /// Behind them.
    #[default]
    Back,
}

/// What a request asks for.
pub(super) trait Requested {
    /// What is kept of a good answer.
    type Kept;

    /// The number of the row, the first one of a pack.
    fn seq(&self) -> Seq;

    /// The physical line of that row.
    fn line(&self) -> u64;

    /// Its key.
    fn key(&self) -> &Key;

    /// The request.
    fn request(&self) -> &Request;

    /// How many keys it asks for.
    fn keys(&self) -> NonZeroU32;

    /// Where it waits at the gate before its first attempt.
    fn queue_end(&self) -> QueueEnd {
        QueueEnd::Back
    }

    /// A fault of this request, with its place among the pages of the answer.
    fn place(&self, fault: Fault) -> Fault {
        fault
    }

    /// What an answer means. It is large, and stays where it is; its body is taken.
    fn classify(
        &self,
        answers: &Offload,
        answer: &mut RawAnswer,
    ) -> impl Future<Output = Classification<Self::Kept>>;

    /// The refusal in an answer that is kept: a part of it says that the server limits the client.
    fn refusal_in(kept: &Self::Kept) -> Option<&Fault>;
}

impl Requested for Job {
    type Kept = Answer;

    fn seq(&self) -> Seq {
        self.seq
    }

    fn line(&self) -> u64 {
        self.line
    }

    fn key(&self) -> &Key {
        &self.key
    }

    fn request(&self) -> &Request {
        &self.request
    }

    fn keys(&self) -> NonZeroU32 {
        NonZeroU32::MIN
    }

    fn classify(&self, answers: &Offload, answer: &mut RawAnswer) -> impl Future<Output = Classification> {
        let headers = &self.request.headers;
        let is_conditional = headers.contains_key(IF_NONE_MATCH) || headers.contains_key(IF_MODIFIED_SINCE);
        answers.classify(answer, (self, is_conditional))
    }

    fn refusal_in(_: &Answer) -> Option<&Fault> {
        None
    }
}

impl Requested for Pack {
    type Kept = PackAnswer;

    fn seq(&self) -> Seq {
        self.first().seq
    }

    fn line(&self) -> u64 {
        self.first().line
    }

    fn key(&self) -> &Key {
        &self.first().key
    }

    fn request(&self) -> &Request {
        &self.request
    }

    fn keys(&self) -> NonZeroU32 {
        u32::try_from(self.items.len()).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN)
    }

    fn classify(
        &self,
        answers: &Offload,
        answer: &mut RawAnswer,
    ) -> impl Future<Output = Classification<PackAnswer>> {
        answers.classify_pack(answer, &self.items)
    }

    fn refusal_in(kept: &PackAnswer) -> Option<&Fault> {
        kept.items.iter().find_map(|item| match item {
            ItemRuling::Limited(fault) => Some(fault),
            _ => None,
        })
    }
}

/// How a request ended, or those of all pages.
pub(super) struct PagesEnd<K> {
    pub(super) outcome: Outcome<K>,
    /// Of all of them.
    pub(super) attempts: u32,
    /// When the last attempt was sent.
    pub(super) sent: Option<std::time::Instant>,
}

impl<K> Judged<K> {
    /// The same, with the page in its fault.
    pub(super) fn of(self, job: &impl Requested) -> Self {
        match self {
            Self::Keep(answer) => Self::Keep(answer),
            Self::GiveUp(fault) => Self::GiveUp(job.place(fault)),
            Self::Retry(fault) => Self::Retry(job.place(fault)),
            Self::Refused(fault) => Self::Refused(job.place(fault)),
        }
    }
}

/// How the request of a pack ended.
#[derive(Debug)]
pub(crate) struct PackEnd {
    /// The keys, in the order of the pack.
    pub(crate) items: Vec<PackItem>,
    /// What the pack was cut from.
    pub(crate) search: Option<PackSearch>,
    /// Attempts, without free resends.
    pub(crate) attempts: u32,
    /// When the last of them was sent; `None` without an attempt.
    pub(crate) sent: Option<std::time::Instant>,
    /// The redacted address of the request.
    pub(crate) address: Box<str>,
    /// The status that it failed with is one that stores `null`, for whichever key it is.
    pub(crate) stores_null: bool,
    /// What became of it.
    pub(crate) outcome: Outcome<UnpackedAnswer>,
}

/// What a good answer has for the keys of a pack.
#[derive(Debug)]
pub(crate) struct UnpackedAnswer {
    /// For each key, in the order of the pack.
    pub(crate) items: Vec<ItemEnd>,
    /// Items of keys that were not asked for.
    pub(crate) foreign: u64,
    /// The key of one of them, safe to show.
    pub(crate) foreign_key: Option<String>,
    /// Items of the answer that had a key.
    pub(crate) received: usize,
}

/// What became of one key of a pack that was answered.
#[derive(Debug)]
pub(crate) enum ItemEnd {
    /// It has its outcome.
    Ended(Outcome),
    /// It is asked for again, after this wait. `is_charged`: at the cost of one of its retries.
    Again { wait: Duration, is_charged: bool },
}

impl<T: Transport> Fetcher<T> {
    /// Sends until the pack has an outcome, or until the run stops. The attempts count for each of its keys.
    pub(crate) async fn fetch_pack(&self, pack: Pack) -> PackEnd {
        let PagesEnd { outcome, attempts, sent } = match &self.answers.classifier().settings.pages {
            None => {
                let mut tries = Tries::default();
                let outcome = self.outcome(&pack, &mut tries).await;
                PagesEnd { outcome, attempts: tries.attempts, sent: tries.sent }
            }
            Some(pages) => Box::pin(self.fetch_pages(&pack, pages)).await,
        };
        let outcome = match outcome {
            Outcome::Fetched(answer) => self.end_items(&pack.items, answer),
            Outcome::Failed(fault) => Outcome::Failed(fault),
            Outcome::Deferred(deferral) => Outcome::Deferred(deferral),
        };
        if self.accepted.get().is_none() {
            self.accept_of(&pack, &outcome);
        }
        let address = self.answers.classifier().mask.apply(&redacted_url(&pack.request.url)).into();
        let search = pack.search;
        let null_on = &self.answers.classifier().settings.null_on.statuses;
        let stores_null = matches!(&outcome, Outcome::Failed(Fault { cause: Cause::Status(status), .. }) if null_on.contains(*status));
        PackEnd { items: pack.into_items(), search, attempts, sent, address, stores_null, outcome }
    }

    /// Remembers a key whose answer showed that the credentials were good, with the request that it came by.
    fn accept_of(&self, pack: &Pack, outcome: &Outcome<UnpackedAnswer>) {
        let Outcome::Fetched(answer) = outcome else { return };
        let shows =
            |end: &ItemEnd| matches!(end, ItemEnd::Ended(outcome) if outcome.shows_good_credentials());
        if let Some(place) = answer.items.iter().position(shows) {
            // Another pack may have been first.
            let _ = self.accepted.set(pack.items[place].to_job(pack.request.clone()));
        }
    }

    /// What follows for each key of a pack that was answered.
    fn end_items(&self, items: &Arc<Vec<PackItem>>, answer: PackAnswer) -> Outcome<UnpackedAnswer> {
        let PackAnswer { items: rulings, foreign, foreign_key, received } = answer;
        let mask = &self.answers.classifier().mask;
        let mut ends = Vec::with_capacity(rulings.len());
        for (ruling, item) in rulings.into_iter().zip(items.iter()) {
            ends.push(match ruling {
                ItemRuling::Keep(answer) => ItemEnd::Ended(Outcome::Fetched(answer)),
                ItemRuling::GiveUp(fault) => ItemEnd::Ended(Outcome::Failed(fault.masked(mask))),
                ItemRuling::Limited(fault) => self.again_after_limit(item, fault.masked(mask)),
                ItemRuling::Retry(fault) => self.again(item, fault.masked(mask)),
            });
        }
        Outcome::Fetched(UnpackedAnswer { items: ends, foreign, foreign_key, received })
    }

    /// One key of a good answer is not ready.
    fn again(&self, item: &PackItem, fault: Fault) -> ItemEnd {
        if item.retries >= self.retry.retries {
            return ItemEnd::Ended(Outcome::Failed(fault));
        }
        let wait = self.draw(backoff, item.retries);
        self.report_item(item, (&fault, false), wait);
        ItemEnd::Again { wait, is_charged: true }
    }

    /// One key of a good answer was refused for the pace: the gate has paused the pool.
    fn again_after_limit(&self, item: &PackItem, fault: Fault) -> ItemEnd {
        match self.wait_asked_by(&fault) {
            Err(deferral) => ItemEnd::Ended(Outcome::Deferred(deferral)),
            Ok(_) if self.shutdown.is_triggered() => ItemEnd::Ended(Outcome::Deferred(Deferral::Stopped)),
            Ok(_) if !self.retry.sends_refused_again => ItemEnd::Ended(Outcome::Failed(fault)),
            Ok(_) => {
                self.report_item(item, (&fault, true), Duration::ZERO);
                ItemEnd::Again { wait: Duration::ZERO, is_charged: false }
            }
        }
    }

    fn report_item(&self, item: &PackItem, (fault, is_refusal): (&Fault, bool), wait: Duration) {
        let PackItem { key, line, attempts, .. } = item;
        let attempt = attempts + 1;
        self.reporter.on(&Event::AttemptRetried { key, line: *line, fault, attempt, wait, is_refusal });
    }
}
