//! What a compiled MPI library expects: its handles and constants, a row of a table for each kind.

use std::ffi::c_int;
use std::path::Path;

use super::library::Library;

/// Where a predefined handle comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Handle {
    /// The address of this symbol.
    Symbol(&'static str),
    /// This number.
    Number(usize),
}

use Handle::{Number, Symbol};

/// The element types of collectives, in the order of [`Abi::types`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Basic {
    U8,
    I8,
    I16,
    I32,
    I64,
    U16,
    U32,
    U64,
    F32,
    F64,
}

/// What reductions do, in the order of [`Abi::ops`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Sum,
    Product,
    Min,
    Max,
}

/// One kind of MPI library, as its binaries are.
#[derive(Debug)]
pub(super) struct Abi {
    pub(super) name: &'static str,
    pub(super) world: Handle,
    pub(super) errors_return: Handle,
    pub(super) byte: Handle,
    pub(super) types: [Handle; 10],
    pub(super) ops: [Handle; 4],
    pub(super) any_source: c_int,
    pub(super) any_tag: c_int,
    pub(super) undefined: c_int,
    /// The word of an `MPI_Status` that holds `MPI_SOURCE`.
    pub(super) source: usize,
    pub(super) status_ignore: usize,
    pub(super) in_place: usize,
    /// `MPI_THREAD_SERIALIZED`.
    pub(super) serialized: c_int,
}

/// Open MPI: handles are addresses.
static OPEN_MPI: Abi = Abi {
    name: "Open MPI",
    world: Symbol("ompi_mpi_comm_world"),
    errors_return: Symbol("ompi_mpi_errors_return"),
    byte: Symbol("ompi_mpi_byte"),
    types: [
        Symbol("ompi_mpi_uint8_t"),
        Symbol("ompi_mpi_int8_t"),
        Symbol("ompi_mpi_int16_t"),
        Symbol("ompi_mpi_int32_t"),
        Symbol("ompi_mpi_int64_t"),
        Symbol("ompi_mpi_uint16_t"),
        Symbol("ompi_mpi_uint32_t"),
        Symbol("ompi_mpi_uint64_t"),
        Symbol("ompi_mpi_float"),
        Symbol("ompi_mpi_double"),
    ],
    ops: [Symbol("ompi_mpi_op_sum"), Symbol("ompi_mpi_op_prod"), Symbol("ompi_mpi_op_min"), Symbol("ompi_mpi_op_max")],
    any_source: -1,
    any_tag: -1,
    undefined: -32766,
    source: 0,
    status_ignore: 0,
    in_place: 1,
    serialized: 2,
};

/// MPICH, Intel MPI, MVAPICH, Cray MPI: handles are C integers.
static MPICH: Abi = Abi {
    name: "MPICH",
    world: Number(0x4400_0000),
    errors_return: Number(0x5400_0001),
    byte: Number(0x4c00_010d),
    types: [
        Number(0x4c00_013b),
        Number(0x4c00_0137),
        Number(0x4c00_0238),
        Number(0x4c00_0439),
        Number(0x4c00_083a),
        Number(0x4c00_023c),
        Number(0x4c00_043d),
        Number(0x4c00_083e),
        Number(0x4c00_040a),
        Number(0x4c00_080b),
    ],
    ops: [Number(0x5800_0003), Number(0x5800_0004), Number(0x5800_0002), Number(0x5800_0001)],
    any_source: -2,
    any_tag: -1,
    undefined: -32766,
    source: 2,
    status_ignore: 1,
    in_place: usize::MAX,
    serialized: 2,
};

/// The standard's own, since MPI 5: handles are small addresses. Untested: no such library was at hand.
static STANDARD: Abi = Abi {
    name: "an MPI with the standard ABI",
    world: Number(0x101),
    errors_return: Number(0x142),
    byte: Number(0x247),
    types: [
        Number(0x241),
        Number(0x240),
        Number(0x248),
        Number(0x250),
        Number(0x258),
        Number(0x249),
        Number(0x251),
        Number(0x259),
        Number(0x210),
        Number(0x214),
    ],
    ops: [Number(0x21), Number(0x24), Number(0x22), Number(0x23)],
    any_source: -1,
    any_tag: -2,
    undefined: -32766,
    source: 0,
    status_ignore: 0,
    in_place: 1,
    serialized: 2048,
};

/// The ABI of a library that lies at `path`.
pub(super) fn of(library: &Library, path: &Path) -> &'static Abi {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    if library.address("ompi_mpi_comm_world").is_some() {
        &OPEN_MPI
    } else if file.starts_with("libmpi_abi.") {
        &STANDARD
    } else {
        &MPICH
    }
}
