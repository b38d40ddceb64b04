//! SQL of the last pull of each manifest.

use sqlx::PgConnection;

use crate::base::Timestamp;

/// Notes pulls; those of manifests that are gone are dropped.
pub(in crate::registry) async fn note(
    conn: &mut PgConnection,
    manifests: &[uuid::Uuid],
    at: &[Timestamp],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into manifest_pulls (manifest_id, pulled_at)
         select p.manifest_id, p.pulled_at
         from unnest($1::uuid[], $2::timestamptz[]) as p (manifest_id, pulled_at)
         join manifests m on m.id = p.manifest_id
         order by p.manifest_id
         on conflict on constraint manifest_pulls_pkey
         do update set pulled_at = greatest(manifest_pulls.pulled_at, excluded.pulled_at)",
        manifests,
        at,
    )
    .execute(conn)
    .await?;
    Ok(())
}
