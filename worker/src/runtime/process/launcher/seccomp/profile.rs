//! What a filter says, before it is a program.

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// It is made.
    Allow,
    /// It is made, and logged by the kernel.
    Log,
    /// It fails with this number.
    Errno(u16),
    /// It ends the thread.
    KillThread,
    /// It ends the process.
    KillProcess,
    /// It sends SIGSYS.
    Trap,
}

/// What is asked of one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    Equal(u64),
    NotEqual(u64),
    Less(u64),
    LessOrEqual(u64),
    Greater(u64),
    GreaterOrEqual(u64),
    /// The bits of the mask are those of the value.
    Masked {
        mask: u64,
        value: u64,
    },
}

/// A test of one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    /// Which argument, from 0.
    pub(super) argument: u8,
    pub(super) test: Test,
}

/// What becomes of a call for whose arguments all conditions hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// Its number.
    pub(super) call: u32,
    pub(super) conditions: Vec<Condition>,
    pub(super) action: Action,
}

/// A filter: the first rule that fits counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Profile {
    /// Where none fits.
    pub(super) default: Action,
    pub(super) rules: Vec<Rule>,
}
