//! Finds the process that has dialled a socket of ours. All routers of a drill dial from one address, so only the system knows which of
//! them it was.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, SocketAddrV4};

/// The place of the process that owns the other end of a connection on this machine. `pids` are the processes by place, `theirs` and `ours` the
/// two ends of the connection. Returns none if none of these processes owns the connection any more.
pub(super) fn dialler(pids: &[Option<u32>], theirs: SocketAddr, ours: SocketAddr) -> Option<usize> {
    let (SocketAddr::V4(theirs), SocketAddr::V4(ours)) = (theirs, ours) else { return None };
    let socket = format!("socket:[{}]", inode(theirs, ours)?);
    pids.iter().position(|pid| pid.is_some_and(|pid| owns(pid, &socket)))
}

/// The system's number of the socket with these two ends (proc_pid_net(5), `/proc/net/tcp`).
fn inode(local: SocketAddrV4, remote: SocketAddrV4) -> Option<u64> {
    let (local, remote) = (written(local), written(remote));
    let table = BufReader::new(File::open("/proc/net/tcp").ok()?);
    let row = table.lines().map_while(Result::ok).find(|row| {
        let mut columns = row.split_whitespace().skip(1);
        columns.next() == Some(&local) && columns.next() == Some(&remote)
    })?;
    row.split_whitespace().nth(9)?.parse().ok()
}

/// An address as the table has it: the bytes of the network as a number of this machine, and the port.
fn written(address: SocketAddrV4) -> String {
    format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port())
}

fn owns(pid: u32, socket: &str) -> bool {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    open.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|target| target.as_os_str() == socket)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_connection_has_the_place_of_its_process() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = listener.local_addr().unwrap();
        let theirs = TcpStream::connect(ours).unwrap();
        let (us, init) = (Some(std::process::id()), Some(1));
        assert_eq!(dialler(&[init, None, us], theirs.local_addr().unwrap(), ours), Some(2));
        assert_eq!(dialler(&[init, None], theirs.local_addr().unwrap(), ours), None);
        assert_eq!(dialler(&[us], "127.0.0.1:1".parse().unwrap(), ours), None, "nobody has this end");
    }
}
