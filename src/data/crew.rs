//! A job that its caller and the workers do together, piece by piece; it may borrow from the caller.

use std::panic::Location;
use std::time::{Duration, Instant};

use crate::future::Plain;
use crate::primitive::Padded;
use crate::primitive::atomic::{AtomicUsize, Ordering};
use crate::primitive::lock::{Condvar, Mutex};
use crate::primitive::sync::Arc;
use crate::scheduler::{Registry, local};

/// How long a caller that is no worker waits for those to come, before it does their work.
const PATIENCE: Duration = Duration::from_millis(1);

/// Does `work` with every piece, and returns when all are done. Each piece is of a domain, whose workers do it; the caller
/// does what none of them comes for, so that it waits for no more than what others have begun.
pub(super) fn work_off<P: Send>(
    registry: &Registry,
    location: &'static Location<'static>,
    pieces: impl IntoIterator<Item = (usize, P)>,
    work: impl Fn(P) + Sync,
) {
    let here = local(|local| registry.domain_here(local));
    let mut lanes: Vec<Vec<_>> = (0..registry.domain_count()).map(|_| Vec::new()).collect();
    for (domain, piece) in pieces {
        let lane = if domain < lanes.len() { domain } else { here };
        lanes[lane].push(Mutex::new(Some(piece)));
    }
    let lanes = lanes.into_iter().map(|pieces| Lane { next: Padded(AtomicUsize::new(0)), pieces }).collect();
    let job = Job { lanes, work };
    let gate = Gate::of(&job, job.lanes.iter().map(|lane| lane.pieces.is_empty()).collect());
    let closing = Closing(&gate);
    let is_worker = local(|local| local.serves(registry));
    let mut helpers = Vec::new();
    if job.pieces() > 1 {
        for (domain, lane) in job.lanes.iter().enumerate() {
            let caller = usize::from(is_worker && domain == here);
            for _ in caller..lane.pieces.len().min(registry.workers_of(domain).len()) {
                let gate = gate.clone();
                helpers.push(registry.submit_on(domain, location, Plain(move || gate.pass(domain))));
            }
        }
    }
    if !is_worker && !helpers.is_empty() {
        gate.leave_to_workers();
    }
    for step in 0..job.lanes.len() {
        job.work_off((here + step) % job.lanes.len());
    }
    drop(closing);
}

/// Copies bytes by the workers of all domains, and the caller; as many as there are of both.
#[cfg(feature = "ranks")]
pub(crate) fn copy_bytes(registry: &Registry, location: &'static Location<'static>, from: &[u8], to: &mut [u8]) {
    use super::raw::PIECE;
    let pieces = from.chunks(PIECE).zip(to.chunks_mut(PIECE)).enumerate();
    let dealt = pieces.map(|(number, piece)| (number % registry.domain_count(), piece));
    work_off(registry, location, dealt, |(from, to)| to.copy_from_slice(from));
}

/// The pieces of one domain.
struct Lane<P> {
    next: Padded<AtomicUsize>,
    pieces: Vec<Mutex<Option<P>>>,
}

struct Job<P, W> {
    lanes: Box<[Lane<P>]>,
    work: W,
}

/// What the helpers see of a job.
trait WorkOff: Sync {
    /// Does pieces of a lane until none is left.
    fn work_off(&self, lane: usize);
}

impl<P, W> Job<P, W> {
    fn pieces(&self) -> usize {
        self.lanes.iter().map(|lane| lane.pieces.len()).sum()
    }
}

impl<P: Send, W: Fn(P) + Sync> WorkOff for Job<P, W> {
    fn work_off(&self, lane: usize) {
        let lane = &self.lanes[lane];
        // ORDERING: Relaxed; deals numbers out. The pieces come with their locks, the results with that of the gate.
        while let Some(piece) = lane.pieces.get(lane.next.fetch_add(1, Ordering::Relaxed)) {
            let piece = piece.lock().take();
            if let Some(piece) = piece {
                (self.work)(piece);
            }
        }
    }
}

/// Through which helpers come to a job: as long as its caller keeps it open.
struct Gate {
    passage: Mutex<Passage>,
    left: Condvar,
    job: *const (dyn WorkOff + 'static),
}

struct Passage {
    is_open: bool,
    inside: usize,
    /// Whether anybody has come for a lane, or there is nothing in it.
    visited: Box<[bool]>,
}

// SAFETY: the job is shared by threads (`WorkOff` asks for it), and reached only as told at `pass`.
unsafe impl Send for Gate {}
// SAFETY: as above.
unsafe impl Sync for Gate {}

impl Gate {
    /// A gate to `job`, to be closed by a [`Closing`] before the job goes.
    fn of(job: &dyn WorkOff, visited: Box<[bool]>) -> Arc<Self> {
        // SAFETY: only the lifetime is lengthened; `pass` keeps to the shorter one.
        let job: *const (dyn WorkOff + 'static) = unsafe { std::mem::transmute(std::ptr::from_ref(job)) };
        let passage = Mutex::new(Passage { is_open: true, inside: 0, visited });
        Arc::new(Self { passage, left: Condvar::new(), job })
    }

    /// Does what is left of a lane, if the gate is open.
    fn pass(&self, lane: usize) {
        {
            let mut passage = self.passage.lock();
            if !passage.is_open {
                return;
            }
            passage.inside += 1;
            passage.visited[lane] = true;
        }
        let _inside = Inside(self);
        // SAFETY: the gate was open and somebody is inside until the end of this call: its `Closing`, which goes before the
        // job does, waits for that.
        unsafe { &*self.job }.work_off(lane);
    }
}

impl Gate {
    /// Waits while helpers are at it, or may still come.
    fn leave_to_workers(&self) {
        let deadline = Instant::now() + PATIENCE;
        let mut passage = self.passage.lock();
        while passage.visited.contains(&false) && Instant::now() < deadline {
            passage = self.left.wait_until(passage, deadline);
        }
        while passage.inside != 0 && !passage.visited.contains(&false) {
            passage = self.left.wait(passage);
        }
    }
}

/// Somebody inside; also when he unwinds.
struct Inside<'a>(&'a Gate);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let mut passage = self.0.passage.lock();
        passage.inside -= 1;
        if passage.inside == 0 {
            self.0.left.notify_all();
        }
    }
}

/// Closes the gate and waits until nobody is inside; also when the caller unwinds.
struct Closing<'a>(&'a Gate);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        let mut passage = self.0.passage.lock();
        passage.is_open = false;
        while passage.inside != 0 {
            passage = self.0.left.wait(passage);
        }
    }
}
