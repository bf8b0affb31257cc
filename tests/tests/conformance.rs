//! The meaning of a Job, case by case: `tests/conformance/*.yaml`.
//!
//! A case is a manifest and steps. In a step time passes, the manifest changes, pods report; then
//! the Job is planned for until it settles, and what is expected is compared. What a step does not
//! list must not have happened: `issued`, `published`, `stopped` and `events` default to nothing,
//! `conditions` to what they were. Every case runs twice, the second time with a restart of the
//! coordinator before every step.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "conformance/case.rs"]
mod case;
#[path = "conformance/stage.rs"]
mod stage;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use case::Case;
use stage::run;

/// With fewer, cases were lost.
const FEWEST_CASES: usize = 185;
/// As many lines as the semantics list of what is easily got wrong, some of them split.
const FEWEST_TRAPS: usize = 21;
/// Sections of the semantics.
const SECTIONS: u32 = 17;

/// Every case of the folder, by its name.
fn cases() -> BTreeMap<String, Case> {
    let paths = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let cases = paths.filter(|path| path.extension().is_some_and(|kind| kind == "yaml"));
    let cases = cases.map(|path| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let case = serde_saphyr::from_str(&text).unwrap_or_else(|err| panic!("{name}: {err}"));
        (name, case)
    });
    cases.collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance")
}

#[test]
fn every_case_holds() {
    let cases = cases();
    let mut report = String::new();
    for (name, case) in &cases {
        let diff = run(case, false) + &run(case, true);
        if !diff.is_empty() {
            writeln!(report, "{name}: {}\n{diff}", case.title).unwrap();
        }
    }
    println!("{} cases", cases.len());
    assert!(cases.len() >= FEWEST_CASES, "cases are missing: {}", cases.len());
    assert!(report.is_empty(), "\n{report}");
}

/// The folder's README maps what is easily got wrong to cases.
#[test]
fn every_trap_has_its_case() {
    let cases = cases();
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    let (_, table) = readme.split_once("| --- | --- |").unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ")).collect();
    assert!(rows.len() >= FEWEST_TRAPS, "traps are missing: {}", rows.len());
    let mut named = BTreeSet::new();
    for row in rows {
        let (trap, list) = row.trim_matches('|').split_once(" | ").unwrap();
        let found: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
        assert!(!found.is_empty(), "no case: {trap}");
        for name in found {
            assert!(cases.contains_key(name), "no such case: {name} of {trap}");
            named.insert(name.to_owned());
        }
    }
    let traps = cases.keys().filter(|name| name.starts_with("trap-"));
    let unnamed: Vec<&String> = traps.filter(|name| !named.contains(*name)).collect();
    assert!(unnamed.is_empty(), "not in the table: {unnamed:?}");
}

/// `SEMANTICS 5.3, …` is about section 5.
#[test]
fn every_section_has_a_case() {
    let rules = cases().into_values().map(|case| case.rule);
    let section = |rule: &str| {
        let (_, rest) = rule.split_once("SEMANTICS ")?;
        let digits = rest.split(|letter: char| !letter.is_ascii_digit()).next()?;
        digits.parse::<u32>().ok()
    };
    let found: BTreeSet<u32> = rules.filter_map(|rule| section(&rule)).collect();
    assert_eq!(found, (1..=SECTIONS).collect(), "sections without a case, or unknown ones");
}
