//! The schemas of `core`'s values, as its parsers read them. These types hold nothing: they stand in
//! the OpenAPI document for values of types that know nothing of it.

use std::borrow::Cow;

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        KnownFormat, ObjectBuilder, OneOfBuilder, Ref, RefOr, Schema, SchemaFormat, Type,
        schema::{AdditionalProperties, AnyOfBuilder},
    },
};

/// One string type: its name in the document, what it is, its pattern, its length and an example.
macro_rules! string_schema {
    ($name:ident, $text:literal, $pattern:expr, $length:expr, $example:literal) => {
        pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let (min, max): (usize, usize) = $length;
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .description(Some($text))
                    .pattern(Some($pattern))
                    .min_length(Some(min))
                    .max_length(Some(max))
                    .examples([$example])
                    .into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    };
}

const NAME: &str = "^[A-Za-z0-9][A-Za-z0-9._-]*$";
/// Levels that are a wildcard or text, and `#` where it may be.
const FILTER: &str = concat!(
    r"^(#|(\+|[^+#/\u0000-\u001f\u007f-\u009f]*)",
    r"(/(\+|[^+#/\u0000-\u001f\u007f-\u009f]*))*(/#)?)$"
);
/// Levels that are a wildcard or text with variables, and `#` where it may be.
const PATTERN: &str = concat!(
    r"^(#|(\+|([^+#/{}\u0000-\u001f\u007f-\u009f]",
    r"|\{(device|product|segment|service|label:[A-Za-z0-9._-]+)\})*)",
    r"(/(\+|([^+#/{}\u0000-\u001f\u007f-\u009f]",
    r"|\{(device|product|segment|service|label:[A-Za-z0-9._-]+)\})*))*(/#)?)$"
);
pub(super) const DETECTOR: &str = "^(rule|baseline|audit)/[A-Za-z0-9][A-Za-z0-9._-]*$";
const ULID: &str = "^[0-7][0-9A-HJKMNP-TV-Z]{25}$";

string_schema!(
    DeviceId,
    "A device, as its maker or operator names it.",
    NAME,
    (1, 64),
    "cam-0001"
);
string_schema!(
    ProductId,
    "A product: a type of device of one maker.",
    NAME,
    (1, 64),
    "camera"
);
string_schema!(
    SegmentId,
    "A segment: a named part of the fleet.",
    NAME,
    (1, 64),
    "default"
);
string_schema!(
    ProviderName,
    "A provider of OpenID Connect, as the configuration names it.",
    "^[a-z0-9-]+$",
    (1, 32),
    "corp"
);
string_schema!(
    ServiceId,
    "An application that works with devices.",
    NAME,
    (1, 64),
    "billing"
);
string_schema!(
    RoleName,
    "A role: one that ships, or one that people wrote.",
    "^[a-z][a-z0-9-]{0,39}$",
    (1, 40),
    "operator"
);
string_schema!(
    AccountName,
    "The name of an account. Capital letters are read as small ones.",
    "^[A-Za-z0-9][A-Za-z0-9._@-]*$",
    (1, 64),
    "anna"
);
string_schema!(
    EmailAddress,
    "An address of e-mail, without a name.",
    "^[^@\\s<>]+@[^@\\s<>]+$",
    (3, 254),
    "anna@example.org"
);
string_schema!(
    PolicyId,
    "A policy, by its @id annotation.",
    "^[\\s\\S]*$",
    (0, 128),
    "no-trust-no-access"
);
string_schema!(
    MakerName,
    "The name that a maker's CA has here.",
    NAME,
    (1, 64),
    "acme"
);
string_schema!(
    TokenId,
    "A token (ULID).",
    ULID,
    (26, 26),
    "01JZX3R5W8Q2M4N6P7T9V0A1BC"
);
string_schema!(
    GrantId,
    "A grant (ULID).",
    ULID,
    (26, 26),
    "01JZX3R5W8Q2M4N6P7T9V0A1BC"
);
string_schema!(
    FindingId,
    "A finding (ULID).",
    ULID,
    (26, 26),
    "01JZX3R5W8Q2M4N6P7T9V0A1BC"
);
string_schema!(
    DrillId,
    "A scenario of a drill that was run (ULID).",
    ULID,
    (26, 26),
    "01JZX3R5W8Q2M4N6P7T9V0A1BC"
);
string_schema!(
    SuppressionId,
    "A suppression (ULID).",
    ULID,
    (26, 26),
    "01JZX3R5W8Q2M4N6P7T9V0A1BC"
);
string_schema!(
    AuditRunId,
    "A run of audit checks (ULID).",
    ULID,
    (26, 26),
    "01JZX3R5W8Q2M4N6P7T9V0A1BC"
);
string_schema!(
    CaseId,
    "A case (ULID).",
    ULID,
    (26, 26),
    "01JZX3R5W8Q2M4N6P7T9V0A1BC"
);
string_schema!(
    ActionId,
    "An action that answers a case (ULID).",
    ULID,
    (26, 26),
    "01JZX3R5W8Q2M4N6P7T9V0A1BC"
);
string_schema!(
    TargetName,
    "On what an action works: a device, an address, an API token, or the fleet as a whole.",
    "^(fleet|device/[A-Za-z0-9][A-Za-z0-9._-]{0,63}|address/[0-9a-fA-F.:]+|api_token/[^\\u0000-\\u001f\\u007f-\\u009f]+|account/[a-z0-9._@-]{1,64})$",
    (5, 128),
    "device/cam-0001"
);
string_schema!(
    PlaybookName,
    "A playbook.",
    "^[a-z0-9-]+$",
    (1, 64),
    "scanning-or-flooding-device"
);
string_schema!(
    HoldId,
    "A hold on what the vault keeps (ULID).",
    ULID,
    (26, 26),
    "01JZX3R5W8Q2M4N6P7T9V0A1BC"
);
string_schema!(
    EventId,
    "An event (ULID).",
    ULID,
    (26, 26),
    "01JZX3R5W8Q2M4N6P7T9V0A1BC"
);
string_schema!(
    DetectorName,
    "A detector: its kind and its name.",
    DETECTOR,
    (6, 128),
    "rule/mqtt-topic-scan"
);
string_schema!(
    RuleId,
    "A rule, by the name of its file.",
    NAME,
    (1, 128),
    "mqtt-topic-scan"
);
string_schema!(
    SubjectName,
    "About whom a finding is: a device, a service, an address, an API token, or the fleet as a whole.",
    "^(fleet|(device|service)/[A-Za-z0-9][A-Za-z0-9._-]{0,63}|address/[0-9a-fA-F.:]+|api_token/[^\\u0000-\\u001f\\u007f-\\u009f]+|account/[a-z0-9._@-]{1,64})$",
    (5, 128),
    "device/cam-0001"
);
string_schema!(
    Serial,
    "A certificate's serial number in hexadecimal digits.",
    "^[0-9a-f]*[1-9a-f][0-9a-f]*$",
    (2, 40),
    "4f0c8f0e6a1b2c3d"
);

