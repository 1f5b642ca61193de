//! Grants and policies: whether a device that is taken over stays within what is its own.

use std::collections::BTreeMap;

use super::look::{Look, LookError, Noted, days_between};
use crate::Subject;
use palisade_core::{
    Bindings, Device, DeviceId, Grant, GrantScope, Labels, Lifecycle, Posture, ProductId, Request,
    SegmentId, Topic, TopicFilter, TrustScore,
};

/// The most products that policies are asked about.
const PRODUCTS: usize = 200;
/// Literal levels of one grant that are looked up as devices.
const LEVELS: usize = 32;

/// Two devices that do not exist, of the same product and segment.
struct Probes {
    one: DeviceId,
    other: DeviceId,
    product: ProductId,
    segment: SegmentId,
}

impl Probes {
    /// Probes to which a grant of this scope belongs; `None` where no name can be made.
    fn of(scope: &GrantScope) -> Option<Self> {
        let (mut product, mut segment) = (
            ProductId::parse("audit-probe").ok()?,
            SegmentId::parse("audit-probe").ok()?,
        );
        let mut one = DeviceId::parse("audit-probe-one").ok()?;
        match scope {
            GrantScope::Product(id) => product = id.clone(),
            GrantScope::Segment(id) => segment = id.clone(),
            GrantScope::Device(id) => one = id.clone(),
            GrantScope::Fleet | GrantScope::Service(_) => {}
        }
        let other = DeviceId::parse("audit-probe-other").ok()?;
        Some(Self {
            one,
            other,
            product,
            segment,
        })
    }

    fn bind(&self, grant: &Grant, device: &DeviceId) -> Option<TopicFilter> {
        grant.pattern.bind(&Bindings {
            device: Some(device),
            product: Some(&self.product),
            segment: Some(&self.segment),
            service: None,
            labels: None,
        })
    }
}

pub(super) async fn grants(look: &Look<'_>, noted: &mut Noted) -> Result<(), LookError> {
    let all = look.store.grants().all().await?;
    // What belongs to one device by its name: the subtrees that others should not reach. Each once, however many
    // devices have a grant of their own: a fleet would be compared with itself otherwise.
    let own: BTreeMap<&str, &Grant> = all
        .iter()
        .map(|grant| (grant.pattern.as_str(), grant))
        .filter(|(pattern, _)| pattern.contains("{device}"))
        .collect();
    let own: Vec<&Grant> = own.into_values().collect();
    for grant in &all {
        if matches!(grant.scope, GrantScope::Service(_)) {
            continue;
        }
        noted.looked_at += 1;
        let why = match too_wide(grant, &own) {
            Some(why) => Some(why),
            None => of_another(grant, look).await?,
        };
        if let Some(why) = why {
            let subject = match &grant.scope {
                GrantScope::Device(id) => Subject::Principal(id.clone().into()),
                _ => Subject::Fleet,
            };
            let (kind, id) = (grant.scope.kind(), grant.scope.id());
            let whose = format!("{kind} {id}");
            let detail = format!("{} granted to {}: {why}", grant.pattern, whose.trim());
            noted.note(format!("grant/{}", grant.id), &subject, &detail);
        }
        look.turn().await?;
    }
    Ok(())
}

/// Grants by which nothing was let through for long. Nothing is said before it was noted for as long.
pub(super) async fn unused_grants(look: &Look<'_>, noted: &mut Noted) -> Result<(), LookError> {
    let since = look.days_ago(look.config.unused_grant_days);
    let uses = look.store.grants().uses().await?;
    if uses.get("").is_none_or(|noted_since| *noted_since > since) {
        return Ok(());
    }
    for grant in look.store.grants().all().await? {
        noted.looked_at += 1;
        let last = uses.get(&grant.id.to_string()).copied();
        if last.unwrap_or(grant.created_at) > since {
            continue;
        }
        let subject = match &grant.scope {
            GrantScope::Device(id) => Subject::Principal(id.clone().into()),
            GrantScope::Service(id) => Subject::Principal(id.clone().into()),
            _ => Subject::Fleet,
        };
        let whose = format!("{} {}", grant.scope.kind(), grant.scope.id());
        let when = match last {
            Some(last) => format!("last used {} days ago", days_between(last, look.now)),
            None => format!(
                "never used in {} days",
                days_between(grant.created_at, look.now)
            ),
        };
        let detail = format!("{} granted to {}: {when}", grant.pattern, whose.trim());
        noted.note(format!("grant/{}", grant.id), &subject, &detail);
        look.turn().await?;
    }
    Ok(())
}

