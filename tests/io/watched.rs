//! Readiness of files: told whenever it is so, to everybody who waits, and never lost.

use std::future::Future;
use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use heist::Shutdown;
use heist::io::Watched;

use crate::support::{Count, SOON, executor, guard, until};

fn pipe() -> (Watched<PipeReader>, PipeWriter) {
    let (reader, writer) = io::pipe().unwrap();
    (Watched::new(reader).unwrap(), writer)
}

/// Two ends of a socket that do not block.
fn sockets() -> (UnixStream, UnixStream) {
    let (a, b) = UnixStream::pair().unwrap();
    a.set_nonblocking(true).unwrap();
    b.set_nonblocking(true).unwrap();
    (a, b)
}

struct Wakes(AtomicUsize);
impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_pipe_is_readable_when_written_to_and_at_its_end() {
    guard(|| {
        let ex = executor(2);
        for blocks in [false, true] {
            let (reader, mut writer) = pipe();
            let reader = Arc::new(reader);
            let wait = || {
                let reader = reader.clone();
                if blocks {
                    ex.submit(move || reader.wait_readable())
                } else {
                    ex.spawn(async move { reader.readable().await })
                }
            };
            assert!(!reader.try_readable().unwrap());
            let written = wait();
            assert!(written.wait_timeout(Duration::from_millis(2)).unwrap_err().is_timeout());
            writer.write_all(b"ab").unwrap();
            written.result().unwrap().unwrap();
            let mut byte = [0];
            reader.get_ref().read_exact(&mut byte).unwrap();
            wait().result().unwrap().unwrap();
            reader.get_ref().read_exact(&mut byte).unwrap();
            assert!(!reader.try_readable().unwrap());
            let ended = wait();
            drop(writer);
            ended.result().unwrap().unwrap();
            assert_eq!(reader.get_ref().read(&mut byte).unwrap(), 0);
        }
    });
}

#[test]
fn a_socket_is_writable_until_it_is_full_and_again_once_it_is_read() {
    guard(|| {
        let ex = executor(1);
        let (a, mut b) = sockets();
        let a = Arc::new(Watched::new(a).unwrap());
        let mut written = 0;
        let full = loop {
            match a.get_ref().write(&[0; 4096]) {
                Ok(bytes) => written += bytes,
                Err(error) => break error,
            }
        };
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
        assert!(!a.try_writable().unwrap());
        assert!(a.wait_writable_timeout(Duration::from_millis(1)).unwrap_err().is_timeout());
        let awaits = ex.spawn({
            let a = a.clone();
            async move { a.writable().await }
        });
        let blocks = ex.submit({
            let a = a.clone();
            move || a.wait_writable()
        });
        let mut buffer = vec![0; written];
        b.read_exact(&mut buffer).unwrap();
        awaits.result().unwrap().unwrap();
        blocks.result().unwrap().unwrap();
    });
}

#[test]
fn what_is_always_ready_is_refused_with_the_reason() {
    for path in ["/dev/null", "/proc/self/exe", "/"] {
        let error = Watched::new(std::fs::File::open(path).unwrap()).unwrap_err();
        assert!(error.is_io());
        assert!(error.to_string().contains("always ready"), "{error}");
    }
}

#[test]
fn all_watchers_of_one_file_are_told() {
    guard(|| {
        let ex = executor(2);
        let (reader, mut writer) = io::pipe().unwrap();
        let reader = Arc::new(reader);
        let watches: Vec<_> = (0..5).map(|_| Arc::new(Watched::new(reader.clone()).unwrap())).collect();
        let awaits = watches.iter().flat_map(|watch| {
            [0, 1].map(|_| {
                let watch = watch.clone();
                ex.spawn(async move { watch.readable().await })
            })
        });
        let awaits: Vec<_> = awaits.collect();
        let blocked: Vec<_> = watches.iter().cloned().map(|watch| ex.submit(move || watch.wait_readable())).collect();
        drop(watches);
        writer.write_all(b"x").unwrap();
        for wait in awaits.iter().chain(&blocked) {
            wait.result().unwrap().unwrap();
        }
    });
}

#[test]
fn a_borrowed_file_is_watched_too() {
    guard(|| {
        let (reader, mut writer) = io::pipe().unwrap();
        let watched = Watched::new(&reader).unwrap();
        let by_descriptor = Watched::new(reader.as_fd()).unwrap();
        writer.write_all(b"x").unwrap();
        watched.wait_readable().unwrap();
        by_descriptor.wait_readable().unwrap();
    });
}

#[test]
fn a_number_that_is_closed_and_used_anew_leads_nobody_astray() {
    guard(|| {
        let ex = executor(1);
        let (mut old, mut old_writer) = pipe();
        let (replacement, mut new_writer) = io::pipe().unwrap();
        // Closes the number that the watch began with.
        *old.get_mut() = replacement;
        // The lowest number that is free is given out, so most likely that one.
        let (reused, reused_writer) = io::pipe().unwrap();
        let reused = Watched::new(reused).unwrap();
        let old = Arc::new(old);
        let waits = ex.spawn({
            let old = old.clone();
            async move { old.readable().await }
        });
        new_writer.write_all(b"x").unwrap();
        assert!(waits.wait_timeout(Duration::from_millis(2)).unwrap_err().is_timeout());
        assert!(!reused.try_readable().unwrap());
        old_writer.write_all(b"x").unwrap();
        waits.result().unwrap().unwrap();
        drop(reused_writer);
        reused.wait_readable().unwrap();
    });
}

