//! Memory that the processes of a host share.

mod address;
mod backing;
mod draft;
mod frozen;
#[allow(unsafe_code, reason = "memory that others write to is reached by atomic words")]
mod shared;
mod sweep;

use std::{
    fmt,
    fs::{self, File},
    io,
    ops::RangeBounds,
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
    sync::atomic::AtomicU64,
};

use memmap2::{MmapOptions, MmapRaw};

use crate::{
    error::Error,
    fault::Fault,
    region::{
        policy::{Placed, Policy, deal, place},
        populate_pages, positions,
        residency::Residency,
    },
    sys_file,
    sys_memory::{self, Move, page_size},
};
use address::{Address, Place, Process};
pub use draft::Draft;
pub use frozen::{Frozen, NotFrozen};
use shared::Shared;
pub use sweep::{Swept, sweep, sweep_in};

/// Memory that processes of one host and user share, zero at first.
///
/// The owner makes it and sends its [address](Segment::address) to its peers, which attach to it. All of them may read
/// and write at any time, so that nobody is given a slice: bytes are [copied out](Segment::read) and
/// [in](Segment::write), words are [atomics](Segment::atomics), and a slice is to be had once it is
/// [frozen](Segment::freeze). Copies are as `Relaxed` atomics are: what a peer wrote is there after its `Release` of a
/// word that one has seen by `Acquire`.
///
/// It is anonymous memory that no peer can shrink (a memfd), which ends with the last process that has it, however that
/// ends. Where the kernel has none of that, or in a [folder](Segment::create_in) by choice, it is a file, which is
/// read and written by system calls and never mapped, since a peer that cuts it short would else end this process.
///
/// ```
/// use heist_numa::Segment;
///
/// let ours = Segment::create(1 << 20)?;
/// let theirs = Segment::attach(&ours.address())?; // in another process
/// theirs.write(1_000, b"hello")?;
/// let mut found = [0; 5];
/// ours.read(1_000, &mut found)?;
/// assert_eq!(&found, b"hello");
/// # Ok::<(), heist_numa::Error>(())
/// ```
pub struct Segment {
    file: File,
    /// Only of a memfd whose size is sealed.
    shared: Option<Shared>,
    address: Address,
    is_named: bool,
    warnings: Vec<String>,
}

impl Segment {
    /// Makes a segment of `len` bytes: a memfd, else a file in `/dev/shm`, else one in the folder for temporary files.
    ///
    /// # Errors
    ///
    /// [`is_out_of_memory`](Error::is_out_of_memory) when nowhere is room; the message tells of each place.
    ///
    /// ```
    /// let segment = heist_numa::Segment::create(1 << 20)?;
    /// assert_eq!(segment.len(), 1 << 20);
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    pub fn create(len: usize) -> Result<Segment, Error> {
        let (file, address) = backing::create(len)?;
        Segment::new(file, address, true)
    }

    /// Makes a segment of `len` bytes that is a file in `folder`: for peers that do not see this process in `/proc`, as in
    /// another container. All its room is taken at once.
    ///
    /// A killed process leaves its files behind: see [`sweep_in`].
    ///
    /// # Errors
    ///
    /// [`is_out_of_memory`](Error::is_out_of_memory) when there is no room, or no such folder; the source tells.
    ///
    /// ```
    /// let segment = heist_numa::Segment::create_in(std::env::temp_dir(), 1_000)?;
    /// segment.write(997, &[1, 2, 3])?;
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    pub fn create_in(folder: impl AsRef<Path>, len: usize) -> Result<Segment, Error> {
        let (file, address) = backing::create_in(folder.as_ref(), len)?;
        Segment::new(file, address, true)
    }

