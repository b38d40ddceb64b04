//! Cases and properties of probe answers.

use proptest::prelude::*;

use super::*;

fn start() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

fn ms(n: i64) -> Timestamp {
    start() + Duration::milliseconds(n)
}

fn probe(delay: u32, period: u32, success: u32, failure: u32) -> Probe {
    Probe {
        http_get: None,
        tcp_socket: None,
        exec: None,
        initial_delay_seconds: delay,
        period_seconds: period,
        timeout_seconds: 1,
        success_threshold: success,
        failure_threshold: failure,
    }
}

fn only(kind: Kind, probe: Probe) -> Probes {
    let mut probes = Probes::default();
    match kind {
        Kind::Startup => probes.startup = Some(probe),
        Kind::Readiness => probes.readiness = Some(probe),
        Kind::Liveness => probes.liveness = Some(probe),
    }
    probes
}

fn due(health: &Health, kind: Kind) -> Option<i64> {
    health.next_due(kind).map(|at| (at - start()).num_milliseconds())
}

#[test]
fn without_probes_a_running_container_is_ready() {
    let health = Health::new(&Probes::default(), false, start());
    assert!(health.is_ready());
    assert_eq!(health.next(), None);
}

#[test]
fn readiness_is_asked_quickly_until_its_first_success_and_then_once_per_period() {
    let mut health = Health::new(&only(Kind::Readiness, probe(0, 1, 1, 3)), false, start());
    let mut asked = Vec::new();
    for _ in 0..7 {
        let at = health.next_due(Kind::Readiness).expect("due");
        asked.push((at - start()).num_milliseconds());
        health.observe(Kind::Readiness, false, at);
    }
    assert_eq!(asked, [0, 50, 100, 200, 400, 800, 1000]);
    assert!(!health.is_ready());
    health.observe(Kind::Readiness, true, ms(1600));
    assert!(health.is_ready());
    assert_eq!(due(&health, Kind::Readiness), Some(2600));
    health.observe(Kind::Readiness, false, ms(2600));
    assert_eq!(due(&health, Kind::Readiness), Some(3600), "no quick questions after a success");
}

#[test]
fn quick_questions_wait_for_the_initial_delay() {
    let health = Health::new(&only(Kind::Readiness, probe(5, 10, 1, 3)), false, start());
    assert_eq!(due(&health, Kind::Readiness), Some(5000));
}

#[test]
fn a_ready_container_stays_ready_until_the_threshold_and_comes_back() {
    let mut health = Health::new(&only(Kind::Readiness, probe(0, 1, 2, 2)), false, start());
    health.observe(Kind::Readiness, true, ms(0));
    assert!(!health.is_ready());
    health.observe(Kind::Readiness, true, ms(1000));
    assert!(health.is_ready());
    health.observe(Kind::Readiness, false, ms(2000));
    assert!(health.is_ready());
    health.observe(Kind::Readiness, false, ms(3000));
    assert!(!health.is_ready());
    assert!(!health.is_dead());
    health.observe(Kind::Readiness, true, ms(4000));
    health.observe(Kind::Readiness, false, ms(5000));
    health.observe(Kind::Readiness, true, ms(6000));
    assert!(!health.is_ready(), "successes must be consecutive");
    health.observe(Kind::Readiness, true, ms(7000));
    assert!(health.is_ready());
}

#[test]
fn a_success_forgets_earlier_failures() {
    let mut health = Health::new(&only(Kind::Liveness, probe(0, 1, 1, 2)), false, start());
    for n in 0..10 {
        health.observe(Kind::Liveness, n % 2 == 1, ms(n * 1000));
    }
    assert!(!health.is_dead());
    health.observe(Kind::Liveness, false, ms(10_000));
    health.observe(Kind::Liveness, false, ms(11_000));
    assert!(health.is_dead());
    assert!(!health.is_ready());
    health.observe(Kind::Liveness, true, ms(12_000));
    assert!(health.is_dead(), "nothing brings it back");
    assert_eq!(health.next(), None);
}

