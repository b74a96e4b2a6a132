//! actix's actor on an arbiter, which is a thread of its own; who sends lives on another, or on the same one.

use std::sync::mpsc::channel;
use std::time::Instant;

use ::actix::{Actor, Addr, Arbiter, Context, Handler, Message, System, SystemRunner};

use super::{Counter, Job, Spawner, Workload, on_tokio};

struct Sum(u64);

impl Actor for Sum {
    type Context = Context<Sum>;
}

struct Ask(u64);

impl Message for Ask {
    type Result = u64;
}

impl Handler<Ask> for Sum {
    type Result = u64;

    fn handle(&mut self, Ask(number): Ask, _: &mut Context<Sum>) -> u64 {
        self.0 += number;
        self.0
    }
}

struct Tell(u64);

impl Message for Tell {
    type Result = ();
}

impl Handler<Tell> for Sum {
    type Result = ();

    fn handle(&mut self, Tell(number): Tell, _: &mut Context<Sum>) {
        self.0 += number;
    }
}

impl Counter for Addr<Sum> {
    async fn ask(&self, number: u64) -> u64 {
        self.send(Ask(number)).await.expect("the actor replies")
    }

    async fn tell(&self, number: u64) {
        self.do_send(Tell(number));
    }
}

/// An arbiter for the actor, and one for who sends.
pub(super) fn start(_workers: usize) -> Job {
    let system = System::new();
    let (home, senders) = (Arbiter::new(), Arbiter::new());
    job(system, home, Some(senders))
}

/// One arbiter for both.
pub(super) fn same(_workers: usize) -> Job {
    let system = System::new();
    let home = Arbiter::new();
    job(system, home, None)
}

fn job(system: SystemRunner, home: Arbiter, senders: Option<Arbiter>) -> Job {
    Box::new(move |workload, messages| {
        let counter = Sum::start_in_arbiter(&home.handle(), |_| Sum(0));
        let sent = on_tokio::send(counter, workload, messages);
        if workload == Workload::AskOutside {
            return system.block_on(sent);
        }
        let (ending, ended) = channel();
        let taken = senders.as_ref().unwrap_or(&home).spawn(async move {
            let _gone = ending.send(sent.await);
        });
        assert!(taken, "the arbiter is there");
        ended.recv().expect("the sender succeeds")
    })
}

/// All of them on one arbiter.
pub(super) fn spawner(_workers: usize) -> Spawner {
    let system = System::new();
    let home = Arbiter::new();
    let mut kept = Vec::new();
    Box::new(move |actors| {
        let mut new = Vec::with_capacity(actors as usize);
        let start = Instant::now();
        for _ in 0..actors {
            new.push(Sum::start_in_arbiter(&home.handle(), |_| Sum(0)));
        }
        let took = start.elapsed();
        system.block_on(async {
            for counter in &new {
                counter.ask(1).await;
            }
        });
        kept.push(new);
        took
    })
}
