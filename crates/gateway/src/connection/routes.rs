//! The routes of the topics that a connection published to lately.

use std::{collections::HashMap, sync::Arc};

use palisade_core::{Topic, TopicBuf, TopicError};

use crate::{broker::Broker, routing::Routes, session::Session};

/// A topic and who gets its messages.
#[derive(Debug, Clone)]
pub struct Known {
    /// The topic, checked.
    pub topic: TopicBuf,
    /// Who gets its messages.
    pub routes: Arc<Routes<Arc<Session>>>,
}

/// Routes by topic; forgotten whenever any subscription changes.
#[derive(Debug, Default)]
pub struct RouteCache {
    generation: u64,
    known: HashMap<TopicBuf, Arc<Routes<Arc<Session>>>>,
}

/// Topics that a connection publishes to by turns; a device has few.
const MOST: usize = 64;

impl RouteCache {
    /// Who gets messages of this topic from this session.
    ///
    /// # Errors
    /// When it is no topic.
    pub fn find(
        &mut self,
        broker: &Broker,
        topic: &str,
        publisher: u64,
    ) -> Result<Known, TopicError> {
        let generation = broker.generation();
        if generation != self.generation {
            self.known.clear();
            self.generation = generation;
        }
        if let Some((topic, routes)) = self.known.get_key_value(topic) {
            return Ok(Known {
                topic: topic.clone(),
                routes: routes.clone(),
            });
        }
        let topic = Topic::parse(topic)?;
        let routes = Arc::new(broker.routes(topic, publisher));
        let topic = topic.to_owned();
        if self.known.len() >= MOST {
            self.known.clear();
        }
        self.known.insert(topic.clone(), routes.clone());
        Ok(Known { topic, routes })
    }

    /// Forgets everything, so that an idle connection holds nothing.
    pub fn clear(&mut self) {
        self.known = HashMap::new();
    }
}
