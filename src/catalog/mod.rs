//! Projects, members, teams, applications and environments: who owns what.
//!
//! # Words and rules
//!
//! A *project* is the unit of tenancy, an *environment* the place its deployments live in (its
//! name is unique in the installation), an *application* a catalog entry that a *team* owns. A
//! *member* of a project is a user or a team and has one role; a caller's role is the strongest
//! of its own and its teams'.
//!
//! - Finding and authorizing are one call and one query. What the caller may not see is
//!   `NotFound`, the same as what is absent; anonymous callers get `Unauthenticated` for both.
//! - A refused change of something visible is recorded as `access.deny`. Pushes are not, because
//!   clients ask for the right to push before they know whether they need it.
//! - Every change appends an event with the state before and after in its detail; a change that
//!   changes nothing appends none.
//! - Roles are read from the database for every decision, so a member who is removed stops at
//!   once.

mod application;
mod environment;
mod member;
mod project;
mod store;
mod team;

use serde_json::{Value, json};

use crate::accounts::SharedClockDebug;
use crate::accounts::rbac::{Action, Decision, Permission, decide_in_project};
use crate::base::id::ProjectId;
use crate::base::{Actor, Error, Result, SharedClock};
use crate::db::{Db, Tx};
use crate::events::{self, NewEvent, Outcome, Target};

pub use application::{
    Application, ApplicationChange, ApplicationFilter, Lifecycle, Link, NewApplication,
};
pub use environment::Environment;
pub use member::{Member, MemberName};
pub use project::{NewProject, Outline, Project, ProjectChange};
pub use team::Team;

/// Longest description, characters.
pub const MAX_DESCRIPTION: usize = 2000;
/// Longest search text, characters.
pub const MAX_QUERY: usize = 200;

/// The handle on the catalog; cheap to clone.
#[derive(Debug, Clone)]
pub struct Catalog {
    pub(crate) db: Db,
    pub(crate) clock: SharedClockDebug,
}

impl Catalog {
    /// A catalog in `db`.
    pub fn new(db: Db, clock: SharedClock) -> Self {
        Self { db, clock: SharedClockDebug(clock) }
    }

    /// Turns what was found into what the caller may use. `what` and `name` are as the caller
    /// wrote them, so that hidden and absent read the same.
    async fn permit(
        &self,
        actor: &Actor,
        found: Option<&Project>,
        permission: Permission,
        what: &'static str,
        name: &str,
    ) -> Result<()> {
        let decision = found.map_or(Decision::Hide, |project| {
            decide_in_project(actor, project.role, project.visibility, permission)
        });
        match (decision, found) {
            (Decision::Allow, _) => Ok(()),
            (Decision::Deny, Some(project)) => {
                self.record_refusal(actor, project, permission).await?;
                Err(Error::denied(format!(
                    "this needs the permission {permission} in the project \"{}\"",
                    project.name
                )))
            }
            _ if actor.is_anonymous() => Err(Error::unauthenticated("log in first")),
            _ => Err(Error::not_found(what, name)),
        }
    }

    async fn record_refusal(
        &self,
        actor: &Actor,
        project: &Project,
        permission: Permission,
    ) -> Result<()> {
        let is_change = matches!(
            permission.1,
            Action::Create | Action::Update | Action::Delete | Action::Operate
        );
        if !is_change {
            return Ok(());
        }
        let event = NewEvent::new(
            "access.deny",
            Target::new("project", project.id, &project.name),
            format!("Refused {permission}: the caller's role does not allow it."),
        )
        .in_project(project.id)
        .outcome(Outcome::Denied)
        .detail(json!({ "permission": permission.to_string(), "role": project.role }));
        events::append_alone(&self.db, &*self.clock.0, actor, event).await
    }

    async fn append(&self, tx: &mut Tx, actor: &Actor, event: NewEvent) -> Result<()> {
        events::append(tx, &*self.clock.0, actor, event).await
    }
}

/// An event about something in a project, with the change in its detail.
fn change_event(
    action: &'static str,
    target: Target,
    project: ProjectId,
    message: String,
    before: Value,
    after: Value,
) -> NewEvent {
    NewEvent::new(action, target, message)
        .in_project(project)
        .detail(json!({ "before": before, "after": after }))
}

fn check_description(text: &str) -> Result<()> {
    if text.chars().count() > MAX_DESCRIPTION {
        let rule = format!("must be at most {MAX_DESCRIPTION} characters");
        return Err(Error::invalid("description", rule));
    }
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err(Error::invalid("description", "must not contain control characters"));
    }
    Ok(())
}

/// The text to search for, or `None` when there is nothing to match on.
fn search_text<'a>(field: &str, text: Option<&'a str>) -> Result<Option<&'a str>> {
    let text = text.map(str::trim).filter(|text| !text.is_empty());
    if text.is_some_and(|text| text.chars().count() > MAX_QUERY || text.contains('\0')) {
        let rule = format!("must be at most {MAX_QUERY} characters, without NUL");
        return Err(Error::invalid(field, rule));
    }
    Ok(text)
}

/// `2 repositories and 1 application`, of the counts above zero.
fn count_list(counts: &[(i64, &str, &str)]) -> String {
    let parts: Vec<String> = counts
        .iter()
        .filter(|(n, ..)| *n > 0)
        .map(|(n, one, many)| format!("{n} {}", if *n == 1 { one } else { many }))
        .collect();
    match parts.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_read_as_a_sentence() {
        let list = |a, b, c| {
            count_list(&[(a, "repository", "repositories"), (b, "team", "teams"), (c, "x", "xs")])
        };
        assert_eq!(list(0, 0, 0), "");
        assert_eq!(list(1, 0, 0), "1 repository");
        assert_eq!(list(2, 0, 1), "2 repositories and 1 x");
        assert_eq!(list(2, 1, 3), "2 repositories, 1 team and 3 xs");
    }
}
