//! Telemetry sealed at rest: how far its log is, the keys of segments, and which sealed files there are.

use palisade_core::{SegmentId, Timestamp};
use sqlx::{AnyConnection, Connection, any::AnyRow};

use crate::{Store, StoreError, query_builder::QueryBuilder, row, transaction::Lane};

/// How far the log of telemetry is durable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VaultMark {
    /// The last file of the log whose messages are in sealed files.
    pub rolled: u64,
    /// The newest file of the log.
    pub file: u64,
    /// How many chunks of messages that has.
    pub chunks: u64,
    /// The number of the message that comes next.
    pub next_message: u64,
}

/// A wrapped key of a segment, which wraps those of its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentKey {
    /// Of which segment.
    pub segment: SegmentId,
    /// Which of its keys, from 1.
    pub version: u32,
    /// The key, wrapped by the root key.
    pub wrapped: Vec<u8>,
    /// Since when.
    pub created_at: Timestamp,
}

/// Where a sealed file is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObjectState {
    /// It may be there or not: nothing counts on it yet.
    Writing,
    /// It is there, and what it holds counts.
    Live,
    /// What it held is elsewhere or over: it is to be taken away.
    Dead,
}

impl ObjectState {
    const ALL: [Self; 3] = [Self::Writing, Self::Live, Self::Dead];

    /// The name in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Writing => "writing",
            Self::Live => "live",
            Self::Dead => "dead",
        }
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or("no state of a sealed file")
    }
}

/// A sealed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultObject {
    /// Its name: a ULID.
    pub id: String,
    /// Where it is in its life.
    pub state: ObjectState,
    /// Its path in the object store.
    pub path: String,
    /// The segment whose devices it is of.
    pub segment: SegmentId,
    /// For how many days what it holds is kept.
    pub days: u32,
    /// The day of what it holds, counted from 1970.
    pub day: i64,
    /// The key of the segment that wraps its own.
    pub key_version: u32,
    /// Its key, wrapped.
    pub wrapped: Vec<u8>,
    /// How many messages it holds.
    pub rows: u64,
    /// How large it is, in bytes.
    pub bytes: u64,
    /// When the first of them came, in nanoseconds since 1970.
    pub from_at: i64,
    /// When the last of them came.
    pub to_at: i64,
    /// The first of its devices, in the order of their names.
    pub first_device: String,
    /// The last of them.
    pub last_device: String,
    /// Since when it is there.
    pub created_at: Timestamp,
}

/// Which sealed files are wanted: those that may hold what is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectFilter {
    /// Of this device.
    pub device: Option<String>,
    /// Of this segment.
    pub segment: Option<SegmentId>,
    /// With messages at this time or later, in nanoseconds since 1970.
    pub from_at: Option<i64>,
    /// With messages before this time.
    pub until_at: Option<i64>,
}

/// The repository of the vault.
#[derive(Debug)]
pub struct Vault<'a> {
    pub(crate) store: &'a Store,
}

impl Store {
    /// What the vault knows of itself.
    #[must_use]
    pub fn vault(&self) -> Vault<'_> {
        Vault { store: self }
    }
}

