//! The pages of one key: each is requested like any job, and the answer of the key is all of them.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use url::Url;

use super::super::classify::{
    AskedPage, Classification, JoinedPages, Offload, PageAnswer, PageSettings, PageValues,
};
use super::super::transport::{RawAnswer, Transport};
use super::next_attempt::QueueEnd;
use super::page_budget::{PageBudget, PageClaim};
use super::requested::Requested;
use super::{Fetcher, Tries};
use crate::model::fault::PageProblem;
use crate::model::job::redacted_url;
use crate::model::option::PAGES;
use crate::model::{Cause, Deferral, Fault, Job, Key, Outcome, Request, Seq};

/// One page of a job.
pub(super) struct PageRequest<'a> {
    job: &'a Job,
    request: Cow<'a, Request>,
    /// From 1.
    number: u32,
    /// Bytes that are left of `--max-body`.
    room: u64,
}

/// What becomes of a job with pages.
pub(super) struct PagesEnd {
    pub(super) outcome: Outcome,
    /// Of all pages.
    pub(super) attempts: u32,
    /// When the last of them was sent.
    pub(super) sent: Option<Instant>,
}

/// How the pages of a job go on.
enum PagesStep {
    End(Outcome),
    /// So many bytes are held by all jobs that this one lets its own go, and asks for them anew when it is alone.
    Anew,
}

/// What all pages of a job have cost.
#[derive(Default)]
struct PageTries {
    attempts: u32,
    sent: Option<Instant>,
}

impl<'a> PageRequest<'a> {
    /// The first page.
    pub(super) fn first(job: &'a Job, max_body: u64) -> Self {
        Self { job, request: Cow::Borrowed(&job.request), number: 1, room: max_body }
    }

    /// The page at this address: as the first one in all else. Validators are for what they came with, and pages carry
    /// none.
    fn after(job: &'a Job, url: Url, number: u32, room: u64) -> Self {
        let request = Request { url, ..job.request.clone() };
        Self { job, request: Cow::Owned(request), number, room }
    }
}

impl Requested for PageRequest<'_> {
    type Kept = PageAnswer;

    fn seq(&self) -> Seq {
        self.job.seq
    }

    fn line(&self) -> u64 {
        self.job.line
    }

    fn key(&self) -> &Key {
        &self.job.key
    }

    fn request(&self) -> &Request {
        &self.request
    }

    fn keys(&self) -> NonZeroU32 {
        NonZeroU32::MIN
    }

    /// A key that was begun is ended first: what it has takes memory, and is lost in a kill.
    fn queue_end(&self) -> QueueEnd {
        if self.number == 1 { QueueEnd::Back } else { QueueEnd::Front }
    }

    fn page(&self) -> u32 {
        self.number
    }

    fn classify(
        &self,
        answers: &Offload,
        answer: RawAnswer,
    ) -> impl Future<Output = Classification<PageAnswer>> {
        let Self { job, request, number, room } = self;
        let page = AskedPage {
            key: &job.key,
            record: &job.record,
            number: *number,
            url: &request.url,
            template: &job.request.url,
            room: *room,
        };
        answers.classify_page(answer, page)
    }

    fn refusal_in(_: &PageAnswer) -> Option<&Fault> {
        None
    }
}

impl<T: Transport> Fetcher<T> {
    /// With a counter of the bytes of answers that wait for the disk: while they are many, no page is asked for.
    #[must_use]
    pub(crate) fn with_pending_bytes(self, pending_bytes: Arc<AtomicUsize>) -> Self {
        Self { page_budget: PageBudget::new(pending_bytes), ..self }
    }

    /// Whether an answer may be made of several, whose validators say nothing about it.
    pub(crate) fn follows_pages(&self) -> bool {
        self.answers.classifier().settings.pages.is_some()
    }

