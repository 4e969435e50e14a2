//! What comes in by the ways to the others.

use super::{
    super::{outbox::Outbox, running::Running},
    Run,
};
use crate::{
    protocol::{Code, Road, TransferId},
    transfer::{Error, ErrorKind, Event, PeerEvent, WayEvent, WayId, Ways, direct::ControlEvent},
};

impl Run<'_, '_> {
    pub(super) fn on_way_event(&mut self, event: WayEvent, ways: &Ways<'_>) {
        let now = self.driver.clock.now();
        match event {
            WayEvent::Opened { way, .. } => {
                if self.cut_off.take().is_some() {
                    self.sender.on_connected(now);
                }
                if let Some(channel) = ways.channel(way) {
                    let outbox = self.outboxes.entry(way);
                    outbox.or_insert_with(|| Outbox::new(channel.messages()));
                }
            }
            WayEvent::Brought(way, event) => self.on_event(way, event),
            WayEvent::Lost { way, road, reason } => {
                let what = match road {
                    Road::Lan => "the connection on the LAN was lost",
                    _ => "the relay was lost",
                };
                let error = Error::from_source(ErrorKind::Unreachable, reason).context(what);
                self.on_lost(way, &error);
                if self.running.is_empty() {
                    self.on_cut_off(error, ways);
                }
            }
            WayEvent::Failed { error, retry_in } => {
                let error = Error::from(error);
                if ways.is_any_open() || !self.running.is_empty() {
                    tracing::debug!(%error, "no way through the relay");
                    return;
                }
                let Some(retry_in) = retry_in else {
                    return self.sender.on_end(&error);
                };
                let reason = format!("{error:#}");
                let waiting = Event::Waiting { reason, retry_in };
                self.driver.observer.event(waiting);
                let since = self.cut_off.take().map_or(now, |(since, _)| since);
                self.cut_off = Some((since, error));
            }
        }
    }

    fn on_event(&mut self, way: WayId, event: PeerEvent) {
        let now = self.driver.clock.now();
        match event {
            PeerEvent::Message {
                transfer,
                from,
                message,
            } => {
                if let Some(running) = self.of_way(way, transfer)
                    && running.takes_relayed(&message)
                {
                    running.on_message(now, from, message);
                }
            }
            PeerEvent::Path {
                transfer,
                from,
                message,
            } => {
                if let Some(running) = self.of_way(way, transfer) {
                    running.on_path(from, message);
                }
            }
            PeerEvent::Gone {
                transfer,
                peer,
                code,
            } => {
                if let Some(running) = self.of_way(way, transfer)
                    && !(code == Code::PeerGone && running.take_over())
                {
                    running.attempt.on_gone(now, peer, code);
                }
            }
            PeerEvent::Presence(peer) => {
                self.sender.on_presence(way, *peer);
                self.look = true;
            }
            PeerEvent::Listed => self.look = true,
            PeerEvent::Ignored { .. } => {}
        }
    }

    /// A transfer on its own way: what is said of it on another is not said by who takes part.
    fn of_way(&mut self, way: WayId, transfer: TransferId) -> Option<&mut Running> {
        let running = self.running.get_mut(&transfer)?;
        (running.way == way).then_some(running)
    }

    /// Something has come by a direct connection, of an attempt that goes on without the relay.
    pub(super) fn on_control(
        &mut self,
        transfer: TransferId,
        event: ControlEvent,
        ways: &Ways<'_>,
    ) {
        let now = self.driver.clock.now();
        match event {
            ControlEvent::Message(message) => {
                if let Some(running) = self.running.get_mut(&transfer)
                    && let Some(from) = running.direct.as_ref().map(|(peer, _)| *peer)
                {
                    running.on_message(now, from, message);
                }
            }
            ControlEvent::Lost => {
                let Some(running) = self.running.remove(&transfer) else {
                    return;
                };
                let reason = "the relay was lost, and then the direct connection";
                let error = Error::new(ErrorKind::Unreachable, reason);
                self.give_up(transfer, running, &error);
                if self.running.is_empty() {
                    self.on_cut_off(error, ways);
                }
            }
        }
    }

    /// There may be no way at all any more.
    fn on_cut_off(&mut self, error: Error, ways: &Ways<'_>) {
        if !ways.is_any_open() && self.driver.member.has_relay() {
            let now = self.driver.clock.now();
            self.cut_off.get_or_insert((now, error));
        }
    }

    /// A way is lost, and every attempt on it but those that go on over a direct connection.
    fn on_lost(&mut self, way: WayId, error: &Error) {
        self.outboxes.remove(&way);
        let is_lost = |running: &Running| running.way == way && !running.take_over();
        let lost = self.running.extract_if(|_, running| is_lost(running));
        let lost: Vec<_> = lost.collect();
        for (transfer, running) in lost {
            self.give_up(transfer, running, error);
        }
        self.sender.on_way_lost(way);
        self.look = true;
    }

    fn give_up(&mut self, transfer: TransferId, mut running: Running, error: &Error) {
        let now = self.driver.clock.now();
        running.attempt.on_lost(now, error);
        for effect in running.attempt.take_effects() {
            self.sender.on_effect(now, transfer, effect);
        }
        self.sender.on_attempt_over(transfer);
        self.look = true;
    }
}
