//! Seals: what makes a container or a network ours.
//!
//! The seal is an HMAC-SHA256, under the installation's key, of the name and of every label the
//! engine reads back. An image cannot hold one, because its labels are fixed before the
//! container has a name.

use std::collections::HashMap;

use aws_lc_rs::hmac;

use super::super::ContainerSpec;
use crate::base::Secret;
use crate::base::id::ReplicaId;

/// The labels of ours; each is set on every container, so an image's own never show through.
pub(super) const SEAL: &str = "portolan.seal";
const REPLICA: &str = "portolan.replica";
const DEPLOYMENT: &str = "portolan.deployment";
const ATTEMPT: &str = "portolan.attempt";

/// Makes and checks seals.
pub(super) struct Seal(hmac::Key);

impl Seal {
    pub(super) fn new(key: &Secret<Vec<u8>>) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key.expose()))
    }

    fn container_text(name: &str, replica: &str, deployment: &str, attempt: &str) -> String {
        ["container", name, replica, deployment, attempt].join("\0")
    }

    fn make(&self, text: &str) -> String {
        hex::encode(hmac::sign(&self.0, text.as_bytes()))
    }

    fn is_valid(&self, text: &str, seal: Option<&String>) -> bool {
        seal.and_then(|s| hex::decode(s).ok())
            .is_some_and(|tag| hmac::verify(&self.0, text.as_bytes(), &tag).is_ok())
    }

    /// All labels of a new container: those for people first, ours last.
    pub(super) fn labels(&self, spec: &ContainerSpec) -> HashMap<String, String> {
        let replica = spec.replica.to_string();
        let deployment = spec.deployment.to_string();
        let attempt = spec.attempt.to_string();
        let text = Self::container_text(&spec.name, &replica, &deployment, &attempt);
        let mut labels: HashMap<_, _> = spec.labels.iter().cloned().collect();
        labels.insert(REPLICA.to_owned(), replica);
        labels.insert(DEPLOYMENT.to_owned(), deployment);
        labels.insert(ATTEMPT.to_owned(), attempt);
        labels.insert(SEAL.to_owned(), self.make(&text));
        labels
    }

    /// Replica and attempt of the container called `name`, if its seal is ours.
    pub(super) fn open(
        &self,
        name: &str,
        labels: &HashMap<String, String>,
    ) -> Option<(ReplicaId, u32)> {
        let (replica, deployment) = (labels.get(REPLICA)?, labels.get(DEPLOYMENT)?);
        let attempt = labels.get(ATTEMPT)?;
        let text = Self::container_text(name, replica, deployment, attempt);
        if !self.is_valid(&text, labels.get(SEAL)) {
            return None;
        }
        Some((replica.parse().ok()?, attempt.parse().ok()?))
    }

    /// A few characters that tell this installation's networks from another's on the same engine.
    pub(super) fn tag(&self) -> String {
        let mut tag = self.make("installation");
        tag.truncate(8);
        tag
    }

    /// The label of a network of ours.
    pub(super) fn network_labels(&self, network: &str) -> HashMap<String, String> {
        HashMap::from([(SEAL.to_owned(), self.make(&format!("network\0{network}")))])
    }

    /// Whether a network is ours.
    pub(super) fn is_ours(&self, network: &str, labels: &HashMap<String, String>) -> bool {
        self.is_valid(&format!("network\0{network}"), labels.get(SEAL))
    }
}
