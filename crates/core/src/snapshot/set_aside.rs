//! Files that are not loaded but renamed.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::file;

/// Attempts to find a name that no file has.
const NAMES: u32 = 100;

/// A file that exists and was not loaded: the cache starts without it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// The file, by its original name.
    pub path: PathBuf,
    /// What is wrong with it, for a sentence that begins with the file.
    pub reason: String,
    /// Its new name; `None` when it was not renamed. Then the next snapshot replaces it.
    pub moved_to: Option<PathBuf>,
}

impl SetAside {
    /// Renames the file or link at `path`, if the system allows it. Anything else was probably named by mistake and is
    /// left alone.
    pub(super) fn new(path: &Path, reason: String, wall_ms: f64) -> Self {
        let moved_to = free_name(path, (wall_ms / 1e3) as u64)
            .filter(|_| file::is_file_or_link(path))
            .filter(|aside| std::fs::rename(path, aside).is_ok());
        Self { path: path.to_owned(), reason, moved_to }
    }
}

impl fmt::Display for SetAside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the snapshot {} {}; the cache starts without it", self.path.display(), self.reason)?;
        match &self.moved_to {
            Some(aside) => write!(f, ", and the file is now {}", aside.display()),
            None => {
                f.write_str(", and what is there stays until it is replaced; remove it or set another path")
            }
        }
    }
}

impl std::error::Error for SetAside {}

/// A free name in the directory of `path`, with the time in it; several within one second are numbered.
fn free_name(path: &Path, seconds: u64) -> Option<PathBuf> {
    let name = path.file_name()?;
    (0..NAMES).find_map(|number| {
        let mut aside = OsString::from(name);
        aside.push(format!(".damaged-{seconds}"));
        if number > 0 {
            aside.push(format!("-{number}"));
        }
        let aside = path.with_file_name(aside);
        (!file::is_there(&aside)).then_some(aside)
    })
}
