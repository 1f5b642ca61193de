//! What an installation says about response.

use std::{collections::BTreeMap, path::PathBuf};

use palisade_core::{DeviceId, Mode, Network, ProductId, SegmentId, Severity, TopicPattern};
use palisade_mail::{SmtpConfig, Tls as EmailTls};
use serde::{Deserialize, Serialize};

use crate::effect::check_email;

/// Response: playbooks, guard rails, and where notifications go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RespondConfig {
    /// The most that any playbook may do, whatever it says: `observe`, `dry-run`, `approve` or `auto`.
    /// Start with `dry-run` to see what playbooks would do.
    pub max_mode: Mode,
    /// What is less bad than this opens no case, and no playbook answers it; it joins one that is there.
    pub case_severity: Severity,
    /// A directory of playbooks (`*.yaml`) besides the shipped ones; one of the same name takes its place.
    /// It is read again when it changes. Relative to the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub playbooks_dir: Option<PathBuf>,
    /// So many subjects with findings of one detector within `campaign_window_s` are a campaign, with one
    /// case for all that come after.
    pub campaign_subjects: u64,
    /// The window of a campaign, in seconds.
    pub campaign_window_s: u64,
    /// How long an action waits for a person before it is given up, in seconds.
    pub approval_timeout_s: u64,
    /// Whether what one person ordered has to be approved by another.
    pub second_person: bool,
    /// How far back a target is a repeat offender, in seconds. Each time that the same was done to it
    /// within this time doubles how long it is done for.
    pub repeat_window_s: u64,
    /// The longest that an action holds by itself, in seconds.
    pub max_ttl_s: u64,
    /// A playbook whose actions hold nothing may run again for a case after so many seconds.
    pub rerun_after_s: u64,
    /// How long what fails is tried again, in seconds.
    pub retry_for_s: u64,
    /// How many days a closed case is kept, with its timeline and its actions: more than `repeat_window_s`, or 0
    /// for ever. The ledger keeps what was done.
    pub keep_closed_days: u32,
    /// What response never touches, not even when a person orders it.
    pub never_touch: NeverTouch,
    /// How much may happen with no person having a part in it; beyond, each action waits for one.
    pub caps: Caps,
    /// Named sets of topics for `restrict-grants`: a restricted device's grants count on these only.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub grant_sets: BTreeMap<String, Vec<TopicPattern>>,
    /// Where `notify` and `ticket` may send to, by name (`[respond.webhooks.<name>]`). A playbook names one
    /// of these and never an address.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub webhooks: BTreeMap<String, WebhookConfig>,
    /// Where `email` may send to, by name (`[respond.emails.<name>]`): `server`, `port`, `tls`, `from`, `to`,
    /// `username`, `password_file`, `ca`, `timeout_s`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub emails: BTreeMap<String, EmailConfig>,
}

/// What response never touches.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NeverTouch {
    /// Devices by id.
    pub devices: Vec<DeviceId>,
    /// All devices of these products.
    pub products: Vec<ProductId>,
    /// All devices of these segments.
    pub segments: Vec<SegmentId>,
    /// All devices with one of these labels (`life-safety=yes`).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Addresses and networks.
    pub addresses: Vec<Network>,
    /// API tokens by name.
    pub api_tokens: Vec<String>,
}

/// How much may happen with no person having a part in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Caps {
    /// The window in seconds. What is in force counts however old it is.
    pub window_s: u64,
    /// Subjects that people may be told about.
    pub none: u64,
    /// Targets that may lose a part of their service.
    pub partial: u64,
    /// Targets that may lose all their service.
    pub full: u64,
    /// Targets that may lose what cannot be given back; 0 lets each such action wait for a person.
    pub permanent: u64,
    /// The share of a segment, and of a product, that may lose all its service, in percent.
    pub share_percent: u8,
    /// So many devices of a segment or a product may, however small a share that is: the share of a small one is
    /// less than a device.
    pub share_at_least: u64,
    /// Segments of drills and test stands: none of these caps holds for their devices, and what happens to
    /// these counts for no other.
    pub drill_segments: Vec<SegmentId>,
}

/// A destination of notifications.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// The address: `https://`, or `http://` to a loopback address.
    pub url: String,
    /// A file that holds the secret which signs what is sent (16 bytes or more). Relative to the data
    /// directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
    /// The name of an environment variable that holds that secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_env: Option<String>,
    /// A file that holds a bearer token to send along. Relative to the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer_file: Option<PathBuf>,
    /// A file with the root certificates to trust, in PEM; those of the system where absent. Relative to
    /// the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
}

