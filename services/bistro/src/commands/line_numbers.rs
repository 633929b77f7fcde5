//! Which line of a CSV file a record stands on, and whether the last one is whole.

/// What is wrong with a last line without an end: of its last number, digits may be missing.
pub(crate) const CUT_OFF: &str = "it has no line end, so the file may be cut off here; if it is \
                                  whole, end its last line";

/// Whether the last line of the file with these bytes has no end.
pub(crate) fn is_cut_off(bytes: &[u8]) -> bool {
    bytes.last().is_some_and(|last| *last != b'\n')
}

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
