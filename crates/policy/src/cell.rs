//! What is known of whoever holds a session. A device has one cell, shared by all its sessions, and a
//! changed posture is put into it: that is how a change reaches every open session at once. A cell
//! lives as long as a subject does; a device without sessions costs nothing.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use dashmap::{DashMap, Entry};
use palisade_core::{Device, Epoch, Labels, Posture, Principal, ProductId, Stamp};
use parking_lot::Mutex;

use crate::bound::Bound;

/// What is known of a device.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) product: ProductId,
    pub(crate) labels: Labels,
    pub(crate) posture: Arc<Posture>,
}

impl From<Device> for Known {
    fn from(device: Device) -> Self {
        Self {
            product: device.product,
            labels: device.labels,
            posture: Arc::new(device.posture),
        }
    }
}

/// Whether a principal is known, and as what.
#[derive(Debug)]
pub(crate) enum Standing {
    /// It was asked for, and the answer is not here yet. Decided as unknown.
    Unread,
    /// A device.
    Device(Known),
    /// A service; policies see nothing of it but its name.
    Service,
    /// It is not, or no longer, in the system of record. A cell does not come back from here.
    Gone,
}

impl Standing {
    pub(crate) fn epoch(&self) -> Epoch {
        match self {
            Self::Device(known) => known.posture.epoch,
            Self::Unread | Self::Service | Self::Gone => Epoch::default(),
        }
    }

    fn gives_way_to(&self, to: &Self) -> bool {
        match (self, to) {
            (Self::Gone, _) => false,
            (Self::Device(_), Self::Device(known)) => known.posture.epoch > self.epoch(),
            _ => true,
        }
    }
}

/// One principal with at least one session.
pub(crate) struct Cell {
    principal: Principal,
    standing: ArcSwap<Standing>,
    // INVARIANT: moves after `standing` does, so that whoever reads the new epoch sees the new standing.
    posture_epoch: AtomicU64,
    bound: ArcSwapOption<Bound>,
    last_source: Mutex<IpAddr>,
    live: Arc<Live>,
}

impl Cell {
    pub(crate) fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Two loads, no lock.
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp {
            policy: Epoch(self.live.policy_epoch.load(Ordering::Acquire)),
            posture: Epoch(self.posture_epoch.load(Ordering::Acquire)),
        }
    }

    pub(crate) fn standing(&self) -> Guard<Arc<Standing>> {
        self.standing.load()
    }

    pub(crate) fn posture(&self) -> Option<Arc<Posture>> {
        match &**self.standing.load() {
            Standing::Device(known) => Some(known.posture.clone()),
            Standing::Unread | Standing::Service | Standing::Gone => None,
        }
    }

    /// Takes over what is known, if it is newer. What was read from the store before a change and
    /// arrives after it must not undo the change.
    pub(crate) fn apply(&self, standing: Standing) {
        let standing = Arc::new(standing);
        self.standing.rcu(|now| match now.gives_way_to(&standing) {
            true => standing.clone(),
            false => now.clone(),
        });
        self.posture_epoch
            .fetch_max(standing.epoch().0, Ordering::AcqRel);
    }

    /// Takes over a posture that was changed alone, the next after the one that is known; `false`
    /// where changes in between were missed, so that the device must be read anew.
    pub(crate) fn apply_posture(&self, posture: &Arc<Posture>) -> bool {
        let standing = self.standing.load_full();
        match &*standing {
            Standing::Device(known) if known.posture.epoch.next() == posture.epoch => {
                self.apply(Standing::Device(Known {
                    product: known.product.clone(),
                    labels: known.labels.clone(),
                    posture: posture.clone(),
                }));
                true
            }
            Standing::Device(known) => known.posture.epoch >= posture.epoch,
            Standing::Unread | Standing::Service => false,
            Standing::Gone => true,
        }
    }

    /// Takes over a posture that came after others that were missed, until the device can be read. It
    /// is put in force under the epoch before its own, so that what is read then is newer.
    pub(crate) fn apply_meanwhile(&self, posture: &Posture) {
        if let Standing::Device(known) = &**self.standing.load() {
            let epoch = Epoch(posture.epoch.0.saturating_sub(1));
            self.apply(Standing::Device(Known {
                product: known.product.clone(),
                labels: known.labels.clone(),
                posture: Arc::new(Posture {
                    epoch,
                    ..posture.clone()
                }),
            }));
        }
    }

    /// The principal is no longer in the system of record.
    pub(crate) fn vanish(&self) {
        self.standing.store(Arc::new(Standing::Gone));
        self.posture_epoch.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn bound(&self) -> Guard<Option<Arc<Bound>>> {
        self.bound.load()
    }

    pub(crate) fn set_bound(&self, bound: &Arc<Bound>) {
        self.bound.store(Some(bound.clone()));
    }

    /// From where its newest session came.
    pub(crate) fn last_source(&self) -> IpAddr {
        *self.last_source.lock()
    }

    pub(crate) fn set_last_source(&self, source: IpAddr) {
        *self.last_source.lock() = source;
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cell")
            .field("principal", &self.principal)
            .field("stamp", &self.stamp())
            .finish_non_exhaustive()
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        // Another cell may already stand in this one's place.
        self.live
            .cells
            .remove_if(&self.principal, |_, cell| cell.strong_count() == 0);
    }
}