/// People to tell by e-mail, and the server that takes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmailConfig {
    /// The name or address of the server that takes mail; its certificate has to be of this name.
    pub server: String,
    /// Its port; 587 where absent, 465 with `tls = "implicit"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// `starttls`, `implicit`, or `insecure_loopback`: without TLS, to a server on this machine only.
    #[serde(default)]
    pub tls: EmailTls,
    /// From whom it is (`Palisade <palisade@example.org>`).
    pub from: String,
    /// To whom it goes, 20 at most.
    pub to: Vec<String>,
    /// Who we are to the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// A file that holds the password, and that nobody else can read. Relative to the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// A file with the root certificates to trust, in PEM; those of the system where absent. Relative to
    /// the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// How long one delivery may take, in seconds, 1 to 50.
    #[serde(default = "email_timeout_s")]
    pub timeout_s: u64,
}

impl EmailConfig {
    /// The server, without whom it is to tell.
    pub(crate) fn smtp(&self) -> SmtpConfig {
        SmtpConfig {
            server: self.server.clone(),
            port: self.port,
            tls: self.tls,
            from: self.from.clone(),
            username: self.username.clone(),
            password_file: self.password_file.clone(),
            ca: self.ca.clone(),
            timeout_s: self.timeout_s,
        }
    }
}

fn email_timeout_s() -> u64 {
    30
}

impl Default for RespondConfig {
    fn default() -> Self {
        Self {
            max_mode: Mode::Auto,
            case_severity: Severity::Low,
            playbooks_dir: None,
            campaign_subjects: 5,
            campaign_window_s: 900,
            approval_timeout_s: 86_400,
            second_person: true,
            repeat_window_s: 7 * 86_400,
            max_ttl_s: 30 * 86_400,
            rerun_after_s: 3_600,
            retry_for_s: 86_400,
            keep_closed_days: 365,
            never_touch: NeverTouch::default(),
            caps: Caps::default(),
            grant_sets: BTreeMap::new(),
            webhooks: BTreeMap::new(),
            emails: BTreeMap::new(),
        }
    }
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            window_s: 3_600,
            none: 200,
            partial: 100,
            full: 20,
            permanent: 0,
            share_percent: 10,
            share_at_least: 3,
            drill_segments: SegmentId::parse("drill").into_iter().collect(),
        }
    }
}

impl RespondConfig {
    /// The same, with every relative path below `directory`.
    #[must_use]
    pub fn below(mut self, directory: &std::path::Path) -> Self {
        let place = |path: &mut Option<PathBuf>| {
            if let Some(path) = path {
                *path = directory.join(&*path);
            }
        };
        place(&mut self.playbooks_dir);
        for webhook in self.webhooks.values_mut() {
            place(&mut webhook.secret_file);
            place(&mut webhook.bearer_file);
            place(&mut webhook.ca);
        }
        for email in self.emails.values_mut() {
            place(&mut email.password_file);
            place(&mut email.ca);
        }
        self
    }

    /// Refuses what cannot work or is not safe.
    ///
    /// # Errors
    /// Says which key, and why.
    pub fn check(&self) -> Result<(), String> {
        if self.caps.share_percent > 100 {
            return Err("respond.caps.share_percent is 0 to 100".to_owned());
        }
        if self.caps.share_at_least == 0 {
            return Err("respond.caps.share_at_least is at least 1".to_owned());
        }
        let least = self.repeat_window_s / 86_400;
        if self.keep_closed_days != 0 && u64::from(self.keep_closed_days) <= least {
            return Err(format!(
                "respond.keep_closed_days is more than {least} (repeat_window_s: who offends again is known by it), or 0"
            ));
        }
        if self.campaign_subjects < 2 {
            return Err("respond.campaign_subjects is at least 2".to_owned());
        }
        for (name, webhook) in &self.webhooks {
            let key = format!("respond.webhooks.{name}");
            webhook.check().map_err(|why| format!("{key}{why}"))?;
        }
        for (name, email) in &self.emails {
            check_email(email).map_err(|why| format!("respond.emails.{name}.{why}"))?;
        }
        Ok(())
    }
}

impl WebhookConfig {
    fn check(&self) -> Result<(), String> {
        let is_safe = self.url.starts_with("https://")
            || ["http://127.0.0.1", "http://localhost", "http://[::1]"]
                .iter()
                .any(|start| {
                    let rest = self.url.strip_prefix(start);
                    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
                });
        if !is_safe {
            return Err(".url: use https://, or http:// to a loopback address".to_owned());
        }
        match (&self.secret_file, &self.secret_env) {
            (Some(_), Some(_)) | (None, None) => {
                Err(": name one of secret_file and secret_env".to_owned())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_goes_over_tls_or_stays_on_the_machine() {
        let check = |url: &str| {
            let webhook = WebhookConfig {
                url: url.to_owned(),
                secret_file: Some("secret".into()),
                secret_env: None,
                bearer_file: None,
                ca: None,
            };
            webhook.check()
        };
        assert!(check("https://hooks.example/x").is_ok());
        assert!(check("http://127.0.0.1:8080/x").is_ok());
        for url in [
            "http://hooks.example/x",
            "http://127.0.0.1.example/x",
            "http://localhost@hooks.example/",
            "file:///etc/passwd",
            "",
        ] {
            assert!(check(url).is_err(), "{url} was accepted");
        }
    }
}
