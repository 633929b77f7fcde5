//! Watches over the process's tasks and ends it in two stages.

use std::{collections::HashMap, time::Duration};

use bistro_core::{Error, ErrorCode};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::{Id, JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// Why the process is to end.
#[derive(Debug)]
pub enum Shutdown {
    /// A signal asked for it: finish what is under way, then exit 0.
    Asked,
    /// A task died: exit with its cause.
    Died(Error),
}

/// The signals that ask the process to end: SIGTERM and SIGINT.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Begins to listen for them; from now on they end the process no longer by themselves.
    pub fn listen() -> Result<Self, Error> {
        let listen = |kind| signal(kind).map_err(Error::internal);
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The tasks without which the process should not go on. Dropping it ends those that still run.
#[derive(Default)]
pub struct Supervisor {
    tasks: JoinSet<Result<(), Error>>,
    names: HashMap<Id, String>,
}

/// The end of a task that a [`Supervisor`] watches over.
#[derive(Clone, Debug)]
pub struct Ending(CancellationToken);

impl Ending {
    /// Waits until the task has ended, well or badly.
    pub async fn reached(&self) {
        self.0.cancelled().await;
    }
}

impl Supervisor {
    /// Watches over `task`.
    pub fn spawn(
        &mut self,
        name: impl Into<String>,
        task: impl Future<Output = Result<(), Error>> + Send + 'static,
    ) -> Ending {
        let ending = Ending(CancellationToken::new());
        // A guard, because a task that panics ends too.
        let ended = ending.0.clone().drop_guard();
        let handle = self.tasks.spawn(async move {
            let _ended = ended;
            task.await
        });
        self.names.insert(handle.id(), name.into());
        ending
    }

    /// Watches over every task of `tasks`, under one name. They end when the last one does.
    pub fn adopt(&mut self, name: &str, mut tasks: JoinSet<Result<(), Error>>) -> Ending {
        let owner = name.to_owned();
        self.spawn(name, async move {
            while let Some(ended) = tasks.join_next().await {
                ended.map_err(|panic| died(&owner, panic))??;
            }
            Ok(())
        })
    }

    /// Waits for a signal, or for a task to die.
    pub async fn wait(&mut self, signals: &mut Signals) -> Shutdown {
        tokio::select! {
            () = signals.next() => Shutdown::Asked,
            Err(cause) = end(&mut self.tasks, &mut self.names) => Shutdown::Died(cause),
        }
    }

    /// Runs `finish` and waits for every task to end; fails if one of them ended badly. Fails at
    /// once when a second signal comes or `patience` is over.
    pub async fn drain(
        &mut self,
        signals: &mut Signals,
        patience: Duration,
        finish: impl Future<Output = ()>,
    ) -> Result<(), Error> {
        let tasks = async {
            let mut first = Ok(());
            // What one task left undone is no reason to cut the others short.
            while let Err(cause) = end(&mut self.tasks, &mut self.names).await {
                first = first.and(Err(cause));
            }
            first
        };
        let why = tokio::select! {
            // What ends at the last moment has ended.
            biased;
            ((), ended) = async { tokio::join!(finish, tasks) } => return ended,
            () = signals.next() => "a second signal came",
            () = tokio::time::sleep(patience) => "the time for it was over",
        };
        let mut left: Vec<&str> = self.names.values().map(String::as_str).collect();
        left.sort_unstable();
        let message = format!(
            "stopped before everything under way had ended, since {why}; nothing acknowledged is \
             lost; still at work: {}",
            left.join(", ")
        );
        Err(Error::new(ErrorCode::Internal, message))
    }
}

/// Waits until all of `tasks` have ended well, or one of them badly.
async fn end(
    tasks: &mut JoinSet<Result<(), Error>>,
    names: &mut HashMap<Id, String>,
) -> Result<(), Error> {
    while let Some(ended) = tasks.join_next_with_id().await {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let name = names.remove(&id).unwrap_or_default();
        match ended {
            Ok((_, Ok(()))) => debug!(task = name, "a task has ended"),
            Ok((_, Err(error))) => {
                let message = format!("{name} failed: {error}");
                return Err(Error::new(error.code(), message).caused_by(error));
            }
            Err(panic) => return Err(died(&name, panic)),
        }
    }
    Ok(())
}

fn died(name: &str, panic: JoinError) -> Error {
    Error::new(ErrorCode::Internal, format!("{name} died")).caused_by(panic)
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const LONG: Duration = Duration::from_hours(1);

    fn away() -> Error {
        Error::new(ErrorCode::Unavailable, "the broker is away")
    }

    async fn drain(
        supervisor: &mut Supervisor,
        patience: Duration,
        finish: impl Future<Output = ()>,
    ) -> Result<(), Error> {
        supervisor.drain(&mut Signals::listen().unwrap(), patience, finish).await
    }

    async fn cause_of_death(supervisor: &mut Supervisor) -> Error {
        match supervisor.wait(&mut Signals::listen().unwrap()).await {
            Shutdown::Died(cause) => cause,
            Shutdown::Asked => panic!("nobody asked"),
        }
    }

    #[tokio::test]
    async fn a_task_that_fails_is_the_cause() {
        let mut supervisor = Supervisor::default();
        supervisor.spawn("the watchman", pending());
        // A task that ends well is no reason to stop.
        supervisor.spawn("the errand", async { Ok(()) });
        let ending = supervisor.spawn("the relay", async { Err(away()) });
        let cause = cause_of_death(&mut supervisor).await;
        assert_eq!(cause.code(), ErrorCode::Unavailable);
        assert_eq!(cause.message(), "the relay failed: the broker is away");
        ending.reached().await;
    }

    #[tokio::test]
    async fn a_task_that_panics_is_the_cause() {
        let mut supervisor = Supervisor::default();
        let ending = supervisor.spawn("the relay", async { panic!("a mistake") });
        let cause = cause_of_death(&mut supervisor).await;
        assert_eq!((cause.code(), cause.message()), (ErrorCode::Internal, "the relay died"));
        assert!(cause.chain().contains("a mistake"), "{}", cause.chain());
        ending.reached().await;
    }

    #[tokio::test]
    async fn one_of_many_adopted_tasks_is_enough() {
        for (task, said) in [(false, "orders failed"), (true, "orders died")] {
            let mut supervisor = Supervisor::default();
            let mut tasks = JoinSet::new();
            tasks.spawn(pending());
            tasks.spawn(async move { if task { panic!("a mistake") } else { Err(away()) } });
            supervisor.adopt("orders", tasks);
            let cause = cause_of_death(&mut supervisor).await;
            assert!(cause.chain().contains(said), "{}", cause.chain());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_ends_with_what_it_finishes() {
        let mut supervisor = Supervisor::default();
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let told = stop.clone();
        tasks.spawn(async move {
            told.cancelled().await;
            tokio::time::sleep(Duration::from_secs(3)).await;
            Ok(())
        });
        let ending = supervisor.adopt("orders", tasks);
        let began = tokio::time::Instant::now();
        let finish = async {
            stop.cancel();
            ending.reached().await;
        };
        drain(&mut supervisor, LONG, finish).await.unwrap();
        assert_eq!(began.elapsed(), Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_that_takes_too_long_names_what_is_left() {
        let mut supervisor = Supervisor::default();
        supervisor.spawn("orders", pending());
        supervisor.spawn("the gRPC port", async { Ok(()) });
        let began = tokio::time::Instant::now();
        let error = drain(&mut supervisor, Duration::from_secs(5), async {}).await.unwrap_err();
        assert_eq!(began.elapsed(), Duration::from_secs(5));
        let said = error.message();
        assert!(said.contains("since the time for it was over"), "{said}");
        assert!(said.ends_with("still at work: orders"), "{said}");
    }

    #[tokio::test]
    async fn a_task_that_dies_while_draining_is_the_cause() {
        let mut supervisor = Supervisor::default();
        let stop = CancellationToken::new();
        let told = stop.clone();
        let ending = supervisor.spawn("orders", async move {
            told.cancelled().await;
            Err(away())
        });
        let finish = async {
            stop.cancel();
            ending.reached().await;
        };
        let error = drain(&mut supervisor, LONG, finish).await.unwrap_err();
        assert_eq!(error.message(), "orders failed: the broker is away");
    }
}
