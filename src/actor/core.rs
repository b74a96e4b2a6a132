//! The one allocation of an actor: its turn, its mailbox, its counts, its state.

use std::borrow::Cow;
use std::cell::{Cell, UnsafeCell};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::mem::take;
use std::panic::Location;
use std::ptr::NonNull;

use super::house::{House, Links};
use super::later::Later;
use super::mailbox::{Left, Mailbox, Pushed};
use super::options::{ActorOptions, Reaction};
use super::room::Room;
use super::turn::Turn;
use crate::error::{CancelReason, TaskError, TaskErrorKind};
use crate::panics;
use crate::primitive::atomic::{AtomicU32, Ordering};
use crate::primitive::lock::Mutex;
use crate::primitive::sync::Arc;
use crate::scheduler::{Local, Registry};
use crate::task::{
    self, Birth, Errand, Header, Message, Place, Pooled, Priority, Turns, Typed, Unkept, Where, with_class,
};

/// More references than memory holds, unless they are leaked.
const MOST_REFERENCES: u32 = u32::MAX / 2;
/// In `home`: nowhere in particular.
const NOWHERE: u32 = u32::MAX;

/// What all actors have; who may touch what when is told in the folder's README.
#[repr(C)]
pub(super) struct Core {
    /// Of its turn; entries of queues lead here.
    pub(super) head: Header,
    pub(super) mailbox: Mailbox,
    /// References, of users and of tasks; the actor ends after the last one.
    strong: AtomicU32,
    /// Weak references, and one more while there are others or the actor has not ended; the last one frees the memory.
    weak: AtomicU32,
    pub(super) registry: Arc<Registry>,
    pub(super) house: Arc<House>,
    face: &'static Face,
    settings: Option<Box<Settings>>,
    /// The domain it was put on, or where its last turn was.
    home: AtomicU32,
    /// Messages that were taken out of the mailbox and not handled.
    pub(super) taken: AtomicU32,
    pub(super) links: Links,
    late: Mutex<Option<Box<Late>>>,
    // What belongs to who has the turn:
    /// Messages taken out of the mailbox, oldest first.
    pub(super) todo: Cell<*mut Header>,
    /// Whether the last reference is gone and nothing more will come.
    pub(super) is_left: Cell<bool>,
    /// Whether there is a state.
    pub(super) is_born: Cell<bool>,
    /// The async handler that is under way.
    pub(super) later: Cell<Option<Box<Later>>>,
}

// SAFETY: the fields are atomics, locks, or constants, but for those that belong to who has the turn, and the links, that
// are under the lock of the house. The turn is passed on by Release and Acquire (`mailbox`, queues).
unsafe impl Sync for Core {}

/// What was said of an actor that is not as usual.
struct Settings {
    name: Option<Cow<'static, str>>,
    place: Where,
    room: Option<Room>,
    on_panic: Erased,
}

/// A [`Reaction`] without the type.
enum Erased {
    Stop,
    Continue,
    /// Puts a new state in the place of the old one, which is gone.
    Restart(Box<dyn Fn(&Core) + Send + Sync>),
}

/// What few actors have.
#[derive(Default)]
struct Late {
    over: Option<Over>,
    /// The monitors are told just now; users are after them.
    is_telling: bool,
    end: Option<End>,
    told: Option<End>,
    /// What is called at the end, by number.
    calls: BTreeMap<u64, AtEnd>,
    next_call: u64,
}

/// For whom a future tells of the end.
pub(super) enum Whose {
    Users,
    Monitors,
}

/// Called when an actor has ended.
pub(super) type AtEnd = Box<dyn FnOnce() + Send>;

struct End {
    promise: Unkept<()>,
    future: Typed<()>,
}

impl End {
    fn tell(self, over: Over) {
        match over.told() {
            Ok(()) => self.promise.fulfil(()),
            Err(kind) => self.promise.fail(kind),
        }
    }
}

/// Why an actor has ended.
#[derive(Clone)]
pub(super) enum Over {
    /// Nobody had a reference any more, or it was stopped.
    Left,
    /// Its constructor failed.
    Unborn(TaskError),
    /// A handler panicked.
    Panicked(TaskError),
    /// Its executor has cancelled all that was there.
    Closed(CancelReason),
}

