//! A safe face over MPI's functions, for one thread: whoever has a [`Calls`] may call, and it stays on its thread.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut, Range};
use std::path::PathBuf;

use super::MpiError;
use super::abi::{self, Abi, Basic, Handle, Op};
use super::library::{Functions, Library, Raw, Status};

type Outcome<T> = Result<T, MpiError>;

/// What was given, what is got, and how the longer of them is parted.
type Moved<T> = (Vec<T>, Vec<T>, Layout);
/// What was given and what is got, and how either is parted.
type Exchanged<T> = (Vec<T>, Vec<T>, [Layout; 2]);

/// MPI, opened; its functions may be called on this thread.
pub(super) struct Calls {
    functions: Functions,
    abi: &'static Abi,
    path: PathBuf,
    byte: Raw,
    types: [Raw; 10],
    ops: [Raw; 4],
    world: Raw,
    errors_return: Raw,
    _of_one_thread: PhantomData<*const ()>,
}

/// A group of ranks with messages of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Communicator {
    handle: Raw,
    pub(super) rank: u32,
    pub(super) size: u32,
}

/// A message that was found and is received by nobody else.
pub(super) struct Matched {
    handle: Raw,
    pub(super) from: u32,
    pub(super) bytes: usize,
}

/// What collectives take: a value of which every pattern of bytes is one, that MPI knows.
///
/// # Safety
///
/// [`BASIC`](Self::BASIC) is the type's own, and any bytes are a value of it.
pub(crate) unsafe trait Element: Copy + Default + Send + 'static {
    const BASIC: Basic;
}

macro_rules! elements {
    ($($element:ty = $basic:ident),*) => {
        // SAFETY: a number of this many bits, and nothing else.
        $(unsafe impl Element for $element { const BASIC: Basic = Basic::$basic; })*
    };
}
elements!(u8 = U8, i8 = I8, i16 = I16, i32 = I32, i64 = I64, u16 = U16, u32 = U32, u64 = U64, f32 = F32, f64 = F64);

/// How many elements of whom, and where they begin, in MPI's own type.
#[derive(Debug)]
pub(super) struct Layout {
    counts: Vec<c_int>,
    starts: Vec<c_int>,
    total: usize,
}

impl Layout {
    pub(super) fn new(counts: &[usize]) -> Outcome<Self> {
        let mut total = 0_usize;
        let mut starts = Vec::with_capacity(counts.len());
        for &count in counts {
            starts.push(number(total)?);
            total = total.saturating_add(count);
        }
        number(total)?;
        let counts = counts.iter().map(|&count| number(count)).collect::<Outcome<_>>()?;
        Ok(Self { counts, starts, total })
    }

    /// Whether it says something of each rank of `over`.
    fn check(&self, over: Communicator) -> Outcome<()> {
        if self.counts.len() == over.size as usize {
            return Ok(());
        }
        Err(MpiError::new(format!("counts for {} ranks, where there are {}", self.counts.len(), over.size)))
    }

    /// Whether it says how to part or put together so many elements.
    fn check_elements(&self, elements: usize) -> Outcome<()> {
        if self.total == elements {
            return Ok(());
        }
        Err(MpiError::new(format!("counts for {} elements, where there are {elements}", self.total)))
    }
}

/// A number of elements as MPI takes it.
fn number(count: usize) -> Outcome<c_int> {
    c_int::try_from(count)
        .map_err(|_| MpiError::new(format!("{count} elements are more than one collective of MPI takes (2^31 - 1)")))
}

/// Something that MPI does meanwhile, and the memory that it does it with.
#[must_use]
pub(super) struct Operation<B> {
    request: Raw,
    /// Heap memory, which stays where it is when its owner is moved. Nobody touches it before the request has ended.
    buffers: ManuallyDrop<B>,
    ended: bool,
}

impl<B> Operation<B> {
    fn new(buffers: B) -> Self {
        Self { request: 0, buffers: ManuallyDrop::new(buffers), ended: false }
    }

    /// Whether it has ended. Gives MPI a chance to go on with it.
    pub(super) fn test(&mut self, calls: &Calls) -> Outcome<bool> {
        if !self.ended {
            self.ended = calls.test(&mut self.request)?;
        }
        Ok(self.ended)
    }

