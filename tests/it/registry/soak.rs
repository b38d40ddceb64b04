//! A soak: pushes, mounts, looks, deletes and collections side by side lose nothing that was
//! acknowledged. `PORTOLAN_SOAK_SECONDS` makes it longer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use portolan::accounts::rbac::{Role, Visibility};
use portolan::base::actor::PlatformRole;
use portolan::base::{Actor, Clock as _, Digest, Reference};
use portolan::registry::quota::Limits;
use tokio::sync::Mutex;

use crate::support::images::{TestImage, layer};
use crate::support::registry::{TestRegistry, body, name};

const REPOSITORIES: [&str; 4] = ["demo/a", "demo/b", "other/a", "other/b"];
const CLIENTS: usize = 6;

fn images() -> Vec<TestImage> {
    let layers: Vec<Bytes> = (0..6).map(|n| layer(&format!("soak {n}"))).collect();
    (0..12usize)
        .map(|n| {
            let chosen = vec![layers[n % 6].clone(), layers[(n * 5 + 1) % 6].clone()];
            TestImage::new(chosen, serde_json::json!({ "Env": [format!("N={}", n / 2)] }))
        })
        .collect()
}

/// What a client was told is stored. Its lock is held while the client changes it, so that the
/// reader knows what it may rely on.
type Told = Mutex<BTreeMap<usize, bool>>;

struct Soak {
    t: TestRegistry,
    ada: Actor,
    images: Vec<TestImage>,
    told: [Told; 4],
    pushes: AtomicUsize,
    freed: AtomicUsize,
    over: AtomicBool,
}

/// A small generator, so that a failure can be repeated from its seed.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).expect("small")
    }
}

impl Soak {
    /// Pushes as clients do: look, mount, upload what is absent, then the manifest; all over when
    /// the manifest says that a blob went meanwhile.
    async fn push(&self, repository: usize, image: usize, dice: &mut Dice) {
        let (place, image) = (REPOSITORIES[repository], &self.images[image]);
        'again: for _ in 0..100 {
            for blob in image.blobs() {
                let digest = Digest::sha256(blob);
                if self.t.registry.blob(&self.ada, &name(place), &digest).await.is_ok() {
                    continue;
                }
                let from = name(REPOSITORIES[dice.throw(4)]);
                let from = (dice.throw(2) == 0).then_some(&from);
                let mounted =
                    self.t.registry.mount_blob(&self.ada, &name(place), &digest, from).await;
                if !mounted.expect("a mount never fails") {
                    let at = name(place);
                    let upload = self.t.registry.start_upload(&self.ada, &at).await;
                    let id = upload.expect("an upload").id;
                    let body = body(blob);
                    let done =
                        self.t.registry.finish_upload(&self.ada, &at, id, &digest, None, body);
                    match done.await {
                        Ok(_) => {}
                        // The clock runs: it may have idled for an hour between two requests.
                        Err(error) if error.code() == "blob_upload_unknown" => continue 'again,
                        Err(error) => panic!("{error:?}"),
                    }
                }
            }
            match self.t.push_manifest(&self.ada, place, "t", &image.manifest).await {
                Ok(_) => {
                    self.pushes.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                Err(error) => assert_eq!(error.code(), "manifest_blob_unknown", "{error:?}"),
            }
        }
        panic!("{place} could not be pushed in a hundred tries");
    }

    async fn client(&self, seed: u64) {
        let mut dice = Dice(seed);
        while !self.over.load(Ordering::Relaxed) {
            let (repository, image) = (dice.throw(4), dice.throw(self.images.len()));
            match dice.throw(5) {
                0..3 => {
                    let mut told = self.told[repository].lock().await;
                    self.push(repository, image, &mut dice).await;
                    told.insert(image, true);
                }
                3 => {
                    let mut told = self.told[repository].lock().await;
                    let digest = self.images[image].digest();
                    let place = name(REPOSITORIES[repository]);
                    let done = self.t.registry.delete_image(&self.ada, &place, &digest).await;
                    assert_eq!(done.is_ok(), told.remove(&image).is_some(), "{done:?}");
                }
                _ => self.pull(repository).await,
            }
        }
    }

