//! heist's actor: closures over its state. `ask` gives a future, which the sender blocks on or, as `heist:await`, awaits;
//! `heist:call` asks and waits in one call.

use std::time::Instant;

use ::heist::{ActorRef, Executor, Profile};

use super::{Counter, Job, Run, Spawner, Workload, ask_all, part, tell_all};
use crate::start::{heist, heist_with};

struct Sum(u64);

impl Sum {
    fn add(&mut self, number: u64) -> u64 {
        self.0 += number;
        self.0
    }
}

pub(super) fn start(workers: usize) -> Job {
    job(heist(workers), ask)
}

pub(super) fn latency(workers: usize) -> Job {
    job(heist_with(workers, |builder| builder.profile(Profile::Latency)), ask)
}

pub(super) fn call(workers: usize) -> Job {
    job(heist(workers), |actor, number| actor.call(move |sum| sum.add(number)).expect("the actor replies"))
}

type Ask = fn(&ActorRef<Sum>, u64) -> u64;

fn job(executor: Executor, ask: Ask) -> Job {
    Box::new(move |workload, messages| {
        let sum = executor.actor(|| Sum(0));
        if workload == Workload::AskOutside {
            return send(&executor, &sum, ask, workload, messages);
        }
        let inner = executor.clone();
        let sender = executor.submit(move || send(&inner, &sum, ask, workload, messages));
        sender.result().expect("the sender succeeds")
    })
}

fn ask(actor: &ActorRef<Sum>, number: u64) -> u64 {
    actor.ask(move |sum| sum.add(number)).result().expect("the actor replies")
}

fn tell(actor: &ActorRef<Sum>, number: u64) {
    let told = actor.tell(move |sum| {
        sum.add(number);
    });
    told.expect("the actor is there");
}

fn send(executor: &Executor, actor: &ActorRef<Sum>, ask: Ask, workload: Workload, messages: u64) -> Run {
    let start = Instant::now();
    if workload.is_ask() {
        let sum = (0..messages).fold(0, |_, number| ask(actor, number));
        return Run { time: start.elapsed(), sum };
    }
    let senders = workload.senders();
    let told = executor.map(0..senders, {
        let actor = actor.clone();
        move |sender| part(messages, senders, sender).for_each(|number| tell(&actor, number))
    });
    executor.gather(told).expect("the senders succeed");
    let sum = ask(actor, 0);
    Run { time: start.elapsed(), sum }
}

pub(super) fn awaited(workers: usize) -> Job {
    let executor = heist(workers);
    Box::new(move |workload, messages| {
        let sum = executor.actor(|| Sum(0));
        executor.spawn(send_awaited(executor.clone(), sum, workload, messages)).result().expect("the sender succeeds")
    })
}

impl Counter for ActorRef<Sum> {
    async fn ask(&self, number: u64) -> u64 {
        ActorRef::ask(self, move |sum: &mut Sum| sum.add(number)).await.expect("the actor replies")
    }

    async fn tell(&self, number: u64) {
        tell(self, number);
    }
}

async fn send_awaited(executor: Executor, actor: ActorRef<Sum>, workload: Workload, messages: u64) -> Run {
    let start = Instant::now();
    if workload.is_ask() {
        let sum = ask_all(&actor, messages).await;
        return Run { time: start.elapsed(), sum };
    }
    let senders = workload.senders();
    let spawn = |sender| executor.spawn(tell_all(actor.clone(), part(messages, senders, sender)));
    let told: Vec<_> = (0..senders).map(spawn).collect();
    for sender in told {
        sender.await.expect("a sender succeeds");
    }
    let sum = Counter::ask(&actor, 0).await;
    Run { time: start.elapsed(), sum }
}

pub(super) fn spawner(workers: usize) -> Spawner {
    let executor = heist(workers);
    let mut kept = Vec::new();
    Box::new(move |actors| {
        let mut new = Vec::with_capacity(actors as usize);
        let start = Instant::now();
        for _ in 0..actors {
            new.push(executor.actor(|| Sum(0)));
        }
        let took = start.elapsed();
        new.iter().for_each(|actor| assert_eq!(ask(actor, 1), 1));
        kept.push(new);
        took
    })
}
