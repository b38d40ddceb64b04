//! Labels: coloured words of a project that people put on images and filter by.

use std::str::FromStr;

use serde_json::{Value, json};

use super::{Registry, store};
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::id::LabelId;
use crate::base::{
    Actor, Digest, Error, ProjectName, Reference, RepositoryName, Result, Timestamp,
};
use crate::catalog::Project;
use crate::events::{self, NewEvent, Target};

/// Labels of one project.
pub const MAX_LABELS: i64 = 200;
/// Labels of one image.
pub const MAX_ON_IMAGE: i64 = 20;
const MAX_NAME: usize = 40;
const MAX_DESCRIPTION: usize = 200;

/// Colours a label can have; each is legible in both themes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelColor {
    Grey,
    Teal,
    Green,
    Amber,
    Red,
    Plum,
    Orange,
}

impl LabelColor {
    /// All colours.
    pub const ALL: [Self; 7] =
        [Self::Grey, Self::Teal, Self::Green, Self::Amber, Self::Red, Self::Plum, Self::Orange];

    /// The word stored and used by the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Grey => "grey",
            Self::Teal => "teal",
            Self::Green => "green",
            Self::Amber => "amber",
            Self::Red => "red",
            Self::Plum => "plum",
            Self::Orange => "orange",
        }
    }
}

impl FromStr for LabelColor {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|color| color.as_str() == s).ok_or_else(|| {
            Error::invalid("color", "must be grey, teal, green, amber, red, plum or orange")
        })
    }
}

/// A label of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    pub id: LabelId,
    pub name: String,
    pub color: LabelColor,
    pub description: String,
    /// Images that carry it.
    pub images: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A label as an image or a tag shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chip {
    pub name: String,
    /// One of [`LabelColor`]'s words.
    pub color: String,
}

impl Chip {
    /// From `color:name`, as queries gather them.
    pub(super) fn gathered(texts: Vec<String>) -> Vec<Self> {
        texts
            .iter()
            .filter_map(|text| text.split_once(':'))
            .map(|(color, name)| Self { name: name.to_owned(), color: color.to_owned() })
            .collect()
    }
}

/// A label to make.
#[derive(Debug, Clone)]
pub struct NewLabel {
    pub name: String,
    pub color: LabelColor,
    pub description: String,
}

/// What to change of a label.
#[derive(Debug, Clone, Default)]
pub struct LabelChange {
    pub name: Option<String>,
    pub color: Option<LabelColor>,
    pub description: Option<String>,
}

/// Letters and digits of any script, `.`, `_`, `-`: a name stands in an address unescaped enough
/// to be read.
fn check_name(name: &str) -> Result<()> {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
    let starts = name.starts_with(char::is_alphanumeric);
    if starts && name.chars().count() <= MAX_NAME && name.chars().all(fits) {
        return Ok(());
    }
    let rule = format!(
        "must be 1 to {MAX_NAME} letters, digits, dots, underscores or hyphens, starting with a letter or digit"
    );
    Err(Error::invalid("name", rule))
}

fn check_description(text: &str) -> Result<()> {
    if text.chars().count() > MAX_DESCRIPTION || text.chars().any(char::is_control) {
        let rule = format!("must be one line of at most {MAX_DESCRIPTION} characters");
        return Err(Error::invalid("description", rule));
    }
    Ok(())
}

fn unknown(name: &str) -> Error {
    Error::not_found("label", name.chars().take(100).collect::<String>())
}

fn facts(label: &Label) -> Value {
    json!({ "name": label.name, "color": label.color, "description": label.description })
}

fn permission(action: Action) -> Permission {
    Permission(Resource::Label, action)
}

impl Registry {
    /// Labels of a project by name; their number is bounded.
    pub async fn labels(&self, actor: &Actor, project: &ProjectName) -> Result<Vec<Label>> {
        let project = self.catalog.project(actor, project, permission(Action::List)).await?;
        store::labels::list(&mut *self.db.read().await?, project.id, None).await
    }

    /// The labels of a project in which the caller may list them.
    pub async fn labels_over(&self, project: &Project) -> Result<Vec<Label>> {
        store::labels::list(&mut *self.db.read().await?, project.id, None).await
    }

    /// One label.
    pub async fn label(&self, actor: &Actor, project: &ProjectName, name: &str) -> Result<Label> {
        let project = self.catalog.project(actor, project, permission(Action::Read)).await?;
        store::labels::list(&mut *self.db.read().await?, project.id, Some(name))
            .await?
            .pop()
            .ok_or_else(|| unknown(name))
    }

    /// Makes a label.
    pub async fn create_label(
        &self,
        actor: &Actor,
        project: &ProjectName,
        new: NewLabel,
    ) -> Result<Label> {
        let project = self.catalog.project(actor, project, permission(Action::Create)).await?;
        check_name(&new.name)?;
        check_description(&new.description)?;
        let now = self.now();
        let label = Label {
            id: LabelId::new(now),
            name: new.name,
            color: new.color,
            description: new.description,
            images: 0,
            created_at: now,
            updated_at: now,
        };
        let mut tx = self.db.begin().await?;
        if store::labels::count(tx.conn(), project.id).await? >= MAX_LABELS {
            let message = format!("a project has at most {MAX_LABELS} labels; delete one first");
            return Err(Error::conflict("too_many_labels", message));
        }
        store::labels::insert(tx.conn(), project.id, &label).await?;
        let event = event("label.create", &project, &label, "Made the label.".to_owned())
            .detail(json!({ "before": null, "after": facts(&label) }));
        events::append(&mut tx, &*self.clock.0, actor, event).await?;
        tx.commit().await?;
        Ok(label)
    }

