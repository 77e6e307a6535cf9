//! Other processes: this test program again, in a role, with a socket for its input.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

const ROLE: &str = "SHM_ROLE";

/// What this process is to do, if it is a child.
pub(crate) fn role() -> Option<(String, UnixStream)> {
    let role = std::env::var(ROLE).ok()?;
    // A test that fails leaves nobody behind.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).unwrap();
    let socket = rustix::stdio::stdin().try_clone_to_owned().unwrap();
    Some((role, socket.into()))
}

/// Starts a child that runs the test of that name, and nothing but that.
pub(crate) fn start(test: &str, role: &str) -> (Child, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    (child, ours)
}
