//! `p2p show`: a file in the terminal.

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    process::Stdio,
};

use tokio::process::Command;

use super::{
    CommandError,
    cli::{ShowArgs, When},
    context::Context,
    output,
};
use crate::{
    display::show::{
        Kind, Rows, ShowError, ShowOptions, When as ShowWhen, detect_kind, sanitise, show,
    },
    transfer::ErrorKind,
};

/// Memory, in bytes of address space, that showing a file from someone else may take.
const MEMORY_LIMIT: u64 = 1 << 30;
/// Lines of a text that a listener shows.
const TEXT_LINES: usize = 12;
/// Rows that a picture or a table takes at most where a listener shows it.
const LISTENED_ROWS: u16 = 24;
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
    let mut options = match args.cells {
        Some(cells) => ShowOptions::for_cells(cells, color),
        None => ShowOptions::detect(std::io::stdout().is_terminal(), color),
    };
    options.verbose = context.global.verbose > 0;
    options.rows = match args.rows {
        _ if args.all => Rows::All,
        Some(rows) => Rows::AtMost(rows),
        None => Rows::Fitting,
    };
    let kind = detect_kind(&args.file);
    if context.global.json {
        let kind = kind.map_err(unshown)?;
        output::json(&serde_json::json!({
            "event": "shown",
            "path": args.file.to_string_lossy(),
            "kind": kind.as_str(),
        }))?;
        return Ok(0);
    }
    let kind = kind.ok();
    // A listener shows what is made to be looked at; whoever gives it room looks at anything.
    let is_listener = args.limited && args.cells.is_none();
    if is_listener && !kind.is_some_and(is_shown) {
        return Ok(0);
    }
    if kind == Some(Kind::Image) && args.cells.is_none() && !args.unasked {
        options.ask_terminal();
    }
    if is_listener {
        // It came unasked, and others may come after it: a part of the window is enough.
        options.max_lines = options.max_lines.min(match kind {
            Some(Kind::Text) => TEXT_LINES,
            _ => usize::from(options.height)
                .saturating_sub(4)
                .max(TEXT_LINES),
        });
        options.height = options.height.min(LISTENED_ROWS);
    }
    let mut out = Titled {
        title: args
            .titled
            .then(|| sanitise(&args.file.to_string_lossy()).into_owned()),
        out: std::io::stdout().lock(),
    };
    match show(&args.file, &options, &mut out) {
        Ok(_) => {}
        Err(ShowError::Write(error)) => return Err(CommandError::output(error)),
        Err(error) => return Err(unshown(error)),
    }
    out.flush().map_err(CommandError::output)?;
    Ok(0)
}

/// Writes a title before anything else, once there is anything else.
struct Titled<W> {
    title: Option<String>,
    out: W,
}

impl<W: Write> Write for Titled<W> {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        if !part.is_empty()
            && let Some(title) = self.title.take()
        {
            writeln!(self.out, "{title}")?;
        }
        self.out.write(part)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A process that shows a file from someone else, with limits on its own time and memory; to be
/// told the file, and more options, before it is started.
///
/// # Errors
/// If the program that this process runs cannot be found.
pub(super) fn limited_process() -> io::Result<Command> {
    let mut process = Command::new(this_program()?);
    process
        .args(["show", "--limited"])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    Ok(process)
}

/// The program that this process runs: the same one even if its file has been replaced or
/// removed since, as an upgrade does under a listener.
pub(super) fn this_program() -> io::Result<PathBuf> {
    let running = PathBuf::from("/proc/self/exe");
    if cfg!(target_os = "linux") && running.exists() {
        return Ok(running);
    }
    std::env::current_exe()
}

/// Why the file is not shown, on one line.
fn unshown(error: impl std::error::Error) -> CommandError {
    let why = error.source().map(|it| format!(": {it}"));
    let message = format!("{error}{}", why.unwrap_or_default());
    CommandError::new(ErrorKind::LocalFile, message)
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
