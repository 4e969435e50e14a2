//! How much room there is to show a file in, and what the terminal can draw.

/// How a file is to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShowOptions {
    /// Columns of the terminal.
    pub width: u16,
    /// Rows of the terminal.
    pub height: u16,
    /// How many lines of JSON or text to show at most.
    pub max_lines: usize,
    /// How much to show, if not what fits the window or `max_lines`.
    pub rows: Rows,
    /// The colours that may be used.
    pub color: ColorLevel,
    /// How pictures may be drawn.
    pub graphics: Graphics,
    /// The pixels of one character cell, across and down: the size at which protocols for
    /// graphics are given a picture.
    pub cell: (u16, u16),
    /// Whether to tell more: column types and missing values of CSV, the extent of JSON.
    pub verbose: bool,
}

/// How much of a file is shown: rows of a table, a picture or a dump, lines of JSON or text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Rows {
    /// What is looked at without scrolling far.
    #[default]
    Fitting,
    /// As many, if there are so many.
    AtMost(usize),
    /// All that there are.
    All,
}

/// The colours that a terminal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum ColorLevel {
    /// None: plain text without any escape sequence.
    #[default]
    None,
    /// xterm's palette of 256.
    Ansi256,
    /// 24 bits.
    TrueColor,
}

/// How a terminal draws pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Graphics {
    /// Not at all: they are described.
    #[default]
    None,
    /// Two pixels to a character cell.
    HalfBlocks,
    /// kitty's graphics protocol.
    Kitty,
    /// iTerm2's inline images.
    Iterm,
    /// DEC's sixels.
    Sixel,
}

/// When to do what a terminal could do without, such as colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum When {
    /// When the output is a terminal that can, whose owner did not object (`NO_COLOR`).
    #[default]
    Auto,
    /// In any case.
    Always,
    /// In no case.
    Never,
}

/// What is known about a terminal, apart from its environment variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// Columns and rows, where known.
    pub cells: Option<(u16, u16)>,
    /// Width and height in pixels, where known.
    pub pixels: Option<(u16, u16)>,
}

impl ShowOptions {
    /// For pipes, files and logs: 80 columns, no colour, no escape sequences.
    #[must_use]
    pub fn plain() -> Self {
        Self {
            width: DEFAULT_CELLS.0,
            height: DEFAULT_CELLS.1,
            max_lines: PLAIN_LINES,
            rows: Rows::Fitting,
            color: ColorLevel::None,
            graphics: Graphics::None,
            cell: DEFAULT_CELL_PIXELS,
            verbose: false,
        }
    }

    /// For this process's standard output.
    ///
    /// Asks the environment and the operating system only; [`ShowOptions::ask_terminal`] can ask the
    /// terminal itself.
    #[must_use]
    pub fn detect(stdout_is_terminal: bool, color: When) -> Self {
        let window = if stdout_is_terminal {
            Window::of_terminal()
        } else {
            Window::default()
        };
        let variable = |name: &str| std::env::var_os(name)?.into_string().ok();
        Self::for_terminal(stdout_is_terminal, color, window, variable)
    }

    /// For a part of so many columns and rows of this process's terminal: pictures are drawn with
    /// characters there, since no protocol for graphics keeps to a part.
    #[must_use]
    pub fn for_cells(cells: (u16, u16), color: When) -> Self {
        let window = Window {
            cells: Some(cells),
            pixels: None,
        };
        let variable = |name: &str| std::env::var_os(name)?.into_string().ok();
        let mut options = Self::for_terminal(true, color, window, variable);
        if options.graphics != Graphics::None {
            options.graphics = Graphics::HalfBlocks;
        }
        options
    }

    /// How many rows to show where `fitting` of them fit.
    pub(super) fn rows_or(&self, fitting: usize) -> usize {
        match self.rows {
            Rows::Fitting => fitting,
            Rows::AtMost(rows) => rows,
            Rows::All => usize::MAX,
        }
    }

    /// For any terminal: what [`ShowOptions::detect`] would find there.
    #[must_use]
    pub fn for_terminal(
        is_terminal: bool,
        color: When,
        window: Window,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let mut options = Self::plain();
        if let Some(columns) = set("COLUMNS").and_then(|columns| columns.parse().ok()) {
            options.width = columns;
        }
        if let Some((columns, rows)) = window.cells.filter(|(w, h)| *w > 0 && *h > 0) {
            (options.width, options.height) = (columns, rows);
            if let Some((width, height)) = window.pixels.filter(|(w, h)| *w > 0 && *h > 0) {
                options.cell = ((width / columns).max(1), (height / rows).max(1));
            }
        }
        options.width = options.width.max(MIN_WIDTH);
        if is_terminal {
            options.max_lines = usize::from(options.height).max(SCREEN_LINES);
        }
        options.color = ColorLevel::of(is_terminal, color, &set);
        if is_terminal && options.color != ColorLevel::None {
            options.graphics = Graphics::of(&set);
        }
        options
    }
}

impl Default for ShowOptions {
    fn default() -> Self {
        Self::plain()
    }
}

