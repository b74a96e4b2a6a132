//! heist under the runtimes that people have: whatever can be awaited is awaited under each, and tasks of heist await what
//! those drive.

#[path = "../examples/with_smol.rs"]
mod with_smol;
#[path = "../examples/with_tokio.rs"]
mod with_tokio;

#[path = "it/support.rs"]
#[allow(dead_code, reason = "shared with tests/it")]
mod support;

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use futures::StreamExt;
use futures::future::{join_all, select};
use heist::{
    Barrier, Event, Executor, Lock, MultiLock, Queue, Semaphore, TaskError, TaskFuture, Variable, as_completed,
    wait_all_async, wait_any_async, wait_n_async,
};
use tokio::sync::{mpsc, oneshot};

use support::{LIMIT, executor, guard, never};

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;
/// A runtime, from its start to its end.
type Run = fn(Work);

/// Runs what `work` makes under each runtime, as its main future and, where there is such a thing, as a task of it.
#[track_caller]
fn under_each<F: Future<Output = ()> + Send + 'static>(work: impl Fn() -> F + Send + 'static) {
    guard(move || {
        let runtimes: [(&str, Run); 6] = [
            ("futures", |work| futures::executor::block_on(work)),
            ("smol, main", |work| smol::block_on(work)),
            ("smol, task", |work| smol::block_on(smol::spawn(work))),
            ("tokio, one thread", |work| tokio_on_one_thread().block_on(work)),
            ("tokio, main", |work| tokio_on_many().block_on(work)),
            ("tokio, task", |work| {
                let tokio = tokio_on_many();
                tokio.block_on(tokio.spawn(work)).unwrap();
            }),
        ];
        for (name, run) in runtimes {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(Box::pin(work()))));
            assert!(outcome.is_ok(), "under {name}");
        }
    });
}

fn tokio_on_one_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

fn tokio_on_many() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap()
}

/// Futures of every kind: done and not, from tasks, dependents, async tasks and promises.
fn all_kinds(ex: &Executor) -> Vec<TaskFuture<u64>> {
    let done = ex.scatter(1);
    let task = ex.submit(|| 2);
    let dependent = ex.submit_after((&done, &task), |(a, b)| a + b);
    let inner = task.clone();
    let spawned = ex.spawn(async move { inner.await.unwrap() + 2 });
    let (promise, promised) = ex.promise();
    std::thread::spawn(move || promise.fulfil(5));
    vec![done, task, dependent, spawned, promised]
}

#[test]
fn every_future_is_awaited_by_value_and_by_reference() {
    under_each(|| async {
        let ex = executor(2);
        for (at, future) in all_kinds(&ex).into_iter().enumerate() {
            assert_eq!((&future).await.unwrap(), at as u64 + 1);
            assert_eq!(future.await.unwrap(), at as u64 + 1);
        }
        let squares = ex.map(0..1000_u64, |n| n * n);
        let all = join_all(squares.into_iter().map(IntoFuture::into_future)).await;
        assert_eq!(all.into_iter().map(Result::unwrap).sum::<u64>(), 332_833_500);
    });
}

#[test]
fn errors_and_cancels_are_awaited() {
    under_each(|| async {
        let ex = executor(1);
        let bad = ex.submit(|| -> u32 { panic!("bad") });
        assert!(ex.submit_after(&bad, |n| *n).await.unwrap_err().is_dependency());
        assert!(bad.await.unwrap_err().is_panic());
        assert!(ex.submit_result(|| "x".parse::<u32>()).await.unwrap_err().is_failed());
        let (_promise, future) = never::<u32>(&ex);
        let (waits, cancels) = (future.clone(), future);
        let thread = std::thread::spawn(move || cancels.cancel("enough"));
        assert!(waits.await.unwrap_err().is_cancelled());
        assert!(thread.join().unwrap());
    });
}

