//! kameo's actor, with its mailbox as by default, which is bounded, and with an unbounded one.

use ::kameo::actor::{ActorRef, Spawn};
use ::kameo::mailbox;
use ::kameo::message::{Context, Message};

use super::{Counter, Job, Spawner, on_tokio};

#[derive(::kameo::Actor)]
struct Sum(u64);

struct Ask(u64);

struct Tell(u64);

impl Message<Ask> for Sum {
    type Reply = u64;

    async fn handle(&mut self, Ask(number): Ask, _: &mut Context<Self, u64>) -> u64 {
        self.0 += number;
        self.0
    }
}

impl Message<Tell> for Sum {
    type Reply = ();

    async fn handle(&mut self, Tell(number): Tell, _: &mut Context<Self, ()>) {
        self.0 += number;
    }
}

pub(super) fn bounded(workers: usize) -> Job {
    on_tokio::start(workers, spawn_bounded)
}

pub(super) fn unbounded(workers: usize) -> Job {
    on_tokio::start(workers, spawn_unbounded)
}

pub(super) fn bounded_spawner(workers: usize) -> Spawner {
    on_tokio::spawner(workers, spawn_bounded)
}

pub(super) fn unbounded_spawner(workers: usize) -> Spawner {
    on_tokio::spawner(workers, spawn_unbounded)
}

async fn spawn_bounded() -> Handle {
    Handle(Sum::spawn(Sum(0)))
}

async fn spawn_unbounded() -> Handle {
    Handle(Sum::spawn_with_mailbox(Sum(0), mailbox::unbounded()))
}

#[derive(Clone)]
struct Handle(ActorRef<Sum>);

impl Counter for Handle {
    async fn ask(&self, number: u64) -> u64 {
        self.0.ask(Ask(number)).await.expect("the actor replies")
    }

    async fn tell(&self, number: u64) {
        self.0.tell(Tell(number)).await.expect("the actor is there");
    }
}
