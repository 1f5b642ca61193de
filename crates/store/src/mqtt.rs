//! MQTT sessions that outlive their connection, what waits for them, and retained messages. Bodies are
//! opaque here; the gateway knows their form.

use sqlx::Any;

use crate::{Store, StoreError, query_builder::QueryBuilder, row, transaction::Lane};

const ROWS_A_STATEMENT: usize = 1_000;

/// One change; a batch of them is one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionOp {
    /// Writes a session's state (its subscriptions and Will included).
    PutSession {
        /// The MQTT client id.
        client_id: String,
        /// The state.
        body: Vec<u8>,
    },
    /// Removes a session and all that waits for it.
    DeleteSession {
        /// The MQTT client id.
        client_id: String,
    },
    /// Puts a message at the end of a session's queue.
    Enqueue {
        /// The MQTT client id.
        client_id: String,
        /// Its place in the queue; higher is later.
        seq: u64,
        /// The message.
        body: Vec<u8>,
    },
    /// Removes a message that was delivered.
    Dequeue {
        /// The MQTT client id.
        client_id: String,
        /// Its place in the queue.
        seq: u64,
    },
    /// Notes that a QoS 2 message of the client was taken over.
    PutReceived {
        /// The MQTT client id.
        client_id: String,
        /// Its packet identifier.
        packet_id: u16,
    },
    /// Forgets a QoS 2 packet identifier that the client released.
    DeleteReceived {
        /// The MQTT client id.
        client_id: String,
        /// The packet identifier.
        packet_id: u16,
    },
    /// Writes a retained message.
    PutRetained {
        /// Its topic.
        topic: String,
        /// The message.
        body: Vec<u8>,
    },
    /// Removes a retained message.
    DeleteRetained {
        /// Its topic.
        topic: String,
    },
}

/// A message that waits for a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedMessage {
    /// The MQTT client id.
    pub client_id: String,
    /// Its place in the queue.
    pub seq: u64,
    /// The message.
    pub body: Vec<u8>,
}

/// The repository of MQTT state.
#[derive(Debug)]
pub struct Mqtt<'a> {
    store: &'a Store,
}

impl Store {
    /// MQTT state.
    #[must_use]
    pub fn mqtt(&self) -> Mqtt<'_> {
        Mqtt { store: self }
    }
}

impl Mqtt<'_> {
    /// Applies changes in order, all or none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn apply(&self, ops: &[SessionOp]) -> Result<(), StoreError> {
        let mut transaction = self.store.begin(Lane::Rows).await?;
        let mut rest = ops;
        while let Some(first) = rest.first() {
            // Neighbouring messages share a statement: they are nearly all that a busy batch holds.
            let run = rest
                .iter()
                .take(ROWS_A_STATEMENT)
                .take_while(|op| matches!(op, SessionOp::Enqueue { .. }))
                .count();
            if run > 1 {
                let mut query = QueryBuilder::new("INSERT INTO mqtt_queue (client_id, seq, body) ");
                query.push_values(&rest[..run], |mut values, op| {
                    if let SessionOp::Enqueue {
                        client_id,
                        seq,
                        body,
                    } = op
                    {
                        values
                            .push_bind(client_id.as_str())
                            .push_bind(*seq as i64)
                            .push_bind(body.as_slice());
                    }
                });
                query.push(" ON CONFLICT (client_id, seq) DO UPDATE SET body = excluded.body");
                query.build().execute(&mut *transaction).await?;
                rest = &rest[run..];
            } else {
                apply_one(first, &mut transaction).await?;
                rest = &rest[1..];
            }
        }
        Ok(transaction.commit().await?)
    }

    /// All sessions, by client id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sessions(&self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let rows = sqlx::query("SELECT client_id, body FROM mqtt_sessions ORDER BY client_id")
            .fetch_all(self.store.readers())
            .await?;
        rows.iter()
            .map(|found| Ok((row::text(found, "client_id")?, row::bytes(found, "body")?)))
            .collect()
    }

    /// All messages that wait, by client and place.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn queued(&self) -> Result<Vec<QueuedMessage>, StoreError> {
        let rows = sqlx::query("SELECT * FROM mqtt_queue ORDER BY client_id, seq")
            .fetch_all(self.store.readers())
            .await?;
        rows.iter()
            .map(|found| {
                Ok(QueuedMessage {
                    client_id: row::text(found, "client_id")?,
                    seq: row::unsigned(found, "seq")?,
                    body: row::bytes(found, "body")?,
                })
            })
            .collect()
    }

    /// All QoS 2 packet identifiers that clients have not released.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn received(&self) -> Result<Vec<(String, u16)>, StoreError> {
        let rows = sqlx::query("SELECT * FROM mqtt_received")
            .fetch_all(self.store.readers())
            .await?;
        rows.iter()
            .map(|found| {
                Ok((
                    row::text(found, "client_id")?,
                    row::unsigned(found, "packet_id")? as u16,
                ))
            })
            .collect()
    }

    /// All retained messages.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn retained(&self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let rows = sqlx::query("SELECT * FROM mqtt_retained")
            .fetch_all(self.store.readers())
            .await?;
        rows.iter()
            .map(|found| Ok((row::text(found, "topic")?, row::bytes(found, "body")?)))
            .collect()
    }
}

