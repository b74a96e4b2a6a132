//! Senders on tokio's multi-thread runtime, for the actors that live there.

use std::time::Instant;

use ::tokio::task::JoinHandle;

use super::{Counter, Job, Run, Spawner, Workload, ask_all, part, tell_all};
use crate::start::tokio;

/// Starts so many workers; `spawn` makes an actor within the runtime.
pub(super) fn start<C: Counter>(workers: usize, spawn: impl AsyncFn() -> C + 'static) -> Job {
    let runtime = tokio(workers);
    Box::new(move |workload, messages| {
        let counter = runtime.block_on(spawn());
        let sent = send(counter, workload, messages);
        match workload {
            Workload::AskOutside => runtime.block_on(sent),
            _ => runtime.block_on(async { ::tokio::spawn(sent).await }).expect("the sender succeeds"),
        }
    })
}

/// Sends the messages from within a tokio runtime, whichever it is.
pub(super) async fn send(counter: impl Counter, workload: Workload, messages: u64) -> Run {
    let start = Instant::now();
    if workload.is_ask() {
        let sum = ask_all(&counter, messages).await;
        return Run { time: start.elapsed(), sum };
    }
    let senders = workload.senders();
    let tell = |sender| ::tokio::spawn(tell_all(counter.clone(), part(messages, senders, sender)));
    let senders: Vec<JoinHandle<()>> = (0..senders).map(tell).collect();
    for sender in senders {
        sender.await.expect("a sender succeeds");
    }
    let sum = counter.ask(0).await;
    Run { time: start.elapsed(), sum }
}

/// Starts so many workers; `spawn` makes an actor within the runtime.
pub(super) fn spawner<C: Counter>(workers: usize, spawn: impl AsyncFn() -> C + 'static) -> Spawner {
    let runtime = tokio(workers);
    let mut kept = Vec::new();
    Box::new(move |actors| {
        runtime.block_on(async {
            let mut new = Vec::with_capacity(actors as usize);
            let start = Instant::now();
            for _ in 0..actors {
                new.push(spawn().await);
            }
            let took = start.elapsed();
            for counter in &new {
                counter.ask(1).await;
            }
            kept.push(new);
            took
        })
    })
}
