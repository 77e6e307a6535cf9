//! Tagged fields: structures that can grow without a new version of the wire.
//!
//! On the wire a tagged structure is a number whose bits say which fields are present, then those fields, lowest bit
//! first. A structure without any field set takes no bytes at all. A new field takes the next bit, so what an older
//! reader does not know is always at the end, where the reader can stop.
//!
//! What the reader does with an unknown bit depends on what the structure is for:
//!
//! | structure | an unknown bit |
//! |---|---|
//! | [`Unknown::Refused`]: it says what to do | fails the request with `ERR_CC_UNSUPPORTED`: to do half of it would be wrong |
//! | [`Unknown::Ignored`]: it only informs | is passed over |

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::codec::{FieldReader, FieldWriter};
use crate::error::{Error, ErrorKind, Result};

/// A minor version of the protocol.
pub type Minor = u16;

/// What a reader does with a field it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// It changes what is meant.
    Refused,
    /// It only informs.
    Ignored,
}

/// One field of a tagged structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldSpec {
    /// Its bit.
    pub bit: u32,
    /// Its name, as in the source.
    pub name: &'static str,
    /// The minor version that brought it.
    pub since: Minor,
}

/// A structure of tagged fields; made by [`tagged!`](crate::tagged).
pub trait Tagged: Default {
    /// Its name, for errors and for the documentation.
    const NAME: &'static str;
    /// What becomes of fields that this build does not know.
    const UNKNOWN: Unknown;
    /// Its fields, by rising bits.
    const FIELDS: &'static [FieldSpec];

    /// The bits of the fields that are set.
    fn bits(&self) -> u64;

