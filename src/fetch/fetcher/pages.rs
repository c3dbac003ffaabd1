//! The pages of one key, or of a pack: each is requested like any job, and the answer is all of them.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use url::Url;

use super::super::classify::{
    AskedPage, Classification, JoinedPages, Offload, PackAnswer, PageAnswer, PageSettings, PageValues,
};
use super::super::transport::{RawAnswer, Transport};
use super::page_budget::{PageBudget, PageClaim};
use super::requested::{PagesEnd, QueueEnd, Requested};
use super::{Fetcher, Tries};
use crate::limit::Permit;
use crate::model::fault::PageProblem;
use crate::model::option::PAGES;
use crate::model::request_url::redacted_url;
use crate::model::{Answer, Cause, Deferral, Fault, Job, Key, Outcome, Pack, Request, Seq};

/// What may be answered in pages.
pub(super) trait InPages: Requested {
    /// What an answer means that is a page.
    fn classify_page(
        &self,
        answers: &Offload,
        answer: &mut RawAnswer,
        page: AskedPage<'_>,
    ) -> impl Future<Output = Classification<PageAnswer<Self::Kept>>>;
}

impl InPages for Job {
    fn classify_page(
        &self,
        answers: &Offload,
        answer: &mut RawAnswer,
        page: AskedPage<'_>,
    ) -> impl Future<Output = Classification<PageAnswer<Answer>>> {
        answers.classify_page(answer, (self, page))
    }
}

impl InPages for Pack {
    fn classify_page(
        &self,
        answers: &Offload,
        answer: &mut RawAnswer,
        page: AskedPage<'_>,
    ) -> impl Future<Output = Classification<PageAnswer<PackAnswer>>> {
        answers.classify_pack_page(answer, (&self.items, page))
    }
}

/// One page.
pub(super) struct PageRequest<'a, R> {
    whole: &'a R,
    request: Cow<'a, Request>,
    /// From 1.
    number: u32,
    /// Bytes that are left of `--max-body`.
    room: u64,
    so_far: Option<&'a JoinedPages>,
}

/// How the pages go on.
enum PagesStep<W> {
    End(Outcome<W>),
    /// So many bytes are held by all jobs that this one lets its own go, and asks for them anew when it is alone.
    Anew,
}

/// What all pages have cost.
#[derive(Default)]
struct PageTries {
    attempts: u32,
    sent: Option<Instant>,
}

impl<'a, R: InPages> PageRequest<'a, R> {
    /// The first page.
    pub(super) fn first(whole: &'a R, max_body: u64) -> Self {
        let request = Cow::Borrowed(whole.request());
        Self { whole, request, number: 1, room: max_body, so_far: None }
    }

    /// The page at this address after these: as the first one in all else.
    fn after(whole: &'a R, url: Url, so_far: &'a JoinedPages, max_body: u64) -> Self {
        let (number, room) = (so_far.count() + 1, max_body.saturating_sub(so_far.length()));
        let request = Cow::Owned(Request { url: url.into(), ..whole.request().clone() });
        Self { whole, request, number, room, so_far: Some(so_far) }
    }
}

