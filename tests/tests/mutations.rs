//! Planted bugs follow the code: each can still be put in its place. Whether it is caught is asked
//! by `cargo run -p stint-tests --bin mutations`, which takes long.

use std::collections::BTreeSet;

use stint_tests::mutations::{all, workspace};

/// With fewer, bugs were lost.
const FEWEST: usize = 24;

#[test]
fn every_bug_can_be_planted() {
    let bugs = all().unwrap();
    assert!(bugs.len() >= FEWEST, "{}", bugs.len());
    let names: BTreeSet<&str> = bugs.iter().map(|bug| bug.name.as_str()).collect();
    assert_eq!(names.len(), bugs.len(), "two bugs have one name");
    for bug in &bugs {
        let planted = bug.plant(&workspace()).unwrap_or_else(|error| panic!("{error}"));
        assert!(planted.contains(&bug.put) && bug.find != bug.put, "{}", bug.name);
        assert!(!bug.caught_by.is_empty(), "{}: nothing is to catch it", bug.name);
    }
}
