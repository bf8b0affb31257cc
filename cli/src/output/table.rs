//! Columns of plain text, aligned as `kubectl` does: three spaces between, nothing after the last.

/// Spaces between columns.
const GAP: usize = 3;

/// A table that can be printed at once, or begun and gone on with line by line.
#[derive(Clone, Debug, Default)]
pub struct Table {
    widths: Vec<usize>,
}

impl Table {
    /// Lines for a heading and rows. Remembers the widths for rows that come later.
    pub fn render(&mut self, heading: &[&str], rows: &[Vec<String>]) -> String {
        let heading: Vec<String> = heading.iter().map(|&cell| cell.to_owned()).collect();
        self.widen(&heading);
        rows.iter().for_each(|row| self.widen(row));
        std::iter::once(&heading).chain(rows).map(|row| self.line(row)).collect()
    }

    /// One more row; columns that it does not fit in grow from here on.
    pub fn more(&mut self, row: &[String]) -> String {
        self.widen(row);
        self.line(row)
    }

    fn widen(&mut self, row: &[String]) {
        self.widths.resize(self.widths.len().max(row.len()), 0);
        for (width, cell) in self.widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }

    fn line(&self, row: &[String]) -> String {
        let mut line = String::new();
        for (width, cell) in self.widths.iter().zip(row) {
            line.push_str(&format!("{cell:width$}", width = width + GAP));
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|&cell| cell.to_owned()).collect()
    }

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let mut table = Table::default();
        let rows = [row(&["pi", "Running", "5s"]), row(&["größer", "", "1m"])];
        let text = table.render(&["NAME", "STATUS", "AGE"], &rows);
        let expect = "NAME     STATUS    AGE\npi       Running   5s\ngrößer             1m\n";
        assert_eq!(text, expect);
        assert_eq!(table.more(&row(&["pi", "Complete", ""])), "pi       Complete\n");
    }
}
