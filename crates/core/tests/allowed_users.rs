//! Clients of other users: which of them reach the socket, which are served, and what a host leaves behind.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails its test")]

mod support;

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;

use clustered_cache_core::ErrorKind;
use clustered_cache_core::allowed_users::{AllowedUsers, own_user};
use clustered_cache_core::client::Target;
use clustered_cache_core::clock::Clock;
use clustered_cache_core::config::MAX_HELLO_BYTES;
use clustered_cache_core::endpoint::{BaseFacts, HostEndpoint, Secret};
use clustered_cache_core::operations::entries::Has;
use clustered_cache_core::server::ServerConfig;
use clustered_cache_core::store::Store;
use clustered_cache_core::testing::{TempDir, set, text_key, text_value};
use clustered_cache_core::wire::Blob;
use clustered_cache_core::wire::answer::Response;
use support::{Host, LONG, Raw, TestClient, runtime, watch};

/// Numbers that no real user has.
const ALLOWED_USER: u32 = 4_242_001;
const LATER_ALLOWED_USER: u32 = 4_242_002;
const OTHER_USER: u32 = 4_242_003;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

/// A directory that others cannot pass through, in one that they can.
fn closed_directory() -> TempDir {
    TempDir::inside(Path::new("/tmp"))
}

/// A directory that others can pass through.
fn open_directory() -> TempDir {
    let directory = closed_directory();
    set_mode(directory.path(), 0o711);
    directory
}

fn create_in(base: &Path) -> clustered_cache_core::Result<HostEndpoint> {
    HostEndpoint::create_for_allowed_users(Some(base), &BaseFacts::default(), &[ALLOWED_USER])
}

fn refused(result: clustered_cache_core::Result<HostEndpoint>, parts: &[&str]) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Directory, "{error}");
    for part in parts {
        assert!(error.message().contains(part), "{error} lacks {part}");
    }
}

// --- directories ---------------------------------------------------------------------------------------------------

#[test]
fn other_users_may_only_pass_through_and_no_secret_is_written() {
    let directory = open_directory();
    let base = directory.path().join("base");
    let endpoint = create_in(&base).unwrap();
    let own = endpoint.path().parent().unwrap().to_owned();
    let runtime = runtime();
    let _inside = runtime.enter();
    let listener = endpoint.bind().unwrap();
    assert_eq!(mode(&base), 0o711);
    // With an access control list the bits of the group show what its users may do at most.
    assert!([0o710, 0o711].contains(&mode(&own)), "{:o}", mode(&own));
    assert_eq!(mode(endpoint.path()), 0o666, "the directory decides which users reach the socket");
    let names: Vec<_> = fs::read_dir(&own).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["s"], "no secret");
    drop((listener, endpoint));
    assert_eq!(fs::read_dir(&base).unwrap().count(), 0);
}

#[test]
fn a_host_with_allowed_users_uses_no_private_directory_and_leaves_private_ones_closed() {
    let directory = open_directory();
    let facts = BaseFacts {
        xdg_runtime_dir: Some(directory.path().join("session")),
        run_user: Some(directory.path().to_owned()),
        temp_dirs: vec![directory.path().join("closed"), directory.path().to_owned()],
    };
    for name in ["session", "closed"] {
        fs::create_dir(directory.path().join(name)).unwrap();
        set_mode(&directory.path().join(name), 0o700);
    }
    let private = HostEndpoint::create(None, &BaseFacts { xdg_runtime_dir: None, ..facts.clone() }).unwrap();
    let endpoint = HostEndpoint::create_for_allowed_users(None, &facts, &[ALLOWED_USER]).unwrap();
    let base = directory.path().join(format!("clustered-cache-{}-guests", own_user().unwrap()));
    assert!(endpoint.path().starts_with(&base), "{}", endpoint.path().display());
    let private = private.path().parent().unwrap();
    assert_eq!((mode(private), mode(private.parent().unwrap())), (0o700, 0o700));

    let closed = BaseFacts { temp_dirs: vec![directory.path().join("closed")], ..BaseFacts::default() };
    let result = HostEndpoint::create_for_allowed_users(None, &closed, &[ALLOWED_USER]);
    refused(result, &["closed lets no other users pass (mode 700)", "TMPDIR", "allowUids"]);
}

#[test]
fn every_directory_above_the_base_must_let_other_users_pass() {
    let directory = closed_directory();
    fs::create_dir(directory.path().join("inner")).unwrap();
    refused(
        create_in(&directory.path().join("inner").join("base")),
        &["lets no other users pass (mode 700)"],
    );
    assert!(!directory.path().join("inner").join("base").exists());
    set_mode(directory.path(), 0o711);
    assert!(create_in(&directory.path().join("inner").join("base")).is_ok());
}

