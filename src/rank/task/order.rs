//! Tasks that were submitted together, on their way to where they run.

use std::borrow::Cow;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::code::Code;
use super::outbox::Values;
use super::{Told, telling};
use crate::error::TaskError;
use crate::future::Options;
use crate::rank::codec::ship::Shipped;
use crate::rank::codec::{Packed, pack};
use crate::rank::object::Reference;
use crate::rank::world::Rank;
use crate::task::{Priority, Where};

/// What an order begins with.
#[derive(Serialize, Deserialize)]
pub(super) struct Head {
    maker: Rank,
    number: u64,
    run: Shipped,
    function: Shipped,
    said: Option<Box<Said>>,
    tasks: Vec<Wired>,
}

/// One of its tasks: its number at home, how much of what follows is its own, and which of its references are to be
/// fetched before it runs.
#[derive(Serialize, Deserialize)]
struct Wired {
    number: u64,
    size: Size,
    needs: Vec<u32>,
}

/// So many bytes, blobs and references.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Size {
    pub(super) bytes: u64,
    pub(super) blobs: u64,
    pub(super) references: u64,
}

/// What was said about the tasks that matters where they run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Said {
    pub(super) name: Option<String>,
    /// Its place in [`Priority::ALL`].
    pub(super) priority: u8,
    pub(super) place: Place,
    pub(super) retries: Option<u32>,
    pub(super) resources: Vec<(String, u64)>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Place {
    Anywhere,
    Domain(u32, bool),
    Worker(u32, bool),
}

impl Said {
    pub(super) fn of(options: &Options, priority: Priority) -> Option<Box<Self>> {
        let place = match options.place {
            Where::Anywhere => Place::Anywhere,
            Where::Domain { domain, strict } => Place::Domain(domain, strict),
            Where::Worker { worker, strict } => Place::Worker(worker, strict),
        };
        let is_plain = options.name.is_none()
            && priority == Priority::NORMAL
            && options.place == Where::Anywhere
            && options.retries.is_none()
            && options.resources.is_empty();
        (!is_plain).then(|| {
            Box::new(Self {
                name: options.name.as_deref().map(str::to_owned),
                priority: priority.index() as u8,
                place,
                retries: options.retries,
                resources: options.resources.iter().map(|(name, amount)| (name.to_string(), *amount)).collect(),
            })
        })
    }

    pub(super) fn options(&self) -> Options {
        Options {
            name: self.name.clone().map(Cow::Owned),
            key: None,
            priority: Priority::ALL.get(usize::from(self.priority)).copied(),
            place: match self.place {
                Place::Anywhere => Where::Anywhere,
                Place::Domain(domain, strict) => Where::Domain { domain, strict },
                Place::Worker(worker, strict) => Where::Worker { worker, strict },
            },
            retries: self.retries,
            resources: self.resources.iter().map(|(name, amount)| (Cow::Owned(name.clone()), *amount)).collect(),
        }
    }
}

impl Task {
    /// Where its arguments begin.
    fn start(&self) -> (usize, usize, usize) {
        (self.bytes.start, self.blobs.start, self.references.start)
    }

    fn move_back(&mut self, by: (usize, usize, usize)) {
        self.bytes = self.bytes.start - by.0..self.bytes.end - by.0;
        self.blobs = self.blobs.start - by.1..self.blobs.end - by.1;
        self.references = self.references.start - by.2..self.references.end - by.2;
    }
}

/// Tasks that run the same function, with their arguments.
pub(crate) struct Order {
    /// Whose tasks they are.
    pub(super) maker: Rank,
    /// Tells it from the maker's others.
    pub(super) number: u64,
    pub(super) code: Code,
    pub(super) said: Option<Box<Said>>,
    pub(super) tasks: Vec<Task>,
    /// All the arguments.
    args: Packed,
}

/// One of them.
pub(super) struct Task {
    pub(super) number: u64,
    bytes: Range<usize>,
    blobs: Range<usize>,
    references: Range<usize>,
    /// Places among its references.
    pub(super) needs: Vec<u32>,
}

impl Order {
    pub(super) fn new(maker: Rank, code: Code, said: Option<Box<Said>>) -> Self {
        Self { maker, number: 0, code, said, tasks: Vec::new(), args: Packed::default() }
    }

    /// Adds a task; false when it does not fit any more.
    pub(super) fn add(&mut self, number: u64, mut args: Packed, needs: Vec<u32>) {
        let own = &mut self.args;
        if self.tasks.is_empty() {
            self.number = number;
        }
        let start = (own.bytes.len(), own.blobs.len(), own.references.len());
        if self.tasks.is_empty() {
            *own = args;
        } else {
            own.bytes.append(&mut args.bytes);
            own.blobs.append(&mut args.blobs);
            own.references.append(&mut args.references);
        }
        let (bytes, blobs) = (start.0..own.bytes.len(), start.1..own.blobs.len());
        self.tasks.push(Task { number, bytes, blobs, references: start.2..own.references.len(), needs });
    }

    /// Bytes of arguments.
    pub(super) fn size(&self) -> usize {
        self.args.bytes.len()
    }

    /// As it travels.
    pub(super) fn write(self) -> Result<Packed, TaskError> {
        let (head, _, args) = self.into_head();
        telling(&Told::Run(head), args)
    }

    fn into_head(self) -> (Head, Size, Packed) {
        let Self { maker, number, code, said, tasks, args } = self;
        let wired = |task: Task| {
            let size = Size {
                bytes: task.bytes.len() as u64,
                blobs: task.blobs.len() as u64,
                references: task.references.len() as u64,
            };
            Wired { number: task.number, size, needs: task.needs }
        };
        let tasks = tasks.into_iter().map(wired).collect();
        let size = Size {
            bytes: args.bytes.len() as u64,
            blobs: args.blobs.len() as u64,
            references: args.references.len() as u64,
        };
        (Head { maker, number, run: code.run, function: code.function, said, tasks }, size, args)
    }

