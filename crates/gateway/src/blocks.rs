//! Source addresses that are refused before anything is read from them.

use std::{net::IpAddr, sync::Arc};

use arc_swap::ArcSwap;
use palisade_core::{ActionId, Network};
use palisade_store::{Block, Store, StoreError};

/// The most networks that are blocked at once: each new connection is held against all of them.
pub(crate) const MAX_BLOCKS: usize = 4_096;

/// The networks that are refused, held in memory and on disk.
#[derive(Debug)]
pub struct BlockList {
    store: Store,
    held: ArcSwap<Held>,
    /// One changes them at a time.
    changing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Held {
    networks: Vec<(ActionId, Network)>,
    blocks: Vec<Block>,
}

impl BlockList {
    /// Reads those that survived the last stop.
    pub(crate) async fn open(store: Store) -> Result<Self, StoreError> {
        let list = Self {
            store,
            held: ArcSwap::default(),
            changing: tokio::sync::Mutex::default(),
        };
        list.read().await?;
        Ok(list)
    }

    async fn read(&self) -> Result<(), StoreError> {
        let blocks = self.store.blocks().all().await?;
        let mut held = Held::default();
        for block in blocks {
            match block.network.parse() {
                Ok(network) => {
                    held.networks.push((block.action, network));
                    held.blocks.push(block);
                }
                Err(error) => {
                    tracing::error!(network = block.network, %error, "a blocked network cannot be read");
                }
            }
        }
        self.held.store(Arc::new(held));
        Ok(())
    }

    /// Whether an address is refused.
    pub(crate) fn covers(&self, address: IpAddr) -> bool {
        let held = self.held.load();
        let mut networks = held.networks.iter();
        networks.any(|(_, network)| network.contains(address))
    }

    /// Those that are refused, the oldest first.
    pub(crate) fn all(&self) -> Vec<Block> {
        self.held.load().blocks.clone()
    }

    /// Refuses a network from now on; `false` where there are too many.
    pub(crate) async fn add(&self, block: &Block) -> Result<bool, StoreError> {
        let _changing = self.changing.lock().await;
        let held = self.held.load();
        let is_known = held
            .networks
            .iter()
            .any(|(action, _)| *action == block.action);
        if !is_known && held.networks.len() >= MAX_BLOCKS {
            return Ok(false);
        }
        self.store.blocks().put(block).await?;
        self.read().await?;
        Ok(true)
    }

    /// Refuses it no longer.
    pub(crate) async fn remove(&self, action: ActionId) -> Result<(), StoreError> {
        let _changing = self.changing.lock().await;
        self.store.blocks().remove(action).await?;
        self.read().await
    }
}
