//! Memory from the system: created, sealed, passed on, mapped and freed. The system calls for memory are all here, and so
//! is nearly all unsafe code of this crate.
//!
//! On Linux the memory is sealed against `ftruncate` by any process (a reader whose pages vanish would be killed), and
//! against writes and new writable mappings (any process that has the descriptor could change entries). The kernel
//! refuses to punch holes into memory that is sealed in this way, so memory goes back to the system with its region and
//! not earlier.

use std::io;
use std::ptr::NonNull;
#[cfg(unix)]
use std::{os::fd::OwnedFd, sync::Arc};

use crate::arena::Commit;
#[cfg(unix)]
use crate::limits::Held;
use crate::sync::AtomicU64;

/// What another process needs to read a table.
#[derive(Debug, Clone)]
pub struct Handover {
    /// The number of the region: random, and also written in it.
    pub region: u64,
    /// Its size.
    pub bytes: u64,
    /// Its memory.
    #[cfg(unix)]
    pub descriptor: Arc<OwnedFd>,
}

/// Memory that stays mapped as long as this value lives.
pub(crate) struct Region {
    words: NonNull<AtomicU64>,
    count: usize,
    backing: Backing,
    /// Bytes that the system still has.
    #[cfg(test)]
    pub(crate) left: std::sync::Mutex<u64>,
}

enum Backing {
    /// Of this process alone, from the allocator.
    #[cfg(any(not(unix), test, loom))]
    Heap,
    /// Of this process alone; only address space until it is touched.
    #[cfg(unix)]
    Private,
    /// Of this process, for other processes to read.
    #[cfg(unix)]
    Shared(Arc<OwnedFd>, #[expect(dead_code, reason = "counted until they are dropped")] [Held; 2]),
    /// Of another process.
    #[cfg(unix)]
    Foreign(#[expect(dead_code, reason = "counted until it is dropped")] Held),
}

// SAFETY: the words are atomics, which any thread may access at any time; the rest is owned and only freed by `drop`.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    /// The words, which other threads and processes may change at any time.
    #[inline]
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: `words` points to `count` words of memory that is mapped or allocated, aligned, and zero or written
        // as atomics, until `self` is dropped. Sealed or private memory cannot shrink.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr(), self.count) }
    }

    /// Memory from the allocator.
    #[cfg(any(not(unix), test, loom))]
    pub(crate) fn heap(count: usize) -> Self {
        let words: Box<[AtomicU64]> = (0..count).map(|_| AtomicU64::new(0)).collect();
        Self::over(NonNull::from(Box::leak(words)).cast(), count, Backing::Heap)
    }

    fn over(words: NonNull<AtomicU64>, count: usize, backing: Backing) -> Self {
        Self {
            words,
            count,
            backing,
            #[cfg(test)]
            left: u64::MAX.into(),
        }
    }

    /// What other processes need to map it, if it is shared.
    #[cfg(unix)]
    pub(crate) fn descriptor(&self) -> Option<&Arc<OwnedFd>> {
        match &self.backing {
            Backing::Shared(descriptor, _) => Some(descriptor),
            _ => None,
        }
    }

    #[cfg(target_os = "linux")]
    fn is_heap(&self) -> bool {
        #[cfg(any(test, loom))]
        return matches!(self.backing, Backing::Heap);
        #[cfg(not(any(test, loom)))]
        false
    }

    /// Memory of so many words, for others to read if the system can do that.
    ///
    /// # Errors
    /// The system has no address space left.
    #[cfg(not(unix))]
    pub(crate) fn create(count: usize) -> io::Result<Self> {
        Ok(Self::heap(count))
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        #[cfg(any(not(unix), test, loom))]
        if matches!(self.backing, Backing::Heap) {
            let words = std::ptr::slice_from_raw_parts_mut(self.words.as_ptr(), self.count);
            // SAFETY: `heap` leaked exactly this box, and no reference to it is left: `words` borrows `self`.
            drop(unsafe { Box::from_raw(words) });
            return;
        }
        #[cfg(unix)]
        self.unmap();
    }
}

impl Commit for Region {
    #[cfg_attr(not(target_os = "linux"), expect(unused_variables, reason = "only Linux is asked for memory"))]
    fn commit(&self, at: u64, len: u64) -> io::Result<()> {
        #[cfg(test)]
        {
            let mut left = self.left.lock().unwrap();
            *left = left.checked_sub(len).ok_or(io::ErrorKind::OutOfMemory)?;
        }
        #[cfg(target_os = "linux")]
        if !self.is_heap() {
            crate::limits::MemoryLimit::of_process().take(len)?;
        }
        #[cfg(target_os = "linux")]
        if let Backing::Shared(descriptor, _) = &self.backing {
            // Touching a page for which there is no memory would kill the process; asking first gives an error instead.
            use rustix::fs::{FallocateFlags, fallocate};
            return Ok(rustix::io::retry_on_intr(|| {
                fallocate(descriptor, FallocateFlags::empty(), at, len)
            })?);
        }
        Ok(())
    }
}

