//! The pages: extract, one service call, render a template.
//!
//! A page is a template struct beside its handler; `templates/` mirrors this directory. Every
//! string comes from `locales/`. Pages work without script; `static/app.js` makes them live.

mod applications;
pub mod assets;
mod audit;
mod catalog;
mod cleanup;
pub mod cookies;
mod errors;
pub mod form;
pub mod format;
pub mod frame;
mod image;
mod imports;
mod labels;
mod login;
mod me;
mod members;
mod nodes;
mod overview;
mod projects;
mod quotas;
mod repositories;
mod retention;
mod rollouts;
mod search;
mod session;
pub mod shell;
mod start;
mod stream;
mod tag_rules;
mod teams;
pub mod text;
mod users;
pub mod view;

use axum::Router;
use axum::http::Method;
use axum::routing::{get, post};

use crate::accounts::rbac::{Action, Permission, Resource};
use crate::http::{Access, RouteAccess, Services};

/// Puts error pages on what `router` refuses. A layer of its own, because it needs the services.
pub fn with_error_pages(router: Router<Services>, services: &Services) -> Router<Services> {
    router.layer(axum::middleware::from_fn_with_state(services.clone(), errors::render))
}

/// The pages' routes.
pub fn router() -> Router<Services> {
    Router::new()
        .route("/static/{*path}", get(assets::serve))
        .route("/login", get(login::page).post(login::submit))
        .route("/logout", post(login::logout))
        .route("/preferences", post(login::preferences))
        .route("/stream", get(stream::follow))
        .route("/", get(overview::page))
        .route("/setup", get(start::setup))
        .route("/docs/start", get(start::page))
        .route("/docs/shortcuts", get(start::shortcuts))
        .route("/switch", get(projects::switch))
        .route("/p", get(projects::list))
        .route("/p/-/new", get(projects::new).post(projects::create))
        .route("/p/{project}", get(projects::overview))
        .route("/search", get(search::search))
        .route("/go/{*what}", get(search::go))
        .route("/catalog", get(catalog::list))
        .route("/catalog/{project}/{application}", get(catalog::card))
        .route("/teams", get(teams::list))
        .route("/teams/-/new", get(teams::new).post(teams::create))
        .route("/teams/{team}", get(teams::team))
        .route("/teams/{team}/members", post(teams::add_member))
        .route("/teams/{team}/members/{user}/remove", post(teams::remove_member))
        .route("/p/{project}/members", get(members::list).post(members::save))
        .route("/p/{project}/members/{kind}/{name}/remove", post(members::remove))
        .route("/me", get(me::profile).post(me::save))
        .route("/me/password", post(me::password))
        .route("/me/tokens", get(me::tokens).post(me::create_token))
        .route("/me/tokens/{id}/revoke", post(me::revoke_token))
        .route("/me/sessions", get(me::sessions))
        .route("/me/sessions/{id}/end", post(me::end_session))
        .route("/admin/users", get(users::list))
        .route("/admin/users/-/new", get(users::new).post(users::create))
        .route("/admin/users/{name}", post(users::change))
        .route("/p/{project}/quota", get(quotas::project).post(quotas::save))
        .route("/p/{project}/quota/recalculate", post(quotas::recalculate))
        .route("/admin/quotas", get(quotas::admin))
        .route("/admin/quotas/recalculate", post(quotas::recalculate_all))
        .route("/admin/cleanup", get(cleanup::page).post(cleanup::run))
        .route("/admin/cleanup/blobs", get(cleanup::blobs))
        .route("/rollouts", get(rollouts::page))
        .route("/nodes", get(nodes::list))
        .route("/nodes/{node}", get(nodes::show))
        .route("/audit", get(audit::page))
        .route("/audit/export", get(audit::export))
        .merge(applications::router())
        .merge(labels::router())
        .merge(tag_rules::router())
        .merge(imports::router())
        .merge(retention::router())
        .route("/p/{project}/r", get(repositories::list))
        .route("/p/{project}/r/{*rest}", get(image::page).post(image::submit))
}

