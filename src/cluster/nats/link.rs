//! The connection to NATS: what comes in on all subscriptions, and what goes out while it is up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use async_nats::{Client, ConnectError, Event, Message, SubscribeError};
use bytes::Bytes;
use futures_util::{
    StreamExt,
    stream::{BoxStream, SelectAll},
};
use tokio::{
    sync::{Notify, oneshot},
    time::timeout,
};

use super::{
    super::{Instance, RoomKey},
    servers::NatsServers,
};

/// A connection to NATS that comes back by itself, with all its subscriptions.
pub(super) struct NatsLink {
    client: Client,
    prefix: String,
    incoming: SelectAll<BoxStream<'static, Incoming>>,
    signals: Arc<Signals>,
}

/// What came in.
pub(super) enum Incoming {
    Beat(Bytes),
    Note(Bytes),
}

/// What the client says of its connection.
#[derive(Default)]
pub(super) struct Signals {
    connected: AtomicBool,
    /// Whether it came, or dropped messages, since the last time.
    stale: AtomicBool,
    changed: Notify,
}

/// What has happened to the connection since the last time.
#[derive(Debug, Clone, Copy)]
pub(super) struct LinkState {
    pub(super) connected: bool,
    /// Whether messages were lost: it came anew, or too many waited here.
    pub(super) stale: bool,
}

impl NatsLink {
    /// Connects in the background, and subscribes to what every relay hears.
    pub(super) async fn open(
        servers: &NatsServers,
        cluster: &str,
        instance: Instance,
    ) -> Result<Self, ConnectError> {
        let signals = Arc::new(Signals::default());
        let noted = signals.clone();
        let options = servers.options().event_callback(move |event| {
            noted.note(&event);
            std::future::ready(())
        });
        let client = options.connect(servers.addresses()).await?;
        let mut link = Self {
            client,
            prefix: format!("p2p1.{cluster}"),
            incoming: SelectAll::new(),
            signals,
        };
        let refused = |_| ConnectError::new(async_nats::ConnectErrorKind::Io);
        let beats = link.subscribe("beat").await.map_err(refused)?;
        let beats = beats.map(|message| Incoming::Beat(message.payload));
        link.incoming.push(beats.boxed());
        let answers = link.subscribe(&format!("ctl.{instance}")).await;
        let answers = answers.map_err(refused)?;
        let answers = answers.map(|message| Incoming::Note(message.payload));
        link.incoming.push(answers.boxed());
        Ok(link)
    }

    async fn subscribe(
        &self,
        subject: &str,
    ) -> Result<impl futures_util::Stream<Item = Message> + Send + use<>, SubscribeError> {
        self.client
            .subscribe(format!("{}.{subject}", self.prefix))
            .await
    }

    /// Subscribes to what is said of a room until `ended` says so.
    pub(super) async fn listen_about(&mut self, room: RoomKey, ended: oneshot::Receiver<()>) {
        match self.subscribe(&format!("room.{room}")).await {
            Ok(notes) => {
                let notes = notes.map(|message| Incoming::Note(message.payload));
                self.incoming.push(notes.take_until(ended).boxed());
            }
            Err(error) => tracing::warn!(%error, "cannot subscribe on NATS"),
        }
    }

    /// The next message. Cancel-safe.
    pub(super) async fn next(&mut self) -> Incoming {
        loop {
            match self.incoming.next().await {
                Some(incoming) => return incoming,
                None => std::future::pending().await,
            }
        }
    }

    /// What says when the connection came or went.
    pub(super) fn signals(&self) -> Arc<Signals> {
        self.signals.clone()
    }

    /// Whether it is up.
    pub(super) fn is_connected(&self) -> bool {
        self.signals.connected.load(Relaxed)
    }

    /// Says something; nothing while the connection is down, and nobody waits for long.
    pub(super) async fn say(&self, subject: &str, content: Vec<u8>) {
        if !self.is_connected() {
            return;
        }
        let subject = format!("{}.{subject}", self.prefix);
        let said = timeout(SAY_LIMIT, self.client.publish(subject, content.into())).await;
        if !matches!(said, Ok(Ok(()))) {
            tracing::debug!("NATS takes nothing");
        }
    }

    /// Waits until what was said is on its way, but not for long.
    pub(super) async fn flush(&self) {
        if self.is_connected() {
            let _ = timeout(SAY_LIMIT, self.client.flush()).await;
        }
    }
}

impl Signals {
    /// Waits until the connection came, went, or dropped messages. For one caller. Cancel-safe.
    pub(super) async fn changed(&self) -> LinkState {
        self.changed.notified().await;
        LinkState {
            connected: self.connected.load(Relaxed),
            stale: self.stale.swap(false, Relaxed),
        }
    }

    fn note(&self, event: &Event) {
        match event {
            Event::Connected => {
                self.stale.store(true, Relaxed);
                self.connected.store(true, Relaxed);
            }
            Event::Disconnected | Event::Closed => self.connected.store(false, Relaxed),
            Event::SlowConsumer(_) => self.stale.store(true, Relaxed),
            Event::ServerError(error) => {
                tracing::warn!(%error, "NATS");
                return;
            }
            Event::ClientError(error) => {
                tracing::debug!(%error, "NATS");
                return;
            }
            _ => return,
        }
        self.changed.notify_one();
    }
}

/// How long the connection may take to take something.
const SAY_LIMIT: Duration = Duration::from_millis(500);
