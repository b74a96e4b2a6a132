//! The settings that come from the environment. A binary of its own, whose tests play in processes of their own.

mod again;

use again::{again, part};
use heist::Executor;

/// Plays `body` in a process that has `variables` set.
#[track_caller]
fn with(name: &str, variables: &[(&str, &str)], body: impl FnOnce()) {
    if part().is_some() {
        body();
    } else {
        again(name, "with", variables);
    }
}

#[test]
fn the_number_of_workers_may_come_from_the_environment() {
    with("the_number_of_workers_may_come_from_the_environment", &[("HEIST_WORKERS", "3")], || {
        assert_eq!(Executor::new().unwrap().workers(), 3);
        assert_eq!(Executor::builder().workers(2).build().unwrap().workers(), 2, "a builder that says so decides");
    });
}

#[test]
fn an_empty_setting_is_none() {
    with("an_empty_setting_is_none", &[("HEIST_WORKERS", ""), ("HEIST_SEED", "")], || {
        assert!(Executor::new().unwrap().workers() >= 1);
    });
}

#[test]
fn a_number_of_workers_that_is_none_is_an_error_that_names_it() {
    with("a_number_of_workers_that_is_none_is_an_error_that_names_it", &[("HEIST_WORKERS", "many")], || {
        let error = Executor::new().unwrap_err();
        assert!(error.is_setting());
        assert!(error.to_string().contains("HEIST_WORKERS") && error.to_string().contains("many"), "{error}");
        assert_eq!(Executor::builder().workers(1).build().unwrap().workers(), 1, "not looked at when not needed");
    });
}

#[test]
fn no_workers_at_all_is_an_error() {
    with("no_workers_at_all_is_an_error", &[("HEIST_WORKERS", "0")], || {
        assert!(Executor::new().unwrap_err().is_setting());
    });
}

#[test]
fn a_seed_that_is_none_is_an_error_that_names_it() {
    with("a_seed_that_is_none_is_an_error_that_names_it", &[("HEIST_SEED", "-1")], || {
        let error = Executor::builder().workers(1).build().unwrap_err();
        assert!(error.is_setting() && error.to_string().contains("HEIST_SEED"), "{error}");
        assert!(Executor::builder().workers(1).seed(1).build().is_ok());
    });
}

#[test]
fn a_recorded_host_that_is_not_there_is_an_error_that_names_it() {
    let name = "a_recorded_host_that_is_not_there_is_an_error_that_names_it";
    with(name, &[("HEIST_SYSFS_ROOT", "/nonexistent")], || {
        let error = Executor::new().unwrap_err();
        assert!(error.is_setting());
        assert!(
            error.to_string().contains("HEIST_SYSFS_ROOT") && error.to_string().contains("/nonexistent"),
            "{error}"
        );
    });
}

#[test]
fn on_a_recorded_host_nothing_is_pinned() {
    with("on_a_recorded_host_nothing_is_pinned", &[("HEIST_SYSFS_ROOT", "/")], || {
        let ex = Executor::new().unwrap();
        assert!(ex.stats().per_worker.iter().all(|worker| worker.cpu.is_none()));
        assert!(ex.warnings().is_empty());
    });
}

#[test]
fn a_made_up_host_has_the_workers_and_domains_it_says_and_binds_nothing() {
    let name = "a_made_up_host_has_the_workers_and_domains_it_says_and_binds_nothing";
    with(name, &[("HEIST_TOPOLOGY", "2 domains × 3 cores × 2 threads")], || {
        let ex = Executor::new().unwrap();
        let workers = ex.stats().per_worker;
        assert!(workers.iter().all(|worker| worker.cpu.is_none()));
        assert_eq!(workers.iter().map(|worker| worker.domain).collect::<Vec<_>>(), [0, 0, 0, 1, 1, 1]);
        assert_eq!(ex.gather(ex.map(0..1000, |i| i)).unwrap().len(), 1000);
    });
}

#[test]
fn a_made_up_host_that_makes_no_sense_is_an_error_that_names_it() {
    let name = "a_made_up_host_that_makes_no_sense_is_an_error_that_names_it";
    with(name, &[("HEIST_TOPOLOGY", "2 houses")], || {
        let error = Executor::new().unwrap_err();
        assert!(error.is_setting(), "{error}");
        assert!(error.to_string().contains("HEIST_TOPOLOGY") && error.to_string().contains("2 houses"), "{error}");
    });
}
