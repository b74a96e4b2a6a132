//! Makes one task of a random kind, with inputs from those that are there.

use std::sync::Arc;

use heist::{Executor, TaskError, TaskFuture, as_completed};

use crate::graph::{Ends, FAILED, Kind, MOST_INPUTS, Node, PANICKED, PROMISE_DROPPED, VALUE, step};
use crate::ledger::{Ledger, Ticket, Value};

pub(crate) type Future = TaskFuture<Value>;

/// What a task does when it runs.
#[derive(Clone, Copy)]
pub(crate) struct Task {
    own: Ends,
    /// How often it looks whether it was cancelled before it goes on.
    looks: u32,
}

impl Task {
    pub(crate) fn random(random: &mut fastrand::Rng) -> Self {
        let own = match random.u16(0..400) {
            0..8 => FAILED,
            8..10 => PANICKED,
            _ => VALUE,
        };
        let looks = if random.u8(0..16) == 0 { random.u32(0..2_000) } else { 0 };
        Self { own, looks }
    }

    fn run(self, ticket: &Ticket, inputs: impl IntoIterator<Item = u64>) -> Result<Value, String> {
        ticket.run();
        let number = step(ticket.node(), inputs);
        let _ = (0..self.looks).find(|_| heist::cancelled());
        match self.own {
            FAILED => Err(format!("task {} fails", ticket.node())),
            PANICKED => panic!("task {} panics", ticket.node()),
            _ => Ok(ticket.value(number)),
        }
    }
}

fn numbers<'a>(inputs: impl IntoIterator<Item = &'a Value>) -> Vec<u64> {
    inputs.into_iter().map(Value::number).collect()
}

fn number_or_none(input: Result<&Value, TaskError>) -> u64 {
    input.map_or(0, Value::number)
}

/// A task with none but closures of its own: of several sizes, so that cells are.
pub(crate) fn source(ex: &Executor, task: Task, ticket: Ticket, random: &mut fastrand::Rng) -> Future {
    match random.u8(0..16) {
        0 => ballast::<64>(ex, task, ticket),
        1 => ballast::<300>(ex, task, ticket),
        2 => ballast::<3_000>(ex, task, ticket),
        _ => ex.submit_result(move || task.run(&ticket, [])),
    }
}

fn ballast<const BYTES: usize>(ex: &Executor, task: Task, ticket: Ticket) -> Future {
    let ballast = [ticket.node() as u8; BYTES];
    ex.submit_result(move || {
        let same = ballast.iter().all(|&byte| byte == ticket.node() as u8);
        ticket.ledger().expect(same, || format!("the closure of task {} has changed", ticket.node()));
        task.run(&ticket, [])
    })
}

/// A task after up to six others, lent in one shape or another; some are given away.
pub(crate) fn after(ex: &Executor, task: Task, ticket: Ticket, inputs: &[&Future], owned: bool) -> Future {
    match *inputs {
        [] if owned => ex.submit_result_after([] as [Future; 0], move |[]| task.run(&ticket, [])),
        [] => ex.submit_result_after(Vec::<Future>::new(), move |inputs| task.run(&ticket, numbers(inputs))),
        [a] if owned => ex.submit_result_after(a.clone(), move |a| task.run(&ticket, [a.number()])),
        // Without a `Result` of its own, for those that cannot fail.
        [a] if task.own != FAILED => {
            ex.submit_after(a, move |a| task.run(&ticket, [a.number()]).expect("it does not fail"))
        }
        [a] => ex.submit_result_after(a, move |a| task.run(&ticket, [a.number()])),
        [a, b] => ex.submit_result_after((a, b.clone()), move |(a, b)| task.run(&ticket, numbers([a, b]))),
        [a, b, c] => ex.submit_result_after([a, b, c], move |inputs| task.run(&ticket, numbers(inputs))),
        [a, b, c, d] if owned => ex.submit_result_after((a, [b, c], d.clone()), move |(a, [b, c], d)| {
            task.run(&ticket, numbers([a, b, c, d]))
        }),
        _ => ex.submit_result_after(inputs.to_vec(), move |inputs| task.run(&ticket, numbers(inputs))),
    }
}

/// A task that takes what its inputs came to, whatever that is.
pub(crate) fn after_results(ex: &Executor, task: Task, ticket: Ticket, inputs: &[&Future]) -> Future {
    let inputs = inputs.to_vec();
    let own = task.own;
    ex.submit_after_results(inputs, move |inputs| {
        let run = task.run(&ticket, inputs.into_iter().map(number_or_none));
        run.unwrap_or_else(|_| unreachable!("end {own} is none of such a task"))
    })
}

