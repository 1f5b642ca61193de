//! What the OpenAPI document says of every route alike: its scope, and the errors that its gate and its
//! extractors can answer with. What is particular to a route stands at its handler.

use utoipa::openapi::{
    Components, Content, Info, License, OpenApi, Paths, Ref, RefOr, Required, Response,
    path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem},
    schema::{ObjectBuilder, Schema, SchemaType, Type},
    security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
    tag::Tag,
};
use utoipa::{PartialSchema, ToSchema};

use super::{
    access::Access,
    cookie,
    routes::{Effect, Rule},
};
use crate::problem::{MEDIA_TYPE, ProblemBody, ProblemItem, ProblemKind};

const BEARER: &str = "bearer";
const SESSION: &str = "session";
const PAGE: &str = "page";
const TAGS: [(&str, &str); 15] = [
    ("server", "The server itself: set-up, status, who you are."),
    ("people", "People: accounts, log-in sessions, passwords."),
    ("devices", "Devices, products and segments."),
    (
        "containment",
        "What stops a device, and what lets it go on.",
    ),
    (
        "tokens",
        "Enrolment tokens for devices, API tokens for programs.",
    ),
    ("services", "Applications that work with devices."),
    ("grants", "Which topics are whose."),
    (
        "policy",
        "When a grant counts: Cedar policies, their versions and their trial.",
    ),
    ("messages", "Messages from programs that speak no MQTT."),
    ("events", "What happened, as it happens."),
    (
        "detection",
        "What detection found, what people made of it, and what it is not to report.",
    ),
    (
        "audits",
        "Checks of how the fleet and the server are set up, and the steps that mend what they find.",
    ),
    ("ledger", "The audit log."),
    ("ca", "The certification authority."),
    (
        "response",
        "Cases, what is done about them, and the guard rails around that.",
    ),
];

/// The document before any route is in it.
pub(crate) fn head() -> OpenApi {
    let mut info = Info::new("Palisade", env!("CARGO_PKG_VERSION"));
    info.description = Some(
        "The REST API of Palisade. Lists come in parts: `next` of one is `after` of the following. \
         Writes take an `Idempotency-Key`: sent again under the same key, a write is answered as \
         before and not done twice (for a day). Each write is an entry of the ledger before it is \
         answered. Errors are problems (RFC 9457). Whoever logged in (`POST /api/v1/session`) is \
         recognised by the cookie in place of a token, and sends `Palisade-Request: 1` with what is no \
         GET or HEAD."
            .to_owned(),
    );
    let mut license = License::new("Apache-2.0");
    license.identifier = Some("Apache-2.0".to_owned());
    info.license = Some(license);
    let mut document = OpenApi::new(info, Paths::new());
    document.tags = Some(TAGS.iter().map(|(name, text)| tag(name, text)).collect());
    document
}

fn tag(name: &str, text: &str) -> Tag {
    let mut tag = Tag::new(name);
    tag.description = Some(text.to_owned());
    tag
}

/// What all routes refer to.
pub(crate) fn finish(document: &mut OpenApi) {
    // Only the router knows of parameters that have slashes in them.
    let paths = std::mem::take(&mut document.paths.paths);
    let paths = paths.into_iter();
    document.paths.paths = paths
        .map(|(path, item)| (path.replace("{*", "{"), item))
        .collect();
    let components = document.components.get_or_insert_with(Components::new);
    let mut bearer = Http::new(HttpAuthScheme::Bearer);
    bearer.bearer_format = Some("pat_ and 43 characters of base64url".to_owned());
    bearer.description = Some(
        "An API token, made by `POST /api/v1/api-tokens` or, for the first one, `POST /api/v1/setup`."
            .to_owned(),
    );
    components.add_security_scheme(BEARER, SecurityScheme::Http(bearer));
    let session = "The log-in session of a person, set by `POST /api/v1/session`. It goes in place of a token: a request \
                   with both is refused.";
    let session = ApiKeyValue::with_description(cookie::NAME, session);
    components.add_security_scheme(SESSION, SecurityScheme::ApiKey(ApiKey::Cookie(session)));
    let page =
        "`1`, beside a session with what is no GET or HEAD: no page of another origin can send it.";
    let page = ApiKeyValue::with_description("Palisade-Request", page);
    components.add_security_scheme(PAGE, SecurityScheme::ApiKey(ApiKey::Header(page)));
    let schemas = &mut components.schemas;
    schemas.insert(ProblemBody::name().into(), ProblemBody::schema());
    schemas.insert(ProblemItem::name().into(), ProblemItem::schema());
    for kind in ProblemKind::ALL {
        let mut response = Response::new(format!("{}.", kind.title()));
        let problem = Ref::from_schema_name(ProblemBody::name());
        response
            .content
            .insert(MEDIA_TYPE.to_owned(), Content::new(Some(problem)).into());
        let name = response_name(kind);
        components.responses.insert(name, response.into());
    }
}

fn response_name(kind: ProblemKind) -> String {
    kind.name()
        .split('-')
        .map(|word| word[..1].to_uppercase() + &word[1..])
        .collect()
}

