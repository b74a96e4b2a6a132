//! Waits that keep their seat because no further thread may be made, and the end of those that nothing else can end.

use std::time::{Duration, Instant};

use super::context::local;
use super::ending::Phase;
use super::registry::Registry;
use super::wait::{Waited, come_back};
use crate::primitive::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::primitive::lock::Mutex;
use crate::primitive::park::Parker;

/// How long every seat must be stuck, with work queued and nothing moving, before the first wait is given up.
const GRACE: Duration = Duration::from_secs(1);
/// How often a stuck wait looks around.
const LOOK: Duration = Duration::from_millis(20);

/// The stuck waits of an executor.
pub(super) struct Stuck {
    waits: Mutex<Waits>,
    /// Set when a wait was given up; cleared when one ends by itself. While set, further ones need no grace.
    stalled: AtomicBool,
    /// Grows with every change.
    moves: AtomicU64,
}

#[derive(Default)]
struct Waits {
    /// Oldest first.
    order: Vec<u64>,
    next: u64,
}

impl Stuck {
    pub(super) fn new() -> Self {
        Self { waits: Mutex::new(Waits::default()), stalled: AtomicBool::new(false), moves: AtomicU64::new(0) }
    }

    /// Sleeps with the seat. The newest wait is given up when every seat is stuck, work is queued that nobody can run,
    /// and nothing has moved for a while: only an outsider could end it then.
    pub(super) fn sleep(&self, registry: &Registry, parker: &Parker, done: impl Fn() -> bool) -> Waited {
        let ticket = self.enter();
        let mut quiet = (self.moves(), Instant::now());
        let waited = loop {
            if local(|local| registry.serve_from(local)) {
                self.leave(ticket);
                parker.sleep();
                local(|local| come_back(local, registry));
                return Waited::Done;
            }
            local(|local| local.worker().map(|worker| worker.purge(registry)));
            // ORDERING: Relaxed; a flag that only shortens the grace.
            let grace = if self.stalled.load(Ordering::Relaxed) { Duration::ZERO } else { GRACE };
            if self.moves() != quiet.0 {
                quiet = (self.moves(), Instant::now());
            }
            if quiet.1.elapsed() >= grace && self.is_stalled(registry, ticket) && !done() {
                // ORDERING: Relaxed; as above.
                self.stalled.store(true, Ordering::Relaxed);
                break Waited::Stalled { cap: registry.spares.cap };
            }
            if parker.sleep_until(Instant::now() + LOOK) {
                // ORDERING: Relaxed; as above.
                self.stalled.store(false, Ordering::Relaxed);
                break Waited::Done;
            }
        };
        self.leave(ticket);
        waited
    }

    fn moves(&self) -> u64 {
        // ORDERING: Relaxed; compared with itself.
        self.moves.load(Ordering::Relaxed)
    }

    fn enter(&self) -> u64 {
        // ORDERING: Relaxed; as in `moves`.
        self.moves.fetch_add(1, Ordering::Relaxed);
        let mut waits = self.waits.lock();
        let ticket = waits.next;
        waits.next += 1;
        waits.order.push(ticket);
        ticket
    }

    fn leave(&self, ticket: u64) {
        // ORDERING: Relaxed; as in `moves`.
        self.moves.fetch_add(1, Ordering::Relaxed);
        self.waits.lock().order.retain(|&other| other != ticket);
    }

    /// Whether `ticket` is the newest of as many stuck waits as there are seats, and work lies queued.
    fn is_stalled(&self, registry: &Registry, ticket: u64) -> bool {
        let waits = self.waits.lock();
        waits.order.len() >= registry.slots.len()
            && waits.order.last() == Some(&ticket)
            && registry.has_work()
            && registry.phase() != Phase::Ended
    }
}
