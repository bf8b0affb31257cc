//! Kubernetes' quantities: `500m`, `1.5`, `64Mi`, `2e3`.

/// The number that a quantity stands for, in thousandths, rounded up; `None` if it is none, or
/// larger than anything that is counted.
///
/// ```
/// use stint_common::quantity::milli;
/// assert_eq!(milli("1.5"), Some(1500));
/// assert_eq!(milli("64Mi"), Some(64 << 20).map(|bytes: i128| bytes * 1000));
/// ```
#[must_use]
pub fn milli(text: &str) -> Option<i128> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let end = rest.find(|it: char| !it.is_ascii_digit() && it != '.').unwrap_or(rest.len());
    let (number, suffix) = rest.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.len() + fraction.len() == 0 || number.len() > 40 || fraction.contains('.') {
        return None;
    }
    let (base, exponent) = scale(suffix)?;
    let fraction_digits = i32::try_from(fraction.len()).ok()?;
    let digits: i128 = format!("0{whole}{fraction}").parse().ok()?;
    let power = exponent + 3 - fraction_digits;
    let digits = digits.checked_mul(base)?;
    let value = if power >= 0 {
        digits.checked_mul(10_i128.checked_pow(power.unsigned_abs())?)?
    } else {
        let divisor = 10_i128.checked_pow(power.unsigned_abs())?;
        (digits + divisor - 1) / divisor
    };
    Some(sign * value)
}

/// So many bytes as a quantity, as short as it can be said exactly.
///
/// ```
/// use stint_common::quantity::bytes;
/// assert_eq!(bytes(10 << 20), "10Mi");
/// assert_eq!(bytes(5_000_000), "5M");
/// assert_eq!(bytes(7), "7");
/// ```
#[must_use]
pub fn bytes(number: u64) -> String {
    const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    const DECIMAL: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    let (base, suffixes) =
        if number.is_multiple_of(1024) { (1024, BINARY) } else { (1000, DECIMAL) };
    let (mut left, mut power) = (number, 0);
    while left > 0 && left.is_multiple_of(base) {
        (left, power) = (left / base, power + 1);
    }
    format!("{left}{}", suffixes[power])
}

/// A suffix as a factor and a power of ten.
fn scale(suffix: &str) -> Option<(i128, i32)> {
    Some(match suffix {
        "" => (1, 0),
        "n" => (1, -9),
        "u" => (1, -6),
        "m" => (1, -3),
        "k" => (1, 3),
        "M" => (1, 6),
        "G" => (1, 9),
        "T" => (1, 12),
        "P" => (1, 15),
        "E" => (1, 18),
        "Ki" => (1 << 10, 0),
        "Mi" => (1 << 20, 0),
        "Gi" => (1 << 30, 0),
        "Ti" => (1 << 40, 0),
        "Pi" => (1 << 50, 0),
        "Ei" => (1 << 60, 0),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?.parse::<i32>().ok()?;
            (1, Some(exponent).filter(|it| (-18..=18).contains(it))?)
        }
    })
}

/// The whole number that a quantity stands for, rounded up: bytes, devices.
#[must_use]
pub fn whole(text: &str) -> Option<i64> {
    i64::try_from(ceil(milli(text)?, 1000)).ok()
}

/// `number / divisor`, rounded up.
#[must_use]
pub fn ceil(number: i128, divisor: i128) -> i128 {
    let divisor = divisor.max(1);
    number.div_euclid(divisor) + i128::from(number.rem_euclid(divisor) > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        for (text, expect) in [
            ("0", Some(0)),
            ("1", Some(1000)),
            ("100m", Some(100)),
            ("1.5", Some(1500)),
            (".5", Some(500)),
            ("1.", Some(1000)),
            ("0.1m", Some(1)),
            ("1u", Some(1)),
            ("1Ki", Some(1_024_000)),
            ("1.5Gi", Some(1_610_612_736_000)),
            ("2k", Some(2_000_000)),
            ("1e3", Some(1_000_000)),
            ("1E2", Some(100_000)),
            ("1E", Some(1_000_000_000_000_000_000_000)),
            ("-1", Some(-1000)),
            ("+1", Some(1000)),
            ("", None),
            (".", None),
            ("1.2.3", None),
            ("1 Gi", None),
            ("1gi", None),
            ("abc", None),
            ("e3", None),
        ] {
            assert_eq!(milli(text), expect, "{text}");
        }
        assert_eq!((whole("1m"), whole("2Mi"), whole("x")), (Some(1), Some(2 << 20), None));
        assert_eq!((ceil(1, 1000), ceil(0, 5), ceil(-1, 5)), (1, 0, 0));
    }
}
