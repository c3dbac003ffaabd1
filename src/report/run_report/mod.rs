//! The documents of `--report`: a whole run as one file, for programs, for Prometheus, or for a browser.
//!
//! All three are made of the same data, so that they cannot disagree; what the summary says has the same names
//! there. `docs/report.md` describes them for their readers.

pub(crate) mod chart;
pub(crate) mod charts;
mod data;
mod document;
pub(crate) mod history;
mod html;
mod json;
pub(crate) mod page;
mod prom;

pub(crate) use data::{ReportFile, ReportFormat, RunDescription, SettingOrigin, ShownOutput, ShownSetting};

#[cfg(test)]
mod read_page;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use read_page::read_page;
