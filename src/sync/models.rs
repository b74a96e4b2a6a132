//! Models of the line and of the permits: nobody is forgotten in line, no permit is lost or given out twice, and what
//! handles and guards lead to is freed once, after the last of them.

use std::sync::Arc as Shared;

use super::line::{Left, Told, Wake};
use super::permits::{Held, Permits};
use super::turn::{Entered, Source};
use crate::primitive::cell::Cell;
use crate::primitive::model::{Tally, explore, thread};
use crate::primitive::park::Parker;
use crate::primitive::sync::Arc;

/// What a lock guards; loom sees it when two are inside.
struct Guarded(Cell<usize>);

// SAFETY: the lock hands the cell from thread to thread, or loom ends the model.
#[allow(unsafe_code, reason = "loom watches the cell")]
unsafe impl Sync for Guarded {}
// SAFETY: as above.
#[allow(unsafe_code, reason = "as above")]
unsafe impl Send for Guarded {}

impl Guarded {
    fn new() -> Shared<Self> {
        Shared::new(Self(Cell::new(0)))
    }
    fn add(&self) {
        self.0.set(self.0.get() + 1);
    }
}

/// Waits as a thread does; `None` when the permits are closed.
fn acquire(permits: &Permits, count: u32) -> Option<Held> {
    if let Some(held) = permits.take(count) {
        return Some(held);
    }
    let parker = Arc::new(Parker::new());
    match permits.enter(count, &mut Some(Wake::Thread(parker.clone()))) {
        Entered::Told(told) => receive(permits, told),
        Entered::Busy(_) => panic!("busy for one who can wait"),
        Entered::Queued(key) => {
            parker.sleep();
            match permits.leave(key) {
                Left::Told(told) => receive(permits, told),
                Left::Waiting(_) => panic!("woken and not told"),
            }
        }
    }
}

fn receive(permits: &Permits, told: Told<u32, u32>) -> Option<Held> {
    match told {
        Told::Granted(count) => Some(permits.receive(count)),
        Told::Refused(_) => None,
    }
}

/// Goes into the line and leaves it at once, as a wait does that is dropped.
fn enter_and_leave(permits: &Permits, count: u32) {
    match permits.enter(count, &mut Some(Wake::Thread(Arc::new(Parker::new())))) {
        Entered::Told(told) => drop(receive(permits, told)),
        Entered::Busy(_) => panic!("busy for one who can wait"),
        Entered::Queued(key) => {
            if let Left::Told(Told::Granted(count)) = permits.leave(key) {
                permits.pass_on(count);
            }
        }
    }
}

#[test]
fn loom_a_lock_excludes_and_everybody_gets_it() {
    explore(LOCK, || {
        let permits = Permits::new(1);
        let guarded = Guarded::new();
        let others: Vec<_> = (0..2)
            .map(|_| {
                let (permits, guarded) = (permits.clone(), guarded.clone());
                thread::spawn(move || {
                    let _held = acquire(&permits, 1);
                    guarded.add();
                })
            })
            .collect();
        {
            let _held = acquire(&permits, 1);
            guarded.add();
        }
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!((permits.free(), guarded.0.get()), (1, 3));
    });
}

#[test]
fn loom_who_wants_many_is_not_forgotten_among_those_who_want_one() {
    explore(MANY, || {
        let permits = Permits::new(2);
        let inside = Shared::new(Tally::default());
        let one = {
            let (permits, inside) = (permits.clone(), inside.clone());
            thread::spawn(move || {
                let _held = acquire(&permits, 1);
                inside.add();
            })
        };
        let both = {
            let permits = permits.clone();
            thread::spawn(move || {
                let _held = acquire(&permits, 2);
                assert_eq!(permits.free(), 0);
            })
        };
        drop(acquire(&permits, 1));
        one.join().unwrap();
        both.join().unwrap();
        assert_eq!((permits.free(), inside.get()), (2, 1));
    });
}

#[test]
fn loom_who_leaves_the_line_passes_on_what_he_was_given() {
    explore(LEAVE, || {
        let permits = Permits::new(1);
        let held = acquire(&permits, 1);
        let leaver = {
            let permits = permits.clone();
            thread::spawn(move || enter_and_leave(&permits, 1))
        };
        let waiter = {
            let permits = permits.clone();
            thread::spawn(move || acquire(&permits, 1).is_some())
        };
        drop(held);
        leaver.join().unwrap();
        assert!(waiter.join().unwrap());
        assert_eq!(permits.free(), 1);
    });
}

#[test]
fn loom_who_wants_too_much_for_now_and_leaves_holds_up_nobody() {
    explore(HEAD, || {
        let permits = Permits::new(2);
        let held = acquire(&permits, 1);
        let leaver = {
            let permits = permits.clone();
            thread::spawn(move || enter_and_leave(&permits, 2))
        };
        let waiter = {
            let permits = permits.clone();
            thread::spawn(move || acquire(&permits, 1).is_some())
        };
        leaver.join().unwrap();
        assert!(waiter.join().unwrap(), "while the other permit is held");
        drop(held);
        assert_eq!(permits.free(), 2);
    });
}

#[test]
fn loom_the_last_handle_and_the_last_guard_free_it_once() {
    explore(LAST, || {
        let permits = Permits::new(1);
        let second = permits.clone();
        let held = permits.take(1);
        let handle = thread::spawn(move || drop(second));
        let guard = thread::spawn(move || drop(held));
        drop(permits);
        handle.join().unwrap();
        guard.join().unwrap();
    });
}

#[test]
fn loom_a_handle_that_becomes_a_permit_keeps_what_it_kept() {
    explore(EXCHANGE, || {
        let permits = Permits::new(1);
        let second = permits.clone();
        let exchange = thread::spawn(move || match second.exchange(1) {
            Ok(held) => drop(held),
            Err(second) => drop(acquire(&second, 1)),
        });
        let held = permits.exchange(1).ok();
        drop(held);
        exchange.join().unwrap();
    });
}

/// The one who was served goes, with the last handle, while the one who served him may still have the lock of the line.
#[test]
fn loom_a_permit_that_goes_along_the_line_frees_it_once_at_the_end() {
    explore(LINE, || {
        let permits = Permits::new(1);
        let held = permits.take(1);
        let waiter = thread::spawn(move || {
            let got = acquire(&permits, 1);
            drop(permits);
            assert!(got.is_some());
        });
        drop(held);
        waiter.join().unwrap();
    });
}

#[test]
fn loom_closing_leaves_nobody_in_line() {
    explore(CLOSE, || {
        let permits = Permits::new(1);
        let held = acquire(&permits, 1);
        let waiter = {
            let permits = permits.clone();
            thread::spawn(move || drop(acquire(&permits, 1)))
        };
        let closer = {
            let permits = permits.clone();
            thread::spawn(move || permits.close())
        };
        drop(held);
        waiter.join().unwrap();
        assert!(closer.join().unwrap());
        assert!(acquire(&permits, 1).is_none());
        assert_eq!(permits.free(), 1);
    });
}

// Interleavings that there are at least, about a tenth less than were counted.
const LOCK: usize = 20_000;
const MANY: usize = 15_000;
const LEAVE: usize = 5_000;
const HEAD: usize = 600;
const LAST: usize = 70;
const EXCHANGE: usize = 55;
const LINE: usize = 17;
const CLOSE: usize = 2_700;
