//! Tables on the terminal: columns as wide as what is in them, separated by two spaces.

use std::fmt::Write as _;

/// A table in the making.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(ToString::to_string).collect()] }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        // A line end or another control character in a cell would break the table.
        let clean = |cell: String| cell.replace(|one: char| one.is_control(), " ");
        self.rows.push(cells.into_iter().map(clean).collect());
    }

    /// The table, with a line end after each row.
    pub(crate) fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                // Writing to a String cannot fail.
                let _ = write!(line, "{cell:<width$}  ");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// The first `most` characters of `text`, and a sign if there are more.
pub(crate) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["ROLE", "WHAT"]);
        table.row(["kitchen".to_owned(), "a\nb".to_owned()]);
        table.row(["é".to_owned(), String::new()]);
        assert_eq!(table.text(), "ROLE     WHAT\nkitchen  a b\né\n");
    }

    #[test]
    fn what_is_cut_says_so() {
        assert_eq!(cut("café", 4), "café");
        assert_eq!(cut("cafés", 4), "café…");
    }
}
