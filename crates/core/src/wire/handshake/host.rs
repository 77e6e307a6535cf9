//! The host's side.

use super::fields::{Fields, put_package_version, put_version};
use super::proof::{prove, verify};
use super::refusal::{Refusal, RefusalCode};
use super::{Agreed, GOES_ON, Introduction, NONCE_BYTES, WELCOME, common_minor};
use crate::endpoint::Secret;
use crate::error::{Error, ErrorKind, Result};
use crate::wire::PROTOCOL_MAJOR;

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