#[cfg(unix)]
pub(crate) use unix::{Refusal, own_user};

#[cfg(unix)]
mod unix {
    use std::os::fd::{AsFd, OwnedFd};
    use std::ptr::null_mut;

    use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};

    use super::{AtomicU64, Backing, Held, NonNull, Region, io};
    use crate::limits::is_spare;

    /// Words that are unmapped at a time: 64 MiB, a multiple of every page size.
    const PIECE: usize = 8 << 20;

    /// Why memory of another process is not mapped.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Refusal {
        /// It belongs to another user.
        ForeignOwner,
        /// It can shrink or be written by other processes.
        Unsealed,
        /// Its size is not the one that was announced.
        WrongSize,
        /// The system refuses to map it, or this process has few mappings left.
        System,
    }

    pub(crate) fn own_user() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    impl Region {
        /// Memory of so many words, for others to read if the system can do that and the application can spare what
        /// it takes.
        ///
        /// # Errors
        /// The system has no address space left.
        #[cfg(not(loom))]
        pub(crate) fn create(count: usize) -> io::Result<Self> {
            Self::create_shared(count).or_else(|_| Self::create_private(count))
        }

        /// The model checker's words are larger than words, so only the allocator can make them.
        #[cfg(loom)]
        pub(crate) fn create(count: usize) -> io::Result<Self> {
            Ok(Self::heap(count))
        }

        #[cfg_attr(loom, expect(dead_code, reason = "the models run on the heap"))]
        pub(crate) fn create_private(count: usize) -> io::Result<Self> {
            let flags = MapFlags::PRIVATE;
            #[cfg(target_os = "linux")]
            let flags = flags | MapFlags::NORESERVE;
            let hint = super::neighbours::hint(count * 8);
            // SAFETY: a new mapping at an address of the system's choice, which follows the hint only if nothing is
            // there, touches no memory that is in use.
            let start =
                unsafe { mmap_anonymous(hint, count * 8, ProtFlags::READ | ProtFlags::WRITE, flags)? };
            super::neighbours::mapped(start as usize);
            Self::mapped(start.cast(), count, Backing::Private)
        }

        #[cfg_attr(loom, expect(dead_code, reason = "the models run on the heap"))]
        fn create_shared(count: usize) -> io::Result<Self> {
            let (Some(mapping), Some(kept)) = (Held::mapping(), Held::descriptor()) else {
                return Err(io::ErrorKind::QuotaExceeded.into());
            };
            let descriptor = super::system::create(count as u64 * 8)?;
            if !is_spare(descriptor.as_fd()) {
                return Err(io::ErrorKind::QuotaExceeded.into());
            }
            // SAFETY: as above; no other process has the descriptor yet, and its size is that of the mapping.
            let start = unsafe {
                let access = ProtFlags::READ | ProtFlags::WRITE;
                mmap(null_mut(), count * 8, access, MapFlags::SHARED, &descriptor, 0)?
            };
            // From here on, dropping the region unmaps it.
            let mut region = Self::mapped(start.cast(), count, Backing::Private)?;
            super::system::seal(&descriptor)?;
            region.backing = Backing::Shared(descriptor.into(), [mapping, kept]);
            Ok(region)
        }

        /// Maps another process's memory for reading. The descriptor may be closed afterwards.
        pub(crate) fn open(descriptor: &OwnedFd, bytes: u64, owner: u32) -> Result<Self, Refusal> {
            let count = Self::checked(descriptor, bytes, owner)?;
            let mapping = Held::mapping().ok_or(Refusal::System)?;
            // SAFETY: a new mapping at an address of the system's choice touches no memory that is in use. It cannot
            // lose its pages: `checked` found the seal against shrinking first and this size after it, and a seal
            // cannot be removed. Where there are no seals, see `system`.
            let start =
                unsafe { mmap(null_mut(), count * 8, ProtFlags::READ, MapFlags::SHARED, descriptor, 0) };
            let start = start.map_err(|_| Refusal::System)?;
            Self::mapped(start.cast(), count, Backing::Foreign(mapping)).map_err(|_| Refusal::System)
        }

        /// How many words memory has that may be mapped.
        ///
        /// The seals come before the size. In the other order the process that made the memory could shrink it between
        /// the two checks and seal it then, and the first read past its end would kill this process.
        fn checked(descriptor: &OwnedFd, bytes: u64, owner: u32) -> Result<usize, Refusal> {
            if !super::system::is_sealed(descriptor.as_fd()) {
                return Err(Refusal::Unsealed);
            }
            let status = rustix::fs::fstat(descriptor).map_err(|_| Refusal::System)?;
            if status.st_uid != owner {
                return Err(Refusal::ForeignOwner);
            }
            let count = usize::try_from(bytes / 8).map_err(|_| Refusal::WrongSize)?;
            if u64::try_from(status.st_size) != Ok(bytes) || !bytes.is_multiple_of(8) || count == 0 {
                return Err(Refusal::WrongSize);
            }
            Ok(count)
        }

        fn mapped(start: *mut AtomicU64, count: usize, backing: Backing) -> io::Result<Self> {
            let words = NonNull::new(start).ok_or(io::ErrorKind::InvalidData)?;
            Ok(Self::over(words, count, backing))
        }
    }

    impl Region {
        pub(super) fn unmap(&mut self) {
            // In pieces: other threads that ask for memory wait until one has been freed.
            for at in (0..self.count).step_by(PIECE) {
                let count = PIECE.min(self.count - at);
                // SAFETY: this is a part of the mapping that `mapped` took over, and no reference to it is left: `words`
                // borrows `self`. It cannot fail for a mapping that exists, and a failure would be harmless.
                let _ = unsafe { munmap(self.words.as_ptr().add(at).cast(), count * 8) };
            }
        }
    }
}

