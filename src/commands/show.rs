//! `p2p show`: a file in the terminal.

use std::io::{IsTerminal, Write};

use super::{
    CommandError,
    cli::{ShowArgs, When},
    context::Context,
};
use crate::{
    display::show::{Kind, ShowError, ShowOptions, When as ShowWhen, detect_kind, show},
    transfer::FailureKind,
};

/// Memory, in bytes of address space, that showing a file from someone else may take.
const MEMORY_LIMIT: u64 = 1 << 30;
/// Seconds of processor time that it may take.
const TIME_LIMIT: u64 = 8;

pub(super) fn run(context: &Context, args: &ShowArgs) -> Result<u8, CommandError> {
    if args.limited {
        limit_this_process();
    }
    let color = match context.global.color {
        When::Auto => ShowWhen::Auto,
        When::Always => ShowWhen::Always,
        When::Never => ShowWhen::Never,
    };
    let mut options = ShowOptions::detect(std::io::stdout().is_terminal(), color);
    options.verbose = context.global.verbose > 0;
    let kind = detect_kind(&args.file);
    // A listener shows what is made to be looked at.
    if args.limited && !kind.as_ref().is_ok_and(|kind| is_shown(*kind)) {
        return Ok(0);
    }
    if kind.is_ok_and(|kind| kind == Kind::Image) && !args.unasked {
        options.ask_terminal();
    }
    let mut out = std::io::stdout().lock();
    match show(&args.file, &options, &mut out) {
        Ok(_) => {}
        // Whoever read our output has seen enough.
        Err(ShowError::Write(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            return Ok(0);
        }
        Err(error) => return Err(CommandError::new(FailureKind::LocalFile, error)),
    }
    let _ = out.flush();
    Ok(0)
}

fn is_shown(kind: Kind) -> bool {
    matches!(kind, Kind::Json | Kind::Csv | Kind::Image | Kind::Text)
}

/// Bounds what a hostile file can do: the kernel ends this process, and nothing else.
#[cfg(unix)]
fn limit_this_process() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let limit = |n| Rlimit {
        current: Some(n),
        maximum: Some(n),
    };
    let _ = setrlimit(Resource::As, limit(MEMORY_LIMIT));
    let _ = setrlimit(Resource::Cpu, limit(TIME_LIMIT));
}

#[cfg(not(unix))]
fn limit_this_process() {}
