//! Lets guests get at a host's socket: they, and as far as the file system can say so nobody else, may pass through its
//! directory. Whoever gets there is looked at when he has connected.

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use super::directory::{OwnDirectory, PASSABLE};
use crate::error::Result;

/// Where Linux keeps the list of users with permissions of their own.
const LIST: &str = "system.posix_acl_access";
/// The version of its format.
const VERSION: u32 = 2;
/// Kinds of entries: for the owner, a user, the group, the most that users and groups can have, and all others.
const KINDS: [u16; 5] = [0x01, 0x02, 0x04, 0x10, 0x20];
/// Of an entry for a kind of users and not for one user.
const NOBODY: u32 = u32::MAX;

/// Lets `users` pass through `directory`. Where the file system keeps no lists, or has no number for one of them, every user may
/// pass, who finds nothing there but a socket that hangs up on him.
pub(super) fn admit(directory: &OwnDirectory, users: &[u32]) -> Result<()> {
    if cfg!(target_os = "linux") && set_list(directory, users).is_ok() {
        return Ok(());
    }
    directory.set_mode(PASSABLE)
}

fn set_list(directory: &OwnDirectory, users: &[u32]) -> Result<(), Errno> {
    rustix::fs::fsetxattr(directory.descriptor(), LIST, &list(users), XattrFlags::empty())
}

/// The list as the kernel takes it: the version, then entries of a kind, permissions and a user, in ascending order.
/// Mode 0700 for us and all others, and the right to pass for each of `users`.
fn list(users: &[u32]) -> Vec<u8> {
    let [owner, named, group, mask, others] = KINDS;
    let mut bytes = VERSION.to_le_bytes().to_vec();
    let mut entry = |kind: u16, permissions: u16, user: u32| {
        bytes.extend(kind.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(user.to_le_bytes());
    };
    entry(owner, 7, NOBODY);
    for user in users {
        entry(named, 1, *user);
    }
    entry(group, 0, NOBODY);
    entry(mask, 1, NOBODY);
    entry(others, 0, NOBODY);
    bytes
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
        admit(&own, &[NOBODY]).unwrap();
        assert_eq!(mode(&directory), 0o711);
        if set_list(&own, &[4_242]).is_ok() {
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
