//! A model of a look at another thread's frames: what is seen is there, and stays for as long as it is looked at.

use super::shown::Shown;
use crate::primitive::atomic::{Ordering, fence};
use crate::primitive::cell::Witness;
use crate::primitive::lock::Mutex;
use crate::primitive::model::{explore, thread};
use crate::primitive::sync::Arc;

/// What a frame leads to, read by who looks, and written when the frame is gone.
type Task = *const Witness;

struct Thread {
    shown: Shown<Task>,
    roster: Mutex<()>,
}

impl Thread {
    /// Runs `task`, with `within` as part of it.
    fn run(&self, task: &Witness, within: impl FnOnce()) {
        let frame = Box::new(self.shown.frame(std::ptr::from_ref(task), 0));
        self.shown.push(&frame);
        within();
        if self.shown.pop(frame.below()) {
            drop(self.roster.lock());
        }
        task.write();
        // Kept, so that a look that comes too late finds what it must not.
        std::mem::forget(frame);
    }

    fn look(&self) {
        let _looking = self.roster.lock();
        self.shown.freeze();
        fence(Ordering::SeqCst);
        // SAFETY: frozen before the fence, and thawed behind this; the model joins the thread later.
        unsafe { self.shown.each(|frame| (*frame.task).read()) };
        self.shown.thaw();
    }
}

#[test]
fn loom_what_a_looker_sees_stays_while_he_looks() {
    explore(100, || {
        let thread = Arc::new(Thread { shown: Shown::new(), roster: Mutex::default() });
        let tasks = Arc::new([Witness::new(), Witness::new()]);
        let (runner, its) = (thread.clone(), tasks);
        let running = thread::spawn(move || runner.run(&its[0], || runner.run(&its[1], || {})));
        thread.look();
        thread.look();
        running.join().unwrap();
    });
}
