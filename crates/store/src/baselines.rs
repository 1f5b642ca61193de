//! What is usual for each device and each product, and what operators say about it. What is learned is
//! opaque here: its form belongs to detection.

use palisade_core::{DeviceId, ProductId, Timestamp};
use sqlx::any::AnyRow;

use crate::{Store, StoreError, query_builder::QueryBuilder, row, transaction::Lane};

/// What was learned of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaselineRow {
    /// Which.
    pub device: DeviceId,
    /// Its type.
    pub product: ProductId,
    /// What was learned.
    pub state: Vec<u8>,
    /// When it last learned.
    pub updated_at: Timestamp,
}

/// What was learned of a product's devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaselineCohort {
    /// Which product.
    pub product: ProductId,
    /// What was learned.
    pub state: Vec<u8>,
    /// When it was written down.
    pub updated_at: Timestamp,
}

/// The repository of baselines.
#[derive(Debug)]
pub struct Baselines<'a> {
    store: &'a Store,
}

impl Store {
    /// Baselines.
    #[must_use]
    pub fn baselines(&self) -> Baselines<'_> {
        Baselines { store: self }
    }
}

impl Baselines<'_> {
    /// Writes down what was learned of devices: all of it or nothing.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put(&self, rows: &[BaselineRow]) -> Result<(), StoreError> {
        // Four values a row, well below the number that a statement may have.
        const ROWS: usize = 200;
        let mut transaction = self.store.begin(Lane::Rows).await?;
        for part in rows.chunks(ROWS) {
            let mut query = QueryBuilder::new("INSERT INTO baselines ");
            query.push_values(part, |mut values, row| {
                values
                    .push_bind(row.device.as_str().to_owned())
                    .push_bind(row.product.as_str().to_owned())
                    .push_bind(row.state.clone())
                    .push_bind(row::nanos(row.updated_at));
            });
            query.push(
                " ON CONFLICT (device) DO UPDATE SET product = excluded.product, \
                 state = excluded.state, updated_at = excluded.updated_at",
            );
            query.build().execute(&mut *transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Writes down what was learned of products' devices.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_cohorts(&self, cohorts: &[BaselineCohort]) -> Result<(), StoreError> {
        for cohort in cohorts {
            sqlx::query(
                "INSERT INTO baseline_cohorts VALUES ($1, $2, $3) ON CONFLICT (product) DO UPDATE \
                 SET state = excluded.state, updated_at = excluded.updated_at",
            )
            .bind(cohort.product.as_str())
            .bind(cohort.state.as_slice())
            .bind(row::nanos(cohort.updated_at))
            .execute(self.store.writer())
            .await?;
        }
        Ok(())
    }

    /// All that was learned of products' devices.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn cohorts(&self) -> Result<Vec<BaselineCohort>, StoreError> {
        let rows = sqlx::query("SELECT * FROM baseline_cohorts ORDER BY product")
            .fetch_all(self.store.readers())
            .await?;
        rows.iter()
            .map(|found| {
                Ok(BaselineCohort {
                    product: row::parse(found, "product", ProductId::parse)?,
                    state: row::bytes(found, "state")?,
                    updated_at: row::time(found, "updated_at")?,
                })
            })
            .collect()
    }

    /// What was learned of devices, those that learned last first, after the one given.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn newest(
        &self,
        after: Option<(Timestamp, DeviceId)>,
        limit: u32,
    ) -> Result<Vec<BaselineRow>, StoreError> {
        let mut query = QueryBuilder::new("SELECT * FROM baselines");
        if let Some((updated_at, device)) = after {
            query
                .push(" WHERE (updated_at, device) < (")
                .push_bind(row::nanos(updated_at))
                .push(", ")
                .push_bind(device.as_str().to_owned())
                .push(")");
        }
        query
            .push(" ORDER BY updated_at DESC, device DESC LIMIT ")
            .push_bind(i64::from(limit));
        let rows = query.build().fetch_all(self.store.readers()).await?;
        rows.iter().map(read).collect()
    }

    /// What was learned of these devices, where anything was.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find(&self, devices: &[DeviceId]) -> Result<Vec<BaselineRow>, StoreError> {
        if devices.is_empty() {
            return Ok(Vec::new());
        }
        let mut query = QueryBuilder::new("SELECT * FROM baselines WHERE device IN (");
        let mut names = query.separated(", ");
        for device in devices {
            names.push_bind(device.as_str().to_owned());
        }
        query.push(")");
        let rows = query.build().fetch_all(self.store.readers()).await?;
        rows.iter().map(read).collect()
    }

    /// Forgets devices that learned nothing since `before`, and says how many they were.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn prune(&self, before: Timestamp) -> Result<u64, StoreError> {
        let done = sqlx::query("DELETE FROM baselines WHERE updated_at < $1")
            .bind(row::nanos(before))
            .execute(self.store.writer())
            .await?;
        Ok(done.rows_affected())
    }

    /// Writes down what an operator says, about `fleet` or `product/<id>`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_settings(
        &self,
        scope: &str,
        body: &impl serde::Serialize,
        by: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO baseline_settings VALUES ($1, $2, $3, $4) ON CONFLICT (scope) DO UPDATE \
             SET body = excluded.body, changed_by = excluded.changed_by, \
             changed_at = excluded.changed_at",
        )
        .bind(scope)
        .bind(row::to_json(body, "settings of baselines")?)
        .bind(by)
        .bind(row::nanos(at))
        .execute(self.store.writer())
        .await?;
        Ok(())
    }

    /// All that operators said: about what, and what.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn settings(&self) -> Result<Vec<(String, String)>, StoreError> {
        let rows = sqlx::query("SELECT * FROM baseline_settings ORDER BY scope")
            .fetch_all(self.store.readers())
            .await?;
        rows.iter()
            .map(|found| Ok((row::text(found, "scope")?, row::text(found, "body")?)))
            .collect()
    }
}

fn read(found: &AnyRow) -> Result<BaselineRow, StoreError> {
    Ok(BaselineRow {
        device: row::parse(found, "device", DeviceId::parse)?,
        product: row::parse(found, "product", ProductId::parse)?,
        state: row::bytes(found, "state")?,
        updated_at: row::time(found, "updated_at")?,
    })
}
