//! One peer's connection, from its handshake to its end.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::timeout;
use tracing::{debug, info};

use super::{Shared, files, outbox::Outbox, rooms::Session, transfer::Transfer};
use crate::{
    identity::Bundle,
    protocol::{
        ClientToServer, Code, PeerId, PeerMessage, ServerToClient, SignedBundle, TransferId,
    },
    quic::{ControlReceiver, Knock, Link, LinkError, StreamError},
};

/// From the first packet to a complete handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// From the handshake to a complete `Hello`.
const HELLO_LIMIT: Duration = Duration::from_secs(10);
/// Transfers that one connection may send at once.
const TRANSFERS_PER_SESSION: usize = 64;

/// Takes a client through handshake and admission, and serves it until it is gone.
pub(super) async fn serve(shared: Arc<Shared>, knock: Knock) {
    let remote = knock.remote();
    let link = match Box::pin(knock.admit(HANDSHAKE_LIMIT)).await {
        Ok(Some(link)) => link,
        Ok(None) => return,
        Err(error) => return debug!(%remote, %error, "handshake failed"),
    };
    let peer = link.peer().short();
    let span = tracing::info_span!("peer", id = peer);
    tracing::Instrument::instrument(
        async {
            // Boxed: over within moments, while the rest may be idle for weeks, a thousand times.
            match Box::pin(welcome(&shared, &link)).await {
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
        },
        span,
    )
    .await;
}

type Welcomed = (
    Arc<Session>,
    ControlReceiver<ClientToServer>,
    tokio::task::JoinHandle<Result<(), StreamError>>,
);

/// Reads the `Hello` and lets the peer into its room.
async fn welcome(shared: &Arc<Shared>, link: &Link) -> Result<Welcomed, (Code, String)> {
    let first = async {
        let (sender, mut receiver) = link
            .accept_control::<ServerToClient, ClientToServer>()
            .await?;
        let hello = receiver.receive().await?;
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
    let (outbox, writer) = Outbox::new();
    let session = Session::new(
        (room, listening, bundle),
        link.clone(),
        outbox,
        shared.hook.clone(),
    );
    let session = Arc::new(session);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    session.say(ServerToClient::Welcome {
        now_unix: now.ok().map(|now| now.as_secs()),
    });
    shared
        .rooms
        .enter(&session)
        .map_err(|code| (code, String::new()))?;
    let writer = tokio::spawn(writer.run(sender));
    Ok((session, receiver, writer))
}

/// Serves the peer until one of its streams or the connection ends.
async fn run(
    shared: &Arc<Shared>,
    session: &Arc<Session>,
    mut control: ControlReceiver<ClientToServer>,
    mut writer: tokio::task::JoinHandle<Result<(), StreamError>>,
) -> LinkError {
    let reading = async {
        while let Some(message) = control.receive().await? {
            hear(shared, session, message).await?;
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

/// Acts on one control message.
async fn hear(
    shared: &Arc<Shared>,
    session: &Arc<Session>,
    message: ClientToServer,
) -> Result<(), StreamError> {
    match message {
        ClientToServer::Hello { .. } => {
            return Err(StreamError::Malformed("a second hello".into()));
        }
        ClientToServer::Publish { bundle } => {
            check_bundle(&bundle, session.peer).map_err(|(_, why)| StreamError::Malformed(why))?;
            session.set_bundle(bundle);
            shared.rooms.published(session);
        }
        ClientToServer::Peers { watch } => {
            if watch {
                session.watch();
            }
            for peer in shared.rooms.present(session.room, session) {
                session.say_when_room(peer).await;
            }
            session.say_when_room(ServerToClient::PeersEnd {}).await;
        }
        ClientToServer::Tell {
            transfer,
            to,
            message,
        } => tell(shared, session, transfer, (to, message)),
        ClientToServer::Begin { transfer } => shared.rooms.with(session.room, |room| {
            if let Some(t) = room
                .transfers
                .get_mut(&transfer)
                .filter(|t| t.is_sent_by(session))
            {
                t.begin(transfer);
            }
        }),
        ClientToServer::Close { transfer } => shared.rooms.with(session.room, |room| {
            if room
                .transfers
                .get(&transfer)
                .is_some_and(|t| t.is_sent_by(session))
            {
                room.transfers.remove(&transfer);
            }
        }),
        ClientToServer::Unknown => {}
    }
    Ok(())
}

/// Passes on what one peer says to another about a transfer.
fn tell(
    shared: &Arc<Shared>,
    session: &Arc<Session>,
    id: TransferId,
    (to, message): (Option<PeerId>, PeerMessage),
) {
    let gone = |peer, code| {
        session.say(ServerToClient::Gone {
            transfer: id,
            peer,
            code,
        })
    };
    shared.rooms.with(session.room, |room| {
        if let (PeerMessage::Offer { .. }, Some(peer)) = (&message, to) {
            let Some(listener) = room.listener(peer).cloned() else {
                return gone(peer, Code::PeerGone);
            };
            if !room.transfers.contains_key(&id) {
                let sending = room
                    .transfers
                    .values()
                    .filter(|t| t.is_sent_by(session))
                    .count();
                if sending >= TRANSFERS_PER_SESSION {
                    return gone(peer, Code::Busy);
                }
                room.transfers.insert(id, Transfer::new(session.clone()));
            }
            let transfer = room.transfers.get_mut(&id).expect("inserted above");
            if !transfer.is_sent_by(session) {
                return gone(peer, Code::Protocol);
            }
            if let Err(code) = transfer.offer(id, &listener, message) {
                gone(peer, code);
            }
            return;
        }
        match room.transfers.get_mut(&id) {
            Some(transfer) if transfer.is_sent_by(session) => transfer.hear_sender(id, to, message),
            Some(transfer) => {
                if let Err(code) = transfer.hear_recipient(id, session, message) {
                    gone(session.peer, code);
                }
            }
            // The transfer is over: what was still on its way is of no use to anyone.
            None => {}
        }
    });
}

/// A bundle must at least be its sender's own; whether it belongs to the room, only members can tell.
fn check_bundle(bundle: &SignedBundle, peer: PeerId) -> Result<(), (Code, String)> {
    Bundle::peek(bundle, peer)
        .map(|_| ())
        .map_err(|e| (Code::Protocol, e.to_string()))
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
