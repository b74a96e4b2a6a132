//! Going through futures in order on a worker: while the first is not done, the worker runs others from the end.

use std::time::{Duration, Instant};

use crate::primitive::hint::prefetch;
use crate::scheduler::{help_newest, help_ready, is_worker_thread};
use crate::task::Handle;

/// So far ahead tasks are fetched, which other cores have written.
const AHEAD: usize = 12;
/// How long tasks from the end are run before the first gets its turn.
const PATIENCE: Duration = Duration::from_micros(20);

/// The items of `items`, in order; `single` gives the handle of one that is a future. While the first is not done, others
/// are run, the last ones first: thieves take the first ones, so the two meet in the middle. In between the first is
/// begun, if nobody else has: an error near the front is seen after some microseconds and one task. On a thread that
/// is no worker nothing is run. Before the first item that may have to be waited for, `may_wait` is asked about all that
/// are left; the items end there if not.
pub(super) fn in_order<T, I: Iterator + AsRef<[T]>>(
    mut items: I,
    single: impl Fn(&T) -> Option<&Handle>,
    mut may_wait: impl FnMut(&[T]) -> bool,
) -> impl Iterator<Item = I::Item> {
    let mut has_asked = false;
    // Items from the front that were not run here.
    let mut fresh = if is_worker_thread() { items.as_ref().len() } else { 0 };
    // Whether the end of the list may be what this worker has queued last.
    let mut is_own = true;
    std::iter::from_fn(move || {
        let rest = items.as_ref();
        let handle = |index: usize| rest.get(index).and_then(&single);
        while let Some(first) = handle(0).filter(|first| fresh > 1 && !is_done(first)) {
            let mut patience = Patience::new();
            while fresh > 1 && patience.lasts() && !is_done(first) {
                let from_end = |from_end| handle(fresh.checked_sub(1 + from_end)?);
                let run = if is_own { help_newest(from_end, || patience.lasts() && !is_done(first)) } else { 0 };
                is_own = run != 0;
                if run == 0
                    && let Some(last) = handle(fresh - 1)
                {
                    help_ready(last);
                }
                fresh -= run.max(1);
            }
            help_ready(first);
        }
        fresh = fresh.saturating_sub(1);
        if !has_asked && !handle(0).is_some_and(is_done) {
            has_asked = true;
            if !may_wait(rest) {
                return None;
            }
        }
        if let Some(later) = handle(AHEAD) {
            prefetch(later.task().as_ptr());
        }
        items.next()
    })
}

fn is_done(task: &Handle) -> bool {
    task.head().state.load().is_done()
}

/// Lasts for some tasks, or one long one. The clock is read after 1, 2, 4 … tasks: of tasks that are all long, one is run.
struct Patience {
    since: Instant,
    tasks: u32,
    is_over: bool,
}

impl Patience {
    fn new() -> Self {
        Self { since: Instant::now(), tasks: 0, is_over: false }
    }

    /// Asked before each task.
    fn lasts(&mut self) -> bool {
        if self.tasks.is_power_of_two() || self.tasks.is_multiple_of(32) {
            self.is_over |= self.since.elapsed() >= PATIENCE;
        }
        self.tasks += 1;
        !self.is_over
    }
}
