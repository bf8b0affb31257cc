//! What the demo's Jobs compute: source lines, words and licences of the crates under a folder.
//!
//! ```text
//! count   one share of the crates, written as one JSON file: the program of an Indexed Job
//! merge   all shares into one total, printed as a table: the program of a second Job
//! input   where there is real input on this machine
//! jobs    the two manifests, and that of the burst
//! ```
//!
//! Starting things and following Jobs is `command::demo`'s part.

pub(crate) mod count;
pub(crate) mod input;
pub(crate) mod jobs;
pub(crate) mod merge;
