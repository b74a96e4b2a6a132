//! What the ranks of a job tell each other before they can send messages, and what follows from it.

use std::collections::HashMap;

use heist_numa::CpuSet;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};

/// What one rank tells all others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    /// Equal for ranks that see each other's processes and memory, and for no others.
    pub(crate) host: String,
    /// The host's name, for people.
    pub(crate) host_name: String,
    pub(crate) pid: u32,
    /// When the process was started, which tells it from others that had its number.
    pub(crate) start: u64,
    /// What its launcher left it, in the kernel's notation.
    pub(crate) mask: String,
    /// Of the program it runs.
    pub(crate) fingerprint: Option<u64>,
    /// Where its [`Board`](super::board::Board) is.
    pub(crate) board: String,
}

/// What all ranks have told.
#[derive(Clone, Debug)]
pub(crate) struct Boot {
    pub(crate) own: usize,
    pub(crate) told: Vec<Told>,
    /// The host of each rank, numbered in the order of their first ranks.
    pub(crate) hosts: Vec<u32>,
}

impl Told {
    /// Of this process.
    pub(crate) fn here(mask: &CpuSet) -> Self {
        let read = |path| std::fs::read_to_string(path).map(|text: String| text.trim().to_owned()).unwrap_or_default();
        let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        let host_name = read("/proc/sys/kernel/hostname");
        let boot = read("/proc/sys/kernel/random/boot_id");
        let pid = std::process::id();
        Self {
            host: format!("{host_name} {boot} {}", namespace.display()),
            host_name,
            pid,
            start: super::process::Seen::of(pid).map_or(0, |seen| seen.start),
            mask: mask.to_string(),
            ..Self::default()
        }
    }
}

impl Boot {
    /// Tells all ranks, and takes in what they tell. `gather` gives every rank's bytes, by rank.
    ///
    /// # Errors
    /// What a rank told is not understood, or it runs another program.
    pub(crate) fn exchange(
        own: usize,
        told: &Told,
        gather: impl FnOnce(&[u8]) -> Result<Vec<Vec<u8>>, Error>,
    ) -> Result<Self, Error> {
        let failed = |text: String| Error::new(ErrorKind::Join(text));
        let bytes =
            postcard::to_stdvec(told).map_err(|why| failed(format!("what this rank tells of itself: {why}")))?;
        let all = gather(&bytes)?;
        let read = |(rank, bytes): (usize, &Vec<u8>)| {
            postcard::from_bytes::<Told>(bytes).map_err(|why| failed(other_program(rank, &format!("it tells {why}"))))
        };
        let told = all.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
        let Some(here) = told.get(own) else {
            return Err(failed(format!("of {} ranks, this one is number {own}", told.len())));
        };
        if let Some(rank) = told.iter().position(|other| other.fingerprint != here.fingerprint) {
            return Err(failed(other_program(rank, "its code differs from this one's")));
        }
        Ok(Self { own, hosts: number_hosts(&told), told })
    }

    /// The ranks of this host, ascending.
    pub(crate) fn on_host(&self) -> Vec<usize> {
        (0..self.hosts.len()).filter(|&rank| self.hosts[rank] == self.hosts[self.own]).collect()
    }

    /// The first rank of each host, by host.
    pub(crate) fn first_of_hosts(&self) -> Vec<usize> {
        let hosts = self.hosts.iter().max().map_or(0, |last| last + 1);
        (0..hosts).filter_map(|host| self.hosts.iter().position(|&other| other == host)).collect()
    }

    /// A rank as a person is told of it.
    pub(crate) fn name(&self, rank: usize) -> String {
        match self.told.get(rank) {
            Some(told) => {
                format!("rank {rank} of {} (process {} on {})", self.told.len(), told.pid, told.host_name)
            }
            None => format!("rank {rank}"),
        }
    }
}

fn other_program(rank: usize, why: &str) -> String {
    format!(
        "rank {rank} runs another program than this rank: {why}; start the same executable, of one build, on all hosts"
    )
}

fn number_hosts(told: &[Told]) -> Vec<u32> {
    let mut known = HashMap::new();
    let number = |told| {
        let next = known.len() as u32;
        *known.entry(told).or_insert(next)
    };
    told.iter().map(|told| told.host.as_str()).map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(host: &str) -> Told {
        Told { host: host.to_owned(), host_name: host.to_owned(), pid: 7, ..Told::default() }
    }

    /// What rank `own` makes of what these tell.
    fn boot(own: usize, all: &[Told]) -> Result<Boot, Error> {
        let others = all.iter().map(|told| postcard::to_stdvec(told).unwrap());
        Boot::exchange(own, &all[own], |bytes| {
            assert_eq!(postcard::from_bytes::<Told>(bytes).unwrap(), all[own]);
            Ok(others.collect())
        })
    }

    #[test]
    fn who_is_where() {
        let all = ["b", "a", "b", "c"].map(told);
        let boot = boot(2, &all).unwrap();
        assert_eq!(boot.hosts, [0, 1, 0, 2]);
        assert_eq!((boot.on_host(), boot.first_of_hosts()), (vec![0, 2], vec![0, 1, 3]));
        assert_eq!((boot.name(1), boot.name(9)), ("rank 1 of 4 (process 7 on a)".to_owned(), "rank 9".to_owned()));
    }

    #[test]
    fn another_program_is_named() {
        let mut all = ["a", "a", "a"].map(told);
        all[1].fingerprint = Some(1);
        let error = boot(0, &all).unwrap_err();
        assert!(error.is_join() && error.to_string().contains("rank 1"), "{error}");
        let bytes = [vec![0xff; 3]];
        let error = Boot::exchange(0, &all[0], |_| Ok(bytes.to_vec())).unwrap_err();
        assert!(error.to_string().contains("rank 0 runs another program"), "{error}");
        assert!(Boot::exchange(0, &all[0], |_| Ok(Vec::new())).is_err());
    }

    #[test]
    fn a_process_tells_who_it_is() {
        let here = Told::here(&"0-3".parse().unwrap());
        assert_eq!((here.pid, here.mask.as_str()), (std::process::id(), "0-3"));
        assert!(here.start > 0 && here.host.starts_with(&here.host_name), "{here:?}");
        assert_eq!(here, Told::here(&"0-3".parse().unwrap()));
    }
}