    /// Everything that was acknowledged can be pulled, to the byte.
    async fn pull(&self, repository: usize) {
        let told = self.told[repository].lock().await;
        let place = name(REPOSITORIES[repository]);
        for image in told.keys().map(|n| &self.images[*n]) {
            let reference = Reference::Digest(image.digest());
            let served = self.t.registry.manifest(&self.ada, &place, &reference, false).await;
            assert_eq!(served.expect("an acknowledged manifest").content, image.manifest);
            for blob in image.blobs() {
                let digest = Digest::sha256(blob);
                let opened = self.t.registry.open_blob(&self.ada, &place, &digest).await;
                let reader = opened.unwrap_or_else(|e| panic!("{place} lost {digest}: {e:?}"));
                assert_eq!(reader.blob.size, blob.len() as u64);
            }
        }
    }

    /// Moves the clock past the grace again and again, so that whatever is not needed at this
    /// very moment is taken.
    async fn collector(&self) {
        while !self.over.load(Ordering::Relaxed) {
            // Something that nobody will ever need, so that there is always something to take.
            let loose = Bytes::from(self.t.clock.now().to_rfc3339());
            self.t.push_blob(&self.ada, "demo/loose", &loose).await;
            self.t.clock.advance(chrono::Duration::minutes(20));
            let done = self.t.registry.collect().await.expect("collected");
            self.freed.fetch_add(usize::try_from(done.blobs).expect("small"), Ordering::Relaxed);
            self.t.registry.settle_usage().await.expect("settled");
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_acknowledged_is_lost_while_everything_happens_at_once() {
    let seconds = std::env::var_os("PORTOLAN_SOAK_SECONDS")
        .and_then(|text| text.to_str()?.parse().ok())
        .unwrap_or(8);
    let upkeep = portolan::config::Upkeep {
        grace: chrono::Duration::minutes(45),
        ..portolan::config::Upkeep::default()
    };
    let mut t = TestRegistry::start().await;
    // Deleted images are kept for less than a step of the clock, so that tombstones come and go.
    let undelete = chrono::Duration::minutes(5);
    t.registry = t.registry.clone().with_upkeep(upkeep).with_undelete_window(undelete);
    let ada = t.with_demo().await;
    t.project("other", Visibility::Private).await;
    for project in ["demo", "other"] {
        t.member(project, &ada, Role::Maintainer).await;
    }
    let admin = Actor { platform_role: PlatformRole::Admin, ..Actor::system() };
    let wide = Limits { bytes: Some(1 << 40), artifacts: Some(1 << 20) };
    let demo = "demo".parse().expect("a name");
    t.registry.set_quota(&admin, &demo, wide, None).await.expect("limits");
    let soak = Soak {
        t,
        ada,
        images: images(),
        told: Default::default(),
        pushes: AtomicUsize::new(0),
        freed: AtomicUsize::new(0),
        over: AtomicBool::new(false),
    };
    let timer = async {
        let end = Instant::now() + Duration::from_secs(seconds);
        tokio::time::sleep_until(end.into()).await;
        soak.over.store(true, Ordering::Relaxed);
    };
    let seeds = (1..=CLIENTS as u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let clients = futures_util::future::join_all(seeds.map(|seed| soak.client(seed)));
    tokio::join!(timer, clients, soak.collector());
    for repository in 0..4 {
        soak.pull(repository).await;
    }
    let (pushes, freed) = (soak.pushes.into_inner(), soak.freed.into_inner());
    assert!(pushes > 20 && freed > 0, "{pushes} pushes, {freed} blobs freed");
    let (_, wrong) = soak.t.registry.verify_quotas(&admin, false).await.expect("verified");
    assert_eq!(wrong, [], "the count is the sum");
    let checked = soak.t.registry.check(Default::default()).await.expect("checked");
    assert_eq!(checked.differences, []);
}
