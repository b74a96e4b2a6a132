//! The engine in programs that use MPI themselves, and beside what that MPI does by itself.

use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use std::time::Duration;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

use super::Family;
use super::engine::{self, Engine, Hear};
use super::launched::{job, members};
use crate::rank::codec::{Blob, Frame};

type Raw = usize;

/// The program's own use of MPI.
struct Own {
    library: Library,
    world: Raw,
    byte: Raw,
    ignore: *mut c_void,
}

impl Own {
    /// Opens the launcher's MPI and initialises it; `level` as Open MPI and MPICH number them.
    fn initialize(level: c_int) -> Self {
        // SAFETY: what MPI libraries run when they are loaded is meant for any program.
        let open = |name| unsafe { Library::open(Some(name), RTLD_NOW | RTLD_GLOBAL) };
        let library = match job().speaks_to {
            Family::OpenMpi => open("libmpi.so.40"),
            Family::Mpich => open("libmpich.so.12").or_else(|_| open("libmpi.so.12")),
        };
        let library = library.unwrap();
        let handle = |symbol: &str, else_: Raw| {
            // SAFETY: the addresses are not followed here.
            unsafe { library.get::<*mut c_void>(symbol) }.map_or(else_, |at| at.into_raw() as Raw)
        };
        let world = handle("ompi_mpi_comm_world", 0x4400_0000);
        let byte = handle("ompi_mpi_byte", 0x4c00_010d);
        let ignore = if world == 0x4400_0000 { std::ptr::without_provenance_mut(1) } else { null_mut() };
        let own = Self { library, world, byte, ignore };
        let mut granted = 0;
        // SAFETY: MPI's own prototype; it may be given no arguments.
        unsafe {
            own.function::<unsafe extern "C" fn(*mut c_void, *mut c_void, c_int, *mut c_int) -> c_int>(
                "MPI_Init_thread",
            )(null_mut(), null_mut(), level, &raw mut granted)
        };
        assert_eq!(granted, level);
        own
    }

    fn function<F: Copy>(&self, name: &str) -> F {
        // SAFETY: who asks says what MPI's prototype is.
        *unsafe { self.library.get::<F>(name) }.unwrap()
    }

    fn finalize(&self) {
        // SAFETY: MPI's own prototype; MPI is initialised.
        unsafe { self.function::<unsafe extern "C" fn() -> c_int>("MPI_Finalize")() };
    }

    fn barrier(&self) {
        // SAFETY: as above.
        unsafe { self.function::<unsafe extern "C" fn(Raw) -> c_int>("MPI_Barrier")(self.world) };
    }

    fn send(&self, bytes: &[u8], to: u32) {
        let send = self.function::<unsafe extern "C" fn(*const u8, c_int, Raw, c_int, c_int, Raw) -> c_int>("MPI_Send");
        // SAFETY: as above; so many bytes lie there.
        unsafe { send(bytes.as_ptr(), bytes.len() as c_int, self.byte, to as c_int, 3, self.world) };
    }

    fn receive(&self, bytes: &mut [u8], from: u32) {
        type Receive = unsafe extern "C" fn(*mut u8, c_int, Raw, c_int, c_int, Raw, *mut c_void) -> c_int;
        let receive = self.function::<Receive>("MPI_Recv");
        // SAFETY: as above; there is room for so many bytes.
        unsafe {
            receive(bytes.as_mut_ptr(), bytes.len() as c_int, self.byte, from as c_int, 3, self.world, self.ignore)
        };
    }
}

#[test]
fn a_program_that_has_initialised_mpi_is_joined_and_finalises_it_itself() {
    let launch = members("joined", "a_program_that_has_initialised_mpi_is_joined_and_finalises_it_itself", || {
        let own = Own::initialize(2);
        let engine = engine::start(job()).unwrap();
        assert_eq!(engine.all_gather(&[engine.world().rank() as u8]).unwrap().len(), engine.size() as usize);
        // With MPI_THREAD_SERIALIZED, one of the two at a time.
        let mut got = [0];
        let next = (engine.world().rank() + 1) % engine.size();
        let before = (engine.world().rank() + engine.size() - 1) % engine.size();
        // A message to oneself would wait for ever.
        for _ in 0..if engine.size() > 1 { 100 } else { 0 } {
            engine.alone(|| {
                if engine.world().rank() == 0 {
                    own.send(&[7], next);
                }
                own.receive(&mut got, before);
                if engine.world().rank() != 0 {
                    own.send(&got, next);
                }
            });
            assert_eq!(got, [7]);
        }
        engine.leave().unwrap();
        engine.exit();
        own.barrier();
        own.finalize();
        let late = engine::start(job()).map(|_| ()).unwrap_err().to_string();
        assert!(late.contains("finalised"), "{late}");
    });
    if let Some(launch) = launch {
        launch.everywhere();
    }
}

#[test]
fn a_program_that_keeps_mpi_to_one_thread_is_told_what_to_ask_for() {
    let launch = members("joined", "a_program_that_keeps_mpi_to_one_thread_is_told_what_to_ask_for", || {
        let own = Own::initialize(1);
        let why = engine::start(job()).map(|_| ()).unwrap_err().to_string();
        assert!(why.contains("MPI_THREAD_SERIALIZED"), "{why}");
        own.barrier();
        own.finalize();
    });
    if let Some(launch) = launch {
        launch.with(2);
    }
}

/// Frames of a blob of `bytes` from rank 0 to rank 1, each with an answer, over the engine.
fn exchange(engine: &Engine, bytes: usize, rounds: usize) {
    let (told, tell) = std::sync::mpsc::channel();
    engine.hear(Hear {
        arrived: Box::new(move || {
            let _ = told.send(());
        }),
        failed: Box::new(|why| panic!("{why}")),
    });
    let next = || loop {
        if let Some((_, frame)) = engine.take() {
            return frame;
        }
        tell.recv_timeout(Duration::from_secs(60)).unwrap();
    };
    let content: Vec<_> = (0..bytes).map(|at| (at % 251) as u8).collect();
    let data = Blob::of_vec(content.clone());
    for _ in 0..rounds {
        if engine.world().rank() == 0 {
            engine.send(1, Frame { bytes: vec![], blobs: vec![data.clone()] });
            assert_eq!(next().bytes, [1]);
        } else {
            let frame = next();
            assert!(frame.blobs[0][..] == content);
            engine.send(0, Frame { bytes: vec![1], blobs: vec![] });
        }
    }
}

#[test]
fn large_frames_come_whole_beside_messages_of_the_program() {
    let launch = members("joined", "large_frames_come_whole_beside_messages_of_the_program", || {
        const BYTES: usize = 64 << 20;
        let own = Own::initialize(2);
        let (mut data, mut answer) = (vec![1_u8; BYTES], [0]);
        if job().rank == 0 {
            own.send(&data, 1);
            own.receive(&mut answer, 1);
        } else {
            own.receive(&mut data, 0);
            own.send(&answer, 0);
        }
        let engine = engine::start(job()).unwrap();
        exchange(&engine, BYTES, 3);
        engine.leave().unwrap();
        engine.exit();
        own.finalize();
    });
    if let Some(launch) = launch {
        launch.on_hosts(2, 1);
    }
}
