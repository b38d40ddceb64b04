//! SQL of the rules that lock tags.

use sqlx::PgConnection;

use crate::base::id::{ProjectId, TagRuleId};
use crate::base::{Error, Result, Timestamp};
use crate::db::OnConstraint;
use crate::registry::rules::TagRule;

/// A row as it is stored.
struct Row {
    id: TagRuleId,
    kind: String,
    repository: String,
    tag: String,
    exempt: Option<String>,
    created_by: String,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl TryFrom<Row> for TagRule {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: row.id,
            kind: row.kind.parse()?,
            repository: row.repository,
            tag: row.tag,
            exempt: row.exempt.map(|role| role.parse()).transpose()?,
            created_by: row.created_by,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// All rules of a project, oldest first; their number is bounded.
pub(in crate::registry) async fn list(
    conn: &mut PgConnection,
    project: ProjectId,
) -> Result<Vec<TagRule>> {
    let rows = sqlx::query_as!(
        Row,
        r#"select id as "id: TagRuleId", kind, repository, tag, exempt, created_by, created_at,
                  updated_at
           from tag_rules where project_id = $1 order by created_at, id"#,
        project.uuid(),
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(TagRule::try_from).collect()
}

pub(in crate::registry) async fn count(conn: &mut PgConnection, project: ProjectId) -> Result<i64> {
    Ok(sqlx::query_scalar!(
        r#"select count(*) as "n!" from tag_rules where project_id = $1"#,
        project.uuid(),
    )
    .fetch_one(conn)
    .await?)
}

pub(in crate::registry) async fn lock(
    conn: &mut PgConnection,
    project: ProjectId,
    id: TagRuleId,
) -> Result<Option<TagRule>> {
    sqlx::query_as!(
        Row,
        r#"select id as "id: TagRuleId", kind, repository, tag, exempt, created_by, created_at,
                  updated_at
           from tag_rules where project_id = $1 and id = $2 for update"#,
        project.uuid(),
        id.uuid(),
    )
    .fetch_optional(conn)
    .await?
    .map(TagRule::try_from)
    .transpose()
}

fn same() -> Error {
    Error::conflict("rule_exists", "there is already such a rule; change that one")
}

pub(in crate::registry) async fn insert(
    conn: &mut PgConnection,
    project: ProjectId,
    rule: &TagRule,
) -> Result<()> {
    sqlx::query!(
        "insert into tag_rules
             (id, project_id, kind, repository, tag, exempt, created_by, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $8)",
        rule.id.uuid(),
        project.uuid(),
        rule.kind.as_str(),
        rule.repository,
        rule.tag,
        rule.exempt.map(|role| role.as_str()),
        rule.created_by,
        rule.created_at,
    )
    .execute(conn)
    .await
    .on_constraint("tag_rules_same_key", same)?;
    Ok(())
}

pub(in crate::registry) async fn update(conn: &mut PgConnection, rule: &TagRule) -> Result<()> {
    sqlx::query!(
        "update tag_rules
         set kind = $2, repository = $3, tag = $4, exempt = $5, updated_at = $6
         where id = $1",
        rule.id.uuid(),
        rule.kind.as_str(),
        rule.repository,
        rule.tag,
        rule.exempt.map(|role| role.as_str()),
        rule.updated_at,
    )
    .execute(conn)
    .await
    .on_constraint("tag_rules_same_key", same)?;
    Ok(())
}

pub(in crate::registry) async fn delete(conn: &mut PgConnection, id: TagRuleId) -> Result<()> {
    sqlx::query!("delete from tag_rules where id = $1", id.uuid()).execute(conn).await?;
    Ok(())
}
