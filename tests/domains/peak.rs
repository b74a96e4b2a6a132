//! Scattering takes the memory of the chunks and no more.

use heist::{Executor, Partition};

use crate::again::{again, part};

/// The most memory the process has had, in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix("kB").unwrap().trim().parse::<usize>().unwrap() << 10
}

#[test]
fn no_copy_is_made_on_the_way() {
    if part().is_none() {
        again("peak::no_copy_is_made_on_the_way", "alone", &[]);
        return;
    }
    let ex = Executor::new().unwrap();
    let source = vec![1_u32; 32 << 20];
    let bytes = size_of_val(&source[..]);
    let before = peak();
    let blocks = ex.scatter_slice(&source, Partition::blocks(100)).unwrap();
    let copied = peak() - before;
    assert!(copied * 100 <= bytes * 102, "{copied} bytes for {bytes}");
    drop(blocks);
    let cyclic = ex.scatter_slice(&source, Partition::cyclic(7)).unwrap();
    let copied = peak() - before;
    assert!(copied * 100 <= bytes * 102, "{copied} bytes for {bytes}, cyclic");
    let cyclic = cyclic.refill(&source).unwrap();
    let copied = peak() - before;
    assert!(copied * 100 <= bytes * 102, "{copied} bytes for {bytes}, again");
    drop(cyclic);
    let ragged = ex.scatter_slice(&source, Partition::blocks(40)).unwrap();
    let copied = peak() - before;
    assert!(copied * 100 <= bytes * 102, "{copied} bytes for {bytes}, in pages that are not full");
    drop(ragged);
    let is_placed = ex.has_what().len() > 1;
    let given = ex.scatter_slice(source, Partition::per_worker()).unwrap();
    let copied = peak() - before;
    assert!(is_placed || copied * 100 <= bytes * 102, "{copied} bytes for {bytes}, given away");
    assert_eq!(given.len(), 32 << 20);
}

#[test]
fn many_chunks_are_few_mappings() {
    if part().is_none() {
        again("peak::many_chunks_are_few_mappings", "alone", &[]);
        return;
    }
    let mappings = || std::fs::read_to_string("/proc/self/maps").unwrap().lines().count();
    let ex = Executor::new().unwrap();
    let source = vec![1_u8; 160 << 20];
    for chunks in [2000, 60] {
        let before = mappings();
        let parts = ex.scatter_slice(&source, Partition::blocks(chunks)).unwrap();
        let more = mappings().saturating_sub(before);
        // Allocators take some too.
        assert!(more <= 2 * ex.has_what().len() + 8, "{more} mappings for {chunks} chunks");
        drop(parts);
    }
}

#[test]
fn memory_goes_with_its_chunk() {
    if part().is_none() {
        again("peak::memory_goes_with_its_chunk", "alone", &[]);
        return;
    }
    let held = || {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        pages.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
    };
    let ex = Executor::new().unwrap();
    let source = vec![1_u8; 64 << 20];
    let before = held();
    let parts = ex.scatter_slice(&source, Partition::blocks(16)).unwrap();
    assert!(held() - before >= 60 << 20);
    let last = parts.iter().next_back().unwrap().clone();
    drop(parts);
    assert!(held() <= before + (8 << 20), "all but one are given back");
    assert!(last.value().unwrap().iter().all(|&value| value == 1));
}
