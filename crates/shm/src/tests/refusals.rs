//! What a reader refuses to map, with real descriptors.

use std::fs::{File, OpenOptions};
use std::io::{Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use crate::layout::{PAGE, control};
use crate::region::own_user;
use crate::{Handover, Reader, Refused, Spec, Writer};

fn table() -> (Writer, Handover) {
    let writer = Writer::create(Spec { capacity: 1 << 20, bound: 1 << 20 }).unwrap();
    let handover = writer.handover().expect("this system shares memory").clone();
    (writer, handover)
}

fn refusal(handover: &Handover) -> Option<Refused> {
    Reader::open(&handover.descriptor, handover.region, handover.bytes).err()
}

/// The same table, announced with another descriptor.
fn moved_to(handover: &Handover, descriptor: impl Into<OwnedFd>) -> Handover {
    Handover { descriptor: Arc::new(descriptor.into()), ..handover.clone() }
}

#[test]
fn the_table_that_was_announced_is_read() {
    let (mut writer, handover) = table();
    let reader = Reader::open(&handover.descriptor, handover.region, handover.bytes).unwrap();
    writer.insert(b"a", b"one", crate::NEVER).unwrap();
    assert_eq!(super::value_of(&reader, b"a").unwrap(), b"one");
    drop((writer, handover));
    assert_eq!(super::value_of(&reader, b"a").unwrap(), b"one", "its memory outlives its writer");
}

#[test]
fn memory_of_another_size_than_announced_is_refused() {
    let (_writer, handover) = table();
    let right = handover.bytes;
    for bytes in
        [0, 1, 8, PAGE as u64, right - PAGE as u64, right - 8, right + 1, right + 8, right * 2, u64::MAX]
    {
        let announced = Handover { bytes, ..handover.clone() };
        assert_eq!(refusal(&announced), Some(Refused::WrongSize), "{bytes} for {right}");
    }
}

#[test]
fn another_region_than_announced_is_refused() {
    let (_writer, handover) = table();
    let announced = Handover { region: handover.region ^ 1, ..handover };
    assert_eq!(refusal(&announced), Some(Refused::OtherRegion));
}

#[test]
fn memory_of_another_user_is_refused() {
    let (_writer, handover) = table();
    let Handover { region, bytes, descriptor } = handover;
    let opened = Reader::open_of(&descriptor, region, bytes, own_user() ^ 1);
    assert_eq!(opened.err(), Some(Refused::ForeignOwner));
    assert!(Reader::open_of(&descriptor, region, bytes, own_user()).is_ok());
}

#[test]
fn the_layout_of_another_release_is_refused() {
    let (writer, handover) = table();
    for at in [control::MAGIC, control::VERSION, control::GRANULES, control::CHUNKS] {
        let word = &writer.memory_region().words()[at];
        let right = word.load(Ordering::Relaxed);
        for wrong in [0, right.wrapping_mul(2), right << 32, u64::MAX] {
            word.store(wrong, Ordering::Relaxed);
            assert_eq!(refusal(&handover), Some(Refused::Layout), "word {at}: {wrong} for {right}");
        }
        word.store(right, Ordering::Relaxed);
    }
    assert_eq!(refusal(&handover), None);
}

#[test]
fn a_pipe_and_a_socket_are_refused() {
    let (_writer, handover) = table();
    let (pipe, _end) = std::io::pipe().unwrap();
    let (socket, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
    let strangers = [moved_to(&handover, pipe), moved_to(&handover, socket)];
    for stranger in strangers {
        assert_eq!(refusal(&stranger), Some(Refused::Unsealed));
        assert_eq!(refusal(&Handover { bytes: 0, ..stranger }), Some(Refused::Unsealed));
    }
}

// --- seals ---------------------------------------------------------------------------------------------------------

/// A copy of the table in memory with these seals.
fn copy(writer: &Writer, handover: &Handover, seals: SealFlags) -> Handover {
    let memory =
        memfd_create("clustered-cache-test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    let mut file = File::from(memory);
    file.set_len(handover.bytes).unwrap();
    for word in &writer.memory_region().words()[..PAGE / 8] {
        file.write_all(&word.load(Ordering::Relaxed).to_le_bytes()).unwrap();
    }
    file.rewind().unwrap();
    fcntl_add_seals(&file, seals).unwrap();
    moved_to(handover, file)
}

const NEEDED: [SealFlags; 3] = [SealFlags::SHRINK, SealFlags::GROW, SealFlags::FUTURE_WRITE];

#[test]
fn memory_that_lacks_a_seal_is_refused() {
    let (writer, handover) = table();
    let all = NEEDED.into_iter().collect();
    assert_eq!(refusal(&copy(&writer, &handover, all)), None);
    assert_eq!(refusal(&copy(&writer, &handover, SealFlags::empty())), Some(Refused::Unsealed));
    for missing in NEEDED {
        let refused = refusal(&copy(&writer, &handover, all - missing));
        assert_eq!(refused, Some(Refused::Unsealed), "without {missing:?}");
    }
}

#[test]
fn memory_that_was_truncated_is_refused() {
    let (writer, handover) = table();
    let copied = copy(&writer, &handover, SealFlags::empty());
    let file = File::from(copied.descriptor.try_clone().unwrap());
    file.set_len(handover.bytes - PAGE as u64).unwrap();
    fcntl_add_seals(&file, NEEDED.into_iter().collect()).unwrap();
    assert_eq!(refusal(&copied), Some(Refused::WrongSize));
    let announced = Handover { bytes: handover.bytes - PAGE as u64, ..copied };
    assert_eq!(refusal(&announced), Some(Refused::Layout), "the control page gives another size");
}

/// A size counts only if it was read after the seal was seen: memory without the seal may shrink a moment later.
#[test]
fn memory_that_lacks_a_seal_is_refused_for_that_whatever_its_size() {
    let (writer, handover) = table();
    for missing in NEEDED {
        let copied = copy(&writer, &handover, NEEDED.into_iter().collect::<SealFlags>() - missing);
        for bytes in [0, handover.bytes - 8, handover.bytes + PAGE as u64] {
            let announced = Handover { bytes, ..copied.clone() };
            assert_eq!(
                refusal(&announced),
                Some(Refused::Unsealed),
                "without {missing:?}, {bytes} bytes announced"
            );
        }
    }
}

#[test]
fn an_ordinary_file_is_refused() {
    let (_writer, handover) = table();
    let path = std::env::temp_dir().join(format!("clustered-cache-shm-{:x}", handover.region));
    let file = File::create_new(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file.set_len(handover.bytes).unwrap();
    assert_eq!(refusal(&moved_to(&handover, file)), Some(Refused::Unsealed));
}

#[test]
fn a_descriptor_that_cannot_be_read_is_refused() {
    let (_writer, handover) = table();
    let path = format!("/proc/self/fd/{}", handover.descriptor.as_raw_fd());
    let unreadable = OpenOptions::new().write(true).open(path).unwrap();
    assert_eq!(refusal(&moved_to(&handover, unreadable)), Some(Refused::System));
}
