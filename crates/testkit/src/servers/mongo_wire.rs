//! Just enough of MongoDB's wire protocol to found a replica set and to ask for its state.
//!
//! The driver is not used here: `crates/store-mongo` is its only dependant.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const OP_MSG: i32 = 2013;
/// What MongoDB itself accepts at most.
const LARGEST_MESSAGE: usize = 48_000_000;

/// The BSON values that commands here are made of.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Double(f64),
    String(String),
    Document(Vec<(String, Value)>),
    Array(Vec<Value>),
    Bool(bool),
    Int32(i32),
    /// Any other type, or a nested value, in an answer: skipped.
    Other,
}

/// An answer's fields, by name.
pub(super) type Reply = BTreeMap<String, Value>;

/// A connection to one node.
pub(super) struct Connection(TcpStream);

impl Connection {
    pub(super) async fn open(addr: SocketAddr) -> Result<Self> {
        Ok(Self(TcpStream::connect(addr).await.context("cannot connect")?))
    }

    /// Runs a command on the `admin` database. An answer other than `ok: 1` is an error.
    pub(super) async fn command(&mut self, command: &[(&str, Value)]) -> Result<Reply> {
        let mut fields: Vec<(String, Value)> =
            command.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        fields.push(("$db".to_owned(), Value::String("admin".to_owned())));
        self.0.write_all(&message(&fields)?).await.context("cannot send a command")?;

        let length = self.0.read_i32_le().await.context("no answer to a command")?;
        let rest = usize::try_from(length)?
            .checked_sub(4)
            .filter(|rest| *rest <= LARGEST_MESSAGE)
            .context("an answer of an impossible length")?;
        let mut answer = vec![0; rest];
        self.0.read_exact(&mut answer).await.context("half an answer to a command")?;
        let mut answer = Bytes(&answer);
        let (_request, _response_to, kind, _flags, section) =
            (answer.i32()?, answer.i32()?, answer.i32()?, answer.i32()?, answer.byte()?);
        ensure!(kind == OP_MSG && section == 0, "an answer of an unknown kind");
        let reply = answer.document()?;
        if reply.get("ok") == Some(&Value::Double(1.0)) {
            Ok(reply)
        } else {
            bail!("refused: {reply:?}")
        }
    }
}

/// An OP_MSG message with one document.
fn message(fields: &[(String, Value)]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    for word in [1, 0, OP_MSG, 0] {
        body.extend(i32::to_le_bytes(word));
    }
    body.push(0);
    write_document(&mut body, fields)?;
    let length = i32::try_from(body.len() + 4)?;
    Ok([&length.to_le_bytes(), body.as_slice()].concat())
}