#[test]
fn unsafe_bases_are_refused_and_left_as_they_were() {
    let directory = open_directory();
    let at = |name: &str| directory.path().join(name);
    for unsafe_mode in [0o755, 0o731, 0o713, 0o777] {
        let base = at(&format!("{unsafe_mode:o}"));
        fs::create_dir(&base).unwrap();
        set_mode(&base, unsafe_mode);
        refused(create_in(&base), &["is open to other users"]);
        assert_eq!(mode(&base), unsafe_mode, "refused, not repaired");
    }
    fs::create_dir(at("real")).unwrap();
    set_mode(&at("real"), 0o711);
    symlink(at("real"), at("link")).unwrap();
    refused(create_in(&at("link")), &["link"]);
}

#[test]
fn the_directory_of_a_killed_host_is_swept() {
    let directory = open_directory();
    let base = directory.path().join("base");
    let living = create_in(&base).unwrap();
    let dead = base.join("a".repeat(32));
    fs::create_dir(&dead).unwrap();
    set_mode(&dead, 0o711);
    drop(std::os::unix::net::UnixListener::bind(dead.join("s")).unwrap());
    let another = create_in(&base).unwrap();
    assert!(!dead.exists());
    assert!(living.path().parent().unwrap().exists() && another.path().parent().unwrap().exists());
}

// --- peers ---------------------------------------------------------------------------------------------------------

/// Held while a program is written or started. A process that is being started has copies of all descriptors, and a file that
/// is open for writing cannot be run.
static STARTING: Mutex<()> = Mutex::new(());

/// A host with allowed users, and the directory of its files and of a copy of this program.
struct HostWithUsers {
    directory: TempDir,
    host: Host,
    allowed_users: AllowedUsers,
}

impl HostWithUsers {
    /// `None` unless this runs as root, which alone can start processes of other users.
    fn start() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let directory = open_directory();
        let allowed_users = AllowedUsers::default();
        allowed_users.add(&allowed_users.with(&[ALLOWED_USER]).unwrap());
        let endpoint = create_in(&directory.path().join("base")).unwrap();
        let config = ServerConfig {
            allowed_users: allowed_users.clone(),
            ..ServerConfig::new(endpoint.secret().clone())
        };
        let host = Host::configured(Store::new(Clock::System), endpoint, config);
        let program = directory.path().join("child");
        let _starting = STARTING.lock();
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        set_mode(&program, 0o755);
        Some(Self { directory, host, allowed_users })
    }

    fn socket(&self) -> PathBuf {
        self.host.target().socket
    }

    /// Runs the ignored test `child` as `user`, with the secret and the host's user.
    fn run_as(&self, user: u32, child: &str) {
        passed(self.start_as(user, child).wait_with_output().unwrap());
    }

    fn start_as(&self, user: u32, child: &str) -> Child {
        let secret = self.host.secret().as_bytes().map(|byte| format!("{byte:02x}")).concat();
        let _starting = STARTING.lock();
        Command::new(self.directory.path().join("child"))
            .args([child, "--exact", "--ignored", "--nocapture"])
            .env("CC_TEST_SOCKET", self.socket())
            .env("CC_TEST_SECRET", secret)
            .uid(user)
            .gid(user)
            .current_dir("/")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Ends all connections, and serves again at the same endpoint.
    fn serve_again(self) -> Self {
        let Self { directory, mut host, allowed_users } = self;
        host.stop();
        let (store, endpoint) = host.into_parts();
        let config = ServerConfig {
            allowed_users: allowed_users.clone(),
            ..ServerConfig::new(endpoint.secret().clone())
        };
        Self { host: Host::configured(store, endpoint, config), directory, allowed_users }
    }
}

fn passed(output: Output) {
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && printed.contains("1 passed"), "{output:?}");
}

/// The socket and the secret that a child gets.
fn told() -> (PathBuf, Secret) {
    let secret = std::env::var("CC_TEST_SECRET").unwrap();
    (std::env::var_os("CC_TEST_SOCKET").unwrap().into(), Secret::from_hex(&secret).unwrap())
}

#[test]
fn an_allowed_user_is_served_and_gets_the_hosts_memory() {
    let _watch = watch("an_allowed_user_is_served_and_gets_the_hosts_memory");
    let Some(scene) = HostWithUsers::start() else { return };
    scene.run_as(ALLOWED_USER, "is_served");
    scene.run_as(ALLOWED_USER, "refuses_a_host_of_another_user_than_it_expects");
}

