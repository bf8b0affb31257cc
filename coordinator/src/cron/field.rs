//! One of a schedule's five fields: numbers, ranges and steps, as a set of bits.

/// Which numbers a field may have, and what else they are called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) least: u32,
    pub(super) most: u32,
    /// The first stands for `least`.
    pub(super) names: &'static [&'static str],
}

pub(super) const MINUTES: Bounds = Bounds { least: 0, most: 59, names: &[] };
pub(super) const HOURS: Bounds = Bounds { least: 0, most: 23, names: &[] };
pub(super) const DAYS: Bounds = Bounds { least: 1, most: 31, names: &[] };
pub(super) const MONTHS: Bounds = Bounds {
    least: 1,
    most: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
pub(super) const WEEKDAYS: Bounds =
    Bounds { least: 0, most: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

/// The numbers that a field stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    bits: u64,
    /// It was written as `*`: it leaves the choice to the other of the two fields for days.
    pub(super) any: bool,
}

impl Numbers {
    /// Whether a number is among them.
    pub(super) fn has(self, number: i8) -> bool {
        u32::try_from(number).is_ok_and(|number| self.bits & (1 << number) != 0)
    }

    /// One number alone.
    pub(super) const fn only(number: u32) -> Self {
        Self { bits: 1 << number, any: false }
    }

    /// All that the bounds allow.
    pub(super) fn all(bounds: Bounds) -> Self {
        Self { bits: bits(bounds.least, bounds.most, 1), any: true }
    }

    /// Reads `*/15`, `1-5`, `mon,wed`…
    ///
    /// # Errors
    ///
    /// What is wrong, in the words of the parser that Kubernetes uses.
    pub(super) fn read(text: &str, bounds: Bounds) -> Result<Self, String> {
        let mut numbers = Self { bits: 0, any: false };
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let Self { bits, any } = range(part, bounds)?;
            numbers.bits |= bits;
            numbers.any |= any;
        }
        Ok(numbers)
    }
}

fn bits(start: u32, end: u32, step: u32) -> u64 {
    let step = usize::try_from(step.max(1)).unwrap_or(1);
    (start..=end).step_by(step).fold(0, |bits, number| bits | (1 << number))
}

fn range(text: &str, bounds: Bounds) -> Result<Numbers, String> {
    let parts: Vec<&str> = text.split('/').collect();
    let ends: Vec<&str> = parts[0].split('-').collect();
    let mut any = ["*", "?"].contains(&ends[0]);
    let (start, mut end) = if any {
        (bounds.least, bounds.most)
    } else {
        let start = number_or_name(ends[0], bounds)?;
        match ends.as_slice() {
            [_] => (start, start),
            [_, last] => (start, number_or_name(last, bounds)?),
            _ => return Err(format!("too many hyphens: {text}")),
        }
    };
    let step = match parts.as_slice() {
        [_] => 1,
        [_, step] => {
            // `5/15` is `5-59/15`.
            if ends.len() == 1 {
                end = bounds.most;
            }
            let step = number(step)?;
            any &= step <= 1;
            step
        }
        _ => return Err(format!("too many slashes: {text}")),
    };
    let Bounds { least, most, .. } = bounds;
    if start < least {
        return Err(format!("beginning of range ({start}) below minimum ({least}): {text}"));
    }
    if end > most {
        return Err(format!("end of range ({end}) above maximum ({most}): {text}"));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {text}"));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {text}"));
    }
    Ok(Numbers { bits: bits(start, end, step), any })
}

fn number_or_name(text: &str, bounds: Bounds) -> Result<u32, String> {
    let lower = text.to_lowercase();
    let named = bounds.names.iter().position(|name| *name == lower);
    match named.and_then(|place| u32::try_from(place).ok()) {
        Some(place) => Ok(bounds.least + place),
        None => number(text),
    }
}

fn number(text: &str) -> Result<u32, String> {
    let parsed: i64 = text.parse().map_err(|_| {
        format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax")
    })?;
    if parsed < 0 {
        return Err(format!("negative number ({parsed}) not allowed: {text}"));
    }
    u32::try_from(parsed).map_err(|_| format!("number ({parsed}) is too large: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(text: &str, bounds: Bounds) -> Result<Vec<i8>, String> {
        let numbers = Numbers::read(text, bounds)?;
        Ok((0..60).filter(|number| numbers.has(*number)).collect())
    }

    #[test]
    fn fields_are_sets() {
        assert_eq!(numbers("*/20", MINUTES), Ok(vec![0, 20, 40]));
        assert_eq!(numbers("50/4", MINUTES), Ok(vec![50, 54, 58]));
        assert_eq!(numbers("6-16/4,3", HOURS), Ok(vec![3, 6, 10, 14]));
        assert_eq!(numbers("MON-wed", WEEKDAYS), Ok(vec![1, 2, 3]));
        assert_eq!(numbers("jan,12", MONTHS), Ok(vec![1, 12]));
        assert!(Numbers::read("?", DAYS).unwrap().any && !Numbers::read("*/2", DAYS).unwrap().any);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, bounds, message) in [
            ("7", WEEKDAYS, "end of range (7) above maximum (6): 7"),
            ("0", DAYS, "beginning of range (0) below minimum (1): 0"),
            ("5-3", HOURS, "beginning of range (5) beyond end of range (3): 5-3"),
            ("*/0", HOURS, "step of range should be a positive number: */0"),
            ("1-2-3", HOURS, "too many hyphens: 1-2-3"),
            ("1/2/3", HOURS, "too many slashes: 1/2/3"),
            ("x", HOURS, "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax"),
        ] {
            assert_eq!(numbers(text, bounds), Err(message.to_owned()));
        }
    }
}
