//! Holds `src/` to the layers that `src/lib.rs` describes.

use std::fs;
use std::path::{Path, PathBuf};

/// Left to right; a module may use only those before it. Modules in one group do not use each
/// other.
const LAYERS: &[&[&str]] = &[
    &["base"],
    &["wire"],
    &["egress"],
    &["config"],
    &["db"],
    &["events"],
    &["jobs"],
    &["tasks"],
    &["accounts"],
    &["catalog"],
    &["registry"],
    &["import"],
    &["engine"],
    &["http"],
    &["api", "oci", "web"],
    &["lifecycle", "telemetry"],
    &["app"],
    &["cli"],
];

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|group| group.contains(&module))
}

fn rust_files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("src is readable") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            rust_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

fn sources() -> Vec<(String, String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    files
        .into_iter()
        .map(|path| {
            let relative =
                path.strip_prefix(&src).expect("below src").to_string_lossy().into_owned();
            let module = relative.split(['/', '.']).next().unwrap_or_default().to_owned();
            let text = fs::read_to_string(&path).expect("readable");
            (relative, module, text)
        })
        .collect()
}

#[test]
fn imports_point_left() {
    let mut faults = Vec::new();
    for (file, module, text) in sources() {
        let Some(own) = layer_of(&module) else { continue };
        for (number, line) in text.lines().enumerate() {
            for used in line.split("crate::").skip(1) {
                let used: String =
                    used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let Some(other) = layer_of(&used) else { continue };
                if other > own || (other == own && used != module) {
                    faults.push(format!("{file}:{}: {module} uses {used}", number + 1));
                }
            }
        }
    }
    assert!(faults.is_empty(), "imports that point right:\n{}", faults.join("\n"));
}

#[test]
fn libraries_stay_in_their_layers() {
    let mut faults = Vec::new();
    for (file, module, text) in sources() {
        let sql_allowed = matches!(module.as_str(), "db" | "events")
            || file.ends_with("store.rs")
            || file.contains("/store/");
        let http_layer = layer_of("http");
        let axum_allowed = layer_of(&module) >= http_layer || module == "lib" || module == "main";
        for (number, line) in text.lines().enumerate() {
            let line = line.trim_start();
            if line.starts_with("//") {
                continue;
            }
            let mut refuse = |what: &str| faults.push(format!("{file}:{}: {what}", number + 1));
            if line.contains("sqlx::") && !sql_allowed {
                refuse("sqlx outside db, events and store.rs");
            }
            if line.contains("axum::") && !axum_allowed {
                refuse("axum left of http");
            }
            if line.contains("bollard::") && !file.starts_with("engine/runtime/") {
                refuse("bollard outside engine/runtime");
            }
            let outgoing = matches!(module.as_str(), "egress" | "import");
            if (line.contains("reqwest::") || line.contains("oci_client::")) && !outgoing {
                refuse("reqwest or oci_client outside egress and import");
            }
        }
    }
    assert!(faults.is_empty(), "libraries out of place:\n{}", faults.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let missing: Vec<_> = sources()
        .into_iter()
        .filter(|(file, _, text)| file != "main.rs" && !text.starts_with("//! "))
        .map(|(file, _, _)| file)
        .collect();
    assert!(missing.is_empty(), "files without a leading //! line: {missing:?}");
}
