//! Lists of indexes as a client writes them: `0,2-5`. Stricter than what a status may hold.

/// Why a text is no list of indexes, in Kubernetes' words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexesError {
    /// `1-2-3`.
    #[error(
        "the fragment {0:?} violates the requirement that an index interval can have at most two \
         parts separated by '-'"
    )]
    TooManyParts(String),
    /// Not a whole number.
    #[error("cannot convert string to integer for index: {0:?}")]
    NotANumber(String),
    /// Not below the number of completions.
    #[error("too large index: {0:?}")]
    TooLarge(String),
    /// The list does not ascend.
    #[error("non-increasing order, previous: {previous}, current: {current}")]
    Order {
        /// The index before.
        previous: i64,
        /// The one that should be higher.
        current: i64,
    },
    /// An index both succeeded and failed.
    #[error("failedIndexes and completedIndexes overlap at index: {0}")]
    Overlap(i64),
}

/// Both ends belong to it.
#[derive(Clone, Copy)]
struct Interval {
    first: i64,
    last: i64,
}

/// How many indexes the text names.
///
/// # Errors
///
/// When a part is malformed, an index is not below `completions`, or the list does not ascend.
pub fn count(text: &str, completions: i32) -> Result<i32, IndexesError> {
    let mut total = 0_i64;
    let mut previous: Option<i64> = None;
    for part in text.split(',').filter(|_| !text.is_empty()) {
        let interval = interval(part, completions)?;
        if let Some(previous) = previous.filter(|previous| *previous >= interval.first) {
            return Err(IndexesError::Order { previous, current: interval.first });
        }
        total += interval.last - interval.first + 1;
        previous = Some(interval.last);
    }
    Ok(i32::try_from(total).unwrap_or(i32::MAX))
}

/// Checks that no index is in both lists. Parts that are malformed are passed over: [`count`] finds
/// them.
///
/// # Errors
///
/// The first index that is in both.
pub fn disjoint(completed: &str, failed: &str, completions: i32) -> Result<(), IndexesError> {
    let read = |text: &str| -> Vec<Interval> {
        text.split(',').filter_map(|part| interval(part, completions).ok()).collect()
    };
    let (completed, failed) = (read(completed), read(failed));
    let (mut left, mut right) = (completed.iter().peekable(), failed.iter().peekable());
    while let (Some(one), Some(other)) = (left.peek(), right.peek()) {
        if one.first <= other.last && other.first <= one.last {
            return Err(IndexesError::Overlap(one.first.max(other.first)));
        }
        if one.first <= other.first {
            left.next();
        } else {
            right.next();
        }
    }
    Ok(())
}

fn interval(part: &str, completions: i32) -> Result<Interval, IndexesError> {
    let parts: Vec<&str> = part.split('-').collect();
    let (first, last) = match parts.as_slice() {
        [only] => (*only, None),
        [first, last] => (*first, Some(*last)),
        _ => return Err(IndexesError::TooManyParts(part.to_owned())),
    };
    let first = index(first, completions)?;
    let Some(last) = last else { return Ok(Interval { first, last: first }) };
    let last = index(last, completions)?;
    if first >= last {
        return Err(IndexesError::Order { previous: first, current: last });
    }
    Ok(Interval { first, last })
}

fn index(text: &str, completions: i32) -> Result<i64, IndexesError> {
    let number: i64 = text.parse().map_err(|_| IndexesError::NotANumber(text.to_owned()))?;
    if number >= i64::from(completions) {
        return Err(IndexesError::TooLarge(text.to_owned()));
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        count(text, 10).unwrap_err().to_string()
    }

    #[test]
    fn lists_are_counted() {
        assert_eq!(count("", 10), Ok(0));
        assert_eq!(count("0,2-5,9", 10), Ok(6));
        assert_eq!(error("0-1-2").split(' ').next(), Some("the"));
        assert_eq!(error("x-3"), "cannot convert string to integer for index: \"x\"");
        assert_eq!(error("10"), "too large index: \"10\"");
        assert_eq!(error("4-4"), "non-increasing order, previous: 4, current: 4");
        assert_eq!(error("3,1"), "non-increasing order, previous: 3, current: 1");
        assert_eq!(error("1,"), "cannot convert string to integer for index: \"\"");
    }

    #[test]
    fn overlaps_are_found() {
        assert_eq!(disjoint("0,2-5", "1,6-7", 10), Ok(()));
        assert_eq!(disjoint("0,2-5", "1,5-7", 10), Err(IndexesError::Overlap(5)));
        assert_eq!(disjoint("", "1", 10), Ok(()));
    }
}
