//! Enrolment tokens, API tokens and services. Of a token only its hash is kept.

use palisade_core::{DeviceId, ProductId, ServiceId, Timestamp, TokenId};
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;

use crate::{Store, StoreError, row};

/// For whom an enrolment token is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "id", rename_all = "snake_case")]
pub enum TokenScope {
    /// For one device.
    Device(DeviceId),
    /// For devices of a product.
    Product(ProductId),
}

/// A token that allows enrolment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolmentToken {
    /// Its name.
    pub id: TokenId,
    /// SHA-256 of the secret.
    pub hash: Vec<u8>,
    /// For whom.
    pub scope: TokenScope,
    /// How many enrolments are left.
    pub uses_left: u64,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Whether it was revoked.
    pub revoked: bool,
    /// What people say about it.
    pub note: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A token that speaks for a program at the REST door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// Its name for programs.
    pub id: TokenId,
    /// Its name for people.
    pub name: String,
    /// SHA-256 of the secret.
    pub hash: Vec<u8>,
    /// What it may do (`devices:read`, `*`).
    pub scopes: Vec<String>,
    /// The service that it speaks for in messages.
    pub service: Option<ServiceId>,
    /// When it ends, if it does.
    pub expires_at: Option<Timestamp>,
    /// Whether it was revoked.
    pub revoked: bool,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An application that works with devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub id: ServiceId,
    /// What people read.
    pub description: String,
    /// When it was made known.
    pub created_at: Timestamp,
}

/// The repository of tokens and services.
#[derive(Debug)]
pub struct Tokens<'a> {
    store: &'a Store,
}

impl Store {
    /// Tokens and services.
    #[must_use]
    pub fn tokens(&self) -> Tokens<'_> {
        Tokens { store: self }
    }
}

