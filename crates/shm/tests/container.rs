//! A process in a container whose memory limit is below what the table may take. The kernel kills what exceeds it.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![expect(clippy::print_stderr, reason = "why a test was skipped")]

#[path = "support/child.rs"]
mod child;

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use child::{role, start};
use clustered_cache_shm::{NEVER, NoRoom, Spec, Writer};

const MIB: u64 = 1 << 20;
const LIMIT: u64 = 64 * MIB;

/// A group of its own with that limit, in the hierarchy of whichever version limits memory here.
struct Group(PathBuf);

impl Group {
    fn new() -> io::Result<Self> {
        let name = format!("cc-container-test-{}", std::process::id());
        let places = [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];
        let (place, limit) = places
            .into_iter()
            .find(|(place, _)| Path::new(place).join("memory.stat").exists())
            .ok_or(io::ErrorKind::NotFound)?;
        let group = Self(Path::new(place).join(name));
        fs::create_dir(&group.0)?;
        fs::write(group.0.join(limit), LIMIT.to_string())?;
        Ok(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// Does nothing in the test run itself: it is where the child begins.
#[test]
fn a_child_fills_a_table() {
    let Some((_, mut socket)) = role() else { return };
    socket.read_exact(&mut [0]).unwrap();
    let mut writer = Writer::create(Spec { capacity: 1 << 30, bound: 1 << 30 }).unwrap();
    let value = vec![7; MIB as usize];
    let store = |writer: &mut Writer, number: u64| writer.insert(&number.to_le_bytes(), &value, NEVER);
    let mut slots = Vec::new();
    let refusal = loop {
        match store(&mut writer, slots.len() as u64) {
            Ok(slot) => slots.push(slot),
            Err(refusal) => break refusal,
        }
    };
    assert!(slots.len() > 20, "{} MiB of 64", slots.len());
    let NoRoom::System(error) = refusal else { panic!("{refusal:?}") };
    assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded);
    assert!(error.to_string().contains(&LIMIT.to_string()), "{error}");
    writer.remove(slots[0]);
    assert!(store(&mut writer, 0).is_ok(), "what was removed makes room");
}

#[test]
fn a_table_stops_growing_before_the_kernel_kills_its_process_for_the_containers_limit() {
    let group = match Group::new() {
        Ok(group) => group,
        Err(error) => return eprintln!("skipped: no group with a memory limit can be made here: {error}"),
    };
    let (mut child, mut socket) = start("a_child_fills_a_table", "fill");
    if let Err(error) = fs::write(group.0.join("cgroup.procs"), child.id().to_string()) {
        child.kill().unwrap();
        child.wait().unwrap();
        return eprintln!("skipped: no process can be moved into a group here: {error}");
    }
    socket.write_all(&[1]).unwrap();
    let status = child.wait().unwrap();
    assert!(status.success(), "{status}");
}
