//! The sender's end: finds a path, connects, and tries again when that ends.

use std::time::{Duration, Instant};

use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Conversation, Hub, PathMessage, hub::Place, search::Search};
use crate::{
    direct::{Path, Policy},
    protocol::Code,
    quic::Link,
    sealing::PathEnd,
};

/// How long after a path has ended, or none was found, the next is looked for: first so, then so, then every
/// time so.
const AGAIN: [Duration; 3] = [
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(60),
];
/// How long a path takes to open on a local network: a message through the relay and its answer, a ping, and a
/// handshake.
const EXPECTED: Duration = Duration::from_millis(100);
/// A connection that lasted so long makes the next pause a short one again.
const STABLE: Duration = Duration::from_secs(10);
/// Messages of the other end that wait.
const NAMED: usize = 4;

/// A direct path to one recipient, while it is looked for and used. Dropping it ends the connection.
#[derive(Debug)]
pub(in crate::transfer) struct Opening {
    named: mpsc::Sender<PathMessage>,
    link: watch::Receiver<Option<Link>>,
    policy: Policy,
    began: Instant,
    _over: DropGuard,
}

impl Opening {
    /// The recipient has said, sealed, where it can be reached.
    pub(in crate::transfer) fn on_path(&self, message: PathMessage) {
        let _ = self.named.try_send(message);
    }

    /// The connection, while there is one.
    pub(in crate::transfer) fn link(&self) -> watch::Receiver<Option<Link>> {
        self.link.clone()
    }

    /// The recipient says that the connection is dead: other files need not find that out too.
    pub(in crate::transfer) fn on_lost(&self) {
        if let Some(link) = &*self.link.borrow() {
            link.close(Code::PeerGone, "");
        }
    }

    /// Until when a path is likely to be found, where one is near.
    pub(in crate::transfer) fn expected_until(&self) -> tokio::time::Instant {
        (self.began + EXPECTED).into()
    }

    /// Whether files are to wait for it.
    pub(in crate::transfer) fn is_only_road(&self) -> bool {
        self.policy == Policy::Only
    }
}

/// Looks for a direct path to the recipient of a transfer, which has accepted it.
pub(in crate::transfer) fn open(hub: &Hub, conversation: Conversation) -> Opening {
    let (named, names) = mpsc::channel(NAMED);
    let (link, linked) = watch::channel(None);
    let over = CancellationToken::new();
    let task = {
        let (hub, over) = (hub.clone(), over.clone());
        async move {
            tokio::select! {
                () = over.cancelled() => {}
                () = keep(&hub, &conversation, names, &link) => {}
            }
        }
    };
    hub.spawn(task);
    Opening {
        named,
        link: linked,
        policy: hub.policy(),
        began: Instant::now(),
        _over: over.drop_guard(),
    }
}

async fn keep(
    hub: &Hub,
    conversation: &Conversation,
    mut names: mpsc::Receiver<PathMessage>,
    current: &watch::Sender<Option<Link>>,
) {
    let peer = conversation.peer.id;
    let Some(mut place) = hub.enter(&conversation.key, peer, PathEnd::Sender) else {
        return;
    };
    let mut pauses = AGAIN.iter();
    loop {
        if let Some(link) = find(hub, conversation, &mut names, &mut place).await {
            let (since, road, rtt) = (Instant::now(), link.road(), link.rtt());
            conversation.changed(
                road,
                &format!("a path is open, {} ms away", rtt.as_millis()),
            );
            let open = Open { link, current };
            current.send_replace(Some(open.link.clone()));
            // It ends with the link.
            tokio::spawn({
                let (link, control) = (open.link.clone(), conversation.control.clone());
                async move { control.serve(&link, PathEnd::Sender).await }
            });
            let ended = open.link.closed().await;
            drop(open);
            conversation.changed(
                conversation.relay(),
                &format!("the path has ended: {ended}"),
            );
            if since.elapsed() >= STABLE {
                pauses = AGAIN.iter();
            }
        }
        sleep(*pauses.next().unwrap_or(&AGAIN[AGAIN.len() - 1])).await;
    }
}

/// A connection that is in use; closed when it is dropped.
struct Open<'a> {
    link: Link,
    current: &'a watch::Sender<Option<Link>>,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.current.send_replace(None);
        self.link.close(Code::Done, "");
    }
}

/// Finds a path and connects; `None` where there is none.
async fn find(
    hub: &Hub,
    conversation: &Conversation,
    names: &mut mpsc::Receiver<PathMessage>,
    place: &mut Place,
) -> Option<Link> {
    let mut search = Search::begin((hub, conversation), PathEnd::Sender, place).await;
    loop {
        let until = search.send(place);
        if let Some(path) = search.path() {
            return connect(place, conversation, path).await;
        }
        tokio::select! {
            message = names.recv() => {
                let message = message?;
                let from = PathEnd::Recipient;
                if let Some(named) = hub.open_candidates(&conversation.key, from, &message.sealed) {
                    search.on_path(&named, &message);
                }
            }
            probed = place.probes.recv() => search.on_probe(probed?),
            arrival = search.arrival() => search.on_arrival(arrival, place),
            () = tokio::time::sleep_until(until?.into()) => {}
        }
    }
}

async fn connect(place: &Place, conversation: &Conversation, path: Path) -> Option<Link> {
    let connecting = place.connect(path.remote, conversation.peer.id, path.rtt);
    let failed = |error: &crate::quic::ConnectError| {
        tracing::debug!(%error, remote = %path.remote, "no direct connection");
    };
    connecting.await.inspect_err(failed).ok()
}
