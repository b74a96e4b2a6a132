//! Segments between real processes: where their pages are, and what becomes of them when peers misbehave or die.

use std::{
    env,
    fs::{self, OpenOptions},
    os::unix::fs::MetadataExt,
    path::PathBuf,
    process::{self, Command},
    sync::atomic::Ordering,
};

use heist_numa::{Frozen, Policy, Segment, sweep, sweep_in};

use crate::{
    host::{HUGE, domains, pinned},
    peer::{Peer, role, say, wait},
    refused::without,
};

const SHARED_MEMORY: &str = "/dev/shm";

/// A folder of a test's own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = env::temp_dir().join(format!("placement-{}-{name}", process::id()));
        fs::create_dir(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Where the file behind a segment is, for those who go about it by themselves.
fn path_of(address: &str) -> PathBuf {
    let fields: Vec<&str> = address.splitn(6, ':').collect();
    match fields[0] {
        "memfd" => PathBuf::from(format!("/proc/{}/fd/{}", fields[1], fields[5])),
        _ => PathBuf::from(fields[5]),
    }
}

fn pattern(len: usize) -> Vec<u8> {
    let mut bytes = (0..251).collect::<Vec<u8>>().repeat(len.div_ceil(251));
    bytes.truncate(len);
    bytes
}

fn bytes_of(segment: &Segment) -> Vec<u8> {
    let mut found = vec![0; segment.len()];
    segment.read(0, &mut found).unwrap();
    found
}

#[test]
fn a_segment_is_on_the_domain_of_its_owner_for_every_process() {
    const LEN: usize = HUGE / 2 + 4_096;
    if let Some((id, address)) = role() {
        let id = id.parse().unwrap();
        let segment = Segment::attach(&address).unwrap();
        let found = segment.residency().unwrap();
        assert_eq!(found.present(), found.pages_on(id), "{found:?}");
        assert!(found.present() >= found.pages() / 2, "{found:?}");
        // What this process writes first comes from the owner's domain, too, wherever it runs.
        let rest = &pattern(LEN)[LEN / 2..];
        let elsewhere = domains().into_iter().rfind(|domain| domain.id != id).and_then(|domain| domain.pus.first());
        match elsewhere {
            Some(pu) => pinned(pu, || segment.write(LEN / 2, rest)).unwrap(),
            None => segment.write(LEN / 2, rest).unwrap(),
        }
        assert!(bytes_of(&segment) == pattern(LEN));
        assert!(segment.residency().unwrap().is_all_on(id));
        return say("written");
    }
    for domain in domains() {
        for make in [Segment::create, |len| Segment::create_in(SHARED_MEMORY, len)] {
            let mut segment = make(LEN).unwrap();
            segment.place(&Policy::On(domain.id)).unwrap();
            segment.write(0, &pattern(LEN)[..LEN / 2]).unwrap();
            let found = segment.residency().unwrap();
            assert_eq!(found.present(), found.pages_on(domain.id), "{segment:?}: {found:?}");
            let mut peer = Peer::start(
                "segments::a_segment_is_on_the_domain_of_its_owner_for_every_process",
                &domain.id.to_string(),
                &segment.address(),
            );
            assert_eq!(peer.hear(), "written");
            peer.finish();
            let found = segment.residency().unwrap();
            assert!(found.is_all_on(domain.id), "{segment:?}: {found:?}");
            assert!(bytes_of(&segment) == pattern(LEN));
            assert!(segment.warnings().is_empty(), "{segment:?}");
        }
    }
}

#[test]
fn pages_of_a_segment_alternate_and_move() {
    let ids: Vec<u32> = domains().iter().map(|domain| domain.id).collect();
    for make in [Segment::create, |len| Segment::create_in(SHARED_MEMORY, len)] {
        let mut segment = make(ids.len() * HUGE).unwrap();
        let alternate = |segment: &mut Segment| {
            segment.place(&Policy::Interleaved(ids.clone())).unwrap();
            segment.populate(..).unwrap();
            let found = segment.residency().unwrap();
            assert_eq!(found.absent(), 0);
            assert!(ids.iter().all(|&id| found.pages_on(id).abs_diff(found.pages() / ids.len()) <= 1), "{found:?}");
        };
        alternate(&mut segment);
        segment.write(0, &pattern(segment.len())).unwrap();
        for &id in ids.iter().rev() {
            segment.place(&Policy::On(id)).unwrap();
            let found = segment.residency().unwrap();
            assert!(found.is_all_on(id), "{found:?}");
        }
        alternate(&mut segment);
        assert!(bytes_of(&segment) == pattern(segment.len()));
    }
}

#[test]
fn a_small_shared_memory_is_an_error_or_a_fall_back_and_never_a_signal() {
    const NAME: &str = "segments::a_small_shared_memory_is_an_error_or_a_fall_back_and_never_a_signal";
    const MUCH: usize = 64 << 20;
    if let Some((role, _)) = role() {
        let fill = |segment: &Segment| {
            for page in (0..segment.len()).step_by(4_096) {
                segment.write(page, &[9]).unwrap();
            }
            let mut last = [0];
            segment.read(segment.len() - 4_096, &mut last).unwrap();
            assert_eq!(last, [9]);
        };
        let memfd = Segment::create(MUCH).unwrap();
        assert!(memfd.is_mapped());
        fill(&memfd);
        drop(memfd);

        let error = Segment::create_in(SHARED_MEMORY, MUCH).unwrap_err();
        assert!(error.is_out_of_memory() && error.to_string().contains(SHARED_MEMORY), "{error}");
        assert!(fs::read_dir(SHARED_MEMORY).unwrap().next().is_none(), "something was left");
        fill(&Segment::create_in(SHARED_MEMORY, 512 << 10).unwrap());

        without(&[libc::SYS_memfd_create], libc::EPERM, || match Segment::create(MUCH) {
            Ok(file) => {
                assert_eq!(role, "other room");
                assert!(!file.is_mapped() && file.address().contains(env::temp_dir().to_str().unwrap()), "{file:?}");
                fill(&file);
            }
            Err(error) => {
                assert_eq!(role, "no room");
                let message = error.to_string();
                assert!(error.is_out_of_memory(), "{message}");
                assert!(message.contains("memfd_create") && message.contains("/dev/shm: 1048576 bytes"), "{message}");
            }
        });
        return say("no signal");
    }
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        eprintln!("skipped: only root may mount another /dev/shm");
        return;
    }
    for (role, temporary) in [("other room", env::temp_dir()), ("no room", PathBuf::from(SHARED_MEMORY))] {
        let mut command = Command::new("unshare");
        let script = "mount -t tmpfs -o size=1m none /dev/shm || exit 77; exec \"$0\" \"$@\"";
        command.args(["-m", "sh", "-c", script]).env("TMPDIR", temporary);
        let mut peer = Peer::start_by(command, NAME, role, "");
        match peer.try_hear() {
            Some(said) => assert_eq!(said, "no signal"),
            None => {
                assert_eq!(peer.exit_code(), Some(77), "{role}");
                eprintln!("skipped: no right to mount another /dev/shm");
                return;
            }
        }
        peer.finish();
    }
}

