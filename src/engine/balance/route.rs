//! Where a port's work goes: the endpoints of its present table, and the choice among them.

use std::sync::Arc;

use super::limits;
use super::upstream::{Lease, Upstream};
use super::{least_connections, p2c, round_robin};
use crate::engine::spec::{Algorithm, PortProtocol};

/// What the algorithms weigh about one endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Load {
    pub in_flight: u32,
    /// Expected latency in microseconds; 0 when nothing is known.
    pub latency: f32,
    /// When it was last chosen.
    pub picked: u64,
}

/// One listener's part of a table.
#[derive(Debug)]
pub struct Route {
    /// Name for logs: `environment/service:port`.
    pub name: String,
    pub protocol: PortProtocol,
    pub algorithm: Algorithm,
    /// Only those that take new work.
    pub endpoints: Vec<Arc<Upstream>>,
}

impl Route {
    /// Chooses an endpoint that was not `tried`. Barred ones are chosen only when all are barred.
    /// `turn` rises with every call.
    pub fn choose(&self, tried: &[Arc<Upstream>], turn: u64) -> Option<&Arc<Upstream>> {
        let now = limits::uptime();
        let is_tried = |e: &Arc<Upstream>| tried.iter().any(|t| Arc::ptr_eq(t, e));
        let mut candidates: Vec<_> =
            self.endpoints.iter().filter(|e| !e.is_barred(now) && !is_tried(e)).collect();
        while !candidates.is_empty() {
            let index = self.pick(&candidates, now, turn);
            if candidates[index].claim(now) {
                return Some(candidates[index]);
            }
            candidates.swap_remove(index);
        }
        if tried.is_empty() && !self.endpoints.is_empty() {
            return self.endpoints.get(round_robin::choose(self.endpoints.len(), turn));
        }
        None
    }

    fn pick(&self, candidates: &[&Arc<Upstream>], now: u64, turn: u64) -> usize {
        let loads = || candidates.iter().map(|e| e.load(now)).collect::<Vec<_>>();
        match self.algorithm {
            Algorithm::RoundRobin => round_robin::choose(candidates.len(), turn),
            Algorithm::LeastConnections => least_connections::choose(&loads()),
            Algorithm::PeakEwma => p2c::choose(&loads(), scatter(turn ^ now.rotate_left(40))),
        }
    }

    /// Chooses and counts; `None` when there is nobody to take it. An endpoint that began to
    /// drain meanwhile is reported by the inner `None`: ask the newer route.
    pub fn lease(&self, tried: &[Arc<Upstream>], turn: u64) -> Option<Option<Lease>> {
        self.choose(tried, turn).map(Lease::take)
    }
}

/// A well-mixed number from a counter (the finalizer of SplitMix64).
fn scatter(counter: u64) -> u64 {
    let mut z = counter.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn route(algorithm: Algorithm, count: u16) -> Route {
        let replica = crate::base::id::ReplicaId::from(uuid::Uuid::nil());
        let endpoints = (1..=count)
            .map(|port| Arc::new(Upstream::new(replica, SocketAddr::from(([127, 0, 0, 1], port)))))
            .collect();
        Route { name: "e/s:80".to_owned(), protocol: PortProtocol::Http, algorithm, endpoints }
    }

    const ALGORITHMS: [Algorithm; 3] =
        [Algorithm::PeakEwma, Algorithm::LeastConnections, Algorithm::RoundRobin];

    #[test]
    fn sequential_requests_reach_all_of_three_within_twelve() {
        for algorithm in ALGORITHMS {
            let route = route(algorithm, 3);
            let mut reached = std::collections::HashSet::new();
            for turn in 1..=12 {
                let lease = route.lease(&[], turn).flatten().expect("an endpoint");
                reached.insert(lease.upstream().address);
            }
            assert_eq!(reached.len(), 3, "{algorithm:?}");
        }
    }

    #[test]
    fn a_barred_endpoint_is_skipped_but_the_last_one_never() {
        for algorithm in ALGORITHMS {
            let route = route(algorithm, 2);
            route.endpoints[0].unreachable();
            for turn in 1..20 {
                let chosen = route.choose(&[], turn).expect("an endpoint");
                assert_eq!(chosen.address.port(), 2, "{algorithm:?}");
            }
            route.endpoints[1].unreachable();
            assert!(route.choose(&[], 21).is_some(), "{algorithm:?}");
        }
    }

    #[test]
    fn what_was_tried_is_not_chosen_again() {
        for algorithm in ALGORITHMS {
            let route = route(algorithm, 2);
            let tried = vec![route.endpoints[1].clone()];
            let chosen = route.choose(&tried, 1).expect("the other");
            assert_eq!(chosen.address.port(), 1);
            assert!(route.choose(&route.endpoints.clone(), 2).is_none());
        }
    }
}
