//! Proofs that a side knows the secret.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::config::SECRET_BYTES;
use crate::endpoint::Secret;

pub(super) const PROOF_BYTES: usize = 32;

pub(super) fn prove(secret: &Secret, role: &[u8], said: &[&[u8]]) -> [u8; PROOF_BYTES] {
    mac(secret, role, said).finalize().into_bytes().into()
}

/// Compares in constant time.
pub(super) fn verify(secret: &Secret, role: &[u8], said: &[&[u8]], proof: &[u8]) -> bool {
    mac(secret, role, said).verify_slice(proof).is_ok()
}

/// Every message carries its own length in its layout, so that joining them is unambiguous; the role keeps one
/// side's proof from serving as the other's.
fn mac(secret: &Secret, role: &[u8], said: &[&[u8]]) -> Hmac<Sha256> {
    let key: &[u8; SECRET_BYTES] = secret.as_bytes();
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(role);
    for message in said {
        mac.update(message);
    }
    mac
}
