//! How much memory this process may use, and whether a dense matrix fits.

use std::fs;
use std::path::{Path, PathBuf};

use crate::fail::Fail;

/// The memory this process may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowed {
    bytes: u64,
}

impl Allowed {
    /// The least of what the kernel calls available and the limits of this process's control groups.
    pub(crate) fn of_this_process() -> Allowed {
        Allowed::read(Path::new("/"))
    }

    fn read(root: &Path) -> Allowed {
        let available = fs::read_to_string(root.join("proc/meminfo")).ok().and_then(|text| available_in(&text));
        let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
        let limits = groups
            .lines()
            .filter_map(limit_files)
            .flat_map(|(mount, group, file)| limits_upwards(&root.join(mount), group, file));
        let bytes = limits.chain(available).min().unwrap_or(u64::MAX);
        Allowed { bytes }
    }

    /// What one data structure may take.
    pub(crate) fn half(self) -> u64 {
        self.bytes / 2
    }

    /// Refuses a matrix whose dense form passes half of the allowed memory.
    pub(crate) fn check_dense(self, rows: usize, cols: usize) -> Result<(), Fail> {
        let needed = (rows as u128 * cols as u128).saturating_mul(8);
        let half = self.half();
        if needed <= u128::from(half) {
            return Ok(());
        }
        Err(Fail::new(format!(
            "a {rows} × {cols} matrix takes {} as dense tiles, more than half of the allowed memory ({} of {})",
            size(needed),
            size(half.into()),
            size(self.bytes.into()),
        )))
    }
}

#[cfg(test)]
impl From<u64> for Allowed {
    fn from(bytes: u64) -> Allowed {
        Allowed { bytes }
    }
}

/// A number of bytes in the unit a person would choose.
pub(crate) fn size(bytes: u128) -> String {
    let (mut value, mut unit) = (bytes as f64, "B");
    for next in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, next);
    }
    match unit {
        "B" => format!("{bytes} B"),
        _ => format!("{value:.1} {unit}"),
    }
}

fn available_in(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Mount point, group and limit file named by one line of `/proc/self/cgroup`.
fn limit_files(line: &str) -> Option<(&'static str, &str, &'static str)> {
    let mut fields = line.splitn(3, ':');
    let (_hierarchy, controllers, group) = (fields.next()?, fields.next()?, fields.next()?);
    if controllers.is_empty() {
        Some(("sys/fs/cgroup", group, "memory.max"))
    } else if controllers.split(',').any(|c| c == "memory") {
        Some(("sys/fs/cgroup/memory", group, "memory.limit_in_bytes"))
    } else {
        None
    }
}

/// The limits of a group and of all above it; inside a container the group's own path may be missing
/// and the mount point is the group itself.
fn limits_upwards(mount: &Path, group: &str, file: &str) -> Vec<u64> {
    let relative = PathBuf::from(group.trim_start_matches('/'));
    relative
        .ancestors()
        .filter_map(|above| fs::read_to_string(mount.join(above).join(file)).ok())
        .filter_map(|text| text.trim().parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn the_least_limit_of_a_version_2_group_and_its_parents_counts() {
        let root = root(&[
            ("proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    8000 kB\n"),
            ("proc/self/cgroup", "0::/job/step\n"),
            ("sys/fs/cgroup/job/step/memory.max", "max\n"),
            ("sys/fs/cgroup/job/memory.max", "1048576\n"),
        ]);
        assert_eq!(Allowed::read(root.path()).bytes, 1_048_576);
    }

    #[test]
    fn a_version_1_limit_seen_from_inside_the_container_counts() {
        let root = root(&[
            ("proc/meminfo", "MemAvailable: 8000 kB\n"),
            ("proc/self/cgroup", "9:cpu,cpuacct:/\n4:memory:/docker/abc\n0::/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "4096000\n"),
        ]);
        assert_eq!(Allowed::read(root.path()).bytes, 4_096_000);
    }

    #[test]
    fn without_groups_the_available_memory_counts() {
        let root = root(&[("proc/meminfo", "MemAvailable: 8000 kB\n")]);
        assert_eq!(Allowed::read(root.path()).bytes, 8_192_000);
    }

    #[test]
    fn half_of_the_allowed_memory_is_the_border() {
        let allowed = Allowed::from(2 * 8 * 100 * 100);
        assert!(allowed.check_dense(100, 100).is_ok());
        let refused = allowed.check_dense(100, 101).unwrap_err().to_string();
        assert!(refused.starts_with("a 100 × 101 matrix takes 78.9 KiB"), "{refused}");
        assert!(allowed.check_dense(usize::MAX, usize::MAX).is_err());
    }
}
