//! The rings of a host's ranks, as one of them writes and reads them.

use std::collections::VecDeque;
use std::sync::OnceLock;

use super::home::Home;
use super::ring::{Corrupt, Reader, Ring, Writer};
use super::stream::Source;
use crate::primitive::Padded;
use crate::primitive::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;
use crate::rank::bell::{Bell, Futex};
use crate::rank::codec::{Blob, Frame};
use crate::rank::transport::Transport;
use crate::rank::world::Rank;

/// Frames from one rank that are handed over before the next one's turn.
const AT_ONCE: usize = 64;
/// Says of a peer that nothing waits to be pushed to him.
const NOTHING: u64 = u64::MAX;

/// The ranks of a host, as one of them reaches them.
pub(crate) struct Shmem {
    home: Home,
    /// This rank's number on the host.
    own: usize,
    peers: Box<[Peer]>,
    /// Numbers on the host, by rank.
    numbers: Box<[Option<usize>]>,
    readers: Mutex<Box<[Reader]>>,
    polling: AtomicBool,
    /// Peers that frames wait for, and such that have sent nonsense of late.
    waiting: AtomicUsize,
    faults: AtomicUsize,
}

/// One rank of the host.
struct Peer {
    rank: Rank,
    address: String,
    home: OnceLock<Option<Home>>,
    sending: Mutex<Sending>,
    /// Where its reader must be for what waits, or [`NOTHING`].
    waits_for: AtomicU64,
    /// How far what it has sent is read; [`NOTHING`] when nothing is read any more.
    read: Padded<AtomicU64>,
    /// Whether it has written nonsense, and whether that is still to be told.
    is_corrupt: AtomicBool,
    is_untold: AtomicBool,
}

#[derive(Default)]
struct Sending {
    writer: Writer,
    backlog: VecDeque<Source<Content>>,
}

/// Bytes of a piece.
enum Content {
    Bytes(Vec<u8>),
    Blob(Blob),
}

impl AsRef<[u8]> for Content {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Blob(blob) => blob,
        }
    }
}

fn pieces_of(frame: Frame) -> Vec<Content> {
    std::iter::once(Content::Bytes(frame.bytes)).chain(frame.blobs.into_iter().map(Content::Blob)).collect()
}

fn frame_of(pieces: Vec<Vec<u8>>) -> Frame {
    let mut pieces = pieces.into_iter();
    Frame { bytes: pieces.next().unwrap_or_default(), blobs: pieces.map(Blob::of_vec).collect() }
}

impl Shmem {
    /// With this rank's own segment, and the address of that of each rank of the host, its own among them, in the order
    /// that all of them have them in. `None` when there is another number of them than the segment was made for, or this
    /// rank is not among them.
    pub(crate) fn new(home: Home, rank: Rank, peers: Vec<(Rank, String)>) -> Option<Self> {
        let own = peers.iter().position(|(peer, _)| *peer == rank)?;
        if peers.len() != home.ranks() {
            return None;
        }
        let last = peers.iter().map(|(rank, _)| rank.index()).max()?;
        let number = |rank| peers.iter().position(|(peer, _)| peer.index() == rank);
        Some(Self {
            own,
            numbers: (0..=last).map(number).collect(),
            readers: Mutex::new(peers.iter().map(|_| Reader::default()).collect()),
            peers: peers.into_iter().map(|(rank, address)| Peer::new(rank, address)).collect(),
            home,
            polling: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            faults: AtomicUsize::new(0),
        })
    }

    /// By which peers reach this rank.
    #[cfg(test)]
    pub(super) fn address(&self) -> String {
        self.home.address()
    }

    /// Ranks of this host.
    pub(crate) fn ranks(&self) -> usize {
        self.peers.len()
    }

    /// Whether that rank is one of this host.
    pub(crate) fn reaches(&self, rank: Rank) -> bool {
        self.number(rank).is_some()
    }

