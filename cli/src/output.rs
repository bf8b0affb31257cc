//! What comes back, as text. Pure: objects and a time in, text out; commands print it.

pub mod age;
pub mod count;
pub mod describe;
pub mod doctor;
pub mod events;
pub mod explain;
pub mod failure;
pub mod job;
pub mod nodes;
pub mod objects;
pub mod pod;
pub mod progress;
pub mod results;
pub mod style;
pub mod table;
pub mod top;
pub mod trace;
