//! One path of a task's life, many times, for `scripts/instructions` to count: `paths PATH TASKS ROUND WORKERS`.

use std::error::Error;
use std::hint::black_box;
use std::sync::mpsc::{Sender, channel};

use heist::{ActorRef, Executor, PinPolicy, Promise, TaskError, TaskFuture};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;
type Futures = Vec<TaskFuture<u64>>;

/// What is counted of most paths: instructions of the calling thread, from here to the return.
#[inline(never)]
fn counted<R>(work: impl FnOnce() -> R) -> R {
    black_box(work())
}

/// What is not counted of the paths of workers.
#[inline(never)]
fn uncounted<R>(work: impl FnOnce() -> R) -> R {
    black_box(work())
}

/// An executor one of whose workers, or two, are free; all others are kept within a task.
struct Scene {
    /// Dropped before the executor, which waits for its threads.
    held: Vec<Held>,
    ex: Executor,
    tasks: usize,
    round: usize,
}

/// A worker that is kept within a task until this is dropped.
struct Held {
    _until_dropped: Sender<()>,
}

impl Scene {
    fn new(tasks: usize, round: usize, workers: usize) -> Outcome<Self> {
        let ex = Executor::builder().workers(workers).pin(PinPolicy::None).seed(0).build()?;
        Ok(Self { held: Vec::new(), ex, tasks, round })
    }

    fn leave_free(&mut self, workers: usize) -> Outcome {
        for _ in workers..self.ex.workers() {
            self.held.push(self.hold()?);
        }
        Ok(())
    }

    fn hold(&self) -> Outcome<Held> {
        let (release, is_released) = channel::<()>();
        let (hold, is_held) = channel();
        let keep = move || hold.send(()).is_ok() && is_released.recv().is_ok();
        self.ex.submit(keep).detach();
        is_held.recv()?;
        Ok(Held { _until_dropped: release })
    }

    /// Does `work` within a task.
    fn inside<R: Send + 'static>(&self, work: impl FnOnce(&Executor) -> R + Send + 'static) -> Outcome<R> {
        let ex = self.ex.clone();
        let task = self.ex.submit(move || work(&ex));
        Ok(task.into_result().map_err(|_| "another handle on the task is left")??)
    }

    /// Calls `each` once a round, with the number of tasks it is to make.
    fn rounds(&self, mut each: impl FnMut(usize) -> Outcome) -> Outcome {
        (0..self.tasks / self.round).try_for_each(|_| each(self.round))
    }

    fn done(&self, count: usize) -> Outcome<Futures> {
        let futures = submit(&self.ex, count);
        wait(&futures)?;
        Ok(futures)
    }

    /// How often workers went to sleep.
    fn parked(&self) -> u64 {
        self.ex.stats().per_worker.iter().map(|worker| worker.parked).sum()
    }
}

fn submit(ex: &Executor, count: usize) -> Futures {
    submit_into(ex, Vec::with_capacity(count))
}

fn submit_into(ex: &Executor, mut futures: Futures) -> Futures {
    for i in 0..futures.capacity() as u64 {
        futures.push(ex.submit(move || i));
    }
    futures
}

fn wait(futures: &[TaskFuture<u64>]) -> Outcome {
    Ok(futures.iter().try_for_each(TaskFuture::wait)?)
}

fn chain(ex: &Executor, first: TaskFuture<u64>, links: usize) -> TaskFuture<u64> {
    (0..links).fold(first, |last, _| ex.submit_after(last, |n| n + 1))
}

fn submit_inside(scene: &Scene) -> Outcome {
    let mut last = Futures::new();
    scene.rounds(|count| {
        let old = std::mem::take(&mut last);
        last = scene.inside(move |ex| {
            drop(old);
            let futures = Vec::with_capacity(count);
            counted(|| submit_into(ex, futures))
        })?;
        wait(&last)
    })
}

fn submit_outside(scene: &Scene) -> Outcome {
    scene.rounds(|count| {
        let held = scene.hold()?;
        let futures = Vec::with_capacity(count);
        let futures = counted(|| submit_into(&scene.ex, futures));
        drop(held);
        wait(&futures)
    })
}

fn map_inside(scene: &Scene) -> Outcome {
    let mut last = Futures::new();
    scene.rounds(|count| {
        let old = std::mem::take(&mut last);
        last = scene.inside(move |ex| {
            drop(old);
            counted(|| ex.map(0..count as u64, |i| i))
        })?;
        wait(&last)
    })
}

