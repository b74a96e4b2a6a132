//! What is found by name: primitives, published futures, topics. Nothing is left of what nobody has.

use std::thread;
use std::time::Duration;

use heist::{Shutdown, TaskFuture};

use crate::support::{Count, SOON, busy, executor, guard, until};
use crate::sync_support::{SHORT, blocked, times_out};

#[test]
fn a_name_stands_for_one_thing_of_its_kind() {
    guard(|| {
        let ex = executor(1);
        let (_queue, _variable) = (ex.queue::<i32>("x", Some(2)).unwrap(), ex.variable::<i32>("x").unwrap());
        let (_semaphore, _barrier) = (ex.semaphore("x", 3).unwrap(), ex.barrier("x", 4).unwrap());
        let taken = [
            ex.queue::<i32>("x", None).map(drop).unwrap_err(),
            ex.queue::<i32>("x", Some(3)).map(drop).unwrap_err(),
            ex.queue::<u32>("x", Some(2)).map(drop).unwrap_err(),
            ex.variable::<String>("x").map(drop).unwrap_err(),
            ex.semaphore("x", 2).map(drop).unwrap_err(),
            ex.barrier("x", 5).map(drop).unwrap_err(),
        ];
        for error in taken {
            assert!(error.is_name_taken() && error.to_string().contains("`x`"), "{error}");
        }
        // Each kind has names of its own.
        assert!(ex.lock("x").unwrap().lock().is_ok());
        assert!(!ex.event("x").unwrap().is_set());
        assert!(ex.queue::<i32>("x", Some(2)).is_ok() && ex.semaphore("x", 3).is_ok());
    });
}

#[test]
fn with_the_last_handle_a_name_is_free_and_what_it_stood_for_gone() {
    guard(|| {
        let ex = executor(1);
        let held = ex.variable::<i32>("x").unwrap();
        ex.variable::<i32>("x").unwrap().set(1);
        assert!(held.is_set());
        drop(held);
        assert_eq!(ex.variable::<String>("x").unwrap().try_get(), None);
        let semaphore = ex.semaphore("x", 1).unwrap();
        let permit = semaphore.acquire().unwrap();
        drop(semaphore);
        assert!(ex.semaphore("x", 2).unwrap_err().is_name_taken(), "a permit keeps it");
        drop(permit);
        assert_eq!(ex.semaphore("x", 2).unwrap().available(), 2);
        let event = ex.event("x").unwrap();
        event.set();
        drop(event);
        assert!(!ex.event("x").unwrap().is_set());
    });
}

#[test]
fn a_closed_semaphore_gives_its_name_up() {
    guard(|| {
        let ex = executor(1);
        let old = ex.semaphore("x", 1).unwrap();
        old.close();
        assert!(old.acquire().unwrap_err().is_closed());
        assert!(ex.semaphore("x", 2).unwrap().acquire().is_ok());
    });
}

#[test]
fn names_are_opened_and_dropped_by_many_at_once() {
    guard(|| {
        let ex = executor(4);
        let inside = Count::default();
        let tasks = ex.map(0..4_000, {
            let (ex, inside) = (ex.clone(), inside.clone());
            move |i| {
                let name = format!("{}", i % 3);
                // The last handle goes while others ask for the name.
                let _guard = ex.multi_lock(&[&name]).unwrap().lock().unwrap();
                let permit = ex.semaphore("all", 1).unwrap().acquire().unwrap();
                assert_eq!(inside.add(), 1);
                inside.sub();
                drop(permit);
                ex.variable::<usize>(&name).unwrap().set(i);
                ex.event(&name).unwrap().set();
            }
        });
        ex.gather(tasks).unwrap();
    });
}

#[test]
fn two_executors_have_names_of_their_own() {
    guard(|| {
        let (one, two) = (executor(1), executor(1));
        let _held = one.lock("x").unwrap().lock().unwrap();
        assert!(two.lock("x").unwrap().try_lock().is_some());
        one.publish("x", one.submit(|| 1)).unwrap();
        assert!(two.datasets().is_empty());
    });
}

#[test]
fn what_was_opened_lives_on_when_the_executor_has_ended_and_nothing_new_can_be_opened() {
    guard(|| {
        let ex = executor(1);
        let queue = ex.queue::<i32>("x", None).unwrap();
        ex.shutdown(Shutdown::Wait);
        queue.put(1).unwrap();
        assert_eq!(queue.get().unwrap(), 1);
        assert!(ex.queue::<i32>("x", None).unwrap_err().is_closed());
        assert!(ex.lock("y").unwrap_err().is_closed());
        assert!(ex.publish("y", ex.submit(|| 1)).unwrap_err().is_closed());
        assert!(!ex.unpublish("y") && ex.topics().is_empty());
    });
}

