//! Whether the other end of a connection belongs to the cluster.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::timeout;

use super::{Trunk, Trunks};
use crate::{
    cluster::{Directory, Instance, NodeName, RelayBeat, token},
    protocol::Code,
    quic::{ControlReceiver, Link, TrunkIncoming},
    relay::trunk_message::TrunkMessage,
};

/// Why there is no trunk.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoTrunk {
    #[error(transparent)]
    Connect(#[from] crate::quic::ConnectError),
    #[error(transparent)]
    Link(#[from] crate::quic::LinkError),
    #[error(transparent)]
    Stream(#[from] crate::quic::StreamError),
    #[error(transparent)]
    Token(#[from] token::TokenError),
    #[error("no hello in time")]
    Timeout,
    #[error("its first message is no hello")]
    NoHello,
    #[error("its token is that of another node")]
    OtherNode,
    #[error("it was started anew, or is not the one that has to connect")]
    OtherInstance,
}

impl NoTrunk {
    fn code(&self) -> Code {
        match self {
            Self::Timeout => Code::Timeout,
            Self::Stream(error) => error.code(),
            Self::Token(_) | Self::OtherNode => Code::NotAdmitted,
            _ => Code::Protocol,
        }
    }
}

/// Connects to a relay that the directory knows.
pub(super) async fn connect(trunks: &Trunks, beat: &RelayBeat) -> Result<Trunk, NoTrunk> {
    let directory = &trunks.directory;
    let link = trunks
        .endpoint
        .connect(beat.trunk, beat.node.0, HELLO_LIMIT);
    let link = link.await?;
    let greeting = async {
        let (mut sender, mut receiver) = link.open_control::<TrunkMessage, TrunkMessage>().await?;
        sender.send(&own(directory)).await?;
        let who = read(directory, &link, &mut receiver).await?;
        (who.1 == beat.instance)
            .then_some(who)
            .ok_or(NoTrunk::OtherInstance)
    };
    finish(trunks, &link, timeout(HELLO_LIMIT, greeting).await)
}

/// Completes the handshake of one that connects, and hears who it is.
pub(super) async fn answer(trunks: &Trunks, incoming: TrunkIncoming) -> Result<Trunk, NoTrunk> {
    let directory = &trunks.directory;
    let link = incoming.accept(HELLO_LIMIT).await?;
    let greeting = async {
        let (mut sender, mut receiver) =
            link.accept_control::<TrunkMessage, TrunkMessage>().await?;
        let who = read(directory, &link, &mut receiver).await?;
        // The lower one connects, so that there is one connection.
        if who.1 >= directory.instance() {
            return Err(NoTrunk::OtherInstance);
        }
        link.admit_trunk();
        sender.send(&own(directory)).await?;
        Ok(who)
    };
    finish(trunks, &link, timeout(HELLO_LIMIT, greeting).await)
}

fn finish(
    trunks: &Trunks,
    link: &Link,
    greeted: Result<Result<(NodeName, Instance), NoTrunk>, tokio::time::error::Elapsed>,
) -> Result<Trunk, NoTrunk> {
    match greeted.unwrap_or(Err(NoTrunk::Timeout)) {
        Ok(who) => Ok(Trunk::new(link.clone(), &trunks.share, who)),
        Err(error) => {
            link.close(error.code(), &error.to_string());
            Err(error)
        }
    }
}

fn own(directory: &Directory) -> TrunkMessage {
    TrunkMessage::Hello {
        token: directory.token(),
        instance: directory.instance(),
    }
}

/// Who the other end is, by a token for the key that it has shown.
async fn read(
    directory: &Directory,
    link: &Link,
    receiver: &mut ControlReceiver<TrunkMessage>,
) -> Result<(NodeName, Instance), NoTrunk> {
    let Some(TrunkMessage::Hello { token, instance }) = receiver.receive_within(HELLO_MAX).await?
    else {
        return Err(NoTrunk::NoHello);
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_secs();
    let node = token::verify(&token, &directory.key().public_key(), now)?;
    if node.id.0 != link.peer() {
        return Err(NoTrunk::OtherNode);
    }
    Ok((node.name, instance))
}

/// From the first packet to a token.
const HELLO_LIMIT: Duration = Duration::from_secs(5);
/// The longest hello, in bytes: several times what a token takes.
const HELLO_MAX: usize = 4096;
