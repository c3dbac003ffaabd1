//! A folder of the test's own, gone with it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// A temporary folder.
pub struct WorkDir(tempfile::TempDir);

impl WorkDir {
    /// An empty one.
    pub fn new() -> Self {
        Self::new_in(&std::env::temp_dir())
    }

    /// An empty one within another folder, such as one on a small disk.
    pub fn new_in(place: &Path) -> Self {
        Self(tempfile::TempDir::with_prefix_in("skufetch-it-", place).unwrap())
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        self.0.path()
    }

    /// Where a file of this name is, or would be.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file, whatever was there.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// Writes `products.csv` with the one column `sku`, every key in quotes.
    pub fn write_skus<S: AsRef<str>>(&self, skus: impl IntoIterator<Item = S>) -> PathBuf {
        let mut text = String::from("sku\n");
        for sku in skus {
            writeln!(text, "\"{}\"", sku.as_ref().replace('"', "\"\"")).unwrap();
        }
        self.write("products.csv", text)
    }

    /// A file as text.
    #[track_caller]
    pub fn read(&self, name: &str) -> String {
        String::from_utf8(self.bytes(name)).unwrap_or_else(|_| panic!("{name} is not UTF-8"))
    }

    /// A file as bytes.
    #[track_caller]
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name))
            .unwrap_or_else(|error| panic!("{name}: {error}; there is {:?}", self.names()))
    }

    /// Whether there is a file (or a folder) of this name.
    pub fn has(&self, name: &str) -> bool {
        fs::symlink_metadata(self.path(name)).is_ok()
    }

    /// The names of all that is there, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.root()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// The files that hold these bytes, such as a secret that should be in none.
    pub fn holding(&self, needle: &str) -> Vec<String> {
        let mut names = self.names();
        names.retain(|name| {
            let path = self.path(name);
            path.is_file() && memchr::memmem::find(&fs::read(path).unwrap(), needle.as_bytes()).is_some()
        });
        names
    }
}
