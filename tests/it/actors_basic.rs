//! Actors: made, asked, told, ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use heist::{ActorRef, Shutdown, as_completed};

use crate::support::{Count, Drops, busy, executor, guard, never, running, until};

#[derive(Default)]
struct Counter {
    n: u64,
}

impl Counter {
    fn increment(&mut self) -> u64 {
        self.n += 1;
        self.n
    }
}

/// Dask's `test_client_actions`: made, called, state persists, attributes are read.
#[test]
fn state_persists_between_messages() {
    guard(|| {
        let ex = executor(2);
        let counter = ex.actor(Counter::default);
        assert_eq!(counter.ask(|c| c.n).result().unwrap(), 0);
        assert_eq!(counter.ask(Counter::increment).result().unwrap(), 1);
        assert_eq!(counter.ask(Counter::increment).result().unwrap(), 2);
        counter.tell(|c| c.n += 10).unwrap();
        assert_eq!(counter.ask(|c| c.n).result().unwrap(), 12);
    });
}

/// Dask's `test_worker_actions`: the same from inside a task.
#[test]
fn tasks_talk_to_actors_and_make_them() {
    for workers in [1, 2] {
        guard(move || {
            let ex = executor(workers);
            let inner = ex.clone();
            let task = ex.submit(move || {
                let counter = inner.actor(Counter::default);
                assert_eq!(counter.ask(Counter::increment).result().unwrap(), 1);
                let other = counter.clone();
                assert_eq!(inner.submit(move || other.ask(Counter::increment).result()).result().unwrap().unwrap(), 2);
                assert_eq!(counter.call(Counter::increment).unwrap(), 3);
                counter
            });
            let counter = task.into_result().unwrap().unwrap();
            assert_eq!(counter.ask(|c| c.n).result().unwrap(), 3);
        });
    }
}

/// Dask's `test_linear_access`: calls of one sender arrive in order, told or asked.
#[test]
fn messages_of_one_sender_arrive_in_order() {
    guard(|| {
        let ex = executor(2);
        let list = ex.actor(Vec::new);
        let mut asked = Vec::new();
        for i in 0..300 {
            if i % 3 == 0 {
                asked.push(list.ask(move |list| list.push(i)));
            } else {
                list.tell(move |list| list.push(i)).unwrap();
            }
        }
        assert_eq!(list.ask(|list| list.clone()).result().unwrap(), (0..300).collect::<Vec<_>>());
    });
}

/// Dask's `test_future_dependencies`: an actor is an input of tasks like any other.
#[test]
fn an_actor_is_an_input_and_stays_until_its_dependents_have_run() {
    guard(|| {
        let ex = executor(2);
        let counter = ex.actor(Counter::default);
        let ended = counter.ended();
        let (promise, gate) = never::<u64>(&ex);
        let weak = counter.downgrade();
        let task = ex.submit_after((&gate, counter), |(n, counter): (&u64, &ActorRef<Counter>)| {
            let n = *n;
            counter.ask(move |c| {
                c.n += n;
                c.n
            })
        });
        assert!(weak.upgrade().is_some() && !ended.done());
        promise.fulfil(5);
        assert_eq!(task.into_result().unwrap().unwrap().result().unwrap(), 5);
        ended.result().unwrap();
        assert!(weak.upgrade().is_none());
    });
}

/// Dask's `test_timeout`.
#[test]
fn a_slow_answer_times_out_and_comes_all_the_same() {
    guard(|| {
        let ex = executor(2);
        let counter = ex.actor(Counter::default);
        let (promise, gate) = never::<()>(&ex);
        let slow = counter.ask(move |c| {
            gate.wait().unwrap();
            c.increment()
        });
        assert!(slow.result_timeout(Duration::from_millis(1)).unwrap_err().is_timeout());
        promise.fulfil(());
        assert_eq!(slow.result().unwrap(), 1);
    });
}

