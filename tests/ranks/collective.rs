//! Collective calls give what one rank would have computed alone, or all ranks an error.

use std::fmt::Debug;
use std::time::Duration;

use heist::{Collective, Executor, Prod, Rank, Sum, TaskError, TaskFuture};

use crate::spmd::{self, own, values};
use crate::world;

/// Longer than anything here takes, unless it hangs.
const SOON: Duration = Duration::from_secs(60);
/// Calls on every rank, each in a task of its own.
fn start<R: Send + 'static>(
    ranks: &[Executor],
    call: impl Fn(&Collective) -> Result<R, TaskError> + Clone + Send + 'static,
) -> Vec<TaskFuture<R>> {
    let each = ranks.iter().map(|ex| {
        let (all, call) = (ex.world().collective(), call.clone());
        ex.task().submit_result(move || call(&all))
    });
    each.collect()
}

#[track_caller]
fn results<R: Clone + Send + Sync + 'static>(tasks: Vec<TaskFuture<R>>) -> Vec<Result<R, TaskError>> {
    tasks.into_iter().map(|task| task.result_timeout(SOON)).collect()
}

/// What every rank gets.
#[track_caller]
fn together<R: Clone + Send + Sync + 'static>(
    ranks: &[Executor],
    call: impl Fn(&Collective) -> Result<R, TaskError> + Clone + Send + 'static,
) -> Vec<R> {
    results(start(ranks, call)).into_iter().map(Result::unwrap).collect()
}

#[track_caller]
fn all_equal<R: PartialEq + Debug>(got: &[R], wanted: &R) {
    for (rank, got) in got.iter().enumerate() {
        assert_eq!(got, wanted, "on rank {rank}");
    }
}

#[test]
fn any_number_of_ranks_get_what_one_rank_would_have_computed() {
    for count in 1..=8 {
        together(&world::of(count), spmd::check);
    }
}

#[test]
fn parts_may_be_of_different_lengths() {
    for count in 1..=5 {
        let ranks = world::of(count);
        let parts = |count: usize| -> Vec<Vec<u64>> { (0..count).map(|rank| values(rank, 700 * rank)).collect() };
        let mine = |all: &Collective| values(own(all), 700 * own(all));
        let root = Rank(count as u32 - 1);
        let got = together(&ranks, move |all| all.gather_parts(root, &mine(all)));
        assert_eq!(got[count - 1], parts(count));
        assert!(got[..count - 1].iter().all(Vec::is_empty));
        all_equal(&together(&ranks, move |all| all.all_gather_parts(&mine(all))), &parts(count));
        let got = together(&ranks, move |all| {
            let parts = parts(count);
            let slices: Vec<&[u64]> = parts.iter().map(Vec::as_slice).collect();
            Ok((all.scatter_parts(root, &slices)?, all.all_to_all_parts(&slices)?))
        });
        for (rank, (scattered, exchanged)) in got.into_iter().enumerate() {
            assert_eq!(scattered, values(rank, 700 * rank));
            all_equal(&exchanged, &values(rank, 700 * rank));
        }
    }
}

#[test]
fn floats_are_reduced_to_the_same_bits_everywhere() {
    let ranks = world::of(5);
    for length in [3, 4_000] {
        let got = together(&ranks, move |all| {
            let mut slice: Vec<f64> = (1..=length).map(|n| 1.0 / f64::from(n * (1 + all.rank().0))).collect();
            all.all_reduce(&mut slice, Sum)?;
            Ok(slice.into_iter().map(f64::to_bits).collect::<Vec<_>>())
        });
        all_equal(&got, &got[0]);
    }
}

