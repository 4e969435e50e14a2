//! The room that the menu is in: its listener, and its watch on who else is there.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    CommandError, Context,
    board::{Board, Observed},
};
use crate::{
    display::menu::News,
    home::KnownPeers,
    identity::Invite,
    protocol::{Code, DeclineReason, TransferId},
    storage::{Conflict, Target},
    transfer::{
        ErrorKind, Member, PeerEvent,
        receive::{Decision, Destination, Gate, ListenConfig, OfferView, Refusal, listen},
    },
};

/// The pause before the relay is asked again who is there.
const WATCH_PAUSE: Duration = Duration::from_secs(2);
/// The pause before a relay that did not answer at all is tried again.
const ENTER_PAUSE: Duration = Duration::from_secs(5);

/// A room that is listened in.
pub(super) struct Room {
    pub(super) member: Arc<Member>,
    pub(super) known: KnownPeers,
    asked: Arc<Asked>,
    end: CancellationToken,
    tasks: TaskTracker,
}

impl Room {
    /// Begins to listen and to watch.
    pub(super) fn enter(
        context: &Context,
        invite: Invite,
        folder: &Path,
        board: &Arc<Board>,
    ) -> Result<Self, CommandError> {
        let member = context.member_of(invite)?;
        let known = context.known(&member.invite)?;
        let home = context.home()?;
        let journal = home.journal();
        home.make_directory(&journal).map_err(CommandError::other)?;
        let target = Target::open(folder).map_err(|e| {
            CommandError::other(format!("cannot receive into {}: {e}", folder.display()))
        })?;
        let asked = Arc::new(Asked {
            board: board.clone(),
            waiting: Mutex::default(),
        });
        let target = Arc::new(target);
        let config = {
            let (out, asked, known) = (folder.to_owned(), asked.clone(), known.clone());
            move || ListenConfig {
                destination: Destination::Directory(target.clone()),
                out: out.clone(),
                conflict: Conflict::Rename,
                max_size: None,
                once: false,
                journal: journal.clone(),
                gate: asked.clone(),
                known: known.clone(),
            }
        };
        let (end, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (listening, telling, ending) = (member.clone(), board.clone(), end.clone());
        tasks.spawn(async move {
            let observer = Arc::new(Observed(None, telling.clone()));
            // A relay that was reached once is tried again by the listener itself.
            while let Err(failure) = listen(
                listening.clone(),
                config(),
                observer.clone(),
                ending.clone(),
            )
            .await
            {
                telling.tell(News::NoRoom(format!("{failure:#}")));
                if failure.kind() != ErrorKind::Unreachable {
                    return;
                }
                tokio::select! {
                    () = ending.cancelled() => return,
                    () = tokio::time::sleep(ENTER_PAUSE) => {}
                }
            }
        });
        let (watching, telling, ending) = (member.clone(), board.clone(), end.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = ending.cancelled() => {}
                () = watch(&watching, &telling) => {}
            }
        });
        tasks.close();
        Ok(Self {
            member,
            known,
            asked,
            end,
            tasks,
        })
    }

    /// Answers an offer, if it still waits.
    pub(super) fn answer(&self, transfer: TransferId, yes: bool) {
        if let Some(answer) = self.asked.lock().remove(&transfer) {
            let _ = answer.send(yes);
        }
    }

    /// Leaves; the future is done once everything that is open is put away.
    pub(super) fn close(self) -> impl Future<Output = ()> {
        self.end.cancel();
        async move { self.tasks.wait().await }
    }
}

/// Tells who is there, for as long as it is polled.
async fn watch(member: &Member, board: &Board) {
    loop {
        if let Ok(mut channel) = member.enter(None).await {
            if let Some(peers) = channel.peers(true).await {
                let peers = peers.into_iter().map(|it| (it.id, it.name, it.state));
                board.tell(News::Peers(peers.collect()));
                while let Some(event) = channel.recv().await {
                    if let PeerEvent::Presence(peer) = event {
                        board.tell(News::Peer(peer.id, peer.name, peer.state));
                    }
                }
            }
            channel.close(Code::Done).await;
        }
        tokio::time::sleep(WATCH_PAUSE).await;
    }
}

/// Asks the person at the menu.
struct Asked {
    board: Arc<Board>,
    waiting: Mutex<HashMap<TransferId, oneshot::Sender<bool>>>,
}

impl Asked {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<TransferId, oneshot::Sender<bool>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gate for Asked {
    fn asks(&self) -> bool {
        true
    }

    fn decide<'a>(&'a self, offer: &'a OfferView) -> Decision<'a> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            self.lock().insert(offer.transfer, answer);
            self.board.tell(News::Offer(offer.clone()));
            // A sender that gives up drops this future: its question must go as well.
            let _gone = Gone(self, offer.transfer);
            match answered.await {
                Ok(true) => Ok(()),
                _ => Err(Refusal::new(DeclineReason::Refused, "declined")),
            }
        })
    }
}

/// Takes a question back when it is answered or nobody waits for the answer.
struct Gone<'a>(&'a Asked, TransferId);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
        self.0.board.tell(News::OfferGone(self.1));
    }
}