#[test]
fn an_owner_that_is_killed_leaves_nothing_that_is_not_swept() {
    if let Some((_, folder)) = role() {
        let memfd = Segment::create(10_000).unwrap();
        memfd.write(9_999, &[5]).unwrap();
        let files = [folder.as_str(), SHARED_MEMORY].map(|folder| Segment::create_in(folder, 10_000).unwrap());
        say(&memfd.address());
        files.iter().for_each(|file| say(&file.address()));
        return wait();
    }
    let folder = Folder::new("killed");
    let mut owner = Peer::start(
        "segments::an_owner_that_is_killed_leaves_nothing_that_is_not_swept",
        "owner",
        folder.0.to_str().unwrap(),
    );
    let addresses = [owner.hear(), owner.hear(), owner.hear()];
    let attached = addresses.each_ref().map(|address| Segment::attach(address).unwrap());
    let paths = [path_of(&addresses[1]), path_of(&addresses[2])];
    let found = sweep_in(&folder.0);
    assert_eq!((found.in_use(), found.removed().len()), (1, 0));
    sweep();
    assert!(paths.iter().all(|path| path.exists()), "a file of a living owner was swept");

    owner.kill();
    assert!(paths[0].exists(), "nothing to sweep");
    for address in &addresses {
        let error = Segment::attach(address).unwrap_err();
        assert!(error.is_gone() && error.to_string().contains("owner ended"), "{error}");
    }
    let found = sweep_in(&folder.0);
    assert_eq!((found.removed(), found.in_use()), (&paths[..1], 0));
    assert!(found.bytes() >= 10_000);
    sweep();
    assert!(paths.iter().all(|path| !path.exists()), "a file of a killed owner stayed");

    for segment in attached {
        segment.write(0, &[6]).unwrap();
        assert_eq!(bytes_of(&segment)[0], 6);
    }
}