impl<R: InPages> Requested for PageRequest<'_, R> {
    type Kept = PageAnswer<R::Kept>;

    fn seq(&self) -> Seq {
        self.whole.seq()
    }

    fn line(&self) -> u64 {
        self.whole.line()
    }

    fn key(&self) -> &Key {
        self.whole.key()
    }

    fn request(&self) -> &Request {
        &self.request
    }

    fn keys(&self) -> NonZeroU32 {
        self.whole.keys()
    }

    /// A key that was begun is ended first: what it has takes memory, and is lost in a kill.
    fn queue_end(&self) -> QueueEnd {
        if self.number == 1 { QueueEnd::Back } else { QueueEnd::Front }
    }

    fn place(&self, fault: Fault) -> Fault {
        match fault.cause {
            // The selection is from all pages.
            Cause::Select => fault,
            _ => fault.on_page(self.number),
        }
    }

    fn classify(
        &self,
        answers: &Offload,
        answer: &mut RawAnswer,
    ) -> impl Future<Output = Classification<Self::Kept>> {
        let Self { whole, request, number, room, so_far } = self;
        let page = AskedPage {
            number: *number,
            url: &request.url,
            template: &whole.request().url,
            room: *room,
            so_far: *so_far,
        };
        whole.classify_page(answers, answer, page)
    }

    fn refusal_in(kept: &Self::Kept) -> Option<&Fault> {
        match kept {
            PageAnswer::Whole(whole) => R::refusal_in(whole),
            PageAnswer::Part(_) => None,
        }
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

    /// Sends the SKU that came first once more, as the probe of a pause: alone, or as a pack of one, or its first page.
    pub(super) async fn ask_accepted(&self, known: &Job, permit: Permit) -> Result<bool, Deferral> {
        let max_body = self.answers.classifier().settings.max_body.0;
        match (self.packs_keys, self.follows_pages()) {
            (false, false) => self.ask_known(known, permit).await,
            (false, true) => self.ask_known(&PageRequest::first(known, max_body), permit).await,
            (true, false) => self.ask_known(&Pack::of_job(known.clone()), permit).await,
            (true, true) => {
                let known = Pack::of_job(known.clone());
                self.ask_known(&PageRequest::first(&known, max_body), permit).await
            }
        }
    }

    /// Sends until all pages are there, or one is not to be had, or the run stops.
    pub(super) async fn fetch_pages<R: InPages>(
        &self,
        whole: &R,
        settings: &PageSettings,
    ) -> PagesEnd<R::Kept> {
        let mut tries = PageTries::default();
        let mut claim = self.page_budget.claim();
        let outcome = loop {
            match self.fetch_pages_once(whole, settings, (&mut claim, &mut tries)).await {
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

    async fn fetch_pages_once<R: InPages>(
        &self,
        whole: &R,
        settings: &PageSettings,
        (claim, tries): (&mut PageClaim<'_>, &mut PageTries),
    ) -> PagesStep<R::Kept> {
        let max_body = self.answers.classifier().settings.max_body.0;
        let hasher = RandomState::new();
        let mut had = HashSet::from([hasher.hash_one(&*whole.request().url)]);
        let mut next = None;
        let mut pages: Option<JoinedPages> = None;
        loop {
            let page = match (next.take(), &pages) {
                (Some(url), Some(pages)) => PageRequest::after(whole, url, pages, max_body),
                _ => PageRequest::first(whole, max_body),
            };
            let values = match self.fetch_page(&page, (claim, tries)).await {
                Outcome::Fetched(PageAnswer::Part(values)) => values,
                Outcome::Fetched(PageAnswer::Whole(whole)) => return PagesStep::End(Outcome::Fetched(whole)),
                Outcome::Failed(fault) => return PagesStep::End(Outcome::Failed(fault)),
                Outcome::Deferred(deferral) => return PagesStep::End(Outcome::Deferred(deferral)),
            };
            let number = page.number;
            let is_new = had.insert(hasher.hash_one(&values.next));
            if let Some(fault) = self.no_further(number, &values, (settings, is_new)) {
                return PagesStep::End(Outcome::Failed(fault.with_status(values.status)));
            }
            next = Some(values.next.clone());
            let joined = JoinedPages::add(pages, values);
            claim.hold(joined.held());
            if claim.is_too_much() && whole.request().method.is_idempotent() {
                claim.hold(0);
                return PagesStep::Anew;
            }
            pages = Some(joined);
        }
    }

    async fn fetch_page<R: InPages>(
        &self,
        page: &PageRequest<'_, R>,
        (claim, all): (&mut PageClaim<'_>, &mut PageTries),
    ) -> Outcome<PageAnswer<R::Kept>> {
        tokio::select! {
            biased;
            () = self.shutdown.triggered() => return Outcome::Deferred(Deferral::Stopped),
            () = claim.wait() => {}
        }
        let mut tries = Tries::default();
        let outcome = self.outcome(page, &mut tries).await;
        all.attempts = all.attempts.saturating_add(tries.attempts);
        all.sent = tries.sent.or(all.sent);
        outcome
    }

    /// Why the page after this one is not requested.
    fn no_further(
        &self,
        number: u32,
        page: &PageValues,
        (settings, is_new): (&PageSettings, bool),
    ) -> Option<Fault> {
        let fault = |problem, detail: String| Some(Fault::new(Cause::Pages(problem), detail));
        if !is_new {
            let shown = self.shown_address(&page.next);
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
