//! Which rank has which tile: block-cyclic in both directions.

use heist::Rank;

/// The ranks as a grid as close to a square as their number allows. Rows and columns of tiles are dealt out in turn, so that
/// each rank has its share of the matrix from the first column to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    rows: usize,
    cols: usize,
}

impl Grid {
    pub(super) fn of(ranks: usize) -> Grid {
        let ranks = ranks.max(1);
        let rows = (1..=ranks).take_while(|rows| rows * rows <= ranks).filter(|rows| ranks.is_multiple_of(*rows));
        let rows = rows.last().unwrap_or(1);
        Grid { rows, cols: ranks / rows }
    }

    /// The rank that has tile `(i, j)`.
    pub(super) fn owner(self, i: usize, j: usize) -> Rank {
        let rank = i % self.rows * self.cols + j % self.cols;
        Rank(u32::try_from(rank).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_is_as_square_as_can_be() {
        let shape = |ranks| (Grid::of(ranks).rows, Grid::of(ranks).cols);
        let shapes = [1, 2, 3, 4, 6, 7, 12, 64].map(shape);
        assert_eq!(shapes, [(1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (1, 7), (3, 4), (8, 8)]);
    }

    #[test]
    fn every_rank_has_its_share_of_the_triangle() {
        for ranks in 1..=16 {
            let mut tiles = vec![0; ranks];
            let count = 200;
            let lower = (0..count).flat_map(|i| (0..=i).map(move |j| (i, j)));
            lower.for_each(|(i, j)| tiles[Grid::of(ranks).owner(i, j).0 as usize] += 1);
            let (least, most) = (tiles.iter().min().unwrap(), tiles.iter().max().unwrap());
            assert!(*least as f64 > 0.8 * *most as f64, "{ranks} ranks: {tiles:?}");
        }
    }
}
