//! Timers: never early, about a millisecond late, no trace of those that are dropped, cores lent meanwhile.

use std::future::{Future, pending};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use heist::io::{interval, sleep, sleep_until, timeout};
use heist::{Shutdown, TaskError};

use crate::support::{Count, SOON, executor, guard, until};

const LONG: Duration = Duration::from_secs(3600);

/// How far timers may be late when nothing else is asked of the machine; the best of some tries counts.
const LATE: Duration = Duration::from_millis(3);

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort();
    all[all.len() / 2]
}

#[test]
fn a_sleep_is_never_early_and_about_a_millisecond_late() {
    guard(|| {
        let ex = executor(2);
        let late = |blocks: bool| {
            let one = |micros: u64| {
                let at = Instant::now() + Duration::from_micros(micros);
                let over = if blocks {
                    ex.submit(move || sleep_until(at).wait().map(|()| Instant::now())).result()
                } else {
                    ex.spawn(async move { sleep_until(at).await.map(|()| Instant::now()) }).result()
                };
                let over = over.unwrap().unwrap();
                assert!(over >= at, "early by {:?}", at - over);
                over - at
            };
            median((1..40).map(|n| one(n * 137)).collect())
        };
        for blocks in [false, true] {
            until("timers are on time", || late(blocks) < LATE);
        }
    });
}

#[test]
fn a_time_that_has_passed_is_over_at_once_and_one_beyond_all_times_never() {
    guard(|| {
        let ex = executor(1);
        let past = sleep_until(Instant::now());
        assert!(past.is_over());
        past.wait().unwrap();
        ex.spawn(sleep(Duration::ZERO)).result().unwrap().unwrap();
        let never = ex.spawn(sleep(Duration::MAX));
        let blocked = ex.submit(|| sleep(Duration::MAX).wait());
        assert!(never.wait_timeout(Duration::from_millis(2)).unwrap_err().is_timeout());
        ex.close();
        assert!(never.cancelled() && blocked.done());
    });
}

#[test]
fn a_blocking_sleep_lends_the_core() {
    guard(|| {
        let ex = executor(1);
        let asleep = ex.map(0..50, |_| sleep(LONG).wait().unwrap_err().is_cancelled());
        assert_eq!(ex.submit(|| 1).result().unwrap(), 1);
        for task in &asleep {
            task.cancel("no longer");
        }
        ex.shutdown(Shutdown::Wait);
        assert!(asleep.iter().all(heist::TaskFuture::cancelled));
    });
}

#[test]
fn closing_the_executor_ends_a_blocking_sleep() {
    guard(|| {
        let ex = executor(2);
        let started = Count::default();
        let ended = Count::default();
        for _ in 0..10 {
            let (started, ended) = (started.clone(), ended.clone());
            ex.submit(move || {
                started.add();
                let error = sleep(LONG).wait().unwrap_err();
                assert!(error.cancel_reason().unwrap().is_executor_closed());
                ended.add();
            })
            .detach();
        }
        until("all sleep", || started.get() == 10);
        ex.close();
        assert_eq!(ended.get(), 10);
    });
}

#[test]
fn a_cancelled_task_is_woken_from_its_sleep() {
    guard(|| {
        let ex = executor(1);
        let (sender, receiver) = std::sync::mpsc::channel();
        let started = Count::default();
        let task = ex.submit({
            let started = started.clone();
            move || {
                started.add();
                sender.send(sleep(LONG).wait()).unwrap();
            }
        });
        until("it runs", || started.get() == 1);
        assert!(task.cancel("wake up"));
        let error = receiver.recv_timeout(SOON).unwrap().unwrap_err();
        assert!(error.is_cancelled(), "{error}");
    });
}

#[test]
fn a_cancelled_async_task_drops_its_sleep() {
    guard(|| {
        let ex = executor(1);
        let held = Arc::new(());
        let own = held.clone();
        let task = ex.spawn(async move {
            let _own = own;
            sleep(LONG).await
        });
        task.cancel("no");
        until("the future is dropped", || Arc::strong_count(&held) == 1);
    });
}

