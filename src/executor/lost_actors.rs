//! Tests: what becomes of what was asked of actors of a rank that is lost.

use std::time::{Duration, Instant};

use super::{Executor, Shutdown};
use crate::builder::PinPolicy;
use crate::error::{TaskError, TaskErrorKind};
use crate::primitive::atomic::{AtomicBool, Ordering};
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

fn until(is_so: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    true
}

#[test]
fn calls_after_the_loss_of_an_actors_rank_fail_with_its_name() {
    let ranks = world(2);
    let counter = ranks[0].world().actor_on(Rank(1), |()| 0_u32, ());
    assert_eq!(counter.ask(|n, ()| *n, ()).result_timeout(SOON).unwrap(), 0);
    let ended = counter.ended();
    lose(&ranks[0], 1);
    let told = counter.tell(|n, ()| *n += 1, ()).unwrap_err();
    let asked = counter.ask(|n, ()| *n, ()).result_timeout(SOON).unwrap_err();
    let ended = ended.result_timeout(SOON).unwrap_err();
    for error in [told, asked, ended] {
        assert!(error.is_rank_lost() && error.to_string().contains("rank 1 is lost"), "{error}");
    }
    let late = counter.ended().result_timeout(SOON).unwrap_err();
    assert!(late.is_rank_lost(), "{late}");
}

#[test]
fn what_was_asked_before_the_loss_of_an_actors_rank_fails() {
    static BEGUN: AtomicBool = AtomicBool::new(false);
    static OPEN: AtomicBool = AtomicBool::new(false);
    let ranks = world(2);
    let counter = ranks[0].world().actor_on(Rank(1), |()| 0_u32, ());
    let first = |_: &mut u32, ()| {
        BEGUN.store(true, Ordering::Release);
        until(|| OPEN.load(Ordering::Acquire))
    };
    let asked = counter.ask(first, ());
    until(|| BEGUN.load(Ordering::Acquire));
    lose(&ranks[0], 1);
    assert!(asked.result_timeout(SOON).unwrap_err().is_rank_lost());
    OPEN.store(true, Ordering::Release);
}

#[test]
fn what_a_lost_rank_has_asked_is_cancelled() {
    static BEGUN: AtomicBool = AtomicBool::new(false);
    static OPEN: AtomicBool = AtomicBool::new(false);
    static HAS_RUN: AtomicBool = AtomicBool::new(false);
    let ranks = world(2);
    let counter = ranks[0].world().actor_on(Rank(1), |()| 0_u32, ());
    let first = |_: &mut u32, ()| {
        BEGUN.store(true, Ordering::Release);
        until(|| OPEN.load(Ordering::Acquire))
    };
    let _first = counter.ask(first, ());
    let _second = counter.ask(|_, ()| HAS_RUN.store(true, Ordering::Release), ());
    until(|| ranks[1].actors().iter().any(|actor| actor.waiting == 1));
    until(|| BEGUN.load(Ordering::Acquire));
    lose(&ranks[1], 0);
    OPEN.store(true, Ordering::Release);
    ranks[1].shutdown(Shutdown::Wait);
    assert!(!HAS_RUN.load(Ordering::Acquire));
}