impl Tokens<'_> {
    /// Writes an enrolment token down.
    ///
    /// # Errors
    /// When it is there already, or the database fails.
    pub async fn add_enrolment(&self, token: &EnrolmentToken) -> Result<(), StoreError> {
        let (kind, id) = match &token.scope {
            TokenScope::Device(id) => ("device", id.as_str()),
            TokenScope::Product(id) => ("product", id.as_str()),
        };
        sqlx::query("INSERT INTO enrolment_tokens VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)")
            .bind(token.id.to_string())
            .bind(token.hash.as_slice())
            .bind(kind)
            .bind(id)
            .bind(token.uses_left as i64)
            .bind(row::nanos(token.expires_at))
            .bind(i64::from(token.revoked))
            .bind(token.note.as_str())
            .bind(row::nanos(token.created_at))
            .execute(self.store.writer())
            .await
            .map_err(|error| StoreError::on_insert(error, || format!("token {}", token.id)))?;
        Ok(())
    }

    /// Finds an enrolment token by the hash of its secret.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find_enrolment(&self, hash: &[u8]) -> Result<Option<EnrolmentToken>, StoreError> {
        sqlx::query("SELECT * FROM enrolment_tokens WHERE hash = $1")
            .bind(hash)
            .fetch_optional(self.store.readers())
            .await?
            .map(|found| read_enrolment(&found))
            .transpose()
    }

    /// Takes one use of a token; `false` where it is used up, expired or revoked. Two at once never
    /// take the same last use.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn consume_enrolment(&self, id: TokenId, now: Timestamp) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE enrolment_tokens SET uses_left = uses_left - 1 \
             WHERE id = $1 AND uses_left > 0 AND revoked = 0 AND expires_at > $2",
        )
        .bind(id.to_string())
        .bind(row::nanos(now))
        .execute(self.store.writer())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Gives back a use that came to nothing.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn return_enrolment(&self, id: TokenId) -> Result<(), StoreError> {
        sqlx::query("UPDATE enrolment_tokens SET uses_left = uses_left + 1 WHERE id = $1")
            .bind(id.to_string())
            .execute(self.store.writer())
            .await?;
        Ok(())
    }

    /// Revokes an enrolment token; `false` where there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn revoke_enrolment(&self, id: TokenId) -> Result<bool, StoreError> {
        let done = sqlx::query("UPDATE enrolment_tokens SET revoked = 1 WHERE id = $1")
            .bind(id.to_string())
            .execute(self.store.writer())
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// The newest thousand enrolment tokens.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn enrolments(&self) -> Result<Vec<EnrolmentToken>, StoreError> {
        let rows = sqlx::query("SELECT * FROM enrolment_tokens ORDER BY id DESC LIMIT 1000")
            .fetch_all(self.store.readers())
            .await?;
        rows.iter().map(read_enrolment).collect()
    }

    /// Enrolment tokens that can still be used at `now`, oldest first, after an id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn enrolments_in_force(
        &self,
        now: Timestamp,
        after: &str,
        limit: u32,
    ) -> Result<Vec<EnrolmentToken>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM enrolment_tokens WHERE id > $1 AND revoked = 0 AND uses_left > 0 \
             AND expires_at > $2 ORDER BY id LIMIT $3",
        )
        .bind(after)
        .bind(row::nanos(now))
        .bind(i64::from(limit))
        .fetch_all(self.store.readers())
        .await?;
        rows.iter().map(read_enrolment).collect()
    }

    /// API tokens that are valid at `now`, oldest first, after an id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn api_in_force(
        &self,
        now: Timestamp,
        after: &str,
        limit: u32,
    ) -> Result<Vec<ApiToken>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM api_tokens WHERE id > $1 AND revoked = 0 \
             AND (expires_at IS NULL OR expires_at > $2) ORDER BY id LIMIT $3",
        )
        .bind(after)
        .bind(row::nanos(now))
        .bind(i64::from(limit))
        .fetch_all(self.store.readers())
        .await?;
        rows.iter().map(read_api).collect()
    }

    /// Writes an API token down.
    ///
    /// # Errors
    /// When it is there already, or the database fails.
    pub async fn add_api(&self, token: &ApiToken) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO api_tokens VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)")
            .bind(token.id.to_string())
            .bind(token.name.as_str())
            .bind(token.hash.as_slice())
            .bind(row::to_json(&token.scopes, "scopes")?)
            .bind(token.service.as_ref().map(ServiceId::as_str))
            .bind(token.expires_at.map(row::nanos))
            .bind(i64::from(token.revoked))
            .bind(token.last_used_at.map(row::nanos))
            .bind(row::nanos(token.created_at))
            .execute(self.store.writer())
            .await
            .map_err(|error| StoreError::on_insert(error, || format!("token {}", token.id)))?;
        Ok(())
    }

    /// Finds an API token by the hash of its secret.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find_api(&self, hash: &[u8]) -> Result<Option<ApiToken>, StoreError> {
        sqlx::query("SELECT * FROM api_tokens WHERE hash = $1")
            .bind(hash)
            .fetch_optional(self.store.readers())
            .await?
            .map(|found| read_api(&found))
            .transpose()
    }

    /// Notes that an API token was used.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn touch_api(&self, id: TokenId, at: Timestamp) -> Result<(), StoreError> {
        sqlx::query("UPDATE api_tokens SET last_used_at = $1 WHERE id = $2")
            .bind(row::nanos(at))
            .bind(id.to_string())
            .execute(self.store.writer())
            .await?;
        Ok(())
    }

    /// Revokes an API token; `false` where there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn revoke_api(&self, id: TokenId) -> Result<bool, StoreError> {
        let done = sqlx::query("UPDATE api_tokens SET revoked = 1 WHERE id = $1")
            .bind(id.to_string())
            .execute(self.store.writer())
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// An API token by its name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn api_named(&self, id: TokenId) -> Result<Option<ApiToken>, StoreError> {
        let found = sqlx::query("SELECT * FROM api_tokens WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(self.store.readers())
            .await?;
        found.map(|found| read_api(&found)).transpose()
    }

    /// Gives a token other scopes; `false` where it has not those that it is thought to have.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn narrow_api(
        &self,
        id: TokenId,
        from: &[String],
        to: &[String],
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE api_tokens SET scopes = $3 WHERE id = $1 AND scopes = $2 AND revoked = 0",
        )
        .bind(id.to_string())
        .bind(row::to_json(&from, "scopes")?)
        .bind(row::to_json(&to, "scopes")?)
        .execute(self.store.writer())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// The newest thousand API tokens.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn api(&self) -> Result<Vec<ApiToken>, StoreError> {
        let rows = sqlx::query("SELECT * FROM api_tokens ORDER BY id DESC LIMIT 1000")
            .fetch_all(self.store.readers())
            .await?;
        rows.iter().map(read_api).collect()
    }

    /// Makes a service known, or changes its description.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_service(&self, service: &Service) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO services (id, description, created_at) VALUES ($1, $2, $3) \
             ON CONFLICT (id) DO UPDATE SET description = excluded.description",
        )
        .bind(service.id.as_str())
        .bind(service.description.as_str())
        .bind(row::nanos(service.created_at))
        .execute(self.store.writer())
        .await?;
        Ok(())
    }

    /// All services, by id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn services(&self) -> Result<Vec<Service>, StoreError> {
        let rows = sqlx::query("SELECT * FROM services ORDER BY id")
            .fetch_all(self.store.readers())
            .await?;
        rows.iter().map(read_service).collect()
    }

    /// Finds a service.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find_service(&self, id: &ServiceId) -> Result<Option<Service>, StoreError> {
        sqlx::query("SELECT * FROM services WHERE id = $1")
            .bind(id.as_str())
            .fetch_optional(self.store.readers())
            .await?
            .map(|found| read_service(&found))
            .transpose()
    }
}

