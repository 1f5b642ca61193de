//! What happens at the doors: sessions, what they ask for, what is refused them, how much they send.

use palisade_core::{Action, Event, EventKind, Timestamp};
use serde_json::{Value, json};

use super::{
    FAILURE, Record,
    class::{
        API_ACTIVITY, AUTHENTICATION, Activity, CREATE, LOGOFF, LOGON, NETWORK_ACTIVITY, OTHER,
        READ, REFUSE, TRAFFIC,
    },
    service, source, times, user,
};

pub(super) fn describe(event: &Event) -> Record {
    match &event.kind {
        EventKind::Admitted {
            client_id,
            protocol,
            serial,
            ..
        } => {
            let message = format!("{client_id} opened a session over {protocol}");
            let credential = serial.as_ref().map(ToString::to_string);
            authentication(event, LOGON, message).with(
                "session",
                json!({ "uid": client_id, "credential_uid": credential }),
            )
        }
        EventKind::Refused { reason, count } => {
            let message = match count {
                1 => reason.clone(),
                count => format!("{reason} ({})", times(*count)),
            };
            authentication(event, LOGON, message)
                .status(FAILURE)
                .with("status_detail", json!(reason))
                .with("count", json!(count))
        }
        EventKind::Disconnected {
            client_id,
            end,
            duration_ms,
            ..
        } => {
            let message = format!("the session of {client_id} ended: {end:?}");
            authentication(event, LOGOFF, message)
                .with("session", json!({ "uid": client_id }))
                .with("status_detail", json!(end))
                .with("duration", json!(duration_ms))
        }
        EventKind::Denied {
            action,
            resource,
            reason,
            count,
        } => {
            let message = format!("{action} {resource} was denied {}: {reason}", times(*count));
            denied(event, *action, resource, message)
                .status(FAILURE)
                .with("status_detail", json!(reason.to_string()))
                .with("count", json!(count))
        }
        EventKind::Subscribed { filter } => {
            let message = format!("subscribed to {filter}");
            request(event, Action::Subscribe, filter, message)
        }
        EventKind::LimitExceeded { limit, count } => {
            let message = format!("limit {limit} was exceeded {}", times(*count));
            network(event, REFUSE, message)
                .status(FAILURE)
                .denied()
                .with("status_detail", json!(limit))
                .with("count", json!(count))
        }
        // INVARIANT: the caller sends only what is named above, and this.
        _ => statistics(event),
    }
}

fn authentication(event: &Event, activity: Activity, message: String) -> Record {
    Record::new(AUTHENTICATION, activity, message)
        .with("user", user(event))
        .with("service", json!({ "name": service(event.door) }))
        .with("src_endpoint", source(event))
        .with("auth_protocol_id", json!(99))
        .with("auth_protocol", json!("Other"))
        .with_device(event)
}

fn denied(event: &Event, action: Action, resource: &str, message: String) -> Record {
    match action {
        Action::Connect => authentication(event, LOGON, message),
        _ => request(event, action, resource, message),
    }
}

fn request(event: &Event, action: Action, resource: &str, message: String) -> Record {
    let activity = match action {
        Action::Publish | Action::Retain | Action::Enroll => CREATE,
        Action::Subscribe | Action::Receive => READ,
        Action::Connect | Action::Renew => OTHER,
    };
    let resources = match resource {
        "" => Value::Null,
        resource => json!([{ "name": resource, "type": "topic" }]),
    };
    Record::new(API_ACTIVITY, activity, message)
        .with("actor", json!({ "user": user(event) }))
        .with(
            "api",
            json!({
                "operation": action.as_str(),
                "service": { "name": service(event.door) },
            }),
        )
        .with("src_endpoint", source(event))
        .with("resources", resources)
}

fn network(event: &Event, activity: Activity, message: String) -> Record {
    Record::new(NETWORK_ACTIVITY, activity, message)
        .with("src_endpoint", source(event))
        .with("dst_endpoint", json!({ "svc_name": service(event.door) }))
        // 1 is "Inbound".
        .with(
            "connection_info",
            json!({ "direction_id": 1, "direction": "Inbound" }),
        )
        .with_device(event)
}

/// In this class "out" is from the source, which is the client, to the destination, which is us.
fn statistics(event: &Event) -> Record {
    let EventKind::PublishStatistics {
        window_ms,
        messages,
        bytes,
        messages_out,
        bytes_out,
        packets_in,
        packets_out,
        ..
    } = event.kind
    else {
        return network(event, OTHER, event.kind.name().to_owned());
    };
    let message =
        format!("{messages} messages of {bytes} bytes in, {messages_out} of {bytes_out} out");
    network(event, TRAFFIC, message)
        .with("start_time", json!(start(event.time, window_ms)))
        .with("end_time", json!(event.time.as_millisecond()))
        .with("duration", json!(window_ms))
        .with(
            "traffic",
            json!({
                "bytes": bytes.saturating_add(bytes_out),
                "bytes_in": bytes_out,
                "bytes_out": bytes,
                "packets": packets_in.saturating_add(packets_out),
                "packets_in": packets_out,
                "packets_out": packets_in,
            }),
        )
}

fn start(end: Timestamp, window_ms: u64) -> i64 {
    let window = i64::try_from(window_ms).unwrap_or(i64::MAX);
    end.as_millisecond().saturating_sub(window)
}
