//! Watches over the process's tasks and ends it in two stages.

use std::time::Duration;

use bistro_core::{Error, ErrorCode};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
};
use tracing::debug;

/// Why the process is to end.
#[derive(Debug)]
pub enum Shutdown {
    /// A signal asked for it: finish what is under way, then exit 0.
    Asked,
    /// A task died: exit with its cause.
    Died(Error),
}

/// The tasks without which the process should not go on.
pub struct Supervisor {
    tasks: JoinSet<(String, Result<(), Error>)>,
    terminate: Signal,
    interrupt: Signal,
}

impl Supervisor {
    /// Begins to listen for SIGTERM and SIGINT.
    pub fn new() -> Result<Self, Error> {
        let listen = |kind| signal(kind).map_err(Error::internal);
        Ok(Self {
            tasks: JoinSet::new(),
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Watches over `task`.
    pub fn spawn(
        &mut self,
        name: impl Into<String>,
        task: impl Future<Output = Result<(), Error>> + Send + 'static,
    ) {
        let name = name.into();
        self.tasks.spawn(async move { (name, task.await) });
    }

    /// Watches over every task of `tasks`, under one name.
    pub fn adopt(&mut self, name: &str, mut tasks: JoinSet<Result<(), Error>>) {
        if tasks.is_empty() {
            return;
        }
        let owner = name.to_owned();
        self.spawn(name, async move {
            while let Some(ended) = tasks.join_next().await {
                ended.map_err(|panic| died(&owner, panic))??;
            }
            Ok(())
        });
    }

    /// Waits for a signal, or for a task to die.
    pub async fn wait(&mut self) -> Shutdown {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Shutdown::Asked,
                _ = self.interrupt.recv() => return Shutdown::Asked,
                Some(ended) = self.tasks.join_next() => match ended {
                    Ok((name, Ok(()))) => debug!(task = name, "a task has ended"),
                    Ok((name, Err(error))) => return Shutdown::Died(
                        Error::new(error.code(), format!("{name} failed: {error}")).caused_by(error),
                    ),
                    Err(panic) => return Shutdown::Died(died("a task", panic)),
                },
            }
        }
    }

    /// Runs `finish`, unless a second signal comes or `patience` ends first; then false.
    pub async fn drain(&mut self, patience: Duration, finish: impl Future<Output = ()>) -> bool {
        tokio::select! {
            () = finish => true,
            () = tokio::time::sleep(patience) => false,
            _ = self.terminate.recv() => false,
            _ = self.interrupt.recv() => false,
        }
    }

    /// Waits for every task to end by itself.
    pub async fn finish(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

fn died(name: &str, panic: tokio::task::JoinError) -> Error {
    Error::new(ErrorCode::Internal, format!("{name} died")).caused_by(panic)
}
