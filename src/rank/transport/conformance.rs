//! What every transport must do; each runs these tests on itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Transport;
use crate::primitive::sync::Arc;
use crate::rank::bell::PROGRESS;
use crate::rank::codec::{Blob, Frame};
use crate::rank::world::Rank;

const PATIENCE: Duration = Duration::from_secs(60);

/// The ends of a world of so many ranks.
type Ends = fn(usize) -> Vec<Arc<dyn Transport>>;

/// Everything below.
pub(crate) fn all(ends: Ends) {
    frames_arrive_whole_and_in_order(ends);
    what_is_large_comes_through_with_its_blobs(ends);
    threads_of_several_ranks_send_at_once(ends);
}

pub(crate) fn frame(bytes: impl Into<Vec<u8>>) -> Frame {
    Frame { bytes: bytes.into(), blobs: Vec::new() }
}

/// Polls until there are so many frames.
pub(crate) fn receive(end: &dyn Transport, count: usize) -> Vec<(Rank, Frame)> {
    let mut found = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while found.len() < count {
        end.poll(&mut |from, frame| found.push((from, frame)));
        assert!(Instant::now() < deadline, "{} of {count}", found.len());
    }
    found
}

fn frames_arrive_whole_and_in_order(ends: Ends) {
    let ends = ends(2);
    for len in [0, 1, 7, 8, 9, 1_000] {
        ends[0].send(Rank(1), frame(vec![len as u8; len]));
    }
    let found = receive(&*ends[1], 6);
    assert!(found.iter().all(|(from, frame)| *from == Rank(0) && frame.blobs.is_empty()));
    let lengths: Vec<_> = found.iter().map(|(_, frame)| frame.bytes.len()).collect();
    assert_eq!(lengths, [0, 1, 7, 8, 9, 1_000]);
    assert!(!ends[1].has_some());
}

fn what_is_large_comes_through_with_its_blobs(ends: Ends) {
    let ends = ends(2);
    let large: Vec<u8> = (0..1_000_003_u32).map(|at| (at % 251) as u8).collect();
    let blobs = vec![Blob::copy_of(&[]), Blob::copy_of(&large), Blob::copy_of(&[1, 2, 3])];
    let sent = Frame { bytes: large.clone(), blobs };
    ends[0].send(Rank(1), sent);
    ends[0].send(Rank(1), frame("behind it"));
    std::thread::scope(|s| {
        let found = s.spawn(|| receive(&*ends[1], 2));
        let deadline = Instant::now() + PATIENCE;
        while !found.is_finished() {
            ends[0].poll(&mut |_, _| ());
            assert!(Instant::now() < deadline);
        }
        let found = found.join().unwrap();
        assert!(found[0].1.bytes == large);
        let blobs: Vec<_> = found[0].1.blobs.iter().map(|blob| blob.to_vec()).collect();
        assert!(blobs == [vec![], large.clone(), vec![1, 2, 3]]);
        assert_eq!(found[1].1.bytes, b"behind it");
    });
}

fn threads_of_several_ranks_send_at_once(ends: Ends) {
    const EACH: u32 = 3_000;
    let ends = ends(3);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|s| {
        for end in &ends[..2] {
            let is_over = &is_over;
            for thread in 0..2_u32 {
                s.spawn(move || {
                    for number in 0..EACH {
                        let mut bytes = thread.to_ne_bytes().to_vec();
                        bytes.extend(number.to_ne_bytes());
                        bytes.resize(8 + number as usize % 100, 0);
                        end.send(Rank(2), frame(bytes));
                    }
                });
            }
            s.spawn(move || {
                // Asleep at the bell while nothing can be pushed on.
                while !is_over.load(Ordering::Acquire) {
                    end.poll(&mut |_, _| ());
                    let calls = end.bell().calls();
                    if !is_over.load(Ordering::Acquire) {
                        end.bell().rest(calls, None, || end.has_some());
                    }
                    end.bell().hear();
                }
            });
        }
        let found = receive(&*ends[2], 4 * EACH as usize);
        is_over.store(true, Ordering::Release);
        ends.iter().for_each(|end| end.bell().call(PROGRESS));
        let mut next = [[0_u32; 2]; 2];
        for (from, frame) in found {
            let word = |at| u32::from_ne_bytes(frame.bytes[at..at + 4].try_into().unwrap());
            let next = &mut next[from.index()][word(0) as usize];
            assert_eq!(word(4), *next);
            assert_eq!(frame.bytes.len(), 8 + *next as usize % 100);
            *next += 1;
        }
    });
}
