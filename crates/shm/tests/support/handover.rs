//! A table on its way from one process to another: over a socket, with its descriptor.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use clustered_cache_shm::{Reader, Writer};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

/// Hands a table over, descriptor and all.
pub(crate) fn hand_over(socket: &UnixStream, writer: &Writer) {
    let handover = writer.handover().expect("this system shares memory");
    let words = [handover.region.to_le_bytes(), handover.bytes.to_le_bytes()];
    let descriptors = [handover.descriptor.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)));
    let sent =
        sendmsg(socket, &[IoSlice::new(words.as_flattened())], &mut ancillary, SendFlags::empty()).unwrap();
    assert_eq!(sent, 16);
}

/// Takes a table that was handed over.
pub(crate) fn take_over(socket: &UnixStream) -> (OwnedFd, Reader) {
    let mut words = [[0; 8]; 2];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(words.as_flattened_mut())];
    let received = recvmsg(socket, &mut parts, &mut ancillary, RecvFlags::WAITALL | RecvFlags::CMSG_CLOEXEC);
    assert_eq!(received.unwrap().bytes, 16);
    let descriptor = ancillary
        .drain()
        .find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        })
        .expect("the table came with its descriptor");
    let [region, bytes] = words.map(u64::from_le_bytes);
    let reader = Reader::open(&descriptor, region, bytes).unwrap();
    (descriptor, reader)
}