impl Over {
    /// What is asked of it later gets.
    pub(super) fn refusal(self) -> TaskErrorKind {
        match self {
            Self::Left => TaskErrorKind::ActorEnded(None),
            Self::Unborn(error) => TaskErrorKind::ActorUnborn(error),
            Self::Panicked(error) => TaskErrorKind::ActorEnded(Some(error)),
            Self::Closed(reason) => TaskErrorKind::Cancelled(reason),
        }
    }

    /// What becomes of the future that tells of the end.
    fn told(self) -> Result<(), TaskErrorKind> {
        match self {
            Self::Left => Ok(()),
            Self::Unborn(error) | Self::Panicked(error) => Err(TaskErrorKind::Dependency(error)),
            Self::Closed(reason) => Err(TaskErrorKind::Cancelled(reason)),
        }
    }
}

/// Functions that know the type of the state.
struct Face {
    drop_state: unsafe fn(&Core),
    free: unsafe fn(NonNull<Core>),
}

/// An actor whose state is an `A`.
#[repr(C)]
struct Whole<A> {
    core: Core,
    state: UnsafeCell<Option<A>>,
}

impl<A: Send + 'static> Whole<A> {
    const FACE: Face = Face { drop_state: Self::drop_state, free: Self::free };

    /// # Safety
    /// `core` is part of a `Whole<A>`.
    unsafe fn of(core: &Core) -> &Self {
        let whole = std::ptr::with_exposed_provenance::<Self>(std::ptr::from_ref(core).addr());
        // SAFETY: the caller's promise; the core comes first, and the address of the whole was exposed.
        unsafe { &*whole }
    }

    /// # Safety
    /// As of [`of`](Self::of), and the caller has the turn.
    #[expect(clippy::mut_from_ref, reason = "the turn is what makes it exclusive")]
    unsafe fn state(core: &Core) -> &mut Option<A> {
        // SAFETY: the caller's promise.
        unsafe { &mut *Self::of(core).state.get() }
    }

    /// # Safety
    /// As of [`state`](Self::state).
    unsafe fn drop_state(core: &Core) {
        // SAFETY: the caller's promise.
        let state = unsafe { Self::state(core) }.take();
        panics::catch_drop(|| drop(state));
    }

    /// # Safety
    /// `core` is part of a `Whole<A>` that has ended and that nobody uses any more.
    unsafe fn free(core: NonNull<Core>) {
        // SAFETY: the caller's promise; `make` took it from there.
        let whole = unsafe { Pooled::<Self>::from_raw(core.cast()) };
        // What makes new states is the user's.
        panics::catch_drop(|| drop(whole));
    }
}

impl<A: Send + 'static> Turns for Whole<A> {
    unsafe fn take(subject: NonNull<Header>) {
        // SAFETY: the caller's promise.
        unsafe { Turn::of(subject.cast()) }.take();
    }
    unsafe fn stop(subject: NonNull<Header>) {
        // SAFETY: the caller's promise.
        unsafe { Turn::of(subject.cast()) }.stop();
    }
    unsafe fn title(subject: &Header) -> Option<&str> {
        // SAFETY: the head comes first in the core, whose address was exposed.
        let core = unsafe { &*std::ptr::with_exposed_provenance::<Core>(std::ptr::from_ref(subject).addr()) };
        core.settings.as_ref()?.name.as_deref()
    }
    fn name() -> &'static str {
        std::any::type_name::<A>()
    }
}

/// The first message of every actor.
struct Construct<A, F>(F, PhantomData<fn() -> A>);

impl<A: Send + 'static, F: FnOnce() -> A + Send + 'static> Errand for Construct<A, F> {
    type Output = ();
    unsafe fn run(self, subject: NonNull<Header>) -> Result<(), TaskErrorKind> {
        let state = (self.0)();
        // SAFETY: the caller's promise.
        let core = unsafe { subject.cast::<Core>().as_ref() };
        // SAFETY: as above.
        *unsafe { Whole::<A>::state(core) } = Some(state);
        core.is_born.set(true);
        Ok(())
    }
    fn name() -> &'static str {
        std::any::type_name::<F>()
    }
}

