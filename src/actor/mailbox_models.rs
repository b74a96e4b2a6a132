//! Models of the mailbox: no message is lost, none is handled twice, turns do not overlap, one sender's order holds, and
//! exactly one thread learns that nothing is left.

use std::panic::Location;
use std::ptr::NonNull;

use super::{Left, Mailbox, Pushed};
use crate::error::TaskErrorKind;
use crate::primitive::atomic::{AtomicUsize, Ordering};
use crate::primitive::cell::Cell;
use crate::primitive::model::{Tally, explore, thread};
use crate::primitive::sync::Arc;
use crate::task::{Birth, Errand, Header, Message, tell};

/// An actor without a scheduler: who gets the turn takes it at once.
struct Scene {
    mailbox: Mailbox,
    /// What the turn guards; loom sees who touches it.
    handled: Cell<u64>,
    is_left: Cell<bool>,
    references: AtomicUsize,
    /// Ends of the references and of the actor, of which the second frees.
    freed: Tally,
    ended: Tally,
}

// SAFETY: the cells belong to who has the turn, or loom ends the model.
unsafe impl Sync for Scene {}
// SAFETY: nothing in it belongs to a thread.
unsafe impl Send for Scene {}

struct Nothing;

impl Errand for Nothing {
    type Output = ();
    unsafe fn run(self, _: NonNull<Header>) -> Result<(), TaskErrorKind> {
        Ok(())
    }
    fn name() -> &'static str {
        "nothing"
    }
}

impl Scene {
    /// An idle actor with so many references.
    fn new(references: usize) -> Arc<Self> {
        let scene = Self {
            mailbox: Mailbox::new(),
            handled: Cell::new(0),
            is_left: Cell::new(false),
            references: AtomicUsize::new(references),
            freed: Tally::default(),
            ended: Tally::default(),
        };
        assert!(scene.mailbox.release());
        Arc::new(scene)
    }

    /// Sends a message with a number from 1 to 9.
    fn send(&self, number: u64) {
        let birth = Birth { executor: 0, raw_id: number, location: Location::caller() };
        match self.mailbox.push(tell(birth, NonNull::dangling(), Nothing)) {
            Pushed::Queued => {}
            Pushed::Turn => self.take_turn(),
            Pushed::Ended(message) => message.begin().drop_unrun(),
        }
    }

    /// Handles what there is; each number becomes a digit.
    fn take_turn(&self) {
        loop {
            let taken = self.mailbox.take();
            if taken.is_left {
                self.is_left.set(true);
            }
            let mut next = taken.oldest;
            while let Some(message) = next {
                // SAFETY: a message that was taken, once.
                let message = unsafe {
                    next = NonNull::new(message.as_ref().link.get().cast());
                    Message::from_raw(message)
                };
                self.handled.set(self.handled.get() * 10 + message.number());
                message.begin().drop_unrun();
            }
            if self.is_left.get() {
                self.ended.add();
                // Taken together with the messages, it was the last.
                if self.mailbox.end() {
                    return self.freed.add();
                }
            } else if self.mailbox.release() {
                return;
            }
        }
    }

    fn drop_reference(&self) {
        // ORDERING: as of a reference of an actor.
        if self.references.fetch_sub(1, Ordering::AcqRel) == 1 {
            match self.mailbox.leave() {
                Left::Seen => {}
                Left::Turn => self.take_turn(),
                Left::Ended => self.freed.add(),
            }
        }
    }
}

#[test]
fn loom_mailbox_of_two_senders() {
    explore(50, || {
        let scene = Scene::new(2);
        let threads = [[1, 2], [3, 4]].map(|numbers| {
            let scene = scene.clone();
            thread::spawn(move || {
                numbers.into_iter().for_each(|number| scene.send(number));
                scene.drop_reference();
            })
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!((scene.freed.get(), scene.ended.get()), (1, 1));
        let handled = scene.handled.get().to_string();
        assert_eq!(handled.len(), 4, "{handled}");
        let at = |number: char| handled.find(number).unwrap();
        assert!(at('1') < at('2') && at('3') < at('4'), "{handled}");
    });
}

/// A caller takes the turn of an idle actor; what is sent meanwhile is handled by him.
#[test]
fn loom_mailbox_of_a_sender_and_a_caller() {
    explore(20, || {
        let scene = Scene::new(2);
        let sender = {
            let scene = scene.clone();
            thread::spawn(move || {
                scene.send(1);
                scene.send(2);
                scene.drop_reference();
            })
        };
        let called = scene.mailbox.claim();
        if called {
            scene.handled.set(scene.handled.get() * 10 + 9);
            if !scene.mailbox.release() {
                scene.take_turn();
            }
        }
        scene.drop_reference();
        sender.join().unwrap();
        assert_eq!((scene.freed.get(), scene.ended.get()), (1, 1));
        let handled = scene.handled.get().to_string();
        assert!(handled.replace('9', "") == "12" && handled.len() == 2 + usize::from(called), "{handled}");
    });
}

/// The executor ends an idle actor while its last reference goes and something is sent: one of them frees it.
#[test]
fn loom_mailbox_that_is_ended_and_left() {
    explore(20, || {
        let scene = Scene::new(1);
        let holder = {
            let scene = scene.clone();
            thread::spawn(move || {
                scene.send(1);
                scene.drop_reference();
            })
        };
        if scene.mailbox.claim() {
            loop {
                let taken = scene.mailbox.take();
                if taken.is_left {
                    scene.is_left.set(true);
                }
                if let Some(message) = taken.oldest {
                    // SAFETY: there is but one, which was taken.
                    unsafe { Message::from_raw(message) }.begin().drop_unrun();
                }
                let is_left = scene.is_left.get();
                if scene.mailbox.end() {
                    if is_left {
                        scene.freed.add();
                    }
                    break;
                }
            }
        }
        holder.join().unwrap();
        assert_eq!(scene.freed.get(), 1);
    });
}
