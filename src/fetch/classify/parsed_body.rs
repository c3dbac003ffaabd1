//! A body as conditions, selection and output see it: decoded and checked once.

use bytes::Bytes;

use super::decode::decode;
use super::select::{AnswerFacts, FilterInput, SelectError};
use super::{AnsweredJob, Classifier, RawAnswer, error_look, stored_form};
use crate::model::{BodyHash, Cause, Fault};

/// A body, checked, and parsed where a filter looks at it.
pub(super) struct ParsedBody {
    /// As it is stored before the selection.
    pub(super) json: Result<Bytes, Fault>,
    pub(super) input: Option<FilterInput>,
    /// Bytes of the body, decoded.
    pub(super) length: usize,
}

/// What is stored of a body.
pub(super) struct Selected {
    pub(super) json: Bytes,
    /// The hash of what it was before the selection, if there is one.
    pub(super) raw: Option<BodyHash>,
    /// What it says, if it was selected from and looks like an error.
    pub(super) error: Option<Box<str>>,
}

impl ParsedBody {
    /// `answer` is the one of this body.
    pub(super) fn of(
        body: Bytes,
        answer: &RawAnswer,
        (classifier, job): (&Classifier, AnsweredJob<'_>),
    ) -> Self {
        let Classifier { filters, .. } = classifier;
        let body = decode(&answer.headers, body, classifier.settings.max_body);
        let length = body.as_ref().map_or(0, Bytes::len);
        let json = body.and_then(|body| stored_form(&answer.headers, body, classifier));
        if !filters.read_body(job) {
            return Self { json, input: None, length };
        }
        let facts = AnswerFacts { status: answer.status, headers: &answer.headers, asked: job.asked };
        let input = json.as_ref().ok().and_then(|json| FilterInput::new(json, &facts, &filters.used));
        Self { json, input, length }
    }

    /// What the filters are applied to; none: nothing is, or the body is none that can be stored.
    pub(super) fn input(&self) -> Option<&FilterInput> {
        self.input.as_ref()
    }

    /// The body as it goes into the output.
    pub(super) fn selected(self, Classifier { filters, mask, .. }: &Classifier) -> Result<Selected, Fault> {
        let json = self.json?;
        if filters.select.is_identity() {
            return Ok(Selected { json, raw: None, error: None });
        }
        let mut selected = Vec::new();
        let input = self.input.ok_or_else(SelectError::of_unreadable_input);
        input
            .and_then(|input| filters.select.apply(&input, &mut selected))
            .map_err(|error| Fault::new(Cause::Select, error.masked(mask).to_string()))?;
        let error = error_look::words_of_error(&json, mask);
        Ok(Selected { json: selected.into(), raw: Some(BodyHash::of(&json)), error })
    }
}
