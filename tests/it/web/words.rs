//! Every string of the pages exists in both languages, and none is written into a template.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(dir: &Path, extension: &str, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("readable directory") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            files(&path, extension, out);
        } else if path.extension().is_some_and(|e| e == extension) {
            out.push(path);
        }
    }
}

fn texts(dir: &str, extension: &str) -> Vec<(String, String)> {
    let mut paths = Vec::new();
    files(&root().join(dir), extension, &mut paths);
    paths
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("readable file");
            (path.strip_prefix(root()).expect("below").display().to_string(), text)
        })
        .collect()
}

/// All templates, by path.
pub(super) fn templates() -> Vec<(String, String)> {
    texts("templates", "html")
}

/// Message keys of a language, with the arguments each one takes.
fn messages(language: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut messages = BTreeMap::new();
    for (path, text) in texts(&format!("locales/{language}"), "ftl") {
        let mut key = String::new();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            if let Some((name, _)) = line.split_once(" = ").filter(|_| !line.starts_with(' ')) {
                key = name.to_owned();
                let fresh = messages.insert(key.clone(), BTreeSet::new()).is_none();
                assert!(fresh, "{path} defines {key} again");
            }
            let arguments = messages.get_mut(&key).expect("a message starts before its lines");
            for rest in line.split('$').skip(1) {
                let name: String =
                    rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                arguments.insert(name);
            }
        }
    }
    messages
}

/// Words that a key may be made of, and by which a string literal is taken for one.
fn looks_like_a_key(word: &str) -> bool {
    word.contains('-')
        && word.starts_with(|c: char| c.is_ascii_lowercase())
        && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
}

/// Literal keys passed to `get`, `fmt`, `num`, `either`, `try_get`.
fn asked_for(text: &str) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for call in [".get(", ".fmt(", ".num(", ".either("] {
        for (at, _) in text.match_indices(call) {
            let owner: String =
                text[..at].chars().rev().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if owner != "t" && owner != "txet" {
                continue;
            }
            let rest = &text[at + call.len()..];
            let end = rest.find([')', '\n']).unwrap_or(rest.len());
            let wanted = if call == ".either(" { 2 } else { 1 };
            keys.extend(rest[..end].split('"').skip(1).step_by(2).take(wanted).map(str::to_owned));
        }
    }
    keys.retain(|key| looks_like_a_key(key) || !key.contains(' '));
    keys
}

#[test]
fn both_languages_have_the_same_messages_with_the_same_arguments() {
    let (english, chinese) = (messages("en"), messages("zh"));
    let keys: BTreeSet<_> = english.keys().chain(chinese.keys()).collect();
    let mut faults = Vec::new();
    for key in keys {
        match (english.get(key), chinese.get(key)) {
            (Some(a), Some(b)) if a.is_superset(b) => {}
            (Some(a), Some(b)) => faults.push(format!("{key}: {a:?} in English, {b:?} in Chinese")),
            (a, _) => {
                faults.push(format!("{key} only in {}", if a.is_some() { "en" } else { "zh" }))
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_key_asked_for_exists() {
    let known = messages("en");
    let mut missing = Vec::new();
    for (path, text) in templates().into_iter().chain(texts("src/web", "rs")) {
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for key in asked_for(text) {
            if !known.contains_key(&key) && !key.contains('{') {
                missing.push(format!("{path}: {key}"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_message_is_used() {
    let mut sources = String::new();
    for (_, text) in templates().into_iter().chain(texts("src/web", "rs")) {
        sources.push_str(&text);
    }
    // Keys made from a word of the data: error codes and event actions.
    let made = ["error-", "event-", "lifecycle-", "role-", "visibility-"];
    let unused: Vec<_> = messages("en")
        .into_keys()
        .filter(|key| !made.iter().any(|prefix| key.starts_with(prefix)))
        .filter(|key| !sources.contains(&format!("\"{key}\"")))
        .collect();
    assert!(unused.is_empty(), "messages nobody asks for: {unused:?}");
}

/// What a template writes outside tags, expressions and comments.
fn literal_text(template: &str) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some(at) = rest.find(['<', '{']) {
        out.push_str(&rest[..at]);
        let tail = &rest[at..];
        let close = match tail.as_bytes().get(..2) {
            Some(b"{{") => "}}",
            Some(b"{%") => "%}",
            Some(b"{#") => "#}",
            _ if tail.starts_with('<') => ">",
            _ => "",
        };
        // A tag may hold expressions with `>` in them: skip those first.
        let mut end = at + close.len().max(1);
        if close == ">" {
            let mut inner = 1;
            while inner < tail.len() && !tail[inner..].starts_with('>') {
                let skip = ["{{", "{%"].iter().find(|open| tail[inner..].starts_with(**open));
                inner = match skip {
                    Some(open) => {
                        let shut = if *open == "{{" { "}}" } else { "%}" };
                        tail[inner..].find(shut).map_or(tail.len(), |n| inner + n + 2)
                    }
                    None => inner + tail[inner..].chars().next().map_or(1, char::len_utf8),
                };
            }
            end = at + (inner + 1).min(tail.len());
        } else if !close.is_empty() {
            end = at + tail.find(close).map_or(tail.len(), |n| n + close.len());
        }
        out.push(' ');
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

#[test]
fn templates_hold_no_words() {
    // The product's name and what is the same in every language.
    let allowed = ["Portolan", "root", "K"];
    let mut faults = Vec::new();
    for (path, text) in templates() {
        for word in literal_text(&text).split(|c: char| !c.is_alphabetic()) {
            if word.chars().any(char::is_alphabetic) && !allowed.contains(&word) && word != "middot"
            {
                faults.push(format!("{path}: {word}"));
            }
        }
    }
    assert!(faults.is_empty(), "words written into templates:\n{}", faults.join("\n"));
}

#[test]
fn attributes_that_people_read_come_from_messages() {
    let mut faults = Vec::new();
    for (path, text) in templates() {
        for attribute in ["aria-label", "title", "placeholder", "alt"] {
            for rest in text.split(&format!(" {attribute}=\"")).skip(1) {
                if !rest.starts_with("{{") && !rest.starts_with('"') {
                    faults.push(format!("{path}: {attribute}=\"{}", &rest[..rest.len().min(20)]));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
