//! The memory limits that control groups set, of version 1 and 2. A process is in one group of each hierarchy, and the
//! limits of that group and of all above it count.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::time::{ClockId, clock_gettime};

use super::memory::{Container, Source};

/// Groups above that of the process that are looked at, at most.
const MAX_LEVELS: usize = 32;
/// Version 1 says this or more where there is no limit.
const NO_LIMIT: u64 = 1 << 60;

/// Where the system says which groups this process is in.
pub(super) struct System {
    /// One line for each hierarchy: `4:memory:/path`, `0::/path`.
    pub(super) groups: PathBuf,
    /// What is mounted where.
    pub(super) mounts: PathBuf,
}

impl Default for System {
    fn default() -> Self {
        Self { groups: "/proc/self/cgroup".into(), mounts: "/proc/self/mountinfo".into() }
    }
}

impl Source for System {
    /// Reads it all again: a process can be moved to another group, and limits can change.
    fn container(&self) -> Option<Container> {
        let groups = fs::read_to_string(&self.groups).ok()?;
        let mounts = fs::read_to_string(&self.mounts).ok()?;
        [Version::One, Version::Two]
            .into_iter()
            .flat_map(|version| levels(version, &groups, &mounts))
            .filter_map(|(version, directory)| version.read(&directory))
            .min_by_key(|container| container.free())
    }

    fn now(&self) -> u64 {
        let now = clock_gettime(ClockId::Monotonic);
        now.tv_sec as u64 * 1_000 + now.tv_nsec as u64 / 1_000_000
    }
}

/// The version of a hierarchy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

impl Version {
    /// What a group says of itself, if it has a limit.
    fn read(self, directory: &Path) -> Option<Container> {
        let (limit, used, reclaimable) = match self {
            Self::One => ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
            Self::Two => ("memory.max", "memory.current", "inactive_file"),
        };
        let number = |name: &str| fs::read_to_string(directory.join(name)).ok()?.trim().parse::<u64>().ok();
        // "max" is no number.
        let limit = number(limit).filter(|limit| *limit < NO_LIMIT)?;
        let used = number(used)?;
        let statistics = fs::read_to_string(directory.join("memory.stat")).unwrap_or_default();
        Some(Container { limit, used: used.saturating_sub(statistic(&statistics, reclaimable)) })
    }
}

/// The directories of the group that this process is in and of all above it, as far as they are mounted here.
pub(super) fn levels(version: Version, groups: &str, mounts: &str) -> Vec<(Version, PathBuf)> {
    let Some(group) = group(version, groups) else { return Vec::new() };
    let Some((root, point)) = mount(version, mounts) else { return Vec::new() };
    // In a container the mount may begin at its own group, whatever the path of that is outside.
    let inside = Path::new(group).strip_prefix(&root).unwrap_or(Path::new(""));
    let inside: PathBuf =
        inside.components().filter(|part| matches!(part, std::path::Component::Normal(_))).collect();
    let directory = point.join(inside);
    let ancestors = directory.ancestors().take_while(|level| level.starts_with(&point));
    ancestors.take(MAX_LEVELS).map(|level| (version, level.to_owned())).collect()
}

/// The path of the group that limits memory.
fn group(version: Version, groups: &str) -> Option<&str> {
    groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let is_it = match version {
            Version::One => controllers.split(',').any(|controller| controller == "memory"),
            Version::Two => number == "0" && controllers.is_empty(),
        };
        is_it.then_some(path)
    })
}

/// Which group the hierarchy is mounted from, and where.
fn mount(version: Version, mounts: &str) -> Option<(PathBuf, PathBuf)> {
    mounts.lines().find_map(|line| {
        let (mount, system) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let mut fields = system.split(' ');
        let (kind, options) = (fields.next()?, fields.nth(1).unwrap_or_default());
        let is_it = match version {
            Version::One => kind == "cgroup" && options.split(',').any(|option| option == "memory"),
            Version::Two => kind == "cgroup2",
        };
        is_it.then(|| (unescaped(root), unescaped(point)))
    })
}

/// A path as it is: spaces and the like are written as three octal digits.
fn unescaped(field: &str) -> PathBuf {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    escapes.iter().fold(field.to_owned(), |path, (escape, plain)| path.replace(escape, plain)).into()
}

fn statistic(statistics: &str, name: &str) -> u64 {
    let value =
        statistics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok());
    value.unwrap_or(0)
}
