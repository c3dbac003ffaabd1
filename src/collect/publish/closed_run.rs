//! The end of a run: its journal is complete, and is published or left for the next run.

use std::io;

use crate::collect::error::{CollectError, FileOperation};
use crate::collect::files::checksum::Checksum;
use crate::collect::files::paths::Paths;
use crate::collect::files::stage::ObjectStage;
use crate::collect::identity::RecordedJob;
use crate::collect::journal::appender::ClosedJournal;
use crate::collect::journal::publish_record::PublishRecord;
use crate::collect::previous::previous_run::PreviousRun;
use crate::collect::previous::profile::Profile;
use crate::collect::publish::changes::ChangeFile;
use crate::collect::publish::context::PublishContext;
use crate::collect::publish::decision::{PublishDecision, PublishFacts};
use crate::collect::publish::draft::{Draft, DraftHandle, DraftPlan, DraftedRows};
use crate::collect::publish::failure_file::FailedRows;
use crate::collect::publish::guard::suspicious_shares;
use crate::collect::publish::outcome::{Evidence, PublishOutcome, UnpublishedOutcome};
use crate::collect::publish::output_writer::{OutputWriter, WrittenOutput};
use crate::collect::publish::passed_rows::PassedRows;
use crate::collect::publish::row_pass::{RowPass, TablePass};
use crate::collect::publish::sequence::JournalEnd;
use crate::collect::settings::OutputSettings;
use crate::collect::table::row_spool::RowSpool;

/// A run whose journal is written and synced: ready to be published, or left for the next run.
pub struct ClosedRun {
    pub(crate) journal: ClosedJournal,
    pub(crate) job: RecordedJob,
    /// A row failed or was refused.
    pub(crate) has_failures: bool,
    pub(crate) answers: AnswerCounts,
    pub(crate) published_before: Option<PublishRecord>,
    pub(crate) previous: PreviousRun,
    pub(crate) drafting: Option<DraftHandle>,
    /// Of a table, the rows of the input.
    pub(crate) rows: Option<RowSpool>,
}

/// Answers that were appended to a journal.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AnswerCounts {
    pub(crate) all: u64,
    /// Of these, those whose body is `null`.
    pub(crate) nulls: u64,
}

impl ClosedRun {
    /// Puts the output in place, then the state, then the failure file, and removes the journal. An output that is
    /// much worse than the old one is put beside it instead.
    ///
    /// # Errors
    /// A journal that does not read back, or disk trouble. Up to the instant of the rename the old
    /// output stays; an error after it is [`CollectError::Unsettled`].
    pub fn publish(
        self,
        settings: &OutputSettings,
        context: &mut PublishContext<'_>,
    ) -> Result<PublishOutcome, CollectError> {
        match &context.place.paths {
            Some(paths) => self.publish_file(settings, context, paths),
            None => self.publish_stdout(settings, context),
        }
    }

    fn publish_file(
        mut self,
        settings: &OutputSettings,
        context: &PublishContext<'_>,
        paths: &Paths,
    ) -> Result<PublishOutcome, CollectError> {
        let given = &paths.output.given;
        let merged = self.previous.merged_layout(settings);
        let merged = merged.map(|layout| OutputSettings { layout: Some(layout), ..settings.clone() });
        let settings = merged.as_ref().unwrap_or(settings);
        let starts_from_old = settings.merge || context.place.changes.is_some();
        let real = &paths.output.real;
        if starts_from_old
            && !(self.previous.is_still_there(real) && ObjectStage::is_unchanged(paths.output.stage(), real)?)
        {
            return Err(CollectError::OldChanged { path: given.clone() });
        }
        let old = self.previous.current_baseline(&paths.output.real, settings);
        let baseline_error = self.previous.baseline_error.take();
        let draft = match self.drafting.take().and_then(DraftHandle::finish) {
            Some(draft) => draft,
            None => Draft::begin(&DraftPlan::of(settings, paths, self.journal.salt, &self.job))?,
        };
        let mut pass = RowPass::new(FailedRows::of(context), Some(draft.output), Some(given), settings);
        pass.state = Some(draft.state);
        pass.table = TablePass::of(settings, self.rows)?;
        let changes = context.place.changes.as_ref();
        pass.changes =
            changes.map(|target| ChangeFile::create(target, self.published_before.as_ref())).transpose()?;
        let journal = JournalEnd {
            path: self.journal.path.clone(),
            file: self
                .journal
                .file
                .try_clone()
                .map_err(CollectError::io(FileOperation::Open, &self.journal.path))?,
            checksum: Checksum::new(self.journal.salt),
            is_kept: false,
        };
        pass.run(self.journal, self.previous, &draft.rows, context.is_stopped)?;
        PassedRows { pass, journal: Some(journal), old, baseline_error }.publish(settings, context, paths)
    }