    /// Writes the fields that are set.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when a field cannot be encoded: a bug.
    fn write_fields(&self, out: &mut FieldWriter<'_>) -> Result<()>;

    /// Reads the fields of `bits`.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] when a field is malformed.
    fn read_fields(bits: u64, fields: &mut FieldReader<'_>) -> Result<Self>;

    /// The minor version that a reader needs to understand the fields that are set.
    fn needs(&self) -> Minor {
        let bits = self.bits();
        Self::FIELDS
            .iter()
            .filter(|field| bits & (1 << field.bit) != 0)
            .map(|field| field.since)
            .max()
            .unwrap_or(0)
    }
}

/// A value that a tagged field can hold.
pub trait Field: Sized {
    /// Is there anything to write?
    fn is_set(&self) -> bool;
    /// Writes what is there.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] for what cannot be encoded.
    fn write(&self, out: &mut FieldWriter<'_>) -> Result<()>;
    /// Reads what [`Self::write`] wrote.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`].
    fn read(fields: &mut FieldReader<'_>) -> Result<Self>;
}

/// Numbers that are 0 when they are left out.
macro_rules! plain_fields {
    ($($type:ty),+) => {$(
        impl Field for $type {
            fn is_set(&self) -> bool {
                *self != Self::default()
            }
            fn write(&self, out: &mut FieldWriter<'_>) -> Result<()> {
                out.put(self)
            }
            fn read(fields: &mut FieldReader<'_>) -> Result<Self> {
                fields.take()
            }
        }
    )+};
}

plain_fields!(u32, u64, f64);

/// `true` is its bit alone.
impl Field for bool {
    fn is_set(&self) -> bool {
        *self
    }
    fn write(&self, _out: &mut FieldWriter<'_>) -> Result<()> {
        Ok(())
    }
    fn read(_fields: &mut FieldReader<'_>) -> Result<Self> {
        Ok(true)
    }
}

impl<T: Serialize + for<'de> Deserialize<'de>> Field for Option<T> {
    fn is_set(&self) -> bool {
        self.is_some()
    }
    fn write(&self, out: &mut FieldWriter<'_>) -> Result<()> {
        self.iter().try_for_each(|value| out.put(value))
    }
    fn read(fields: &mut FieldReader<'_>) -> Result<Self> {
        fields.take().map(Some)
    }
}

/// Appends a tagged structure that ends its frame, or its length-prefixed [`Nested`] place.
///
/// # Errors
/// See [`Tagged::write_fields`].
pub(crate) fn append<T: Tagged>(structure: &T, out: &mut Vec<u8>) -> Result<()> {
    let bits = structure.bits();
    if bits == 0 {
        return Ok(());
    }
    let mut writer = FieldWriter::new(out);
    writer.put(&bits)?;
    structure.write_fields(&mut writer)
}

/// Reads a tagged structure that takes all of `bytes`.
///
/// # Errors
/// [`ErrorKind::Unsupported`] that names the structure and the field, or [`ErrorKind::Protocol`].
pub(crate) fn read<T: Tagged>(bytes: &[u8]) -> Result<T> {
    if bytes.is_empty() {
        return Ok(T::default());
    }
    let mut fields = FieldReader::new(bytes);
    let bits: u64 = fields.take()?;
    let known = T::FIELDS.iter().fold(0, |bits, field| bits | 1_u64 << field.bit);
    let unknown = bits & !known;
    if unknown != 0 && T::UNKNOWN == Unknown::Refused {
        let message = format!(
            "field {} of `{}` is not known to this process, which runs an older version of clustered-cache; update it, \
             or do without what the field asks for",
            unknown.trailing_zeros(),
            T::NAME
        );
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    let structure = T::read_fields(bits & known, &mut fields)?;
    // Behind unknown fields nothing can be told apart; without them there must be nothing.
    if unknown == 0 {
        fields.end()?
    }
    Ok(structure)
}

/// A tagged structure within a message: its bytes with their length in front, so that it can be passed over. It is
/// read when it is asked for, which says what becomes of unknown fields.
#[derive(Debug, Clone)]
pub enum Nested<'a, T: Clone> {
    /// As it came.
    Bytes(&'a [u8]),
    /// About to be written.
    Value(T),
}

impl<T: Tagged + Clone> Nested<'_, T> {
    /// The structure.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] that names the structure and the field, or [`ErrorKind::Protocol`].
    pub fn read(&self) -> Result<T> {
        match self {
            Self::Bytes(bytes) => read(bytes),
            Self::Value(value) => Ok(value.clone()),
        }
    }

    /// See [`Tagged::needs`]; what came over the wire was written by a side that knew it.
    pub(crate) fn needs(&self) -> Minor {
        match self {
            Self::Bytes(_) => 0,
            Self::Value(value) => value.needs(),
        }
    }

    fn bytes(&self) -> Result<Cow<'_, [u8]>> {
        match self {
            Self::Bytes(bytes) => Ok(Cow::Borrowed(bytes)),
            Self::Value(value) => {
                let mut bytes = Vec::new();
                append(value, &mut bytes)?;
                Ok(Cow::Owned(bytes))
            }
        }
    }
}

impl<T: Clone> From<T> for Nested<'_, T> {
    fn from(value: T) -> Self {
        Self::Value(value)
    }
}

impl<T: Tagged + Clone> Default for Nested<'_, T> {
    fn default() -> Self {
        Self::Bytes(&[])
    }
}

impl<T: Tagged + Clone + PartialEq> PartialEq for Nested<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        matches!((self.read(), other.read()), (Ok(one), Ok(other)) if one == other)
    }
}

impl<T: Tagged + Clone> Serialize for Nested<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.bytes().map_err(serde::ser::Error::custom)?)
    }
}

impl<'de: 'a, 'a, T: Tagged + Clone> Deserialize<'de> for Nested<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&'de [u8]>::deserialize(deserializer).map(Self::Bytes)
    }
}

