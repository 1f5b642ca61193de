//! What the tree says about one topic, ready to be used for many messages.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use palisade_core::{ShareName, Topic};

use super::tree::{Subscriber, Tree};

/// The subscription identifiers that a message carries to one session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SubscriptionIds {
    /// None.
    #[default]
    None,
    /// One.
    One([u32; 1]),
    /// Several, where filters overlap.
    Many(Arc<[u32]>),
}

impl SubscriptionIds {
    /// Them, in no order.
    #[must_use]
    pub fn as_slice(&self) -> &[u32] {
        match self {
            Self::None => &[],
            Self::One(id) => id,
            Self::Many(ids) => ids,
        }
    }

    /// From a list; zeros are no identifiers.
    #[must_use]
    pub fn new(ids: &[u32]) -> Self {
        match ids {
            [] | [0] => Self::None,
            [id] => Self::One([*id]),
            ids => Self::Many(ids.into()),
        }
    }
}

/// One session that gets a message once, however many of its filters match.
#[derive(Debug, Clone)]
pub struct Route<H> {
    /// The session.
    pub handle: H,
    /// The largest quality of service of its filters.
    pub qos: u8,
    /// Whether the retain flag stays as the publisher set it.
    pub retain_as_published: bool,
    /// The identifiers of its filters.
    pub ids: SubscriptionIds,
}

impl<H: Clone> Route<H> {
    fn new(subscriber: &Subscriber<H>) -> Self {
        Self {
            handle: subscriber.handle.clone(),
            qos: subscriber.options.qos,
            retain_as_published: subscriber.options.retain_as_published,
            ids: SubscriptionIds::new(&[subscriber.id]),
        }
    }

    fn join(&mut self, subscriber: &Subscriber<H>) {
        self.qos = self.qos.max(subscriber.options.qos);
        self.retain_as_published |= subscriber.options.retain_as_published;
        if subscriber.id != 0 {
            let mut ids = self.ids.as_slice().to_vec();
            ids.push(subscriber.id);
            self.ids = SubscriptionIds::new(&ids);
        }
    }
}

/// The members of a shared subscription, who take turns.
#[derive(Debug)]
pub struct Group<H> {
    /// Its name.
    pub share: ShareName,
    /// Its members, by session number.
    pub members: Vec<Subscriber<H>>,
    turn: AtomicUsize,
}

impl<H: Clone> Group<H> {
    /// A group.
    #[must_use]
    pub fn new(share: ShareName, members: Vec<Subscriber<H>>) -> Self {
        Self {
            share,
            members,
            turn: AtomicUsize::new(0),
        }
    }

    /// Whose turn it is: the next member that can take a message now, or else the next member.
    #[must_use]
    pub fn next(&self, can_take: impl Fn(&H) -> bool) -> Option<Route<H>> {
        let len = self.members.len();
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % len.max(1);
        let in_turn = || (0..len).map(|step| &self.members[(first + step) % len]);
        in_turn()
            .find(|member| can_take(&member.handle))
            .or_else(|| in_turn().next())
            .map(Route::new)
    }
}

/// Everybody who gets messages of one topic from one publisher.
#[derive(Debug)]
pub struct Routes<H> {
    /// Sessions with subscriptions of their own.
    pub direct: Vec<Route<H>>,
    /// Shared subscriptions; one member of each gets a message.
    pub groups: Vec<Arc<Group<H>>>,
}

impl<H: Clone> Routes<H> {
    /// What `tree` says for `topic`; `publisher` is the number of the session that publishes, for
    /// those who do not want their own messages.
    #[must_use]
    pub fn find(tree: &Tree<H>, topic: Topic<'_>, publisher: u64) -> Self {
        let mut direct: Vec<Route<H>> = Vec::new();
        let mut groups = Vec::new();
        let mut places: HashMap<u64, usize> = HashMap::new();
        tree.matching(
            topic,
            &mut |subscriber| {
                if subscriber.options.no_local && subscriber.key == publisher {
                    return;
                }
                match places.get(&subscriber.key) {
                    Some(place) => direct[*place].join(subscriber),
                    None => {
                        places.insert(subscriber.key, direct.len());
                        direct.push(Route::new(subscriber));
                    }
                }
            },
            &mut |group| groups.push(group.clone()),
        );
        Self { direct, groups }
    }

    /// Whether nobody gets it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.direct.is_empty() && self.groups.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use palisade_core::Subscription;

    use super::*;
    use crate::codec::SubscriptionOptions;

    fn add(tree: &mut Tree<u64>, filter: &str, key: u64, qos: u8, id: u32, no_local: bool) {
        let subscription = Subscription::parse(filter).expect("valid");
        let options = SubscriptionOptions {
            qos,
            no_local,
            ..SubscriptionOptions::default()
        };
        tree.insert(
            &subscription,
            Subscriber {
                key,
                handle: key,
                options,
                id,
            },
        );
    }

    #[test]
    fn overlapping_filters_of_a_session_are_one_route_with_all_identifiers() {
        let mut tree = Tree::default();
        add(&mut tree, "a/b", 1, 0, 7, false);
        add(&mut tree, "a/#", 1, 2, 9, false);
        add(&mut tree, "a/+", 2, 1, 0, false);
        let routes = Routes::find(&tree, Topic::parse("a/b").expect("valid"), 0);
        assert_eq!(routes.direct.len(), 2);
        let first = routes
            .direct
            .iter()
            .find(|route| route.handle == 1)
            .expect("there");
        assert_eq!(first.qos, 2);
        let mut ids = first.ids.as_slice().to_vec();
        ids.sort_unstable();
        assert_eq!(ids, [7, 9]);
    }

    #[test]
    fn no_local_keeps_only_own_messages_away() {
        let mut tree = Tree::default();
        add(&mut tree, "a", 1, 0, 0, true);
        let topic = Topic::parse("a").expect("valid");
        assert!(Routes::find(&tree, topic, 1).is_empty());
        assert!(!Routes::find(&tree, topic, 2).is_empty());
    }

    #[test]
    fn members_of_a_share_take_turns_and_those_who_cannot_are_passed_over() {
        let mut tree = Tree::default();
        for key in 1..=3 {
            add(&mut tree, "$share/g/a", key, 0, 0, false);
        }
        let routes = Routes::find(&tree, Topic::parse("a").expect("valid"), 0);
        let group = &routes.groups[0];
        let turns: Vec<u64> = (0..6)
            .filter_map(|_| group.next(|_| true))
            .map(|route| route.handle)
            .collect();
        assert_eq!(turns, [1, 2, 3, 1, 2, 3]);
        assert!(group.next(|_| false).is_some());
    }
}