    /// Attaches to the segment of a process, this or another, that told its address.
    ///
    /// # Errors
    ///
    /// [`is_syntax`](Error::is_syntax) when the text is no address; [`is_gone`](Error::is_gone) when its owner ended, took
    /// the name away, belongs to another user or is on another host, or something else is there now.
    ///
    /// ```
    /// use heist_numa::Segment;
    ///
    /// assert!(Segment::attach("somewhere").unwrap_err().is_syntax());
    ///
    /// let segment = Segment::create(8)?;
    /// let address = segment.address();
    /// assert_eq!(Segment::attach(&address)?.len(), 8);
    /// drop(segment);
    /// assert!(Segment::attach(&address).unwrap_err().is_gone());
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    pub fn attach(address: &str) -> Result<Segment, Error> {
        let address: Address = address.parse()?;
        let file = backing::open(&address)?;
        Segment::new(file, address, false)
    }

    fn new(file: File, address: Address, is_ours: bool) -> Result<Segment, Error> {
        let is_named = is_ours && matches!(address.place, Place::File(_));
        let mut segment = Segment { file, shared: None, address, is_named, warnings: Vec::new() };
        if matches!(segment.address.place, Place::Memfd(_)) {
            segment.shared = Some(segment.map()?);
        }
        Ok(segment)
    }

    fn map(&self) -> Result<Shared, Error> {
        Shared::map(&self.file, self.file_bytes()).map_err(|source| {
            let (call, what) = ("mmap", format!("the segment `{}`", self.address));
            let hint = "a frozen segment is attached to by Frozen::attach; else raise ulimit -v or vm.max_map_count";
            Fault::Call { call, what, hint, source }.into()
        })
    }

    fn file_bytes(&self) -> usize {
        self.len().max(1).next_multiple_of(page_size())
    }

