//! A process of the same user that does not know the secret, and occupies the host as fast as it can.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails its test")]

mod support;

use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use clustered_cache_core::operations::namespace::Ping;
use clustered_cache_core::testing::TempDir;
use clustered_cache_core::wire::answer::Response;
use clustered_cache_core::wire::handshake::ClientHello;
use support::{Host, introduction, watch};

const SOCKET: &str = "FLOOD_SOCKET";
const MANNER: &str = "FLOOD_MANNER";
/// Clients that connect one after the other during a flood.
const CLIENTS: usize = 20;

/// The program of the child process. It does nothing in the test run itself.
#[test]
fn child_process() {
    let Some(socket) = std::env::var_os(SOCKET).map(PathBuf::from) else { return };
    // A test that fails leaves no process behind.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).unwrap();
    let flood = match std::env::var(MANNER).unwrap().as_str() {
        "silent" => be_silent,
        "brief" => leave_at_once,
        _ => guess,
    };
    for _ in 0..4 {
        let socket = socket.clone();
        std::thread::spawn(move || flood(&socket));
    }
    let mut parent = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap());
    parent.write_all(&[1]).unwrap();
    // Until this process is killed, or the parent has ended.
    let _ = parent.read(&mut [0]);
}

/// Connects, says nothing and stays.
fn be_silent(socket: &Path) {
    let mut open = std::collections::VecDeque::new();
    loop {
        let Ok(stream) = UnixStream::connect(socket) else { continue };
        open.push_back(stream);
        if open.len() > 100 {
            open.pop_front();
        }
    }
}

fn leave_at_once(socket: &Path) {
    loop {
        let _ = UnixStream::connect(socket);
    }
}

/// Says hello and sends a wrong proof.
fn guess(socket: &Path) {
    let secret = [7; 32].as_slice().try_into().unwrap();
    let client = ClientHello::new(&introduction(&secret));
    let framed = |payload: &[u8]| [&(payload.len() as u32).to_le_bytes(), payload].concat();
    let said = [framed(client.payload()), framed(&[9; 32])].concat();
    loop {
        let Ok(mut stream) = UnixStream::connect(socket) else { continue };
        let _ = stream.write_all(&said);
        // The challenge and the refusal.
        let _ = stream.read_to_end(&mut Vec::new());
    }
}

struct Flooder(Child);

impl Flooder {
    fn start(socket: &Path, manner: &str) -> Self {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["child_process", "--exact", "--nocapture", "--test-threads=1"])
            .env(SOCKET, socket)
            .env(MANNER, manner)
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let flooder = Self(child);
        ours.read_exact(&mut [0]).unwrap();
        // Its input ends with it only.
        std::mem::forget(ours);
        flooder
    }
}

impl Drop for Flooder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn assert_serves_during(manner: &str) {
    // One flood at a time takes what this machine has.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let _watch = watch("assert_serves_during");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let flooders: Vec<_> = (0..2).map(|_| Flooder::start(&host.target().socket, manner)).collect();
    for _ in 0..CLIENTS {
        let client = host.client();
        client.open(1, "n");
        assert_eq!(client.ask(1, Ping {}), Response::Flag(true));
    }
    drop(flooders);
}

#[test]
fn processes_that_connect_and_say_nothing_keep_no_client_out() {
    assert_serves_during("silent");
}

#[test]
fn processes_that_guess_the_secret_keep_no_client_out() {
    assert_serves_during("guess");
}

#[test]
fn processes_that_connect_and_leave_keep_no_client_out() {
    assert_serves_during("brief");
}
