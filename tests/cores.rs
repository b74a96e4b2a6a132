//! Workers are pinned, each to a core of its own that no other executor of the process uses. A binary of its own, whose
//! tests take turns: the ledger of cores belongs to the process.

mod again;

use std::path::Path;
use std::sync::{Arc, Barrier, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use again::{again, part};
use heist::numa::Order;
use heist::{Executor, PinPolicy};
use heist_numa::{CpuSet, Topology};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

static TURN: Mutex<()> = Mutex::new(());

/// Runs `body` alone, on a thread whose mask may be changed; fails instead of hanging.
#[track_caller]
fn alone(body: impl FnOnce() + Send + 'static) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (ending, ended) = mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        let _ending = ending;
        body();
    });
    assert_ne!(ended.recv_timeout(Duration::from_secs(60)), Err(mpsc::RecvTimeoutError::Timeout), "hangs");
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// The cores of which a PU is in the mask, each by those PUs.
fn cores() -> Vec<CpuSet> {
    let mask = mask();
    let host = Topology::of_host(&mask).unwrap();
    let cores = host.cores().iter().map(|core| core.pus().intersection(&mask));
    cores.filter(|pus| !pus.is_empty()).collect()
}

fn mask() -> CpuSet {
    heist_numa::affinity().unwrap()
}

/// The mask of each worker's thread, by worker.
fn masks(ex: &Executor) -> Vec<Vec<usize>> {
    let barrier = Arc::new(Barrier::new(ex.workers()));
    let masks = ex.map(0..ex.workers(), move |_| {
        barrier.wait();
        (heist::current().unwrap().worker(), mask().iter().collect::<Vec<_>>())
    });
    let mut masks = ex.gather(masks).unwrap();
    masks.sort();
    masks.into_iter().map(|(_, mask)| mask).collect()
}

fn is_pinned(ex: &Executor) -> bool {
    let all: Vec<usize> = mask().iter().collect();
    let masks = masks(ex);
    let cpus = ex.stats().per_worker.iter().map(|worker| worker.cpu).collect::<Vec<_>>();
    if cpus.iter().all(Option::is_none) {
        assert!(masks.iter().all(|mask| *mask == all), "unpinned workers have the whole mask: {masks:?}");
        return false;
    }
    for (mask, cpu) in masks.iter().zip(&cpus) {
        assert_eq!(*mask, [cpu.unwrap()], "one processing unit, the one that is told");
        assert!(all.contains(&mask[0]), "within the mask");
    }
    true
}

#[test]
fn by_default_each_core_has_a_worker_pinned_to_it() {
    alone(|| {
        let ex = Executor::new().unwrap();
        let quota = heist_numa::cpu_quota(Path::new("/")).ok().flatten().map_or(usize::MAX, Into::into);
        assert_eq!(ex.workers(), cores().len().min(quota).max(1));
        assert!(is_pinned(&ex) && ex.warnings().is_empty(), "{:?}", ex.warnings());
        let mut pus = masks(&ex).concat();
        pus.dedup();
        assert_eq!(pus.len(), ex.workers(), "each on its own");
    });
}

#[test]
fn spare_threads_are_pinned_to_the_core_they_are_lent() {
    alone(|| {
        let ex = Executor::builder().workers(1).build().unwrap();
        let inner = ex.clone();
        let (here, there) = ex
            .submit(move || {
                let (promise, gate) = inner.promise::<Vec<usize>>();
                inner.submit(move || promise.fulfil(mask().iter().collect())).detach();
                (mask().iter().collect::<Vec<_>>(), gate.result().unwrap())
            })
            .result()
            .unwrap();
        assert_eq!((here.len(), &here), (1, &there));
        assert!(ex.stats().spare_threads >= 1, "another thread it was");
    });
}

#[test]
fn a_second_executor_takes_unused_cores_or_runs_unpinned_with_one_warning() {
    alone(|| {
        let first = Executor::builder().workers(cores().len()).build().unwrap();
        assert!(is_pinned(&first));
        let second = Executor::new().unwrap();
        assert!(!is_pinned(&second));
        assert_eq!(second.warnings().len(), 1, "{:?}", second.warnings());
        assert_eq!(second.workers(), first.workers());
        drop(second);
        drop(first);
        let again = Executor::builder().workers(cores().len()).build().unwrap();
        assert!(is_pinned(&again) && again.warnings().is_empty(), "the cores came back with the end of the first");
    });
}

#[test]
fn executors_side_by_side_have_different_cores() {
    alone(|| {
        let executors: Vec<_> = (0..cores().len()).map(|_| Executor::builder().workers(1).build().unwrap()).collect();
        assert!(executors.iter().all(is_pinned));
        let mut pus: Vec<_> = executors.iter().flat_map(masks).flatten().collect();
        pus.sort_unstable();
        pus.dedup();
        assert_eq!(pus.len(), executors.len());
        if let Some((first, others)) = executors.split_first()
            && !others.is_empty()
        {
            first.close();
            let rest = Executor::new().unwrap();
            assert_eq!(rest.workers(), 1, "by default as many as there are unused cores");
            assert!(is_pinned(&rest));
        }
    });
}

