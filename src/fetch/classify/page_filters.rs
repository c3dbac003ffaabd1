//! How the pages of an answer are found and joined: as the user writes it, and compiled.

use std::num::NonZeroU32;

use super::select::{AddressFilter, ItemFilter, SelectError, is_identity};
use crate::model::option::{JOIN, NEXT};

/// How the pages of an answer are found and joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageSettings {
    /// Where the next page is.
    pub next: NextPage,
    /// The jq filter that gives what is joined of a page, not yet compiled; `.` is the whole page.
    pub join: String,
    /// The most pages of one key.
    pub most: NonZeroU32,
}

/// Where the next page is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextPage {
    /// Where a `Link` field says.
    Link,
    /// Where this jq filter says, not yet compiled.
    Filter(String),
}

impl NextPage {
    /// The word for [`Self::Link`].
    pub(crate) const LINK: &str = "link";

    /// As the option is written.
    fn text(&self) -> &str {
        match self {
            Self::Link => Self::LINK,
            Self::Filter(text) => text,
        }
    }
}

impl PageSettings {
    /// What was given, each with its option; `.` of `--join` is not.
    pub(crate) fn given(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let join = (!is_identity(&self.join)).then_some((JOIN, self.join.as_str()));
        std::iter::once((NEXT, self.next.text())).chain(join)
    }

    /// The jq filters among it.
    pub(crate) fn filters(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.given().filter(|(option, _)| *option != NEXT || self.next != NextPage::Link)
    }
}

/// How the pages of an answer are found and joined, compiled.
#[derive(Debug)]
pub(super) struct CompiledPageFilters {
    /// None: by `Link`.
    pub(super) next: Option<AddressFilter>,
    /// None: the whole page.
    pub(super) join: Option<ItemFilter>,
}

impl CompiledPageFilters {
    /// Compiles the filters.
    ///
    /// # Errors
    /// The option of the first one that is no filter, and why.
    pub(super) fn compile(settings: &PageSettings) -> Result<Self, (&'static str, SelectError)> {
        let next = match &settings.next {
            NextPage::Link => None,
            NextPage::Filter(text) => Some(AddressFilter::compile(text).map_err(|error| (NEXT, error))?),
        };
        let join = match settings.join.as_str() {
            text if is_identity(text) => None,
            text => Some(ItemFilter::of_page(text).map_err(|error| (JOIN, error))?),
        };
        Ok(Self { next, join })
    }

    /// Whether a body is parsed for them.
    pub(super) fn read_bodies(&self) -> bool {
        self.next.is_some() || self.join.is_some()
    }
}
