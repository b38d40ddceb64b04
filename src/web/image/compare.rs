//! Two versions side by side.

use askama::Template;
use axum::response::{IntoResponse, Redirect};

use super::image_href;
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::{Error, Reference, RepositoryName, Timestamp};
use crate::registry::Image;
use crate::registry::compare::{Comparison, FieldDiff, State};
use crate::web::frame::Frame;
use crate::web::repositories::href;
use crate::web::shell::{PageResult, Shell};
use crate::web::text::Text;

/// One of the two.
struct Side {
    title: String,
    href: String,
    digest: crate::base::Digest,
    size: i64,
    pushed_at: Timestamp,
    pushed_by: String,
}

impl Side {
    fn of(name: &RepositoryName, reference: &Reference, image: &Image) -> Self {
        Self {
            title: shown(reference),
            href: image_href(name, reference),
            digest: image.digest.clone(),
            size: image.total_size,
            pushed_at: image.pushed_at,
            pushed_by: image.pushed_by.clone(),
        }
    }
}

fn shown(reference: &Reference) -> String {
    match reference {
        Reference::Tag(tag) => tag.to_string(),
        Reference::Digest(digest) => digest.short().to_owned(),
    }
}

/// A layer.
struct Layer {
    state: State,
    word: String,
    instruction: String,
    size: i64,
}

/// A setting.
struct Field {
    label: String,
    a: Option<String>,
    b: Option<String>,
    same: bool,
}

/// A platform of indexes.
struct Platform {
    name: String,
    word: String,
    same: bool,
    a: String,
    b: String,
    /// Where its two images are compared.
    href: Option<String>,
}

#[derive(Template)]
#[template(path = "image/compare.html")]
struct ComparePage {
    frame: Frame,
    a: Side,
    b: Side,
    same: bool,
    /// Bytes by which the second is larger.
    delta: String,
    layers: Vec<Layer>,
    layer_note: String,
    fields: Vec<Field>,
    changes: usize,
    platforms: Vec<Platform>,
    /// Also what is the same.
    all: bool,
    here: String,
    swap: String,
    deploy: Option<String>,
}

fn word(t: &Text, state: State) -> String {
    t.get(match state {
        State::Same => "compare-same",
        State::Changed => "compare-changed",
        State::Added => "compare-added",
        State::Removed => "compare-removed",
        State::Moved => "compare-moved",
    })
}

fn label(t: &Text, field: &FieldDiff) -> String {
    let key = match field.field {
        "entrypoint" => "config-entrypoint",
        "cmd" => "config-command",
        "user" => "config-user",
        "workdir" => "config-workdir",
        "os" => "compare-os",
        "architecture" => "compare-architecture",
        "env" => "config-env",
        "port" => "field-port",
        "label" => "compare-label",
        _ => "compare-annotation",
    };
    let name = t.get(key);
    // A port is its own value.
    if field.key.is_empty() || field.field == "port" {
        name
    } else {
        format!("{name} {}", field.key)
    }
}

fn delta(t: &Text, found: &Comparison) -> String {
    let bytes = found.b.total_size - found.a.total_size;
    match bytes {
        0 => t.get("compare-size-same"),
        1.. => t.fmt("compare-size-more").a("size", t.size(bytes)).to_string(),
        _ => t.fmt("compare-size-less").a("size", t.size(-bytes)).to_string(),
    }
}

/// `GET /p/{project}/r/{repository}/-/compare/{a}...{b}`
pub(super) async fn show(
    shell: &Shell,
    name: &RepositoryName,
    a: &Reference,
    b: &Reference,
    all: bool,
) -> PageResult {
    let t = shell.t;
    let read = Permission(Resource::Artifact, Action::Read);
    let project = shell.services.catalog.project(&shell.actor, &name.project(), read).await?;
    let found = shell.services.registry.compare(&shell.actor, name, a, b).await?;
    let base = href(name.project().as_str(), name.path());
    let address = |a: &Reference, b: &Reference| format!("{base}/-/compare/{a}...{b}");
    let layer = |layer: &crate::registry::compare::LayerDiff| Layer {
        state: layer.state,
        word: word(&t, layer.state),
        instruction: if layer.created_by.is_empty() {
            layer.digest.to_string()
        } else {
            super::detail::instruction(&layer.created_by)
        },
        size: layer.size,
    };
    let fields: Vec<Field> = found
        .config
        .iter()
        .map(|field| Field {
            label: label(&t, field),
            a: field.a.clone(),
            b: field.b.clone(),
            same: field.state == State::Same,
        })
        .collect();
    let title = format!("{} … {}", shown(a), shown(b));
    let frame = shell
        .repository_frame(&project, name, title)
        .await?
        .json(format!("/api/v1/repositories/{name}/-/compare/{a}...{b}"));
    let may_deploy = shell.may(&project, Permission(Resource::Deployment, Action::Create));
    let page = ComparePage {
        frame,
        same: found.is_same(),
        delta: delta(&t, &found),
        layer_note: t
            .fmt("compare-layer-note")
            .a("shared", t.size(found.layer_bytes(State::Same) + found.layer_bytes(State::Moved)))
            .a("added", t.size(found.layer_bytes(State::Added)))
            .to_string(),
        layers: found.layers.iter().map(layer).collect(),
        changes: fields.iter().filter(|field| !field.same).count(),
        fields,
        platforms: found
            .platforms
            .iter()
            .map(|platform| {
                let of = |side: &Option<crate::registry::Descriptor>| {
                    side.as_ref().map(|d| Reference::Digest(d.digest.clone()))
                };
                let (first, second) = (of(&platform.a), of(&platform.b));
                let changed = platform.state == State::Changed;
                Platform {
                    name: if platform.platform.is_empty() {
                        t.get("image-platform-unknown")
                    } else {
                        platform.platform.clone()
                    },
                    word: word(&t, platform.state),
                    same: platform.state == State::Same,
                    a: first.as_ref().map(shown).unwrap_or_default(),
                    b: second.as_ref().map(shown).unwrap_or_default(),
                    href: first.zip(second).filter(|_| changed).map(|(a, b)| address(&a, &b)),
                }
            })
            .collect(),
        all,
        here: address(a, b),
        swap: address(b, a),
        deploy: may_deploy.then(|| {
            let image = match b {
                Reference::Tag(tag) => format!("{name}:{tag}"),
                Reference::Digest(digest) => format!("{name}@{digest}"),
            };
            let query = serde_urlencoded::to_string([("image", image)]).unwrap_or_default();
            format!("/p/{}/a/new?{query}", project.name)
        }),
        a: Side::of(name, a, &found.a),
        b: Side::of(name, b, &found.b),
    };
    shell.render(&page)
}

/// `GET /p/{project}/r/{repository}/-/compare?a=…&b=…`: leads to the comparison's own address.
pub(super) fn choose(name: &RepositoryName, a: &str, b: &str) -> PageResult {
    let absent = |text: &str| Error::not_found("image", text.chars().take(200).collect::<String>());
    let first: Reference = a.trim().parse().map_err(|_| absent(a))?;
    let second: Reference = b.trim().parse().map_err(|_| absent(b))?;
    let base = href(name.project().as_str(), name.path());
    Ok(Redirect::to(&format!("{base}/-/compare/{first}...{second}")).into_response())
}
