//! Directories, secrets and locks of hosts, and which of them are refused.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails its test")]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use clustered_cache_core::ErrorKind;
use clustered_cache_core::endpoint::{BaseFacts, HostEndpoint, read_secret};
use clustered_cache_core::testing::TempDir;
use rustix::fs::{FlockOperation, flock};
use support::{runtime, watch};

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

fn entries(path: &Path) -> Vec<PathBuf> {
    fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn create_in(base: &Path) -> HostEndpoint {
    HostEndpoint::create(Some(base), &BaseFacts::default()).unwrap()
}

fn refused(result: clustered_cache_core::Result<HostEndpoint>, kind: ErrorKind, part: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.message().contains(part), "{error} lacks {part}");
}

/// A directory as a killed host leaves it.
fn left_behind(base: &Path, digit: &str) -> PathBuf {
    let path = base.join(digit.repeat(32));
    fs::create_dir(&path).unwrap();
    set_mode(&path, 0o700);
    fs::write(path.join("secret"), [0; 32]).unwrap();
    drop(std::os::unix::net::UnixListener::bind(path.join("s")).unwrap());
    fs::write(path.join(".0a1b2c3d"), b"half a secret").unwrap();
    path
}

// --- a directory of its own ------------------------------------------------------------------------------------

#[test]
fn a_host_creates_a_private_directory_and_removes_it() {
    let directory = TempDir::new();
    let base = directory.path().join("base");
    let endpoint = create_in(&base);
    let own = endpoint.path().parent().unwrap().to_owned();
    assert_eq!((mode(&base), mode(&own), mode(&own.join("secret"))), (0o700, 0o700, 0o600));
    assert_eq!(read_secret(endpoint.path()).unwrap().as_bytes(), endpoint.secret().as_bytes());
    let runtime = runtime();
    let _inside = runtime.enter();
    let listener = endpoint.bind().unwrap();
    assert!(endpoint.path().exists());
    assert_eq!(entries(&own).len(), 2, "socket and secret, nothing else");
    drop(listener);
    drop(endpoint);
    assert!(entries(&base).is_empty());
}

#[test]
fn binding_outside_a_runtime_is_an_error() {
    let directory = TempDir::new();
    assert_eq!(create_in(directory.path()).bind().unwrap_err().kind(), ErrorKind::Internal);
}

#[test]
fn only_the_directories_of_killed_hosts_are_swept() {
    let directory = TempDir::new();
    let base = directory.path();
    let dead = left_behind(base, "a");
    let living = create_in(base);
    assert!(!dead.exists());
    let locked = left_behind(base, "b");
    let lock = fs::File::open(&locked).unwrap();
    flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
    let foreign = left_behind(base, "c");
    set_mode(&foreign, 0o755);
    let with_more = left_behind(base, "d");
    fs::write(with_more.join("precious"), b"").unwrap();
    let target = left_behind(base, "e");
    fs::rename(&target, base.join("kept")).unwrap();
    symlink(base.join("kept"), base.join("f".repeat(32))).unwrap();
    fs::create_dir(base.join("other-name")).unwrap();

    let another = create_in(base);
    for path in [&locked, &foreign, &with_more, &base.join("kept").join("secret"), &base.join("other-name")] {
        assert!(path.exists(), "{}", path.display());
    }
    assert!(with_more.join("precious").exists());
    assert!(read_secret(living.path()).is_ok(), "a living host's directory is locked");
    drop(another);
}

#[test]
fn bases_are_tried_in_order_and_the_error_lists_all_reasons() {
    let directory = TempDir::new();
    let open_to_all = directory.path().join("xdg");
    fs::create_dir(&open_to_all).unwrap();
    set_mode(&open_to_all, 0o755);
    let mut facts = BaseFacts {
        xdg_runtime_dir: Some(open_to_all.clone()),
        run_user: Some(directory.path().join("no-such-place")),
        temp_dirs: vec![directory.path().join("nor-this"), directory.path().join("x".repeat(80))],
    };
    let error = HostEndpoint::create(None, &facts).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Directory);
    for part in ["xdg is open to other users (mode 755)", "no-such-place", "nor-this", "too long", "TMPDIR"] {
        assert!(error.message().contains(part), "{error} lacks {part}");
    }

    facts.temp_dirs.push(directory.path().to_owned());
    let uid = rustix::process::geteuid().as_raw();
    let in_temp = HostEndpoint::create(None, &facts).unwrap();
    assert!(in_temp.path().starts_with(directory.path().join(format!("clustered-cache-{uid}"))));

    set_mode(&open_to_all, 0o700);
    let in_session = HostEndpoint::create(None, &facts).unwrap();
    assert!(in_session.path().starts_with(open_to_all.join("clustered-cache")));
}

