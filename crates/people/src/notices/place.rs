//! From where somebody logs in, as their person would say it: a network, and a browser on a system. What a browser
//! says of itself is only looked at for names that are known, so that no text of an attacker's is in any letter.

use std::net::IpAddr;

use crate::CameFrom;

/// The places of a log-in.
pub(super) fn all_of(from: CameFrom<'_>) -> Vec<String> {
    let network = from.source.map(network);
    network.into_iter().chain([browser(from.browser)]).collect()
}

/// Who has an address of a provider gets others of the same network: people would be told all the time.
fn network(source: IpAddr) -> String {
    match source.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("the network {a}.{b}.{c}.0/24")
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            let start = std::net::Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0);
            format!("the network {start}/48")
        }
    }
}

/// Without its version: that changes every month.
fn browser(text: &str) -> String {
    // The first that fits: each of them names some of those below as well.
    const BROWSERS: [(&str, &str); 9] = [
        ("palisade/", "the command line of Palisade"),
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("CriOS/", "Chrome"),
        ("Chrom", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ];
    const SYSTEMS: [(&str, &str); 7] = [
        ("Android", "Android"),
        ("iPhone", "an iPhone"),
        ("iPad", "an iPad"),
        ("Windows", "Windows"),
        ("Macintosh", "a Mac"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ];
    let first = |names: &[(&str, &'static str)]| {
        let found = names.iter().find(|(part, _)| text.contains(part));
        found.map(|(_, name)| *name)
    };
    let browser = first(&BROWSERS).unwrap_or("another program");
    match first(&SYSTEMS) {
        Some(system) => format!("{browser} on {system}"),
        None => browser.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_the_same_one_after_an_update() {
        let of = |version: u32| {
            browser(&format!(
                "Mozilla/5.0 (X11; Linux x86_64; rv:{version}.0) Gecko/20100101 Firefox/{version}.0"
            ))
        };
        assert_eq!(of(128), "Firefox on Linux");
        assert_eq!(of(128), of(140));
    }

    #[test]
    fn a_browser_is_called_by_its_own_name() {
        for (text, name) in [
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                 Chrome/128.0.0.0 Safari/537.36 Edg/128.0.0.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 Version/17.5 Mobile/15E148 Safari/604.1",
                "Safari on an iPhone",
            ),
            ("palisade/0.1.0", "the command line of Palisade"),
            ("\r\nBcc: thief@example.net", "another program"),
            ("", "another program"),
        ] {
            assert_eq!(browser(text), name);
        }
    }

    #[test]
    fn an_address_of_the_same_network_is_the_same_place() {
        let of = |text: &str| network(text.parse().expect("an address"));
        assert_eq!(of("192.0.2.7"), of("192.0.2.200"));
        assert_ne!(of("192.0.2.7"), of("192.0.3.7"));
        assert_eq!(of("::ffff:192.0.2.7"), of("192.0.2.7"));
        assert_eq!(of("2001:db8:1:2::3"), "the network 2001:db8:1::/48");
    }
}
