//! All filters on answers, compiled.

use super::meaning::Conditions;
use super::page_filters::{CompiledPageFilters, PageSettings};
use super::select::{
    ItemFilter, RowCells, RowUse, Select, SelectError, UsedVariables, VariableUse, variable_use,
};
use super::{AnsweredJob, ResponseSettings};
use crate::model::option;

/// All filters on answers, compiled, and what they use of an answer beside its body.
#[derive(Debug)]
pub(crate) struct Filters {
    pub(super) select: Select,
    /// None where no condition was given: then nothing is parsed for them.
    pub(super) conditions: Option<Conditions>,
    pub(super) bulk: CompiledBulkFilters,
    /// None where each answer is whole.
    pub(super) pages: Option<CompiledPageFilters>,
    pub(super) used: UsedVariables,
    row: RowUse,
}

/// How the answer to a pack is taken apart, not yet compiled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BulkFilters {
    /// Gives the items; none: the elements or members of the whole body.
    pub items: Option<String>,
    /// Gives the key of an item; none: the name of the member that it was.
    pub key: Option<String>,
}

/// How the answer to a pack is taken apart, compiled.
#[derive(Debug, Default)]
pub(super) struct CompiledBulkFilters {
    pub(super) items: Option<ItemFilter>,
    pub(super) key: Option<ItemFilter>,
}

impl CompiledBulkFilters {
    fn compile(settings: &BulkFilters) -> Result<Self, (&'static str, SelectError)> {
        let items = settings.items.as_deref().map(ItemFilter::of_items).transpose();
        let key = settings.key.as_deref().map(ItemFilter::of_key).transpose();
        Ok(Self {
            items: items.map_err(|error| (option::BULK_ITEMS, error))?,
            key: key.map_err(|error| (option::BULK_KEY, error))?,
        })
    }
}

/// A filter that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FilterFault {
    /// Its option.
    pub(crate) option: &'static str,
    /// As it was written.
    pub(crate) text: String,
    /// Why.
    pub(crate) error: SelectError,
}

impl Filters {
    /// Compiles the filters of the settings. `$row` has no cells before [`Filters::with_columns`].
    ///
    /// # Errors
    /// The first filter that is none.
    pub(crate) fn compile(settings: &ResponseSettings) -> Result<Self, FilterFault> {
        let fault = |(option, error)| {
            let pages = settings.pages.iter().flat_map(PageSettings::given);
            let mut given = settings.filters().chain(settings.bulk.given()).chain(pages);
            let text = given.find(|(other, _)| *other == option).map_or("", |(_, text)| text).to_owned();
            FilterFault { option, text, error }
        };
        let select = Select::compile(&settings.select).map_err(|error| fault((option::SELECT, error)))?;
        let conditions = Conditions::compile(&settings.meaning).map_err(fault)?;
        let bulk = CompiledBulkFilters::compile(&settings.bulk).map_err(fault)?;
        let pages = settings.pages.as_ref().map(CompiledPageFilters::compile).transpose().map_err(fault)?;
        let (mut row, mut headers) = (RowUse::Nothing, false);
        for (_, used) in settings.variable_uses() {
            headers |= used.headers;
            row = row.with(used.row);
        }
        let used = UsedVariables { headers, cells: RowCells::default() };
        Ok(Self { select, conditions, bulk, pages, used, row })
    }

    /// The columns of the input, which `$row` is made of.
    #[must_use]
    pub(crate) fn with_columns(mut self, columns: &[String]) -> Self {
        self.used.cells = RowCells::of(&self.row, columns);
        self
    }

    /// Whether items of packs stay as they are: no filter looks at them.
    pub(super) fn is_empty(&self) -> bool {
        self.select.is_identity() && self.conditions.is_none()
    }

    /// Whether a filter looks at bodies at all.
    pub(super) fn read_bodies(&self) -> bool {
        !self.is_empty() || self.pages.as_ref().is_some_and(CompiledPageFilters::read_bodies)
    }

    /// Whether a filter looks at the body of an answer to this.
    pub(super) fn read_body(&self, job: AnsweredJob<'_>) -> bool {
        if self.conditions.is_some() {
            return true;
        }
        match &self.pages {
            Some(pages) if job.is_page => pages.read_bodies(),
            _ => !self.select.is_identity() || job.asked.is_none() && self.bulk.items.is_some(),
        }
    }
}

impl BulkFilters {
    /// The filters that were given, each with its option.
    pub(crate) fn given(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [(option::BULK_ITEMS, &self.items), (option::BULK_KEY, &self.key)]
            .into_iter()
            .filter_map(|(option, text)| Some((option, text.as_deref()?)))
    }
}

impl ResponseSettings {
    /// All filters, each with its option; `.` of `--select` is none.
    pub(crate) fn filters(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let select = self.has_filter().then_some((option::SELECT, self.select.as_str()));
        select.into_iter().chain(self.meaning.given())
    }

    /// What each filter uses of the variables, by its text.
    pub(crate) fn variable_uses(&self) -> impl Iterator<Item = (&'static str, VariableUse)> {
        let pages = self.pages.iter().flat_map(PageSettings::filters);
        self.filters().chain(pages).map(|(option, text)| (option, variable_use(text)))
    }
}
