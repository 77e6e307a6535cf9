//! How two sides meet: version choice and mutual proof that both know the secret. Bytes in, bytes out; no sockets.
//!
//! ```text
//! client                                   host
//!   hello(version, features, nonce)  ──▶
//!                                    ◀──  challenge(version, features, epoch, nonce, proof) or refusal
//!   proof                            ──▶
//!                                    ◀──  welcome or refusal
//! ```
//!
//! A proof is an HMAC over everything said so far, so a change of any byte by anybody is noticed. The layouts are
//! fixed, not bincode: the first eight bytes of a hello and the whole of a refusal stay as they are in every future
//! version, which is what lets two versions tell each other that they differ.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{MAGIC, PROTOCOL_MAJOR, PROTOCOL_MINOR};
use crate::config::SECRET_BYTES;
use crate::endpoint::Secret;
use crate::error::{Error, ErrorKind, Result};

/// Ability: the descriptor of a namespace's shared table goes beside the answer that opens the namespace. Abilities
/// have one bit each; one that the other side does not offer is never used with it.
pub const FEATURE_SHARED_TABLE: u64 = 1;
/// The connection is there to learn of the host's end: whoever made it would be the next host.
pub const FEATURE_WATCH: u64 = 1 << 1;
/// The host may move to another process: the client keeps what was not answered and asks the next host again.
pub const FEATURE_MOVES: u64 = 1 << 2;
/// Over a connection that watches: the content of the host may have scans under way in it, with which the next host goes on.
pub const FEATURE_SCANS: u64 = 1 << 3;
/// Longest package version in a hello.
pub const MAX_PACKAGE_VERSION: usize = 32;
/// Length of a nonce.
pub const NONCE_BYTES: usize = 32;

const PROOF_BYTES: usize = 32;
/// The host's last word when all is well.
const WELCOME: [u8; 1] = [0];
/// Fifth field of a host's first message: it goes on.
const GOES_ON: u8 = 0;
/// Longest text of a refusal.
const MAX_REFUSAL_TEXT: usize = 200;

/// One side's part.
#[derive(Debug, Clone, Copy)]
pub struct Introduction<'a> {
    /// What both must know.
    pub secret: &'a Secret,
    /// Version of the package, for messages; at most [`MAX_PACKAGE_VERSION`] bytes of it are sent.
    pub package_version: &'a str,
    /// Abilities, see [`offered`].
    pub features: u64,
    /// Random, fresh for each handshake.
    pub nonce: [u8; NONCE_BYTES],
}

/// The abilities of a side that wants to share tables, or does not. Without Unix sockets nobody can.
pub fn offered(share: bool) -> u64 {
    if share && cfg!(unix) { FEATURE_SHARED_TABLE } else { 0 }
}

/// What both sides know after a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// Minor version to speak: the smaller one.
    pub minor: u16,
    /// Abilities both have.
    pub features: u64,
    /// The host's life.
    pub epoch: u64,
    /// The other side's package version.
    pub peer_version: String,
}

impl Agreed {
    /// Descriptors of shared tables may pass.
    pub fn shares_tables(&self) -> bool {
        self.features & FEATURE_SHARED_TABLE != 0
    }

    /// The host may move to another process.
    pub fn moves(&self) -> bool {
        self.features & FEATURE_MOVES != 0
    }

    /// The client would go on with scans under way.
    pub fn takes_scans(&self) -> bool {
        self.features & FEATURE_SCANS != 0
    }

    /// Whether the client only watches the host.
    pub fn watches(&self) -> bool {
        self.features & FEATURE_WATCH != 0
    }
}

/// Why a host turns a client away; its number is on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RefusalCode {
    Version = 1,
    Authentication = 2,
    Limit = 3,
    Protocol = 4,
}

/// A host's refusal: the error for its own side, and what to send, if the client can read it.
#[derive(Debug)]
pub struct Refusal {
    /// What went wrong.
    pub error: Error,
    /// The payload to send before closing.
    pub reply: Option<Vec<u8>>,
}

impl Refusal {
    /// Turns a client away because a limit is reached.
    pub fn limit(text: &str) -> Self {
        Self::new(RefusalCode::Limit, Error::new(ErrorKind::Limit, text))
    }

    fn new(code: RefusalCode, error: Error) -> Self {
        let text = shorten(error.message(), MAX_REFUSAL_TEXT);
        let mut reply = Vec::with_capacity(9 + text.len());
        put_version(&mut reply);
        reply.push(code as u8);
        reply.extend_from_slice(text.as_bytes());
        Self { error, reply: Some(reply) }
    }

    fn silent(error: Error) -> Self {
        Self { error, reply: None }
    }
}

// --- client ----------------------------------------------------------------------------------------------------

/// A client that has said hello and expects the challenge.
#[derive(Debug)]
pub struct ClientHello {
    secret: Secret,
    package_version: String,
    features: u64,
    hello: Vec<u8>,
}