/// An async task that awaits its inputs one after the other.
pub(crate) fn spawn(ex: &Executor, ticket: Ticket, inputs: &[&Future]) -> Future {
    let inputs: Vec<Future> = inputs.iter().map(|&input| input.clone()).collect();
    ex.spawn(async move {
        ticket.run();
        let mut numbers = Vec::new();
        for input in inputs {
            numbers.push(input.await.map_or(0, |value| value.number()));
        }
        ticket.value(step(ticket.node(), numbers))
    })
}

/// A task that runs tasks of its own and waits for them, in one way or another.
pub(crate) fn nest(ex: &Executor, ticket: Ticket, tasks: usize, input: Option<&Future>, way: u8) -> Future {
    let (ledger, first) = (ticket.ledger().clone(), ticket.node() + 1);
    let run = move |ticket: &Ticket, input: Option<u64>| {
        ticket.run();
        let current = heist::current().ok_or("no current task")?;
        let numbers = nested(current.executor(), &ledger, first..first + tasks, way).map_err(|e| e.to_string())?;
        Ok::<_, String>(ticket.value(step(ticket.node(), input.into_iter().chain(numbers))))
    };
    match input {
        None => ex.submit_result(move || run(&ticket, None)),
        Some(input) => ex.submit_result_after(input, move |input| run(&ticket, Some(input.number()))),
    }
}

fn nested(ex: &Executor, ledger: &Arc<Ledger>, nodes: std::ops::Range<usize>, way: u8) -> Result<Vec<u64>, TaskError> {
    let run = |ticket: Ticket| {
        ticket.run();
        (ticket.node(), ticket.value(step(ticket.node(), [])))
    };
    let mut tickets = nodes.map(|node| Ticket::new(ledger, node));
    let mut futures: Vec<TaskFuture<(usize, Value)>> = Vec::new();
    match way % 3 {
        0 => futures.extend(tickets.map(|ticket| ex.submit(move || run(ticket)))),
        1 => futures = ex.map(tickets, run),
        // Each after the one before, whose number it does not take.
        _ => {
            futures.extend(tickets.next().map(|ticket| ex.submit(move || run(ticket))));
            for ticket in tickets {
                futures.extend(futures.last().map(|before| ex.submit_after(before, move |_| run(ticket))));
            }
        }
    }
    let mut values = match way / 3 {
        0 => ex.gather(futures)?,
        1 => as_completed(futures).map(|(_, value)| value).collect::<Result<_, _>>()?,
        2 => futures.iter().rev().map(TaskFuture::result).collect::<Result<_, _>>()?,
        _ => {
            heist::wait_all(&futures);
            futures.drain(..).map(|future| future.result()).collect::<Result<_, _>>()?
        }
    };
    values.sort_unstable_by_key(|&(node, _)| node);
    Ok(values.iter().map(|(_, value)| value.number()).collect())
}

/// Ends of a promise, as it is kept or not.
pub(crate) fn promise_end(random: &mut fastrand::Rng) -> Ends {
    match random.u8(0..30) {
        0 => FAILED,
        1 => PROMISE_DROPPED,
        _ => VALUE,
    }
}

/// A random choice of inputs from `kept`.
pub(crate) fn choose(random: &mut fastrand::Rng, kept: &[(usize, Future)]) -> Vec<usize> {
    let count = if kept.is_empty() { 0 } else { [1, 1, 1, 1, 2, 2, 3, 4, 5, MOST_INPUTS, 0][random.usize(0..11)] };
    // Near ones make it deep, far ones wide.
    let any = |random: &mut fastrand::Rng| if random.bool() { random.usize(0..kept.len()) } else { kept.len() - 1 };
    (0..count).map(|_| any(random)).collect()
}

/// The node of a task.
pub(crate) fn node(kind: Kind, inputs: Vec<usize>, task: Task) -> Node {
    Node::new(kind, inputs, task.own)
}

impl Task {
    /// That cannot fail, though it may panic.
    pub(crate) fn infallible(self) -> Self {
        Self { own: if self.own == FAILED { VALUE } else { self.own }, ..self }
    }

    pub(crate) fn plain() -> Self {
        Self { own: VALUE, looks: 0 }
    }
}
