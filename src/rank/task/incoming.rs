//! Tasks of other ranks that run here, as ordinary tasks.

use std::collections::HashMap;
use std::panic::Location;

use super::code::{Job, Run};
use super::order::{Order, Said};
use crate::error::{CancelReason, TaskError, TaskErrorKind};
use crate::future::{Inputs, Options, Reschedule, TaskFuture, Wanted};
use crate::panics;
use crate::primitive::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;
use crate::rank::balance;
use crate::rank::codec::Packed;
use crate::rank::codec::ship::Opened;
use crate::rank::object::{ObjectId, import};
use crate::rank::world::{Rank, Shared};
use crate::task::{self, Handle, Work};

type Fetched = Vec<(ObjectId, Arc<Packed>)>;

/// The orders under way here, by whose they are and their numbers.
#[derive(Default)]
pub(crate) struct Incoming(Mutex<HashMap<(Rank, u64), Arc<Active>>>);

/// An order under way.
struct Active {
    world: Arc<Shared>,
    order: Order,
    code: Opened<Run>,
    /// Tasks that have not ended.
    left: AtomicUsize,
    /// What keeps them wanted until then.
    handles: Mutex<Vec<Option<Handle>>>,
}

/// Makes the tasks of an order. Called where messages are seen to, or by who has kept it.
pub(super) fn begin(world: &Arc<Shared>, order: Order) {
    let code = match order.code.run.open::<Run>() {
        Ok(code) => code,
        Err(malformed) => {
            let error = TaskError::new(TaskErrorKind::Codec(malformed.to_string()));
            for number in order.numbers() {
                world.outboxes.answer_now(world, order.maker, number, Err(error.clone()));
            }
            return;
        }
    };
    let count = order.tasks.len();
    if count == 0 {
        return;
    }
    let handles = Mutex::new((0..count).map(|_| None).collect());
    let active = Arc::new(Active { world: world.clone(), order, code, left: AtomicUsize::new(count), handles });
    world.incoming.0.lock().insert(active.name(), active.clone());
    if count > 1 {
        world.outboxes.begin(world);
    }
    let location = Location::caller();
    let is_plain = |index: &usize| active.order.said.is_none() && active.order.tasks[*index].needs.is_empty();
    let (plain, others): (Vec<_>, Vec<_>) = (0..count).partition(is_plain);
    let works = plain.iter().map(|&index| One { active: active.clone(), index, has_run: false });
    let made = world.registry().submit_all(location, works);
    {
        let mut handles = active.handles.lock();
        for (index, task) in plain.into_iter().zip(made) {
            // None of them may be left, and the places gone.
            if let Some(place) = handles.get_mut(index) {
                *place = Some(task.into_handle());
            }
        }
    }
    for index in others {
        begin_other(&active, index);
    }
    active.let_go_if_over();
}

impl Active {
    fn name(&self) -> (Rank, u64) {
        (self.order.maker, self.order.number)
    }

    fn call(&self, index: usize, fetched: Fetched) -> Result<Packed, TaskErrorKind> {
        let args = self.order.args(&self.order.tasks[index]);
        let job = Job { world: self.world.clone(), function: self.order.code.function, args, fetched };
        panics::catch(|| self.code.call(job)).flatten()
    }

    /// A task has ended, for good.
    fn ended(&self, index: usize, result: Result<Packed, TaskError>) {
        let (to, number) = (self.order.maker, self.order.tasks[index].number);
        let mut is_last = false;
        let more = || {
            // ORDERING: AcqRel; the last one lets go of what the others have used.
            is_last = self.left.fetch_sub(1, Ordering::AcqRel) == 1;
            !is_last
        };
        self.world.outboxes.answer(&self.world, to, number, result, more);
        if is_last {
            self.world.incoming.0.lock().remove(&self.name());
            if self.order.tasks.len() > 1 {
                self.world.outboxes.end();
            }
            self.let_go_if_over();
        }
    }

    fn let_go_if_over(&self) {
        // ORDERING: Acquire; as above. Whoever stores handles looks again afterwards, under the same lock.
        if self.left.load(Ordering::Acquire) == 0 {
            let handles = std::mem::take(&mut *self.handles.lock());
            drop(handles);
        }
    }

    fn set_handle(&self, index: usize, task: Handle) {
        let before = self.handles.lock().get_mut(index).and_then(|place| place.replace(task));
        drop(before);
        self.let_go_if_over();
    }
}

/// A task about which nothing was said and that waits for nothing.
struct One {
    active: Arc<Active>,
    index: usize,
    has_run: bool,
}

impl Work for One {
    type Output = ();
    fn name() -> &'static str {
        "of another rank"
    }
    fn run(mut self) -> Result<(), TaskErrorKind> {
        self.has_run = true;
        let result = self.active.call(self.index, Vec::new());
        self.active.ended(self.index, result.map_err(TaskError::new));
        Ok(())
    }
}

impl Drop for One {
    fn drop(&mut self) {
        if !self.has_run {
            let error = TaskError::new(TaskErrorKind::Cancelled(CancelReason::EXECUTOR_CLOSED));
            self.active.ended(self.index, Err(error));
        }
    }
}

