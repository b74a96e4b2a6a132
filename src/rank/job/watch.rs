//! Watches over the other ranks, so that none waits for ever for one that is gone.
//!
//! Each rank looks after the next one of its host: it is told at once when that process ends, and looks now and then whether
//! it has been stopped. The first ranks of the hosts tell each other now and then that they are alive.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::board::Condition;
use super::process::Watched;
use super::{Job, Stage};
use super::{leave, pause};
use crate::rank::world::Rank;

pub(super) const THREAD: &str = "heist-watch";

/// How often it looks.
const TICK: Duration = Duration::from_millis(500);
/// How long one that was ended by a signal is waited for to be followed by all others: a launcher ends them one by one.
const GRACE: Duration = Duration::from_secs(1);
/// As long, for one that has said that it ends the job.
const LONG_GRACE: Duration = Duration::from_secs(2);
/// What a lost rank ends the job with.
const LOST: i32 = 1;

/// Starts to watch, until the job is left.
pub(super) fn start(job: &'static Job, patience: Option<Duration>) -> io::Result<()> {
    thread::Builder::new().name(THREAD.to_owned()).spawn(move || Watch::new(job, patience).run())?;
    Ok(())
}

struct Watch {
    job: &'static Job,
    /// Ticks without a sign of life; `None` for any number.
    patience: Option<u32>,
    /// Of this host, the one looked after.
    next: Option<(usize, Watched)>,
    stopped: u32,
    /// The first ranks of the hosts before and after this one's, if this is its host's first.
    hosts: Option<(usize, usize)>,
    silent: u32,
}

impl Watch {
    fn new(job: &'static Job, patience: Option<Duration>) -> Self {
        let patience = patience.map(|patience| (patience.as_millis() / TICK.as_millis()).max(1) as u32);
        let firsts = job.boot.first_of_hosts();
        let place = firsts.iter().position(|&rank| rank == job.boot.own).filter(|_| firsts.len() > 1);
        let hosts = place.map(|host| {
            let count = firsts.len();
            (firsts[(host + count - 1) % count], firsts[(host + 1) % count])
        });
        let mut watch = Self { job, patience, next: None, stopped: 0, hosts, silent: 0 };
        watch.next = watch.following(job.boot.own);
        watch
    }

    /// The rank after this one on the host, round and round, that is not this process.
    fn following(&self, rank: usize) -> Option<(usize, Watched)> {
        let boot = &self.job.boot;
        let local = boot.on_host();
        let place = local.iter().position(|&other| other == rank)?;
        let next = local[(place + 1) % local.len()];
        let told = &boot.told[next];
        // Where there is no `/proc`, nothing is seen of others.
        (next != boot.own && told.start != 0).then(|| (next, Watched::new(told.pid, told.start)))
    }

    fn run(mut self) {
        let mut looked = Instant::now();
        while self.job.stage() < Stage::Left {
            self.sleep();
            if self.next.as_ref().is_some_and(|(_, watched)| watched.has_ended()) {
                self.ended();
            }
            let now = Instant::now();
            if now - looked < TICK {
                continue;
            }
            // Who was himself stopped, or did not get to run, cannot tell for how long others were.
            let late = now - looked > 3 * TICK;
            looked = now;
            if late {
                (self.stopped, self.silent) = (0, 0);
            } else {
                self.look();
            }
        }
    }

    /// Until the next tick, or the end of the one looked after.
    fn sleep(&self) {
        let tick = Timespec { tv_sec: 0, tv_nsec: TICK.subsec_nanos().into() };
        match self.next.as_ref().and_then(|(_, watched)| watched.end.as_ref()) {
            Some(end) => drop(poll(&mut [PollFd::new(end, PollFlags::IN)], Some(&tick))),
            None => thread::park_timeout(TICK),
        }
    }

    fn look(&mut self) {
        if let Some((rank, watched)) = &self.next {
            self.stopped = if watched.is_stopped() { self.stopped + 1 } else { 0 };
            if self.patience.is_some_and(|patience| self.stopped >= patience) {
                let after = TICK * self.stopped;
                self.end(*rank, &format!("has been stopped for {after:?}"), || watched.kill());
            }
        }
        let Some(world) = self.job.world() else { return };
        if let Some((before, after)) = self.hosts {
            leave::tell_alive(world, Rank(after as u32));
            self.silent = if leave::was_heard(world) { 0 } else { self.silent + 1 };
            if self.patience.is_some_and(|patience| self.silent >= patience) {
                let silent = TICK * self.silent;
                self.end(before, &format!("has not been heard of for {silent:?}"), || ());
            }
        }
    }

    /// The one looked after is gone.
    fn ended(&mut self) {
        let Some((rank, watched)) = self.next.take() else { return };
        let how = watched.how_it_ended();
        let grace = match self.job.board.condition(rank) {
            Condition::Working => Duration::ZERO,
            Condition::Signalled => GRACE,
            Condition::Ending => LONG_GRACE,
            Condition::Left => {
                self.next = self.following(rank);
                return;
            }
        };
        pause(grace);
        self.end(rank, &format!("{how} and had not left the job"), || ());
    }

    fn end(&self, rank: usize, why: &str, last: impl FnOnce()) -> ! {
        let boot = &self.job.boot;
        self.job.end_with(LOST, &format!("{} {why}: the job ends here", boot.name(rank)), last)
    }
}
