//! The recipient's end: says where it can be reached, lets the sender in, and takes its streams.

use std::time::{Duration, Instant};

use tokio::{sync::mpsc, time::sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Conversation, Hub, hub::Place};
use crate::{
    direct::{Probe, Punch},
    protocol::{Code, PeerMessage},
    quic::Link,
    sealing::PathEnd,
};

/// Messages of the sender that wait.
const NAMED: usize = 4;
/// How often a sender may begin anew to look for a path, in one transfer, and how long after the last time.
///
/// Each time probes go to addresses that it names, which need not be its own.
const ROUNDS: (usize, Duration) = (16, Duration::from_secs(3));

/// The recipient's end of a direct path, for as long as the transfer lasts.
#[derive(Debug)]
pub(in crate::transfer) struct Answering {
    named: mpsc::Sender<Vec<u8>>,
    _over: DropGuard,
}

impl Answering {
    /// The sender has said, sealed, where it can be reached.
    pub(in crate::transfer) fn on_path(&self, sealed: Vec<u8>) {
        let _ = self.named.try_send(sealed);
    }
}

/// Answers the sender of a transfer that was accepted, whenever that looks for a direct path.
pub(in crate::transfer) fn answer(hub: &Hub, conversation: Conversation) -> Answering {
    let (named, names) = mpsc::channel(NAMED);
    let over = CancellationToken::new();
    let task = {
        let (hub, over) = (hub.clone(), over.clone());
        async move {
            tokio::select! {
                () = over.cancelled() => {}
                () = serve(&hub, &conversation, names) => {}
            }
        }
    };
    hub.spawn(task);
    Answering {
        named,
        _over: over.drop_guard(),
    }
}

async fn serve(hub: &Hub, conversation: &Conversation, mut names: mpsc::Receiver<Vec<u8>>) {
    let Some(mut place) = hub.enter(&conversation.key, conversation.peer.id, PathEnd::Recipient)
    else {
        return;
    };
    let mut round = Round {
        hub,
        conversation,
        punch: None,
        begun: None,
        left: ROUNDS.0,
    };
    loop {
        let until = round.send(&place);
        tokio::select! {
            sealed = names.recv() => match sealed {
                Some(sealed) => round.on_path(&sealed).await,
                None => return,
            },
            probed = place.probes.recv() => match probed {
                Some((probe, from)) => if let Some(punch) = &mut round.punch {
                    punch.received(&probe, from, Instant::now());
                },
                None => return,
            },
            link = place.links.recv() => match link {
                Some(link) => {
                    round.punch = None;
                    use_link(hub, conversation, link);
                }
                None => return,
            },
            () = sleep_until(until.unwrap_or_else(Instant::now).into()), if until.is_some() => {}
        }
    }
}

/// One search for a path after the other.
struct Round<'a> {
    hub: &'a Hub,
    conversation: &'a Conversation,
    punch: Option<Punch>,
    begun: Option<Instant>,
    left: usize,
}

impl Round<'_> {
    /// Sends what is due; when there will be more.
    fn send(&mut self, _place: &Place) -> Option<Instant> {
        let now = Instant::now();
        let punch = self.punch.as_mut()?;
        while let Some((probe, to)) = punch.poll_transmit(now) {
            self.hub.probe(&self.conversation.key, &probe, to);
        }
        let until = punch.next_timeout(now);
        if until.is_none() {
            self.punch = None;
        }
        until
    }

    /// The sender names addresses: of the search that runs, or for a new one.
    async fn on_path(&mut self, sealed: &[u8]) {
        let key = &self.conversation.key;
        let Some(named) = self.hub.open_candidates(key, PathEnd::Sender, sealed) else {
            return;
        };
        let now = Instant::now();
        if self.punch.is_none() {
            let too_soon = self.begun.is_some_and(|at| now < at + ROUNDS.1);
            if too_soon || self.left == 0 {
                return;
            }
            (self.begun, self.left) = (Some(now), self.left - 1);
            let me = (PathEnd::Recipient, self.hub.policy().reach());
            self.punch = Some(Punch::new(me, now, Probe::fresh_id));
            let sealed = self.hub.candidates().seal(key, PathEnd::Recipient).into();
            self.conversation.say(PeerMessage::Path { sealed }).await;
        }
        if let Some(punch) = &mut self.punch {
            punch.named(&named, now);
        }
    }
}

/// Takes the streams of a connection until it ends.
fn use_link(hub: &Hub, conversation: &Conversation, link: Link) {
    let rtt = link.rtt().as_millis();
    conversation.changed(link.road(), &format!("a path is open, {rtt} ms away"));
    let (serving, conversation) = (hub.clone(), conversation.clone());
    tokio::spawn(async move {
        tokio::select! {
            () = serving.feed(&link) => {
                let reason = match link.close_reason() {
                    Some(reason) if reason.code() == Code::Done => return,
                    Some(reason) => reason.to_string(),
                    None => return,
                };
                conversation.changed(conversation.relay(), &format!("the path has ended: {reason}"));
            }
            () = serving.closed() => link.close(Code::Done, ""),
        }
    });
}
