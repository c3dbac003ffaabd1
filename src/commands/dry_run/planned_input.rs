//! Through all rows of the input, as a run would plan them, in bounded memory: what is kept is counts, a few
//! lines and a few addresses.

use std::collections::HashMap;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use serde::de::IgnoredAny;

use crate::collect::{CollectError, Inspection, OutputSettings, Preflight};
use crate::commands::warnings::END_MARK;
use crate::input::{InputError, Rows};
use crate::model::{Job, Pack, Request};
use crate::plan::{KeyLengths, Packer, Planned, Planner, RejectedRow, Rejection};
use crate::report::dry_run::{Bodies, EarlierAnswers, LineNumbers, PlannedRows, Reject, SampleRequest};

/// Requests that are shown from the start of the input.
const FIRST: usize = 3;
/// SKUs of a pack that its address shows.
const SHOWN_OF_PACK: usize = 3;

/// The rows so far.
pub(super) struct PlannedInputBuilder {
    inspection: Inspection,
    max_age: Option<Duration>,
    is_json: bool,
    refused: u64,
    /// The place of each reason in the rejects.
    reasons: HashMap<String, usize>,
    lengths: KeyLengths,
    /// Packs the SKUs, as a run does.
    packer: Option<Packer>,
    /// An answer may be made of several pages.
    has_pages: bool,
    totals: PlannedInput,
}

/// All rows.
pub(super) struct PlannedInput {
    pub(super) planner: Planner,
    pub(super) rows: PlannedRows,
    pub(super) first: Vec<SampleRequest>,
    pub(super) random: Option<SampleRequest>,
    pub(super) bodies: Option<Bodies>,
    /// Requests, where SKUs are packed.
    pub(super) packs: Option<u64>,
    pub(super) earlier: EarlierAnswers,
    /// The address holds a user, or a password.
    pub(super) has_user_info: bool,
    /// Some requests ask whether an entity tag still holds.
    pub(super) asks_etag: bool,
    /// Some requests ask whether there was a change since a date.
    pub(super) asks_date: bool,
    /// The size of the output that is there.
    pub(super) old_bytes: Option<u64>,
    /// What earlier runs left; there once all rows are read.
    inspection: Option<Inspection>,
}

impl PlannedInput {
    /// Whether the guard would hold back the output of these rows.
    ///
    /// # Errors
    /// [`CollectError::TooFewRows`] if it would.
    pub(super) fn guarded(&self, output: &OutputSettings, place: &Preflight) -> Result<(), CollectError> {
        self.inspection.as_ref().map_or(Ok(()), |inspection| {
            let refused = self.rows.rejected;
            let skus = self.rows.rows.min(self.rows.skus + refused);
            inspection.check_rows(output, place, Some(skus))
        })
    }

    /// Whether no row has a SKU.
    pub(super) fn has_no_sku(&self) -> bool {
        let rows = &self.rows;
        rows.rows == rows.skipped + rows.keyless
    }

    /// Answers in the journal of an interrupted run that no row needs.
    pub(super) fn unclaimed(&self) -> u64 {
        let claimed = self.earlier.recovered;
        self.inspection.as_ref().map_or(0, |inspection| inspection.recovered.answers.saturating_sub(claimed))
    }
}

impl PlannedInputBuilder {
    /// `earlier` has no counts yet.
    pub(super) fn new(
        planner: Planner,
        inspection: Inspection,
        earlier: EarlierAnswers,
        max_age: Option<Duration>,
    ) -> Self {
        let content_type =
            planner.template().constant_headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_json = content_type.is_some_and(|value| value.contains("json"));
        let packer = Packer::of(planner.request());
        let totals = PlannedInput {
            planner,
            rows: PlannedRows::default(),
            first: Vec::new(),
            random: None,
            bodies: None,
            packs: packer.as_ref().map(|_| 0),
            earlier,
            has_user_info: false,
            asks_etag: false,
            asks_date: false,
            old_bytes: inspection.old_bytes(),
            inspection: None,
        };
        let (reasons, lengths) = (HashMap::new(), KeyLengths::default());
        let has_pages = false;
        Self { inspection, max_age, is_json, refused: 0, reasons, lengths, packer, has_pages, totals }
    }

    /// Whether an answer may be made of several pages.
    pub(super) fn with_pages(self, has_pages: bool) -> Self {
        Self { has_pages, ..self }
    }

