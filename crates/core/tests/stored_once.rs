//! A value is in memory once. This test is alone in its file because it measures the memory of its process.
#![cfg(target_os = "linux")]

use clustered_cache_core::testing::{User, manual_store, set, text_key};
use clustered_cache_core::wire::answer::Response;
use clustered_cache_core::wire::structures::NamespaceOptions;

const VALUE_BYTES: usize = 64 * 1024;
const VALUES: usize = 1_024;

/// Resident bytes of this process, including shared memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it is always there");
    let kibibytes = line.trim().trim_end_matches(" kB").parse::<usize>().expect("it is a number");
    kibibytes * 1_024
}

#[test]
fn values_take_their_own_bytes_and_not_twice_that() {
    let (store, _hands) = manual_store();
    let mut user = User::with_open(&store, "n", NamespaceOptions::default());
    let mut value = vec![2; VALUE_BYTES];
    let before = resident();
    for number in 0..VALUES {
        value[1..9].copy_from_slice(&number.to_le_bytes());
        let reply = user.ask(1, set(&text_key(&number.to_string()), &value));
        assert_eq!(reply, Response::Flag(true));
    }
    let taken = resident() - before;
    let whole = VALUE_BYTES * VALUES;
    assert!(taken >= whole, "{taken} bytes: the measurement does not see the values");
    assert!(taken < whole + whole / 4, "{taken} bytes for {whole}");
}
