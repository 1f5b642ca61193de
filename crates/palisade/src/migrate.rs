//! `palisade migrate`: moves an installation from SQLite to PostgreSQL.

use clap::{Args, ValueEnum};
use palisade_core::hex;
use palisade_store::{DatabaseUrl, Migrated, Store};
use serde_json::json;

use crate::{
    act,
    data::{DataArgs, DataDir, MoreConfigArgs, write_whole},
    failure::{Context, Failure},
    output::{Output, rows_bar},
    serve,
};

/// Where an installation is moved from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum From {
    #[default]
    Sqlite,
}

/// Where it is moved to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum To {
    #[default]
    Postgres,
}

/// `palisade migrate`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  palisade migrate --data /var/lib/palisade --from sqlite --to postgres --database postgres://palisade@db.example.com/palisade
  palisade migrate --data /var/lib/palisade --database postgres://palisade@db.example.com/palisade --set database.password_file=db-password

The first run may be made while the server works: it copies what is there. Then stop the server and run it again: it copies what changed since, compares both sides
row by row, and opens the new database for use. It can be stopped at any moment and run again. The SQLite database is only read; keep it until you trust the move.

The password comes from database.password_file, password_env or password_credential, or from where PostgreSQL's own clients take it (PGPASSFILE).")]
pub(crate) struct MigrateCommand {
    /// From which engine
    #[arg(long, value_enum, default_value_t)]
    from: From,
    /// To which engine
    #[arg(long, value_enum, default_value_t)]
    to: To,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    more: MoreConfigArgs,
}

impl MigrateCommand {
    pub(crate) fn run(self, output: &Output) -> Result<(), Failure> {
        let (From::Sqlite, To::Postgres) = (self.from, self.to);
        let data = DataDir::at(&self.data.data);
        let config = self.more.load(Some(data.path()))?;
        let address = config
            .database
            .address(data.path())
            .map_err(Failure::usage)?;
        let Some(url) = address else {
            let why =
                "no PostgreSQL database is named: give --database postgres://USER@HOST/DATABASE";
            return Err(Failure::usage(why));
        };
        let file = data.database();
        if !file.try_exists().context(file.display())? {
            let why = format!("{} has no SQLite database", data.path().display());
            return Err(Failure::usage(why));
        }
        serve::runtime()?.block_on(migrate(&url, &data, output))
    }
}

async fn migrate(url: &DatabaseUrl, data: &DataDir, output: &Output) -> Result<(), Failure> {
    let (source, is_alone) = Store::open_to_leave(data.path()).await?;
    let target = Store::connect_to_fill(url).await?;
    let bar = rows_bar("copying");
    let migrated = target
        .migrate_from(&source, is_alone, |at| {
            bar.set_length(at.rows);
            bar.set_position(at.done.min(at.rows));
            bar.set_message(at.table.clone());
        })
        .await;
    bar.finish_and_clear();
    let migrated = migrated.map_err(|error| {
        Failure::new(error)
            .next("what was copied stays; run the same command again when that is mended")
    })?;
    if is_alone {
        // The move is an entry of the ledger, in the new place.
        let reason = format!(
            "{} rows of {} tables, SHA-256 {}",
            migrated.rows,
            migrated.tables,
            hex(&migrated.digest)
        );
        act::record(
            &target,
            "database.migrate",
            "postgres".to_owned(),
            Some(reason),
        )
        .await?;
        // First the old place is closed, then the new one is opened: at no moment are there two.
        write_whole(
            &data.moved(),
            format!("{}\n", url.configured()).as_bytes(),
            0o600,
        )
        .context(data.moved().display())?;
        let folder = std::fs::File::open(data.path()).and_then(|folder| folder.sync_all());
        folder.context(data.path().display())?;
        target.end_migration().await?;
    }
    target.close().await;
    source.close().await;
    told(url, &migrated, is_alone, output)
}

fn told(
    url: &DatabaseUrl,
    migrated: &Migrated,
    is_done: bool,
    output: &Output,
) -> Result<(), Failure> {
    let Migrated {
        tables,
        rows,
        unchanged,
        digest,
    } = migrated;
    let copied = rows.saturating_sub(*unchanged);
    let value = json!({
        "complete": is_done, "tables": tables, "rows": rows, "copied": copied,
        "sha256": is_done.then(|| hex(digest)),
    });
    let text = match is_done {
        true => format!(
            "{url} holds all {rows} rows of {tables} tables, the same on both sides ({copied} were copied now).\nSHA-256 {}\n\n\
             Put this into palisade.toml, and start the server:\n\n    [database]\n    url = \"{}\"\n",
            hex(digest),
            url.configured()
        ),
        false => format!(
            "{copied} rows were copied to {url}, {unchanged} were there. The server still works on SQLite.\n\n\
             Stop it and run this again: it copies what changed since, and ends the move."
        ),
    };
    output.done(&value, &text)
}