    /// The memory, when it has ended.
    pub(super) fn take(mut self) -> Option<B> {
        // SAFETY: the request has ended, and as `self` is forgotten this is the only time.
        let buffers = self.ended.then(|| unsafe { ManuallyDrop::take(&mut self.buffers) });
        std::mem::forget(self);
        buffers
    }
}

impl<B> Drop for Operation<B> {
    /// What MPI may still read or write is never given back.
    fn drop(&mut self) {
        if self.ended {
            // SAFETY: the request has ended, and `take` forgets `self`.
            unsafe { ManuallyDrop::drop(&mut self.buffers) }
        }
    }
}

/// Messages that are received into one piece of memory, one after the other. `M`'s bytes stay where they are when it is moved.
pub(super) struct Receiving<M> {
    memory: ManuallyDrop<M>,
    /// What has been begun and has not ended.
    requests: Vec<Raw>,
    begun: usize,
}

impl<M: DerefMut<Target = [u8]>> Receiving<M> {
    /// To fill all of `memory`.
    pub(super) fn new(memory: M) -> Self {
        Self { memory: ManuallyDrop::new(memory), requests: Vec::new(), begun: 0 }
    }

    /// Memory that needs no message.
    pub(super) fn full(memory: M) -> Self {
        let begun = memory.len();
        Self { memory: ManuallyDrop::new(memory), requests: Vec::new(), begun }
    }

    /// Bytes that no message has been begun for.
    pub(super) fn missing(&self) -> usize {
        self.memory.len() - self.begun
    }

    /// Whether all that has been begun has ended.
    pub(super) fn test(&mut self, calls: &Calls) -> Outcome<bool> {
        while let Some(request) = self.requests.last_mut() {
            if !calls.test(request)? {
                return Ok(false);
            }
            self.requests.pop();
        }
        Ok(true)
    }

    /// The memory, when nothing is written to it any more.
    pub(super) fn take(mut self) -> Option<M> {
        if !self.requests.is_empty() {
            return None;
        }
        // SAFETY: no request is under way, and as `self` is forgotten this is the only time.
        let memory = unsafe { ManuallyDrop::take(&mut self.memory) };
        drop(std::mem::take(&mut self.requests));
        std::mem::forget(self);
        Some(memory)
    }
}

impl<M> Drop for Receiving<M> {
    /// What MPI may still write is never given back.
    fn drop(&mut self) {
        if self.requests.is_empty() {
            // SAFETY: no request is under way, and this is the last that is done with the memory.
            unsafe { ManuallyDrop::drop(&mut self.memory) }
        }
    }
}

impl Calls {
    /// Looks up what is needed of a library; calls none of MPI's functions.
    pub(super) fn new(library: Library) -> Outcome<Self> {
        if cfg!(not(all(target_pointer_width = "64", target_endian = "little"))) {
            return Err(MpiError::new("heist speaks to MPI on 64-bit little-endian machines only"));
        }
        let path = library.path();
        let abi = abi::of(&library, &path);
        let handle = |handle: Handle| match handle {
            Handle::Number(number) => Ok(number),
            Handle::Symbol(symbol) => library
                .address(symbol)
                .ok_or_else(|| MpiError::new(format!("{} lacks the symbol {symbol}", path.display()))),
        };
        let (mut types, mut ops) = ([0; 10], [0; 4]);
        for (to, &from) in types.iter_mut().zip(&abi.types).chain(ops.iter_mut().zip(&abi.ops)) {
            *to = handle(from)?;
        }
        let (world, byte, errors_return) = (handle(abi.world)?, handle(abi.byte)?, handle(abi.errors_return)?);
        let functions = library.functions()?;
        Ok(Self { functions, abi, path, byte, types, ops, world, errors_return, _of_one_thread: PhantomData })
    }

