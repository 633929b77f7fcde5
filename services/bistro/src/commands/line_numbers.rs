//! Which line of a CSV file a record stands on.

/// Counts line ends: the reader's own count is one less after a line that ends in CR LF.
pub(crate) struct LineNumbers<'a> {
    bytes: &'a [u8],
    /// Up to where line ends are counted.
    offset: usize,
    line: u64,
}

impl<'a> LineNumbers<'a> {
    /// Begins at the start of the file with these bytes.
    pub(crate) const fn of_file(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0, line: 1 }
    }

    /// The line of the record that the reader says is at `position`, from 1. Positions only grow.
    pub(crate) fn at(&mut self, position: Option<&csv::Position>) -> u64 {
        let said = position.and_then(|position| usize::try_from(position.byte()).ok());
        let said = said.unwrap_or(self.offset).clamp(self.offset, self.bytes.len());
        // The end of the line before, and empty lines, come first.
        let between = self.bytes[said..].iter().take_while(|byte| b"\r\n".contains(byte)).count();
        let counted = &self.bytes[self.offset..said + between];
        self.line += counted.split(|byte| *byte == b'\n').count() as u64 - 1;
        self.offset = said + between;
        self.line
    }
}
