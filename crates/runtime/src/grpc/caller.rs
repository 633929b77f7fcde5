//! Makes the calls of Works: any unary method, by its path and encoded messages.

use std::time::Duration;

use async_trait::async_trait;
use bistro_core::{Error, ErrorCode};
use bistro_eventing::{CallAnswer, Caller};
use bistro_store::CallStep;
use bytes::{Buf as _, BufMut as _};
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    metadata::MetadataValue,
};

use super::{IDEMPOTENCY_KEY, Peers, error_of};

#[async_trait]
impl Caller for Peers {
    async fn call(
        &self,
        from: &'static str,
        step: &CallStep,
        key: &str,
        deadline: Duration,
    ) -> CallAnswer {
        match self.ask_raw(from, step, key, deadline).await {
            Ok(answer) => CallAnswer::Done(answer),
            Err(error) if is_known(error.code()) => CallAnswer::Refused(error),
            Err(error) => CallAnswer::Unknown(error),
        }
    }
}

/// Whether the code says for certain that the command had no effect and never will have.
///
/// A wrong token, a broken service or an answer that is too large says nothing about the command: it
/// is asked again.
fn is_known(code: ErrorCode) -> bool {
    !code.is_retryable()
        && !matches!(
            code,
            ErrorCode::Internal
                | ErrorCode::Unauthenticated
                | ErrorCode::MethodNotAllowed
                | ErrorCode::IncompatibleSchema
                | ErrorCode::MessageTooLarge
        )
}

impl Peers {
    async fn ask_raw(
        &self,
        from: &'static str,
        step: &CallStep,
        key: &str,
        deadline: Duration,
    ) -> Result<Vec<u8>, Error> {
        let channel = self.speaking_as(from).channel(&step.role)?.as_workload();
        let mut request = Request::new(step.request.clone());
        request.set_timeout(deadline);
        let value = MetadataValue::try_from(key).map_err(Error::internal)?;
        request.metadata_mut().insert(IDEMPOTENCY_KEY, value);
        let path = step.method.parse().map_err(Error::internal)?;
        let mut client = Grpc::new(channel);
        client.ready().await.map_err(|cause| {
            let message = format!("{} does not answer: {cause}", step.role);
            Error::new(ErrorCode::Unavailable, message)
        })?;
        let answer = client.unary(request, path, Raw).await;
        Ok(answer.map_err(|status| error_of(&status))?.into_inner())
    }
}

/// Messages that stay encoded.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
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

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut item = vec![0; from.remaining()];
        from.copy_to_slice(&mut item);
        Ok(Some(item))
    }
}
