//! One peer's connection, from its handshake to its end.

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::AtomicUsize},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tokio::{task::JoinHandle, time::timeout};
use tracing::{debug, info};

use super::{
    Shared,
    arrivals::Seat,
    files,
    mailbox::{Mailbox, SessionId},
    pace::Pace,
    places::Place,
    requests::on_message,
    rooms::SharedRoom,
    windows::Windows,
};
use crate::{
    identity::Bundle,
    protocol::{ClientToServer, Code, PeerId, PeerState, RoomId, ServerToClient, SignedBundle},
    quic::{ControlReceiver, ControlSender, Incoming, Link, LinkError, StreamError},
};

/// From the first packet to a complete handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// From the handshake to a complete `Hello`.
const HELLO_LIMIT: Duration = Duration::from_secs(10);
/// The longest `Hello`, in bytes: several times what a bundle takes.
const HELLO_MAX: usize = 12 << 10;

/// One connected peer, in its room.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) room_id: RoomId,
    pub(super) room: Arc<SharedRoom>,
    pub(super) link: Link,
    pub(super) listening: bool,
    pub(super) windows: Windows,
    /// Files that wait for this peer to take another stream.
    pub(super) files_waiting: AtomicUsize,
    since: Instant,
    bundle: Mutex<SignedBundle>,
    _place: Place,
}

impl Session {
    pub(super) fn id(&self) -> SessionId {
        self.mailbox.id
    }

    pub(super) fn peer(&self) -> PeerId {
        self.mailbox.peer
    }

    /// What others are told of this peer.
    pub(super) fn presence(&self, state: PeerState) -> ServerToClient {
        ServerToClient::Peer {
            id: self.peer(),
            bundle: self
                .bundle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
            state,
            since_secs: self.since.elapsed().as_secs(),
        }
    }

    /// What it is doing.
    pub(super) fn state(&self) -> PeerState {
        if self.listening {
            PeerState::Listening
        } else {
            PeerState::Sending
        }
    }

    pub(super) fn set_bundle(&self, bundle: SignedBundle) {
        *self.bundle.lock().unwrap_or_else(PoisonError::into_inner) = bundle;
    }
}

/// Takes a client through handshake and admission, and serves it until it is gone.
pub(super) async fn serve(shared: Arc<Shared>, incoming: Incoming, seat: Seat) {
    let remote = incoming.remote();
    // Boxed: over within moments, while the rest may be idle for weeks, a thousand times.
    let Some((link, welcomed)) = Box::pin(admit(&shared, incoming, seat)).await else {
        return;
    };
    let span = tracing::info_span!("peer", id = link.peer().short());
    let serving = async {
        match welcomed {
            Ok((session, control, writer)) => {
                info!(%remote, listening = session.listening, "joined");
                let reason = run(&shared, &session, control, writer).await;
                shared.rooms.leave(&session, gone_code(&reason));
                info!(%reason, "left");
            }
            Err((code, why)) => {
                debug!(%remote, %why, "turned away");
                link.close(code, &why);
            }
        }
    };
    tracing::Instrument::instrument(serving, span).await;
}

type Turned = (Code, String);

/// From the first packet to the room, or to why not; `None` where no connection came of it.
///
/// The seat is held for as long as this takes, and lost when others need it more.
async fn admit(
    shared: &Arc<Shared>,
    incoming: Incoming,
    seat: Seat,
) -> Option<(Link, Result<Welcomed, Turned>)> {
    let remote = incoming.remote();
    let link = tokio::select! {
        accepted = incoming.accept(HANDSHAKE_LIMIT) => accepted,
        () = seat.evicted() => Err(LinkError::TimedOut),
    };
    let link = link
        .inspect_err(|error| debug!(%remote, %error, "handshake failed"))
        .ok()?;
    let welcomed = tokio::select! {
        welcomed = welcome(shared, &link) => welcomed,
        () = seat.evicted() => Err((Code::Timeout, "others wanted to come in".to_owned())),
    };
    Some((link, welcomed))
}

type Welcomed = (
    Arc<Session>,
    ControlReceiver<ClientToServer>,
    JoinHandle<Result<(), StreamError>>,
);

