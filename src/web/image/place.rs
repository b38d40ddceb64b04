//! What an address below a project's `/r/` names.

use crate::base::{Digest, Error, ProjectName, Reference, RepositoryName, Result, TagName};
use crate::registry::compare;
use crate::web::repositories::href;

/// A page of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Repository(RepositoryName),
    Image(RepositoryName, Reference),
    DeleteRepository(RepositoryName),
    Delete(RepositoryName, Reference),
    /// Moves of one tag, or of all.
    History(RepositoryName, Option<TagName>),
    /// Where a tag's form to move it back is sent.
    RestoreTag(RepositoryName, TagName),
    /// Recently deleted.
    Deleted(RepositoryName),
    Restore(RepositoryName, Digest),
    Purge(RepositoryName, Digest),
    Compare(RepositoryName, Reference, Reference),
    /// The choice of two versions, led on to their comparison.
    Choose(RepositoryName),
    /// Where the form that puts labels on an image is sent.
    Labels(RepositoryName, Digest),
}

impl Place {
    pub(super) fn parse(project: &ProjectName, rest: &str) -> Result<Self> {
        let absent = || Error::not_found("page", rest);
        let (path, tail) = rest.split_once("/-/").unwrap_or((rest, ""));
        let repository =
            RepositoryName::join(project, path.trim_end_matches('/')).map_err(|_| absent())?;
        let parts: Vec<_> = tail.split('/').filter(|part| !part.is_empty()).collect();
        let tag = |word: &str| word.parse::<TagName>().map_err(|_| absent());
        let digest = |word: &str| word.parse::<Digest>().map_err(|_| absent());
        let place = match parts.as_slice() {
            [] => Self::Repository(repository),
            ["delete"] => Self::DeleteRepository(repository),
            ["history"] => Self::History(repository, None),
            ["deleted"] => Self::Deleted(repository),
            ["compare"] => Self::Choose(repository),
            ["compare", pair] => {
                let (a, b) = compare::parse_pair(pair).ok_or_else(absent)?;
                Self::Compare(repository, a, b)
            }
            ["tags", name] => Self::Image(repository, Reference::Tag(tag(name)?)),
            ["digest", name] => Self::Image(repository, Reference::Digest(digest(name)?)),
            ["tags", name, "delete"] => Self::Delete(repository, Reference::Tag(tag(name)?)),
            ["tags", name, "history"] => Self::History(repository, Some(tag(name)?)),
            ["tags", name, "restore"] => Self::RestoreTag(repository, tag(name)?),
            ["digest", name, "delete"] => {
                Self::Delete(repository, Reference::Digest(digest(name)?))
            }
            ["digest", name, "labels"] => Self::Labels(repository, digest(name)?),
            ["deleted", name, "restore"] => Self::Restore(repository, digest(name)?),
            ["deleted", name, "purge"] => Self::Purge(repository, digest(name)?),
            _ => return Err(absent()),
        };
        Ok(place)
    }
}

/// The page of an image.
pub(in crate::web) fn image_href(repository: &RepositoryName, reference: &Reference) -> String {
    let base = href(repository.project().as_str(), repository.path());
    match reference {
        Reference::Tag(tag) => format!("{base}/-/tags/{tag}"),
        Reference::Digest(digest) => format!("{base}/-/digest/{digest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_repositories_tags_and_digests() {
        let project: ProjectName = "demo".parse().expect("valid");
        let place = |rest: &str| Place::parse(&project, rest);
        let name: RepositoryName = "demo/team/api".parse().expect("valid");
        let tag = |text: &str| Reference::Tag(text.parse().expect("valid"));
        let digest = format!("sha256:{}", "a".repeat(64));
        let repository = || name.clone();
        for (rest, expected) in [
            ("team/api".to_owned(), Place::Repository(repository())),
            ("team/api/-/tags/1.0".to_owned(), Place::Image(repository(), tag("1.0"))),
            (
                format!("team/api/-/digest/{digest}/delete"),
                Place::Delete(repository(), Reference::Digest(digest.parse().expect("valid"))),
            ),
            ("team/api/-/delete".to_owned(), Place::DeleteRepository(repository())),
            (
                "team/api/-/compare/1.0...1.1".to_owned(),
                Place::Compare(repository(), tag("1.0"), tag("1.1")),
            ),
            (
                format!("team/api/-/deleted/{digest}/restore"),
                Place::Restore(repository(), digest.parse().expect("valid")),
            ),
        ] {
            assert_eq!(place(&rest).expect(&rest), expected);
        }
        for bad in [
            "",
            "A",
            "x/-/tags/a b",
            "x/-/digest/sha256:1",
            "x/-/y",
            "x/-/compare/1..2",
            "x/-/deleted/1/restore",
        ] {
            assert!(matches!(place(bad), Err(error) if error.is_not_found()), "{bad}");
        }
    }
}
