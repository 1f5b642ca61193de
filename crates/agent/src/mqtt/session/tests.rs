use rmqtt_codec::v5::{
    ConnectAckReason, Disconnect, DisconnectReasonCode, SubscribeAckReason, UnsubscribeAckReason,
};

use super::*;

fn message(topic: &str) -> Outgoing {
    Outgoing::new(topic, "x".into(), Qos::AtLeastOnce, false).expect("valid")
}

fn connack(session_present: bool, receive_max: u16) -> ConnectAck {
    ConnectAck {
        session_present,
        reason_code: ConnectAckReason::Success,
        receive_max: NonZeroU16::new(receive_max).expect("not zero"),
        ..ConnectAck::default()
    }
}

fn puback(packet_id: Option<NonZeroU16>, reason_code: PublishAckReason) -> Packet {
    Packet::PublishAck(PublishAck {
        packet_id: packet_id.expect("an identifier"),
        reason_code,
        properties: Vec::new(),
        reason_string: None,
    })
}

fn suback(packet_id: NonZeroU16, status: SubscribeAckReason) -> Packet {
    Packet::SubscribeAck(SubscribeAck {
        packet_id,
        properties: Vec::new(),
        reason_string: None,
        status: vec![status],
    })
}

fn filters(packets: &[Packet]) -> Vec<String> {
    let filter = |packet: &Packet| match packet {
        Packet::Subscribe(subscribe) => subscribe.topic_filters[0].0.to_string(),
        Packet::Unsubscribe(unsubscribe) => format!("not {}", unsubscribe.topic_filters[0]),
        other => panic!("{other:?}"),
    };
    packets.iter().map(filter).collect()
}

#[test]
fn no_more_messages_are_under_way_than_the_server_takes() {
    let mut session = Session::new();
    session.connected(&connack(false, 2), 64);
    let first = session.publish(1, message("a"));
    session.publish(2, message("a"));
    assert!(!session.has_room());
    let effect = session.receive(puback(first.packet_id, PublishAckReason::Success));
    let topic = "a".into();
    assert_eq!(
        effect,
        Ok(Effect::Acknowledged {
            seq: 1,
            reason: 0,
            topic
        })
    );
    assert!(session.has_room());
}

#[test]
fn a_refused_message_says_to_where_it_went() {
    let mut session = Session::new();
    session.connected(&connack(false, 9), 64);
    let sent = session.publish(7, message("not/mine"));
    let effect = session.receive(puback(sent.packet_id, PublishAckReason::NotAuthorized));
    let topic = "not/mine".into();
    assert_eq!(
        effect,
        Ok(Effect::Acknowledged {
            seq: 7,
            reason: 0x87,
            topic
        })
    );
}

#[test]
fn in_a_session_that_goes_on_a_message_is_sent_again_under_its_identifier() {
    let mut session = Session::new();
    session.connected(&connack(false, 9), 64);
    let sent = [
        session.publish(1, message("a")),
        session.publish(2, message("a")),
    ];
    session.connected(&connack(true, 9), 64);
    let again = session.publish(2, message("a"));
    assert!(again.dup);
    assert_eq!(again.packet_id, sent[1].packet_id);
    let new = session.publish(3, message("a"));
    assert!(!new.dup);
    assert_ne!(new.packet_id, sent[1].packet_id);
}

#[test]
fn in_a_new_session_a_message_is_sent_as_new() {
    let mut session = Session::new();
    session.connected(&connack(false, 9), 64);
    session.publish(1, message("a"));
    session.connected(&connack(false, 9), 64);
    assert!(!session.publish(1, message("a")).dup);
}

#[test]
fn identifiers_are_never_given_twice_at_once() {
    let mut session = Session::new();
    session.connected(&connack(false, 65_535), 64);
    let mut seen = HashSet::new();
    for seq in 0..65_000 {
        let id = session
            .publish(seq, message("a"))
            .packet_id
            .expect("an identifier");
        assert!(seen.insert(id));
    }
    assert!(!session.has_room());
}

#[test]
fn an_unknown_acknowledgement_is_of_no_consequence() {
    let mut session = Session::new();
    let effect = session.receive(puback(NonZeroU16::new(5), PublishAckReason::Success));
    assert_eq!(effect, Ok(Effect::None));
}

#[test]
fn a_subscription_is_asked_for_again_when_the_server_has_forgotten_it() {
    let mut session = Session::new();
    session.want("a/#", Qos::AtLeastOnce);
    let asked = session.connected(&connack(false, 9), 64);
    assert_eq!(filters(&asked), ["a/#"]);
    let Packet::Subscribe(subscribe) = &asked[0] else {
        panic!("{asked:?}");
    };
    let effect = session.receive(suback(subscribe.packet_id, SubscribeAckReason::GrantedQos1));
    let filter = "a/#".to_owned();
    assert_eq!(effect, Ok(Effect::Subscribed { filter, reason: 1 }));
    assert!(session.connected(&connack(true, 9), 64).is_empty());
    assert_eq!(filters(&session.connected(&connack(false, 9), 64)), ["a/#"]);
}

#[test]
fn a_subscription_that_never_stood_is_forgotten_when_refused_and_one_that_stood_is_not() {
    let mut session = Session::new();
    session.connected(&connack(false, 9), 64);
    session.want("a", Qos::AtLeastOnce);
    for (status, expected) in [
        (SubscribeAckReason::GrantedQos1, vec!["a"]),
        (SubscribeAckReason::NotAuthorized, vec!["a"]),
    ] {
        let subscribe = session.subscribe("a").expect("wanted");
        session
            .receive(suback(subscribe.packet_id, status))
            .expect("an answer");
        assert_eq!(
            filters(&session.connected(&connack(false, 9), 64)),
            expected
        );
    }
    session.want("b", Qos::AtLeastOnce);
    let subscribe = session.subscribe("b").expect("wanted");
    session
        .receive(suback(
            subscribe.packet_id,
            SubscribeAckReason::NotAuthorized,
        ))
        .expect("an answer");
    assert_eq!(filters(&session.connected(&connack(false, 9), 64)), ["a"]);
}

#[test]
fn a_subscription_that_ended_offline_is_ended_at_the_server_too() {
    let mut session = Session::new();
    session.want("a", Qos::AtMostOnce);
    session.want_no_more("a");
    let packets = session.connected(&connack(true, 9), 64);
    assert_eq!(filters(&packets), ["not a"]);
    let Packet::Unsubscribe(unsubscribe) = &packets[0] else {
        panic!("{packets:?}");
    };
    let ack = Packet::UnsubscribeAck(UnsubscribeAck {
        packet_id: unsubscribe.packet_id,
        properties: Vec::new(),
        reason_string: None,
        status: vec![UnsubscribeAckReason::Success],
    });
    let filter = "a".to_owned();
    assert_eq!(
        session.receive(ack),
        Ok(Effect::Unsubscribed { filter, reason: 0 })
    );
    assert!(session.connected(&connack(true, 9), 64).is_empty());
}

#[test]
fn the_servers_farewell_carries_its_reason_without_control_characters() {
    let mut session = Session::new();
    let mut disconnect = Disconnect::new(DisconnectReasonCode::AdministrativeAction);
    disconnect.reason_string = Some("quaran\u{1b}tined".into());
    let effect = session.receive(Packet::Disconnect(disconnect));
    let closed = Effect::Closed {
        reason: 0x98,
        text: Some("quarantined".to_owned()),
        reference: None,
    };
    assert_eq!(effect, Ok(closed));
}

#[test]
fn what_only_clients_send_breaks_the_protocol() {
    assert!(Session::new().receive(Packet::PingRequest).is_err());
}