impl ClientHello {
    /// Begins; the bytes to send are [`Self::payload`].
    pub fn new(own: &Introduction<'_>) -> Self {
        let mut hello = Vec::with_capacity(96);
        put_version(&mut hello);
        hello.extend_from_slice(&own.features.to_le_bytes());
        put_package_version(&mut hello, own.package_version);
        hello.extend_from_slice(&own.nonce);
        Self {
            secret: own.secret.clone(),
            package_version: own.package_version.to_owned(),
            features: own.features,
            hello,
        }
    }

    /// The hello.
    pub fn payload(&self) -> &[u8] {
        &self.hello
    }

    /// Checks the host's challenge and returns the proof to send.
    ///
    /// # Errors
    /// [`ErrorKind::ProtocolVersion`], [`ErrorKind::Authentication`] when the host does not know the secret,
    /// [`ErrorKind::Limit`] when it is full, or [`ErrorKind::Protocol`].
    pub fn answer(self, challenge: &[u8]) -> Result<(ClientProof, [u8; PROOF_BYTES])> {
        let (signed, proof) = self.read_challenge(challenge)?;
        let mut fields = Fields(signed);
        let (_, minor) = fields.version()?;
        fields.take(1)?;
        let features = fields.u64()? & self.features;
        let peer_version = fields.package_version()?;
        let epoch = fields.u64()?;
        if !verify(&self.secret, b"host", &[&self.hello, signed], proof) {
            return Err(Error::new(
                ErrorKind::Authentication,
                "the host does not know the secret of this cache: it belongs to another application or another run \
                 of this one; restart this process, or pass it the current secret",
            ));
        }
        let own = prove(&self.secret, b"client", &[&self.hello, challenge]);
        let agreed = Agreed { minor: common_minor(minor), features, epoch, peer_version };
        Ok((ClientProof { package_version: self.package_version, agreed }, own))
    }

    /// Splits a challenge into what is signed and the signature, unless it is a refusal.
    fn read_challenge<'a>(&self, challenge: &'a [u8]) -> Result<(&'a [u8], &'a [u8])> {
        check_refusal(challenge, &self.package_version)?;
        let signed = challenge.len().checked_sub(PROOF_BYTES).ok_or_else(malformed)?;
        // Length prefix and fixed fields: nothing may be left over.
        let mut fields = Fields(&challenge[..signed]);
        fields.take(4 + 2 + 2 + 1 + 8)?;
        fields.package_version()?;
        fields.take(8 + NONCE_BYTES)?;
        fields.end()?;
        Ok(challenge.split_at(signed))
    }
}

/// A client that has proved itself and expects the welcome.
#[derive(Debug)]
pub struct ClientProof {
    package_version: String,
    agreed: Agreed,
}

impl ClientProof {
    /// Checks the host's last word.
    ///
    /// # Errors
    /// As [`ClientHello::answer`].
    pub fn finish(self, welcome: &[u8]) -> Result<Agreed> {
        if welcome == WELCOME {
            return Ok(self.agreed);
        }
        check_refusal(welcome, &self.package_version)?;
        Err(malformed())
    }
}

// --- host ------------------------------------------------------------------------------------------------------

/// A host that has sent its challenge and expects the client's proof.
#[derive(Debug)]
pub struct HostChallenge {
    secret: Secret,
    hello: Vec<u8>,
    challenge: Vec<u8>,
    agreed: Agreed,
}

impl HostChallenge {
    /// Reads a client's hello; the bytes to send are [`Self::payload`].
    ///
    /// # Errors
    /// A [`Refusal`]: other major version, or no hello at all (which is not answered).
    pub fn new(own: &Introduction<'_>, epoch: u64, hello: &[u8]) -> Result<Self, Refusal> {
        let mut fields = Fields(hello);
        let (major, minor) = fields.version().map_err(Refusal::silent)?;
        if major != PROTOCOL_MAJOR {
            let text = format!(
                "the host (package {}) speaks protocol {PROTOCOL_MAJOR}, the client {major}",
                own.package_version
            );
            return Err(Refusal::new(RefusalCode::Version, Error::new(ErrorKind::ProtocolVersion, text)));
        }
        let (features, peer_version) =
            Self::read_rest(fields).map_err(|error| Refusal::new(RefusalCode::Protocol, error))?;
        let mut challenge = Vec::with_capacity(128);
        put_version(&mut challenge);
        challenge.push(GOES_ON);
        challenge.extend_from_slice(&own.features.to_le_bytes());
        put_package_version(&mut challenge, own.package_version);
        challenge.extend_from_slice(&epoch.to_le_bytes());
        challenge.extend_from_slice(&own.nonce);
        let proof = prove(own.secret, b"host", &[hello, &challenge]);
        challenge.extend_from_slice(&proof);
        let agreed =
            Agreed { minor: common_minor(minor), features: features & own.features, epoch, peer_version };
        Ok(Self { secret: own.secret.clone(), hello: hello.to_vec(), challenge, agreed })
    }

