//! With whom this device speaks, as the kernel has it in `/proc/net`: ports it listens on, connections,
//! and where its own connections go. Bounded, and cheap enough for every report.

use std::{
    collections::BTreeSet,
    fs::File,
    io::Read,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// The most ports and the most destinations that are reported.
const MAX_LISTED: usize = 64;
/// Bytes of a table that are read; each socket has 150.
const MAX_TABLE: u64 = 1024 * 1024;
/// From here on the system gives ports to sockets that asked for none: a UDP socket there is a client.
const FIRST_EPHEMERAL: u16 = 32_768;

const ESTABLISHED: &str = "01";
const LISTEN: &str = "0A";
/// A UDP socket without a peer.
const UNCONNECTED: &str = "07";

/// What the tables say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Network {
    listening: BTreeSet<u16>,
    established: u64,
    /// Local port and peer of each connection.
    peers: BTreeSet<(u16, SocketAddr)>,
}

impl Network {
    /// Reads the tables of this system; `None` where it has none.
    pub(super) fn read() -> Option<Self> {
        let mut network = Self::default();
        let mut has_any = false;
        for (path, is_tcp) in [
            ("/proc/net/tcp", true),
            ("/proc/net/tcp6", true),
            ("/proc/net/udp", false),
            ("/proc/net/udp6", false),
        ] {
            let mut table = String::new();
            let read =
                File::open(path).and_then(|file| file.take(MAX_TABLE).read_to_string(&mut table));
            if read.is_ok() {
                has_any = true;
                network.add(&table, is_tcp);
            }
        }
        has_any.then_some(network)
    }

    /// Adds a table. A line that is not understood, and a last one that is cut off, is left out.
    fn add(&mut self, table: &str, is_tcp: bool) {
        for line in table.lines().skip(1) {
            let mut fields = line.split_ascii_whitespace().skip(1);
            let (Some(local), Some(remote), Some(state)) =
                (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let (Some(local), Some(remote)) = (address(local), address(remote)) else {
                continue;
            };
            match state {
                LISTEN if is_tcp => {
                    self.listening.insert(local.port());
                }
                UNCONNECTED if !is_tcp && local.port() < FIRST_EPHEMERAL => {
                    self.listening.insert(local.port());
                }
                ESTABLISHED => {
                    self.established += u64::from(is_tcp);
                    self.peers.insert((local.port(), remote));
                }
                _ => {}
            }
        }
    }

    /// Ports that are listened on, in order.
    pub(super) fn listening_ports(&self) -> Vec<u16> {
        self.listening.iter().copied().take(MAX_LISTED).collect()
    }

    /// TCP connections, either way.
    pub(super) fn established(&self) -> u64 {
        self.established
    }

    /// Where connections go that begin here, as `ip:port`: not those to a port that is listened on, and
    /// not those within the device.
    pub(super) fn destinations(&self) -> Vec<String> {
        let outward = self.peers.iter().filter(|(port, peer)| {
            !self.listening.contains(port) && !peer.ip().is_loopback() && peer.port() != 0
        });
        let peers: BTreeSet<SocketAddr> = outward.map(|(_, peer)| *peer).collect();
        let shown = peers.iter().take(MAX_LISTED);
        shown.map(ToString::to_string).collect()
    }
}

/// `0100007F:1F90`: an address in words of the machine's order, and a port.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    if !ip.is_ascii() {
        return None;
    }
    let word = |at: usize| u32::from_str_radix(ip.get(at..at + 8)?, 16).ok();
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?.to_ne_bytes())),
        32 => {
            let mut bytes = [0; 16];
            for (number, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(number * 8)?.to_ne_bytes());
            }
            IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    // As a little-endian Linux writes them.
    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:22B3 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1 1 0 100 0 0 10 0
   1: 0100007F:1F90 0100007F:C8C6 01 00000000:00000000 00:00000000 00000000  1000        0 2 1 0 20 4 30 10 -1
   2: 0500A8C0:D431 076433C6:22B3 01 00000000:00000000 02:00000000 00000000  1000        0 3 2 0 20 4 30 10 -1
   3: 0500A8C0:22B3 0900A8C0:9C40 01 00000000:00000000 02:00000000 00000000  1000        0 4 2 0 20 4 30 10 -1
   4: 0500A8C0:D433 076433C6:01BB 06 00000000:00000000 03:00000BBE 00000000     0        0 0 3 0
";
    const TCP6: &str = "  sl  local_address                         remote_address                        st
   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 5 1 0
   1: 0000000000000000FFFF00000500A8C0:D435 0000000000000000FFFF0000076433C6:01BB 01 0:0 0:0 0 0 0 6 1 0
   2: B80D0120000000000000000001000000:D437 B80D0120000000000000000002000000:01BB 01 0:0 0:0 0 0 0 7 1 0
";
    const UDP: &str = "   sl  local_address rem_address   st tx_queue rx_queue
  10: 00000000:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 8 2 0 0
  11: 00000000:E000 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 9 2 0 0
  12: 0500A8C0:E001 08080808:0035 01 00000000:00000000 00:00000000 00000000     0        0 9 2 0 0
";

    #[test]
    #[cfg(target_endian = "little")]
    fn ports_connections_and_destinations_are_read_from_the_kernels_tables() {
        let mut network = Network::default();
        network.add(TCP, true);
        network.add(TCP6, true);
        network.add(UDP, false);
        assert_eq!(network.listening_ports(), [22, 68, 8883]);
        assert_eq!(network.established(), 5);
        assert_eq!(
            network.destinations(),
            [
                "8.8.8.8:53",
                "198.51.100.7:443",
                "198.51.100.7:8883",
                "[2001:db8::2]:443",
            ]
        );
    }

    #[test]
    fn what_is_not_understood_is_left_out_and_nothing_is_without_bound() {
        let mut network = Network::default();
        for table in [
            "",
            "header\n",
            "header\n 0: zz 0 0A\n 1: 00000000:0050\n 2: 0000:50 0:0 0A\n 3: é:0050 é:0 01",
        ] {
            network.add(table, true);
        }
        assert_eq!(network, Network::default());
        let mut table = String::from("header\n");
        for port in 1..=1_000 {
            table.push_str(&format!(" 0: 00000000:{port:04X} 00000000:0000 0A\n"));
            table.push_str(&format!(" 0: 0500A8C0:F000 0A{port:04X}0A:{port:04X} 01\n"));
        }
        network.add(&table, true);
        assert_eq!(network.listening_ports().len(), MAX_LISTED);
        assert_eq!(network.destinations().len(), MAX_LISTED);
        assert_eq!(network.established(), 1_000);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_systems_tables_are_read() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
        let port = listener.local_addr().expect("an address").port();
        let network = Network::read().expect("tables");
        assert!(network.listening.contains(&port), "{network:?}");
    }
}
