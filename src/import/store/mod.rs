//! SQL of sources, imports and their plans.

pub(super) mod imports;
pub(super) mod plan;
pub(super) mod sources;

type Result<T> = std::result::Result<T, sqlx::Error>;
