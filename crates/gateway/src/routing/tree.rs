//! The tree of subscriptions.

use std::{collections::HashMap, sync::Arc};

use palisade_core::{ShareName, Subscription, Topic};

use super::routes::Group;
use crate::codec::SubscriptionOptions;

/// Who holds a subscription, and how. `H` is whatever the owner of the tree needs to reach a session.
#[derive(Debug, Clone)]
pub struct Subscriber<H> {
    /// The session, by number.
    pub key: u64,
    /// The session.
    pub handle: H,
    /// How the subscription is wanted.
    pub options: SubscriptionOptions,
    /// Its identifier, 0 where it has none.
    pub id: u32,
}

/// Subscriptions by filter.
#[derive(Debug)]
pub struct Tree<H> {
    root: Node<H>,
    len: usize,
}

#[derive(Debug)]
struct Node<H> {
    children: HashMap<Box<str>, Node<H>>,
    /// The level `+`.
    any: Option<Box<Node<H>>>,
    /// Filters that end here.
    here: Holders<H>,
    /// Filters that end in `#` below here.
    below: Holders<H>,
}

#[derive(Debug)]
struct Holders<H> {
    /// By session number, ascending.
    plain: Vec<Subscriber<H>>,
    shared: Vec<Arc<Group<H>>>,
}

impl<H: Clone> Tree<H> {
    /// How many subscriptions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Adds a subscription, or changes the one that the session holds already. Says whether it is new.
    pub fn insert(&mut self, subscription: &Subscription, subscriber: Subscriber<H>) -> bool {
        let filter = subscription.filter.as_str();
        let (levels, open) = split(filter);
        let mut node = &mut self.root;
        for level in levels {
            node = match level {
                "+" => node.any.get_or_insert_with(Box::default),
                _ => {
                    // Two look-ups, so that a level that is there already costs no allocation.
                    if !node.children.contains_key(level) {
                        node.children.insert(level.into(), Node::default());
                    }
                    match node.children.get_mut(level) {
                        Some(child) => child,
                        None => return false,
                    }
                }
            };
        }
        let holders = if open {
            &mut node.below
        } else {
            &mut node.here
        };
        let is_new = match &subscription.share {
            None => insert_sorted(&mut holders.plain, subscriber),
            Some(share) => holders.insert_shared(share, subscriber),
        };
        self.len += usize::from(is_new);
        is_new
    }

    /// Ends a subscription of a session. Says whether there was one.
    pub fn remove(&mut self, subscription: &Subscription, key: u64) -> bool {
        let (levels, open) = split(subscription.filter.as_str());
        let levels: Vec<&str> = levels.collect();
        let removed = self
            .root
            .remove(&levels, open, subscription.share.as_ref(), key);
        self.len -= usize::from(removed);
        removed
    }

    /// Shows every subscription whose filter matches, and every shared one as its group.
    pub fn matching<'t>(
        &'t self,
        topic: Topic<'_>,
        plain: &mut dyn FnMut(&'t Subscriber<H>),
        shared: &mut dyn FnMut(&'t Arc<Group<H>>),
    ) {
        let levels: Vec<&str> = topic.levels().collect();
        let wildcards_at_root = !topic.as_str().starts_with('$');
        self.root.walk(&levels, wildcards_at_root, &mut |holders| {
            holders.plain.iter().for_each(&mut *plain);
            holders.shared.iter().for_each(&mut *shared);
        });
    }
}

/// A filter's levels without a final `#`, and whether there was one.
fn split(filter: &str) -> (std::str::Split<'_, char>, bool) {
    match filter.strip_suffix("/#") {
        Some(prefix) => (prefix.split('/'), true),
        None if filter == "#" => {
            let mut none = "".split('/');
            none.next();
            (none, true)
        }
        None => (filter.split('/'), false),
    }
}

fn insert_sorted<H>(holders: &mut Vec<Subscriber<H>>, subscriber: Subscriber<H>) -> bool {
    match holders.binary_search_by_key(&subscriber.key, |held| held.key) {
        Ok(at) => {
            holders[at] = subscriber;
            false
        }
        Err(at) => {
            holders.insert(at, subscriber);
            true
        }
    }
}

impl<H: Clone> Node<H> {
    fn remove(&mut self, levels: &[&str], open: bool, share: Option<&ShareName>, key: u64) -> bool {
        let Some((level, rest)) = levels.split_first() else {
            let holders = if open {
                &mut self.below
            } else {
                &mut self.here
            };
            return holders.remove(share, key);
        };
        if *level == "+" {
            let Some(child) = &mut self.any else {
                return false;
            };
            let removed = child.remove(rest, open, share, key);
            if child.is_empty() {
                self.any = None;
            }
            removed
        } else {
            let Some(child) = self.children.get_mut(*level) else {
                return false;
            };
            let removed = child.remove(rest, open, share, key);
            if child.is_empty() {
                self.children.remove(*level);
                if self.children.is_empty() {
                    self.children = HashMap::new();
                }
            }
            removed
        }
    }

    fn is_empty(&self) -> bool {
        self.children.is_empty()
            && self.any.is_none()
            && self.here.is_empty()
            && self.below.is_empty()
    }

