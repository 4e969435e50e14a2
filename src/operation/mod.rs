//! What whoever operates a relay sees of it, beside its log.
//!
//! - `metrics`: `/metrics`, `/healthz` and `/readyz` over HTTP
//! - `admin`: a relay's [`RelayStatus`](crate::relay::RelayStatus) over a Unix socket, and who may read it
//! - `http`: how both are served: within bounds, whoever asks
//! - [`AuditFile`]: who came in, and who sent how much to whom
//! - [`Systemd`], [`PassedSockets`]: what the service manager is told, and what it gives
//!
//! All of it runs on a thread of its own, so that it answers also when those of the relay do not, and no
//! flood of questions takes their turn.

#[cfg(unix)]
mod admin;
mod audit;
mod http;
mod metrics;
mod systemd;
mod trunk_gauges;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use tokio_util::sync::{CancellationToken, DropGuard};

#[cfg(unix)]
pub use self::admin::{AdminError, AdminListener, ask_status};
use self::metrics::Pages;
pub use self::{
    audit::AuditFile,
    metrics::metric_names,
    systemd::{PassedSockets, Systemd},
};
use crate::relay::RelayHandle;

/// Where a relay answers its operator; both are bound already.
#[derive(Debug, Default)]
pub struct Listeners {
    /// For `/metrics`, `/healthz` and `/readyz`.
    pub metrics: Option<TcpListener>,
    /// For the status.
    #[cfg(unix)]
    pub admin: Option<AdminListener>,
}

/// Binds the address of the metrics; port 0 picks one.
///
/// # Errors
/// When the address cannot be bound.
pub fn bind_metrics(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Answers until this is dropped.
#[derive(Debug)]
pub struct Operation {
    _stop: DropGuard,
}

impl Operation {
    /// Starts the thread that answers.
    ///
    /// # Errors
    /// When it or its runtime cannot be had.
    pub fn start(relay: RelayHandle, listeners: Listeners) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let stopped = stop.clone();
        std::thread::Builder::new()
            .name("operation".into())
            .spawn(move || {
                let serving = async {
                    if let Err(error) = serve(relay, listeners).await {
                        tracing::warn!(%error, "metrics and status are not served");
                    }
                };
                runtime.block_on(stopped.run_until_cancelled(serving));
            })?;
        Ok(Self {
            _stop: stop.drop_guard(),
        })
    }
}

/// Serves for ever.
async fn serve(relay: RelayHandle, listeners: Listeners) -> io::Result<()> {
    let pages = Arc::new(Pages::new(relay.clone()));
    let metrics = async {
        match listeners.metrics {
            Some(listener) => {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                http::serve(&listener, pages).await;
                Ok(())
            }
            None => std::future::pending().await,
        }
    };
    #[cfg(unix)]
    let admin = async {
        match listeners.admin {
            Some(listener) => admin::serve(listener, relay.clone()).await,
            None => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let admin = std::future::pending();
    tokio::select! {
        () = systemd::feed_watchdog(&relay) => Ok(()),
        ended = metrics => ended,
        ended = admin => ended,
    }
}
