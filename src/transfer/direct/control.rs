//! Control of one transfer over its direct connection, once the relay is lost.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc, watch};

use super::handover::Handover;
use crate::{
    protocol::{Code, DirectMessage, PeerId, PeerMessage, TransferId},
    quic::{ControlReceiver, ControlSender, Link, LinkError},
    sealing::PathEnd,
    transfer::MessageSender,
};

/// What comes by a direct connection for a transfer that goes on without the relay.
#[derive(Debug)]
pub(in crate::transfer) enum ControlEvent {
    /// The other end says something.
    Message(PeerMessage),
    /// The direct connection has ended as well.
    Lost,
}

/// Which way the messages of one transfer go between its sender and one recipient. Cheap to clone.
#[derive(Debug, Clone)]
pub(in crate::transfer) struct Control(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    transfer: TransferId,
    events: mpsc::Sender<(TransferId, ControlEvent)>,
    handover: Mutex<Handover>,
    /// Held while a message is counted and given to the relay, so that both happen in one order.
    order: tokio::sync::Mutex<()>,
    /// There may be something to write.
    wake: Notify,
    /// Whether this end has said its last, and whether that has arrived.
    last: watch::Sender<(bool, bool)>,
}

impl Control {
    /// Through the relay, for now. `events` gets what comes by a direct connection later.
    pub(in crate::transfer) fn new(
        transfer: TransferId,
        events: mpsc::Sender<(TransferId, ControlEvent)>,
    ) -> Self {
        Self(Arc::new(Shared {
            transfer,
            events,
            handover: Mutex::default(),
            order: tokio::sync::Mutex::default(),
            wake: Notify::new(),
            last: watch::Sender::new((false, false)),
        }))
    }

    fn handover(&self) -> MutexGuard<'_, Handover> {
        let handover = &self.0.handover;
        handover.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a message to the other end, `to`, by the way that messages go.
    pub(in crate::transfer) async fn send(
        &self,
        messages: &MessageSender,
        to: PeerId,
        message: PeerMessage,
    ) {
        let _order = self.0.order.lock().await;
        if let Some(message) = self.route(message) {
            messages.send(Some(to), self.0.transfer, message).await;
        }
    }

    /// Counts a message of this end. It is given back where it is to go through the relay, before the next one is
    /// counted.
    pub(in crate::transfer) fn route(&self, message: PeerMessage) -> Option<PeerMessage> {
        let relayed = self.handover().send(message);
        self.0.wake.notify_one();
        relayed
    }

    /// A message of the other end has come through the relay: whether it is to be taken.
    pub(in crate::transfer) fn on_relayed(&self, message: &PeerMessage) -> bool {
        self.handover().on_relayed(message)
    }

    /// The relay is lost to one of the two ends: whether the transfer goes on without it.
    pub(in crate::transfer) fn take_over(&self) -> bool {
        let goes_on = self.handover().take_over();
        self.0.wake.notify_one();
        goes_on
    }

    /// Whether it could go on without the relay.
    pub(in crate::transfer) fn is_open(&self) -> bool {
        self.handover().is_open()
    }

    /// Whether the transfer goes on without the relay.
    pub(in crate::transfer) fn goes_on(&self) -> bool {
        self.handover().goes_on()
    }

    /// Says that nothing follows, and waits until the other end has everything or the connection ends.
    pub(in crate::transfer) async fn finish(&self) {
        let mut last = self.0.last.subscribe();
        self.0.last.send_modify(|(is_said, _)| *is_said = true);
        self.0.wake.notify_one();
        if self.goes_on() {
            let _ = last.wait_for(|(_, has_arrived)| *has_arrived).await;
        }
    }

    /// Serves the control stream of a connection until that ends.
    pub(super) async fn serve(&self, link: &Link, me: PathEnd) {
        // An end of an earlier version lets nobody open it, or does not.
        let Ok((sender, receiver)) = open(link, me).await else {
            return;
        };
        self.handover().set_open(true);
        tokio::select! {
            () = self.write(sender, me) => {}
            () = self.read(receiver, link) => {}
        }
        let had_moved = self.goes_on();
        self.handover().set_open(false);
        self.0.last.send_modify(|(_, arrived)| *arrived = true);
        if had_moved {
            self.event(ControlEvent::Lost).await;
        }
    }

    async fn write(&self, mut sender: ControlSender<DirectMessage>, me: PathEnd) {
        let ready = DirectMessage::Ready {};
        if me == PathEnd::Sender && sender.send(&ready).await.is_err() {
            return;
        }
        loop {
            let wake = self.0.wake.notified();
            let next = self.handover().next();
            match next {
                Some(message) => {
                    if sender.send(&message).await.is_err() {
                        return;
                    }
                }
                None if self.0.last.borrow().0 => return sender.finish().await,
                None => wake.await,
            }
        }
    }

    async fn read(&self, mut receiver: ControlReceiver<DirectMessage>, link: &Link) {
        while let Ok(Some(message)) = receiver.receive().await {
            let (said, is_stuck) = {
                let mut handover = self.handover();
                (handover.on_direct(message), handover.is_stuck())
            };
            self.0.wake.notify_one();
            match said {
                Ok(Some(message)) if !is_stuck => self.event(ControlEvent::Message(message)).await,
                Ok(_) if !is_stuck => {}
                _ => return link.close(Code::Protocol, "control of a transfer"),
            }
        }
    }

    async fn event(&self, event: ControlEvent) {
        // Nobody takes it where the transfer is over.
        let _ = self.0.events.send((self.0.transfer, event)).await;
    }
}

type Streams = (ControlSender<DirectMessage>, ControlReceiver<DirectMessage>);

async fn open(link: &Link, me: PathEnd) -> Result<Streams, LinkError> {
    match me {
        PathEnd::Sender => link.open_control().await,
        PathEnd::Recipient => link.accept_control().await,
    }
}
