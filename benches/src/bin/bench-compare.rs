//! heist and its peers in one run. `scripts/bench-compare` builds everything and calls it.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    heist_benches::compare::main()
}