/// A handler.
pub(super) struct Call<A, F>(pub(super) F, pub(super) PhantomData<fn(A)>);

impl<A: Send + 'static, R: Send + 'static, F: FnOnce(&mut A) -> R + Send + 'static> Errand for Call<A, F> {
    type Output = R;
    #[inline]
    unsafe fn run(self, subject: NonNull<Header>) -> Result<R, TaskErrorKind> {
        // SAFETY: the caller's promise.
        match unsafe { state(subject.cast::<Core>().as_ref()) } {
            Some(state) => Ok((self.0)(state)),
            None => Err(TaskErrorKind::ActorEnded(None)),
        }
    }
    fn name() -> &'static str {
        std::any::type_name::<F>()
    }
}

/// The state of an actor.
///
/// # Safety
/// `core` is of an actor of `A`s, and the caller has its turn.
#[inline]
#[expect(clippy::mut_from_ref, reason = "the turn is what makes it exclusive")]
pub(super) unsafe fn state<A: Send + 'static>(core: &Core) -> Option<&mut A> {
    // SAFETY: the caller's promise.
    unsafe { Whole::<A>::state(core) }.as_mut()
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Whole<[u64; 8]>>() <= 256);

/// Makes an actor, with one reference, and queues its construction.
pub(super) fn make<A: Send + 'static>(
    registry: &Arc<Registry>,
    house: Arc<House>,
    location: &'static Location<'static>,
    options: ActorOptions<A>,
    constructor: impl FnOnce() -> A + Send + 'static,
) -> NonNull<Core> {
    let refused = registry.may_refuse().then(|| registry.admit().err()).flatten();
    let home = match options.place {
        Place::Domain(domain) => domain as u32,
        Place::Worker(worker) => registry.domain_of_worker(worker) as u32,
        _ => NOWHERE,
    };
    let birth = registry.birth(location);
    let core = Core {
        // It is of no class of its maker's.
        head: Header::of_turns::<Whole<A>>(Birth { raw_id: with_class(birth.raw_id, Priority::NORMAL), ..birth }),
        mailbox: Mailbox::new(),
        strong: AtomicU32::new(1),
        weak: AtomicU32::new(1),
        registry: registry.clone(),
        house,
        face: &Whole::<A>::FACE,
        settings: settings(options),
        home: AtomicU32::new(home),
        taken: AtomicU32::new(1),
        links: Links::default(),
        late: Mutex::new(None),
        todo: Cell::new(std::ptr::null_mut()),
        is_left: Cell::new(false),
        is_born: Cell::new(false),
        later: Cell::new(None),
    };
    let whole = Pooled::new(Whole::<A> { core, state: UnsafeCell::new(None) }).into_raw();
    whole.expose_provenance();
    let subject: NonNull<Header> = whole.cast();
    let first = task::tell(registry.birth(location), subject, Construct(constructor, PhantomData));
    registry.count_created(1);
    // SAFETY: just made, and its turn is this call's.
    let core = unsafe { whole.cast::<Core>().as_ref() };
    core.todo.set(first.into_raw().as_ptr());
    core.house.enter(core);
    // SAFETY: as above.
    unsafe {
        match refused {
            None => registry.begin_turn(subject, core.place()),
            Some(_) => {
                registry.count_created(1);
                Turn::of(whole.cast()).stop();
            }
        }
    }
    whole.cast()
}

fn settings<A: Send + 'static>(options: ActorOptions<A>) -> Option<Box<Settings>> {
    let ActorOptions { name, place, bound, on_panic } = options;
    let place = place.or_only(false);
    let on_panic = match on_panic.0 {
        Reaction::Stop => Erased::Stop,
        Reaction::Continue => Erased::Continue,
        Reaction::Restart(factory) => renewed_by(factory),
        Reaction::RestartWith(factory) => renewed_by(factory),
    };
    let is_usual = name.is_none() && place == Where::Anywhere && bound.is_none() && matches!(on_panic, Erased::Stop);
    let room = bound.map(Room::new);
    (!is_usual).then(|| Box::new(Settings { name, place, room, on_panic }))
}

