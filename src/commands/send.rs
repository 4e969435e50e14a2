//! `p2p send` and `p2p broadcast`.

use std::path::{Path, PathBuf};

use super::{
    CommandError,
    cli::{BroadcastArgs, Compress, NamesArg, SendArgs, WhatArgs},
    context::Context,
    join::{entering, with_hint},
    output,
    signal::Signals,
};
use crate::{
    display::{bytes as size_of, counted},
    identity::{Candidate, ResolveError},
    storage::{EntryKind, Filter, FilterError, Source},
    transfer::{
        EnterError, Error, ErrorKind,
        send::{Recipient, SendRequest, SourceSpec, Status, Summary, To, send as send_files},
    },
};

/// Recipients from how many on a table tells who has what, where a line for each has not done so.
const TABLE_MIN: usize = 2;

pub(super) fn send(context: &Context, args: SendArgs) -> Result<u8, CommandError> {
    run(context, args.what, To::Peers(args.to))
}

pub(super) fn broadcast(context: &Context, args: BroadcastArgs) -> Result<u8, CommandError> {
    run(context, args.what, To::Everyone)
}

fn run(context: &Context, what: WhatArgs, to: To) -> Result<u8, CommandError> {
    if what.dry_run {
        return list(context, source(context, what)?);
    }
    context.set_direct(what.direct.policy());
    let request = SendRequest {
        wait: what.wait,
        timeout: what.timeout,
        limit: what.limit,
        compress: what.compress == Compress::Auto,
        jobs: context.home()?.jobs(),
        source: source(context, what)?,
        to,
    };
    let member = context.member()?;
    let known = context.known(&member.invite)?;
    let observer = context.observer();
    context.block_on(async {
        let signals = Signals::listen();
        let sent = send_files(&member, &known, request, &observer, &signals.token()).await;
        context.flush_events().await;
        match (sent, signals.exit_code()) {
            (Ok(summary), code) => report(context, &summary, code),
            (Err(_), Some(code)) => Err(CommandError::new(
                ErrorKind::Interrupted,
                "interrupted: nothing was delivered",
            )
            .with_code(code)),
            (Err(error), None) => Err(explain(&error, &member.invite.place())),
        }
    })?
}

/// What is to be sent, from the command line.
fn source(context: &Context, what: WhatArgs) -> Result<SourceSpec, CommandError> {
    if let Some(text) = what.text {
        return Ok(SourceSpec::Text(text));
    }
    let pipe = Path::new("-");
    if what.paths.iter().any(|path| path == pipe) {
        if what.paths.len() > 1 {
            return Err(CommandError::usage(
                "- (standard input) cannot be sent together with files",
            ));
        }
        let name = what.name.ok_or_else(|| {
            CommandError::usage("standard input needs a name for the recipient: --name")
        })?;
        let name = name
            .parse()
            .map_err(|e| CommandError::usage(format!("--name {name:?}: {e}")))?;
        return Ok(SourceSpec::Pipe {
            name,
            reader: Box::new(std::io::stdin()),
        });
    }
    if what.name.is_some() {
        return Err(CommandError::usage(
            "--name goes with standard input (-) only",
        ));
    }
    let mut filter = Filter::new(&what.exclude, &what.exclude_from)
        .map_err(exclude_error)?
        .without(context.home()?.secrets());
    if what.gitignore {
        filter = filter.with_gitignore();
    }
    if what.preserve {
        filter = filter.with_modes();
    }
    if what.names == NamesArg::Strict {
        filter = filter.with_strict_names();
    }
    let roots = distinct(what.paths);
    for path in filter.own_below(&roots) {
        context.stage.line(&format!(
            "left out: {} holds this machine's keys",
            path.display()
        ));
    }
    Ok(SourceSpec::Paths { roots, filter })
}

fn exclude_error(error: FilterError) -> CommandError {
    match &error {
        FilterError::File { source, .. } => {
            CommandError::new(ErrorKind::LocalFile, format!("{error}: {source}"))
        }
        _ => CommandError::usage(format!("--exclude: {error}")),
    }
}

/// Lists what would be sent.
fn list(context: &Context, source: SourceSpec) -> Result<u8, CommandError> {
    let SourceSpec::Paths { roots, filter } = source else {
        return Err(CommandError::usage("--dry-run lists files, not a pipe"));
    };
    let failed = |e| CommandError::new(ErrorKind::LocalFile, e);
    let (mut files, mut bytes) = (0, 0);
    for entry in Source::new(&roots, filter).map_err(failed)?.walk() {
        let entry = entry.map_err(failed)?;
        let (kind, size, mark) = match entry.kind {
            EntryKind::File { size } => ("file", Some(size), ""),
            EntryKind::Directory => ("directory", None, "/"),
            EntryKind::Symlink { .. } => ("link", None, ""),
        };
        files += u64::from(size.is_some());
        bytes += size.unwrap_or(0);
        if context.global.json {
            output::json(&serde_json::json!({
                "event": "would_send", "file": entry.path.as_str(), "kind": kind, "bytes": size,
            }))?;
        } else {
            output::line(format!("{}{mark}", entry.path))?;
        }
    }
    if !context.global.json && !context.global.quiet {
        let (files, size) = (counted(files, "file"), size_of(bytes));
        context
            .stage
            .line(&format!("{files}, {size}; nothing was sent"));
    }
    Ok(0)
}

