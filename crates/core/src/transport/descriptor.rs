//! What passes beside the bytes of a connection: descriptors, on Unix. Elsewhere the types have no values.

use clustered_cache_shm::Handover;

/// A descriptor that came along.
#[cfg(unix)]
pub type Descriptor = std::os::fd::OwnedFd;
/// A descriptor to be sent along.
#[cfg(unix)]
pub type BorrowedDescriptor<'a> = std::os::fd::BorrowedFd<'a>;

/// A descriptor that came along: there is none on this system.
#[cfg(not(unix))]
pub type Descriptor = std::convert::Infallible;
/// A descriptor to be sent along: there is none on this system.
#[cfg(not(unix))]
pub type BorrowedDescriptor<'a> = &'a std::convert::Infallible;

/// The descriptor to send for a table.
#[cfg(unix)]
pub(crate) fn descriptor_of(handover: &Handover) -> Option<BorrowedDescriptor<'_>> {
    use std::os::fd::AsFd;
    Some(handover.descriptor.as_fd())
}

/// The descriptor to send for a table.
#[cfg(not(unix))]
pub(crate) fn descriptor_of(_: &Handover) -> Option<BorrowedDescriptor<'_>> {
    None
}

/// The size of the memory or file that a descriptor means, if it has one.
#[cfg(unix)]
pub(crate) fn size_of(descriptor: &Descriptor) -> Option<u64> {
    rustix::fs::fstat(descriptor).ok().and_then(|stat| u64::try_from(stat.st_size).ok())
}

/// The size of the memory or file that a descriptor means, if it has one.
#[cfg(not(unix))]
pub(crate) fn size_of(descriptor: &Descriptor) -> Option<u64> {
    match *descriptor {}
}