#[test]
fn ranks_that_call_different_things_all_get_an_error_and_can_go_on() {
    type Try = fn(&Collective) -> Result<(), TaskError>;
    let ranks = world::of(5);
    let pairs: [(Try, Try, &str); 9] = [
        (Collective::barrier, |all| all.broadcast(Rank(0), &mut [0_u8]), "barrier"),
        (
            |all| all.broadcast(Rank(0), &mut [0_u8; 3]),
            |all| all.broadcast(Rank(0), &mut [0_u8; 4]),
            "broadcast of 3 u8",
        ),
        (|all| all.broadcast(Rank(0), &mut [0_u8]), |all| all.broadcast(Rank(1), &mut [0_u8]), "with rank 1 as root"),
        (|all| all.broadcast(Rank(0), &mut [0_u32]), |all| all.broadcast(Rank(0), &mut [0_f32]), "broadcast of 1 f32"),
        (|all| all.all_reduce(&mut [1], Sum), |all| all.all_reduce(&mut [1], Prod), "by Prod"),
        (
            |all| all.reduce(Rank(2), &mut [1; 2_000], Sum),
            |all| all.reduce(Rank(2), &mut [1; 1_000], Sum),
            "reduce of 1000 i32",
        ),
        (|all| all.all_gather(&[1]).map(drop), |all| all.all_to_all(&[1; 5]).map(drop), "all_to_all"),
        (
            |all| all.scatter(Rank(3), &[1; 5], &mut [0]),
            |all| all.scatter(Rank(3), &[1; 6], &mut [0]),
            "scatter of 1 i32 with rank 3 as root with 6 values",
        ),
        (
            |all| all.gather(Rank(9), &[0_u8]).map(drop),
            |all| all.gather(Rank(9), &[0_u8]).map(drop),
            "rank 9 was to be the root",
        ),
    ];
    for (most, one, named) in pairs {
        for odd in 0..5 {
            // A scatter's whole is the root's affair.
            let odd = if named.starts_with("scatter") { 3 } else { odd };
            let got = results(start(&ranks, move |all| if own(all) == odd { one(all) } else { most(all) }));
            let errors: Vec<_> = got.into_iter().map(Result::unwrap_err).collect();
            assert!(errors.iter().all(TaskError::is_mismatch), "{errors:?}");
            assert!(errors.iter().any(|error| error.to_string().contains(named)), "{named}: {errors:?}");
            together(&ranks, Collective::barrier);
        }
    }
}

#[test]
fn who_gives_up_ends_the_call_for_all() {
    let ranks = world::of(3);
    for odd in 0..3 {
        let dropped = start(&ranks, move |all| {
            if own(all) == odd {
                drop(all.all_gather_async(&[1]));
                return Ok(Vec::new());
            }
            all.all_gather(&[1])
        });
        for (rank, got) in results(dropped).into_iter().enumerate() {
            assert!(rank == odd || got.unwrap_err().is_mismatch());
        }
        together(&ranks, Collective::barrier);

        let panicked = start(&ranks, move |all| {
            let mut slice = [all.rank().0; 4];
            all.all_reduce(&mut slice, |_: u32, _: u32| -> u32 { panic!("no sum today") })
        });
        let errors: Vec<_> = results(panicked).into_iter().map(Result::unwrap_err).collect();
        assert!(errors.iter().all(|error| error.is_panic() || error.is_mismatch()), "{errors:?}");
        together(&ranks, Collective::barrier);
    }
}

#[test]
fn a_wait_of_a_cancelled_task_ends_and_so_do_those_of_the_others() {
    let ranks = world::of(3);
    let tasks = start(&ranks[..2], Collective::barrier);
    // It has begun when the core is lent: more tasks run than there are workers.
    while tasks[0].status() != heist::Status::Running {
        std::thread::yield_now();
    }
    assert!(tasks[0].cancel("enough"));
    assert!(tasks[1].result_timeout(SOON).unwrap_err().is_mismatch());
    let third = start(&ranks[2..], Collective::barrier);
    assert!(third[0].result_timeout(SOON).unwrap_err().is_mismatch());
    together(&ranks, Collective::barrier);
}

#[test]
fn calls_under_way_at_the_same_time_are_told_apart() {
    let ranks = world::of(4);
    let tasks: Vec<_> = ranks
        .iter()
        .map(|ex| {
            let all = ex.world().collective();
            ex.spawn(async move {
                let (mut sum, mut from_last) = ([all.rank().0], [all.rank().0]);
                let first = all.all_reduce_async(&mut sum, Sum);
                let second = all.broadcast_async(Rank(3), &mut from_last);
                let third = all.barrier_async();
                third.await?;
                second.await?;
                first.await?;
                Ok::<_, TaskError>((sum, from_last))
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.result_timeout(SOON).unwrap().unwrap(), ([6], [3]));
    }
}

#[test]
fn the_end_of_the_own_world_ends_a_wait() {
    let mut ranks = world::of(2);
    let all = ranks[0].world().collective();
    let waiting = std::thread::spawn(move || {
        let first = all.barrier();
        (first, all.barrier())
    });
    drop(ranks.remove(0));
    let (first, next) = waiting.join().unwrap();
    assert!(first.unwrap_err().is_world_ended() && next.unwrap_err().is_world_ended());
}
