//! Models of a ring: what is read is what was written, and a writer that waits for room is told of it.

use super::ring::{Reader, Ring, Writer};
use super::stream::Source;
use crate::primitive::atomic::{AtomicU64, Ordering};
use crate::primitive::lock::{Condvar, Mutex};
use crate::primitive::model::{explore, thread};
use crate::primitive::sync::Arc;

struct Memory {
    tail: AtomicU64,
    head: AtomicU64,
    wanted: AtomicU64,
    words: Vec<AtomicU64>,
    rung: Mutex<bool>,
    now: Condvar,
}

impl Memory {
    fn new(words: usize) -> Arc<Self> {
        let word = || AtomicU64::new(0);
        Arc::new(Self {
            tail: word(),
            head: word(),
            wanted: word(),
            words: (0..words).map(|_| word()).collect(),
            rung: Mutex::new(false),
            now: Condvar::new(),
        })
    }

    fn ring(&self) -> Ring<'_> {
        Ring { tail: &self.tail, head: &self.head, wanted: &self.wanted, words: &self.words }
    }

    fn wait(&self) {
        let mut rung = self.rung.lock();
        while !*rung {
            rung = self.now.wait(rung);
        }
        *rung = false;
    }

    fn tell(&self) {
        *self.rung.lock() = true;
        self.now.notify_all();
    }
}

/// A stream of three words: a count, a length, and a byte.
fn source(number: u8) -> Source<Vec<u8>> {
    Source::new(vec![vec![number]])
}

fn numbers(reader: &mut Reader, ring: Ring<'_>) -> Vec<u8> {
    let mut found = Vec::new();
    let read = reader.read(ring, 9, |pieces| found.push(pieces[0][0]));
    assert!(read.is_ok());
    found
}

#[test]
fn loom_a_ring_is_read_as_it_is_written() {
    explore(10, || {
        let memory = Memory::new(8);
        let writer = {
            let memory = memory.clone();
            thread::spawn(move || {
                let mut writer = Writer::default();
                (0..3).filter(|&number| writer.write(memory.ring(), &mut source(number)).unwrap()).count()
            })
        };
        let mut reader = Reader::default();
        let mut found = numbers(&mut reader, memory.ring());
        found.extend(numbers(&mut reader, memory.ring()));
        let written = writer.join().unwrap();
        found.extend(numbers(&mut reader, memory.ring()));
        // The third goes in only behind what was read, and may be cut off: then it is not handed over.
        assert!(written >= 2 && found == (0..written as u8).collect::<Vec<_>>(), "{written} {found:?}");
    });
}

#[test]
fn loom_a_writer_is_told_of_room() {
    explore(10, || {
        let memory = Memory::new(8);
        let mut writer = Writer::default();
        assert!((0..2).all(|number| writer.write(memory.ring(), &mut source(number)).unwrap()));
        let reader = {
            let memory = memory.clone();
            thread::spawn(move || {
                let mut reader = Reader::default();
                let mut found = Vec::new();
                while found.len() < 3 {
                    let some = numbers(&mut reader, memory.ring());
                    found.extend(some);
                    if Reader::gives_room(memory.ring()) {
                        memory.tell();
                    }
                    thread::yield_now();
                }
                assert_eq!(found, [0, 1, 2]);
            })
        };
        let mut third = source(2);
        while !writer.write(memory.ring(), &mut third).unwrap() {
            if writer.wants_room(memory.ring(), &third).unwrap().is_some() {
                memory.wait();
            }
        }
        reader.join().unwrap();
        assert_eq!(memory.head.load(Ordering::Relaxed), memory.tail.load(Ordering::Relaxed));
    });
}
