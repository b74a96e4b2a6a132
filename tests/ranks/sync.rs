//! What has a name in a world is the same for all its ranks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use heist::{Executor, Status, TaskError, TaskFuture, World, WorldLock, WorldQueue};

use crate::world;

/// Longer than anything here takes, unless it hangs.
const SOON: Duration = Duration::from_secs(60);
/// A time that has passed when a wait for it ends, and that a test can afford.
const SHORT: Duration = Duration::from_millis(20);
/// A time that does not pass.
const LONG: Duration = Duration::from_secs(1_000);

#[track_caller]
fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < deadline, "not so after {SOON:?}: {what}");
        std::thread::yield_now();
    }
}

fn worlds(ranks: &[Executor]) -> Vec<World> {
    ranks.iter().map(Executor::world).collect()
}

/// The names that a test uses: some rank or other keeps each.
fn names() -> impl Iterator<Item = String> {
    (0..4).map(|number| format!("name {number}"))
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A future polled by hand.
struct ByHand<T> {
    future: std::pin::Pin<Box<dyn Future<Output = T>>>,
    woken: Arc<Woken>,
}

impl<T> ByHand<T> {
    #[track_caller]
    fn new(future: impl Future<Output = T> + 'static) -> Self {
        Self::begun(future).ok().expect("it is not there yet")
    }

    /// Has begun, and may have its answer at once: on the rank that keeps the name.
    fn begun(future: impl Future<Output = T> + 'static) -> Result<Self, T> {
        let mut this = Self { future: Box::pin(future), woken: Arc::default() };
        this.poll().map_or(Ok(this), Err)
    }

    fn poll(&mut self) -> Option<T> {
        let waker = Waker::from(self.woken.clone());
        match self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    #[track_caller]
    fn woken(&self) {
        until("it is woken", || self.woken.0.load(Ordering::SeqCst) > 0);
    }

    #[track_caller]
    fn ready(&mut self) -> T {
        self.woken();
        self.poll().expect("it is there")
    }
}

#[track_caller]
fn started<T: Send + 'static>(ex: &Executor, call: impl FnOnce() -> T + Send + 'static) -> TaskFuture<T> {
    let task = ex.submit(call);
    until("it runs", || task.status() == Status::Running);
    task
}

#[test]
fn what_one_rank_puts_another_gets_in_order() {
    let ranks = world::of(3);
    for name in names() {
        let queue = |rank: usize| ranks[rank].world().queue::<(u32, String)>(&name, Some(4)).unwrap();
        let (from, to) = (queue(0), queue(1));
        let producer = ranks[0].submit(move || (0..50).try_for_each(|n| from.put((n, n.to_string()))).is_ok());
        for n in 0..50 {
            assert_eq!(to.get_timeout(SOON).unwrap(), (n, n.to_string()));
        }
        assert!(producer.result_timeout(SOON).unwrap());
        assert_eq!((to.len().unwrap(), to.try_get().unwrap(), queue(2).is_empty().unwrap()), (0, None, true));
    }
}

#[test]
fn a_full_queue_makes_who_puts_wait_and_an_empty_one_who_gets() {
    let ranks = world::of(2);
    for name in names() {
        let queue = ranks[0].world().queue::<u32>(&name, Some(1)).unwrap();
        let other = ranks[1].world().queue::<u32>(&name, Some(1)).unwrap();
        assert!(other.get_timeout(SHORT).unwrap_err().is_timeout());
        queue.put(1).unwrap();
        let full = other.try_put(2).unwrap_err();
        assert!(full.error().is_timeout() && full.into_value() == 2);
        assert!(other.put_timeout(2, SHORT).unwrap_err().error().is_timeout());
        assert!(other.get_batch_timeout(2, SHORT).unwrap_err().is_timeout());
        let putting = started(&ranks[1], move || other.put_timeout(2, LONG).is_ok());
        assert_eq!(queue.get_batch(2).unwrap(), [1, 2]);
        assert!(putting.result_timeout(SOON).unwrap());
        assert_eq!(queue.get_all().unwrap(), []);
    }
}

#[test]
fn a_closed_queue_gives_out_what_it_has_and_gives_up_its_name() {
    let ranks = world::of(2);
    for name in names() {
        let open = |rank: usize| ranks[rank].world().queue::<u32>(&name, None).unwrap();
        let (queue, other) = (open(0), open(1));
        queue.put(1).unwrap();
        assert!(other.close().unwrap() && !queue.close().unwrap());
        assert!(queue.is_closed().unwrap() && queue.put(2).unwrap_err().error().is_closed());
        assert_eq!(queue.get().unwrap(), 1);
        assert!(other.get().unwrap_err().is_closed() && other.try_get().unwrap_err().is_closed());
        let next = open(1);
        next.put(3).unwrap();
        assert!(queue.is_empty().unwrap() && open(0).get().unwrap() == 3);
        let getting = ByHand::new(next.get_async());
        until("it is in line", || open(0).is_closed().is_ok());
        next.close().unwrap();
        let mut getting = getting;
        assert!(getting.ready().unwrap_err().is_closed());
    }
}

#[test]
fn a_variable_has_one_value_for_all_ranks() {
    let ranks = world::of(3);
    for name in names() {
        let open = |rank: usize| ranks[rank].world().variable::<Vec<u32>>(&name).unwrap();
        let (first, second) = (open(0), open(1));
        assert!(!first.is_set().unwrap() && first.try_get().unwrap().is_none());
        assert!(second.get_timeout(SHORT).unwrap_err().is_timeout());
        let mut waiting = ByHand::new(first.get_async());
        let blocked = started(&ranks[2], {
            let third = open(2);
            move || third.get()
        });
        second.set(&vec![1, 2]).unwrap();
        assert_eq!(waiting.ready().unwrap(), [1, 2]);
        assert_eq!(blocked.result_timeout(SOON).unwrap().unwrap(), [1, 2]);
        first.set(&vec![3]).unwrap();
        assert_eq!(second.get().unwrap(), [3]);
        second.delete().unwrap();
        first.delete().unwrap();
        assert!(!first.is_set().unwrap());
    }
}

#[test]
fn an_event_lets_all_ranks_go_on() {
    let ranks = world::of(3);
    for name in names() {
        let events: Vec<_> = worlds(&ranks).iter().map(|world| world.event(&name).unwrap()).collect();
        assert!(!events[0].is_set().unwrap() && !events[1].wait_timeout(SHORT).unwrap());
        let waiting: Vec<_> = events.iter().map(|event| ByHand::new(event.wait_async())).collect();
        events[2].set().unwrap();
        for mut waiting in waiting {
            waiting.ready().unwrap();
        }
        assert!(events[0].wait_timeout(Duration::ZERO).unwrap());
        events[0].clear().unwrap();
        assert!(!events[1].wait_timeout(Duration::ZERO).unwrap());
    }
}

#[test]
fn a_barrier_holds_tasks_of_all_ranks_until_the_last() {
    let ranks = world::of(3);
    for name in names() {
        let open = |rank: usize| ranks[rank].world().barrier(&name, 6).unwrap();
        assert!(open(1).wait_timeout(SHORT).unwrap_err().is_timeout());
        let left = ByHand::new(open(2).wait_async());
        until("he has come", || open(0).waiting().unwrap() == 1);
        drop(left);
        until("he has left", || open(0).waiting().unwrap() == 0);
        for _ in 0..3 {
            let tasks: Vec<_> = (0..6)
                .map(|index| {
                    let barrier = open(index % 3);
                    ranks[index % 3].submit(move || barrier.wait())
                })
                .collect();
            let last = tasks.iter().filter(|task| task.result_timeout(SOON).unwrap().unwrap());
            assert_eq!(last.count(), 1);
        }
    }
}

#[test]
fn a_lock_has_one_holder_in_the_world() {
    let ranks = world::of(4);
    for name in names() {
        let (inside, before) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)));
        let tasks: Vec<_> = (0..20)
            .map(|index| {
                let ex = &ranks[index % 4];
                let (lock, inside, before) = (ex.world().lock(&name).unwrap(), inside.clone(), before.clone());
                ex.submit(move || {
                    let guard = lock.lock().unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    assert!(before.swap(guard.token(), Ordering::SeqCst) < guard.token());
                    inside.fetch_sub(1, Ordering::SeqCst);
                })
            })
            .collect();
        tasks.iter().for_each(|task| task.result_timeout(SOON).unwrap());
        let last = before.load(Ordering::SeqCst);
        // Nobody has the name now: tokens go on.
        assert!(ranks[1].world().lock(&name).unwrap().lock_timeout(SOON).unwrap().token() > last);
    }
}

