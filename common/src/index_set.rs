//! A set of completion indexes, as small as a bitmap, with Kubernetes' text form.
//!
//! The text is made when somebody reads it; what is stored is the bitmap.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roaring::RoaringBitmap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A set of indexes (or slots). Serialised as the portable Roaring format in base64.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexSet(RoaringBitmap);

impl IndexSet {
    /// The empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an index; says whether it was new.
    pub fn insert(&mut self, index: u32) -> bool {
        self.0.insert(index)
    }

    /// Takes an index out; says whether it was there.
    pub fn remove(&mut self, index: u32) -> bool {
        self.0.remove(index)
    }

    /// Whether the index is in the set.
    #[must_use]
    pub fn contains(&self, index: u32) -> bool {
        self.0.contains(index)
    }

    /// How many indexes there are.
    #[must_use]
    pub fn len(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Drops every index that is not below `limit` (an elastic Job was made smaller).
    pub fn truncate(&mut self, limit: u32) {
        self.0.remove_range(limit..);
    }

    /// Ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter()
    }

    /// How many indexes lie below `limit`.
    #[must_use]
    pub fn count_below(&self, limit: u32) -> u32 {
        let count = limit.checked_sub(1).map_or(0, |last| self.0.rank(last));
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// How many indexes are in both sets.
    #[must_use]
    pub fn intersection_len(&self, other: &Self) -> u32 {
        u32::try_from(self.0.intersection_len(&other.0)).unwrap_or(u32::MAX)
    }

    /// Adds all of the other's.
    pub fn union_with(&mut self, other: &Self) {
        self.0 |= &other.0;
    }

    /// Takes all of the other's out.
    pub fn subtract(&mut self, other: &Self) {
        self.0 -= &other.0;
    }

    /// The indexes of either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(&self.0 | &other.0)
    }

    /// The indexes below `limit` that are not in the set.
    #[must_use]
    pub fn complement_below(&self, limit: u32) -> Self {
        let mut all = RoaringBitmap::new();
        all.insert_range(0..limit);
        Self(all - &self.0)
    }

    /// The highest index.
    #[must_use]
    pub fn last(&self) -> Option<u32> {
        self.0.max()
    }

    /// Makes the stored form as small as it gets; worth calling before it is written.
    pub fn optimize(&mut self) {
        self.0.optimize();
    }

    /// Runs of neighbours, ascending, both ends included.
    pub fn runs(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.runs_from(0)
    }

    /// Runs of what is not below `first`. Does not cost what is.
    pub fn runs_from(&self, first: u32) -> impl Iterator<Item = (u32, u32)> + '_ {
        let mut indexes = self.0.iter();
        indexes.advance_to(first);
        std::iter::from_fn(move || {
            let run = indexes.next_range()?;
            Some((*run.start(), *run.end()))
        })
    }

    /// Reads `completedIndexes` or `failedIndexes` of a status, as Kubernetes' controller does:
    /// indexes at or above `completions` and fragments that say nothing are passed over.
    #[must_use]
    pub fn parse_status(text: &str, completions: u32) -> Self {
        let mut set = Self::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) else {
                continue;
            };
            let end = last.saturating_add(1).min(completions);
            if first < end {
                set.0.insert_range(first..end);
            }
        }
        set
    }
}

impl FromIterator<u32> for IndexSet {
    fn from_iter<I: IntoIterator<Item = u32>>(indexes: I) -> Self {
        Self(indexes.into_iter().collect())
    }
}

/// Kubernetes' text form: ascending, runs of three or more as `a-b`, runs of two as `a,b`.
impl fmt::Display for IndexSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (first, last)) in self.runs().enumerate() {
            if number > 0 {
                f.write_char(',')?;
            }
            match last - first {
                0 => write!(f, "{first}")?,
                1 => write!(f, "{first},{last}")?,
                _ => write!(f, "{first}-{last}")?,
            }
        }
        Ok(())
    }
}