fn map_outside(scene: &Scene) -> Outcome {
    scene.rounds(|count| {
        let held = scene.hold()?;
        let futures = counted(|| scene.ex.map(0..count as u64, |i| i));
        drop(held);
        wait(&futures)
    })
}

fn collect(futures: Futures) -> Outcome<u64> {
    let mut sum = 0;
    for future in futures {
        sum += future.result()?;
    }
    Ok(sum)
}

fn collect_inside(scene: &Scene) -> Outcome {
    scene.rounds(|count| {
        let futures = scene.inside(move |ex| submit(ex, count))?;
        wait(&futures)?;
        let sum = scene.inside(move |_| counted(|| collect(futures)).map_err(|error| error.to_string()))??;
        check(sum, count)
    })
}

fn collect_outside(scene: &Scene) -> Outcome {
    scene.rounds(|count| {
        let futures = scene.done(count)?;
        check(counted(|| collect(futures))?, count)
    })
}

fn gather(scene: &Scene) -> Outcome {
    scene.rounds(|count| {
        let futures = scene.done(count)?;
        let values = counted(|| scene.ex.gather(futures))?;
        check(values.iter().sum(), count)
    })
}

fn check(sum: u64, count: usize) -> Outcome {
    let count = count as u64;
    if sum == count * (count - 1) / 2 { Ok(()) } else { Err(format!("{count} tasks: the sum is {sum}").into()) }
}

/// Waits for tasks that have not begun, within a task: the wait runs them.
fn claim(scene: &Scene) -> Outcome {
    scene.rounds(|count| {
        let waited = scene.inside(move |ex| {
            let futures = submit(ex, count);
            counted(|| futures.iter().try_for_each(TaskFuture::wait))
        })?;
        Ok(waited?)
    })
}

fn build_inside(scene: &Scene) -> Outcome {
    scene.rounds(|count| {
        let (promise, last) = scene.inside(move |ex| {
            let (promise, first) = ex.promise();
            (promise, counted(|| chain(ex, first, count)))
        })?;
        release_chain(promise, &last, count)
    })
}

fn build_outside(scene: &Scene) -> Outcome {
    scene.rounds(|count| {
        let (promise, first) = scene.ex.promise();
        let last = counted(|| chain(&scene.ex, first, count));
        release_chain(promise, &last, count)
    })
}

fn release_chain(promise: Promise<u64>, last: &TaskFuture<u64>, links: usize) -> Outcome {
    promise.fulfil(0);
    let links = links as u64;
    if last.result()? == links { Ok(()) } else { Err("a link of the chain is missing".into()) }
}

fn cancel(scene: &Scene) -> Outcome {
    scene.rounds(|count| {
        let _held = scene.hold()?;
        let futures = submit(&scene.ex, count);
        let cancelled = counted(|| futures.iter().filter(|future| future.cancel("counted")).count());
        if cancelled == count { Ok(()) } else { Err("a task that was held was not cancelled".into()) }
    })
}

/// Drops the last handles of tasks that have not begun.
fn release(scene: &Scene) -> Outcome {
    scene.rounds(|count| {
        let _held = scene.hold()?;
        let futures = submit(&scene.ex, count);
        counted(|| drop(futures));
        Ok(())
    })
}

fn scatter(scene: &Scene) -> Outcome {
    scene.rounds(|count| {
        let mut futures = Futures::with_capacity(count);
        counted(|| futures.extend((0..count as u64).map(|i| scene.ex.scatter(i))));
        Ok(())
    })
}

/// Messages to an actor, from within a task; `talk` sends so many.
fn talk_inside(scene: &Scene, talk: fn(&ActorRef<u64>, usize) -> Result<(), TaskError>) -> Outcome {
    let actor = scene.ex.actor(|| 0_u64);
    scene.rounds(|count| {
        let known = actor.clone();
        scene.inside(move |_| counted(|| talk(&known, count)))??;
        Ok(actor.ask(|_| ()).wait()?)
    })
}

fn ask(scene: &Scene) -> Outcome {
    talk_inside(scene, |actor, count| (0..count as u64).try_for_each(|i| actor.ask(move |n| *n += i).wait()))
}

fn call(scene: &Scene) -> Outcome {
    talk_inside(scene, |actor, count| (0..count as u64).try_for_each(|i| actor.call(move |n| *n += i)))
}

fn tell(scene: &Scene) -> Outcome {
    talk_inside(scene, |actor, count| (0..count as u64).try_for_each(|i| actor.tell(move |n| *n += i)))
}