#[test]
fn a_lock_is_given_in_the_order_in_which_ranks_came() {
    let ranks = world::of(3);
    for name in names() {
        let locks: Vec<_> = worlds(&ranks).iter().map(|world| world.lock(&name).unwrap()).collect();
        let count = worlds(&ranks)[0].queue::<usize>("order", None).unwrap();
        let guard = locks[0].lock().unwrap();
        assert!(locks[1].is_locked().unwrap() && locks[2].try_lock().unwrap().is_none());
        assert!(locks[1].lock_timeout(SHORT).unwrap_err().is_timeout());
        let waiting: Vec<_> = [2, 0, 1, 1, 2, 0]
            .into_iter()
            .enumerate()
            .map(|(place, rank)| {
                let task = {
                    let (lock, order) = (locks[rank].clone(), ranks[rank].world().queue("order", None).unwrap());
                    ByHand::new(async move {
                        let guard = lock.lock_async().await?;
                        order.put_async(place).await?;
                        drop(guard);
                        Ok::<_, TaskError>(())
                    })
                };
                // A call of the same rank comes behind the wish.
                assert!(locks[rank].is_locked().unwrap());
                task
            })
            .collect();
        guard.unlock();
        for (place, mut waiting) in waiting.into_iter().enumerate() {
            until("it is his turn", || waiting.woken.0.load(Ordering::SeqCst) > 0);
            while waiting.poll().is_none() {
                std::thread::yield_now();
            }
            assert_eq!(count.get_timeout(SOON).unwrap(), place);
        }
    }
}

