//! Uniqueness and references are decided by PostgreSQL; the call site says what a broken
//! constraint means to the user.

use crate::base::Error;

/// Maps a named constraint violation to a user-facing error.
pub trait OnConstraint<T> {
    /// If the statement failed on `constraint`, the result of `error`; otherwise the plain
    /// conversion.
    fn on_constraint(self, constraint: &str, error: impl FnOnce() -> Error) -> Result<T, Error>;

    /// The same for several constraints; `error` gets the name of the one that failed, or `None`
    /// is returned to fall through to the plain conversion.
    fn on_constraints(self, error: impl FnOnce(&str) -> Option<Error>) -> Result<T, Error>;
}

impl<T> OnConstraint<T> for Result<T, sqlx::Error> {
    fn on_constraint(self, constraint: &str, error: impl FnOnce() -> Error) -> Result<T, Error> {
        self.on_constraints(|name| (name == constraint).then(error))
    }

    fn on_constraints(self, error: impl FnOnce(&str) -> Option<Error>) -> Result<T, Error> {
        self.map_err(|e| {
            let mapped = match &e {
                sqlx::Error::Database(db) => db.constraint().and_then(error),
                _ => None,
            };
            mapped.unwrap_or_else(|| e.into())
        })
    }
}
