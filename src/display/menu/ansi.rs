//! What the viewer prints, as styled lines: colours are kept, nothing else is obeyed.

use ratatui::{
    style::{Color, Modifier, Style},
    text::{Line, Span},
};

/// Lines of text with SGR colours (ECMA-48, 8.3.117); every other control character is dropped.
pub(super) fn lines(text: &str) -> Vec<Line<'static>> {
    let mut style = Style::new();
    text.lines().map(|line| one(line, &mut style)).collect()
}

fn one(line: &str, style: &mut Style) -> Line<'static> {
    let mut spans = Vec::new();
    let mut parts = line.split('\u{1b}');
    let mut push = |text: &str, style: Style| {
        let text: String = text.chars().filter(|c| !c.is_control()).collect();
        if !text.is_empty() {
            spans.push(Span::styled(text, style));
        }
    };
    push(parts.next().unwrap_or_default(), *style);
    for part in parts {
        let sequence = part.strip_prefix('[').and_then(|part| {
            let end = part.find(|c: char| ('@'..='~').contains(&c))?;
            Some((&part[..end], &part[end..=end], &part[end + 1..]))
        });
        match sequence {
            Some((parameters, "m", text)) => {
                apply(parameters, style);
                push(text, *style);
            }
            Some((_, _, text)) => push(text, *style),
            None => push(part, *style),
        }
    }
    Line::from(spans)
}

fn apply(parameters: &str, style: &mut Style) {
    let mut numbers = parameters.split(';').map(|n| n.parse::<u8>().unwrap_or(0));
    while let Some(number) = numbers.next() {
        *style = match number {
            0 => Style::new(),
            1 => style.add_modifier(Modifier::BOLD),
            2 => style.add_modifier(Modifier::DIM),
            3 => style.add_modifier(Modifier::ITALIC),
            4 => style.add_modifier(Modifier::UNDERLINED),
            22 => style.remove_modifier(Modifier::BOLD | Modifier::DIM),
            30..=37 => style.fg(Color::Indexed(number - 30)),
            90..=97 => style.fg(Color::Indexed(number - 82)),
            40..=47 => style.bg(Color::Indexed(number - 40)),
            39 => style.fg(Color::Reset),
            49 => style.bg(Color::Reset),
            38 | 48 => {
                let color = match numbers.next() {
                    Some(5) => numbers.next().map(Color::Indexed),
                    Some(2) => match (numbers.next(), numbers.next(), numbers.next()) {
                        (Some(r), Some(g), Some(b)) => Some(Color::Rgb(r, g, b)),
                        _ => None,
                    },
                    _ => None,
                };
                match color {
                    Some(color) if number == 38 => style.fg(color),
                    Some(color) => style.bg(color),
                    None => *style,
                }
            }
            _ => *style,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_kept_and_everything_else_is_dropped() {
        let lines = lines("a\u{1b}[38;5;3mb\u{1b}[0m\u{1b}[2Jc\u{1b}]52;c;x\u{7}");
        let line = &lines[0];
        let text: String = line.spans.iter().map(|span| &*span.content).collect();
        assert!(
            text.starts_with("abc") && !text.chars().any(char::is_control),
            "{text:?}"
        );
        assert_eq!(line.spans[1].style.fg, Some(Color::Indexed(3)));
        assert_eq!(line.spans[2].style.fg, None);
    }
}
