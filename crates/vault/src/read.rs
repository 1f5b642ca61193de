//! Reading what is kept.

use std::{collections::BTreeMap, io};

use palisade_core::{DeviceId, Topic, TopicFilter};
use palisade_store::{ObjectFilter, VaultObject};

use crate::{LogFault, Row, Vault, VaultError, sealed::Rows};

/// What is wanted of a device's messages, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Of which device.
    pub device: DeviceId,
    /// At this time or later, in nanoseconds since 1970.
    pub from_at: Option<i64>,
    /// Before this time.
    pub until_at: Option<i64>,
    /// To topics that this matches.
    pub topics: Option<TopicFilter>,
    /// Behind this message: its time and its number.
    pub after: Option<(i64, u64)>,
    /// At most so many.
    pub limit: usize,
}

/// A part of what was wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The messages, the oldest first.
    pub rows: Vec<Row>,
    /// Whether there are more behind them.
    pub has_more: bool,
}

/// The most messages of one answer.
pub const MAX_LIMIT: usize = 10_000;
/// The most memory that one answer takes, about, in bytes.
const MAX_WEIGHT: usize = 2 * 1024 * 1024;

impl Vault {
    /// Reads messages of a device. Whether somebody may is for whoever asks to know.
    ///
    /// # Errors
    /// When something that may hold messages is damaged or cannot be read: a part is never given for the whole.
    pub async fn read(&self, query: &Query) -> Result<Found, VaultError> {
        let _place = self.reads.acquire().await;
        let mut shelf = Collected::new(query);
        // The log first: what is rolled meanwhile is found twice rather than not at all.
        self.read_log(query, &mut shelf).await?;
        let from = query.after.map(|(at, _)| at).max(query.from_at);
        let filter = ObjectFilter {
            device: Some(query.device.to_string()),
            segment: None,
            from_at: from,
            until_at: query.until_at,
        };
        for object in self.store.vault().find_objects(&filter).await? {
            if shelf.is_over(object.from_at) {
                continue;
            }
            let device = Some(query.device.as_str());
            let mut rows = self.open_object(&object, device).await?;
            while let Some(row) = rows.next().await? {
                let is_over = shelf.is_over(row.at);
                shelf.put(row);
                if is_over {
                    break;
                }
            }
        }
        Ok(shelf.finish())
    }

    /// Opens a sealed file for reading: for the messages of a device, or of all where there is none.
    pub(crate) async fn open_object(
        &self,
        object: &VaultObject,
        device: Option<&str>,
    ) -> Result<Rows, VaultError> {
        let place = (&object.segment, object.key_version);
        let key = self
            .keys
            .of_file(place, &object.path, &object.wrapped)
            .await?;
        Ok(Rows::open(self.objects.clone(), object, &key, device).await?)
    }

    async fn read_log(&self, query: &Query, shelf: &mut Collected) -> Result<(), VaultError> {
        let log = self.log.clone();
        let mut collected = std::mem::take(shelf);
        let device = query.device.clone();
        let read = move || {
            for file in log.files() {
                let read = log.read(&file, |number, record| {
                    if record.device == device.as_str() && !collected.is_over(record.at) {
                        collected.put(Row::of(number, &record));
                    }
                });
                match read {
                    // It was rolled in the meantime, and is found where it went.
                    Err(LogFault::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(fault) => return Err(VaultError::Log(fault)),
                    Ok(()) => {}
                }
            }
            Ok(collected)
        };
        let read = tokio::task::spawn_blocking(read).await;
        *shelf = read.map_err(|error| VaultError::Io(io::Error::other(error)))??;
        Ok(())
    }
}

/// The first messages of those that were found, without those that were found twice.
#[derive(Debug, Default)]
struct Collected {
    from_at: Option<i64>,
    until_at: Option<i64>,
    topics: Option<TopicFilter>,
    after: Option<(i64, u64)>,
    limit: usize,
    weight: usize,
    rows: BTreeMap<(i64, u64), Row>,
    has_more: bool,
}

impl Collected {
    fn new(query: &Query) -> Self {
        Self {
            from_at: query.from_at,
            until_at: query.until_at,
            topics: query.topics.clone(),
            after: query.after,
            limit: query.limit.clamp(1, MAX_LIMIT),
            ..Self::default()
        }
    }

    /// Whether nothing from this time on can be among the first any more.
    fn is_over(&self, at: i64) -> bool {
        let last = self.rows.last_key_value().map(|((last, _), _)| *last);
        self.has_more && last.is_some_and(|last| at > last)
    }

    fn put(&mut self, row: Row) {
        let key = (row.at, row.number);
        let is_wanted = self.from_at.is_none_or(|from| from <= row.at)
            && self.until_at.is_none_or(|until| row.at < until)
            && self.after.is_none_or(|after| after < key)
            && self.topics.as_ref().is_none_or(|filter| {
                Topic::parse(&row.topic).is_ok_and(|topic| filter.matches(topic))
            });
        if !is_wanted {
            return;
        }
        let weight = row.weight();
        if self.rows.insert(key, row).is_none() {
            self.weight += weight;
        }
        while self.rows.len() > self.limit || (self.weight > MAX_WEIGHT && self.rows.len() > 1) {
            if let Some((_, row)) = self.rows.pop_last() {
                self.weight -= row.weight();
                self.has_more = true;
            }
        }
    }

    fn finish(self) -> Found {
        Found {
            rows: self.rows.into_values().collect(),
            has_more: self.has_more,
        }
    }
}