    /// What peers attach by: one line of printable text, of no use on another host.
    ///
    /// ```
    /// let segment = heist_numa::Segment::create(8)?;
    /// assert!(segment.address().starts_with("memfd:") || segment.address().starts_with("file:"));
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Its bytes.
    ///
    /// ```
    /// assert_eq!(heist_numa::Segment::create(10)?.len(), 10);
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.address.len
    }

    /// True when it has no byte.
    ///
    /// ```
    /// assert!(heist_numa::Segment::create(0)?.is_empty());
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True when it is mapped memory, so that there are [atomics](Segment::atomics); a file is not.
    ///
    /// ```
    /// assert!(!heist_numa::Segment::create_in(std::env::temp_dir(), 10)?.is_mapped());
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn is_mapped(&self) -> bool {
        self.shared.is_some()
    }

    fn check(&self, offset: usize, len: usize) -> Result<(), Error> {
        positions(offset..offset.saturating_add(len), self.len(), "bytes of the segment").map(drop)
    }

    /// Copies bytes from `offset` on to `to`. Words that a peer writes meanwhile are copied as they were or as they come to
    /// be, in any mixture: decode the copy as what a stranger sent.
    ///
    /// # Errors
    ///
    /// [`is_out_of_range`](Error::is_out_of_range) when it has no such bytes; [`is_gone`](Error::is_gone) when it is a file
    /// that someone cut short.
    ///
    /// ```
    /// let segment = heist_numa::Segment::create(100)?;
    /// let mut found = [1; 8];
    /// segment.read(92, &mut found)?;
    /// assert_eq!(found, [0; 8]);
    /// assert!(segment.read(93, &mut found).unwrap_err().is_out_of_range());
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    pub fn read(&self, offset: usize, to: &mut [u8]) -> Result<(), Error> {
        self.check(offset, to.len())?;
        match &self.shared {
            Some(shared) => {
                shared::read(shared.words(), offset, to);
                Ok(())
            }
            None => self.file.read_exact_at(to, offset as u64).map_err(|why| self.lost(why)),
        }
    }

    /// Copies bytes to `offset` on. Bytes beside them stay as they are, or as peers write them meanwhile.
    ///
    /// # Errors
    ///
    /// [`is_out_of_range`](Error::is_out_of_range) when it has no such bytes; [`is_gone`](Error::is_gone) when it is a file
    /// that the system fails to write.
    ///
    /// ```
    /// let segment = heist_numa::Segment::create(100)?;
    /// segment.write(50, &[7; 50])?;
    /// assert!(segment.write(51, &[7; 50]).unwrap_err().is_out_of_range());
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    pub fn write(&self, offset: usize, from: &[u8]) -> Result<(), Error> {
        self.check(offset, from.len())?;
        match &self.shared {
            Some(shared) => {
                shared::write(shared.words(), offset, from);
                Ok(())
            }
            None => self.file.write_all_at(from, offset as u64).map_err(|why| self.lost(why)),
        }
    }

    fn lost(&self, why: io::Error) -> Error {
        let cut = why.kind() == io::ErrorKind::UnexpectedEof;
        let why = if cut { "someone cut the file short".to_owned() } else { why.to_string() };
        Fault::Gone { address: self.address(), why }.into()
    }

    /// `count` words from `offset` on, a multiple of 8, that all who have the segment may change.
    ///
    /// # Errors
    ///
    /// [`is_out_of_range`](Error::is_out_of_range) when it has no such words; [`is_unavailable`](Error::is_unavailable) when
    /// it is not [mapped](Segment::is_mapped).
    ///
    /// ```
    /// use std::sync::atomic::Ordering;
    ///
    /// let ours = heist_numa::Segment::create(4_096)?;
    /// let theirs = heist_numa::Segment::attach(&ours.address())?;
    /// if ours.is_mapped() {
    ///     ours.write(64, b"a message")?;
    ///     ours.atomics(0, 1)?[0].store(9, Ordering::Release);
    ///
    ///     let len = theirs.atomics(0, 1)?[0].load(Ordering::Acquire);
    ///     let mut message = vec![0; len as usize];
    ///     theirs.read(64, &mut message)?;
    ///     assert_eq!(message, b"a message");
    /// }
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    pub fn atomics(&self, offset: usize, count: usize) -> Result<&[AtomicU64], Error> {
        let Some(shared) = &self.shared else {
            return Err(Fault::Unmapped { address: self.address() }.into());
        };
        if !offset.is_multiple_of(size_of::<u64>()) {
            return Err(Fault::Odd { offset }.into());
        }
        self.check(offset, count.saturating_mul(size_of::<u64>()))?;
        Ok(&shared.words()[offset / size_of::<u64>()..][..count])
    }

    /// Has its pages come from domains as the policy says, whoever writes to them first, and moves those that are there.
    /// Best done by the owner before the first write, since pages that a peer has too do not move.
    ///
    /// Where the kernel does not let memory be placed, and for files on a disk, that is a
    /// [warning](Segment::warnings).
    ///
    /// # Errors
    ///
    /// [`is_unavailable`](Error::is_unavailable) when a domain has no memory for this process;
    /// [`is_refused`](Error::is_refused) when pages stay where they are.
    ///
    /// ```
    /// use heist_numa::{Policy, Segment};
    ///
    /// let mut segment = Segment::create(1 << 16)?;
    /// segment.place(&Policy::On(0))?;
    /// assert!(segment.place(&Policy::On(4_000)).unwrap_err().is_unavailable());
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    pub fn place(&mut self, policy: &Policy) -> Result<(), Error> {
        if !self.is_mapped() && !sys_file::is_memory(&self.file).map_err(|why| self.lost(why))? {
            self.warnings.push(format!("`{}` is not placed by {policy:?}: its file is on a disk", self.address));
            return Ok(());
        }
        let placed = self.with_mapping(|start, bytes| {
            make_present(&self.file, start, bytes)?;
            match place(start, bytes, policy, Move::All)? {
                Placed::AsAsked => deal(start, bytes, policy),
                other => Ok(other),
            }
        })?;
        match placed {
            Placed::Stuck => Err(Fault::Kept { address: self.address(), policy: format!("{policy:?}") }.into()),
            placed => {
                self.warnings.extend(placed.warning(policy));
                Ok(())
            }
        }
    }

    /// Takes the memory of the bytes in `range` without a change to them; several threads may do so at once. A file has it
    /// from the start.
    ///
    /// # Errors
    ///
    /// [`is_out_of_range`](Error::is_out_of_range) when it has no such bytes; [`is_out_of_memory`](Error::is_out_of_memory)
    /// when the kernel has no pages.
    ///
    /// ```
    /// let segment = heist_numa::Segment::create(1 << 16)?;
    /// segment.populate(..)?;
    /// assert_eq!(segment.residency()?.absent(), 0);
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    pub fn populate(&self, range: impl RangeBounds<usize>) -> Result<(), Error> {
        let range = positions(range, self.len(), "bytes of the segment")?;
        match &self.shared {
            Some(shared) if !range.is_empty() => {
                let start = shared.address();
                populate_pages(start + range.start, start + range.end, "the pages of a segment")
            }
            _ => Ok(()),
        }
    }

    /// Where its pages are, whoever took them.
    ///
    /// # Errors
    ///
    /// [`is_refused`](Error::is_refused) when the kernel does not tell, as under a system call filter.
    ///
    /// ```
    /// let segment = heist_numa::Segment::create(1 << 16)?;
    /// assert_eq!(segment.residency()?.absent(), segment.residency()?.pages());
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    pub fn residency(&self) -> Result<Residency, Error> {
        self.with_mapping(|start, bytes| {
            make_present(&self.file, start, bytes)?;
            Residency::of(start, bytes)
        })
    }

    /// Hands the address of a mapping of the segment to `work`, which reads and writes nothing there.
    fn with_mapping<R>(&self, work: impl FnOnce(usize, usize) -> Result<R, Error>) -> Result<R, Error> {
        if let Some(shared) = &self.shared {
            return work(shared.address(), shared.len());
        }
        let map = MmapOptions::new().len(self.file_bytes()).map_raw(&self.file);
        let map: MmapRaw = map.map_err(|why| self.lost(why))?;
        work(map.as_ptr() as usize, map.len())
    }

    /// Lets no further process attach: a file loses its name, which a memfd never had. Those that have the segment keep it.
    /// Done at the end by itself; best done by the owner when all peers have attached, so that nothing is left behind should
    /// it be killed.
    ///
    /// # Errors
    ///
    /// [`is_gone`](Error::is_gone) when the file cannot be removed; one that is not there is no error.
    ///
    /// ```
    /// let mut segment = heist_numa::Segment::create_in(std::env::temp_dir(), 100)?;
    /// let peer = heist_numa::Segment::attach(&segment.address())?;
    /// segment.unlink()?;
    /// assert!(heist_numa::Segment::attach(&segment.address()).unwrap_err().is_gone());
    /// peer.write(0, b"still there")?;
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    pub fn unlink(&mut self) -> Result<(), Error> {
        // A child made by fork has the segment too, and not its name.
        if self.is_named
            && self.address.owner == Process::this()
            && let Place::File(path) = &self.address.place
        {
            match fs::remove_file(path) {
                Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(self.lost(why)),
                _ => self.is_named = false,
            }
        }
        Ok(())
    }

    /// What could not be done as asked, and how it can be.
    ///
    /// ```
    /// assert!(heist_numa::Segment::create(1)?.warnings().is_empty());
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// Has this process know the pages that the file has: only those of its own does the kernel tell the places of, or move.
fn make_present(file: &File, start: usize, bytes: usize) -> Result<(), Error> {
    let page = page_size();
    let refused = |call, source| {
        let hint = "the pages of a segment are not found without it";
        Fault::Call { call, what: format!("{bytes} bytes"), hint, source }
    };
    // Pages that are reserved and not yet written count as blocks, and are not told of as being in memory.
    let is_whole = file.metadata().is_ok_and(|found| found.blocks() * 512 >= bytes as u64);
    let found = if is_whole {
        vec![true; bytes / page]
    } else {
        sys_file::in_memory(start, bytes / page, page).map_err(|source| refused("mincore", source))?
    };
    let mut first = start;
    for run in found.chunk_by(|a, b| a == b) {
        if run[0] {
            sys_memory::populate(first, run.len() * page).map_err(|source| refused("madvise", source))?;
        }
        first += run.len() * page;
    }
    Ok(())
}

impl Drop for Segment {
    fn drop(&mut self) {
        // A name that stays is swept at the next start.
        _ = self.unlink();
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment")
            .field("address", &self.address())
            .field("shared", &self.shared)
            .field("warnings", &self.warnings)
            .finish()
    }
}