async fn apply_one(
    op: &SessionOp,
    transaction: &mut sqlx::Transaction<'_, Any>,
) -> Result<(), StoreError> {
    let connection = &mut **transaction;
    match op {
        SessionOp::PutSession { client_id, body } => {
            sqlx::query(
                "INSERT INTO mqtt_sessions (client_id, body) VALUES ($1, $2) \
                 ON CONFLICT (client_id) DO UPDATE SET body = excluded.body",
            )
            .bind(client_id.as_str())
            .bind(body.as_slice())
            .execute(connection)
            .await?;
        }
        SessionOp::DeleteSession { client_id } => {
            for statement in [
                "DELETE FROM mqtt_sessions WHERE client_id = $1",
                "DELETE FROM mqtt_queue WHERE client_id = $1",
                "DELETE FROM mqtt_received WHERE client_id = $1",
            ] {
                sqlx::query(statement)
                    .bind(client_id.as_str())
                    .execute(&mut *connection)
                    .await?;
            }
        }
        SessionOp::Enqueue {
            client_id,
            seq,
            body,
        } => {
            sqlx::query(
                "INSERT INTO mqtt_queue (client_id, seq, body) VALUES ($1, $2, $3) \
                 ON CONFLICT (client_id, seq) DO UPDATE SET body = excluded.body",
            )
            .bind(client_id.as_str())
            .bind(*seq as i64)
            .bind(body.as_slice())
            .execute(connection)
            .await?;
        }
        SessionOp::Dequeue { client_id, seq } => {
            sqlx::query("DELETE FROM mqtt_queue WHERE client_id = $1 AND seq = $2")
                .bind(client_id.as_str())
                .bind(*seq as i64)
                .execute(connection)
                .await?;
        }
        SessionOp::PutReceived {
            client_id,
            packet_id,
        } => {
            sqlx::query(
                "INSERT INTO mqtt_received (client_id, packet_id) VALUES ($1, $2) \
                 ON CONFLICT (client_id, packet_id) DO NOTHING",
            )
            .bind(client_id.as_str())
            .bind(i64::from(*packet_id))
            .execute(connection)
            .await?;
        }
        SessionOp::DeleteReceived {
            client_id,
            packet_id,
        } => {
            sqlx::query("DELETE FROM mqtt_received WHERE client_id = $1 AND packet_id = $2")
                .bind(client_id.as_str())
                .bind(i64::from(*packet_id))
                .execute(connection)
                .await?;
        }
        SessionOp::PutRetained { topic, body } => {
            sqlx::query(
                "INSERT INTO mqtt_retained (topic, body) VALUES ($1, $2) \
                 ON CONFLICT (topic) DO UPDATE SET body = excluded.body",
            )
            .bind(topic.as_str())
            .bind(body.as_slice())
            .execute(connection)
            .await?;
        }
        SessionOp::DeleteRetained { topic } => {
            sqlx::query("DELETE FROM mqtt_retained WHERE topic = $1")
                .bind(topic.as_str())
                .execute(connection)
                .await?;
        }
    }
    Ok(())
}
