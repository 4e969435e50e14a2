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
    shared_state::{Observed, SharedState},
};
use crate::{
    commands::{lan, peers::Gathering},
    display::menu::News,
    home::{KnownPeers, ListenLock, ListenLockError},
    identity::Invite,
    protocol::{DeclineReason, TransferId},
    storage::Target,
    transfer::{
        ErrorKind, Event, Member, Observer, PeerEvent, PeerRef, WayEvent, Ways,
        receive::{Answer, Decision, ListenConfig, OfferPolicy, OfferView, Refusal, listen_at},
    },
};

/// The pause before a relay that did not answer at all is tried again.
const ENTER_PAUSE: Duration = Duration::from_secs(5);

/// A room that is listened in.
pub(super) struct Room {
    pub(super) member: Arc<Member>,
    pub(super) known: KnownPeers,
    asked: Arc<Asked>,
    end: CancellationToken,
    tasks: TaskTracker,
    /// Held while it is this menu that receives, and not another listener of the same home.
    lock: Option<Arc<ListenLock>>,
}

impl Room {
    /// Begins to listen and to watch.
    pub(super) fn enter(
        context: &Context,
        invite: Invite,
        folder: &Path,
        shared: &Arc<SharedState>,
        left: Option<&Self>,
    ) -> Result<Self, CommandError> {
        let member = context.member_of(invite)?;
        let lock = lock(context, &member, left)?;
        let known = context.known(&member.invite)?;
        let home = context.home()?;
        let journal = home.journal();
        home.make_directory(&journal).map_err(CommandError::other)?;
        let target = Target::open(folder).map_err(|e| {
            CommandError::other(format!("cannot receive into {}: {e}", folder.display()))
        })?;
        let asked = Arc::new(Asked {
            shared: shared.clone(),
            waiting: Mutex::default(),
        });
        let config = {
            let (out, asked, known) = (folder.to_owned(), asked.clone(), known.clone());
            move || ListenConfig {
                policy: asked.clone(),
                ..ListenConfig::new(target.clone(), out.clone(), journal.clone(), known.clone())
            }
        };
        let (end, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (listening, telling, ending) = (member.clone(), shared.clone(), end.clone());
        let is_listening = lock.is_some();
        let listening = async move {
            let observer = Arc::new(Observed(None, telling.clone()));
            let (seats, on_lan) = match lan::seats(&listening, false) {
                Ok(seats) => seats,
                Err(error) => return telling.notify(News::NoRoom(error.to_string())),
            };
            // A relay that was reached once is tried again by the listener itself.
            while let Err(failure) =
                listen_at(seats.clone(), config(), observer.clone(), ending.clone()).await
            {
                telling.notify(News::NoRoom(format!("{failure:#}")));
                if failure.kind() != ErrorKind::Unreachable {
                    break;
                }
                tokio::select! {
                    () = ending.cancelled() => break,
                    () = tokio::time::sleep(ENTER_PAUSE) => {}
                }
            }
            if let Some(on_lan) = on_lan {
                on_lan.end().await;
            }
        };
        if is_listening {
            tasks.spawn(listening);
        }
        let (watching, telling, ending) = (member.clone(), shared.clone(), end.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = ending.cancelled() => {}
                () = watch(&watching, &telling, is_listening) => {}
            }
        });
        tasks.close();
        Ok(Self {
            member,
            known,
            asked,
            end,
            tasks,
            lock,
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

/// The lock of the room's only listener: the one that the room just left holds, or a new one.
///
/// Nothing where another process listens: the menu must not take its place, and only sends.
fn lock(
    context: &Context,
    member: &Member,
    left: Option<&Room>,
) -> Result<Option<Arc<ListenLock>>, CommandError> {
    let same = left.filter(|left| left.member.room() == member.room());
    if let Some(lock) = same.and_then(|left| left.lock.clone()) {
        return Ok(Some(lock));
    }
    match ListenLock::take(context.home()?, member.room()) {
        Ok(lock) => Ok(Some(Arc::new(lock))),
        Err(ListenLockError::Held { .. }) => Ok(None),
        Err(error) => Err(CommandError::other(error)),
    }
}

/// Tells who is there, for as long as it is polled; also that the room was entered, where no
/// listener of the menu's own says so.
async fn watch(member: &Member, shared: &SharedState, is_listening: bool) {
    let silent: Arc<dyn Observer> = Arc::new(Silent);
    let mut ways = Ways::open(member, true, &silent);
    let mut gathered = Gathering::default();
    let mut is_in = is_listening;
    // The first come as one list: the cursor is to be on its first row, not on whoever was told first.
    let mut has_list = false;
    loop {
        let event = ways.next().await;
        let is_list = matches!(event, WayEvent::Brought(_, PeerEvent::Listed));
        if let WayEvent::Opened { .. } = event
            && !std::mem::replace(&mut is_in, true)
        {
            let me = PeerRef::new(member.id(), member.name.name.clone());
            let relay = member.invite.place();
            shared.notify(News::Transfer(None, Event::Joined { me, relay }));
            let text = "`p2p listen` is running here and receives; this menu only sends";
            shared.notify(News::Warning(text.to_owned()));
        }
        for peer in gathered.on_event(event) {
            if has_list {
                shared.notify(News::Peer(peer.id, peer.name, peer.state));
            }
        }
        has_list |= is_list;
        if is_list {
            let peers = gathered.peers().into_iter();
            let peers = peers.map(|it| (it.id, it.name.clone(), it.state));
            shared.notify(News::Peers(peers.collect()));
        }
    }
}

/// Shows nothing: the menu's listener says how it stands with the relay.
struct Silent;

impl Observer for Silent {
    fn event(&self, _event: Event) {}
}

/// Asks the person at the menu.
struct Asked {
    shared: Arc<SharedState>,
    waiting: Mutex<HashMap<TransferId, oneshot::Sender<bool>>>,
}

impl Asked {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<TransferId, oneshot::Sender<bool>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OfferPolicy for Asked {
    fn screen(&self, _offer: &OfferView) -> Decision {
        Decision::Ask
    }

    fn ask<'a>(&'a self, offer: &'a OfferView) -> Answer<'a> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            self.lock().insert(offer.transfer, answer);
            self.shared.notify(News::Offer(offer.clone()));
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
        self.0.shared.notify(News::OfferGone(self.1));
    }
}
