//! Models of how cells come home.

use super::inbound::Inbound;
use super::turn::Turn;
use crate::primitive::cell::Cell;
use crate::primitive::model::{explore, thread};
use crate::primitive::sync::Arc;

/// Room for a parcel; loom's own bookkeeping makes it larger than a cell.
#[repr(align(16))]
struct Room([u8; 512]);

fn cells(count: usize) -> Vec<*mut u8> {
    (0..count).map(|_| Box::into_raw(Box::new(Room([0; 512]))).cast()).collect()
}

fn take(inbound: &Inbound) -> usize {
    let mut taken = Vec::new();
    inbound.take(|cells| taken.extend_from_slice(cells));
    let count = taken.len();
    for cell in taken {
        // SAFETY: made by `cells`; the stack gives each cell once, or loom and the test's counts object.
        drop(unsafe { Box::from_raw(cell.cast::<Room>()) });
    }
    count
}

#[test]
fn loom_cells_of_two_threads_come_home_once() {
    explore(4, || {
        let inbound = Arc::new(Inbound::new());
        let freers: Vec<_> = (0..2)
            .map(|_| {
                let inbound = inbound.clone();
                // SAFETY: new cells with room enough.
                thread::spawn(move || unsafe { inbound.push(&cells(2)) })
            })
            .collect();
        let early = take(&inbound);
        for freer in freers {
            assert!(freer.join().is_ok());
        }
        assert_eq!(early + take(&inbound), 4);
        assert_eq!(inbound.len(), 0);
    });
}

#[test]
fn loom_many_cells_go_in_several_parcels() {
    explore(1, || {
        let inbound = Arc::new(Inbound::new());
        let other = inbound.clone();
        // SAFETY: new cells with room enough.
        let freer = thread::spawn(move || unsafe { other.push(&cells(9)) });
        let early = take(&inbound);
        assert!(freer.join().is_ok());
        assert_eq!(early + take(&inbound), 9);
    });
}

/// What two threads write in turn.
struct Written(Cell<usize>);

// SAFETY: the turn lets one thread in at a time, or loom ends the model.
unsafe impl Send for Written {}

#[test]
fn loom_one_at_a_time_is_in() {
    explore(2, || {
        let turn = Arc::new(Turn::new(Written(Cell::new(0))));
        let enter = |turn: &Turn<Written>| {
            let entered = turn.try_enter();
            entered.map_or(0, |written| {
                written.0.set(written.0.get() + 1);
                1
            })
        };
        let other = turn.clone();
        let there = thread::spawn(move || enter(&other));
        let here = enter(&turn);
        let there = there.join().unwrap_or_default();
        assert!(here + there >= 1);
        let written = turn.try_enter().map(|written| written.0.get());
        assert_eq!(written, Some(here + there));
    });
}
