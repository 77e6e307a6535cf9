//! Which peers are accepted, which are refused, and what they are told.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails its test")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use clustered_cache_core::ErrorKind;
use clustered_cache_core::client::Target;
use clustered_cache_core::config::MAX_HELLO_BYTES;
use clustered_cache_core::endpoint::Secret;
use clustered_cache_core::operations::host::PingHost;
use clustered_cache_core::operations::namespace::{Open, Ping};
use clustered_cache_core::testing::TempDir;
use clustered_cache_core::wire::answer::Response;
use clustered_cache_core::wire::handshake::{ClientHello, HostChallenge};
use clustered_cache_core::wire::{HOST, PROTOCOL_MINOR};
use support::{Host, LONG, Raw, TestClient, introduction, own_listener, watch};

fn other_secret() -> Secret {
    Secret::from_bytes([9; 32])
}

#[test]
fn a_client_with_a_wrong_secret_is_refused_at_once_and_connects_with_the_right_one() {
    let _watch = watch("a_client_with_a_wrong_secret_is_refused_at_once_and_connects_with_the_right_one");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let client = TestClient::new(LONG);
    let dropped = client.submit(1, Ping {});
    client.start(Target { secret: Some(other_secret()), ..host.target() });
    let (through, kind, message) = client.unreachable();
    assert_eq!((through, kind), (dropped, ErrorKind::Authentication));
    assert!(message.contains("secret"), "{message}");
    assert_eq!(client.try_submit(1, Ping {}).unwrap_err().kind(), ErrorKind::Authentication);
    client.start(host.target());
    client.connected();
    client.open(1, "n");
}

#[test]
fn a_host_refuses_a_client_whose_proof_is_wrong_and_says_so() {
    let _watch = watch("a_host_refuses_a_client_whose_proof_is_wrong_and_says_so");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let mut raw = host.raw();
    let client = ClientHello::new(&introduction(&host.secret()));
    raw.send(client.payload());
    let challenge = raw.receive(MAX_HELLO_BYTES).unwrap();
    let (client, _) = client.answer(&challenge).unwrap();
    raw.send(&[0; 32]);
    let error = client.finish(&raw.receive(MAX_HELLO_BYTES).unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    raw.expect_end();
}

#[test]
fn a_client_of_another_major_version_gets_a_refusal_that_it_can_read() {
    let _watch = watch("a_client_of_another_major_version_gets_a_refusal_that_it_can_read");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let mut raw = host.raw();
    raw.send(b"CCHE\x07\x00\x01\x00 and whatever version 7 adds");
    let refusal = raw.receive(MAX_HELLO_BYTES).unwrap();
    let minor = PROTOCOL_MINOR.to_le_bytes();
    assert_eq!(refusal[..9], [b"CCHE\x01\x00", &minor[..], &[1]].concat());
    assert!(String::from_utf8_lossy(&refusal[9..]).contains("speaks protocol 1, the client 7"));
    raw.expect_end();
}

#[test]
fn a_host_of_another_major_version_is_reported_at_once_with_both_versions() {
    let _watch = watch("a_host_of_another_major_version_is_reported_at_once_with_both_versions");
    let directory = TempDir::new();
    let (socket, listener) = own_listener(&directory);
    let client = TestClient::new(LONG);
    client.start(Target { socket, secret: Some(other_secret()), user: None });
    let mut raw = Raw::over(listener.accept().unwrap().0);
    raw.receive(MAX_HELLO_BYTES).unwrap();
    raw.send(b"CCHE\x02\x00\x05\x00\x01package 2.5.0");
    let (_, kind, message) = client.unreachable();
    assert_eq!(kind, ErrorKind::ProtocolVersion);
    for part in ["protocol 2.5", &format!("1.{PROTOCOL_MINOR}"), "package 2.5.0", "restart"] {
        assert!(message.contains(part), "{message} lacks {part}");
    }
}

#[test]
fn a_listener_that_does_not_know_the_secret_gets_neither_requests_nor_proofs() {
    let _watch = watch("a_listener_that_does_not_know_the_secret_gets_neither_requests_nor_proofs");
    let directory = TempDir::new();
    let (socket, listener) = own_listener(&directory);
    let client = TestClient::new(LONG);
    client.submit(1, Ping {});
    client.start(Target { socket, secret: Some(other_secret()), user: None });
    let mut raw = Raw::over(listener.accept().unwrap().0);
    let hello = raw.receive(MAX_HELLO_BYTES).unwrap();
    let guess = Secret::from_bytes([0; 32]);
    raw.send(HostChallenge::new(&introduction(&guess), 1, &hello).unwrap().payload());
    assert_eq!(client.unreachable().1, ErrorKind::Authentication);
    raw.expect_end();
}

#[test]
fn a_listener_that_sends_nothing_or_garbage_counts_as_no_host_after_the_grace_time() {
    let _watch = watch("a_listener_that_sends_nothing_or_garbage_counts_as_no_host_after_the_grace_time");
    let directory = TempDir::new();
    let (socket, listener) = own_listener(&directory);
    let silent = TestClient::new(Duration::from_millis(50));
    silent.start(Target { socket, secret: Some(other_secret()), user: None });
    let _held = listener.accept().unwrap();
    let (_, kind, message) = silent.unreachable();
    assert_eq!(kind, ErrorKind::NoHost);
    assert!(message.contains("no host could be reached for"), "{message}");
}

#[test]
fn requests_before_the_handshake_are_not_served() {
    let _watch = watch("requests_before_the_handshake_are_not_served");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let mut raw = host.raw();
    raw.request(1, HOST, PingHost {});
    raw.expect_end();
}

#[test]
fn requests_sent_directly_after_the_proof_are_served() {
    let _watch = watch("requests_sent_directly_after_the_proof_are_served");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let mut raw = host.raw();
    let client = ClientHello::new(&introduction(&host.secret()));
    raw.send(client.payload());
    let (client, proof) = client.answer(&raw.receive(MAX_HELLO_BYTES).unwrap()).unwrap();
    raw.send(&proof);
    raw.request(1, 1, Open { name: "n", options: Default::default() });
    client.finish(&raw.receive(MAX_HELLO_BYTES).unwrap()).unwrap();
    assert!(matches!(raw.reply().unwrap().1.response(), Response::Opened { .. }));
}

#[test]
fn a_socket_is_closed_to_other_users_by_its_mode_and_directory() {
    let _watch = watch("a_socket_is_closed_to_other_users_by_its_mode_and_directory");
    let directory = TempDir::new();
    let host = Host::new(&directory);
    let socket = host.target().socket;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(socket.parent().unwrap()), 0o700);
    if cfg!(target_os = "linux") {
        assert_eq!(mode(&socket), 0o600);
    }
}