#[test]
fn groups_are_awaited() {
    under_each(|| async {
        let ex = executor(2);
        let mut all = all_kinds(&ex);
        let (_promise, open) = never(&ex);
        all.push(open);
        assert_eq!(wait_all_async(&all[..5]).await.done.len(), 5);
        assert!(!wait_any_async(&all).await.done.is_empty());
        assert_eq!(wait_n_async(&all, 5).await.not_done.len(), 1);
    });
}

#[test]
fn futures_are_awaited_as_they_are_done() {
    under_each(|| async {
        let ex = executor(2);
        let mut completed = as_completed(all_kinds(&ex));
        let mut seen = Vec::new();
        while let Some((_, value)) = completed.next_async().await {
            seen.push(value.unwrap());
        }
        seen.sort_unstable();
        assert_eq!(seen, [1, 2, 3, 4, 5]);
    });
}

#[test]
fn futures_as_they_are_done_are_a_stream() {
    under_each(|| async {
        let ex = executor(2);
        let values = StreamExt::map(as_completed(all_kinds(&ex)), |(_, value)| value.unwrap());
        let mut seen: Vec<_> = values.collect().await;
        seen.sort_unstable();
        assert_eq!(seen, [1, 2, 3, 4, 5]);
    });
}

#[test]
fn locks_permits_and_events_are_awaited() {
    under_each(|| async {
        let ex = executor(2);
        let (lock, event, semaphore) = (Lock::new(), Event::new(), Semaphore::new(2).unwrap());
        let held = lock.lock_async().await.unwrap();
        let both = semaphore.acquire_many_async(2).await.unwrap();
        let waits = ex.spawn({
            let (lock, event, semaphore) = (lock.clone(), event.clone(), semaphore.clone());
            async move {
                event.wait_async().await?;
                let permit = semaphore.acquire_async().await?;
                Ok::<_, TaskError>((lock.lock_async().await?, permit))
            }
        });
        assert!(lock.try_lock().is_none() && semaphore.try_acquire().unwrap().is_none());
        event.set();
        drop((held, both));
        let guards = waits.into_result().unwrap().unwrap().unwrap();
        assert!(lock.try_lock().is_none());
        drop(guards);
        let any = MultiLock::new([&lock, &Lock::new()]).lock_async().await.unwrap();
        drop(any);
        let (barrier, own) = (Barrier::new(2), Barrier::new(1));
        let other = ex.spawn(barrier.wait_async());
        assert!(barrier.wait_async().await.unwrap() != other.await.unwrap().unwrap(), "one of them is the leader");
        assert!(own.wait_async().await.unwrap());
    });
}

#[test]
fn queues_and_variables_are_awaited_and_are_streams() {
    under_each(|| async {
        let ex = executor(2);
        let (queue, variable) = (Queue::bounded(1), Variable::new());
        let puts = ex.spawn({
            let (queue, variable) = (queue.clone(), variable.clone());
            async move {
                for n in 0..100 {
                    assert!(queue.put_async(n).await.is_ok());
                }
                variable.set("all are put");
                queue.close();
            }
        });
        assert_eq!(queue.get_async().await.unwrap(), 0);
        assert_eq!(queue.stream().collect::<Vec<_>>().await, (1..100).collect::<Vec<_>>());
        assert_eq!(variable.get_async().await.unwrap(), "all are put");
        puts.await.unwrap();
    });
}

#[test]
fn an_await_that_loses_a_race_leaves_no_trace() {
    under_each(|| async {
        let ex = executor(1);
        let (promise, slow) = ex.promise::<u32>();
        for n in 0..100 {
            let fast = ex.submit(move || n);
            let race = select((&slow).into_future(), fast.into_future()).await;
            assert!(matches!(race, futures::future::Either::Right((Ok(m), _)) if m == n));
        }
        promise.fulfil(7);
        assert_eq!(slow.await.unwrap(), 7);
    });
}

