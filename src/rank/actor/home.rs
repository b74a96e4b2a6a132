//! The actors whose home is this rank: what comes for them, in the order of each sender.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::panic::Location;
use std::sync::OnceLock;

use super::Actors;
use super::function::{Arguments, Back, Birth, Call, Code, Erased, How, Made};
use super::letter::{Letter, What};
use super::line::{Fetched, Lines, Place, Turn, fetch};
use super::options::WireOptions;
use crate::actor::ActorRef;
use crate::error::{CancelReason, TaskError, TaskErrorKind};
use crate::future::{Status, TaskFuture};
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;
use crate::rank::codec::Packed;
use crate::rank::object::{self, Asker, Object, ObjectId, Reference};
use crate::rank::world::{Rank, Shared};
use crate::scheduler::detach;
use crate::task;

/// An actor, from the moment that its maker's letter is here.
pub(super) struct Home {
    actor: OnceLock<Box<dyn Erased>>,
    stage: Mutex<Stage>,
}

enum Stage {
    /// What came before the constructor could be begun.
    Unborn(VecDeque<Arrived>),
    Born(Lines),
    /// It never was.
    Failed(TaskError),
}

/// A letter, who sent it, and where the answer goes.
pub(super) struct Arrived {
    pub(super) from: Rank,
    pub(super) letter: Letter,
    pub(super) back: Back,
}

/// What is left to do when no lock is held.
#[must_use]
enum After {
    /// Answers with its error, if it fails.
    Asked(TaskFuture<()>, (Rank, u64), Back),
    /// Answers with what became of it.
    Ends(TaskFuture<()>, Back),
    Answer(Result<(), TaskError>, Back),
    Fetch(Place, Vec<Reference>),
    /// Who sent it sends no letters.
    Corrupt(TaskError, Rank, Back),
}

/// What is under way, by who has asked and by his numbers.
#[derive(Default)]
pub(super) struct Calls(Mutex<HashMap<(Rank, u64), TaskFuture<()>>>);

/// Letters that came before that of the actor's maker.
#[derive(Default)]
pub(super) struct Early(Mutex<HashMap<ObjectId, VecDeque<Arrived>>>);

/// Takes a question out of those that wait.
fn withdraw(waiting: &mut VecDeque<Arrived>, from: Rank, of: u64) -> Option<Arrived> {
    let is_meant = |arrived: &Arrived| {
        arrived.from == from && matches!(arrived.letter.what, What::Ask { number, .. } if number == of)
    };
    let at = waiting.iter().position(is_meant)?;
    waiting.remove(at)
}

impl Object for Home {
    fn asked(self: Arc<Self>, world: &Arc<Shared>, asker: Asker) {
        asker.answer(world, Err(TaskError::new(TaskErrorKind::Codec("an actor is no value".to_owned()))));
    }
}

impl Home {
    fn in_stage(stage: Stage) -> Self {
        Self { actor: OnceLock::new(), stage: Mutex::new(stage) }
    }

