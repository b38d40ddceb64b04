//! SQL of labels and of the images that carry them.

use sqlx::PgConnection;

use crate::base::id::{LabelId, ManifestId, ProjectId};
use crate::base::{Digest, Error, RepositoryName, Result, Timestamp};
use crate::db::OnConstraint;
use crate::registry::label::{Chip, Label};

/// Labels of a project by name; with `exactly`, that one.
pub(in crate::registry) async fn list(
    conn: &mut PgConnection,
    project: ProjectId,
    exactly: Option<&str>,
) -> Result<Vec<Label>> {
    let rows = sqlx::query!(
        r#"select l.id as "id: LabelId", l.name, l.color, l.description, l.created_at,
                  l.updated_at,
                  (select count(*) from manifest_labels m where m.label_id = l.id) as "images!"
           from labels l
           where l.project_id = $1 and ($2::text is null or l.name = $2)
           order by l.name"#,
        project.uuid(),
        exactly,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|r| {
            Ok(Label {
                id: r.id,
                name: r.name,
                color: r.color.parse()?,
                description: r.description,
                images: r.images,
                created_at: r.created_at,
                updated_at: r.updated_at,
            })
        })
        .collect()
}

pub(in crate::registry) async fn count(conn: &mut PgConnection, project: ProjectId) -> Result<i64> {
    Ok(sqlx::query_scalar!(
        r#"select count(*) as "n!" from labels where project_id = $1"#,
        project.uuid(),
    )
    .fetch_one(conn)
    .await?)
}

/// Finds a label and keeps it from changing until the transaction ends.
pub(in crate::registry) async fn lock(
    conn: &mut PgConnection,
    project: ProjectId,
    name: &str,
) -> Result<Option<LabelId>> {
    Ok(sqlx::query_scalar!(
        r#"select id as "id: LabelId" from labels
           where project_id = $1 and name = $2 for no key update"#,
        project.uuid(),
        name,
    )
    .fetch_optional(conn)
    .await?)
}

fn taken(name: &str) -> Error {
    Error::conflict("label_exists", format!("there is already a label \"{name}\""))
}

pub(in crate::registry) async fn insert(
    conn: &mut PgConnection,
    project: ProjectId,
    label: &Label,
) -> Result<()> {
    sqlx::query!(
        "insert into labels (id, project_id, name, color, description, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $6)",
        label.id.uuid(),
        project.uuid(),
        label.name,
        label.color.as_str(),
        label.description,
        label.created_at,
    )
    .execute(conn)
    .await
    .on_constraint("labels_project_id_name_key", || taken(&label.name))?;
    Ok(())
}

pub(in crate::registry) async fn update(conn: &mut PgConnection, label: &Label) -> Result<()> {
    sqlx::query!(
        "update labels set name = $2, color = $3, description = $4, updated_at = $5 where id = $1",
        label.id.uuid(),
        label.name,
        label.color.as_str(),
        label.description,
        label.updated_at,
    )
    .execute(conn)
    .await
    .on_constraint("labels_project_id_name_key", || taken(&label.name))?;
    Ok(())
}

pub(in crate::registry) async fn delete(conn: &mut PgConnection, id: LabelId) -> Result<()> {
    sqlx::query!("delete from labels where id = $1", id.uuid()).execute(conn).await?;
    Ok(())
}

/// Labels on an image by name; `None` when the image is absent.
pub(in crate::registry) async fn of_image(
    conn: &mut PgConnection,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Option<Vec<Chip>>> {
    let found = sqlx::query_scalar!(
        r#"select array(select l.color || ':' || l.name
                        from manifest_labels ml join labels l on l.id = ml.label_id
                        where ml.manifest_id = m.id order by l.name) as "labels!"
           from repositories r join manifests m on m.repository_id = r.id
           where r.name = $1 and m.digest = $2"#,
        repository.as_str(),
        digest.to_string(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.map(Chip::gathered))
}

/// How many labels an image carries.
pub(in crate::registry) async fn on_image(
    conn: &mut PgConnection,
    manifest: ManifestId,
) -> Result<i64> {
    Ok(sqlx::query_scalar!(
        r#"select count(*) as "n!" from manifest_labels where manifest_id = $1"#,
        manifest.uuid(),
    )
    .fetch_one(conn)
    .await?)
}

pub(in crate::registry) async fn add(
    conn: &mut PgConnection,
    manifest: ManifestId,
    label: LabelId,
    by: &str,
    now: Timestamp,
) -> Result<bool> {
    let done = sqlx::query!(
        "insert into manifest_labels (manifest_id, label_id, created_by, created_at)
         values ($1, $2, $3, $4)
         on conflict on constraint manifest_labels_pkey do nothing",
        manifest.uuid(),
        label.uuid(),
        by,
        now,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(in crate::registry) async fn remove(
    conn: &mut PgConnection,
    manifest: ManifestId,
    project: ProjectId,
    label: &str,
) -> Result<bool> {
    let done = sqlx::query!(
        "delete from manifest_labels ml using labels l
         where ml.manifest_id = $1 and l.id = ml.label_id and l.project_id = $2 and l.name = $3",
        manifest.uuid(),
        project.uuid(),
        label,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}
