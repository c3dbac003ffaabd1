//! Where the parts of a sharded job lie: `out.json.parts/RUN/00003-of-00016.jsonl`.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::collect::error::CollectError;
use crate::collect::files::atomic::sync_folder;
use crate::collect::files::names::with_ending;
use crate::collect::files::paths::FileTarget;
use crate::model::{RunId, Shard};

const PARTS: &str = ".parts";
const DIGITS: usize = 5;

/// The folder of all runs of an output.
pub(crate) fn runs_folder(output: &Path) -> PathBuf {
    with_ending(output, PARTS)
}

/// The folder of the parts of one run.
pub(crate) fn parts_folder(output: &Path, run: &RunId) -> PathBuf {
    runs_folder(output).join(run.as_str())
}

/// The file of one part.
pub(crate) fn part_path(output: &Path, run: &RunId, shard: Shard) -> PathBuf {
    parts_folder(output, run).join(part_name(shard))
}

/// The name of that file.
pub(crate) fn part_name(Shard { index, count }: Shard) -> String {
    format!("{index:0DIGITS$}-of-{count:0DIGITS$}.jsonl")
}

/// Whether a file of this name is a part.
#[cfg(feature = "cloud")]
pub(crate) fn is_part_name(name: &str) -> bool {
    shard_of(name).is_some()
}

/// The shard whose part has this name.
pub(crate) fn shard_of(name: &str) -> Option<Shard> {
    let (index, count) = name.strip_suffix(".jsonl")?.split_once("-of-")?;
    let number = |text: &str| {
        let is_plain = text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u32>().ok().filter(|_| is_plain)
    };
    let shard = Shard { index: number(index)?, count: number(count)? };
    (shard.index < shard.count).then_some(shard)
}

/// Makes the folder of the parts, where the output itself can be written. Other shards may do the same meanwhile.
///
/// # Errors
/// The output has no place there, or the folder cannot be made.
pub(crate) fn make_parts_folder(output: &Path, run: &RunId) -> Result<(), CollectError> {
    FileTarget::of(output)?;
    for folder in [runs_folder(output), parts_folder(output, run)] {
        match fs::create_dir(&folder) {
            Ok(()) => sync_folder(&folder)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => {}
            Err(error) => return Err(CollectError::create(&folder)(error)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_found_by_its_name_and_nothing_else_is_taken_for_one() {
        for (index, count) in [(0, 1), (3, 16), (99_998, 99_999)] {
            let shard = Shard { index, count };
            assert_eq!(shard_of(&part_name(shard)), Some(shard));
        }
        let run = "r".parse().unwrap();
        let path = part_path(Path::new("a/out.json"), &run, Shard { index: 3, count: 16 });
        assert_eq!(path, Path::new("a/out.json.parts/r/00003-of-00016.jsonl"));
        for other in [
            "00016-of-00016.jsonl",
            "3-of-16.jsonl",
            "00003-of-00016.jsonl.journal",
            ".00003-of-00016.jsonl.0123456789ab.tmp",
            "+0003-of-00016.jsonl",
            "merged",
        ] {
            assert_eq!(shard_of(other), None, "{other}");
        }
    }

    #[test]
    fn the_folder_is_made_where_the_output_could_be_and_may_be_there() {
        let dir = tempfile::tempdir().unwrap();
        let run = "r".parse().unwrap();
        let output = dir.path().join("out.json");
        for _ in 0..2 {
            make_parts_folder(&output, &run).unwrap();
        }
        assert!(parts_folder(&output, &run).is_dir());
        assert!(make_parts_folder(&dir.path().join("absent/out.json"), &run).is_err());
        fs::write(dir.path().join("b.json.parts"), "").unwrap();
        assert_eq!(make_parts_folder(&dir.path().join("b.json"), &run).unwrap_err().exit().code(), 73);
    }
}
