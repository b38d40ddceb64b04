//! SQL of users, sessions, tokens, rate buckets and installation secrets.

mod buckets;
mod secrets;
mod sessions;
mod tokens;
mod users;

pub(super) use buckets::*;
pub(super) use secrets::*;
pub(super) use sessions::*;
pub(super) use tokens::*;
pub(super) use users::*;

type Result<T> = std::result::Result<T, sqlx::Error>;
