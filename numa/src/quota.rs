//! The CPU time that control groups grant this process.

use std::{
    num::NonZeroUsize,
    path::{Component, Path, PathBuf},
};

use crate::{error::Error, sysfs};

/// The CPUs' worth of time the process may use, rounded up; `None` when no control group limits it.
///
/// Looks at the process's own group and all that enclose it, in the versions 1 and 2 of control groups,
/// and gives the tightest limit: half a CPU counts as one. The quota says nothing about *which* CPUs;
/// that is [`affinity`](crate::affinity). `root` is `/`, or stands for it: the files read are
/// `proc/self/cgroup`, `proc/self/mountinfo` and the groups they lead to. What is missing limits nothing.
/// A few file reads per nested group.
///
/// # Errors
///
/// [`is_syntax`](Error::is_syntax) when a limit is not what the kernel documents; the message names
/// the file.
///
/// ```
/// let threads = heist_numa::affinity()?.len();
/// let useful = match heist_numa::cpu_quota(std::path::Path::new("/"))? {
///     Some(cpus) => threads.min(cpus.get()),
///     None => threads,
/// };
/// assert!(useful >= 1);
/// # Ok::<(), heist_numa::Error>(())
/// ```
pub fn cpu_quota(root: &Path) -> Result<Option<NonZeroUsize>, Error> {
    let process = root.join("proc/self");
    let (Some(groups), Some(mounts)) = (sysfs::text(&process.join("cgroup")), sysfs::text(&process.join("mountinfo")))
    else {
        return Ok(None);
    };
    let mut tightest = None;
    for version in [Version::One, Version::Two] {
        let Some(group) = groups.lines().find_map(|line| version.group(line)) else {
            continue;
        };
        let mounts: Vec<Mount> = mounts.lines().filter_map(|l| version.mount(l)).collect();
        let own = mounts.iter().find_map(|m| Some((m, m.way_to(group)?)));
        // A container may be told a group that lies outside all it has mounted: its own is the top.
        let Some((mount, way)) = own.or_else(|| Some((mounts.first()?, Path::new("")))) else {
            continue;
        };
        let top = root.join(mount.point.strip_prefix("/").unwrap_or(&mount.point));
        let own = top.join(way);
        for dir in own.ancestors().take_while(|dir| dir.starts_with(&top)) {
            if let Some(limit) = version.limit(dir)? {
                tightest = Some(tightest.map_or(limit, |t: NonZeroUsize| t.min(limit)));
            }
        }
    }
    Ok(tightest)
}

/// The two interfaces of control groups; a host may have both mounted.
#[derive(Clone, Copy)]
enum Version {
    One,
    Two,
}

/// Where a hierarchy of groups is mounted, and which of its groups is seen there.
struct Mount {
    group: String,
    point: PathBuf,
}

impl Version {
    /// The process's group from a line of `/proc/self/cgroup`, if it is of this version's CPU controller.
    fn group(self, line: &str) -> Option<&str> {
        let mut fields = line.splitn(3, ':');
        let (id, controllers, group) = (fields.next()?, fields.next()?, fields.next()?);
        let matches = match self {
            Version::One => controllers.split(',').any(|name| name == "cpu"),
            Version::Two => id == "0" && controllers.is_empty(),
        };
        matches.then_some(group)
    }

    /// The mount from a line of `/proc/self/mountinfo`, if it is of this version's CPU controller.
    fn mount(self, line: &str) -> Option<Mount> {
        let (place, kind) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let (group, point) = (place.next()?, place.next()?);
        let mut kind = kind.split(' ');
        let (name, mut options) = (kind.next()?, kind.next_back()?.split(','));
        let matches = match self {
            Version::One => name == "cgroup" && options.any(|option| option == "cpu"),
            Version::Two => name == "cgroup2",
        };
        matches.then(|| Mount { group: unescape(group), point: PathBuf::from(unescape(point)) })
    }

    /// The limit set on the group at `dir` itself, in whole CPUs rounded up.
    fn limit(self, dir: &Path) -> Result<Option<NonZeroUsize>, Error> {
        let (quota, period) = match self {
            Version::One => {
                let quota = sysfs::value(&dir.join("cpu.cfs_quota_us"), "a number of microseconds, or -1", |text| {
                    text.parse::<i64>().ok()
                })?;
                let Some(quota) = quota.and_then(|quota| u64::try_from(quota).ok()) else {
                    return Ok(None);
                };
                let period =
                    sysfs::value(&dir.join("cpu.cfs_period_us"), "a positive number of microseconds", positive)?;
                (quota, period.unwrap_or(DEFAULT_PERIOD))
            }
            Version::Two => {
                let form = "`max` or a quota, and a period, in microseconds";
                let Some(max) = sysfs::value(&dir.join("cpu.max"), form, parse_max)? else {
                    return Ok(None);
                };
                let Some(quota) = max.0 else {
                    return Ok(None);
                };
                (quota, max.1)
            }
        };
        let cpus = quota.div_ceil(period).max(1);
        Ok(usize::try_from(cpus).ok().and_then(NonZeroUsize::new))
    }
}

impl Mount {
    /// The way from the mount point to `group`; `None` when the group is not below what is mounted.
    fn way_to<'a>(&self, group: &'a str) -> Option<&'a Path> {
        let way = Path::new(group).strip_prefix(&self.group).ok()?;
        way.components().all(|c| matches!(c, Component::Normal(_))).then_some(way)
    }
}

/// The period, in microseconds, where the kernel tells none.
const DEFAULT_PERIOD: u64 = 100_000;

fn positive(text: &str) -> Option<u64> {
    text.parse().ok().filter(|&number| number > 0)
}