#[test]
fn a_sweep_touches_only_what_dead_owners_left() {
    let folder = Folder::new("others");
    let theirs = ["heist-1-0", "heist-numa-4000000000-1-1", "heist-x-1-1", "else"];
    theirs.iter().for_each(|name| fs::write(folder.0.join(name), "kept").unwrap());
    std::os::unix::fs::symlink("/etc/passwd", folder.0.join("heist-4000000000-1-1")).unwrap();
    fs::create_dir(folder.0.join("heist-4000000000-1-2")).unwrap();
    let ours = Segment::create_in(&folder.0, 100).unwrap();
    // A living owner that this process knows by no number, as in another container, has its file locked.
    let hidden = folder.0.join("heist-4000000000-1-3");
    let lock = OpenOptions::new().create_new(true).write(true).open(&hidden).unwrap();
    lock.lock_shared().unwrap();

    let found = sweep_in(&folder.0);
    assert_eq!((found.removed().len(), found.in_use()), (0, 2));
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), theirs.len() + 4);
    drop((lock, ours));
    assert_eq!(sweep_in(&folder.0).removed(), [hidden]);
    assert!(sweep_in(folder.0.join("absent")).removed().is_empty());
}

#[test]
fn a_peer_that_cuts_a_segment_short_ends_nobody() {
    if let Some((_, address)) = role() {
        let file = OpenOptions::new().write(true).open(path_of(&address)).unwrap();
        for len in [0, 1 << 30] {
            say(&format!("{:?}", file.set_len(len).map_err(|why| why.raw_os_error())));
        }
        file.set_len(0).ok();
        return;
    }
    let cut = |segment: &Segment| {
        let name = "segments::a_peer_that_cuts_a_segment_short_ends_nobody";
        let mut peer = Peer::start(name, "cutter", &segment.address());
        let said = [peer.hear(), peer.hear()];
        peer.finish();
        said
    };
    let sealed = Segment::create(1 << 20).unwrap();
    sealed.write(0, &pattern(1 << 20)).unwrap();
    assert_eq!(cut(&sealed), ["Err(Some(1))", "Err(Some(1))"]);
    assert!(bytes_of(&sealed) == pattern(1 << 20));

    let mut file = Segment::create_in(SHARED_MEMORY, 1 << 20).unwrap();
    file.write(0, &pattern(1 << 20)).unwrap();
    assert_eq!(cut(&file)[0], "Ok(())");
    let error = file.read(0, &mut [0; 100]).unwrap_err();
    assert!(error.is_gone() && error.to_string().contains("cut the file short"), "{error}");
    assert!(Segment::attach(&file.address()).unwrap_err().to_string().contains("has 0 bytes"));
    file.populate(..).unwrap();
    assert_eq!(file.residency().unwrap().present(), 0);
    file.place(&Policy::On(domains()[0].id)).unwrap();
    assert!(file.atomics(0, 1).unwrap_err().is_unavailable());
    let not_frozen = file.freeze().unwrap_err();
    assert!(not_frozen.error().is_gone());
    not_frozen.into_segment().write(1_000, &[1]).unwrap();
}

