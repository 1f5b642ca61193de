//! The life of a case, without I/O.

use palisade_store::CaseState;

/// What happens to a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaseEvent {
    /// A person takes it to a state.
    Person(CaseState),
    /// An action took all its service from its subject.
    Contained,
    /// No such action is in force any longer.
    Released,
    /// What it is about was seen again.
    SeenAgain,
}

/// A step that the life of a case does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the case is {0} already")]
pub struct CaseStepError(&'static str);

/// Where a case stands after something happened to it.
///
/// # Errors
/// When a person takes it to where it stands already. Whatever else does not concern it leaves it where it
/// is.
pub fn step(state: CaseState, event: CaseEvent) -> Result<CaseState, CaseStepError> {
    use CaseState::{Closed, Contained, Investigating, Open};
    Ok(match (state, event) {
        (from, CaseEvent::Person(to)) if from == to => return Err(CaseStepError(to.as_str())),
        (_, CaseEvent::Person(to)) => to,
        (Open | Investigating, CaseEvent::Contained) => Contained,
        (Contained, CaseEvent::Released) => Open,
        (Closed, CaseEvent::SeenAgain) => Open,
        (state, _) => state,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_contained_by_an_action_and_open_again_when_that_ends() {
        let contained = step(CaseState::Open, CaseEvent::Contained).expect("a step");
        assert_eq!(contained, CaseState::Contained);
        assert_eq!(step(contained, CaseEvent::Released), Ok(CaseState::Open));
        assert_eq!(
            step(CaseState::Closed, CaseEvent::Released),
            Ok(CaseState::Closed)
        );
        assert_eq!(
            step(CaseState::Investigating, CaseEvent::Released),
            Ok(CaseState::Investigating)
        );
    }

    #[test]
    fn a_closed_case_opens_when_it_is_seen_again_and_only_then_by_itself() {
        assert_eq!(
            step(CaseState::Closed, CaseEvent::SeenAgain),
            Ok(CaseState::Open)
        );
        assert_eq!(
            step(CaseState::Closed, CaseEvent::Contained),
            Ok(CaseState::Closed)
        );
        assert!(step(CaseState::Closed, CaseEvent::Person(CaseState::Closed)).is_err());
    }
}