    fn number(&self, rank: Rank) -> Option<usize> {
        *self.numbers.get(rank.index())?
    }

    /// The segment of a peer; `None` when it has none any more.
    fn home_of<'a>(&'a self, peer: &'a Peer) -> Option<&'a Home> {
        peer.home.get_or_init(|| Home::attach(&peer.address, self.home.ranks())).as_ref()
    }

    /// Nothing is written to that peer any more, nor read from it; the next poll tells.
    fn give_up(&self, peer: &Peer, sending: &mut Sending) {
        sending.backlog.clear();
        self.wait_for(peer, NOTHING);
        self.fault(peer);
    }

    fn fault(&self, peer: &Peer) {
        // ORDERING: AcqRel; whoever finds it set first tells.
        if !peer.is_corrupt.swap(true, Ordering::AcqRel) {
            peer.is_untold.store(true, Ordering::Release);
            self.faults.fetch_add(1, Ordering::AcqRel);
            self.home.bell().ring();
        }
    }

    /// Under the lock of the peer's sending.
    fn wait_for(&self, peer: &Peer, position: u64) {
        // ORDERING: Relaxed; whoever looks here without the lock looks again behind a fence of the bell.
        let before = peer.waits_for.swap(position, Ordering::Relaxed);
        match (before == NOTHING, position == NOTHING) {
            (true, false) => _ = self.waiting.fetch_add(1, Ordering::Relaxed),
            (false, true) => _ = self.waiting.fetch_sub(1, Ordering::Relaxed),
            _ => {}
        }
    }

    /// Writes what waits for a peer, as far as there is room. Gives how many frames went.
    fn push(&self, peer: &Peer, ring: Ring<'_>, sending: &mut Sending) -> Result<usize, Corrupt> {
        let mut pushed = 0;
        while let Some(source) = sending.backlog.front_mut() {
            if sending.writer.write(ring, source)? {
                sending.backlog.pop_front();
                pushed += 1;
            } else if let Some(position) = sending.writer.wants_room(ring, source)? {
                self.wait_for(peer, position);
                return Ok(pushed);
            }
        }
        self.wait_for(peer, NOTHING);
        Ok(pushed)
    }

    /// Pushes on what waited for room.
    fn push_all(&self) -> usize {
        // ORDERING: Relaxed; as in `wait_for`.
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        self.peers
            .iter()
            .filter(|peer| peer.waits_for.load(Ordering::Relaxed) != NOTHING)
            .map(|peer| {
                let Some(home) = self.home_of(peer) else { return 0 };
                let mut sending = peer.sending.lock();
                let pushed = self.push(peer, home.ring(self.own), &mut sending).unwrap_or_else(|Corrupt| {
                    self.give_up(peer, &mut sending);
                    0
                });
                drop(sending);
                home.bell().ring();
                pushed
            })
            .sum()
    }

    /// Hands over what a peer has sent.
    fn read(&self, number: usize, reader: &mut Reader, handle: &mut dyn FnMut(Rank, Frame)) -> usize {
        let peer = &self.peers[number];
        let ring = self.home.ring(number);
        let mut seen = 0;
        let read = reader.read(ring, AT_ONCE, |pieces| {
            seen += 1;
            handle(peer.rank, frame_of(pieces));
        });
        // ORDERING: Relaxed; a look at it is ordered by the fences of the bell.
        peer.read.store(if read.is_ok() { reader.position() } else { NOTHING }, Ordering::Relaxed);
        if read.is_err() {
            self.fault(peer);
        }
        if Reader::gives_room(ring)
            && let Some(home) = self.home_of(peer)
        {
            home.bell().ring();
        }
        seen
    }

    /// Whether a peer has sent what is not read. Plain reads.
    fn has_from(&self, number: usize, tail: &AtomicU64) -> bool {
        // ORDERING: Relaxed; ordered by the fences of the bell.
        let read = self.peers[number].read.load(Ordering::Relaxed);
        read != NOTHING && tail.load(Ordering::Relaxed) != read
    }

