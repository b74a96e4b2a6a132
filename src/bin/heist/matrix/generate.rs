//! A symmetric positive definite matrix of any size from a fixed seed.

use faer::MatMut;

const SEED: u64 = 0x6865_6973_7400_0001;

/// Off the diagonal uniform in (-1, 1), on it n: strictly diagonally dominant, hence positive definite.
/// Every entry is computed from its place alone, so blocks can be filled in any order and by any thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Generated {
    size: usize,
}

impl Generated {
    pub(crate) fn new(size: usize) -> Generated {
        Generated { size }
    }

    pub(crate) fn size(self) -> usize {
        self.size
    }

    fn at(self, i: usize, j: usize) -> f64 {
        if i == j {
            return self.size as f64;
        }
        let (low, high) = (i.min(j) as u64, i.max(j) as u64);
        let word = scramble(SEED ^ (high * self.size as u64 + low));
        (word >> 11) as f64 * (2.0 / (1_u64 << 53) as f64) - 1.0
    }

    pub(crate) fn fill_block(self, row: usize, col: usize, mut block: MatMut<'_, f64>) {
        for j in 0..block.ncols() {
            for i in 0..block.nrows() {
                block[(i, j)] = self.at(row + i, col + j);
            }
        }
    }

    /// Adds A·x to `y`, computing each mirrored pair once.
    pub(crate) fn add_times(self, x: &[f64], y: &mut [f64]) {
        for j in 0..self.size {
            let mut sum = self.at(j, j) * x[j];
            for i in j + 1..self.size {
                let v = self.at(i, j);
                y[i] += v * x[j];
                sum += v * x[i];
            }
            y[j] += sum;
        }
    }
}

/// The output function of splitmix64.
fn scramble(seed: u64) -> u64 {
    let z = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
