//! What each task of a graph may come to, told from the graph alone, and how that is held against what was seen.

use crate::ledger::Ledger;

/// Ends of a task, one bit each.
pub(crate) type Ends = u8;
pub(crate) const VALUE: Ends = 1;
pub(crate) const FAILED: Ends = 2;
pub(crate) const PANICKED: Ends = 4;
pub(crate) const PROMISE_DROPPED: Ends = 8;
pub(crate) const CANCELLED: Ends = 16;

pub(crate) const MOST_INPUTS: usize = 6;

/// How a task comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Runs when all inputs have values.
    Plain,
    /// Runs when all inputs are done.
    Results,
    /// Is given its value, and runs nothing.
    Given,
    /// Plain, and runs tasks of its own, the next so many nodes.
    Nest(usize),
    /// One of those.
    Nested,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) inputs: Vec<usize>,
    /// How it ends if it comes to that, undisturbed.
    pub(crate) own: Ends,
    pub(crate) cancelled: bool,
    /// Runs though nobody looks at its end.
    pub(crate) detached: bool,
    /// The end that was seen; 0 when none was.
    pub(crate) seen: Ends,
    pub(crate) number: u64,
}

impl Node {
    pub(crate) fn new(kind: Kind, inputs: Vec<usize>, own: Ends) -> Self {
        Self { kind, inputs, own, cancelled: false, detached: false, seen: 0, number: 0 }
    }
}

/// The number of a task, from those of its inputs.
pub(crate) fn step(node: usize, inputs: impl IntoIterator<Item = u64>) -> u64 {
    let sum = |sum: u64, input: u64| (sum.rotate_left(7) ^ input).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    inputs.into_iter().fold(node as u64 ^ 0x5bd1, sum)
}

/// What a task may come to, and the number of its value, if that is certain.
#[derive(Clone, Copy)]
struct Fate {
    may: Ends,
    number: Option<u64>,
}

/// Holds a graph against what was seen of it. `closing`: the executor was shut down before the graph was collected.
/// `finished`: it ran everything that was let go of.
pub(crate) fn check(graph: &[Node], ledger: &Ledger, closing: bool, finished: bool) {
    let mut fates: Vec<Fate> = Vec::with_capacity(graph.len());
    for (index, node) in graph.iter().enumerate() {
        let fate = fate(index, node, graph, &fates, closing);
        let runs = ledger.runs(index);
        let told = || format!("task {index}, {node:?}: may be {:#b}, ran {runs} times", fate.may);
        ledger.expect(node.seen & !fate.may == 0, || format!("{} but came to that", told()));
        if node.seen == VALUE {
            let right = fate.number.is_none_or(|number| number == node.number);
            ledger.expect(right, || format!("{}: the number must be {:?}", told(), fate.number));
        }
        let certain = node.seen == VALUE || node.detached && finished && fate.may == VALUE;
        if certain && node.kind != Kind::Given {
            ledger.expect(runs == 1, || format!("{} instead of once", told()));
        }
        if fate.may & node.own == 0 {
            ledger.expect(runs == 0, || format!("{} though an input had no value", told()));
        }
        // It had all its inputs.
        if runs == 1 && matches!(node.kind, Kind::Plain | Kind::Nest(_)) {
            for &input in &node.inputs {
                let ran = graph[input].kind == Kind::Given || ledger.runs(input) == 1;
                ledger.expect(ran, || format!("{} though its input {input} did not run", told()));
            }
        }
        if let Kind::Nest(tasks) = node.kind
            && node.seen == VALUE
        {
            let ran = (index + 1..=index + tasks).all(|nested| ledger.runs(nested) == 1);
            ledger.expect(ran, || format!("{} though one of its {tasks} tasks did not", told()));
        }
        fates.push(fate);
    }
}

fn fate(index: usize, node: &Node, graph: &[Node], fates: &[Fate], closing: bool) -> Fate {
    let inputs = || node.inputs.iter().map(|&input| fates[input]);
    let needs_values = matches!(node.kind, Kind::Plain | Kind::Nest(_));
    let mut may = 0;
    if !needs_values || inputs().all(|input| input.may & VALUE != 0) {
        may |= node.own;
    }
    if needs_values {
        may |= inputs().fold(0, |errors, input| errors | input.may & !VALUE);
    }
    if node.cancelled {
        may |= CANCELLED;
    }
    if closing {
        may |= CANCELLED;
        match node.kind {
            Kind::Given => may |= PROMISE_DROPPED,
            // Its own tasks were cancelled.
            Kind::Nest(_) => may |= FAILED,
            _ => {}
        }
    }
    let certain = |input: Fate| match input.may {
        _ if needs_values => input.number,
        VALUE => input.number,
        may if may & VALUE == 0 => Some(0),
        _ => None,
    };
    let numbers: Option<Vec<u64>> = match node.kind {
        Kind::Nest(tasks) => {
            inputs().map(certain).chain((index + 1..=index + tasks).map(|nested| Some(step(nested, [])))).collect()
        }
        _ => inputs().map(certain).collect(),
    };
    debug_assert!(node.inputs.iter().all(|&input| input < index && graph[input].kind != Kind::Nested));
    Fate { may, number: numbers.map(|numbers| step(index, numbers)) }
}
