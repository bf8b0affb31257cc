//! Which objects a request means: label selectors, field selectors, and the selector of a spec.

mod field;
mod parse;
mod requirement;

pub use field::FieldSelector;
pub use parse::ParseSelectorError;
pub use requirement::{LabelSelector, Operator, Requirement};