/// Where private tables lie: side by side and apart from all else. The kernel makes such neighbours one mapping, so that
/// any number of them uses up hardly any of the mappings that a process may have.
#[cfg(unix)]
mod neighbours {
    use std::ffi::c_void;
    use std::ptr::{null_mut, without_provenance_mut};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// How far they lie from where the system would put them: it fills its place downwards.
    const APART: usize = 1 << 44;

    /// The lowest of them; 0 before the first one.
    static LOWEST: AtomicUsize = AtomicUsize::new(0);

    /// The address for a mapping of so many bytes; null where the system had better choose.
    pub(super) fn hint(bytes: usize) -> *mut c_void {
        let lowest = LOWEST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |lowest| {
            // As far away from the lowest addresses.
            lowest.checked_sub(bytes).filter(|next| *next > APART)
        });
        lowest.map_or_else(|_| null_mut(), |lowest| without_provenance_mut(lowest - bytes))
    }

    /// The first mapping says where all others may be.
    pub(super) fn mapped(address: usize) {
        let below = address.saturating_sub(APART);
        // If another one came first, that one counts.
        let _ = LOWEST.compare_exchange(0, below, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// Shared memory that no process can shrink, and that only the process that created it can write.
#[cfg(target_os = "linux")]
mod system {
    use std::io;
    use std::os::fd::{BorrowedFd, OwnedFd};

    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, ftruncate, memfd_create};
    use rustix::process::{Resource, getrlimit};

    const SEALS: SealFlags =
        SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::FUTURE_WRITE).union(SealFlags::SEAL);

    pub(super) fn create(bytes: u64) -> io::Result<OwnedFd> {
        // Above this limit `ftruncate` does not fail but ends the process with a signal.
        if getrlimit(Resource::Fsize).current.is_some_and(|limit| bytes > limit) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let descriptor = memfd_create("clustered-cache", flags | MemfdFlags::NOEXEC_SEAL)
            // The flag exists since Linux 6.3.
            .or_else(|_| memfd_create("clustered-cache", flags))?;
        ftruncate(&descriptor, bytes)?;
        Ok(descriptor)
    }

    /// Binds every process; only the mapping that exists already stays writable.
    pub(super) fn seal(descriptor: &OwnedFd) -> io::Result<()> {
        Ok(fcntl_add_seals(descriptor, SEALS)?)
    }

    pub(super) fn is_sealed(descriptor: BorrowedFd<'_>) -> bool {
        // `SEAL` is not needed: seals can only be added.
        let needed = SealFlags::SHRINK | SealFlags::GROW | SealFlags::FUTURE_WRITE;
        fcntl_get_seals(descriptor).is_ok_and(|seals| seals.contains(needed))
    }
}

/// Shared memory without a name. There are no seals here, but its size can be set only once and no other process can
/// open it: a client maps what the host passes on, which has authenticated itself. Not covered by the project's tests,
/// which do not run on macOS.
#[cfg(target_os = "macos")]
mod system {
    use std::io;
    use std::os::fd::{BorrowedFd, OwnedFd};

    use rustix::fs::{Mode, ftruncate};
    use rustix::shm::{OFlags, open, unlink};

    pub(super) fn create(bytes: u64) -> io::Result<OwnedFd> {
        let random = getrandom::u64().map_err(|_| io::ErrorKind::Other)?;
        // Names are at most 31 bytes long.
        let name = format!("/clustered-cache-{random:013x}");
        let name = &name[..name.len().min(30)];
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR;
        let descriptor = open(name, flags, Mode::RUSR | Mode::WUSR)?;
        unlink(name)?;
        ftruncate(&descriptor, bytes)?;
        rustix::io::fcntl_setfd(&descriptor, rustix::io::FdFlags::CLOEXEC)?;
        Ok(descriptor)
    }

    pub(super) fn seal(_descriptor: &OwnedFd) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn is_sealed(_descriptor: BorrowedFd<'_>) -> bool {
        true
    }
}

#[cfg(all(unix, not(any(target_os = "linux", target_os = "macos"))))]
mod system {
    use std::io;
    use std::os::fd::{BorrowedFd, OwnedFd};

    pub(super) fn create(_bytes: u64) -> io::Result<OwnedFd> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn seal(_descriptor: &OwnedFd) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn is_sealed(_descriptor: BorrowedFd<'_>) -> bool {
        false
    }
}
