//! Compiles every .proto under `bistro/` with a compiler that is itself Rust.

use std::{env, error::Error, fs, path::PathBuf};

const ROLES: &[&str] =
    &["common", "accounts", "catalog", "orders", "payments", "kitchen", "delivery", "operations"];

fn main() -> Result<(), Box<dyn Error>> {
    let mut files = Vec::new();
    for role in ROLES {
        let folder = format!("bistro/{role}/v1");
        println!("cargo:rerun-if-changed={folder}");
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "proto") {
                files.push(path);
            }
        }
    }
    files.sort();
    let descriptors = protox::compile(&files, ["."])?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), protox::prost::Message::encode_to_vec(&descriptors))?;
    // Each message knows its full name, which is the kind of the event that carries it.
    let mut config = prost_build::Config::new();
    config.enable_type_names();
    tonic_prost_build::configure()
        .generate_default_stubs(true)
        .codec_path("crate::codec::SizedCodec")
        .compile_fds_with_config(descriptors, config)?;
    Ok(())
}
