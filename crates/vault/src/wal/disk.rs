//! What the log asks of a disk, so that the tests can put one in its place that fails and forgets.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// A directory of files that are written at their end.
pub(crate) trait Disk: Send + Sync + fmt::Debug {
    /// The names of its files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// What a file holds.
    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send>>;
    /// How long a file is, in bytes.
    fn len(&self, name: &str) -> io::Result<u64>;
    /// Makes a file that is not there.
    fn create(&self, name: &str) -> io::Result<Box<dyn Append>>;
    /// Takes a file away, durably.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Gives a file a second name, durably; one that has it already keeps it.
    fn link(&self, name: &str, second: &str) -> io::Result<()>;
    /// Makes durable which files there are.
    fn sync(&self) -> io::Result<()>;
}

/// A file that is written at its end.
pub(crate) trait Append: Send + fmt::Debug {
    /// Writes all of it, or fails with some of it written.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes durable what was written.
    fn sync(&mut self) -> io::Result<()>;
}

/// A directory of the operating system. Only its owner may look into what it makes.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    // Held until this is dropped, so that no second process writes here.
    _lock: File,
}

impl Directory {
    /// Makes it where it is not there, and takes it for this process alone.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(path.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            std::fs::TryLockError::WouldBlock => io::Error::new(
                io::ErrorKind::ResourceBusy,
                "another process uses it; stop that first",
            ),
            std::fs::TryLockError::Error(error) => error,
        })?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }
}

impl Disk for Directory {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(self.path.join(name))?))
    }

    fn len(&self, name: &str) -> io::Result<u64> {
        Ok(std::fs::metadata(self.path.join(name))?.len())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Append>> {
        let mut options = OpenOptions::new();
        options.append(true).create_new(true).mode(0o600);
        Ok(Box::new(options.open(self.path.join(name))?))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))?;
        self.sync()
    }

    fn link(&self, name: &str, second: &str) -> io::Result<()> {
        match std::fs::hard_link(self.path.join(name), self.path.join(second)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => self.sync(),
        }
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

impl Append for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}
