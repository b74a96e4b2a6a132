//! Sees to messages: takes them from the transport and hands each to the part it is meant for.
//!
//! Workers of the rank do that when they have nothing else to do, and sleep at its bell; while all of them are busy, a thread of
//! its own is woken for it.

use std::sync::Weak;
use std::time::{Duration, Instant};

use super::actor;
use super::balance;
use super::bell;
use super::codec;
use super::collective;
use super::data;
use super::job;
use super::message::{Kind, Message};
use super::object;
use super::sync;
use super::task;
use super::transport::Transport;
use super::world::{Rank, Shared};
use crate::primitive::atomic::Ordering;
use crate::primitive::park::Alarm;
use crate::primitive::sync::Arc;
use crate::scheduler::Progress;

/// How often the thread looks by itself, so that no mistake of another rank keeps this one asleep.
const BACKSTOP: Duration = Duration::from_secs(1);
/// How often whoever leaves as the last looks again before he has somebody else woken.
const LAST_LOOKS: u32 = 2;

/// How the threads of an executor see to the messages of its rank.
struct Attendant {
    /// The executor leads to this, and the world to the executor.
    world: Weak<Shared>,
    transport: Arc<dyn Transport>,
}

impl Progress for Attendant {
    fn has_some(&self) -> bool {
        self.transport.has_some()
    }

    fn attend(&self) {
        self.transport.bell().attend();
    }

    fn poll(&self) -> bool {
        self.transport.bell().hear();
        self.has_some()
            && match self.world.upgrade().filter(|world| !world.is_over()) {
                Some(world) => poll(&world) != 0,
                // Nobody is left whom it would concern.
                None => self.transport.poll(&mut |_, _| ()) != 0,
            }
    }

    fn leave(&self) {
        for _ in 0..LAST_LOOKS {
            if !self.transport.bell().leave() || !self.has_some() {
                return;
            }
            self.attend();
            self.poll();
        }
        if self.transport.bell().leave() && self.has_some() {
            self.transport.bell().ring();
        }
    }

    fn listen(&self, worker: usize, until: Option<Instant>, is_over: &dyn Fn() -> bool) {
        if let Some(world) = self.world.upgrade() {
            balance::idle(&world);
        }
        self.transport.bell().listen(bell::ear(worker), until, is_over);
    }

    fn wakes(&self) -> u64 {
        self.transport.wakes()
    }

    fn alarm(&self, worker: usize) -> (Arc<dyn Alarm>, u32) {
        (self.transport.bell().clone(), bell::ear(worker))
    }
}

/// Has the executor's workers see to the messages of a rank, and a thread when they do not, until its part is over.
pub(super) fn start(world: &Arc<Shared>) -> std::io::Result<()> {
    let attendant = |world| Attendant { world: Arc::downgrade(world), transport: world.transport.clone() };
    let own = attendant(world);
    let end = world.clone();
    std::thread::Builder::new().name("heist-progress".to_owned()).spawn(move || {
        while !end.is_over() {
            own.attend();
            own.poll();
            own.leave();
            // Whoever has something for this thread to see to, or ends the world, calls it then.
            let calls = own.transport.bell().calls();
            if end.is_over() {
                break;
            }
            end.outboxes.tick(&end);
            end.imports.tick();
            let backstop = Instant::now() + BACKSTOP;
            let until = end.outboxes.due().or_else(|| end.imports.due()).unwrap_or(backstop);
            own.transport.bell().rest(calls, Some(until), || own.has_some());
        }
    })?;
    world.registry().set_progress(Box::new(attendant(world)));
    Ok(())
}

/// Sees to what has come. Gives how many messages that were.
pub(super) fn poll(world: &Arc<Shared>) -> usize {
    world.transport.poll(&mut |from, frame| match codec::from_frame(world, from, frame) {
        Ok(message) => deliver(world, from, message),
        Err(corrupt) => world.lose(from, &corrupt),
    })
}

/// Sees to what this rank has sent itself, in its order, unless another thread, or this one further down its stack, does.
pub(super) fn see_to_own(world: &Arc<Shared>) {
    let own = &world.own;
    // ORDERING: SeqCst, so that of two threads the one that leaves and the one that comes, one sees the other's message.
    while !own.messages.lock().is_empty() && !own.seen_to.swap(true, Ordering::SeqCst) {
        loop {
            let message = own.messages.lock().pop_front();
            let Some(message) = message else { break };
            deliver(world, world.rank(), message);
        }
        own.seen_to.store(false, Ordering::SeqCst);
    }
}

fn deliver(world: &Arc<Shared>, from: Rank, message: Message) {
    match message.kind {
        Kind::Control => job::handle(world, from, message),
        Kind::Reply => {
            let what = codec::unpack_answer(message.packed);
            world.replies.arrived(world, from, message.ticket, what);
        }
        Kind::Task => task::handle(world, from, message),
        Kind::Balance => balance::handle(world, from, message),
        Kind::Object => object::handle(world, from, message),
        Kind::Actor => actor::handle(world, from, message),
        Kind::Data => data::handle(world, from, message),
        Kind::Collective => collective::handle(world, from, message),
        Kind::Sync => sync::handle(world, from, message),
    }
}
