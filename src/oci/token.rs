//! The token service: grants the intersection of what is asked and what is allowed.
//!
//! Refresh tokens are not given: Docker keeps the password (or personal token) it logged in
//! with, and containerd asks for one only when it was given one before.

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use serde_json::json;

use super::Face;
use super::caller::{self, Credentials};
use super::error::Failure;
use super::query::Query;
use crate::accounts::{AccessEntry, Origin};
use crate::base::{Actor, Channel, Error, ErrorKind, RepositoryName, Secret};
use crate::registry::Rights;

/// Scopes of one request; clients ask for a handful.
const MAX_SCOPES: usize = 50;
const MAX_FORM: usize = 16 * 1024;

/// `GET /token?service=…&scope=…`: with Basic, or anonymous.
pub(super) async fn by_query(
    State(face): State<Face>,
    request: Request,
) -> Result<Response, Failure> {
    let (parts, _) = request.into_parts();
    let origin = caller::origin(&parts);
    let query = Query::parse(parts.uri.query().unwrap_or_default())?;
    let scopes: Vec<&str> = query.all("scope").collect();
    let actor = match caller::credentials(&parts.headers) {
        Credentials::Basic(name, secret) => log_in(&face, &name, &secret, &origin).await?,
        Credentials::Personal(token) => {
            face.accounts.authenticate_token(&token, &origin).await.map_err(challenge)?
        }
        // `docker login` asks without a scope, only to see whether the password is right.
        Credentials::None if !scopes.is_empty() => anonymous(&origin),
        Credentials::None => {
            return Err(challenge(Error::unauthenticated("log in with a name and a password")));
        }
        Credentials::Malformed | Credentials::Bearer(_) => {
            return Err(challenge(Error::unauthenticated("the Authorization header is not valid")));
        }
    };
    grant(&face, &actor, &scopes).await
}

/// `POST /token`: OAuth2 with the grant type `password`.
pub(super) async fn by_form(
    State(face): State<Face>,
    request: Request,
) -> Result<Response, Failure> {
    let (parts, body) = request.into_parts();
    let origin = caller::origin(&parts);
    let body = axum::body::to_bytes(body, MAX_FORM)
        .await
        .map_err(|e| Error::too_large("form", MAX_FORM as u64).with_source(e))?;
    let text = std::str::from_utf8(&body).map_err(|_| Error::malformed("the form is not UTF-8"))?;
    let form = Query::parse(text)?;
    match form.get("grant_type") {
        Some("password") => {}
        // Clients fall back to GET when they read a 400.
        _ => return Err(Error::malformed("grant_type must be password").into()),
    }
    let field = |name: &'static str| {
        form.get(name).ok_or_else(|| Error::malformed(format!("the form needs {name}")))
    };
    let secret = Secret::new(field("password")?.to_owned());
    let actor = log_in(&face, field("username")?, &secret, &origin).await?;
    let scopes: Vec<&str> = form.all("scope").collect();
    grant(&face, &actor, &scopes).await
}

async fn log_in(
    face: &Face,
    name: &str,
    secret: &Secret,
    origin: &Origin,
) -> Result<Actor, Failure> {
    face.accounts.authenticate_basic(name, secret, origin).await.map_err(challenge)
}

fn anonymous(origin: &Origin) -> Actor {
    Actor::anonymous(Channel::Registry).with_request(origin.address, origin.request_id.clone())
}

fn challenge(error: Error) -> Failure {
    match error.kind() {
        ErrorKind::Unauthenticated => {
            Failure::challenge(error, "Basic realm=\"portolan\"".to_owned())
        }
        _ => error.into(),
    }
}

async fn grant(face: &Face, actor: &Actor, scopes: &[&str]) -> Result<Response, Failure> {
    let asked: Vec<Asked> =
        scopes.iter().flat_map(|text| text.split(' ')).filter_map(Asked::parse).collect();
    if asked.len() > MAX_SCOPES {
        return Err(Error::malformed(format!("at most {MAX_SCOPES} scopes")).into());
    }
    let mut access = Vec::new();
    for asked in asked {
        let actions = match &asked.of {
            Of::Catalog => vec!["*".to_owned()],
            Of::Repository(name) => {
                granted(&asked.actions, face.registry.rights(actor, name).await?)
            }
        };
        if !actions.is_empty() {
            access.push(asked.entry(actions));
        }
    }
    let token = face.accounts.issue_registry_token(actor, access).await?;
    let secret = token.token.expose();
    let body = json!({
        "token": secret,
        "access_token": secret,
        "expires_in": token.expires_in.as_secs(),
        "issued_at": token.issued_at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
    });
    let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((no_store, Json(body)).into_response())
}

/// One scope that Portolan knows.
#[derive(Debug, PartialEq)]
struct Asked {
    of: Of,
    actions: Vec<String>,
}

#[derive(Debug, PartialEq)]
enum Of {
    Catalog,
    Repository(RepositoryName),
}

impl Asked {
    /// `type:name:actions`. What names nothing here asks for nothing.
    fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        let (name, actions) = rest.rsplit_once(':')?;
        let of = match kind {
            "registry" if name == "catalog" => Of::Catalog,
            "repository" => Of::Repository(name.parse().ok()?),
            _ => return None,
        };
        let actions = actions.split(',').filter(|a| !a.is_empty()).map(str::to_owned).collect();
        Some(Self { of, actions })
    }

    fn entry(&self, actions: Vec<String>) -> AccessEntry {
        let (kind, name) = match &self.of {
            Of::Catalog => ("registry", "catalog".to_owned()),
            Of::Repository(name) => ("repository", name.to_string()),
        };
        AccessEntry { kind: kind.to_owned(), name, actions }
    }
}

fn granted(asked: &[String], rights: Rights) -> Vec<String> {
    let all = asked.iter().any(|a| a == "*");
    [("pull", rights.pull), ("push", rights.push), ("delete", rights.delete)]
        .into_iter()
        .filter(|(action, allowed)| *allowed && (all || asked.iter().any(|a| a == action)))
        .map(|(action, _)| action.to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_that_name_nothing_here_ask_for_nothing() {
        let asked = Asked::parse("repository:ta/app:pull,push").expect("a scope");
        assert_eq!(asked.actions, ["pull", "push"]);
        assert_eq!(Asked::parse("registry:catalog:*").expect("a scope").of, Of::Catalog);
        for bad in [
            "repository:TA/app:pull",
            "repository:tb/../ta/app:pull",
            "repository(plugin):ta/app:pull",
            "repository:host:5000/ta/app:pull",
            "repository:app:pull",
            "registry:other:*",
            "repository",
            "",
        ] {
            assert_eq!(Asked::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_grant_is_the_intersection() {
        let asked = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        let reader = Rights { pull: true, push: false, delete: false };
        assert_eq!(granted(&asked("pull,push,delete,*"), reader), ["pull"]);
        assert_eq!(granted(&asked("push"), reader), [""; 0]);
        let owner = Rights { pull: true, push: true, delete: true };
        assert_eq!(granted(&asked("*"), owner), ["pull", "push", "delete"]);
        assert_eq!(granted(&asked("pull"), owner), ["pull"]);
    }
}
