//! Planted bugs follow the code: each can still be put in its place. Whether it is caught is asked
//! by `cargo run -p stint-tests --bin mutations`, which takes longer.

use std::collections::BTreeSet;

use stint_tests::mutations::{all, plant, workspace};

/// With fewer, bugs were lost.
const FEWEST: usize = 74;

#[test]
fn every_bug_can_be_planted() {
    let bugs = all(&workspace()).unwrap();
    assert!(bugs.len() >= FEWEST, "{}", bugs.len());
    let names: BTreeSet<&str> = bugs.iter().map(|bug| bug.name.as_str()).collect();
    assert_eq!(names.len(), bugs.len(), "two bugs have one name");
    let files = plant(&bugs, &workspace()).unwrap_or_else(|error| panic!("{error}"));
    for bug in &bugs {
        assert!(files[&bug.file].contains(&format!("is({:?})", bug.name)), "{}", bug.name);
        assert!(!bug.caught_by.is_empty(), "{}: nothing is to catch it", bug.name);
    }
}
