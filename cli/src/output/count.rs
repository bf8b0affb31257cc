//! Numbers of things in sentences: one pod waits, two pods wait, of 5 MiB.

/// `1 pod`, `3 pods`, `2 copies`.
#[must_use]
pub fn counted(count: impl TryInto<u64>, what: &str) -> String {
    match count.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {what}"),
        count => format!("{count} {}", many(what)),
    }
}

/// `1 pod waits`, `3 pods wait`: with what one does, and what many do.
#[must_use]
pub fn do_so(count: impl TryInto<u64>, what: &str, one: &str, many: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    format!("{} {}", counted(count, what), if count == 1 { one } else { many })
}

/// `512 B`, `1.5 MiB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit behind the point")]
    let mut amount = count as f64;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{amount:.1} {}", UNITS[unit]) }
}

fn many(what: &str) -> String {
    match what.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        _ if what.ends_with(['s', 'x']) => format!("{what}es"),
        _ => format!("{what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_one_and_all_else_is_many() {
        let check = |count: u64, what, expect| assert_eq!(counted(count, what), expect);
        check(0, "pod", "0 pods");
        check(1, "pod", "1 pod");
        check(2, "copy", "2 copies");
        check(2, "day", "2 days");
        check(3, "index", "3 indexes");
        assert_eq!(do_so(1_u64, "pod", "waits", "wait"), "1 pod waits");
        assert_eq!(do_so(0_u64, "pod", "waits", "wait"), "0 pods wait");
    }

    #[test]
    fn bytes_have_the_unit_that_suits() {
        let said = [0, 1023, 1536, 5 << 20, 7 << 40].map(bytes);
        assert_eq!(said, ["0 B", "1023 B", "1.5 KiB", "5.0 MiB", "7.0 TiB"]);
    }
}
