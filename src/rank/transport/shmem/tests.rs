//! Two ends on segments of this process: order, sizes, room, and peers that write nonsense.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::ring::{Corrupt, Reader, Ring, Writer};
use super::stream::Source;
use super::{Home, Shmem};
use crate::primitive::sync::Arc;
use crate::rank::bell::ear;
use crate::rank::transport::Transport;
use crate::rank::transport::conformance::{self, frame, receive};
use crate::rank::world::Rank;

const PATIENCE: Duration = Duration::from_secs(60);

fn ends(ranks: usize) -> Vec<Arc<Shmem>> {
    let homes: Vec<_> = (0..ranks).map(|_| Home::create(ranks).unwrap().unwrap()).collect();
    let addresses: Vec<_> = homes.iter().enumerate().map(|(rank, home)| (Rank(rank as u32), home.address())).collect();
    let end = |(rank, home)| Arc::new(Shmem::new(home, Rank(rank as u32), addresses.clone()).unwrap());
    homes.into_iter().enumerate().map(end).collect()
}

fn as_transports(ranks: usize) -> Vec<Arc<dyn Transport>> {
    ends(ranks).into_iter().map(|end| end as Arc<dyn Transport>).collect()
}

#[test]
fn the_rings_of_a_host_are_a_transport() {
    conformance::all(as_transports);
}

#[test]
fn a_sleeper_is_woken_once_for_many_frames_and_by_nobody_while_it_polls() {
    let ends = ends(2);
    let bell = ends[1].bell();
    bell.attend();
    (0..10).for_each(|_| ends[0].send(Rank(1), frame("unasked")));
    assert_eq!(ends[0].wakes(), 0);
    assert_eq!(receive(&*ends[1], 10).len(), 10);
    assert!(bell.leave());
    (0..10).for_each(|_| ends[0].send(Rank(1), frame("rings")));
    assert_eq!(ends[0].wakes(), 1);
    bell.hear();
    assert_eq!(receive(&*ends[1], 10).len(), 10);
}

#[test]
fn a_listener_wakes_for_a_frame_and_for_its_own_call() {
    let ends = ends(2);
    let (ours, theirs) = (&ends[0], &ends[1]);
    let called = AtomicBool::new(false);
    std::thread::scope(|s| {
        let listener = s.spawn(|| {
            let bell = theirs.bell();
            bell.attend();
            let until = Some(Instant::now() + PATIENCE);
            while !called.load(Ordering::Acquire) {
                bell.listen(ear(5), until, || called.load(Ordering::Acquire) || theirs.has_some());
                bell.hear();
                theirs.poll(&mut |from, frame| theirs.send(from, frame));
            }
            assert!(bell.leave());
        });
        for _ in 0..100 {
            ours.send(Rank(1), frame("echo"));
            assert_eq!(receive(&**ours, 1)[0].1.bytes, b"echo");
        }
        called.store(true, Ordering::Release);
        theirs.bell().call(ear(5));
        listener.join().unwrap();
    });
}

#[test]
fn a_peer_that_is_gone_is_told_of_once() {
    let mut ends = ends(2);
    ends.pop();
    ends[0].send(Rank(1), frame("into the void"));
    let found = receive(&*ends[0], 1);
    assert_eq!((found[0].0, found[0].1.bytes.len()), (Rank(1), 0));
    ends[0].send(Rank(1), frame("again"));
    assert_eq!(ends[0].poll(&mut |_, _| ()), 0);
}

/// Numbers that look alike every time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

struct Memory(Vec<AtomicU64>);

impl Memory {
    fn new(words: usize) -> Self {
        Self((0..words + 3).map(|_| AtomicU64::new(0)).collect())
    }
    fn ring(&self) -> Ring<'_> {
        Ring { tail: &self.0[0], head: &self.0[1], wanted: &self.0[2], words: &self.0[3..] }
    }
}

fn source(bytes: Vec<u8>) -> Source<Vec<u8>> {
    Source::new(vec![bytes])
}

#[test]
fn words_that_a_peer_has_changed_are_told_or_read_as_bytes() {
    let mut random = Random(9);
    let (mut told, mut read) = (0, 0);
    for _ in 0..20_000 {
        let memory = Memory::new(64);
        let (mut writer, mut reader) = (Writer::default(), Reader::default());
        for len in 0..3 + random.next() as usize % 100 {
            _ = writer.write(memory.ring(), &mut source(vec![7; len]));
        }
        let at = random.next() as usize % memory.0.len();
        let change = random.next() >> (random.next() % 64);
        memory.0[at].fetch_xor(change, Ordering::Relaxed);
        match reader.read(memory.ring(), 1_000, |_| ()) {
            Ok(_) => read += 1,
            Err(Corrupt) => told += 1,
        }
        // The reader has moved as far as he says, or not.
        memory.0[1].store(random.next() >> (random.next() % 64), Ordering::Relaxed);
        _ = writer.write(memory.ring(), &mut source(vec![1; 600]));
    }
    assert!(told > 1_000 && read > 1_000, "{told} {read}");
}

#[test]
fn a_peer_that_scribbles_over_everything_does_no_harm() {
    let mut random = Random(77);
    for _ in 0..200 {
        let ends = ends(2);
        let scribbled = heist_numa::Segment::attach(&ends[0].address()).unwrap();
        ends[1].send(Rank(0), frame(vec![1; 300]));
        for _ in 0..50 {
            let offset = random.next() as usize % (scribbled.len() / 8).min(200);
            scribbled.write(8 * offset, &(random.next() >> (random.next() % 64)).to_ne_bytes()).unwrap();
        }
        for _ in 0..4 {
            ends[0].send(Rank(1), frame(vec![2; 100_000]));
            ends[1].send(Rank(0), frame(vec![3; 100_000]));
            for end in &ends {
                end.poll(&mut |_, _| ());
                // A look comes to an end, and a sleep too.
                end.has_some();
            }
        }
    }
}
