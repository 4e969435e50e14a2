//! `p2p listen`: waits for files, stores them, shows them.

mod after;
mod ask;
mod hook;
mod notify;

use std::{io::IsTerminal, path::Path, sync::Arc};

pub(super) use hook::run_if_asked;

use self::{after::AfterReceiving, ask::Ask, notify::Notifier};
use super::{
    CommandError,
    cli::{Accept, ConflictArg, ListenArgs, NamesArg},
    context::Context,
    join::with_hint,
    lan,
    signal::Signals,
};
use crate::{
    home::{ListenLock, ListenLockError},
    storage::{Conflict, Target},
    transfer::{
        ErrorKind, Member,
        receive::{
            AcceptAll, Destination, ListenConfig, OfferPolicy, SharedWriter, TrustedOnly, listen_at,
        },
    },
};

pub(super) fn run(context: &Context, args: ListenArgs) -> Result<u8, CommandError> {
    let home = context.home()?;
    if let Some(name) = &args.name {
        context.set_name(name)?;
    }
    context.set_direct(args.direct.policy());
    let member = context.member()?;
    let _lock = match ListenLock::take(home, member.room()) {
        Ok(lock) => Some(lock),
        Err(error @ ListenLockError::Held { .. }) => {
            return Err(CommandError::other(error)
                .hint("end that one first, or give this one a home of its own: --home DIR"));
        }
        // A read-only home can still receive.
        Err(error) => {
            tracing::warn!(%error, "no lock against a second listener");
            None
        }
    };
    let known = context.known(&member.invite)?;
    let destination = destination(&args.out, args.names)?;
    let to_stdout = matches!(destination, Destination::Writer(_));
    if to_stdout && (!args.once || context.global.json) {
        return Err(CommandError::usage(
            "--out - writes one file's bytes to standard output: it goes with --once and without --json",
        ));
    }
    if to_stdout && !args.force && std::io::stdout().is_terminal() {
        return Err(CommandError::usage(
            "--out - would write whatever comes to this terminal: redirect it, or say --force",
        ));
    }
    let notifier = args.notify.then(Notifier::find);
    if matches!(notifier, Some(None)) {
        let message =
            "--notify finds no desktop that shows notifications (notify-send): use --exec";
        return Err(CommandError::other(message));
    }
    let journal = home.journal();
    home.make_directory(&journal).map_err(CommandError::other)?;
    let policy: Arc<dyn OfferPolicy> = match args.accept {
        Accept::All => Arc::new(AcceptAll),
        Accept::Trusted => Arc::new(TrustedOnly(known.clone())),
        Accept::Ask => Arc::new(Ask::start(context.stage.clone(), known.clone())),
    };
    let conflict = match args.conflict {
        ConflictArg::Rename => Conflict::Rename,
        ConflictArg::Overwrite => Conflict::Overwrite,
        ConflictArg::Skip => Conflict::Skip,
    };
    let config = ListenConfig {
        destination,
        out: args.out.clone(),
        conflict,
        max_size: args.max_size,
        between_keys: ListenConfig::BETWEEN_KEYS,
        once: args.once,
        journal,
        policy,
        known,
        after: None,
        runs_program: args.exec.is_some(),
    };
    context.block_on(serve(context, member, config, notifier.flatten(), &args))?
}

async fn serve(
    context: &Context,
    member: Arc<Member>,
    mut config: ListenConfig,
    notifier: Option<Notifier>,
    args: &ListenArgs,
) -> Result<u8, CommandError> {
    let signals = Signals::listen();
    let after = AfterReceiving::start(context, args, notifier, signals.token());
    if let Destination::Directory(_) = config.destination {
        config.after = Some(after.files());
    }
    let relay = member.invite.place();
    // Events that nobody can read any more are no use to listen for.
    let (broken, stop) = (context.events().broken(), signals.token());
    tokio::spawn(async move {
        broken.cancelled().await;
        stop.cancel();
    });
    let (seats, on_lan) = lan::seats(&member, args.lan)?;
    let listened = listen_at(seats, config, context.observer(), signals.token()).await;
    if let Some(on_lan) = on_lan {
        on_lan.end().await;
    }
    after.finish().await;
    match listened {
        Err(failure) => {
            let error = CommandError::from_failure(&format!("cannot listen at {relay}"), &failure);
            Err(with_hint(error, &failure))
        }
        Ok(listened) => match (listened.failure, signals.exit_code()) {
            (_, Some(code)) => Ok(code),
            (Some(failure), None) => {
                Err(CommandError::from_failure("not received whole", &failure))
            }
            (None, None) => Ok(0),
        },
    }
}

fn destination(out: &Path, names: NamesArg) -> Result<Destination, CommandError> {
    if out == Path::new("-") {
        return Ok(Destination::Writer(SharedWriter::new(std::io::stdout())));
    }
    let target = Target::open(out).map_err(|e| {
        CommandError::new(
            ErrorKind::LocalFile,
            format!("cannot receive into {}: {e}", out.display()),
        )
    })?;
    let target = match names {
        NamesArg::Replace => target,
        NamesArg::Strict => target.strict_names(),
    };
    Ok(Destination::Directory(Arc::new(target)))
}
