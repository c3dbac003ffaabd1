//! The end of a pass over all records: the output is complete, is judged, and its files are put in place.

use crate::collect::error::{CollectError, FileOperation};
use crate::collect::files::atomic::IntoReplacement;
use crate::collect::files::paths::Paths;
use crate::collect::previous::baseline::{Baseline, has_skus};
use crate::collect::previous::profile::{MeasuredOutput, Profile};
use crate::collect::publish::context::PublishContext;
use crate::collect::publish::decision::{PublishDecision, PublishFacts, with_kept};
use crate::collect::publish::example::{NewOutput, example};
use crate::collect::publish::outcome::{Evidence, PublishOutcome};
use crate::collect::publish::output_writer::WrittenOutput;
use crate::collect::publish::row_pass::RowPass;
use crate::collect::publish::sequence::{JournalEnd, PublishFiles};
use crate::collect::settings::OutputSettings;

/// A pass that has seen every record.
pub(crate) struct PassedRows<'a, W: IntoReplacement> {
    pub(crate) pass: RowPass<'a, W>,
    /// Where changes are recorded before they are put in place.
    pub(crate) journal: Option<JournalEnd>,
    /// What the new output is compared with.
    pub(crate) old: Option<Baseline>,
    /// Why there is nothing though there is an old output.
    pub(crate) baseline_error: Option<String>,
}

impl<W: IntoReplacement> PassedRows<'_, W> {
    /// Judges the output and puts its files in place.
    ///
    /// # Errors
    /// As [`PublishFiles::put_in_place`], or the output cannot be written to its end.
    pub(crate) fn publish(
        self,
        settings: &OutputSettings,
        context: &PublishContext<'_>,
        paths: &Paths,
    ) -> Result<PublishOutcome, CollectError> {
        let Self { mut pass, journal, old, baseline_error } = self;
        let WrittenOutput { stamp, lines, measured, target } = pass.finish_output()?;
        let output =
            target.into_replacement().map_err(CollectError::io(FileOperation::Write, &paths.output.given))?;
        let fetched = pass.fetched.finish().profile;
        let facts = facts(settings, paths, old, with_kept(measured.profile, pass.kept, old));
        let facts = PublishFacts { fetched, ..facts };
        let judgement = facts.judge();
        let example = judgement.shown().and_then(|shown| {
            let new = NewOutput { path: output.path(), measured: &measured };
            example(paths, settings, shown, new)
        });
        let evidence = Evidence { example, ..evidence(&facts, &measured) };
        let (unpruned, pruned, not_in_input) = (pass.unpruned(), pass.prunes(), pass.not_in_input);
        let RowPass { rows, state, changes, .. } = pass;
        let files = PublishFiles { journal, output, stamp, changes, state, profile: facts.new, rows };
        let placed = files.put_in_place(&judgement.decision, paths, context)?;
        let is_published = judgement.decision == PublishDecision::Published;
        let mut warnings = placed.warnings;
        warnings.extend(unpruned.into_iter().chain(baseline_error).filter(|_| is_published));
        warnings.extend(placed.state_warning);
        Ok(PublishOutcome {
            fetched,
            path: placed.path,
            replaces: placed.replaces,
            bytes: stamp.bytes,
            lines,
            failures: placed.failures,
            changes: placed.changes,
            not_in_input,
            pruned,
            warnings,
            ..PublishOutcome::new(judgement, evidence)
        })
    }
}

fn facts(settings: &OutputSettings, paths: &Paths, old: Option<Baseline>, new: Profile) -> PublishFacts {
    // Only an output without a SKU needs to know this of a file that could not be measured.
    let has_any = || new.skus == 0 && has_skus(&paths.output.real, settings);
    let old_has_skus = old.map_or_else(has_any, |old| old.profile.skus > 0);
    PublishFacts { old, old_has_skus, new, ..PublishFacts::of(settings) }
}

fn evidence(facts: &PublishFacts, measured: &MeasuredOutput) -> Evidence {
    Evidence { old: facts.old, new: facts.new, nulls_for_status: measured.nulls_for_status, example: None }
}
