//! Damaged files.

use super::super::format::{Header, Sink};
use super::*;

/// The bytes of a small snapshot.
fn small() -> (Place, Vec<u8>) {
    let place = Place::new();
    let (store, _) = host(0);
    let mut user = open(&store);
    set(&mut user, "a", "first", 0);
    set(&mut user, "b", "second", 500_000);
    write(&store, &place.path).unwrap();
    let bytes = std::fs::read(&place.path).unwrap();
    (place, bytes)
}

/// Loads these bytes, which must be refused. Returns the reason.
fn refused(place: &Place, bytes: &[u8]) -> String {
    // In place, so that the file keeps its mode.
    std::fs::write(&place.path, bytes).unwrap();
    let (store, _) = host(0);
    let aside = load(&store, &place.path).expect_err("damage is noticed");
    assert!(store.namespaces().is_empty(), "nothing was taken from it");
    let moved = aside.moved_to.clone().expect("it can be moved here");
    assert_eq!(std::fs::read(&moved).unwrap(), bytes, "it is kept as it was");
    std::fs::rename(&moved, &place.path).unwrap();
    assert_eq!(place.names(), ["cache.snapshot"]);
    assert!(aside.to_string().contains(&aside.reason));
    aside.reason
}

#[test]
fn a_file_that_was_cut_anywhere_is_refused() {
    let (place, bytes) = small();
    for length in 0..bytes.len() {
        refused(&place, &bytes[..length]);
    }
    refused(&place, &[&bytes[..], &[0]].concat());
    refused(&place, &[&bytes[..], &bytes[..]].concat());
    std::fs::write(&place.path, &bytes).unwrap();
    assert_eq!(load(&host(0).0, &place.path).unwrap().unwrap().entries, 2);
}

/// A hole of this length takes no room on the disk, and many minutes to read.
#[cfg(unix)]
const HOLE: u64 = 1 << 40;

#[cfg(unix)]
fn assert_refused_at_once(place: &Place) -> String {
    let (store, _) = host(0);
    let aside = load(&store, &place.path).expect_err("damage is noticed");
    std::fs::remove_file(aside.moved_to.as_ref().unwrap()).unwrap();
    aside.reason
}

#[test]
#[cfg(unix)]
fn a_file_with_a_long_hole_is_refused_without_reading_it() {
    use std::os::unix::fs::FileExt as _;

    let (place, bytes) = small();
    let extended = || {
        std::fs::write(&place.path, &bytes).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&place.path, mode).unwrap();
        let file = std::fs::File::options().write(true).open(&place.path).unwrap();
        file.set_len(HOLE).unwrap();
        file
    };
    drop(extended());
    assert!(assert_refused_at_once(&place).contains("length"));
    // As if it ended where it does.
    let records = HOLE - (bytes.len() as u64 - records_in(&bytes));
    extended().write_all_at(&records.to_le_bytes(), HOLE - 16).unwrap();
    assert!(assert_refused_at_once(&place).contains("no record"));
}

/// The length of the records as the trailer tells it.
#[cfg(unix)]
fn records_in(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[bytes.len() - 16..][..8].try_into().unwrap())
}

#[test]
fn a_flipped_bit_anywhere_is_noticed() {
    let (place, bytes) = small();
    for position in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[position] ^= 1 << bit;
            refused(&place, &damaged);
        }
    }
}

#[test]
fn exchanged_and_missing_bytes_are_noticed() {
    let (place, bytes) = small();
    for position in 1..bytes.len() {
        let mut damaged = bytes.clone();
        damaged.remove(position);
        refused(&place, &damaged);
        let mut damaged = bytes.clone();
        damaged.swap(position - 1, position);
        if damaged != bytes {
            refused(&place, &damaged);
        }
    }
}

#[test]
fn the_reason_distinguishes_a_foreign_file_from_another_format() {
    let (place, mut bytes) = small();
    assert!(refused(&place, &[b'{'; 400]).contains("is not a snapshot"));
    bytes[8] = 2;
    let reason = refused(&place, &bytes);
    assert!(reason.contains("format 2") && reason.contains(env!("CARGO_PKG_VERSION")), "{reason}");
}

#[test]
fn malformed_content_is_refused_even_with_the_right_checksum() {
    let (place, _) = small();
    for records in [&b""[..], &[1, 0, 0, 0, 77], &[3, 0, 0, 0, 0, 1, 9], &[3, 0, 0, 0, 0, 2, 9], &[255; 9]] {
        let mut bytes = Vec::new();
        let mut sink = Sink::begin(&mut bytes, &Header::new(0.0)).unwrap();
        sink.records(records).unwrap();
        sink.end().unwrap();
        assert!(refused(&place, &bytes).contains("damaged"));
    }
}

#[test]
fn several_damaged_files_are_all_kept() {
    let place = Place::new();
    let (store, _) = host(0);
    write(&store, &place.path).unwrap();
    let mut moved = Vec::new();
    for number in 0..3_u8 {
        std::fs::write(&place.path, [number]).unwrap();
        restrict(&place);
        moved.push(load(&store, &place.path).unwrap_err().moved_to.unwrap());
    }
    for (number, path) in moved.iter().enumerate() {
        assert_eq!(std::fs::read(path).unwrap(), [number as u8]);
    }
    let seconds = (store.clock().wall_ms() / 1e3) as u64;
    let name = moved[0].file_name().unwrap().to_str().unwrap();
    assert_eq!(name, format!("cache.snapshot.damaged-{seconds}"));
}

/// A file that the test made itself is closed to others, as the real one would be.
fn restrict(place: &Place) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&place.path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    #[cfg(not(unix))]
    let _ = place;
}
