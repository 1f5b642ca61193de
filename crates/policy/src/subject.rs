//! Subjects: who asks, from where, under which posture. A session holds one.

use std::{net::IpAddr, sync::Arc};

use palisade_core::{Posture, Principal, Stamp};
use palisade_store::StoreError;

use crate::{
    Pdp, PostureError, SubjectError,
    cell::{Cell, Standing},
};

/// Who asks. It stays true while it is held: a changed posture is seen by the next decision, and
/// [`Subject::stamp`] moves.
#[derive(Debug)]
pub struct Subject {
    pub(crate) cell: Arc<Cell>,
    source: IpAddr,
}

impl Subject {
    /// Who.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        self.cell.principal()
    }

    /// From where.
    #[must_use]
    pub fn source(&self) -> IpAddr {
        self.source
    }

    /// Under which epochs a decision made now would stand. Costs two atomic loads: compare it for each
    /// message, and when it moved, ask again for everything that was allowed before.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        self.cell.stamp()
    }

    /// What is thought of the device now; `None` for a service.
    #[must_use]
    pub fn posture(&self) -> Option<Arc<Posture>> {
        self.cell.posture()
    }
}

impl Pdp {
    /// Looks a principal up for a session, and weighs its trust anew.
    ///
    /// # Errors
    /// When the principal is not known or the system of record failed: nobody is admitted then.
    pub async fn subject(
        &self,
        principal: &Principal,
        source: IpAddr,
    ) -> Result<Arc<Subject>, SubjectError> {
        // The cell comes before the read, so that a change made in between is put into it.
        let cell = self.live.enter(principal);
        cell.set_last_source(source);
        let Some(found) = self.read_standing(principal).await? else {
            cell.vanish();
            return Err(SubjectError::Unknown);
        };
        cell.apply(found);
        if let Principal::Device(id) = principal {
            match self.weigh_at_admission(id, &cell).await {
                // Who changes the posture at the same moment weighs it too.
                Ok(()) | Err(PostureError::Conflict) => {}
                Err(PostureError::Unknown) => return Err(SubjectError::Unknown),
                Err(PostureError::Store(error)) => return Err(SubjectError::Store(error)),
                Err(error) => return Err(SubjectError::Trust(Box::new(error))),
            }
        }
        Ok(Arc::new(Subject { cell, source }))
    }

    /// Looks a principal up for somebody who only wants to know what would be decided: as it stands in the
    /// system of record, without weighing its trust and without a trace in its sessions.
    ///
    /// # Errors
    /// When the principal is not known or the system of record failed.
    pub async fn onlooker(
        &self,
        principal: &Principal,
        source: IpAddr,
    ) -> Result<Subject, SubjectError> {
        let Some(found) = self.read_standing(principal).await? else {
            return Err(SubjectError::Unknown);
        };
        let cell = self.live.apart(principal);
        cell.apply(found);
        Ok(Subject { cell, source })
    }

    async fn read_standing(&self, principal: &Principal) -> Result<Option<Standing>, StoreError> {
        Ok(match principal {
            Principal::Device(id) => {
                let found = self.store.devices().find(id).await?;
                found.map(|device| Standing::Device(device.into()))
            }
            Principal::Service(id) => {
                let found = self.store.tokens().find_service(id).await?;
                found.map(|_| Standing::Service)
            }
        })
    }
}
