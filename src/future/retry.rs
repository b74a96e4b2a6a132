//! `retry`: what has failed is made anew.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::panic::Location;

use super::options::refused;
use super::task_future::TaskFuture;
use crate::error::{Refusal, TaskError, TaskId};
use crate::primitive::sync::Arc;
use crate::scheduler::{Local, local};
use crate::task::{Birth, Handle, Recipe, Typed, with_error};

impl<T: Send + 'static> TaskFuture<T> {
    /// A new future of the same closure and inputs, after the task has failed and what made it fail is mended. It is a task
    /// of its own, with all its retries; this future stays as it is: done is final.
    ///
    /// Inputs that have failed are retried in the same way, each once, also if several tasks share it, and so are theirs. A
    /// closure is kept for this by [`retries`](crate::TaskBuilder::retries), `retries(0)` suffices, until the task has a
    /// value. If the future is unfinished, has a value or was cancelled, this gives a further handle on it. O(tasks retried).
    ///
    /// If the task has failed and its closure was not kept, the new future has failed too
    /// ([`TaskError::is_not_repeatable`]).
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    /// let ex = heist::Executor::new()?;
    /// let is_there = Arc::new(AtomicBool::new(false));
    /// let look = is_there.clone();
    /// let file = ex.task().retries(0).submit_result(move || if look.load(Relaxed) { Ok(1) } else { Err("no file") });
    /// let sum = ex.task().retries(0).after(&file).submit(|n| n + 1);
    /// assert!(sum.result().unwrap_err().is_dependency());
    /// is_there.store(true, Relaxed);
    /// assert_eq!(sum.retry().result()?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn retry(&self) -> Self {
        if !has_failed(self.handle()) {
            return self.clone();
        }
        let renewed = renew(self.handle()).and_then(Typed::of);
        renewed.map_or_else(|| not_repeatable(self, Location::caller()), Self::new)
    }
}

fn has_failed(task: &Handle) -> bool {
    task.error().is_some_and(|error| !error.is_cancelled())
}

fn recipe(task: &Handle) -> Option<Arc<dyn Recipe>> {
    if has_failed(task) { task.head().recipe() } else { None }
}

/// What stands for a failed task from now on, if it can be made anew; without recursion.
fn renew(task: &Handle) -> Option<Handle> {
    let mut renewed: HashMap<TaskId, Option<Handle>> = HashMap::new();
    // Each comes twice: before its inputs, and with its recipe after them.
    let mut open: Vec<(Handle, Option<Arc<dyn Recipe>>)> = vec![(task.clone(), None)];
    while let Some((task, seen)) = open.pop() {
        let id = task.head().id();
        if let Some(recipe) = seen {
            let anew = recipe.make(task.head(), &|input| renewed.get(&input.head().id()).cloned().flatten());
            renewed.insert(id, Some(anew));
        } else if let Entry::Vacant(fresh) = renewed.entry(id) {
            fresh.insert(None);
            if let Some(recipe) = recipe(&task) {
                open.push((task, Some(recipe.clone())));
                recipe.show_inputs(&mut |input| open.push((input.clone(), None)));
            }
        }
    }
    renewed.remove(&task.head().id())?
}

fn not_repeatable<T: Send + 'static>(task: &TaskFuture<T>, location: &'static Location<'static>) -> TaskFuture<T> {
    let name = task.handle().head().name();
    let text = format!("the closure of `{name}` was not kept; submit it by ex.task().retries(0) to have it run again");
    let kind = refused(Refusal::Repeat, text);
    let birth = Birth { executor: task.handle().head().executor, raw_id: local(Local::next_id), location };
    let error = TaskError::of_task(kind, birth.id(), location);
    TaskFuture::new(with_error(birth, error))
}
