//! Round robin: one after the other.

/// Index of the endpoint whose turn it is, of `count` (at least one).
pub fn choose(count: usize, turn: u64) -> usize {
    let count = u64::try_from(count.max(1)).unwrap_or(1);
    usize::try_from(turn % count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_endpoint_has_one_turn_in_a_round(count in 1usize..200, start in 0u64..u64::MAX / 2) {
            let mut seen: Vec<_> = (0..count as u64).map(|i| choose(count, start + i)).collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..count).collect::<Vec<_>>());
        }
    }
}
