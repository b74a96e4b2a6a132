//! Queues: order, batches, bounds, closing, what they hold.

use std::future::poll_fn;
use std::pin::Pin;
use std::thread;
use std::time::Duration;

use futures_core::Stream;
use heist::{Queue, TaskFuture};

use crate::support::{Count, Drops, busy, executor, guard, never, until};
use crate::sync_support::{ByHand, LONG, SHORT, blocked, times_out};

#[test]
fn two_handles_of_a_name_are_one_queue() {
    guard(|| {
        let ex = executor(1);
        let (a, b) = (ex.queue("x", None).unwrap(), ex.queue("x", None).unwrap());
        assert!(a.is_empty());
        a.put(123).unwrap();
        assert_eq!((b.len(), b.get().unwrap(), a.len()), (1, 123, 0));
    });
}

#[test]
fn first_in_first_out_and_first_come_first_served() {
    guard(|| {
        let queue = Queue::unbounded();
        let mut getting: Vec<_> = (0..3).map(|_| ByHand::waiting(queue.get_async())).collect();
        (0..5).try_for_each(|i| queue.put(i)).unwrap();
        for (index, get) in getting.iter_mut().enumerate() {
            assert_eq!(get.ready().unwrap(), index);
        }
        assert_eq!(queue.get_all(), [3, 4]);
        let queue = Queue::bounded(1);
        queue.put(0).unwrap();
        let mut putting: Vec<_> = (1..4).map(|i| ByHand::waiting(queue.put_async(i))).collect();
        assert!(queue.try_put(9).unwrap_err().error().is_timeout(), "others came first");
        for i in 0..4 {
            assert_eq!(queue.get().unwrap(), i);
            assert_eq!(putting.iter().filter(|put| put.woken.times() > 0).count(), 3.min(i + 1));
        }
        putting.iter_mut().for_each(|put| put.ready().unwrap());
    });
}

#[test]
fn everything_put_by_many_is_got_once_by_many() {
    guard(|| {
        const PRODUCERS: usize = 4;
        const EACH: usize = 500;
        for bound in [None, Some(0), Some(1), Some(7)] {
            let ex = executor(2);
            let queue = bound.map_or_else(Queue::unbounded, Queue::bounded);
            let producers = ex.map(0..PRODUCERS, {
                let queue = queue.clone();
                move |producer| (0..EACH).try_for_each(|i| queue.put((producer, i))).unwrap()
            });
            let consumers = ex.map(0..3, {
                let queue = queue.clone();
                move |_| queue.iter().collect::<Vec<_>>()
            });
            let outside = thread::spawn({
                let queue = queue.clone();
                move || queue.iter().collect::<Vec<_>>()
            });
            ex.gather(producers).unwrap();
            queue.close();
            let mut got = ex.gather(consumers).unwrap();
            got.push(outside.join().unwrap());
            for one in &got {
                for producer in 0..PRODUCERS {
                    let mine = one.iter().filter(|(from, _)| *from == producer).map(|(_, i)| i);
                    assert!(mine.is_sorted(), "what one puts arrives in order, bound {bound:?}");
                }
            }
            let mut all = got.concat();
            all.sort_unstable();
            assert_eq!(all, (0..PRODUCERS).flat_map(|p| (0..EACH).map(move |i| (p, i))).collect::<Vec<_>>());
        }
    });
}

#[test]
fn put_and_get_in_tasks_may_start_in_either_order() {
    guard(|| {
        let ex = executor(1);
        let get = || {
            let inner = ex.clone();
            blocked(&ex, move || inner.queue::<i32>("x", None).unwrap().get())
        };
        let early = get();
        let put = |n| {
            let inner = ex.clone();
            ex.submit(move || inner.queue::<i32>("x", None).unwrap().put(n).is_ok())
        };
        assert!(put(1).result().unwrap());
        assert_eq!(early.result().unwrap().unwrap(), 1);
        let kept = ex.queue::<i32>("x", None).unwrap();
        assert!(put(2).result().unwrap());
        assert_eq!(get().result().unwrap().unwrap(), 2);
        drop(kept);
    });
}

