//! What a worker says of its machine: what Kubernetes shows of a node, read once at start. What
//! cannot be read is left empty.

use std::fs;

use stint_common::wire::Machine;

/// Looks at this machine.
pub(super) fn look(address: String, cpus: u32) -> Machine {
    let line = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    Machine {
        address,
        cpus,
        memory_bytes: memory(&line("/proc/meminfo")),
        architecture: architecture(std::env::consts::ARCH).to_owned(),
        kernel: line("/proc/sys/kernel/osrelease"),
        os_image: os_image(&line("/etc/os-release")),
        machine_id: line("/etc/machine-id"),
        boot_id: line("/proc/sys/kernel/random/boot_id"),
    }
}

/// `MemTotal:       24689764 kB`, in bytes.
fn memory(meminfo: &str) -> u64 {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kibibytes = total.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0).saturating_mul(1024)
}

/// Go's names, which Kubernetes shows.
fn architecture(rust: &str) -> &str {
    match rust {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

fn os_image(release: &str) -> String {
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or("Linux").trim_matches('"').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_machine_are_read() {
        assert_eq!(memory("MemTotal:       2048 kB\nMemFree: 1 kB"), 2 << 20);
        assert_eq!(memory(""), 0);
        assert_eq!(os_image("ID=x\nPRETTY_NAME=\"A System 1\"\n"), "A System 1");
        assert_eq!(architecture("x86_64"), "amd64");
    }
}