    fn walk<'t>(
        &'t self,
        levels: &[&str],
        wildcards_here: bool,
        found: &mut dyn FnMut(&'t Holders<H>),
    ) {
        if wildcards_here {
            found(&self.below);
        }
        let Some((level, rest)) = levels.split_first() else {
            found(&self.here);
            return;
        };
        if let Some(child) = self.children.get(*level) {
            child.walk(rest, true, found);
        }
        if wildcards_here && let Some(child) = &self.any {
            child.walk(rest, true, found);
        }
    }
}

impl<H: Clone> Holders<H> {
    fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.shared.is_empty()
    }

    fn insert_shared(&mut self, share: &ShareName, subscriber: Subscriber<H>) -> bool {
        match self.shared.iter_mut().find(|group| &group.share == share) {
            Some(group) => {
                let mut members = group.members.clone();
                let is_new = insert_sorted(&mut members, subscriber);
                *group = Arc::new(Group::new(share.clone(), members));
                is_new
            }
            None => {
                self.shared
                    .push(Arc::new(Group::new(share.clone(), vec![subscriber])));
                true
            }
        }
    }

    fn remove(&mut self, share: Option<&ShareName>, key: u64) -> bool {
        let Some(share) = share else {
            let found = self.plain.binary_search_by_key(&key, |held| held.key);
            return found.map(|at| self.plain.remove(at)).is_ok();
        };
        let Some(at) = self.shared.iter().position(|group| &group.share == share) else {
            return false;
        };
        let mut members = self.shared[at].members.clone();
        let Ok(member) = members.binary_search_by_key(&key, |held| held.key) else {
            return false;
        };
        members.remove(member);
        if members.is_empty() {
            self.shared.swap_remove(at);
        } else {
            self.shared[at] = Arc::new(Group::new(share.clone(), members));
        }
        true
    }
}

impl<H> Default for Tree<H> {
    fn default() -> Self {
        Self {
            root: Node::default(),
            len: 0,
        }
    }
}

impl<H> Default for Node<H> {
    fn default() -> Self {
        Self {
            children: HashMap::new(),
            any: None,
            here: Holders::default(),
            below: Holders::default(),
        }
    }
}

impl<H> Default for Holders<H> {
    fn default() -> Self {
        Self {
            plain: Vec::new(),
            shared: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use palisade_core::TopicFilter;
    use proptest::prelude::*;

    use super::*;

    fn subscriber(key: u64) -> Subscriber<()> {
        Subscriber {
            key,
            handle: (),
            options: SubscriptionOptions::default(),
            id: 0,
        }
    }

    fn holders(tree: &Tree<()>, topic: &str) -> Vec<u64> {
        let (mut found, mut shared) = (Vec::new(), Vec::new());
        tree.matching(
            Topic::parse(topic).expect("a topic"),
            &mut |subscriber| found.push(subscriber.key),
            &mut |group| shared.extend(group.members.iter().map(|member| member.key)),
        );
        found.append(&mut shared);
        found.sort_unstable();
        found
    }

    fn subscription(text: &str) -> Subscription {
        Subscription::parse(text).expect("a subscription")
    }

    #[test]
    fn a_subscription_is_found_until_it_is_removed_and_leaves_nothing_behind() {
        let mut tree = Tree::default();
        for (key, filter) in ["a/b", "a/+", "a/#", "#", "+/b", "$share/g/a/b"]
            .into_iter()
            .enumerate()
        {
            assert!(tree.insert(&subscription(filter), subscriber(key as u64)));
        }
        assert_eq!(holders(&tree, "a/b"), [0, 1, 2, 3, 4, 5]);
        assert_eq!(holders(&tree, "a"), [2, 3]);
        assert!(!tree.insert(&subscription("a/b"), subscriber(0)));
        assert!(!tree.remove(&subscription("a/b"), 7));
        for (key, filter) in ["a/b", "a/+", "a/#", "#", "+/b", "$share/g/a/b"]
            .into_iter()
            .enumerate()
        {
            assert!(tree.remove(&subscription(filter), key as u64));
        }
        assert_eq!(tree.len(), 0);
        assert!(tree.root.is_empty());
    }

    #[test]
    fn wildcards_at_the_root_do_not_match_topics_of_the_server() {
        let mut tree = Tree::default();
        tree.insert(&subscription("#"), subscriber(1));
        tree.insert(&subscription("+/x"), subscriber(2));
        tree.insert(&subscription("$palisade/#"), subscriber(3));
        assert_eq!(holders(&tree, "$palisade/x"), [3]);
        assert_eq!(holders(&tree, "a/x"), [1, 2]);
    }

    proptest! {
        #[test]
        fn the_tree_finds_what_the_filters_match(
            filters in proptest::collection::vec("(a|b|\\+|)(/(a|b|\\+|)){0,3}(/#)?", 1..20),
            topic in "(a|b|\\$s)(/(a|b|)){0,3}",
        ) {
            let filters: Vec<TopicFilter> = filters
                .iter()
                .filter_map(|text| TopicFilter::parse(text).ok())
                .collect();
            let mut tree = Tree::default();
            for (key, filter) in filters.iter().enumerate() {
                tree.insert(&subscription(filter.as_str()), subscriber(key as u64));
            }
            let topic_name = Topic::parse(&topic).expect("a topic");
            let expected: Vec<u64> = (0u64..)
                .zip(&filters)
                .filter(|(_, filter)| filter.matches(topic_name))
                .map(|(key, _)| key)
                .collect();
            prop_assert_eq!(holders(&tree, &topic), expected);
            for (key, filter) in filters.iter().enumerate() {
                prop_assert!(tree.remove(&subscription(filter.as_str()), key as u64));
            }
            prop_assert!(tree.root.is_empty());
        }
    }
}