#[test]
fn a_semaphore_gives_out_so_many_permits_in_the_world() {
    let ranks = world::of(3);
    for name in names() {
        let open = |rank: usize| ranks[rank].world().semaphore(&name, 3).unwrap();
        let (first, second) = (open(0), open(1));
        assert!(first.acquire_many(4).unwrap_err().is_impossible() && second.acquire_many(0).is_err());
        let two = first.acquire_many(2).unwrap();
        assert_eq!((second.available().unwrap(), second.value().unwrap(), two.count()), (1, 2, 2));
        assert!(second.try_acquire_many(2).unwrap().is_none());
        assert!(second.acquire_many_timeout(2, SHORT).unwrap_err().is_timeout());
        let mut many = ByHand::new(second.acquire_many_async(3));
        until("it is in line", || open(2).try_acquire().unwrap().is_none());
        two.release();
        let three = many.ready().unwrap();
        assert!(three.token() > 0 && first.try_acquire().unwrap().is_none());
        assert_eq!(first.close().unwrap(), 3);
        assert!(second.is_closed().unwrap() && second.acquire().unwrap_err().is_closed());
        drop(three);
        assert_eq!(first.close().unwrap(), 0);
        let new = ranks[2].world().semaphore(&name, 5).unwrap();
        assert!(!new.is_closed().unwrap() && new.available().unwrap() == 5);
    }
}

#[test]
fn a_name_is_of_one_type_and_size_while_it_is_used() {
    let ranks = world::of(2);
    let (here, there) = (ranks[0].world(), ranks[1].world());
    for name in names() {
        let queue = here.queue::<u32>(&name, Some(2)).unwrap();
        let error = there.queue::<u64>(&name, Some(2)).unwrap_err();
        assert!(error.is_name_taken() && error.to_string().contains("of type u32"), "{error}");
        let error = there.queue::<u32>(&name, None).unwrap_err();
        assert!(error.is_name_taken() && error.to_string().contains("with the bound 2"), "{error}");
        let _other_kinds = (there.variable::<u64>(&name).unwrap(), there.lock(&name).unwrap());
        assert!(here.variable::<u32>(&name).unwrap_err().is_name_taken());
        let _four = there.semaphore(&name, 4).unwrap();
        assert!(here.semaphore(&name, 5).unwrap_err().is_name_taken());
        let _three = there.barrier(&name, 3).unwrap();
        assert!(here.barrier(&name, 2).unwrap_err().is_name_taken());

        let also = there.queue::<u32>(&name, Some(2)).unwrap();
        queue.put(1).unwrap();
        drop(queue);
        assert_eq!(also.len().unwrap(), 1);
        drop(also);
        // The last handle lets go of the item, type and bound, once its rank has said so.
        until("the name is free", || here.queue::<String>(&name, None).is_ok());
        assert!(here.queue::<String>(&name, None).unwrap().is_empty().unwrap());
    }
}

