//! The actor as tokio's users write it: a task that owns the state and reads an mpsc channel; a oneshot carries each reply.

use ::tokio::sync::{mpsc, oneshot};

use super::{Counter, Job, Spawner, on_tokio};

/// The size of the bounded mailbox.
const ROOM: usize = 1024;

enum Message {
    Ask(u64, oneshot::Sender<u64>),
    Tell(u64),
}

impl Message {
    fn handle(self, sum: &mut u64) {
        match self {
            Message::Ask(number, reply) => {
                *sum += number;
                let _gone = reply.send(*sum);
            }
            Message::Tell(number) => *sum += number,
        }
    }
}

pub(super) fn unbounded(workers: usize) -> Job {
    on_tokio::start(workers, spawn_unbounded)
}

pub(super) fn bounded(workers: usize) -> Job {
    on_tokio::start(workers, spawn_bounded)
}

pub(super) fn spawner(workers: usize) -> Spawner {
    on_tokio::spawner(workers, spawn_unbounded)
}

async fn spawn_unbounded() -> Unbounded {
    let (sender, mut mailbox) = mpsc::unbounded_channel::<Message>();
    ::tokio::spawn(async move {
        let mut sum = 0;
        while let Some(message) = mailbox.recv().await {
            message.handle(&mut sum);
        }
    });
    Unbounded(sender)
}

async fn spawn_bounded() -> Bounded {
    let (sender, mut mailbox) = mpsc::channel::<Message>(ROOM);
    ::tokio::spawn(async move {
        let mut sum = 0;
        while let Some(message) = mailbox.recv().await {
            message.handle(&mut sum);
        }
    });
    Bounded(sender)
}

#[derive(Clone)]
struct Unbounded(mpsc::UnboundedSender<Message>);

impl Counter for Unbounded {
    async fn ask(&self, number: u64) -> u64 {
        let (reply, replied) = oneshot::channel();
        assert!(self.0.send(Message::Ask(number, reply)).is_ok(), "the actor is there");
        replied.await.expect("the actor replies")
    }

    async fn tell(&self, number: u64) {
        assert!(self.0.send(Message::Tell(number)).is_ok(), "the actor is there");
    }
}

#[derive(Clone)]
struct Bounded(mpsc::Sender<Message>);

impl Counter for Bounded {
    async fn ask(&self, number: u64) -> u64 {
        let (reply, replied) = oneshot::channel();
        assert!(self.0.send(Message::Ask(number, reply)).await.is_ok(), "the actor is there");
        replied.await.expect("the actor replies")
    }

    async fn tell(&self, number: u64) {
        assert!(self.0.send(Message::Tell(number)).await.is_ok(), "the actor is there");
    }
}
