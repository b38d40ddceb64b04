//! A form as a page shows it: what was typed, and what is wrong with it.

use std::collections::BTreeMap;

use super::text::Text;
use crate::base::{Error, ErrorKind, Result};

/// Values and faults of a form, by field name.
#[derive(Debug, Clone, Default)]
pub struct Form {
    values: BTreeMap<&'static str, String>,
    errors: BTreeMap<String, String>,
    message: Option<String>,
}

/// One option of a choice.
#[derive(Debug, Clone)]
pub struct Choice {
    pub value: &'static str,
    pub label: String,
}

impl Form {
    /// A form filled with `values`. Never pass a secret: it would be sent back.
    pub fn of(values: impl IntoIterator<Item = (&'static str, impl ToString)>) -> Self {
        let values = values.into_iter().map(|(name, value)| (name, value.to_string())).collect();
        Self { values, ..Self::default() }
    }

    /// Notes what the service refused: at the fields it names, else on top. Errors that are not
    /// about the input pass through, to a page of their own.
    pub fn refused(mut self, t: &Text, error: Error) -> Result<Self> {
        match error.kind() {
            ErrorKind::Invalid if !error.fields().is_empty() => {
                for fault in error.fields() {
                    let text = t
                        .try_get(format!("error-{}", error.code()))
                        .filter(|_| t.locale != super::text::Locale::En)
                        .unwrap_or_else(|| fault.message.clone());
                    self.errors.insert(fault.field.clone(), text);
                }
                let unknown: Vec<_> = self
                    .errors
                    .iter()
                    .filter(|(field, _)| !self.values.contains_key(field.as_str()))
                    .map(|(_, text)| text.clone())
                    .collect();
                if !unknown.is_empty() {
                    self.message = Some(unknown.join("; "));
                }
                Ok(self)
            }
            ErrorKind::Invalid
            | ErrorKind::Conflict
            | ErrorKind::NotFound
            | ErrorKind::Unauthenticated
            | ErrorKind::RateLimited => {
                self.message = Some(t.error(&error));
                Ok(self)
            }
            // What a rule locks is said where it was tried.
            ErrorKind::Denied if error.code() == "tag_locked" => {
                self.message = Some(t.error(&error));
                Ok(self)
            }
            _ => Err(error),
        }
    }

    /// Adds a value.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.values.insert(name, value.to_string());
        self
    }

    /// Marks one field.
    #[must_use]
    pub fn wrong(mut self, field: &str, message: impl ToString) -> Self {
        self.errors.insert(field.to_owned(), message.to_string());
        self
    }

    /// What was typed.
    pub fn value(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    /// What is wrong with a field.
    pub fn error(&self, name: &str) -> Option<&str> {
        self.errors.get(name).map(String::as_str)
    }

    /// What is wrong with the whole.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }
}
