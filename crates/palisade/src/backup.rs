//! `palisade backup`: a copy of an installation that runs, in one file, and the way back.

mod collect;
mod create;
mod file;
mod restore;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use palisade_backup::{Identities, Manifest};
use palisade_vault::Recipient;
use serde_json::json;

use crate::{
    data::{ConfigArgs, DataArgs},
    failure::{Context, Failure},
    output::{Output, sanitise},
    serve,
};

/// `palisade backup`.
#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Back up an installation into one file, while its server runs or not
    #[command(after_help = "Examples:
  palisade backup create --data /var/lib/palisade --out /mnt/backup/palisade.backup
  palisade backup create --data /var/lib/palisade --out palisade.backup.age \\
    --recipient age1p77tvgsgjxfd6gflpzznudkd9gx6dhgt3c2wfdcr95u63635syzq4r5e04

It needs room in the data directory for a second copy of the database meanwhile. The key-encryption key is never in it, nor is
any other file with a secret that the configuration names: keep those elsewhere. An erasure does not reach backups.")]
    Create(CreateArgs),
    /// Read a backup to its end, and say whether it is whole
    #[command(after_help = "Examples:
  palisade backup verify /mnt/backup/palisade.backup
  palisade backup verify palisade.backup.age --identity key.txt --json

Exit code 6 says that it is damaged.")]
    Verify(VerifyArgs),
    /// Bring an installation back into an empty data directory
    #[command(after_help = "Examples:
  palisade backup restore /mnt/backup/palisade.backup --data /var/lib/palisade
  palisade backup restore palisade.backup.age --identity key.txt --data ./restored

Run it as the user of the server. Then put the key-encryption key back, start the server, and hold its ledger against a
checkpoint that was kept elsewhere: `palisade ledger verify --checkpoint FILE`.")]
    Restore(RestoreArgs),
}

/// `palisade backup create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The file to write; nothing is written over
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Seal it for this public key of age (age1...)
    #[arg(long, value_name = "KEY")]
    recipient: Option<Recipient>,
}

/// `palisade backup verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The backup
    #[arg(value_name = "FILE")]
    backup: PathBuf,
    /// The file with the secret key of age that it is sealed for
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
}

/// `palisade backup restore`.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    #[command(flatten)]
    from: VerifyArgs,
    #[command(flatten)]
    data: DataArgs,
}

impl BackupCommand {
    pub(crate) fn run(self, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Create(args) => create(&args, output),
            Self::Verify(args) => verify(&args, output),
            Self::Restore(args) => restore(&args, output),
        }
    }
}

fn create(args: &CreateArgs, output: &Output) -> Result<(), Failure> {
    let Some(data) = args.config.data.as_deref() else {
        return Err(Failure::usage("name the data directory: --data DIR"));
    };
    let config = args.config.load()?;
    let recipient = args.recipient.as_ref().map(ToString::to_string);
    let made = create::create(&config, data, &args.out, recipient.as_deref());
    let manifest = serve::runtime()?.block_on(made)?;
    let next = match &recipient {
        Some(_) => {
            "It is sealed, and was read back byte by byte; only who has the secret key can look into it."
        }
        None => {
            "It was read back and is whole. It holds what the database holds: keep it as you keep that."
        }
    };
    let sentence = format!(
        "{}\n{}{next}",
        described(&args.out, &manifest),
        left_out(&manifest)
    );
    output.done(&answer(&args.out, &manifest), &sentence)
}

fn verify(args: &VerifyArgs, output: &Output) -> Result<(), Failure> {
    let manifest = file::read(&args.backup, args.identities()?.as_ref(), |_, _| Ok(()))?;
    let sentence = format!("{}\nIt is whole.", described(&args.backup, &manifest));
    output.done(&answer(&args.backup, &manifest), &sentence)
}

fn restore(args: &RestoreArgs, output: &Output) -> Result<(), Failure> {
    let identities = args.from.identities()?;
    let restored = restore::restore(&args.from.backup, identities.as_ref(), &args.data.data);
    let manifest = serve::runtime()?.block_on(restored)?;
    let sentence = format!(
        "{}\n{}It is in {} now. Put the key-encryption key back, start the server, and run `palisade doctor` and, with a \
         checkpoint that was kept elsewhere, `palisade ledger verify --checkpoint FILE`.",
        described(&args.from.backup, &manifest),
        left_out(&manifest),
        args.data.data.display()
    );
    output.done(&answer(&args.from.backup, &manifest), &sentence)
}

impl VerifyArgs {
    fn identities(&self) -> Result<Option<Identities>, Failure> {
        let read = |path: &PathBuf| {
            let text = std::fs::read_to_string(path).context(path.display())?;
            Identities::parse(&text).context(path.display())
        };
        self.identity.as_ref().map(read).transpose()
    }
}

fn described(path: &Path, manifest: &Manifest) -> String {
    let about = &manifest.about;
    format!(
        "{}: {} files, {} MiB, of {}, schema {}, {} ledger entries",
        path.display(),
        manifest.files.len(),
        manifest.bytes().div_ceil(1024 * 1024),
        sanitise(&about.made_at),
        about.schema,
        about.ledger_entries
    )
}

fn left_out(manifest: &Manifest) -> String {
    let each = manifest.about.left_out.iter();
    each.map(|what| format!("Not in it: {}\n", sanitise(what)))
        .collect()
}

fn answer(path: &Path, manifest: &Manifest) -> serde_json::Value {
    json!({
        "backup": path,
        "files": manifest.files.len(),
        "bytes": manifest.bytes(),
        "about": manifest.about,
    })
}