    /// Changes a label; a change to what it already is does nothing.
    pub async fn update_label(
        &self,
        actor: &Actor,
        project: &ProjectName,
        name: &str,
        change: LabelChange,
    ) -> Result<Label> {
        let project = self.catalog.project(actor, project, permission(Action::Update)).await?;
        let mut tx = self.db.begin().await?;
        store::labels::lock(tx.conn(), project.id, name).await?.ok_or_else(|| unknown(name))?;
        let mut label = store::labels::list(tx.conn(), project.id, Some(name))
            .await?
            .pop()
            .ok_or_else(|| unknown(name))?;
        let before = facts(&label);
        label.name = change.name.unwrap_or(label.name);
        label.color = change.color.unwrap_or(label.color);
        label.description = change.description.unwrap_or(label.description);
        check_name(&label.name)?;
        check_description(&label.description)?;
        let after = facts(&label);
        if before == after {
            return Ok(label);
        }
        label.updated_at = self.now();
        store::labels::update(tx.conn(), &label).await?;
        let event = event("label.update", &project, &label, "Changed the label.".to_owned())
            .detail(json!({ "before": before, "after": after }));
        events::append(&mut tx, &*self.clock.0, actor, event).await?;
        tx.commit().await?;
        Ok(label)
    }

    /// Deletes a label; it vanishes from the images that carry it.
    pub async fn delete_label(
        &self,
        actor: &Actor,
        project: &ProjectName,
        name: &str,
    ) -> Result<()> {
        let project = self.catalog.project(actor, project, permission(Action::Delete)).await?;
        let mut tx = self.db.begin().await?;
        store::labels::lock(tx.conn(), project.id, name).await?.ok_or_else(|| unknown(name))?;
        let label = store::labels::list(tx.conn(), project.id, Some(name))
            .await?
            .pop()
            .ok_or_else(|| unknown(name))?;
        store::labels::delete(tx.conn(), label.id).await?;
        let message = match label.images {
            0 => "Deleted the label.".to_owned(),
            1 => "Deleted the label; 1 image carried it.".to_owned(),
            n => format!("Deleted the label; {n} images carried it."),
        };
        let event = event("label.delete", &project, &label, message)
            .detail(json!({ "before": facts(&label), "after": null }));
        events::append(&mut tx, &*self.clock.0, actor, event).await?;
        tx.commit().await
    }

    /// Labels on an image.
    pub async fn labels_of(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<Vec<Chip>> {
        let read = Permission(Resource::Artifact, Action::Read);
        self.authorize(actor, name, read).await?;
        let mut conn = self.db.read().await?;
        store::labels::of_image(&mut conn, name, digest).await?.ok_or_else(|| absent(digest))
    }

    /// Puts a label on an image; `false` when it is there already.
    pub async fn add_label(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        digest: &Digest,
        label: &str,
    ) -> Result<bool> {
        let add = Permission(Resource::ArtifactLabel, Action::Create);
        let project = self.authorize(actor, name, add).await?;
        let mut tx = self.db.begin().await?;
        let (image, _) =
            store::manifests::lock(tx.conn(), name, digest).await?.ok_or_else(|| absent(digest))?;
        let id = store::labels::lock(tx.conn(), project.id, label)
            .await?
            .ok_or_else(|| unknown(label))?;
        if store::labels::on_image(tx.conn(), image).await? >= MAX_ON_IMAGE {
            let message = format!("an image carries at most {MAX_ON_IMAGE} labels; take one off");
            return Err(Error::conflict("too_many_labels", message));
        }
        if !store::labels::add(tx.conn(), image, id, &actor.name, self.now()).await? {
            return Ok(false);
        }
        let event = NewEvent::new(
            "image.label",
            Target::new("image", image, format!("{name}@{digest}")),
            format!("Image {name}@{} got the label {label}", digest.short()),
        )
        .in_project(project.id)
        .detail(json!({ "digest": digest, "label": label }));
        events::append(&mut tx, &*self.clock.0, actor, event).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Takes a label off an image.
    pub async fn remove_label(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        digest: &Digest,
        label: &str,
    ) -> Result<()> {
        let remove = Permission(Resource::ArtifactLabel, Action::Delete);
        let project = self.authorize(actor, name, remove).await?;
        let mut tx = self.db.begin().await?;
        let (image, _) =
            store::manifests::lock(tx.conn(), name, digest).await?.ok_or_else(|| absent(digest))?;
        if !store::labels::remove(tx.conn(), image, project.id, label).await? {
            return Err(unknown(label));
        }
        let event = NewEvent::new(
            "image.unlabel",
            Target::new("image", image, format!("{name}@{digest}")),
            format!("Image {name}@{} lost the label {label}", digest.short()),
        )
        .in_project(project.id)
        .detail(json!({ "digest": digest, "label": label }));
        events::append(&mut tx, &*self.clock.0, actor, event).await?;
        tx.commit().await
    }
}

fn event(action: &'static str, project: &Project, label: &Label, message: String) -> NewEvent {
    NewEvent::new(action, Target::new("label", label.id, &label.name), message)
        .in_project(project.id)
}

fn absent(digest: &Digest) -> Error {
    Error::not_found("manifest", Reference::Digest(digest.clone())).with_code("manifest_unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_words() {
        for good in ["stable", "lts-2026", "已审核", "a.b_c"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a b", "a/b", "a:b", "a\u{0}", &"a".repeat(41)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
