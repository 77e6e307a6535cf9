//! Allowed users: other users than the host's own whose processes may be its clients.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use crate::config::MAX_ALLOWED_USERS;
use crate::error::{Error, ErrorKind, Result};

/// System calls take this number for "no user".
const NO_USER: u32 = u32::MAX;
/// The number that Linux shows for a user without one in this user namespace, unless configured otherwise.
const OVERFLOW_USER: u32 = 65_534;

/// The allowed users of one process. The endpoint lets them reach the socket, and the server checks the user of each
/// connection. Clones share one list.
#[derive(Debug, Clone, Default)]
pub struct AllowedUsers(Arc<RwLock<BTreeSet<u32>>>);

impl AllowedUsers {
    /// The list as it would be with `users`. They are not added yet: first they need access to the socket.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidOption`] for numbers that do not identify one user, and for too many.
    pub fn with(&self, users: &[u32]) -> Result<Vec<u32>> {
        let overflow = overflow_user();
        if let Some(user) = users.iter().find(|user| **user == NO_USER || **user == overflow) {
            let reason = if *user == NO_USER {
                "which is not a user".to_owned()
            } else {
                "which the system also shows for every user of another container that it has no number for"
                    .to_owned()
            };
            return Err(refusal(
                &user.to_string(),
                &format!("users with an id of their own, not {user}, {reason}"),
            ));
        }
        if !users.is_empty() && own_user() == Some(overflow) {
            return Err(refusal(
                &format!("given in a process of user {overflow}"),
                "a host whose own user id is not shared by every user that the system has no number for",
            ));
        }
        let mut list = self.list();
        list.extend(users);
        list.sort_unstable();
        list.dedup();
        if list.len() > MAX_ALLOWED_USERS {
            let allowed = format!("{MAX_ALLOWED_USERS} users at most in all caches of a process");
            return Err(refusal(&format!("a list that makes {} of them", list.len()), &allowed));
        }
        Ok(list)
    }

    /// Allows `users` from now on.
    pub fn add(&self, users: &[u32]) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).extend(users);
    }

    /// May processes of this user connect?
    pub fn contains(&self, user: u32) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(&user)
    }

    /// All of them, in ascending order.
    pub fn list(&self) -> Vec<u32> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}

fn refusal(given: &str, allowed: &str) -> Error {
    Error::new(ErrorKind::InvalidOption, format!("option `allowUids` is {given}; allowed are {allowed}"))
}

/// The user that this process runs as, where there are users with numbers.
#[cfg(unix)]
pub fn own_user() -> Option<u32> {
    Some(rustix::process::geteuid().as_raw())
}

/// The user that this process runs as: none, because users have no numbers on this system.
#[cfg(not(unix))]
pub fn own_user() -> Option<u32> {
    None
}

/// The number that all users of other user namespaces have, except those that are mapped to a number here.
fn overflow_user() -> u32 {
    let told = std::fs::read_to_string("/proc/sys/kernel/overflowuid").ok();
    told.and_then(|number| number.trim().parse().ok()).unwrap_or(OVERFLOW_USER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_added_to_one_list_that_clones_share() {
        let allowed_users = AllowedUsers::default();
        let list = allowed_users.with(&[7, 5, 7]).unwrap();
        assert_eq!(list, [5, 7]);
        assert!(!allowed_users.contains(5), "not before it is added");
        allowed_users.clone().add(&list);
        assert!(allowed_users.contains(5) && allowed_users.contains(7) && !allowed_users.contains(6));
        assert_eq!(allowed_users.with(&[6]).unwrap(), [5, 6, 7]);
        assert_eq!(allowed_users.with(&[]).unwrap(), [5, 7]);
    }

    #[test]
    fn numbers_that_do_not_identify_one_user_are_refused() {
        for user in [NO_USER, overflow_user()] {
            let error = AllowedUsers::default().with(&[5, user]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidOption);
            assert!(error.message().contains(&user.to_string()), "{error}");
        }
    }

    #[test]
    fn the_number_of_allowed_users_is_limited() {
        let allowed_users = AllowedUsers::default();
        let most: Vec<u32> = (1..=MAX_ALLOWED_USERS as u32).collect();
        allowed_users.add(&allowed_users.with(&most).unwrap());
        assert!(allowed_users.with(&[1]).is_ok(), "it is in the list");
        assert_eq!(
            allowed_users.with(&[MAX_ALLOWED_USERS as u32 + 1]).unwrap_err().kind(),
            ErrorKind::InvalidOption
        );
    }
}