#[test]
fn no_address_but_a_true_one_is_attached_to() {
    let memfd = Segment::create(10_000).unwrap();
    let folder = Folder::new("addresses");
    let file = Segment::create_in(&folder.0, 10_000).unwrap();
    let with = |address: &str, field: usize, value: &str| {
        let mut fields: Vec<&str> = address.splitn(6, ':').collect();
        fields[field] = value;
        fields.join(":")
    };
    let mut untrue = vec![
        with(&memfd.address(), 1, "1"),
        with(&memfd.address(), 2, "1"),
        with(&memfd.address(), 3, "1"),
        with(&memfd.address(), 4, "100000"),
        with(&memfd.address(), 4, &usize::MAX.to_string()),
        with(&file.address(), 3, "1"),
        with(&file.address(), 4, "1"),
    ];
    // Each descriptor of this process other than the segment's, the harness's pipes and terminals with them.
    let own = path_of(&memfd.address());
    let all = fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    untrue.extend(all.filter(|fd| !own.ends_with(fd)).map(|fd| with(&memfd.address(), 5, &fd)));
    // Things of all kinds under a name that a segment of this process might have.
    let name = path_of(&file.address()).with_extension("");
    let odd = |number: u32| {
        let stem = name.to_str().unwrap().rsplit_once('-').unwrap().0;
        PathBuf::from(format!("{stem}-{number}"))
    };
    std::os::unix::fs::symlink(&name, odd(1_000_001)).unwrap();
    fs::create_dir(odd(1_000_002)).unwrap();
    assert!(Command::new("mkfifo").arg(odd(1_000_003)).status().unwrap().success());
    fs::write(odd(1_000_004), [0; 12_288]).unwrap();
    untrue.extend((1_000_001..=1_000_005).map(|at| with(&file.address(), 5, odd(at).to_str().unwrap())));
    for address in untrue {
        let error = Segment::attach(&address).unwrap_err();
        assert!(error.is_gone() && error.to_string().contains(&address), "{address}: {error}");
        assert!(Frozen::attach(&address).unwrap_err().is_gone());
    }
    assert!(Segment::attach(&with(&file.address(), 5, "/etc/passwd")).unwrap_err().is_syntax());
    for segment in [memfd, file] {
        assert_eq!(Segment::attach(&segment.address()).unwrap().len(), 10_000);
    }
}

#[test]
fn what_is_frozen_is_a_slice_in_every_process() {
    const NAME: &str = "segments::what_is_frozen_is_a_slice_in_every_process";
    if let Some((role, address)) = role() {
        match &*role {
            "holder" => {
                let segment = Segment::attach(&address).unwrap();
                say("attached");
                wait();
                drop(segment);
            }
            _ => {
                let frozen = Frozen::attach(&address).unwrap();
                assert!(frozen[..] == pattern(100_000));
                let file = OpenOptions::new().write(true).open(path_of(&address)).unwrap();
                let written = std::os::unix::fs::FileExt::write_at(&file, &[1], 0);
                assert_eq!(written.unwrap_err().raw_os_error(), Some(libc::EPERM));
                assert!(Segment::attach(&address).unwrap_err().is_refused());
                say("read");
            }
        }
        return;
    }
    let segment = Segment::create(100_000).unwrap();
    segment.write(0, &pattern(100_000)).unwrap();
    let mut holder = Peer::start(NAME, "holder", &segment.address());
    assert_eq!(holder.hear(), "attached");
    let not_frozen = segment.freeze().unwrap_err();
    assert!(not_frozen.error().is_busy(), "{not_frozen}");
    let segment = not_frozen.into_segment();
    assert!(segment.is_mapped() && bytes_of(&segment) == pattern(100_000));
    assert!(Frozen::attach(&segment.address()).unwrap_err().is_busy());
    holder.finish();

    let frozen = segment.freeze().unwrap();
    assert!(frozen[..] == pattern(100_000));
    let mut reader = Peer::start(NAME, "reader", &frozen.address());
    assert_eq!(reader.hear(), "read");
    reader.finish();
}

