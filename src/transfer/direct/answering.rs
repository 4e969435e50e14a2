//! The recipient's end: says where it can be reached, lets the sender in, and takes its streams.

use std::time::{Duration, Instant};

use tokio::{sync::mpsc, time::sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Conversation, Hub, PathMessage, hub::Place, search::Search};
use crate::{protocol::Code, quic::Link, sealing::PathEnd};

/// Messages of the sender that wait.
const NAMED: usize = 4;
/// How often a sender may begin anew to look for a path without coming by it, in one transfer, and how long after
/// the last time.
///
/// Each time probes go to addresses that it names, which need not be its own. Whoever has connected has shown that
/// one of them is.
const ROUNDS: (usize, Duration) = (16, Duration::from_secs(3));

/// The recipient's end of a direct path, for as long as the transfer lasts.
#[derive(Debug)]
pub(in crate::transfer) struct Answering {
    named: mpsc::Sender<PathMessage>,
    _over: DropGuard,
}

impl Answering {
    /// The sender has said, sealed, where it can be reached.
    pub(in crate::transfer) fn on_path(&self, message: PathMessage) {
        let _ = self.named.try_send(message);
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

async fn serve(hub: &Hub, conversation: &Conversation, mut names: mpsc::Receiver<PathMessage>) {
    let Some(mut place) = hub.enter(&conversation.key, conversation.peer.id, PathEnd::Recipient)
    else {
        return;
    };
    let mut round = Round {
        hub,
        conversation,
        search: None,
        begun: None,
        left: ROUNDS.0,
    };
    loop {
        let until = round.send(&mut place);
        let arrival = async {
            match &round.search {
                Some(search) => search.arrival().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            message = names.recv() => match message {
                Some(message) => round.on_path(&message, &mut place).await,
                None => return,
            },
            probed = place.probes.recv() => match (probed, &mut round.search) {
                (Some(probed), Some(search)) => search.on_probe(probed),
                (Some(_), None) => {}
                (None, _) => return,
            },
            arrival = arrival => if let Some(search) = &mut round.search {
                search.on_arrival(arrival, &mut place);
            },
            link = place.links.recv() => match link {
                Some(link) => {
                    (round.search, round.left) = (None, ROUNDS.0);
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
    search: Option<Search<'a>>,
    begun: Option<Instant>,
    left: usize,
}

impl Round<'_> {
    /// Sends what is due; when there will be more.
    fn send(&mut self, place: &mut Place) -> Option<Instant> {
        let until = self.search.as_mut()?.send(place);
        if until.is_none() {
            self.search = None;
        }
        until
    }

    /// The sender names addresses: of the search that runs, or for a new one.
    async fn on_path(&mut self, message: &PathMessage, place: &mut Place) {
        let key = &self.conversation.key;
        let Some(named) = self
            .hub
            .open_candidates(key, PathEnd::Sender, &message.sealed)
        else {
            return;
        };
        let now = Instant::now();
        if self.search.is_none() {
            let too_soon = self.begun.is_some_and(|at| now < at + ROUNDS.1);
            if too_soon || self.left == 0 {
                return;
            }
            (self.begun, self.left) = (Some(now), self.left - 1);
            let ends = (self.hub, self.conversation);
            let search = Search::begin(ends, PathEnd::Recipient, place).await;
            self.search = Some(search);
        }
        if let Some(search) = &mut self.search {
            search.on_path(&named, message);
        }
    }
}

/// Takes the streams of a connection until it ends.
fn use_link(hub: &Hub, conversation: &Conversation, link: Link) {
    let rtt = link.rtt().as_millis();
    conversation.changed(link.road(), &format!("a path is open, {rtt} ms away"));
    let (serving, conversation) = (hub.clone(), conversation.clone());
    tokio::spawn({
        let (link, control) = (link.clone(), conversation.control.clone());
        async move { control.serve(&link, PathEnd::Recipient).await }
    });
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
