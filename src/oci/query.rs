//! Query strings of this face: a few known names, some of them repeated.

use crate::base::{Error, ErrorKind, Result};

/// Most parameters of one request.
const MAX_PARAMETERS: usize = 200;

/// A parsed query string.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let malformed = |why: &str| Error::new(ErrorKind::Malformed, "unsupported", why);
        let pairs: Vec<(String, String)> = serde_urlencoded::from_str(text)
            .map_err(|_| malformed("the query string is not valid"))?;
        if pairs.len() > MAX_PARAMETERS {
            return Err(malformed("the query string has too many parameters"));
        }
        Ok(Self(pairs))
    }

    /// The first value of `name`.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All values of `name`.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// `n` of paged lists: how many names, at most `max`.
    pub(super) fn page_size(&self, max: usize) -> Result<usize> {
        match self.get("n") {
            None => Ok(max),
            // However many are asked for, a page holds `max`.
            Some(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
                Ok(text.parse::<usize>().map_or(max, |n| n.min(max)))
            }
            Some(_) => Err(Error::new(
                ErrorKind::Malformed,
                "pagination_number_invalid",
                "n must be a whole number, 0 or more",
            )),
        }
    }
}
