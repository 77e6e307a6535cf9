//! Lets allowed users reach a host's socket: they may pass through its directory, and other users may not as far as the
//! file system supports that. The server checks the user of each connection all the same.

use super::directory::{OwnDirectory, PASSABLE};
use crate::error::Result;

/// Lets `users` pass through `directory`. Where the file system has no access control lists, or has no number for one of
/// the users, all users may pass. They find only a socket there, whose server closes their connections.
pub(super) fn admit(directory: &OwnDirectory, users: &[u32]) -> Result<()> {
    #[cfg(target_os = "linux")]
    if list::set(directory, users).is_ok() {
        return Ok(());
    }
    let _ = users;
    directory.set_mode(PASSABLE)
}

/// POSIX access control lists, in the format of the kernel.
#[cfg(target_os = "linux")]
mod list {
    use rustix::fs::XattrFlags;
    use rustix::io::Errno;

    use super::OwnDirectory;

    /// The extended attribute that holds a file's list.
    const NAME: &str = "system.posix_acl_access";
    /// The version of the format.
    const VERSION: u32 = 2;
    // Kinds of entries.
    const OWNER: u16 = 0x01;
    const USER: u16 = 0x02;
    const GROUP: u16 = 0x04;
    /// Limits the permissions of all entries for users and groups.
    const MASK: u16 = 0x10;
    const OTHERS: u16 = 0x20;
    /// The user of an entry that is not for a single user.
    pub(super) const NO_USER: u32 = u32::MAX;
    // Permissions.
    const ALL: u16 = 7;
    const PASS: u16 = 1;
    const NONE: u16 = 0;

    pub(super) fn set(directory: &OwnDirectory, users: &[u32]) -> Result<(), Errno> {
        rustix::fs::fsetxattr(directory.descriptor(), NAME, &list(users), XattrFlags::empty())
    }

    /// The list for mode 0700 plus the right to pass for each of `users`: the version, then the entries, in this order.
    fn list(users: &[u32]) -> Vec<u8> {
        let named = users.iter().map(|user| (USER, PASS, *user));
        let entries = std::iter::once((OWNER, ALL, NO_USER)).chain(named).chain([
            (GROUP, NONE, NO_USER),
            (MASK, PASS, NO_USER),
            (OTHERS, NONE, NO_USER),
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
    fn without_a_list_all_users_may_pass_and_with_one_only_those_in_it() {
        let directory = TempDir::new();
        let own = OwnDirectory::open(directory.path()).unwrap();
        // A list cannot hold this number.
        admit(&own, &[list::NO_USER]).unwrap();
        assert_eq!(mode(&directory), 0o711);
        if list::set(&own, &[4_242]).is_ok() {
            assert_eq!(mode(&directory), 0o710, "the bits of the group limit what a user in the list may do");
            admit(&own, &[4_242, 4_243]).unwrap();
            assert_eq!(mode(&directory), 0o710);
        }
    }
}
