//! The program that runs on each stored file, and once on each: whatever is killed when.
//!
//! A listener that marked the file first and started the program then could be killed in between, and
//! one that did it the other way round as well. So it starts itself in another process, which sets the
//! mark and becomes the program: a kill of the listener comes before both or after both.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
    process::ExitCode,
};

use tokio::process::Command;

use crate::{
    commands::show::this_program,
    storage::{Ticket, claim, crash_point},
};

/// The first argument of a process that is to become the program.
const FLAG: &str = "--become-hook";
/// What a shell says of a program that cannot be run.
const CANNOT_RUN: u8 = 127;

/// A process that becomes `program`, unless some process has become it for the same ticket already.
pub(super) fn process(program: &str, ticket: Option<&Ticket>) -> Command {
    let this = ticket.and_then(|ticket| Some((ticket, this_program().ok()?)));
    let Some((ticket, this)) = this else {
        return Command::new(program);
    };
    let (marks, at) = ticket.place();
    let mut process = Command::new(this);
    process
        .arg(FLAG)
        .arg(marks)
        .arg(at.to_string())
        .arg(program);
    process
}

/// What the process does that [`process`] starts; nothing in any other.
pub fn run_if_asked() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    if args.next()? != OsStr::new(FLAG) {
        return None;
    }
    let (marks, at, program) = (args.next()?, args.next()?, args.next()?);
    let at = at.to_str()?.parse().ok()?;
    crash_point("unmarked");
    if !claim(Path::new(&marks), at) {
        return Some(ExitCode::SUCCESS);
    }
    Some(become_program(&program, args))
}

fn become_program(program: &OsStr, args: impl Iterator<Item = OsString>) -> ExitCode {
    let mut command = std::process::Command::new(program);
    command.args(args);
    #[cfg(unix)]
    let ended = Err(std::os::unix::process::CommandExt::exec(&mut command));
    #[cfg(not(unix))]
    let ended = command.status();
    let error = match ended {
        Ok(status) => {
            let code: std::process::ExitStatus = status;
            let code = code.code().and_then(|code| u8::try_from(code).ok());
            return ExitCode::from(code.unwrap_or(1));
        }
        Err(error) => error,
    };
    eprintln!("p2p: cannot run {}: {error}", Path::new(program).display());
    ExitCode::from(CANNOT_RUN)
}
