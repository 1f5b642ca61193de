//! Grants in memory, and what they come to for one principal.

use std::{collections::HashMap, num::NonZeroU16};

use palisade_core::{
    Bindings, DeviceId, Grant, GrantId, GrantScope, Request, ServiceId, Topic, TopicFilter,
    TopicPattern,
};

use crate::{
    cell::Known,
    uses::{Used, Uses},
};

/// All grants, by whom they are for.
#[derive(Debug, Default)]
pub(crate) struct GrantTable {
    by_scope: HashMap<GrantScope, Vec<Counted>>,
}

/// A grant, and where its uses are marked.
#[derive(Debug)]
struct Counted {
    grant: Grant,
    used: Used,
}

/// A grant as it stands for one principal.
#[derive(Debug, Clone)]
struct Bound {
    id: GrantId,
    filter: TopicFilter,
    used: Used,
}

/// What one principal is granted, by action.
#[derive(Debug, Default)]
pub(crate) struct BoundGrants {
    publish: Vec<Bound>,
    retain: Vec<Bound>,
    subscribe: Vec<Bound>,
    receive: Vec<Bound>,
    /// What the server tells this device alone: granted to each, and taken by no restriction.
    line: Option<TopicFilter>,
    /// What is kept of what it publishes, and for how many days.
    keep: Vec<(TopicFilter, NonZeroU16)>,
    /// Where what it publishes is to be sealed for its readers.
    sealed: Vec<TopicFilter>,
    /// Where there are any: a request counts only if it is within one of these too.
    only: Option<Vec<TopicFilter>>,
}

impl GrantTable {
    pub(crate) fn new(grants: Vec<Grant>, uses: &Uses) -> Self {
        let mut by_scope: HashMap<GrantScope, Vec<Counted>> = HashMap::new();
        for grant in grants {
            let used = uses.of(grant.id);
            let of_scope = by_scope.entry(grant.scope.clone()).or_default();
            of_scope.push(Counted { grant, used });
        }
        Self { by_scope }
    }

    /// All of them, oldest first.
    pub(crate) fn all(&self) -> Vec<Grant> {
        let all = self.by_scope.values().flatten();
        let mut all: Vec<Grant> = all.map(|counted| counted.grant.clone()).collect();
        all.sort_by_key(|grant| grant.id);
        all
    }

    pub(crate) fn bind_device(&self, device: &DeviceId, known: &Known) -> BoundGrants {
        let segment = &known.posture.segment;
        let bindings = bindings_of(device, known);
        let scopes = [
            GrantScope::Fleet,
            GrantScope::Product(known.product.clone()),
            GrantScope::Segment(segment.clone()),
            GrantScope::Device(device.clone()),
        ];
        BoundGrants {
            line: TopicFilter::parse(&format!("$palisade/devices/{device}/#")).ok(),
            ..self.bind(&scopes, &bindings)
        }
    }

    /// The same, of which only what is within these topics counts.
    pub(crate) fn bind_restricted(
        &self,
        device: &DeviceId,
        known: &Known,
        topics: &[TopicPattern],
    ) -> BoundGrants {
        let bindings = bindings_of(device, known);
        let only = topics.iter().filter_map(|topic| topic.bind(&bindings));
        BoundGrants {
            only: Some(only.collect()),
            ..self.bind_device(device, known)
        }
    }

    pub(crate) fn bind_service(&self, service: &ServiceId) -> BoundGrants {
        let bindings = Bindings {
            service: Some(service),
            ..Bindings::default()
        };
        self.bind(&[GrantScope::Service(service.clone())], &bindings)
    }

    fn bind(&self, scopes: &[GrantScope], bindings: &Bindings<'_>) -> BoundGrants {
        let mut bound = BoundGrants::default();
        for Counted { grant, used } in scopes
            .iter()
            .filter_map(|scope| self.by_scope.get(scope))
            .flatten()
        {
            let Some(filter) = grant.pattern.bind(bindings) else {
                continue;
            };
            if let Some(days) = grant.actions.keep_days.filter(|_| grant.actions.publish) {
                bound.keep.push((filter.clone(), days));
            }
            if grant.actions.publish && grant.actions.sealed {
                bound.sealed.push(filter.clone());
            }
            let entry = Bound {
                id: grant.id,
                filter,
                used: used.clone(),
            };
            let lists = [
                (grant.actions.publish, &mut bound.publish),
                (grant.actions.retain, &mut bound.retain),
                (grant.actions.subscribe, &mut bound.subscribe),
                (grant.actions.receive, &mut bound.receive),
            ];
            for (_, list) in lists.into_iter().filter(|(wanted, _)| *wanted) {
                list.push(entry.clone());
            }
        }
        bound
    }
}

