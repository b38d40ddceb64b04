//! Finds the process that listens on a port, from `/proc`; for error messages.

use std::fs;

/// `NAME (process ID)`, if this user may see it.
pub fn find(port: u16) -> Option<String> {
    let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| table.lines().skip(1).filter_map(|l| inode(l, port)).collect::<Vec<_>>())
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let id = process.file_name().into_string().ok()?;
        id.parse::<u32>().ok()?;
        let holds = fs::read_dir(process.path().join("fd")).ok()?.flatten().any(|fd| {
            fs::read_link(fd.path())
                .is_ok_and(|link| inodes.iter().any(|inode| link.as_os_str() == inode.as_str()))
        });
        let name = fs::read_to_string(process.path().join("comm")).ok()?;
        let name: String = name.trim().chars().filter(|c| !c.is_control()).collect();
        holds.then(|| format!("{name} (process {id})"))
    })
}

/// The inode of a line of `/proc/net/tcp`, if it listens on `port`.
fn inode(line: &str, port: u16) -> Option<String> {
    let fields: Vec<_> = line.split_ascii_whitespace().collect();
    let (_, local_port) = fields.get(1)?.rsplit_once(':')?;
    let is_listening = *fields.get(3)? == "0A";
    let is_port = u16::from_str_radix(local_port, 16) == Ok(port);
    (is_listening && is_port).then(|| fields.get(9).map(|s| (*s).to_owned()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_process_that_listens() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("address").port();
        let holder = find(port).expect("this process is visible");
        assert!(holder.ends_with(&format!("(process {})", std::process::id())), "{holder}");
    }
}