/// Declares a structure of tagged fields.
///
/// ```ignore
/// tagged! {
///     /// How an entry is to be kept.
///     #[derive(Copy)]
///     pub struct Keep, "keep": Refused {
///         /// Time to live in microseconds.
///         0 ttl: Option<u64>, since 0;
///     }
/// }
/// ```
#[macro_export]
#[doc(hidden)]
macro_rules! tagged {
    (
        $(#[$meta:meta])*
        $visibility:vis struct $name:ident, $text:literal: $unknown:ident {
            $($(#[$field_meta:meta])* $bit:literal $field:ident: $type:ty, since $since:literal;)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq)]
        $visibility struct $name {
            $($(#[$field_meta])* $visibility $field: $type,)*
        }

        impl $crate::wire::fields::Tagged for $name {
            const NAME: &'static str = $text;
            const UNKNOWN: $crate::wire::fields::Unknown = $crate::wire::fields::Unknown::$unknown;
            const FIELDS: &'static [$crate::wire::fields::FieldSpec] = &[
                $($crate::wire::fields::FieldSpec { bit: $bit, name: stringify!($field), since: $since },)*
            ];

            fn bits(&self) -> u64 {
                #[allow(unused_imports, reason = "a structure may have no fields yet")]
                use $crate::wire::fields::Field as _;
                0 $(| u64::from(self.$field.is_set()) << $bit)*
            }

            fn write_fields(
                &self,
                out: &mut $crate::wire::codec::FieldWriter<'_>,
            ) -> $crate::error::Result<()> {
                #[allow(unused_imports, reason = "as above")]
                use $crate::wire::fields::Field as _;
                $(if self.$field.is_set() { self.$field.write(out)?; })*
                let _ = out;
                Ok(())
            }

            fn read_fields(
                bits: u64,
                fields: &mut $crate::wire::codec::FieldReader<'_>,
            ) -> $crate::error::Result<Self> {
                Ok(Self {
                    $($field: if bits & (1 << $bit) != 0 {
                        $crate::wire::fields::Field::read(fields)?
                    } else {
                        Default::default()
                    },)*
                })
            }
        }

        const _: () = $crate::wire::fields::assert_rising(
            <$name as $crate::wire::fields::Tagged>::FIELDS,
        );
    };
}

/// Fields are written in the order of their bits, so they must be declared in it.
pub const fn assert_rising(fields: &[FieldSpec]) {
    let mut at = 1;
    while at < fields.len() {
        assert!(fields[at - 1].bit < fields[at].bit, "the bits of a tagged structure rise");
        at += 1;
    }
    assert!(fields.is_empty() || fields[fields.len() - 1].bit < 64, "a tagged structure has 64 bits");
}

#[cfg(test)]
mod tests {
    use super::*;

    tagged! {
        /// As an older build knows it.
        struct Older, "older": Refused {
            0 ttl: Option<u64>, since 0;
            2 strict: bool, since 0;
        }
    }

    tagged! {
        /// The same with what came later.
        struct Newer, "newer": Refused {
            0 ttl: Option<u64>, since 0;
            2 strict: bool, since 0;
            5 share: f64, since 3;
        }
    }

    tagged! {
        /// As [`Older`], and only for information.
        struct Facts, "facts": Ignored {
            0 ttl: Option<u64>, since 0;
            2 strict: bool, since 0;
        }
    }

    fn bytes<T: Tagged>(structure: &T) -> Vec<u8> {
        let mut bytes = Vec::new();
        append(structure, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_is_not_set_takes_no_bytes_and_what_is_set_comes_back() {
        assert_eq!(bytes(&Newer::default()), []);
        assert_eq!(
            bytes(&Newer { ttl: Some(0), ..Newer::default() }),
            [1, 0],
            "0 is not the same as left out"
        );
        assert_eq!(bytes(&Newer { strict: true, ..Newer::default() }), [4], "a flag is its bit");
        let all = Newer { ttl: Some(300), strict: true, share: 0.5 };
        assert_eq!(read::<Newer>(&bytes(&all)).unwrap(), all);
    }

    #[test]
    fn an_unknown_field_is_refused_by_name_where_it_changes_the_meaning() {
        let known = Newer { ttl: Some(7), ..Newer::default() };
        assert_eq!(read::<Older>(&bytes(&known)).unwrap(), Older { ttl: Some(7), strict: false });
        let error = read::<Older>(&bytes(&Newer { share: 0.5, ..known })).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains("field 5 of `older`"), "{error}");
    }

    #[test]
    fn an_unknown_field_that_only_informs_is_passed_over() {
        let newer = Newer { ttl: Some(7), strict: true, share: 0.5 };
        assert_eq!(read::<Facts>(&bytes(&newer)).unwrap(), Facts { ttl: Some(7), strict: true });
    }

    #[test]
    fn bytes_that_are_cut_off_or_left_over_are_refused() {
        let whole = bytes(&Older { ttl: Some(300), strict: true });
        for end in 1..whole.len() {
            assert_eq!(read::<Older>(&whole[..end]).unwrap_err().kind(), ErrorKind::Protocol, "cut at {end}");
        }
        let error = read::<Older>(&[&whole[..], &[0]].concat()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol);
    }

    #[test]
    fn a_structure_says_which_version_its_reader_needs() {
        assert_eq!(Newer { ttl: Some(1), ..Newer::default() }.needs(), 0);
        assert_eq!(Newer { share: 1.0, ..Newer::default() }.needs(), 3);
    }
}
