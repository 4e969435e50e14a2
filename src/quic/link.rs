//! One authenticated connection and the streams on it.

use std::{net::SocketAddr, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use tokio_util::sync::CancellationToken;

use super::{
    ControlReceiver, ControlSender, FileReceiver, FileSender, LinkError, PathRate, Tuning,
    congestion,
    reassembly::{Held, HeldMemory},
    stagger::canonical,
    tls,
};
use crate::protocol::{Code, FileClass, PeerId, Road};

/// Files of one chunk go before the bulk.
const PRIORITY_SMALL: i32 = 10;
const PRIORITY_BULK: i32 = 0;

/// What a sender is up against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pressure {
    /// Whether congestion control is what holds it up: it would send more, and the path takes no more.
    pub is_link_full: bool,
    /// How often the other end's credit was used up, since the connection began.
    pub blocked: u64,
    /// The round trip.
    pub round_trip: Duration,
    /// What one file may have unread, in bytes.
    pub window: u64,
}

/// A connection whose other end has shown that it holds its identity's key.
///
/// Cheap to clone; all clones are the same connection.
#[derive(Debug, Clone)]
pub struct Link {
    connection: quinn::Connection,
    peer: PeerId,
    /// The end of the tunnel that it is in.
    tunnel: Option<CancellationToken>,
    road: Road,
    /// Whether the other end is a peer, not a relay.
    direct: bool,
    held: Held,
}

impl Link {
    /// Wraps a connection whose handshake is complete, which ends with its tunnel, if it is in one.
    pub(super) fn new(
        connection: quinn::Connection,
        tunnel: Option<CancellationToken>,
    ) -> Result<Self, LinkError> {
        let road = match tunnel {
            Some(_) => Road::Tcp,
            None => Road::Relay,
        };
        Self::on(road, connection, tunnel)
    }

    /// Wraps a connection to a peer whose handshake is complete.
    pub(super) fn direct(connection: quinn::Connection, road: Road) -> Result<Self, LinkError> {
        let link = Self::on(road, connection, None)?;
        Ok(Self {
            direct: true,
            ..link
        })
    }

    /// The same connection, to a relay on this LAN.
    pub(super) fn on_lan(self) -> Self {
        Self {
            road: Road::Lan,
            ..self
        }
    }

    fn on(
        road: Road,
        connection: quinn::Connection,
        tunnel: Option<CancellationToken>,
    ) -> Result<Self, LinkError> {
        let peer = tls::peer_id(&connection).ok_or_else(|| {
            LinkError::Transport("the other end has no usable certificate".into())
        })?;
        if let Some(ended) = tunnel.clone() {
            let connection = connection.clone();
            tokio::spawn(async move {
                tokio::select! {
                    () = ended.cancelled() => connection.close(Code::PeerGone.number().into(), b""),
                    _ = connection.closed() => {}
                }
            });
        }
        Ok(Self {
            connection,
            peer,
            tunnel,
            road,
            direct: false,
            held: Held::default(),
        })
    }

    /// The road that its packets take.
    #[must_use]
    pub fn road(&self) -> Road {
        self.road
    }

    /// Why it ended, in the terms of this room.
    fn reason(&self, error: quinn::ConnectionError) -> LinkError {
        let lost = |ended: &CancellationToken| ended.is_cancelled();
        match LinkError::from(error) {
            LinkError::Local if self.tunnel.as_ref().is_some_and(lost) => {
                LinkError::Transport("the TCP connection ended".into())
            }
            other => other,
        }
    }

    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> PeerId {
        self.peer
    }

    /// The other end's address.
    #[must_use]
    pub fn remote(&self) -> SocketAddr {
        canonical(self.connection.remote_address())
    }

    /// The current estimate of the round-trip time.
    #[must_use]
    pub fn rtt(&self) -> Duration {
        self.connection.rtt()
    }

    /// What the way to the other end carries, where it is long and enough was sent to tell.
    #[must_use]
    pub fn measured(&self) -> Option<PathRate> {
        congestion::measured(self.connection.congestion_state())
    }

    /// What a sender on this connection is up against.
    #[must_use]
    pub fn pressure(&self) -> Pressure {
        let stats = self.connection.stats();
        let blocked = stats.frame_tx.data_blocked + stats.frame_tx.stream_data_blocked;
        Pressure {
            is_link_full: congestion::is_full(self.connection.congestion_state()),
            blocked,
            round_trip: stats.path.rtt,
            window: Tuning::stream_window(self.connection.remote_address().ip()),
        }
    }

    /// Packets sent, packets lost, and the current MTU in bytes, for logs.
    #[must_use]
    pub fn path_stats(&self) -> (u64, u64, u16) {
        let path = self.connection.stats().path;
        (path.sent_packets, path.lost_packets, path.current_mtu)
    }

