//! Every call that the protocols describe is answered by a role, whatever the answer is. The
//! compiler does not see to it: doubles of roles in tests leave most calls to generated defaults.

use std::time::Duration;

use prost_reflect::DescriptorPool;
use tokio::time::timeout;
use tonic::{
    Code, Request,
    client::Grpc,
    transport::{Channel, Endpoint},
};

use crate::{
    platform::{Topology, on_every_topology},
    reflection::{Plain, open_to_people},
};

on_every_topology!(every_call_is_answered);

/// How long a stream may say nothing; then it is one.
const SILENCE: Duration = Duration::from_secs(2);

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
    // Who is refused at the door is not told whether anybody would have answered.
    let platform = open_to_people(topology).await;
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
