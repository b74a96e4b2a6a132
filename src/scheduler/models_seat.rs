//! Models of the seat of a worker: whoever waits for it gets it, and there is never more than one on it.

use crate::primitive::sync::Arc;

use super::idle::{Idle, Workers};
use super::line::{Line, Place};
use super::seat::Seat;
use crate::primitive::atomic::{AtomicBool, AtomicU32, Ordering, fence};
use crate::primitive::model::{Tally, explore, thread};
use crate::primitive::park::Parker;

const RETURNING: u32 = 1;
const AWAITED: u32 = 2;

/// What drives the one worker; there is one.
struct Driver;

/// One worker and those who want it: as `Registry` puts its parts together.
struct Pool {
    seat: Seat<Driver>,
    line: Line<Driver>,
    attention: AtomicU32,
    idle: Idle,
    parker: Parker,
    /// Threads that have left the pool with the worker in hand.
    holders: Tally,
}

impl Workers for &Pool {
    fn has_work_in(&self, _group: usize) -> bool {
        false
    }
    fn wake(&self, _worker: usize) {
        self.parker.wake();
    }
    fn beside(&self) -> Option<usize> {
        None
    }
    fn pass_on(&self) {}
}

impl Pool {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            seat: Seat::new(),
            line: Line::new(),
            attention: AtomicU32::new(0),
            idle: Idle::new(1, None),
            parker: Parker::new(),
            holders: Tally::default(),
        })
    }

    fn ask(&self, bit: u32, wanted: bool) {
        if wanted {
            self.attention.fetch_or(bit, Ordering::Relaxed);
        } else {
            self.attention.fetch_and(!bit, Ordering::Relaxed);
        }
    }

    fn is_wanted(&self) -> bool {
        self.attention.load(Ordering::Relaxed) != 0
    }

    /// Between two tasks: leaves the seat if somebody wants it.
    fn vacate(&self, driver: Driver) -> Result<(), Driver> {
        if !self.is_wanted() {
            return Err(driver);
        }
        self.seat.vacate(driver).or_else(|driver| self.line.serve(0, driver, || self.ask(AWAITED, false)))
    }

    /// Has nothing to run, and sleeps, until somebody has the seat.
    fn drive(&self, mut driver: Driver) {
        while let Err(kept) = self.vacate(driver) {
            driver = kept;
            if self.idle.park(0, false, || self.is_wanted()) {
                self.parker.sleep();
            }
            self.idle.end_search(self);
        }
    }

    fn enter(&self) -> Arc<Place<Driver>> {
        let place = Place::new(0..1);
        self.line.enter(&place, |_| self.ask(AWAITED, true));
        fence(Ordering::SeqCst);
        if self.idle.rouse(0, self) {
            self.parker.wake();
        }
        place
    }

    /// Waits for the seat until somebody has `cancelled`; keeps it for good.
    fn rejoin(&self, place: &Arc<Place<Driver>>, cancelled: impl Fn() -> bool) -> Option<Driver> {
        while !cancelled() && !place.is_served() {
            place.parker.sleep();
        }
        self.line.leave(place);
        let driver = place.take();
        driver.iter().for_each(|_| self.holders.add());
        driver
    }

    /// Goes on after a wait, beside the thread on the seat, and ends.
    fn come_back_and_end(&self) {
        let driver = self.seat.come_back(|some| self.ask(RETURNING, some));
        let driver = driver.or_else(|| self.seat.stop_returning(|some| self.ask(RETURNING, some)));
        driver.into_iter().for_each(|driver| self.drive(driver));
    }
}

#[test]
fn loom_whoever_stands_in_line_gets_the_seat_of_a_sleeper() {
    explore(50, || {
        let pool = Pool::new();
        let driving = pool.clone();
        let driver = thread::spawn(move || driving.drive(Driver));
        let place = pool.enter();
        assert!(pool.rejoin(&place, || false).is_some());
        driver.join().unwrap();
    });
}

#[test]
fn loom_two_in_line_get_the_seat_one_after_the_other() {
    explore(100, || {
        let pool = Pool::new();
        let (first, second) = (pool.clone(), pool.clone());
        let rejoin = |pool: Arc<Pool>| {
            move || {
                let place = pool.enter();
                let driver = pool.rejoin(&place, || false);
                // The second may be served by the first, who then ends his task.
                if pool.holders.get() == 1 {
                    driver.into_iter().for_each(|driver| pool.drive(driver));
                }
            }
        };
        let first = thread::spawn(rejoin(first));
        let second = thread::spawn(rejoin(second));
        pool.drive(Driver);
        first.join().unwrap();
        second.join().unwrap();
        assert_eq!(pool.holders.get(), 2);
    });
}

#[test]
fn loom_a_cancelled_wait_for_a_seat_loses_no_worker() {
    explore(100, || {
        let pool = Pool::new();
        let place = pool.enter();
        let cancelled = Arc::new(AtomicBool::new(false));
        let (cancelling, parker) = (cancelled.clone(), place.parker.clone());
        let cancel = thread::spawn(move || {
            cancelling.store(true, Ordering::Release);
            parker.wake();
        });
        let boundary = pool.clone();
        let driver = thread::spawn(move || boundary.vacate(Driver).is_err());
        let got = pool.rejoin(&place, || cancelled.load(Ordering::Acquire)).is_some();
        cancel.join().unwrap();
        let kept = driver.join().unwrap();
        assert!(got != kept, "one of them has the worker");
    });
}

#[test]
fn loom_a_returning_thread_comes_before_the_line_and_passes_the_seat_on() {
    explore(100, || {
        let pool = Pool::new();
        let (driving, returning) = (pool.clone(), pool.clone());
        let driver = thread::spawn(move || driving.drive(Driver));
        let returner = thread::spawn(move || returning.come_back_and_end());
        let place = pool.enter();
        assert!(pool.rejoin(&place, || false).is_some());
        driver.join().unwrap();
        returner.join().unwrap();
    });
}
