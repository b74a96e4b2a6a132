//! Ranks in one process, for tests.

use std::collections::VecDeque;

use super::Transport;
use crate::primitive::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;
use crate::rank::bell::{Bell, Futex};
use crate::rank::codec::Frame;
use crate::rank::world::Rank;

/// Frames handed over by one poll.
const AT_ONCE: usize = 64;

struct Inbox {
    frames: Mutex<VecDeque<(Rank, Frame)>>,
    count: AtomicUsize,
    bell: Arc<Bell<Futex>>,
    polling: AtomicBool,
}

/// One rank's end.
pub(crate) struct Local {
    rank: Rank,
    inboxes: Arc<[Inbox]>,
}

/// The ends of a world of so many ranks.
pub(crate) fn world(ranks: usize) -> Vec<Local> {
    let inbox = |_| Inbox {
        frames: Mutex::default(),
        count: AtomicUsize::new(0),
        bell: Arc::new(Bell::new(Futex::own())),
        polling: AtomicBool::new(false),
    };
    let inboxes: Arc<[Inbox]> = (0..ranks).map(inbox).collect();
    (0..ranks).map(|rank| Local { rank: Rank(rank as u32), inboxes: inboxes.clone() }).collect()
}

impl Local {
    fn own(&self) -> &Inbox {
        &self.inboxes[self.rank.index()]
    }

    fn take(&self) -> Option<(Rank, Frame)> {
        let own = self.own();
        let mut frames = own.frames.lock();
        let frame = frames.pop_front()?;
        // ORDERING: Relaxed; changed under the lock, and a look at it is ordered by the fences of the bell.
        own.count.store(frames.len(), Ordering::Relaxed);
        Some(frame)
    }
}

impl Transport for Local {
    fn send(&self, to: Rank, frame: Frame) {
        if let Some(theirs) = self.inboxes.get(to.index()) {
            let mut frames = theirs.frames.lock();
            frames.push_back((self.rank, frame));
            // ORDERING: Relaxed; as in `take`.
            theirs.count.store(frames.len(), Ordering::Relaxed);
            drop(frames);
            theirs.bell.ring();
        }
    }

    fn poll(&self, handle: &mut dyn FnMut(Rank, Frame)) -> usize {
        let own = self.own();
        // ORDERING: Acquire, with the Release below: polls come one after the other.
        if own.polling.swap(true, Ordering::Acquire) {
            return 0;
        }
        let mut seen = 0;
        while seen < AT_ONCE
            && let Some((from, frame)) = self.take()
        {
            handle(from, frame);
            seen += 1;
        }
        own.polling.store(false, Ordering::Release);
        seen
    }

    fn has_some(&self) -> bool {
        // ORDERING: Relaxed; as in `take`.
        self.own().count.load(Ordering::Relaxed) != 0
    }

    fn bell(&self) -> &Arc<Bell<Futex>> {
        &self.own().bell
    }

    fn wakes(&self) -> u64 {
        let others = self.inboxes.iter().filter(|inbox| !std::ptr::eq(*inbox, self.own()));
        others.map(|inbox| inbox.bell.wakes()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rank::transport::conformance;

    #[test]
    fn the_ranks_of_a_process_have_a_transport() {
        conformance::all(|ranks| world(ranks).into_iter().map(|end| Arc::new(end) as Arc<dyn Transport>).collect());
    }
}
