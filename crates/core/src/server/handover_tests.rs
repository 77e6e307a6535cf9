//! Descriptors sent through sockets with small buffers, to peers that read little at a time.

use std::fs::{File, metadata};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

use clustered_cache_shm::Handover;
use tokio::sync::watch;

use super::greeting::Greeted;
use super::{ServerLimits, connection};
use crate::config::MAX_FRAME_BYTES;
use crate::operations::entries::Get;
use crate::operations::namespace::{Open, Ping};
use crate::store::Store;
use crate::testing::{Request, TempDir, hand_over, manual_store, set, text_key, text_value};
use crate::transport::{Descriptor, Input, Reader, Stream, Writer};
use crate::wire::answer::{self, Response};
use crate::wire::frame;
use crate::wire::structures::{NamespaceOptions, Ticket};
use crate::wire::{Blob, PROTOCOL_MINOR};

const TABLES: u64 = 6;
/// Bytes of the value that is requested between two tables: more than a socket with a small buffer takes.
const VALUE: usize = 20_000;

/// A store with tables that are files. The length of each is the number of its region.
fn store_with_tables(directory: &TempDir) -> (Arc<Store>, Vec<u64>) {
    let (store, _) = manual_store();
    hand_over(&store, "other", None);
    let inodes = (1..=TABLES).map(|region| {
        let path = directory.path().join(region.to_string());
        let file = File::create(&path).unwrap();
        file.set_len(region).unwrap();
        let handover = Handover { region, bytes: region, descriptor: Arc::new(file.into()) };
        hand_over(&store, &region.to_string(), handover);
        metadata(path).unwrap().ino()
    });
    let inodes = inodes.collect();
    (store, inodes)
}

fn requests() -> Vec<u8> {
    let (key, value) = (text_key("k"), text_value(&"x".repeat(VALUE)));
    let mut bytes = Vec::new();
    let mut numbers = 1..;
    let mut ask = |handle, request: &dyn Request| {
        bytes.extend(request.frame(numbers.next().expect("numbers do not end"), handle));
    };
    ask(1, &open("other"));
    ask(1, &set(&key, &value));
    for (region, handle) in (1..=TABLES).zip(2..) {
        ask(1, &Get { key: Blob(&key) });
        ask(handle, &open(&region.to_string()));
        ask(1, &Ping {});
    }
    // A malformed frame at the end: the host answers everything before it and then closes the connection.
    bytes.extend_from_slice(&0_u32.to_le_bytes());
    bytes
}

fn open(name: &str) -> Open<'_> {
    Open { name, options: NamespaceOptions::default() }
}

/// What arrived: bytes, and each descriptor with the range of bytes of the read that brought it.
struct Arrived {
    bytes: Vec<u8>,
    descriptors: Vec<(std::ops::Range<usize>, Option<Descriptor>)>,
}

/// Reads at most `most` bytes at a time until the host closes.
async fn read_all(reader: &mut Reader, most: usize) -> Arrived {
    let mut arrived = Arrived { bytes: Vec::new(), descriptors: Vec::new() };
    loop {
        let (mut part, mut came) = (Vec::with_capacity(most), Vec::new());
        let begin = arrived.bytes.len();
        match reader.read_with_descriptors(&mut part, &mut came).await.unwrap() {
            0 => return arrived,
            taken => assert_eq!(taken, part.len()),
        }
        arrived.bytes.extend_from_slice(&part);
        let end = arrived.bytes.len();
        arrived.descriptors.extend(came.into_iter().map(|one| (begin..end, one)));
    }
}

impl Arrived {
    /// Where the frames with tickets begin.
    fn tickets(&self) -> Vec<(usize, Ticket)> {
        let (mut at, mut tickets) = (0, Vec::new());
        while let Some((payload, used)) = frame::split(&self.bytes[at..], MAX_FRAME_BYTES).unwrap() {
            if let (_, Response::Opened { table: Some(ticket), .. }) = answer::read(payload).unwrap() {
                tickets.push((at, ticket));
            }
            at += used;
        }
        assert_eq!(at, self.bytes.len(), "whole frames");
        tickets
    }
}

/// Everything that a host answers to `requests` over a socket with a small buffer.
async fn converse(store: &Arc<Store>, shares_tables: bool, most: usize) -> Arrived {
    let (host, client) = Stream::pair();
    let (reader, writer) = host.into_split().unwrap();
    writer.narrow();
    let greeted = Greeted {
        reader,
        writer,
        input: Input::default(),
        shares_tables,
        watches: false,
        moves: false,
        takes_scans: false,
        minor: PROTOCOL_MINOR,
    };
    let (closing, closed) = watch::channel(false);
    let (mut reader, writer) = client.into_split().unwrap();
    let limits = ServerLimits { shutdown_drain: Duration::from_secs(60), ..ServerLimits::default() };
    let serving = connection::serve(greeted, store, limits, None, closed);
    let (arrived, (), _writer) = tokio::join!(read_all(&mut reader, most), serving, ask(writer));
    drop(closing);
    arrived
}

/// Sends all requests. Dropping the result ends the connection.
async fn ask(writer: Writer) -> Writer {
    let mut bytes = &requests()[..];
    while !bytes.is_empty() {
        let sent = std::future::poll_fn(|context| writer.poll_send(context, bytes, None)).await.unwrap();
        bytes = &bytes[sent..];
    }
    writer
}

#[tokio::test]
async fn each_table_comes_with_the_read_that_brings_the_first_byte_of_its_answer() {
    let directory = TempDir::new();
    let (store, inodes) = store_with_tables(&directory);
    for most in [1, 3, 50, 1_000, 3_000, 100_000] {
        let arrived = converse(&store, true, most).await;
        let tickets = arrived.tickets();
        assert_eq!(tickets.len() as u64, TABLES);
        assert_eq!(arrived.descriptors.len(), tickets.len(), "at most {most} bytes at a time");
        for (index, (bytes, descriptor)) in arrived.descriptors.into_iter().enumerate() {
            let (at, ticket) = tickets[index];
            assert!(bytes.contains(&at), "the answer at {at} came with {bytes:?}");
            assert_eq!((ticket.region, ticket.bytes), (index as u64 + 1, index as u64 + 1));
            let file = File::from(descriptor.unwrap());
            assert_eq!(file.metadata().unwrap().ino(), inodes[index]);
            assert!(rustix::io::fcntl_getfd(&file).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        }
    }
}

#[tokio::test]
async fn a_peer_that_did_not_agree_gets_neither_tickets_nor_descriptors() {
    let directory = TempDir::new();
    let (store, _) = store_with_tables(&directory);
    let arrived = converse(&store, false, 1_000).await;
    assert!(arrived.tickets().is_empty());
    assert!(arrived.descriptors.is_empty());
}
