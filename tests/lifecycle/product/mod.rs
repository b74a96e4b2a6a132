//! The full product of the options of a task's life, each combination run and compared with the model.

mod ledger;
mod model;

use std::future::Future;
use std::panic::panic_any;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::thread;

use heist::{Executor, Promise, Shutdown, Status, TaskFuture};

use crate::watchdog::until;
use ledger::{Fault, Guard, Kind, Ledger};
pub(crate) use model::{Case, every_case};
use model::{CloneOf, Fate, First, Outcome, Phase, Way, expected};

/// What holds a task in its phase.
#[derive(Default)]
struct Control {
    stoppers: AtomicUsize,
    running: AtomicBool,
    go: AtomicBool,
}

impl Control {
    /// Within a task: waits for the go, or for the cancellation.
    fn hold(&self) {
        while !self.go.load(Ordering::Acquire) && !heist::cancelled() {
            thread::yield_now();
        }
    }
}

/// The closure of the task under test.
struct Body {
    ledger: Arc<Ledger>,
    control: Arc<Control>,
    outcome: Outcome,
    _guard: Guard,
}

impl Body {
    fn begin(&self) {
        self.ledger.runs.fetch_add(1, Ordering::SeqCst);
        self.control.running.store(true, Ordering::SeqCst);
    }

    fn end(&self) -> Result<Guard, Fault> {
        match self.outcome {
            Outcome::Value => Ok(self.ledger.guard(Kind::Value)),
            Outcome::Error => Err(Fault(self.ledger.guard(Kind::Fault))),
            Outcome::Panic => panic_any(self.ledger.guard(Kind::Fault)),
        }
    }

    fn run(&self) -> Result<Guard, Fault> {
        self.begin();
        self.control.hold();
        self.end()
    }

    /// For ways that take no `Err`.
    fn value(&self) -> Guard {
        self.run().unwrap_or_else(|_| panic!("the product has no errors of this way"))
    }
}

/// Told when it is woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// What the task under test waits for, and the means to let it go on.
struct Gates {
    control: Arc<Control>,
    inputs: Option<Promise<Guard>>,
    own: Option<Promise<Guard>>,
    ledger: Arc<Ledger>,
    outcome: Outcome,
}

impl Gates {
    fn open(&mut self) {
        self.control.go.store(true, Ordering::Release);
        if let Some(promise) = self.inputs.take() {
            promise.fulfil(self.ledger.guard(Kind::Input));
        }
        match (self.own.take(), self.outcome) {
            (Some(promise), Outcome::Value) => promise.fulfil(self.ledger.guard(Kind::Value)),
            (Some(promise), Outcome::Error) => promise.fail(Fault(self.ledger.guard(Kind::Fault))),
            (Some(promise), Outcome::Panic) => drop(promise),
            (None, _) => {}
        }
    }
}

/// Makes the task of a case and brings it into its phase.
fn make(case: &Case, ex: &Executor, ledger: &Arc<Ledger>) -> (TaskFuture<Guard>, Gates) {
    let control = Arc::<Control>::default();
    if case.phase == Phase::Done {
        control.go.store(true, Ordering::Release);
    }
    if case.phase == Phase::Ready {
        for _ in 0..case.workers {
            let control = control.clone();
            let stopper = move || {
                control.stoppers.fetch_add(1, Ordering::SeqCst);
                control.hold();
            };
            ex.submit(stopper).detach();
        }
        until(|| control.stoppers.load(Ordering::SeqCst) == case.workers);
    }
    let mut gates =
        Gates { control: control.clone(), inputs: None, own: None, ledger: ledger.clone(), outcome: case.outcome };
    let there = ex.scatter(ledger.guard(Kind::Input));
    let mut gate = there.clone();
    if case.phase == Phase::Waiting {
        let (promise, closed) = ex.promise();
        (gates.inputs, gate) = (Some(promise), closed);
    }
    let future = submit(case, ex, ledger, &mut gates, &there, &gate);
    match case.phase {
        Phase::Waiting if case.way == Way::Spawn => until(|| control.running.load(Ordering::SeqCst)),
        Phase::Running if case.way != Way::Promise => until(|| control.running.load(Ordering::SeqCst)),
        Phase::Done => {
            gates.open();
            future.wait().unwrap();
        }
        _ => {}
    }
    (future, gates)
}

fn submit(
    case: &Case,
    ex: &Executor,
    ledger: &Arc<Ledger>,
    gates: &mut Gates,
    there: &TaskFuture<Guard>,
    gate: &TaskFuture<Guard>,
) -> TaskFuture<Guard> {
    if case.way == Way::Promise {
        let (promise, future) = ex.promise();
        gates.own = Some(promise);
        return future;
    }
    let guard = ledger.guard(Kind::Closure);
    let body = Body { ledger: ledger.clone(), control: gates.control.clone(), outcome: case.outcome, _guard: guard };
    match case.way {
        Way::Submit => ex.submit(move || body.value()),
        Way::SubmitResult => ex.submit_result(move || body.run()),
        Way::Map => ex.map([body], |body| body.value()).remove(0),
        Way::After => ex.submit_after(gate, move |input| {
            assert!(input.is_whole());
            body.value()
        }),
        Way::AfterMany => ex.submit_after((gate, [there, there], there, gate), move |inputs| {
            assert!(inputs.0.is_whole() && inputs.1[1].is_whole() && inputs.3.is_whole());
            body.value()
        }),
        Way::ResultAfter => ex.submit_result_after(gate, move |input| {
            assert!(input.is_whole());
            body.run()
        }),
        Way::AfterResults => ex.submit_after_results((there, gate), move |(_, input)| {
            assert!(input.is_ok_and(Guard::is_whole));
            body.value()
        }),
        Way::MapAfter => ex
            .map_after([(gate, there)], move |(gate, there)| {
                assert!(gate.is_whole() && there.is_whole());
                body.value()
            })
            .remove(0),
        Way::Spawn => {
            let gate = gate.clone();
            let waits = case.phase == Phase::Waiting;
            ex.spawn(async move {
                body.begin();
                if waits {
                    assert!(gate.await.is_ok_and(|input| input.is_whole()));
                } else {
                    body.control.hold();
                }
                body.end().unwrap_or_else(|_| panic!("the product has no errors of this way"))
            })
        }
        Way::Promise => unreachable!("made above"),
    }
}