#[test]
fn a_task_of_heist_awaits_channels_that_tokio_fills() {
    guard(|| {
        let (ex, tokio) = (executor(2), tokio_on_many());
        let (numbers, mut received) = mpsc::channel::<u64>(4);
        let (answer, told) = oneshot::channel();
        let sums = ex.spawn(async move {
            let mut sum = 0;
            while let Some(number) = received.recv().await {
                sum += number;
            }
            answer.send(sum).unwrap();
            sum
        });
        let sends = tokio.spawn(async move {
            for number in 0..1000 {
                numbers.send(number).await.unwrap();
            }
            drop(numbers);
            told.await.unwrap()
        });
        assert_eq!(tokio.block_on(sends).unwrap(), 499_500);
        assert_eq!(sums.result().unwrap(), 499_500);
    });
}

#[test]
fn a_task_of_heist_awaits_a_timer_that_tokio_drives() {
    guard(|| {
        let (ex, tokio) = (executor(1), tokio_on_many());
        let handle = tokio.handle().clone();
        let pause = Duration::from_millis(5);
        let waits = ex.spawn(async move {
            let begin = tokio::time::Instant::now();
            let sleep = {
                let _within = handle.enter();
                tokio::time::sleep(pause)
            };
            sleep.await;
            begin.elapsed() >= pause
        });
        assert!(waits.result().unwrap());
        let handle = tokio.handle().clone();
        let ran = ex.spawn(async move { handle.spawn(async { 6 * 7 }).await.unwrap() });
        assert_eq!(ran.result().unwrap(), 42);
    });
}

#[test]
fn tokio_gives_up_on_a_slow_task_of_heist() {
    guard(|| {
        let (ex, tokio) = (executor(1), tokio_on_one_thread());
        let (promise, slow) = ex.promise::<u32>();
        tokio.block_on(async {
            let early = tokio::time::timeout(Duration::from_millis(2), (&slow).into_future()).await;
            assert!(early.is_err());
            promise.fulfil(3);
            assert_eq!(tokio::time::timeout(LIMIT, slow.into_future()).await.unwrap().unwrap(), 3);
        });
    });
}

#[test]
fn a_task_of_heist_awaits_what_smol_drives() {
    guard(|| {
        let ex = executor(1);
        let (sender, receiver) = smol::channel::bounded(1);
        let waits = ex.spawn(async move {
            smol::Timer::after(Duration::from_millis(2)).await;
            receiver.recv().await.unwrap()
        });
        smol::block_on(async {
            sender.send(11).await.unwrap();
            assert_eq!(waits.await.unwrap(), 11);
        });
    });
}

#[test]
fn a_cancelled_task_of_heist_drops_what_it_awaits_of_tokio() {
    guard(|| {
        let ex = executor(1);
        let (sender, receiver) = oneshot::channel::<()>();
        let waits = ex.spawn(receiver);
        waits.cancel("no longer");
        let tokio = tokio_on_one_thread();
        tokio.block_on(async {
            let mut sender = sender;
            sender.closed().await;
        });
    });
}

#[test]
fn the_example_with_tokio_runs() {
    guard(|| with_tokio::main().unwrap());
}

#[test]
fn the_example_with_smol_runs() {
    guard(|| with_smol::main().unwrap());
}

#[cfg(feature = "io")]
#[test]
fn timers_and_files_are_awaited() {
    use heist::io::{Watched, interval, sleep, timeout};
    use std::io::{Read, Write, pipe};
    use std::pin::pin;

    under_each(|| async {
        sleep(Duration::from_millis(1)).await.unwrap();
        assert!(timeout(Duration::from_millis(1), std::future::pending::<()>()).await.unwrap_err().is_timeout());
        let mut interval = interval(Duration::from_millis(1));
        assert!(interval.tick().await.unwrap() < interval.tick().await.unwrap());
        let (reader, mut writer) = pipe().unwrap();
        let reader = Watched::new(reader).unwrap();
        {
            let mut waits = pin!(reader.readable());
            assert!(futures::poll!(waits.as_mut()).is_pending());
            writer.write_all(b"x").unwrap();
            waits.await.unwrap();
        }
        let mut byte = [0];
        reader.get_ref().read_exact(&mut byte).unwrap();
        assert!(timeout(Duration::from_millis(1), reader.readable()).await.unwrap_err().is_timeout());
    });
}
