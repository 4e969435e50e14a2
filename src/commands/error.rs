//! What a command reports when it fails: one line, a hint where there is one, and an exit code.

use std::{fmt::Display, io};

use crate::{
    display::{Stage, print_json},
    transfer::{Error, ErrorKind},
};

/// Exit code for a command line that cannot be understood.
pub(super) const USAGE: u8 = 2;

/// A failed command.
#[derive(Debug, Clone)]
pub struct CommandError {
    code: u8,
    message: String,
    hint: Option<String>,
    /// Nobody is left to read about it.
    is_quiet: bool,
}

impl CommandError {
    /// A failure with a message that names what failed, on what, and why.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Display) -> Self {
        Self {
            code: kind.exit_code(),
            message: one_line(&message.to_string()),
            hint: None,
            is_quiet: false,
        }
    }

    /// Anything that has no kind of its own.
    #[must_use]
    pub fn other(message: impl Display) -> Self {
        Self::new(ErrorKind::Other, message)
    }

    /// A command line that parses and still makes no sense.
    #[must_use]
    pub fn usage(message: impl Display) -> Self {
        Self {
            code: USAGE,
            ..Self::other(message)
        }
    }

    /// A library's failure, with what was being done.
    #[must_use]
    pub fn from_failure(doing: &str, failure: &Error) -> Self {
        Self::new(failure.kind(), format!("{doing}: {failure:#}"))
    }

    /// An error of another room, with every cause of it, and what was being done.
    #[must_use]
    pub fn caused(doing: &str, error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::from_failure(doing, &Error::from_source(ErrorKind::Other, error))
    }

    /// Standard output cannot be written to. That its reader has seen enough is no failure.
    #[must_use]
    pub fn output(error: io::Error) -> Self {
        let mut failed = Self::other(format!("cannot write to standard output: {error}"));
        if error.kind() == io::ErrorKind::BrokenPipe {
            (failed.code, failed.is_quiet) = (0, true);
        }
        failed
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Display) -> Self {
        self.hint = Some(one_line(&hint.to_string()));
        self
    }

    /// Exits with this code instead of the kind's own, as signals do.
    #[must_use]
    pub(super) fn with_code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// The process's exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        self.code
    }

    /// Prints it for people on standard error, and for programs on standard output.
    pub(super) fn report(&self, stage: &Stage, who: &str, json: bool) {
        self.explain(stage, who);
        if json && !self.is_quiet {
            // It has failed already, whether anybody reads why or not.
            let _ = print_json(
                &serde_json::json!({"event": "error", "code": self.code, "reason": self.message}),
            );
        }
    }

    /// The lines that people read.
    #[cfg(test)]
    pub(super) fn described(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{}\n  hint: {hint}", self.message),
            None => self.message.clone(),
        }
    }

    /// Prints it for people.
    pub(super) fn explain(&self, stage: &Stage, who: &str) {
        if self.is_quiet {
            return;
        }
        stage.line(&format!("{who}: {}", self.message));
        if let Some(hint) = &self.hint {
            stage.line(&format!("hint: {hint}"));
        }
    }
}

/// Errors are one line, whatever their causes say.
fn one_line(text: &str) -> String {
    without_numbers(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Without the system's numbers of its errors, which stand beside their names.
fn without_numbers(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        plain.push_str(rest.strip_prefix(')').unwrap_or(rest));
    }
    plain
}

impl Display for CommandError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}
