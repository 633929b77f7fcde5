//! Every call that the protocols describe is answered by a role, whatever the answer is. The
//! compiler does not see to it: doubles of roles in tests leave most calls to generated defaults.

use std::time::Duration;

use bytes::{Buf as _, BufMut as _};
use prost_reflect::DescriptorPool;
use tokio::time::timeout;
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::{Channel, Endpoint},
};

use crate::platform::{Platform, Topology, on_every_topology};

on_every_topology!(every_call_is_answered);

/// How long a stream may say nothing; then it is one.
const SILENCE: Duration = Duration::from_secs(2);

/// Messages as they are on the wire.
struct Plain;

impl Codec for Plain {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Plain {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut message = vec![0; buffer.remaining()];
        buffer.copy_to_slice(&mut message);
        Ok(Some(message))
    }
}

/// What nobody in particular is answered to an empty request.
async fn answer(channel: &Channel, path: &str) -> Code {
    let mut client = Grpc::new(channel.clone());
    client.ready().await.expect("a connection");
    let path = path.parse().expect("a path");
    let asked = client.server_streaming(Request::new(Vec::new()), path, Plain);
    match asked.await {
        Err(status) => status.code(),
        Ok(answers) => match timeout(SILENCE, answers.into_inner().message()).await {
            Ok(Err(status)) => status.code(),
            Ok(Ok(_)) | Err(_) => Code::Ok,
        },
    }
}

async fn every_call_is_answered(topology: Topology) {
    let platform = Platform::shared(topology).await;
    let pool = DescriptorPool::decode(bistro_proto::DESCRIPTORS).expect("the descriptors");
    let (mut asked, mut silent) = (0, Vec::new());
    for process in &platform.processes {
        let address = format!("http://{}", process.grpc.addr());
        let channel = Endpoint::from_shared(address).unwrap().connect().await.expect("gRPC");
        for service in pool.services() {
            let of_role = |role| service.full_name().starts_with(&format!("bistro.{role}."));
            if !process.role.is_none_or(of_role) {
                continue;
            }
            for method in service.methods() {
                let path = format!("/{}/{}", service.full_name(), method.name());
                asked += 1;
                if answer(&channel, &path).await == Code::Unimplemented {
                    silent.push(path);
                }
            }
        }
    }
    assert!(asked > 100, "only {asked} calls are described");
    assert!(silent.is_empty(), "nobody answers {silent:?}");
}
