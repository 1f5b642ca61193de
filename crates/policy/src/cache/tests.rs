//! The promise of the cache, held against an oracle that remembers nothing: it binds grants anew and
//! shows policies everything, for each question.

use std::{net::IpAddr, sync::Arc};

use palisade_bus::LocalBus;
use palisade_core::{
    Clock, Decision, DenyReason, Device, DeviceId, Grant, GrantActions, GrantId, GrantScope,
    Labels, Lifecycle, ManualClock, Posture, Principal, ProductId, Request, SegmentId, Topic,
    TopicFilter, TopicPattern, TrustScore,
};
use palisade_ledger::Ledger;
use palisade_store::Store;
use parking_lot::Mutex;
use proptest::{prelude::*, sample::select};

use crate::{
    DecisionCache, Pdp,
    cell::Standing,
    engine::{Asker, Circumstances, Engine},
    grants::GrantTable,
    pdp::denied_before_policy,
    posture::Next,
};

const ID: &str = "d1";

#[derive(Debug, Clone)]
struct Fragment {
    effect: &'static str,
    action: &'static str,
    condition: &'static str,
}

/// A request, asked for in several variants one after another.
#[derive(Debug, Clone)]
struct Ask {
    action: u8,
    topic: &'static str,
    variants: Vec<Variant>,
}

#[derive(Debug, Clone, Copy)]
struct Variant {
    qos: u8,
    size: usize,
    retain: bool,
}

