//! `p2p completions`: a shell's completion script, which asks this program for peer names.

use std::{ffi::OsStr, io::Write};

use clap::CommandFactory;
use clap_complete::{CompletionCandidate, Shell, env::Shells};

use super::{CommandError, cli::Cli};

pub(super) fn run(shell: Shell) -> Result<u8, CommandError> {
    let name = shell.to_string();
    let shells = Shells::builtins();
    let completer = shells
        .completer(&name)
        .ok_or_else(|| CommandError::usage(format!("no completions for {name}")))?;
    let command = Cli::command();
    let bin = command.get_name();
    let mut script = Vec::new();
    let failed = |e| CommandError::other(format!("cannot print the script: {e}"));
    completer
        .write_registration("COMPLETE", bin, bin, bin, &mut script)
        .map_err(failed)?;
    // Whoever read our output has seen enough.
    let _ = std::io::stdout().write_all(&script);
    Ok(0)
}

/// Peer names that begin with what is typed: known ones, without asking the relay.
///
/// Completion must be instant and silent, so everything that fails is just no candidate.
pub(super) fn complete_peer(typed: &OsStr) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    super::peers::names_for_completion()
        .into_iter()
        .filter(|name| name.starts_with(&*typed))
        .map(CompletionCandidate::new)
        .collect()
}
