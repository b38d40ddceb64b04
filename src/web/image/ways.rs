//! How to fetch what a page shows: one command for each tool that can.

use super::detail::TabLink;
use crate::base::{Reference, RepositoryName};
use crate::registry::{Image, Kind};
use crate::web::text::Text;

/// One way to get it: word in the address, label, command.
pub(super) type Way = (&'static str, String, String);

/// Commands that fetch it, by what it is; the first is shown unless another is asked for.
pub(super) fn ways(
    t: &Text,
    host: &str,
    name: &RepositoryName,
    reference: &Reference,
    image: &Image,
) -> Vec<Way> {
    let full = match reference {
        Reference::Tag(tag) => format!("{host}/{name}:{tag}"),
        Reference::Digest(digest) => format!("{host}/{name}@{digest}"),
    };
    let digest = &image.digest;
    let mut ways: Vec<Way> = match (image.kind, reference) {
        (Kind::Image | Kind::Index, _) => vec![
            ("", t.get("pull-docker"), format!("docker pull {full}")),
            ("podman", t.get("pull-podman"), format!("podman pull {full}")),
            ("digest", t.get("pull-digest"), format!("docker pull {host}/{name}@{digest}")),
            ("skopeo", t.get("pull-skopeo"), format!("skopeo inspect docker://{full}")),
        ],
        // Helm writes `+` as `_` in tags, and wants its own spelling back.
        (Kind::Chart, Reference::Tag(tag)) => {
            let version = tag.as_str().replacen('_', "+", 1);
            let helm = format!("helm pull oci://{host}/{name} --version {version}");
            let install = format!("helm install NAME oci://{host}/{name} --version {version}");
            vec![
                ("", t.get("pull-helm"), helm),
                ("install", t.get("pull-helm-install"), install),
                ("oras", t.get("pull-oras"), format!("oras pull {full}")),
            ]
        }
        _ => vec![("", t.get("pull-oras"), format!("oras pull {full}"))],
    };
    let curl = format!("curl -u USER http://{host}/v2/{name}/manifests/{reference}");
    ways.push(("curl", t.get("pull-curl"), curl));
    ways
}

/// The command of the way asked for, and links to all of them.
pub(super) fn pull(ways: Vec<Way>, href: &str, wanted: &str) -> (String, Vec<TabLink>) {
    let chosen = ways.iter().position(|(word, ..)| *word == wanted).unwrap_or(0);
    let command = ways[chosen].2.clone();
    let links = ways
        .into_iter()
        .enumerate()
        .map(|(i, (word, label, _))| TabLink {
            href: if word.is_empty() { href.to_owned() } else { format!("{href}?pull={word}") },
            label,
            count: None,
            current: i == chosen,
        })
        .collect();
    (command, links)
}
