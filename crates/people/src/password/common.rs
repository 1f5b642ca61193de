//! Passwords that everybody knows. What people choose is known to the estimate of strength; here stands
//! what it does not know: default credentials of devices, and the name of this product.

/// Never part of a password here.
const PRODUCT: &str = "palisade";

/// Defaults that devices and their software are delivered with, and that worms try first, and the words that
/// people put a year behind; in small letters.
const DEFAULTS: &[&str] = &[
    "admin",
    "administrator",
    "anko",
    "anonymous",
    "automne",
    "autumn",
    "cameraadmin",
    "changeme",
    "changeit",
    "cisco",
    "default",
    "device",
    "dreambox",
    "ete",
    "factory",
    "firmware",
    "fruehling",
    "frühling",
    "gateway",
    "guest",
    "herbst",
    "hikvision",
    "hiver",
    "hunt",
    "ikwb",
    "installer",
    "invierno",
    "iotadmin",
    "jvbzd",
    "klv",
    "letmein",
    "login",
    "manager",
    "meinsm",
    "mosquitto",
    "mqtt",
    "oelinux",
    "operator",
    "otono",
    "password",
    "passwort",
    "primavera",
    "printemps",
    "raspberry",
    "realtek",
    "root",
    "secret",
    "sensor",
    "service",
    "sommer",
    "spring",
    "summer",
    "supervisor",
    "support",
    "system",
    "technician",
    "tech",
    "telnet",
    "test",
    "toor",
    "ubnt",
    "user",
    "verano",
    "vizxv",
    "welcome",
    "winter",
    "xmhdipc",
    "zlxx",
    "zte",
    "zyad",
];

/// Whether it is a default credential dressed up with digits and signs, or holds the product's name.
pub(super) fn is_known(candidate: &str) -> bool {
    let folded = fold(candidate);
    if folded.contains(PRODUCT) {
        return true;
    }
    let is_default = |core: &str| {
        let mut left = core;
        // `adminadmin` and `admin-password` are no better than one of them.
        while !left.is_empty() {
            match longest_default(left) {
                Some(length) => left = &left[length..],
                None => return false,
            }
        }
        !core.is_empty()
    };
    // The year behind a word is no letters of it.
    let core = candidate.trim_matches(|one: char| !one.is_alphabetic());
    let letters =
        |text: &str| -> String { text.chars().filter(|one| one.is_alphabetic()).collect() };
    is_default(&letters(&fold(core))) || is_default(&letters(&core.to_lowercase()))
}

fn longest_default(text: &str) -> Option<usize> {
    let fitting = DEFAULTS.iter().filter(|one| text.starts_with(**one));
    fitting.map(|one| one.len()).max()
}

/// Small letters, with the digits and signs that are written for letters read as those.
pub(super) fn fold(text: &str) -> String {
    let letter = |one: char| match one {
        '0' => 'o',
        '1' | '!' | '|' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        other => other,
    };
    text.to_lowercase().chars().map(letter).collect()
}