/// A path that is named twice is sent once.
fn distinct(paths: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut seen = std::collections::HashSet::new();
    paths
        .into_iter()
        .filter(|path| seen.insert(path.clone()))
        .collect()
}

/// Says who has what, and turns it into the exit code.
fn report(context: &Context, summary: &Summary, signal: Option<u8>) -> Result<u8, CommandError> {
    let tells_more = |recipient: &Recipient| recipient.files != 1 || recipient.failure().is_some();
    if !context.global.json
        && !context.global.quiet
        && summary.recipients.len() >= TABLE_MIN
        && summary.recipients.iter().any(tells_more)
    {
        table(context, summary);
    }
    let delivered = summary
        .recipients
        .iter()
        .filter(|recipient| recipient.failure().is_none())
        .count();
    let all = summary.recipients.len();
    if let Some(code) = signal {
        let message = match summary.recipients.as_slice() {
            [one] if delivered == 0 => match one.files {
                0 => "interrupted: no file has arrived whole".to_owned(),
                1 => "interrupted: 1 file has arrived".to_owned(),
                files => format!("interrupted: {files} files have arrived"),
            },
            _ => format!("interrupted: {delivered} of {all} recipients have everything"),
        };
        let error = CommandError::new(ErrorKind::Interrupted, message).with_code(code);
        return Err(match delivered == all {
            true => error,
            false => error.hint("run the same command again to go on from there"),
        });
    }
    let Some(failure) = summary.failure() else {
        return Ok(0);
    };
    let doing = match summary.recipients.as_slice() {
        [one] if one.failure().is_some() => format!("cannot deliver to {}", one.name),
        _ if summary.recipients.iter().all(|t| t.failure().is_none()) => match summary.unread.len()
        {
            1 => "one file was not sent".to_owned(),
            unread => format!("{unread} files were not sent; the first"),
        },
        _ => "not everyone has everything".to_owned(),
    };
    let error = CommandError::from_failure(&doing, &failure);
    Err(match failure.kind() {
        ErrorKind::NoSuchPeer => {
            error.hint("`p2p peers` shows who is there; `--wait 5m` waits for them")
        }
        ErrorKind::TimedOut => error.hint(
            "run the same command again to go on from there; `--timeout` sets how long it waits",
        ),
        _ => error,
    })
}

/// One line for each recipient.
fn table(context: &Context, summary: &Summary) {
    let width = summary
        .recipients
        .iter()
        .map(|t| console::measure_text_width(t.name.as_str()))
        .max()
        .unwrap_or(0);
    for recipient in &summary.recipients {
        let pad = " ".repeat(width - console::measure_text_width(recipient.name.as_str()));
        let (files, size) = (counted(recipient.files, "file"), size_of(recipient.bytes));
        let outcome = match (&recipient.status, recipient.failed_files.len()) {
            (Status::Done, 0) => format!("✓ {files}, {size}"),
            (Status::Done, n) => format!(
                "✗ {files}, {size}; {n} failed: {}",
                recipient.failed_files[0].1
            ),
            (Status::Failed(failure) | Status::Pending(failure), _) => format!("✗ {failure:#}"),
        };
        context
            .stage
            .line(&format!("  {}{pad}  {outcome}", recipient.name));
    }
}

/// A send that did not begin.
fn explain(error: &Error, relay: &str) -> CommandError {
    if error.cause::<EnterError>().is_some() {
        return with_hint(entering(error, relay), error);
    }
    // What is wrong with a path says so itself.
    let plain = match format!("{error:#}") {
        text if text.starts_with("cannot ") => CommandError::new(error.kind(), text),
        _ => CommandError::from_failure("cannot send", error),
    };
    match error.cause::<ResolveError>() {
        Some(ResolveError::KeyChanged { name, got, .. }) => plain.hint(format!(
            "if you know that {name} has a new key: `p2p trust add {name} {got}`"
        )),
        Some(ResolveError::NotFound {
            begins_id: true,
            text,
            ..
        }) => plain.hint(format!(
            "to name a peer by its ID: the whole of it, or `id:{text}…` with at least 10 characters"
        )),
        Some(ResolveError::ShortPrefix { .. }) => plain.hint("`p2p peers` shows whole IDs"),
        Some(ResolveError::NotFound {
            nearest: Some(name),
            ..
        }) => plain.hint(format!("did you mean {name}?")),
        Some(ResolveError::Ambiguous { candidates, .. }) => plain.hint(format!(
            "say which one by its ID, such as `--to id:{}`; `p2p peers` shows them",
            candidates
                .first()
                .map_or_else(String::new, Candidate::beginning)
        )),
        _ if error.kind() == ErrorKind::NoSuchPeer => {
            plain.hint("`p2p peers` shows who is there; `--wait 5m` waits for them")
        }
        _ => plain,
    }
}
