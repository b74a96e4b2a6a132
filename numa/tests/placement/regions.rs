//! Regions under every policy, on every domain.

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::process::CommandExt,
    panic::{self, AssertUnwindSafe},
    process::{Command, Stdio},
    thread,
};

use heist_numa::{PageSize, Policy, Region, residency_of};

use crate::host::{HUGE, all_is_huge, domains, is_guest, pinned};

const SIZES: [PageSize; 3] = [PageSize::Base, PageSize::Huge, PageSize::HugeTlb];

fn region(bytes: usize, policy: Policy, pages: PageSize) -> Region<u64> {
    let region = Region::builder().policy(policy).pages(pages).allocate(bytes / 8).unwrap();
    assert!(pages == PageSize::HugeTlb || region.warnings().iter().all(|w| w.contains("huge")), "{region:?}");
    region
}

/// Has every page taken by four threads at once, wherever they run.
fn populate_in_parallel(region: &Region<u64>) {
    let part = region.len().div_ceil(4);
    thread::scope(|s| {
        let parts = [0, 1, 2, 3].map(|at| at * part..((at + 1) * part).min(region.len()));
        let threads = parts.map(|part| s.spawn(|| region.populate(part)));
        threads.into_iter().for_each(|thread| thread.join().unwrap().unwrap());
    });
}

#[test]
fn a_region_is_on_the_domain_it_was_asked_for() {
    for domain in domains() {
        for policy in [Policy::On(domain.id), Policy::Preferred(domain.id)] {
            for pages in SIZES {
                let region = region(2 * HUGE + 4_096, policy.clone(), pages);
                populate_in_parallel(&region);
                let found = region.residency().unwrap();
                assert!(found.is_all_on(domain.id), "{region:?}: {found:?}");
            }
        }
    }
}

#[test]
fn pages_alternate_between_domains() {
    let ids: Vec<u32> = domains().iter().map(|domain| domain.id).collect();
    for count in [1, ids.len().div_ceil(2), ids.len()] {
        for pages in [PageSize::Base, PageSize::Huge] {
            let chosen = &ids[ids.len() - count..];
            let region = region(2 * count * HUGE, Policy::Interleaved(chosen.to_vec()), pages);
            populate_in_parallel(&region);
            let found = region.residency().unwrap();
            let share = found.pages() / count;
            let slack = if pages == PageSize::Huge || all_is_huge() { HUGE / found.page_size() } else { 1 };
            assert_eq!(found.absent(), 0);
            assert!(found.domains().all(|(id, _)| chosen.contains(&id)), "{found:?}");
            assert!(chosen.iter().all(|&id| found.pages_on(id).abs_diff(share) <= slack), "{found:?}");
        }
    }
}

#[test]
fn the_first_thread_to_write_says_where() {
    for domain in domains() {
        for pu in [domain.pus.first(), domain.pus.iter().next_back()].into_iter().flatten() {
            let mut region = region(2 * HUGE, Policy::FirstTouch, PageSize::Base);
            pinned(pu, || region.fill(7));
            let found = region.residency().unwrap();
            assert!(found.is_all_on(domain.id), "PU {pu}: {found:?}");
        }
    }
}

#[test]
fn each_thread_takes_its_own_part() {
    let domains = domains();
    let with_pus: Vec<_> = domains.iter().filter_map(|domain| Some((domain.id, domain.pus.first()?))).collect();
    let part = 2 * HUGE / 8;
    let region = region(with_pus.len() * 2 * HUGE, Policy::FirstTouch, PageSize::Huge);
    thread::scope(|s| {
        for (at, &(_, pu)) in with_pus.iter().enumerate() {
            let region = &region;
            s.spawn(move || pinned(pu, || region.populate(at * part..(at + 1) * part).unwrap()));
        }
    });
    for (at, &(id, _)) in with_pus.iter().enumerate() {
        let found = residency_of(&region[at * part..(at + 1) * part]).unwrap();
        assert!(found.is_all_on(id), "part {at}: {found:?}");
    }
}

#[test]
fn first_touch_holds_under_another_policy_of_the_process() {
    if fs::metadata("/proc/self/numa_maps").is_err() {
        eprintln!("skipped: a kernel without NUMA has no numa_maps");
        return;
    }
    let region = region(HUGE, Policy::FirstTouch, PageSize::Huge);
    let address = format!("{:x} ", region.as_ptr() as usize);
    region.populate(..).unwrap();
    let maps = fs::read_to_string("/proc/self/numa_maps").unwrap();
    let line = maps.lines().find(|line| line.starts_with(&address));
    // The mapping may begin before the region, at no multiple of a huge page.
    assert!(line.map_or(maps.contains(" local "), |line| line.contains(" local ")), "{maps}");
}