#[test]
fn startup_holds_the_others_back() {
    let probes = Probes {
        startup: Some(probe(0, 1, 1, 3)),
        readiness: Some(probe(0, 1, 1, 3)),
        liveness: Some(probe(4, 1, 1, 1)),
    };
    let mut health = Health::new(&probes, false, start());
    assert_eq!(due(&health, Kind::Readiness), None);
    assert_eq!(due(&health, Kind::Liveness), None);
    health.observe(Kind::Liveness, false, ms(100));
    health.observe(Kind::Readiness, true, ms(100));
    assert!(!health.is_dead() && !health.is_ready());
    health.observe(Kind::Startup, true, ms(2500));
    assert!(health.is_started() && !health.is_ready());
    assert_eq!(due(&health, Kind::Startup), None);
    assert_eq!(due(&health, Kind::Readiness), Some(2500));
    assert_eq!(due(&health, Kind::Liveness), Some(4000), "the delay counts from the start");
}

#[test]
fn a_startup_probe_alone_makes_it_ready() {
    let mut health = Health::new(&only(Kind::Startup, probe(0, 1, 1, 3)), false, start());
    assert!(!health.is_ready());
    health.observe(Kind::Startup, true, ms(50));
    assert!(health.is_ready());
}

#[test]
fn a_container_observed_anew_is_ready_and_asked_at_once() {
    let probes = Probes {
        startup: Some(probe(0, 1, 1, 3)),
        readiness: Some(probe(30, 1, 1, 3)),
        liveness: None,
    };
    let health = Health::new(&probes, true, start());
    assert!(health.is_ready() && health.is_started());
    assert_eq!(health.next(), Some((Kind::Readiness, start())));
}

proptest! {
    /// Whatever the delay, the period and the time answers take, a threshold of failures is never
    /// reached sooner than by one question per period, nor much later.
    #[test]
    fn failures_add_up_once_per_period(
        kind in prop_oneof![Just(Kind::Startup), Just(Kind::Liveness)],
        delay in 0u32..20, period in 1u32..20, threshold in 1u32..6,
        late in 0i64..40,
    ) {
        let mut health = Health::new(&only(kind, probe(delay, period, 1, threshold)), false, start());
        let (mut questions, mut asked) = (0, start());
        while !health.is_dead() {
            asked = health.next_due(kind).expect("due") + Duration::milliseconds(late);
            health.observe(kind, false, asked);
            questions += 1;
            prop_assert!(questions < 200);
        }
        let periods = i64::from(delay) + i64::from((threshold - 1) * period);
        let least = start() + Duration::seconds(periods);
        let slack = Duration::milliseconds((late + 1) * i64::from(threshold) * 2);
        prop_assert!(asked >= least, "dead after {} of {}", asked, least);
        prop_assert!(asked <= least + slack, "dead only after {} of {}", asked, least);
    }

    /// Questions move forward, never further apart than a period.
    #[test]
    fn questions_move_forward(
        period in 1u32..20, answers in proptest::collection::vec(any::<bool>(), 1..60),
    ) {
        let probes = only(Kind::Readiness, probe(0, period, 1, 3));
        let mut health = Health::new(&probes, false, start());
        for success in answers {
            let at = health.next_due(Kind::Readiness).expect("due");
            health.observe(Kind::Readiness, success, at);
            let next = health.next_due(Kind::Readiness).expect("due");
            prop_assert!(next > at);
            prop_assert!(next - at <= Duration::seconds(period.into()));
        }
    }

    /// With single thresholds readiness is what the last answer said.
    #[test]
    fn single_thresholds_follow_the_last_answer(
        answers in proptest::collection::vec(any::<bool>(), 1..40),
    ) {
        let mut health = Health::new(&only(Kind::Readiness, probe(0, 1, 1, 1)), false, start());
        for (n, success) in answers.iter().enumerate() {
            health.observe(Kind::Readiness, *success, ms(1000 * i64::try_from(n).expect("small")));
            prop_assert_eq!(health.is_ready(), *success);
        }
    }
}
