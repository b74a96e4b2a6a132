//! How near the cores of a host are to each other, and the order that gives to look around from one.

use crate::Cores;

/// How far apart two cores are, nearest first.
///
/// ```
/// use heist_numa::{Cores, Ring};
///
/// let cores = Cores::flat(&"0-1".parse()?);
/// assert_eq!(cores.ring(0, 0), Ring::SameCore);
/// assert!(cores.ring(0, 1) > Ring::SharedL3);
/// # Ok::<(), heist_numa::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Ring {
    /// The same core: SMT siblings.
    SameCore,
    /// Two cores behind one L3 cache.
    SharedL3,
    /// Two cores of one package without a common L3 cache, or of a host that tells no packages apart.
    SamePackage,
    /// Two packages, or a core that is not in the list.
    Elsewhere,
}

impl Ring {
    const ALL: [Ring; 4] = [Ring::SameCore, Ring::SharedL3, Ring::SamePackage, Ring::Elsewhere];
}

impl Cores {
    /// How far apart the cores of numbers `a` and `b` are; a number from [`len`](Cores::len) on is
    /// [`Elsewhere`](Ring::Elsewhere) from every other.
    ///
    /// ```
    /// use heist_numa::{Cores, Ring};
    ///
    /// let cores = Cores::flat(&"0-1".parse()?);
    /// assert_eq!(cores.ring(0, 1), Ring::SamePackage);
    /// assert_eq!(cores.ring(0, 2), Ring::Elsewhere);
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn ring(&self, a: usize, b: usize) -> Ring {
        let (Some(core_a), Some(core_b)) = (self.as_slice().get(a), self.as_slice().get(b)) else {
            return Ring::Elsewhere;
        };
        if a == b {
            Ring::SameCore
        } else if core_b.pus().iter().any(|pu| core_a.l3().contains(pu)) {
            Ring::SharedL3
        } else if core_a.package() == core_b.package() {
            Ring::SamePackage
        } else {
            Ring::Elsewhere
        }
    }

    /// For every thread the other threads, grouped in rings from near to far, where thread `i` runs on
    /// core `thread_cores[i]`.
    ///
    /// Threads are named by their place in `thread_cores`, ascending in a ring; rings without a thread
    /// are left out. A thread that runs on no particular core has a number from [`len`](Cores::len) on.
    /// O(threads²) time and memory.
    ///
    /// ```
    /// let cores = heist_numa::Cores::flat(&"0-1".parse()?);
    /// let rings = cores.rings(&[0, 1, 0]);
    /// assert_eq!(rings[0], [vec![2], vec![1]]);
    /// assert_eq!(rings[1], [vec![0, 2]]);
    /// # Ok::<(), heist_numa::Error>(())
    /// ```
    #[must_use]
    pub fn rings(&self, thread_cores: &[usize]) -> Vec<Vec<Vec<usize>>> {
        let around = |thread: usize| {
            let mut rings = Ring::ALL.map(|_| Vec::new());
            for (other, &core) in thread_cores.iter().enumerate() {
                if other != thread {
                    rings[self.ring(thread_cores[thread], core) as usize].push(other);
                }
            }
            rings.into_iter().filter(|ring| !ring.is_empty()).collect()
        };
        (0..thread_cores.len()).map(around).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Host;

    #[test]
    fn rings_of_two_packages_with_two_l3_each() {
        let host = Host::smt(&[
            ("0,8", 0, "0-1,8-9"),
            ("1,9", 0, "0-1,8-9"),
            ("2,10", 0, "2-3,10-11"),
            ("3,11", 0, "2-3,10-11"),
            ("4,12", 1, "4-5,12-13"),
            ("5,13", 1, "4-5,12-13"),
            ("6,14", 1, "6-7,14-15"),
            ("7,15", 1, "6-7,14-15"),
        ]);
        let cores = Cores::read(host.root(), &"0-15".parse().unwrap()).unwrap();
        assert_eq!(cores.len(), 8);

        let per_core = cores.rings(&[0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(per_core[0], [vec![1], vec![2, 3], vec![4, 5, 6, 7]]);
        assert_eq!(per_core[6], [vec![7], vec![4, 5], vec![0, 1, 2, 3]]);

        let crowded = cores.rings(&[5, 0, 5, 1]);
        assert_eq!(crowded[0], [vec![2], vec![1, 3]]);
        assert_eq!(crowded[1], [vec![3], vec![0, 2]]);

        let adrift = cores.rings(&[usize::MAX, usize::MAX, 0]);
        assert_eq!(adrift, [[vec![1, 2]], [vec![0, 2]], [vec![0, 1]]]);
        assert_eq!(cores.rings(&[3]), [Vec::<Vec<usize>>::new()]);
        assert!(cores.rings(&[]).is_empty());
    }
}
