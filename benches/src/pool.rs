//! What `wake`, `idle` and `fairness` know of a runtime: it takes a closure and runs it on a worker.

use ::tokio::runtime::Handle;
use ::tokio::task::JoinHandle;
use async_executor::Task;
use heist::{Executor, Profile, TaskFuture};
use std::sync::Arc;

use crate::start::{FIXED, fixed, heist, heist_with, rayon, tokio};

/// A handle on a pool.
pub trait Pool: Clone + Send + Sync + 'static {
    /// What must be kept until the task has started.
    type Handle: Send + 'static;

    /// Runs `task` on a worker; from within the pool, on the caller's if no other takes it.
    fn spawn(&self, task: impl FnOnce() + Send + 'static) -> Self::Handle;
}

impl Pool for Executor {
    type Handle = TaskFuture<()>;

    fn spawn(&self, task: impl FnOnce() + Send + 'static) -> TaskFuture<()> {
        self.submit(task)
    }
}

impl Pool for Arc<::rayon::ThreadPool> {
    type Handle = ();

    fn spawn(&self, task: impl FnOnce() + Send + 'static) {
        ::rayon::ThreadPool::spawn(self, task);
    }
}

impl Pool for Handle {
    type Handle = JoinHandle<()>;

    fn spawn(&self, task: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
        Handle::spawn(self, async { task() })
    }
}

/// The static executor of async-executor.
#[derive(Debug, Clone, Copy)]
struct Fixed;

impl Pool for Fixed {
    type Handle = Task<()>;

    fn spawn(&self, task: impl FnOnce() + Send + 'static) -> Task<()> {
        FIXED.spawn(async { task() })
    }
}

/// Something to do with a pool, whichever it is.
pub trait Visit {
    /// What comes of it.
    type Output;

    /// Does it.
    fn visit<P: Pool>(self, pool: &P) -> Self::Output;
}

/// What [`on`] knows.
pub const NAMES: &[&str] = &["heist", "heist:latency", "rayon", "tokio", "async-executor"];

/// Starts so many workers of a runtime and calls `visit` with them.
///
/// # Errors
///
/// When there is no runtime of that name.
pub fn on<V: Visit>(runtime: &str, workers: usize, visit: V) -> Result<V::Output, String> {
    match runtime {
        "heist" => Ok(visit.visit(&heist(workers))),
        "heist:latency" => Ok(visit.visit(&heist_with(workers, |builder| builder.profile(Profile::Latency)))),
        "rayon" => Ok(visit.visit(&Arc::new(rayon(workers)))),
        "tokio" => Ok(visit.visit(tokio(workers).handle())),
        "async-executor" => {
            let _threads = fixed(workers);
            Ok(visit.visit(&Fixed))
        }
        _ => Err(format!("no pool is called {runtime}")),
    }
}
