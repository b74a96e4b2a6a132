//! The MPI library of this process: found, opened, its functions looked up.

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::path::{Path, PathBuf};

use libloading::os::unix::{self, RTLD_GLOBAL, RTLD_NOW};

use super::MpiError;

/// Glibc's and musl's number: only what is loaded already.
const NOLOAD: c_int = 4;

/// A shared library that stays open for ever: MPI's threads and exit handlers outlive whoever closes it.
pub(super) struct Library(unix::Library);

/// The names of libraries to look for, those that the launcher speaks to first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    OpenMpi,
    Mpich,
}

const OPEN_MPI: &[&str] = &["libmpi.so.40"];
const MPICH: &[&str] = &["libmpich.so.12", "libmpi.so.12", "libmpi_cray.so.12", "libmpi_abi.so.0"];

fn names(family: Family) -> impl Iterator<Item = &'static str> {
    let (first, second) = match family {
        Family::OpenMpi => (OPEN_MPI, MPICH),
        Family::Mpich => (MPICH, OPEN_MPI),
    };
    first.iter().chain(second).copied()
}

/// The library to use: the one this program is linked with or has loaded, the one that `named` says, the launcher's own,
/// or one that the system's loader knows.
pub(super) fn find(family: Family, named: Option<&Path>) -> Result<Library, MpiError> {
    if let Some(loaded) = loaded() {
        return Ok(loaded);
    }
    if let Some(path) = named {
        return open(path.as_os_str()).map_err(|why| {
            MpiError::new(format!("the MPI library that was named cannot be opened: {}", reason(&why)))
        });
    }
    let beside = beside_launcher();
    let beside = names(family).flat_map(|name| beside.iter().map(move |folder| folder.join(name)));
    let candidates = beside.filter(|path| path.exists()).chain(names(family).map(PathBuf::from));
    let mut reasons = Vec::new();
    for candidate in candidates {
        match open(candidate.as_os_str()) {
            Ok(library) => return Ok(library),
            Err(why) => reasons.push(reason(&why)),
        }
    }
    Err(MpiError::new(format!(
        "no MPI library was found ({}); load the module of the launcher's MPI, or name its libmpi in the environment \
         variable HEIST_MPI_LIB",
        reasons.join("; ")
    )))
}

/// What the system's loader says.
fn reason(why: &libloading::Error) -> String {
    std::error::Error::source(why).map_or_else(|| why.to_string(), ToString::to_string)
}

/// Where the program that started this process has its libraries.
fn beside_launcher() -> Vec<PathBuf> {
    let parent = std::fs::read_link(format!("/proc/{}/exe", std::os::unix::process::parent_id())).unwrap_or_default();
    let prefix = parent.parent().and_then(Path::parent);
    prefix.map(|prefix| vec![prefix.join("lib"), prefix.join("lib64")]).unwrap_or_default()
}

/// The MPI that is in this process already.
fn loaded() -> Option<Library> {
    let own = Library(unix::Library::this());
    if own.address("MPI_Init_thread").is_some() {
        return Some(own);
    }
    // SAFETY: nothing is loaded, so nothing of it runs.
    let there = |name| unsafe { unix::Library::open(Some(name), RTLD_NOW | NOLOAD) };
    names(Family::OpenMpi).find_map(|name| there(name).ok()).map(Library)
}

fn open(name: &OsStr) -> Result<Library, libloading::Error> {
    // Its plug-ins look for its symbols among the global ones.
    // SAFETY: what a library runs when it is loaded is what its user wants to run; this one is the launcher's MPI.
    unsafe { unix::Library::open(Some(name), RTLD_NOW | RTLD_GLOBAL) }.map(Library)
}

impl Library {
    /// The address of a symbol that is data.
    pub(super) fn address(&self, symbol: &str) -> Option<usize> {
        // SAFETY: the address is not followed here.
        unsafe { self.0.get::<*mut c_void>(symbol.as_bytes()) }.ok().map(|symbol| symbol.into_raw() as usize)
    }

    /// The file in which `MPI_Init_thread` lies.
    pub(super) fn path(&self) -> PathBuf {
        let Some(address) = self.address("MPI_Init_thread") else { return PathBuf::new() };
        let mut told = libc::Dl_info {
            dli_fname: std::ptr::null(),
            dli_fbase: std::ptr::null_mut(),
            dli_sname: std::ptr::null(),
            dli_saddr: std::ptr::null_mut(),
        };
        // SAFETY: the address is that of a symbol, `told` may be written.
        let found = unsafe { libc::dladdr(address as *const c_void, &raw mut told) };
        if found == 0 || told.dli_fname.is_null() {
            return PathBuf::new();
        }
        // SAFETY: dladdr gave a string that lives as long as the library is open, and it is never closed.
        let name = unsafe { CStr::from_ptr(told.dli_fname) };
        PathBuf::from(name.to_string_lossy().into_owned())
    }