    /// What has come, whose arguments begin at `start`. `None` if there are fewer or more than there should be.
    pub(super) fn read(head: Head, start: usize, args: Packed) -> Option<Self> {
        let (mut bytes, mut blobs, mut references) = (start, 0, 0);
        let mut tasks = Vec::with_capacity(head.tasks.len());
        for Wired { number, size, needs } in head.tasks {
            let task = Task {
                number,
                bytes: from(&mut bytes, size.bytes),
                blobs: from(&mut blobs, size.blobs),
                references: from(&mut references, size.references),
                needs,
            };
            if task.needs.iter().any(|place| u64::from(*place) >= size.references) {
                return None;
            }
            tasks.push(task);
        }
        let fits = (bytes, blobs, references) == (args.bytes.len(), args.blobs.len(), args.references.len());
        let code = Code { run: head.run, function: head.function };
        fits.then(|| Self { maker: head.maker, number: head.number, code, said: head.said, tasks, args })
    }

    /// The arguments of one task.
    pub(super) fn args(&self, task: &Task) -> Packed {
        Packed {
            bytes: self.args.bytes[task.bytes.clone()].to_vec(),
            blobs: self.args.blobs[task.blobs.clone()].to_vec(),
            references: self.args.references[task.references.clone()].to_vec(),
        }
    }

    /// What its tasks need of others.
    pub(super) fn inputs(&self) -> Vec<Reference> {
        let own = |task: &Task| self.args.references[task.references.clone()].to_vec();
        let needs = |task: &Task| {
            let own = own(task);
            task.needs.iter().filter_map(|place| own.get(*place as usize).cloned()).collect::<Vec<_>>()
        };
        self.tasks.iter().flat_map(needs).collect()
    }

    /// Takes so many of its tasks out, of more: the first or the last.
    pub(super) fn split(&mut self, count: usize, first: bool) -> Self {
        let at = if first { count } else { self.tasks.len() - count };
        let mut tasks = self.tasks.split_off(at);
        let start = tasks.first().map_or((0, 0, 0), Task::start);
        tasks.iter_mut().for_each(|task| task.move_back(start));
        let args = Packed {
            bytes: self.args.bytes.split_off(start.0),
            blobs: self.args.blobs.split_off(start.1),
            references: self.args.references.split_off(start.2),
        };
        let number = tasks.first().map_or(self.number, |task| task.number);
        let tail = Self { maker: self.maker, number, code: self.code, said: self.said.clone(), tasks, args };
        if first { std::mem::replace(self, tail) } else { tail }
    }

    /// Takes one of its tasks out, if it is there.
    pub(super) fn remove(&mut self, number: u64) -> Option<Self> {
        let at = self.tasks.iter().position(|task| task.number == number)?;
        let tail = self.split(self.tasks.len() - at, false);
        let (mut one, mut rest) = (tail, None);
        if one.tasks.len() > 1 {
            let count = one.tasks.len() - 1;
            rest = Some(one.split(count, false));
        }
        if let Some(rest) = rest {
            self.append(rest);
        }
        Some(one)
    }

    fn append(&mut self, mut other: Self) {
        let end = (self.args.bytes.len(), self.args.blobs.len(), self.args.references.len());
        if self.tasks.is_empty() {
            self.number = other.number;
        }
        for mut task in other.tasks {
            task.bytes = task.bytes.start + end.0..task.bytes.end + end.0;
            task.blobs = task.blobs.start + end.1..task.blobs.end + end.1;
            task.references = task.references.start + end.2..task.references.end + end.2;
            self.tasks.push(task);
        }
        self.args.bytes.append(&mut other.args.bytes);
        self.args.blobs.append(&mut other.args.blobs);
        self.args.references.append(&mut other.args.references);
    }

    /// Some orders as they travel together.
    pub(super) fn write_all(orders: Vec<Self>) -> Result<Packed, TaskError> {
        let mut follows = Packed::default();
        let heads: Vec<_> = orders
            .into_iter()
            .map(|order| {
                let (head, size, mut args) = order.into_head();
                follows.bytes.append(&mut args.bytes);
                follows.blobs.append(&mut args.blobs);
                follows.references.append(&mut args.references);
                (head, size)
            })
            .collect();
        let mut packed = pack(&heads)?;
        packed.bytes.append(&mut follows.bytes);
        Ok(Packed { bytes: packed.bytes, ..follows })
    }

    /// What [`write_all`](Self::write_all) has written; `None` if that is not what it is.
    pub(super) fn read_all(mut packed: Packed) -> Option<Vec<Self>> {
        let (heads, rest) = postcard::take_from_bytes::<Vec<(Head, Size)>>(&packed.bytes).ok()?;
        let rest = rest.len();
        packed.bytes.drain(..packed.bytes.len() - rest);
        let mut values = Values::of(packed);
        let orders = heads.into_iter().map(|(head, size)| Self::read(head, 0, values.next(size)?)).collect();
        if values.is_empty() { orders } else { None }
    }

    /// The numbers of its tasks at home.
    pub(super) fn numbers(&self) -> Vec<u64> {
        self.tasks.iter().map(|task| task.number).collect()
    }
}

fn from(start: &mut usize, size: u64) -> Range<usize> {
    let range = *start..start.saturating_add(size as usize);
    *start = range.end;
    range
}
