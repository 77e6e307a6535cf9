//! Processes to which the system gives little. Each limit is set in a child: it is the whole process's.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

#[path = "support/child.rs"]
mod child;

use child::{role, start};
use clustered_cache_shm::{NEVER, Spec, Writer};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const MIB: u64 = 1 << 20;

fn lower(resource: Resource, current: u64) {
    let limit = Rlimit { current: Some(current), ..getrlimit(resource) };
    setrlimit(resource, limit).unwrap();
}

fn table(capacity: u64) -> std::io::Result<Writer> {
    Writer::create(Spec { capacity, bound: capacity })
}

/// Nothing is shared, and the table serves its own process all the same.
fn assert_private(mut writer: Writer) {
    assert!(writer.handover().is_none());
    for number in 0..1_000_u32 {
        writer.insert(&number.to_le_bytes(), &[number as u8; 500], NEVER).unwrap();
    }
    let slot = writer.find(&7_u32.to_le_bytes()).unwrap();
    let mut value = Vec::new();
    writer.read_value(slot, &mut value);
    assert_eq!(value, [7; 500]);
}

/// Does nothing in the test run itself: it is where children begin.
#[test]
fn a_child_plays_its_role() {
    let Some((role, socket)) = role() else { return };
    drop(socket);
    match role.as_str() {
        "small files" => {
            lower(Resource::Fsize, MIB);
            assert_private(table(16 * MIB).unwrap());
        }
        "no descriptors" => {
            // Exactly those that are open.
            lower(Resource::Nofile, 3);
            assert_private(table(16 * MIB).unwrap());
        }
        "little address space" => {
            lower(Resource::As, 512 * MIB);
            assert!(table(1 << 30).is_err());
            let writer = table(16 * MIB).unwrap();
            assert!(writer.handover().is_some(), "a smaller one is as good as ever");
        }
        other => unreachable!("no such role: {other}"),
    }
}

fn assert_plays(role: &str) {
    let (mut child, socket) = start("a_child_plays_its_role", role);
    drop(socket);
    let status = child.wait().unwrap();
    assert!(status.success(), "{status}");
}

#[test]
fn a_limit_on_the_size_of_files_leads_to_private_memory_and_not_to_a_signal() {
    assert_plays("small files");
}

#[test]
fn a_process_without_free_descriptors_has_a_private_table() {
    assert_plays("no descriptors");
}

#[test]
fn too_little_address_space_is_an_error() {
    assert_plays("little address space");
}
