//! Members of a project: users and teams with a role.

use serde_json::{Value, json};

use super::{Catalog, Project, change_event, store};
use crate::accounts::rbac::{Action, Permission, Resource, Role};
use crate::base::{Actor, Error, ProjectName, Result, TeamName, Timestamp, UserName};
use crate::db::Tx;
use crate::events::Target;

/// A user or a team in a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberName {
    User(UserName),
    Team(TeamName),
}

impl MemberName {
    /// `user` or `team`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Team(_) => "team",
        }
    }

    /// The name without its kind.
    pub fn as_str(&self) -> &str {
        match self {
            Self::User(name) => name.as_str(),
            Self::Team(name) => name.as_str(),
        }
    }

    fn absent(&self) -> Error {
        Error::not_found(self.kind(), self.as_str())
    }

    fn target(&self) -> Target {
        Target::named("member", self.as_str())
    }
}

/// A member of a project.
#[derive(Debug, Clone)]
pub struct Member {
    pub name: MemberName,
    pub role: Role,
    pub created_at: Timestamp,
}

impl Catalog {
    /// Members of a project, strongest role first, then by name.
    pub async fn list_members(&self, actor: &Actor, project: &ProjectName) -> Result<Vec<Member>> {
        let project =
            self.project(actor, project, Permission(Resource::Member, Action::List)).await?;
        let mut members = store::member::list(&mut *self.db.read().await?, project.id).await?;
        members
            .sort_by(|a, b| b.role.cmp(&a.role).then_with(|| a.name.as_str().cmp(b.name.as_str())));
        Ok(members)
    }

    /// Adds a member or changes its role. The bool says whether it is new. Only a platform admin
    /// may leave a project without a project admin.
    pub async fn set_member(
        &self,
        actor: &Actor,
        project: &ProjectName,
        member: &MemberName,
        role: Role,
    ) -> Result<(Member, bool)> {
        let project =
            self.project(actor, project, Permission(Resource::Member, Action::Update)).await?;
        let mut tx = self.db.begin().await?;
        // One change of members at a time, or two demotions could both see another admin.
        store::project::lock(&mut tx, project.id)
            .await?
            .ok_or_else(|| Error::not_found("project", &project.name))?;
        let id = store::member::find_id(&mut tx, member).await?.ok_or_else(|| member.absent())?;
        let before = store::member::role(&mut tx, project.id, id).await?;
        let created_at =
            store::member::upsert(&mut tx, project.id, id, role, self.clock.0.now()).await?;
        let result = Member { name: member.clone(), role, created_at };
        if before == Some(role) {
            return Ok((result, false));
        }
        require_project_admin(&mut tx, actor, &project).await?;
        let (action, message) = match before {
            None => ("member.add", format!("Added the {} as {role}.", member.kind())),
            Some(old) => ("member.update", format!("Changed the role from {old} to {role}.")),
        };
        let event = change_event(
            action,
            member.target(),
            project.id,
            message,
            before.map_or(Value::Null, |old| json!({ "role": old })),
            json!({ "kind": member.kind(), "role": role }),
        );
        self.append(&mut tx, actor, event).await?;
        tx.commit().await?;
        Ok((result, before.is_none()))
    }

    /// Removes a member. Only a platform admin may leave a project without a project admin.
    pub async fn remove_member(
        &self,
        actor: &Actor,
        project: &ProjectName,
        member: &MemberName,
    ) -> Result<()> {
        let project =
            self.project(actor, project, Permission(Resource::Member, Action::Delete)).await?;
        let mut tx = self.db.begin().await?;
        store::project::lock(&mut tx, project.id).await?;
        let id = store::member::find_id(&mut tx, member).await?.ok_or_else(|| member.absent())?;
        let role = store::member::delete(&mut tx, project.id, id)
            .await?
            .ok_or_else(|| Error::not_found("member", member.as_str()))?;
        require_project_admin(&mut tx, actor, &project).await?;
        let event = change_event(
            "member.remove",
            member.target(),
            project.id,
            format!("Removed the {}, who was {role}.", member.kind()),
            json!({ "kind": member.kind(), "role": role }),
            Value::Null,
        );
        self.append(&mut tx, actor, event).await?;
        tx.commit().await
    }
}

/// A project without an admin could be repaired only from outside, so those inside cannot bring
/// it about.
async fn require_project_admin(tx: &mut Tx, actor: &Actor, project: &Project) -> Result<()> {
    if actor.is_admin() || store::member::has_admin(tx, project.id).await? {
        return Ok(());
    }
    Err(Error::conflict(
        "last_project_admin",
        format!("\"{}\" would have no project admin left; name another one first", project.name),
    ))
}