/// Adds to the operations of a route what its rule means.
pub(crate) fn describe(paths: &mut Paths, rule: Rule) {
    for (path, item) in &mut paths.paths {
        let has_path_parameters = path.contains('{');
        if let Some(operation) = &mut item.get {
            protect(operation, rule.access, false);
        }
        let others = [
            &mut item.put,
            &mut item.post,
            &mut item.delete,
            &mut item.patch,
        ];
        for operation in others.into_iter().flatten() {
            protect(operation, rule.access, true);
        }
        for operation in operations(item) {
            for parameter in operation.parameters.iter_mut().flatten() {
                if let RefOr::T(parameter) = parameter {
                    never_null(parameter);
                }
            }
            let mut kinds = errors(operation, rule, has_path_parameters);
            let extensions = operation.extensions.get_or_insert_default();
            extensions.insert("x-palisade-action".to_owned(), rule.action.into());
            if let Effect::Writes { .. } = rule.effect {
                repeatable(operation, rule.action);
                kinds.push(ProblemKind::Conflict);
            }
            for kind in kinds {
                let answers = &mut operation.responses.responses;
                answers
                    .entry(kind.status().as_str().to_owned())
                    .or_insert_with(|| Ref::from_response_name(response_name(kind)).into());
            }
        }
    }
}

/// What the routes of some paths do, in a sentence.
pub(crate) fn summary(paths: &Paths) -> String {
    let mut items = paths.paths.values();
    let operation = items.find_map(|item| {
        let all = [&item.get, &item.put, &item.post, &item.delete, &item.patch];
        all.into_iter().flatten().next()
    });
    let summary = operation.and_then(|operation| operation.summary.clone());
    summary.unwrap_or_default()
}

pub(crate) fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.delete,
        &mut item.patch,
    ]
    .into_iter()
    .flatten()
}

/// A parameter is there or not; written out, `null` would be a text like any other.
fn never_null(parameter: &mut Parameter) {
    match &mut parameter.schema {
        Some(RefOr::T(Schema::OneOf(one_of))) if one_of.items.len() == 2 => {
            let is_null = |item: &RefOr<Schema>| {
                matches!(item, RefOr::T(Schema::Object(object))
                    if object.schema_type == SchemaType::Type(Type::Null))
            };
            one_of.items.retain(|item| !is_null(item));
            if let [only] = one_of.items.as_slice() {
                parameter.schema = Some(only.clone());
            }
        }
        Some(RefOr::T(Schema::Object(object))) => {
            if let SchemaType::Array(types) = &mut object.schema_type {
                types.retain(|kind| *kind != Type::Null);
                if let [only] = types.as_slice() {
                    object.schema_type = SchemaType::Type(only.clone());
                }
            }
        }
        _ => {}
    }
}

/// What shows who comes: a token, or a session, and with one what else a page of this server sends.
fn protect(operation: &mut Operation, access: Access, is_from_page: bool) {
    let scope = match access {
        Access::Public | Access::Body => {
            operation.security = Some(Vec::new());
            return;
        }
        Access::Token => None,
        Access::Scoped(scope) | Access::Published(scope) => Some(scope.as_str()),
    };
    let none: [&str; 0] = [];
    let mut session = SecurityRequirement::new(SESSION, none);
    if is_from_page {
        session = session.add(PAGE, none);
    }
    operation.security = Some(vec![SecurityRequirement::new(BEARER, scope), session]);
    let note = match scope {
        Some(scope) => format!("Scope: `{scope}`."),
        None => "Scope: any token.".to_owned(),
    };
    let text = operation.description.get_or_insert_default();
    *text = format!("{}\n\n{note}", text.trim_end())
        .trim_start()
        .to_owned();
    let extensions = operation.extensions.get_or_insert_default();
    extensions.insert("x-palisade-scope".to_owned(), scope.unwrap_or("any").into());
}

fn errors(operation: &Operation, rule: Rule, has_path_parameters: bool) -> Vec<ProblemKind> {
    let mut kinds = vec![
        ProblemKind::BadRequest,
        ProblemKind::Internal,
        ProblemKind::Unavailable,
    ];
    if rule.access != Access::Public {
        kinds.extend([ProblemKind::Unauthorized, ProblemKind::TooMany]);
    }
    let scoped = matches!(rule.access, Access::Scoped(_) | Access::Published(_));
    if scoped || matches!(rule.effect, Effect::Writes { .. }) {
        kinds.push(ProblemKind::Forbidden);
    }
    if has_path_parameters {
        kinds.push(ProblemKind::NotFound);
    }
    if operation.request_body.is_some() {
        kinds.extend([ProblemKind::TooLarge, ProblemKind::MediaType]);
    }
    if operation.request_body.is_some() || has_query(operation) {
        kinds.push(ProblemKind::Invalid);
    }
    kinds
}

fn has_query(operation: &Operation) -> bool {
    let mut parameters = operation.parameters.iter().flatten();
    parameters.any(|parameter| {
        matches!(parameter, RefOr::T(parameter)
            if matches!(parameter.parameter_in, ParameterIn::Query))
    })
}

fn repeatable(operation: &mut Operation, act: &str) {
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(255))
        .pattern(Some("^[!-~]+$"));
    let parameter = ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "A name of your choice for this write; sent again under it, the write is not done twice.",
        ))
        .schema(Some(schema))
        .build();
    let parameters = operation.parameters.get_or_insert_default();
    parameters.push(RefOr::T(parameter));
    let extensions = operation.extensions.get_or_insert_default();
    extensions.insert("x-palisade-act".to_owned(), act.into());
    let too_large = Ref::from_response_name(response_name(ProblemKind::TooLarge));
    let answers = &mut operation.responses.responses;
    answers.entry("413".to_owned()).or_insert(too_large.into());
}