/// Why a text is no set of indexes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseIndexSetError {
    /// A bound is not a number below 2^32.
    #[error("`{0}` is not an index")]
    NotAnIndex(String),
    /// Runs must ascend and not touch backwards.
    #[error("non-increasing order, previous: {previous}, current: {current}")]
    Order {
        /// The index before.
        previous: u32,
        /// The index that should be higher.
        current: u32,
    },
}

impl FromStr for IndexSet {
    type Err = ParseIndexSetError;

    fn from_str(text: &str) -> Result<Self, ParseIndexSetError> {
        let mut set = Self::new();
        let mut previous: Option<u32> = None;
        for part in text.split(',').filter(|_| !text.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let number = |text: &str| {
                text.parse::<u32>().map_err(|_| ParseIndexSetError::NotAnIndex(text.to_owned()))
            };
            let (first, last) = (number(first)?, number(last)?);
            for (before, after) in [(previous, first), (part.contains('-').then_some(first), last)]
            {
                if let Some(before) = before.filter(|before| *before >= after) {
                    return Err(ParseIndexSetError::Order { previous: before, current: after });
                }
            }
            set.0.insert_range(first..=last);
            previous = Some(last);
        }
        Ok(set)
    }
}

impl Serialize for IndexSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::with_capacity(self.0.serialized_size());
        self.0.serialize_into(&mut bytes).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&STANDARD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for IndexSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(serde::de::Error::custom)?;
        RoaringBitmap::deserialize_from(&bytes[..]).map(Self).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn runs_are_written_as_kubernetes_writes_them() {
        for (indexes, text) in [
            (vec![], ""),
            (vec![0], "0"),
            (vec![0, 1], "0,1"),
            (vec![0, 1, 2], "0-2"),
            (vec![1, 3, 4, 5, 7, 8], "1,3-5,7,8"),
        ] {
            assert_eq!(indexes.into_iter().collect::<IndexSet>().to_string(), text);
        }
    }

    #[test]
    fn a_status_is_read_leniently() {
        let set = IndexSet::parse_status("0,2-5,x,7-,9", 5);
        assert_eq!(set.to_string(), "0,2-4");
    }

    #[test]
    fn disorder_is_refused() {
        assert!("3,1".parse::<IndexSet>().is_err());
        assert!("5-5".parse::<IndexSet>().is_err());
        assert!("1,,2".parse::<IndexSet>().is_err());
        assert!("".parse::<IndexSet>().unwrap().is_empty());
    }

    #[test]
    fn a_smaller_job_forgets_high_indexes() {
        let mut set: IndexSet = [0, 4, 5, 9].into_iter().collect();
        assert_eq!(set.count_below(5), 2);
        set.truncate(5);
        assert_eq!(set.to_string(), "0,4");
    }

    #[test]
    fn sets_are_joined_and_turned_round() {
        let set: IndexSet = [1, 2, 5].into_iter().collect();
        let other: IndexSet = [2, 3].into_iter().collect();
        assert_eq!(set.union(&other).to_string(), "1-3,5");
        assert_eq!(set.complement_below(7).to_string(), "0,3,4,6");
        assert_eq!(set.complement_below(0), IndexSet::new());
        assert_eq!((set.last(), IndexSet::new().last()), (Some(5), None));
        let from = |first| set.runs_from(first).collect::<Vec<_>>();
        assert_eq!(from(0), [(1, 2), (5, 5)]);
        assert_eq!(from(2), [(2, 2), (5, 5)]);
        assert_eq!(from(6), []);
    }

    proptest! {
        #[test]
        fn text_and_stored_form_round_trip(
            indexes in proptest::collection::btree_set(0_u32..3000, 0..200),
        ) {
            let set: IndexSet = indexes.iter().copied().collect();
            prop_assert_eq!(&set.to_string().parse::<IndexSet>().unwrap(), &set);
            let json = serde_json::to_string(&set).unwrap();
            prop_assert_eq!(&serde_json::from_str::<IndexSet>(&json).unwrap(), &set);
            let expect: Vec<_> = indexes.into_iter().collect();
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), expect);
        }
    }
}
