//! Two versions side by side: which layers, settings and platforms are the same, new or gone.

use std::collections::BTreeMap;

use super::{Descriptor, Image, ImageConfig, Registry};
use crate::base::{Actor, Digest, Reference, RepositoryName, Result};

/// Where something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// In both, alike.
    Same,
    /// In both, with another value.
    Changed,
    /// Only in the second.
    Added,
    /// Only in the first.
    Removed,
    /// In both, at another place.
    Moved,
}

impl State {
    /// The word the API uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Changed => "changed",
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Moved => "moved",
        }
    }
}

/// One layer of either image, in the order of the layers.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerDiff {
    pub state: State,
    pub digest: Digest,
    /// Compressed, bytes.
    pub size: i64,
    /// What made it; empty when the image does not say.
    pub created_by: String,
}

/// One setting of the image config, or an annotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldDiff {
    /// `entrypoint`, `cmd`, `user`, `workdir`, `os`, `architecture`, `env`, `port`, `label` or
    /// `annotation`.
    pub field: &'static str,
    /// Name of the variable, port, label or annotation; empty for the others.
    pub key: String,
    pub state: State,
    pub a: Option<String>,
    pub b: Option<String>,
}

/// One platform of two indexes.
#[derive(Debug, Clone)]
pub struct PlatformDiff {
    pub platform: String,
    pub state: State,
    pub a: Option<Descriptor>,
    pub b: Option<Descriptor>,
}

/// Two images of one repository.
#[derive(Debug)]
pub struct Comparison {
    pub a: Image,
    pub b: Image,
    pub layers: Vec<LayerDiff>,
    pub config: Vec<FieldDiff>,
    /// Of indexes only.
    pub platforms: Vec<PlatformDiff>,
}

impl Comparison {
    /// Compares.
    pub fn of(a: Image, b: Image) -> Self {
        Self {
            layers: layers(&a, &b),
            config: fields(&a, &b),
            platforms: platforms(&a.children, &b.children),
            a,
            b,
        }
    }

    /// Whether both are the same image, whatever their tags.
    pub fn is_same(&self) -> bool {
        self.a.digest == self.b.digest
    }

    /// Bytes of the layers in one state.
    pub fn layer_bytes(&self, state: State) -> i64 {
        self.layers.iter().filter(|layer| layer.state == state).map(|layer| layer.size).sum()
    }
}

impl Registry {
    /// Compares two images of a repository.
    pub async fn compare(
        &self,
        actor: &Actor,
        name: &RepositoryName,
        a: &Reference,
        b: &Reference,
    ) -> Result<Comparison> {
        let first = self.image(actor, name, a).await?;
        let second = if a == b { first.clone() } else { self.image(actor, name, b).await? };
        Ok(Comparison::of(first, second))
    }
}

/// Reads `a...b`. Dots are allowed in tags, so the first place where both sides are references
/// counts.
pub fn parse_pair(text: &str) -> Option<(Reference, Reference)> {
    text.match_indices("...").find_map(|(at, dots)| {
        let (a, b) = (&text[..at], &text[at + dots.len()..]);
        Some((a.parse().ok()?, b.parse().ok()?))
    })
}

fn layers(a: &Image, b: &Image) -> Vec<LayerDiff> {
    let row = |state, image: &Image, layer: &Descriptor| LayerDiff {
        state,
        digest: layer.digest.clone(),
        size: layer.size,
        created_by: made_by(image, &layer.digest),
    };
    let common = common(&a.layers, &b.layers);
    let mut rows = Vec::new();
    let (mut i, mut j) = (0, 0);
    for (x, y) in common.into_iter().chain([(a.layers.len(), b.layers.len())]) {
        for gone in &a.layers[i..x] {
            // One that stands elsewhere in the second is told there.
            if !b.layers.iter().any(|l| l.digest == gone.digest) {
                rows.push(row(State::Removed, a, gone));
            }
        }
        for new in &b.layers[j..y] {
            let moved = a.layers.iter().any(|l| l.digest == new.digest);
            rows.push(row(if moved { State::Moved } else { State::Added }, b, new));
        }
        if let Some(both) = b.layers.get(y).filter(|_| x < a.layers.len()) {
            rows.push(row(State::Same, b, both));
        }
        (i, j) = (x + 1, y + 1);
    }
    rows
}

fn made_by(image: &Image, digest: &Digest) -> String {
    let made = image.history.iter().find(|s| s.layer.as_ref().is_some_and(|l| l.digest == *digest));
    made.map(|step| step.created_by.clone()).unwrap_or_default()
}

