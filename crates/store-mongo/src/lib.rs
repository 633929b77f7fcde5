//! The storage contract on MongoDB.

mod json;
