use super::proof::PROOF_BYTES;
use super::*;
use crate::config::{MAX_HELLO_BYTES, SECRET_BYTES};
use crate::error::ErrorKind;

const EPOCH: u64 = 77;

fn introduction(secret: &Secret, nonce: u8) -> Introduction<'_> {
    Introduction { secret, package_version: "1.2.3", features: 0b0110, nonce: [nonce; NONCE_BYTES] }
}

fn secret(byte: u8) -> Secret {
    Secret::from_bytes([byte; SECRET_BYTES])
}

/// Both messages of the first round.
fn first_round(secret: &Secret) -> (ClientHello, HostChallenge) {
    let client = ClientHello::new(&introduction(secret, 1));
    let own = Introduction { features: 0b1100, package_version: "1.9.0", ..introduction(secret, 2) };
    let host = HostChallenge::new(&own, EPOCH, client.payload()).unwrap();
    (client, host)
}

#[test]
fn both_sides_agree_on_the_same_and_mask_unknown_features() {
    let secret = secret(9);
    let (client, host) = first_round(&secret);
    let (client, proof) = client.answer(host.payload()).unwrap();
    let host = host.verify(&proof).unwrap();
    let client = client.finish(HostChallenge::welcome()).unwrap();
    assert_eq!((client.features, client.epoch, client.peer_version.as_str()), (0b0100, EPOCH, "1.9.0"));
    assert_eq!((host.features, host.epoch, host.peer_version.as_str()), (0b0100, EPOCH, "1.2.3"));
}

#[test]
fn tables_are_shared_only_if_both_sides_want_to() {
    let secret = secret(9);
    for (client_wants, host_wants) in [(true, true), (true, false), (false, true), (false, false)] {
        let own = |wants, nonce| Introduction { features: offered(wants), ..introduction(&secret, nonce) };
        let client = ClientHello::new(&own(client_wants, 1));
        let host = HostChallenge::new(&own(host_wants, 2), EPOCH, client.payload()).unwrap();
        let (client, proof) = client.answer(host.payload()).unwrap();
        let expected = client_wants && host_wants && cfg!(unix);
        assert_eq!(host.verify(&proof).unwrap().shares_tables(), expected);
        assert_eq!(client.finish(HostChallenge::welcome()).unwrap().shares_tables(), expected);
    }
}

#[test]
fn every_message_fits_the_limit_for_strangers() {
    let secret = secret(9);
    let version = "9".repeat(100);
    let own = Introduction { package_version: &version, ..introduction(&secret, 1) };
    let client = ClientHello::new(&own);
    let host = HostChallenge::new(&own, EPOCH, client.payload()).unwrap();
    let refusal = Refusal::limit(&"ü".repeat(300));
    for message in [client.payload(), host.payload(), &refusal.reply.unwrap()] {
        assert!(message.len() <= MAX_HELLO_BYTES, "{}", message.len());
    }
}

#[test]
fn a_host_with_another_secret_is_found_out_by_the_client() {
    let client = ClientHello::new(&introduction(&secret(1), 1));
    let other = secret(2);
    let host = HostChallenge::new(&introduction(&other, 2), EPOCH, client.payload()).unwrap();
    assert_eq!(client.answer(host.payload()).unwrap_err().kind(), ErrorKind::Authentication);
}

#[test]
fn a_client_without_the_secret_is_refused_and_told() {
    let secret = secret(1);
    let (client, host) = first_round(&secret);
    let refusal = host.verify(&[0; PROOF_BYTES]).unwrap_err();
    assert_eq!(refusal.error.kind(), ErrorKind::Authentication);
    let (client, _) = client
        .answer(
            // The very challenge of before: only the proof was wrong.
            first_round(&secret).1.payload(),
        )
        .unwrap();
    assert_eq!(client.finish(&refusal.reply.unwrap()).unwrap_err().kind(), ErrorKind::Authentication);
}

#[test]
fn a_proof_cannot_be_reflected() {
    let secret = secret(1);
    let (_, host) = first_round(&secret);
    let signature = host.payload()[host.payload().len() - PROOF_BYTES..].to_vec();
    assert!(host.verify(&signature).is_err());
}

#[test]
fn another_major_version_is_refused_by_name_on_both_sides() {
    let secret = secret(1);
    let client = ClientHello::new(&introduction(&secret, 1));
    let mut future = client.payload().to_vec();
    future[4] = 2;
    future.truncate(8);
    future.extend_from_slice(b"whatever version 2 says");
    let refusal = HostChallenge::new(&introduction(&secret, 2), EPOCH, &future).unwrap_err();
    assert_eq!(refusal.error.kind(), ErrorKind::ProtocolVersion);

    let mut reply = refusal.reply.unwrap();
    reply[4] = 3;
    let error = client.answer(&reply).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ProtocolVersion);
    for part in [&format!("protocol 3.{PROTOCOL_MINOR}"), &format!("1.{PROTOCOL_MINOR}"), "1.2.3"] {
        assert!(error.message().contains(part), "{error} lacks {part}");
    }
}

#[test]
fn a_change_of_any_byte_of_the_hello_is_noticed() {
    let secret = secret(5);
    let client = ClientHello::new(&introduction(&secret, 1));
    for position in 0..client.payload().len() {
        let mut hello = client.payload().to_vec();
        hello[position] ^= 0x01;
        let Ok(host) = HostChallenge::new(&introduction(&secret, 2), EPOCH, &hello) else { continue };
        let client = ClientHello::new(&introduction(&secret, 1));
        assert!(client.answer(host.payload()).is_err(), "byte {position} of the hello");
    }
}

#[test]
fn a_change_of_any_byte_of_the_challenge_is_noticed() {
    let secret = secret(5);
    let (_, host) = first_round(&secret);
    for position in 0..host.payload().len() {
        for bit in [0x01, 0x80] {
            let mut challenge = host.payload().to_vec();
            challenge[position] ^= bit;
            let client = ClientHello::new(&introduction(&secret, 1));
            assert!(client.answer(&challenge).is_err(), "byte {position} of the challenge");
        }
    }
}

#[test]
fn a_change_of_any_byte_of_the_proof_is_noticed() {
    let secret = secret(5);
    for position in 0..PROOF_BYTES {
        let (client, host) = first_round(&secret);
        let (_, mut proof) = client.answer(host.payload()).unwrap();
        proof[position] ^= 0x10;
        assert!(host.verify(&proof).is_err(), "byte {position} of the proof");
    }
}

#[test]
fn shortened_lengthened_and_foreign_messages_are_refused_without_a_panic() {
    let secret = secret(5);
    let (client, host) = first_round(&secret);
    for length in 0..client.payload().len() {
        assert!(HostChallenge::new(&introduction(&secret, 2), EPOCH, &client.payload()[..length]).is_err());
    }
    for length in 0..host.payload().len() {
        let client = ClientHello::new(&introduction(&secret, 1));
        assert!(client.answer(&host.payload()[..length]).is_err());
    }
    let longer = [client.payload(), &[0]].concat();
    assert!(HostChallenge::new(&introduction(&secret, 2), EPOCH, &longer).is_err());
    let http = b"GET / HTTP/1.1\r\n\r\n";
    assert!(HostChallenge::new(&introduction(&secret, 2), EPOCH, http).unwrap_err().reply.is_none());
    assert_eq!(client.answer(http).unwrap_err().kind(), ErrorKind::Protocol);
}
