//! Tests: what becomes of waits when a rank is lost.

use std::time::Duration;

use super::Executor;
use crate::builder::PinPolicy;
use crate::error::{TaskError, TaskErrorKind};
use crate::future::{Status, TaskFuture};
use crate::primitive::sync::Arc;
use crate::rank::{Membership, Rank, Shared};

const SOON: Duration = Duration::from_secs(60);

fn world(ranks: usize) -> Vec<Executor> {
    Executor::in_process_world(ranks, |_| Executor::builder().workers(1).pin(PinPolicy::None)).unwrap()
}

fn shared(ex: &Executor) -> Arc<Shared> {
    ex.registry.extensions.get::<Membership>().world(&ex.registry)
}

/// What a rank learns of another's end.
fn lose(ex: &Executor, rank: u32) {
    shared(ex).lose(Rank(rank), &TaskError::new(TaskErrorKind::Failed("killed".into())));
}

/// A task that has begun to wait, as its core is lent.
fn waiting<T: Send + 'static>(ex: &Executor, wait: impl FnOnce() -> T + Send + 'static) -> TaskFuture<T> {
    let task = ex.submit(wait);
    while task.status() != Status::Running {
        std::thread::yield_now();
    }
    ex.submit(|| ()).result_timeout(SOON).unwrap();
    task
}

#[test]
fn a_lost_rank_ends_collective_calls_under_way_and_to_come() {
    let ranks = world(3);
    let all = ranks[0].world().collective();
    let first = waiting(&ranks[0], {
        let all = all.clone();
        move || all.barrier()
    });
    lose(&ranks[0], 2);
    let error = first.result_timeout(SOON).unwrap().unwrap_err();
    assert!(error.is_rank_lost() && error.to_string().contains("rank 2"), "{error}");
    assert!(all.all_gather(&[1]).unwrap_err().is_rank_lost());
}

/// A name that this rank keeps, of queues or of locks.
fn name_at(keeper: u32, open: impl Fn(&str) -> String) -> String {
    let kept = |name: &String| open(name).ends_with(&format!("of rank {keeper})"));
    (0..).map(|number: u32| format!("name {number}")).find(kept).unwrap()
}

#[test]
fn who_waits_learns_that_a_holder_is_lost_and_the_next_gets_what_it_held() {
    for keeper in [0, 1] {
        let ranks = world(3);
        let name = name_at(keeper, |name| format!("{:?}", ranks[0].world().lock(name).unwrap()));
        let lock = |rank: usize| ranks[rank].world().lock(&name).unwrap();
        let held = lock(2).lock().unwrap();
        let token = held.token();
        let wait = {
            let lock = lock(0);
            waiting(&ranks[0], move || lock.lock().map(drop))
        };
        let queue = ranks[1].world().queue::<u32>("any rank keeps it", None).unwrap();
        let got = waiting(&ranks[1], move || queue.get());
        let other = lock(1);
        assert!(other.try_lock().unwrap().is_none(), "the wish before it is in line, too");
        (0..2).for_each(|rank| lose(&ranks[rank], 2));
        let error = wait.result_timeout(SOON).unwrap().unwrap_err();
        assert!(error.is_rank_lost(), "{error}");
        assert!(error.to_string().contains(&format!("held 1 of the lock `{name}` (token {token})")), "{error}");
        assert!(got.result_timeout(SOON).unwrap().unwrap_err().is_rank_lost());
        assert!(other.lock_timeout(SOON).unwrap().token() > token);
        drop(held);
    }
}

#[test]
fn a_wait_after_a_loss_does_not_begin() {
    let ranks = world(2);
    let name = name_at(0, |name| format!("{:?}", ranks[0].world().queue::<u32>(name, None).unwrap()));
    let queue = ranks[0].world().queue::<u32>(&name, None).unwrap();
    lose(&ranks[0], 1);
    assert!(queue.get().unwrap_err().is_rank_lost());
    queue.put(1).unwrap();
    assert_eq!(queue.get().unwrap(), 1);
}
