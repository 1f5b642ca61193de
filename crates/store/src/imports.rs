//! Registering very many devices, all or none, while everybody else goes on working.

use std::collections::BTreeSet;

use palisade_core::{Device, DeviceId};

use crate::{
    Store, StoreError,
    device_row::{COLUMNS, DeviceRow},
    devices::RegisterError,
    query_builder::QueryBuilder,
    row,
    transaction::Lane,
};

/// Rows of one INSERT statement: ten columns each, below SQLite's 32,766 variables.
const ROWS_A_STATEMENT: usize = 1_000;
/// Staged rows that are removed at a time, so that others get their turn between.
const ROWS_A_SWEEP: i64 = 50_000;
/// Existing devices that are named.
const MAX_NAMED: i64 = 1_000;

/// An import: devices are staged in as many parts as there are, and become devices at once or not at
/// all. One that is dropped leaves rows behind that nobody sees; [`Store::sweep_imports`] removes them.
#[derive(Debug)]
pub struct Import<'a> {
    store: &'a Store,
    number: i64,
    staged: u64,
}

impl Store {
    /// Begins an import.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn begin_import(&self) -> Result<Import<'_>, StoreError> {
        Ok(Import {
            store: self,
            number: self.settings().next("device_import").await? as i64,
            staged: 0,
        })
    }

    /// Removes what imports left that did not come to their end. Call it where none is under way.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sweep_imports(&self) -> Result<(), StoreError> {
        loop {
            let done = sqlx::query(
                "DELETE FROM device_imports WHERE (import, id) IN \
                 (SELECT import, id FROM device_imports LIMIT $1)",
            )
            .bind(ROWS_A_SWEEP)
            .execute(self.writer())
            .await?;
            if done.rows_affected() == 0 {
                return Ok(());
            }
        }
    }

    /// Which of these devices exist.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn existing(&self, ids: &[DeviceId]) -> Result<BTreeSet<DeviceId>, StoreError> {
        let mut existing = BTreeSet::new();
        for chunk in ids.chunks(ROWS_A_STATEMENT) {
            let mut query = QueryBuilder::new("SELECT id FROM devices WHERE id IN (");
            let mut values = query.separated(", ");
            for id in chunk {
                values.push_bind(id.as_str());
            }
            values.push_unseparated(")");
            for found in query.build().fetch_all(self.readers()).await? {
                existing.insert(row::parse(&found, "id", DeviceId::parse)?);
            }
        }
        Ok(existing)
    }
}

impl Import<'_> {
    /// How many devices were staged.
    #[must_use]
    pub fn staged(&self) -> u64 {
        self.staged
    }

    /// Stages devices. Nobody sees them yet.
    ///
    /// # Errors
    /// When one was staged before, or the database fails.
    pub async fn stage(&mut self, devices: &[Device]) -> Result<(), StoreError> {
        let mut transaction = self.store.begin(Lane::Devices).await?;
        for chunk in devices.chunks(ROWS_A_STATEMENT) {
            let mut query =
                QueryBuilder::new(format!("INSERT INTO device_imports (import, {COLUMNS}) "));
            query.push_values(DeviceRow::all(chunk)?, |mut values, row| {
                values.push_bind(self.number);
                row.bind(&mut values);
            });
            let inserted = query.build().execute(&mut *transaction).await;
            inserted.map_err(|error| {
                StoreError::on_insert(error, || "a device of this import".to_owned())
            })?;
        }
        transaction.commit().await?;
        self.staged += devices.len() as u64;
        Ok(())
    }

    /// Makes devices of all that was staged, and says how many they are.
    ///
    /// # Errors
    /// When one exists already (the first thousand that do are named), or the database fails; none is
    /// registered then.
    pub async fn commit(self) -> Result<u64, RegisterError> {
        let inserted = sqlx::query(
            "INSERT INTO devices (id, product, labels, lifecycle, segment, trust, reasons, epoch, \
             registered_at) SELECT id, product, labels, lifecycle, segment, trust, reasons, epoch, \
             registered_at FROM device_imports WHERE import = $1 ORDER BY id",
        )
        .bind(self.number)
        .execute(self.store.writer())
        .await
        .map_err(|error| StoreError::on_insert(error, || "a device".to_owned()));
        let outcome = match inserted {
            Ok(done) => Ok(done.rows_affected()),
            Err(StoreError::Conflict(_)) => Err(RegisterError::Exist(self.conflicts().await?)),
            Err(error) => Err(error.into()),
        };
        self.abandon().await?;
        outcome
    }

    /// Forgets what was staged.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn abandon(self) -> Result<(), StoreError> {
        loop {
            let done = sqlx::query(
                "DELETE FROM device_imports WHERE import = $1 AND id IN \
                 (SELECT id FROM device_imports WHERE import = $1 LIMIT $2)",
            )
            .bind(self.number)
            .bind(ROWS_A_SWEEP)
            .execute(self.store.writer())
            .await?;
            if done.rows_affected() == 0 {
                return Ok(());
            }
        }
    }

    async fn conflicts(&self) -> Result<Vec<DeviceId>, StoreError> {
        let rows = sqlx::query(
            "SELECT device_imports.id AS id FROM device_imports JOIN devices \
             ON devices.id = device_imports.id WHERE import = $1 ORDER BY device_imports.id LIMIT $2",
        )
        .bind(self.number)
        .bind(MAX_NAMED)
        .fetch_all(self.store.writer())
        .await?;
        rows.iter()
            .map(|found| row::parse(found, "id", DeviceId::parse))
            .collect()
    }
}
