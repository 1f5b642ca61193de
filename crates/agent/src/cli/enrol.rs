//! `palisade-agent enroll`.

use std::{env, fs, io::Read, path::PathBuf};

use clap::Args;
use palisade_agent::{DeviceIdentity, Endpoint, Enrolment, Servers, StateDir, Trust};
use palisade_core::DeviceId;
use zeroize::Zeroizing;

use super::{Context, Failure, print};

const TOKEN_VARIABLE: &str = "PALISADE_ENROLMENT_TOKEN";
const MAX_INPUT: u64 = 64 * 1024;

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("trust").required(true)))]
pub(super) struct EnrollArguments {
    /// The server's HTTPS door for devices.
    #[arg(long, value_name = "https://HOST[:8444]")]
    server: String,
    /// The server's MQTT door; the same host at port 8883 unless said otherwise.
    #[arg(long, value_name = "HOST[:8883]")]
    gateway: Option<Endpoint>,
    /// The root certificate to trust, in PEM, which came on a way that you trust.
    #[arg(long, value_name = "FILE", group = "trust")]
    root: Option<PathBuf>,
    /// The SHA-256 of the root certificate to trust; the certificate is then fetched.
    #[arg(long, value_name = "SHA256", group = "trust")]
    root_fingerprint: Option<String>,
    /// The file that holds the enrolment token, '-' for standard input; without it the token is taken from
    /// the environment variable PALISADE_ENROLMENT_TOKEN.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The device's id, as its maker or operator names it.
    #[arg(long, value_name = "DEVICE")]
    id: String,
    /// Enrols even where there is an identity, and replaces it.
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(context: &Context, arguments: EnrollArguments) -> Result<(), Failure> {
    let device = DeviceId::parse(&arguments.id).map_err(Failure::usage)?;
    let devices = Endpoint::parse_url(&arguments.server, Endpoint::DEVICES_PORT);
    let devices = devices.map_err(Failure::usage)?;
    let trust = match (&arguments.root, &arguments.root_fingerprint) {
        (Some(file), _) => Trust::roots_pem(&read(file)?)?,
        (None, Some(fingerprint)) => Trust::fingerprint(fingerprint)?,
        (None, None) => return Err(Failure::usage("use --root or --root-fingerprint")),
    };
    // Before the token is spent: that the identity can be kept.
    let state = StateDir::create(context.state.path())?;
    if state.is_enrolled() && !arguments.force {
        let path = state.path().display();
        let message = format!("{path} holds an identity already; --force replaces it");
        return Err(Failure::state(message));
    }
    let token = token(arguments.token_file)?;
    let servers = Servers {
        gateway: arguments
            .gateway
            .unwrap_or_else(|| devices.with_port(Endpoint::MQTT_PORT)),
        devices: devices.clone(),
    };
    let identity = Enrolment::new(devices, trust, device, &token)?
        .keep_key_in(&state)?
        .enrol()
        .await?;
    state.save(&identity, &servers)?;
    tell(context, &identity, &servers);
    Ok(())
}

fn tell(context: &Context, identity: &DeviceIdentity, servers: &Servers) {
    let (device, until) = (identity.device(), identity.not_after());
    match context.json {
        true => print(
            &serde_json::json!({
                "device": device,
                "not_after": until.to_string(),
                "renewal_due": identity.renewal_due().to_string(),
                "servers": servers,
            })
            .to_string(),
        ),
        false => print(&format!(
            "{device} is enrolled; its certificate is valid until {until}"
        )),
    }
}

fn token(file: Option<PathBuf>) -> Result<Zeroizing<String>, Failure> {
    match file {
        Some(file) => read(&file),
        None => env::var(TOKEN_VARIABLE).map(Zeroizing::new).map_err(|_| {
            Failure::usage(format!(
                "no enrolment token: use --token-file or set {TOKEN_VARIABLE}"
            ))
        }),
    }
}

fn read(file: &PathBuf) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    let read = match file.as_os_str() == "-" {
        true => std::io::stdin().take(MAX_INPUT).read_to_string(&mut text),
        false => {
            fs::File::open(file).and_then(|file| file.take(MAX_INPUT).read_to_string(&mut text))
        }
    };
    read.map_err(|error| Failure::usage(format!("{} cannot be read: {error}", file.display())))?;
    Ok(text)
}