#[test]
fn a_message_is_there_when_its_word_is() {
    const NAME: &str = "segments::a_message_is_there_when_its_word_is";
    const ROUNDS: u64 = 50;
    let (turn, len) = (0, 4_000);
    let until = |segment: &Segment, value: u64| {
        while segment.atomics(turn, 1).unwrap()[0].load(Ordering::Acquire) != value {
            std::thread::yield_now();
        }
    };
    if let Some((_, address)) = role() {
        let segment = Segment::attach(&address).unwrap();
        for round in 0..ROUNDS {
            until(&segment, 2 * round + 1);
            let mut message = vec![0; len];
            segment.read(13, &mut message).unwrap();
            assert!(message.iter().all(|&byte| byte == round as u8));
            segment.write(13 + len, &message).unwrap();
            segment.atomics(turn, 1).unwrap()[0].store(2 * round + 2, Ordering::Release);
        }
        return;
    }
    let segment = Segment::create(10_000).unwrap();
    let peer = Peer::start(NAME, "echo", &segment.address());
    for round in 0..ROUNDS {
        segment.write(13, &vec![round as u8; len]).unwrap();
        segment.atomics(turn, 1).unwrap()[0].store(2 * round + 1, Ordering::Release);
        until(&segment, 2 * round + 2);
        let mut echo = vec![0; len];
        segment.read(13 + len, &mut echo).unwrap();
        assert!(echo.iter().all(|&byte| byte == round as u8));
    }
    peer.finish();
}

#[test]
fn words_and_ranges_stay_inside() {
    for segment in [Segment::create(100).unwrap(), Segment::create_in(env::temp_dir(), 100).unwrap()] {
        for (offset, len) in [(0, 101), (100, 1), (usize::MAX, 1), (1, usize::MAX >> 40)] {
            let mut bytes = vec![0; len];
            assert!(segment.read(offset, &mut bytes).unwrap_err().is_out_of_range());
            assert!(segment.write(offset, &bytes).unwrap_err().is_out_of_range());
        }
        assert!(segment.populate(90..101).unwrap_err().is_out_of_range());
        segment.read(100, &mut []).unwrap();
        if segment.is_mapped() {
            assert_eq!(segment.atomics(96, 0).unwrap().len(), 0);
            assert_eq!(segment.atomics(0, 12).unwrap().len(), 12);
            for (offset, count) in [(0, 13), (96, 1), (4, 1), (0, usize::MAX), (usize::MAX - 7, 1)] {
                assert!(segment.atomics(offset, count).unwrap_err().is_out_of_range(), "{offset}, {count}");
            }
        }
    }
    let too_much = Segment::create(usize::MAX / 2).unwrap_err();
    assert!(too_much.is_out_of_memory(), "{too_much}");
    assert!(Segment::create(1 << 45).unwrap_err().is_out_of_memory());
    let nowhere = Segment::create_in("/nonexistent", 1).unwrap_err();
    assert!(nowhere.is_out_of_memory() && nowhere.to_string().contains("/nonexistent"), "{nowhere}");
}

#[test]
fn without_memfds_a_segment_is_a_file() {
    let segment = without(&[libc::SYS_memfd_create], libc::ENOSYS, || Segment::create(10_000)).unwrap();
    let path = path_of(&segment.address());
    assert!(!segment.is_mapped() && path.starts_with(SHARED_MEMORY), "{segment:?}");
    let peer = Segment::attach(&segment.address()).unwrap();
    peer.write(1, &[1, 2, 3]).unwrap();
    assert_eq!(bytes_of(&segment)[..5], [0, 1, 2, 3, 0]);
    drop(peer);
    assert!(path.exists());
    let frozen = segment.freeze().unwrap();
    assert_eq!(Frozen::attach(&frozen.address()).unwrap()[..5], [0, 1, 2, 3, 0]);
    drop(frozen);
    assert!(!path.exists());
}
