//! Who comes to the registry, and with what proof of who they are.
//!
//! Each visitor comes to `ta/app` of the private project `ta`. Whatever is tested against hostile
//! callers is tested against all of them; a new kind of identity is a new row of [`Kind::ALL`].

use std::time::Duration;

use portolan::accounts::UserChange;
use portolan::accounts::rbac::Role;
use portolan::base::{Actor, Channel, Secret};

use crate::support::oci::{PASSWORD, TestFace, basic};

/// A kind of visitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Nobody,
    AnonymousToken,
    Nonsense,
    MemberByPassword,
    MemberByToken,
    MemberByPersonalToken,
    MemberWhoOnlyAskedToPull,
    MemberWhoAskedForAnotherRepository,
    OtherTenantByPassword,
    OtherTenantByToken,
    OtherTenantByPersonalToken,
    StrangerByPassword,
    ExpiredToken,
    ExpiredPersonalToken,
    RevokedPersonalToken,
    DisabledByPassword,
    DisabledByToken,
    DisabledByPersonalToken,
    DeletedByToken,
    RemovedMemberByToken,
}

/// What a visitor gets from a repository of `ta`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum May {
    /// Reads and writes, as a developer does.
    Push,
    /// Reads.
    Pull,
    /// Nothing: it is known who they are, and they are nobody here.
    Nothing,
    /// Nothing: it is not known who they are, or not well enough.
    Unproven,
}

/// One visitor.
#[derive(Debug)]
pub(super) struct Visitor {
    pub(super) kind: Kind,
    pub(super) authorization: Option<String>,
    pub(super) may: May,
}

impl Kind {
    pub(super) const ALL: [Self; 20] = [
        Self::Nobody,
        Self::AnonymousToken,
        Self::Nonsense,
        Self::MemberByPassword,
        Self::MemberByToken,
        Self::MemberByPersonalToken,
        Self::MemberWhoOnlyAskedToPull,
        Self::MemberWhoAskedForAnotherRepository,
        Self::OtherTenantByPassword,
        Self::OtherTenantByToken,
        Self::OtherTenantByPersonalToken,
        Self::StrangerByPassword,
        Self::ExpiredToken,
        Self::ExpiredPersonalToken,
        Self::RevokedPersonalToken,
        Self::DisabledByPassword,
        Self::DisabledByToken,
        Self::DisabledByPersonalToken,
        Self::DeletedByToken,
        Self::RemovedMemberByToken,
    ];

    /// Whether the visitor may change things.
    pub(super) fn is_member(self) -> bool {
        matches!(self, Self::MemberByPassword | Self::MemberByToken | Self::MemberByPersonalToken)
    }