#[test]
#[cfg(target_os = "linux")]
fn another_user_cannot_reach_the_socket_and_is_not_served_if_it_can() {
    let _watch = watch("another_user_cannot_reach_the_socket_and_is_not_served_if_it_can");
    let Some(scene) = HostWithUsers::start() else { return };
    let home = scene.socket().parent().unwrap().to_owned();
    // Where the file system has no access control lists, any user can connect.
    if mode(&home) == 0o710 {
        scene.run_as(OTHER_USER, "cannot_connect");
    }
    set_mode(&home, 0o711);
    scene.run_as(OTHER_USER, "is_not_served");
    scene.run_as(ALLOWED_USER, "is_served");
}

#[test]
fn allowed_users_can_be_added_while_the_host_serves() {
    let _watch = watch("allowed_users_can_be_added_while_the_host_serves");
    let Some(scene) = HostWithUsers::start() else { return };
    let list = scene.allowed_users.with(&[LATER_ALLOWED_USER]).unwrap();
    scene.host.endpoint.as_ref().unwrap().admit(&list).unwrap();
    scene.run_as(LATER_ALLOWED_USER, "is_not_served");
    scene.allowed_users.add(&list);
    scene.run_as(LATER_ALLOWED_USER, "is_served");
    scene.run_as(ALLOWED_USER, "is_served");
}

#[test]
fn an_allowed_user_that_lost_the_connection_is_served_again() {
    let _watch = watch("an_allowed_user_that_lost_the_connection_is_served_again");
    let Some(scene) = HostWithUsers::start() else { return };
    let mut child = scene.start_as(ALLOWED_USER, "reconnects");
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    while !said.contains("connected") {
        assert_ne!(lines.read_line(&mut said).unwrap(), 0, "it ended: {said}");
    }
    let _host = scene.serve_again();
    lines.read_to_string(&mut said).unwrap();
    passed(Output { status: child.wait().unwrap(), stdout: said.into(), stderr: Vec::new() });
}

#[test]
#[ignore = "a child, which runs as another user"]
fn reconnects() {
    let (socket, secret) = told();
    let client = TestClient::new(LONG);
    client.start(Target { socket, secret: Some(secret), user: Some(0) });
    client.open(1, "n");
    let (epoch, _) = client.connected();
    writeln!(std::io::stdout(), "connected").unwrap();
    client.lost();
    assert_eq!(client.connected(), (epoch, false));
    assert!(matches!(client.ask(1, Has { key: Blob(&text_key("key")) }).response(), Response::Flag(false)));
}

#[test]
#[ignore = "a child, which runs as another user"]
fn is_served() {
    let (socket, secret) = told();
    let client = TestClient::new(LONG);
    client.start(Target { socket, secret: Some(secret), user: Some(0) });
    let id = client.next_id();
    client.client.open(id, 1, "n", Default::default()).unwrap();
    client.client.flush();
    assert!(matches!(client.reply_to(id).response(), Response::Opened { .. }));
    let (key, value) = (text_key("key"), text_value("value"));
    assert!(matches!(client.ask(1, set(&key, &value)).response(), Response::Flag(true)));
    if !cfg!(target_os = "linux") {
        return;
    }
    let (ticket, file) = client.table(id).unwrap();
    let file = file.unwrap();
    assert_eq!(file.metadata().unwrap().uid(), 0);
    let open = |owner| {
        clustered_cache_shm::Reader::open_of(
            &file.try_clone().unwrap().into(),
            ticket.region,
            ticket.bytes,
            owner,
        )
    };
    assert!(open(0).is_ok());
    assert!(open(ALLOWED_USER).is_err(), "memory of another user than the host is not read");
}

#[test]
#[ignore = "a child, which runs as another user"]
fn refuses_a_host_of_another_user_than_it_expects() {
    let (socket, secret) = told();
    for user in [None, Some(OTHER_USER)] {
        let client = TestClient::new(LONG);
        client.start(Target { socket: socket.clone(), secret: Some(secret.clone()), user });
        assert_eq!(client.unreachable().1, ErrorKind::ForeignPeer);
    }
}

#[test]
#[ignore = "a child, which runs as another user"]
fn cannot_connect() {
    let error = std::os::unix::net::UnixStream::connect(told().0).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
}

#[test]
#[ignore = "a child, which runs as another user"]
fn is_not_served() {
    // The host closes the connection without a message, although path and secret are right.
    let mut raw = Raw::connect(&told().0);
    assert_eq!(raw.receive(MAX_HELLO_BYTES), None);
}
