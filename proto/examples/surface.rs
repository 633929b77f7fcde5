//! Prints what others rely on in the protocols: every field's number and type, every method.
//!
//! `proto/surface.txt` is this, committed. A line that is gone or different breaks somebody who
//! was built before; `cargo xtask codegen` refuses to drop one.
#![expect(clippy::print_stdout, reason = "it is for printing")]

use bistro_proto::DESCRIPTORS;
use prost::Message as _;
use prost_types::{DescriptorProto, FileDescriptorSet, field_descriptor_proto::Label};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = FileDescriptorSet::decode(DESCRIPTORS)?;
    let mut lines = Vec::new();
    for file in &files.file {
        for message in &file.message_type {
            fields(&format!("{}.{}", file.package(), message.name()), message, &mut lines);
        }
        for service in &file.service {
            for method in &service.method {
                let stream = if method.server_streaming() { "stream " } else { "" };
                lines.push(format!(
                    "rpc {}.{}/{}({}) -> {stream}{}",
                    file.package(),
                    service.name(),
                    method.name(),
                    method.input_type(),
                    method.output_type()
                ));
            }
        }
    }
    lines.sort();
    println!("{}", lines.join("\n"));
    Ok(())
}

fn fields(path: &str, message: &DescriptorProto, lines: &mut Vec<String>) {
    for field in &message.field {
        let kind = match field.type_name() {
            "" => field.r#type().as_str_name().trim_start_matches("TYPE_").to_lowercase(),
            name => name.to_owned(),
        };
        let label = if field.label() == Label::Repeated { "repeated " } else { "" };
        lines.push(format!("{path} {} = {label}{kind} {}", field.number(), field.name()));
    }
    for nested in &message.nested_type {
        fields(&format!("{path}.{}", nested.name()), nested, lines);
    }
}
