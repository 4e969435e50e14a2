//! One peer's connection, from its first packet to its end.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{task::JoinHandle, time::timeout};
use tracing::{debug, info};

use super::{
    Shared,
    arrivals::Seat,
    audit, files,
    mailbox::Mailbox,
    meters::Handshake,
    pace::Pace,
    requests::{check_bundle, on_message},
    rooms::Member,
    session::Session,
    windows::Windows,
};
use crate::{
    protocol::{ClientToServer, Code, PeerMessage, ServerToClient},
    quic::{ControlReceiver, ControlSender, Incoming, Link, LinkError, StreamError},
};

/// From the first packet to a complete handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// From the handshake to a complete `Hello`.
const HELLO_LIMIT: Duration = Duration::from_secs(10);
/// The longest `Hello`, in bytes: several times what a bundle takes.
const HELLO_MAX: usize = 12 << 10;

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
            Ok((member, control, writer)) => {
                let (peer, room) = (link.peer(), member.room_id);
                audit::admitted(peer, room, (remote, link.road()));
                info!(%remote, listening = member.session.listening, "joined");
                let reason = run(&shared, &member, control, writer).await;
                member.session.count_lost(&shared.meters);
                shared.rooms.leave(&member, gone_code(&reason));
                shared.note_load();
                let traffic = &member.session.traffic;
                let carried = (traffic.received.load(Relaxed), traffic.sent.load(Relaxed));
                audit::left(peer, room, carried, member.session.age().as_secs());
                info!(%reason, "left");
            }
            Err((code, why)) => {
                shared.meters.turned_away(code);
                audit::refused(link.peer(), remote, code);
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
        accepted = incoming.accept(HANDSHAKE_LIMIT) => {
            let is_done = accepted.is_ok();
            let ended = if is_done { Handshake::Done } else { Handshake::Failed };
            shared.meters.handshake(ended);
            accepted
        }
        () = seat.evicted() => {
            shared.meters.handshake(Handshake::Evicted);
            Err(LinkError::TimedOut)
        }
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
    Arc<Member>,
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
    if shared.draining.load(Relaxed) {
        return Err((Code::Shutdown, String::new()));
    }
    let place = shared.places.take(link.remote().ip());
    let place = place.ok_or((Code::Busy, String::new()))?;
    let quota = shared.quotas.room(room);
    let share = shared.budget.share_of(room, link.peer(), &quota.spool);
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
        ping_secs: shared.places.ping_every().map(|every| every.as_secs()),
        relays: shared.cluster_places(),
    });
    if shared.direct {
        let address = link.remote();
        mailbox.send(ServerToClient::Observed { address });
    }
    let windows = Windows::new(link.clone(), &share);
    let session = Session::new(mailbox, (link.clone(), windows), (listening, bundle), place);
    let entered = shared.rooms.enter((room, quota), session);
    let member = Arc::new(entered.map_err(|code| (code, String::new()))?);
    shared.note_load();
    let writer = tokio::spawn(write(member.session.mailbox.clone(), sender));
    Ok((member, receiver, writer))
}

/// Writes what the peer is told.
async fn write(
    mailbox: Arc<Mailbox>,
    mut stream: ControlSender<ServerToClient>,
) -> Result<(), StreamError> {
    mailbox.outbox().write_to(&mut stream).await
}

/// Serves the peer until one of its streams or the connection ends.
async fn run(
    shared: &Arc<Shared>,
    member: &Arc<Member>,
    mut control: ControlReceiver<ClientToServer>,
    mut writer: JoinHandle<Result<(), StreamError>>,
) -> LinkError {
    let reading = async {
        let pace = Pace::new();
        let mut observed = member.session.link.remote();
        while let Some(message) = control.receive().await? {
            pace.keep(&message).await;
            if shared.direct {
                observe(&member.session, &mut observed);
            } else if is_path(&message) {
                continue;
            }
            on_message(shared, member, message).await?;
        }
        Ok::<(), StreamError>(())
    };
    let files = files::accept(shared.clone(), member.clone());
    let ended = tokio::select! {
        ended = reading => ended,
        ended = &mut writer => ended.unwrap_or(Ok(())),
        () = files => Ok(()),
    };
    writer.abort();
    let link = &member.session.link;
    // Files that are complete on this side may still be on their way from here to their
    // recipients: they are tasks of their own.
    if let Some(reason) = link.close_reason() {
        return reason;
    }
    match ended {
        Err(error) => link.close(error.code(), &error.to_string()),
        Ok(()) => link.close(Code::Done, ""),
    }
    link.closed().await
}

/// Tells a peer whose address has changed what it is now.
fn observe(session: &Session, known: &mut SocketAddr) {
    let address = session.link.remote();
    if std::mem::replace(known, address) != address {
        session.mailbox.send(ServerToClient::Observed { address });
    }
}

/// Whether one peer tells another where it can be reached directly.
fn is_path(message: &ClientToServer) -> bool {
    matches!(
        message,
        ClientToServer::Tell {
            message: PeerMessage::Path { .. },
            ..
        }
    )
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
