//! The platform: nodes, and what each role may do.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{Result, whole};
use super::route::{Route, get, platform};
use crate::accounts::rbac::{
    Action, Decision, Permission, Resource, Role, decide_platform, role_allows,
};
use crate::base::actor::PlatformRole;
use crate::base::{Actor, ActorKind, Channel, Page};
use crate::engine::Engine;
use crate::engine::view::NodeView;
use crate::http::Access;
use crate::http::caller::ApiCaller;
use crate::http::query::{NoQuery, Query};

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/nodes", nodes, "listNodes", "Nodes", platform(Resource::Node, Action::List))
            .lists::<NodeView>(),
        get(
            "/api/v1/permissions",
            permissions,
            "getPermissions",
            "What each role may do",
            Access::LoggedIn,
        )
        .answers::<PermissionMatrix>(200),
    ]
}

/// Permissions (`resource:action`) by role.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PermissionMatrix {
    /// In a project.
    roles: BTreeMap<&'static str, Vec<String>>,
    /// On the platform.
    platform_roles: BTreeMap<&'static str, Vec<String>>,
}

async fn nodes(
    State(engine): State<Engine>,
    caller: ApiCaller,
    _: Query<NoQuery>,
) -> Result<Json<Page<NodeView>>> {
    Ok(whole(engine.nodes(&caller.actor).await?, |view| view))
}

fn allowed(allows: impl Fn(Permission) -> bool) -> Vec<String> {
    let all = Resource::ALL.into_iter().flat_map(|r| Action::ALL.map(|a| Permission(r, a)));
    all.filter(|permission| allows(*permission)).map(|p| p.to_string()).collect()
}

async fn permissions(_: ApiCaller, _: Query<NoQuery>) -> Json<PermissionMatrix> {
    let roles = Role::ALL.map(|role| (role.as_str(), allowed(|p| role_allows(role, p))));
    let platform_roles =
        [PlatformRole::User, PlatformRole::Auditor, PlatformRole::Admin].map(|role| {
            let actor = Actor {
                kind: ActorKind::User,
                platform_role: role,
                ..Actor::anonymous(Channel::Api)
            };
            (role.as_str(), allowed(|p| decide_platform(&actor, p) == Decision::Allow))
        });
    Json(PermissionMatrix { roles: roles.into(), platform_roles: platform_roles.into() })
}
