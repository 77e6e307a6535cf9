//! Processes to which the system gives little. Each limit is set in a child: it is the whole process's.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

#[path = "support/child.rs"]
mod child;

use std::fs::File;
use std::io::{Read as _, Seek as _};

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

/// More tables than this process may have descriptors.
fn assert_leaves_descriptors() {
    let tables: Vec<Writer> = (0..100).map(|_| table(MIB).unwrap()).collect();
    let shared = tables.iter().filter(|table| table.handover().is_some()).count();
    assert!((20..=32).contains(&shared), "{shared}");
    let files: Vec<_> = (0..8).map(|_| File::open("/dev/null").unwrap()).collect();
    drop((tables, files));
    assert!(table(MIB).unwrap().handover().is_some(), "what is given back can be shared again");
}

/// Private tables take hardly any mappings, of which a process may have few too.
fn assert_merged() {
    let mut maps = File::open("/proc/self/maps").unwrap();
    let mut mappings = || {
        let mut text = String::new();
        maps.rewind().unwrap();
        maps.read_to_string(&mut text).unwrap();
        text.lines().count()
    };
    // Exactly those that are open.
    lower(Resource::Nofile, 4);
    let before = mappings();
    let tables: Vec<Writer> = (0..1_000).map(|_| table(256 * MIB).unwrap()).collect();
    assert!(tables.iter().all(|table| table.handover().is_none()));
    let more = mappings() - before;
    assert!(more < 200, "{more} mappings for 1,000 tables");
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
        "few descriptors" => {
            lower(Resource::Nofile, 64);
            assert_leaves_descriptors();
        }
        "many private tables" => assert_merged(),
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

#[test]
fn tables_leave_half_of_the_descriptors_to_the_application() {
    assert_plays("few descriptors");
}

#[test]
fn tables_that_are_not_shared_do_not_use_up_the_mappings_of_the_process() {
    assert_plays("many private tables");
}
