//! Checks a whole file before the first request: a broken export is found before anything is asked for,
//! and the progress has its total.

use crate::input::error::InputError;
use crate::input::rows::Rows;
use crate::input::settings::{InputPath, InputSettings};

/// What a file holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Survey {
    /// Data rows, damaged ones included; at most the limit.
    pub rows: u64,
    /// Lines without a character, up to the last of these rows or the end.
    pub blanks: u64,
    /// Rows that are damaged in themselves.
    pub damaged: u64,
}

/// Reads all rows that a run would read. For a path that
/// [can be read twice](InputPath::can_be_read_twice) only: the rows of anything else would be gone.
///
/// # Errors
/// The same as [`Rows::open`] and [`Rows::next_row`].
pub fn survey(path: &InputPath, settings: &InputSettings) -> Result<Survey, InputError> {
    let mut rows = Rows::open(path, settings)?;
    let mut survey = Survey::default();
    while let Some(damaged) = rows.skip_row()? {
        survey.rows += 1;
        survey.damaged += u64::from(damaged);
    }
    survey.blanks = rows.blanks();
    Ok(survey)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::InputError;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn a_survey_counts_what_a_run_would_read() {
        let file = file("sku,name\nA,x\n\nB\nC,z\n\n");
        let path = InputPath::File(file.path().into());
        let all = survey(&path, &InputSettings::default()).unwrap();
        assert_eq!(all, Survey { rows: 3, blanks: 2, damaged: 1 });
        let some = survey(&path, &InputSettings { limit: Some(1), ..InputSettings::default() }).unwrap();
        assert_eq!(some, Survey { rows: 1, blanks: 0, damaged: 0 });
    }

    #[test]
    fn a_survey_finds_what_would_end_a_run_half_way() {
        let file = file("sku,name\nA,x\nB,\"y\n");
        let error = survey(&InputPath::File(file.path().into()), &InputSettings::default()).unwrap_err();
        assert!(matches!(error, InputError::OpenQuote { .. }));
    }
}