    pub(super) fn functions(self) -> Result<Functions, MpiError> {
        let functions = Functions::find(&self.0);
        std::mem::forget(self.0);
        functions.map_err(|why| {
            MpiError::new(format!("this MPI library lacks a function that heist needs: {}", reason(&why)))
        })
    }
}

/// A handle, as wide as the widest: a C integer lies in the low half of a zeroed word.
pub(super) type Raw = usize;
/// An `MPI_Status`, at least as large as any.
pub(super) type Status = [c_int; 16];

macro_rules! functions {
    ($($name:ident = $symbol:literal ($($argument:ty),*);)*) => {
        /// MPI's functions, as C has them, with handles as words.
        #[derive(Clone, Copy)]
        pub(super) struct Functions { $(pub(super) $name: unsafe extern "C" fn($($argument),*) -> c_int,)* }

        impl Functions {
            fn find(library: &unix::Library) -> Result<Self, libloading::Error> {
                Ok(Self {
                    // SAFETY: the symbols are MPI's, and these its prototypes. Where a handle is a C integer, the low half of
                    // a word is passed and returned in its place: so it is in the C calls of 64-bit little-endian Linux.
                    $($name: *unsafe { library.get($symbol.as_bytes()) }?,)*
                })
            }
        }
    };
}

functions! {
    initialized = "MPI_Initialized" (*mut c_int);
    finalized = "MPI_Finalized" (*mut c_int);
    init_thread = "MPI_Init_thread" (*mut c_void, *mut c_void, c_int, *mut c_int);
    query_thread = "MPI_Query_thread" (*mut c_int);
    finalize = "MPI_Finalize" ();
    abort = "MPI_Abort" (Raw, c_int);
    error_string = "MPI_Error_string" (c_int, *mut c_char, *mut c_int);
    library_version = "MPI_Get_library_version" (*mut c_char, *mut c_int);
    comm_rank = "MPI_Comm_rank" (Raw, *mut c_int);
    comm_size = "MPI_Comm_size" (Raw, *mut c_int);
    comm_dup = "MPI_Comm_dup" (Raw, *mut Raw);
    comm_split = "MPI_Comm_split" (Raw, c_int, c_int, *mut Raw);
    comm_free = "MPI_Comm_free" (*mut Raw);
    comm_set_errhandler = "MPI_Comm_set_errhandler" (Raw, Raw);
    isend = "MPI_Isend" (*const c_void, c_int, Raw, c_int, c_int, Raw, *mut Raw);
    improbe = "MPI_Improbe" (c_int, c_int, Raw, *mut c_int, *mut Raw, *mut c_int);
    get_count = "MPI_Get_count" (*const c_int, Raw, *mut c_int);
    imrecv = "MPI_Imrecv" (*mut c_void, c_int, Raw, *mut Raw, *mut Raw);
    test = "MPI_Test" (*mut Raw, *mut c_int, *mut c_int);
    ibarrier = "MPI_Ibarrier" (Raw, *mut Raw);
    ibcast = "MPI_Ibcast" (*mut c_void, c_int, Raw, c_int, Raw, *mut Raw);
    igatherv = "MPI_Igatherv" (*const c_void, c_int, Raw, *mut c_void, *const c_int, *const c_int, Raw, c_int, Raw, *mut Raw);
    iallgatherv = "MPI_Iallgatherv" (*const c_void, c_int, Raw, *mut c_void, *const c_int, *const c_int, Raw, Raw, *mut Raw);
    iscatterv = "MPI_Iscatterv" (*const c_void, *const c_int, *const c_int, Raw, *mut c_void, c_int, Raw, c_int, Raw, *mut Raw);
    ireduce = "MPI_Ireduce" (*const c_void, *mut c_void, c_int, Raw, Raw, c_int, Raw, *mut Raw);
    iallreduce = "MPI_Iallreduce" (*const c_void, *mut c_void, c_int, Raw, Raw, Raw, *mut Raw);
    ialltoallv = "MPI_Ialltoallv" (*const c_void, *const c_int, *const c_int, Raw, *mut c_void, *const c_int, *const c_int, Raw, Raw, *mut Raw);
}
