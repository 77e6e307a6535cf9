//! What every message of a client is: the fields of one operation, as they cross the wire.

use serde::{Deserialize, Serialize};

use super::Operation;
use crate::config::MAX_FRAME_BYTES;
use crate::error::{Error, ErrorKind, Result};
use crate::wire::fields::Nested;
use crate::wire::frame::{self, RequestHead};
use crate::wire::structures::Keep;
use crate::wire::{Blob, Handle, Minor, RequestId};

/// The fields of one operation. Made by [`message!`](crate::message).
pub trait Message {
    /// What is asked.
    const OPERATION: Operation;

    /// The minor version that a host needs to understand this very message.
    fn needs(&self) -> Minor;

    /// Appends the payload.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] for what cannot be encoded: a bug.
    fn append_payload(&self, out: &mut Vec<u8>) -> Result<()>;

    /// Appends the whole request as one frame. On failure `out` is as it was.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] when the frame would be too large.
    fn append(&self, id: RequestId, handle: Handle, out: &mut Vec<u8>) -> Result<()> {
        let head = RequestHead { id, handle, operation: Self::OPERATION.number(), needs: self.needs() };
        frame::append(out, MAX_FRAME_BYTES, |out| {
            out.extend_from_slice(&head.to_bytes());
            self.append_payload(out)
        })
    }
}

/// A message that can be read from a payload.
pub trait Decode<'a>: Message + Sized {
    /// Reads it. Bytes of keys and values are borrowed.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a field that this build does not know, [`ErrorKind::Protocol`] when the payload is
    /// malformed.
    fn decode(payload: &'a [u8]) -> Result<Self>;
}

/// The minor version that a reader of a field needs. Only what has tagged fields in it can need more than the first.
pub trait Needs {
    /// See the trait.
    fn needs(&self) -> Minor {
        0
    }
}

impl Needs for Blob<'_> {}
impl Needs for &str {}
impl Needs for bool {}
impl Needs for u32 {}
impl Needs for u64 {}
impl Needs for f64 {}

impl<T: Needs> Needs for Option<T> {
    fn needs(&self) -> Minor {
        self.as_ref().map_or(0, T::needs)
    }
}

impl<T: Needs> Needs for Vec<T> {
    fn needs(&self) -> Minor {
        self.iter().map(T::needs).max().unwrap_or(0)
    }
}

/// One entry to store, among others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewEntry<'a> {
    /// Encoded key.
    #[serde(borrow)]
    pub key: Blob<'a>,
    /// Encoded value.
    #[serde(borrow)]
    pub value: Blob<'a>,
    /// How to keep it.
    #[serde(borrow)]
    pub keep: Nested<'a, Keep>,
}

impl Needs for NewEntry<'_> {
    fn needs(&self) -> Minor {
        self.keep.needs()
    }
}

/// Reads the fields that a message of `operation` has at its end and this build does not know: none may be set.
///
/// # Errors
/// [`ErrorKind::Unsupported`].
pub(super) fn end(operation: Operation, rest: &[u8]) -> Result<()> {
    if rest.is_empty() {
        return Ok(());
    }
    let message = format!(
        "`{}` was asked with options that this process does not know, because it runs an older version of \
         clustered-cache; update it, or do without them",
        operation.name()
    );
    Err(Error::new(ErrorKind::Unsupported, message))
}

/// Declares a message: its required fields in the order in which they cross the wire and, behind a semicolon, the
/// tagged structure at its end, which takes no bytes while none of its fields is set.
#[macro_export]
#[doc(hidden)]
macro_rules! message {
    ($(#[$meta:meta])* $name:ident<$life:lifetime>: $operation:ident { $($body:tt)* }) => {
        $crate::message!(@declare [$(#[$meta])*] [$name<$life>] [$name] $operation { $($body)* });
        $crate::message!(@implement [$life] [$name<$life>] $operation { $($body)* });
    };
    ($(#[$meta:meta])* $name:ident: $operation:ident { $($body:tt)* }) => {
        $crate::message!(@declare [$(#[$meta])*] [$name] [$name] $operation { $($body)* });
        $crate::message!(@implement ['wire] [$name] $operation { $($body)* });
    };
    (@declare [$($meta:tt)*] [$($declared:tt)*] [$name:ident] $operation:ident {
        $($(#[$field_meta:meta])* $field:ident: $type:ty),* $(,)?
        $(; $(#[$tail_meta:meta])* $tail:ident: $tail_type:ty)?
    }) => {
        $($meta)*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $($declared)* {
            $($(#[$field_meta])* pub $field: $type,)*
            $($(#[$tail_meta])* pub $tail: $tail_type,)?
        }
    };
    (@implement [$life:lifetime] [$($applied:tt)*] $operation:ident {
        $($(#[$field_meta:meta])* $field:ident: $type:ty),* $(,)?
        $(; $(#[$tail_meta:meta])* $tail:ident: $tail_type:ty)?
    }) => {
        impl<$life> $crate::operations::Message for $($applied)* {
            const OPERATION: $crate::operations::Operation = $crate::operations::Operation::$operation;

            fn needs(&self) -> $crate::wire::Minor {
                let needs: $crate::wire::Minor = Self::OPERATION.since();
                $(let needs = needs.max($crate::operations::message::Needs::needs(&self.$field));)*
                $(let needs = needs.max($crate::wire::fields::Tagged::needs(&self.$tail));)?
                needs
            }

            fn append_payload(&self, out: &mut Vec<u8>) -> $crate::error::Result<()> {
                $($crate::wire::codec::put(out, &self.$field)?;)*
                $($crate::wire::fields::append(&self.$tail, out)?;)?
                let _ = out;
                Ok(())
            }
        }

        impl<$life> $crate::operations::Decode<$life> for $($applied)* {
            fn decode(payload: &$life [u8]) -> $crate::error::Result<Self> {
                let rest = payload;
                $(let ($field, rest): ($type, _) = $crate::wire::codec::take(rest)?;)*
                $crate::message!(@end rest $($tail: $tail_type)?);
                Ok(Self { $($field,)* $($tail,)? })
            }
        }
    };
    (@end $rest:ident) => {
        $crate::operations::message::end(<Self as $crate::operations::Message>::OPERATION, $rest)?;
    };
    (@end $rest:ident $tail:ident: $tail_type:ty) => {
        let $tail: $tail_type = $crate::wire::fields::read($rest)?;
    };
}
