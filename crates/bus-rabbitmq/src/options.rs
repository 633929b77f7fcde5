//! What the bus must be told: where RabbitMQ is and how long to wait for it.

use std::{fmt, time::Duration};

use lapin::uri::{AMQPScheme, AMQPUri};

/// Where RabbitMQ is, and how patient to be with it.
///
/// Its `Debug` shows neither the password nor the user.
#[derive(Clone)]
pub struct RabbitOptions {
    pub(crate) uri: AMQPUri,
    pub(crate) name: String,
    pub(crate) seed: u64,
    pub(crate) publish_timeout: Duration,
    pub(crate) poll_interval: Duration,
    pub(crate) check_interval: Duration,
    pub(crate) settling: Duration,
}

/// A URL that does not name a RabbitMQ server. It does not repeat the URL, which may hold a
/// password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UrlError(&'static str);

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the RabbitMQ URL is wrong: {}; write it like amqp://user:password@host:5672/%2f",
            self.0
        )
    }
}

impl std::error::Error for UrlError {}

impl RabbitOptions {
    /// Seconds between heartbeats, unless the URL says otherwise; a silent peer is given up after
    /// twice this.
    const HEARTBEAT: u16 = 10;

    /// Options for the server at `url` (`amqp://` or `amqps://`).
    ///
    /// `name` is what the server's own tools call this process. `seed` decides the jitter of
    /// reconnects and polls; processes should have different ones.
    pub fn new(url: &str, name: impl Into<String>, seed: u64) -> Result<Self, UrlError> {
        let mut uri: AMQPUri =
            url.parse().map_err(|_| UrlError("it cannot be read as an AMQP URL"))?;
        if uri.vhost.len() > 255 {
            return Err(UrlError("its virtual host is longer than 255 bytes"));
        }
        uri.query.heartbeat.get_or_insert(Self::HEARTBEAT);
        Ok(Self {
            uri,
            name: name.into(),
            seed,
            publish_timeout: Duration::from_secs(5),
            poll_interval: Duration::from_secs(1),
            check_interval: Duration::from_secs(5),
            settling: Duration::from_secs(5),
        })
    }

    /// How long a publish may take before it is given up as not done or unknown. Default 5 s.
    #[must_use]
    pub fn with_publish_timeout(mut self, timeout: Duration) -> Self {
        self.publish_timeout = timeout;
        self
    }

    /// How often a consumed queue's shelf is asked for events that are due. Default 1 s. Events
    /// that this process put off itself are fetched at their moment, whatever the interval.
    #[must_use]
    pub fn with_poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// How often it is checked that every declared queue is still there. Default 5 s.
    #[must_use]
    pub fn with_check_interval(mut self, interval: Duration) -> Self {
        self.check_interval = interval;
        self
    }

    /// How long `declare` waits after it created a queue. Default 5 s.
    ///
    /// RabbitMQ notes on disk which log belongs to a new quorum queue up to some four seconds late
    /// (it buffers that file). When a node of one is killed before, the queue is there afterwards
    /// without what it held, and takes nothing. Existing queues are not concerned, so this delays
    /// the first start of a platform, and of a version with a new queue. Tests that kill no broker
    /// set it to zero.
    #[must_use]
    pub fn with_settling(mut self, settling: Duration) -> Self {
        self.settling = settling;
        self
    }
}

impl fmt::Debug for RabbitOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitOptions")
            .field("tls", &(self.uri.scheme == AMQPScheme::AMQPS))
            .field("host", &self.uri.authority.host)
            .field("port", &self.uri.authority.port)
            .field("vhost", &self.uri.vhost)
            .field("name", &self.name)
            .field("publish_timeout", &self.publish_timeout)
            .field("poll_interval", &self.poll_interval)
            .field("check_interval", &self.check_interval)
            .field("settling", &self.settling)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_and_errors_keep_the_password() {
        let options = RabbitOptions::new("amqp://bistro:hunter2@mq:5672/%2f", "orders", 1).unwrap();
        assert!(!format!("{options:?}").contains("hunter2"));
        for url in ["http://u:hunter2@mq", "amqp://u:hunter2@mq:port/", "hunter2"] {
            let error = RabbitOptions::new(url, "orders", 1).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
    }
}