fn write_document<'a>(
    out: &mut Vec<u8>,
    fields: impl IntoIterator<Item = &'a (String, Value)>,
) -> Result<()> {
    let start = out.len();
    out.extend([0; 4]);
    for (name, value) in fields {
        let kind_at = out.len();
        out.push(0);
        out.extend(name.as_bytes());
        out.push(0);
        out[kind_at] = write_value(out, value)?;
    }
    out.push(0);
    let length = i32::try_from(out.len() - start)?;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

/// Writes the value and gives back its type's number.
fn write_value(out: &mut Vec<u8>, value: &Value) -> Result<u8> {
    Ok(match value {
        Value::Double(number) => {
            out.extend(number.to_le_bytes());
            0x01
        }
        Value::String(text) => {
            out.extend(i32::try_from(text.len() + 1)?.to_le_bytes());
            out.extend(text.as_bytes());
            out.push(0);
            0x02
        }
        Value::Document(fields) => {
            write_document(out, fields)?;
            0x03
        }
        Value::Array(items) => {
            let fields: Vec<_> =
                items.iter().enumerate().map(|(at, item)| (at.to_string(), item.clone())).collect();
            write_document(out, &fields)?;
            0x04
        }
        Value::Bool(truth) => {
            out.push(u8::from(*truth));
            0x08
        }
        Value::Int32(number) => {
            out.extend(number.to_le_bytes());
            0x10
        }
        Value::Other => bail!("a skipped value cannot be sent"),
    })
}

/// The bytes still to be read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).context("the answer ends early")?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn i32(&mut self) -> Result<i32> {
        let (word, rest) = self.0.split_first_chunk().context("the answer ends early")?;
        self.0 = rest;
        Ok(i32::from_le_bytes(*word))
    }

    /// Text up to a zero byte.
    fn name(&mut self) -> Result<String> {
        let end = self.0.iter().position(|byte| *byte == 0).context("the answer ends early")?;
        let name = std::str::from_utf8(self.take(end)?)?.to_owned();
        self.byte()?;
        Ok(name)
    }

    fn document(&mut self) -> Result<Reply> {
        let length = usize::try_from(self.i32()?)?
            .checked_sub(4)
            .context("a document of an impossible length")?;
        let mut fields = Bytes(self.take(length)?);
        let mut reply = Reply::new();
        loop {
            let kind = fields.byte()?;
            if kind == 0 {
                return Ok(reply);
            }
            let name = fields.name()?;
            let value = fields.value(kind)?;
            reply.insert(name, value);
        }
    }

    fn value(&mut self, kind: u8) -> Result<Value> {
        let skipped = match kind {
            0x01 => {
                let (number, rest) = self.0.split_first_chunk().context("the answer ends early")?;
                self.0 = rest;
                return Ok(Value::Double(f64::from_le_bytes(*number)));
            }
            0x02 => {
                let length = usize::try_from(self.i32()?)?;
                let text = self.take(length)?.strip_suffix(&[0]).context("text without its end")?;
                return Ok(Value::String(std::str::from_utf8(text)?.to_owned()));
            }
            0x08 => return Ok(Value::Bool(self.byte()? != 0)),
            0x10 => return Ok(Value::Int32(self.i32()?)),
            // Document and array: their length counts itself.
            0x03 | 0x04 => usize::try_from(self.i32()?)?
                .checked_sub(4)
                .context("a document of an impossible length")?,
            // Binary: a length, then a subtype.
            0x05 => usize::try_from(self.i32()?)? + 1,
            // Object id.
            0x07 => 12,
            // Null.
            0x0A => 0,
            // Date, timestamp, 64-bit integer.
            0x09 | 0x11 | 0x12 => 8,
            _ => bail!("a value of the unknown type {kind:#x}"),
        };
        self.take(skipped)?;
        Ok(Value::Other)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<i32>().prop_map(Value::Int32),
            any::<bool>().prop_map(Value::Bool),
            (-1e9..1e9).prop_map(Value::Double),
            "[^\0]{0,12}".prop_map(Value::String),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(fields in prop::collection::btree_map("[a-z]{1,5}", value(), 0..8), nested in value()) {
            let mut sent: Vec<(String, Value)> = fields.clone().into_iter().collect();
            sent.push(("NESTED".to_owned(), Value::Document(vec![("it".to_owned(), nested.clone())])));
            sent.push(("LIST".to_owned(), Value::Array(vec![nested])));
            let mut bytes = Vec::new();
            write_document(&mut bytes, &sent).unwrap();
            let mut expected = fields;
            expected.insert("NESTED".to_owned(), Value::Other);
            expected.insert("LIST".to_owned(), Value::Other);
            prop_assert_eq!(Bytes(&bytes).document().unwrap(), expected);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Bytes(&bytes).document();
        }
    }

    #[test]
    fn a_document_is_written_as_the_specification_shows() {
        let mut bytes = Vec::new();
        write_document(&mut bytes, &[("hello".to_owned(), Value::String("world".to_owned()))])
            .unwrap();
        assert_eq!(bytes, b"\x16\0\0\0\x02hello\0\x06\0\0\0world\0\0");
    }
}
