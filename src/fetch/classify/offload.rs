//! Expensive answers are classified on another processor.
//!
//! Most bodies are small, and classifying one costs less than waking a thread for it. Decoding, checking or filtering a
//! large body delays every other request while it lasts, so it goes to another processor where one is free. Such a body
//! no longer counts in the budget of bodies being read; therefore only as many go as there are spare processors, and
//! none waits for its turn.

use std::panic;
use std::sync::Arc;
use std::thread::available_parallelism;

use http::header::CONTENT_ENCODING;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::pack::{PackAnswer, classify_pack, classify_pack_page};
use super::pages::{AskedPage, PageAnswer, classify_page};
use super::select::AskedKey;
use super::{AnsweredJob, Classification, Classifier, classify};
use crate::fetch::transport::RawAnswer;
use crate::model::{Answer, Job, PackItem};

/// The least work that is worth waking a thread, in bytes to check: about 50 µs.
const MIN_WORK: usize = 64 << 10;
/// The cost of decoding a byte, in bytes to check: it becomes several, each of which is checked too.
const DECODE_COST: usize = 16;
/// The cost of filtering a byte: a tree is built and written out again.
const FILTER_COST: usize = 24;
/// A larger body is classified in place, where its budget claim bounds the memory.
const MAX_BODY: usize = 1 << 20;

/// Classifies answers, expensive ones on another processor.
pub(in crate::fetch) struct Offload {
    classifier: Arc<Classifier>,
    processors: Arc<Semaphore>,
}

impl Offload {
    /// Classifies by this.
    pub(in crate::fetch) fn new(classifier: Classifier) -> Self {
        let spare = available_parallelism().map_or(0, |all| all.get() - 1);
        Self { classifier: Arc::new(classifier), processors: Arc::new(Semaphore::new(spare)) }
    }

    /// What answers are classified by.
    pub(in crate::fetch) fn classifier(&self) -> &Classifier {
        &self.classifier
    }

    /// Classifies an answer to a job, as [`classify`] does. `is_conditional`: the request carried validators.
    pub(in crate::fetch) async fn classify(
        &self,
        answer: &mut RawAnswer,
        (job, is_conditional): (&Job, bool),
    ) -> Classification {
        let Some(processor) = self.processor_for(answer) else {
            let answered = AnsweredJob::new(&job.key, &job.record, is_conditional);
            return classify(answer, &self.classifier, answered);
        };
        let (mut answer, classifier) = (std::mem::take(answer), Arc::clone(&self.classifier));
        let (key, record) = (job.key.clone(), job.record.clone());
        let verdict =
            move || classify(&mut answer, &classifier, AnsweredJob::new(&key, &record, is_conditional));
        on_another(processor, verdict).await
    }

    /// Classifies an answer to a pack, as [`classify_pack`] does.
    pub(in crate::fetch) async fn classify_pack(
        &self,
        answer: &mut RawAnswer,
        items: &Arc<Vec<PackItem>>,
    ) -> Classification<PackAnswer> {
        let Some(processor) = self.processor_for(answer) else {
            return classify_pack(answer, &self.classifier, items);
        };
        let (answer, classifier, items) =
            (std::mem::take(answer), Arc::clone(&self.classifier), Arc::clone(items));
        on_another(processor, move || classify_pack(&answer, &classifier, &items)).await
    }