    /// Of an actor that is there.
    pub(super) fn of<A: Send + 'static>(actor: ActorRef<A>) -> Self {
        let home = Self::in_stage(Stage::Born(Lines::default()));
        let _ = home.actor.set(Box::new(actor));
        home
    }

    /// Of one that cannot be made.
    pub(super) fn never(error: TaskError) -> Self {
        Self::in_stage(Stage::Failed(TaskError::new(TaskErrorKind::ActorUnborn(error))))
    }

    /// The home of an actor of this rank, once its maker's letter is here.
    pub(super) fn find(world: &Shared, id: ObjectId) -> Option<Arc<Self>> {
        let object: Arc<dyn Any + Send + Sync> = object::find(world, id)?;
        object.downcast().ok()
    }

    /// The actor, if it has been made, and is of `A`s.
    pub(super) fn actor<A: Send + 'static>(&self) -> Option<&ActorRef<A>> {
        (&**self.actor.get()? as &dyn Any).downcast_ref()
    }

    /// The actor, if no letter waits that was sent before what is told it now.
    pub(super) fn free_actor<A: Send + 'static>(&self) -> Option<&ActorRef<A>> {
        let is_free = matches!(&*self.stage.lock(), Stage::Born(lines) if lines.is_empty());
        self.actor().filter(|_| is_free)
    }

    fn take(self: &Arc<Self>, world: &Arc<Shared>, arrived: Arrived) -> Option<After> {
        let mut stage = self.stage.lock();
        match &mut *stage {
            Stage::Unborn(waiting) => {
                waiting.push_back(arrived);
                None
            }
            Stage::Born(lines) => self.in_turn(world, lines, arrived),
            Stage::Failed(error) => Some(After::Answer(Err(error.clone()), arrived.back)),
        }
    }

    fn in_turn(self: &Arc<Self>, world: &Arc<Shared>, lines: &mut Lines, arrived: Arrived) -> Option<After> {
        match lines.enter(arrived) {
            Turn::Now(arrived) => self.hand_over(world, arrived, Vec::new()),
            Turn::Later(place, references) => Some(After::Fetch(place, references)),
            Turn::Behind => None,
        }
    }

    /// The actor has been made, or could not be: hands over what has come meanwhile.
    fn begin(self: &Arc<Self>, world: &Arc<Shared>, made: Made) -> Vec<After> {
        let mut stage = self.stage.lock();
        let Stage::Unborn(waiting) = &mut *stage else { return Vec::new() };
        let waiting = std::mem::take(waiting).into_iter();
        match made {
            Ok(actor) => {
                let _ = self.actor.set(actor);
                let mut lines = Lines::default();
                let after = waiting.filter_map(|arrived| self.in_turn(world, &mut lines, arrived)).collect();
                *stage = Stage::Born(lines);
                after
            }
            Err(error) => {
                let error = TaskError::new(TaskErrorKind::ActorUnborn(error));
                *stage = Stage::Failed(error.clone());
                waiting.map(|arrived| After::Answer(Err(error.clone()), arrived.back)).collect()
            }
        }
    }

    /// Letters that have nothing to wait for any more.
    fn freed(
        self: &Arc<Self>,
        world: &Arc<Shared>,
        free: impl FnOnce(&mut Lines) -> Vec<(Arrived, Fetched)>,
    ) -> Vec<After> {
        let mut stage = self.stage.lock();
        let Stage::Born(lines) = &mut *stage else { return Vec::new() };
        let hand_over = |(arrived, fetched): (Arrived, Fetched)| match fetched {
            Ok(fetched) => self.hand_over(world, arrived, fetched),
            Err(error) => Some(After::Answer(Err(error), arrived.back)),
        };
        free(lines).into_iter().filter_map(hand_over).collect()
    }

    /// Hands a letter to the actor. The stage is locked: nothing of the user's runs here.
    fn hand_over(
        self: &Arc<Self>,
        world: &Arc<Shared>,
        arrived: Arrived,
        fetched: Vec<(ObjectId, Arc<Packed>)>,
    ) -> Option<After> {
        let actor = self.actor.get()?;
        let Arrived { from, letter, back } = arrived;
        let (code, how, number) = match letter.what {
            What::Ask { code, number } => (code, How::Ask, number),
            What::Tell { code } => (code, How::Tell, 0),
            What::TellInRoom { code, waits } => (code, How::TellInRoom { waits }, 0),
            What::Stop => return Some(After::Answer(actor.stop(), back)),
            What::Watch => return Some(After::Ends(actor.ended(), back)),
            What::Make { .. } | What::Cancel { .. } => return None,
        };
        let arguments = Arguments { packed: letter.packed, fetched };
        let call = Call { world: world.clone(), actor: self.clone(), code, how, arguments, back: back.clone() };
        match code.handle(call) {
            Ok(None) => None,
            Ok(Some(asked)) => Some(After::Asked(asked, (from, number), back)),
            Err(error) => Some(After::Corrupt(error, from, back)),
        }
    }
}

impl Actors {
    /// Sees to a letter for an actor of this rank.
    pub(super) fn take(self: &Arc<Self>, world: &Arc<Shared>, arrived: Arrived) {
        let (from, id) = (arrived.from, arrived.letter.actor);
        match arrived.letter.what {
            What::Cancel { number, ref reason } => {
                let reason = reason.clone();
                self.call_off(world, from, id, number, reason);
            }
            What::Make { code, ref options } => {
                let options = options.clone();
                self.make(world, id, code, options, arrived);
            }
            _ => match Home::find(world, id) {
                Some(home) => {
                    let after = home.take(world, arrived);
                    self.follow(world, &home, after);
                }
                None => self.take_early(world, id, arrived),
            },
        }
    }

    fn take_early(self: &Arc<Self>, world: &Arc<Shared>, id: ObjectId, arrived: Arrived) {
        let mut early = self.early.0.lock();
        // It may have come meanwhile, and has taken what lay here.
        let Some(home) = Home::find(world, id) else {
            early.entry(id).or_default().push_back(arrived);
            return;
        };
        drop(early);
        let after = home.take(world, arrived);
        self.follow(world, &home, after);
    }