#[test]
fn a_wait_that_is_dropped_leaves_no_trace() {
    let ranks = world::of(3);
    for name in names() {
        let queues: Vec<_> = worlds(&ranks).iter().map(|world| world.queue::<u32>(&name, Some(1)).unwrap()).collect();
        for queue in &queues {
            drop(ByHand::new(queue.get_async()));
            drop(ByHand::new(queue.get_batch_async(2)));
            queue.put(7).unwrap();
            // Some are dropped before the answer is sent, some before it is read.
            let got = ByHand::begun(queue.get_async());
            match got {
                Ok(got) => got.woken(),
                Err(got) => queue.put(got.unwrap()).unwrap(),
            }
            if let Err(got) = ByHand::begun(queue.get_async()) {
                queue.put(got.unwrap()).unwrap();
            }
            assert_eq!(queue.get_timeout(SOON).unwrap(), 7);
            queue.put(8).unwrap();
            let putting = ByHand::new(queue.put_async(9));
            assert_eq!(queue.len().unwrap(), 1);
            drop(putting);
            assert_eq!((queue.get().unwrap(), queue.try_get().unwrap()), (8, None));
        }
        let locks: Vec<_> = worlds(&ranks).iter().map(|world| world.lock(&name).unwrap()).collect();
        for lock in &locks {
            let guard = lock.lock().unwrap();
            drop(ByHand::new(locks[0].lock_async()));
            let waiting = ByHand::new(locks[1].lock_async());
            assert!(locks[1].is_locked().unwrap());
            drop(guard);
            waiting.woken();
            drop(waiting);
            drop(ByHand::begun(lock.lock_async()));
            lock.lock_timeout(SOON).unwrap().unlock();
        }
    }
}

#[test]
fn a_wait_ends_with_the_task_that_waits() {
    let ranks = world::of(2);
    for name in names() {
        let queue = ranks[0].world().queue::<u32>(&name, None).unwrap();
        let (waiting, told) = std::sync::mpsc::channel();
        let getting = started(&ranks[0], {
            let queue = queue.clone();
            move || waiting.send(queue.get()).unwrap()
        });
        getting.cancel("enough");
        assert!(told.recv_timeout(SOON).unwrap().unwrap_err().is_cancelled());
        queue.put(1).unwrap();
        assert_eq!(queue.get_timeout(SOON).unwrap(), 1);
    }
}