/// Every worker sleeps, one task comes from the core of one of them: another one is woken for it.
#[test]
fn a_task_wakes_no_worker_on_the_core_of_who_submits_it() {
    alone(|| {
        let ex = Executor::builder().workers(cores().len()).build().unwrap();
        let workers = ex.stats().per_worker;
        let sleeps = || ex.stats().per_worker.iter().map(|worker| worker.parked).sum::<u64>();
        let deadline = Instant::now() + Duration::from_secs(30);
        for round in 0..40 {
            let own = round % workers.len();
            heist_numa::pin(workers[own].cpu.unwrap()).unwrap();
            while sleeps() < (workers.len() + round) as u64 {
                assert!(Instant::now() < deadline, "a worker does not go to sleep");
                std::thread::yield_now();
            }
            let ran_on = ex.submit(|| heist::current().unwrap().worker()).result().unwrap();
            assert!(ran_on != own || workers.len() == 1, "round {round}");
        }
    });
}

#[test]
fn more_workers_than_cores_are_not_pinned() {
    alone(|| {
        let ex = Executor::builder().workers(cores().len() + 1).build().unwrap();
        assert!(!is_pinned(&ex));
        assert_eq!(ex.warnings().len(), 1);
        assert!(ex.warnings()[0].contains("not pinned"), "{:?}", ex.warnings());
        drop(ex);
        assert!(is_pinned(&Executor::new().unwrap()), "it had taken none");
    });
}

#[test]
fn pinning_can_be_declined() {
    alone(|| {
        let ex = Executor::builder().pin(PinPolicy::None).build().unwrap();
        assert!(!is_pinned(&ex) && ex.warnings().is_empty());
        assert!(is_pinned(&Executor::new().unwrap()), "it had taken none");
    });
}

#[test]
fn workers_stay_within_a_narrower_mask() {
    alone(|| {
        let last = mask().iter().last().unwrap();
        heist_numa::set_affinity(&std::iter::once(last).collect()).unwrap();
        let ex = Executor::new().unwrap();
        assert_eq!(ex.workers(), 1);
        assert_eq!(masks(&ex), [[last]]);
        assert!(is_pinned(&ex));
        let more = Executor::builder().workers(3).build().unwrap();
        assert_eq!(masks(&more), [[last]; 3], "unpinned ones too");
    });
}

#[test]
fn an_executor_made_in_a_task_is_not_confined_to_the_core_of_that_task() {
    alone(|| {
        let all = cores().len();
        let ex = Executor::builder().workers(1).build().unwrap();
        let workers = ex.submit(|| {
            let inner = Executor::new().unwrap();
            (inner.workers(), masks(&inner).concat(), mask().iter().next().unwrap())
        });
        let (workers, pus, own) = workers.result().unwrap();
        assert_eq!(workers, if all > 1 { all - 1 } else { 1 });
        assert!(all == 1 || !pus.contains(&own), "it has the other cores");
    });
}

#[test]
fn the_thread_that_builds_keeps_its_mask() {
    alone(|| {
        let before = mask();
        let ex = Executor::new().unwrap();
        ex.submit(|| ()).result().unwrap();
        drop(ex);
        assert_eq!(mask(), before);
    });
}

#[test]
fn a_list_of_processing_units_and_cores_left_free_are_kept_to() {
    alone(|| {
        let last = mask().iter().last().unwrap();
        let listed = Executor::builder().order(Order::List([last].into_iter().collect())).build().unwrap();
        assert_eq!(masks(&listed), [[last]]);
        assert!(listed.placement().iter().any(|reason| reason.contains(&last.to_string())), "{:?}", listed.placement());
        drop(listed);
        let all = cores().len();
        let error = Executor::builder().leave_free(all).build().unwrap_err();
        assert!(error.is_host(), "{error}");
        if all > 1 {
            let ex = Executor::builder().leave_free(1).build().unwrap();
            assert!(ex.workers() < all && is_pinned(&ex));
        }
    });
}

#[test]
fn each_processing_unit_may_have_a_worker() {
    alone(|| {
        let ex = Executor::builder().pin(PinPolicy::Pus).workers(mask().len()).build().unwrap();
        assert!(is_pinned(&ex));
        let mut pus = masks(&ex).concat();
        pus.sort_unstable();
        assert_eq!(pus, mask().iter().collect::<Vec<_>>());
    });
}

#[test]
fn a_list_outside_the_mask_is_an_error_that_names_it() {
    alone(|| {
        let error = Executor::builder().order(Order::List("4000".parse().unwrap())).build().unwrap_err();
        assert!(error.is_host() && error.to_string().contains("4000"), "{error}");
    });
}

/// Lets no thread of this process that is made from now on change a mask, as some containers do.
fn refuse_pinning() {
    let rules = [(libc::SYS_sched_setaffinity, Vec::new())].into_iter().collect();
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    let here = std::env::consts::ARCH.try_into().unwrap();
    let filter: BpfProgram =
        SeccompFilter::new(rules, SeccompAction::Allow, refused, here).unwrap().try_into().unwrap();
    apply_filter(&filter).unwrap();
}

#[test]
fn refused_pinning_is_a_warning_that_says_so() {
    if part().is_none() {
        again("refused_pinning_is_a_warning_that_says_so", "where the kernel refuses", &[]);
        return;
    }
    refuse_pinning();
    alone(|| {
        let ex = Executor::new().unwrap();
        assert!(!is_pinned(&ex), "nor is it said to be");
        assert_eq!(ex.workers(), cores().len());
        assert!(ex.warnings().iter().any(|warning| warning.contains("sched_setaffinity")), "{:?}", ex.warnings());
        assert_eq!(ex.gather(ex.map(0..100, |i| i)).unwrap().len(), 100);
        let declined = Executor::builder().pin(PinPolicy::None).build().unwrap();
        assert!(declined.warnings().is_empty());
    });
}
