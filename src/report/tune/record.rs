//! Log records of `tune`, for programs.

use crate::limit::climb::Rung;
use crate::report::console::log_record::{Level, LogRecord, RecordKind};
use crate::report::format::counted;
use crate::report::reporter::Report;
use crate::report::tune::fields::{fields, rung_fields};
use crate::report::tune::text::{rate, why};
use crate::report::tune::tune_result::{Proposal, TuneResult};

impl Report {
    /// A rung was measured. As text it is a row of the table, on standard output.
    pub(crate) fn rung_measured(&self, rung: &Rung) {
        self.log_if_json(|| {
            let text = format!("{}: {}/s", counted(rung.workers as u64, "worker", "workers"), rate(rung));
            LogRecord::new(Level::Info, RecordKind::RungMeasured, text, rung_fields(rung))
        });
    }

    /// The climb is over. Takes the bar away.
    pub(crate) fn tuned(&self, tuned: &TuneResult) {
        self.abandon();
        self.log_if_json(|| {
            let best = match tuned.proposal() {
                None => "no number can be named".into(),
                Some(Proposal::Rate(rate)) => format!("best: {rate}"),
                Some(Proposal::Workers(workers)) => {
                    format!("best: {}", counted(workers as u64, "worker", "workers"))
                }
            };
            LogRecord::new(Level::Info, RecordKind::Tuned, format!("{best}; {}", why(tuned)), fields(tuned))
        });
    }
}
