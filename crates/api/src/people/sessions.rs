//! MQTT sessions, connected or away.

use std::net::IpAddr;

use axum::{Json, extract::State};
use palisade_core::{Principal, Timestamp};
use palisade_gateway::SessionInfo;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{
    PeopleState,
    access::Scope,
    extract::Query,
    page::{Cursor, Page, PageQuery},
    routes::Routes,
    schema,
};
use crate::problem::Problem;

pub(super) fn routes() -> Routes {
    Routes::default().read(
        Scope::DevicesRead,
        "mqtt_session.list",
        routes!(list_sessions),
    )
}

/// An MQTT session, connected or away.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub(crate) struct SessionView {
    /// Under which name it is kept.
    name: String,
    /// The MQTT client identifier.
    client_id: String,
    /// Whose it is.
    #[schema(value_type = schema::Principal)]
    principal: Principal,
    /// Whether it has a connection now.
    online: bool,
    /// From where the connection comes.
    #[schema(value_type = Option<schema::Address>)]
    source: Option<IpAddr>,
    /// What the connection speaks: `mqtt 3.1.1` or `mqtt 5`.
    protocol: Option<&'static str>,
    /// Since when there is the connection.
    #[schema(value_type = Option<schema::Time>)]
    since: Option<Timestamp>,
    /// Messages from the client since the server started.
    #[schema(minimum = 0)]
    messages_in: u64,
    /// Messages to the client since the server started.
    #[schema(minimum = 0)]
    messages_out: u64,
    /// Messages that found no room and were lost.
    #[schema(minimum = 0)]
    dropped: u64,
    /// Messages that wait for the client.
    #[schema(minimum = 0)]
    queued: usize,
    /// Subscriptions that it holds.
    #[schema(minimum = 0)]
    subscriptions: usize,
}

impl From<SessionInfo> for SessionView {
    fn from(session: SessionInfo) -> Self {
        Self {
            name: session.name,
            client_id: session.client_id,
            principal: session.principal,
            online: session.online,
            source: session.source,
            protocol: session.protocol,
            since: session.since,
            messages_in: session.messages_in,
            messages_out: session.messages_out,
            dropped: session.dropped,
            queued: session.queued,
            subscriptions: session.subscriptions,
        }
    }
}

/// Lists MQTT sessions.
#[utoipa::path(
    get,
    path = "/api/v1/sessions",
    tag = "devices",
    params(PageQuery),
    responses((status = 200, description = "Sessions, by name.", body = Page<SessionView>))
)]
async fn list_sessions(
    State(state): State<PeopleState>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<SessionView>>, Problem> {
    let size = query.limit.0 as usize;
    let after = query.after.as_ref().map(Cursor::key);
    let mut found = state.parts().gateway.sessions(after, size + 1);
    let more = found.len() > size;
    found.truncate(size);
    let last = found.last().filter(|_| more);
    Ok(Json(Page {
        next: last.map(|last| Cursor::after(last.name.clone())),
        items: found.into_iter().map(SessionView::from).collect(),
    }))
}