impl BoundGrants {
    /// Whether the request is covered; what is not about a topic needs no grant.
    pub(crate) fn cover(&self, request: &Request<'_>) -> bool {
        self.is_own_line(request) || (self.is_left(request) && self.grant(request))
    }

    /// For how many days a message of this topic is kept: as the longest of the grants says.
    pub(crate) fn keep_days(&self, topic: Topic<'_>) -> Option<NonZeroU16> {
        let kept = self.keep.iter().filter(|(filter, _)| filter.matches(topic));
        kept.map(|(_, days)| *days).max()
    }

    /// Whether a message of this topic is to be sealed: as any of the grants says.
    pub(crate) fn demand_sealed(&self, topic: Topic<'_>) -> bool {
        self.sealed.iter().any(|filter| filter.matches(topic))
    }

    /// Whether anything that it publishes is to be sealed.
    pub(crate) fn seal_any(&self) -> bool {
        !self.sealed.is_empty()
    }

    /// Whether anything that it publishes is kept.
    pub(crate) fn keep_any(&self) -> bool {
        !self.keep.is_empty()
    }

    /// Whether the request is to hear what the server tells this device alone.
    fn is_own_line(&self, request: &Request<'_>) -> bool {
        let Some(line) = &self.line else {
            return false;
        };
        match request {
            Request::Receive { topic, .. } => line.matches(*topic),
            Request::Subscribe { filter, .. } => filter.is_subset_of(line),
            _ => false,
        }
    }

    /// Whether a restriction leaves the request alone.
    fn is_left(&self, request: &Request<'_>) -> bool {
        let Some(only) = &self.only else {
            return true;
        };
        match request {
            Request::Connect | Request::Enroll | Request::Renew => true,
            Request::Publish { topic, .. } | Request::Receive { topic, .. } => {
                only.iter().any(|filter| filter.matches(*topic))
            }
            Request::Subscribe { filter, .. } => {
                only.iter().any(|wider| filter.is_subset_of(wider))
            }
        }
    }

    fn grant(&self, request: &Request<'_>) -> bool {
        match request {
            Request::Connect | Request::Enroll | Request::Renew => true,
            Request::Publish { topic, retain, .. } => {
                matches(&self.publish, *topic) && (!retain || matches(&self.retain, *topic))
            }
            Request::Receive { topic, .. } => matches(&self.receive, *topic),
            Request::Subscribe { filter, .. } => self
                .subscribe
                .iter()
                .any(|bound| filter.is_subset_of(&bound.filter)),
        }
    }

    /// Notes that the grants that cover the request are used.
    pub(crate) fn mark(&self, request: &Request<'_>) {
        let of_topic = |list: &[Bound], topic: Topic<'_>| {
            let covering = list.iter().filter(|bound| bound.filter.matches(topic));
            covering.for_each(|bound| bound.used.mark());
        };
        match request {
            Request::Connect | Request::Enroll | Request::Renew => {}
            Request::Publish { topic, .. } => of_topic(&self.publish, *topic),
            // A subscription is asked for once and may stand for months: what comes by it says that it is used.
            Request::Receive { topic, .. } => {
                of_topic(&self.receive, *topic);
                of_topic(&self.subscribe, *topic);
            }
            Request::Subscribe { filter, .. } => {
                let covering = self.subscribe.iter();
                let covering = covering.filter(|bound| filter.is_subset_of(&bound.filter));
                covering.for_each(|bound| bound.used.mark());
            }
        }
    }

    /// The grants that cover the request.
    pub(crate) fn covering(&self, request: &Request<'_>) -> Vec<GrantId> {
        if !self.is_left(request) {
            return Vec::new();
        }
        let of_topic = |list: &[Bound], topic: Topic<'_>| -> Vec<GrantId> {
            list.iter()
                .filter(|bound| bound.filter.matches(topic))
                .map(|bound| bound.id)
                .collect()
        };
        match request {
            Request::Connect | Request::Enroll | Request::Renew => Vec::new(),
            Request::Publish { topic, .. } => of_topic(&self.publish, *topic),
            Request::Receive { topic, .. } => of_topic(&self.receive, *topic),
            Request::Subscribe { filter, .. } => self
                .subscribe
                .iter()
                .filter(|bound| filter.is_subset_of(&bound.filter))
                .map(|bound| bound.id)
                .collect(),
        }
    }
}

fn bindings_of<'a>(device: &'a DeviceId, known: &'a Known) -> Bindings<'a> {
    Bindings {
        device: Some(device),
        product: Some(&known.product),
        segment: Some(&known.posture.segment),
        service: None,
        labels: Some(&known.labels),
    }
}

fn matches(list: &[Bound], topic: Topic<'_>) -> bool {
    list.iter().any(|bound| bound.filter.matches(topic))
}
