//! How a segment is found: by what its owner says of it in one line.

use std::{
    fmt,
    fs::{self, File},
    os::fd::AsRawFd,
    path::PathBuf,
    str::FromStr,
};

use crate::error::{Error, Kind};

const FORM: &str = "the address of a segment, as Segment::address tells it";

/// How the names of files of segments begin.
const PREFIX: &str = "heist";

/// A process, told from others that had or will have its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: u32,
    /// In clock ticks since the host was started; 0 when there is no `/proc`.
    pub(super) start: u64,
}

impl Process {
    pub(super) fn this() -> Process {
        let pid = std::process::id();
        Process { pid, start: start_of(pid).unwrap_or(0) }
    }

    pub(super) fn is_alive(self) -> bool {
        start_of(self.pid) == Some(self.start)
    }
}

/// When the process with this number was started; `None` when there is none, or it ended and only its exit code is left.
fn start_of(pid: u32) -> Option<u64> {
    stat_start(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn stat_start(stat: &str) -> Option<u64> {
    // The name, second in parentheses, may hold anything; the state follows, and the start is the 22nd in all.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X" | "x") { None } else { fields.nth(18)?.parse().ok() }
}

/// The file that one process made as its `number`-th.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileName {
    pub(super) owner: Process,
    pub(super) number: u64,
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}-{}-{}-{}", self.owner.pid, self.owner.start, self.number)
    }
}

impl FileName {
    pub(super) fn parse(name: &str) -> Option<FileName> {
        let mut fields = name.strip_prefix(PREFIX)?.strip_prefix('-')?.splitn(3, '-');
        let owner = Process { pid: number(fields.next()?)?, start: number(fields.next()?)? };
        Some(FileName { owner, number: number(fields.next()?)? })
    }
}

/// A number as we write them, and nothing else that `parse` takes.
fn number<N: FromStr + ToString>(text: &str) -> Option<N> {
    text.parse::<N>().ok().filter(|number| number.to_string() == text)
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A descriptor of the owner.
    Memfd(u32),
    File(PathBuf),
}

/// What an owner says of its segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) owner: Process,
    pub(super) inode: u64,
    pub(super) len: usize,
    pub(super) place: Place,
}

impl Address {
    /// The same segment by this process's descriptor of its memfd.
    pub(super) fn held_by_this(self, file: &File) -> Address {
        Address { owner: Process::this(), place: Place::Memfd(file.as_raw_fd().unsigned_abs()), ..self }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Address { owner, inode, len, place } = self;
        let Process { pid, start } = owner;
        match place {
            Place::Memfd(fd) => write!(f, "memfd:{pid}:{start}:{inode}:{len}:{fd}"),
            Place::File(path) => write!(f, "file:{pid}:{start}:{inode}:{len}:{}", path.display()),
        }
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Address, Error> {
        parse(text).ok_or_else(|| Kind::Syntax { text: text.to_owned(), form: FORM }.into())
    }
}

fn parse(text: &str) -> Option<Address> {
    let mut fields = text.splitn(6, ':');
    let kind = fields.next()?;
    let owner = Process { pid: number(fields.next()?)?, start: number(fields.next()?)? };
    let (inode, len) = (number(fields.next()?)?, number(fields.next()?)?);
    let place = match (kind, fields.next()?) {
        ("memfd", fd) => Place::Memfd(number(fd)?),
        ("file", path) => {
            let path = PathBuf::from(path);
            let name = FileName::parse(path.file_name()?.to_str()?)?;
            if !path.is_absolute() || name.owner != owner {
                return None;
            }
            Place::File(path)
        }
        _ => return None,
    };
    Some(Address { owner, inode, len, place })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let owner = Process { pid: 12, start: 3_456 };
        let file = PathBuf::from("/a:b/heist-12-3456-0");
        for place in [Place::Memfd(7), Place::File(file)] {
            let address = Address { owner, inode: 99, len: 1 << 20, place };
            assert_eq!(address.to_string().parse::<Address>().unwrap(), address);
        }
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        let bad = [
            "",
            "memfd",
            "memfd:1:2:3:4",
            "memfd:1:2:3:4:5:6",
            "memfd:1:2:3:4:-5",
            "memfd:+1:2:3:4:5",
            "memfd:1:2:3:99999999999999999999:5",
            "shm:1:2:3:4:5",
            "file:1:2:3:4:",
            "file:1:2:3:4:/etc/passwd",
            "file:1:2:3:4:heist-1-2-0",
            "file:1:2:3:4:/dev/shm/heist-1-3-0",
            "file:1:2:3:4:/dev/shm/heist-1-2-0x",
            "file:1:2:3:4:/dev/shm/..",
        ];
        for text in bad {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.is_syntax() && error.to_string().contains(&format!("`{text}`")), "{error}");
        }
    }

    #[test]
    fn names_of_others_are_none_of_ours() {
        assert_eq!(FileName::parse("heist-1-2-3").unwrap().to_string(), "heist-1-2-3");
        for name in ["heist", "heist-", "heist-1-2", "heist-1-2-3-4", "heist-01-2-3", "heist-test-17", "xheist-1-2-3"] {
            assert_eq!(FileName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_process_is_told_from_its_successor() {
        let this = Process::this();
        assert!(this.is_alive());
        assert!(!Process { start: this.start + 1, ..this }.is_alive());
        assert!(!Process { pid: u32::MAX, ..this }.is_alive());
    }

    #[test]
    fn the_start_is_found_behind_any_name() {
        let stat = |state| format!("5 (a ) Z (b) {state} 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20");
        assert_eq!(stat_start(&stat("S")), Some(777));
        assert_eq!(stat_start(&stat("Z")), None);
        assert_eq!(stat_start("5 (short) S 1"), None);
    }
}
