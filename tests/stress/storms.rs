//! Everything at once, from several threads: cancels, drops, waits, awaits, callbacks, detaches, shutdowns, promises.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use heist::{Executor, Shutdown, TaskFuture};

use crate::{executor, limit, stress, tasks, watchdog};

/// Counts what it guards in and out.
struct Guard(Arc<AtomicU64>);

impl Guard {
    fn new(live: &Arc<AtomicU64>) -> Self {
        live.fetch_add(1, Ordering::Relaxed);
        Self(live.clone())
    }
}

impl Clone for Guard {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Does one thing to a future, at random.
fn treat(random: &mut fastrand::Rng, ex: &Executor, live: &Arc<AtomicU64>, future: TaskFuture<Guard>, waits: bool) {
    match random.u8(0..11) {
        0 => drop(future),
        1 => {
            future.cancel("at random");
        }
        2 => {
            future.detach();
        }
        3 => {
            let live = Guard::new(live);
            future.on_done(move |future| {
                let _live = live;
                assert!(future.done());
            });
        }
        4 => {
            let mut awaited = future.clone().into_future();
            let _ = Pin::new(&mut awaited).poll(&mut Context::from_waker(Waker::noop()));
            drop(awaited);
        }
        5 => drop(future.wait_timeout(Duration::from_micros(random.u64(0..30)))),
        6 if waits => drop(future.result()),
        7 if waits => drop(future.into_result()),
        8 => {
            ex.submit_after_results((&future, future.clone()), |_| ()).detach();
        }
        9 => {
            ex.spawn(async move { future.await.is_ok() }).detach();
        }
        _ => {
            let (other, live) = (future.clone(), Guard::new(live));
            let next = ex.submit_after(&future, move |value| (value.clone(), live).0);
            next.cancel("at random");
            drop((other, next));
        }
    }
}

/// Makes and treats `count` tasks, in part from within tasks.
fn storm(ex: &Executor, live: &Arc<AtomicU64>, seed: u64, count: usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut kept: Vec<TaskFuture<Guard>> = Vec::new();
    for _ in 0..count {
        let guard = Guard::new(live);
        let future = match (random.u8(0..5), kept.last()) {
            (0, Some(input)) => ex.submit_after(input, move |input| (guard, input.clone()).1),
            (1, Some(input)) => {
                let inputs = (input, &kept[random.usize(0..kept.len())]);
                ex.submit_after(inputs, move |(a, _)| (a.clone(), guard).1)
            }
            (2, _) => ex.spawn(async move { guard }),
            (3, _) => {
                let (ex, live, seed) = (ex.clone(), live.clone(), random.u64(..));
                ex.clone().submit(move || {
                    let inner = ex.submit(move || guard);
                    treat(&mut fastrand::Rng::with_seed(seed), &ex, &live, inner.clone(), true);
                    drop(inner);
                    Guard::new(&live)
                })
            }
            _ => ex.submit(move || guard),
        };
        kept.push(future.clone());
        treat(&mut random, ex, live, future, true);
        if kept.len() > 50 {
            let index = random.usize(0..kept.len());
            treat(&mut random, ex, live, kept.swap_remove(index), false);
        }
    }
}

fn threads(count: u64, call: impl Fn(u64) + Send + Sync + 'static) {
    let call = Arc::new(call);
    let threads: Vec<_> = (0..count)
        .map(|index| {
            let call = call.clone();
            thread::spawn(move || call(index))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn stress_storm_from_many_threads() {
    for workers in [1, 2, 4] {
        let live = Arc::<AtomicU64>::default();
        let counted = live.clone();
        stress(workers, move |ex| {
            let inner = ex.clone();
            threads(4, move |seed| storm(&inner, &counted, seed, tasks() / 12));
        });
        assert_eq!(live.load(Ordering::SeqCst), 0, "guards are left, or were dropped twice");
    }
}

#[test]
fn stress_shutdown_in_the_middle() {
    for round in 0..(tasks() / 500).max(20) as u64 {
        let live = Arc::<AtomicU64>::default();
        let (ex, counted) = (executor(1 + round as usize % 2), live.clone());
        let watched = ex.clone();
        watchdog::within(
            limit(),
            move || format!("{:?}", watched.stats()),
            move || {
                let start = Arc::new(Barrier::new(3));
                let makers: Vec<_> = (0..2)
                    .map(|seed| {
                        let (ex, live, start) = (ex.clone(), counted.clone(), start.clone());
                        thread::spawn(move || {
                            start.wait();
                            let (_promise, never) = ex.promise::<u64>();
                            let stuck = ex.submit_after(&never, |n| n + 1);
                            let futures: Vec<_> = (0..100)
                                .map(|_| {
                                    let guard = Guard::new(&live);
                                    ex.submit(move || guard)
                                })
                                .collect();
                            storm(&ex, &live, 1_000 * round + seed, 100);
                            (futures, stuck, never, _promise)
                        })
                    })
                    .collect();
                start.wait();
                let how = if round % 4 < 2 { Shutdown::Cancel } else { Shutdown::Wait };
                let closing = ex.clone();
                let closer = thread::spawn(move || closing.shutdown(how));
                for maker in makers {
                    let (futures, stuck, never, promise) = maker.join().unwrap();
                    // A waiting shutdown waits for promises too.
                    drop(promise);
                    stuck.wait().unwrap();
                    never.wait().unwrap();
                    for future in futures {
                        future.wait().unwrap();
                        assert!(future.error().is_none_or(|error| error.is_cancelled()));
                    }
                }
                closer.join().unwrap();
                let stats = ex.stats();
                assert_eq!(stats.submitted, stats.finished, "{stats:?}");
                drop(ex);
            },
        );
        watchdog::until(|| live.load(Ordering::SeqCst) == 0);
    }
}

#[test]
fn stress_promises_fulfilled_cancelled_and_dropped_at_once() {
    stress(2, |ex| {
        let live = Arc::<AtomicU64>::default();
        let mut random = fastrand::Rng::with_seed(3);
        let rounds = tasks() / 10;
        let lanes: Vec<_> = (0..3)
            .map(|_| {
                let (sender, receiver) = std::sync::mpsc::sync_channel::<Box<dyn FnOnce() + Send>>(64);
                (sender, thread::spawn(move || receiver.into_iter().for_each(|call| call())))
            })
            .collect();
        let mut told = Vec::new();
        for _ in 0..rounds {
            let (promise, future) = ex.promise::<Guard>();
            let dependent = ex.submit_after_results(&future, |value| value.is_ok());
            let (guard, cancelled) = (Guard::new(&live), future.clone());
            let keeps = random.bool();
            let mut calls: Vec<Box<dyn FnOnce() + Send>> = vec![
                Box::new(move || if keeps { promise.fulfil(guard) } else { drop((promise, guard)) }),
                Box::new(move || {
                    cancelled.cancel("at random");
                }),
                Box::new(move || drop(future)),
            ];
            random.shuffle(&mut calls);
            for ((sender, _), call) in lanes.iter().zip(calls) {
                sender.send(call).unwrap();
            }
            told.push(dependent);
        }
        for (sender, thread) in lanes {
            drop(sender);
            thread.join().unwrap();
        }
        assert_eq!(ex.gather(told).unwrap().len(), rounds);
        assert_eq!(live.load(Ordering::SeqCst), 0);
    });
}
