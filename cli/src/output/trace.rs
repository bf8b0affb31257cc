//! A Job's trace as a tree, from its own record and those of its pods: no receiver is needed.
//!
//! ```text
//! read   pods as the API shows them, each cut down to a few numbers: 10^5 of them fit
//! path   the chain of pods that the Job's end waited for
//! tree   lines for people, with bars where there is room for them
//! ```

mod path;
mod read;
mod tree;

pub use path::{Step, critical_path};
pub use read::{Fate, JobTrace, PodTrace, json};
pub use tree::{Show, render};
