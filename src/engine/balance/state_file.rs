//! The last table on disk, so that a gateway started while the server is away serves what it
//! served before.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::{Table, limits};

/// Replaces the file; once this returns the table survives a power cut.
pub fn save(path: &Path, table: &Table) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(&serde_json::to_vec(table)?)?;
    file.sync_data()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => File::open(dir)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// The table of an earlier run; `None` when there is none.
pub fn load(path: &Path) -> io::Result<Option<Table>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
        Ok(file) if file.len() > limits::MESSAGE_BYTES as u64 => {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(_) => {}
    }
    Ok(Some(serde_json::from_slice(&fs::read(path)?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_table() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("table.json");
        assert_eq!(load(&path).expect("absent is fine"), None);
        for generation in [1, 2] {
            let table = Table { generation, listeners: Vec::new() };
            save(&path, &table).expect("saved");
            assert_eq!(load(&path).expect("readable"), Some(table));
        }
        fs::write(&path, "{").expect("written");
        assert!(load(&path).is_err());
    }
}
