//! Least connections: the fewest in flight; among equals the one that waited longest.

use super::route::Load;

/// Index of the least loaded endpoint; 0 when there is none.
pub fn choose(loads: &[Load]) -> usize {
    loads
        .iter()
        .enumerate()
        .min_by_key(|(_, load)| (load.in_flight, load.picked))
        .map_or(0, |(index, _)| index)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nobody_has_fewer_in_flight(in_flight in prop::collection::vec(0u32..50, 1..40)) {
            let loads: Vec<_> =
                in_flight.iter().map(|n| Load { in_flight: *n, ..Load::default() }).collect();
            let chosen = in_flight[choose(&loads)];
            prop_assert_eq!(Some(&chosen), in_flight.iter().min());
        }

        #[test]
        fn idle_endpoints_take_turns(count in 1usize..20) {
            let mut loads = vec![Load::default(); count];
            let mut seen = Vec::new();
            for turn in 1..=count as u64 {
                let index = choose(&loads);
                loads[index].picked = turn;
                seen.push(index);
            }
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..count).collect::<Vec<_>>());
        }
    }
}