#[test]
fn unsafe_bases_are_refused_with_the_reason_and_left_as_they_were() {
    let directory = TempDir::new();
    let at = |name: &str| directory.path().join(name);
    let create = |path: &Path| HostEndpoint::create(Some(path), &BaseFacts::default());
    fs::create_dir(at("real")).unwrap();
    set_mode(&at("real"), 0o700);
    symlink(at("real"), at("link")).unwrap();
    refused(create(&at("link")), ErrorKind::Directory, "link");
    fs::write(at("file"), b"").unwrap();
    refused(create(&at("file")), ErrorKind::Directory, "not a directory");
    fs::create_dir(at("open")).unwrap();
    set_mode(&at("open"), 0o770);
    refused(create(&at("open")), ErrorKind::Directory, "mode 770");
    assert_eq!(mode(&at("open")), 0o770, "refused, not repaired");
    fs::create_dir(at("free-for-all")).unwrap();
    set_mode(&at("free-for-all"), 0o777);
    refused(create(&at("free-for-all").join("base")), ErrorKind::Directory, "not sticky");
    set_mode(&at("free-for-all"), 0o1777);
    assert!(create(&at("free-for-all").join("base")).is_ok());
    refused(create(&at("missing").join("base")), ErrorKind::Directory, "does not exist");
    refused(create(&at(&"d".repeat(90))), ErrorKind::PathTooLong, "`endpoint`");
}

#[test]
fn a_directory_of_another_user_is_refused() {
    // Only root can give a directory to another user. For others `/` belongs to one.
    let directory = TempDir::new();
    let theirs = directory.path().join("theirs");
    fs::create_dir(&theirs).unwrap();
    set_mode(&theirs, 0o700);
    if std::os::unix::fs::chown(&theirs, Some(65_534), None).is_err() {
        return;
    }
    let result = HostEndpoint::create(Some(&theirs), &BaseFacts::default());
    refused(result, ErrorKind::Directory, "belongs to user 65534");
    refused(HostEndpoint::at(&theirs.join("s")), ErrorKind::Directory, "belongs to user 65534");
    assert_eq!(read_secret(&theirs.join("s")).unwrap_err().kind(), ErrorKind::Directory);
    fs::create_dir(theirs.join("inside")).unwrap();
    set_mode(&theirs.join("inside"), 0o700);
    refused(HostEndpoint::at(&theirs.join("inside").join("s")), ErrorKind::Directory, "not sticky");
}

#[test]
fn a_read_only_base_is_refused_with_the_systems_reason() {
    // Root can write everywhere except in a read-only file system, such as /sys.
    let result = HostEndpoint::create(Some(Path::new("/sys/clustered-cache")), &BaseFacts::default());
    refused(result, ErrorKind::Directory, "cannot be created");
}

// --- a path that the user chose --------------------------------------------------------------------------------

#[test]
fn a_directory_that_systemd_has_made_open_is_refused_with_the_units_setting() {
    let directory = TempDir::new();
    set_mode(directory.path(), 0o755);
    let result = HostEndpoint::at(&directory.path().join("s"));
    refused(result, ErrorKind::Directory, "RuntimeDirectoryMode=0700");
}

#[test]
fn a_chosen_path_keeps_its_secret_over_a_restart() {
    let _watch = watch("a_chosen_path_keeps_its_secret_over_a_restart");
    let directory = TempDir::new();
    let path = directory.path().join("new").join("cache.sock");
    let runtime = runtime();
    let _inside = runtime.enter();
    let first = HostEndpoint::at(&path).unwrap();
    drop(first.bind().unwrap());
    let secret = *first.secret().as_bytes();
    assert_eq!(mode(&directory.path().join("new").join("cache.sock.secret")), 0o600);
    drop(first);
    assert!(!path.exists());
    let second = HostEndpoint::at(&path).unwrap();
    assert_eq!(*second.secret().as_bytes(), secret);
    assert_eq!(*read_secret(&path).unwrap().as_bytes(), secret);
}

#[test]
fn a_path_has_one_host_and_a_directory_may_have_many() {
    let _watch = watch("a_path_has_one_host_and_a_directory_may_have_many");
    let directory = TempDir::new();
    let path = directory.path().join("one");
    let first = HostEndpoint::at(&path).unwrap();
    refused(HostEndpoint::at(&path), ErrorKind::InvalidOption, "another host listens");
    let neighbour = HostEndpoint::at(&directory.path().join("two")).unwrap();
    assert_ne!(neighbour.secret().as_bytes(), first.secret().as_bytes());
    drop(first);
    assert!(HostEndpoint::at(&path).is_ok());
}

#[test]
fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let _watch = watch("a_stale_socket_is_replaced_and_a_live_one_is_not");
    let directory = TempDir::new();
    let path = directory.path().join("s");
    let live = std::os::unix::net::UnixListener::bind(&path).unwrap();
    refused(HostEndpoint::at(&path), ErrorKind::InvalidOption, "another program listens");
    drop(live);
    let runtime = runtime();
    let _inside = runtime.enter();
    let endpoint = HostEndpoint::at(&path).unwrap();
    let _listener = endpoint.bind().unwrap();
    assert!(std::os::unix::net::UnixStream::connect(&path).is_ok());
    assert_eq!(entries(directory.path()).len(), 2, "nothing temporary is left");
}

