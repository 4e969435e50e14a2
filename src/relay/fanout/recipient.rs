//! From the ring to one recipient.

use std::{future::Future, pin::pin, time::Duration};

use bytes::Bytes;
use tokio::{
    select,
    time::{Instant, timeout},
};
use tracing::warn;

use super::{
    super::budget::{Counted, Purpose, Share},
    fetch::Source,
    filter::FrameFilter,
    ports::Outlet,
    report::{Delivery, Outcome},
    shared::Shared,
    spool::SpoolRead,
};
use crate::protocol::{Code, PeerId};

/// One recipient of a file, and where its cursor is.
pub(super) struct Recipient<'a> {
    pub(super) peer: PeerId,
    pub(super) slot: usize,
    pub(super) shared: &'a Shared,
    pub(super) share: &'a Share,
    pub(super) stall_limit: Duration,
}

impl Recipient<'_> {
    /// Opens its outlet and writes all that it is to get.
    ///
    /// Cancel-safe in that the outlet is then reset, with [`Code::PeerGone`].
    pub(super) async fn serve<O: Outlet>(
        self,
        open: impl Future<Output = Result<O, Code>>,
    ) -> Delivery {
        let (mut bytes, mut was_spooled) = (0, false);
        let mut outlet = ResetOnDrop(None);
        let result = {
            let mut stopped = pin!(self.shared.stopped(self.slot));
            // First: who is told to stop stops at once, also when it could go on.
            select! {
                biased;
                code = &mut stopped => Err(code),
                result = self.deliver(open, &mut outlet, (&mut bytes, &mut was_spooled)) => result,
            }
        };
        self.shared.leave(self.slot);
        let outcome = match result {
            Ok(()) => {
                outlet.0 = None;
                Outcome::Delivered
            }
            Err(code) => {
                outlet.reset(code);
                Outcome::Failed(code)
            }
        };
        Delivery {
            peer: self.peer,
            outcome,
            bytes,
            was_spooled,
        }
    }

    async fn deliver<O: Outlet>(
        &self,
        open: impl Future<Output = Result<O, Code>>,
        outlet: &mut ResetOnDrop<O>,
        (bytes, was_spooled): (&mut u64, &mut bool),
    ) -> Result<(), Code> {
        let opened = select! {
            opened = open => opened?,
            () = self.shared.stalled(self.slot, self.stall_limit) => return Err(Code::Behind),
        };
        let outlet = outlet.0.insert(opened);
        let mut filter = None;
        while let Some((source, skip)) = self.shared.next(self.slot).await? {
            let mut piece = match source {
                Source::Memory(piece) => piece,
                Source::Spool(read) => {
                    *was_spooled = true;
                    self.read(read).await?
                }
            };
            if let (None, Some(skip)) = (&filter, skip) {
                filter = Some(FrameFilter::new(skip.start, skip.head_left));
            }
            let len = piece.len();
            match &mut filter {
                None => self.write(outlet, piece, bytes).await?,
                Some(filter) => {
                    while let Some(run) = filter.next(&mut piece).map_err(|_| Code::Protocol)? {
                        self.write(outlet, run, bytes).await?;
                    }
                }
            }
            self.shared.advance(self.slot, len);
        }
        outlet.finish().await
    }

    async fn write(
        &self,
        outlet: &mut impl Outlet,
        mut piece: Bytes,
        bytes: &mut u64,
    ) -> Result<(), Code> {
        while !piece.is_empty() {
            let before = piece.len();
            let began = Instant::now();
            loop {
                let step = STALL_WHEN_SHORT.min(self.stall_limit);
                match timeout(step, outlet.write(&mut piece)).await {
                    Ok(written) => break written?,
                    Err(_) if began.elapsed() >= self.stall_limit => return Err(Code::Behind),
                    // Others need the memory that its bytes take.
                    Err(_) if self.share.budget().is_short() => return Err(Code::Behind),
                    Err(_) => {}
                }
            }
            *bytes += (before - piece.len()) as u64;
        }
        Ok(())
    }

    /// Reads from the spool: a large piece, or while memory is short a small one.
    async fn read(&self, read: SpoolRead) -> Result<Bytes, Code> {
        let wanted = read.available();
        let small = wanted.min(Purpose::Reads.guaranteed() as usize / 2);
        let charge = async {
            loop {
                let freed = self.share.budget().memory_freed();
                let charge = |len| self.share.charge(Purpose::Reads, len);
                if let Some(charge) = charge(wanted).or_else(|| charge(small)) {
                    return charge;
                }
                freed.await;
            }
        };
        let charge = timeout(self.stall_limit, charge);
        let charge = charge.await.map_err(|_| Code::Behind)?;
        let position = read.position();
        match read.run(charge.bytes()).await {
            Ok(piece) => {
                let piece = Counted::new(piece, charge);
                self.shared.keep(position, &piece);
                Ok(piece.bytes())
            }
            Err(error) => {
                warn!(%error, "cannot read from the spool");
                Err(Code::Behind)
            }
        }
    }
}

/// A recipient that takes nothing for so long while memory is short is reset.
const STALL_WHEN_SHORT: Duration = Duration::from_secs(5);

/// An outlet that cannot be forgotten: a stream that is dropped would end as if it were complete.
struct ResetOnDrop<O: Outlet>(Option<O>);

impl<O: Outlet> ResetOnDrop<O> {
    fn reset(&mut self, code: Code) {
        if let Some(outlet) = self.0.take() {
            outlet.reset(code);
        }
    }
}

impl<O: Outlet> Drop for ResetOnDrop<O> {
    fn drop(&mut self) {
        self.reset(Code::PeerGone);
    }
}