fn renewed_by<A: Send + 'static>(factory: impl Fn() -> A + Send + Sync + 'static) -> Erased {
    Erased::Restart(Box::new(move |core| {
        let state = factory();
        // SAFETY: it is called with the core of the actor that these options are of, by who has the turn.
        *unsafe { Whole::<A>::state(core) } = Some(state);
    }))
}

impl Core {
    pub(super) fn subject(&self) -> NonNull<Header> {
        NonNull::from(self).cast()
    }

    pub(super) fn name(&self) -> &str {
        self.head.name()
    }

    /// How many messages wait.
    pub(super) fn waiting(&self) -> usize {
        // ORDERING: Relaxed; a look.
        self.mailbox.len() + self.taken.load(Ordering::Relaxed) as usize
    }

    /// Where it was put.
    pub(super) fn place(&self) -> Where {
        self.settings.as_ref().map_or(Where::Anywhere, |settings| settings.place)
    }

    /// The domain it was put on, else the one where it was handled last.
    pub(super) fn home(&self) -> Option<usize> {
        // ORDERING: Relaxed; a hint.
        Some(self.home.load(Ordering::Relaxed)).filter(|&home| home != NOWHERE).map(|home| home as usize)
    }

    pub(super) fn room(&self) -> Option<&Room> {
        self.settings.as_ref()?.room.as_ref()
    }

    /// Sends a message, and has the turn queued if nobody has it.
    #[inline]
    pub(super) fn send(&self, message: Message) -> Result<(), Message> {
        match self.mailbox.push(message) {
            Pushed::Queued => {}
            // SAFETY: the push gave the turn.
            Pushed::Turn => unsafe { self.registry.begin_turn(self.subject(), self.place()) },
            Pushed::Ended(message) => return Err(message),
        }
        Ok(())
    }

    /// Why the actor has ended, if it has.
    pub(super) fn over(&self) -> Option<Over> {
        self.late.lock().as_ref()?.over.clone()
    }

    /// What the actor's end has for those who ask later.
    pub(super) fn refusal(&self) -> TaskErrorKind {
        self.over().unwrap_or(Over::Left).refusal()
    }

    /// The future that tells of the end: that of users, which one of them may cancel for all, or that of monitors.
    pub(super) fn end(&self, whose: Whose, location: &'static Location<'static>) -> Typed<()> {
        let birth = || self.registry.birth(location);
        let mut late = self.late.lock();
        let late = late.get_or_insert_default();
        if let Some(over) = &late.over
            && !(late.is_telling && matches!(whose, Whose::Users))
        {
            return match over.clone().told() {
                Ok(()) => task::with_value(birth(), (), task::Whereabouts::NOWHERE),
                Err(kind) => task::with_error(birth(), TaskError::new(kind)),
            };
        }
        let place = match whose {
            Whose::Users => &mut late.end,
            Whose::Monitors => &mut late.told,
        };
        if let Some(end) = place
            && !end.future.handle().head().state.load().is_done()
        {
            return end.future.clone();
        }
        let (promise, future) = task::unkept_aside(birth());
        let before = place.replace(End { promise, future: future.clone() });
        // Somebody has cancelled it; nobody waits for it any more.
        if let Some(End { promise, .. }) = before {
            promise.fulfil(());
        }
        future
    }

    /// Notes the end, by who has the turn; gives what tells the monitors. [`tell_users`](Self::tell_users) comes behind: who
    /// sees the end finds them told.
    pub(super) fn note_end(&self, over: Over) -> impl FnOnce() + use<> {
        let mut late = self.late.lock();
        let late = late.get_or_insert_default();
        late.over = Some(over.clone());
        late.is_telling = true;
        let (told, calls) = (late.told.take(), take(&mut late.calls));
        move || {
            calls.into_values().for_each(|call| call());
            told.into_iter().for_each(|end| end.tell(over.clone()));
        }
    }

    pub(super) fn tell_users(&self, over: Over) {
        let end = self.late.lock().as_mut().and_then(|late| {
            late.is_telling = false;
            late.end.take()
        });
        end.into_iter().for_each(|end| end.tell(over.clone()));
    }

    /// Has `call` called at the end, unless that has come. It must be short, and not the user's.
    pub(super) fn at_end(&self, call: AtEnd) -> Option<u64> {
        let mut late = self.late.lock();
        let late = late.get_or_insert_default();
        if late.over.is_some() {
            return None;
        }
        let number = late.next_call;
        late.next_call += 1;
        late.calls.insert(number, call);
        Some(number)
    }