    /// The visitor at the door. Time passes meanwhile, so visitors come one after the other.
    pub(super) async fn at(self, face: &TestFace) -> Visitor {
        // The buckets that slow down guessing fill up again between two visitors.
        face.registry.clock.advance(chrono::Duration::minutes(2));
        let all = ["repository:ta/app:*", "repository:none/app:*", "registry:catalog:*"];
        let (authorization, may) = match self {
            Self::Nobody => (None, May::Unproven),
            Self::AnonymousToken => (bearer(face, None, &all).await, May::Unproven),
            Self::Nonsense => (Some("Bearer e30.e30.e30".to_owned()), May::Unproven),
            Self::MemberByPassword => (Some(basic("ada", PASSWORD)), May::Push),
            Self::MemberByToken => (bearer(face, Some("ada"), &all).await, May::Push),
            Self::MemberByPersonalToken => (personal(face, "ada", 3600).await, May::Push),
            Self::MemberWhoOnlyAskedToPull => {
                let scopes = ["repository:ta/app:pull", "repository:none/app:pull"];
                (bearer(face, Some("ada"), &scopes).await, May::Pull)
            }
            Self::MemberWhoAskedForAnotherRepository => {
                (bearer(face, Some("ada"), &["repository:ta/other:*"]).await, May::Unproven)
            }
            Self::OtherTenantByPassword => (Some(basic("bob", PASSWORD)), May::Nothing),
            Self::OtherTenantByToken => (bearer(face, Some("bob"), &all).await, May::Unproven),
            Self::OtherTenantByPersonalToken => (personal(face, "bob", 3600).await, May::Nothing),
            Self::StrangerByPassword => (Some(basic("eve", PASSWORD)), May::Nothing),
            Self::ExpiredToken => {
                let token = bearer(face, Some("ada"), &all).await;
                face.registry.clock.advance(chrono::Duration::seconds(310));
                (token, May::Unproven)
            }
            Self::ExpiredPersonalToken => {
                let token = personal(face, "ada", 60).await;
                face.registry.clock.advance(chrono::Duration::seconds(61));
                (token, May::Unproven)
            }
            Self::RevokedPersonalToken => (revoked(face).await, May::Unproven),
            Self::DisabledByPassword => {
                member(face, "dora").await;
                disable(face, "dora").await;
                (Some(basic("dora", PASSWORD)), May::Unproven)
            }
            Self::DisabledByToken => {
                member(face, "dirk").await;
                let token = bearer(face, Some("dirk"), &all).await;
                disable(face, "dirk").await;
                (token, May::Unproven)
            }
            Self::DisabledByPersonalToken => {
                member(face, "dana").await;
                let token = personal(face, "dana", 3600).await;
                disable(face, "dana").await;
                (token, May::Unproven)
            }
            Self::DeletedByToken => {
                member(face, "gus").await;
                let token = bearer(face, Some("gus"), &all).await;
                let gus = "gus".parse().expect("a name");
                face.accounts.delete_user(&Actor::system(), &gus).await.expect("deleted");
                (token, May::Unproven)
            }
            Self::RemovedMemberByToken => {
                member(face, "rem").await;
                let token = bearer(face, Some("rem"), &all).await;
                let member = portolan::catalog::MemberName::User("rem".parse().expect("a name"));
                let project = "ta".parse().expect("a name");
                let catalog = &face.registry.catalog;
                let removed = catalog.remove_member(&Actor::system(), &project, &member).await;
                removed.expect("removed");
                (token, May::Nothing)
            }
        };
        Visitor { kind: self, authorization, may }
    }
}

/// A token for these scopes, as far as they are granted.
async fn bearer(face: &TestFace, user: Option<&str>, scopes: &[&str]) -> Option<String> {
    face.client(user, scopes).await.authorization
}

fn of(user: &portolan::accounts::User) -> Actor {
    Actor::user(user.id, user.name.as_str(), user.platform_role, Channel::Api)
}

/// A new personal token of `name`: its id and its secret.
async fn make(
    face: &TestFace,
    name: &str,
    seconds: u64,
) -> (Actor, portolan::accounts::PersonalToken, Secret) {
    let user = face.accounts.user(&Actor::system(), &name.parse().expect("a name")).await;
    let actor = of(&user.expect("a user"));
    let label = format!("{name} {}", portolan::base::Clock::now(&*face.registry.clock));
    let life = Some(Duration::from_secs(seconds));
    let (token, secret) =
        face.accounts.create_token(&actor, &label, life).await.expect("a personal token");
    (actor, token, secret)
}

async fn personal(face: &TestFace, name: &str, seconds: u64) -> Option<String> {
    let (_, _, secret) = make(face, name, seconds).await;
    Some(format!("Bearer {}", secret.expose()))
}

async fn revoked(face: &TestFace) -> Option<String> {
    let (actor, token, secret) = make(face, "ada", 3600).await;
    face.accounts.revoke_token(&actor, token.id).await.expect("revoked");
    Some(format!("Bearer {}", secret.expose()))
}

/// A developer of `ta`.
async fn member(face: &TestFace, name: &str) {
    let actor = face.user(name).await;
    face.registry.member("ta", &actor, Role::Developer).await;
}

async fn disable(face: &TestFace, name: &str) {
    let change = UserChange { disabled: Some(true), ..UserChange::default() };
    let name = name.parse().expect("a name");
    face.accounts.update_user(&Actor::system(), &name, change).await.expect("disabled");
}
