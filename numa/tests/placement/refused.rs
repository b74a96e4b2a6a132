//! A system call filter that forbids to place memory, as containers have it by default.

use std::thread;

use heist_numa::{Policy, Region, Segment, residency_of};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

use crate::host::domains;

const PLACING: [libc::c_long; 4] =
    [libc::SYS_mbind, libc::SYS_move_pages, libc::SYS_get_mempolicy, libc::SYS_set_mempolicy];

/// Runs `work` in a thread that the kernel answers `errno` when it makes one of `calls`.
pub(crate) fn without<R: Send>(calls: &[libc::c_long], errno: i32, work: impl FnOnce() -> R + Send) -> R {
    let rules = calls.iter().map(|&call| (call, vec![])).collect();
    let refuse = SeccompAction::Errno(errno.try_into().unwrap());
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let filter: BpfProgram = SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch).unwrap().try_into().unwrap();
    thread::scope(|s| {
        let thread = s.spawn(|| {
            apply_filter(&filter).unwrap();
            work()
        });
        thread.join().unwrap()
    })
}

#[test]
fn memory_comes_unplaced_with_a_warning() {
    let domains = domains();
    for errno in [libc::EPERM, libc::ENOSYS] {
        without(&PLACING, errno, || {
            for domain in &domains {
                let mut region = Region::<u64>::builder().policy(Policy::On(domain.id)).allocate(100_000).unwrap();
                region.populate(..).unwrap();
                region.fill(3);
                // With one domain there is nothing that the refusal takes away.
                assert_eq!(region.warnings().len(), usize::from(domains.len() > 1), "{region:?}");
                assert!(region.warnings().iter().all(|warning| warning.contains("refused mbind")), "{region:?}");

                let error = region.residency().unwrap_err();
                assert!(error.is_refused() && error.to_string().contains("move_pages"), "{error}");
                assert!(residency_of(&region[..1]).unwrap_err().is_refused());
                assert!(domains.len() == 1 || region.migrate(domain.id).unwrap_err().is_refused());
            }
            let absent = Region::<u64>::builder().policy(Policy::On(4_001)).allocate(1).unwrap_err();
            assert!(absent.is_unavailable() && absent.to_string().contains("4001"), "{absent}");
            let first_touch = Region::<u64>::builder().allocate(100_000).unwrap();
            assert!(first_touch.warnings().is_empty(), "{first_touch:?}");
        });
    }
}

#[test]
fn an_old_kernel_has_pages_taken_one_by_one() {
    without(&[libc::SYS_madvise], libc::EINVAL, || {
        for domain in domains() {
            let mut region = Region::<u64>::builder().policy(Policy::On(domain.id)).allocate(100_000).unwrap();
            region[70_000] = 7;
            let parts = [0, 1, 2, 3].map(|part| part * 25_000..(part + 1) * 25_000);
            parts.into_iter().for_each(|part| region.populate(part).unwrap());
            assert!(region.residency().unwrap().is_all_on(domain.id));
            assert_eq!(region.iter().sum::<u64>(), 7);

            let mut segment = Segment::create(100_000).unwrap();
            segment.place(&Policy::On(domain.id)).unwrap();
            segment.populate(..).unwrap();
            assert!(segment.residency().unwrap().is_all_on(domain.id));
        }
    });
}

#[test]
fn segments_come_unplaced_too() {
    let domains = domains();
    without(&PLACING, libc::EPERM, || {
        for domain in &domains {
            let mut segment = Segment::create(100_000).unwrap();
            segment.place(&Policy::On(domain.id)).unwrap();
            segment.write(99_999, &[1]).unwrap();
            assert_eq!(segment.warnings().len(), usize::from(domains.len() > 1), "{segment:?}");
            assert!(segment.residency().unwrap_err().is_refused());
            assert!(segment.place(&Policy::On(4_001)).unwrap_err().is_unavailable());
        }
    });
}