#[test]
fn a_published_future_is_kept_until_it_is_unpublished() {
    guard(|| {
        let ex = executor(1);
        let gate = busy(&ex);
        let ran = Count::default();
        let counting = || {
            let ran = ran.clone();
            ex.submit(move || i32::try_from(ran.add()).unwrap())
        };
        ex.publish("b", counting()).unwrap();
        ex.publish("a", counting()).unwrap();
        assert!(ex.publish("a", counting()).unwrap_err().is_name_taken());
        assert_eq!(ex.datasets(), ["a", "b"]);
        assert!(ex.unpublish("b") && !ex.unpublish("b"));
        drop(gate);
        assert_eq!(ex.published::<i32>("a").unwrap().unwrap().result().unwrap(), 1);
        ex.submit(|| ()).wait().unwrap();
        assert_eq!(ran.get(), 1, "what was unpublished or refused is released");
        assert!(ex.published::<i32>("b").unwrap().is_none());
        assert!(ex.published::<String>("a").unwrap_err().is_name_taken());
        assert!(ex.republish("a", ex.submit(|| "new".to_owned())).unwrap());
        assert_eq!(ex.published::<String>("a").unwrap().unwrap().result().unwrap(), "new");
    });
}

#[test]
fn published_futures_do_not_keep_an_executor_from_ending() {
    guard(|| {
        let ex = executor(1);
        let (promise, future) = ex.promise::<TaskFuture<i32>>();
        ex.publish("itself", future.clone()).unwrap();
        promise.fulfil(ex.submit(|| 1));
        drop(ex);
        assert!(future.done());
    });
}

#[test]
fn a_topic_keeps_its_newest_events_and_tells_those_who_listen() {
    guard(|| {
        let ex = executor(1);
        assert!(ex.events::<u32>("steps").unwrap().is_empty() && ex.topics().is_empty());
        ex.log_event("steps", 0_u32).unwrap();
        let mut heard = ex.subscribe::<u32>("steps").unwrap();
        assert_eq!(heard.try_recv().unwrap(), None, "what was before is history");
        times_out(|time| heard.recv_timeout(time));
        (1..=1_500_u32).try_for_each(|i| ex.log_event("steps", i)).unwrap();
        let history = ex.events::<u32>("steps").unwrap();
        assert_eq!(history.len(), 1_000);
        assert_eq!((history[0].1, history[999].1), (501, 1_500));
        assert!(history.is_sorted_by_key(|(at, _)| *at));
        assert_eq!(heard.recv().unwrap(), 501, "who falls behind misses the oldest");
        assert_eq!(heard.missed(), 500);
        assert_eq!(heard.by_ref().take(999).last(), Some(1_500));
        assert!(ex.log_event("steps", "text").unwrap_err().is_name_taken());
        assert!(ex.subscribe::<String>("steps").unwrap_err().is_name_taken());
        assert_eq!(ex.topics(), ["steps"]);
    });
}

#[test]
fn every_listener_hears_every_event_in_order() {
    guard(|| {
        let ex = executor(2);
        let listeners: Vec<_> = (0..3)
            .map(|_| {
                let heard = ex.subscribe::<u32>("x").unwrap();
                ex.submit(move || heard.take(200).collect::<Vec<_>>())
            })
            .collect();
        let outside = {
            let mut heard = ex.subscribe::<u32>("x").unwrap();
            thread::spawn(move || heard.by_ref().take(200).count())
        };
        let asynchronous = {
            let mut heard = ex.subscribe::<u32>("x").unwrap();
            ex.spawn(async move { heard.recv_async().await.unwrap() })
        };
        (0..200_u32).try_for_each(|i| ex.log_event("x", i)).unwrap();
        for heard in ex.gather(listeners).unwrap() {
            assert_eq!(heard, (0..200).collect::<Vec<_>>());
        }
        assert_eq!(outside.join().unwrap(), 200);
        assert_eq!(asynchronous.result().unwrap(), 0);
    });
}

#[test]
fn a_topic_that_ends_and_an_executor_that_ends_tell_those_who_listen() {
    guard(|| {
        let ex = executor(1);
        let mut first = ex.subscribe::<u32>("a").unwrap();
        let mut second = ex.subscribe::<u32>("b").unwrap();
        let task = blocked(&ex, move || first.recv().unwrap_err().is_closed());
        assert!(ex.end_topic("a") && !ex.end_topic("a"));
        assert!(task.result().unwrap());
        ex.log_event("b", 1_u32).unwrap();
        let outside = thread::spawn(move || (second.recv().unwrap(), second.recv().unwrap_err().is_closed()));
        ex.shutdown(Shutdown::Cancel);
        until("it is told", || outside.is_finished());
        assert_eq!(outside.join().unwrap(), (1, true));
    });
}

#[test]
fn a_name_within_a_task_is_the_same_as_outside() {
    guard(|| {
        let ex = executor(2);
        let event = ex.event("ready").unwrap();
        let task = ex.submit(|| {
            let current = heist::current().unwrap();
            current.executor().event("ready").unwrap().set();
        });
        assert!(event.wait_timeout(SOON).unwrap());
        task.wait().unwrap();
        assert!(event.wait_timeout(Duration::ZERO).unwrap() && SHORT < SOON);
    });
}
