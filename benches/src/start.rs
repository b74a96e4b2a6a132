//! How each runtime is started, with so many workers.

use std::thread::{self, JoinHandle};

use async_executor::StaticExecutor;
use futures_lite::future::block_on;
use heist::{Builder, Executor};
use smol::channel::{Receiver, Sender, bounded};

use crate::tasks::Run;

/// An executor of heist as by default.
pub(crate) fn heist(workers: usize) -> Executor {
    heist_with(workers, |builder| builder)
}

/// An executor of heist with settings of its own.
pub(crate) fn heist_with(workers: usize, settings: impl FnOnce(Builder) -> Builder) -> Executor {
    settings(Executor::builder().workers(workers)).build().expect("heist starts its workers")
}

/// Runs `submitter` as a task of `executor`.
pub(crate) fn within(executor: &Executor, submitter: impl FnOnce() -> Run + Send + 'static) -> Run {
    executor.submit(submitter).result().expect("the submitter succeeds")
}

/// A rayon pool.
pub(crate) fn rayon(workers: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(workers).build().expect("rayon starts its workers")
}

/// A tokio runtime with the multi-thread scheduler.
pub(crate) fn tokio(workers: usize) -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(workers).build().expect("tokio starts its workers")
}

/// The static executor of async-executor; [`fixed`] gives it threads.
pub(crate) static FIXED: StaticExecutor = StaticExecutor::new();

/// Threads that serve [`FIXED`].
pub(crate) fn fixed(workers: usize) -> Threads {
    Threads::start(workers, |stopped| {
        let _closed = block_on(FIXED.run(stopped.recv()));
    })
}

/// Threads that serve an executor until this is dropped.
pub(crate) struct Threads {
    stop: Sender<()>,
    threads: Vec<JoinHandle<()>>,
}

impl Threads {
    /// `serve` runs the executor until its argument is closed.
    pub(crate) fn start(count: usize, serve: impl Fn(Receiver<()>) + Clone + Send + 'static) -> Threads {
        let (stop, stopped) = bounded(1);
        let threads = (0..count)
            .map(|_| {
                let (serve, stopped) = (serve.clone(), stopped.clone());
                thread::spawn(move || serve(stopped))
            })
            .collect();
        Threads { stop, threads }
    }

    /// Waits for `future` on the calling thread, which does not serve the executor.
    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        block_on(future)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.stop.close();
        for thread in self.threads.drain(..) {
            thread.join().expect("a worker does not panic");
        }
    }
}