/// Dask's `test_many_computations`: many tasks hit one actor.
#[test]
fn many_tasks_hit_one_actor() {
    guard(|| {
        let ex = executor(2);
        let counter = ex.actor(Counter::default);
        let tasks: Vec<_> = (0..1000)
            .map(|i| {
                let counter = counter.clone();
                ex.submit(move || match i % 3 {
                    0 => counter.ask(Counter::increment).result().map(drop),
                    1 => counter.call(Counter::increment).map(drop),
                    _ => counter.tell(|c| c.n += 1),
                })
            })
            .collect();
        ex.gather_results(tasks).into_iter().for_each(|result| result.unwrap().unwrap());
        assert_eq!(counter.ask(|c| c.n).result().unwrap(), 1000);
    });
}

/// Dask's `test_thread_safety`: handlers never overlap.
#[test]
fn handlers_never_overlap() {
    guard(|| {
        let ex = executor(4);
        let (inside, most) = (Count::default(), Count::default());
        let actor = ex.actor(|| ());
        let tasks: Vec<_> = (0..400)
            .map(|i| {
                let (actor, inside, most) = (actor.clone(), inside.clone(), most.clone());
                ex.submit(move || {
                    let handler = move |(): &mut ()| {
                        most.max(inside.add());
                        std::hint::black_box((0..200).sum::<u64>());
                        inside.sub();
                    };
                    if i % 2 == 0 { actor.call(handler) } else { actor.ask(handler).result() }
                })
            })
            .collect();
        ex.gather_results(tasks).into_iter().for_each(|result| result.unwrap().unwrap());
        assert_eq!(most.get(), 1);
    });
}

/// Dask's `test_load_balance`: two busy actors run on two workers.
#[test]
fn busy_actors_spread_over_the_workers() {
    guard(|| {
        let ex = executor(2);
        let (a, b) = (ex.actor(|| ()), ex.actor(|| ()));
        let meet = Arc::new(AtomicUsize::new(0));
        let both = [a, b].map(|actor| {
            let meet = meet.clone();
            actor.ask(move |()| {
                meet.fetch_add(1, Ordering::SeqCst);
                until("the other runs beside", || meet.load(Ordering::SeqCst) == 2);
            })
        });
        ex.gather(both).unwrap();
    });
}

/// Dask's `test_compute`: an actor within a graph, gone afterwards.
#[test]
fn an_actor_within_a_graph_is_gone_afterwards() {
    guard(|| {
        let ex = executor(2);
        let makers = ex.clone();
        let actor = ex.submit(move || makers.actor(Counter::default));
        let sums = ex.map_after((0..10).map(|_| &actor), |actor| actor.ask(Counter::increment));
        let total = ex.submit_after((actor, sums), |(actor, sums): (_, Vec<_>)| {
            let _: &ActorRef<Counter> = actor;
            sums.into_iter().map(|sum| sum.result().unwrap()).sum::<u64>()
        });
        assert_eq!(total.result().unwrap(), 55);
        drop(total);
        until("no actor is left", || ex.actors().is_empty());
    });
}

/// Dask's `test_as_completed`.
#[test]
fn answers_are_futures_like_any_other() {
    guard(|| {
        let ex = executor(2);
        let counter = ex.actor(Counter::default);
        let mut seen: Vec<_> =
            as_completed((0..50).map(|_| counter.ask(Counter::increment))).map(|(_, n)| n.unwrap()).collect();
        seen.sort_unstable();
        assert_eq!(seen, (1..=50).collect::<Vec<_>>());
        let answers: Vec<_> = (0..10).map(|_| counter.ask(Counter::increment)).collect();
        assert_eq!(heist::wait_all(&answers).done.len(), 10);
        assert_eq!(ex.gather(answers).unwrap().len(), 10);
        let next = ex.submit_after(counter.ask(Counter::increment), |n| n * 2);
        assert_eq!(next.result().unwrap(), 122);
    });
}

