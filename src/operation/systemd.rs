//! What the service manager is told, and what it gives: nothing where there is none.

use std::{
    io,
    net::{TcpListener, UdpSocket},
    time::Duration,
};

use sd_notify::NotifyState;
use tracing::{debug, warn};

use crate::relay::RelayHandle;

/// A relay's word to systemd (`sd_notify(3)`).
#[derive(Debug, Clone, Copy, Default)]
pub struct Systemd;

impl Systemd {
    /// It serves.
    pub fn ready(self, status: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// It reads its settings anew; [`ready`](Self::ready) follows.
    pub fn reloading(self) {
        let now = NotifyState::monotonic_usec_now().ok();
        let states: Vec<_> = [NotifyState::Reloading].into_iter().chain(now).collect();
        tell(&states);
    }

    /// It ends, within so long.
    pub fn stopping(self, within: Duration) {
        let micros = u32::try_from(within.as_micros()).unwrap_or(u32::MAX);
        tell(&[
            NotifyState::Stopping,
            NotifyState::Status("waiting for transfers to end"),
            NotifyState::ExtendTimeoutUsec(micros),
        ]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!(%error, "the service manager was not told");
    }
}

/// Feeds the watchdog for as long as every thread of the relay turns; for ever, where there is one.
pub(super) async fn feed_watchdog(relay: &RelayHandle) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    let mut interval = tokio::time::interval(limit / 3);
    loop {
        interval.tick().await;
        let worst = relay.ticks().into_iter().max().unwrap_or_default();
        match worst < limit / 2 {
            true => tell(&[NotifyState::Watchdog]),
            false => warn!(?worst, "a thread is stuck: the watchdog is not fed"),
        }
    }
}

/// Sockets that were bound by whoever started this process.
#[derive(Debug, Default)]
pub struct PassedSockets {
    /// For QUIC.
    pub udp: Option<UdpSocket>,
    /// For peers whose network blocks UDP.
    pub tcp: Option<TcpListener>,
}

impl PassedSockets {
    /// Takes them (`sd_listen_fds(3)`). Call it once.
    ///
    /// # Errors
    /// When one of them is neither, or there are two of a kind.
    pub fn take() -> io::Result<Self> {
        let mut passed = listenfd::ListenFd::from_env();
        let mut sockets = Self::default();
        for index in 0..passed.len() {
            let is_second = if let Ok(Some(udp)) = passed.take_udp_socket(index) {
                udp.set_nonblocking(true)?;
                sockets.udp.replace(udp).is_some()
            } else if let Ok(Some(tcp)) = passed.take_tcp_listener(index) {
                tcp.set_nonblocking(true)?;
                sockets.tcp.replace(tcp).is_some()
            } else {
                let what = format!("socket {index} is neither for UDP nor for TCP");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
            };
            if is_second {
                let what = format!("socket {index} is a second one of its kind");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
            }
        }
        Ok(sockets)
    }
}
