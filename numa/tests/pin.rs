//! Affinity on the real kernel. Masks belong to threads, so each test has one of its own; the file is
//! a binary of its own because threads started meanwhile inherit a narrow mask.

use std::thread;

use heist_numa::{CpuSet, Per, Pinned, Plan, Seat, Topology, Wishes, affinity, pin, set_affinity};

fn on_own_thread(test: impl FnOnce() + Send) {
    thread::scope(|s| {
        s.spawn(test);
    });
}

#[test]
fn pinned_and_restored() {
    on_own_thread(|| {
        let saved = affinity().unwrap();
        for pu in saved.iter() {
            pin(pu).unwrap();
            assert_eq!(affinity().unwrap(), CpuSet::from_iter([pu]));
            let child = thread::spawn(affinity).join().unwrap();
            assert_eq!(child.unwrap(), CpuSet::from_iter([pu]));
        }
        set_affinity(&saved).unwrap();
        assert_eq!(affinity().unwrap(), saved);
    });
}

#[test]
fn an_absent_pu_is_an_error_and_never_an_abort() {
    on_own_thread(|| {
        let saved = affinity().unwrap();
        let host = Topology::of_host(&saved).unwrap();
        let online = host.online();
        let absent_below_1024 = (0..1_024).rev().find(|&pu| !online.contains(pu));
        let absent_above = [1_024, 2_000, 65_536, 524_287, 524_288, usize::MAX];
        for pu in absent_above.into_iter().chain(absent_below_1024) {
            if online.contains(pu) {
                continue;
            }
            let error = pin(pu).unwrap_err();
            assert!(error.is_unavailable(), "{error}");
            assert!(error.to_string().contains(&format!("PU {pu}")), "{error}");
            assert_eq!(affinity().unwrap(), saved);
        }
    });
}

#[test]
fn a_mask_without_usable_pus_is_an_error() {
    on_own_thread(|| {
        let saved = affinity().unwrap();
        for pus in [&[][..], &[524_287], &[usize::MAX]] {
            let mask: CpuSet = pus.iter().copied().collect();
            let error = set_affinity(&mask).unwrap_err();
            assert!(error.is_unavailable(), "{error}");
            assert_eq!(affinity().unwrap(), saved);
        }
    });
}

#[test]
fn absent_pus_of_a_mask_are_left_out() {
    on_own_thread(|| {
        let saved = affinity().unwrap();
        let wider = saved.union(&CpuSet::from_iter([524_287]));
        set_affinity(&wider).unwrap();
        assert_eq!(affinity().unwrap(), saved);
    });
}

#[test]
fn a_guard_puts_back_the_mask_it_found() {
    on_own_thread(|| {
        let saved = affinity().unwrap();
        let (first, last) = (saved.first().unwrap(), saved.iter().next_back().unwrap());
        let outer = Pinned::to(first).unwrap();
        let inner = Pinned::to(last).unwrap();
        assert_eq!(affinity().unwrap(), CpuSet::from_iter([last]));
        drop(inner);
        assert_eq!(affinity().unwrap(), CpuSet::from_iter([first]));
        assert!(Pinned::to(524_287).unwrap_err().is_unavailable());
        assert_eq!(affinity().unwrap(), CpuSet::from_iter([first]));
        outer.unpin().unwrap();
        assert_eq!(affinity().unwrap(), saved);
    });
}

#[test]
fn a_plan_for_this_host_can_be_pinned() {
    on_own_thread(|| {
        let saved = affinity().unwrap();
        let host = Topology::of_host(&saved).unwrap();
        let plan = Plan::new(&host, &saved, &Wishes::default().per(Per::Pu)).unwrap();
        assert!(!plan.seats().is_empty() && plan.seats().len() <= saved.len());
        for pu in plan.seats().iter().filter_map(Seat::pu) {
            let pinned = Pinned::to(pu).unwrap();
            assert!(pinned.before().contains(pu));
            assert_eq!(affinity().unwrap(), CpuSet::from_iter([pu]));
        }
        assert_eq!(affinity().unwrap(), saved);
    });
}
