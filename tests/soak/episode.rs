//! An episode: an executor, one or two graphs on it, and its end.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use heist::{Executor, Shutdown};

use crate::drive::Driver;
use crate::graph::{Node, check};
use crate::ledger::Ledger;
use crate::make::Future;
use crate::watchdog;

/// How the executor ends, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// When the graphs are collected.
    After(Shutdown),
    /// In the midst of them.
    Amid(Shutdown),
    /// With the last handle on it.
    Dropped,
}

impl End {
    fn random(random: &mut fastrand::Rng) -> Self {
        match random.u8(0..10) {
            0 => Self::Amid(Shutdown::Wait),
            1 => Self::Amid(Shutdown::Cancel),
            2 => Self::After(Shutdown::Cancel),
            3 => Self::Dropped,
            _ => Self::After(Shutdown::Wait),
        }
    }
}

/// A graph that is being made: what it is counted by, its size, and where it comes from in the end.
struct Part {
    ledger: Arc<Ledger>,
    nodes: usize,
    graph: Receiver<Vec<Node>>,
}

/// Runs what `seed` says, with `tasks` tasks; what was wrong, in words.
pub(crate) fn run(seed: u64, tasks: usize) -> Result<(), String> {
    let mut random = fastrand::Rng::with_seed(seed);
    let end = End::random(&mut random);
    let ex = Executor::builder().workers(random.usize(1..5)).seed(seed).build().map_err(|error| error.to_string())?;
    let sizes = if random.bool() { vec![tasks] } else { vec![tasks / 2, tasks - tasks / 2] };
    let inside = random.bool();
    let (mut parts, mut threads) = (Vec::new(), Vec::new());
    for nodes in sizes {
        let ledger = Ledger::new(nodes);
        let (elsewhere, to_drop) = channel();
        let driver = Driver::new(ex.clone(), ledger.clone(), random.u64(..), elsewhere);
        let (give, graph) = channel();
        let drive = move || drop(give.send(driver.drive(nodes)));
        // One graph may be made by a task, all others are made by threads.
        if inside && parts.is_empty() {
            ex.submit(drive).detach();
        } else {
            threads.push(thread::spawn(drive));
        }
        threads.push(thread::spawn(move || drop_elsewhere(&to_drop)));
        parts.push(Part { ledger, nodes, graph });
    }
    if let End::Amid(how) = end {
        let amid = random.usize(0..tasks) as u64;
        watchdog::until(|| ex.stats().submitted > amid || threads.iter().all(JoinHandle::is_finished));
        ex.shutdown(how);
    }
    for thread in threads {
        thread.join().map_err(|_| "a thread that makes or drops tasks panicked")?;
    }
    let graphs: Vec<_> = parts.iter().map(|part| part.graph.recv()).collect();
    if let End::After(how) = end {
        ex.shutdown(how);
    }
    let stats = ex.stats();
    if end != End::Dropped && stats.submitted != stats.finished {
        return Err(format!("not every task has ended: {stats:?}"));
    }
    drop(ex);
    for (part, graph) in parts.iter().zip(graphs) {
        let graph = match graph {
            Ok(graph) => graph,
            // The task that was to make it was cancelled.
            Err(_) if inside && matches!(end, End::Amid(_)) => Vec::new(),
            Err(_) => return Err(format!("{end:?}: a driver panicked")),
        };
        verify(part, &graph, end).map_err(|complaint| format!("{end:?}: {complaint}"))?;
    }
    Ok(())
}

/// Waits for every other future, and drops them.
fn drop_elsewhere(futures: &Receiver<Future>) {
    for (index, future) in futures.iter().enumerate() {
        if index % 2 == 0 {
            drop(future.wait());
        }
    }
}

fn verify(part: &Part, graph: &[Node], end: End) -> Result<(), String> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !part.ledger.is_settled() {
        if Instant::now() > deadline {
            return Err(part.ledger.left());
        }
        thread::yield_now();
    }
    if graph.len() > part.nodes {
        return Err(format!("{} tasks instead of {}", graph.len(), part.nodes));
    }
    check(graph, &part.ledger, matches!(end, End::Amid(_)), end == End::After(Shutdown::Wait));
    part.ledger.complaint().map_or(Ok(()), Err)
}
