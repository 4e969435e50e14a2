//! What the machine gives the relay: memory, and open files.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Memory that a relay needs beside what it may hold of others' bytes, in bytes.
const BESIDE: u64 = 32 << 20;
/// The least that it may hold, in bytes: a few files at once.
const LEAST: u64 = 4 << 20;

/// `default`, or less where the control group of this process has less memory.
///
/// That is what systemd's `MemoryMax` and a container's limit set: who goes beyond it is killed.
#[must_use]
pub fn memory_limit(default: u64) -> u64 {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let given = group_limit(&groups, Path::new("/sys/fs/cgroup"));
    given.map_or(default, |given| within(default, given))
}

/// Half of what is left for others' bytes: the other half is for what no account knows of.
fn within(default: u64, given: u64) -> u64 {
    (given.saturating_sub(BESIDE) / 2).clamp(LEAST.min(default), default)
}

/// The least limit of the groups that a `/proc/self/cgroup` names, by either version of the interface.
fn group_limit(groups: &str, root: &Path) -> Option<u64> {
    let of_line = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, group) = (parts.next()?, parts.next()?);
        let (root, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            _ if controllers.split(',').any(|c| c == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => return None,
        };
        least_above(&root, group, file)
    };
    groups.lines().filter_map(of_line).min()
}

/// The least limit of a group and those that it is in.
fn least_above(root: &Path, group: &str, file: &str) -> Option<u64> {
    let group = PathBuf::from(group.trim_start_matches('/'));
    let limit_of = |group: &Path| {
        let text = fs::read_to_string(root.join(group).join(file)).ok()?;
        // No limit is "max", or in the first version a number near 2^63.
        text.trim().parse().ok().filter(|limit| *limit < 1 << 60)
    };
    group.ancestors().filter_map(limit_of).min()
}

/// How many files may be open at once; the limit is raised as far as this process may.
#[must_use]
pub fn open_files() -> u64 {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        if limit.current < limit.maximum || limit.maximum.is_none() {
            limit.current = limit.maximum;
            let _ = setrlimit(Resource::Nofile, limit);
        }
        getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
    }
    #[cfg(not(unix))]
    u64::MAX
}

/// How many of `open_files` the spool may have: sockets and the rest need some.
#[must_use]
pub fn spool_files(open_files: u64) -> u64 {
    (open_files.saturating_sub(16) / 2).max(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn the_least_limit_of_all_groups_above_counts() {
        let root = tempfile::tempdir().unwrap();
        write(&root.path().join("a/b/memory.max"), "max\n");
        write(&root.path().join("a/memory.max"), "67108864\n");
        write(
            &root.path().join("memory/c/memory.limit_in_bytes"),
            "9223372036854771712\n",
        );
        let limit = |groups| group_limit(groups, root.path());
        assert_eq!(limit("0::/a/b\n"), Some(64 * MIB));
        assert_eq!(limit("4:memory:/c\n0::/elsewhere\n"), None);
        assert_eq!(limit("1:cpu:/a\n"), None);
        write(
            &root.path().join("memory/c/memory.limit_in_bytes"),
            "100000000\n",
        );
        assert_eq!(limit("4:memory:/c\n0::/a/b\n"), Some(64 * MIB));
    }

    #[test]
    fn a_group_of_64_mebibytes_leaves_16_and_a_large_one_the_default() {
        assert_eq!(within(32 * MIB, 64 * MIB), 16 * MIB);
        assert_eq!(within(32 * MIB, 20 * MIB), LEAST);
        assert_eq!(within(32 * MIB, 1 << 34), 32 * MIB);
        assert_eq!(within(MIB, 1 << 20), MIB);
    }

    #[test]
    fn the_spool_has_a_part_of_the_open_files() {
        assert_eq!([24, 64, 1024].map(spool_files), [4, 24, 504]);
    }
}