    /// Classifies an answer to a job that is a page, as [`classify_page`] does.
    pub(in crate::fetch) async fn classify_page(
        &self,
        answer: &mut RawAnswer,
        (job, page): (&Job, AskedPage<'_>),
    ) -> Classification<PageAnswer<Answer>> {
        let Some(processor) = self.processor_for(answer) else {
            let asked = AskedKey { key: &job.key, record: &job.record };
            return classify_page(answer, &self.classifier, (asked, page));
        };
        let (mut answer, classifier) = (std::mem::take(answer), Arc::clone(&self.classifier));
        let (key, record) = (job.key.clone(), job.record.clone());
        let (url, template, so_far) = (page.url.clone(), page.template.clone(), page.so_far.cloned());
        let AskedPage { number, room, .. } = page;
        let verdict = move || {
            let asked = AskedKey { key: &key, record: &record };
            let page = AskedPage { number, url: &url, template: &template, room, so_far: so_far.as_ref() };
            classify_page(&mut answer, &classifier, (asked, page))
        };
        on_another(processor, verdict).await
    }

    /// Classifies an answer to a pack that is a page, as [`classify_pack_page`] does.
    pub(in crate::fetch) async fn classify_pack_page(
        &self,
        answer: &mut RawAnswer,
        (items, page): (&Arc<Vec<PackItem>>, AskedPage<'_>),
    ) -> Classification<PageAnswer<PackAnswer>> {
        let Some(processor) = self.processor_for(answer) else {
            return classify_pack_page(answer, &self.classifier, (items, page));
        };
        let (answer, classifier, items) =
            (std::mem::take(answer), Arc::clone(&self.classifier), Arc::clone(items));
        let (url, template, so_far) = (page.url.clone(), page.template.clone(), page.so_far.cloned());
        let AskedPage { number, room, .. } = page;
        let verdict = move || {
            let page = AskedPage { number, url: &url, template: &template, room, so_far: so_far.as_ref() };
            classify_pack_page(&answer, &classifier, (&items, page))
        };
        on_another(processor, verdict).await
    }

    /// A processor for an expensive answer, if one is free.
    fn processor_for(&self, answer: &RawAnswer) -> Option<OwnedSemaphorePermit> {
        /// Whatever is to be done with it, a smaller body is less work.
        const SMALLEST: usize = MIN_WORK / (1 + DECODE_COST + FILTER_COST);
        if !(SMALLEST..=MAX_BODY).contains(&answer.body.len()) || self.work(answer) < MIN_WORK {
            return None;
        }
        Arc::clone(&self.processors).try_acquire_owned().ok()
    }

    fn work(&self, answer: &RawAnswer) -> usize {
        let coded = if answer.headers.contains_key(CONTENT_ENCODING) { DECODE_COST } else { 0 };
        let filtered = if self.classifier.filters.read_bodies() { FILTER_COST } else { 0 };
        answer.body.len().saturating_mul(1 + coded + filtered)
    }
}

/// Runs this on a thread that may block; the processor is free again when it has ended.
async fn on_another<R: Send + 'static>(
    processor: OwnedSemaphorePermit,
    classify: impl FnOnce() -> R + Send + 'static,
) -> R {
    #[expect(clippy::disallowed_methods, reason = "only large bodies, and where a processor is free")]
    let task = tokio::task::spawn_blocking(move || {
        let _processor = processor;
        classify()
    });
    match task.await {
        Ok(verdict) => verdict,
        Err(error) if error.is_panic() => panic::resume_unwind(error.into_panic()),
        // The runtime shuts down, and drops this future.
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::super::{BodyAs, BulkFilters, Filters, MeaningSettings, NullOn, ResponseSettings};
    use super::*;
    use crate::model::{Content, Fingerprint, Key, Mask, Request, Seq, Size, StatusSet};

    fn offload(processors: usize) -> Offload {
        let settings = ResponseSettings {
            select: ".".into(),
            meaning: MeaningSettings::default(),
            body_as: BodyAs::Json,
            null_on: NullOn::default(),
            retry_on: StatusSet::default(),
            bulk: BulkFilters::default(),
            pages: None,
            max_body: Size(10 << 20),
        };
        let filters = Filters::compile(&settings).unwrap();
        let classifier = Classifier { settings, filters, mask: Mask::default() };
        Offload { processors: Arc::new(Semaphore::new(processors)), ..Offload::new(classifier) }
    }

    fn job() -> Job {
        Job {
            seq: Seq(0),
            line: 2,
            key: Key::parse(b"A").unwrap(),
            fingerprint: Fingerprint(0),
            request: Request {
                method: http::Method::GET,
                url: "http://a.test/1".parse().unwrap(),
                headers: HeaderMap::new(),
                body: None,
                cross_origin: false,
            },
            record: csv::ByteRecord::new(),
        }
    }

    fn kept(verdict: Classification) -> usize {
        match verdict {
            Classification::Keep(answer) | Classification::KeepNull(answer) => match answer.content {
                Content::Json(json) => json.len(),
                Content::Unchanged => 0,
            },
            Classification::Retry(fault) | Classification::Limited(fault) | Classification::GiveUp(fault) => {
                panic!("{fault:?}")
            }
        }
    }

    #[tokio::test]
    async fn an_expensive_answer_is_the_same_offloaded_and_in_place_and_returns_the_processor() {
        let body = Bytes::from(format!("[ {}0 ]", "10, ".repeat(MIN_WORK / 2)));
        for processors in [0, 1] {
            let offload = offload(processors);
            for _ in 0..3 {
                let mut answer = RawAnswer {
                    status: 200,
                    headers: HeaderMap::new(),
                    body: body.clone(),
                    may_be_cut: false,
                    redirected_to: None,
                };
                assert_eq!(
                    kept(offload.classify(&mut answer, (&job(), false)).await),
                    "10,".len() * (MIN_WORK / 2) + 3
                );
            }
            assert_eq!(offload.processors.available_permits(), processors);
        }
    }

    #[tokio::test]
    async fn two_expensive_answers_at_once_take_one_processor_and_neither_waits_for_it() {
        let body = Bytes::from(format!("[{}0]", "1,".repeat(MIN_WORK)));
        let answer = || RawAnswer {
            status: 200,
            headers: HeaderMap::new(),
            body: body.clone(),
            may_be_cut: false,
            redirected_to: None,
        };
        let (offload, job, mut first, mut second) = (offload(1), job(), answer(), answer());
        let (first, second) = futures_util::future::join(
            offload.classify(&mut first, (&job, false)),
            offload.classify(&mut second, (&job, false)),
        )
        .await;
        assert_eq!((kept(first), kept(second)), (body.len(), body.len()));
    }
}