/// Dask's `test_actor_future_awaitable_deadlock`: two await one answer.
#[test]
fn two_await_one_answer() {
    guard(|| {
        let ex = executor(1);
        let counter = ex.actor(Counter::default);
        let answer = counter.ask(Counter::increment);
        let waits = [answer.clone(), answer].map(|answer| ex.spawn(async move { answer.await.unwrap() }));
        assert_eq!(ex.gather(waits).unwrap(), [1, 1]);
    });
}

/// Dask's `test_gc`: without references an actor goes.
#[test]
fn without_references_an_actor_goes() {
    guard(|| {
        let ex = executor(2);
        let drops = Drops::default();
        let piece = drops.piece();
        let actor = ex.actor(move || piece);
        let second = actor.clone();
        actor.ask(|_| ()).wait().unwrap();
        drop(actor);
        assert_eq!((drops.count(), ex.actors().len()), (0, 1));
        drop(second);
        until("the state is dropped", || drops.count() == 1);
        until("it is told of no more", || ex.actors().is_empty());
    });
}

#[test]
fn an_answer_that_nobody_wants_is_not_worked_out_but_what_is_told_is() {
    guard(|| {
        let ex = executor(2);
        let counter = ex.actor(Counter::default);
        let (promise, gate) = never::<()>(&ex);
        counter.tell(move |_| gate.wait().unwrap()).unwrap();
        let drops = Drops::default();
        let (dropped, cancelled) = (drops.piece(), drops.piece());
        drop(counter.ask(move |c| {
            drop(dropped);
            c.increment()
        }));
        let answer = counter.ask(move |c| {
            drop(cancelled);
            c.increment()
        });
        assert_eq!(answer.status(), heist::Status::Ready);
        assert!(answer.cancel("no longer wanted"));
        assert!(answer.result().unwrap_err().is_cancelled());
        counter.ask(Counter::increment).detach();
        counter.tell(|c| c.n += 10).unwrap();
        promise.fulfil(());
        assert_eq!(counter.ask(|c| c.n).result().unwrap(), 11);
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn actors_are_told_of_with_name_depth_and_home() {
    guard(|| {
        let ex = executor(1);
        let actor = ex.actor_with(heist::ActorOptions::new().name("ledger"), Counter::default).unwrap();
        actor.ask(|_| ()).wait().unwrap();
        let _busy = busy(&ex);
        for _ in 0..7 {
            actor.tell(|c| c.n += 1).unwrap();
        }
        let [info] = &ex.actors()[..] else { panic!("one actor") };
        assert_eq!((info.name.as_str(), info.waiting, info.id), ("ledger", 7, actor.id()));
        assert_eq!((actor.waiting(), actor.name()), (7, "ledger"));
    });
}

#[test]
fn handlers_are_tasks_to_themselves() {
    guard(|| {
        let ex = executor(2);
        let actor = ex.actor(|| ());
        let (sender, receiver) = std::sync::mpsc::channel();
        let asked = actor.ask(move |()| {
            let _ = sender.send(heist::current().unwrap().task_id());
            until("the answer is cancelled", heist::cancelled);
        });
        assert_eq!(receiver.recv().unwrap(), asked.id());
        asked.cancel("enough");
        actor.ask(|()| assert!(!heist::cancelled())).result().unwrap();
        ex.shutdown(Shutdown::Wait);
    });
}

#[test]
fn actors_live_in_their_own_executor_and_the_answer_travels() {
    guard(|| {
        let (ex, other) = (executor(1), executor(1));
        let counter = ex.actor(Counter::default);
        let remote = counter.clone();
        let n = other.submit(move || remote.ask(Counter::increment).result().unwrap() + remote.call(|c| c.n).unwrap());
        assert_eq!(n.result().unwrap(), 2);
        let (end, task) = running(&other, ());
        assert!(other.submit_after((&task, &counter), |_| ()).result().unwrap_err().is_foreign_future());
        drop(end);
    });
}
