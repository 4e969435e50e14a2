//! Styles that mean something without colour as well, and text of a known width.

use ratatui::{
    style::{Color, Modifier, Style},
    text::Span,
    widgets::Block,
};

use crate::display::show::{columns, fit};

/// Whether colour may be used.
#[derive(Clone, Copy)]
pub(super) struct Paint(pub(super) bool);

impl Paint {
    fn fg(self, color: Color) -> Style {
        if self.0 {
            Style::new().fg(color)
        } else {
            Style::new()
        }
    }

    pub(super) fn good(self) -> Style {
        self.fg(Color::Green)
    }

    pub(super) fn bad(self) -> Style {
        self.fg(Color::Red).add_modifier(Modifier::BOLD)
    }

    pub(super) fn accent(self) -> Style {
        self.fg(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    pub(super) fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// A frame with a title.
    pub(super) fn block(self, title: impl Into<String>) -> Block<'static> {
        Block::bordered()
            .border_style(self.dim())
            .title(Span::styled(format!(" {} ", title.into()), self.accent()))
    }
}

/// A text in exactly so many columns, cut or padded.
pub(super) fn pad(text: &str, width: usize) -> String {
    let text = fit(text, width);
    let blank = width.saturating_sub(columns(&text));
    format!("{text}{}", " ".repeat(blank))
}

/// The end of a text, in at most so many columns.
pub(super) fn tail(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let cut = text.char_indices().map(|(at, _)| &text[at..]);
    let kept = cut.skip(1).find(|rest| columns(rest) < width);
    format!("…{}", kept.unwrap_or_default())
}

/// A text in lines of at most so many columns, broken at blanks; what is left after the last line
/// is cut off there.
pub(super) fn wrap(text: &str, width: usize, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        let more = lines.len() < most;
        let line = lines
            .last_mut()
            .expect("there is a line from the beginning");
        let gap = usize::from(!line.is_empty());
        if columns(line) + gap + columns(word) <= width || line.is_empty() {
            line.push_str(&" ".repeat(gap));
            line.push_str(word);
        } else if more {
            lines.push(word.to_owned());
        } else {
            let rest: Vec<_> = words.collect();
            *line = format!("{line} {word} {}", rest.join(" "));
            break;
        }
    }
    lines
        .iter()
        .map(|line| fit(line, width).into_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_wrapped_at_blanks_and_cut_after_the_last_line() {
        assert_eq!(wrap("one two three", 7, 3), ["one two", "three"]);
        assert_eq!(wrap("one two three four", 7, 2), ["one two", "three …"]);
        assert_eq!(wrap("", 7, 2), [""]);
        assert_eq!(wrap("unbreakable", 7, 2), ["unbrea…"]);
    }

    #[test]
    fn every_script_is_padded_to_the_same_width() {
        for text in [
            "bob",
            "日本語",
            "日本語の長い名前です",
            "e\u{301}le\u{300}ve",
            "👍🏽 yes",
            "",
        ] {
            assert_eq!(columns(&pad(text, 9)), 9, "{text}");
            assert!(columns(&tail(text, 4)) <= 4, "{text}");
        }
        assert_eq!(tail("/a/long/path", 6), "…/path");
    }
}
