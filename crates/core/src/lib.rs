//! The logic of clustered-cache, without Node: one cache for all processes of an application on one machine.
//!
//! | part | duty |
//! |---|---|
//! | [`store`] | the host's entries: namespaces, bounds, expiry, counters, leases |
//! | [`snapshot`] | a store's entries in a file, for a later host |
//! | [`operations`] | what can be asked of a host: one table, one file for each family |
//! | [`session`] | one user of a store (a connection, or the host's own JavaScript): what it has open and holds |
//! | [`wire`] | frames, fields, answers, handshake: bytes in, values out, no sockets |
//! | [`transport`] | sockets: the only file that names the transport crate |
//! | [`server`] | serves a store to connections |
//! | [`client`] | one connection to a host, reconnecting |
//! | [`endpoint`] | directory, socket path and secret of a host |
//! | [`allowed_users`] | users besides the host's own who may be clients |
//! | `election` | makes one of several equal processes the host, and another one when that is gone |
//! | [`inbox`] | what has arrived for one JavaScript environment |
//! | [`shapes`] | key lists of records that one JavaScript environment knows |
//! | [`backend`] | joins both ways to a store: in this process, or over a connection |
//!
//! The **host** owns the store and is its only writer; every other process is a **client**. A **namespace** is one
//! named cache with its own bounds. A **lease** is the right to load one key, held by one caller in the whole
//! cluster. An **epoch** is one host's life: a client drops what it believed when it changes.

#![forbid(unsafe_code)]
#![cfg_attr(not(unix), allow(dead_code, reason = "there are no elections: nobody hands over"))]

pub mod allowed_users;
pub mod backend;
pub mod client;
pub mod clock;
pub mod config;
#[cfg(unix)]
pub mod election;
pub mod endpoint;
pub mod error;
pub mod inbox;
pub mod operations;
pub mod server;
pub mod session;
pub mod shapes;
pub mod snapshot;
pub mod store;
pub mod transport;
pub mod value;
pub mod version_stamp;
pub mod wire;

#[cfg(feature = "testing")]
pub mod testing;

pub use error::{Error, ErrorKind, Result};
