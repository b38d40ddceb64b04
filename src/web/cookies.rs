//! The cookies pages keep: theme, language, the project last looked at, and one flash message.
//!
//! None of them proves anything; the session's cookie is the shell's business.

use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::text::Text;

pub(super) const THEME: &str = "portolan_theme";
pub(super) const LOCALE: &str = "portolan_lang";
pub(super) const PROJECT: &str = "portolan_project";
const FLASH: &str = "portolan_flash";
const YEAR: u32 = 31_536_000;

/// Light, dark, or what the system says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Theme {
    #[default]
    Auto,
    Light,
    Dark,
}

impl Theme {
    /// The word in the cookie and in `data-theme`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    pub fn parse(word: &str) -> Self {
        match word {
            "light" => Self::Light,
            "dark" => Self::Dark,
            _ => Self::Auto,
        }
    }

    /// What the theme button leads to.
    pub fn next(self) -> Self {
        match self {
            Self::Auto => Self::Light,
            Self::Light => Self::Dark,
            Self::Dark => Self::Auto,
        }
    }
}

/// The result of a form, shown once on the page that follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flash {
    /// Key of the message; it may use the argument `$name`.
    pub key: String,
    pub name: String,
}

impl Flash {
    pub fn new(key: &str, name: impl ToString) -> Self {
        Self { key: key.to_owned(), name: name.to_string() }
    }

    /// The sentence. Only keys that start with `flash-` are shown, because the cookie is the
    /// browser's word.
    pub fn text(&self, t: &Text) -> Option<String> {
        (self.key.starts_with("flash-") && t.has(&self.key))
            .then(|| t.fmt(&self.key).a("name", &self.name).to_string())
    }

    fn decode(value: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(value).ok()?).ok()?;
        let (key, name) = text.split_once('|')?;
        Some(Self::new(key, name.chars().take(200).collect::<String>()))
    }
}

/// The value of a cookie of the request.
pub(super) fn get<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
}

pub(super) fn flash(headers: &HeaderMap) -> Option<Flash> {
    Flash::decode(get(headers, FLASH)?)
}

fn add(headers: &mut HeaderMap, cookie: &str) {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        headers.append(header::SET_COOKIE, value);
    }
}

/// Keeps a preference for a year. `value` is one of Portolan's own words.
pub(super) fn keep(headers: &mut HeaderMap, name: &str, value: &str) {
    add(headers, &format!("{name}={value}; Path=/; Max-Age={YEAR}; SameSite=Lax; HttpOnly"));
}

pub(super) fn set_flash(headers: &mut HeaderMap, flash: &Flash) {
    let value = URL_SAFE_NO_PAD.encode(format!("{}|{}", flash.key, flash.name));
    add(headers, &format!("{FLASH}={value}; Path=/; Max-Age=60; SameSite=Lax; HttpOnly"));
}

pub(super) fn clear_flash(headers: &mut HeaderMap) {
    add(headers, &format!("{FLASH}=; Path=/; Max-Age=0; SameSite=Lax; HttpOnly"));
}