/// Only root can start a process of another user; otherwise this does nothing. The child is `connects_as_another_user`
/// below.
#[test]
#[cfg(target_os = "linux")]
fn a_peer_of_another_user_is_refused_on_both_sides() {
    use std::os::unix::process::CommandExt;
    const OTHER_USER: u32 = 65_534;

    let _watch = watch("a_peer_of_another_user_is_refused_on_both_sides");
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let directory = TempDir::new();
    let host = Host::new(&directory);
    // With directory and socket opened to all, the check of the peer's user is still in force.
    let socket = host.target().socket;
    for (path, mode) in [(directory.path(), 0o755), (socket.parent().unwrap(), 0o755), (&*socket, 0o666)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let program = directory.path().join("child");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let output = std::process::Command::new(&program)
        .args(["connects_as_another_user", "--exact", "--ignored", "--nocapture"])
        .env("CC_TEST_SOCKET", &socket)
        .env("CC_TEST_SECRET", host.secret().as_bytes().map(|byte| format!("{byte:02x}")).concat())
        .uid(OTHER_USER)
        .gid(OTHER_USER)
        .current_dir("/")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
}

#[test]
#[ignore = "the child of a_peer_of_another_user_is_refused_on_both_sides"]
fn connects_as_another_user() {
    let socket = std::path::PathBuf::from(std::env::var_os("CC_TEST_SOCKET").unwrap());
    let digits = std::env::var("CC_TEST_SECRET").unwrap();
    let byte = |at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap();
    let secret = Secret::from_bytes(std::array::from_fn(byte));
    // The host closes the connection without a message, although the secret is right.
    let mut raw = Raw::connect(&socket);
    assert_eq!(raw.receive(MAX_HELLO_BYTES), None);
    // The client refuses the host.
    let client = TestClient::new(LONG);
    client.start(Target { socket, secret: Some(secret), user: None });
    assert_eq!(client.unreachable().1, ErrorKind::ForeignPeer);
}
