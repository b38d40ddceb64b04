//! The one parser of paths below `/v2/`. Repository names contain slashes, so a path is read
//! from its end.

use crate::base::id::UploadId;
use crate::base::{Digest, Error, ErrorKind, Reference, RepositoryName, Result};

/// What a path names.
#[derive(Debug, Clone, PartialEq)]
pub enum Route {
    /// `/v2/`
    Base,
    /// `/v2/_catalog`
    Catalog,
    /// `/v2/<name>/tags/list`
    Tags(RepositoryName),
    /// `/v2/<name>/manifests/<reference>`
    Manifest(RepositoryName, Reference),
    /// `/v2/<name>/blobs/<digest>`
    Blob(RepositoryName, Digest),
    /// `/v2/<name>/blobs/uploads/`
    Uploads(RepositoryName),
    /// `/v2/<name>/blobs/uploads/<id>`
    Upload(RepositoryName, UploadId),
    /// `/v2/<name>/referrers/<digest>`
    Referrers(RepositoryName, Digest),
}

impl Route {
    /// What may be done with it, as the header `Allow` says it.
    pub fn methods(&self) -> &'static str {
        match self {
            Self::Base | Self::Catalog | Self::Tags(_) | Self::Referrers(..) => "GET, HEAD",
            Self::Manifest(..) => "GET, HEAD, PUT, DELETE",
            Self::Blob(..) => "GET, HEAD, DELETE",
            Self::Uploads(_) => "POST",
            Self::Upload(..) => "GET, HEAD, PATCH, PUT, DELETE",
        }
    }

    /// Reads the (still percent-encoded) path of a request.
    pub fn parse(path: &str) -> Result<Self> {
        let decoded = decode(path)?;
        let rest = decoded.strip_prefix("/v2").ok_or_else(unknown_path)?;
        let Some(rest) = rest.strip_prefix('/') else {
            return if rest.is_empty() { Ok(Self::Base) } else { Err(unknown_path()) };
        };
        match rest {
            "" => return Ok(Self::Base),
            "_catalog" => return Ok(Self::Catalog),
            _ => {}
        }
        if let Some(name) = rest.strip_suffix("/tags/list") {
            return Ok(Self::Tags(repository(name)?));
        }
        if let Some(name) =
            rest.strip_suffix("/blobs/uploads/").or_else(|| rest.strip_suffix("/blobs/uploads"))
        {
            return Ok(Self::Uploads(repository(name)?));
        }
        let (parent, last) = rest.rsplit_once('/').ok_or_else(unknown_path)?;
        if let Some(name) = parent.strip_suffix("/blobs/uploads") {
            let id = last.parse().map_err(|_| {
                Error::not_found("upload", last.escape_default()).with_code("blob_upload_unknown")
            })?;
            return Ok(Self::Upload(repository(name)?, id));
        }
        if let Some(name) = parent.strip_suffix("/blobs") {
            return Ok(Self::Blob(repository(name)?, digest(last)?));
        }
        if let Some(name) = parent.strip_suffix("/manifests") {
            return Ok(Self::Manifest(repository(name)?, reference(last)?));
        }
        if let Some(name) = parent.strip_suffix("/referrers") {
            return Ok(Self::Referrers(repository(name)?, digest(last)?));
        }
        Err(unknown_path())
    }
}

fn unknown_path() -> Error {
    Error::new(ErrorKind::NotFound, "name_unknown", "no such endpoint of the registry API")
}

fn repository(name: &str) -> Result<RepositoryName> {
    name.parse().map_err(|_| {
        // One segment is a fine name elsewhere; here the project must come first.
        if name.contains('/') || format!("xx/{name}").parse::<RepositoryName>().is_err() {
            Error::new(
                ErrorKind::Malformed,
                "name_invalid",
                "repository names are PROJECT/REPOSITORY: lower-case letters and digits, joined by single dots, one or two underscores, or hyphens, at most 255 characters",
            )
        } else {
            Error::new(
                ErrorKind::NotFound,
                "name_unknown",
                "repositories are named PROJECT/REPOSITORY",
            )
        }
    })
}

pub(super) fn digest(text: &str) -> Result<Digest> {
    text.parse().map_err(|e: Error| {
        Error::new(ErrorKind::Malformed, "digest_invalid", e.public_message().to_owned())
    })
}

/// A malformed tag names nothing, so reading it is 404; pushing to it is refused by the handler.
fn reference(text: &str) -> Result<Reference> {
    if text.contains(':') {
        return Ok(Reference::Digest(digest(text)?));
    }
    text.parse().map(Reference::Tag).map_err(|e: Error| {
        Error::new(ErrorKind::NotFound, "tag_invalid", e.public_message().to_owned())
    })
}

