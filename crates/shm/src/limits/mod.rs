//! What this process may take of what it shares with the application around it: descriptors, mappings, and memory of
//! its container.

#[cfg(target_os = "linux")]
mod cgroup;
#[cfg(unix)]
mod handles;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;

#[cfg(unix)]
pub(crate) use self::handles::Held;
#[cfg(unix)]
pub use self::handles::is_spare;
#[cfg(target_os = "linux")]
pub(crate) use self::memory::MemoryLimit;
