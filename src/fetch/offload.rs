//! Heavy answers are judged aside, on another processor.
//!
//! Most bodies are small, and judging one costs less than telling a thread of it. Decoding, checking or
//! filtering a large one holds up every other request while it lasts: where a processor is free, it goes
//! there. What is aside is not in the fetcher's bound on bodies, so only as many go as there are processors to
//! spare, and none waits for its turn.

use std::panic;
use std::sync::Arc;
use std::thread::available_parallelism;

use http::header::CONTENT_ENCODING;
use tokio::sync::Semaphore;

use super::classify::{Classification, ResponseSettings, classify};
use super::transport::RawAnswer;

/// What a thread must be spared to be worth telling, in bytes checked: some 50 µs.
const WORTH: usize = 64 << 10;
/// What it costs to decode a byte, in bytes checked: it becomes several, each of which is checked, too.
const CODED: usize = 16;
/// What it costs to filter a byte: a tree is built of it and written out again.
const FILTERED: usize = 24;
/// A body over this size stays with the bound on bodies.
const LARGEST: usize = 1 << 20;

/// Where heavy answers are judged.
pub struct Offload {
    settings: Arc<ResponseSettings>,
    processors: Arc<Semaphore>,
}

impl Offload {
    /// Judges by these settings.
    pub fn new(settings: ResponseSettings) -> Self {
        let spare = available_parallelism().map_or(0, |all| all.get() - 1);
        Self { settings: Arc::new(settings), processors: Arc::new(Semaphore::new(spare)) }
    }

    /// What answers are judged by.
    pub fn settings(&self) -> &ResponseSettings {
        &self.settings
    }

    /// Judges an answer, as [`classify`] does.
    pub async fn classify(&self, answer: RawAnswer, conditional: bool) -> Classification {
        if self.weight(&answer) < WORTH || answer.body.len() > LARGEST {
            return classify(answer, &self.settings, conditional);
        }
        let Ok(processor) = Arc::clone(&self.processors).try_acquire_owned() else {
            return classify(answer, &self.settings, conditional);
        };
        let settings = Arc::clone(&self.settings);
        #[expect(clippy::disallowed_methods, reason = "only large bodies, and where a processor is free")]
        let judged = tokio::task::spawn_blocking(move || {
            let _processor = processor;
            classify(answer, &settings, conditional)
        });
        match judged.await {
            Ok(verdict) => verdict,
            Err(error) if error.is_panic() => panic::resume_unwind(error.into_panic()),
            // The runtime is going down, and this future with it.
            Err(_) => std::future::pending().await,
        }
    }

    fn weight(&self, answer: &RawAnswer) -> usize {
        let coded = if answer.headers.contains_key(CONTENT_ENCODING) { CODED } else { 0 };
        let filtered = if self.settings.select.is_identity() { 0 } else { FILTERED };
        answer.body.len().saturating_mul(1 + coded + filtered)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;
    use crate::fetch::classify::BodyAs;
    use crate::fetch::select::Select;
    use crate::model::{Content, Mask, Size, StatusSet};

    fn offload(processors: usize) -> Offload {
        let settings = ResponseSettings {
            select: Select::compile(".").unwrap(),
            body_as: BodyAs::Json,
            null_on: StatusSet::default(),
            retry_on: StatusSet::default(),
            max_body: Size(10 << 20),
            mask: Mask::default(),
        };
        Offload { processors: Arc::new(Semaphore::new(processors)), ..Offload::new(settings) }
    }

    fn kept(verdict: Classification) -> usize {
        match verdict {
            Classification::Keep(answer) => match answer.content {
                Content::Json(json) => json.len(),
                Content::Unchanged => 0,
            },
            Classification::Retry(fault) | Classification::GiveUp(fault) => panic!("{fault:?}"),
        }
    }

    #[tokio::test]
    async fn a_heavy_answer_is_the_same_aside_and_in_place_and_gives_the_processor_back() {
        let body = Bytes::from(format!("[ {}0 ]", "10, ".repeat(WORTH / 2)));
        for processors in [0, 1] {
            let offload = offload(processors);
            for _ in 0..3 {
                let answer = RawAnswer {
                    status: 200,
                    headers: HeaderMap::new(),
                    body: body.clone(),
                    may_be_cut: false,
                };
                assert_eq!(kept(offload.classify(answer, false).await), "10,".len() * (WORTH / 2) + 3);
            }
            assert_eq!(offload.processors.available_permits(), processors);
        }
    }

    #[tokio::test]
    async fn two_heavy_answers_at_once_take_one_processor_and_neither_waits_for_it() {
        let body = Bytes::from(format!("[{}0]", "1,".repeat(WORTH)));
        let answer =
            || RawAnswer { status: 200, headers: HeaderMap::new(), body: body.clone(), may_be_cut: false };
        let offload = offload(1);
        let (first, second) =
            futures_util::future::join(offload.classify(answer(), false), offload.classify(answer(), false))
                .await;
        assert_eq!((kept(first), kept(second)), (body.len(), body.len()));
    }
}