#[test]
fn a_region_moves_and_keeps_what_it_holds() {
    let domains = domains();
    for pages in SIZES {
        let mut region = region(2 * HUGE + 4_096, Policy::On(domains[0].id), pages);
        let half = region.len() / 2;
        region[..half].iter_mut().zip(0..).for_each(|(value, at)| *value = at);
        for domain in domains.iter().rev() {
            region.migrate(domain.id).unwrap();
            let found = residency_of(&region[..half]).unwrap();
            assert!(found.is_all_on(domain.id), "{region:?}: {found:?}");
        }
        region[half..].fill(1);
        assert!(region.residency().unwrap().is_all_on(domains[0].id));
        assert!(region[..half].iter().zip(0..).all(|(&value, at)| value == at));
    }
}

/// Does `work` while a child made by fork has all pages of this process too.
#[allow(unsafe_code, reason = "what a child does before it becomes another program")]
fn beside_a_child(work: impl FnOnce()) {
    let (mut told, tell) = io::pipe().unwrap();
    let (wait, mut end) = io::pipe().unwrap();
    let mut command = Command::new("/proc/self/exe");
    command.arg("--list").stdout(Stdio::null());
    // SAFETY: the child writes and reads a byte, by system calls alone.
    unsafe { command.pre_exec(move || (&tell).write_all(&[1]).and_then(|()| (&wait).read_exact(&mut [0]))) };
    thread::scope(|s| {
        let child = s.spawn(move || command.status());
        told.read_exact(&mut [0]).unwrap();
        let done = panic::catch_unwind(AssertUnwindSafe(work));
        end.write_all(&[1]).unwrap();
        assert!(child.join().unwrap().unwrap().success());
        done.unwrap_or_else(|panic| panic::resume_unwind(panic));
    });
}

#[test]
fn what_cannot_be_moved_stays_where_and_as_it_is() {
    let domains = domains();
    let [first, .., last] = &domains[..] else {
        eprintln!("skipped: there is nowhere to move to");
        return;
    };
    let region = region(1 << 16, Policy::Preferred(first.id), PageSize::Base);
    region.populate(..region.len() / 2).unwrap();
    beside_a_child(|| {
        let error = region.migrate(last.id).unwrap_err();
        assert!(error.is_refused() && error.to_string().contains("8 pages"), "{error}");
    });
    region.populate(..).unwrap();
    let found = region.residency().unwrap();
    assert!(found.is_all_on(first.id), "what comes later comes to where the rest is: {found:?}");
    region.migrate(last.id).unwrap();
    assert!(region.residency().unwrap().is_all_on(last.id));
}

#[test]
fn huge_pages_come_when_asked_for() {
    let enabled = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    let region = region(4 * HUGE, Policy::FirstTouch, PageSize::Huge);
    region.populate(..).unwrap();
    if enabled.is_empty() || enabled.contains("[never]") {
        assert!(region.warnings().iter().any(|warning| warning.contains("huge")), "{region:?}");
        return;
    }
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let huge = rollup.lines().find_map(|line| line.strip_prefix("AnonHugePages:")).unwrap();
    let kib: usize = huge.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kib << 10 >= 4 * HUGE, "{kib} KiB of huge pages");
}

/// Sets the pool of reserved pages of a domain of a guest, back to none when dropped.
struct Pool(String);

impl Pool {
    fn of(id: u32, pages: usize) -> Pool {
        let pool = Pool(format!("/sys/devices/system/node/node{id}/hugepages/hugepages-2048kB/nr_hugepages"));
        fs::write(&pool.0, pages.to_string()).unwrap();
        assert_eq!(fs::read_to_string(&pool.0).unwrap().trim(), pages.to_string(), "domain {id}");
        pool
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        fs::write(&self.0, "0").unwrap();
    }
}

#[test]
fn reserved_pages_are_used_and_never_missed_later() {
    if !is_guest() {
        eprintln!("skipped: only in a guest may a test reserve huge pages");
        return;
    }
    let domains = domains();
    let _pools: Vec<Pool> = domains.iter().map(|domain| Pool::of(domain.id, 4)).collect();
    for domain in &domains {
        let mut enough = region(4 * HUGE, Policy::On(domain.id), PageSize::HugeTlb);
        assert!(enough.warnings().is_empty(), "{enough:?}");
        enough.fill(1);
        assert!(enough.residency().unwrap().is_all_on(domain.id));
        drop(enough);

        // More than the domain has, though with two domains not more than the pools have in all.
        let mut short = region(6 * HUGE, Policy::On(domain.id), PageSize::HugeTlb);
        assert!(short.warnings().iter().any(|warning| warning.contains("nr_hugepages")), "{short:?}");
        short.fill(1);
        assert!(short.residency().unwrap().is_all_on(domain.id));
    }
}