/// The longest list of layers that both have in this order, as pairs of places. Manifests have at
/// most 1,000 layers, so the table has at most a million small numbers.
fn common(a: &[Descriptor], b: &[Descriptor]) -> Vec<(usize, usize)> {
    let width = b.len() + 1;
    let mut longest = vec![0u16; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            longest[i * width + j] = if a[i].digest == b[j].digest {
                longest[(i + 1) * width + j + 1].saturating_add(1)
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut pairs) = (0, 0, Vec::new());
    while i < a.len() && j < b.len() {
        if a[i].digest == b[j].digest {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if longest[(i + 1) * width + j] >= longest[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

type Fields = BTreeMap<(u8, String), (&'static str, String)>;

fn settings(image: &Image) -> Fields {
    let mut fields = Fields::new();
    let mut set = |rank: u8, field: &'static str, key: &str, value: String| {
        if !value.is_empty() || !key.is_empty() {
            fields.insert((rank, key.to_owned()), (field, value));
        }
    };
    if let Some(config) = &image.config {
        let ImageConfig { os, architecture, user, working_dir, entrypoint, cmd, .. } = config;
        set(0, "entrypoint", "", entrypoint.join(" "));
        set(1, "cmd", "", cmd.join(" "));
        set(2, "user", "", user.clone());
        set(3, "workdir", "", working_dir.clone());
        set(4, "os", "", os.clone());
        set(5, "architecture", "", architecture.clone());
        for line in &config.env {
            let (name, value) = line.split_once('=').unwrap_or((line, ""));
            set(6, "env", name, value.to_owned());
        }
        for port in &config.exposed_ports {
            set(7, "port", port, port.clone());
        }
        for (name, value) in &config.labels {
            set(8, "label", name, value.clone());
        }
    }
    for (name, value) in &image.annotations {
        set(9, "annotation", name, value.clone());
    }
    fields
}

fn fields(a: &Image, b: &Image) -> Vec<FieldDiff> {
    let (mut first, second) = (settings(a), settings(b));
    let mut rows: BTreeMap<(u8, String), FieldDiff> = BTreeMap::new();
    for (place, (field, new)) in second {
        let old = first.remove(&place).map(|(_, old)| old);
        let state = match &old {
            None => State::Added,
            Some(old) if *old == new => State::Same,
            Some(_) => State::Changed,
        };
        let key = place.1.clone();
        rows.insert(place, FieldDiff { field, key, state, a: old, b: Some(new) });
    }
    for (place, (field, old)) in first {
        let key = place.1.clone();
        let row = FieldDiff { field, key, state: State::Removed, a: Some(old), b: None };
        rows.insert(place, row);
    }
    rows.into_values().collect()
}

/// Pairs children by platform; several of one platform by their order.
fn platforms(a: &[Descriptor], b: &[Descriptor]) -> Vec<PlatformDiff> {
    let mut left: Vec<Option<&Descriptor>> = a.iter().map(Some).collect();
    let name = |d: &Descriptor| d.platform.clone().unwrap_or_default();
    let mut rows: Vec<PlatformDiff> = b
        .iter()
        .map(|new| {
            let same = |d: &&mut Option<&Descriptor>| d.is_some_and(|old| name(old) == name(new));
            let old = left.iter_mut().find(same).and_then(Option::take);
            let state = match old {
                None => State::Added,
                Some(old) if old.digest == new.digest => State::Same,
                Some(_) => State::Changed,
            };
            PlatformDiff { platform: name(new), state, a: old.cloned(), b: Some(new.clone()) }
        })
        .collect();
    rows.extend(left.into_iter().flatten().map(|old| PlatformDiff {
        platform: name(old),
        state: State::Removed,
        a: Some(old.clone()),
        b: None,
    }));
    rows
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::Timestamp;
    use crate::base::id::ManifestId;

    fn descriptor(n: u8, platform: Option<&str>) -> Descriptor {
        Descriptor {
            media_type: "layer".to_owned(),
            digest: Digest::sha256(&[n]),
            size: i64::from(n),
            platform: platform.map(str::to_owned),
        }
    }

    fn image(layers: &[u8], config: ImageConfig) -> Image {
        let at = Timestamp::UNIX_EPOCH;
        Image {
            manifest_id: ManifestId::new(at),
            repository: "demo/api".parse().expect("valid"),
            digest: Digest::sha256(layers),
            media_type: String::new(),
            artifact_type: None,
            total_size: 0,
            pushed_by: String::new(),
            pushed_at: at,
            tags: Vec::new(),
            config: Some(config),
            layers: layers.iter().map(|n| descriptor(*n, None)).collect(),
            children: Vec::new(),
            history: Vec::new(),
            annotations: BTreeMap::new(),
            subject: None,
            kind: crate::registry::Kind::Image,
            referrers: Vec::new(),
            labels: Vec::new(),
            raw: bytes::Bytes::new(),
        }
    }

    fn states(a: &[u8], b: &[u8]) -> Vec<(State, i64)> {
        let of = |layers| image(layers, ImageConfig::default());
        let compared = Comparison::of(of(a), of(b));
        compared.layers.iter().map(|l| (l.state, l.size)).collect()
    }

    #[test]
    fn layers_are_same_new_gone_or_elsewhere() {
        use State::{Added, Moved, Removed, Same};
        assert_eq!(states(&[1, 2, 3], &[1, 2, 3]), [(Same, 1), (Same, 2), (Same, 3)]);
        assert_eq!(
            states(&[1, 2, 3], &[1, 4, 3]),
            [(Same, 1), (Removed, 2), (Added, 4), (Same, 3)]
        );
        assert_eq!(states(&[1, 2, 3], &[3, 1, 2]), [(Moved, 3), (Same, 1), (Same, 2)]);
        assert_eq!(states(&[], &[1]), [(Added, 1)]);
        assert_eq!(states(&[1], &[]), [(Removed, 1)]);
        assert_eq!(states(&[1, 1], &[1]), [(Same, 1)]);
    }

    #[test]
    fn settings_are_compared_by_name() {
        let config = |env: &[&str], user: &str, port: &str| ImageConfig {
            env: env.iter().map(|e| (*e).to_owned()).collect(),
            user: user.to_owned(),
            exposed_ports: vec![port.to_owned()],
            ..ImageConfig::default()
        };
        let a = image(&[1], config(&["A=1", "B=2", "C=3"], "root", "80/tcp"));
        let b = image(&[1], config(&["A=1", "B=9", "D=4"], "", "81/tcp"));
        let compared = Comparison::of(a, b);
        let rows: Vec<_> =
            compared.config.iter().map(|f| (f.field, f.key.as_str(), f.state)).collect();
        use State::{Added, Changed, Removed, Same};
        assert_eq!(
            rows,
            [
                ("user", "", Removed),
                ("env", "A", Same),
                ("env", "B", Changed),
                ("env", "C", Removed),
                ("env", "D", Added),
                ("port", "80/tcp", Removed),
                ("port", "81/tcp", Added),
            ]
        );
    }

    #[test]
    fn platforms_are_paired() {
        use State::{Added, Changed, Removed, Same};
        let index = |children: &[(u8, &str)]| -> Vec<Descriptor> {
            children.iter().map(|(n, p)| descriptor(*n, Some(p))).collect()
        };
        let a = index(&[(1, "linux/amd64"), (2, "linux/arm64"), (3, "linux/s390x")]);
        let b = index(&[(1, "linux/amd64"), (4, "linux/arm64"), (5, "windows/amd64")]);
        let rows: Vec<_> = platforms(&a, &b).into_iter().map(|p| (p.platform, p.state)).collect();
        let expected = [
            ("linux/amd64", Same),
            ("linux/arm64", Changed),
            ("windows/amd64", Added),
            ("linux/s390x", Removed),
        ];
        assert_eq!(rows, expected.map(|(p, s)| (p.to_owned(), s)));
    }

    #[test]
    fn a_pair_is_cut_where_both_sides_are_names() {
        let pair = |text: &str| parse_pair(text).map(|(a, b)| (a.to_string(), b.to_string()));
        let is = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(pair("1.0...1.1"), is("1.0", "1.1"));
        assert_eq!(pair("1.0....1"), None);
        assert_eq!(pair("a...b...c"), is("a", "b...c"));
        let digest = format!("sha256:{}", "a".repeat(64));
        assert_eq!(pair(&format!("{digest}...v1")), is(&digest, "v1"));
        for bad in ["", "a..b", "...", "a...", "...b"] {
            assert_eq!(pair(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_layer_is_told_once(
            a in proptest::collection::vec(0..9u8, 0..12), b in proptest::collection::vec(0..9u8, 0..12),
        ) {
            let rows = states(&a, &b);
            // All of the second, in its order, and nothing else but what is gone.
            let second: Vec<_> = rows.iter().filter(|r| r.0 != State::Removed).map(|r| r.1).collect();
            prop_assert_eq!(second, b.iter().map(|n| i64::from(*n)).collect::<Vec<_>>());
            for (state, n) in rows {
                let n = u8::try_from(n).expect("small");
                match state {
                    State::Removed => prop_assert!(a.contains(&n) && !b.contains(&n)),
                    State::Added => prop_assert!(!a.contains(&n)),
                    _ => prop_assert!(a.contains(&n) && b.contains(&n)),
                }
            }
        }
    }
}