    fn has_room_for_some(&self) -> bool {
        // ORDERING: Relaxed, also below; ordered by the fences of the bell.
        self.waiting.load(Ordering::Relaxed) != 0
            && self.peers.iter().any(|peer| {
                let position = peer.waits_for.load(Ordering::Relaxed);
                let home = || peer.home.get()?.as_ref();
                position != NOTHING
                    && home().is_none_or(|home| home.ring(self.own).head.load(Ordering::Relaxed) >= position)
            })
    }

    /// Tells of those who have sent nonsense, by a frame that is none.
    fn tell_faults(&self, handle: &mut dyn FnMut(Rank, Frame)) -> usize {
        // ORDERING: Acquire; pairs with `fault`.
        if self.faults.load(Ordering::Acquire) == 0 {
            return 0;
        }
        let untold = self.peers.iter().filter(|peer| peer.is_untold.swap(false, Ordering::AcqRel));
        untold
            .map(|peer| {
                self.faults.fetch_sub(1, Ordering::AcqRel);
                handle(peer.rank, Frame::default());
            })
            .count()
    }
}

impl Peer {
    fn new(rank: Rank, address: String) -> Self {
        Self {
            rank,
            address,
            home: OnceLock::new(),
            sending: Mutex::default(),
            waits_for: AtomicU64::new(NOTHING),
            read: Padded(AtomicU64::new(0)),
            is_corrupt: AtomicBool::new(false),
            is_untold: AtomicBool::new(false),
        }
    }
}

impl Transport for Shmem {
    fn send(&self, to: Rank, frame: Frame) {
        let Some(peer) = self.number(to).map(|number| &self.peers[number]) else { return };
        let Some(home) = self.home_of(peer) else { return self.fault(peer) };
        let ring = home.ring(self.own);
        let mut source = Source::new(pieces_of(frame));
        let mut sending = peer.sending.lock();
        // ORDERING: Acquire; pairs with `fault`.
        if peer.is_corrupt.load(Ordering::Acquire) {
            return;
        }
        let sent = if sending.backlog.is_empty() { sending.writer.write(ring, &mut source) } else { Ok(false) };
        let sent = sent.and_then(|is_all| {
            if !is_all {
                let is_first = sending.backlog.is_empty();
                sending.backlog.push_back(source);
                if is_first {
                    self.push(peer, ring, &mut sending)?;
                }
            }
            Ok(())
        });
        if sent.is_err() {
            self.give_up(peer, &mut sending);
        }
        drop(sending);
        home.bell().ring();
    }

    fn poll(&self, handle: &mut dyn FnMut(Rank, Frame)) -> usize {
        // ORDERING: Acquire, with the Release below: polls come one after the other.
        if self.polling.swap(true, Ordering::Acquire) {
            return 0;
        }
        let mut seen = self.push_all() + self.tell_faults(handle);
        let mut readers = self.readers.lock();
        for (number, tail) in self.home.tails().iter().enumerate() {
            if self.has_from(number, tail) {
                seen += self.read(number, &mut readers[number], handle);
            }
        }
        drop(readers);
        self.polling.store(false, Ordering::Release);
        seen
    }

    fn has_some(&self) -> bool {
        let tails = self.home.tails();
        tails.iter().enumerate().any(|(number, tail)| self.has_from(number, tail))
            || self.has_room_for_some()
            // ORDERING: Relaxed; a look.
            || self.faults.load(Ordering::Relaxed) != 0
    }

    fn bell(&self) -> &Arc<Bell<Futex>> {
        self.home.bell()
    }

    fn wakes(&self) -> u64 {
        let attached = self.peers.iter().filter_map(|peer| peer.home.get()?.as_ref());
        attached.map(|home| home.bell().wakes()).sum()
    }
}