#[test]
fn a_batch_of_all_is_what_there_is_and_a_batch_of_n_waits_for_n() {
    guard(|| {
        let queue = Queue::unbounded();
        assert!(queue.get_all().is_empty());
        (0..3).try_for_each(|i| queue.put(i)).unwrap();
        assert_eq!(queue.get_all(), [0, 1, 2]);
        (0..3).try_for_each(|i| queue.put(i)).unwrap();
        assert_eq!(queue.get_batch(2).unwrap(), [0, 1]);
        assert!(queue.get_batch(0).unwrap().is_empty());
        let mut five = ByHand::waiting(queue.get_batch_async(5));
        let mut one = ByHand::waiting(queue.get_async());
        assert!(queue.is_empty(), "what there was is reserved for the first");
        (3..6).try_for_each(|i| queue.put(i)).unwrap();
        assert_eq!((five.woken.times(), one.woken.times()), (0, 0));
        queue.put(6).unwrap();
        queue.put(7).unwrap();
        assert_eq!(five.ready().unwrap(), [2, 3, 4, 5, 6]);
        assert_eq!(one.ready().unwrap(), 7);
    });
}

#[test]
fn a_batch_that_does_not_come_in_time_leaves_its_items_in_order() {
    guard(|| {
        let queue = Queue::unbounded();
        (0..3).try_for_each(|i| queue.put(i)).unwrap();
        times_out(|time| queue.get_batch_timeout(4, time));
        assert!(queue.get_batch_timeout(4, Duration::ZERO).unwrap_err().is_timeout());
        assert_eq!(queue.len(), 3);
        let batch = ByHand::waiting(queue.get_batch_async(5));
        let mut behind = ByHand::waiting(queue.get_batch_async(2));
        queue.put(3).unwrap();
        drop(batch);
        assert_eq!(behind.ready().unwrap(), [0, 1]);
        assert_eq!(queue.get_all(), [2, 3]);
    });
}

#[test]
fn a_batch_may_be_larger_than_the_bound() {
    guard(|| {
        let ex = executor(1);
        let queue = Queue::bounded(2);
        let producer = ex.submit({
            let queue = queue.clone();
            move || (0..20).try_for_each(|i| queue.put(i)).is_ok()
        });
        assert_eq!(queue.get_batch(10).unwrap(), (0..10).collect::<Vec<_>>());
        assert_eq!(queue.get_batch(10).unwrap(), (10..20).collect::<Vec<_>>());
        assert!(producer.result().unwrap());
        // Those who wait to put count as there.
        let mut putting: Vec<_> = (0..2).map(|i| ByHand::new(queue.put_async(i))).collect();
        assert!(putting.iter_mut().all(|put| put.poll().is_some()));
        let mut third = ByHand::waiting(queue.put_async(2));
        assert_eq!(queue.get_batch_timeout(3, Duration::ZERO).unwrap(), [0, 1, 2]);
        third.ready().unwrap();
    });
}

#[test]
fn an_empty_get_and_a_full_put_time_out_in_about_the_asked_time() {
    guard(|| {
        let queue = Queue::bounded(1);
        times_out(|time| queue.get_timeout(time));
        assert!(queue.get_timeout(Duration::ZERO).unwrap_err().is_timeout());
        queue.put_timeout(1, Duration::ZERO).unwrap();
        times_out(|time| queue.put_timeout(2, time).map_err(heist::TaskError::from));
        let refused = queue.put_timeout(3, Duration::ZERO).unwrap_err();
        assert!(refused.error().is_timeout());
        assert_eq!(refused.into_value(), 3);
        assert_eq!(queue.get_timeout(LONG).unwrap(), 1);
        assert!(queue.is_empty(), "puts that gave up have put nothing");
        queue.put_timeout(4, SHORT).unwrap();
        assert_eq!(queue.try_get().unwrap(), Some(4));
    });
}

#[test]
fn a_queue_without_room_passes_from_hand_to_hand() {
    guard(|| {
        let queue = Queue::bounded(0);
        assert!(queue.try_put(0).is_err());
        let mut putting = ByHand::waiting(queue.put_async(1));
        assert_eq!((queue.len(), queue.try_get().unwrap()), (0, Some(1)));
        putting.ready().unwrap();
        let mut getting = ByHand::waiting(queue.get_async());
        queue.try_put(2).unwrap();
        assert_eq!(getting.ready().unwrap(), 2);
        let putting = ByHand::waiting(queue.put_async(3));
        drop(putting);
        assert_eq!(queue.try_get().unwrap(), None, "a dropped put has put nothing");
    });
}