    /// The kind of library, its version, and where it lies.
    pub(super) fn name(&self) -> String {
        let mut text: [c_char; 8192] = [0; 8192];
        let mut length = 0;
        // SAFETY: the text has room for the longest that any MPI gives, and may be asked for at any time.
        let code = unsafe { (self.functions.library_version)(text.as_mut_ptr(), &raw mut length) };
        // SAFETY: the text ends in a zero byte: it began as zeros.
        let text = unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy();
        let words: Vec<_> = text.lines().next().unwrap_or_default().split([',', '\t', ' ']).collect();
        // Open MPI's is a sentence, MPICH's `MPICH Version: 4.0.2`.
        let version = words.iter().find(|word| word.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit()));
        let version = version.filter(|_| code == 0).map(|word| format!(" {}", word.trim_start_matches('v')));
        format!("{}{} ({})", self.abi.name, version.unwrap_or_default(), self.path.display())
    }

    fn check(&self, what: &str, code: c_int) -> Outcome<()> {
        if code == 0 {
            return Ok(());
        }
        let mut text: [c_char; 8192] = [0; 8192];
        let mut length = 0;
        // SAFETY: as in `name`.
        unsafe { (self.functions.error_string)(code, text.as_mut_ptr(), &raw mut length) };
        // SAFETY: as in `name`.
        let text = unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy();
        Err(MpiError::new(format!("{what} of {} failed: {}", self.abi.name, text.trim())))
    }

    fn flag(&self, what: &str, ask: unsafe extern "C" fn(*mut c_int) -> c_int) -> Outcome<c_int> {
        let mut flag = 0;
        // SAFETY: these functions write one integer, and may be called at any time.
        self.check(what, unsafe { ask(&raw mut flag) })?;
        Ok(flag)
    }

    pub(super) fn is_initialized(&self) -> Outcome<bool> {
        Ok(self.flag("MPI_Initialized", self.functions.initialized)? != 0)
    }

    pub(super) fn is_finalized(&self) -> Outcome<bool> {
        Ok(self.flag("MPI_Finalized", self.functions.finalized)? != 0)
    }

    /// Whether MPI, which somebody has initialised, may be called on another thread.
    pub(super) fn may_be_called_here(&self) -> Outcome<bool> {
        Ok(self.flag("MPI_Query_thread", self.functions.query_thread)? >= self.abi.serialized)
    }

    /// Initialises MPI.
    pub(super) fn initialize(&self) -> Outcome<()> {
        let mut granted = 0;
        let null = std::ptr::null_mut();
        // SAFETY: MPI was not initialised before; it may be given no arguments.
        let code = unsafe { (self.functions.init_thread)(null, null, self.abi.serialized, &raw mut granted) };
        self.check("MPI_Init_thread", code)
    }

    pub(super) fn finalize(&self) -> Outcome<()> {
        // SAFETY: MPI is initialised, by this thread.
        self.check("MPI_Finalize", unsafe { (self.functions.finalize)() })
    }

    /// Ends all ranks.
    pub(super) fn abort(&self, code: c_int) {
        // SAFETY: MPI is initialised. It does not return, as a rule.
        unsafe { (self.functions.abort)(self.world, code) };
    }

    /// A communicator of all ranks that only heist uses, and whose errors are told and not fatal.
    pub(super) fn own_world(&self) -> Outcome<Communicator> {
        let mut own = 0;
        // SAFETY: MPI is initialised, `own` may be written.
        self.check("MPI_Comm_dup", unsafe { (self.functions.comm_dup)(self.world, &raw mut own) })?;
        self.of_heist(own)
    }

    fn of_heist(&self, handle: Raw) -> Outcome<Communicator> {
        // SAFETY: both handles are MPI's own.
        let code = unsafe { (self.functions.comm_set_errhandler)(handle, self.errors_return) };
        self.check("MPI_Comm_set_errhandler", code)?;
        let (rank, size) = self.rank_and_size(handle)?;
        Ok(Communicator { handle, rank, size })
    }

    /// Splits a communicator: those of one color, ordered by key. None for who has none.
    pub(super) fn split(&self, of: Communicator, color: Option<u32>, key: u32) -> Outcome<Option<Communicator>> {
        let mut part = 0;
        let number = |number: u32| c_int::try_from(number).unwrap_or(c_int::MAX);
        let wanted = color.map_or(self.abi.undefined, number);
        // SAFETY: the communicator is MPI's own, `part` may be written.
        let code = unsafe { (self.functions.comm_split)(of.handle, wanted, number(key), &raw mut part) };
        self.check("MPI_Comm_split", code)?;
        color.map(|_| self.of_heist(part)).transpose()
    }

    pub(super) fn free(&self, mut communicator: Communicator) -> Outcome<()> {
        // SAFETY: the communicator is MPI's own, and is used no more.
        let code = unsafe { (self.functions.comm_free)(&raw mut communicator.handle) };
        self.check("MPI_Comm_free", code)
    }

    /// The number of this rank among all that MPI knows of, and how many these are.
    pub(super) fn place(&self) -> Outcome<(u32, u32)> {
        self.rank_and_size(self.world)
    }

    fn rank_and_size(&self, communicator: Raw) -> Outcome<(u32, u32)> {
        let (mut rank, mut size) = (0, 0);
        // SAFETY: the communicator is MPI's own, the integer may be written.
        self.check("MPI_Comm_rank", unsafe { (self.functions.comm_rank)(communicator, &raw mut rank) })?;
        // SAFETY: as above.
        self.check("MPI_Comm_size", unsafe { (self.functions.comm_size)(communicator, &raw mut size) })?;
        Ok((rank as u32, size as u32))
    }

    fn test(&self, request: &mut Raw) -> Outcome<bool> {
        let mut ended = 0;
        let ignore = self.abi.status_ignore as *mut c_int;
        // SAFETY: the request is MPI's own; a status is asked for by nobody.
        self.check("MPI_Test", unsafe { (self.functions.test)(request, &raw mut ended, ignore) })?;
        Ok(ended != 0)
    }

    /// Sends a part of the bytes that `held` leads to. These stay where they are when it is moved, and unchanged.
    pub(super) fn send<B: Deref<Target = [u8]>>(
        &self,
        held: B,
        part: Range<usize>,
        to: u32,
        over: Communicator,
    ) -> Outcome<Operation<B>> {
        let mut operation = Operation::new(held);
        let bytes = operation.buffers.get(part).unwrap_or_default();
        let count = number(bytes.len())?;
        let data = start(bytes);
        let request = &raw mut operation.request;
        // SAFETY: the bytes lie on the heap and are kept, unchanged, until the request has ended.
        let code = unsafe { (self.functions.isend)(data, count, self.byte, to as c_int, TAG, over.handle, request) };
        self.check("MPI_Isend", code)?;
        Ok(operation)
    }

    /// The next message that has come, if any.
    pub(super) fn next_message(&self, over: Communicator) -> Outcome<Option<Matched>> {
        let (mut found, mut handle, mut status): (c_int, Raw, Status) = (0, 0, [0; 16]);
        let (source, tag) = (self.abi.any_source, self.abi.any_tag);
        // SAFETY: the communicator is MPI's own; the others may be written, a status is larger than any MPI's.
        let code = unsafe {
            (self.functions.improbe)(source, tag, over.handle, &raw mut found, &raw mut handle, status.as_mut_ptr())
        };
        self.check("MPI_Improbe", code)?;
        if found == 0 {
            return Ok(None);
        }
        let mut count = 0;
        // SAFETY: MPI has written the status.
        let code = unsafe { (self.functions.get_count)(status.as_ptr(), self.byte, &raw mut count) };
        self.check("MPI_Get_count", code)?;
        Ok(Some(Matched { handle, from: status[self.abi.source] as u32, bytes: count.max(0) as usize }))
    }

    /// Receives a message behind what `into` has received before. Gives back whether there was room for it; else it is lost.
    pub(super) fn receive<M: DerefMut<Target = [u8]>>(
        &self,
        mut message: Matched,
        into: &mut Receiving<M>,
    ) -> Outcome<bool> {
        let begun = into.begun;
        let Some(room) = into.memory.get_mut(begun..begun + message.bytes) else { return Ok(false) };
        let (at, count) = (start_mut(room), number(message.bytes)?);
        let mut request = 0;
        // SAFETY: the message is MPI's own and of so many bytes; the room is kept until the request has ended.
        let code = unsafe { (self.functions.imrecv)(at, count, self.byte, &raw mut message.handle, &raw mut request) };
        self.check("MPI_Imrecv", code)?;
        into.begun += message.bytes;
        into.requests.push(request);
        Ok(true)
    }

    pub(super) fn barrier(&self, over: Communicator) -> Outcome<Operation<()>> {
        let mut operation = Operation::new(());
        // SAFETY: the communicator is MPI's own.
        let code = unsafe { (self.functions.ibarrier)(over.handle, &raw mut operation.request) };
        self.check("MPI_Ibarrier", code)?;
        Ok(operation)
    }

    /// Root's elements to all; all have as many.
    pub(super) fn broadcast<T: Element>(
        &self,
        data: Vec<T>,
        root: u32,
        over: Communicator,
    ) -> Outcome<Operation<Vec<T>>> {
        let count = number(data.len())?;
        let mut operation = Operation::new(data);
        let (at, kind) = (start_mut(&mut operation.buffers), self.kind::<T>());
        // SAFETY: `count` elements lie there, and are kept until the request has ended.
        let code =
            unsafe { (self.functions.ibcast)(at, count, kind, root as c_int, over.handle, &raw mut operation.request) };
        self.check("MPI_Ibcast", code)?;
        Ok(operation)
    }

    /// The elements of all, at root: `layout` says how many of whom. Elsewhere it is not looked at.
    pub(super) fn gather<T: Element>(
        &self,
        data: Vec<T>,
        layout: Layout,
        root: u32,
        over: Communicator,
    ) -> Outcome<Operation<Moved<T>>> {
        let count = number(data.len())?;
        if over.rank == root {
            layout.check(over)?;
        }
        let all = memory::<T>(layout.total)?;
        let mut operation = Operation::new((data, all, layout));
        let kind = self.kind::<T>();
        let (data, all, layout) = &mut *operation.buffers;
        let (counts, starts) = (layout.counts.as_ptr(), layout.starts.as_ptr());
        let (from, to, root) = (start(data), start_mut(all), root as c_int);
        let request = &raw mut operation.request;
        // SAFETY: all of them lie on the heap, have room for what their counts say, and are kept until the request has ended.
        let code = unsafe {
            (self.functions.igatherv)(from, count, kind, to, counts, starts, kind, root, over.handle, request)
        };
        self.check("MPI_Igatherv", code)?;
        Ok(operation)
    }

    /// The elements of all, at all.
    pub(super) fn all_gather<T: Element>(
        &self,
        data: Vec<T>,
        layout: Layout,
        over: Communicator,
    ) -> Outcome<Operation<Moved<T>>> {
        let count = number(data.len())?;
        layout.check(over)?;
        let all = memory::<T>(layout.total)?;
        let mut operation = Operation::new((data, all, layout));
        let kind = self.kind::<T>();
        let (data, all, layout) = &mut *operation.buffers;
        let (counts, starts) = (layout.counts.as_ptr(), layout.starts.as_ptr());
        let (from, to) = (start(data), start_mut(all));
        let request = &raw mut operation.request;
        // SAFETY: as in `gather`.
        let code =
            unsafe { (self.functions.iallgatherv)(from, count, kind, to, counts, starts, kind, over.handle, request) };
        self.check("MPI_Iallgatherv", code)?;
        Ok(operation)
    }

    /// To each its part of root's elements, `own` of them to this rank.
    pub(super) fn scatter<T: Element>(
        &self,
        data: Vec<T>,
        layout: Layout,
        own: usize,
        root: u32,
        over: Communicator,
    ) -> Outcome<Operation<Moved<T>>> {
        let count = number(own)?;
        if over.rank == root {
            layout.check(over)?;
            layout.check_elements(data.len())?;
        }
        let part = memory::<T>(own)?;
        let mut operation = Operation::new((data, part, layout));
        let kind = self.kind::<T>();
        let (data, part, layout) = &mut *operation.buffers;
        let (counts, starts) = (layout.counts.as_ptr(), layout.starts.as_ptr());
        let (from, to, root) = (start(data), start_mut(part), root as c_int);
        let request = &raw mut operation.request;
        // SAFETY: as in `gather`.
        let code = unsafe {
            (self.functions.iscatterv)(from, counts, starts, kind, to, count, kind, root, over.handle, request)
        };
        self.check("MPI_Iscatterv", code)?;
        Ok(operation)
    }

    /// Element by element what `op` makes of those of all, at root.
    pub(super) fn reduce<T: Element>(
        &self,
        data: Vec<T>,
        op: Op,
        root: u32,
        over: Communicator,
    ) -> Outcome<Operation<(Vec<T>, Vec<T>)>> {
        let count = number(data.len())?;
        let all = memory::<T>(data.len())?;
        let mut operation = Operation::new((data, all));
        let (kind, op) = (self.kind::<T>(), self.ops[op as usize]);
        let (data, all) = &mut *operation.buffers;
        let (from, to, root) = (start(data), start_mut(all), root as c_int);
        let request = &raw mut operation.request;
        // SAFETY: as in `gather`.
        let code = unsafe { (self.functions.ireduce)(from, to, count, kind, op, root, over.handle, request) };
        self.check("MPI_Ireduce", code)?;
        Ok(operation)
    }

    /// Element by element what `op` makes of those of all, at all.
    pub(super) fn all_reduce<T: Element>(
        &self,
        data: Vec<T>,
        op: Op,
        over: Communicator,
    ) -> Outcome<Operation<Vec<T>>> {
        let count = number(data.len())?;
        let mut operation = Operation::new(data);
        let (kind, op) = (self.kind::<T>(), self.ops[op as usize]);
        let (in_place, to) = (self.abi.in_place as *const c_void, start_mut(&mut operation.buffers));
        let request = &raw mut operation.request;
        // SAFETY: as in `gather`; in place, the elements are replaced by the outcome.
        let code = unsafe { (self.functions.iallreduce)(in_place, to, count, kind, op, over.handle, request) };
        self.check("MPI_Iallreduce", code)?;
        Ok(operation)
    }

    /// To each its part of everyone's elements.
    pub(super) fn all_to_all<T: Element>(
        &self,
        data: Vec<T>,
        sent: Layout,
        received: Layout,
        over: Communicator,
    ) -> Outcome<Operation<Exchanged<T>>> {
        sent.check(over)?;
        sent.check_elements(data.len())?;
        received.check(over)?;
        let all = memory::<T>(received.total)?;
        let mut operation = Operation::new((data, all, [sent, received]));
        let kind = self.kind::<T>();
        let (data, all, [sent, received]) = &mut *operation.buffers;
        let (from, to) = (start(data), start_mut(all));
        let (sent, sent_at) = (sent.counts.as_ptr(), sent.starts.as_ptr());
        let (received, received_at) = (received.counts.as_ptr(), received.starts.as_ptr());
        let request = &raw mut operation.request;
        // SAFETY: as in `gather`.
        let code = unsafe {
            (self.functions.ialltoallv)(
                from,
                sent,
                sent_at,
                kind,
                to,
                received,
                received_at,
                kind,
                over.handle,
                request,
            )
        };
        self.check("MPI_Ialltoallv", code)?;
        Ok(operation)
    }

    fn kind<T: Element>(&self) -> Raw {
        self.types[T::BASIC as usize]
    }
}

/// What stands for the address of nothing: that of an empty `Vec` may be what MPI takes for `MPI_IN_PLACE`.
static NOTHING: u64 = 0;

fn start<T>(elements: &[T]) -> *const c_void {
    if elements.is_empty() { (&raw const NOTHING).cast() } else { elements.as_ptr().cast() }
}

fn start_mut<T>(elements: &mut [T]) -> *mut c_void {
    if elements.is_empty() { (&raw const NOTHING).cast_mut().cast() } else { elements.as_mut_ptr().cast() }
}

/// Ends this process at once, whatever its other threads and its exit handlers are at.
pub(super) fn end_process(code: c_int) -> ! {
    // SAFETY: nothing of this process goes on.
    unsafe { libc::_exit(code) }
}

/// The tag of heist's messages: they have a communicator of their own, so one does.
const TAG: c_int = 1;

fn memory<T: Element>(elements: usize) -> Outcome<Vec<T>> {
    let mut memory = Vec::new();
    memory
        .try_reserve_exact(elements)
        .map_err(|_| MpiError::new(format!("no memory for {elements} elements of a collective")))?;
    memory.resize(elements, T::default());
    Ok(memory)
}
