//! How large an order may be: one answer for every role, and for what checks a file beforehand.

/// Lines that one order, quote or basket may have.
pub const MAX_ORDER_LINES: usize = 200;

/// Units that one line of an order may ask for.
pub const MAX_LINE_QUANTITY: u32 = 999;