/// Percent-decodes; anything that is not UTF-8 afterwards is refused.
fn decode(path: &str) -> Result<String> {
    let malformed =
        || Error::new(ErrorKind::Malformed, "name_invalid", "the path is not valid UTF-8");
    if !path.contains('%') {
        return Ok(path.to_owned());
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                let byte = hex::decode([*high, *low]).map_err(|_| malformed())?;
                bytes.extend(byte);
                rest = tail;
            }
            (b'%', _) => return Err(malformed()),
            (byte, tail) => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn reads_every_endpoint_of_the_specification() {
        let name = |s: &str| s.parse::<RepositoryName>().expect("name");
        let digest = || format!("sha256:{HEX}").parse::<Digest>().expect("digest");
        let tag = |s: &str| Reference::Tag(s.parse().expect("tag"));
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        let table = [
            ("/v2", Route::Base),
            ("/v2/", Route::Base),
            ("/v2/_catalog", Route::Catalog),
            ("/v2/a1/b/tags/list", Route::Tags(name("a1/b"))),
            ("/v2/a1/b/c/tags/list", Route::Tags(name("a1/b/c"))),
            ("/v2/a1/b/manifests/1.0", Route::Manifest(name("a1/b"), tag("1.0"))),
            ("/v2/a1/tags/list/manifests/x", Route::Manifest(name("a1/tags/list"), tag("x"))),
            ("/v2/a1/manifests/manifests/x", Route::Manifest(name("a1/manifests"), tag("x"))),
            ("/v2/a1/b/blobs/uploads/", Route::Uploads(name("a1/b"))),
            ("/v2/a1/b/blobs/uploads", Route::Uploads(name("a1/b"))),
            ("/v2/a1/blobs/blobs/uploads/", Route::Uploads(name("a1/blobs"))),
        ];
        for (path, route) in table {
            assert_eq!(Route::parse(path).expect(path), route, "{path}");
        }
        assert_eq!(
            Route::parse(&format!("/v2/a1/b/manifests/sha256:{HEX}")).expect("digest"),
            Route::Manifest(name("a1/b"), Reference::Digest(digest()))
        );
        for colon in [":", "%3A", "%3a"] {
            let path = format!("/v2/a1/b/blobs/sha256{colon}{HEX}");
            assert_eq!(Route::parse(&path).expect("blob"), Route::Blob(name("a1/b"), digest()));
        }
        assert_eq!(
            Route::parse(&format!("/v2/a1/b/referrers/sha256:{HEX}")).expect("referrers"),
            Route::Referrers(name("a1/b"), digest())
        );
        assert_eq!(
            Route::parse(&format!("/v2/a1/b/blobs/uploads/{id}")).expect("upload"),
            Route::Upload(name("a1/b"), id.parse().expect("id"))
        );
    }

    #[test]
    fn refuses_everything_else_with_the_code_of_the_specification() {
        let long = "a".repeat(256);
        let table = [
            ("/v2/../x".to_owned(), "name_unknown"),
            ("/v2/a1/../x/manifests/1".to_owned(), "name_invalid"),
            ("/v2/a1/%2e%2e/x/manifests/1".to_owned(), "name_invalid"),
            ("/v2/%2e%2e%2f/tags/list".to_owned(), "name_invalid"),
            ("/v2/a1/b%00/tags/list".to_owned(), "name_invalid"),
            ("/v2/a1/b%ff/tags/list".to_owned(), "name_invalid"),
            ("/v2/a1/b%0/tags/list".to_owned(), "name_invalid"),
            ("/v2/a1//b/tags/list".to_owned(), "name_invalid"),
            ("/v2/A1/b/tags/list".to_owned(), "name_invalid"),
            (format!("/v2/a1/{long}/tags/list"), "name_invalid"),
            ("/v2/hello/tags/list".to_owned(), "name_unknown"),
            (format!("/v2/a1/b/blobs/sha256:{}", &HEX[1..]), "digest_invalid"),
            (format!("/v2/a1/b/blobs/sha256:{HEX}0"), "digest_invalid"),
            (format!("/v2/a1/b/blobs/sha256:{}", HEX.to_uppercase()), "digest_invalid"),
            ("/v2/a1/b/blobs/md5:d41d8cd98f00b204e9800998ecf8427e".to_owned(), "digest_invalid"),
            ("/v2/a1/b/blobs/sha256:../../x".to_owned(), "name_unknown"),
            ("/v2/a1/b/manifests/sha256:bad".to_owned(), "digest_invalid"),
            ("/v2/a1/b/manifests/.bad".to_owned(), "tag_invalid"),
            ("/v2/a1/b/blobs/uploads/x".to_owned(), "blob_upload_unknown"),
            ("/v2/a1/b".to_owned(), "name_unknown"),
            ("/v2x".to_owned(), "name_unknown"),
        ];
        for (path, code) in table {
            assert_eq!(Route::parse(&path).expect_err(&path).code(), code, "{path}");
        }
    }
}
