//! The JetStream primitives.
