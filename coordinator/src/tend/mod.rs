//! What the owner looks after besides Jobs, with the verbs that clients have: namespaces.
//!
//! Everything here may be done twice, by two coordinators at once, or not be finished: it is looked
//! at again.

mod namespaces;
mod run;

pub use run::run;
