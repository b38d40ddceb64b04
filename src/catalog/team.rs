//! Teams: groups of users that own applications and can be members of projects. Everybody who is
//! logged in may read them; platform admins make them and choose their members.

use serde_json::json;

use super::{Catalog, check_description, search_text, store};
use crate::accounts::rbac::{Action, Permission, Resource, require_platform};
use crate::base::id::TeamId;
use crate::base::{Actor, Error, Page, PageRequest, Result, TeamName, Timestamp, UserName};
use crate::events::{NewEvent, Target};

/// A team.
#[derive(Debug, Clone)]
pub struct Team {
    pub id: TeamId,
    pub name: TeamName,
    pub description: String,
    pub members: Vec<UserName>,
    pub created_at: Timestamp,
}

impl Team {
    fn target(&self) -> Target {
        Target::new("team", self.id, &self.name)
    }
}

impl Catalog {
    /// Creates a team without members (platform permission `team:create`).
    pub async fn create_team(
        &self,
        actor: &Actor,
        name: &TeamName,
        description: &str,
    ) -> Result<Team> {
        require_platform(actor, Permission(Resource::Team, Action::Create))?;
        check_description(description)?;
        let now = self.clock.0.now();
        let team = Team {
            id: TeamId::new(now),
            name: name.clone(),
            description: description.to_owned(),
            members: Vec::new(),
            created_at: now,
        };
        let mut tx = self.db.begin().await?;
        store::team::insert(&mut tx, &team).await?;
        let event = NewEvent::new("team.create", team.target(), "Created the team.")
            .detail(json!({ "before": null, "after": { "description": description } }));
        self.append(&mut tx, actor, event).await?;
        tx.commit().await?;
        Ok(team)
    }

    /// One team.
    pub async fn team(&self, actor: &Actor, name: &TeamName) -> Result<Team> {
        require_platform(actor, Permission(Resource::Team, Action::Read))?;
        store::team::by_name(&mut *self.db.read().await?, name)
            .await?
            .ok_or_else(|| Error::not_found("team", name))
    }

    /// Teams by name; `query` matches name and description.
    pub async fn list_teams(
        &self,
        actor: &Actor,
        query: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<Team>> {
        require_platform(actor, Permission(Resource::Team, Action::List))?;
        let query = search_text("query", query)?;
        let (limit, after) = (page.limit()?, page.after_key::<String>()?);
        let mut conn = self.db.read().await?;
        let rows = store::team::list(&mut conn, query, after.as_deref(), limit).await?;
        Ok(Page::from_rows(rows, limit, |t| t.name.clone()))
    }

    /// Deletes a team. Its memberships go with it; its applications stay, without an owner.
    pub async fn delete_team(&self, actor: &Actor, name: &TeamName) -> Result<()> {
        require_platform(actor, Permission(Resource::Team, Action::Delete))?;
        let mut tx = self.db.begin().await?;
        let id = store::team::lock(&mut tx, name)
            .await?
            .ok_or_else(|| Error::not_found("team", name))?;
        let (members, projects, applications) = store::team::holdings(&mut tx, id).await?;
        store::team::delete(&mut tx, id).await?;
        let event = NewEvent::new(
            "team.delete",
            Target::new("team", id, name),
            "Deleted the team; its applications have no owner now.",
        )
        .detail(json!({
            "before": { "members": members, "projects": projects, "applications": applications },
            "after": null,
        }));
        self.append(&mut tx, actor, event).await?;
        tx.commit().await
    }

    /// Adds a user to a team; the bool says whether it is new.
    pub async fn add_team_member(
        &self,
        actor: &Actor,
        team: &TeamName,
        user: &UserName,
    ) -> Result<bool> {
        require_platform(actor, Permission(Resource::Team, Action::Update))?;
        let mut tx = self.db.begin().await?;
        let id = store::team::lock(&mut tx, team)
            .await?
            .ok_or_else(|| Error::not_found("team", team))?;
        let user_id = store::member::find_user(&mut tx, user)
            .await?
            .ok_or_else(|| Error::not_found("user", user))?;
        if !store::team::add_member(&mut tx, id, user_id, self.clock.0.now()).await? {
            return Ok(false);
        }
        let event = NewEvent::new(
            "team.add_member",
            Target::new("team", id, team),
            format!("Added \"{user}\" to the team."),
        )
        .detail(json!({ "before": null, "after": { "user": user } }));
        self.append(&mut tx, actor, event).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Removes a user from a team.
    pub async fn remove_team_member(
        &self,
        actor: &Actor,
        team: &TeamName,
        user: &UserName,
    ) -> Result<()> {
        require_platform(actor, Permission(Resource::Team, Action::Update))?;
        let mut tx = self.db.begin().await?;
        let id = store::team::lock(&mut tx, team)
            .await?
            .ok_or_else(|| Error::not_found("team", team))?;
        if !store::team::remove_member(&mut tx, id, user).await? {
            return Err(Error::not_found("team member", user));
        }
        let event = NewEvent::new(
            "team.remove_member",
            Target::new("team", id, team),
            format!("Removed \"{user}\" from the team."),
        )
        .detail(json!({ "before": { "user": user }, "after": null }));
        self.append(&mut tx, actor, event).await?;
        tx.commit().await
    }
}
