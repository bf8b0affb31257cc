//! The names of Linux capabilities, as `securityContext.capabilities` writes them.

/// Every capability by its number, without `CAP_`.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];
/// What container runtimes leave to a container that says nothing.
const DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// A set of capabilities, one bit for each number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Capabilities(pub u64);

impl Capabilities {
    /// Every capability there is.
    pub const ALL: Self = Self((1 << NAMES.len()) - 1);

    /// The capability of this name, with or without `CAP_`; `ALL` means every one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let name = name.to_ascii_uppercase();
        let name = name.strip_prefix("CAP_").unwrap_or(&name);
        if name == "ALL" {
            return Some(Self::ALL);
        }
        NAMES.iter().position(|known| *known == name).map(|number| Self(1 << number))
    }

    /// What a container has that adds and drops these: the container runtimes' default, more what
    /// is added, less what is dropped; a single name goes before `ALL`.
    #[must_use]
    pub fn of_container(add: &[&str], drop: &[&str]) -> Self {
        let base = match (has_all(add), has_all(drop)) {
            (_, true) => 0,
            (true, false) => Self::ALL.0,
            (false, false) => single(&DEFAULT),
        };
        Self((base | single(add)) & !single(drop))
    }

    /// Whether it holds all of `others`.
    #[must_use]
    pub fn holds(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }
}

fn has_all(names: &[&str]) -> bool {
    names.iter().any(|name| Capabilities::named(name) == Some(Capabilities::ALL))
}

fn single(names: &[&str]) -> u64 {
    let sets = names.iter().filter_map(|name| Capabilities::named(name));
    sets.filter(|set| *set != Capabilities::ALL).fold(0, |all, set| all | set.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(add: &[&str], drop: &[&str], expect: u64) {
        assert_eq!(Capabilities::of_container(add, drop).0, expect, "+{add:?} -{drop:?}");
    }

    #[test]
    fn adding_and_dropping_start_from_the_runtimes_default() {
        let default = 0xa804_25fb;
        check(&[], &[], default);
        check(&[], &["ALL"], 0);
        check(&["NET_ADMIN"], &["ALL"], 1 << 12);
        check(&["CAP_NET_ADMIN"], &["all"], 1 << 12);
        check(&[], &["NET_RAW"], default & !(1 << 13));
        check(&["SYS_PTRACE"], &[], default | 1 << 19);
        check(&["ALL"], &["ALL", "KILL"], 0);
        check(&["ALL"], &["SYS_ADMIN"], Capabilities::ALL.0 & !(1 << 21));
        assert_eq!(Capabilities::named("NO_SUCH"), None);
    }
}
