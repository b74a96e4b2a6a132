//! A rank that is sent corrupt messages of every kind, as others that it understands, and goes on.

use std::time::{Duration, Instant};

use super::Executor;
use crate::future::TaskFuture;
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;
use crate::rank::inside::{Blob, Frame};
use crate::rank::{Array, Bell, Futex, Rank, Transport, World, local};

/// Frames that are sent corrupt.
const FRAMES: usize = 20_000;

/// Carries frames, and notes them.
struct Tap {
    end: local::Local,
    sent: Arc<Mutex<Vec<Frame>>>,
}

impl Transport for Tap {
    fn send(&self, to: Rank, frame: Frame) {
        self.sent.lock().push(frame.clone());
        self.end.send(to, frame);
    }

    fn poll(&self, handle: &mut dyn FnMut(Rank, Frame)) -> usize {
        self.end.poll(handle)
    }

    fn has_some(&self) -> bool {
        self.end.has_some()
    }

    fn bell(&self) -> &Arc<Bell<Futex>> {
        self.end.bell()
    }

    fn wakes(&self) -> u64 {
        self.end.wakes()
    }
}

fn member(rank: u32, end: Arc<dyn Transport>) -> Executor {
    Executor::joined(Executor::builder().workers(1), Rank(rank), 2, end).unwrap()
}

/// Something of everything that ranks do with each other. No function of it minds what it is given.
fn use_all(world: &World, ex: &Executor) {
    let other = Rank(1 - world.rank().0);
    let length = |(text,): (String,)| text.len() as u64;
    let sum = |(values,): (Vec<u64>,)| values.iter().fold(0_u64, |sum, n| sum.wrapping_add(*n));
    let one = world.on(other).submit(length, ("a text".to_owned(),));
    let many = world.on(other).map(0..100_u64, |n| n.wrapping_mul(n));
    let all = world.on(other).submit(sum, (crate::all(&many),));
    let large = world.on(other).submit(|(one,): (u64,)| vec![one; 20_000], (&one,));
    let again = world.on(other).submit(sum, (&large,));
    let bad = world.on(other).submit_result(|(text,): (String,)| text.parse::<u64>(), ("x".to_owned(),));
    let worse = world.on(other).submit(|(n,): (u64,)| n, (&bad,));
    let nested =
        world.on(other).submit(|(f,): (TaskFuture<u64>,)| f.wait_timeout(Duration::ZERO).is_ok(), (one.clone(),));
    let cancelled = world.on(other).submit(length, (String::new(),));
    cancelled.cancel("not wanted");
    let given = world.scatter_on(other, vec![1_u64, 2]).unwrap();
    let array = world.broadcast(Array::from(vec![3_u64; 10_000])).unwrap();
    let read = |(array,): (Array<u64>,)| array.len() as u64;
    let reads = [world.on(other).submit(read, (&array,)), world.on(other).submit(sum, (&given,))];
    assert!(world.replicate(&again, 2).is_ok() && world.has_what().is_ok());
    assert_eq!(all.result().unwrap(), 328_350);
    assert!(worse.result().is_err() && nested.result().is_ok() && reads.iter().all(|read| read.result().is_ok()));
    drop((one, many, ex.gather([given])));
    let list = world.actor_on(other, |(): ()| Vec::<u64>::new(), ());
    let pushed = list.ask(|all: &mut Vec<u64>, (n,): (u64,)| all.push(n), (7_u64,));
    assert!(pushed.result().is_ok() && list.tell(|all, (n,): (u64,)| all.push(n), (8_u64,)).is_ok());
    for name in ["a", "b", "c"] {
        let queue = world.queue::<u64>(name, None).unwrap();
        queue.put(3).unwrap();
        assert_eq!(queue.get().unwrap(), 3);
        drop(world.lock(name).unwrap().lock().unwrap());
    }
}

/// What all ranks do together.
fn together(ranks: &[Executor]) {
    std::thread::scope(|scope| {
        for ex in ranks {
            scope.spawn(|| {
                let all = ex.world().collective();
                let mut values = [u64::from(all.rank().0); 3];
                all.all_reduce(&mut values, crate::Sum).unwrap();
                all.barrier().unwrap();
                assert_eq!(values, [1; 3]);
            });
        }
    });
}

/// What two ranks send each other.
fn recorded() -> Vec<Frame> {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let ends = local::world(2).into_iter().map(|end| Arc::new(Tap { end, sent: sent.clone() }));
    let ranks: Vec<_> = ends.zip(0..).map(|(end, rank)| member(rank, end)).collect();
    ranks.iter().for_each(|ex| use_all(&ex.world(), ex));
    together(&ranks);
    drop(ranks);
    std::mem::take(&mut *sent.lock())
}

fn spoil(random: &mut fastrand::Rng, frame: &mut Frame, other: &Frame) {
    let len = frame.bytes.len();
    match random.u8(..8) {
        0 => frame.bytes.truncate(random.usize(..=len)),
        1 => {
            frame.bytes.splice(.., other.bytes.iter().copied().take(random.usize(..=other.bytes.len()))).for_each(drop);
        }
        2 => frame.blobs.clear(),
        3 => frame.blobs.push(Blob::copy_of(&[1; 77])),
        // Heads are at the end.
        4 => frame.bytes[len.saturating_sub(random.usize(1..16))..].fill(random.u8(..)),
        5 => drop(frame.bytes.drain(..random.usize(..=len.min(4)))),
        _ => (0..random.usize(1..4)).for_each(|_| {
            if let Some(byte) = frame.bytes.get_mut(random.usize(..len.max(1))) {
                *byte = [random.u8(..), 0xff, *byte ^ 1, 0][random.usize(..4)];
            }
        }),
    }
}

#[test]
fn a_rank_outlives_what_it_cannot_understand() {
    let frames = recorded();
    assert!(frames.len() > 50, "{} frames", frames.len());
    let mut ends = local::world(2).into_iter();
    let (ours, theirs) = (ends.next().unwrap(), ends.next().unwrap());
    let victim = member(1, Arc::new(theirs));
    let mut random = fastrand::Rng::with_seed(6);
    for round in 0..FRAMES {
        let mut frame = frames[random.usize(..frames.len())].clone();
        let other = random.usize(..frames.len());
        spoil(&mut random, &mut frame, &frames[other]);
        ours.send(Rank(1), frame);
        if round % 64 == 0 {
            let deadline = Instant::now() + Duration::from_secs(60);
            while ours.poll(&mut |_, _| ()) > 0 {
                assert!(Instant::now() < deadline, "it stops answering in the end");
            }
            assert_eq!(victim.submit(move || round).result().unwrap(), round);
        }
    }
    assert_eq!(victim.world().on(Rank(1)).submit(|(n,)| n + 1, (1_u64,)).result().unwrap(), 2);
}