/// Who may call each route.
pub fn access() -> Vec<RouteAccess> {
    let row = |method: Method, path, access| RouteAccess { method, path, access };
    let mut rows = vec![
        row(Method::GET, "/static/{*path}", Access::Public),
        row(Method::GET, "/login", Access::Public),
        row(Method::POST, "/login", Access::Public),
        row(Method::POST, "/logout", Access::LoggedIn),
        row(Method::POST, "/preferences", Access::Public),
        row(Method::GET, "/stream", Access::PerObject),
        row(Method::GET, "/", Access::LoggedIn),
        row(Method::GET, "/setup", Access::LoggedIn),
        row(Method::GET, "/docs/start", Access::LoggedIn),
        row(Method::GET, "/docs/shortcuts", Access::LoggedIn),
        row(Method::GET, "/switch", Access::LoggedIn),
        row(Method::GET, "/p", Access::LoggedIn),
        row(Method::GET, "/p/-/new", Access::LoggedIn),
        row(
            Method::POST,
            "/p/-/new",
            Access::Platform(Permission(Resource::Project, Action::Create)),
        ),
        row(
            Method::GET,
            "/p/{project}",
            Access::Project(Permission(Resource::Project, Action::Read)),
        ),
        row(
            Method::GET,
            "/p/{project}/r",
            Access::Project(Permission(Resource::Repository, Action::List)),
        ),
        row(
            Method::GET,
            "/p/{project}/r/{*rest}",
            Access::Project(Permission(Resource::Repository, Action::List)),
        ),
        row(Method::POST, "/p/{project}/r/{*rest}", Access::PerObject),
        row(Method::GET, "/search", Access::LoggedIn),
        row(Method::GET, "/go/{*what}", Access::LoggedIn),
        row(Method::GET, "/catalog", Access::LoggedIn),
        row(
            Method::GET,
            "/catalog/{project}/{application}",
            Access::Project(Permission(Resource::Application, Action::Read)),
        ),
        row(Method::GET, "/teams", Access::Platform(Permission(Resource::Team, Action::List))),
        row(Method::GET, "/teams/-/new", Access::LoggedIn),
        row(
            Method::POST,
            "/teams/-/new",
            Access::Platform(Permission(Resource::Team, Action::Create)),
        ),
        row(
            Method::GET,
            "/teams/{team}",
            Access::Platform(Permission(Resource::Team, Action::Read)),
        ),
        row(
            Method::POST,
            "/teams/{team}/members",
            Access::Platform(Permission(Resource::Team, Action::Update)),
        ),
        row(
            Method::POST,
            "/teams/{team}/members/{user}/remove",
            Access::Platform(Permission(Resource::Team, Action::Update)),
        ),
        row(
            Method::GET,
            "/p/{project}/members",
            Access::Project(Permission(Resource::Member, Action::List)),
        ),
        row(
            Method::POST,
            "/p/{project}/members",
            Access::Project(Permission(Resource::Member, Action::Update)),
        ),
        row(
            Method::POST,
            "/p/{project}/members/{kind}/{name}/remove",
            Access::Project(Permission(Resource::Member, Action::Delete)),
        ),
        row(Method::GET, "/me", Access::LoggedIn),
        row(Method::POST, "/me", Access::LoggedIn),
        row(Method::POST, "/me/password", Access::LoggedIn),
        row(Method::GET, "/me/tokens", Access::LoggedIn),
        row(Method::POST, "/me/tokens", Access::LoggedIn),
        row(Method::POST, "/me/tokens/{id}/revoke", Access::LoggedIn),
        row(Method::GET, "/me/sessions", Access::LoggedIn),
        row(Method::POST, "/me/sessions/{id}/end", Access::LoggedIn),
        row(
            Method::GET,
            "/admin/users",
            Access::Platform(Permission(Resource::User, Action::Update)),
        ),
        row(
            Method::GET,
            "/admin/users/-/new",
            Access::Platform(Permission(Resource::User, Action::Create)),
        ),
        row(
            Method::POST,
            "/admin/users/-/new",
            Access::Platform(Permission(Resource::User, Action::Create)),
        ),
        row(
            Method::POST,
            "/admin/users/{name}",
            Access::Platform(Permission(Resource::User, Action::Update)),
        ),
        row(Method::GET, "/rollouts", Access::LoggedIn),
        row(Method::GET, "/nodes", Access::Platform(Permission(Resource::Node, Action::List))),
        row(
            Method::GET,
            "/nodes/{node}",
            Access::Platform(Permission(Resource::Node, Action::List)),
        ),
        row(Method::GET, "/audit", Access::Platform(Permission(Resource::AuditLog, Action::List))),
        row(
            Method::GET,
            "/audit/export",
            Access::Platform(Permission(Resource::AuditLog, Action::List)),
        ),
    ];
    let quota = |action| Access::Project(Permission(Resource::Quota, action));
    let system = |action| Access::Platform(Permission(Resource::System, action));
    let collection = |action| Access::Platform(Permission(Resource::Collection, action));
    rows.extend([
        row(Method::GET, "/p/{project}/quota", quota(Action::Read)),
        row(Method::POST, "/p/{project}/quota", quota(Action::Update)),
        row(Method::POST, "/p/{project}/quota/recalculate", quota(Action::Update)),
        row(Method::GET, "/admin/quotas", system(Action::Read)),
        row(Method::POST, "/admin/quotas/recalculate", system(Action::Update)),
        row(Method::GET, "/admin/cleanup", collection(Action::Read)),
        row(Method::POST, "/admin/cleanup", collection(Action::Operate)),
        row(Method::GET, "/admin/cleanup/blobs", collection(Action::Read)),
    ]);
    rows.extend(applications::access());
    rows.extend(labels::access());
    rows.extend(tag_rules::access());
    rows.extend(imports::access());
    rows.extend(retention::access());
    rows
}
