//! The N-API boundary of clustered-cache.
//!
//! Rules: an exported method converts in, makes one call into the core, converts out. What can fail on the way is
//! answered, not thrown: every operation returns its answer and leaves its `answer::Form` in a register that the
//! JavaScript layer reads. JavaScript values are walked in `key.rs` and `value.rs` only; raw N-API calls are in `js.rs`
//! and `direct.rs` only, those of libuv in `event_loop.rs`. A panic ends at the boundary: see `panics.rs`. No state is kept per environment except in
//! `link::Link` and `shapes::Shapes`; what belongs to the process is in `process.rs`, `isolate.rs` and `servers.rs`.

#![expect(unreachable_pub, reason = "what napi exports is public by its macro, and has no other reader")]

mod answer;
mod cache;
mod constants;
mod direct;
mod election;
mod error;
#[cfg_attr(not(target_os = "linux"), path = "event_loop_absent.rs")]
mod event_loop;
mod isolate;
mod js;
mod key;
mod link;
mod many;
mod options;
mod panics;
mod persist;
mod process;
mod reads;
mod servers;
mod shapes;
mod value;
