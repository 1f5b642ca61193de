//! Tells systemd how the service is doing (`Type=notify`), where it wants to know.

use std::{
    ffi::OsStr,
    os::{
        linux::net::SocketAddrExt,
        unix::{ffi::OsStrExt, net::SocketAddr, net::UnixDatagram},
    },
};

/// Sends a state (`READY=1`). Nobody listening is no error.
pub(crate) fn send(state: &str) {
    let Some(address) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    if let Err(error) = send_to(&address, state) {
        tracing::warn!(%error, "systemd could not be told {state}");
    }
}

fn send_to(address: &OsStr, state: &str) -> std::io::Result<()> {
    let address = match address.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(address)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.send_to_addr(state.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_reaches_the_socket_that_systemd_names() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("binds");
        send_to(path.as_os_str(), "READY=1").expect("sends");
        let mut bytes = [0; 16];
        let length = socket.recv(&mut bytes).expect("receives");
        assert_eq!(&bytes[..length], b"READY=1");
    }
}
