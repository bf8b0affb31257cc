//! What container runtimes forbid where nothing else is said: calls that change the machine, or
//! look into others, and those that only programs with more rights than usual have a use for.
//!
//! Differs from them: they allow what they know, this forbids what it knows, so that calls that a
//! later kernel has are allowed.

use nix::libc;
use stint_common::capability::Capabilities;
use syscalls::Sysno;

use super::profile::{Action, Condition, Profile, Rule, Test};

/// Calls, and the capabilities any of which makes up for them.
const FORBIDDEN: &[(&[&str], &[&str])] = &[
    (
        &[
            "_sysctl",
            "add_key",
            "create_module",
            "get_kernel_syms",
            "io_uring_enter",
            "io_uring_register",
            "io_uring_setup",
            "kexec_file_load",
            "kexec_load",
            "keyctl",
            "lookup_dcookie",
            "move_pages",
            "nfsservctl",
            "pivot_root",
            "query_module",
            "request_key",
            "swapoff",
            "swapon",
            "sysfs",
            "uselib",
            "userfaultfd",
            "ustat",
            "vm86",
            "vm86old",
        ],
        &[],
    ),
    (
        &[
            "fanotify_init",
            "fsconfig",
            "fsmount",
            "fsopen",
            "fspick",
            "mount",
            "mount_setattr",
            "move_mount",
            "open_tree",
            "quotactl",
            "quotactl_fd",
            "setdomainname",
            "sethostname",
            "setns",
            "umount2",
            "unshare",
        ],
        &["SYS_ADMIN"],
    ),
    (&["bpf"], &["SYS_ADMIN", "BPF"]),
    (&["perf_event_open"], &["SYS_ADMIN", "PERFMON"]),
    (&["syslog"], &["SYS_ADMIN", "SYSLOG"]),
    (&["acct"], &["SYS_PACCT"]),
    (&["chroot"], &["SYS_CHROOT"]),
    (&["clock_settime", "settimeofday", "stime"], &["SYS_TIME"]),
    (&["delete_module", "finit_module", "init_module"], &["SYS_MODULE"]),
    (&["get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"], &["SYS_NICE"]),
    (&["ioperm", "iopl"], &["SYS_RAWIO"]),
    (
        &["kcmp", "pidfd_getfd", "process_madvise", "process_vm_readv", "process_vm_writev"],
        &["SYS_PTRACE"],
    ),
    (&["open_by_handle_at"], &["DAC_READ_SEARCH"]),
    (&["reboot"], &["SYS_BOOT"]),
    (&["vhangup"], &["SYS_TTY_CONFIG"]),
];
/// Ways of execution that `personality` may choose: none other turns protections off.
const PERSONALITIES: [u64; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xFFFF_FFFF];
/// Sockets to the machine that hosts this one.
const AF_VSOCK: u64 = 40;

/// The filter for a container with these capabilities.
pub(super) fn profile(capabilities: Capabilities) -> Profile {
    let has =
        |name: &str| Capabilities::named(name).is_some_and(|wanted| capabilities.0 & wanted.0 != 0);
    let refused = Action::Errno(errno(libc::EPERM));
    let mut rules = Vec::new();
    for (calls, enough) in FORBIDDEN {
        if !enough.iter().any(|name| has(name)) {
            rules.extend(calls.iter().filter_map(|name| rule(name, Vec::new(), refused)));
        }
    }
    if !has("SYS_ADMIN") {
        for flag in namespaces() {
            let test = Test::Masked { mask: flag, value: flag };
            rules.extend(rule("clone", vec![Condition { argument: 0, test }], refused));
        }
        // Its flags lie in memory, where no filter can see them; who is told that there is no such
        // call takes `clone`.
        rules.extend(rule("clone3", Vec::new(), Action::Errno(errno(libc::ENOSYS))));
    }
    let other = |value: &u64| Condition { argument: 0, test: Test::NotEqual(*value) };
    rules.extend(rule("personality", PERSONALITIES.iter().map(other).collect(), refused));
    let vsock = Condition { argument: 0, test: Test::Equal(AF_VSOCK) };
    rules.extend(rule("socket", vec![vsock], refused));
    Profile { default: Action::Allow, rules }
}

/// Flags of `clone` that make namespaces.
fn namespaces() -> impl Iterator<Item = u64> {
    let all = [
        libc::CLONE_NEWCGROUP,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWNS,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWUTS,
    ];
    all.into_iter().map(|flag| u64::from(flag.unsigned_abs()))
}

/// Machines do not have all calls.
fn rule(call: &str, conditions: Vec<Condition>, action: Action) -> Option<Rule> {
    let call = u32::try_from(call.parse::<Sysno>().ok()?.id()).ok()?;
    Some(Rule { call, conditions, action })
}

fn errno(number: i32) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forbids(profile: &Profile, call: &str) -> bool {
        let number = u32::try_from(call.parse::<Sysno>().unwrap().id()).unwrap();
        profile.rules.iter().any(|rule| rule.call == number)
    }

    #[test]
    fn rights_make_up_for_what_is_forbidden() {
        let usual = profile(Capabilities::of_container(&[], &[]));
        for call in ["mount", "bpf", "unshare", "clone3", "reboot", "keyctl", "ptrace"] {
            assert_eq!(forbids(&usual, call), call != "ptrace", "{call}");
        }
        assert!(!forbids(&usual, "chroot"));
        assert!(forbids(&profile(Capabilities(0)), "chroot"));
        let admin = profile(Capabilities::named("SYS_ADMIN").unwrap());
        for (call, expect) in [("mount", false), ("clone", false), ("keyctl", true)] {
            assert_eq!(forbids(&admin, call), expect, "{call}");
        }
    }
}
