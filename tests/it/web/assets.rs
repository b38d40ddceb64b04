//! What browsers load with a page stays small and holds to the content security policy.

use std::io::Write;
use std::path::Path;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("readable")
}

/// Size after gzip, bytes.
pub(super) fn gzipped(bytes: &[u8]) -> usize {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).expect("compress");
    encoder.finish().expect("compress").len()
}

#[test]
fn style_script_and_icons_stay_in_their_budgets() {
    for (path, budget) in
        [("static/app.css", 12_000), ("static/app.js", 20_000), ("static/icons.svg", 4_000)]
    {
        let size = gzipped(read(path).as_bytes());
        assert!(size <= budget, "{path}: {size} bytes gzipped, budget {budget}");
    }
}

#[test]
fn templates_hold_no_inline_style_script_or_handler() {
    for (path, text) in super::words::templates() {
        let text = text.to_lowercase();
        for bad in [" style=", "<style", " onclick=", " onload=", "javascript:", "<script>"] {
            assert!(!text.contains(bad), "{path} holds {bad:?}");
        }
    }
}

#[test]
fn nothing_is_loaded_from_elsewhere() {
    for path in ["static/app.css", "static/app.js"] {
        let text = read(path);
        assert!(!text.contains("http://") && !text.contains("https://"), "{path}");
    }
}
