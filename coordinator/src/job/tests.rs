//! Whole histories of Jobs, and the promises that must hold after every step of any of them.

mod deletion;
mod history;
mod rules;
mod scale;
mod world;
