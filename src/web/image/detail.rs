//! What the image page says about one image: what is in it, how to get it, where it runs.

use askama::Template;
use askama::filters::HtmlSafe;

use super::accessories::{Node, kind_label, nodes};
use super::extras::{Extras, Known};
use super::ways::{pull, ways};
use super::{ImageQuery, Running, image_href};
use crate::accounts::rbac::{Action, Permission, Resource};
use crate::base::{Digest, Reference, RepositoryName, Result, Timestamp};
use crate::catalog::Project;
use crate::registry::{Descriptor, HistoryStep, Image, ImageConfig, Kind, Tag};
use crate::web::shell::Shell;
use crate::web::text::Text;

/// Longest instruction shown, characters.
const INSTRUCTION: usize = 400;
/// Largest manifest shown, bytes.
const MANIFEST: usize = 64 * 1024;

/// The parts of an image's page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    Summary,
    Layers,
    Config,
    History,
    Manifest,
    Referrers,
}

impl Tab {
    fn parse(word: &str) -> Self {
        match word {
            "layers" => Self::Layers,
            "config" => Self::Config,
            "history" => Self::History,
            "manifest" => Self::Manifest,
            "referrers" => Self::Referrers,
            _ => Self::Summary,
        }
    }
}

/// A link of a row of tabs.
pub(super) struct TabLink {
    pub href: String,
    pub label: String,
    pub count: Option<usize>,
    pub current: bool,
}

/// One layer or one instruction without a layer.
pub(super) struct Layer {
    pub number: usize,
    pub instruction: String,
    /// `None`: it changes only the config.
    pub size: Option<i64>,
    /// Shade by size, 1 to 5.
    pub shade: u8,
    /// Place in the ribbon, per cent.
    pub x: String,
    pub width: String,
    /// Against the image that runs: `Some(true)` if it is in it, too.
    pub shared: Option<bool>,
    pub created: Option<Timestamp>,
}

/// A platform of an index.
pub(super) struct Child {
    pub platform: String,
    pub digest: String,
    pub href: String,
    pub size: i64,
}

/// Everything on the right side of the page.
#[derive(Template)]
#[template(path = "image/detail.html")]
pub(super) struct Detail {
    t: Text,
    title: String,
    digest: Digest,
    media_type: String,
    total_size: i64,
    pushed_by: String,
    pushed_at: Timestamp,
    aliases: Vec<String>,
    platforms: String,
    config: Option<ImageConfig>,
    layers: Vec<Layer>,
    base_note: String,
    kind: Kind,
    kind_label: String,
    children: Vec<Child>,
    referrers: Vec<Node>,
    annotations: Vec<(String, String)>,
    history: Vec<Layer>,
    manifest: String,
    command: String,
    pulls: Vec<TabLink>,
    tabs: Vec<TabLink>,
    tab: Tab,
    /// Where it runs: environment and deployment.
    runs: Vec<(String, String)>,
    deploy: Option<String>,
    delete_tag: Option<String>,
    delete_image: Option<String>,
    barred: Option<String>,
    extras: Extras,
}
impl HtmlSafe for Detail {}

/// What the page around the image knows already.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub known: &'a Known,
    pub tags: &'a [Tag],
    pub running: &'a Running,
}

impl Detail {
    pub(super) async fn load(
        shell: &Shell,
        project: &Project,
        name: &RepositoryName,
        reference: &Reference,
        image: Image,
        query: &ImageQuery,
        around: Around<'_>,
    ) -> Result<Self> {
        let registry = &shell.services.registry;
        let other = around.running.iter().find(|(_, digest)| *digest != image.digest);
        let against = match other {
            Some((place, digest)) => {
                let reference = Reference::Digest(digest.clone());
                registry
                    .image(&shell.actor, name, &reference)
                    .await
                    .ok()
                    .map(|i| (place.clone(), i))
            }
            None => None,
        };
        Ok(Self::of(shell, project, name, reference, image, against.as_ref(), query, around))
    }

