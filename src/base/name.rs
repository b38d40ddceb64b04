//! Names, parsed at the border and trusted afterwards.
//!
//! Projects, teams, applications, environments, deployments and services are DNS labels (RFC
//! 1123, at most 63 characters), so that they can be host names, network names and Kubernetes
//! object names. Repositories and tags follow the OCI distribution specification.

use std::fmt;
use std::str::FromStr;

use super::{Error, Result};

/// Longest repository name, characters, the project included.
pub const MAX_REPOSITORY_NAME: usize = 255;

fn is_label(s: &str, max: usize) -> bool {
    let bytes = s.as_bytes();
    let edge = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    !bytes.is_empty()
        && bytes.len() <= max
        && bytes.first().is_some_and(edge)
        && bytes.last().is_some_and(edge)
        && bytes.iter().all(|b| edge(b) || *b == b'-')
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, $what:literal, $check:expr, $rule:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str { &self.0 }
        }
        impl FromStr for $name {
            type Err = Error;
            fn from_str(s: &str) -> Result<Self> {
                let check: fn(&str) -> bool = $check;
                if check(s) { Ok(Self(s.to_owned())) } else { Err(Error::invalid($what, $rule).with_code("name_invalid")) }
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str { &self.0 }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = String::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

names! {
    /// Name of a project; first segment of its repositories' names.
    ProjectName, "name", |s| is_label(s, 63) && s.len() >= 2,
        "must be 2 to 63 lower-case letters, digits or hyphens, starting and ending with a letter or digit";
    /// Name of a team.
    TeamName, "name", |s| is_label(s, 63),
        "must be 1 to 63 lower-case letters, digits or hyphens, starting and ending with a letter or digit";
    /// Name of an application, unique in its project.
    ApplicationName, "name", |s| is_label(s, 63),
        "must be 1 to 63 lower-case letters, digits or hyphens, starting and ending with a letter or digit";
    /// Name of an environment, unique in the installation.
    EnvironmentName, "name", |s| is_label(s, 63),
        "must be 1 to 63 lower-case letters, digits or hyphens, starting and ending with a letter or digit";
    /// Name of a deployment, unique in its environment. Shorter than a label, because replica
    /// names append a revision and a suffix.
    DeploymentName, "name", |s| is_label(s, 46),
        "must be 1 to 46 lower-case letters, digits or hyphens, starting and ending with a letter or digit";
    /// Name of a service, unique in its environment.
    ServiceName, "name", |s| is_label(s, 63),
        "must be 1 to 63 lower-case letters, digits or hyphens, starting and ending with a letter or digit";
    /// Name of a stored registry to import from, unique in its project.
    SourceName, "name", |s| is_label(s, 63),
        "must be 1 to 63 lower-case letters, digits or hyphens, starting and ending with a letter or digit";
    /// Login name of a user. `$` is reserved for robot accounts.
    UserName, "name", is_user_name,
        "must be 1 to 64 lower-case letters, digits, dots, underscores or hyphens, starting with a letter or digit";
    /// Full name of a repository: project, slash, path.
    RepositoryName, "repository", is_repository_name,
        "must be PROJECT/PATH of lower-case letters and digits, separated by single dots, one or two underscores, or hyphens, at most 255 characters";
    /// A tag.
    TagName, "tag", is_tag,
        "must be 1 to 128 letters, digits, dots, underscores or hyphens, starting with a letter, digit or underscore";
}

fn is_user_name(s: &str) -> bool {
    s.len() <= 64
        && s.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-_".contains(&b))
}

fn is_tag(s: &str) -> bool {
    (1..=128).contains(&s.len())
        && s.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`, the component rule of the distribution specification.
fn is_component(s: &str) -> bool {
    let bytes = s.as_bytes();
    let alnum = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let mut i = 0;
    loop {
        let start = i;
        while i < bytes.len() && alnum(bytes[i]) {
            i += 1;
        }
        if i == start {
            return false;
        }
        if i == bytes.len() {
            return true;
        }
        let separator = i;
        while i < bytes.len() && !alnum(bytes[i]) {
            i += 1;
        }
        let fits = match &bytes[separator..i] {
            b"." | b"_" | b"__" => true,
            run => run.iter().all(|b| *b == b'-'),
        };
        if !fits {
            return false;
        }
    }
}

fn is_repository_name(s: &str) -> bool {
    s.len() <= MAX_REPOSITORY_NAME
        && s.split_once('/').is_some_and(|(project, path)| {
            project.parse::<ProjectName>().is_ok() && path.split('/').all(is_component)
        })
}

impl RepositoryName {
    /// The project: the first segment.
    pub fn project(&self) -> ProjectName {
        let (project, _) = self.0.split_once('/').unwrap_or((&self.0, ""));
        ProjectName(project.to_owned())
    }

    /// What follows the project.
    pub fn path(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, path)| path)
    }

    /// Joins a project and a path; the result is checked.
    pub fn join(project: &ProjectName, path: &str) -> Result<Self> {
        format!("{project}/{path}").parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_names_follow_the_distribution_specification() {
        for good in ["demo/hello", "ab/a.b", "ab/a__b", "ab/a---b", "ab/c/d/e", "ab/0"] {
            assert!(good.parse::<RepositoryName>().is_ok(), "{good}");
        }
        for bad in [
            "hello",
            "demo/",
            "/hello",
            "demo//hello",
            "demo/Hello",
            "demo/a..b",
            "demo/a___b",
            "demo/-a",
            "demo/a-",
            "demo/a.-b",
            "demo/../x",
            "demo/a b",
            "demo/é",
            "",
        ] {
            assert!(bad.parse::<RepositoryName>().is_err(), "{bad}");
        }
        assert!(format!("demo/{}", "a".repeat(251)).parse::<RepositoryName>().is_err());
    }

    #[test]
    fn labels_have_no_edges_of_hyphens() {
        assert!("core".parse::<TeamName>().is_ok());
        for bad in ["", "-a", "a-", "A", "a_b", "a.b", &"a".repeat(64)] {
            assert!(bad.parse::<TeamName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn tags_are_bounded() {
        assert!("v1.0-rc_1".parse::<TagName>().is_ok());
        for bad in ["", ".a", "-a", "a/b", "a:b", &"a".repeat(129)] {
            assert!(bad.parse::<TagName>().is_err(), "{bad}");
        }
    }
}
