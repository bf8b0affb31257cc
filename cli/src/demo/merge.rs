//! Merges shares into one total, and shows it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::count::{CrateCount, share_file};
use crate::output::table::Table;

/// Rows of each of the two tables.
const ROWS: usize = 8;

/// What was counted in all crates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Total {
    pub(crate) crates: u64,
    pub(crate) files: u64,
    pub(crate) lines: u64,
    pub(crate) words: u64,
    /// Crates of each licence.
    licences: BTreeMap<String, u64>,
    /// Lines of each crate.
    by_lines: BTreeMap<String, CrateCount>,
}

impl Total {
    /// The sum of some counts.
    pub(crate) fn of(counts: impl IntoIterator<Item = CrateCount>) -> Self {
        let mut total = Self::default();
        for count in counts {
            total.crates += 1;
            total.files += count.files;
            total.lines += count.lines;
            total.words += count.words;
            *total.licences.entry(count.licence.clone()).or_default() += 1;
            total.by_lines.insert(count.name.clone(), count);
        }
        total
    }

    /// Reads all shares; every one must be there.
    pub(crate) fn read_shares(out: &Path, of: u32) -> io::Result<Self> {
        let mut counts = Vec::new();
        for share in 0..of {
            let path = share_file(out, share);
            let text = fs::read(&path).map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", path.display()))
            })?;
            counts.extend(serde_json::from_slice::<Vec<CrateCount>>(&text)?);
        }
        Ok(Self::of(counts))
    }

    /// The largest crates and the most frequent licences, with the sums.
    pub(crate) fn render(&self) -> String {
        let mut crates: Vec<&CrateCount> = self.by_lines.values().collect();
        crates.sort_by_key(|count| std::cmp::Reverse(count.lines));
        let row = |name: &str, c: &CrateCount| {
            vec![
                name.to_owned(),
                grouped(c.files),
                grouped(c.lines),
                grouped(c.words),
                c.licence.clone(),
            ]
        };
        let mut rows: Vec<Vec<String>> =
            crates.iter().take(ROWS).map(|c| row(&c.name, c)).collect();
        let all = CrateCount {
            files: self.files,
            lines: self.lines,
            words: self.words,
            ..CrateCount::default()
        };
        rows.push(row(&format!("all {} crates", grouped(self.crates)), &all));
        let heading = ["CRATE", "FILES", "LINES", "WORDS", "LICENCE"];
        let mut text = Table::default().render(&heading, &rows);
        let mut licences: Vec<(&String, &u64)> = self.licences.iter().collect();
        licences.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let row = |(licence, count): &(&String, &u64)| vec![(*licence).clone(), grouped(**count)];
        let rows: Vec<Vec<String>> = licences.iter().take(ROWS).map(row).collect();
        text.push('\n');
        text.push_str(&Table::default().render(&["LICENCE", "CRATES"], &rows));
        text
    }
}

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::count::write_whole;
    use tempfile::TempDir;

    fn count(name: &str, lines: u64) -> CrateCount {
        CrateCount { name: name.to_owned(), licence: "MIT".to_owned(), files: 1, lines, words: 2 }
    }

    #[test]
    fn merged_shares_are_the_whole() {
        let out = TempDir::new().unwrap();
        write_whole(&share_file(out.path(), 0), &[count("a", 5), count("c", 1234)]).unwrap();
        assert!(
            Total::read_shares(out.path(), 2).unwrap_err().to_string().contains("share-1.json")
        );
        write_whole(&share_file(out.path(), 1), &[count("b", 7)]).unwrap();
        let total = Total::read_shares(out.path(), 2).unwrap();
        assert_eq!(total, Total::of([count("a", 5), count("b", 7), count("c", 1234)]));
        let expect = "\
CRATE          FILES   LINES   WORDS   LICENCE
c              1       1,234   2       MIT
b              1       7       2       MIT
a              1       5       2       MIT
all 3 crates   3       1,246   6

LICENCE   CRATES
MIT       3
";
        assert_eq!(total.render(), expect);
    }

    #[test]
    fn digits_are_grouped() {
        assert_eq!(
            [grouped(0), grouped(999), grouped(1000), grouped(1234567)],
            ["0", "999", "1,000", "1,234,567"]
        );
    }
}
