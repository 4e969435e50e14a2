//! Settings that change while a relay runs.

use super::settings;
use crate::{
    commands::{
        cli::{ServerArgs, ServerSettings},
        context::Context,
        log::LogControl,
    },
    operation::Systemd,
    protocol::RoomId,
    relay::RelayHandle,
};

/// What a relay was told, and where to read it again.
pub(super) struct Reloading<'a> {
    pub(super) context: &'a Context,
    pub(super) args: &'a ServerArgs,
    /// As they are now.
    pub(super) settings: ServerSettings,
    pub(super) log: Option<&'a LogControl>,
    /// How many peers there may be where no setting says.
    pub(super) max_peers: usize,
    /// The room that this relay has made itself.
    pub(super) own_room: RoomId,
    /// What the service manager is told.
    pub(super) status: String,
}

impl Reloading<'_> {
    /// Reads the settings anew; those that are wrong change nothing.
    pub(super) fn reload(&mut self, relay: &RelayHandle) {
        Systemd.reloading();
        match settings::read(self.args) {
            Ok(new) => self.apply(relay, new),
            Err(error) => tracing::error!("the settings stay as they were: {error}"),
        }
        if let Some(log) = self.log {
            log.reopen();
        }
        Systemd.ready(&self.status);
    }

    fn apply(&mut self, relay: &RelayHandle, new: ServerSettings) {
        let limits = settings::limits(&new, self.max_peers);
        let admit = new.admit.iter().copied().chain([self.own_room]);
        if let Err(error) = relay.reload(limits, new.open.unwrap_or_default(), admit) {
            tracing::error!(%error, "the admitted rooms stay as they were");
        }
        for option in settings::fixed(&self.settings, &new) {
            tracing::warn!("{option} has changed: that needs a restart");
        }
        if let Some(log) = self.log {
            log.set_level(settings::level(self.context, &new));
        }
        self.settings = new;
        tracing::info!("the settings were read anew");
    }
}