/// A task that depends on the one under test.
fn depend(ex: &Executor, ledger: &Arc<Ledger>, future: &TaskFuture<Guard>, anyway: bool) -> TaskFuture<u64> {
    let (guard, runs) = (ledger.guard(Kind::Dependent), ledger.clone());
    let run = move |whole: bool| {
        assert!(whole && guard.is_whole());
        runs.dependent_runs.fetch_add(1, Ordering::SeqCst)
    };
    if anyway {
        ex.submit_after_results(future, move |input| run(input.map_or(true, Guard::is_whole)))
    } else {
        ex.submit_after(future, move |input| run(input.is_whole()))
    }
}

/// What was seen of a case.
#[derive(Default, Debug)]
struct Seen {
    before: Option<Status>,
    after: Option<Status>,
    cancelled: Option<bool>,
    dependent: Option<Status>,
}

/// Runs a case; says what was not as expected.
pub(crate) fn check(case: &Case) -> Result<(), String> {
    let ledger = Arc::<Ledger>::default();
    let seen = live(case, &ledger);
    let expected = expected(case);
    let (runs, dependent_runs) = (ledger.runs.load(Ordering::SeqCst), ledger.dependent_runs.load(Ordering::SeqCst));
    let results = [ledger.made(Kind::Value), ledger.made(Kind::Fault)];
    let is_value = usize::from(case.outcome != Outcome::Value);
    let dependent = expected
        .dependent
        .iter()
        .any(|&(runs, status)| runs == dependent_runs && seen.dependent.is_none_or(|seen| seen == status));
    let complaint = match () {
        () if runs != expected.runs => format!("{runs} runs"),
        () if ledger.made(Kind::Closure) != expected.closures => "closures".to_owned(),
        () if results[is_value] != expected.results || results[1 - is_value] != 0 => format!("results {results:?}"),
        () if seen.before.is_some_and(|seen| seen != expected.before) => "the status before".to_owned(),
        () if seen.after.is_some_and(|seen| seen != expected.after) => "the status after".to_owned(),
        () if seen.cancelled.is_some_and(|seen| seen != expected.cancels) => "what cancel returned".to_owned(),
        () if !dependent => format!("the dependent, with {dependent_runs} runs"),
        () => match ledger.complaint() {
            None => return Ok(()),
            Some(complaint) => complaint,
        },
    };
    Err(format!("{case:?}\n  {complaint}\n  {seen:?}\n  {expected:?}"))
}

/// The life itself. When it returns every handle is gone and the executor has ended.
fn live(case: &Case, ledger: &Arc<Ledger>) -> Seen {
    let ex = Executor::builder().workers(case.workers).build().unwrap();
    let (future, mut gates) = make(case, &ex, ledger);
    let mut seen = Seen { before: Some(future.status()), ..Seen::default() };
    let mut clone = match case.clone {
        CloneOf::None => None,
        CloneOf::DroppedBefore => {
            drop(future.clone());
            None
        }
        CloneOf::DroppedAfter => Some(future.clone()),
    };
    let mut ex = Some(ex);
    let mut future = Some(future);
    let mut dependent = None;
    let woken = Arc::<Woken>::default();
    if case.fate.has_dependent()
        && let (Some(ex), Some(future)) = (&ex, &future)
    {
        dependent = Some(depend(ex, ledger, future, case.fate == Fate::DependedOnAnyway));
    }
    if case.fate.cancels() {
        seen.cancelled = future.as_ref().map(|future| future.cancel("the fate of the case"));
    }
    let mut awaited = None;
    if case.fate == Fate::Awaited {
        let mut future = future.clone().map(IntoFuture::into_future);
        let waker = Waker::from(woken.clone());
        let pending =
            future.as_mut().is_some_and(|future| Pin::new(future).poll(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(pending, case.phase != Phase::Done, "a future is ready when its task is done, and not before");
        awaited = future.filter(|_| pending);
    }
    if case.fate == Fate::Detached {
        future.take().map(TaskFuture::detach);
    }
    match case.first {
        First::Executor => drop(ex.take()),
        First::Dependent => dependent = None,
        First::Handle => {}
    }
    let lets_go = match case.fate {
        Fate::Dropped => true,
        Fate::DependedOn | Fate::DependedOnAnyway => case.first == First::Handle,
        _ => false,
    };
    if lets_go {
        future = None;
        clone = None;
    }
    gates.open();
    if let Some(future) = &future {
        future.wait().unwrap();
        seen.after = Some(future.status());
    }
    if let Some(dependent) = &dependent {
        dependent.wait().unwrap();
        seen.dependent = Some(dependent.status());
    }
    if awaited.is_some() {
        until(|| woken.0.load(Ordering::SeqCst));
    }
    drop(awaited);
    drop(future);
    drop(dependent);
    drop(clone);
    if let Some(ex) = ex {
        ex.shutdown(Shutdown::Wait);
    }
    seen
}
