//! `readOnlyRootFilesystem`: nothing can be written to but volumes, and what is no file system.

use std::path::{Path, PathBuf};

use super::instructions::Failure;
use super::mounts::{flags_of, make_read_only};

/// Writing there changes no files of the machine, and every program does it.
const SPARED: [&str; 3] = ["/dev", "/proc", "/sys"];

/// Makes every mount read-only but `volumes`.
pub(super) fn all_but(volumes: &[PathBuf]) -> Result<(), Failure> {
    let table = std::fs::read_to_string("/proc/self/mountinfo")
        .map_err(|error| Failure::system("reading the mounts", error))?;
    for mount_point in table.lines().filter_map(mount_point) {
        let spared = SPARED.iter().map(Path::new).chain(volumes.iter().map(PathBuf::as_path));
        if spared.into_iter().any(|spared| mount_point.starts_with(spared)) {
            continue;
        }
        if let Err(failure) = make_read_only(&mount_point) {
            // Hidden below another mount, or of a kind that cannot be looked at: nobody can write
            // there either.
            let writable = flags_of(&mount_point)
                .is_ok_and(|flags| !flags.contains(rustix::mount::MountFlags::RDONLY));
            if writable {
                return Err(failure);
            }
        }
    }
    Ok(())
}

/// The fifth field of a line of `mountinfo`, in which some characters are written in octal.
pub(in super::super) fn mount_point(line: &str) -> Option<PathBuf> {
    let field = line.split(' ').nth(4)?;
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let octal = (*first == b'\\').then(|| after.get(..3)).flatten();
        let octal = octal.and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    Some(PathBuf::from(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_as_they_are_escaped() {
        for (field, expect) in
            [("/", "/"), ("/a\\040b\\134", "/a b\\"), ("/half\\04", "/half\\04"), ("/é", "/é")]
        {
            let line = format!("36 35 98:0 /root {field} rw,noatime master:1 - ext3 /dev/root rw");
            assert_eq!(mount_point(&line), Some(PathBuf::from(expect)), "{field}");
        }
        assert_eq!(mount_point("36 35"), None);
    }
}
