//! Every string of a page, in the language of the page.
//!
//! Messages live in `locales/{en,zh}/*.ftl` (Fluent). A template holds no literal text: it asks
//! its [`Text`] for a key. A test compares the keys used with the keys of both languages.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use rust_embed::RustEmbed;
use unic_langid::langid;

use crate::base::{Error, ErrorKind, Timestamp};

/// A language the pages are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Locale {
    #[default]
    En,
    Zh,
}

impl Locale {
    /// The `lang` attribute.
    pub fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh-CN",
        }
    }

    /// The word kept in cookies, user settings and `?lang=`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh",
        }
    }

    /// Reads a language tag such as `zh-Hans-CN`; `None` for a language without pages.
    pub fn parse(tag: &str) -> Option<Self> {
        match tag.trim().get(..2)?.to_ascii_lowercase().as_str() {
            "en" => Some(Self::En),
            "zh" => Some(Self::Zh),
            _ => None,
        }
    }

    /// The first language of an `Accept-Language` header that has pages.
    pub fn negotiate(header: &str) -> Self {
        let mut wishes: Vec<(u16, Self)> = header
            .split(',')
            .take(16)
            .filter_map(|part| {
                let (tag, weight) = part.split_once(";q=").unwrap_or((part, "1"));
                let weight = weight.trim().parse::<f32>().unwrap_or(0.0).clamp(0.0, 1.0);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "between 0 and 1000"
                )]
                let weight = (weight * 1000.0) as u16;
                Some((weight, Self::parse(tag)?))
            })
            .collect();
        wishes.sort_by_key(|wish| std::cmp::Reverse(wish.0));
        wishes.first().map(|wish| wish.1).unwrap_or_default()
    }

    /// The other language, for the switch.
    pub fn other(self) -> Self {
        match self {
            Self::En => Self::Zh,
            Self::Zh => Self::En,
        }
    }
}

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/locales/"]
struct Files;

type Bundle = FluentBundle<FluentResource>;

fn load(locale: Locale) -> Bundle {
    let language = match locale {
        Locale::En => langid!("en"),
        Locale::Zh => langid!("zh-CN"),
    };
    let mut bundle = Bundle::new_concurrent(vec![language]);
    // Arguments are names and numbers; direction marks around them would be copied with them.
    bundle.set_use_isolating(false);
    let prefix = format!("{}/", locale.as_str());
    for path in Files::iter().filter(|path| path.starts_with(&prefix)) {
        let Some(file) = Files::get(&path) else { continue };
        let source = String::from_utf8_lossy(&file.data).into_owned();
        let resource = match FluentResource::try_new(source) {
            Ok(resource) => resource,
            Err((resource, errors)) => {
                tracing::error!(file = %path, errors = ?errors, "a message file has errors");
                resource
            }
        };
        if let Err(errors) = bundle.add_resource(resource) {
            tracing::error!(file = %path, errors = ?errors, "a message is defined twice");
        }
    }
    bundle
}

static EN: LazyLock<Bundle> = LazyLock::new(|| load(Locale::En));
static ZH: LazyLock<Bundle> = LazyLock::new(|| load(Locale::Zh));

fn bundle(locale: Locale) -> &'static Bundle {
    match locale {
        Locale::En => &EN,
        Locale::Zh => &ZH,
    }
}

fn lookup(locale: Locale, key: &str, args: Option<&FluentArgs<'_>>) -> Option<String> {
    let bundle = bundle(locale);
    let pattern = bundle.get_message(key)?.value()?;
    let mut errors = Vec::new();
    let text = bundle.format_pattern(pattern, args, &mut errors);
    if !errors.is_empty() {
        tracing::error!(key, locale = locale.as_str(), errors = ?errors, "a message cannot be formatted");
    }
    Some(text.into_owned())
}

/// The language and the moment of a page; cheap to copy.
#[derive(Debug, Clone, Copy)]
pub struct Text {
    pub locale: Locale,
    /// The present moment, so that all relative times of a page agree.
    pub now: Timestamp,
}

impl Text {
    /// The message `key`. A missing key shows itself, and the log says so.
    pub fn get(&self, key: impl AsRef<str>) -> String {
        let key = key.as_ref();
        self.try_get(key).unwrap_or_else(|| missing(key))
    }

    /// One of two messages.
    pub fn either(&self, first: impl std::borrow::Borrow<bool>, one: &str, other: &str) -> String {
        self.get(if *first.borrow() { one } else { other })
    }

    /// Whether there is a message `key`.
    pub fn has(&self, key: impl AsRef<str>) -> bool {
        bundle(self.locale).has_message(key.as_ref())
    }

    /// The message `key`, if there is one. It must take no arguments.
    pub fn try_get(&self, key: impl AsRef<str>) -> Option<String> {
        lookup(self.locale, key.as_ref(), Some(&FluentArgs::new()))
    }

    /// The message `key`, with arguments to be set on what is returned.
    pub fn fmt(&self, key: impl AsRef<str>) -> Message {
        Message { locale: self.locale, key: key.as_ref().to_owned(), args: FluentArgs::new() }
    }

    /// `singular` or `plural` is the message's business: this is `fmt` with one number.
    pub fn num(&self, key: impl AsRef<str>, n: impl Count) -> Message {
        self.fmt(key).n("n", n)
    }

    /// What went wrong, in the reader's language where its code has a message.
    pub fn error(&self, error: &Error) -> String {
        if error.kind() == ErrorKind::RateLimited {
            return self
                .fmt("error-rate_limited")
                .n("n", error.retry_after().unwrap_or(60))
                .to_string();
        }
        match self.locale {
            Locale::En => error.public_message().to_owned(),
            Locale::Zh => self
                .try_get(format!("error-{}", error.code()))
                .unwrap_or_else(|| error.public_message().to_owned()),
        }
    }
}

fn missing(key: &str) -> String {
    tracing::error!(key, "a page asks for a message that does not exist");
    key.to_owned()
}

/// A message whose arguments are being set; prints as text and is escaped like any text.
#[derive(Debug)]
pub struct Message {
    locale: Locale,
    key: String,
    args: FluentArgs<'static>,
}

impl Message {
    /// Sets a text argument.
    #[must_use]
    pub fn a(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.args.set(name, FluentValue::String(Cow::Owned(value.to_string())));
        self
    }

    /// Sets a number argument, which may choose a plural form.
    #[must_use]
    pub fn n(mut self, name: &'static str, value: impl Count) -> Self {
        self.args.set(name, FluentValue::from(value.count()));
        self
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match lookup(self.locale, &self.key, Some(&self.args)) {
            Some(text) => f.write_str(&text),
            None => f.write_str(&missing(&self.key)),
        }
    }
}

/// A number a message can count with.
pub trait Count {
    fn count(self) -> i64;
}

macro_rules! counts {
    ($($t:ty),*) => {$(
        impl Count for $t {
            fn count(self) -> i64 { i64::try_from(self).unwrap_or(i64::MAX) }
        }
        impl Count for &$t {
            fn count(self) -> i64 { (*self).count() }
        }
        impl Count for &&$t {
            fn count(self) -> i64 { (**self).count() }
        }
    )*};
}
counts!(i32, i64, u32, u64, usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_wish_with_pages_wins() {
        assert_eq!(Locale::negotiate("zh-CN,zh;q=0.9,en;q=0.8"), Locale::Zh);
        assert_eq!(Locale::negotiate("fr, en;q=0.5, zh;q=0.9"), Locale::Zh);
        assert_eq!(Locale::negotiate("de"), Locale::En);
        assert_eq!(Locale::negotiate(";;;,,é"), Locale::En);
    }
}