string_schema!(
    TopicPattern,
    "An MQTT topic filter with variables.",
    PATTERN,
    (1, 4096),
    "devices/{device}/telemetry/#"
);
string_schema!(
    TopicFilter,
    "An MQTT topic filter.",
    FILTER,
    (1, 4096),
    "devices/+/telemetry/#"
);
string_schema!(
    Base64,
    "Bytes in base64 (RFC 4648, section 4).",
    "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
    (0, 1_000_000),
    "AAECAw=="
);
string_schema!(
    Topic,
    "An MQTT topic, without wildcards.",
    "^[^+#\\u0000-\\u001f\\u007f-\\u009f]+$",
    (1, 4096),
    "devices/cam-0001/commands"
);

/// One of several things, named by `type`, with its `id` where it has one.
macro_rules! tagged_schema {
    ($name:ident, $text:literal, [$(($tag:literal, $id:expr)),+]) => {
        pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let one = |tag: &str, id: Option<Cow<'static, str>>| {
                    let kind = ObjectBuilder::new()
                        .schema_type(Type::String)
                        .enum_values(Some([tag]));
                    let object = ObjectBuilder::new()
                        .property("type", kind)
                        .required("type")
                        .additional_properties(Some(AdditionalProperties::FreeForm(false)));
                    match id {
                        Some(id) => object.property("id", Ref::from_schema_name(id)).required("id"),
                        None => object,
                    }
                };
                OneOfBuilder::new()
                    .description(Some($text))
                    $(.item(one($tag, $id)))+
                    .into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
                ids(schemas);
            }
        }
    };
}

/// The ids that tagged schemas refer to.
fn ids(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.extend([
        (DeviceId::name().into(), DeviceId::schema()),
        (ProductId::name().into(), ProductId::schema()),
        (SegmentId::name().into(), SegmentId::schema()),
        (ServiceId::name().into(), ServiceId::schema()),
    ]);
}

tagged_schema!(
    Principal,
    "A device or a service.",
    [
        ("device", Some(DeviceId::name())),
        ("service", Some(ServiceId::name()))
    ]
);
tagged_schema!(
    EnrolmentScope,
    "One device, or the devices of a product.",
    [
        ("device", Some(DeviceId::name())),
        ("product", Some(ProductId::name()))
    ]
);
tagged_schema!(
    GrantScope,
    "Every device, those of a product or a segment, one device, or one service.",
    [
        ("fleet", None),
        ("product", Some(ProductId::name())),
        ("segment", Some(SegmentId::name())),
        ("device", Some(DeviceId::name())),
        ("service", Some(ServiceId::name()))
    ]
);

/// An IP address.
pub(crate) struct Address;

impl PartialSchema for Address {
    fn schema() -> RefOr<Schema> {
        let of = |format| {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .format(Some(SchemaFormat::KnownFormat(format)))
        };
        AnyOfBuilder::new()
            .description(Some("An IP address."))
            .item(of(KnownFormat::Ipv4))
            .item(of(KnownFormat::Ipv6))
            .into()
    }
}

impl ToSchema for Address {
    fn name() -> Cow<'static, str> {
        "Address".into()
    }
}

/// Labels of a device.
pub(crate) struct Labels;

impl PartialSchema for Labels {
    fn schema() -> RefOr<Schema> {
        let value = ObjectBuilder::new()
            .schema_type(Type::String)
            .max_length(Some(255))
            .pattern(Some(super::text::NO_CONTROL));
        let key = ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(63))
            .pattern(Some("^[A-Za-z0-9._-]+$"));
        ObjectBuilder::new()
            .description(Some("Labels by key."))
            .additional_properties(Some(Schema::Object(value.build())))
            .property_names(Some(Schema::Object(key.build())))
            .max_properties(Some(palisade_core::Labels::MAX_COUNT))
            .examples([serde_json::json!({ "site": "berlin" })])
            .into()
    }
}

impl ToSchema for Labels {
    fn name() -> Cow<'static, str> {
        "Labels".into()
    }
}

/// A moment.
pub(crate) struct Time;

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("A moment in UTC (RFC 3339)."))
            .examples(["2026-01-31T12:00:00Z"])
            .into()
    }
}

impl ToSchema for Time {
    fn name() -> Cow<'static, str> {
        "Time".into()
    }
}
