//! `bistro serve`: binds, builds, starts, waits, and stops in two stages.

mod grpc;
mod http;
mod platform;
mod secrets;

use std::{path::Path, sync::Arc};

use bistro_config::Config;
use bistro_core::{Error, ErrorCode, SystemClock};
use bistro_runtime::{RoleSpec, Shutdown, Supervisor, bind};
use bistro_telemetry::{Metrics, Telemetry};
use tracing::{error, info, warn};

use crate::commands;
use platform::{Listeners, Platform};
pub(crate) use secrets::OPERATOR_TOKEN;

/// How long traces may take to be sent at the end.
const FLUSH: std::time::Duration = std::time::Duration::from_secs(5);

/// Serves `targets` until a signal asks to stop.
pub(crate) fn run(file: Option<&Path>, targets: &[String]) -> Result<(), Error> {
    let (config, order) = commands::config::load_for(file, targets)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Error::internal)?;
    runtime.block_on(serve(Arc::new(config), order))
}

async fn serve(config: Arc<Config>, order: Vec<&'static RoleSpec>) -> Result<(), Error> {
    let telemetry = telemetry(&config, &order)?;
    let served = supervise(&config, &order).await;
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

async fn supervise(config: &Arc<Config>, order: &[&'static RoleSpec]) -> Result<(), Error> {
    let mut supervisor = Supervisor::new()?;
    // Everything is bound before anything is built: a port in use is found out at once.
    let listeners = Listeners {
        public: bind("public HTTP", "gateway.listen", config.gateway.listen).await?,
        grpc: bind("gRPC", "grpc.listen", config.grpc.listen).await?,
        admin: bind("admin", "admin.listen", config.admin.listen).await?,
    };
    let registry = prometheus::Registry::new();
    let metrics = Metrics::new(registry.clone());
    metrics.build_info(env!("CARGO_PKG_VERSION"), "").map_err(Error::internal)?;
    metrics.process().map_err(Error::internal)?;

    let platform = Platform::start(
        Arc::clone(config),
        order,
        listeners,
        &registry,
        Arc::new(SystemClock),
        &mut supervisor,
    )
    .await?;
    let names: Vec<&str> = order.iter().map(|role| role.name).collect();
    info!(roles = names.join(","), "ready");

    let ended = supervisor.wait().await;
    let finished = supervisor.drain(config.shutdown.drain_timeout, platform.stop()).await;
    match ended {
        Shutdown::Died(cause) => {
            error!(cause = cause.chain(), "a task died; the process ends");
            Err(cause)
        }
        Shutdown::Asked if finished => {
            info!("stopped");
            Ok(())
        }
        Shutdown::Asked => Err(Error::new(
            ErrorCode::DeadlineExceeded,
            "stopped before everything under way had ended; nothing acknowledged is lost",
        )),
    }
}
