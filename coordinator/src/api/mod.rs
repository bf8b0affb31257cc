//! Front ends: decode, call the registry, encode. They hold no rules.
//!
//! ```text
//! nats ─┐  decode                                encode  ┌─ nats
//!       ├────────▶ Request ─ carry_out ─▶ Reply ─────────┤
//! http ─┘             └── names a line of RESOURCES      └─ http
//! ```
//!
//! **To serve one more resource**: give it a line in `RESOURCES` (`resources`), a variant in
//! `resources::Verbs`, and an arm for that in `request::carry_out`, which calls the
//! registry. Both front ends, and discovery, then know it. For `kubectl get` add its columns
//! (`http/table`); for `kubectl explain` its types (`http/openapi`).

mod delete_options;
pub mod http;
mod instead;
pub mod nats;
mod request;
pub(crate) mod resources;