    fn make(self: &Arc<Self>, world: &Arc<Shared>, id: ObjectId, code: Code, options: WireOptions, arrived: Arrived) {
        let home = {
            let mut early = self.early.0.lock();
            let home = Arc::new(Home::in_stage(Stage::Unborn(early.remove(&id).unwrap_or_default())));
            object::keep(world, id, home.clone());
            home
        };
        let Arrived { from, mut letter, .. } = arrived;
        let packed = std::mem::take(&mut letter.packed);
        let needs = letter.needed_of(&packed);
        let (this, within) = (self.clone(), world.clone());
        let begin = move |fetched: Fetched| {
            let made = fetched.and_then(|fetched| {
                let arguments = Arguments { packed, fetched };
                let made = code.make(Birth { world: within.clone(), code, options, arguments });
                if let Err(error) = &made
                    && error.is_codec()
                {
                    within.lose(from, error);
                }
                made
            });
            let after = home.begin(&within, made);
            this.follow(&within, &home, after);
        };
        if needs.is_empty() {
            begin(Ok(Vec::new()));
        } else {
            fetch(world, needs, begin);
        }
    }

    fn follow(self: &Arc<Self>, world: &Arc<Shared>, home: &Arc<Home>, all: impl IntoIterator<Item = After>) {
        for after in all {
            match after {
                After::Asked(asked, call, back) => self.answer(world, asked, call, back),
                After::Ends(ended, back) => {
                    let within = world.clone();
                    ended.on_done(move |ended| back.give_empty(&within, ended.error().map_or(Ok(()), Err)));
                }
                After::Answer(Err(error), Back::Nowhere) => complain(world, error),
                After::Answer(what, back) => back.give_empty(world, what),
                After::Fetch(place, references) => {
                    let (this, within, home) = (self.clone(), world.clone(), home.clone());
                    fetch(world, references, move |fetched| {
                        let after = home.freed(&within, |lines| lines.fetched(place, fetched));
                        this.follow(&within, &home, after);
                    });
                }
                After::Corrupt(error, from, back) => {
                    world.lose(from, &error);
                    back.give_empty(world, Err(error));
                }
            }
        }
    }

    /// Answers what was asked with its error, if it fails; else its handler has answered.
    fn answer(self: &Arc<Self>, world: &Arc<Shared>, asked: TaskFuture<()>, call: (Rank, u64), back: Back) {
        self.calls.0.lock().insert(call, asked.clone());
        let (this, within) = (self.clone(), world.clone());
        asked.on_done(move |asked| {
            let own = this.calls.0.lock().remove(&call);
            drop(own);
            if let Some(error) = asked.error() {
                back.give(&within, Err(error));
            }
        });
    }

    /// Refuses what waits for actors that a lost rank was to make, and calls off what it has asked.
    pub(super) fn lost(self: &Arc<Self>, world: &Arc<Shared>, rank: Rank, error: &TaskError) {
        let early: Vec<_> = self.early.0.lock().extract_if(|id, _| id.maker == rank).collect();
        for arrived in early.into_iter().flat_map(|(_, waiting)| waiting) {
            arrived.back.give_empty(world, Err(error.clone()));
        }
        let calls: Vec<_> = self.calls.0.lock().extract_if(|&(from, _), _| from == rank).collect();
        for (_, call) in calls {
            call.cancel(error.to_string());
        }
    }

    /// Nobody waits any more for what that rank has asked.
    fn call_off(self: &Arc<Self>, world: &Arc<Shared>, from: Rank, id: ObjectId, number: u64, why: Option<String>) {
        let is_cancelled = why.is_some();
        let reason = why.map_or(CancelReason::from("nobody waits for the answer any more"), CancelReason::from);
        let call = self.calls.0.lock().remove(&(from, number));
        if let Some(call) = call {
            // What has begun runs to its end, unless it is cancelled.
            if is_cancelled || call.status() == Status::Ready {
                call.cancel(reason);
            }
            return;
        }
        let early = self.early.0.lock().get_mut(&id).and_then(|early| withdraw(early, from, number));
        let home = Home::find(world, id);
        let unborn = |home: &Arc<Home>| match &mut *home.stage.lock() {
            Stage::Unborn(waiting) => withdraw(waiting, from, number),
            _ => None,
        };
        if let Some(arrived) = early.or_else(|| unborn(home.as_ref()?)) {
            return arrived.back.give_empty(world, Err(TaskError::new(TaskErrorKind::Cancelled(reason))));
        }
        if let Some(home) = home {
            let after = home.freed(world, |lines| lines.withdraw(from, number, &reason));
            self.follow(world, &home, after);
        }
    }
}

/// What was told could not be, which nobody waits to hear: as of a task that nobody holds on to.
pub(super) fn complain(world: &Arc<Shared>, error: TaskError) {
    let failed = task::with_error::<()>(world.registry().birth(Location::caller()), error);
    detach(failed.into_handle());
}
