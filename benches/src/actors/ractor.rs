//! ractor's actor: an enum of messages, `call!` and `cast!`.

use ::ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, call, cast};

use super::{Counter, Job, Spawner, on_tokio};

struct Sum;

enum Message {
    Ask(u64, RpcReplyPort<u64>),
    Tell(u64),
}

impl Actor for Sum {
    type Msg = Message;
    type State = u64;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Message>, (): ()) -> Result<u64, ActorProcessingErr> {
        Ok(0)
    }

    async fn handle(&self, _: ActorRef<Message>, message: Message, sum: &mut u64) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Ask(number, reply) => {
                *sum += number;
                reply.send(*sum)?;
            }
            Message::Tell(number) => *sum += number,
        }
        Ok(())
    }
}

pub(super) fn start(workers: usize) -> Job {
    on_tokio::start(workers, spawn)
}

pub(super) fn spawner(workers: usize) -> Spawner {
    on_tokio::spawner(workers, spawn)
}

async fn spawn() -> Handle {
    let (sum, _task) = Actor::spawn(None, Sum, ()).await.expect("the actor starts");
    Handle(sum)
}

#[derive(Clone)]
struct Handle(ActorRef<Message>);

impl Counter for Handle {
    async fn ask(&self, number: u64) -> u64 {
        call!(self.0, Message::Ask, number).expect("the actor replies")
    }

    async fn tell(&self, number: u64) {
        cast!(self.0, Message::Tell(number)).expect("the actor is there");
    }
}
