//! One measurement of the workload `spawn`, under the system's allocator.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    heist_benches::spawn::cli::main()
}