    /// Sends until all pages of the job are there, or one is not to be had, or the run stops.
    pub(super) async fn fetch_pages(&self, job: &Job, settings: &PageSettings) -> PagesEnd {
        let mut tries = PageTries::default();
        let mut claim = self.page_budget.claim();
        let outcome = loop {
            match self.fetch_pages_once(job, settings, (&mut claim, &mut tries)).await {
                PagesStep::End(outcome) => break outcome,
                PagesStep::Anew => tokio::select! {
                    biased;
                    () = self.shutdown.triggered() => break Outcome::Deferred(Deferral::Stopped),
                    () = claim.wait_alone() => {}
                },
            }
        };
        let PageTries { attempts, sent } = tries;
        PagesEnd { outcome, attempts, sent }
    }

    async fn fetch_pages_once(
        &self,
        job: &Job,
        settings: &PageSettings,
        (claim, tries): (&mut PageClaim<'_>, &mut PageTries),
    ) -> PagesStep {
        let max_body = self.answers.classifier().settings.max_body.0;
        let hasher = RandomState::new();
        let mut had = HashSet::from([hasher.hash_one(&job.request.url)]);
        let mut page = PageRequest::first(job, max_body);
        let mut pages: Option<JoinedPages> = None;
        loop {
            let values = match self.fetch_page(&page, (claim, tries)).await {
                Ok(values) => values,
                Err(outcome) => return PagesStep::End(outcome),
            };
            let next = values.next.clone();
            let (number, status) = (page.number, values.status);
            let joined = JoinedPages::add(pages, values);
            let Some(url) = next else {
                let joined = self.answers.join_pages(joined, job).await;
                let mask = &self.answers.classifier().mask;
                return PagesStep::End(
                    joined.map_or_else(|fault| Outcome::Failed(fault.masked(mask)), Outcome::Fetched),
                );
            };
            if let Some(fault) = self.no_further(number, &url, (settings, had.insert(hasher.hash_one(&url))))
            {
                return PagesStep::End(Outcome::Failed(fault.with_status(status)));
            }
            claim.hold(joined.held());
            if claim.is_too_much() && job.request.method.is_idempotent() {
                claim.hold(0);
                return PagesStep::Anew;
            }
            let room = max_body.saturating_sub(joined.length());
            page = PageRequest::after(job, url, number + 1, room);
            pages = Some(joined);
        }
    }

    /// One page; else what becomes of the job.
    async fn fetch_page(
        &self,
        page: &PageRequest<'_>,
        (claim, all): (&mut PageClaim<'_>, &mut PageTries),
    ) -> Result<PageValues, Outcome> {
        tokio::select! {
            biased;
            () = self.shutdown.triggered() => return Err(Outcome::Deferred(Deferral::Stopped)),
            () = claim.wait() => {}
        }
        let mut tries = Tries::default();
        let outcome = self.outcome(page, &mut tries).await;
        all.attempts = all.attempts.saturating_add(tries.attempts);
        all.sent = tries.sent.or(all.sent);
        match outcome {
            Outcome::Fetched(PageAnswer::Values(values)) => Ok(values),
            Outcome::Fetched(PageAnswer::Null(answer)) => Err(Outcome::Fetched(answer)),
            Outcome::Failed(fault) => Err(Outcome::Failed(fault)),
            Outcome::Deferred(deferral) => Err(Outcome::Deferred(deferral)),
        }
    }

    /// Why the page after this one is not requested.
    fn no_further(&self, number: u32, url: &Url, (settings, is_new): (&PageSettings, bool)) -> Option<Fault> {
        let fault = |problem, detail: String| Some(Fault::new(Cause::Pages(problem), detail));
        if !is_new {
            let shown = self.shown_address(url);
            let detail = format!("page {number} names a page as the next one that was had already: {shown}");
            return fault(PageProblem::Repeated, detail);
        }
        if number >= settings.most.get() {
            return fault(
                PageProblem::TooMany,
                format!("there are more pages than {PAGES} {}", settings.most),
            );
        }
        None
    }

    fn shown_address(&self, url: &Url) -> String {
        let hidden = if url.query().is_some() { " (query not shown)" } else { "" };
        let shown = redacted_url(url);
        format!("{}{hidden}", self.answers.classifier().mask.apply(&shown))
    }
}