/// Whether a grant reaches what belongs to other devices by its wildcards.
fn too_wide(grant: &Grant, own: &[&Grant]) -> Option<String> {
    let pattern = grant.pattern.as_str();
    if pattern == "#" {
        return Some("that is every topic there is".to_owned());
    }
    if pattern.starts_with("+/") && !pattern.contains('{') {
        return Some("that reaches below every first level".to_owned());
    }
    let probes = Probes::of(&grant.scope)?;
    let reach = probes.bind(grant, &probes.one)?;
    let reached = own.iter().find(|theirs| {
        let subtree = probes.bind(theirs, &probes.other);
        subtree.is_some_and(|subtree| subtree.is_subset_of(&reach))
    })?;
    Some(format!(
        "it covers what {} gives to each other device",
        reached.pattern
    ))
}

/// Whether a grant to one device names another device.
async fn of_another(grant: &Grant, look: &Look<'_>) -> Result<Option<String>, LookError> {
    let GrantScope::Device(own) = &grant.scope else {
        return Ok(None);
    };
    let levels = grant.pattern.as_str().split('/').take(LEVELS);
    for id in levels.filter_map(|level| DeviceId::parse(level).ok()) {
        if id != *own && look.store.devices().find(&id).await?.is_some() {
            return Ok(Some(format!("{id} is another device")));
        }
    }
    Ok(None)
}

pub(super) async fn policies(look: &Look<'_>, noted: &mut Noted) -> Result<(), LookError> {
    let products = look.store.devices().products().await?;
    let probes = products
        .into_iter()
        .take(PRODUCTS)
        .map(|product| (product.id, product.default_segment));
    let (Ok(id), Ok(product), Ok(segment)) = (
        DeviceId::parse("audit-probe"),
        ProductId::parse("audit-probe"),
        SegmentId::parse("audit-probe"),
    ) else {
        return Ok(());
    };
    for (product, segment) in probes.chain([(product, segment)]) {
        let probe = Device {
            id: id.clone(),
            product,
            labels: Labels::default(),
            posture: Posture::registered(segment),
            registered_at: look.now,
            last_seen_at: None,
        };
        noted.looked_at += 1;
        ask_without_trust(&probe, look, noted);
        ask_before_enrolment(probe, look, noted);
        look.turn().await?;
    }
    Ok(())
}

fn ask_without_trust(probe: &Device, look: &Look<'_>, noted: &mut Noted) {
    let distrusted = Device {
        posture: Posture {
            lifecycle: Lifecycle::Active,
            trust: TrustScore::MIN,
            ..probe.posture.clone()
        },
        ..probe.clone()
    };
    let permitted = permitted(&distrusted, look);
    if !permitted.is_empty() {
        let product = &probe.product;
        let detail = format!(
            "a device of product {product} with trust 0 may {}",
            permitted.join(", ")
        );
        noted.note(
            format!("policy/no-trust/{product}"),
            &Subject::Fleet,
            &detail,
        );
    }
}

fn ask_before_enrolment(probe: Device, look: &Look<'_>, noted: &mut Noted) {
    let permitted = permitted(&probe, look);
    if !permitted.is_empty() {
        let product = &probe.product;
        let detail = format!(
            "a device of product {product} that never enrolled may {}",
            permitted.join(", ")
        );
        noted.note(
            format!("policy/not-enrolled/{product}"),
            &Subject::Fleet,
            &detail,
        );
    }
}

/// What the policies permit to a device, but for enrolling.
fn permitted(device: &Device, look: &Look<'_>) -> Vec<&'static str> {
    let (Ok(topic), Ok(filter)) = (
        Topic::parse("audit-probe/topic"),
        TopicFilter::parse("audit-probe/topic"),
    ) else {
        return Vec::new();
    };
    let (qos, size) = (0, 16);
    let requests = [
        ("connect", Request::Connect),
        (
            "publish",
            Request::Publish {
                topic,
                qos,
                retain: false,
                size,
            },
        ),
        (
            "subscribe",
            Request::Subscribe {
                filter: &filter,
                qos,
            },
        ),
        ("receive", Request::Receive { topic, qos, size }),
        ("renew", Request::Renew),
    ];
    let permits = |request: &Request<'_>| look.source.permits(device, request);
    requests
        .iter()
        .filter(|(_, request)| permits(request))
        .map(|(name, _)| *name)
        .collect()
}
