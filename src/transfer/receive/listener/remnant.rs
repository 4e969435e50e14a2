//! What is left of a listener that has lost its relay: transfers that go on over direct connections.

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{Ended, Listener, Transfer};
use crate::{
    protocol::{Code, TransferId},
    transfer::{
        Error, ErrorKind, IncomingStreams,
        direct::{Control, ControlEvent},
        receive::{
            driver::{End, Input},
            jobs, receiver,
        },
    },
};

/// Messages of a direct connection that wait for one transfer.
const SAID: usize = 16;

/// Transfers that go on without the relay, and where their files come.
pub(in crate::transfer::receive) struct Remnant<'a> {
    listener: Listener<'a>,
    streams: IncomingStreams,
}

impl<'a> Listener<'a> {
    /// Lets transfers note what they have, but those that go on, and says why the connection ended.
    pub(super) async fn lost(mut self, streams: IncomingStreams) -> Ended<'a> {
        let reason = self.channel.ended().await;
        for transfer in self.transfers.values() {
            transfer.control.take_over();
        }
        self.end_transfers(End::Gone(Code::PeerGone));
        let ends = |transfer: &Transfer| !transfer.control.goes_on();
        while self.transfers.values().any(ends)
            && let Some(ended) = self.tasks.join_next().await
        {
            self.forget(ended.ok().map(|(transfer, _)| transfer));
        }
        let remnant = match self.transfers.is_empty() {
            true => {
                self.leave();
                None
            }
            false => Some(Box::new(Remnant {
                listener: self,
                streams,
            })),
        };
        match reason.code() {
            Code::Replaced => Ended::Replaced,
            Code::NotAdmitted => {
                Ended::Lost(Error::from_source(ErrorKind::NotTrusted, reason), remnant)
            }
            _ => Ended::Lost(Error::from_source(ErrorKind::Unreachable, reason), remnant),
        }
    }

    fn forget(&mut self, transfer: Option<TransferId>) {
        match transfer {
            Some(transfer) => {
                self.transfers.remove(&transfer);
                self.queue.leave(transfer);
            }
            // A task that panicked does not say whose it was.
            None => self
                .transfers
                .retain(|_, transfer| !transfer.inputs.is_closed()),
        }
    }

    /// Lets go of the socket.
    fn leave(&self) {
        if let Some(hub) = self.channel.direct() {
            hub.close();
        }
    }
}

impl Remnant<'_> {
    /// Receives until nothing goes on any more; how the one transfer ended, where it was the only one to take.
    pub(in crate::transfer::receive) async fn run(
        mut self,
        cancel: &CancellationToken,
    ) -> Option<Option<Error>> {
        let listener = &mut self.listener;
        let mut finished = None;
        while !listener.transfers.is_empty() {
            tokio::select! {
                () = cancel.cancelled() => {
                    listener.end_transfers(End::Stop(Code::Shutdown));
                    while listener.tasks.join_next().await.is_some() {}
                    break;
                }
                ended = listener.tasks.join_next() => {
                    let Some(ended) = ended else { break };
                    let ended = ended.ok();
                    let outcome = ended.as_ref().map(|(_, outcome)| outcome);
                    if let Some(receiver::Ended::Complete(failure)) = outcome {
                        finished = Some(failure.clone());
                    }
                    listener.forget(ended.map(|(transfer, _)| transfer));
                }
                file = self.streams.accept_direct() => {
                    listener.on_file(file.stream, file.header, Some(file.from));
                }
            }
        }
        self.listener.leave();
        finished
    }
}

/// Which way the messages of a transfer go; what comes by a direct connection goes to its task.
pub(super) fn control(
    transfer: TransferId,
    inputs: &mpsc::Sender<Input>,
    end: &watch::Sender<Option<End>>,
) -> Control {
    let (events, said) = mpsc::channel(SAID);
    tokio::spawn(bring(said, inputs.downgrade(), end.clone()));
    Control::new(transfer, events)
}

async fn bring(
    mut said: mpsc::Receiver<(TransferId, ControlEvent)>,
    inputs: mpsc::WeakSender<Input>,
    end: watch::Sender<Option<End>>,
) {
    while let Some((_, event)) = said.recv().await {
        match (event, inputs.upgrade()) {
            (ControlEvent::Message(message), Some(inputs)) => {
                let _ = inputs.send(Input::Message(message)).await;
            }
            (ControlEvent::Lost, Some(_)) => jobs::end(&end, End::Gone(Code::PeerGone)),
            (_, None) => return,
        }
    }
}