    /// Standard output cannot be taken back: an output of nothing but nulls is found before the first byte of it, by what
    /// was counted while answers came.
    fn publish_stdout(
        self,
        settings: &OutputSettings,
        context: &mut PublishContext<'_>,
    ) -> Result<PublishOutcome, CollectError> {
        let AnswerCounts { all, nulls } = self.answers;
        let new = Profile { skus: all, nulls, ..Profile::default() };
        let counted = PublishFacts { new, ..PublishFacts::of(settings) }.judge();
        if counted.decision == PublishDecision::NothingButNulls {
            let UnpublishedOutcome { failures, warnings } = self.leave(context)?;
            let evidence = Evidence { new, ..Evidence::default() };
            return Ok(PublishOutcome { failures, warnings, ..PublishOutcome::new(counted, evidence) });
        }
        let (rows, is_stopped, folder) =
            (FailedRows::of(context), context.is_stopped, self.journal.path.clone());
        let output = OutputWriter::new(&mut *context.stdout, settings).map_err(CollectError::Stdout)?;
        let mut pass = RowPass::new(rows, Some(output), None, settings);
        pass.table = TablePass::of(settings, self.rows)?;
        pass.run(self.journal, self.previous, &DraftedRows::default(), is_stopped)
            .map_err(|error| error.of_temporary(&folder))?;
        let WrittenOutput { stamp, lines, measured, .. } = pass.finish_output()?;
        let (failures, warnings) = pass.rows.put_in_place(true)?;
        let evidence = Evidence { new: measured.profile, ..Evidence::default() };
        let suspicious_shares =
            settings.guard.map_or_else(Vec::new, |percent| suspicious_shares(measured.profile, percent));
        Ok(PublishOutcome {
            bytes: stamp.bytes,
            lines,
            failures,
            warnings,
            suspicious_shares,
            ..PublishOutcome::new(counted, evidence)
        })
    }