    /// The challenge.
    pub fn payload(&self) -> &[u8] {
        &self.challenge
    }

    /// Checks the client's proof.
    ///
    /// # Errors
    /// A [`Refusal`]: the client does not know the secret.
    pub fn verify(self, proof: &[u8]) -> Result<Agreed, Refusal> {
        if verify(&self.secret, b"client", &[&self.hello, &self.challenge], proof) {
            return Ok(self.agreed);
        }
        let text =
            "the client does not know the secret of this cache: restart it, or pass it the current secret";
        Err(Refusal::new(RefusalCode::Authentication, Error::new(ErrorKind::Authentication, text)))
    }

    /// What to send to a client that is let in.
    pub fn welcome() -> &'static [u8] {
        &WELCOME
    }

    fn read_rest(mut fields: Fields<'_>) -> Result<(u64, String)> {
        let features = fields.u64()?;
        let version = fields.package_version()?;
        fields.take(NONCE_BYTES)?;
        fields.end()?;
        Ok((features, version))
    }
}

// --- shared ----------------------------------------------------------------------------------------------------

fn prove(secret: &Secret, role: &[u8], said: &[&[u8]]) -> [u8; PROOF_BYTES] {
    mac(secret, role, said).finalize().into_bytes().into()
}

/// Compares in constant time.
fn verify(secret: &Secret, role: &[u8], said: &[&[u8]], proof: &[u8]) -> bool {
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

fn put_version(out: &mut Vec<u8>) {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&PROTOCOL_MAJOR.to_le_bytes());
    out.extend_from_slice(&PROTOCOL_MINOR.to_le_bytes());
}

fn put_package_version(out: &mut Vec<u8>, version: &str) {
    let version = shorten(version, MAX_PACKAGE_VERSION);
    out.push(version.len() as u8);
    out.extend_from_slice(version.as_bytes());
}

/// Both sides speak the smaller minor version.
#[expect(
    clippy::unnecessary_min_or_max,
    reason = "the first minor version is 0; later ones need the minimum"
)]
fn common_minor(theirs: u16) -> u16 {
    theirs.min(PROTOCOL_MINOR)
}

/// The longest beginning of `text` of at most `max` bytes.
fn shorten(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

/// Turns a refusal into the error it means; anything else is left to the caller.
fn check_refusal(message: &[u8], own_version: &str) -> Result<()> {
    let mut fields = Fields(message);
    let (major, minor) = fields.version()?;
    let [code] = fields.array()?;
    let kind = match code {
        _ if major != PROTOCOL_MAJOR => ErrorKind::ProtocolVersion,
        GOES_ON => return Ok(()),
        code if code == RefusalCode::Version as u8 => ErrorKind::ProtocolVersion,
        code if code == RefusalCode::Authentication as u8 => ErrorKind::Authentication,
        code if code == RefusalCode::Limit as u8 => ErrorKind::Limit,
        _ => ErrorKind::Protocol,
    };
    let text = String::from_utf8_lossy(fields.0);
    let message = if kind == ErrorKind::ProtocolVersion {
        format!(
            "the host speaks protocol {major}.{minor}, this process (package {own_version}) \
             {PROTOCOL_MAJOR}.{PROTOCOL_MINOR}: use one major version of the package in all processes and restart \
             them ({text})"
        )
    } else {
        format!("the host refused this process: {text}")
    };
    Err(Error::new(kind, message))
}

/// Reads fields off the front of a message.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (field, rest) = self.0.split_at_checked(length).ok_or_else(malformed)?;
        self.0 = rest;
        Ok(field)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| malformed())
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// The part that never changes: magic, major, minor.
    fn version(&mut self) -> Result<(u16, u16)> {
        if self.take(MAGIC.len())? != MAGIC {
            return Err(malformed());
        }
        Ok((u16::from_le_bytes(self.array()?), u16::from_le_bytes(self.array()?)))
    }

    fn package_version(&mut self) -> Result<String> {
        let [length] = self.array()?;
        if usize::from(length) > MAX_PACKAGE_VERSION {
            return Err(malformed());
        }
        String::from_utf8(self.take(length.into())?.to_vec()).map_err(|_| malformed())
    }

    fn end(&self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(malformed()) }
    }
}

fn malformed() -> Error {
    Error::new(
        ErrorKind::Protocol,
        "the other side does not speak this protocol: another program uses the same socket",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MAX_HELLO_BYTES;

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
            let own =
                |wants, nonce| Introduction { features: offered(wants), ..introduction(&secret, nonce) };
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
        assert!(error.message().contains("protocol 3.0") && error.message().contains("1.0"), "{error}");
        assert!(error.message().contains("1.2.3"), "{error}");
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
            assert!(
                HostChallenge::new(&introduction(&secret, 2), EPOCH, &client.payload()[..length]).is_err()
            );
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
}
