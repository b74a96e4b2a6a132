//! Another process of this host: how it is, by what `/proc` shows, and when it ends.

use std::fs;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// What `/proc` shows of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    state: u8,
    /// In clock ticks since the host was started.
    pub(super) start: u64,
    /// As `wait` has it; 0 while it lives, or where it is not shown.
    code: i32,
}

impl Seen {
    pub(super) fn of(pid: u32) -> Option<Seen> {
        Seen::read(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn read(stat: &str) -> Option<Seen> {
        // The name, second in parentheses, may hold anything; the state follows, the start is the 22nd in all, the code the
        // 52nd.
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        let state = *fields.next()?.as_bytes().first()?;
        let start = fields.nth(18)?.parse().ok()?;
        let code = fields.nth(29).and_then(|code| code.parse().ok()).unwrap_or(0);
        Some(Seen { state, start, code })
    }

    /// Whether a signal has stopped it; not so a debugger.
    pub(super) fn is_stopped(self) -> bool {
        self.state == b'T'
    }

    fn has_ended(self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// A process that is watched.
#[derive(Debug)]
pub(super) struct Watched {
    pid: u32,
    start: u64,
    /// Readable when it has ended; `None` when it had before.
    pub(super) end: Option<OwnedFd>,
}

impl Watched {
    pub(super) fn new(pid: u32, start: u64) -> Self {
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let end = number.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        // A process with this number that is another one was not yet there when it was opened, or is the one that was.
        let is_it = Seen::of(pid).is_some_and(|seen| seen.start == start);
        Self { pid, start, end: end.filter(|_| is_it) }
    }

    fn seen(&self) -> Option<Seen> {
        Seen::of(self.pid).filter(|seen| seen.start == self.start)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.seen().is_some_and(Seen::is_stopped)
    }

    /// Whether it has ended, also where the kernel has no descriptors of processes.
    pub(super) fn has_ended(&self) -> bool {
        self.seen().is_none_or(Seen::has_ended)
    }

    /// How it ended, as far as its parent has not looked yet.
    pub(super) fn how_it_ended(&self) -> String {
        let code = self.seen().filter(|seen| seen.has_ended()).map_or(0, |seen| seen.code);
        match (code & 0x7f, code >> 8) {
            (0, 0) => "ended".to_owned(),
            (0, status) => format!("ended with exit code {status}"),
            (signal, _) => format!("was ended by signal {signal}"),
        }
    }

    /// Ends it, as nothing else can once it is stopped.
    pub(super) fn kill(&self) {
        if let Some(end) = &self.end {
            let _ = pidfd_send_signal(end, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::time::{Duration, Instant};

    fn eventually(what: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !what() {
            assert!(Instant::now() < deadline, "in vain");
            std::thread::yield_now();
        }
    }

    #[test]
    fn fields_are_found_behind_any_name() {
        let mut fields: Vec<_> = (3..=52).map(|field| field.to_string()).collect();
        fields[0] = "T".to_owned();
        let seen = Seen::read(&format!("5 (a ) Z (b) {}", fields.join(" "))).unwrap();
        assert_eq!(seen, Seen { state: b'T', start: 22, code: 52 });
        assert_eq!(Seen::read("5 (short) S 1"), None);
    }

    #[test]
    fn a_process_is_seen_to_stop_and_to_end() {
        let mut child = Command::new("sleep").arg("100").spawn().unwrap();
        let start = Seen::of(child.id()).unwrap().start;
        let watched = Watched::new(child.id(), start);
        assert!(watched.end.is_some() && !watched.is_stopped() && !watched.has_ended());
        assert!(Watched::new(child.id(), start + 1).has_ended(), "another process of that number");
        pidfd_send_signal(watched.end.as_ref().unwrap(), Signal::STOP).unwrap();
        eventually(|| watched.is_stopped());
        watched.kill();
        eventually(|| watched.has_ended());
        assert_eq!(watched.how_it_ended(), "was ended by signal 9");
        child.wait().unwrap();
        assert!(watched.has_ended() && Watched::new(child.id(), start).end.is_none());
        assert_eq!(watched.how_it_ended(), "ended");
    }
}
