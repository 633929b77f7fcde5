//! A gRPC client that knows of a role only what the role's port tells of itself, as grpcurl does.

use std::collections::BTreeMap;

use bistro_testkit::wait;
use bytes::{Buf as _, BufMut as _};
use http::uri::PathAndQuery;
use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage as _,
    ServiceDescriptor, Value as Told, prost_types::FileDescriptorProto,
};
use serde_json::{Map, Value};
use tokio::sync::OnceCell;
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::{Channel, Endpoint},
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::{
    people::fresh,
    platform::{Platform, SOON, Topology},
};

/// A platform that all tests of this process share, whose gRPC ports people may ask.
pub(crate) async fn open_to_people(topology: Topology) -> &'static Platform {
    static OPEN: [OnceCell<Platform>; 3] = [const { OnceCell::const_new() }; 3];
    let settings = &[("BISTRO__GRPC__PEOPLE", "true")];
    OPEN[topology as usize].get_or_init(|| Platform::start(topology, settings)).await
}

/// A role, as its port describes it.
pub(crate) struct Reflected {
    channel: Channel,
    service: ServiceDescriptor,
}

impl Reflected {
    /// Learns what `role` answers from the process that runs it.
    pub(crate) async fn of(platform: &Platform, role: &str) -> Self {
        let runs = |name: Option<&str>| name.is_none_or(|name| name == role);
        let process = platform.processes.iter().find(|process| runs(process.role));
        let address = format!("http://{}", process.expect("a process").grpc.addr());
        let channel = Endpoint::from_shared(address).unwrap().connect().await.expect("gRPC");
        let mut client = ServerReflectionClient::new(channel.clone());
        let services = reflect(&mut client, MessageRequest::ListServices(String::new())).await;
        let MessageResponse::ListServicesResponse(services) = services else {
            panic!("{services:?}")
        };
        let mut names = services.service.into_iter().map(|service| service.name);
        let begins = format!("bistro.{role}.");
        let name = names.find(|name| name.starts_with(&begins)).expect("the role's service");

        // The file of the service, and those that it builds on.
        let mut files = BTreeMap::new();
        let mut wanted = vec![MessageRequest::FileContainingSymbol(name.clone())];
        while let Some(ask) = wanted.pop() {
            let answer = reflect(&mut client, ask).await;
            let MessageResponse::FileDescriptorResponse(told) = answer else {
                panic!("{answer:?}")
            };
            for bytes in told.file_descriptor_proto {
                let file = FileDescriptorProto::decode(bytes.as_slice()).expect("a file");
                let missing = file.dependency.iter().filter(|name| !files.contains_key(*name));
                wanted.extend(missing.cloned().map(MessageRequest::FileByFilename));
                files.insert(file.name().to_owned(), file);
            }
        }
        let mut pool = DescriptorPool::new();
        pool.add_file_descriptor_protos(files.into_values()).expect("whole files");
        let service = pool.get_service_by_name(&name).expect("the service");
        Self { channel, service }
    }

    /// Asks `method` with `token`, or with none if it is empty, and under a key of its own.
    pub(crate) async fn ask(
        &self,
        token: &str,
        method: &str,
        body: &Value,
    ) -> Result<Value, Status> {
        let found = self.service.methods().find(|known| known.name() == method);
        let method = found.unwrap_or_else(|| panic!("there is no {method}"));
        let path = format!("/{}/{}", self.service.full_name(), method.name());
        let path: PathAndQuery = path.parse().expect("a path");
        let mut request = Request::new(message(&method.input(), body).encode_to_vec());
        if !token.is_empty() {
            let authorization = format!("Bearer {token}").parse().expect("a token");
            request.metadata_mut().insert("authorization", authorization);
        }
        request.metadata_mut().insert("idempotency-key", fresh("grpc").parse().expect("a key"));
        let mut client = Grpc::new(self.channel.clone());
        client.ready().await.expect("a connection");
        let answer = client.unary(request, path, Plain).await?.into_inner();
        let answer = DynamicMessage::decode(method.output(), answer.as_slice());
        Ok(object(&answer.expect("the message that was described")))
    }

    /// Asks, and is answered.
    pub(crate) async fn told(&self, token: &str, method: &str, body: &Value) -> Value {
        let answer = self.ask(token, method, body).await;
        answer.unwrap_or_else(|status| panic!("{method} {body}: {status}"))
    }

