//! What `tune` found: the table, the plot, the number to use, and the same as a document.
//!
//! The plot is two columns of bars, one row a rung. Plot libraries for terminals (textplots and its
//! like) draw lines over a continuous axis with one scale: here the axis is doublings, a handful of
//! them, and throughput and latency have a scale each, so a bar beside its number shows more.
//!
//! # The document of `--report FILE.json`
//!
//! One object. `schema` is `skufetch.tune`, `version` is 1: fields may be added, those there keep their
//! name and meaning. Times are seconds (`_s`) or milliseconds (`_ms`), rates a second (`per_s`).
//!
//! | field | meaning |
//! |---|---|
//! | `schema`, `version`, `program`, `time` | as above; the program's version; when it ended (RFC 3339) |
//! | `input`, `request` | what was read, what was requested, without secrets |
//! | `ceiling`, `rate` | the most workers that were allowed, `--rate` or null |
//! | `elapsed_s`, `requests` | of the whole climb |
//! | `requests_of_no_step` | of those, ended after the last step, or in one too short to count |
//! | `failed_answers` | answers that would fail their SKU, such as 404, and are no errors: they depend on the SKU, not on the load |
//! | `null_answers`, `good_answers`, `same_body` | answers stored as null; other answers that a fetch would keep; of those, how many have the commonest body |
//! | `stopped_by` | `knee`, `errors`, `paused`, `rate`, `ceiling`, `sample`, `time` or `stopped` |
//! | `why` | the same as a sentence |
//! | `best` | `workers`, `per_s`, `p95_ms` of the rung that is named; null if none can be |
//! | `sustained` | where the API refused: `rate`, `per_s`, `capacity` and `period_s` of the limit that was learnt; null if none was |
//! | `command` | what to type: `--rate` of `sustained`, otherwise `--concurrency` of `best`; null without both |
//! | `steps` | one for each rung: `workers`, `requests`, `answers`, `errors`, `span_s`, `per_s`, `p50_ms`, `p95_ms`, `paused` |
//! | `causes` | of errors and of failed answers: `cause`, `count` |

mod document;
mod fields;
mod html;
mod record;
mod text;
mod tune_result;

pub(crate) use document::document;
pub(crate) use text::{conclusion, row, table_header, why};
pub(crate) use tune_result::{AnswerDoubt, TuneResult, TunedAnswers};

#[cfg(test)]
mod tests;
