//! Models of the doorbell: nothing that was sent, and no call, is slept through.

use std::time::Instant;

use super::{Bell, PROGRESS, Place, ear, upper};
use crate::primitive::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::primitive::lock::{Condvar, Mutex};
use crate::primitive::model::{explore, thread};
use crate::primitive::sync::Arc;

/// A futex as the kernel has it: it compares and falls asleep in one step, and wakes exactly those who are meant.
struct Kernel {
    word: AtomicU64,
    sleepers: Mutex<Vec<(u32, usize)>>,
    woken: Condvar,
    drawn: std::sync::atomic::AtomicUsize,
}

impl Place for Kernel {
    fn word(&self) -> &AtomicU64 {
        &self.word
    }
    fn wait(&self, expected: u32, bits: u32, _until: Option<Instant>) {
        let mut sleepers = self.sleepers.lock();
        if upper(self.word.load(Ordering::Relaxed)) != expected {
            return;
        }
        let me = self.drawn.fetch_add(1, Ordering::Relaxed);
        sleepers.push((bits, me));
        while sleepers.iter().any(|&(_, other)| other == me) {
            sleepers = self.woken.wait(sleepers);
        }
    }
    fn wake(&self, bits: u32, most: u32) {
        let mut sleepers = self.sleepers.lock();
        for _ in 0..most {
            let Some(at) = sleepers.iter().position(|(theirs, _)| theirs & bits != 0) else { break };
            sleepers.remove(at);
        }
        self.woken.notify_all();
    }
}

/// A rank to which so many messages are sent.
struct Rank {
    bell: Bell<Kernel>,
    sent: AtomicUsize,
    seen: AtomicUsize,
    polled: Mutex<()>,
    all: usize,
}

impl Rank {
    fn new(all: usize) -> Arc<Self> {
        let place = Kernel {
            word: AtomicU64::new(0),
            sleepers: Mutex::new(Vec::new()),
            woken: Condvar::new(),
            drawn: Default::default(),
        };
        let (sent, seen) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { bell: Bell::new(place), sent, seen, polled: Mutex::new(()), all })
    }

    fn send(&self) {
        // ORDERING: Release, as a ring publishes.
        self.sent.fetch_add(1, Ordering::Release);
        self.bell.ring();
    }

    fn has_some(&self) -> bool {
        // ORDERING: Relaxed, as the looks of the protocol are.
        self.sent.load(Ordering::Relaxed) != self.seen.load(Ordering::Relaxed)
    }

    fn poll(&self) {
        self.bell.hear();
        let _polled = self.polled.lock();
        let sent = self.sent.load(Ordering::Acquire);
        if self.seen.load(Ordering::Relaxed) != sent {
            self.seen.store(sent, Ordering::Release);
            if sent == self.all {
                // As the end of a world is told.
                self.bell.call(u32::MAX);
            }
        }
    }

    fn is_over(&self) -> bool {
        self.seen.load(Ordering::Acquire) == self.all
    }

    /// Polls no more, and rings if something came meanwhile.
    fn leave(&self) {
        if self.bell.leave() && self.has_some() {
            self.bell.ring();
        }
    }

    fn work(&self, worker: usize) {
        self.bell.attend();
        while !self.is_over() {
            self.poll();
            self.bell.listen(ear(worker), None, || self.has_some() || self.is_over());
        }
        self.leave();
    }

    fn progress(&self) {
        while !self.is_over() {
            self.bell.attend();
            self.poll();
            self.leave();
            let calls = self.bell.calls();
            if !self.is_over() {
                self.bell.rest(calls, None, || self.has_some());
            }
        }
    }
}

fn run(least: usize, all: usize, threads: &'static [fn(&Rank)]) {
    explore(least, move || {
        let rank = Rank::new(all);
        let others: Vec<_> = threads[1..]
            .iter()
            .map(|body| {
                let rank = rank.clone();
                thread::spawn(move || body(&rank))
            })
            .collect();
        threads[0](&rank);
        others.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(rank.is_over());
    });
}

#[test]
fn loom_a_listener_hears_two_senders() {
    run(100, 2, &[|rank| rank.send(), |rank| rank.send(), |rank| rank.work(0)]);
}

#[test]
fn loom_a_listener_hears_one_sender_twice() {
    run(100, 2, &[|rank| (0..2).for_each(|_| rank.send()), |rank| rank.work(0)]);
}

#[test]
fn loom_the_progress_thread_hears_what_no_worker_does() {
    run(100, 2, &[|rank| (0..2).for_each(|_| rank.send()), |rank| rank.progress()]);
}

/// A worker looks once and goes off to a task.
#[test]
fn loom_who_leaves_leaves_it_to_the_progress_thread() {
    fn pass(rank: &Rank) {
        rank.bell.attend();
        rank.poll();
        rank.leave();
    }
    run(100, 1, &[|rank| rank.send(), pass, |rank| rank.progress()]);
}

/// A worker sleeps, is called for something else, and does not come back.
#[test]
fn loom_who_is_called_away_leaves_it_to_the_progress_thread() {
    fn listen(rank: &Rank) {
        rank.bell.attend();
        let token = AtomicUsize::new(1);
        rank.bell.listen(ear(0), None, || token.load(Ordering::Relaxed) == 1);
        rank.poll();
        rank.leave();
    }
    run(100, 1, &[|rank| rank.send(), listen, |rank| rank.progress()]);
}

#[test]
fn loom_a_call_beside_a_ring_is_heard() {
    explore(100, || {
        let rank = Rank::new(1);
        let token = Arc::new(AtomicUsize::new(0));
        let caller = {
            let (rank, token) = (rank.clone(), token.clone());
            thread::spawn(move || {
                token.store(1, Ordering::Release);
                rank.bell.call(ear(3));
            })
        };
        let sleeper = {
            let rank = rank.clone();
            thread::spawn(move || {
                rank.bell.attend();
                while token.load(Ordering::Acquire) == 0 || !rank.is_over() {
                    rank.poll();
                    let is_over = || token.load(Ordering::Acquire) == 1 && rank.is_over() || rank.has_some();
                    rank.bell.listen(ear(3), None, is_over);
                }
                rank.leave();
            })
        };
        rank.send();
        caller.join().unwrap();
        sleeper.join().unwrap();
    });
}

/// One of two listeners is called away; the ring must not be lost with it.
#[test]
fn loom_one_of_two_listeners_is_called_away() {
    fn listen_once(rank: &Rank) {
        rank.bell.attend();
        rank.bell.listen(ear(0), None, || rank.has_some() || rank.is_over());
        rank.poll();
        rank.leave();
    }
    run(
        100,
        1,
        &[
            |rank| {
                rank.bell.call(ear(0) | PROGRESS);
                rank.send();
            },
            listen_once,
            |rank| rank.work(1),
        ],
    );
}