/// Reads the `Hello` and lets the peer into its room.
async fn welcome(shared: &Arc<Shared>, link: &Link) -> Result<Welcomed, Turned> {
    let first = async {
        let (sender, mut receiver) = link
            .accept_control::<ServerToClient, ClientToServer>()
            .await?;
        let hello = receiver.receive_within(HELLO_MAX).await?;
        Ok::<_, StreamError>((sender, receiver, hello))
    };
    let (sender, receiver, hello) = timeout(HELLO_LIMIT, first)
        .await
        .map_err(|_| (Code::Timeout, "no hello in time".to_owned()))?
        .map_err(|e| (e.code(), e.to_string()))?;
    let Some(ClientToServer::Hello {
        room,
        bundle,
        listening,
    }) = hello
    else {
        return Err((Code::Protocol, "the first message must be hello".to_owned()));
    };
    check_bundle(&bundle, link.peer())?;
    if !shared.admission.admits(room) {
        return Err((Code::NotAdmitted, String::new()));
    }
    let place = shared.places.take(link.remote().ip());
    let place = place.ok_or((Code::Busy, String::new()))?;
    let share = shared.budget.share_of(room, link.peer());
    let mailbox = Mailbox::new(
        shared.next_session(),
        link.peer(),
        share.clone(),
        shared.hook.clone(),
    );
    // Before anything that others say to it.
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    mailbox.send(ServerToClient::Welcome {
        now_unix: now.ok().map(|now| now.as_secs()),
    });
    let entered = shared.rooms.enter(room, |handle| Session {
        mailbox: Arc::new(mailbox),
        room_id: room,
        room: handle,
        link: link.clone(),
        listening,
        windows: Windows::new(link.clone(), &share),
        files_waiting: AtomicUsize::new(0),
        since: Instant::now(),
        bundle: Mutex::new(bundle),
        _place: place,
    });
    let session = entered.map_err(|code| (code, String::new()))?;
    let writer = tokio::spawn(write(session.mailbox.clone(), sender));
    Ok((session, receiver, writer))
}

/// Writes what the peer is told.
async fn write(
    mailbox: Arc<Mailbox>,
    mut stream: ControlSender<ServerToClient>,
) -> Result<(), StreamError> {
    mailbox.outbox.write_to(&mut stream).await
}

/// Serves the peer until one of its streams or the connection ends.
async fn run(
    shared: &Arc<Shared>,
    session: &Arc<Session>,
    mut control: ControlReceiver<ClientToServer>,
    mut writer: JoinHandle<Result<(), StreamError>>,
) -> LinkError {
    let reading = async {
        let pace = Pace::new();
        while let Some(message) = control.receive().await? {
            pace.keep(&message).await;
            on_message(session, message).await?;
        }
        Ok::<(), StreamError>(())
    };
    let files = files::accept(shared.clone(), session.clone());
    let ended = tokio::select! {
        ended = reading => ended,
        ended = &mut writer => ended.unwrap_or(Ok(())),
        () = files => Ok(()),
    };
    writer.abort();
    // Files that are complete on this side may still be on their way from here to their
    // recipients: they are tasks of their own.
    if let Some(reason) = session.link.close_reason() {
        return reason;
    }
    match ended {
        Err(error) => session.link.close(error.code(), &error.to_string()),
        Ok(()) => session.link.close(Code::Done, ""),
    }
    session.link.closed().await
}

/// What to tell others about a peer whose connection has ended.
fn gone_code(reason: &LinkError) -> Code {
    match reason {
        LinkError::Closed {
            code: code @ (Code::Cancelled | Code::SourceChanged),
            ..
        } => *code,
        _ => Code::PeerGone,
    }
}

/// A bundle must at least be its sender's own; whether it belongs to the room, only members can tell.
pub(super) fn check_bundle(bundle: &SignedBundle, peer: PeerId) -> Result<(), Turned> {
    Bundle::peek(bundle, peer)
        .map(|_| ())
        .map_err(|e| (Code::Protocol, e.to_string()))
}