    /// Takes a call back.
    pub(super) fn not_at_end(&self, number: u64) {
        let call = self.late.lock().as_mut().and_then(|late| late.calls.remove(&number));
        // Not under the lock: it may be all that keeps what is the user's.
        drop(call);
    }

    /// # Safety
    /// The caller has the turn.
    pub(super) unsafe fn drop_state(&self) {
        self.is_born.set(false);
        // SAFETY: the caller's promise; the face is of this actor's type.
        unsafe { (self.face.drop_state)(self) };
    }

    /// After a panic: whether the actor goes on.
    ///
    /// # Safety
    /// The caller has the turn.
    pub(super) unsafe fn survives(&self) -> Result<bool, TaskErrorKind> {
        match self.settings.as_ref().map_or(&Erased::Stop, |settings| &settings.on_panic) {
            Erased::Stop => Ok(false),
            Erased::Continue => Ok(true),
            Erased::Restart(restart) => {
                // SAFETY: the caller's promise.
                unsafe { self.drop_state() };
                panics::catch(|| restart(self))?;
                self.is_born.set(true);
                Ok(true)
            }
        }
    }

    /// Notes where its turn is taken.
    pub(super) fn is_at(&self, registry: &Registry, local: &Local) {
        let domain = registry.domain_here(local) as u32;
        // ORDERING: Relaxed; a hint.
        if self.home.load(Ordering::Relaxed) != domain && self.place() == Where::Anywhere {
            self.home.store(domain, Ordering::Relaxed);
        }
    }

    // ---- references

    /// A further reference, by who has one.
    pub(super) fn clone_reference(&self) {
        // ORDERING: Relaxed; as in `Arc`.
        count_up(&self.strong);
    }

    /// A further reference, by who has a weak one; false when there is no other left.
    pub(super) fn upgrade(&self) -> bool {
        // ORDERING: Relaxed; only a guess for the exchange.
        let mut now = self.strong.load(Ordering::Relaxed);
        while now != 0 {
            // ORDERING: Relaxed; as in `Arc`: who has a weak reference got it from who had another.
            match self.strong.compare_exchange_weak(now, now + 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(seen) => now = seen,
            }
        }
        false
    }

    /// # Safety
    /// One reference of the caller's ends.
    pub(super) unsafe fn drop_reference(this: NonNull<Self>) {
        // SAFETY: until the mailbox is told, the references keep the actor.
        let core = unsafe { this.as_ref() };
        // ORDERING: AcqRel; what was done through the others comes before the end that the last one brings.
        if core.strong.fetch_sub(1, Ordering::AcqRel) != 1 || core.registry.is_forked() {
            return;
        }
        // The actor may go, and with it the registry, before the turn is queued.
        let registry = core.registry.clone();
        let place = core.place();
        match core.mailbox.leave() {
            Left::Seen => {}
            // SAFETY: the turn is this call's.
            Left::Turn => unsafe { registry.begin_turn(this.cast(), place) },
            // SAFETY: the weak count of the references ends with them.
            Left::Ended => unsafe { Self::drop_weak(this) },
        }
    }

    pub(super) fn clone_weak(&self) {
        // ORDERING: Relaxed; as in `Arc`.
        count_up(&self.weak);
    }

    /// # Safety
    /// One weak count of the caller's ends.
    pub(super) unsafe fn drop_weak(this: NonNull<Self>) {
        // SAFETY: the caller's count.
        let core = unsafe { this.as_ref() };
        // ORDERING: AcqRel; what was done by others comes before the memory goes.
        if core.weak.fetch_sub(1, Ordering::AcqRel) == 1 {
            // SAFETY: nobody is left, and the actor has ended: the references' count went after that.
            unsafe { (core.face.free)(this) };
        }
    }
}

fn count_up(count: &AtomicU32) {
    // ORDERING: Relaxed; the caller's own count orders what comes before.
    if count.fetch_add(1, Ordering::Relaxed) > MOST_REFERENCES {
        // Only leaked references get here; one more might free the actor under the others.
        std::process::abort();
    }
}
