//! Messages between two ranks as frames: whole, corrupt, and such that promise too much.

use super::Executor;
use crate::error::{TaskError, TaskErrorKind};
use crate::primitive::sync::Arc;
use crate::rank::inside::{
    Blob, Frame, Kind, Message, Packed, Passed, Reference, from_frame, name, pack, ranks_are_near, to_frame,
};
use crate::rank::{Array, Rank, Shared};

fn two() -> Vec<Executor> {
    Executor::in_process_world(2, |_| Executor::builder().workers(1)).unwrap()
}

/// A message of each kind, with each thing that may go beside it.
fn messages(world: &Arc<Shared>) -> Vec<Message> {
    let small = || pack(&(7_u64, "text".to_owned(), Array::from(vec![1_u8; 9]))).unwrap();
    let large = || pack(&[Array::from(vec![2_u64; 9_000]), Array::from(vec![3_u64; 400_000])]).unwrap();
    let error = || pack(&Passed(TaskError::new(TaskErrorKind::Timeout))).unwrap();
    let held = || {
        let references = vec![name(world, Rank(0)), name(world, Rank(1))];
        Packed { references, ..large() }
    };
    let values: [&dyn Fn() -> Packed; 5] = [&Packed::default, &small, &large, &error, &held];
    let kinds = (0..=u8::MAX).filter_map(Kind::of);
    let each = |kind| values.iter().zip(0..).map(move |(packed, ticket)| Message { kind, ticket, packed: packed() });
    kinds.flat_map(each).collect()
}

#[test]
fn a_message_arrives_as_it_was() {
    let ranks = two();
    let (one, other) = (ranks[0].world(), ranks[1].world());
    for message in messages(one.shared()) {
        let (kind, ticket, bytes) = (message.kind, message.ticket, message.packed.bytes.clone());
        let ids: Vec<_> = message.packed.references.iter().map(Reference::id).collect();
        let blobs: Vec<_> = message.packed.blobs.iter().map(|blob| blob.to_vec()).collect();
        let frame = to_frame(one.shared(), Rank(1), message).unwrap();
        let arrived = from_frame(other.shared(), Rank(0), frame).unwrap();
        assert_eq!((arrived.kind, arrived.ticket, arrived.packed.bytes), (kind, ticket, bytes));
        assert!(arrived.packed.references.iter().map(Reference::id).eq(ids));
        assert!(arrived.packed.blobs.iter().map(|blob| blob.to_vec()).eq(blobs));
    }
}

#[test]
fn what_is_large_goes_to_the_host_by_its_address() {
    let ranks = two();
    let (one, other) = (ranks[0].world(), ranks[1].world());
    ranks_are_near();
    let array = Array::build(400_000, |values: &mut [u64]| values.fill(5)).unwrap();
    assert!(array.is_shared());
    let packed = pack(&array.part(1..)).unwrap();
    let frame = to_frame(one.shared(), Rank(1), Message { kind: Kind::Data, ticket: 0, packed }).unwrap();
    assert!(frame.blobs.is_empty() && frame.bytes.len() < 200);
    let at = array[1..].as_ptr();
    drop(array);
    // The loan keeps it.
    let arrived = from_frame(other.shared(), Rank(0), frame.clone()).unwrap();
    let array: Array<u64> = arrived.packed.unpack(other.shared()).unwrap();
    assert_eq!((array.len(), array.as_ptr()), (399_999, at));
    drop(array);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while from_frame(other.shared(), Rank(0), frame.clone()).is_ok() {
        assert!(std::time::Instant::now() < deadline, "the loan has ended");
        std::thread::yield_now();
    }
}

#[test]
fn a_corrupt_frame_is_an_error_or_another_message() {
    let ranks = two();
    let (one, other) = (ranks[0].world(), ranks[1].world());
    let mut random = fastrand::Rng::with_seed(8);
    let frames: Vec<_> =
        messages(one.shared()).into_iter().map(|message| to_frame(one.shared(), Rank(1), message).unwrap()).collect();
    let mut read = 0;
    for mut frame in frames.iter().cloned().cycle().take(20_000) {
        match random.u8(..5) {
            0 => frame.bytes.truncate(random.usize(..frame.bytes.len())),
            1 => frame.bytes.extend(std::iter::repeat_with(|| random.u8(..)).take(3)),
            2 => drop(frame.blobs.pop()),
            3 => frame.blobs.push(Blob::copy_of(&[0; 7])),
            // The head is at the end.
            _ => (0..random.usize(1..4)).for_each(|_| {
                let len = frame.bytes.len();
                frame.bytes[len - random.usize(1..=len.min(40))] = random.u8(..);
            }),
        }
        if let Ok(message) = from_frame(other.shared(), Rank(0), frame) {
            // What a corrupt number of an object names is nobody's to let go of here.
            std::mem::forget(message.packed.references);
            read += 1;
        }
    }
    assert!(read < 15_000, "{read} of 20000 were read");
}

#[test]
fn a_frame_that_promises_more_than_it_has_takes_no_memory() {
    let ranks = two();
    let world = ranks[0].world();
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    for at in 0..4 {
        let mut bytes = vec![Kind::Data as u8, 0];
        bytes.extend(vec![0; at]);
        bytes.extend(huge);
        bytes.extend(((at + 2 + huge.len()) as u32).to_le_bytes());
        assert!(from_frame(world.shared(), Rank(1), Frame { bytes, blobs: Vec::new() }).is_err());
    }
    for len in 0..5 {
        assert!(from_frame(world.shared(), Rank(1), Frame { bytes: vec![0xff; len], blobs: Vec::new() }).is_err());
    }
}
