//! Lets allowed users get at a host's socket: they, and as far as the file system can say so nobody else, may pass through its
//! directory. Whoever gets there is looked at when he has connected.

use super::directory::{OwnDirectory, PASSABLE};
use crate::error::Result;

/// Lets `users` pass through `directory`. Where the file system keeps no lists of users, or has no number for one of them, every
/// user may pass, who finds nothing there but a socket that hangs up on him.
pub(super) fn admit(directory: &OwnDirectory, users: &[u32]) -> Result<()> {
    #[cfg(target_os = "linux")]
    if list::set(directory, users).is_ok() {
        return Ok(());
    }
    let _ = users;
    directory.set_mode(PASSABLE)
}

/// Lists of users with permissions of their own (POSIX access control lists), as the kernel takes them.
#[cfg(target_os = "linux")]
mod list {
    use rustix::fs::XattrFlags;
    use rustix::io::Errno;

    use super::OwnDirectory;

    /// Where a file has its list.
    const NAME: &str = "system.posix_acl_access";
    /// The version of its format.
    const VERSION: u32 = 2;
    // Kinds of entries.
    const OWNER: u16 = 0x01;
    const USER: u16 = 0x02;
    const GROUP: u16 = 0x04;
    /// The most that an entry for a user or a group gives.
    const MASK: u16 = 0x10;
    const OTHERS: u16 = 0x20;
    /// Of an entry that is not for one user.
    pub(super) const NOBODY: u32 = u32::MAX;
    // Permissions.
    const ALL: u16 = 7;
    const PASS: u16 = 1;
    const NONE: u16 = 0;

    pub(super) fn set(directory: &OwnDirectory, users: &[u32]) -> Result<(), Errno> {
        rustix::fs::fsetxattr(directory.descriptor(), NAME, &list(users), XattrFlags::empty())
    }

    /// Mode 0700, and the right to pass for each of `users`: the version, then entries in this order.
    fn list(users: &[u32]) -> Vec<u8> {
        let named = users.iter().map(|user| (USER, PASS, *user));
        let entries = std::iter::once((OWNER, ALL, NOBODY)).chain(named).chain([
            (GROUP, NONE, NOBODY),
            (MASK, PASS, NOBODY),
            (OTHERS, NONE, NOBODY),
        ]);
        let mut bytes = VERSION.to_le_bytes().to_vec();
        for (kind, permissions, user) in entries {
            bytes.extend(kind.to_le_bytes());
            bytes.extend(permissions.to_le_bytes());
            bytes.extend(user.to_le_bytes());
        }
        bytes
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::testing::TempDir;

    fn mode(directory: &TempDir) -> u32 {
        directory.path().metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn without_a_list_everybody_may_pass_and_with_one_only_those_in_it() {
        let directory = TempDir::new();
        let own = OwnDirectory::open(directory.path()).unwrap();
        // No user, which no list can hold.
        admit(&own, &[list::NOBODY]).unwrap();
        assert_eq!(mode(&directory), 0o711);
        if list::set(&own, &[4_242]).is_ok() {
            assert_eq!(
                mode(&directory),
                0o710,
                "the bits of the group are the most that a user in the list may do"
            );
            admit(&own, &[4_242, 4_243]).unwrap();
            assert_eq!(mode(&directory), 0o710);
        }
    }
}