#[test]
fn closed_twice_it_lets_go_of_those_who_wait_and_keeps_what_is_left() {
    guard(|| {
        let ex = executor(1);
        let full = Queue::bounded(1);
        full.put(1).unwrap();
        let mut putting = ByHand::waiting(full.put_async(2));
        let task = blocked(&ex, {
            let full = full.clone();
            move || full.put(3)
        });
        assert!(full.close());
        assert!(!full.close() && full.is_closed());
        let refused = putting.ready().unwrap_err();
        assert!(refused.error().is_closed());
        assert_eq!(refused.into_value(), 2, "the value comes back");
        assert!(task.into_result().unwrap().unwrap().unwrap_err().error().is_closed());
        assert!(full.try_put(4).unwrap_err().error().is_closed());
        assert_eq!(full.get().unwrap(), 1);
        assert!(full.get().unwrap_err().is_closed());
        assert!(full.get_batch(1).unwrap_err().is_closed());
        assert!(full.get_all().is_empty());

        let empty = Queue::<i32>::unbounded();
        let mut getting = ByHand::waiting(empty.get_async());
        let task = blocked(&ex, {
            let empty = empty.clone();
            move || empty.get()
        });
        empty.close();
        assert!(getting.ready().unwrap_err().is_closed());
        assert!(task.result().unwrap().unwrap_err().is_closed());
    });
}

#[test]
fn what_a_batch_had_when_the_queue_was_closed_can_still_be_got() {
    guard(|| {
        let queue = Queue::unbounded();
        let mut batch = ByHand::waiting(queue.get_batch_async(3));
        (0..2).try_for_each(|i| queue.put(i)).unwrap();
        queue.close();
        assert!(batch.ready().unwrap_err().is_closed());
        assert!(queue.get_batch(3).unwrap_err().is_closed());
        assert_eq!(queue.get_all(), [0, 1]);
    });
}

#[test]
fn a_closed_queue_gives_its_name_up() {
    guard(|| {
        let ex = executor(1);
        let old = ex.queue("x", None).unwrap();
        old.put(1).unwrap();
        old.close();
        let new = ex.queue::<String>("x", Some(1)).unwrap();
        assert!(!new.is_closed() && new.is_empty());
        drop(old);
        assert!(ex.queue::<i32>("x", None).unwrap_err().is_name_taken(), "the old one takes no name with it");
    });
}

#[test]
fn a_dropped_get_gives_what_it_had_to_the_next() {
    guard(|| {
        let queue = Queue::unbounded();
        let first = ByHand::waiting(queue.get_async());
        let mut second = ByHand::waiting(queue.get_async());
        queue.put(1).unwrap();
        queue.put(2).unwrap();
        assert_eq!(second.ready().unwrap(), 2);
        let mut third = ByHand::waiting(queue.get_async());
        drop(first);
        assert_eq!(third.ready().unwrap(), 1);
        let first = ByHand::waiting(queue.get_async());
        queue.put(3).unwrap();
        queue.put(4).unwrap();
        drop(first);
        assert_eq!(queue.get_all(), [3, 4], "in front of what came later");
    });
}

#[test]
fn a_future_in_a_queue_outlives_its_producer() {
    guard(|| {
        let ex = executor(1);
        let queue = ex.queue::<TaskFuture<i32>>("x", None).unwrap();
        let gate = busy(&ex);
        queue.put_future(ex.submit(|| 7)).unwrap();
        drop(gate);
        assert_eq!(queue.get().unwrap().result().unwrap(), 7);
        // Released with the queue, when nobody else wants it.
        let gate = busy(&ex);
        let ran = Count::default();
        queue
            .put(ex.submit({
                let ran = ran.clone();
                move || i32::try_from(ran.add()).unwrap()
            }))
            .unwrap();
        drop(queue);
        drop(gate);
        ex.submit(|| ()).wait().unwrap();
        assert_eq!(ran.get(), 0);
    });
}

#[test]
fn who_gets_a_future_knows_its_status_at_once() {
    guard(|| {
        let ex = executor(1);
        let queue = Queue::unbounded();
        let (good, bad) = (ex.submit(|| 1), ex.submit(|| panic!("no")));
        good.wait().unwrap();
        bad.wait().unwrap();
        queue.put_future(good).unwrap();
        queue.put_future(bad).unwrap();
        assert_eq!(queue.get().unwrap().status(), heist::Status::Finished);
        assert_eq!(queue.get().unwrap().status(), heist::Status::Failed);
    });
}

