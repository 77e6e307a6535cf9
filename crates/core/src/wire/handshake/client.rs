//! The client's side.

use super::fields::{Fields, malformed, put_package_version, put_version};
use super::proof::{PROOF_BYTES, prove, verify};
use super::refusal::check_refusal;
use super::{Agreed, Introduction, NONCE_BYTES, WELCOME, common_minor};
use crate::endpoint::Secret;
use crate::error::{Error, ErrorKind, Result};

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