/// Takes a byte as soon as there is one.
async fn take(end: &Watched<UnixStream>) -> u8 {
    loop {
        end.readable().await.unwrap();
        let mut byte = [0];
        match end.get_ref().read_exact(&mut byte) {
            Ok(()) => return byte[0],
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
}

/// Sends numbers to and fro, one at a time, so that a single wake that is lost hangs.
async fn play(end: &Watched<UnixStream>, begins: bool) {
    for round in 0..100 {
        if begins {
            end.writable().await.unwrap();
            end.get_ref().write_all(&[round]).unwrap();
        }
        assert_eq!(take(end).await, round);
        if !begins {
            end.writable().await.unwrap();
            end.get_ref().write_all(&[round]).unwrap();
        }
    }
}

#[test]
fn no_readiness_is_lost_in_many_rounds() {
    guard(|| {
        let ex = executor(2);
        let pairs: Vec<_> = (0..50)
            .flat_map(|_| {
                let (a, b) = sockets();
                [(a, true), (b, false)].map(|(end, begins)| {
                    let end = Watched::new(end).unwrap();
                    ex.spawn(async move { play(&end, begins).await })
                })
            })
            .collect();
        for end in pairs {
            end.result().unwrap();
        }
    });
}

#[test]
fn both_sides_of_one_socket_may_be_waited_for_at_once() {
    guard(|| {
        let ex = executor(2);
        let (a, b) = sockets();
        let bytes = 2 << 20;
        let ends = [Arc::new(Watched::new(a).unwrap()), Arc::new(Watched::new(b).unwrap())];
        let mut transfers = Vec::new();
        for end in ends {
            let writer = end.clone();
            transfers.push(ex.spawn(async move {
                let mut left = bytes;
                while left > 0 {
                    writer.writable().await.unwrap();
                    match writer.get_ref().write(&vec![1; left.min(9000)]) {
                        Ok(written) => left -= written,
                        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                    }
                }
            }));
            transfers.push(ex.spawn(async move {
                let (mut left, mut buffer) = (bytes, [0; 7000]);
                while left > 0 {
                    end.readable().await.unwrap();
                    match end.get_ref().read(&mut buffer) {
                        Ok(read) => left -= read,
                        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                    }
                }
            }));
        }
        for transfer in transfers {
            transfer.result().unwrap();
        }
    });
}

#[test]
fn waiting_tasks_lend_their_core_and_end_with_the_executor() {
    guard(|| {
        let ex = executor(1);
        let (reader, _writer) = pipe();
        let reader = Arc::new(reader);
        let waiting = Count::default();
        let waits: Vec<_> = (0..50)
            .map(|_| {
                let (reader, waiting) = (reader.clone(), waiting.clone());
                ex.submit(move || {
                    waiting.add();
                    reader.wait_readable().unwrap_err().is_cancelled()
                })
            })
            .collect();
        until("all wait", || waiting.get() == 50);
        assert_eq!(ex.submit(|| 1).result().unwrap(), 1);
        assert!(waits[0].cancel("no longer"));
        ex.shutdown(Shutdown::Cancel);
        assert!(waits.iter().skip(1).all(heist::TaskFuture::done));
    });
}

#[test]
fn a_wait_that_is_dropped_keeps_no_waker() {
    guard(|| {
        let (reader, mut writer) = pipe();
        let wakes = Arc::new(Wakes(AtomicUsize::new(0)));
        let waker = Waker::from(wakes.clone());
        for _ in 0..1000 {
            let mut wait = pin!(reader.readable());
            assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            assert_eq!(Arc::strong_count(&wakes), 3);
        }
        assert_eq!(Arc::strong_count(&wakes), 2);
        writer.write_all(b"x").unwrap();
        reader.wait_readable().unwrap();
        assert_eq!(wakes.0.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn a_timeout_of_zero_tries_once() {
    guard(|| {
        let (reader, mut writer) = pipe();
        assert!(reader.wait_readable_timeout(Duration::ZERO).unwrap_err().is_timeout());
        writer.write_all(b"x").unwrap();
        reader.wait_readable_timeout(Duration::ZERO).unwrap();
        reader.wait_readable_timeout(SOON).unwrap();
    });
}

struct Bad;
impl Wake for Bad {
    fn wake(self: Arc<Self>) {
        panic!("in a waker");
    }
}

#[test]
fn a_waker_that_panics_keeps_nobody_from_being_woken() {
    guard(|| {
        let ex = executor(1);
        let (reader, mut writer) = pipe();
        let reader = Arc::new(reader);
        let bad = Waker::from(Arc::new(Bad));
        let mut first = pin!(reader.readable());
        assert!(first.as_mut().poll(&mut Context::from_waker(&bad)).is_pending());
        let second = ex.spawn({
            let reader = reader.clone();
            async move { reader.readable().await }
        });
        writer.write_all(b"x").unwrap();
        second.result().unwrap().unwrap();
    });
}