    #[expect(clippy::too_many_arguments, reason = "one view model, made at one place")]
    fn of(
        shell: &Shell,
        project: &Project,
        name: &RepositoryName,
        reference: &Reference,
        image: Image,
        against: Option<&(String, Image)>,
        query: &ImageQuery,
        around: Around<'_>,
    ) -> Self {
        let t = shell.t;
        let href = image_href(name, reference);
        let tab = Tab::parse(&query.tab);
        let host = shell.services.config.registry_host();
        let tag = match reference {
            Reference::Tag(tag) => Some(tag),
            Reference::Digest(_) => None,
        };
        let layers = layers(&image, against.map(|(_, image)| image));
        let may = |resource, action| shell.may(project, Permission(resource, action));
        let runs: Vec<(String, String)> = around
            .running
            .iter()
            .filter(|(_, digest)| *digest == image.digest)
            .filter_map(|(place, _)| place.split_once('/'))
            .map(|(environment, deployment)| (environment.to_owned(), deployment.to_owned()))
            .collect();
        let may_delete = may(Resource::Tag, Action::Delete);
        let tab_link = |which: Tab, word: &str, key: &str, count: Option<usize>| TabLink {
            href: if word.is_empty() { href.clone() } else { format!("{href}?tab={word}") },
            label: t.get(key),
            count,
            current: tab == which,
        };
        let child = |d: &Descriptor| Child {
            platform: d.platform.clone().unwrap_or_else(|| t.get("image-platform-unknown")),
            digest: d.digest.short().to_owned(),
            href: image_href(name, &Reference::Digest(d.digest.clone())),
            size: d.size,
        };
        let children: Vec<_> = image.children.iter().map(child).collect();
        let platforms = if children.is_empty() {
            image
                .config
                .as_ref()
                .map(|c| format!("{}/{}", c.os, c.architecture))
                .unwrap_or_default()
        } else {
            children.iter().map(|c| c.platform.as_str()).collect::<Vec<_>>().join(", ")
        };
        let referrers = nodes(&t, name, &image.referrers);
        let ways = ways(&t, host, name, reference, &image);
        let (command, pulls) = pull(ways, &href, &query.pull);
        let runnable = image.kind.is_runnable();
        let Around { known, tags, .. } = around;
        let extras = Extras::of(shell, project, name, reference, &image, known, tags);
        Self {
            extras,
            title: tag.map_or_else(|| image.digest.short().to_owned(), ToString::to_string),
            aliases: image
                .tags
                .iter()
                .filter(|other| Some(*other) != tag)
                .map(ToString::to_string)
                .collect(),
            tabs: vec![
                tab_link(Tab::Summary, "", "tab-summary", None),
                tab_link(Tab::Layers, "layers", "tab-layers", Some(image.layers.len())),
                tab_link(Tab::Config, "config", "tab-config", None),
                tab_link(Tab::History, "history", "tab-history", Some(image.history.len())),
                tab_link(Tab::Manifest, "manifest", "tab-manifest", None),
                tab_link(Tab::Referrers, "referrers", "tab-referrers", Some(referrers.len())),
            ],
            history: history(&image),
            base_note: against
                .map(|(place, _)| t.fmt("layers-against").a("place", place).to_string())
                .unwrap_or_default(),
            manifest: String::from_utf8_lossy(&image.raw[..image.raw.len().min(MANIFEST)])
                .into_owned(),
            deploy: (runnable && may(Resource::Deployment, Action::Create)).then(|| {
                let image = format!("{name}:{}", tag.map_or_else(String::new, ToString::to_string));
                let image = if tag.is_some() { image } else { format!("{name}@{reference}") };
                let query = serde_urlencoded::to_string([("image", image)]).unwrap_or_default();
                format!("/p/{}/a/new?{query}", project.name)
            }),
            delete_tag: (may_delete && tag.is_some()).then(|| format!("{href}/delete")),
            delete_image: may_delete.then(|| {
                format!("{}/delete", image_href(name, &Reference::Digest(image.digest.clone())))
            }),
            barred: (runnable && !may(Resource::Deployment, Action::Create))
                .then(|| t.get("needs-developer")),
            kind: image.kind,
            kind_label: kind_label(&t, image.kind),
            annotations: image.annotations.into_iter().collect(),
            t,
            digest: image.digest,
            media_type: image.media_type,
            total_size: image.total_size,
            pushed_by: image.pushed_by,
            pushed_at: image.pushed_at,
            platforms,
            config: image.config,
            layers,
            children,
            referrers,
            command,
            pulls,
            tab,
            runs,
        }
    }

