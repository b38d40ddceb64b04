//! What Docker tells about a container, in the engine's words.

use std::collections::HashMap;
use std::net::IpAddr;

use bollard::models::{
    ContainerInspectResponse, ContainerState as DockerState, ContainerStateStatusEnum as Status,
    ContainerSummary, ContainerSummaryStateEnum as Listing, EndpointSettings,
};

use super::super::{ContainerId, ContainerState, ObservedContainer};
use super::seal::Seal;
use crate::base::Timestamp;

/// A container of ours in Docker's list.
pub(super) enum Listed {
    /// All there is to know.
    Whole(ObservedContainer),
    /// It ended; only a closer look tells how.
    Ended(ContainerId),
}

/// A container of Docker's list, if it is ours. The list does not say when it was started.
pub(super) fn listed(seal: &Seal, summary: &ContainerSummary) -> Option<Listed> {
    let id = summary.id.clone()?;
    let names = summary.names.as_deref().unwrap_or_default();
    let labels = summary.labels.as_ref()?;
    let (name, (replica, attempt)) = names.iter().find_map(|name| {
        let name = name.strip_prefix('/').unwrap_or(name);
        Some((name.to_owned(), seal.open(name, labels)?))
    })?;
    let state = match summary.state.as_ref()? {
        Listing::CREATED => ContainerState::Created,
        Listing::RUNNING | Listing::RESTARTING | Listing::STOPPING => ContainerState::Running,
        Listing::PAUSED => ContainerState::Paused,
        Listing::EXITED | Listing::DEAD | Listing::REMOVING | Listing::EMPTY => {
            return Some(Listed::Ended(id));
        }
    };
    let networks = summary.network_settings.as_ref().and_then(|n| n.networks.as_ref());
    let address = address(networks);
    Some(Listed::Whole(ObservedContainer {
        id,
        name,
        replica,
        attempt,
        state,
        address,
        started_at: None,
    }))
}

/// A container that was looked at, if it is ours.
pub(super) fn inspected(
    seal: &Seal,
    container: &ContainerInspectResponse,
) -> Option<ObservedContainer> {
    let name = container.name.as_deref()?;
    let name = name.strip_prefix('/').unwrap_or(name);
    let labels = container.config.as_ref()?.labels.as_ref()?;
    let (replica, attempt) = seal.open(name, labels)?;
    let state = container.state.as_ref()?;
    Some(ObservedContainer {
        id: container.id.clone()?,
        name: name.to_owned(),
        replica,
        attempt,
        state: state_of(state),
        address: address(container.network_settings.as_ref().and_then(|n| n.networks.as_ref())),
        started_at: moment(state.started_at.as_deref()),
    })
}

fn state_of(state: &DockerState) -> ContainerState {
    match state.status {
        Some(Status::CREATED) => ContainerState::Created,
        Some(Status::RUNNING | Status::RESTARTING | Status::STOPPING) => ContainerState::Running,
        Some(Status::PAUSED) => ContainerState::Paused,
        Some(Status::EXITED | Status::DEAD | Status::REMOVING | Status::EMPTY) | None => {
            ContainerState::Exited {
                code: state.exit_code.unwrap_or(-1),
                oom_killed: state.oom_killed.unwrap_or(false),
                at: moment(state.finished_at.as_deref()),
            }
        }
    }
}

/// Docker writes the year 1 for "never".
fn moment(text: Option<&str>) -> Option<Timestamp> {
    let at = chrono::DateTime::parse_from_rfc3339(text?).ok()?.to_utc();
    (at > Timestamp::UNIX_EPOCH).then_some(at)
}

/// The address on the only network a container of ours has.
pub(super) fn address(networks: Option<&HashMap<String, EndpointSettings>>) -> Option<IpAddr> {
    networks?.values().find_map(|n| n.ip_address.as_deref()?.parse().ok())
}