/// All cells, and the policy epoch that they share.
#[derive(Debug, Default)]
pub(crate) struct Live {
    cells: DashMap<Principal, Weak<Cell>>,
    policy_epoch: AtomicU64,
}

impl Live {
    /// The cell of a principal, made if there is none.
    pub(crate) fn enter(self: &Arc<Self>, principal: &Principal) -> Arc<Cell> {
        match self.cells.entry(principal.clone()) {
            Entry::Occupied(mut entry) => {
                let cell = entry.get().upgrade();
                match cell {
                    Some(cell) if !matches!(&**cell.standing(), Standing::Gone) => cell,
                    gone => {
                        let cell = self.new_cell(principal);
                        entry.insert(Arc::downgrade(&cell));
                        // INVARIANT: the last owner of a cell must not drop it under the map's lock,
                        // because dropping it takes that lock.
                        drop(entry);
                        drop(gone);
                        cell
                    }
                }
            }
            Entry::Vacant(entry) => {
                let cell = self.new_cell(principal);
                entry.insert(Arc::downgrade(&cell));
                cell
            }
        }
    }

    /// A cell that no session shares: what is put into it touches nobody.
    pub(crate) fn apart(self: &Arc<Self>, principal: &Principal) -> Arc<Cell> {
        self.new_cell(principal)
    }

    /// The cell of a principal, if it has a session.
    pub(crate) fn find(&self, principal: &Principal) -> Option<Arc<Cell>> {
        self.cells.get(principal).and_then(|cell| cell.upgrade())
    }

    /// All cells there are now.
    pub(crate) fn all(&self) -> Vec<Arc<Cell>> {
        self.cells
            .iter()
            .filter_map(|cell| cell.upgrade())
            .collect()
    }

    /// How many principals have a session.
    pub(crate) fn count(&self) -> usize {
        self.cells.len()
    }

    pub(crate) fn set_policy_epoch(&self, epoch: Epoch) {
        self.policy_epoch.store(epoch.0, Ordering::Release);
    }

    fn new_cell(self: &Arc<Self>, principal: &Principal) -> Arc<Cell> {
        Arc::new(Cell {
            principal: principal.clone(),
            standing: ArcSwap::from_pointee(Standing::Unread),
            posture_epoch: AtomicU64::new(0),
            bound: ArcSwapOption::empty(),
            last_source: Mutex::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            live: self.clone(),
        })
    }
}
