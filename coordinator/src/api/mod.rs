//! Front ends: decode, call the registry, encode. They hold no rules.

pub mod nats;