    /// Publishes nothing: the journal stays for the next run, and the failure file is written if
    /// anything failed.
    ///
    /// # Errors
    /// A journal that does not read back, or disk trouble.
    pub fn leave(mut self, context: &PublishContext<'_>) -> Result<UnpublishedOutcome, CollectError> {
        self.drafting = None;
        // Without an output, no old value is read either.
        let settings = OutputSettings::default();
        let mut pass = RowPass::<io::Sink>::new(FailedRows::of(context), None, None, &settings);
        if self.has_failures {
            pass.run(self.journal, self.previous, &DraftedRows::default(), context.is_stopped)?;
        }
        let (failures, warnings) = pass.rows.put_in_place(false)?;
        Ok(UnpublishedOutcome { failures, warnings })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use proptest::prelude::*;

    use crate::collect::settings::{Format, Shape};
    use crate::collect::test_run::{TestContext, TestRun, failed, fetched, key, refused};

    fn run(format: Format, shape: Shape) -> String {
        let run = TestRun::with(|settings| (settings.format, settings.shape) = (format, shape));
        let (mut journal, _) = run.open();
        let row = csv::ByteRecord::from(vec!["R", "x"]);
        journal.append(&fetched(3, "B\"é", "[1.10]")).unwrap();
        let (r, b) = (key("R"), key("B\"é"));
        journal.append_refused(&refused(2, Some(&r), &row)).unwrap();
        journal.append_refused(&refused(4, Some(&r), &row)).unwrap();
        journal.append_refused(&refused(5, Some(&b), &row)).unwrap();
        journal.append_refused(&refused(6, None, &row)).unwrap();
        journal.append(&failed(1, "F", 404)).unwrap();
        journal.append(&fetched(0, "A", "null")).unwrap();
        let how = TestContext { planned: "B\"é", ..TestContext::default() };
        let published = run.try_publish(journal.close().unwrap(), &how).unwrap();
        assert_eq!((published.failures.rows, published.failures.repeats), (4, 1));
        assert_eq!(published.lines, if shape == Shape::Body { 2 } else { 4 });
        let text = run.text("out.json");
        assert_eq!(published.bytes, text.len() as u64);
        let now =
            text.split("\"status\":404,\"fetched_at\":\"").nth(1).and_then(|rest| rest.split('"').next());
        now.map_or(text.clone(), |now| {
            text.split(&now[..11])
                .enumerate()
                .map(|(index, part)| if index == 0 { part } else { &part[now.len() - 11..] })
                .collect()
        })
    }

    #[test]
    fn lines_are_laid_out_as_promised_in_every_format_and_shape() {
        assert_eq!(run(Format::Json, Shape::Body), "{\n\"A\":null,\n\"B\\\"é\":[1.10]\n}\n");
        assert_eq!(
            run(Format::Jsonl, Shape::Body),
            "{\"key\":\"A\",\"body\":null}\n{\"key\":\"B\\\"é\",\"body\":[1.10]}\n"
        );
        let (at, why) = ("2023-11-14T22:13:20.000Z", "a control character");
        assert_eq!(
            run(Format::Json, Shape::Record),
            format!(
                "{{\n\"A\":{{\"status\":200,\"fetched_at\":\"{at}\",\"attempts\":1,\"body\":null}},\n\
                 \"F\":{{\"status\":404,\"fetched_at\":\"\",\"attempts\":1,\"error\":\"HTTP 404 Not Found\"}},\n\
                 \"R\":{{\"status\":null,\"fetched_at\":\"\",\"attempts\":0,\"error\":\"{why}\"}},\n\
                 \"B\\\"é\":{{\"status\":200,\"fetched_at\":\"{at}\",\"attempts\":1,\"body\":[1.10]}}\n}}\n"
            )
        );
        assert_eq!(
            run(Format::Jsonl, Shape::Record),
            format!(
                "{{\"key\":\"A\",\"status\":200,\"fetched_at\":\"{at}\",\"attempts\":1,\"body\":null}}\n\
                 {{\"key\":\"F\",\"status\":404,\"fetched_at\":\"\",\"attempts\":1,\"error\":\"HTTP 404 Not Found\"}}\n\
                 {{\"key\":\"R\",\"status\":null,\"fetched_at\":\"\",\"attempts\":0,\"error\":\"{why}\"}}\n\
                 {{\"key\":\"B\\\"é\",\"status\":200,\"fetched_at\":\"{at}\",\"attempts\":1,\"body\":[1.10]}}\n"
            )
        );
    }

    #[test]
    fn no_sku_at_all_is_an_empty_object() {
        let run = TestRun::new();
        assert_eq!(run.publish_entries(&[]).lines, 0);
        assert_eq!(run.text("out.json"), "{\n}\n");
        let run = TestRun::with(|settings| settings.format = Format::Jsonl);
        run.publish_entries(&[]);
        assert_eq!(run.text("out.json"), "");
    }

    #[test]
    fn a_link_in_the_outputs_place_is_kept_and_so_is_the_mode_of_what_it_leads_to() {
        let run = TestRun::new();
        fs::create_dir(run.path("deep")).unwrap();
        fs::write(run.path("deep/real.json"), "{}").unwrap();
        fs::set_permissions(run.path("deep/real.json"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink("deep/real.json", run.path("out.json")).unwrap();
        run.publish_entries(&[fetched(0, "A", "1")]);
        assert!(fs::symlink_metadata(run.path("out.json")).unwrap().is_symlink());
        assert_eq!(run.text("deep/real.json"), "{\n\"A\":1\n}\n");
        let mode = fs::metadata(run.path("deep/real.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        assert_eq!(fs::read_dir(run.path("deep")).unwrap().count(), 1);
    }

    #[test]
    fn a_journal_that_another_program_changed_is_not_published() {
        let run = TestRun::new();
        run.publish_entries(&[fetched(0, "A", "\"old\"")]);
        let (mut journal, _) = run.open();
        journal.append(&fetched(0, "A", "\"new\"")).unwrap();
        let finished = journal.close().unwrap();
        let text = run.text("out.json.journal").replace("\"new\"", "\"bad\"");
        fs::write(run.path("out.json.journal"), text).unwrap();
        let error = run.try_publish(finished, &TestContext::default()).unwrap_err();
        assert_eq!(error.exit().code(), 74);
        assert_eq!(run.text("out.json"), "{\n\"A\":\"old\"\n}\n");
        assert_eq!(run.names(), ["out.json", "out.json.journal", "out.json.state"]);
    }

    #[test]
    fn what_a_killed_run_left_behind_is_cleared_by_the_next() {
        let run = TestRun::new();
        for name in [".out.json.0123456789ab.tmp", ".out.json.state.0123456789ab.tmp"] {
            fs::write(run.path(name), "half").unwrap();
        }
        fs::write(run.path(".out.failed.csv.0123456789ab.tmp"), "half").unwrap();
        run.publish_entries(&[fetched(0, "A", "1")]);
        assert_eq!(run.names(), ["out.json", "out.json.state"]);
    }

    #[test]
    fn a_hundred_thousand_entries_stream_into_their_places() {
        const COUNT: u32 = 100_000;
        let run = TestRun::new();
        let (mut journal, _) = run.open();
        let body = format!("\"{}\"", "x".repeat(50));
        let mut order: Vec<u32> = (0..COUNT).collect();
        let mut chance = fastrand::Rng::with_seed(1);
        order.chunks_mut(200).for_each(|part| chance.shuffle(part));
        for _ in 0..500 {
            order.swap(chance.usize(0..100_000), chance.usize(0..100_000));
        }
        for seq in order {
            journal.append(&fetched(seq, &format!("K{seq:06}"), &body)).unwrap();
        }
        assert_eq!(run.publish(journal.close().unwrap()).lines, u64::from(COUNT));
        let text = run.text("out.json");
        let keys = text.lines().filter_map(|line| line.get(2..8)).map(|key| key.parse::<u32>().unwrap());
        assert!(keys.eq(0..COUNT));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn the_same_answers_give_the_same_bytes_in_any_order_and_after_any_interruptions(
            bodies in proptest::collection::vec("\"[a-z]{0,30}\"", 1..40), seed: u64, stops in 0usize..4,
        ) {
            let entry = |seq: usize| {
                let number = u32::try_from(seq).unwrap();
                match number % 5 {
                    4 => failed(number, &format!("K{seq}"), 404),
                    _ => fetched(number, &format!("K{seq}"), &bodies[seq]),
                }
            };
            let straight = TestRun::new();
            straight.publish_entries(&(0..bodies.len()).map(entry).collect::<Vec<_>>());
            let run = TestRun::new();
            let mut order: Vec<usize> = (0..bodies.len()).collect();
            fastrand::Rng::with_seed(seed).shuffle(&mut order);
            for part in order.chunks(order.len() / (stops + 1) + 1) {
                let (mut journal, _) = run.open();
                for &seq in part {
                    journal.append(&entry(seq)).unwrap();
                }
            }
            let (mut journal, _) = run.open();
            for seq in order {
                let entry = entry(seq);
                if !journal.adopt(entry.seq, entry.fingerprint) {
                    journal.append(&entry).unwrap();
                }
            }
            run.publish(journal.close().unwrap());
            prop_assert_eq!(run.text("out.json"), straight.text("out.json"));
            let failures = |run: &TestRun| fs::read(run.path("out.failed.csv")).ok();
            prop_assert_eq!(failures(&run), failures(&straight));
        }
    }
}
