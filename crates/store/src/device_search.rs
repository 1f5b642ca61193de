//! Finding devices by a part of their id. A part that few have is looked up by its trigrams; one that many have
//! fills a page soon whichever way the list is walked.

use crate::{Engine, Store, StoreError, query_builder::QueryBuilder};

/// Up to so many devices are few.
const FEW: i64 = 2_000;
/// A shorter part has no trigram.
const SHORTEST: usize = 3;

/// A part of an id, in small letters.
#[derive(Debug)]
pub(crate) struct IdPart {
    part: String,
    is_rare: bool,
}

impl IdPart {
    /// Looks at how many have it; `None` where no id can.
    pub(crate) async fn read(part: &str, store: &Store) -> Result<Option<Self>, StoreError> {
        let may_stand = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if !part.chars().all(may_stand) {
            return Ok(None);
        }
        let mut found = Self {
            part: part.to_ascii_lowercase(),
            is_rare: false,
        };
        // PostgreSQL plans by itself whether its index of trigrams is worth it.
        if store.engine() == Engine::Sqlite && part.len() >= SHORTEST {
            let count: i64 = sqlx::query_scalar(
                "SELECT COUNT(*) FROM (SELECT 1 FROM device_search WHERE id LIKE $1 LIMIT $2) few",
            )
            .bind(found.wide())
            .bind(FEW + 1)
            .fetch_one(store.readers())
            .await?;
            found.is_rare = count <= FEW;
        }
        Ok(Some(found))
    }

    /// Adds to a query of devices that they have it.
    pub(crate) fn narrow(&self, query: &mut QueryBuilder) {
        if self.is_rare {
            query.push(" AND id IN (SELECT id FROM device_search WHERE id LIKE ");
            query.push_bind(self.wide()).push(")");
        }
        let exact = format!("%{}%", self.part.replace('_', "\\_"));
        query.push(" AND lower(id) LIKE ").push_bind(exact);
        query.push(" ESCAPE '\\'");
    }

    /// What the index is asked: `_` stands for any character there.
    fn wide(&self) -> String {
        format!("%{}%", self.part)
    }
}
