//! Power of two choices on peak EWMA: draw two at random, take the one that costs less.
//!
//! *Cost* is latency × (requests in flight + 1). Latencies below [`FLOOR_MICROS`], or within a
//! factor of two of each other, count as equal: such differences are noise. Then the fewer in
//! flight decide, then who waited longest, so that equal endpoints share even sequential requests.

use super::route::Load;

/// Differences below this are noise of the scheduler, not of the endpoint.
const FLOOR_MICROS: f32 = 1000.0;

/// Index of the cheaper of two endpoints drawn by `random`; 0 when there are none.
pub fn choose(loads: &[Load], random: u64) -> usize {
    let count = loads.len() as u64;
    if count < 2 {
        return 0;
    }
    let first = (random >> 32) % count;
    let second = (first + 1 + (random & 0xffff_ffff) % (count - 1)) % count;
    let (first, second) = (first as usize, second as usize);
    if is_cheaper(loads[first], loads[second]) { first } else { second }
}

fn is_cheaper(a: Load, b: Load) -> bool {
    let (latency_a, latency_b) = (a.latency.max(FLOOR_MICROS), b.latency.max(FLOOR_MICROS));
    if latency_a < 2.0 * latency_b && latency_b < 2.0 * latency_a {
        return (a.in_flight, a.picked) <= (b.in_flight, b.picked);
    }
    let cost = |latency: f32, load: Load| f64::from(latency) * (f64::from(load.in_flight) + 1.0);
    cost(latency_a, a) <= cost(latency_b, b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn load() -> impl Strategy<Value = Load> {
        (0u32..100, 0f32..10_000_000.0, 0u64..1000).prop_map(|(in_flight, latency, picked)| Load {
            in_flight,
            latency,
            picked,
        })
    }

    proptest! {
        #[test]
        fn draws_stay_in_range(loads in prop::collection::vec(load(), 1..50), random: u64) {
            prop_assert!(choose(&loads, random) < loads.len());
        }

        #[test]
        fn the_worst_in_every_respect_is_never_chosen(
            mut loads in prop::collection::vec(load(), 1..20), at in 0usize..20, random: u64,
        ) {
            let at = at % (loads.len() + 1);
            loads.insert(at, Load { in_flight: 200, latency: 3e7, picked: 2000 });
            prop_assert_ne!(choose(&loads, random), at);
        }

        #[test]
        fn equal_endpoints_are_all_reached_soon(seed: u64, count in 2usize..6) {
            let mut loads = vec![Load::default(); count];
            let mut random = seed;
            for turn in 1..=(count as u64 * 12) {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let index = choose(&loads, random ^ (random >> 29));
                loads[index].picked = turn;
            }
            prop_assert!(loads.iter().all(|load| load.picked > 0));
        }
    }

    #[test]
    fn a_slow_endpoint_gets_less() {
        let fast = Load { in_flight: 3, latency: 1000.0, picked: 9 };
        let slow = Load { in_flight: 0, latency: 50_000.0, picked: 0 };
        for random in [0, 1, u64::MAX, 1 << 40] {
            assert_eq!(choose(&[fast, slow], random), 0);
        }
    }
}
