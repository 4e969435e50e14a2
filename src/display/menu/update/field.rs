//! A line that is typed.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Bytes that a line may have: an invite has some hundred, and a message must fit into an offer.
pub(super) const FIELD_MAX: usize = 4096;

/// Changes the line as line editors do.
pub(super) fn edit(text: &mut String, key: KeyEvent) {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('u') if control => text.clear(),
        KeyCode::Char('w') if control => {
            let kept = text
                .trim_end()
                .rfind(char::is_whitespace)
                .map_or(0, |at| at + 1);
            text.truncate(kept);
        }
        KeyCode::Backspace => _ = text.pop(),
        KeyCode::Char(c) if !control && text.len() + c.len_utf8() <= FIELD_MAX => text.push(c),
        _ => {}
    }
}

/// Appends what was pasted, as one line.
pub(super) fn paste(field: &mut String, text: &str) {
    for c in text.trim().chars() {
        let c = if c == '\n' || c == '\r' { ' ' } else { c };
        if !c.is_control() && field.len() + c.len_utf8() <= FIELD_MAX {
            field.push(c);
        }
    }
}
