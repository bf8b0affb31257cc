//! The variable by which a process is known as ours, whoever its parent is by now.

use std::sync::Arc;

use nix::unistd::Pid;
use stint_common::id::Incarnation;

use super::proc;
use crate::runtime::RunId;

/// In the environment of every process of a run: `<life of the worker>.<run>`.
pub(super) const VARIABLE: &str = "STINT_WORKER_LIFE";

/// What the variable says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marker {
    /// The life of the worker that started it.
    pub(super) life: Incarnation,
    /// The run it belongs to.
    pub(super) run: RunId,
}

impl Marker {
    /// The variable's name.
    pub(super) fn name() -> Arc<str> {
        Arc::from(VARIABLE)
    }

    /// The variable's value.
    pub(super) fn value(self) -> String {
        format!("{}.{}", self.life, self.run.0)
    }

    /// The marker of a process, if it has one.
    pub(super) fn of(pid: Pid) -> Option<Self> {
        Self::parse(&proc::variable(pid, VARIABLE)?)
    }

    fn parse(text: &str) -> Option<Self> {
        let (life, run) = text.split_once('.')?;
        Some(Self { life: life.parse().ok()?, run: RunId(run.parse().ok()?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_print_and_parse() {
        let marker = Marker { life: Incarnation::random(), run: RunId(77) };
        assert_eq!(Marker::parse(&marker.value()), Some(marker));
        assert_eq!(Marker::parse("x.1"), None);
    }
}
