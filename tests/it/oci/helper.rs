//! The images that other tests rely on are real: Docker runs them, skopeo reads them.

use std::process::Command;

use crate::support::images::hello;

fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().expect("the program runs");
    assert!(
        output.status.success(),
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn the_hello_image_answers_with_its_host_name_and_version() {
    let mut bytes = [0u8; 6];
    aws_lc_rs::rand::fill(&mut bytes).expect("random");
    let image = format!("test.invalid/hello-{}:v7", hex::encode(bytes));
    hello("v7").load_into_docker(&image);
    let script = "/start & while ! wget -qO- http://127.0.0.1:8080/; do sleep 0.05; done";
    let run = ["run", "--rm", "--hostname", "box", "--entrypoint", "sh", &image, "-c", script];
    assert_eq!(output("docker", &run), "box v7");
    output("docker", &["rmi", &image]);
}

#[test]
fn skopeo_reads_the_layout() {
    let dir = tempfile::tempdir().expect("tempdir");
    let image = hello("1");
    image.write_oci_layout(dir.path(), "1");
    let source = format!("oci:{}:1", dir.path().display());
    let seen = output("skopeo", &["inspect", "--format", "{{.Digest}}", &source]);
    assert_eq!(seen, image.digest().to_string());
}
