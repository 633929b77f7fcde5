//! `bistro serve`: binds, builds, starts, waits, and stops in two stages.

mod http;
mod platform;
mod secrets;

use std::{path::Path, sync::Arc};

use bistro_config::Config;
use bistro_core::{Error, ErrorCode, SystemClock};
use bistro_runtime::{RoleSpec, Shutdown, Signals, Supervisor, bind};
use bistro_telemetry::{Telemetry, register_build_info, register_process};
use tracing::{error, info, warn};

use crate::commands;
use platform::{Listeners, Platform};
pub(crate) use secrets::OPERATOR_TOKEN;

/// The role that answers on the public port.
const GATEWAY: &str = "gateway";
/// How long traces may take to be sent at the end.
const FLUSH: std::time::Duration = std::time::Duration::from_secs(5);

/// Serves `targets` until a signal asks to stop.
///
/// With `demo`, the demonstration is loaded as soon as it runs.
pub(crate) fn run(file: Option<&Path>, targets: &[String], demo: bool) -> Result<(), Error> {
    let (config, order) = commands::config::load_for(file, targets)?;
    if demo && !order.iter().any(|role| role.name == GATEWAY) {
        let message = "--demo is loaded over the public API; run it where the gateway runs, or use `bistro demo`";
        return Err(Error::new(ErrorCode::InvalidArgument, message));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Error::internal)?;
    let served = runtime.block_on(serve(Arc::new(config), order, demo));
    // Whatever was to end has ended, or is not waited for any longer.
    runtime.shutdown_background();
    served
}

async fn serve(
    config: Arc<Config>,
    order: Vec<&'static RoleSpec>,
    demo: bool,
) -> Result<(), Error> {
    let telemetry = telemetry(&config, &order)?;
    let served = supervise(&config, &order, demo).await;
    if let Err(cause) = telemetry.shutdown(FLUSH).await {
        warn!(%cause, "the last traces were not sent");
    }
    served
}

fn telemetry(config: &Config, order: &[&RoleSpec]) -> Result<Telemetry, Error> {
    let role = match order {
        [only] => Some(only.name.to_owned()),
        _ => None,
    };
    let format = match config.log.format {
        bistro_config::LogFormat::Auto => bistro_telemetry::LogFormat::Auto,
        bistro_config::LogFormat::Json => bistro_telemetry::LogFormat::Json,
        bistro_config::LogFormat::Pretty => bistro_telemetry::LogFormat::Pretty,
    };
    let options = bistro_telemetry::Options {
        service: role.as_ref().map_or("bistro".to_owned(), |role| format!("bistro-{role}")),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        role,
        format,
        level: config.log.level.clone(),
        environment: bistro_config::process_environment(),
    };
    Telemetry::start(&options)
        .map_err(|cause| Error::new(ErrorCode::InvalidArgument, cause.to_string()))
}

async fn supervise(
    config: &Arc<Config>,
    order: &[&'static RoleSpec],
    demo: bool,
) -> Result<(), Error> {
    let (mut signals, mut supervisor) = (Signals::listen()?, Supervisor::default());
    // Everything is bound before anything is built: a port in use is found out at once. The public
    // port is the gateway's alone, so that roles may share a machine.
    let mut public = None;
    if order.iter().any(|role| role.name == GATEWAY) {
        public = Some(bind("public HTTP", "gateway.listen", config.gateway.listen).await?);
    }
    let listeners = Listeners {
        public,
        grpc: bind("gRPC", "grpc.listen", config.grpc.listen).await?,
        admin: bind("admin", "admin.listen", config.admin.listen).await?,
    };
    let registry = prometheus::Registry::new();
    register_build_info(&registry, env!("CARGO_PKG_VERSION")).map_err(Error::internal)?;
    register_process(&registry).map_err(Error::internal)?;

    let starting = Platform::start(
        Arc::clone(config),
        order,
        listeners,
        &registry,
        Arc::new(SystemClock),
        &mut supervisor,
    );
    let platform = tokio::select! {
        started = starting => started?,
        () = signals.next() => {
            info!("asked to stop before it had started");
            return Ok(());
        }
    };
    let names: Vec<&str> = order.iter().map(|role| role.name).collect();
    info!(roles = names.join(","), "ready");
    if let Some(door) = platform.door().filter(|_| demo) {
        let (url, token) = (door.url.clone(), door.operator_token.clone());
        // Nobody waits for it when the process ends: the next start goes on with it.
        tokio::spawn(async move {
            if let Err(cause) = commands::demo::load_once(&url, &token).await {
                warn!(
                    cause = cause.chain(),
                    "the demonstration is not loaded, or its report not written"
                );
            }
        });
    }

    let ended = supervisor.wait(&mut signals).await;
    let patience = config.shutdown.not_ready_delay + config.shutdown.drain_timeout;
    if let Shutdown::Died(cause) = &ended {
        error!(cause = cause.chain(), "a task died; the process ends");
    }
    let drained = supervisor.drain(&mut signals, patience, platform.stop()).await;
    match ended {
        Shutdown::Asked => drained.inspect(|()| info!("stopped")),
        Shutdown::Died(cause) => {
            if let Err(also) = drained {
                warn!(cause = also.chain(), "not everything under way has ended");
            }
            Err(cause)
        }
    }
}
