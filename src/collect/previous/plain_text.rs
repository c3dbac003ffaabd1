//! The text of an old output, in a file where it can be read at any place.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

use crate::collect::error::{CollectError, FileOperation};
use crate::collect::files::compression::{Compression, unpacked};
use crate::collect::files::names::folder_of;
use crate::collect::files::stamp::{Stamp, StampReader};

/// Unpacked at a time.
const BLOCK: usize = 256 * 1024;

/// The text of an output: a compressed one is unpacked into a file without a name, since values are read at their places.
/// With it, the stamp of the compressed file.
pub(crate) fn plain_text(mut file: File, path: &Path) -> Result<(File, Option<Stamp>), CollectError> {
    let refused =
        |error: io::Error| CollectError::OldOutput { path: path.into(), offset: 0, why: error.to_string() };
    let mut raw = StampReader::new(&file);
    let (compression, mut text) = unpacked(&mut raw).map_err(refused)?;
    if compression == Compression::Plain {
        drop(text);
        file.rewind().map_err(refused)?;
        return Ok((file, None));
    }
    let unpacking = || CollectError::io(FileOperation::Unpack, path);
    let mut copy = tempfile::tempfile_in(folder_of(path)).map_err(unpacking())?;
    let mut block = vec![0; BLOCK];
    loop {
        match text.read(&mut block) {
            Ok(0) => break,
            Ok(count) => copy.write_all(&block[..count]).map_err(unpacking())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(refused(error)),
        }
    }
    drop(text);
    copy.rewind().map_err(unpacking())?;
    Ok((copy, Some(raw.stamp())))
}
