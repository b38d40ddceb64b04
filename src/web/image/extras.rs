//! What surrounds an image: its labels, the rule that locks its tag, and the ways to its history
//! and to other versions.

use askama::Template;
use askama::filters::HtmlSafe;

use super::image_href;
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::{Reference, RepositoryName, Result};
use crate::catalog::Project;
use crate::registry::rules::TagRule;
use crate::registry::{Chip, Image, Label, Tag};
use crate::web::repositories::href;
use crate::web::shell::Shell;
use crate::web::text::Text;

/// What the whole page knows about the project's rules and labels.
pub(super) struct Known {
    pub rules: Vec<TagRule>,
    pub labels: Vec<Label>,
}

impl Known {
    pub(super) async fn load(shell: &Shell, project: &Project) -> Result<Self> {
        let registry = &shell.services.registry;
        let sees_labels = shell.may(project, Permission(Resource::Label, Action::List));
        Ok(Self {
            rules: registry.rules_over(project).await?,
            labels: if sees_labels { registry.labels_over(project).await? } else { Vec::new() },
        })
    }

    /// The rule that locks a tag, in words.
    pub(super) fn lock(&self, name: &RepositoryName, tag: &str) -> Option<String> {
        self.rules.iter().find(|rule| rule.covers(name, tag)).map(ToString::to_string)
    }
}

/// Everything in the line below an image's facts.
#[derive(Template)]
#[template(path = "image/extras.html")]
pub(super) struct Extras {
    t: Text,
    csrf: String,
    chips: Vec<Chip>,
    /// Labels that can be put on.
    addable: Vec<String>,
    may_label: bool,
    /// Where the label form is sent.
    labels_action: String,
    labels_href: String,
    history: Option<String>,
    /// What this image is called when it is compared.
    own: String,
    /// Other versions it can be compared with.
    others: Vec<String>,
    compare_action: String,
    pub lock: Option<String>,
    rules_href: String,
}
impl HtmlSafe for Extras {}

impl Extras {
    pub(super) fn of(
        shell: &Shell,
        project: &Project,
        name: &RepositoryName,
        reference: &Reference,
        image: &Image,
        known: &Known,
        tags: &[Tag],
    ) -> Self {
        let base = href(name.project().as_str(), name.path());
        let own = reference.to_string();
        let digest = Reference::Digest(image.digest.clone());
        let on = |label: &Label| image.labels.iter().any(|chip| chip.name == label.name);
        let lock = match reference {
            Reference::Tag(tag) => known.lock(name, tag.as_str()),
            Reference::Digest(_) => {
                image.tags.iter().find_map(|tag| known.lock(name, tag.as_str()))
            }
        };
        Self {
            t: shell.t,
            csrf: shell.csrf().to_owned(),
            addable: known.labels.iter().filter(|l| !on(l)).map(|l| l.name.clone()).collect(),
            may_label: shell.may(project, Permission(Resource::ArtifactLabel, Action::Create)),
            labels_action: format!("{}/labels", image_href(name, &digest)),
            labels_href: format!("/p/{}/labels", project.name),
            history: match reference {
                Reference::Tag(_) => Some(format!("{}/history", image_href(name, reference))),
                Reference::Digest(_) => None,
            },
            others: tags
                .iter()
                .map(|tag| tag.name.to_string())
                .filter(|other| *other != own)
                .collect(),
            compare_action: format!("{base}/-/compare"),
            rules_href: format!("/p/{}/tag-rules", project.name),
            chips: image.labels.clone(),
            own,
            lock,
        }
    }
}
