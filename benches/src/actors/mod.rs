//! An actor that keeps a sum, and those who send it numbers: `ask` waits for each reply, `tell` does not.

mod actix;
mod heist;
mod kameo;
mod on_tokio;
mod ractor;
pub mod spawn;
mod tokio;

use std::time::Duration;

use clap::ValueEnum;

use crate::one::Args;
use crate::report::{Report, Series, timed};

/// What is sent, by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Workload {
    /// A task of the pool asks, and waits for each reply.
    AskInside,
    /// A thread that is not a worker asks, and waits for each reply.
    AskOutside,
    /// A task of the pool tells, and then waits until all is handled.
    #[value(name = "tell_1to1")]
    TellOne,
    /// Eight tasks of the pool tell.
    #[value(name = "tell_8to1")]
    TellEight,
}

/// The names of the workloads.
pub const WORKLOADS: &[&str] = &["ask_inside", "ask_outside", "tell_1to1", "tell_8to1"];

impl Workload {
    /// Messages of a run: fewer where each takes longer.
    fn messages(self, tasks: u64) -> u64 {
        if self.is_ask() { (tasks / 60).max(1) } else { tasks }
    }

    fn metric(self) -> &'static str {
        match self {
            Workload::AskInside | Workload::AskOutside => "round_trip",
            Workload::TellOne | Workload::TellEight => "message",
        }
    }

    fn is_ask(self) -> bool {
        matches!(self, Workload::AskInside | Workload::AskOutside)
    }

    fn senders(self) -> u64 {
        if self == Workload::TellEight { 8 } else { 1 }
    }
}

/// What a run took, and the actor's sum at its end.
#[derive(Debug, Clone, Copy)]
struct Run {
    time: Duration,
    sum: u64,
}

/// Sends so many messages to a new actor.
type Job = Box<dyn FnMut(Workload, u64) -> Run>;

/// Spawns so many actors, keeps them, and tells how long the calls took; returns when each has answered.
type Spawner = Box<dyn FnMut(u64) -> Duration>;

/// A way to have actors.
struct Peer {
    name: &'static str,
    able: fn(Workload) -> bool,
    start: fn(usize) -> Job,
}

const PEERS: &[Peer] = &[
    Peer { name: "heist", able: |_| true, start: heist::start },
    Peer { name: "heist:call", able: |workload| workload == Workload::AskInside, start: heist::call },
    Peer { name: "heist:await", able: |workload| workload != Workload::AskOutside, start: heist::awaited },
    Peer { name: "heist:latency", able: |workload| workload == Workload::AskOutside, start: heist::latency },
    Peer { name: "tokio", able: |_| true, start: tokio::unbounded },
    Peer { name: "tokio:bounded", able: |_| true, start: tokio::bounded },
    Peer { name: "actix", able: |_| true, start: actix::start },
    Peer { name: "actix:same", able: |workload| workload == Workload::AskInside, start: actix::same },
    Peer { name: "ractor", able: |_| true, start: ractor::start },
    Peer { name: "kameo", able: |_| true, start: kameo::bounded },
    Peer { name: "kameo:unbounded", able: |_| true, start: kameo::unbounded },
];

/// The runtimes that can run a workload.
pub fn names(workload: &str, _workers: usize) -> Vec<&'static str> {
    let Ok(workload) = Workload::from_str(workload, false) else { return vec![] };
    PEERS.iter().filter(|peer| (peer.able)(workload)).map(|peer| peer.name).collect()
}

/// Runs the workload once to warm up and some times more, and looks whether every number has come.
///
/// # Errors
///
/// When the runtime or the workload is unknown, and when a sum is wrong.
pub fn measure(args: &Args) -> Result<Report, String> {
    let workload = Workload::from_str(&args.workload, false)?;
    let peer = PEERS.iter().find(|peer| peer.name == args.runtime && (peer.able)(workload));
    let mut job = (peer.ok_or("no runtime of that name has this workload")?.start)(args.workers);
    let messages = workload.messages(args.tasks);
    let mut each = Series::new(workload.metric(), "ns");
    let mut core = Series::new("core", "ns");
    let by_message = |time: Duration| time.as_nanos() as f64 / messages as f64;
    let expected: u64 = (0..messages).sum();
    for repeat in 0..=args.repeats {
        let (run, _, cpu) = timed(|| job(workload, messages));
        if run.sum != expected {
            return Err(format!("the sum is {}, not {expected}", run.sum));
        }
        if repeat > 0 {
            each.samples.push(by_message(run.time));
            core.samples.push(by_message(cpu));
        }
    }
    Ok(Report { series: vec![each, core] })
}

/// The numbers of one of several senders.
fn part(messages: u64, senders: u64, sender: u64) -> std::ops::Range<u64> {
    messages * sender / senders..messages * (sender + 1) / senders
}

/// An actor that adds what it is sent to a sum.
trait Counter: Clone + Send + Sync + 'static {
    /// Adds, and waits for the sum.
    fn ask(&self, number: u64) -> impl Future<Output = u64> + Send;

    /// Adds; waits for room, if the actor's mailbox is bounded.
    fn tell(&self, number: u64) -> impl Future<Output = ()> + Send;
}

/// Asks for each number; returns the last reply.
async fn ask_all(counter: &impl Counter, messages: u64) -> u64 {
    let mut sum = 0;
    for number in 0..messages {
        sum = counter.ask(number).await;
    }
    sum
}

async fn tell_all(counter: impl Counter, numbers: std::ops::Range<u64>) {
    for number in numbers {
        counter.tell(number).await;
    }
}

#[cfg(test)]
mod tests {
    use clap::builder::PossibleValue;

    use super::*;

    #[test]
    fn every_workload_has_its_name() {
        let names: Vec<_> = Workload::value_variants().iter().map(|w| w.to_possible_value().unwrap()).collect();
        assert_eq!(names.iter().map(PossibleValue::get_name).collect::<Vec<_>>(), WORKLOADS);
    }

    #[test]
    fn every_number_is_sent_once() {
        let sent: Vec<u64> = (0..8).flat_map(|sender| part(203, 8, sender)).collect();
        assert_eq!(sent, (0..203).collect::<Vec<_>>());
    }
}
