//! The memory limit of a container: what is read, and what follows from it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::cgroup::{System, Version, levels};
use super::memory::{Container, MemoryLimit, Source};

const MIB: u64 = 1 << 20;

// --- what is read ----------------------------------------------------------------------------------------------------

/// Groups made of plain files.
struct Groups(PathBuf);

impl Groups {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("cc-groups-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, file: &str, text: &str) -> &Self {
        let path = self.0.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// What the system says of a process that is in `group`, where the hierarchy of that kind is mounted from `root`.
    fn system(&self, kind: &str, group: &str, root: &str) -> System {
        let point = self.0.join("mounted");
        let (groups, mount) = match kind {
            "cgroup" => (format!("5:cpu:/other\n4:cpuset,memory:{group}\n0::/\n"), "cgroup cgroup rw,memory"),
            _ => (format!("0::{group}\n"), "cgroup2 cgroup2 rw"),
        };
        self.write("groups", &groups);
        let line = format!("31 23 0:28 {root} {} rw,relatime shared:9 - {mount}\n", point.display());
        self.write("mounts", &format!("30 20 0:1 / /proc rw - proc proc rw\n{line}"));
        System { groups: self.0.join("groups"), mounts: self.0.join("mounts") }
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn of_all_limits_above_a_process_the_one_with_the_least_room_counts() {
    let groups = Groups::new("nested");
    groups.write("mounted/app/memory.max", "1000\n").write("mounted/app/memory.current", "900\n");
    groups.write("mounted/app/memory.stat", "anon 800\ninactive_file 50\nactive_file 7\n");
    groups.write("mounted/app/worker/memory.max", "max\n").write("mounted/app/worker/memory.current", "10\n");
    let system = groups.system("cgroup2", "/app/worker", "/");
    assert_eq!(system.container(), Some(Container { limit: 1_000, used: 850 }));
    groups.write("mounted/app/worker/memory.max", "100\n");
    assert_eq!(system.container(), Some(Container { limit: 100, used: 10 }));
    groups.write("mounted/app/worker/memory.max", "max\n").write("mounted/app/memory.max", "max\n");
    assert_eq!(system.container(), None);
}

#[test]
fn a_limit_of_the_first_version_is_read_and_a_huge_number_is_none() {
    let groups = Groups::new("first");
    groups
        .write("mounted/a/memory.limit_in_bytes", "500\n")
        .write("mounted/a/memory.usage_in_bytes", "400\n");
    groups.write("mounted/a/memory.stat", "inactive_file 1\ntotal_inactive_file 100\n");
    let system = groups.system("cgroup", "/a", "/");
    assert_eq!(system.container(), Some(Container { limit: 500, used: 300 }));
    groups.write("mounted/a/memory.limit_in_bytes", "9223372036854771712\n");
    assert_eq!(system.container(), None);
}

#[test]
fn a_container_that_sees_only_its_own_group_finds_its_limit_at_the_mount() {
    let groups = Groups::new("container");
    groups.write("mounted/memory.limit_in_bytes", "500\n").write("mounted/memory.usage_in_bytes", "1\n");
    for group in ["/docker/0123", "/elsewhere", "/docker/0123/../../.."] {
        let system = groups.system("cgroup", group, "/docker/0123");
        assert_eq!(system.container(), Some(Container { limit: 500, used: 1 }), "{group}");
    }
}

#[test]
fn what_cannot_be_read_is_no_limit() {
    let nowhere = || "/nonexistent".into();
    assert_eq!(System { groups: nowhere(), mounts: nowhere() }.container(), None);
    for (groups, mounts) in
        [("", ""), ("0::/a", "nonsense"), ("nonsense", "1 2 3 / /x - cgroup2"), (":::", " - ")]
    {
        assert_eq!(levels(Version::Two, groups, mounts), [], "{groups} {mounts}");
    }
    let found = levels(Version::Two, "0::/a b", "1 2 3:4 / /x\\040y rw - cgroup2 c rw");
    let paths: Vec<&Path> = found.iter().map(|(_, path)| path.as_path()).collect();
    assert_eq!(paths, [Path::new("/x y/a b"), Path::new("/x y")]);
}

// --- what follows ----------------------------------------------------------------------------------------------------

/// A container whose use, limit and time a test sets; 0 is no limit.
#[derive(Default)]
struct Fake {
    limit: AtomicU64,
    used: AtomicU64,
    now: AtomicU64,
    looks: AtomicUsize,
}

impl Source for Arc<Fake> {
    fn container(&self) -> Option<Container> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        let (limit, used) = (self.limit.load(Ordering::Relaxed), self.used.load(Ordering::Relaxed));
        (limit > 0).then_some(Container { limit, used })
    }

    fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }
}

fn limit(limit: u64, used: u64) -> (MemoryLimit, Arc<Fake>) {
    let fake = Arc::new(Fake { limit: limit.into(), used: used.into(), ..Fake::default() });
    (MemoryLimit::new(Arc::clone(&fake)), fake)
}

/// Takes until it is refused; the bytes that were taken.
fn exhaust(limit: &MemoryLimit, fake: &Fake, step: u64) -> u64 {
    for taken in 0.. {
        match limit.take(step) {
            Ok(()) => _ = fake.used.fetch_add(step, Ordering::Relaxed),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded);
                return taken * step;
            }
        }
    }
    unreachable!()
}

#[test]
fn memory_is_taken_up_to_a_margin_before_the_limit() {
    let (limit, fake) = limit(1_024 * MIB, 24 * MIB);
    assert_eq!(exhaust(&limit, &fake, MIB), (1_024 - 64 - 24) * MIB);
    assert!(fake.looks.load(Ordering::Relaxed) < 50, "it is not looked at each time");
}

#[test]
fn a_refusal_is_remembered_for_a_moment_only() {
    let (limit, fake) = limit(100 * MIB, 100 * MIB);
    for _ in 0..1_000 {
        assert!(limit.take(MIB).is_err());
    }
    assert_eq!(fake.looks.load(Ordering::Relaxed), 1);
    fake.used.store(0, Ordering::Relaxed);
    fake.now.store(1_000, Ordering::Relaxed);
    assert!(limit.take(MIB).is_ok());
}

#[test]
fn a_small_table_can_begin_where_a_large_one_has_taken_all() {
    let (limit, fake) = limit(1_024 * MIB, 0);
    exhaust(&limit, &fake, MIB);
    assert_eq!(exhaust(&limit, &fake, 4_096), 32 * MIB, "half the margin, and no more");
}

#[test]
fn a_limit_that_appears_later_is_noticed() {
    let (limit, fake) = limit(0, 0);
    limit.take(1_024 * MIB).unwrap();
    fake.limit.store(200 * MIB, Ordering::Relaxed);
    assert!(exhaust(&limit, &fake, MIB) <= 200 * MIB);
}

#[test]
fn a_limit_below_what_the_process_needs_refuses_and_does_not_overflow() {
    for (most, used) in [(1, 1 << 40), (MIB, 0), (u64::MAX, u64::MAX), (4 * MIB, 4 * MIB)] {
        let (limit, _) = limit(most, used);
        assert!(limit.take(MIB).is_err(), "{most} {used}");
        assert!(limit.take(u64::MAX).is_err());
    }
}
