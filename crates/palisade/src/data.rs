//! The data directory, and where its files are.

use std::{
    fs::DirBuilder,
    io::Write,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use clap::Args;

use crate::{
    config::{Config, Sources, from_environment, from_flags},
    failure::{Context, Failure},
};

/// Everything that a server keeps, in one directory that only it may enter.
#[derive(Debug, Clone)]
pub(crate) struct DataDir(PathBuf);

impl DataDir {
    pub(crate) fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Makes the directory, for its owner alone, where there is none.
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        let what = || format!("the data directory {}", path.display());
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .context(what())?;
        let data = Self::at(&path.canonicalize().context(what())?);
        let mode = std::fs::metadata(&data.0).context(what())?.mode() & 0o777;
        if mode & 0o077 != 0 {
            let message = format!("{} has mode {mode:03o}: others may enter it", what());
            let next = format!("run `chmod 700 {}`", data.0.display());
            return Err(Failure::new(message).next(next));
        }
        Ok(data)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.0.join("palisade.toml")
    }

    /// The key-encryption key, unless the configuration says otherwise.
    pub(crate) fn key_file(&self) -> PathBuf {
        self.0.join("key-encryption.key")
    }

    pub(crate) fn keystore(&self) -> PathBuf {
        self.0.join("keys.json")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.0.join("palisade.db")
    }

    /// Says where the database was moved to, where it was.
    pub(crate) fn moved(&self) -> PathBuf {
        self.0.join("database-moved")
    }

    /// The root's certificate, for clients; a copy of what is in the database.
    pub(crate) fn root_certificate(&self) -> PathBuf {
        self.0.join("root.pem")
    }

    /// Refuses to begin anew where there was an installation: a database that is gone is not one that never was,
    /// and a new root would shut out every device.
    pub(crate) fn check_whole(&self) -> Result<(), Failure> {
        let (database, root) = (self.database(), self.root_certificate());
        if database.exists() || !root.exists() {
            return Ok(());
        }
        let message = format!(
            "{} is missing beside {}: the installation here has lost its database",
            database.display(),
            root.display()
        );
        Err(Failure::new(message).next(format!(
            "bring it back from a backup of the whole directory; to begin anew, with a root that no device knows, \
             remove {} first",
            root.display()
        )))
    }

    /// Writes the root's certificate where it is another than what is there.
    pub(crate) fn write_root_certificate(&self, pem: &str) -> Result<(), Failure> {
        let path = self.root_certificate();
        if std::fs::read_to_string(&path).is_ok_and(|text| text == pem) {
            return Ok(());
        }
        write_whole(&path, pem.as_bytes(), 0o644).context(path.display())
    }
}

/// Replaces a file whole: a crash leaves the old one or the new one.
pub(crate) fn write_whole(path: &Path, content: &[u8], mode: u32) -> std::io::Result<()> {
    let aside = path.with_extension(format!("new-{}", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode);
    let mut file = options.open(&aside)?;
    file.write_all(content)
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&aside, path))
        .inspect_err(|_| {
            let _ = std::fs::remove_file(&aside);
        })
}

/// Where the server's files are.
#[derive(Debug, Clone, Args)]
pub(crate) struct DataArgs {
    /// The data directory
    #[arg(long, value_name = "DIR", env = "PALISADE_DATA")]
    pub(crate) data: PathBuf,
}

/// Where the configuration comes from.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConfigArgs {
    /// The data directory; the configuration is its palisade.toml, if there is one
    #[arg(long, value_name = "DIR", env = "PALISADE_DATA")]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) more: MoreConfigArgs,
}

/// Where the configuration comes from, besides the data directory.
#[derive(Debug, Clone, Args)]
pub(crate) struct MoreConfigArgs {
    /// The configuration file, instead of the one in the data directory
    #[arg(long, value_name = "FILE", env = "PALISADE_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Set a key over file and environment; may be repeated
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// The PostgreSQL database, in place of the one that is configured (database.url)
    #[arg(long, value_name = "URL", env = "PALISADE_DATABASE")]
    pub(crate) database: Option<String>,
}

impl ConfigArgs {
    /// The configuration file, if there is one.
    pub(crate) fn file(&self) -> Result<Option<PathBuf>, Failure> {
        self.more.file(self.data.as_deref())
    }

    pub(crate) fn load(&self) -> Result<Config, Failure> {
        self.more.load(self.data.as_deref())
    }

    /// What names in the configuration are relative to.
    pub(crate) fn data_path(&self) -> PathBuf {
        self.data.clone().unwrap_or_default()
    }
}

impl MoreConfigArgs {
    fn file(&self, data: Option<&Path>) -> Result<Option<PathBuf>, Failure> {
        if self.config.is_some() {
            return Ok(self.config.clone());
        }
        let Some(path) = data.map(|data| DataDir::at(data).config_file()) else {
            return Ok(None);
        };
        let there = path.try_exists().context(path.display())?;
        Ok(there.then_some(path))
    }

    /// The configuration of a data directory.
    pub(crate) fn load(&self, data: Option<&Path>) -> Result<Config, Failure> {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let mut overrides = from_environment(variables)?;
        overrides.extend(from_flags(&self.set)?);
        if let Some(url) = &self.database {
            overrides.extend(from_flags(&[format!("database.url={url}")])?);
        }
        let sources = Sources {
            file: self.file(data)?,
            overrides,
        };
        Ok(Config::load(&sources)?)
    }
}