    /// Packets that have arrived.
    #[must_use]
    pub fn heard(&self) -> u64 {
        self.connection.stats().udp_rx.datagrams
    }

    /// Sends a packet that the other end acknowledges, however long an earlier one has waited for that.
    ///
    /// For a client, whose windows nobody else sets. quinn has no ping to be asked for; it repeats the limit on a
    /// connection's data (RFC 9000, section 19.9) when that grows, here by a byte that it lost before.
    pub fn ping(&self) {
        let window = Tuning::CONNECTION_WINDOW;
        self.set_receive_window(window - 1);
        self.set_receive_window(window);
    }

    /// Opens the one control stream (the client's part).
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn open_control<S: Serialize, R: DeserializeOwned>(
        &self,
    ) -> Result<(ControlSender<S>, ControlReceiver<R>), LinkError> {
        let (send, receive) = self.connection.open_bi().await?;
        Ok((ControlSender::new(send), ControlReceiver::new(receive)))
    }

    /// Waits for the one control stream (the relay's part).
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn accept_control<S: Serialize, R: DeserializeOwned>(
        &self,
    ) -> Result<(ControlSender<S>, ControlReceiver<R>), LinkError> {
        let (send, receive) = self.connection.accept_bi().await?;
        Ok((ControlSender::new(send), ControlReceiver::new(receive)))
    }

    /// Opens a stream for one file; waits while the other end takes no more streams.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn open_file(&self, class: FileClass) -> Result<FileSender, LinkError> {
        let sender = FileSender::new(self.connection.open_uni().await?, (self.road, self.direct));
        sender.set_priority(match class {
            FileClass::Small => PRIORITY_SMALL,
            FileClass::Bulk => PRIORITY_BULK,
        });
        Ok(sender)
    }

    /// Waits for the stream of the next file.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn accept_file(&self) -> Result<FileReceiver, LinkError> {
        let stream = self.connection.accept_uni().await?;
        Ok(FileReceiver::new(
            stream,
            self.held.clone(),
            (self.road, self.direct),
        ))
    }

    /// Counts what file streams hold out of order, where connections share memory.
    pub fn count_held(&self, memory: std::sync::Arc<dyn HeldMemory>) {
        self.held.count(memory);
    }

    /// Lets the other end send so many bytes, over all streams, before any of them is read.
    ///
    /// What was granted already is not taken back.
    pub fn set_receive_window(&self, bytes: u64) {
        let bytes = quinn::VarInt::from_u64(bytes).unwrap_or(quinn::VarInt::MAX);
        self.connection.set_receive_window(bytes);
    }

    /// Keeps so many bytes, over all streams, until they are acknowledged.
    pub fn set_send_window(&self, bytes: u64) {
        self.connection.set_send_window(bytes);
    }

    /// Lets the other end have so many file streams open.
    pub fn set_file_streams(&self, streams: u32) {
        self.connection
            .set_max_concurrent_uni_streams(streams.into());
    }

    /// Lets the other end have so many two-way streams open.
    pub(super) fn set_control_streams(&self, streams: u32) {
        self.connection
            .set_max_concurrent_bi_streams(streams.into());
    }

    /// A secret that only the two ends of this connection know, for `label` (RFC 8446, section 7.5).
    ///
    /// # Errors
    /// Before the handshake is complete.
    pub fn export_secret(&self, label: &[u8]) -> Result<[u8; 32], LinkError> {
        let mut secret = [0; 32];
        self.connection
            .export_keying_material(&mut secret, label, b"")
            .map_err(|_| LinkError::Transport("no secret to be exported".into()))?;
        Ok(secret)
    }

    /// Bytes of UDP payload that were sent, with all that QUIC adds.
    #[must_use]
    pub fn udp_sent(&self) -> u64 {
        self.connection.stats().udp_tx.bytes
    }

    /// Ends the connection at once; what was not acknowledged may be lost.
    pub fn close(&self, code: Code, reason: &str) {
        self.connection
            .close(code.number().into(), reason.as_bytes());
    }

    /// Waits until the connection ends, and says why.
    ///
    /// Cancel-safe.
    pub async fn closed(&self) -> LinkError {
        self.reason(self.connection.closed().await)
    }

    /// Why the connection ended, if it has.
    #[must_use]
    pub fn close_reason(&self) -> Option<LinkError> {
        self.connection.close_reason().map(|e| self.reason(e))
    }

    /// Tells this connection apart from every other of its endpoint.
    #[must_use]
    pub fn stable_id(&self) -> usize {
        self.connection.stable_id()
    }
}