struct Wakes(AtomicUsize);
impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn dropped_timers_keep_no_waker_and_wake_nobody() {
    guard(|| {
        let wakes = Arc::new(Wakes(AtomicUsize::new(0)));
        let waker = Waker::from(wakes.clone());
        let mut context = Context::from_waker(&waker);
        {
            let mut sleeps: Vec<_> = (0..100_000).map(|_| Box::pin(sleep(LONG))).collect();
            for sleep in &mut sleeps {
                assert!(sleep.as_mut().poll(&mut context).is_pending());
                assert!(sleep.as_mut().poll(&mut context).is_pending());
            }
            assert_eq!(Arc::strong_count(&wakes), 100_002);
        }
        assert_eq!((Arc::strong_count(&wakes), wakes.0.load(Ordering::SeqCst)), (2, 0));
    });
}

#[test]
fn the_waker_of_the_last_poll_is_woken() {
    guard(|| {
        let (old, new) = (Arc::new(Wakes(AtomicUsize::new(0))), Arc::new(Wakes(AtomicUsize::new(0))));
        let mut sleep = pin!(sleep(Duration::from_millis(20)));
        for wakes in [&old, &old, &new] {
            let waker = Waker::from(wakes.clone());
            assert!(sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        until("it is woken", || new.0.load(Ordering::SeqCst) == 1);
        assert_eq!(old.0.load(Ordering::SeqCst), 0);
        assert!(matches!(sleep.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(()))));
    });
}

struct Bad;
impl Wake for Bad {
    fn wake(self: Arc<Self>) {
        panic!("in a waker");
    }
}

#[test]
fn a_waker_that_panics_does_no_harm() {
    guard(|| {
        let ex = executor(1);
        let before = heist::drop_panics();
        let waker = Waker::from(Arc::new(Bad));
        let mut bad = pin!(sleep(Duration::from_millis(1)));
        assert!(bad.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        until("the panic is counted", || heist::drop_panics() > before);
        ex.spawn(sleep(Duration::from_millis(1))).result().unwrap().unwrap();
    });
}

#[test]
fn many_timers_fire_each_once_and_in_time() {
    guard(|| {
        let ex = executor(2);
        let begin = Instant::now();
        let tasks: Vec<_> = (0..10_000_u64)
            .map(|n| {
                let pause = Duration::from_micros(n * 7919 % 50_000);
                ex.spawn(async move { sleep(pause).await.map(|()| Instant::now() >= begin + pause) })
            })
            .collect();
        assert!(tasks.iter().all(|task| task.result().unwrap().unwrap()));
    });
}

#[test]
fn a_timeout_ends_what_takes_too_long_and_nothing_else() {
    guard(|| {
        let ex = executor(1);
        let held = Arc::new(());
        let own = held.clone();
        let endless = ex.spawn(timeout(Duration::from_millis(1), async move {
            let _own = own;
            pending::<()>().await;
        }));
        assert!(endless.result().unwrap().unwrap_err().is_timeout());
        assert_eq!(Arc::strong_count(&held), 1);
        assert_eq!(ex.spawn(timeout(LONG, async { 7 })).result().unwrap().unwrap(), 7);
        assert_eq!(ex.spawn(timeout(Duration::ZERO, async { 8 })).result().unwrap().unwrap(), 8, "tried once");
        assert!(ex.spawn(timeout(Duration::ZERO, pending::<()>())).result().unwrap().unwrap_err().is_timeout());
        let (promise, future) = ex.promise::<i32>();
        let waits = ex.spawn(timeout(LONG, future));
        promise.fulfil(9);
        assert_eq!(waits.result().unwrap().unwrap().unwrap(), 9);
    });
}

#[test]
fn an_interval_keeps_its_pace_and_tells_missed_ticks_once() {
    guard(|| {
        let ex = executor(1);
        let period = Duration::from_millis(2);
        let begin = Instant::now();
        let ticks = ex
            .spawn(async move {
                let mut interval = interval(period);
                let mut ticks = Vec::new();
                for _ in 0..5 {
                    ticks.push(interval.tick().await?);
                }
                Ok::<_, TaskError>(ticks)
            })
            .result()
            .unwrap()
            .unwrap();
        assert!(ticks[0] >= begin + period);
        for pair in ticks.windows(2) {
            let apart = (pair[1] - pair[0]).as_nanos();
            assert!(apart > 0 && apart.is_multiple_of(period.as_nanos()), "off the grid by {apart} ns");
        }
        let mut interval = interval(Duration::from_millis(1));
        let first = interval.wait().unwrap();
        sleep(Duration::from_millis(20)).wait().unwrap();
        let late = interval.try_tick().unwrap();
        assert_eq!(late, first + Duration::from_millis(1), "the tick that was due first");
        assert!(interval.wait().unwrap() >= first + Duration::from_millis(21), "those in between are told by it");
    });
}