    /// Goes to the end of the input.
    ///
    /// # Errors
    /// Damage to the whole of it, or no data row.
    pub(super) fn read_all(mut self, mut rows: Rows) -> Result<PlannedInput, InputError> {
        while let Some(row) = rows.next_row()? {
            self.totals.rows.rows += 1;
            match self.totals.planner.plan(row) {
                Planned::Job(job) => self.job(job),
                Planned::Repeat { line, differs, .. } => {
                    self.totals.rows.repeats += 1;
                    if differs {
                        self.totals.rows.differing.add(line);
                    }
                }
                Planned::Skipped { .. } => self.totals.rows.skipped += 1,
                Planned::Rejected(refused) => self.refuse(&refused),
            }
        }
        let mut packs = Vec::new();
        if let Some(packer) = &mut self.packer {
            packer.flush(&mut packs);
        }
        for pack in &packs {
            self.pack(pack);
        }
        let Self { lengths, refused, mut totals, inspection, .. } = self;
        totals.inspection = Some(inspection);
        // Known at the end only: a refused row whose SKU a later row got a job for is a repeat.
        let superseded = totals.planner.superseded().min(refused);
        totals.rows.repeats += superseded;
        totals.rows.rejected = refused - superseded;
        totals.rows.blanks = rows.blanks();
        totals.rows.odd = totals.planner.warnings();
        totals.rows.odd.extend(rows.ended_in_a_mark().then(|| END_MARK.to_owned()));
        totals.rows.odd.extend(lengths.lost_zeros().map(|lost| lost.to_string()));
        Ok(totals)
    }

    fn job(&mut self, job: Job) {
        self.totals.rows.skus += 1;
        self.lengths.note(&job.key, job.line);
        if self.packer.is_none() {
            self.sample(&job);
            self.weigh(&job.request, job.line);
        }
        if self.inspection.answered(job.fingerprint) {
            self.totals.earlier.recovered += 1;
            return;
        }
        if let Some(known) = self.inspection.previous_value(&job.key, job.fingerprint) {
            if known.is_young(self.max_age, self.inspection.began) {
                self.totals.earlier.young += 1;
                return;
            }
            // The validators of one key say nothing about a pack, and those of a page nothing about the others.
            if self.packer.is_some() || self.has_pages {
                return self.add_to_pack(job);
            }
            let (etag, date) = (known.validators.etag.is_some(), known.validators.last_modified.is_some());
            self.totals.asks_etag |= etag;
            self.totals.asks_date |= date;
            self.totals.earlier.conditional += u64::from(etag || date);
        }
        self.add_to_pack(job);
    }

    fn add_to_pack(&mut self, job: Job) {
        let Some(packer) = &mut self.packer else { return };
        let mut packs = Vec::new();
        packer.add(job, &mut packs);
        for pack in &packs {
            self.pack(pack);
        }
    }

    /// Keeps the first requests of packs, and of the others each with the same chance.
    fn pack(&mut self, pack: &Pack) {
        self.weigh(&pack.request, pack.first().line);
        let totals = &mut self.totals;
        let requests = totals.packs.get_or_insert(0);
        *requests += 1;
        let shown = SHOWN_OF_PACK.min(pack.items.len());
        let sample = || SampleRequest {
            line: pack.first().line,
            url: totals.planner.request().shown_pack_url(pack, shown),
            more: (pack.items.len() - shown) as u64,
        };
        if totals.first.len() < FIRST {
            totals.has_user_info |= pack.request.url.has_user_info();
            totals.first.push(sample());
        } else if fastrand::u64(..*requests - FIRST as u64) == 0 {
            totals.random = Some(sample());
        }
    }

    /// Keeps the first requests, and of the others each with the same chance.
    fn sample(&mut self, job: &Job) {
        let totals = &mut self.totals;
        let sample =
            || SampleRequest { line: job.line, url: totals.planner.request().shown_url(job), more: 0 };
        if totals.first.len() < FIRST {
            totals.has_user_info |= job.request.url.has_user_info();
            totals.first.push(sample());
        } else if fastrand::u64(..totals.rows.skus - FIRST as u64) == 0 {
            totals.random = Some(sample());
        }
    }

    fn weigh(&mut self, request: &Request, line: u64) {
        let Some(body) = &request.body else { return };
        let size = body.len() as u64;
        let start = Bodies { least: size, json: self.is_json, ..Bodies::default() };
        let bodies = self.totals.bodies.get_or_insert(start);
        bodies.least = bodies.least.min(size);
        bodies.most = bodies.most.max(size);
        if self.is_json && serde_json::from_slice::<IgnoredAny>(body).is_err() {
            bodies.broken.add(line);
        }
    }

    fn refuse(&mut self, refused: &RejectedRow) {
        self.refused += 1;
        self.totals.rows.keyless += u64::from(matches!(refused.why, Rejection::EmptyKey { .. }));
        self.totals.rows.short_rows += u64::from(refused.why.is_of_a_short_row());
        let rejects = &mut self.totals.rows.rejects;
        let reason = refused.why.reason();
        let place = *self.reasons.entry(reason).or_insert_with_key(|reason| {
            let reject = Reject {
                reason: reason.clone(),
                example: refused.why.to_string(),
                lines: LineNumbers::default(),
            };
            rejects.push(reject);
            rejects.len() - 1
        });
        rejects[place].lines.add(refused.line);
    }
}
