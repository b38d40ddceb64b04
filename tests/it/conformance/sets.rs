//! The table of data sets that are pushed, read and removed whole.

use portolan::base::{Algorithm, Digest};
use serde_json::{Value, json};

use super::Toggles;
use super::data::{DataSet, IMAGE, Maker, Put, random_text};

const ONE: &str = "application/vnd.example.one";
const TWO: &str = "application/vnd.example.two";
const FOREIGN: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar";
const FOREIGN_GZIP: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";

/// All data sets that `toggles` leave on.
pub(super) fn all(toggles: Toggles) -> Vec<DataSet> {
    let mut sets = vec![
        simple("Image", |m| m.image(&["image"], json!({}))),
        simple("Image uncompressed", |m| {
            let (layer, config) = (m.layer(false), m.config("amd64"));
            m.image_of(&["uncompressed"], &config, &[layer], json!({}))
        }),
        simple("Large manifest", |m| m.image(&["large"], many_annotations())),
        simple("Index", |m| m.platforms(&["index"], json!({}))),
        simple("Nested index", |m| {
            let children = [m.platforms(&[], json!({})), m.platforms(&[], json!({}))];
            m.index(&["nested"], &children, json!({}))
        }),
        simple("Empty index", |m| m.index(&["empty-index"], &[], unique())),
        simple("Artifact", |m| m.artifact(&["artifact"], ONE, json!({}))),
        simple("Artifact index", |m| {
            let children = [m.artifact(&[], ONE, json!({})), m.artifact(&[], ONE, json!({}))];
            m.index(&["artifact-index"], &children, json!({ "artifactType": ONE }))
        }),
        simple("Artifact without layers", |m| {
            let empty = m.empty();
            let more = with(json!({ "artifactType": ONE }), unique());
            m.image_of(&["no-content"], &empty, std::slice::from_ref(&empty), more)
        }),
        artifacts_with_subject(),
        index_with_subject(),
        missing_subject(),
        data_field(),
        non_distributable(),
        custom_fields(),
        simple("No layers", |m| {
            let config = m.config("amd64");
            m.image_of(&["no-layers"], &config, &[], json!({}))
        }),
        sparse(toggles.sparse_images),
        tag_params("Tag params", Algorithm::Sha256),
        bad_digest(),
    ];
    if toggles.sha512 {
        let mut sha512 = Maker::new("sha512").with(Algorithm::Sha512, Put::Plain);
        sha512.platforms(&[], json!({}));
        sets.push(sha512.done());
        sets.push(tag_params("Tag params sha512", Algorithm::Sha512));
    }
    sets
}

fn simple(name: &'static str, make: impl FnOnce(&mut Maker) -> Value) -> DataSet {
    let mut maker = Maker::new(name);
    make(&mut maker);
    maker.done()
}

/// An annotation that makes a manifest one of a kind.
fn unique() -> Value {
    json!({ "annotations": { "org.example.unique": random_text() } })
}

fn with(mut value: Value, more: Value) -> Value {
    let Value::Object(more) = more else { return value };
    value.as_object_mut().expect("an object").extend(more);
    value
}

/// Close to the 4 MiB that every registry should take.
fn many_annotations() -> Value {
    let text = "x".repeat(10_000);
    let annotations: serde_json::Map<_, _> =
        (0..390).map(|n| (format!("org.example.long.{n}"), json!(text))).collect();
    json!({ "annotations": annotations })
}

/// The subject as a manifest names it.
fn subject(descriptor: &Value) -> Value {
    with(json!({ "subject": descriptor }), unique())
}

fn artifacts_with_subject() -> DataSet {
    let mut m = Maker::new("Artifacts with subject");
    let image = m.image(&["subject"], json!({}));
    m.image(&[], subject(&image));
    m.artifact(&["first-artifact"], ONE, subject(&image));
    m.artifact(&["second-artifact"], TWO, subject(&image));
    m.done()
}

fn index_with_subject() -> DataSet {
    let mut m = Maker::new("Index with subject");
    let index = m.platforms(&["subject-index"], json!({}));
    let children = [m.artifact(&[], ONE, json!({}))];
    let more = with(json!({ "artifactType": ONE }), subject(&index));
    m.index(&["about-index"], &children, more);
    // An index that does not say what it is has no type in the list.
    m.index(&[], &[], subject(&index));
    m.done()
}

fn missing_subject() -> DataSet {
    let mut m = Maker::new("Missing subject");
    let never = json!({ "mediaType": IMAGE, "size": 123,
        "digest": Digest::sha256(random_text().as_bytes()) });
    m.artifact(&["about-nothing"], ONE, subject(&never));
    m.done()
}

fn data_field() -> DataSet {
    let mut m = Maker::new("Data field");
    m.inlines = true;
    m.image(&["data"], json!({}));
    m.done()
}

fn custom_fields() -> DataSet {
    let mut m = Maker::new("Custom fields");
    m.adds_fields = true;
    m.platforms(&["custom"], json!({}));
    m.done()
}

fn non_distributable() -> DataSet {
    let mut m = Maker::new("Non-distributable layers");
    let urls = json!({ "urls": ["https://layers.example.com/one"] });
    let layers = [
        with(m.absent(FOREIGN_GZIP, 1234), urls.clone()),
        with(m.absent(FOREIGN, 123), urls),
        m.layer(true),
    ];
    let config = m.config("amd64");
    m.image_of(&["foreign"], &config, &layers, json!({}));
    m.done()
}

/// An index of which one child is missing and, when the registry is told to take such, an image
/// of which one layer is.
fn sparse(images: bool) -> DataSet {
    let mut m = Maker::new("Sparse");
    let here = m.image(&[], json!({}));
    let elsewhere = m.absent(IMAGE, 1024);
    m.index(&["sparse-index"], &[here, elsewhere], json!({}));
    if images {
        let config = m.config("amd64");
        let layers = [m.layer(true), m.absent("application/vnd.oci.image.layer.v1.tar", 99)];
        m.image_of(&["sparse-image"], &config, &layers, json!({}));
    }
    m.done()
}

fn tag_params(name: &'static str, algorithm: Algorithm) -> DataSet {
    let mut m = Maker::new(name).with(algorithm, Put::TagParams);
    let prefix = algorithm.as_str();
    let tags: Vec<String> = (0..10).map(|n| format!("{prefix}-tag-{n}")).collect();
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    m.platforms(&tags, json!({}));
    m.done()
}

fn bad_digest() -> DataSet {
    let mut m = Maker::new("Bad digest image").with(Algorithm::Sha256, Put::WrongDigest);
    m.image(&[], json!({}));
    m.done()
}