/// The content of `cpu.max`: a quota, `None` for `max`, and a period.
fn parse_max(text: &str) -> Option<(Option<u64>, u64)> {
    let mut words = text.split_whitespace();
    let quota = match words.next()? {
        "max" => None,
        number => Some(number.parse().ok()?),
    };
    let period = words.next().map_or(Some(DEFAULT_PERIOD), positive)?;
    words.next().is_none().then_some((quota, period))
}

/// Undoes the octal escapes of `mountinfo`: blanks and backslashes come as `\040` and `\134`.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let code = after.get(..3).and_then(|o| u8::from_str_radix(o, 8).ok());
        match code {
            Some(byte) if byte.is_ascii() => {
                plain.push(char::from(byte));
                rest = &after[3..];
            }
            _ => {
                plain.push('\\');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Host;

    const V2_MOUNT: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
    const V1_MOUNT: &str = "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n";

    fn host(cgroup: &str, mountinfo: &str) -> Host {
        let host = Host::new();
        host.write("proc/self/cgroup", cgroup).write("proc/self/mountinfo", mountinfo);
        host
    }

    fn cpus(host: &Host) -> Option<usize> {
        cpu_quota(host.root()).unwrap().map(NonZeroUsize::get)
    }

    #[test]
    fn version_two_rounds_up() {
        let host = host("0::/job/step\n", V2_MOUNT);
        for (max, limit) in [
            ("max 100000", None),
            ("50000 100000", Some(1)),
            ("100000 100000", Some(1)),
            ("100001 100000", Some(2)),
            ("350000 100000", Some(4)),
            ("250000", Some(3)),
            ("18446744073709551615 1", Some(usize::MAX)),
        ] {
            host.write("sys/fs/cgroup/job/step/cpu.max", &format!("{max}\n"));
            assert_eq!(cpus(&host), limit, "{max}");
        }
    }

    #[test]
    fn the_tightest_enclosing_group_counts() {
        let host = host("0::/job/step\n", V2_MOUNT);
        host.write("sys/fs/cgroup/job/step/cpu.max", "800000 100000\n");
        host.write("sys/fs/cgroup/job/cpu.max", "300000 100000\n");
        host.write("sys/fs/cgroup/other/cpu.max", "100000 100000\n");
        host.write("sys/fs/cpu.max", "100000 100000\n");
        assert_eq!(cpus(&host), Some(3));
    }

    #[test]
    fn version_one_beside_version_two() {
        let host = host("4:memory:/m\n3:cpu,cpuacct:/job\n0::/job\n", &(V1_MOUNT.to_owned() + V2_MOUNT));
        let v1 = "sys/fs/cgroup/cpu,cpuacct/job";
        host.write(&format!("{v1}/cpu.cfs_quota_us"), "-1\n").write(&format!("{v1}/cpu.cfs_period_us"), "100000\n");
        assert_eq!(cpus(&host), None);
        host.write(&format!("{v1}/cpu.cfs_quota_us"), "250000\n");
        assert_eq!(cpus(&host), Some(3));
        host.write(&format!("{v1}/cpu.cfs_period_us"), "50000\n");
        assert_eq!(cpus(&host), Some(5));
        host.write("sys/fs/cgroup/job/cpu.max", "200000 100000\n");
        assert_eq!(cpus(&host), Some(2));
    }

    #[test]
    fn a_container_sees_its_group_at_the_mount_point() {
        let mount = "33 31 0:30 /docker/a\\134x2db /sys/fs/cgroup/c\\040pu rw - cgroup cgroup rw,cpu\n";
        for (group, dir) in [
            ("/docker/a\\x2db", ""),
            ("/docker/a\\x2db/inner", "inner/"),
            ("/elsewhere", ""),
            ("/docker/a\\x2db/../..", ""),
        ] {
            let host = host(&format!("3:cpu:{group}\n"), mount);
            host.write(&format!("sys/fs/cgroup/c pu/{dir}cpu.cfs_quota_us"), "200000\n");
            assert_eq!(cpus(&host), Some(2), "{group}");
        }
    }

    #[test]
    fn the_mount_that_holds_the_group_is_taken() {
        let other = "32 31 0:26 /other /mnt/other rw - cgroup2 cgroup2 rw\n";
        let host = host("0::/job\n", &(other.to_owned() + V2_MOUNT));
        host.write("mnt/other/cpu.max", "100000 100000\n");
        assert_eq!(cpus(&host), None);
        host.write("sys/fs/cgroup/job/cpu.max", "200000 100000\n");
        assert_eq!(cpus(&host), Some(2));
    }

    #[test]
    fn nothing_to_read_limits_nothing() {
        assert_eq!(cpus(&Host::new()), None);
        assert_eq!(cpus(&host("0::/\n", "")), None);
        assert_eq!(cpus(&host("0::/job\n", V2_MOUNT)), None);
        assert_eq!(cpus(&host("nonsense\n", "nonsense - \n")), None);
    }

    #[test]
    fn an_odd_limit_is_named() {
        let two = host("0::/\n", V2_MOUNT);
        for max in ["lots", "1 0", "1 2 3", "-1 100000"] {
            two.write("sys/fs/cgroup/cpu.max", max);
            let error = cpu_quota(two.root()).unwrap_err();
            assert!(error.is_syntax());
            assert!(error.to_string().contains("cpu.max says"), "{error}");
        }
        let one = host("1:cpu:/\n", V1_MOUNT);
        one.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "1000\n");
        one.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "0\n");
        let error = cpu_quota(one.root()).unwrap_err();
        assert!(error.to_string().contains("cpu.cfs_period_us"), "{error}");
    }
}