#[derive(Debug, Clone)]
enum Step {
    Ask(Ask),
    Wait {
        hours: i64,
    },
    Policies(Vec<Fragment>),
    Grant {
        scope: u8,
        pattern: &'static str,
        actions: [bool; 4],
    },
    Ungrant(usize),
    Lifecycle(Lifecycle),
    Segment(&'static str),
    Labels(&'static str),
    Trust(u8),
    Shadow(bool),
}

const CONDITIONS: &[&str] = &[
    "true",
    "principal.trust < 40",
    "principal.segment == \"floor\"",
    "principal.lifecycle == \"active\"",
    "principal == Device::\"d1\"",
    "context.source.isInRange(ip(\"10.0.0.0/8\"))",
    "context.hour >= 12",
    "context.weekday > 5 || principal.trust > 90",
    "if context.hour < 6 then principal.trust > 50 else true",
];
/// Of those actions that have a topic.
const MESSAGE_CONDITIONS: &[&str] = &[
    "context.qos == 2",
    "context has qos && context.qos == 1",
    "context.size > 100",
    "context.retain",
    "context.topic like \"a/*\"",
    "context.topic == \"b\" || context.size == 0",
    "[context.qos, 7].contains(0)",
    "{x: context}.x.size > 100",
    "(if principal.trust > 50 then context else context).qos == 1",
    "context has retain",
];
const TOPICS: &[&str] = &["a/d1", "a/d1", "b", "sites/berlin", "floor/x"];
const PATTERNS: &[&str] = &[
    "#",
    "a/{device}",
    "a/+",
    "sites/{label:site}",
    "{segment}/#",
    "b",
];

fn fragment() -> impl Strategy<Value = Fragment> {
    let any = select(CONDITIONS).prop_map(|condition| ("action", condition));
    let scopes = [
        "action in [Action::\"publish\", Action::\"retain\", Action::\"subscribe\", Action::\"receive\"]",
        "action == Action::\"publish\"",
        "action == Action::\"retain\"",
        "action in [Action::\"receive\", Action::\"subscribe\"]",
    ];
    let conditions = [CONDITIONS, MESSAGE_CONDITIONS, MESSAGE_CONDITIONS].concat();
    let of_messages = (select(scopes.to_vec()), select(conditions));
    let effect = select(vec!["permit", "permit", "permit", "forbid"]);
    (effect, prop_oneof![1 => any, 3 => of_messages]).prop_map(|(effect, (action, condition))| {
        Fragment {
            effect,
            action,
            condition,
        }
    })
}

fn text_of(fragments: &[Fragment]) -> String {
    let policy = |(n, it): (usize, &Fragment)| {
        let Fragment {
            effect,
            action,
            condition,
        } = it;
        format!(
            "@id(\"p{n}\") {effect} (principal is Device, {action}, resource) when {{ {condition} }};\n"
        )
    };
    fragments.iter().enumerate().map(policy).collect()
}

fn step() -> impl Strategy<Value = Step> {
    let variant = (0..3_u8, select(vec![0, 500]), any::<bool>())
        .prop_map(|(qos, size, retain)| Variant { qos, size, retain });
    let ask = (
        0..6_u8,
        select(TOPICS),
        prop::collection::vec(variant, 1..6),
    )
        .prop_map(|(action, topic, variants)| {
            Step::Ask(Ask {
                action,
                topic,
                variants,
            })
        });
    let grant =
        (0..3_u8, select(PATTERNS), any::<[bool; 4]>()).prop_map(|(scope, pattern, actions)| {
            Step::Grant {
                scope,
                pattern,
                actions,
            }
        });
    prop_oneof![
        60 => ask,
        6 => (1..30_i64).prop_map(|hours| Step::Wait { hours }),
        2 => prop::collection::vec(fragment(), 0..7).prop_map(Step::Policies),
        3 => grant,
        1 => (0..8_usize).prop_map(Step::Ungrant),
        1 => select(Lifecycle::ALL.to_vec()).prop_map(Step::Lifecycle),
        1 => select(vec!["floor", "yard"]).prop_map(Step::Segment),
        1 => select(vec!["site=berlin", "site=bonn", ""]).prop_map(Step::Labels),
        2 => (0..=100_u8).prop_map(Step::Trust),
        1 => any::<bool>().prop_map(Step::Shadow),
    ]
}

struct World {
    store: Store,
    clock: ManualClock,
    pdp: Arc<Pdp>,
    id: DeviceId,
    source: IpAddr,
    // Compiled once a version; it remembers no decision.
    oracle: Mutex<Option<(u64, Engine)>>,
    _directory: tempfile::TempDir,
}

impl World {
    async fn new(fragments: &[Fragment]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let store = palisade_test_store::open(directory.path())
            .await
            .expect("opens");
        let bus = Arc::new(LocalBus::new(store.clone()));
        let journal = Ledger::open(store.clone(), bus.clone())
            .await
            .expect("opens");
        let clock = ManualClock::new("2025-01-01T12:00:00Z".parse().expect("a time"));
        let shared = Arc::new(clock.clone());
        let pdp = Pdp::open(store.clone(), bus, journal, shared, Vec::new())
            .await
            .expect("opens");
        pdp.apply(&text_of(fragments), "", "a", "r")
            .await
            .expect("applies");
        let id = DeviceId::parse(ID).expect("valid");
        let device = Device {
            id: id.clone(),
            product: ProductId::parse("sensor").expect("valid"),
            labels: Labels::default(),
            posture: Posture {
                lifecycle: Lifecycle::Active,
                ..Posture::registered(SegmentId::parse("floor").expect("valid"))
            },
            registered_at: clock.now(),
            last_seen_at: None,
        };
        store
            .devices()
            .register(&[device])
            .await
            .expect("registers");
        let source = "10.1.2.3".parse().expect("an address");
        Self {
            store,
            clock,
            pdp,
            id,
            source,
            oracle: Mutex::default(),
            _directory: directory,
        }
    }

    /// What must come of a request, worked out from the store and nothing else.
    async fn oracle(&self, request: &Request<'_>) -> Decision {
        let device = self
            .store
            .devices()
            .find(&self.id)
            .await
            .expect("reads")
            .expect("is there");
        let version = self
            .store
            .policies()
            .current()
            .await
            .expect("reads")
            .expect("is there");
        let grants = GrantTable::new(
            self.store.grants().all().await.expect("reads"),
            &self.pdp.uses,
        );
        let standing = Standing::Device(device.into());
        let Standing::Device(known) = &standing else {
            unreachable!()
        };
        if let Some(reason) = denied_before_policy(&standing) {
            return Decision::Deny(reason);
        }
        if !grants.bind_device(&self.id, known).cover(request) {
            return Decision::Deny(DenyReason::NoGrant);
        }
        let mut oracle = self.oracle.lock();
        let (_, engine) = match oracle.take() {
            Some(known) if known.0 == version.version => oracle.insert(known),
            _ => {
                let engine = Engine::showing_everything(&version.text).expect("valid");
                oracle.insert((version.version, engine))
            }
        };
        let asker = Asker::device(ID, &known.product, &known.posture).expect("valid");
        engine
            .decide(
                &asker,
                request,
                Circumstances::new(self.source, self.clock.now()),
            )
            .decision
    }

    async fn take(&self, step: Step) {
        let pdp = &self.pdp;
        match step {
            Step::Ask(_) => {}
            Step::Wait { hours } => self.clock.advance_millis(hours * 3_600_000),
            Step::Policies(fragments) => {
                pdp.apply(&text_of(&fragments), "", "a", "r")
                    .await
                    .expect("applies");
            }
            Step::Grant {
                scope,
                pattern,
                actions,
            } => {
                pdp.add_grant(self.grant(scope, pattern, actions))
                    .await
                    .expect("adds");
            }
            Step::Ungrant(index) => {
                if let Some(grant) = pdp.grants().get(index) {
                    pdp.remove_grant(grant.id).await.expect("removes");
                }
            }
            Step::Lifecycle(to) => {
                self.change(|posture| posture.lifecycle = to).await;
            }
            Step::Segment(to) => {
                self.change(|posture| posture.segment = SegmentId::parse(to).expect("valid"))
                    .await;
            }
            Step::Labels(text) => {
                let labels = Labels::parse_list(text).expect("valid");
                pdp.set_labels(&self.id, labels).await.expect("sets");
            }
            Step::Trust(to) => {
                self.change(|posture| posture.trust = TrustScore::new(to))
                    .await
            }
            Step::Shadow(true) => pdp.start_shadow("").expect("valid"),
            Step::Shadow(false) => drop(pdp.stop_shadow()),
        }
    }

    async fn change(&self, change: impl Fn(&mut Posture)) {
        let next = |found: &Device| {
            let mut posture = found.posture.clone();
            change(&mut posture);
            Ok(Some(Next {
                posture,
                reason: String::new(),
            }))
        };
        self.pdp.change(&self.id, next).await.expect("changes");
    }

    fn grant(&self, scope: u8, pattern: &str, actions: [bool; 4]) -> Grant {
        let [publish, subscribe, receive, retain] = actions;
        Grant {
            id: GrantId::generate(),
            scope: match scope {
                0 => GrantScope::Fleet,
                1 => GrantScope::Segment(SegmentId::parse("floor").expect("valid")),
                _ => GrantScope::Device(self.id.clone()),
            },
            pattern: TopicPattern::parse(pattern).expect("a pattern"),
            actions: GrantActions {
                publish,
                subscribe,
                receive,
                retain,
                keep_days: None,
                sealed: false,
            },
            created_at: self.clock.now(),
        }
    }
}

fn request(action: u8, variant: Variant, filter: &TopicFilter) -> Request<'_> {
    let topic = Topic::parse(filter.as_str()).expect("a topic");
    let Variant { qos, size, retain } = variant;
    match action {
        0 => Request::Connect,
        1 => Request::Renew,
        2 => Request::Subscribe { filter, qos },
        3 => Request::Receive { topic, qos, size },
        _ => Request::Publish {
            topic,
            qos,
            retain,
            size,
        },
    }
}

async fn hold(fragments: Vec<Fragment>, capacity: usize, steps: Vec<Step>) -> (u64, u64) {
    let world = World::new(&fragments).await;
    world
        .pdp
        .add_grant(world.grant(0, "#", [true; 4]))
        .await
        .expect("adds");
    let principal = Principal::Device(world.id.clone());
    let subject = world
        .pdp
        .subject(&principal, world.source)
        .await
        .expect("known");
    let mut cache = DecisionCache::new(capacity);
    let mut asked = 0;
    for step in steps {
        let Step::Ask(ask) = step else {
            world.take(step).await;
            continue;
        };
        let filter = TopicFilter::parse(ask.topic).expect("a filter");
        for variant in ask.variants {
            let request = request(ask.action, variant, &filter);
            let expected = world.oracle(&request).await;
            asked += 1;
            for _ in 0..2 {
                let cached = cache.decide(&world.pdp, &subject, &request);
                assert_eq!(cached, expected, "cached: {request:?}");
            }
            let decided = world.pdp.decide(&subject, &request);
            assert_eq!(decided, expected, "uncached: {request:?}");
            let explained = world.pdp.explain(&subject, &request);
            assert_eq!(
                explained.allowed,
                expected.is_allow(),
                "explained: {request:?}"
            );
            if let Decision::Deny(reason) = expected {
                assert_eq!(explained.reason, Some(reason), "explained: {request:?}");
            }
        }
    }
    drop(cache);
    (asked, world.pdp.stats().cache_hits)
}

#[test]
fn a_cached_decision_equals_an_uncached_one() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("runs");
    // Each case opens a store; `PROPTEST_CASES` asks for more of them.
    let cases = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|text| text.parse().ok());
    let config = ProptestConfig::with_cases(cases.unwrap_or(16));
    let cases = (
        prop::collection::vec(fragment(), 1..7),
        select(vec![0, 1, 3, 64]),
        prop::collection::vec(step(), 20..80),
    );
    proptest!(config, |((fragments, capacity, steps) in cases)| {
        let (asked, hits) = runtime.block_on(hold(fragments, capacity, steps));
        // Each question is asked twice in a row, so that the second is remembered.
        prop_assert_eq!(hits >= asked, capacity > 0 || asked == 0);
    });
}