impl Vault<'_> {
    /// How far the log was when that was last written down.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn mark(&self) -> Result<VaultMark, StoreError> {
        let found = sqlx::query("SELECT * FROM vault_mark WHERE id = 1")
            .fetch_optional(self.store.readers())
            .await?;
        found.map_or(Ok(VaultMark::default()), |found| {
            Ok(VaultMark {
                rolled: row::unsigned(&found, "rolled")?,
                file: row::unsigned(&found, "file")?,
                chunks: row::unsigned(&found, "chunks")?,
                next_message: row::unsigned(&found, "next_message")?,
            })
        })
    }

    /// Writes down how far the log is.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_mark(&self, mark: VaultMark) -> Result<(), StoreError> {
        let mut connection = self.store.writer().acquire().await?;
        put_mark(&mut connection, mark).await
    }

    /// All keys of segments, by segment and version.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn keys(&self) -> Result<Vec<SegmentKey>, StoreError> {
        let rows = sqlx::query("SELECT * FROM vault_keys ORDER BY segment, version")
            .fetch_all(self.store.readers())
            .await?;
        rows.iter().map(read_key).collect()
    }

    /// Writes down a key of a segment, in the place of one of its version.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_key(&self, key: &SegmentKey) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO vault_keys VALUES ($1, $2, $3, $4) \
             ON CONFLICT (segment, version) DO UPDATE SET wrapped = excluded.wrapped",
        )
        .bind(key.segment.as_str())
        .bind(i64::from(key.version))
        .bind(key.wrapped.as_slice())
        .bind(row::nanos(key.created_at))
        .execute(self.store.writer())
        .await?;
        Ok(())
    }

    /// Forgets a key of a segment.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove_key(&self, segment: &SegmentId, version: u32) -> Result<(), StoreError> {
        self.store.key_was_destroyed();
        sqlx::query("DELETE FROM vault_keys WHERE segment = $1 AND version = $2")
            .bind(segment.as_str())
            .bind(i64::from(version))
            .execute(self.store.writer())
            .await?;
        Ok(())
    }

    /// Writes down files that are about to be written: whatever becomes of them, they are known.
    ///
    /// # Errors
    /// When one of this name is there, or the database fails.
    pub async fn begin_objects(&self, objects: &[VaultObject]) -> Result<(), StoreError> {
        let mut transaction = self.store.begin(Lane::Vault).await?;
        for object in objects {
            insert(&mut transaction, object).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// As one: these files count from now on, those no more, and the log is at this mark.
    ///
    /// # Errors
    /// When the database fails; nothing is changed then.
    pub async fn exchange(
        &self,
        live: &[VaultObject],
        dead: &[String],
        mark: Option<VaultMark>,
    ) -> Result<(), StoreError> {
        let mut connection = self.store.writer().acquire().await?;
        // A wrapped key that is destroyed is overwritten in its page, not only let go of.
        self.store.overwrite_deleted(&mut connection, true).await?;
        let exchanged = exchange(&mut connection, live, dead, mark).await;
        if !dead.is_empty() {
            self.store.key_was_destroyed();
        }
        self.store.overwrite_deleted(&mut connection, false).await?;
        exchanged
    }

    /// Wraps the key of a file anew.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rewrap_object(
        &self,
        id: &str,
        key_version: u32,
        wrapped: &[u8],
    ) -> Result<(), StoreError> {
        self.store.key_was_destroyed();
        sqlx::query("UPDATE vault_objects SET key_version = $2, wrapped = $3 WHERE id = $1 AND state = 'live'")
            .bind(id)
            .bind(i64::from(key_version))
            .bind(wrapped)
            .execute(self.store.writer())
            .await?;
        Ok(())
    }

    /// Forgets a file that is not there any more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_object(&self, id: &str) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM vault_objects WHERE id = $1 AND state <> 'live'")
            .bind(id)
            .execute(self.store.writer())
            .await?;
        Ok(())
    }

    /// Overwrites what was deleted in the database and in what it has written ahead, so that no wrapped key that was
    /// destroyed is left on the disk. `false` where somebody reads, so that it still is.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn scrub(&self) -> Result<bool, StoreError> {
        let are_gone = self.store.compact_keys().await?;
        Ok(self.store.empty_log().await? && are_gone)
    }

    /// Files in this state, the oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn objects_in(&self, state: ObjectState) -> Result<Vec<VaultObject>, StoreError> {
        let rows = sqlx::query("SELECT * FROM vault_objects WHERE state = $1 ORDER BY id")
            .bind(state.as_str())
            .fetch_all(self.store.readers())
            .await?;
        rows.iter().map(read_object).collect()
    }

    /// Live files that may hold what is asked for, by day, device and age.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find_objects(
        &self,
        filter: &ObjectFilter,
    ) -> Result<Vec<VaultObject>, StoreError> {
        let mut query = QueryBuilder::new("SELECT * FROM vault_objects WHERE state = 'live'");
        if let Some(device) = &filter.device {
            query
                .push(" AND first_device <= ")
                .push_bind(device.clone());
            query.push(" AND last_device >= ").push_bind(device.clone());
        }
        if let Some(segment) = &filter.segment {
            query.push(" AND segment = ").push_bind(segment.to_string());
        }
        if let Some(from) = filter.from_at {
            query.push(" AND day >= ").push_bind(day_of(from));
            query.push(" AND to_at >= ").push_bind(from);
        }
        if let Some(until) = filter.until_at {
            query.push(" AND day <= ").push_bind(day_of(until));
            query.push(" AND from_at < ").push_bind(until);
        }
        query.push(" ORDER BY day, first_device, id");
        let rows = query.build().fetch_all(self.store.readers()).await?;
        rows.iter().map(read_object).collect()
    }
}

