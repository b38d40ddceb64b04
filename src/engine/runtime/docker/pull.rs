//! Fetching images by digest from Portolan's registry.
//!
//! The daemon is given the registry token itself (`registrytoken`), which it sends as it is when
//! the registry asks for a Bearer token, so no password exists anywhere.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::errors::Error as DockerError;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::TryStreamExt as _;

use super::super::PinnedImage;
use super::super::clean::summary;
use super::Inner;
use super::client::{refusal, status};
use crate::base::{Error, Result, Secret};

/// Longest pull.
const LIMIT: Duration = Duration::from_secs(600);

impl Inner {
    pub(super) async fn has_image(&self, image: &PinnedImage) -> Result<bool> {
        // Found by digest only if it was pulled from that repository: Docker keeps its digests
        // per repository.
        match self.client.docker()?.inspect_image(&self.reference(image)).await {
            Ok(_) => Ok(true),
            Err(error) if status(&error) == Some(404) => Ok(false),
            Err(error) => Err(self.client.failed("inspect an image", error)),
        }
    }

    /// Pulls of one image wait for each other, and all but the first find it there.
    pub(super) async fn pull(&self, image: &PinnedImage, token: &Secret) -> Result<()> {
        let turn = {
            let mut pulls = self.pulls.lock().unwrap_or_else(PoisonError::into_inner);
            pulls.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(pulls.entry(image.clone()).or_default())
        };
        let _turn = turn.lock().await;
        if self.has_image(image).await? {
            return Ok(());
        }
        tokio::time::timeout(LIMIT, self.fetch(image, token)).await.map_err(|_| {
            pull_failed(image, &format!("it took longer than {} minutes", LIMIT.as_secs() / 60))
        })?
    }

    async fn fetch(&self, image: &PinnedImage, token: &Secret) -> Result<()> {
        let options = CreateImageOptionsBuilder::new()
            .from_image(&format!("{}/{}", self.registry_host, image.repository))
            .tag(&image.digest.to_string())
            .build();
        let credentials = DockerCredentials {
            registrytoken: Some(token.expose().clone()),
            serveraddress: Some(self.registry_host.clone()),
            ..DockerCredentials::default()
        };
        let docker = self.client.docker()?.with_timeout(LIMIT);
        let progress = docker.create_image(Some(options), None, Some(credentials));
        progress.try_for_each(|_| async { Ok(()) }).await.map_err(|error| {
            let said = match &error {
                DockerError::DockerStreamError { error } => Some(error.clone()),
                _ => refusal(&error).map(|(_, message)| message.to_owned()),
            };
            match said {
                Some(said) => pull_failed(image, &in_words(&said)).with_source(error),
                None => self.client.failed("pull the image", error),
            }
        })
    }
}

fn pull_failed(image: &PinnedImage, why: &str) -> Error {
    let PinnedImage { repository, digest } = image;
    Error::unavailable(format!("cannot pull {repository}@{digest}: {why}")).with_code("pull_failed")
}

fn in_words(said: &str) -> String {
    if said.contains("manifest unknown") || said.contains("not found") {
        return "the registry does not have it (any more)".to_owned();
    }
    if said.contains("unauthorized") || said.contains("access denied") || said.contains("denied:") {
        return "the registry refused the node's token".to_owned();
    }
    if said.contains("no space left on device") {
        return "the node's disk is full: remove images that nothing uses (docker image prune)"
            .to_owned();
    }
    if said.contains("connection refused") || said.contains("no such host") {
        let said = summary(said.as_bytes(), 300);
        return format!("Docker does not reach the registry ({said})");
    }
    summary(said.as_bytes(), 300)
}
