//! Affinity on the real kernel. Masks belong to threads, so each test has one of its own; the file is
//! a binary of its own because threads started meanwhile inherit a narrow mask.

use std::{path::Path, thread};

use heist_numa::{CpuSet, affinity, online, pin, set_affinity};

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
        let online = online(Path::new("/")).unwrap();
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
