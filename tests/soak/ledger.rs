//! What the closures, values and callbacks of an episode are counted by, whoever runs and drops them.

use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A task's closure, as seen from itself.
#[derive(Default)]
struct Record {
    runs: AtomicU8,
    made: AtomicU8,
    drops: AtomicU8,
}

/// The counts of one episode. What is wrong in a task is noted here, since a panic there would be a result.
pub(crate) struct Ledger {
    records: Box<[Record]>,
    values: AtomicI64,
    bytes: AtomicI64,
    callbacks: AtomicI64,
    wrong: Mutex<Option<String>>,
}

impl Ledger {
    pub(crate) fn new(nodes: usize) -> Arc<Self> {
        Arc::new(Self {
            records: (0..nodes).map(|_| Record::default()).collect(),
            values: AtomicI64::new(0),
            bytes: AtomicI64::new(0),
            callbacks: AtomicI64::new(0),
            wrong: Mutex::new(None),
        })
    }

    /// Keeps the first complaint.
    pub(crate) fn expect(&self, right: bool, complaint: impl FnOnce() -> String) {
        if !right {
            self.wrong.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(complaint);
        }
    }

    pub(crate) fn complaint(&self) -> Option<String> {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn runs(&self, node: usize) -> u8 {
        self.records[node].runs.load(Ordering::Relaxed)
    }

    /// Whether every closure that was made was dropped, and no value and callback is left.
    pub(crate) fn is_settled(&self) -> bool {
        let dropped = |record: &Record| record.drops.load(Ordering::Acquire) == record.made.load(Ordering::Relaxed);
        [&self.values, &self.bytes, &self.callbacks].iter().all(|count| count.load(Ordering::Acquire) == 0)
            && self.records.iter().all(dropped)
    }

    /// What is left, or was dropped twice, in words.
    pub(crate) fn left(&self) -> String {
        let count = |count: &AtomicI64| count.load(Ordering::Relaxed);
        let off = |record: &Record| record.drops.load(Ordering::Relaxed) != record.made.load(Ordering::Relaxed);
        let closures: Vec<_> = (0..self.records.len()).filter(|&node| off(&self.records[node])).take(5).collect();
        format!(
            "{} values of {} bytes and {} callbacks are left, and the closures of tasks like {closures:?}",
            count(&self.values),
            count(&self.bytes),
            count(&self.callbacks),
        )
    }
}

/// What a closure holds, to be counted when it runs and when it is dropped.
pub(crate) struct Ticket {
    ledger: Arc<Ledger>,
    node: usize,
}

impl Ticket {
    pub(crate) fn new(ledger: &Arc<Ledger>, node: usize) -> Self {
        ledger.records[node].made.fetch_add(1, Ordering::Relaxed);
        Self { ledger: ledger.clone(), node }
    }

    pub(crate) fn run(&self) {
        let before = self.ledger.records[self.node].runs.fetch_add(1, Ordering::Relaxed);
        self.ledger.expect(before == 0, || format!("task {} ran twice", self.node));
    }

    pub(crate) fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    pub(crate) fn node(&self) -> usize {
        self.node
    }

    /// The value of this task.
    pub(crate) fn value(&self, number: u64) -> Value {
        Value::new(&self.ledger, number)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let record = &self.ledger.records[self.node];
        let before = record.drops.fetch_add(1, Ordering::Release);
        let made = record.made.load(Ordering::Relaxed);
        self.ledger.expect(before < made, || format!("the closure of task {} was dropped twice", self.node));
    }
}

/// A callback that is still to be called, and to be dropped.
pub(crate) struct Callback {
    ledger: Arc<Ledger>,
}

impl Callback {
    pub(crate) fn new(ledger: &Arc<Ledger>) -> Self {
        ledger.callbacks.fetch_add(2, Ordering::Relaxed);
        Self { ledger: ledger.clone() }
    }

    pub(crate) fn call(&self) {
        self.ledger.callbacks.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Callback {
    fn drop(&mut self) {
        self.ledger.callbacks.fetch_sub(1, Ordering::Release);
    }
}

/// The value of a task: a number and, for some, memory of its own that tells the same number.
pub(crate) struct Value {
    ledger: Arc<Ledger>,
    number: u64,
    payload: Box<[u8]>,
}

impl Value {
    pub(crate) fn new(ledger: &Arc<Ledger>, number: u64) -> Self {
        // Most have none: an empty box allocates nothing.
        let payload = vec![number as u8; if number.is_multiple_of(4) { (number >> 8) as usize % 200 } else { 0 }];
        ledger.values.fetch_add(1, Ordering::Relaxed);
        ledger.bytes.fetch_add(payload.len() as i64, Ordering::Relaxed);
        Self { ledger: ledger.clone(), number, payload: payload.into() }
    }

    pub(crate) fn number(&self) -> u64 {
        let same = self.payload.iter().all(|&byte| byte == self.number as u8);
        self.ledger.expect(same, || format!("the memory of the value {} has changed", self.number));
        self.number
    }
}

impl Clone for Value {
    fn clone(&self) -> Self {
        Self::new(&self.ledger, self.number())
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.number();
        self.ledger.bytes.fetch_sub(self.payload.len() as i64, Ordering::Relaxed);
        self.ledger.values.fetch_sub(1, Ordering::Release);
    }
}