/// The day of a moment, both counted from 1970.
#[must_use]
pub fn day_of(nanos: i64) -> i64 {
    nanos.div_euclid(86_400_000_000_000)
}

/// As one: files that count, files that do not any more, and the mark of the log.
async fn exchange(
    connection: &mut AnyConnection,
    live: &[VaultObject],
    dead: &[String],
    mark: Option<VaultMark>,
) -> Result<(), StoreError> {
    let mut transaction = connection.begin().await?;
    for object in live {
        sqlx::query("UPDATE vault_objects SET state = 'live', bytes = $2 WHERE id = $1")
            .bind(object.id.as_str())
            .bind(object.bytes as i64)
            .execute(&mut *transaction)
            .await?;
    }
    for id in dead {
        sqlx::query("UPDATE vault_objects SET state = 'dead', wrapped = $2 WHERE id = $1")
            .bind(id.as_str())
            // Without its key it is of no use to anybody, wherever a copy of it is.
            .bind(Vec::new())
            .execute(&mut *transaction)
            .await?;
    }
    if let Some(mark) = mark {
        put_mark(&mut transaction, mark).await?;
    }
    transaction.commit().await?;
    Ok(())
}

async fn put_mark(connection: &mut AnyConnection, mark: VaultMark) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO vault_mark VALUES (1, $1, $2, $3, $4) ON CONFLICT (id) DO UPDATE SET \
         rolled = excluded.rolled, file = excluded.file, chunks = excluded.chunks, \
         next_message = excluded.next_message \
         WHERE excluded.rolled >= vault_mark.rolled AND excluded.next_message >= vault_mark.next_message",
    )
    .bind(mark.rolled as i64)
    .bind(mark.file as i64)
    .bind(mark.chunks as i64)
    .bind(mark.next_message as i64)
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert(connection: &mut AnyConnection, object: &VaultObject) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO vault_objects VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
    )
    .bind(object.id.as_str())
    .bind(object.state.as_str())
    .bind(object.path.as_str())
    .bind(object.segment.as_str())
    .bind(i64::from(object.days))
    .bind(object.day)
    .bind(i64::from(object.key_version))
    .bind(object.wrapped.as_slice())
    .bind(object.rows as i64)
    .bind(object.bytes as i64)
    .bind(object.from_at)
    .bind(object.to_at)
    .bind(object.first_device.as_str())
    .bind(object.last_device.as_str())
    .bind(row::nanos(object.created_at))
    .execute(connection)
    .await
    .map_err(|error| StoreError::on_insert(error, || format!("sealed file {}", object.id)))?;
    Ok(())
}

fn read_key(found: &AnyRow) -> Result<SegmentKey, StoreError> {
    Ok(SegmentKey {
        segment: row::parse(found, "segment", SegmentId::parse)?,
        version: small(found, "version")?,
        wrapped: row::bytes(found, "wrapped")?,
        created_at: row::time(found, "created_at")?,
    })
}

fn read_object(found: &AnyRow) -> Result<VaultObject, StoreError> {
    Ok(VaultObject {
        id: row::text(found, "id")?,
        state: row::parse(found, "state", ObjectState::parse)?,
        path: row::text(found, "path")?,
        segment: row::parse(found, "segment", SegmentId::parse)?,
        days: small(found, "days")?,
        day: row::integer(found, "day")?,
        key_version: small(found, "key_version")?,
        wrapped: row::bytes(found, "wrapped")?,
        rows: row::unsigned(found, "rows")?,
        bytes: row::unsigned(found, "bytes")?,
        from_at: row::integer(found, "from_at")?,
        to_at: row::integer(found, "to_at")?,
        first_device: row::text(found, "first_device")?,
        last_device: row::text(found, "last_device")?,
        created_at: row::time(found, "created_at")?,
    })
}

fn small(found: &AnyRow, column: &'static str) -> Result<u32, StoreError> {
    u32::try_from(row::unsigned(found, column)?).map_err(|error| StoreError::corrupt(column, error))
}
