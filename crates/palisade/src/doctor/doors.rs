//! The doors: whether their addresses can be had, or are ours; whether a running server is ready. Whose a door is
//! that listens tells the root that it shows: another Palisade answers as well as ours does.

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
};

use palisade_api::doctor::Finding;
use palisade_proxied::Balancers;

use super::whose::{Shown, Whose};
use crate::{
    config::Config,
    data::DataDir,
    ready::{ask, why_not},
};

/// Looks at every address that is configured.
pub(super) fn examine(config: &Config, data: &DataDir, running: bool) -> Vec<Finding> {
    let whose = running.then(|| Whose::new(config, data));
    let mut findings = Vec::new();
    let Config {
        gateway,
        devices,
        people,
        ..
    } = config;
    for (door, key, addresses, balancers) in [
        (
            "door for MQTT",
            "gateway",
            &gateway.listen,
            &gateway.proxy_protocol_from,
        ),
        (
            "door for devices",
            "devices",
            &devices.listen,
            &devices.proxy_protocol_from,
        ),
        (
            "door for people",
            "people",
            &people.listen,
            &people.proxy_protocol_from,
        ),
    ] {
        let balancers = Balancers::new(key, balancers);
        let judged = addresses.iter().map(|address| {
            let shown = || {
                whose
                    .as_ref()
                    .map(|whose| whose.over_tls(reachable(*address), &balancers))
            };
            judge((door, key), *address, running, shown)
        });
        findings.extend(judged);
    }
    let judged = config.operators.listen.iter().map(|address| {
        let shown = || {
            whose
                .as_ref()
                .map(|whose| whose.over_http(reachable(*address)))
        };
        judge(
            ("door for operators", "operators"),
            *address,
            running,
            shown,
        )
    });
    findings.extend(judged);
    match running {
        true => findings.push(ready(&config.operators.listen)),
        false => findings.push(Finding::warn(
            "server",
            "it is not running",
            "start it: `palisade serve --data DIR`",
        )),
    }
    findings
}

fn judge(
    (door, section): (&'static str, &str),
    address: SocketAddr,
    running: bool,
    shown: impl Fn() -> Option<Shown>,
) -> Finding {
    match (TcpListener::bind(address), running) {
        (Ok(_), false) => Finding::ok(door, format!("{address} is free")),
        (Ok(_), true) if address.port() == 0 => Finding::ok(door, "it takes any free port"),
        (Ok(_), true) => Finding::fail(
            door,
            format!("the server runs, but nobody listens on {address}"),
            "the configuration was changed: restart the server",
        ),
        (Err(error), true) if error.kind() == ErrorKind::AddrInUse => match shown() {
            None | Some(Shown::Ours) => {
                Finding::ok(door, format!("{address} is in use, as it should be"))
            }
            Some(Shown::Others(why)) => Finding::fail(
                door,
                format!("{address} is not the door of this data directory's server: {why}"),
                "give the doctor the configuration that the server was started with (--config, --set); if it is this \
                 one, restart the server",
            ),
            Some(Shown::Unknown(why)) => Finding::warn(
                door,
                format!("{address} is in use, and does not say by which server: {why}"),
                "run the doctor again; restart the server if it stays so",
            ),
        },
        (Err(error), _) if error.kind() == ErrorKind::AddrInUse => Finding::fail(
            door,
            format!("{address} is in use by another program"),
            format!(
                "find it with `ss -ltnp 'sport = :{}'`, or listen elsewhere: `--set \
                 {section}.listen=IP:PORT`",
                address.port()
            ),
        ),
        (Err(error), _) => Finding::fail(
            door,
            format!("{address}: {error}"),
            format!(
                "listen on an address of this machine, on a port that this user may use: `--set \
                 {section}.listen=IP:PORT`"
            ),
        ),
    }
}

/// Asks the running server through the door for operators.
fn ready(addresses: &[SocketAddr]) -> Finding {
    const CHECK: &str = "server";
    let Some(address) = addresses.first().copied().map(reachable) else {
        return Finding::warn(
            CHECK,
            "it runs, but has no door for operators to ask at",
            "set operators.listen",
        );
    };
    let mend = "look at its log";
    match ask(address, "/readyz") {
        Ok((true, _)) => Finding::ok(CHECK, "it runs and is ready"),
        Ok((false, text)) => {
            let why = why_not(&serde_json::from_str(&text).unwrap_or_default());
            Finding::fail(CHECK, format!("it runs but is not ready: {why}"), mend)
        }
        Err(error) => Finding::fail(CHECK, format!("it runs but does not answer: {error}"), mend),
    }
}

/// An address that listens on all is reached on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
