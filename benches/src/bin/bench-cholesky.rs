//! One measurement of the workload `cholesky`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    heist_benches::cholesky::cli::main()
}
