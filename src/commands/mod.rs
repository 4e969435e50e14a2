//! The verbs, one file each; the only room that knows clap.

mod cli;
mod completions;
mod context;
mod demo;
mod error;
mod id;
mod invite;
mod join;
mod lan;
mod listen;
mod log;
mod man;
mod menu;
#[cfg(test)]
mod messages;
mod output;
mod peers;
mod room;
mod rooms;
mod send;
mod server;
mod show;
mod signal;
mod trust;
mod usage;

use std::{io::IsTerminal, process::ExitCode};

use clap::{CommandFactory, Parser};

use self::{
    cli::{Cli, Command},
    context::Context,
};
pub use error::CommandError;

/// Parses the command line, runs it, and says how it went.
#[must_use]
pub fn main() -> ExitCode {
    if let Some(code) = listen::run_if_asked() {
        return code;
    }
    clap_complete::CompleteEnv::with_factory(completions::command).complete();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::explain(&error),
    };
    let Some(command) = cli.command else {
        return menu(&Context::new(cli.global));
    };
    let context = Context::new(cli.global);
    // A relay's settings say how it logs.
    if !matches!(command, Command::Server(_)) {
        context.start_log();
    }
    let result = run(&context, command);
    finish(&context, result)
}

/// Turns a command's result into the exit code, and says why it failed if it did.
fn finish(context: &Context, result: Result<u8, CommandError>) -> ExitCode {
    let result = match (result, context.events_failure()) {
        (Ok(0), Some(failure)) => Err(CommandError::output(failure)),
        (result, _) => result,
    };
    context.flush_log();
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            error.report(
                &context.stage,
                &context.paint_error("p2p"),
                context.global.json,
            );
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(context: &Context, command: Command) -> Result<u8, CommandError> {
    match command {
        Command::Server(args) => server::run(context, *args),
        Command::Join(args) => join::run(context, &args),
        Command::Room(command) => room::run(context, &command),
        Command::Rooms(args) => rooms::run(context, &args),
        Command::Listen(args) => listen::run(context, args),
        Command::Send(args) => send::send(context, args),
        Command::Broadcast(args) => send::broadcast(context, args),
        Command::Peers(args) => peers::run(context, &args),
        Command::Id(args) => id::run(context, &args),
        Command::Invite(args) => invite::run(context, &args),
        Command::Trust(command) => trust::run(context, command),
        Command::Show(args) => show::run(context, &args),
        Command::Demo(args) => demo::run(context, args),
        Command::Completions { shell } => completions::run(shell),
        Command::Man { out } => man::run(out.as_deref()),
    }
}

/// What a bare `p2p` does: the menu needs a terminal, and a script needs to hear that it was wrong.
fn menu(context: &Context) -> ExitCode {
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        return finish(context, menu::run(context));
    }
    let _ = std::io::Write::write_all(
        &mut std::io::stderr(),
        Cli::command().render_help().to_string().as_bytes(),
    );
    ExitCode::from(error::USAGE)
}
