//! Where an import comes from, as people write it: `ghcr.io/team/app:1.2`, or, with a stored
//! source, `team/app:1.2`.

use oci_client::Reference as Written;
use reqwest::Url;

use crate::base::{Digest, Error, Reference, Result, TagName};

/// Longest text read.
const MAX: usize = 512;

/// A repository of another registry, and what in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// `https://HOST[:PORT]/`, or `http://`.
    pub url: Url,
    pub repository: String,
    pub tag: Option<TagName>,
    pub digest: Option<Digest>,
}

fn wrong(why: impl Into<String>) -> Error {
    Error::invalid("from", why)
}

/// Reads the address of a registry: `https://HOST[:PORT]`.
pub(super) fn base(text: &str) -> Result<Url> {
    let wrong = |why: &str| Error::invalid("url", why);
    if text.len() > MAX {
        return Err(wrong("is too long"));
    }
    let text = text.trim();
    let text = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let url = Url::parse(&text)
        .map_err(|_| wrong("must be the address of a registry, such as https://ghcr.io"))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(wrong("must start with https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(
            "must not hold a user name or a password; they have fields of their own",
        ));
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("must be the address of a registry alone, without a path"));
    }
    // The name people know leads to a web site; the registry is elsewhere.
    if matches!(url.host_str(), Some("docker.io" | "hub.docker.com" | "www.docker.com")) {
        return Url::parse("https://index.docker.io/").map_err(|_| wrong("is not an address"));
    }
    Ok(url)
}

/// Reads `text`; `source` is the stored registry it is on, if one is named.
pub(super) fn parse(text: &str, source: Option<&Url>) -> Result<Address> {
    let text = text.trim();
    if text.is_empty() || text.len() > MAX {
        return Err(wrong("must name an image or a repository, such as ghcr.io/team/app:1.2"));
    }
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme @ ("http" | "https"), rest)) => (scheme, rest),
        Some(_) => return Err(wrong("must start with a host, https:// or http://")),
        None => ("https", text),
    };
    let (full, url) = match source {
        Some(_) if text.contains("://") => {
            return Err(wrong("must start with the repository, because the source names the host"));
        }
        // The host only makes the text complete for the reader of references.
        Some(url) => (format!("source.invalid/{rest}"), Some(url.clone())),
        None => (rest.to_owned(), None),
    };
    let written: Written =
        full.parse().map_err(|e: oci_client::ParseError| wrong(format!("cannot be read: {e}")))?;
    let url = match url {
        Some(url) => url,
        None => base(&format!("{scheme}://{}", written.resolve_registry()))
            .map_err(|_| wrong("must start with the host of a registry"))?,
    };
    let tag = written.tag().map(|tag| tag.parse().map_err(|_| wrong("has a wrong tag")));
    let digest = written.digest().map(|d| d.parse().map_err(|_| wrong("has a wrong digest")));
    // The reader adds `latest`; only what was written counts here.
    let last = rest.rsplit('/').next().unwrap_or_default();
    let tagged = last.split('@').next().is_some_and(|name| name.contains(':'));
    Ok(Address {
        url,
        repository: written.repository().to_owned(),
        tag: tag.transpose()?.filter(|_| tagged),
        digest: digest.transpose()?,
    })
}

impl Address {
    /// What to ask the source for: the digest if there is one, else the tag, else `latest`.
    pub(super) fn reference(&self) -> Result<Reference> {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => Ok(Reference::Digest(digest.clone())),
            (None, Some(tag)) => Ok(Reference::Tag(tag.clone())),
            (None, None) => Ok(Reference::Tag("latest".parse()?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, String, String) {
        let address = parse(text, None).expect("an address");
        let reference = address.reference().expect("a reference").to_string();
        (address.url.to_string(), address.repository, reference)
    }

    fn is(url: &str, repository: &str, reference: &str) -> (String, String, String) {
        (url.to_owned(), repository.to_owned(), reference.to_owned())
    }

    #[test]
    fn addresses_are_read_as_clients_read_them() {
        let digest = format!("sha256:{}", "a".repeat(64));
        assert_eq!(read("ghcr.io/team/app:1.2"), is("https://ghcr.io/", "team/app", "1.2"));
        assert_eq!(read("alpine"), is("https://index.docker.io/", "library/alpine", "latest"));
        assert_eq!(
            read("http://127.0.0.1:5000/a/b"),
            is("http://127.0.0.1:5000/", "a/b", "latest")
        );
        assert_eq!(
            read(&format!("quay.io/a/b:1@{digest}")),
            is("https://quay.io/", "a/b", &digest)
        );
        let source = base("registry.example.org:8443").expect("a source");
        let address = parse("team/app", Some(&source)).expect("an address");
        assert_eq!(address.url.as_str(), "https://registry.example.org:8443/");
        assert_eq!((address.repository.as_str(), address.tag), ("team/app", None));
    }

    #[test]
    fn what_is_not_an_address_is_refused() {
        let source = base("ghcr.io").expect("a source");
        for bad in [
            "",
            "ftp://a/b",
            "A B",
            "ghcr.io/UPPER/x",
            "ghcr.io/a:b:c",
            "user:pw@host/a",
            "ghcr.io/../x",
            &"a".repeat(600),
        ] {
            assert!(parse(bad, None).is_err(), "{bad}");
        }
        assert!(parse("https://ghcr.io/a/b", Some(&source)).is_err());
        for bad in [
            "https://u:p@ghcr.io",
            "https://ghcr.io/v2",
            "ftp://ghcr.io",
            "https://",
            "https://a?b",
        ] {
            assert!(base(bad).is_err(), "{bad}");
        }
    }
}
