//! A SKU that shows what is wrong with an output, found by reading the files once more.

use std::collections::HashSet;
use std::fs::File;
use std::path::Path;

use crate::collect::files::cursor::NULL;
use crate::collect::files::paths::Paths;
use crate::collect::previous::key_hash::KeyHasher;
use crate::collect::previous::profile::{BodyCounter, MeasuredOutput};
use crate::collect::previous::stored::{first_sku, visit_skus};
use crate::collect::publish::guard::Degradation;
use crate::collect::settings::{OutputSettings, StoredForm};

/// Bytes of a body that are kept at most; the message shortens them further.
const BODY: usize = 1000;

/// A new output.
#[derive(Clone, Copy)]
pub(crate) struct NewOutput<'a> {
    /// Where it is written.
    pub(crate) path: &'a Path,
    /// What was counted in it.
    pub(crate) measured: &'a MeasuredOutput,
}

/// A key that shows this degradation, and its body in the new output.
pub(crate) fn example(
    paths: &Paths,
    settings: &OutputSettings,
    degradation: Degradation,
    NewOutput { path: new, measured }: NewOutput<'_>,
) -> Option<(String, Option<String>)> {
    let form = settings.form();
    let found = match degradation {
        Degradation::Empty | Degradation::Fewer => {
            return lost_key(&paths.output.real, new, form).map(|key| (key, None));
        }
        Degradation::Nulls => first_sku(&File::open(new).ok()?, form, |_, body| body == NULL),
        Degradation::SameBody => {
            first_sku(&File::open(new).ok()?, form, |_, body| BodyCounter::of(body) == measured.commonest)
        }
        // What was selected from is in no file.
        Degradation::SameRawBody => return None,
    };
    found.map(|(key, body)| {
        let shown = String::from_utf8_lossy(&body[..body.len().min(BODY)]).into_owned();
        (key, Some(shown))
    })
}

/// The first key of the old output that the new one does not have.
fn lost_key(old: &Path, new: &Path, form: StoredForm<'_>) -> Option<String> {
    let hasher = KeyHasher::random();
    let mut there = HashSet::new();
    visit_skus(&File::open(new).ok()?, form, |sku| {
        there.insert(hasher.hash(sku.key));
        std::ops::ControlFlow::Continue(())
    })
    .ok()?;
    // The old output may have another format: then there is no example.
    first_sku(&File::open(old).ok()?, form, |key, _| !there.contains(&hasher.hash(key))).map(|(key, _)| key)
}
