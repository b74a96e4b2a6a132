//! One measurement of the workload `spawn`, under mimalloc.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    heist_benches::spawn::cli::main()
}
