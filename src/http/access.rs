//! What each route needs, as data, so that a test can compare it with the routers.

use axum::http::Method;

use crate::accounts::rbac::Permission;

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody; it shows nothing of a tenant.
    Public,
    /// Whoever is logged in; it shows only what is theirs.
    LoggedIn,
    /// A platform permission.
    Platform(Permission),
    /// A permission in the project (or environment) that the path names.
    Project(Permission),
    /// Several rows of the matrix, decided by the use-case (search, the registry's `/v2/` tree).
    PerObject,
}

/// One row: a route and what it needs.
#[derive(Debug, Clone)]
pub struct RouteAccess {
    pub method: Method,
    /// The path template as given to the router.
    pub path: &'static str,
    pub access: Access,
}
