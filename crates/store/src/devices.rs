//! Devices, products and segments.

use palisade_core::{
    Device, DeviceId, Epoch, Labels, Lifecycle, Posture, Product, ProductId, Segment, SegmentId,
    Timestamp, TrustScore,
};
use serde::Serialize;
use sqlx::{AnyPool, any::AnyRow};

use crate::{
    Bounds, Store, StoreError,
    device_row::{COLUMNS, DeviceRow},
    device_search::IdPart,
    query_builder::QueryBuilder,
    row,
    transaction::Lane,
};

/// Rows of one INSERT statement: ten columns each, below SQLite's 32,766 variables.
const ROWS_A_STATEMENT: usize = 1_000;

/// Which devices to list.
#[derive(Debug, Clone, Default)]
pub struct DeviceFilter {
    /// Of this product.
    pub product: Option<ProductId>,
    /// In this segment.
    pub segment: Option<SegmentId>,
    /// At this point of life.
    pub lifecycle: Option<Lifecycle>,
    /// Trusted less than this.
    pub trust_below: Option<TrustScore>,
    /// With all of these labels.
    pub labels: Labels,
    /// With this in its id, in either case.
    pub search: Option<String>,
    /// Within any of these bounds; none stands for everywhere, no bounds at all for nowhere.
    pub within: Option<Vec<Bounds>>,
}

/// Which part of a list to read.
#[derive(Debug, Clone, Default)]
pub struct PageRequest {
    /// The cursor that the page before gave; none for the first page.
    pub after: Option<String>,
    /// The most items wanted, 1 to 1,000.
    pub limit: u32,
}

impl PageRequest {
    pub(crate) fn size(&self) -> i64 {
        i64::from(self.limit.clamp(1, 1_000))
    }
}

/// Part of a list.
#[derive(Debug, Clone, Serialize)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// The cursor of the next page; none where this is the last.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// A page from one item more than was asked for, if there is one.
    pub(crate) fn cut(mut items: Vec<T>, size: i64, cursor: impl Fn(&T) -> String) -> Self {
        let more = items.len() as i64 > size;
        items.truncate(size as usize);
        let next = if more { items.last().map(cursor) } else { None };
        Self { items, next }
    }
}

/// Why devices were not registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// Some are there already; none was registered.
    #[error("{} of the devices exist already, {} the first", .0.len(), .0.first().map_or("", DeviceId::as_str))]
    Exist(Vec<DeviceId>),
    /// The database failed; none was registered.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The repository of devices, products and segments.
#[derive(Debug)]
pub struct Devices<'a> {
    store: &'a Store,
}

impl Store {
    /// Devices, products and segments.
    #[must_use]
    pub fn devices(&self) -> Devices<'_> {
        Devices { store: self }
    }
}

