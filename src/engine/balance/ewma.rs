//! Peak EWMA of a latency: a rise counts at once, a fall and silence are forgotten over
//! [`DECAY_MILLIS`]. Silence decays too, so that a once slow endpoint is tried again.

use std::sync::atomic::{AtomicU64, Ordering};

/// Time constant of forgetting.
const DECAY_MILLIS: f32 = 5000.0;

/// A latency in microseconds as of a moment in milliseconds. The moment wraps after 49 days.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Ewma {
    micros: f32,
    at: u32,
}

impl Ewma {
    fn weight(self, now: u32) -> f32 {
        // A moment slightly before `at` (another thread was first) is no time at all.
        let elapsed = now.wrapping_sub(self.at);
        let elapsed = if elapsed > u32::MAX / 2 { 0 } else { elapsed };
        (-(elapsed as f32) / DECAY_MILLIS).exp()
    }

    /// The latency to expect at `now`.
    pub fn at(self, now: u32) -> f32 {
        self.micros * self.weight(now)
    }

    /// The average after a request took `micros`.
    #[must_use]
    pub fn observe(self, now: u32, micros: f32) -> Self {
        let weight = self.weight(now);
        let expected = self.micros * weight;
        let micros = if micros > expected { micros } else { expected + micros * (1.0 - weight) };
        Self { micros, at: now }
    }
}

/// An [`Ewma`] that many threads update, in one word.
#[derive(Debug, Default)]
pub struct SharedEwma(AtomicU64);

impl SharedEwma {
    /// The present average.
    pub fn get(&self) -> Ewma {
        unpack(self.0.load(Ordering::Relaxed))
    }

    /// Counts one request.
    pub fn observe(&self, now: u32, micros: f32) {
        let update = |word| Some(pack(unpack(word).observe(now, micros)));
        // The closure always yields a value, so there is nothing to report.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
    }
}

fn pack(ewma: Ewma) -> u64 {
    u64::from(ewma.micros.to_bits()) << 32 | u64::from(ewma.at)
}

fn unpack(word: u64) -> Ewma {
    let [high, low] = [(word >> 32) as u32, (word & 0xffff_ffff) as u32];
    Ewma { micros: f32::from_bits(high), at: low }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_peak_counts_at_once(before in 0f32..1e6, peak in 1e6f32..1e7, at: u32, after in 0u32..60_000) {
            let ewma = Ewma { micros: before, at };
            let now = at.wrapping_add(after);
            prop_assert_eq!(ewma.observe(now, peak).at(now), peak);
        }

        #[test]
        fn silence_is_forgotten(micros in 1f32..1e7, at: u32) {
            let ewma = Ewma { micros, at };
            prop_assert!(ewma.at(at.wrapping_add(1000)) < micros);
            prop_assert!(ewma.at(at.wrapping_add(60_000)) < micros / 1000.0);
        }

        #[test]
        fn stays_within_what_was_seen(
            samples in prop::collection::vec((0u32..2000, 1f32..1e6), 1..100),
        ) {
            let (mut ewma, mut now, mut highest) = (Ewma::default(), 7, 0f32);
            for (pause, micros) in samples {
                now += pause;
                highest = highest.max(micros);
                ewma = ewma.observe(now, micros);
                prop_assert!(ewma.at(now) >= 0.0 && ewma.at(now) <= highest * 1.001);
            }
        }

        #[test]
        fn fits_one_word(micros in 0f32..1e9, at: u32) {
            let ewma = Ewma { micros, at };
            prop_assert_eq!(unpack(pack(ewma)), ewma);
        }
    }
}
