//! References to images: `project/path:tag`, `project/path@digest`.

use std::fmt;
use std::str::FromStr;

use super::{Digest, Error, RepositoryName, Result, TagName};

/// A tag or a digest, as in `/v2/<name>/manifests/<reference>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reference {
    /// A movable name.
    Tag(TagName),
    /// The content itself.
    Digest(Digest),
}

impl FromStr for Reference {
    type Err = Error;

    /// Tags cannot hold a colon, so anything with one must be a digest.
    fn from_str(s: &str) -> Result<Self> {
        if s.contains(':') { s.parse().map(Self::Digest) } else { s.parse().map(Self::Tag) }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

/// An image in this registry: a repository and a reference (default tag `latest`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageRef {
    /// The repository.
    pub repository: RepositoryName,
    /// What in it.
    pub reference: Reference,
}

impl FromStr for ImageRef {
    type Err = Error;

    /// Bare image ids (`sha256:…`, hexadecimal) have no repository and are refused: whoever may
    /// name an id could run an image that another project pulled to the node.
    fn from_str(s: &str) -> Result<Self> {
        let bad = |why: &str| {
            Error::invalid(
                "image",
                format!("\"{s}\" {why}; use PROJECT/REPOSITORY:TAG or PROJECT/REPOSITORY@DIGEST"),
            )
        };
        if s.starts_with("sha256:") || s.starts_with("sha512:") {
            return Err(bad("is a bare image id"));
        }
        if let Some((repository, digest)) = s.split_once('@') {
            // `repo:tag@digest` is allowed by clients; the digest decides.
            let repository = repository.split_once(':').map_or(repository, |(name, _)| name);
            return Ok(Self {
                repository: repository
                    .parse()
                    .map_err(|_| bad("does not name a repository of this registry"))?,
                reference: Reference::Digest(
                    digest.parse().map_err(|_| bad("has a wrong digest"))?,
                ),
            });
        }
        let (repository, tag) = s.split_once(':').unwrap_or((s, "latest"));
        Ok(Self {
            repository: repository
                .parse()
                .map_err(|_| bad("does not name a repository of this registry"))?,
            reference: Reference::Tag(tag.parse().map_err(|_| bad("has a wrong tag"))?),
        })
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reference {
            Reference::Tag(tag) => write!(f, "{}:{tag}", self.repository),
            Reference::Digest(digest) => write!(f, "{}@{digest}", self.repository),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_tags_and_digests_and_refuses_bare_ids() {
        assert_eq!(
            "demo/hello".parse::<ImageRef>().expect("valid").to_string(),
            "demo/hello:latest"
        );
        assert_eq!("demo/a/b:1".parse::<ImageRef>().expect("valid").to_string(), "demo/a/b:1");
        let digest = format!("sha256:{}", "a".repeat(64));
        let pinned = format!("demo/hello:1@{digest}").parse::<ImageRef>().expect("valid");
        assert_eq!(pinned.to_string(), format!("demo/hello@{digest}"));
        for bad in [
            digest.as_str(),
            "0123456789ab",
            "busybox",
            "demo/hello:",
            "demo/hello@x",
            "host:5000/demo/x:1",
        ] {
            assert!(bad.parse::<ImageRef>().is_err(), "{bad}");
        }
    }
}