#[tokio::test]
async fn a_grant_by_which_something_was_let_through_is_noted_as_used() {
    let world = World::new(&[Fragment {
        effect: "permit",
        action: "action",
        condition: "true",
    }])
    .await;
    let pdp = &world.pdp;
    let wanted = [
        ("a/{device}", [true, false, false, false]),
        ("b", [true, false, false, false]),
    ];
    let mut ids = Vec::new();
    for (pattern, actions) in wanted {
        let grant = world.grant(0, pattern, actions);
        ids.push(grant.id);
        pdp.add_grant(grant).await.expect("adds");
    }
    let principal = Principal::Device(world.id.clone());
    let subject = pdp.subject(&principal, world.source).await.expect("known");
    let mut cache = DecisionCache::new(16);
    let mut publishes = |topic: &'static str| {
        let filter = TopicFilter::parse(topic).expect("a filter");
        let variant = Variant {
            qos: 0,
            size: 1,
            retain: false,
        };
        cache
            .decide(pdp, &subject, &request(4, variant, &filter))
            .is_allow()
    };
    assert!(publishes("a/d1") && !publishes("floor/x"));
    assert_eq!(
        pdp.uses.take(),
        [ids[0]],
        "not the other, and not what was denied"
    );
    assert!(publishes("a/d1"));
    assert_eq!(pdp.uses.take(), [], "it is remembered");
    pdp.uses.next_period();
    assert!(publishes("a/d1"));
    let used = pdp.uses.take();
    assert_eq!(used, [ids[0]], "not for ever");
    pdp.uses.give_back(&used);
    assert_eq!(pdp.uses.take(), used);
    pdp.remove_grant(ids[0]).await.expect("removes");
    pdp.uses.give_back(&used);
    assert_eq!(pdp.uses.take(), [], "what is gone is forgotten");
}
