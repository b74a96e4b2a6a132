//! Many actors alive at once, few bytes each; and all of them talking.

use heist::ActorRef;

use crate::{stress, tasks};

/// Bytes of an idle actor at most, with what the allocator and the list of them add.
const MOST_BYTES: usize = 320;

/// Resident bytes of this process.
#[cfg(target_os = "linux")]
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[cfg(target_os = "linux")]
#[test]
fn many_actors_are_alive_at_once() {
    stress(2, |ex| {
        let count = tasks() as u64;
        let before = resident();
        let actors: Vec<_> = (0..count).map(|i| ex.actor(move || i)).collect();
        let answers: Vec<_> = actors.iter().map(|actor| actor.ask(|n| *n)).collect();
        assert_eq!(ex.gather(answers).unwrap(), (0..count).collect::<Vec<_>>());
        assert_eq!(ex.actors().len() as u64, count);
        // The answers are gone; their cells may be kept for the next ones.
        let each = resident().saturating_sub(before) / count as usize;
        // Sanitizers keep what is freed.
        assert!(
            cfg!(heist_plain_cells) || each <= 3 * MOST_BYTES,
            "{each} bytes an actor, with what its messages took"
        );
        let ends: Vec<_> = actors.iter().step_by(100).map(ActorRef::ended).collect();
        drop(actors);
        ends.iter().for_each(|end| end.wait().unwrap());
    });
}

/// A ring of actors hands tokens round.
#[test]
fn tokens_go_round_a_ring() {
    stress(4, |ex| {
        const ACTORS: usize = 64;
        struct Link {
            next: Option<heist::WeakRef<Self>>,
            seen: usize,
        }
        fn pass(link: &mut Link, left: usize) {
            link.seen += 1;
            if left > 0
                && let Some(next) = link.next.as_ref().and_then(heist::WeakRef::upgrade)
            {
                next.tell(move |next| pass(next, left - 1)).unwrap();
            }
        }
        let ring: Vec<_> = (0..ACTORS).map(|_| ex.actor(|| Link { next: None, seen: 0 })).collect();
        for (link, next) in ring.iter().zip(ring.iter().cycle().skip(1)) {
            let next = next.downgrade();
            link.tell(move |link| link.next = Some(next)).unwrap();
        }
        let hops = tasks() / 16;
        for link in ring.iter().step_by(ACTORS / 16) {
            link.tell(move |link| pass(link, hops - 1)).unwrap();
        }
        let seen = || ring.iter().map(|link| link.ask(|link| link.seen).result().unwrap()).sum::<usize>();
        while seen() < 16 * hops {
            std::thread::yield_now();
        }
        assert_eq!(seen(), 16 * hops);
    });
}