#[test]
fn a_socket_that_a_killed_host_had_not_named_yet_is_replaced() {
    let directory = TempDir::new();
    let path = directory.path().join("s");
    drop(std::os::unix::net::UnixListener::bind(directory.path().join("s~")).unwrap());
    let runtime = runtime();
    let _inside = runtime.enter();
    let _listener = HostEndpoint::at(&path).unwrap().bind().unwrap();
    assert!(!directory.path().join("s~").exists());
}

#[test]
fn a_file_that_is_not_a_socket_is_not_replaced() {
    let directory = TempDir::new();
    let path = directory.path().join("s");
    fs::write(&path, b"precious").unwrap();
    refused(HostEndpoint::at(&path), ErrorKind::InvalidOption, "not a socket");
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}

#[test]
fn an_ending_host_leaves_its_successors_socket_alone() {
    let _watch = watch("an_ending_host_leaves_its_successors_socket_alone");
    let directory = TempDir::new();
    let path = directory.path().join("s");
    let runtime = runtime();
    let _inside = runtime.enter();
    let first = HostEndpoint::at(&path).unwrap();
    let _old = first.bind().unwrap();
    fs::remove_file(&path).unwrap();
    let _new = std::os::unix::net::UnixListener::bind(&path).unwrap();
    drop(first);
    assert!(path.exists());
}

#[test]
fn of_many_hosts_that_start_at_once_on_one_path_one_wins() {
    let _watch = watch("of_many_hosts_that_start_at_once_on_one_path_one_wins");
    for _ in 0..30 {
        let directory = TempDir::new();
        let path = directory.path().join("s");
        let start = std::sync::Barrier::new(8);
        let results: Vec<_> = std::thread::scope(|scope| {
            let contend = || {
                start.wait();
                HostEndpoint::at(&path)
            };
            let contenders: Vec<_> = (0..8).map(|_| scope.spawn(contend)).collect();
            contenders.into_iter().map(|contender| contender.join().unwrap()).collect()
        });
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        for error in results.into_iter().filter_map(Result::err) {
            assert_eq!(error.kind(), ErrorKind::InvalidOption, "{error}");
        }
    }
}

#[test]
fn many_hosts_that_start_at_once_in_one_base_do_not_sweep_each_other() {
    let _watch = watch("many_hosts_that_start_at_once_in_one_base_do_not_sweep_each_other");
    for _ in 0..30 {
        let directory = TempDir::new();
        let start = std::sync::Barrier::new(8);
        let endpoints: Vec<_> = std::thread::scope(|scope| {
            let create = || {
                start.wait();
                create_in(directory.path())
            };
            let creators: Vec<_> = (0..8).map(|_| scope.spawn(create)).collect();
            creators.into_iter().map(|creator| creator.join().unwrap()).collect()
        });
        for endpoint in &endpoints {
            assert_eq!(read_secret(endpoint.path()).unwrap().as_bytes(), endpoint.secret().as_bytes());
        }
        assert_eq!(entries(directory.path()).len(), endpoints.len());
    }
}

#[test]
fn a_path_that_is_too_long_is_refused() {
    let directory = TempDir::new();
    let path = directory.path().join("new").join("s".repeat(90));
    refused(HostEndpoint::at(&path), ErrorKind::PathTooLong, "`endpoint`");
    assert!(entries(directory.path()).is_empty(), "nothing was created for it");
}

// --- secrets as files ------------------------------------------------------------------------------------------

#[test]
fn a_secret_that_others_could_have_written_is_not_used() {
    let directory = TempDir::new();
    let (path, secret) = (directory.path().join("c"), directory.path().join("c.secret"));
    assert_eq!(read_secret(&path).unwrap_err().kind(), ErrorKind::NoHost);
    drop(HostEndpoint::at(&path).unwrap());
    let refused = |part: &str| {
        let error = read_secret(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Directory, "{error}");
        assert!(
            error.message().contains(part) && error.message().contains("remove it"),
            "{error} lacks {part}"
        );
        assert_eq!(HostEndpoint::at(&path).unwrap_err().kind(), ErrorKind::Directory);
    };
    set_mode(&secret, 0o640);
    refused("open to other users (mode 640)");
    set_mode(&secret, 0o600);
    assert!(read_secret(&path).is_ok());
    fs::write(&secret, [0; 33]).unwrap();
    refused("32 bytes");
    fs::write(&secret, []).unwrap();
    refused("32 bytes");
    fs::rename(&secret, directory.path().join("elsewhere")).unwrap();
    symlink(directory.path().join("elsewhere"), &secret).unwrap();
    refused("link");
    fs::remove_file(&secret).unwrap();
    fs::create_dir(&secret).unwrap();
    set_mode(&secret, 0o700);
    refused("not a regular file");
    fs::remove_dir(&secret).unwrap();
    set_mode(directory.path(), 0o755);
    let error = read_secret(&path).unwrap_err();
    assert!(error.message().contains("mode 755"), "{error}");
}
