//! Which files are loaded, and which ones are removed.

use std::os::unix::fs::{PermissionsExt, symlink};

use rustix::fs::FlockOperation;

use super::*;

/// A place with a snapshot of one entry.
fn written() -> (Place, Arc<Store>) {
    let place = Place::new();
    let (store, _) = host(0);
    set(&mut open(&store), "k", "v", 0);
    write(&store, &place.path).unwrap();
    (place, store)
}

fn set_mode(place: &Place, mode: u32) {
    std::fs::set_permissions(&place.path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Why the file is not loaded, and where it went.
fn refused(place: &Place) -> (String, Option<PathBuf>) {
    let (store, _) = host(0);
    let aside = load(&store, &place.path).unwrap_err();
    assert!(store.namespaces().is_empty());
    (aside.reason, aside.moved_to)
}

#[test]
fn a_snapshot_is_closed_to_other_users() {
    let (place, _) = written();
    assert_eq!(place.path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(place.names(), ["cache.snapshot"]);
}

#[test]
fn a_file_that_others_can_read_or_write_is_set_aside() {
    for mode in [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o666] {
        let (place, _) = written();
        set_mode(&place, mode);
        let (reason, moved) = refused(&place);
        assert!(reason.contains("open to other users"), "{reason}");
        assert!(moved.is_some());
        assert_eq!(load(&host(0).0, &place.path), Ok(None), "the next start finds nothing");
    }
}

#[test]
fn a_file_of_another_user_is_set_aside() {
    if !rustix::process::geteuid().is_root() {
        // Only root can give files away.
        return;
    }
    let (place, _) = written();
    std::os::unix::fs::chown(&place.path, Some(65_533), None).unwrap();
    let (reason, moved) = refused(&place);
    assert!(reason.contains("belongs to user 65533"), "{reason}");
    assert!(moved.is_some());
}

#[test]
fn a_link_is_not_followed_but_moved_itself() {
    let (place, _) = written();
    let target = place.directory.path().join("target");
    std::fs::rename(&place.path, &target).unwrap();
    symlink(&target, &place.path).unwrap();
    let (reason, moved) = refused(&place);
    assert!(reason.contains("is a link"), "{reason}");
    assert!(moved.unwrap().is_symlink() && target.is_file());
}

#[test]
fn a_pipe_or_a_directory_does_not_block_and_is_left_alone() {
    let place = Place::new();
    assert!(std::process::Command::new("mkfifo").arg(&place.path).status().unwrap().success());
    let (reason, moved) = refused(&place);
    assert!(reason.contains("not a regular file"), "{reason}");
    assert_eq!(moved, None);
    std::fs::remove_file(&place.path).unwrap();

    std::fs::create_dir(&place.path).unwrap();
    let (reason, moved) = refused(&place);
    assert!(reason.contains("not a regular file"), "{reason}");
    assert_eq!(moved, None, "a directory was named by mistake");
    let error = write(&host(0).0, &place.path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::System);
    assert_eq!(place.names(), ["cache.snapshot"], "no temporary file is left");
}

#[test]
fn a_new_snapshot_replaces_a_link_and_not_its_target() {
    let place = Place::new();
    let target = place.directory.path().join("target");
    std::fs::write(&target, "precious").unwrap();
    symlink(&target, &place.path).unwrap();
    write(&host(0).0, &place.path).unwrap();
    assert_eq!(std::fs::read(&target).unwrap(), b"precious");
    assert!(!place.path.is_symlink());
}

#[test]
fn only_the_temporary_files_of_killed_writers_are_removed() {
    let (place, store) = written();
    let beside = |name: &str| place.directory.path().join(name);
    let others = [
        "cache.snapshot.new-",
        "cache.snapshot.new-0123456789abcde",
        "cache.snapshot.new-0123456789abcdeg",
        "cache.snapshot.new-0123456789abcdef0",
        "cache.snapshot.damaged-1",
        "other.new-0123456789abcdef",
    ];
    let (dead, alive) = ("cache.snapshot.new-0123456789abcdef", "cache.snapshot.new-fedcba9876543210");
    for name in others.iter().copied().chain([dead, alive]) {
        std::fs::write(beside(name), "x").unwrap();
        std::fs::set_permissions(beside(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let writer = std::fs::File::open(beside(alive)).unwrap();
    rustix::fs::flock(&writer, FlockOperation::NonBlockingLockExclusive).unwrap();
    write(&store, &place.path).unwrap();
    let names = place.names();
    assert!(!names.iter().any(|name| name == dead), "{names:?}");
    for name in others.iter().copied().chain([alive]) {
        assert!(names.iter().any(|found| found == name), "{name} is still there");
    }
    drop(writer);
    write(&store, &place.path).unwrap();
    assert!(!beside(alive).exists(), "its writer is dead now");
}

#[test]
fn writers_at_the_same_time_leave_one_whole_snapshot() {
    let (place, store) = written();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    assert_eq!(write(&store, &place.path).unwrap().entries, 1);
                }
            });
        }
    });
    assert_eq!(place.names(), ["cache.snapshot"]);
    assert_eq!(load(&host(0).0, &place.path).unwrap().unwrap().entries, 1);
}
