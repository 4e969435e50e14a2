//! `p2p show` and `p2p demo`

use std::path::PathBuf;

use clap::{Args, ValueHint};

/// `p2p show`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  p2p show readings.csv               a table that fits the window, its head and its tail
  p2p -v show readings.csv            and what is in each column, and how much is missing
  p2p show response.json              indented, in colour, what is long left out
  p2p show --rows 100 readings.csv    a hundred rows of it
  p2p show --all response.json        all of it, whatever its size
  p2p show photo.jpg                  drawn: kitty, iTerm2, sixel, or in half blocks
  p2p --color always show a.json | less -R")]
pub struct ShowArgs {
    /// The file.
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Show everything instead of what fits: all rows of a table, all lines of JSON or text.
    #[arg(long, conflicts_with = "rows")]
    pub all: bool,
    /// Show so many rows of a table or lines of JSON or text, or a picture so high.
    #[arg(long, value_name = "N", value_parser = parse_rows)]
    pub rows: Option<usize>,
    /// Stop at a limit of time and memory, as for files from others.
    #[arg(long, hide = true)]
    pub limited: bool,
    /// Do not ask the terminal what it can draw: somebody else reads its answers.
    #[arg(long, hide = true)]
    pub unasked: bool,
    /// Put the file's name above what is shown, if anything is.
    #[arg(long, hide = true)]
    pub titled: bool,
    /// Show it as in a terminal of so many columns and rows, without any graphics protocol.
    #[arg(long, hide = true, value_name = "COLUMNSxROWS", value_parser = parse_cells)]
    pub cells: Option<(u16, u16)>,
}

fn parse_rows(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("there is nothing to show in no rows".to_owned()),
        Ok(rows) => Ok(rows),
        Err(error) => Err(error.to_string()),
    }
}

fn parse_cells(text: &str) -> Result<(u16, u16), String> {
    let (columns, rows) = text
        .split_once('x')
        .ok_or("no x between columns and rows")?;
    let number = |text: &str| text.parse().map_err(|e| format!("{text:?}: {e}"));
    Ok((number(columns)?, number(rows)?))
}

/// `p2p demo`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  p2p demo                            nothing is left behind, nothing leaves this machine
  p2p demo report.json photo.png      with files of your own")]
pub struct DemoArgs {
    /// Send these files and directories instead of the demo's own JSON, CSV and picture.
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
}
