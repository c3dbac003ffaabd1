//! Filters where the program is built without jq: there are none.

use url::Url;

use super::{AddressValue, AnswerFacts, FilterAnswer, FoundValue, SelectError, UsedVariables};

/// Replaces the compiled filter. It has no value.
#[derive(Debug)]
pub(super) enum NoFilter {}

impl NoFilter {
    pub(super) fn compile(_: &str, _: &'static [&'static str]) -> Result<Self, SelectError> {
        Err(SelectError::NoJq)
    }

    pub(super) fn select(&self, _: &NoFilterInput, _: &mut Vec<u8>) -> Result<(), SelectError> {
        match *self {}
    }

    pub(super) fn all(&self, _: &NoFilterInput) -> Result<Vec<FoundValue>, SelectError> {
        match *self {}
    }

    pub(super) fn key(&self, _: &NoFilterInput) -> Option<String> {
        match *self {}
    }

    pub(super) fn address(&self, _: &NoFilterInput) -> Result<AddressValue, SelectError> {
        match *self {}
    }

    pub(super) fn answer(&self, _: &NoFilterInput) -> FilterAnswer {
        match *self {}
    }
}

/// Replaces the input of filters.
pub(in super::super) struct NoFilterInput;

impl NoFilterInput {
    pub(in super::super) fn new(_: &[u8], _: &AnswerFacts<'_>, _: &UsedVariables) -> Option<Self> {
        Some(Self)
    }

    pub(in super::super) fn named(self, _: Option<&str>) -> Self {
        self
    }

    pub(in super::super) fn set_page(&mut self, _: &Url, _: u32) {}
}