/// Sees to it that a task is answered, once.
struct Answer {
    active: Arc<Active>,
    index: usize,
    is_given: AtomicBool,
    inputs: Vec<TaskFuture<Arc<Packed>>>,
}

impl Answer {
    fn give(&self, result: Result<Packed, TaskError>) {
        // ORDERING: Relaxed; one run of a closure comes after the other.
        if !self.is_given.swap(true, Ordering::Relaxed) {
            self.active.ended(self.index, result);
        }
    }
}

impl Drop for Answer {
    /// The task never ran: an input has failed, or it was cancelled.
    fn drop(&mut self) {
        let of_input = self.inputs.iter().find_map(TaskFuture::error).map(|error| error.for_dependents());
        let error = of_input.unwrap_or_else(|| TaskError::new(TaskErrorKind::Cancelled(CancelReason::EXECUTOR_CLOSED)));
        self.give(Err(error));
    }
}

/// Makes a task that waits for what is fetched first, or about which something was said.
fn begin_other(active: &Arc<Active>, index: usize) {
    let task = &active.order.tasks[index];
    let references = active.order.args(task).references;
    let needed = task.needs.iter().filter_map(|place| references.get(*place as usize).cloned());
    let imports: Vec<_> = needed.map(|reference| import(&active.world, reference)).collect();
    let inputs: Vec<_> = imports.iter().map(|import| import.value.clone()).collect();
    let answer = Answer { active: active.clone(), index, is_given: AtomicBool::new(false), inputs: inputs.clone() };
    if inputs.is_empty() {
        return make(answer, Vec::new());
    }
    let is_repeated = active.order.said.as_ref().is_some_and(|said| said.retries.is_some());
    let call = move |inputs: &<Vec<TaskFuture<Arc<Packed>>> as Inputs>::Owned| {
        let values = Vec::<TaskFuture<Arc<Packed>>>::refs(inputs);
        let fetched = imports.iter().map(|import| import.id).zip(values.into_iter().cloned()).collect();
        if is_repeated {
            make(answer, fetched);
        } else {
            run(&answer, fetched);
        }
        Ok(())
    };
    let mut options = active.order.said.as_ref().map(|said| said.options()).unwrap_or_default();
    if is_repeated {
        options = Options { priority: options.priority, ..Options::default() };
    }
    let wanted = wanted(active, options);
    let made = wanted.once(inputs.own(), call);
    active.set_handle(index, made.into_handle());
}

fn wanted(active: &Active, options: Options) -> Wanted {
    Wanted { registry: active.world.registry().clone(), location: Location::caller(), options, tolerant: false }
}

fn run(answer: &Answer, fetched: Fetched) {
    let result = answer.active.call(answer.index, fetched);
    answer.give(result.map_err(TaskError::new));
}

/// Makes a task that waits for nothing.
fn make(answer: Answer, fetched: Fetched) {
    let (active, index) = (answer.active.clone(), answer.index);
    let options = active.order.said.as_ref().map_or_else(Options::default, |said| Said::options(said));
    let refused = options.check(active.world.registry());
    if let Err(kind) = refused {
        return answer.give(Err(TaskError::new(kind)));
    }
    let retries = options.retries;
    let wanted = wanted(&active, options);
    let made = match retries {
        None => wanted.once((), move |&()| {
            run(&answer, fetched);
            Ok(())
        }),
        Some(retries) => {
            let failures = AtomicU32::new(0);
            wanted.repeated((), move |&()| {
                let kind = match answer.active.call(answer.index, fetched.clone()) {
                    Ok(value) => {
                        answer.give(Ok(value));
                        return Ok(());
                    }
                    Err(kind) => kind,
                };
                if matches!(&kind, TaskErrorKind::Failed(error) if error.is::<Reschedule>()) {
                    return Err(kind);
                }
                let error = TaskError::new(kind);
                // ORDERING: Relaxed; one run comes after the other.
                if failures.fetch_add(1, Ordering::Relaxed) >= retries {
                    answer.give(Err(error.clone()));
                }
                Err(TaskErrorKind::Dependency(error))
            })
        }
    };
    active.set_handle(index, made.into_handle());
}

/// The maker of a task has cancelled it, or, without a reason, nobody there wants it any more.
pub(super) fn withdraw(world: &Arc<Shared>, maker: Rank, order: u64, number: u64, reason: Option<String>) {
    let Some(active) = find(world, maker, order, number) else { return balance::withdraw(world, maker, number) };
    let Some(index) = active.order.tasks.iter().position(|task| task.number == number) else { return };
    let Some(handle) = active.handles.lock().get_mut(index).and_then(Option::take) else { return };
    if let Some(reason) = reason {
        let error = handle.head().failure(TaskErrorKind::Cancelled(reason.into()));
        task::cancel(&handle, error);
    }
}

/// The order under way that the task is in: mostly the one it was submitted in, unless that has been divided.
fn find(world: &Shared, maker: Rank, order: u64, number: u64) -> Option<Arc<Active>> {
    let incoming = world.incoming.0.lock();
    let has = |active: &&Arc<Active>| active.order.tasks.iter().any(|task| task.number == number);
    let of_maker = || incoming.iter().filter(|(name, _)| name.0 == maker).map(|(_, active)| active);
    incoming.get(&(maker, order)).filter(has).or_else(|| of_maker().find(has)).cloned()
}