    /// Asks, and is refused with this code.
    pub(crate) async fn refused(&self, token: &str, method: &str, body: &Value) -> String {
        match self.ask(token, method, body).await {
            Ok(answer) => panic!("{method} {body} is answered: {answer}"),
            Err(status) => {
                let code = status.metadata().get("bistro-code").map(|code| code.to_str().unwrap());
                code.unwrap_or_else(|| panic!("{method} {body}: {status}")).to_owned()
            }
        }
    }

    /// Asks until the answer is as `wanted`.
    pub(crate) async fn until(
        &self,
        (token, method, body): (&str, &str, &Value),
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        wait::until(&format!("{method} {body}"), SOON, async || {
            let answer =
                self.ask(token, method, body).await.map_err(|status| status.to_string())?;
            if wanted(&answer) { Ok(answer) } else { Err(answer.to_string()) }
        })
        .await
    }
}

async fn reflect(
    client: &mut ServerReflectionClient<Channel>,
    ask: MessageRequest,
) -> MessageResponse {
    let request = ServerReflectionRequest {
        message_request: Some(ask),
        ..ServerReflectionRequest::default()
    };
    let asked = futures::stream::iter([request]);
    let answers = client.server_reflection_info(asked).await.expect("reflection");
    let answer = answers.into_inner().message().await.expect("reflection").expect("an answer");
    answer.message_response.expect("what was asked for")
}

/// The message that `body` writes as JSON, with the names and numbers of the .proto.
fn message(kind: &MessageDescriptor, body: &Value) -> DynamicMessage {
    let mut message = DynamicMessage::new(kind.clone());
    for (name, given) in body.as_object().expect("an object") {
        let field = kind.get_field_by_name(name);
        let field = field.unwrap_or_else(|| panic!("{} has no {name}", kind.full_name()));
        match given {
            Value::Null => {}
            Value::Array(all) => {
                let all = all.iter().map(|one| single(&field.kind(), one)).collect();
                message.set_field(&field, Told::List(all));
            }
            one => message.set_field(&field, single(&field.kind(), one)),
        }
    }
    message
}

fn single(kind: &Kind, given: &Value) -> Told {
    let told = match kind {
        Kind::Bool => given.as_bool().map(Told::Bool),
        Kind::String => given.as_str().map(|text| Told::String(text.to_owned())),
        Kind::Int64 => given.as_i64().map(Told::I64),
        Kind::Uint64 => given.as_u64().map(Told::U64),
        Kind::Int32 => given.as_i64().and_then(|number| number.try_into().ok()).map(Told::I32),
        Kind::Uint32 => given.as_u64().and_then(|number| number.try_into().ok()).map(Told::U32),
        Kind::Message(of) => Some(Told::Message(message(of, given))),
        _ => None,
    };
    told.unwrap_or_else(|| panic!("{given} is no {kind:?}"))
}

/// A message as JSON: every field, and null for a message that is not there.
fn object(message: &DynamicMessage) -> Value {
    let shown = |field: FieldDescriptor| {
        let missing = field.supports_presence() && !message.has_field(&field);
        let shown = if missing { Value::Null } else { json(&message.get_field(&field)) };
        (field.name().to_owned(), shown)
    };
    Value::Object(message.descriptor().fields().map(shown).collect::<Map<_, _>>())
}

fn json(told: &Told) -> Value {
    match told {
        Told::Bool(truth) => Value::from(*truth),
        Told::String(text) => Value::from(text.as_str()),
        Told::I32(number) => Value::from(*number),
        Told::I64(number) => Value::from(*number),
        Told::U32(number) => Value::from(*number),
        Told::U64(number) => Value::from(*number),
        Told::Message(message) => object(message),
        Told::List(all) => all.iter().map(json).collect(),
        Told::Map(entries) => {
            let entry = |(key, value): (&prost_reflect::MapKey, &Told)| {
                (key.as_str().expect("a text").to_owned(), json(value))
            };
            Value::Object(entries.iter().map(entry).collect())
        }
        other => panic!("no protocol has this yet: {other:?}"),
    }
}

/// Messages as they are on the wire.
pub(crate) struct Plain;

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
