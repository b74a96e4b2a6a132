//! The image of this program: where its code and its constants lie, and by what it is told from another build.

use std::ffi::{c_int, c_void};
use std::hash::{DefaultHasher, Hasher};
use std::ops::Range;
use std::panic::Location;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::malformed;
use crate::error::TaskError;

/// The loaded object that this code is part of: the executable, or a library that has heist in it.
#[derive(Debug)]
pub(crate) struct Image {
    /// What is added to the addresses in the file.
    base: usize,
    text: Vec<Range<usize>>,
    /// What nobody can write to once the program has begun.
    constant: Vec<Range<usize>>,
    /// The part of it that the loader leaves as it is in the file.
    as_in_file: Vec<Range<usize>>,
}

/// A constant on its way: its place in the image, which is the same in every process of one build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Named {
    place: u64,
    bytes: u64,
    seal: u64,
}

/// What is said of constants by their seals.
#[derive(Clone, Copy)]
enum Sort {
    Text = 1,
    Location = 2,
}

/// Of two numbers, one that goes with no other two but by rare chance: tells corruption, not malice.
pub(super) fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ 0x6865_6973_745f_666e) * u128::from(b ^ 0xa37c_15f1_4e0b_9d62);
    (product >> 64) as u64 ^ product as u64
}

impl Image {
    /// The one of this process.
    pub(crate) fn this() -> Result<&'static Self, TaskError> {
        static THIS: OnceLock<Option<Image>> = OnceLock::new();
        let this = THIS.get_or_init(find).as_ref();
        this.ok_or_else(|| malformed("a function: the loader does not tell where the code of this program is"))
    }

    /// The same in all processes of one build, and in no other build.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for range in &self.as_in_file {
            hasher.write_usize(range.start.wrapping_sub(self.base));
            let start = std::ptr::with_exposed_provenance(range.start);
            // SAFETY: these bytes are mapped to be read, and by nobody written, for as long as this code is.
            hasher.write(unsafe { std::slice::from_raw_parts(start, range.len()) });
        }
        hasher.finish()
    }

    /// The place of an address.
    pub(super) fn place(&self, address: usize) -> u64 {
        address.wrapping_sub(self.base) as u64
    }

    /// The address of a place in the code.
    pub(super) fn code(&self, place: u64) -> Option<usize> {
        self.within(&self.text, place, 1)
    }

    /// The address of a place with so many bytes of constants behind it.
    pub(super) fn constant(&self, place: u64, bytes: usize) -> Option<usize> {
        self.within(&self.constant, place, bytes)
    }

    /// The name of what lies at an address, if that is a constant.
    fn name(&self, address: usize, bytes: usize, sort: Sort) -> Option<Named> {
        let (place, bytes) = (self.place(address), bytes as u64);
        let named = Named { place, bytes, seal: fold(fold(place, bytes), sort as u64) };
        self.find(&named, sort).map(|_| named)
    }

    fn find(&self, named: &Named, sort: Sort) -> Option<usize> {
        let &Named { place, bytes, seal } = named;
        let address = self.constant(place, usize::try_from(bytes).ok()?);
        address.filter(|_| seal == fold(fold(place, bytes), sort as u64))
    }

    /// The name of a text that is part of the program.
    pub(crate) fn name_of_text(&self, text: &'static str) -> Option<Named> {
        self.name(text.as_ptr().expose_provenance(), text.len(), Sort::Text)
    }

    pub(crate) fn text(&self, named: Named) -> Option<&'static str> {
        let start = std::ptr::with_exposed_provenance(self.find(&named, Sort::Text)?);
        // SAFETY: so many bytes of constants, which nobody writes for as long as there is code to read them.
        let bytes = unsafe { std::slice::from_raw_parts(start, named.bytes as usize) };
        std::str::from_utf8(bytes).ok()
    }

    /// The name of a place in the program's source.
    pub(crate) fn name_of(&self, location: &'static Location<'static>) -> Option<Named> {
        self.name(std::ptr::from_ref(location).expose_provenance(), size_of::<Location>(), Sort::Location)
    }

    pub(crate) fn location(&self, named: Named) -> Option<&'static Location<'static>> {
        let at = std::ptr::with_exposed_provenance::<Location>(self.find(&named, Sort::Location)?);
        // SAFETY: by its seal a process of the same build has found a location at this place, whose bytes are the same in
        // this one, and constant for as long as there is code to read them.
        at.is_aligned().then(|| unsafe { &*at })
    }

    fn within(&self, ranges: &[Range<usize>], place: u64, bytes: usize) -> Option<usize> {
        let start = self.base.wrapping_add(usize::try_from(place).ok()?);
        let end = start.checked_add(bytes)?;
        ranges.iter().any(|range| range.start <= start && end <= range.end).then_some(start)
    }
}

fn find() -> Option<Image> {
    let mut search = Search { address: find as fn() -> Option<Image> as usize, found: None };
    // SAFETY: `look` is called with the pointer given here, only within this call.
    unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut search).cast()) };
    search.found
}

struct Search {
    address: usize,
    found: Option<Image>,
}

/// Looks at one object; not zero ends the search.
unsafe extern "C" fn look(info: *mut libc::dl_phdr_info, _size: usize, search: *mut c_void) -> c_int {
    // SAFETY: the loader's description of an object, good for this call.
    let info = unsafe { &*info };
    // SAFETY: what `find` has given, which nobody else uses meanwhile.
    let search = unsafe { &mut *search.cast::<Search>() };
    if info.dlpi_phdr.is_null() {
        return 0;
    }
    // SAFETY: as many headers as the loader says.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    let base = info.dlpi_addr as usize;
    let range = |header: &libc::Elf64_Phdr| {
        let start = base.wrapping_add(header.p_vaddr as usize);
        start..start.saturating_add(header.p_memsz as usize)
    };
    let loaded = |may: u32, may_not: u32| {
        let fits = move |header: &&libc::Elf64_Phdr| {
            header.p_type == libc::PT_LOAD && header.p_flags & may == may && header.p_flags & may_not == 0
        };
        headers.iter().filter(fits).map(range).collect::<Vec<_>>()
    };
    let text = loaded(libc::PF_X, libc::PF_W);
    if !text.iter().any(|range| range.contains(&search.address)) {
        return 0;
    }
    let as_in_file = loaded(libc::PF_R, libc::PF_W);
    let relocated = headers.iter().filter(|header| header.p_type == libc::PT_GNU_RELRO).map(range);
    let constant = as_in_file.iter().cloned().chain(relocated).collect();
    search.found = Some(Image { base, text, constant, as_in_file });
    1
}
