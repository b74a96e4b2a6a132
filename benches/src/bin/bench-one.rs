//! One measurement of a group, under the system's allocator.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    heist_benches::one::main()
}