fn read_service(found: &AnyRow) -> Result<Service, StoreError> {
    Ok(Service {
        id: row::parse(found, "id", ServiceId::parse)?,
        description: row::text(found, "description")?,
        created_at: row::time(found, "created_at")?,
    })
}

fn read_enrolment(found: &AnyRow) -> Result<EnrolmentToken, StoreError> {
    let scope = match row::text(found, "scope_kind")?.as_str() {
        "device" => row::parse(found, "scope_id", DeviceId::parse).map(TokenScope::Device)?,
        "product" => row::parse(found, "scope_id", ProductId::parse).map(TokenScope::Product)?,
        other => {
            return Err(StoreError::corrupt(
                "scope_kind",
                format!("no scope is called {other:?}"),
            ));
        }
    };
    Ok(EnrolmentToken {
        id: row::parse(found, "id", TokenId::parse)?,
        hash: row::bytes(found, "hash")?,
        scope,
        uses_left: row::unsigned(found, "uses_left")?,
        expires_at: row::time(found, "expires_at")?,
        revoked: row::flag(found, "revoked")?,
        note: row::text(found, "note")?,
        created_at: row::time(found, "created_at")?,
    })
}

fn read_api(found: &AnyRow) -> Result<ApiToken, StoreError> {
    let service = row::optional_text(found, "service")?
        .map(|text| ServiceId::parse(&text).map_err(|error| StoreError::corrupt("service", error)))
        .transpose()?;
    Ok(ApiToken {
        id: row::parse(found, "id", TokenId::parse)?,
        name: row::text(found, "name")?,
        hash: row::bytes(found, "hash")?,
        scopes: row::json(found, "scopes")?,
        service,
        expires_at: row::optional_time(found, "expires_at")?,
        revoked: row::flag(found, "revoked")?,
        last_used_at: row::optional_time(found, "last_used_at")?,
        created_at: row::time(found, "created_at")?,
    })
}