#[test]
fn a_task_that_waits_lends_its_core() {
    let ranks = world::of(2);
    let queue = ranks[1].world().queue::<u32>("more waits than workers", None).unwrap();
    let waits = ranks[0].world().queue::<u32>("more waits than workers", None).unwrap();
    let tasks = ranks[0].map(0..6, move |_| waits.get());
    assert!(ranks[0].submit(|| true).result_timeout(SOON).unwrap());
    (0..6).try_for_each(|n| queue.put(n)).unwrap();
    let mut got: Vec<_> = tasks.iter().map(|task| task.result_timeout(SOON).unwrap().unwrap()).collect();
    got.sort_unstable();
    assert_eq!(got, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn handles_travel_as_values() {
    let ranks = world::of(3);
    for name in names() {
        type Job = (WorldLock, WorldQueue<u32>);
        let jobs = ranks[0].world().queue::<Job>("jobs", None).unwrap();
        let (lock, done) = (ranks[0].world().lock(&name).unwrap(), ranks[0].world().queue(&name, Some(3)).unwrap());
        let guard = lock.lock().unwrap();
        jobs.put((lock.clone(), done.clone())).unwrap();
        let (their_lock, their_queue) = ranks[2].world().queue::<Job>("jobs", None).unwrap().get().unwrap();
        assert!(their_lock.try_lock().unwrap().is_none() && their_queue.bound() == Some(3));
        guard.unlock();
        let guard = their_lock.lock().unwrap();
        their_queue.put(5).unwrap();
        drop((lock, their_lock));
        assert!(ranks[1].world().lock(&name).unwrap().try_lock().unwrap().is_none());
        drop(guard);
        assert_eq!(done.get().unwrap(), 5);
    }
}

/// Says when it is dropped; travels as a number, and says so of the copies, too.
#[derive(Clone)]
struct Told(Arc<AtomicUsize>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl serde::Serialize for Told {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_unit()
    }
}

impl<'de> serde::Deserialize<'de> for Told {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        <()>::deserialize(from).map(|()| Self(Arc::default()))
    }
}

#[test]
fn futures_are_wanted_while_they_are_kept_under_a_name() {
    let ranks = world::of(3);
    for name in names() {
        let drops = Arc::new(AtomicUsize::new(0));
        let (made, dropped) = (drops.clone(), || drops.load(Ordering::SeqCst));
        let future = || {
            let told = Told(made.clone());
            ranks[0].submit(move || told)
        };
        let variable = |rank: usize| ranks[rank].world().variable::<TaskFuture<Told>>(&name).unwrap();
        let (set, get) = (variable(0), variable(2));
        set.set(&future()).unwrap();
        let first = get.get().unwrap();
        assert!(first.wait_timeout(SOON).is_ok());
        set.set(&future()).unwrap();
        get.get().unwrap().wait_timeout(SOON).unwrap();
        assert!(dropped() <= 1, "the second is kept");
        drop(first);
        until("the first is let go of", || dropped() == 1);
        drop(set);
        assert!(get.is_set().unwrap() && dropped() == 1);
        drop(get);
        until("the second goes with its variable", || dropped() == 2);

        let queue = |rank: usize| ranks[rank].world().queue::<TaskFuture<u64>>(&name, None).unwrap();
        let (put, get) = (queue(1), queue(2));
        let (promise, late) = ranks[1].promise::<u64>();
        put.put_future(late).unwrap();
        put.put(ranks[1].submit_result(|| "x".parse::<u64>())).unwrap();
        let got = get.get_timeout(SOON).unwrap();
        assert!(!got.done());
        promise.fulfil(7);
        assert_eq!(got.result_timeout(SOON).unwrap(), 7);
        assert!(get.get_timeout(SOON).unwrap().result_timeout(SOON).unwrap_err().is_failed());
        let (_never, cancelled) = ranks[1].promise::<u64>();
        cancelled.cancel("superseded");
        assert!(put.put_future(cancelled).unwrap_err().error().is_cancelled());
    }
}

#[test]
fn published_futures_are_found_by_all_ranks() {
    let ranks = world::of(3);
    let worlds = worlds(&ranks);
    for (rank, name) in names().enumerate() {
        let (from, to) = (&worlds[rank % 3], &worlds[(rank + 1) % 3]);
        from.publish(&name, ranks[rank % 3].submit(|| vec![1, 2, 3])).unwrap();
        let error = to.publish(&name, ranks[(rank + 1) % 3].submit(|| vec![0])).unwrap_err();
        assert!(error.is_name_taken() && error.to_string().contains("published before"));
        let table = to.published::<Vec<i32>>(&name).unwrap().unwrap();
        assert_eq!(table.result_timeout(SOON).unwrap(), [1, 2, 3]);
        assert!(to.published::<Vec<u8>>(&name).unwrap_err().is_name_taken());
        assert!(to.republish(&name, ranks[(rank + 1) % 3].submit(|| "else".to_owned())).unwrap());
        let other = from.published::<String>(&name).unwrap().unwrap();
        assert_eq!(other.result_timeout(SOON).unwrap(), "else");
    }
    assert_eq!(worlds[0].datasets().unwrap(), names().collect::<Vec<_>>());
    for name in names() {
        assert!(worlds[2].unpublish(&name).unwrap() && !worlds[1].unpublish(&name).unwrap());
        assert!(worlds[0].published::<String>(&name).unwrap().is_none());
    }
    assert!(worlds[1].datasets().unwrap().is_empty());
}

#[test]
fn the_end_of_the_own_world_ends_waits() {
    for name in names() {
        let mut ranks = world::of(2);
        let queue = ranks[0].world().queue::<u32>(&name, None).unwrap();
        let (waits, after) = (queue.clone(), ranks[0].world());
        let waiting = std::thread::spawn(move || waits.get());
        drop(ranks.remove(0));
        assert!(waiting.join().unwrap().unwrap_err().is_world_ended());
        assert!(queue.put(1).unwrap_err().error().is_world_ended());
        assert!(after.lock("late").unwrap_err().is_closed());
    }
}

#[test]
fn each_alone_has_a_world_too() {
    let ex = Executor::builder().workers(1).build().unwrap();
    let world = ex.world();
    let (queue, lock) = (world.queue::<u32>("a", Some(1)).unwrap(), world.lock("a").unwrap());
    queue.put(1).unwrap();
    assert!(queue.try_put(2).is_err() && queue.get().unwrap() == 1);
    let guard = lock.lock().unwrap();
    assert!(lock.try_lock().unwrap().is_none());
    drop(guard);
    assert!(world.datasets().unwrap().is_empty());
}
