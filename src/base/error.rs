//! The one error of the service layers: a kind, a stable code, a sentence for the user, the
//! fields at fault, and (for the log only) the cause.
//!
//! Every face renders the same error in its own format. Only the sentence and the fields reach a
//! client; the cause chain never does. What the caller may not see is [`Error::not_found`], the
//! same as what is absent.

use std::fmt;

/// Shorthand for results of service functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in the terms that decide the status code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No or wrong credentials (401).
    Unauthenticated,
    /// Known caller, visible object, missing permission (403).
    Denied,
    /// Absent, or not visible to the caller (404).
    NotFound,
    /// The state of the object forbids it now (409).
    Conflict,
    /// An `If-Match` that names an older version (412).
    Stale,
    /// The input breaks a rule (422, or 400 when it could not be parsed).
    Invalid,
    /// The input could not be parsed at all (400).
    Malformed,
    /// Over a size limit (413).
    TooLarge,
    /// A range outside the object (416).
    RangeInvalid,
    /// Too many requests (429).
    RateLimited,
    /// Something Portolan depends on does not answer (503).
    Unavailable,
    /// A bug or a broken disk (500).
    Internal,
}

/// One field of the input and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FieldError {
    /// Path of the field, e.g. `template.containers[0].resources.limits.cpu`.
    pub field: String,
    /// What is wrong and what would be right, without a trailing dot.
    pub message: String,
}

/// An error with a stable code and a message fit for users.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    code: &'static str,
    message: String,
    fields: Vec<FieldError>,
    detail: Option<serde_json::Value>,
    retry_after: Option<u32>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind` with a stable snake_case `code` and a user-facing `message`.
    pub fn new(kind: ErrorKind, code: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            code,
            message: message.into(),
            fields: Vec::new(),
            detail: None,
            retry_after: None,
            source: None,
        }))
    }

    /// `what` (`project`, `tag`, …) named `name` is absent or hidden from the caller.
    pub fn not_found(what: &str, name: impl fmt::Display) -> Self {
        Self::new(ErrorKind::NotFound, "not_found", format!("{what} \"{name}\" not found"))
    }

    /// The caller is known and sees the object, but lacks a permission.
    pub fn denied(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Denied, "denied", message)
    }

    /// No or wrong credentials. The message must not tell which part was wrong.
    pub fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unauthenticated, "unauthenticated", message)
    }

    /// A conflict with the present state, with its own code.
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, code, message)
    }

    /// One field breaks a rule. `message` says what would be right.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::invalid_fields(vec![FieldError { field: field.into(), message: message.into() }])
    }

    /// Several fields break rules; all are reported at once.
    pub fn invalid_fields(fields: Vec<FieldError>) -> Self {
        let message = fields
            .iter()
            .map(|f| {
                if f.field.is_empty() {
                    f.message.clone()
                } else {
                    format!("{}: {}", f.field, f.message)
                }
            })
            .collect::<Vec<_>>()
            .join("; ");
        let mut error = Self::new(ErrorKind::Invalid, "invalid", message);
        error.0.fields = fields;
        error
    }

    /// The input is not even well-formed.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Malformed, "malformed", message)
    }

    /// The input is over `limit` bytes.
    pub fn too_large(what: &str, limit: u64) -> Self {
        Self::new(
            ErrorKind::TooLarge,
            "too_large",
            format!("{what} is over the limit of {limit} bytes"),
        )
    }

    /// Too many attempts; `retry_after` is in seconds.
    pub fn rate_limited(message: impl Into<String>, retry_after: u32) -> Self {
        let mut error = Self::new(ErrorKind::RateLimited, "rate_limited", message);
        error.0.retry_after = Some(retry_after);
        error
    }

    /// Something Portolan depends on does not answer.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, "unavailable", message)
    }

    /// A bug or a broken disk. `doing` goes to the log, never to the client.
    pub fn internal(
        doing: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::new(ErrorKind::Internal, "internal", doing).with_source(source)
    }

    /// Attaches the cause, for the log.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Attaches machine-readable detail for the client.
    #[must_use]
    pub fn with_detail(mut self, detail: serde_json::Value) -> Self {
        self.0.detail = Some(detail);
        self
    }

    /// Replaces the stable code.
    #[must_use]
    pub fn with_code(mut self, code: &'static str) -> Self {
        self.0.code = code;
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The stable snake_case code.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// The sentence for the user. Internal errors have a fixed one.
    pub fn public_message(&self) -> &str {
        match self.0.kind {
            ErrorKind::Internal => "internal error",
            _ => &self.0.message,
        }
    }

    /// The fields at fault, empty unless the kind is [`ErrorKind::Invalid`].
    pub fn fields(&self) -> &[FieldError] {
        &self.0.fields
    }

    /// Machine-readable detail for the client.
    pub fn detail(&self) -> Option<&serde_json::Value> {
        self.0.detail.as_ref()
    }

    /// Seconds to wait before trying again.
    pub fn retry_after(&self) -> Option<u32> {
        self.0.retry_after
    }

    /// Whether this is [`ErrorKind::NotFound`].
    pub fn is_not_found(&self) -> bool {
        self.0.kind == ErrorKind::NotFound
    }

    /// The message and all causes on one line, for the log.
    pub fn chain(&self) -> String {
        let mut line = self.0.message.clone();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            line.push_str(": ");
            line.push_str(&error.to_string());
            cause = error.source();
        }
        line
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{}: {}", self.0.kind, self.0.code, self.chain())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|e| &**e as &(dyn std::error::Error + 'static))
    }
}