    /// The sizes of the layers together.
    fn layers_size(&self) -> i64 {
        self.layers.iter().filter_map(|layer| layer.size).sum()
    }
}

/// What the builder wrote, without its wrapping.
pub(super) fn instruction(created_by: &str) -> String {
    let text = created_by.trim();
    let text = text.strip_prefix("/bin/sh -c #(nop)").map_or(text, str::trim);
    let text = text.strip_suffix("# buildkit").map_or(text, str::trim);
    let text = text.replacen("RUN /bin/sh -c ", "RUN ", 1);
    text.strip_prefix("/bin/sh -c ")
        .map_or_else(|| text.clone(), |rest| format!("RUN {rest}"))
        .chars()
        .take(INSTRUCTION)
        .collect()
}

fn layers(image: &Image, against: Option<&Image>) -> Vec<Layer> {
    let with_layer: Vec<(String, &Descriptor, Option<Timestamp>)> =
        if image.history.iter().any(|step| step.layer.is_some()) {
            let of = |step: &HistoryStep| instruction(&step.created_by);
            image
                .history
                .iter()
                .filter_map(|step| Some((of(step), step.layer.as_ref()?, step.created)))
                .collect()
        } else {
            image.layers.iter().map(|d| (d.digest.to_string(), d, None)).collect()
        };
    let total: i64 = with_layer.iter().map(|(_, d, _)| d.size).sum::<i64>().max(1);
    let largest = with_layer.iter().map(|(_, d, _)| d.size).max().unwrap_or(1).max(1);
    let mut x = 0.0;
    with_layer
        .into_iter()
        .enumerate()
        .map(|(i, (instruction, d, created))| {
            #[expect(clippy::cast_precision_loss, reason = "per cent of a drawing")]
            let width = (d.size as f64 / total as f64 * 100.0).max(0.3);
            let layer = Layer {
                number: i + 1,
                instruction,
                size: Some(d.size),
                shade: u8::try_from((d.size * 4 / largest).clamp(0, 4)).unwrap_or(0) + 1,
                x: format!("{x:.2}%"),
                width: format!("{:.2}%", (width - 0.25).max(0.2)),
                shared: against.map(|other| other.layers.iter().any(|l| l.digest == d.digest)),
                created,
            };
            x += width;
            layer
        })
        .collect()
}

fn history(image: &Image) -> Vec<Layer> {
    image
        .history
        .iter()
        .enumerate()
        .map(|(i, step)| Layer {
            number: i + 1,
            instruction: instruction(&step.created_by),
            size: step.layer.as_ref().map(|layer| layer.size),
            shade: 1,
            x: String::new(),
            width: String::new(),
            shared: None,
            created: step.created,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_lose_the_builders_wrapping() {
        for (raw, shown) in [
            ("/bin/sh -c #(nop)  CMD [\"sh\"]", "CMD [\"sh\"]"),
            ("COPY hello /hello # buildkit", "COPY hello /hello"),
            ("RUN /bin/sh -c apt-get update # buildkit", "RUN apt-get update"),
            ("/bin/sh -c apt-get update", "RUN apt-get update"),
        ] {
            assert_eq!(instruction(raw), shown);
        }
    }
}