impl Devices<'_> {
    fn readers(&self) -> &AnyPool {
        self.store.readers()
    }

    fn writer(&self) -> &AnyPool {
        self.store.writer()
    }

    /// Registers devices, all or none. Memory is bounded by `devices` itself.
    ///
    /// # Errors
    /// When one exists already (all that do are named), or the database fails.
    pub async fn register(&self, devices: &[Device]) -> Result<(), RegisterError> {
        let mut transaction = self.store.begin(Lane::Devices).await?;
        let mut existing = Vec::new();
        for chunk in devices.chunks(ROWS_A_STATEMENT) {
            let mut query = QueryBuilder::new(format!("INSERT INTO devices ({COLUMNS}) "));
            query.push_values(DeviceRow::all(chunk)?, |mut values, row| {
                row.bind(&mut values)
            });
            query.push(" ON CONFLICT (id) DO NOTHING");
            let done = query
                .build()
                .execute(&mut *transaction)
                .await
                .map_err(StoreError::from)?;
            if done.rows_affected() != chunk.len() as u64 {
                existing.extend_from_slice(chunk);
            }
        }
        if existing.is_empty() {
            transaction.commit().await.map_err(StoreError::from)?;
            return Ok(());
        }
        transaction.rollback().await.map_err(StoreError::from)?;
        let mut named = Vec::new();
        for device in existing {
            if self.find(&device.id).await?.is_some() {
                named.push(device.id);
            }
        }
        Err(RegisterError::Exist(named))
    }

    /// Finds a device.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find(&self, id: &DeviceId) -> Result<Option<Device>, StoreError> {
        sqlx::query("SELECT * FROM devices WHERE id = $1")
            .bind(id.as_str())
            .fetch_optional(self.readers())
            .await?
            .map(|found| read_device(&found))
            .transpose()
    }

    /// Lists devices by id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(
        &self,
        filter: &DeviceFilter,
        page: &PageRequest,
    ) -> Result<Page<Device>, StoreError> {
        let mut query = QueryBuilder::new("SELECT * FROM devices WHERE id > ");
        query.push_bind(page.after.clone().unwrap_or_default());
        let conditions = [
            (
                " AND product = ",
                filter.product.as_ref().map(ProductId::as_str),
            ),
            (
                " AND segment = ",
                filter.segment.as_ref().map(SegmentId::as_str),
            ),
            (" AND lifecycle = ", filter.lifecycle.map(Lifecycle::as_str)),
        ];
        for (condition, value) in conditions {
            if let Some(value) = value {
                query.push(condition).push_bind(value.to_owned());
            }
        }
        if let Some(trust) = filter.trust_below {
            query
                .push(" AND trust < ")
                .push_bind(i64::from(trust.value()));
        }
        // Both engines have `replace` and agree on case; LIKE and instr they do not share.
        for (key, value) in filter.labels.iter() {
            let pair = row::json_member(key, value)?;
            query.push(" AND replace(labels, ").push_bind(pair);
            query.push(", '') <> labels");
        }
        if let Some(part) = filter.search.as_deref().filter(|part| !part.is_empty()) {
            match IdPart::read(part, self.store).await? {
                Some(part) => part.narrow(&mut query),
                None => return Ok(Page::cut(Vec::new(), page.size(), |_| String::new())),
            }
        }
        if let Some(bounds) = &filter.within {
            push_within(&mut query, bounds)?;
        }
        query.push(" ORDER BY id LIMIT ").push_bind(page.size() + 1);
        let rows = query.build().fetch_all(self.readers()).await?;
        let items = rows
            .iter()
            .map(read_device)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(items, page.size(), |device: &Device| {
            device.id.to_string()
        }))
    }

    /// How many devices are at each point of life.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn count_by_lifecycle(&self) -> Result<Vec<(Lifecycle, u64)>, StoreError> {
        let rows = sqlx::query("SELECT lifecycle, COUNT(*) AS n FROM devices GROUP BY lifecycle")
            .fetch_all(self.readers())
            .await?;
        rows.iter()
            .map(|found| Ok((lifecycle(found)?, row::unsigned(found, "n")?)))
            .collect()
    }

    /// Replaces the posture where its epoch is still `expected`; `false` where somebody was faster.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn replace_posture(
        &self,
        id: &DeviceId,
        expected: Epoch,
        posture: &Posture,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE devices SET lifecycle = $1, segment = $2, trust = $3, reasons = $4, epoch = $5 \
             WHERE id = $6 AND epoch = $7",
        )
        .bind(posture.lifecycle.as_str())
        .bind(posture.segment.as_str())
        .bind(i64::from(posture.trust.value()))
        .bind(row::to_json(&posture.reasons, "reasons")?)
        .bind(posture.epoch.0 as i64)
        .bind(id.as_str())
        .bind(expected.0 as i64)
        .execute(self.writer())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Replaces the labels and moves the posture's epoch, because grants may name labels; `false` where
    /// there is no such device.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_labels(&self, id: &DeviceId, labels: &Labels) -> Result<bool, StoreError> {
        let done = sqlx::query("UPDATE devices SET labels = $1, epoch = epoch + 1 WHERE id = $2")
            .bind(row::to_json(labels, "labels")?)
            .bind(id.as_str())
            .execute(self.writer())
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Notes when devices were last heard of, in one transaction.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn touch(&self, seen: &[(DeviceId, Timestamp)]) -> Result<(), StoreError> {
        let mut transaction = self.store.begin(Lane::Devices).await?;
        for (id, at) in seen {
            sqlx::query("UPDATE devices SET last_seen_at = $1 WHERE id = $2")
                .bind(row::nanos(*at))
                .bind(id.as_str())
                .execute(&mut *transaction)
                .await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Makes a product known, or changes it; its segment is made known too.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_product(&self, product: &Product) -> Result<(), StoreError> {
        let segment = Segment {
            id: product.default_segment.clone(),
            description: String::new(),
        };
        self.add_segment(&segment).await?;
        sqlx::query(
            "INSERT INTO products (id, description, default_segment, inventory_only, created_at) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO UPDATE SET description = \
             excluded.description, default_segment = excluded.default_segment, \
             inventory_only = excluded.inventory_only",
        )
        .bind(product.id.as_str())
        .bind(product.description.as_str())
        .bind(product.default_segment.as_str())
        .bind(i64::from(product.inventory_only))
        .bind(row::nanos(product.created_at))
        .execute(self.writer())
        .await?;
        Ok(())
    }

    /// Finds a product.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find_product(&self, id: &ProductId) -> Result<Option<Product>, StoreError> {
        sqlx::query("SELECT * FROM products WHERE id = $1")
            .bind(id.as_str())
            .fetch_optional(self.readers())
            .await?
            .map(|found| read_product(&found))
            .transpose()
    }

    /// All products, by id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn products(&self) -> Result<Vec<Product>, StoreError> {
        let rows = sqlx::query("SELECT * FROM products ORDER BY id")
            .fetch_all(self.readers())
            .await?;
        rows.iter().map(read_product).collect()
    }

    /// Makes a segment known; nothing changes where it is.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn add_segment(&self, segment: &Segment) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO segments (id, description) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING",
        )
        .bind(segment.id.as_str())
        .bind(segment.description.as_str())
        .execute(self.writer())
        .await?;
        Ok(())
    }

    /// Makes a segment known, or changes its description.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_segment(&self, segment: &Segment) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO segments (id, description) VALUES ($1, $2) \
             ON CONFLICT (id) DO UPDATE SET description = excluded.description",
        )
        .bind(segment.id.as_str())
        .bind(segment.description.as_str())
        .execute(self.writer())
        .await?;
        Ok(())
    }

    /// All segments, by id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn segments(&self) -> Result<Vec<Segment>, StoreError> {
        let rows = sqlx::query("SELECT * FROM segments ORDER BY id")
            .fetch_all(self.readers())
            .await?;
        rows.iter()
            .map(|found| {
                Ok(Segment {
                    id: row::parse(found, "id", SegmentId::parse)?,
                    description: row::text(found, "description")?,
                })
            })
            .collect()
    }
}