fn told(scene: &Scene) -> Outcome {
    let (actor, count) = (scene.ex.actor(|| 0_u64), scene.tasks as u64);
    let known = actor.clone();
    scene.inside(move |_| uncounted(|| (0..count).try_for_each(|i| known.tell(move |n| *n += i))))??;
    Ok(actor.ask(|_| ()).wait()?)
}

fn actor(scene: &Scene) -> Outcome {
    scene.rounds(|count| {
        let made = scene.inside(move |ex| {
            let mut made = Vec::with_capacity(count);
            counted(|| made.extend((0..count as u64).map(|i| ex.actor(move || i))));
            made
        })?;
        Ok(made.iter().try_for_each(|actor| actor.ask(|_| ()).wait())?)
    })
}

/// The submitter's side of a wake: one task at a time, given to workers that all sleep.
fn wake(scene: &Scene) -> Outcome {
    let mut sleeps = scene.ex.workers() as u64;
    for i in 0..scene.tasks as u64 {
        while scene.parked() < sleeps {
            std::thread::yield_now();
        }
        sleeps = scene.parked() + 1;
        counted(|| scene.ex.submit(move || i)).wait()?;
    }
    Ok(())
}

fn run_own(scene: &Scene) -> Outcome {
    let count = scene.tasks;
    wait(&scene.inside(move |ex| uncounted(|| submit(ex, count)))?)
}

fn run_inbox(scene: &Scene) -> Outcome {
    let held = scene.hold()?;
    let futures = submit(&scene.ex, scene.tasks);
    drop(held);
    wait(&futures)
}

/// One worker is kept within the task that has submitted; another one, held until then, takes everything.
fn run_stolen(scene: &Scene) -> Outcome {
    let (ex, count) = (scene.ex.clone(), scene.tasks);
    let (give, futures) = channel();
    let (release, is_released) = channel::<()>();
    let keeps = scene.ex.submit(move || {
        uncounted(|| {
            let given = give.send(submit(&ex, count)).is_ok();
            given && is_released.recv().is_ok()
        })
    });
    let thief = scene.hold()?;
    let futures = futures.recv()?;
    drop(thief);
    wait(&futures)?;
    drop(release);
    Ok(keeps.wait()?)
}

fn propagate(scene: &Scene) -> Outcome {
    let (promise, first) = scene.ex.promise();
    let last = chain(&scene.ex, first, scene.tasks);
    release_chain(promise, &last, scene.tasks)
}

struct Path {
    name: &'static str,
    /// Whether everything is counted but what is marked by `uncounted`, or nothing but what is marked by `counted`.
    all: bool,
    /// Workers that are not held; none of them when 0.
    free: usize,
    run: fn(&Scene) -> Outcome,
}

const fn marked(name: &'static str, run: fn(&Scene) -> Outcome) -> Path {
    Path { name, all: false, free: 1, run }
}

const fn all_but(name: &'static str, free: usize, run: fn(&Scene) -> Outcome) -> Path {
    Path { name, all: true, free, run }
}

const PATHS: &[Path] = &[
    marked("submit-inside", submit_inside),
    marked("submit-outside", submit_outside),
    marked("map-inside", map_inside),
    marked("map-outside", map_outside),
    marked("collect-inside", collect_inside),
    marked("collect-outside", collect_outside),
    marked("gather", gather),
    marked("claim", claim),
    marked("build-inside", build_inside),
    marked("build-outside", build_outside),
    marked("cancel", cancel),
    marked("release", release),
    marked("scatter", scatter),
    marked("ask", ask),
    marked("call", call),
    marked("tell", tell),
    marked("actor", actor),
    all_but("run-told", 1, told),
    Path { name: "wake", all: false, free: usize::MAX, run: wake },
    all_but("run-own", 1, run_own),
    all_but("run-inbox", 1, run_inbox),
    all_but("run-stolen", 2, run_stolen),
    all_but("propagate", 1, propagate),
    all_but("wake-worker", usize::MAX, wake),
];

fn main() -> Outcome {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [path, tasks, round, workers] = &arguments[..] else {
        return Err("usage: paths PATH TASKS ROUND WORKERS".into());
    };
    let path = PATHS.iter().find(|known| known.name == path).ok_or_else(|| format!("no such path: {path}"))?;
    let mut scene = Scene::new(tasks.parse()?, round.parse()?, workers.parse()?)?;
    let mut run = || {
        scene.leave_free(path.free)?;
        (path.run)(&scene)
    };
    if path.all { uncounted(run) } else { run() }
}
