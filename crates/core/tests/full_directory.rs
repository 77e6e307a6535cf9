//! A directory for temporary files that is full. By itself, because it starts processes, which hold the locks of all
//! others of this process for a moment.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails its test")]

use std::fs;
use std::path::{Path, PathBuf};

use clustered_cache_core::endpoint::{BaseFacts, HostEndpoint};
use clustered_cache_core::testing::TempDir;

fn entries(path: &Path) -> Vec<PathBuf> {
    fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// A file system without room for the name and the file that a host needs.
struct Full(TempDir);

impl Full {
    /// `None` where nothing can be mounted. So many inodes are free.
    fn mount(inodes: u32) -> Option<Self> {
        let directory = TempDir::new();
        // One more for its own directory.
        let options = format!("size=1m,nr_inodes={},mode=0700", inodes + 1);
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(directory.path())
            .stderr(std::process::Stdio::null())
            .status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(directory))
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_directory_for_temporary_files_that_is_full_is_passed_over() {
    // With room for nothing, for the base, and for the host's directory in it but no secret.
    for inodes in [0, 1, 2] {
        // Only root may mount.
        let Some(full) = Full::mount(inodes) else { return };
        let other = TempDir::new();
        let temp_dirs = vec![full.0.path().to_owned(), other.path().to_owned()];
        let endpoint = HostEndpoint::create(None, &BaseFacts { temp_dirs, ..BaseFacts::default() }).unwrap();
        assert!(endpoint.path().starts_with(other.path()), "{inodes}: {}", endpoint.path().display());
        let left = entries(full.0.path()).first().map_or(0, |base| entries(base).len());
        assert_eq!(left, 0, "nothing is left behind in the full one");
    }
}
