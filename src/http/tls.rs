//! The HTTPS listener's certificate: given as files, or made once in the data directory, signed by
//! a certificate authority of this installation.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::base::{Error, Result, Timestamp};

/// Life of the authority, and of the server's certificate (clients refuse longer ones), days.
const AUTHORITY_DAYS: i64 = 3650;
const SERVER_DAYS: i64 = 365;
/// A server certificate is made anew when less than this is left, days.
const RENEW_DAYS: u64 = 30;

/// Files of a certificate chain and its key, PEM.
#[derive(Debug, Clone)]
pub struct Files {
    pub certificate: std::path::PathBuf,
    pub key: std::path::PathBuf,
}

/// The acceptor for given files.
pub fn from_files(files: &Files) -> Result<TlsAcceptor> {
    let bad = |what: &str, error: String| {
        Error::unavailable(format!("the TLS {what} cannot be read: {error}"))
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .map_err(|e| bad("certificate", e.to_string()))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|e| bad("key", e.to_string()))?;
    let mut config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|e| bad("certificate", e.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The acceptor for a certificate in `dir`, made when there is none or when it ends soon. Its
/// authority is `ca.pem` there; clients that trust it trust the server.
pub fn self_signed(dir: &Path, names: &[String], now: Timestamp) -> Result<TlsAcceptor> {
    let files = Files { certificate: dir.join("server.pem"), key: dir.join("server.key") };
    if !is_fresh(&files.certificate) {
        make(dir, &files, names, now)?;
    }
    from_files(&files)
}

fn is_fresh(certificate: &Path) -> bool {
    let age =
        fs::metadata(certificate).and_then(|m| m.modified()).ok().and_then(|m| m.elapsed().ok());
    age.is_some_and(|age| age.as_secs() < (SERVER_DAYS as u64 - RENEW_DAYS) * 86_400)
}

fn make(dir: &Path, files: &Files, names: &[String], now: Timestamp) -> Result<()> {
    let failed =
        |error: &dyn std::fmt::Display| Error::internal("making a certificate", error.to_string());
    fs::create_dir_all(dir).map_err(|e| failed(&e))?;
    let (ca_file, ca_key_file) = (dir.join("ca.pem"), dir.join("ca.key"));
    if !ca_key_file.exists() {
        let key = KeyPair::generate().map_err(|e| failed(&e))?;
        let params = authority(now);
        let certificate = params.self_signed(&key).map_err(|e| failed(&e))?;
        write(&ca_key_file, &key.serialize_pem()).map_err(|e| failed(&e))?;
        write(&ca_file, &certificate.pem()).map_err(|e| failed(&e))?;
    }
    let ca_key = fs::read_to_string(&ca_key_file).map_err(|e| failed(&e))?;
    let ca_key = KeyPair::from_pem(&ca_key).map_err(|e| failed(&e))?;
    let issuer = Issuer::new(authority(now), ca_key);
    let key = KeyPair::generate().map_err(|e| failed(&e))?;
    let mut params = CertificateParams::new(names.to_vec()).map_err(|e| failed(&e))?;
    params.distinguished_name.push(DnType::CommonName, "Portolan");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let (start, end) = span(now, SERVER_DAYS);
    (params.not_before, params.not_after) = (start, end);
    let certificate = params.signed_by(&key, &issuer).map_err(|e| failed(&e))?;
    write(&files.key, &key.serialize_pem()).map_err(|e| failed(&e))?;
    write(&files.certificate, &certificate.pem()).map_err(|e| failed(&e))
}

fn authority(now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Portolan installation CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let (start, end) = span(now, AUTHORITY_DAYS);
    (params.not_before, params.not_after) = (start, end);
    params
}

fn span(now: Timestamp, days: i64) -> (time::OffsetDateTime, time::OffsetDateTime) {
    let at = |moment: Timestamp| {
        time::OffsetDateTime::from_unix_timestamp(moment.timestamp())
            .unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
    };
    (at(now - chrono::Duration::hours(1)), at(now + chrono::Duration::days(days)))
}

/// Writes a file that only we may read, whole or not at all.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let temporary = path.with_extension("new");
    let mut file =
        fs::File::options().create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

/// Names and addresses a server certificate is made for: loopback, and the host of the external
/// URL.
pub fn names(external_host: &str, listen: IpAddr) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    for name in [external_host.to_owned(), listen.to_string()] {
        if !name.is_empty() && !names.contains(&name) && name != "0.0.0.0" && name != "::" {
            names.push(name);
        }
    }
    names
}
