//! How to reach MongoDB, and for how long to wait for it.

use std::{fmt, time::Duration};

use bistro_store::StoreError;
use mongodb::options::{
    Acknowledgment, ClientOptions, ReadConcern, ReadPreference, SelectionCriteria, WriteConcern,
};

use crate::error::DriverError;

/// How to reach MongoDB, and for how long to wait for it.
#[derive(Clone)]
pub struct MongoOptions {
    /// A `mongodb://` or `mongodb+srv://` connection string. It may hold a password, so that
    /// neither this type nor any error of this crate prints it.
    pub url: String,
    /// The database that holds every collection.
    pub database: String,
    /// The most connections, which is also the most operations under way at once.
    pub max_pool_size: u32,
    /// Connections kept open when there is nothing to do.
    pub min_pool_size: u32,
    /// For how long an operation looks for a primary.
    pub server_selection_timeout: Duration,
    /// For how long a new connection, or a server's answer to "are you there", is awaited.
    pub connect_timeout: Duration,
    /// After how long without an answer the caller is told that there is none. Waiting for a
    /// connection or for another Work takes at most half of it.
    pub operation_timeout: Duration,
}

impl MongoOptions {
    /// The defaults, for the server at `url`.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            database: "bistro".to_owned(),
            max_pool_size: 64,
            min_pool_size: 4,
            server_selection_timeout: Duration::from_secs(3),
            connect_timeout: Duration::from_secs(3),
            operation_timeout: Duration::from_secs(10),
        }
    }

    /// What the driver is told.
    pub(crate) async fn to_client(&self) -> Result<ClientOptions, StoreError> {
        let mut options = ClientOptions::parse(&self.url)
            .await
            .map_err(|error| DriverError::from(&error).not_done("the MongoDB URL is not usable"))?;
        options.app_name.get_or_insert_with(|| "bistro".to_owned());
        options.max_pool_size = Some(self.max_pool_size.max(1));
        options.min_pool_size = Some(self.min_pool_size.min(self.max_pool_size));
        // The driver's 2 would make a cold pool of 64 fill one pair of handshakes at a time.
        options.max_connecting = Some(8);
        options.server_selection_timeout = Some(self.server_selection_timeout);
        options.connect_timeout = Some(self.connect_timeout);
        // With the connect timeout this decides when a silent server's connections are given up.
        options.heartbeat_freq = Some(Duration::from_secs(2));
        options.retry_reads = Some(true);
        // The server would keep a record of each write, to tell the driver's second attempt from
        // the first: a second write. Marks, timers, calls and versions tell a Work's; what else is
        // written may happen twice (docs/adr/0002).
        options.retry_writes = Some(false);
        options.read_concern = Some(ReadConcern::majority());
        options.write_concern = Some(self.write_concern());
        options.selection_criteria =
            Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
        Ok(options)
    }

    /// Majority and journaled; a majority that does not come in time is an unknown outcome.
    pub(crate) fn write_concern(&self) -> WriteConcern {
        WriteConcern::builder()
            .w(Acknowledgment::Majority)
            .journal(true)
            .w_timeout(self.operation_timeout)
            .build()
    }
}

impl fmt::Debug for MongoOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoOptions")
            .field("url", &"***")
            .field("database", &self.database)
            .field("max_pool_size", &self.max_pool_size)
            .field("min_pool_size", &self.min_pool_size)
            .field("server_selection_timeout", &self.server_selection_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("operation_timeout", &self.operation_timeout)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_not_printed() {
        let options = MongoOptions::new("mongodb://me:hunter2@db/?replicaSet=rs0");
        assert!(!format!("{options:?}").contains("hunter2"));
    }

    #[tokio::test]
    async fn what_correctness_rests_on_does_not_come_from_the_url() {
        let url = "mongodb://db/?w=1&readConcernLevel=local&retryWrites=true&maxPoolSize=3";
        let options = MongoOptions::new(url).to_client().await.unwrap();
        let concern = options.write_concern.unwrap();
        assert_eq!(concern.w, Some(Acknowledgment::Majority));
        assert_eq!(concern.journal, Some(true));
        assert_eq!(options.read_concern, Some(ReadConcern::majority()));
        assert_eq!(options.retry_writes, Some(false));
        assert_eq!(options.max_pool_size, Some(64));
    }

    #[tokio::test]
    async fn an_unusable_url_is_refused_without_repeating_it() {
        let url = "mongodb://me:hunter2@db/?nonsense";
        let refused = MongoOptions::new(url).to_client().await.unwrap_err();
        assert!(!format!("{refused} {refused:?}").contains("hunter2"));
    }
}
