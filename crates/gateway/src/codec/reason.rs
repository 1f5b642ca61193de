//! Reason codes of MQTT 5 (section 2.4) that this server sends or acts upon.

/// Done, granted, or a normal end.
pub const SUCCESS: u8 = 0x00;
/// A message was accepted and nobody is subscribed to it.
pub const NO_MATCHING_SUBSCRIBERS: u8 = 0x10;
/// There was no such subscription.
pub const NO_SUBSCRIPTION_EXISTED: u8 = 0x11;
/// Something failed here.
pub const UNSPECIFIED: u8 = 0x80;
/// The bytes are not a packet.
pub const MALFORMED: u8 = 0x81;
/// The packet does not fit here or now.
pub const PROTOCOL_ERROR: u8 = 0x82;
/// The protocol version is not served.
pub const UNSUPPORTED_VERSION: u8 = 0x84;
/// The client identifier is not one that this client may use.
pub const CLIENT_ID_NOT_VALID: u8 = 0x85;
/// Policy says no.
pub const NOT_AUTHORIZED: u8 = 0x87;
/// The server cannot do its work now.
pub const SERVER_UNAVAILABLE: u8 = 0x88;
/// The server takes nobody now; try again, here or elsewhere.
pub const SERVER_BUSY: u8 = 0x89;
/// The server is going down.
pub const SHUTTING_DOWN: u8 = 0x8B;
/// The authentication method is not served.
pub const BAD_AUTHENTICATION_METHOD: u8 = 0x8C;
/// Nothing came within one and a half keep-alives.
pub const KEEP_ALIVE_TIMEOUT: u8 = 0x8D;
/// Another connection has the session now.
pub const TAKEN_OVER: u8 = 0x8E;
/// The topic filter is not valid.
pub const TOPIC_FILTER_INVALID: u8 = 0x8F;
/// The topic is not valid, or is not the client's to publish to.
pub const TOPIC_NAME_INVALID: u8 = 0x90;
/// The packet identifier is unknown.
pub const PACKET_ID_NOT_FOUND: u8 = 0x92;
/// More messages in flight than the server allowed.
pub const RECEIVE_MAXIMUM_EXCEEDED: u8 = 0x93;
/// The topic alias is zero, too large or unknown.
pub const TOPIC_ALIAS_INVALID: u8 = 0x94;
/// The packet is larger than the server allowed.
pub const PACKET_TOO_LARGE: u8 = 0x95;
/// A limit is reached.
pub const QUOTA_EXCEEDED: u8 = 0x97;
/// An operator closed it.
pub const ADMINISTRATIVE: u8 = 0x98;
/// What the payload says has another form than is demanded there.
pub const PAYLOAD_FORMAT_INVALID: u8 = 0x99;
/// Another server is to be used meanwhile; which, says the server reference.
pub const USE_ANOTHER_SERVER: u8 = 0x9C;
/// Connections come too fast.
pub const CONNECTION_RATE: u8 = 0x9F;

/// The CONNACK return code of MQTT 3.1.1 (section 3.2.2.3) that says the same as a reason code.
#[must_use]
pub fn to_v3_return_code(code: u8) -> u8 {
    match code {
        SUCCESS => 0,
        UNSUPPORTED_VERSION => 1,
        CLIENT_ID_NOT_VALID => 2,
        NOT_AUTHORIZED | BAD_AUTHENTICATION_METHOD => 5,
        _ => 3,
    }
}