fn lifecycle(found: &AnyRow) -> Result<Lifecycle, StoreError> {
    row::parse(found, "lifecycle", |text| {
        Lifecycle::parse(text).ok_or("no such lifecycle")
    })
}

/// What is within any of some bounds.
fn push_within(query: &mut QueryBuilder, all: &[Bounds]) -> Result<(), StoreError> {
    query.push(" AND (1 = 0");
    for bounds in all {
        query.push(" OR (1 = 1");
        if let Some(segment) = &bounds.segment {
            query
                .push(" AND segment = ")
                .push_bind(segment.as_str().to_owned());
        }
        if let Some(product) = &bounds.product {
            query
                .push(" AND product = ")
                .push_bind(product.as_str().to_owned());
        }
        if let Some(label) = &bounds.label {
            let pair = row::json_member(&label.key, &label.value)?;
            query.push(" AND replace(labels, ").push_bind(pair);
            query.push(", '') <> labels");
        }
        query.push(")");
    }
    query.push(")");
    Ok(())
}

fn read_device(found: &AnyRow) -> Result<Device, StoreError> {
    let trust = row::unsigned(found, "trust")?;
    Ok(Device {
        id: row::parse(found, "id", DeviceId::parse)?,
        product: row::parse(found, "product", ProductId::parse)?,
        labels: row::json(found, "labels")?,
        posture: Posture {
            lifecycle: lifecycle(found)?,
            segment: row::parse(found, "segment", SegmentId::parse)?,
            trust: TrustScore::new(trust.min(100) as u8),
            reasons: row::json(found, "reasons")?,
            epoch: Epoch(row::unsigned(found, "epoch")?),
        },
        registered_at: row::time(found, "registered_at")?,
        last_seen_at: row::optional_time(found, "last_seen_at")?,
    })
}

fn read_product(found: &AnyRow) -> Result<Product, StoreError> {
    Ok(Product {
        id: row::parse(found, "id", ProductId::parse)?,
        description: row::text(found, "description")?,
        default_segment: row::parse(found, "default_segment", SegmentId::parse)?,
        inventory_only: row::flag(found, "inventory_only")?,
        created_at: row::time(found, "created_at")?,
    })
}
