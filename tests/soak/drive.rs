//! A driver: makes a random graph and does to its futures whatever a program may do.

use std::collections::VecDeque;
use std::future::{Future as _, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use heist::{Executor, Promise, TaskError, TaskFuture, as_completed, wait_all, wait_any};

use crate::graph::{CANCELLED, Ends, FAILED, Kind, Node, PANICKED, PROMISE_DROPPED, VALUE, step};
use crate::ledger::{Callback, Ledger, Ticket, Value};
use crate::make::{self, Future, Task};

/// Futures a driver holds before it collects some.
const KEPT: usize = 160;
/// Promises that are open before one is settled.
const PROMISES: usize = 6;

pub(crate) struct Driver {
    ex: Executor,
    ledger: Arc<Ledger>,
    random: fastrand::Rng,
    graph: Vec<Node>,
    /// How many promises must be settled before a node can end.
    gates: Vec<usize>,
    kept: Vec<(usize, Future)>,
    promises: VecDeque<(usize, Promise<Value>)>,
    settled: usize,
    /// Where futures go that another thread is to wait for and drop.
    elsewhere: Sender<Future>,
}

impl Driver {
    pub(crate) fn new(ex: Executor, ledger: Arc<Ledger>, seed: u64, elsewhere: Sender<Future>) -> Self {
        Self {
            ex,
            ledger,
            random: fastrand::Rng::with_seed(seed),
            graph: Vec::new(),
            gates: Vec::new(),
            kept: Vec::new(),
            promises: VecDeque::new(),
            settled: 0,
            elsewhere,
        }
    }

    /// Makes and treats tasks until there are `nodes`, then collects what is left; the graph, with what was seen.
    pub(crate) fn drive(mut self, nodes: usize) -> Vec<Node> {
        while self.graph.len() < nodes {
            self.make(nodes);
            if self.random.u8(0..4) != 0 {
                self.treat();
            }
            if self.promises.len() > PROMISES {
                self.settle();
            }
            if self.kept.len() > KEPT {
                let some = self.random.usize(1..KEPT);
                self.collect(some);
            }
        }
        while !self.promises.is_empty() {
            self.settle();
        }
        while !self.kept.is_empty() {
            self.collect(KEPT);
        }
        self.graph
    }

    fn ticket(&self) -> Ticket {
        Ticket::new(&self.ledger, self.graph.len())
    }

    fn keep(&mut self, node: Node, future: Future) {
        let gate = node.inputs.iter().map(|&input| self.gates[input]).max().unwrap_or(0);
        self.kept.push((self.graph.len(), future));
        self.graph.push(node);
        self.gates.push(gate);
    }

    fn make(&mut self, most: usize) {
        let task = Task::random(&mut self.random);
        let chosen = make::choose(&mut self.random, &self.kept);
        let inputs: Vec<_> = chosen.iter().map(|&at| &self.kept[at].1).collect();
        let nodes: Vec<_> = chosen.iter().map(|&at| self.kept[at].0).collect();
        let left = most - self.graph.len();
        match self.random.u8(0..40) {
            0..12 => {
                let future = make::source(&self.ex, task, self.ticket(), &mut self.random);
                self.keep(make::node(Kind::Plain, Vec::new(), task), future);
            }
            12..27 => {
                let future = make::after(&self.ex, task, self.ticket(), &inputs, self.random.bool());
                self.keep(make::node(Kind::Plain, nodes, task), future);
            }
            27..30 => {
                let task = task.infallible();
                let future = make::after_results(&self.ex, task, self.ticket(), &inputs);
                self.keep(make::node(Kind::Results, nodes, task), future);
            }
            30..32 => {
                let future = make::spawn(&self.ex, self.ticket(), &inputs);
                self.keep(make::node(Kind::Results, nodes, Task::plain()), future);
            }
            32 => {
                let value = Value::new(&self.ledger, step(self.graph.len(), []));
                let future = self.ex.scatter(value);
                self.keep(make::node(Kind::Given, Vec::new(), Task::plain()), future);
            }
            33..35 => self.promise(),
            35 if left > 9 => {
                let (tasks, way) = (self.random.usize(1..8), self.random.u8(0..12));
                let input = inputs.first().copied();
                let future = make::nest(&self.ex, self.ticket(), tasks, input, way);
                let inputs = nodes.first().copied().into_iter().collect();
                self.keep(make::node(Kind::Nest(tasks), inputs, Task::plain()), future);
                for _ in 0..tasks {
                    self.graph.push(make::node(Kind::Nested, Vec::new(), Task::plain()));
                    self.gates.push(0);
                }
            }
            _ => {
                let first = self.graph.len();
                let tickets: Vec<_> =
                    (first..first + left.min(self.random.usize(1..20))).map(|n| Ticket::new(&self.ledger, n)).collect();
                let futures = self.ex.map(tickets, |ticket| {
                    ticket.run();
                    ticket.value(step(ticket.node(), []))
                });
                for future in futures {
                    self.keep(make::node(Kind::Plain, Vec::new(), Task::plain()), future);
                }
            }
        }
    }

    fn promise(&mut self) {
        let (promise, future) = self.ex.promise();
        let index = self.graph.len();
        let own = make::promise_end(&mut self.random);
        self.keep(Node::new(Kind::Given, Vec::new(), own), future);
        self.promises.push_back((index, promise));
        self.gates[index] = self.settled + self.promises.len();
    }

    /// Settles the oldest open promise, here or in a task.
    fn settle(&mut self) {
        let Some((index, promise)) = self.promises.pop_front() else { return };
        self.settled += 1;
        let value = Value::new(&self.ledger, step(index, []));
        match self.graph[index].own {
            FAILED => promise.fail("the promise fails"),
            PROMISE_DROPPED => drop(promise),
            _ if self.random.u8(0..4) == 0 => {
                self.ex.submit(move || promise.fulfil(value)).detach();
            }
            _ => promise.fulfil(value),
        }
    }

    /// Makes sure that a wait for this node ends.
    fn open(&mut self, node: usize) {
        while self.gates[node] > self.settled {
            self.settle();
        }
    }

    /// Does one thing to one future, at random.
    fn treat(&mut self) {
        let Some(at) = self.kept.len().checked_sub(1).map(|last| self.random.usize(0..=last)) else { return };
        let node = self.kept[at].0;
        match self.random.u8(0..48) {
            0..6 => drop(self.kept.swap_remove(at)),
            6 => {
                // The newest may just be running.
                let at = if self.random.bool() { at } else { self.kept.len() - 1 };
                let (node, future) = self.kept[at].clone();
                self.graph[node].cancelled = true;
                if future.cancel("at random") {
                    self.see(node, CANCELLED, 0);
                } else {
                    self.ledger.expect(future.done(), || format!("task {node} was neither done nor cancelled"));
                }
            }
            7..10 => {
                let (_, future) = self.kept.swap_remove(at);
                self.graph[node].detached = true;
                future.detach();
            }
            10..12 => {
                let called = Callback::new(&self.ledger);
                let ledger = self.ledger.clone();
                self.kept[at].1.on_done(move |future| {
                    called.call();
                    ledger.expect(future.done(), || "a callback of a task that is not done".to_owned());
                });
            }
            12..14 => {
                let mut awaited = IntoFuture::into_future(&self.kept[at].1);
                let polled = match Pin::new(&mut awaited).poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(result) => Some(result.map(|value| value.number())),
                    Poll::Pending => None,
                };
                drop(awaited);
                if let Some(result) = polled {
                    self.see_number(node, result);
                }
            }
            14 => {
                let waited = self.kept[at].1.wait_timeout(Duration::from_micros(self.random.u64(0..30)));
                let right = waited.as_ref().err().is_none_or(TaskError::is_timeout);
                self.ledger.expect(right, || format!("a timed wait for task {node} gave {waited:?}"));
            }
            15 => {
                self.open(node);
                let result = self.kept[at].1.result();
                self.see_result(node, result);
            }
            16 => {
                self.open(node);
                let (_, future) = self.kept.swap_remove(at);
                match future.into_result() {
                    Ok(result) => self.see_result(node, result),
                    Err(future) => self.kept.push((node, future)),
                }
            }
            17..19 => {
                self.open(node);
                let (_, future) = self.kept.swap_remove(at);
                // The other thread ends with its receiver, and that with this driver.
                let _ = self.elsewhere.send(future);
            }
            19..30 => {
                if let Some(result) = self.kept[at].1.try_result() {
                    self.see_result(node, result);
                }
            }
            30..33 => {
                let clone = self.kept[at].1.clone();
                self.kept.push((node, clone));
            }
            33 => self.settle(),
            _ => {}
        }
    }

    /// Ends the wait for `some` of the futures, in one way or another.
    fn collect(&mut self, some: usize) {
        let most = self.kept.len();
        let from = if self.random.bool() { 0 } else { most.saturating_sub(some) };
        let taken: Vec<_> = self.kept.drain(from..most.min(from + some)).collect();
        let (nodes, futures): (Vec<_>, Vec<_>) = taken.into_iter().unzip();
        if self.random.u8(0..16) == 0 {
            return drop(futures);
        }
        nodes.iter().for_each(|&node| self.open(node));
        match self.random.u8(0..6) {
            0 => {
                let results = self.ex.gather_results(&futures);
                self.see_results(&nodes, results);
            }
            1 => {
                let results = self.ex.gather_results(futures);
                self.see_results(&nodes, results);
            }
            2 => self.as_completed(&nodes, futures),
            3 => {
                let sets = wait_all(&futures);
                let all = sets.done.len() == futures.len() && sets.ended_early.is_none();
                self.ledger.expect(all, || format!("a wait for all ended early: {:?}", sets.ended_early));
                self.see_results(&nodes, futures.iter().map(TaskFuture::result));
            }
            4 => {
                let sets = wait_any(&futures);
                let any = !sets.done.is_empty() && sets.ended_early.is_none();
                self.ledger.expect(any, || format!("a wait for any ended early: {:?}", sets.ended_early));
                self.kept.extend(nodes.into_iter().zip(futures).filter(|(_, future)| !future.done()));
            }
            _ => {
                let results: Vec<_> = futures.iter().map(|future| future.value().map(Value::number)).collect();
                for (node, result) in nodes.into_iter().zip(results) {
                    self.see_number(node, result);
                }
            }
        }
    }

    fn as_completed(&mut self, nodes: &[usize], mut futures: Vec<Future>) {
        let node_of: std::collections::HashMap<_, _> =
            futures.iter().map(TaskFuture::id).zip(nodes.iter().copied()).collect();
        let late = futures.split_off(futures.len() / 2);
        let mut completed = as_completed(futures);
        completed.extend(late);
        let mut yielded = 0;
        for (future, result) in completed {
            yielded += 1;
            self.see_result(node_of[&future.id()], result);
        }
        self.ledger.expect(yielded == nodes.len(), || format!("{yielded} of {} futures completed", nodes.len()));
    }

    fn see_results(&mut self, nodes: &[usize], results: impl IntoIterator<Item = Result<Value, TaskError>>) {
        for (&node, result) in nodes.iter().zip(results) {
            self.see_result(node, result);
        }
    }

    fn see_result(&mut self, node: usize, result: Result<Value, TaskError>) {
        self.see_number(node, result.map(|value| value.number()));
    }

    fn see_number(&mut self, node: usize, result: Result<u64, TaskError>) {
        match result {
            Ok(number) => self.see(node, VALUE, number),
            Err(error) => match end_of(&error) {
                Some(end) => self.see(node, end, 0),
                None => self.ledger.expect(false, || format!("task {node} gave {error}")),
            },
        }
    }

    fn see(&mut self, index: usize, end: Ends, number: u64) {
        let node = &mut self.graph[index];
        let same = node.seen == 0 || (node.seen, node.number) == (end, number);
        (node.seen, node.number) = (end, number);
        self.ledger.expect(same, || format!("task {index} was seen to end in two ways"));
    }
}

fn end_of(error: &TaskError) -> Option<Ends> {
    let ends = [
        (error.is_failed(), FAILED),
        (error.is_panic(), PANICKED),
        (error.is_promise_dropped(), PROMISE_DROPPED),
        (error.is_cancelled(), CANCELLED),
    ];
    ends.into_iter().find_map(|(is, end)| is.then_some(end))
}
