//! What operators do today against a device that misbehaves: the broker logs, fail2ban reads the log, and a
//! firewall rule drops the address. All of it in a network namespace of its own.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, bail, ensure};

use crate::process::Server;

/// fail2ban over mosquitto's log, with nftables as its arm. It bans at the first denial that it reads.
pub struct Fail2ban {
    _server: Server,
}

// The broker's denial names a client and no address; the line of its connection does, and is no failure.
const FILTER: &str = "[Definition]\n\
    prefregex = ^\\s*(?:\\d+)?: <F-CONTENT>.+</F-CONTENT>$\n\
    failregex = ^New client connected from <ADDR>:\\d+ as <F-MLFID>\\S+</F-MLFID> <F-NOFAIL>\\(</F-NOFAIL>\n\
    \x20           ^Denied PUBLISH from <F-MLFID>\\S+</F-MLFID> \\(\n\
    datepattern = ^{EPOCH}\n";

impl Fail2ban {
    /// Starts it over the log at `log`, in `dir`.
    pub fn start(dir: &Path, log: &Path) -> Result<Self> {
        let base = dir.join("fail2ban");
        for sub in ["filter.d", "action.d", "jail.d"] {
            std::fs::create_dir_all(base.join(sub))?;
        }
        let path = |name: &str| base.join(name).display().to_string();
        std::fs::write(path("filter.d/mosquitto.conf"), FILTER)?;
        std::fs::write(
            path("action.d/drop.conf"),
            "[Definition]\n\
             actionstart = nft add table inet bench; nft 'add set inet bench banned { type ipv4_addr; }'; \
             nft 'add chain inet bench input { type filter hook input priority 0; }'; \
             nft 'add rule inet bench input ip saddr @banned drop'\n\
             actionban = nft add element inet bench banned { <ip> }\n\
             actionunban = nft delete element inet bench banned { <ip> }\n\
             actionstop = nft delete table inet bench\n",
        )?;
        std::fs::write(
            path("fail2ban.conf"),
            format!(
                "[Definition]\nloglevel = INFO\nlogtarget = {}\nsyslogsocket = auto\nsocket = {}\n\
                 pidfile = {}\ndbfile = None\ndbpurgeage = 1d\ndbmaxmatches = 10\nallowipv6 = no\n",
                path("log"),
                path("socket"),
                path("pid")
            ),
        )?;
        std::fs::write(
            path("jail.conf"),
            format!(
                "[mosquitto]\nenabled = true\nfilter = mosquitto\naction = drop\nlogpath = {}\n\
                 maxretry = 1\nfindtime = 600\nbantime = 600\nignoreself = false\nbackend = auto\nusedns = no\n",
                log.display()
            ),
        )?;
        let mut command = Command::new("fail2ban-server");
        command.args(["-c", &base.display().to_string(), "-f", "-x", "start"]);
        let server = Server::start(&mut command, &base.join("out"))
            .context("install fail2ban and nftables (Debian: apt-get install fail2ban nftables)")?;
        for _ in 0..200 {
            let listed = Command::new("nft")
                .args(["list", "set", "inet", "bench", "banned"])
                .output()?;
            if listed.status.success() {
                return Ok(Self { _server: server });
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let said = std::fs::read_to_string(base.join("out")).unwrap_or_default();
        bail!("fail2ban does not start: {said}")
    }
}

/// Runs this program again with `arguments` in a network namespace of its own, and gives what it prints.
pub fn in_own_network(arguments: &[String]) -> Result<String> {
    let program = std::env::current_exe()?;
    let output = Command::new("unshare")
        .args([
            "--net",
            "--",
            "sh",
            "-c",
            "ip link set lo up && exec \"$@\"",
            "sh",
        ])
        .arg(program)
        .args(arguments)
        .output()
        .context("a network namespace needs unshare (util-linux), ip (iproute2) and root")?;
    ensure!(
        output.status.success(),
        "the peer ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}