impl ColorLevel {
    fn of(is_terminal: bool, when: When, set: &impl Fn(&str) -> Option<String>) -> Self {
        let term = set("TERM").unwrap_or_default();
        let wanted = match when {
            When::Always => true,
            When::Never => false,
            When::Auto => is_terminal && set("NO_COLOR").is_none() && term != "dumb",
        };
        let rich = set("COLORTERM").is_some_and(|it| it == "truecolor" || it == "24bit")
            || term.ends_with("-direct")
            || ["kitty", "foot", "ghostty", "alacritty", "wezterm"]
                .iter()
                .any(|name| term.contains(name));
        match (wanted, rich) {
            (false, _) => Self::None,
            (true, true) => Self::TrueColor,
            (true, false) => Self::Ansi256,
        }
    }
}

impl Graphics {
    /// What the environment tells. A terminal that supports several gets the richest of them.
    fn of(set: &impl Fn(&str) -> Option<String>) -> Self {
        let term = set("TERM").unwrap_or_default();
        // A multiplexer passes on the variables of the terminal around it, but not its pictures.
        if set("TMUX").is_some() || term.starts_with("screen") || term.starts_with("tmux") {
            return Self::HalfBlocks;
        }
        let program = set("TERM_PROGRAM").unwrap_or_default();
        let has = |text: &str, names: &[&str]| names.iter().any(|name| text.contains(name));
        if set("KITTY_WINDOW_ID").is_some()
            || has(&term, &["kitty", "ghostty"])
            || program == "ghostty"
        {
            Self::Kitty
        } else if has(
            &program,
            &["iTerm", "WezTerm", "mintty", "rio", "WarpTerminal"],
        ) || set("LC_TERMINAL").is_some_and(|it| it.contains("iTerm"))
            || set("KONSOLE_VERSION").is_some()
        {
            Self::Iterm
        } else if has(&term, &["foot", "mlterm", "contour", "yaft", "sixel"]) {
            Self::Sixel
        } else {
            Self::HalfBlocks
        }
    }
}

impl Window {
    fn of_terminal() -> Self {
        // The size in pixels is not known everywhere; then `window_size` fails or gives zeros.
        match crossterm::terminal::window_size() {
            Ok(size) => Self {
                cells: Some((size.columns, size.rows)),
                pixels: Some((size.width, size.height)),
            },
            Err(_) => Self {
                cells: crossterm::terminal::size().ok(),
                pixels: None,
            },
        }
    }
}

/// What a terminal is taken to have if nobody knows: that of a VT100.
const DEFAULT_CELLS: (u16, u16) = (80, 24);

/// A common size; pictures come out smaller or larger on other terminals, and still whole.
const DEFAULT_CELL_PIXELS: (u16, u16) = (10, 20);

/// No layout is any good below this.
const MIN_WIDTH: u16 = 20;

/// In a pipe there is room, and a pager perhaps.
const PLAIN_LINES: usize = 200;

/// On a screen, about as much as is still looked at after scrolling.
const SCREEN_LINES: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn on_terminal(color: When, variables: &[(&str, &str)]) -> ShowOptions {
        let window = Window {
            cells: Some((100, 40)),
            pixels: Some((900, 720)),
        };
        ShowOptions::for_terminal(true, color, window, |name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_pipe_gets_plain_text() {
        let piped = ShowOptions::for_terminal(false, When::Auto, Window::default(), |name| {
            (name == "TERM").then(|| "xterm-kitty".to_owned())
        });
        assert_eq!(piped, ShowOptions::plain());
    }

    #[test]
    fn colour_is_given_up_for_who_asks() {
        for (when, variables) in [
            (When::Auto, [("NO_COLOR", "1"), ("TERM", "xterm-256color")]),
            (When::Auto, [("COLORTERM", "truecolor"), ("TERM", "dumb")]),
            (When::Never, [("COLORTERM", "truecolor"), ("TERM", "xterm")]),
        ] {
            let options = on_terminal(when, &variables);
            assert_eq!(options.color, ColorLevel::None, "{variables:?}");
            assert_eq!(options.graphics, Graphics::None, "{variables:?}");
        }
        let insisted = on_terminal(When::Always, &[("NO_COLOR", "1")]);
        assert_eq!(insisted.color, ColorLevel::Ansi256);
        let unset = on_terminal(When::Auto, &[("NO_COLOR", ""), ("COLORTERM", "24bit")]);
        assert_eq!(unset.color, ColorLevel::TrueColor);
    }

    #[test]
    fn the_richest_way_to_draw_is_found() {
        for (variables, expected) in [
            (&[("TERM", "xterm-256color")][..], Graphics::HalfBlocks),
            (&[("TERM", "xterm-kitty")], Graphics::Kitty),
            (&[("TERM", "xterm-ghostty")], Graphics::Kitty),
            (&[("TERM_PROGRAM", "iTerm.app")], Graphics::Iterm),
            (&[("TERM", "foot")], Graphics::Sixel),
            (
                &[("TERM", "tmux-256color"), ("KITTY_WINDOW_ID", "1")],
                Graphics::HalfBlocks,
            ),
        ] {
            let found = on_terminal(When::Auto, variables).graphics;
            assert_eq!(found, expected, "{variables:?}");
        }
    }

    #[test]
    fn the_size_of_a_cell_is_that_of_the_window_shared_out() {
        let options = on_terminal(When::Auto, &[]);
        assert_eq!((options.width, options.height), (100, 40));
        assert_eq!(options.cell, (9, 18));
    }
}