#[test]
fn a_cancelled_future_is_not_put_and_the_error_says_why() {
    guard(|| {
        let ex = executor(1);
        let queue = Queue::unbounded();
        let (_promise, future) = never::<i32>(&ex);
        future.cancel("superseded by a better one");
        let refused = queue.put_future(future.clone()).unwrap_err();
        assert!(refused.error().is_cancelled());
        assert!(refused.to_string().contains("superseded by a better one"), "{refused}");
        assert!(refused.into_value() == future && queue.is_empty());
    });
}

#[test]
fn what_is_left_is_dropped_once_with_the_last_handle() {
    guard(|| {
        let drops = Drops::default();
        let queue = Queue::bounded(3);
        (0..3).for_each(|_| assert!(queue.put(drops.piece()).is_ok()));
        let putting = ByHand::waiting(queue.put_async(drops.piece()));
        let taken = queue.get().unwrap();
        drop(taken);
        assert_eq!(drops.count(), 1);
        drop(queue.clone());
        drop((putting, queue));
        assert_eq!(drops.count(), 4);
    });
}

#[test]
fn a_stream_ends_with_its_queue_and_leaves_the_line_when_dropped() {
    guard(|| {
        let queue = Queue::unbounded();
        let next = |stream: heist::QueueStream<i32>| {
            let mut stream = stream;
            async move {
                let item = poll_fn(|cx| Pin::new(&mut stream).poll_next(cx)).await;
                (item, stream)
            }
        };
        let mut waiting = ByHand::waiting(next(queue.stream()));
        queue.put(1).unwrap();
        let (item, stream) = waiting.ready();
        assert_eq!(item, Some(1));
        let waiting = ByHand::waiting(next(stream));
        queue.put(2).unwrap();
        drop(waiting);
        assert_eq!(queue.len(), 1, "what it was given goes back");
        let (item, stream) = ByHand::new(next(queue.stream())).poll().unwrap();
        assert_eq!(item, Some(2));
        let mut waiting = ByHand::waiting(next(stream));
        queue.close();
        let (item, stream) = waiting.ready();
        assert_eq!(item, None);
        assert_eq!(ByHand::new(next(stream)).poll().unwrap().0, None, "and stays ended");
    });
}

#[test]
fn a_queue_between_two_executors_and_a_thread() {
    guard(|| {
        let (one, two) = (executor(1), executor(1));
        let (there, back) = (Queue::bounded(1), Queue::bounded(1));
        let echo = two.submit({
            let (there, back) = (there.clone(), back.clone());
            move || there.iter().try_for_each(|i: u64| back.put(i + 1)).is_ok()
        });
        let asker = one.submit({
            let (there, back) = (there.clone(), back.clone());
            move || {
                (0..500).all(|i| {
                    there.put(i).unwrap();
                    back.get().unwrap() == i + 1
                })
            }
        });
        assert!(asker.result().unwrap());
        there.close();
        assert!(echo.result().unwrap());
        let outside = thread::spawn({
            let back = back.clone();
            move || back.get()
        });
        until("one waits", || back.try_put(5).is_ok());
        assert_eq!(outside.join().unwrap().unwrap(), 5);
    });
}

#[test]
fn futures_put_by_a_task_or_another_executor_outlive_both() {
    guard(|| {
        let ex = executor(1);
        let queue = Queue::unbounded();
        let producer = ex.submit({
            let (ex, queue) = (ex.clone(), queue.clone());
            move || {
                let input = ex.submit(|| 20);
                let sum = ex.submit_after(&input, |n| n + 1);
                queue.put_future(sum).unwrap();
            }
        });
        producer.into_result().unwrap().unwrap();
        assert_eq!(queue.get().unwrap().result().unwrap(), 21);
        // An executor that has ended leaves values, and what it had not begun as cancelled.
        let done = ex.submit(|| 1);
        done.wait().unwrap();
        let hold = busy(&ex);
        queue.put_future(done).unwrap();
        queue.put_future(ex.submit(|| 2)).unwrap();
        let closing = thread::spawn({
            let ex = ex.clone();
            move || ex.close()
        });
        until("it closes", || ex.submit(|| ()).cancelled());
        drop(hold);
        closing.join().unwrap();
        drop(ex);
        assert_eq!(queue.get().unwrap().result().unwrap(), 1);
        let cancelled = queue.get().unwrap().result().unwrap_err();
        assert!(cancelled.cancel_reason().unwrap().is_executor_closed());
    });
}
